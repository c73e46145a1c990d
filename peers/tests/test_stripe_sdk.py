"""Stripe's official SDK against the sandbox's Stripe face: the calls that succeed.

A merchant's code is written against this SDK. What it can do with Stripe it can do with the sandbox, and what it reads
from the answers is there. The other files `test_stripe_sdk_*.py` have errors, retries, webhooks and shapes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import stripe

from processes import Process
from server import start_sandbox

AMOUNT_MINOR = 1000
APPROVED = "pm_card_visa"
DECLINED = "pm_card_chargeDeclined"
NEEDS_3DS = "pm_card_authenticationRequired"
# How long one try of one call may take, in seconds, where no answer is meant to be lost.
CALL_WITHIN_S = 20.0


@dataclass
class Psp:
    """The sandbox, and what a merchant's code would have: the SDK's client for it."""

    base_url: str
    client: stripe.StripeClient

    @property
    def intents(self) -> stripe.PaymentIntentService:
        """The calls about PaymentIntents."""
        return self.client.v1.payment_intents

    def pay(self, *, key: str | None = None, **params: Any) -> stripe.PaymentIntent:
        """Creates and confirms, to be captured later; `params` add to that or say otherwise."""
        form = {
            "amount": AMOUNT_MINOR,
            "currency": "gbp",
            "payment_method": APPROVED,
            "confirm": True,
            "capture_method": "manual",
            **params,
        }
        return self.intents.create(form, {"idempotency_key": key} if key else {})

    def authenticate(self, intent_id: str, success: bool) -> None:
        """The cardholder answers the 3-D Secure question."""
        answer = "true" if success else "false"
        self.client.raw_request("post", f"/v1/payment_intents/{intent_id}/_authenticate", success=answer)

    def ledger(self) -> dict[str, Any]:
        """What really happened to the money, by attempt."""
        return _plain("GET", f"{self.base_url}/ledger").json()

    def authorizations(self) -> int:
        """How many authorizations there ever were."""
        return sum(row["authorizations"] for row in self.ledger().values())

    def captures(self) -> int:
        """How many captures there ever were."""
        return sum(row["captures"] for row in self.ledger().values())

    def turn(self, **dials: Any) -> None:
        """Turns the sandbox's dials."""
        answer = _plain("PUT", f"{self.base_url}/dials", dials)
        assert answer.status_code == 200, answer.text


def _plain(method: str, url: str, body: Any = None) -> requests.Response:
    return _session().request(method, url, json=body, timeout=CALL_WITHIN_S)


def _session() -> requests.Session:
    """A session that takes nothing from the environment: no proxies, no netrc."""
    session = requests.Session()
    session.trust_env = False
    return session


def client_of(
    base_url: str, *, api_key: str = "sk_test_peers", max_network_retries: int = 0, timeout_s: float = CALL_WITHIN_S
) -> stripe.StripeClient:
    """The SDK's client for a sandbox. It retries only where a test says so."""
    stripe.enable_telemetry = False
    return stripe.StripeClient(
        api_key,
        base_addresses={"api": base_url},
        max_network_retries=max_network_retries,
        http_client=stripe.RequestsClient(timeout=timeout_s, session=_session()),
    )


@pytest.fixture(name="sandbox")
def fixture_sandbox() -> Iterator[Process]:
    """A sandbox PSP that answers at once."""
    with start_sandbox() as process:
        yield process


@pytest.fixture(name="psp")
def fixture_psp(sandbox: Process) -> Psp:
    """That sandbox with the SDK's client."""
    return Psp(sandbox.ready, client_of(sandbox.ready))


def test_an_intent_is_created_and_confirmed_later(psp: Psp) -> None:
    """Two calls, as with a payment page that is filled in between."""
    bare = psp.intents.create({"amount": AMOUNT_MINOR, "currency": "gbp"})
    assert isinstance(bare, stripe.PaymentIntent)
    assert (bare.object, bare.status, bare.livemode) == ("payment_intent", "requires_payment_method", False)
    assert (bare.amount, bare.currency, bare.amount_received) == (AMOUNT_MINOR, "gbp", 0)
    assert bare.client_secret is not None and bare.client_secret.startswith(bare.id)
    assert abs(bare.created - time.time()) < 60
    assert psp.ledger() == {}

    paid = psp.intents.confirm(bare.id, {"payment_method": APPROVED})
    assert (paid.id, paid.status, paid.amount_received) == (bare.id, "succeeded", AMOUNT_MINOR)
    assert psp.captures() == 1


