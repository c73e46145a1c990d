"""500 payments through every fault of the proxy, against a PSP that carries out whatever it is sent, as often as it is sent.

Shoppers retry until they know, and are impatient, double-click, and act in two tabs at once. Afterwards localstripe's own
books are read. `test_localstripe_naive.py` is the control: the same faults and books, and double charges.
"""

from __future__ import annotations

import random
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from fault_proxy import WEIGHTS, FaultProxy, chosen_seed, replayable
from localstripe_psp import CARD_3D_SECURE, CARD_DECLINED, CARD_GOOD, Account, World, place
from processes import wait_until
from server import Answer, Client

PAYMENTS = 500
SHOPPERS_AT_ONCE = 28
# How long a shopper insists on an answer, and how long the last payment may take once faults have stopped, in seconds.
INSISTS_FOR_S = 300.0
SETTLES_WITHIN_S = 120.0
# What a shopper wants, and how often.
WANTS = {"capture": 40, "part": 8, "void": 14, "hold": 8, "decline": 8, "charge": 12, "race": 6, "3ds": 4}
# The final statuses that a want may come to.
ENDS = {
    "capture": {"CAPTURED"},
    "part": {"CAPTURED"},
    "void": {"VOIDED"},
    "hold": {"AUTHORIZED"},
    "decline": {"DECLINED"},
    "charge": {"CAPTURED"},
    "race": {"CAPTURED", "VOIDED"},
    "3ds": {"CAPTURED"},
}


@dataclass
class Payment:
    """One shopper's plan, drawn from the seed, and what came of it."""

    number: int
    want: str
    amount_minor: int
    lot: random.Random
    attempt_id: str = ""
    # The last answer to every key, by key.
    answers: dict[str, Answer] = field(default_factory=dict)
    requests_sent: int = 0

    def capture_minor(self) -> int:
        """What is to be taken in the end."""
        return self.amount_minor // 2 if self.want == "part" else self.amount_minor


def draw(seed: int, number: int) -> Payment:
    """The plan of one payment: the same for the same seed, whatever the others do."""
    lot = random.Random(f"{seed}/payment/{number}")
    want = lot.choices(list(WANTS), list(WANTS.values()))[0]
    return Payment(number, want, lot.randrange(200, 100_000), lot)


class Shopper:
    """Takes one payment to its end as a proper client does: the same key until there is an answer that is one."""

    def __init__(self, world: World, tokens: dict[str, str], payment: Payment) -> None:
        self._world, self._tokens, self._payment = world, tokens, payment
        self._id = f"{payment.number}"

    def run(self) -> None:
        """The whole payment."""
        payment = self._payment
        card = {"decline": CARD_DECLINED, "3ds": CARD_3D_SECURE}.get(payment.want, CARD_GOOD)
        body = {
            "order_id": f"ord_{self._id}",
            "amount": payment.amount_minor,
            "currency": "GBP",
            "payment_method": self._tokens[card],
        }
        if payment.want == "charge":
            answer = self._do("/charge", body, "charge")
            assert answer.status == 200, answer
            payment.attempt_id = answer.json["attempt_id"]
            return
        payment.attempt_id = self._do("/attempts", body, "create").json["attempt_id"]
        answer = self._operate("authorize")
        if payment.want == "3ds":
            assert answer.status == 202, answer
            self._world.books.authenticate(payment.attempt_id, success=True)
            answer = self._operate("authorize", may_wait=False)
        if payment.want == "decline":
            assert (answer.status, answer.json["error"]["code"]) == (402, "DECLINED"), answer
            return
        assert answer.status == 200, answer
        if payment.want == "race":
            both = in_parallel(lambda: self._operate("capture"), lambda: self._operate("void"))
            assert sorted(answer.status for answer in both) == [200, 409], both
        elif payment.want == "void":
            assert self._operate("void").status == 200
        elif payment.want == "part":
            assert self._operate("capture", {"amount": payment.capture_minor()}).status == 200
        elif payment.want in ("capture", "3ds"):
            assert self._operate("capture").status == 200

    def _operate(self, operation: str, body: Any = None, *, may_wait: bool = True) -> Answer:
        return self._do(f"/attempts/{self._payment.attempt_id}/{operation}", body, operation, may_wait)

    def _do(self, path: str, body: Any, operation: str, may_wait: bool = True) -> Answer:
        """One thing that the shopper wants done: alone, by a double click, or in two tabs at once."""
        key = f"{self._id}-{operation}"
        two_tabs = operation in ("authorize", "capture", "void") and self._payment.want not in ("race", "3ds")
        style = self._payment.lot.random()
        seeds = [self._payment.lot.random() for _ in range(2)]

        def insist(key: str, seed: float) -> Callable[[], Answer]:
            return lambda: self._insist(path, body, key, random.Random(seed), may_wait)

        if style < 0.25:
            answer, twin = in_parallel(insist(key, seeds[0]), insist(key, seeds[1]))
            if answer.status != 202 and twin.status != 202:
                assert answer.json == twin.json, f"{key}: a double click got two answers: {answer} {twin}"
        elif style < 0.35 and two_tabs:
            # Another key for the same thing: whichever comes first does it, and the other is told so.
            answer, other = in_parallel(insist(key, seeds[0]), insist(f"{key}-tab", seeds[1]))
            if other.status in (200, 402):
                answer, other = other, answer
            told = (other.status, other.json["error"]["code"])
            assert told == (409, "INVALID_STATE"), f"{key}: both tabs had it done: {answer} {other}"
        else:
            answer = insist(key, seeds[0])()
        self._payment.answers[key] = answer
        return answer

    def _insist(self, path: str, body: Any, key: str, lot: random.Random, may_wait: bool) -> Answer:
        """Asks under one key until there is an answer that is none of “wait” and “broken”."""
        client = Client(self._world.server.ready)
        until = time.monotonic() + INSISTS_FOR_S
        while time.monotonic() < until:
            self._payment.requests_sent += 1
            # Some have no patience: they hang up and ask again.
            within_s = lot.uniform(0.02, 0.3) if lot.random() < 0.2 else 40.0
            try:
                answer = client.call("POST", path, body, key=key, headers={"Prefer": "wait=5"}, within_s=within_s)
            except requests.RequestException:
                continue
            acts = answer.status == 202 and answer.json["status"] == "REQUIRES_ACTION"
            busy = answer.status == 409 and answer.json["error"]["retryable"]
            if (answer.status in (200, 201, 402, 409) and not busy) or (acts and may_wait):
                return answer
            assert answer.status == 202 or busy, f"{key}: {answer}"
            if acts or busy:
                # Answered at once, whatever `Prefer` says: the customer has acted, and that is found out at the next look;
                # or the other tab's operation has not ended.
                threading.Event().wait(0.3)
        raise AssertionError(f"{key}: no answer within {INSISTS_FOR_S:.0f} s")


