"""localstripe as it is: a call that it refuses because it was carried out before is answered “400 Bad request”, and nothing in
the answer says what state the PaymentIntent is in. (Stripe puts it there; `localstripe_psp.py` does elsewhere.)

Such a PSP is `addressable` as the README has it: it acts on an object made before, is read by id, and refuses to act twice.
A request that the network delivers twice, with the second answer coming back, must then be found out by reading.
"""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from fault_proxy import Fault, Request
from localstripe_psp import CARD_GOOD, place

AMOUNT_MINOR = 2599


def is_second_answer_in_turn(seed: int) -> bool:
    """Whether the proxy's lot of this seed delivers a duplicate after its first, and passes the second answer on."""
    lot = random.Random(seed)
    return lot.random() >= 0.5 and lot.randrange(2) == 1


IN_TURN = next(seed for seed in itertools.count() if is_second_answer_in_turn(seed))


@pytest.mark.parametrize("doubled", ["/confirm", "/capture"])
def test_localstripe_bare_refusal_is_looked_into(tmp_path: Path, doubled: str) -> None:
    """The call that moves the money arrives twice and its refusal comes back: the customer paid, and is told so."""

    def choose(request: Request, lot: random.Random) -> Fault:
        if not request.target.endswith(doubled):
            return Fault.NONE
        lot.seed(IN_TURN)
        return Fault.DUPLICATE

    with place(tmp_path, webhooks=False, bare_refusals=True) as world:
        world.calls.choose = choose
        body = {
            "order_id": "ord_1",
            "amount": AMOUNT_MINOR,
            "currency": "GBP",
            "payment_method": world.books.payment_method(CARD_GOOD),
        }
        if doubled == "/confirm":
            answer = world.client.call("POST", "/charge", body, key="charge", headers={"Prefer": "wait=20"})
        else:
            attempt_id = world.client.create("create", body).json["attempt_id"]
            assert world.client.operate(attempt_id, "authorize", "a", wait_s=20).status == 200
            answer = world.client.operate(attempt_id, "capture", "c", wait_s=20)
        account = world.books.account(answer.attempt["attempt_id"])
        assert account.captured() == 1, "the proxy did not do what this test is about"
        assert (answer.status, account.moved_minor()) == (200, AMOUNT_MINOR), answer.json