def test_create_and_confirm_reserves_and_a_capture_takes(psp: Psp) -> None:
    """The two steps of a manual payment, and the ledger agrees."""
    held = psp.pay(metadata={"attempt_id": "a1"})
    assert (held.status, held.capture_method) == ("requires_capture", "manual")
    assert (held.amount_capturable, held.amount_received) == (AMOUNT_MINOR, 0)
    taken = psp.intents.capture(held.id)
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, AMOUNT_MINOR)
    row = psp.ledger()["a1"]
    assert (row["authorizations"], row["captures"], row["captured_minor"]) == (1, 1, AMOUNT_MINOR)


def test_a_part_is_captured(psp: Psp) -> None:
    """The amount of the payment stays what it was; what was received is the part."""
    held = psp.pay(metadata={"attempt_id": "a1"})
    taken = psp.intents.capture(held.id, {"amount_to_capture": 700, "expand": ["latest_charge"]})
    assert (taken.amount, taken.amount_received, taken.amount_capturable) == (AMOUNT_MINOR, 700, 0)
    assert isinstance(taken.latest_charge, stripe.Charge)
    assert (taken.latest_charge.captured, taken.latest_charge.amount_captured) == (True, 700)
    assert psp.ledger()["a1"]["captured_minor"] == 700


def test_a_cancel_releases(psp: Psp) -> None:
    """With the reason that the merchant gave."""
    held = psp.pay(metadata={"attempt_id": "a1"})
    released = psp.intents.cancel(held.id, {"cancellation_reason": "requested_by_customer"})
    assert (released.status, released.cancellation_reason) == ("canceled", "requested_by_customer")
    assert released.canceled_at is not None and released.canceled_at >= held.created
    row = psp.ledger()["a1"]
    assert (row["voids"], row["live_authorizations"], row["captures"]) == (1, 0, 0)


def test_an_intent_is_retrieved_as_it_was_answered(psp: Psp) -> None:
    """And an object in the merchant's hands is brought up to date by the SDK's own `refresh`."""
    held = psp.pay(metadata={"order": "o 1/é"}, description="two shirts")
    read = psp.intents.retrieve(held.id)
    assert read.to_dict() == held.to_dict()
    assert read.metadata["order"] == "o 1/é"
    assert read.description == "two shirts"
    psp.intents.capture(held.id)
    held.refresh()
    assert held.status == "succeeded"


def test_the_latest_charge_is_an_id_until_it_is_expanded(psp: Psp) -> None:
    """As every expandable member of Stripe's."""
    held = psp.pay(metadata={"order": "o1"})
    assert isinstance(held.latest_charge, str)
    read = psp.intents.retrieve(held.id, {"expand": ["latest_charge"]})
    charge = read.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.id, charge.payment_intent, charge.amount) == (held.latest_charge, held.id, AMOUNT_MINOR)
    assert (charge.paid, charge.captured, charge.disputed, charge.refunded) == (True, False, False, False)
    assert charge.metadata["order"] == "o1"
    card = charge.payment_method_details.card if charge.payment_method_details else None
    assert card is not None and card.capture_before is not None and card.capture_before > time.time()

    listed = psp.intents.list({"expand": ["data.latest_charge"]})
    assert isinstance(listed.data[0].latest_charge, stripe.Charge)


def test_lists_are_paged_by_the_sdk_itself(psp: Psp) -> None:
    """`auto_paging_iter` asks on with `starting_after` while `has_more` says so: none is left out, none comes twice."""
    ids = [psp.pay().id for _ in range(7)]
    page = psp.intents.list({"limit": 3})
    assert isinstance(page, stripe.ListObject)
    assert (page.url, page.has_more, len(page.data)) == ("/v1/payment_intents", True, 3)
    assert [intent.id for intent in page.auto_paging_iter()] == ids[::-1]

    after = psp.intents.list({"limit": 3, "starting_after": ids[3]})
    assert ([intent.id for intent in after.data], after.has_more) == (ids[2::-1], False)
    before = psp.intents.list({"limit": 3, "ending_before": ids[3]})
    assert [intent.id for intent in before.auto_paging_iter()] == ids[4:]
    assert psp.intents.list({"created": {"lte": 1}}).is_empty


