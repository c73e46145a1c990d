"""Webhooks that come twice, break off, or are about something else, against the embedded server; and what the other files
`test_webhook_security_*.py` share.

A webhook is the one call that nothing vouches for but a signature, and it can end a payment that is in doubt. Each test
has such a payment: the PSP took the money and never said so, and offers no way to ask. What should not be believed must
leave it as it was, to the byte; then the PSP's genuine webhook ends it. Signatures are made by Stripe's official SDK.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import stripe

from processes import Process
from server import Answer, Client, start_sandbox, start_server
from test_stripe_sdk import Psp, client_of

SECRETS = {
    "STRIPE_KEY": "sk_test_of_the_shop",
    "STRIPE_HOOK": "whsec_of_the_shop",
    "OTHER_KEY": "sk_test_of_the_rival",
    "OTHER_HOOK": "whsec_of_the_rival",
}
MERCHANT_KEYS = {"shop": "merchant_key_of_the_shop", "rival": "merchant_key_of_the_rival"}
GENUINE, OTHERS = SECRETS["STRIPE_HOOK"], SECRETS["OTHER_HOOK"]
# How long it may take until a payment is in doubt for good, or done, in seconds.
SETTLES_WITHIN_S = 30.0
AMOUNT_MINOR = 500
# Attempts made ready at a time: each takes seconds to get into doubt, all of them together hardly more.
POOL_SIZE = 16
IN_DOUBT = "pm_sandbox_hang_after"

PSP = """
[psps.{name}]
face = "stripe"
base_url = "{url}"
api_key_env = "{variable}_KEY"
{hook}
[psps.{name}.timing]
call_timeout_ms = 2000
max_in_flight_ms = 2000
max_clock_skew_ms = 0
"""


def _config(psp_url: str) -> str:
    """Two merchants with a PSP each, and a PSP that has no webhook secret. All of them blind: what is in doubt stays so."""
    parts = []
    for merchant, psp in [("shop", "stripe"), ("rival", "other")]:
        digest = hashlib.sha256(MERCHANT_KEYS[merchant].encode()).hexdigest()
        parts.append(f'[merchants.{merchant}]\npsp = "{psp}"\napi_key_sha256 = ["{digest}"]\n')
    for name, variable, has_hook in [("stripe", "STRIPE", True), ("other", "OTHER", True), ("mute", "OTHER", False)]:
        hook = f'webhook_secret_env = "{variable}_HOOK"' if has_hook else ""
        parts.append(PSP.format(name=name, url=psp_url, variable=variable, hook=hook))
    return "\n".join(parts)


def _eventually(done: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SETTLES_WITHIN_S
    while not done():
        assert time.monotonic() < until, f"{what}: not within {SETTLES_WITHIN_S} s"
        time.sleep(0.05)


class Sent(NamedTuple):
    """A webhook as it is sent. Header lines in their order; a name may come twice."""

    headers: list[tuple[str, str | bytes]]
    body: bytes
    path: str = "/webhooks/stripe"
    method: str = "POST"


@dataclass
class World:
    """The server under test, the PSP behind it, and both merchants."""

    server: Process
    psp: Psp
    merchants: dict[str, Client]
    serial: Iterator[int] = field(default_factory=itertools.count)
    pool: list[str] = field(default_factory=list)

    def send(self, sent: Sent, within_s: float = 60.0) -> Answer:
        """Sends it byte for byte: no library mends the header lines."""
        connection = http.client.HTTPConnection(self.server.ready.removeprefix("http://"), timeout=within_s)
        try:
            connection.putrequest(sent.method, sent.path)
            for name, value in sent.headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(sent.body)))
            connection.endheaders(sent.body)
            answer = connection.getresponse()
            body = answer.read()
            return Answer(answer.status, dict(answer.getheaders()), body, json.loads(body))
        finally:
            connection.close()

    def in_doubt(self, merchant: str, token: str, *, operation: str = "authorize", state: str = "parked") -> str:
        """An attempt whose `operation` was sent with `token` and is in that state now; its id."""
        client, key = self.merchants[merchant], f"k{next(self.serial)}"
        body = {"order_id": key, "amount": AMOUNT_MINOR, "currency": "GBP", "payment_method": token}
        attempt_id = client.create(key, body).json["attempt_id"]
        if operation != "authorize":
            held = client.operate(attempt_id, "authorize", f"{key}-a", wait_s=20)
            assert held.json["status"] == "AUTHORIZED", held.body
        client.operate(attempt_id, operation, f"{key}-o")

        def settled() -> bool:
            now = client.read(attempt_id).json
            return state in (now.get("operation", {}).get("state"), now["status"])

        _eventually(settled, f"{operation} with {token}")
        return attempt_id

    def many_in_doubt(self, count: int, token: str, **how: str) -> list[str]:
        """The shop's, all at once."""
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self.in_doubt("shop", token, **how), range(count)))

    def take(self) -> str:
        """One of the shop's attempts whose authorization is in doubt."""
        if not self.pool:
            # Twenty calls in a row without an answer would open the PSP's circuit.
            self.in_doubt("shop", "pm_card_visa", state="AUTHORIZED")
            self.pool = self.many_in_doubt(POOL_SIZE, IN_DOUBT)
        return self.pool.pop()

    def intent(self, attempt_id: str) -> dict[str, Any]:
        """The PSP's intent of that attempt, as it is."""
        found = self.psp.intents.list({"limit": 100}).auto_paging_iter()
        [intent] = [one for one in found if one.metadata.to_dict().get("attempt_id") == attempt_id]
        return intent.to_dict()

    def genuine(self, attempt_id: str) -> bytes:
        """The body of the PSP's own webhook about that attempt."""
        return event("payment_intent.amount_capturable_updated", self.intent(attempt_id))

    def read(self, attempt_id: str, merchant: str = "shop") -> bytes:
        """The attempt with its timeline, byte for byte. In doubt for good, it has no timers that would show."""
        answer = self.merchants[merchant].read(attempt_id)
        assert answer.status == 200
        return answer.body

    def ends_by(self, attempt_id: str, sent: Sent) -> None:
        """`sent` is believed: it ends the doubt, and is one entry of the timeline."""
        before = json.loads(self.read(attempt_id))
        assert self.send(sent).json == {"received": True}
        after = json.loads(self.read(attempt_id))
        assert (before["status"], after["status"]) == ("AUTHORIZING", "AUTHORIZED")
        assert after["timeline"][:-1] == before["timeline"]
        assert after["timeline"][-1]["event"] == "a webhook said: authorized"
        assert after["authorization"]["psp_reference"] == self.intent(attempt_id)["id"]

    def keeps_its_secrets(self) -> None:
        """Nothing that the server wrote has a secret in it."""
        output = self.server.output()
        assert "serving" in output, "the server does write"
        for secret in [*SECRETS.values(), *MERCHANT_KEYS.values()]:
            assert secret not in output


