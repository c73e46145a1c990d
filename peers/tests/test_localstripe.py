"""Pay Once with localstripe as its PSP: every way a payment can go, told alike by the journal and by localstripe's books.

Nothing goes wrong here but what a test's script makes go wrong; `test_localstripe_faults.py` leaves that to lot.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import requests

from fault_proxy import Delivery, Fault, Request
from localstripe_psp import CARD_3D_SECURE, CARD_DECLINED, CARD_GOOD, World, place
from processes import wait_until

# Two noisy cores; the longest of these takes some seconds.
SETTLES_WITHIN_S = 60.0
AMOUNT_MINOR = 2599


def create(world: World, card_number: str, key: str = "create") -> str:
    """A new attempt with this card; its id."""
    token = world.books.payment_method(card_number)
    body = {"order_id": "ord_1", "amount": AMOUNT_MINOR, "currency": "GBP", "payment_method": token}
    answer = world.client.create(key, body)
    assert answer.status == 201, answer
    return answer.json["attempt_id"]


def settled(world: World, attempt_id: str, status: str) -> dict[str, Any]:
    """The attempt once it has this status and nothing is under way."""

    def look() -> dict[str, Any] | None:
        attempt = world.client.read(attempt_id).json
        return attempt if attempt["status"] == status and "operation" not in attempt else None

    return wait_until(f"{attempt_id} is {status}", look, SETTLES_WITHIN_S)


def sent(attempt: dict[str, Any]) -> list[tuple[str, str]]:
    """What the journal says was sent to the PSP: keys, and the objects addressed."""
    entries = [line for line in attempt["timeline"] if line["knowing"] == "dispatched"]
    return [(entry["details"]["psp_key"], entry["details"].get("target", "")) for entry in entries]


def delivered(world: World) -> list[tuple[str, str]]:
    """What reached localstripe, in the same words."""
    posts = [d.request for d in world.calls.deliveries if d.request.method == "POST"]
    targets = [post.target.split("/") for post in posts]
    return [
        (post.header("idempotency-key") or "", parts[3] if len(parts) > 3 else "")
        for post, parts in zip(posts, targets, strict=True)
    ]


def assert_told_alike(world: World, attempt: dict[str, Any]) -> None:
    """Every call is in the journal, and every call that the journal has was made, once."""
    assert sent(attempt) == delivered(world)
    status = world.operators.call("GET", "/status").json
    assert status["counters"]["unwanted_effects"] == 0


def test_localstripe_capture_whole(tmp_path: Path) -> None:
    """Create, authorize, capture: one authorization, one capture, and every step of it in the journal."""
    with place(tmp_path) as world:
        attempt_id = create(world, CARD_GOOD)
        assert world.books.account(attempt_id).intents == [], "a created attempt is no concern of the PSP's"

        authorized = world.client.operate(attempt_id, "authorize", "a", wait_s=20)
        assert (authorized.status, authorized.json["status"]) == (200, "AUTHORIZED")
        account = world.books.account(attempt_id)
        assert (account.authorized(), account.held(), account.moved_minor()) == (1, 1, 0)
        assert authorized.json["authorization"]["psp_reference"] == account.intents[0]["id"]

        captured = world.client.operate(attempt_id, "capture", "c", wait_s=20)
        assert (captured.status, captured.json["capture"]["amount"]) == (200, AMOUNT_MINOR)
        again = world.client.operate(attempt_id, "capture", "c")
        assert (again.body, again.headers["Idempotency-Replayed"]) == (captured.body, "true")

        account = world.books.account(attempt_id)
        assert account.statuses() == ["succeeded"]
        assert (account.taken_minor, account.given_back_minor) == ([AMOUNT_MINOR], [])
        attempt = settled(world, attempt_id, "CAPTURED")
        assert_told_alike(world, attempt)
        steps = [key.removeprefix(f"{attempt_id}-") for key, _ in sent(attempt)]
        assert steps == ["prepare-1", "authorize-1", "capture-1"]
        addressed = [target for _, target in sent(attempt)]
        assert addressed == ["", account.intents[0]["id"], account.intents[0]["id"]]


def test_localstripe_capture_part(tmp_path: Path) -> None:
    """A part is captured, once: what is left is neither taken nor to be had later."""
    with place(tmp_path) as world:
        attempt_id = create(world, CARD_GOOD)
        assert world.client.operate(attempt_id, "authorize", "a", wait_s=20).status == 200
        captured = world.client.operate(attempt_id, "capture", "c", {"amount": 1000}, wait_s=20)
        assert (captured.status, captured.json["capture"]["amount"]) == (200, 1000)
        rest = world.client.operate(attempt_id, "capture", "rest", {"amount": 1599}, wait_s=20)
        assert (rest.status, rest.json["error"]["code"]) == (409, "INVALID_STATE")
        account = world.books.account(attempt_id)
        assert (account.captured(), account.moved_minor()) == (1, 1000)
        assert_told_alike(world, settled(world, attempt_id, "CAPTURED"))


def test_localstripe_void(tmp_path: Path) -> None:
    """Voided: nothing held and nothing moved. localstripe would capture it even now, so Pay Once must not ask."""
    with place(tmp_path) as world:
        attempt_id = create(world, CARD_GOOD)
        assert world.client.operate(attempt_id, "authorize", "a", wait_s=20).status == 200
        voided = world.client.operate(attempt_id, "void", "v", wait_s=20)
        assert (voided.status, voided.json["status"]) == (200, "VOIDED")
        capture = world.client.operate(attempt_id, "capture", "c", wait_s=20)
        assert (capture.status, capture.json["error"]["code"]) == (409, "INVALID_STATE")
        account = world.books.account(attempt_id)
        assert account.statuses() == ["canceled"]
        assert (account.authorized(), account.captured(), account.held(), account.moved_minor()) == (1, 0, 0, 0)
        assert_told_alike(world, settled(world, attempt_id, "VOIDED"))

        intent_id = account.intents[0]["id"]
        world.books.call("POST", f"/v1/payment_intents/{intent_id}/capture")
        after = world.books.account(attempt_id)
        assert after.moved_minor() == AMOUNT_MINOR, "the adversary this test was written for has been mended"


def test_localstripe_decline(tmp_path: Path) -> None:
    """A card that is refused: a final answer, the same for ever, and no second try at the PSP."""
    with place(tmp_path) as world:
        attempt_id = create(world, CARD_DECLINED)
        declined = world.client.operate(attempt_id, "authorize", "a", wait_s=20)
        assert (declined.status, declined.json["error"]["code"]) == (402, "DECLINED")
        assert declined.json["error"]["decline_code"] == "card_declined"
        assert declined.json["error"]["safe_new_key"] is True
        assert world.client.operate(attempt_id, "authorize", "a").body == declined.body
        account = world.books.account(attempt_id)
        assert (account.authorized(), account.declined(), account.moved_minor()) == (0, 1, 0)
        assert_told_alike(world, settled(world, attempt_id, "DECLINED"))


def test_localstripe_3d_secure_finished(tmp_path: Path) -> None:
    """The customer's bank says yes: found out by reading the PaymentIntent, and then captured as usual."""
    with place(tmp_path) as world:
        attempt_id = create(world, CARD_3D_SECURE)
        waiting = world.client.operate(attempt_id, "authorize", "a", wait_s=20)
        assert (waiting.status, waiting.json["status"]) == (202, "REQUIRES_ACTION")
        # localstripe knows no page to send a customer to.
        assert "next_action" not in waiting.json
        assert world.books.account(attempt_id).charges == []
        world.books.authenticate(attempt_id, success=True)
        settled(world, attempt_id, "AUTHORIZED")
        assert world.client.operate(attempt_id, "authorize", "a").status == 200
        assert world.client.operate(attempt_id, "capture", "c", wait_s=20).status == 200
        account = world.books.account(attempt_id)
        assert (account.authorized(), account.taken_minor) == (1, [AMOUNT_MINOR])
        assert_told_alike(world, settled(world, attempt_id, "CAPTURED"))


