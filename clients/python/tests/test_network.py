"""The clients against Pay Once, over a network that loses, repeats and delays. The PSP's ledger judges."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import httpx
import pytest
from servers import FOUL, SEED, World, world

from pay_once import (
    ActionRequired,
    AsyncPayOnce,
    Attempt,
    Charge,
    Create,
    Declined,
    KeyStore,
    MemoryKeyStore,
    NewTryRefused,
    Options,
    OutcomeUnknown,
    PayOnce,
    SqliteKeyStore,
    WrongUse,
)

WORKS = "pm_card_visa"
DECLINED = "pm_card_chargeDeclined"
# How many payments each client sends over the foul network, and how many of them at the same time.
PAYMENTS = 200
AT_ONCE = 20
# Answers may take 1.8 s; the network delays by 2.5 s.
OPTIONS = Options(wait_s=1, grace_ms=800, backoff_first_ms=50, backoff_max_ms=1_000, deadline_ms=120_000)

Paid = dict[str, tuple[Attempt, int]]


class CrashError(BaseException):
    """The caller's process ends here."""


class CrashingTransport(httpx.HTTPTransport):
    """Ends the caller before or after its second request or an earlier one."""

    def __init__(self) -> None:
        """Draws the moment."""
        super().__init__(verify=False)
        self._requests_left = random.randrange(2)
        self._is_after = random.random() < 0.5

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request, unless the caller ends before."""
        self._requests_left -= 1
        if self._requests_left < 0 and not self._is_after:
            raise CrashError
        response = super().handle_request(request)
        if self._requests_left < 0:
            response.close()
            raise CrashError
        return response


class RenewingTransport(httpx.HTTPTransport):
    """Makes a new key for each request: what a careful client never does."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request under another key."""
        request.headers["idempotency-key"] = str(uuid.uuid4())
        return super().handle_request(request)


class ForgetfulKeyStore:
    """Keeps nothing: what a caller has that forgets its keys in a crash."""

    def load(self, name: str) -> str | None:
        """There is nothing."""
        return None

    def keep(self, name: str, value: str) -> str:
        """Says what it should keep."""
        return value


# Loopback needs no certificates, and to load them for each client takes longer than a payment.
SHARED = httpx.Client(verify=False, trust_env=False)


def client(place: World, keys: KeyStore, transport: httpx.BaseTransport | None = None) -> PayOnce:
    """A client behind the bad network."""
    http = SHARED if transport is None else httpx.Client(transport=transport, trust_env=False)
    return PayOnce(place.url, keys, options=OPTIONS, http=http)


def charge(i: int, card: str = WORKS) -> Charge:
    """The terms of a payment."""
    return {"amount": 1000 + i, "currency": "GBP", "payment_method": card}


def create(i: int) -> Create:
    """The same terms, for a payment in steps."""
    return {"order_id": f"order-{i}", "amount": 1000 + i, "currency": "GBP", "payment_method": WORKS}


def in_steps(place: World, keys: KeyStore, i: int) -> Attempt:
    """Creates, authorizes and captures."""
    payment = client(place, keys).payment(f"order-{i}")
    payment.create_attempt(create(i))
    payment.authorize()
    return payment.capture()


def with_crashes(place: World, _: KeyStore, i: int) -> Attempt:
    """A caller that crashes four times. Each time another client starts with what was kept."""
    file = place.directory / f"{i}.sqlite"
    for _crash in range(4):
        try:
            return client(place, SqliteKeyStore(file), CrashingTransport()).payment(f"order-{i}").charge(charge(i))
        except CrashError:
            continue
    return client(place, SqliteKeyStore(file)).payment(f"order-{i}").charge(charge(i))


def after_decline(place: World, keys: KeyStore, i: int) -> Attempt:
    """Another card after a decline, and not before it."""
    second = client(place, keys).payment(f"order-{i}", try_number=2)
    with pytest.raises(NewTryRefused):
        second.charge(charge(i))
    with pytest.raises(Declined) as declined:
        client(place, keys).payment(f"order-{i}").charge(charge(i, DECLINED))
    assert declined.value.safe_new_key and not declined.value.retryable
    assert declined.value.attempt is not None and declined.value.attempt["status"] == "DECLINED"
    return second.charge(charge(i))