@pytest.fixture(name="world", scope="module")
def fixture_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server for all tests of this file: an attack on one attempt must not show anywhere."""
    with (
        start_sandbox() as sandbox,
        start_server(tmp_path_factory.mktemp("server"), config=_config(sandbox.ready), secrets=SECRETS) as server,
    ):
        merchants = {name: Client(server.ready, key) for name, key in MERCHANT_KEYS.items()}
        yield World(server, Psp(sandbox.ready, client_of(sandbox.ready)), merchants)


def event(kind: str, intent: dict[str, Any]) -> bytes:
    """An event of Stripe's about an intent."""
    body = {"id": "evt_1", "object": "event", "type": kind, "created": int(time.time()), "data": {"object": intent}}
    return json.dumps(body).encode()


def signature(body: bytes, secret: str = GENUINE, age_s: int = 0) -> str:
    """`Stripe-Signature` as Stripe would make it `age_s` seconds ago: by the SDK where that can, which is for text."""
    at_s = int(time.time()) - age_s
    try:
        return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at_s)
    except UnicodeDecodeError:
        mac = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256)
        return f"t={at_s},v1={mac.hexdigest()}"


def signed(body: bytes, header: str | bytes | None = None, **sent: str) -> Sent:
    """`body` with that signature header, or else the genuine one."""
    return Sent([("Stripe-Signature", signature(body) if header is None else header)], body, **sent)


