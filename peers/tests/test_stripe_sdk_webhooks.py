"""The sandbox's webhooks, taken in as Stripe tells every merchant to: by `stripe.Webhook.construct_event`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe

from server import start_sandbox
from test_stripe_sdk import AMOUNT_MINOR, DECLINED, NEEDS_3DS, Psp, client_of
from test_stripe_sdk_shapes import conforms

SECRET = "whsec_sdk"
# How long a webhook may take from the answer to the listener, in seconds. The sandbox sends it after 50 ms.
ARRIVES_WITHIN_S = 20.0


@dataclass(frozen=True)
class Delivery:
    """One webhook as it came over the wire."""

    path: str
    signature: str
    body: bytes

    def event(self, *, secret: str = SECRET, tolerance_s: int = 300) -> stripe.Event:
        """What the SDK makes of it."""
        return stripe.Webhook.construct_event(self.body, self.signature, secret, tolerance_s, api_key="sk_test_peers")


class Listener:
    """A merchant's webhook address: it keeps what comes and says 200."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._changed = threading.Condition()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                delivery = Delivery(self.path, self.headers.get("Stripe-Signature", ""), body)
                # Answered first: whoever waits for the delivery may end everything right after it.
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                with listener._changed:
                    listener.deliveries.append(delivery)
                    listener._changed.notify_all()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The base to give to the sandbox, which adds the face's name."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hooks"

    def wait(self, count: int, kind: str | None = None) -> list[Delivery]:
        """The first `count` deliveries (of events of that kind), once they are there."""

        def right() -> list[Delivery]:
            return [one for one in self.deliveries if kind is None or one.event().type == kind]

        with self._changed:
            there = self._changed.wait_for(lambda: len(right()) >= count, ARRIVES_WITHIN_S)
            assert there, f"{len(right())} of {count} webhooks ({kind}) came"
            return right()[:count]

    def stop(self) -> None:
        """Closes the address."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Shop:
    """A PSP and where its webhooks go."""

    psp: Psp
    listener: Listener


@pytest.fixture(name="shop")
def fixture_shop() -> Iterator[Shop]:
    """A sandbox that sends its webhooks to a listener."""
    listener = Listener()
    try:
        with start_sandbox(webhook_url=listener.url, webhook_secret=SECRET) as sandbox:
            yield Shop(Psp(sandbox.ready, client_of(sandbox.ready)), listener)
    finally:
        listener.stop()


def test_an_event_is_what_the_sdk_expects(shop: Shop) -> None:
    """Every member of Stripe's event, and the intent as it was answered."""
    held = shop.psp.pay(key="k1", metadata={"order": "o1"})
    [delivery] = shop.listener.wait(1)
    event = delivery.event()
    assert delivery.path == "/hooks/stripe"
    assert isinstance(event, stripe.Event)
    conforms(event)
    assert event.id.startswith("evt_")
    assert (event.object, event.type) == ("event", "payment_intent.amount_capturable_updated")
    assert (event.livemode, event.pending_webhooks) == (False, 1)
    assert abs(event.created - time.time()) < 60
    assert event.api_version == stripe.api_version, "Stripe's other SDKs refuse an event of another version"
    assert held.last_response is not None and event.request is not None
    assert (event.request.id, event.request.idempotency_key) == (held.last_response.request_id, "k1")
    intent = event.data.object
    assert isinstance(intent, stripe.PaymentIntent)
    conforms(intent)
    assert intent.to_dict() == held.to_dict()
    # The client's own way to the same.
    again = shop.psp.client.construct_event(delivery.body, delivery.signature, SECRET)
    assert again.id == event.id


def test_every_change_of_a_payment_is_told(shop: Shop) -> None:
    """Each with a conforming event of its own."""
    psp = shop.psp
    taken, released = psp.pay(), psp.pay()
    psp.intents.capture(taken.id)
    psp.intents.cancel(released.id)
    waiting = psp.pay(payment_method=NEEDS_3DS)
    psp.authenticate(waiting.id, success=False)
    with pytest.raises(stripe.CardError):
        psp.pay(payment_method=DECLINED)
    events = [delivery.event() for delivery in shop.listener.wait(7)]
    for event in events:
        conforms(event)
        conforms(event.data.object)
    kinds = sorted(event.type.removeprefix("payment_intent.") for event in events)
    assert kinds == [
        "amount_capturable_updated",
        "amount_capturable_updated",
        "canceled",
        "payment_failed",
        "payment_failed",
        "requires_action",
        "succeeded",
    ]
    assert len({event.id for event in events}) == 7
    [succeeded] = [event.data.object for event in events if event.type == "payment_intent.succeeded"]
    assert (succeeded.id, succeeded.amount_received) == (taken.id, AMOUNT_MINOR)


def test_what_no_call_asked_for_names_no_request(shop: Shop) -> None:
    """An authorization that runs out of time."""
    shop.psp.turn(authorization_lifetime_ms=50)
    shop.psp.pay(key="k1")
    [delivery] = shop.listener.wait(1, "payment_intent.canceled")
    request = delivery.event().request
    assert request is not None and (request.id, request.idempotency_key) == (None, None)


def test_a_duplicate_is_the_same_event(shop: Shop) -> None:
    """So that a merchant can tell by its id."""
    shop.psp.pay(payment_method="pm_sandbox_webhook_duplicate")
    deliveries = shop.listener.wait(3)
    assert len({delivery.event().id for delivery in deliveries}) == 1
    assert len({delivery.body for delivery in deliveries}) == 1


def _other_amount(one: Delivery) -> Delivery:
    return Delivery(one.path, one.signature, one.body.replace(b'"amount":1000', b'"amount":1001'))


def _one_more_byte(one: Delivery) -> Delivery:
    return Delivery(one.path, one.signature, one.body + b" ")


def _unsigned(one: Delivery) -> Delivery:
    return Delivery(one.path, "", one.body)


def _made_younger(one: Delivery) -> Delivery:
    signed_s = int(one.signature.split(",")[0].removeprefix("t="))
    return Delivery(one.path, one.signature.replace(str(signed_s), str(signed_s + 1), 1), one.body)


def _other_scheme(one: Delivery) -> Delivery:
    return Delivery(one.path, one.signature.replace("v1=", "v0="), one.body)


@pytest.mark.parametrize("change", [_other_amount, _one_more_byte, _unsigned, _made_younger, _other_scheme])
def test_a_changed_webhook_is_refused(shop: Shop, change: Callable[[Delivery], Delivery]) -> None:
    """The signature is over every byte of the body, and over the time."""
    shop.psp.pay()
    [delivery] = shop.listener.wait(1)
    changed = change(delivery)
    assert changed != delivery
    with pytest.raises(stripe.SignatureVerificationError):
        changed.event()


def test_another_secret_is_refused(shop: Shop) -> None:
    """A merchant with two endpoints has two secrets."""
    shop.psp.pay()
    [delivery] = shop.listener.wait(1)
    with pytest.raises(stripe.SignatureVerificationError, match="No signatures found matching"):
        delivery.event(secret="whsec_other")


def test_a_stale_webhook_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes, seen after the SDK's five minutes."""
    shop.psp.pay()
    [delivery] = shop.listener.wait(1)
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 290)
    delivery.event()
    monkeypatch.setattr(time, "time", lambda: now_s + 310)
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        delivery.event()