def twice_at_once(place: World, keys: KeyStore, i: int) -> Attempt:
    """Two concurrent calls for one name."""
    with ThreadPoolExecutor(2) as threads:
        calls = [client(place, keys).payment(f"order-{i}").charge for _ in range(2)]
        first, second = [call.result() for call in [threads.submit(call, charge(i)) for call in calls]]
    assert first["attempt_id"] == second["attempt_id"]
    return first


def in_one_call(place: World, keys: KeyStore, i: int) -> Attempt:
    """A charge."""
    return client(place, keys).payment(f"order-{i}").charge(charge(i))


WAYS: list[Callable[[World, KeyStore, int], Attempt]] = [
    in_one_call,
    in_steps,
    with_crashes,
    after_decline,
    twice_at_once,
]
SHARE = PAYMENTS // len(WAYS)
STEP_KEYS = {f"POST /attempts{step}": SHARE for step in ("", "/{id}/authorize", "/{id}/capture")}


def show_weather(place: World) -> None:
    """Every kind of fault has befallen something."""
    counts = place.report()["counts"]
    print(f"seed {SEED}: {counts}")
    assert all(count for name, count in counts.items() if name != "under_way"), counts


def test_each_payment_over_a_foul_network_moves_its_money_once() -> None:
    """The client that blocks, in threads."""
    with world() as place:
        place.faults(**FOUL)
        keys = MemoryKeyStore()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            attempts = list(threads.map(lambda i: WAYS[i % len(WAYS)](place, keys, i), range(PAYMENTS)))
        paid: Paid = {f"order-{i}": (attempt, 1000 + i) for i, attempt in enumerate(attempts)}
        assert place.violations(paid, {"POST /charge": 5 * SHARE, **STEP_KEYS}) == []
        show_weather(place)


def test_each_awaited_payment_over_a_foul_network_moves_its_money_once() -> None:
    """The client that awaits; callers are cancelled at any moment, and others come back."""
    paid: Paid = {}

    async def pay(place: World, pay_once: AsyncPayOnce, i: int) -> None:
        payment = pay_once.payment(f"order-{i}")
        if i % 2 == 0:
            for _ in range(3):
                with anyio.move_on_after(random.random() * 0.3):
                    await payment.charge(charge(i))
            paid[f"order-{i}"] = (await pay_once.payment(f"order-{i}").charge(charge(i)), 1000 + i)
            return
        await payment.create_attempt(create(i))
        await payment.authorize()
        paid[f"order-{i}"] = (await payment.capture(), 1000 + i)

    async def pay_all(place: World) -> None:
        http = httpx.AsyncClient(verify=False, trust_env=False)
        slots = anyio.Semaphore(AT_ONCE)

        async def in_slot(i: int) -> None:
            async with slots:
                await pay(place, pay_once, i)

        async with http, anyio.create_task_group() as tasks:
            pay_once = AsyncPayOnce(place.url, MemoryKeyStore(), options=OPTIONS, http=http)
            for i in range(PAYMENTS):
                tasks.start_soon(in_slot, i)

    with world() as place:
        place.faults(**FOUL)
        anyio.run(pay_all, place)
        half = PAYMENTS // 2
        assert place.violations(paid, {"POST /charge": half, **dict.fromkeys(STEP_KEYS, half)}) == []
        show_weather(place)


def test_a_process_that_is_killed_while_the_answer_is_on_its_way_pays_once() -> None:
    """The key is in the file before the first request."""
    with world() as place:
        place.faults(delay=1)
        file = place.directory / "keys.sqlite"
        script = Path(__file__).with_name("killed.py")
        child = subprocess.Popen([sys.executable, str(script), place.url, str(file)])
        while not place.ledger():
            time.sleep(0.02)
        child.kill()
        child.wait()
        place.faults()
        attempt = client(place, SqliteKeyStore(file)).payment("order-1").charge(charge(1))
        assert place.violations({"order-1": (attempt, 1001)}, {"POST /charge": 1}) == []


