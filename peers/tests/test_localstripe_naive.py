"""The control of `test_localstripe_faults.py`: the same faults, the same PSP and the same books, without Pay Once.

A client that retries as most do must charge twice here; otherwise a harness that sees no double charge would show nothing.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fault_proxy import FaultProxy, chosen_seed, replayable
from localstripe_psp import API_KEY, CARD_GOOD, Books, IntentNames, start_localstripe
from processes import wait_until

PAYMENTS = 120
AMOUNT_MINOR = 1000
CLIENTS_AT_ONCE = 32
SETTLES_WITHIN_S = 60.0


def pay_naively(psp_url: str, name: str, token: str, amount_minor: int) -> None:
    """What many a checkout does: one call that makes and confirms the PaymentIntent, and again until it is answered. The
    key is sent, as Stripe advises; safety rests on the PSP's honouring it."""
    form = {
        "amount": str(amount_minor),
        "currency": "gbp",
        "payment_method": token,
        "payment_method_types[]": "card",
        "capture_method": "automatic",
        "confirm": "true",
        "metadata[attempt_id]": name,
    }
    headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": f"{name}-pay-1"}
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(20):
            try:
                answer = session.post(f"{psp_url}/v1/payment_intents", data=form, headers=headers, timeout=2.0)
            except requests.RequestException:
                continue
            if answer.status_code < 500:
                return
    raise AssertionError(f"{name}: 20 tries and no answer")


def test_localstripe_naive_client_charges_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """The control: the same faults and books, without Pay Once. It must charge twice, or this harness is blind."""
    seed = chosen_seed()
    with (
        replayable(seed, "test_localstripe_naive"),
        start_localstripe() as localstripe,
        FaultProxy(localstripe.ready, seed=seed, names=IntentNames()) as proxy,
    ):
        books = Books(localstripe.ready)
        token = books.payment_method(CARD_GOOD)
        orders = [f"naive_{number}" for number in range(PAYMENTS)]
        with ThreadPoolExecutor(CLIENTS_AT_ONCE) as pool:
            for future in [pool.submit(pay_naively, proxy.url, name, token, AMOUNT_MINOR) for name in orders]:
                future.result()
        wait_until("all late requests have landed", proxy.has_settled, SETTLES_WITHIN_S)
        accounts = books.accounts()
        times = Counter(accounts[name].captured() for name in orders)
        moved_minor = sum(account.moved_minor() for account in accounts.values())
        more_than_once = sum(count for captured, count in times.items() if captured > 1)
        with capsys.disabled():
            print(
                f"\nseed {seed}: {PAYMENTS} naive payments: {more_than_once} charged more than once (times charged:"
                f" payments {dict(sorted(times.items()))}), {moved_minor // AMOUNT_MINOR - PAYMENTS} charges too many\n"
                f"  calls: {proxy.counts()}"
            )
        assert times[0] == 0
        assert more_than_once >= PAYMENTS // 10, "the control saw no double charges: this harness may be blind"