def test_localstripe_3d_secure_failed(tmp_path: Path) -> None:
    """The customer's bank says no: declined, and nothing was ever held."""
    with place(tmp_path) as world:
        attempt_id = create(world, CARD_3D_SECURE)
        assert world.client.operate(attempt_id, "authorize", "a", wait_s=20).status == 202
        world.books.authenticate(attempt_id, success=False)
        attempt = settled(world, attempt_id, "DECLINED")
        assert attempt["decline"]["code"] == "payment_intent_authentication_failure"
        declined = world.client.operate(attempt_id, "authorize", "a")
        assert (declined.status, declined.json["error"]["code"]) == (402, "DECLINED")
        assert world.books.account(attempt_id).charges == []
        assert_told_alike(world, attempt)


def test_localstripe_3d_secure_abandoned(tmp_path: Path) -> None:
    """The customer never comes back: the PaymentIntent is cancelled when its time is over, and can hold nothing later."""
    with place(tmp_path, action_timeout_ms=2_500) as world:
        attempt_id = create(world, CARD_3D_SECURE)
        assert world.client.operate(attempt_id, "authorize", "a", wait_s=20).json["status"] == "REQUIRES_ACTION"
        attempt = settled(world, attempt_id, "EXPIRED")
        account = world.books.account(attempt_id)
        assert (account.statuses(), account.charges) == (["canceled"], [])
        assert_told_alike(world, attempt)