@pytest.mark.parametrize(
    ("keys", "transport"),
    [(MemoryKeyStore(), RenewingTransport(verify=False)), (ForgetfulKeyStore(), None)],
    ids=["a new key for each retry", "keys that are not kept"],
)
def test_a_client_that_pays_twice_is_caught(keys: KeyStore, transport: httpx.BaseTransport | None) -> None:
    """The judge must be able to find something."""
    with world() as place:
        paid: Paid = {}
        for i in range(3):
            payment = client(place, keys, transport).payment(f"order-{i}")
            # Every answer is lost at first, so that no draw decides whether the mistake shows.
            place.faults(lose_answer=1)
            with pytest.raises(OutcomeUnknown):
                payment.charge(charge(i), deadline_ms=3_000)
            place.faults()
            # The caller comes back later with the same name.
            attempt = payment.charge(charge(i))
            paid[f"order-{i}"] = (attempt, 1000 + i)
        found = "\n".join(place.violations(paid, {"POST /charge": 3}))
        assert re.search(r"\d+ attempts took money, for 3 payments", found), found
        assert re.search(r"POST /charge used \d+ keys instead of 3", found), found


def test_at_the_deadline_the_outcome_is_unknown_and_the_same_name_finds_it() -> None:
    """A lost answer is not a failure."""
    with world() as place:
        place.faults(lose_answer=1)
        pay_once = client(place, MemoryKeyStore())
        begun = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="not known yet; call again with the same name") as unknown:
            pay_once.payment("order-1").charge(charge(1), deadline_ms=2_000)
        assert unknown.value.retryable and not unknown.value.safe_new_key
        assert time.monotonic() - begun < 4
        with pytest.raises(NewTryRefused):
            pay_once.payment("order-1", try_number=2).charge(charge(1), deadline_ms=2_000)
        place.faults()
        attempt = pay_once.payment("order-1").charge(charge(1))
        assert place.violations({"order-1": (attempt, 1001)}, {"POST /charge": 1}) == []


def test_the_customer_acts_at_the_bank_and_the_same_name_ends_the_payment() -> None:
    """3-D Secure is neither a success nor a failure."""
    with world() as place:
        pay_once = client(place, MemoryKeyStore())
        body: Charge = {**charge(1, "pm_card_authenticationRequired"), "return_url": "http://127.0.0.1/back"}
        with pytest.raises(ActionRequired) as action:
            pay_once.payment("order-1").charge(body)
        intent = re.search(r"pi_\w+", action.value.url or "")
        assert intent and not action.value.safe_new_key
        url = f"{place.sandbox_url}/v1/payment_intents/{intent[0]}/_authenticate"
        headers = {"authorization": "Bearer sk_test"}
        assert httpx.post(url, data={"success": "true"}, headers=headers, trust_env=False).status_code == 200
        attempt = pay_once.payment("order-1").charge(body, follow_action=True)
        assert place.violations({"order-1": (attempt, 1001)}, {"POST /charge": 1}) == []


def test_another_process_releases_an_authorization_by_its_name() -> None:
    """The attempt's id comes from the create that is kept."""
    with world() as place:
        place.faults(**FOUL)
        keys = MemoryKeyStore()
        payment = client(place, keys).payment("order-1")
        payment.create_attempt(create(1))
        attempt_id = payment.authorize()["attempt_id"]
        assert client(place, keys).payment("order-1").void()["status"] == "VOIDED"
        row = place.ledger_of(attempt_id)
        assert (row["voids"], row["captures"], row["live_authorizations"]) == (1, 0, 0)
        shown = client(place, keys).get(attempt_id)
        assert shown["timeline"][0]["event"] == "attempt created"
        with pytest.raises(WrongUse, match="NOT_CREATED"):
            client(place, keys).payment("order-2").void()
