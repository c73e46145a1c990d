"""The official SDK's own retries, with the idempotency key that it makes by itself, against lost and broken answers.

Whatever the sandbox's tokens do to the first try, one call of a merchant has one effect.
"""

from __future__ import annotations

import pytest
import stripe

from test_stripe_sdk import (  # noqa: F401 (fixtures are asked for by name)
    AMOUNT_MINOR,
    Psp,
    client_of,
    fixture_psp,
    fixture_sandbox,
)

# How long the SDK waits for an answer that never comes, in seconds. Other answers come at once.
LOST_AFTER_S = 2.0


@pytest.fixture(name="retrying")
def fixture_retrying(psp: Psp, monkeypatch: pytest.MonkeyPatch) -> Psp:
    """A client that repeats a call twice, with less of a pause than the SDK's half second."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.05)
    return Psp(psp.base_url, client_of(psp.base_url, max_network_retries=2, timeout_s=LOST_AFTER_S))


def requests_to(psp: Psp) -> int:
    """Calls that could have moved money, by the sandbox's count."""
    return int(psp.client.raw_request("get", "/stats").data["money_calls"])


@pytest.mark.parametrize(
    ("token", "tries"),
    [
        ("pm_card_visa", 1),
        ("pm_sandbox_hang_before", 2),
        ("pm_sandbox_hang_after", 2),
        ("pm_sandbox_500_before", 2),
        ("pm_sandbox_500_after", 2),
    ],
)
def test_one_payment_has_one_effect(retrying: Psp, token: str, tries: int) -> None:
    """Without a key from the merchant: the SDK sends its own, the same with every try."""
    paid = retrying.pay(payment_method=token)
    assert paid.status == "requires_capture"
    assert (retrying.authorizations(), requests_to(retrying)) == (1, tries)
    assert [intent.id for intent in retrying.intents.list().data] == [paid.id]


@pytest.mark.parametrize(
    "token", ["pm_sandbox_capture_hang_before", "pm_sandbox_capture_hang_after", "pm_sandbox_capture_500_after"]
)
def test_one_capture_has_one_effect(retrying: Psp, token: str) -> None:
    """The try that is repeated gets the first one's answer, not “already captured”."""
    held = retrying.pay(payment_method=token)
    assert retrying.intents.capture(held.id, {"amount_to_capture": 600}).amount_received == 600
    assert (retrying.captures(), requests_to(retrying)) == (1, 3)


def test_one_cancel_has_one_effect(retrying: Psp) -> None:
    """A release whose answer is lost is answered the second time."""
    held = retrying.pay(payment_method="pm_sandbox_void_hang_after", metadata={"attempt_id": "a1"})
    assert retrying.intents.cancel(held.id).status == "canceled"
    assert retrying.ledger()["a1"]["voids"] == 1


def test_a_kept_error_ends_the_retries(retrying: Psp) -> None:
    """A 500 that was kept under the key is replayed with `Stripe-Should-Retry: false`, and the SDK stops: money moved, and it
    cannot find out. A read can."""
    with pytest.raises(stripe.APIError) as failure:
        retrying.pay(payment_method="pm_sandbox_500_cached", metadata={"attempt_id": "a1"})
    assert failure.value.http_status == 500
    assert failure.value.headers is not None and failure.value.headers["idempotent-replayed"] == "true"
    assert failure.value.headers["stripe-should-retry"] == "false"
    assert (retrying.authorizations(), requests_to(retrying)) == (1, 2)
    [found] = retrying.intents.list().data
    assert (found.status, found.metadata["attempt_id"]) == ("requires_capture", "a1")


def test_an_answer_that_breaks_off_is_a_connection_error(retrying: Psp) -> None:
    """The SDK does not repeat that one by itself; the merchant can, under a key of its own."""
    with pytest.raises(stripe.APIConnectionError):
        retrying.pay(payment_method="pm_sandbox_truncated", key="k1")
    assert retrying.authorizations() == 1
    paid = retrying.pay(payment_method="pm_sandbox_truncated", key="k1")
    assert paid.last_response is not None
    assert paid.last_response.headers["idempotent-replayed"] == "true"
    assert (retrying.authorizations(), paid.amount) == (1, AMOUNT_MINOR)


def test_without_the_key_a_retry_pays_twice(retrying: Psp) -> None:
    """Why keys matter, and that this file's other tests can fail: two calls are two keys, and two effects."""
    without_retries = Psp(retrying.base_url, client_of(retrying.base_url, timeout_s=LOST_AFTER_S))
    with pytest.raises(stripe.APIConnectionError):
        without_retries.pay(payment_method="pm_sandbox_hang_after")
    without_retries.pay()
    assert retrying.authorizations() == 2