def deaf_to(*operations: str) -> Any:
    """A script: calls of these operations reach the PSP and their answers are lost; nothing can be read there."""

    def choose(request: Request, _lot: random.Random) -> Fault:
        if request.method == "GET":
            return Fault.CLOSE_BEFORE
        return Fault.DROP_ANSWER if request.target.endswith(operations) else Fault.NONE

    return choose


def last_observed(attempt: dict[str, Any]) -> str:
    """The observation that ended it."""
    return [line["event"] for line in attempt["timeline"] if line["knowing"] == "observed"][-1]


def test_localstripe_webhook_alone_ends_it(tmp_path: Path) -> None:
    """All answers about the money are lost and nothing can be read: localstripe's signed webhook is all the evidence
    there is, of a charge, of a capture and of a decline, and it is enough."""
    with place(tmp_path) as world:
        world.calls.choose = deaf_to("/confirm", "/capture")
        charge = {
            "amount": AMOUNT_MINOR,
            "currency": "GBP",
            "payment_method": world.books.payment_method(CARD_GOOD),
        }
        charged = world.client.call("POST", "/charge", charge, key="charge")
        assert charged.status == 202
        declined_id = create(world, CARD_DECLINED)
        assert world.client.operate(declined_id, "authorize", "a").status == 202

        attempt = settled(world, charged.json["attempt_id"], "CAPTURED")
        assert attempt["capture"]["amount"] == AMOUNT_MINOR
        assert last_observed(attempt) == "a webhook said: authorized, captured"
        assert world.books.account(attempt["attempt_id"]).taken_minor == [AMOUNT_MINOR]
        declined = settled(world, declined_id, "DECLINED")
        assert last_observed(declined) == "a webhook said: refused"
        assert world.books.account(declined_id).declined() == 1

        world.calls.calm()
        manual_id = create(world, CARD_GOOD, key="manual")
        assert world.client.operate(manual_id, "authorize", "a", wait_s=20).status == 200
        world.calls.choose = deaf_to("/capture")
        assert world.client.operate(manual_id, "capture", "c", {"amount": 1000}).status == 202
        manual = settled(world, manual_id, "CAPTURED")
        assert manual["capture"]["amount"] == 1000
        assert last_observed(manual) == "a webhook said: authorized, captured"
        assert world.books.account(manual_id).moved_minor() == 1000
        lost = [d for d in world.calls.deliveries if d.fault == Fault.DROP_ANSWER]
        assert len(lost) == 3, "one confirm, one refused confirm, one capture, each sent once"


def test_localstripe_webhook_signature(tmp_path: Path) -> None:
    """A genuine webhook may come again and changes nothing; one changed byte, or another's secret, and it is refused."""
    with place(tmp_path) as world:
        attempt_id = create(world, CARD_GOOD)
        assert world.client.operate(attempt_id, "authorize", "a", wait_s=20).status == 200
        assert world.client.operate(attempt_id, "capture", "c", wait_s=20).status == 200
        genuine = wait_until(
            "localstripe's webhook arrives", lambda: world.webhooks.deliveries[:1], SETTLES_WITHIN_S
        )[0]
        assert genuine.status == 200
        before = world.client.read(attempt_id).json["timeline"]
        assert post_again(world, genuine, genuine.request.body).status_code == 200
        forged = genuine.request.body.replace(b'"captured": true', b'"captured": trui')
        assert forged != genuine.request.body
        refused = post_again(world, genuine, forged)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "WEBHOOK_SIGNATURE_INVALID"
        assert world.client.read(attempt_id).json["timeline"] == before


def post_again(world: World, delivery: Delivery, body: bytes) -> requests.Response:
    """Sends a webhook under the signature that came with `delivery`."""
    signature = delivery.request.header("stripe-signature")
    assert signature is not None
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            f"{world.server.ready}/webhooks/stripe",
            data=body,
            headers={"Stripe-Signature": signature, "Content-Type": "application/json"},
            timeout=SETTLES_WITHIN_S,
        )