def written_anew(body: bytes) -> bytes:
    """The same JSON in other bytes."""
    return json.dumps(json.loads(body), separators=(",", ":")).encode()


def test_a_replay_says_nothing_new(world: World) -> None:
    """The same webhook six times, and signed anew: 200 each time, as a PSP repeats until it gets that, and one entry."""
    attempt_id = world.take()
    body = world.genuine(attempt_id)
    first = signed(body)
    world.ends_by(attempt_id, first)
    after = world.read(attempt_id)
    for again in [first] * 5 + [signed(body, signature(body, age_s=60)), signed(written_anew(body))]:
        answer = world.send(again)
        assert (answer.status, answer.json) == (200, {"received": True})
        assert world.read(attempt_id) == after


def test_a_body_that_breaks_off_changes_nothing(world: World) -> None:
    """The sender stops one byte before the end of a body that is right so far."""
    attempt_id = world.take()
    body = world.genuine(attempt_id)
    before = world.read(attempt_id)
    connection = http.client.HTTPConnection(world.server.ready.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", "/webhooks/stripe")
    connection.putheader("Stripe-Signature", signature(body))
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:-1])
    connection.sock.shutdown(socket.SHUT_WR)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (400, "INVALID_JSON")
    connection.close()
    assert world.read(attempt_id) == before
    world.ends_by(attempt_id, signed(body))


def test_a_psp_speaks_of_its_own_payments_only(world: World) -> None:
    """Rightly signed by one PSP, about an attempt that was made with the other: 200, and nothing."""
    shops, rivals = world.take(), world.in_doubt("rival", IN_DOUBT)
    before = world.read(shops), world.read(rivals, "rival")
    of_shop, of_rival = world.genuine(shops), world.genuine(rivals)
    assert world.send(signed(of_shop, signature(of_shop, OTHERS), path="/webhooks/other")).status == 200
    assert world.send(signed(of_rival)).status == 200
    assert (world.read(shops), world.read(rivals, "rival")) == before
    assert world.merchants["rival"].read(shops).status == 404
    world.ends_by(shops, signed(of_shop))
    assert world.read(rivals, "rival") == before[1]
    assert world.send(signed(of_rival, signature(of_rival, OTHERS), path="/webhooks/other")).status == 200
    assert json.loads(world.read(rivals, "rival"))["status"] == "AUTHORIZED"


def test_what_concerns_nobody_makes_nothing(world: World) -> None:
    """Events about payments that Pay Once did not make, as the same PSP account may have: 200, so that they end."""
    attempt_id = world.take()
    before = world.read(attempt_id)
    intent = world.intent(attempt_id)
    nobodys = attempt_id[:-4] + ("0000" if attempt_id[-4:] != "0000" else "1111")
    about = [{"attempt_id": name} for name in [nobodys, attempt_id.lower(), attempt_id + "0", "", "../" + attempt_id]]
    for metadata in [*about, {}, {"order": attempt_id}]:
        answer = world.send(signed(event("payment_intent.succeeded", {**intent, "metadata": metadata})))
        assert (answer.status, answer.json) == (200, {"received": True}), metadata
    for kind in ["charge.captured", "payment_intentional.succeeded", "customer.created", ""]:
        assert world.send(signed(event(kind, intent))).status == 200
    assert world.merchants["shop"].read(nobodys).status == 404
    assert world.read(attempt_id) == before
    world.ends_by(attempt_id, signed(world.genuine(attempt_id)))