def test_three_d_secure_waits_for_the_cardholder(psp: Psp) -> None:
    """The address to send the customer to; then the end, as the cardholder answers."""
    for success, status, authorizations in [(True, "requires_capture", 1), (False, "requires_payment_method", 0)]:
        attempt_id = f"3ds {success}"
        back = "https://shop.example/back"
        waiting = psp.pay(payment_method=NEEDS_3DS, return_url=back, metadata={"attempt_id": attempt_id})
        assert waiting.status == "requires_action"
        assert waiting.next_action is not None and waiting.next_action.type == "redirect_to_url"
        redirect = waiting.next_action.redirect_to_url
        assert redirect is not None and redirect.return_url == back
        assert redirect.url is not None and _plain("GET", redirect.url).status_code == 200
        assert attempt_id not in psp.ledger()

        psp.authenticate(waiting.id, success)
        ended = psp.intents.retrieve(waiting.id)
        assert ended.status == status
        assert psp.ledger().get(attempt_id, {"authorizations": 0})["authorizations"] == authorizations
        error = ended.last_payment_error
        code = None if success else "payment_intent_authentication_failure"
        assert (error.code if error else None) == code


def test_what_was_captured_is_refunded(psp: Psp) -> None:
    """A part, and then the rest."""
    intent = psp.pay(capture_method="automatic", metadata={"attempt_id": "a1"})
    refunds = psp.client.v1.refunds
    part = refunds.create({"payment_intent": intent.id, "amount": 300, "reason": "requested_by_customer"})
    assert isinstance(part, stripe.Refund)
    assert (part.status, part.amount, part.currency) == ("succeeded", 300, "gbp")
    assert (part.payment_intent, part.charge) == (intent.id, intent.latest_charge)
    rest = refunds.create({"payment_intent": intent.id})
    assert rest.amount == AMOUNT_MINOR - 300
    listed = refunds.list({"payment_intent": intent.id})
    assert [refund.id for refund in listed.auto_paging_iter()] == [rest.id, part.id]
    charge = psp.intents.retrieve(intent.id, {"expand": ["latest_charge"]}).latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.refunded, charge.amount_refunded) == (True, AMOUNT_MINOR)
    assert psp.ledger()["a1"]["refunded_minor"] == AMOUNT_MINOR


def test_answers_carry_stripes_headers(psp: Psp) -> None:
    """A request's id is what a merchant quotes to support, and what the SDK puts before every error's message."""
    first = psp.pay(key="k1").last_response
    second = psp.pay(key="k2").last_response
    assert first is not None and second is not None
    assert first.request_id is not None and first.request_id.startswith("req_")
    assert first.request_id != second.request_id
    assert (first.idempotency_key, first.code) == ("k1", 200)
    # The SDK asks for the version that it was made for, and gets it.
    assert first.headers["stripe-version"] == psp.client._requestor.stripe_version


def test_the_asynchronous_client_works_as_well(psp: Psp) -> None:
    """The same calls over aiohttp, ten at a time."""

    async def pay_all() -> list[stripe.PaymentIntent]:
        http_client = stripe.AIOHTTPClient(timeout=CALL_WITHIN_S)
        client = stripe.StripeClient(
            "sk_test_peers", base_addresses={"api": psp.base_url}, max_network_retries=0, http_client=http_client
        )
        form = {"amount": AMOUNT_MINOR, "currency": "gbp", "payment_method": APPROVED, "confirm": True}
        try:
            return await asyncio.gather(*(client.v1.payment_intents.create_async(form) for _ in range(10)))
        finally:
            await http_client.close_async()

    intents = asyncio.run(pay_all())
    assert {intent.status for intent in intents} == {"succeeded"}
    assert len({intent.id for intent in intents}) == psp.captures() == 10
