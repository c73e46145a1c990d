"""A payment's webhooks in every order, each of them twice: networks do that to a PSP's events. The end is the same.

The events are what Stripe would have sent on the way to where its intent is now; what Pay Once has in doubt is where they
are needed.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

import pytest

from test_webhook_security import (  # noqa: F401 (fixtures are asked for by name)
    AMOUNT_MINOR,
    IN_DOUBT,
    World,
    event,
    fixture_world,
    signed,
)

BEFORE_MONEY = {"latest_charge": None, "amount_capturable": 0, "amount_received": 0, "canceled_at": None}
HELD = {"status": "requires_capture", "amount_capturable": AMOUNT_MINOR, "amount_received": 0, "canceled_at": None}
ACTION = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://psp.example/3ds", "return_url": None}}
# What an intent was when each kind of event was sent, where that is not what it is now.
THEN: dict[str, dict[str, Any]] = {
    "created": {**BEFORE_MONEY, "status": "requires_confirmation"},
    "requires_action": {**BEFORE_MONEY, "status": "requires_action", "next_action": ACTION},
    "processing": {**BEFORE_MONEY, "status": "processing"},
    "amount_capturable_updated": HELD,
}


class Story(NamedTuple):
    """What was asked, what the PSP's token made of it, and what the PSP tells of it in time."""

    operation: str
    token: str
    state: str
    kinds: tuple[str, ...]
    ends: str
    ledger: dict[str, int]


AUTHORIZED = {"authorizations": 1, "live_authorizations": 1, "captures": 0, "voids": 0}
CAPTURED = {**AUTHORIZED, "captures": 1}
VOIDED = {**AUTHORIZED, "live_authorizations": 0, "voids": 1}
TO_HELD = ("created", "processing", "amount_capturable_updated")
STORIES = {
    "an authorization in doubt": Story("authorize", IN_DOUBT, "parked", TO_HELD, "AUTHORIZED", AUTHORIZED),
    "a cardholder who answers": Story(
        "authorize",
        "pm_card_authenticationRequired",
        "REQUIRES_ACTION",
        ("created", "requires_action", "amount_capturable_updated"),
        "AUTHORIZED",
        AUTHORIZED,
    ),
    "a capture in doubt": Story(
        "capture",
        "pm_sandbox_capture_hang_after",
        "parked",
        ("created", "amount_capturable_updated", "succeeded"),
        "CAPTURED",
        CAPTURED,
    ),
    "a void in doubt": Story(
        "void",
        "pm_sandbox_void_hang_after",
        "parked",
        ("created", "amount_capturable_updated", "canceled"),
        "VOIDED",
        VOIDED,
    ),
}


def bodies(world: World, attempt_id: str, story: Story) -> dict[str, bytes]:
    """The events of a payment, by their kind."""
    now = world.intent(attempt_id)
    return {kind: event(f"payment_intent.{kind}", {**now, **THEN.get(kind, {})}) for kind in story.kinds}


def told(attempt: dict[str, Any]) -> dict[str, Any]:
    """An attempt without what differs between two of them, and without its timeline."""
    capture, authorization = attempt.get("capture", {}), attempt.get("authorization", {})
    return {
        "status": attempt["status"],
        "charge_state": attempt["charge_state"],
        "captured": capture.get("amount"),
        "psp": authorization.get("psp"),
        "has an operation": "operation" in attempt,
    }


@pytest.mark.parametrize("name", STORIES)
def test_every_order_has_the_same_end(world: World, name: str) -> None:
    """Six orders of three events, and each of them once more the other way round."""
    story = STORIES[name]
    orders = list(itertools.permutations(story.kinds))
    attempts = world.many_in_doubt(len(orders), story.token, operation=story.operation, state=story.state)
    ends = []
    for attempt_id, order in zip(attempts, orders, strict=True):
        if story.state == "REQUIRES_ACTION":
            world.psp.authenticate(world.intent(attempt_id)["id"], success=True)
        by_kind = bodies(world, attempt_id, story)
        for kind in order:
            assert world.send(signed(by_kind[kind])).json == {"received": True}
        once = world.read(attempt_id)
        for kind in reversed(order):
            assert world.send(signed(by_kind[kind])).status == 200
        assert world.read(attempt_id) == once, f"{order}: a repetition is not news"
        attempt = json.loads(once)
        assert attempt["status"] == story.ends, order
        row = world.psp.ledger()[attempt_id]
        assert {member: row[member] for member in story.ledger} == story.ledger, "Pay Once called nothing in addition"
        ends.append(told(attempt))
    assert all(end == ends[0] for end in ends), dict(zip(orders, ends, strict=True))


def test_old_news_does_not_bring_back_what_has_ended(world: World) -> None:
    """A final status stays what it is, whatever snapshot of the past arrives."""
    story = STORIES["a void in doubt"]
    [attempt_id] = world.many_in_doubt(1, story.token, operation="void")
    by_kind = bodies(world, attempt_id, story)
    assert world.send(signed(by_kind["canceled"])).status == 200
    assert json.loads(world.read(attempt_id))["status"] == "VOIDED"
    for kind, then in THEN.items():
        old = event(f"payment_intent.{kind}", {**world.intent(attempt_id), **then})
        assert world.send(signed(old)).status == 200
        assert json.loads(world.read(attempt_id))["status"] == "VOIDED", kind
    world.keeps_its_secrets()