def in_parallel(*calls: Callable[[], Answer]) -> list[Answer]:
    """All of them at once; their answers, in the order of the calls."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def disagreement(payment: Payment, attempt: dict[str, Any], account: Account) -> str | None:
    """What is wrong between an attempt's final status and the PSP's books; None if nothing is."""
    status = attempt["status"]
    if status not in ENDS[payment.want] or "operation" in attempt:
        return f"{payment.want} ended as {status}, operation {attempt.get('operation')}"
    declined = 1 if status == "DECLINED" else 0
    expected = {
        "CAPTURED": (["succeeded"], 1, 1, 0, payment.capture_minor()),
        "VOIDED": (["canceled"], 1, 0, 0, 0),
        "AUTHORIZED": (["requires_capture"], 1, 0, 1, 0),
        "DECLINED": (["requires_payment_method"], 0, 0, 0, 0),
    }[status]
    actual = (
        account.statuses(),
        account.authorized(),
        account.captured(),
        account.held(),
        account.moved_minor(),
    )
    if actual != expected or account.declined() != declined:
        return f"{status}, but the books hold {actual}, {account.declined()} declined; expected {expected}"
    if status == "CAPTURED" and (
        account.taken_minor != [payment.amount_minor] or attempt["capture"]["amount"] != payment.capture_minor()
    ):
        return f"taken {account.taken_minor}, told {attempt['capture']}, wanted {payment.capture_minor()}"
    return None


@dataclass
class DoubleSends:
    """Money calls that reached localstripe more often than once, and what localstripe made of them."""

    extra: int = 0
    by_answer: Counter[str] = field(default_factory=Counter)

    @classmethod
    def among(cls, proxy: FaultProxy) -> DoubleSends:
        """Counts, for each operation of each attempt, whatever reached localstripe after the first."""
        found = cls()
        seen: set[str] = set()
        for delivery in proxy.deliveries:
            if delivery.request.method != "POST":
                continue
            # The key without its effect number: a call under the next number is the same operation again.
            operation = delivery.name.rsplit("-", 1)[0]
            if operation in seen:
                found.extra += 1
                found.by_answer[f"{operation.rsplit('-', 1)[-1]} answered {delivery.status}"] += 1
            seen.add(operation)
        return found


def test_localstripe_500_payments_under_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each attempt ends in a status that agrees with localstripe's ledger, with exactly the effect that it says."""
    seed = chosen_seed()
    began_s = time.monotonic()
    with replayable(seed, "test_localstripe_500"), place(tmp_path, seed=seed, weights=WEIGHTS) as world:
        tokens = {card: world.books.payment_method(card) for card in (CARD_GOOD, CARD_DECLINED, CARD_3D_SECURE)}
        payments = [draw(seed, number) for number in range(PAYMENTS)]
        with ThreadPoolExecutor(SHOPPERS_AT_ONCE) as pool:
            shopping = [pool.submit(Shopper(world, tokens, payment).run) for payment in payments]
        shopped_s = time.monotonic() - began_s
        world.calls.calm()
        world.webhooks.calm()
        wait_until("all late requests have landed", world.calls.has_settled, SETTLES_WITHIN_S)
        wait_until("all late webhooks have landed", world.webhooks.has_settled, SETTLES_WITHIN_S)

        wait_for_the_end(world, payments)
        accounts = world.books.accounts()
        ends: Counter[str] = Counter()
        failures = []
        for payment, shopped in zip(payments, shopping, strict=True):
            if not payment.attempt_id:
                failures.append(f"payment {payment.number} has no attempt: {shopped.exception()}")
                continue
            attempt = world.client.read(payment.attempt_id).json
            ends[attempt["status"]] += 1
            account = accounts.get(payment.attempt_id, Account())
            if why := shopped.exception() or disagreement(payment, attempt, account):
                failures.append(f"payment {payment.number}: {why}\n{story(world, attempt)}")
        strangers = set(accounts) - {payment.attempt_id for payment in payments}
        counters = world.operators.call("GET", "/status").json["counters"]
        doubles = DoubleSends.among(world.calls)
        spare = sum(i["status"] == "requires_confirmation" for a in accounts.values() for i in a.intents)
        # Shown also when all is well: a proof that nobody can read is none.
        with capsys.disabled():
            print(
                f"\nseed {seed}: {PAYMENTS} payments, {dict(sorted(ends.items()))};"
                f" {time.monotonic() - began_s:.0f} s, shopping {shopped_s:.0f} s\n"
                f"  clients' requests {sum(p.requests_sent for p in payments)}; calls that the proxy took"
                f" {sum(world.calls.met.values())}, deliveries {len(world.calls.deliveries)}\n"
                f"  calls: {world.calls.counts()}\n  webhooks: {world.webhooks.counts()}\n"
                f"  double-sends that reached localstripe: {doubles.extra}: {dict(sorted(doubles.by_answer.items()))}\n"
                f"  PaymentIntents that were made and never acted on: {spare}\n"
                f"  longest flight {world.calls.longest_flight_s():.1f} s; {counters}"
            )
        assert not failures, f"{len(failures)} of {PAYMENTS} payments:\n" + "\n".join(failures[:10])
        assert not strangers, f"localstripe has payments that nobody asked for: {strangers}"
        assert counters["unwanted_effects"] == 0
        world.calls.assert_met_all(PAYMENTS)
        world.webhooks.assert_met_all(PAYMENTS // 10)
        assert doubles.extra > PAYMENTS // 10, "too few double-sends for this to mean anything"
        flight_ms = world.calls.longest_flight_s() * 1000
        if flight_ms > world.max_in_flight_ms:
            # Then even what is declared of the PSP was false, by this machine's fault, and all the same nothing went wrong.
            warnings.warn(f"a request was under way for {flight_ms:.0f} ms: a slow machine", stacklevel=1)


def wait_for_the_end(world: World, payments: list[Payment]) -> None:
    """Waits until nothing is under way, or for as long as that may take: what is then not at its end is told by the judge."""
    open_ids = [payment.attempt_id for payment in payments if payment.attempt_id]
    until = time.monotonic() + SETTLES_WITHIN_S
    while open_ids and time.monotonic() < until:
        open_ids = [each for each in open_ids if "operation" in world.client.read(each).json]
        threading.Event().wait(0.2)


def story(world: World, attempt: dict[str, Any]) -> str:
    """What the journal says of an attempt, and what the proxy delivered for it."""
    name = attempt["attempt_id"]
    told = [f"    {line['at'][11:]} {line['event']} {line.get('details', '')}" for line in attempt["timeline"]]
    met = [
        f"    {d.name} {d.fault} after {d.flight_s:.2f} s: {d.status} {d.request.target}"
        for d in world.calls.deliveries
        if name in d.name
    ]
    return "\n".join([f"  {name}, journal:", *told, "  deliveries:", *met])
