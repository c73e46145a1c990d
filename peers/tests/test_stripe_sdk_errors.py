"""Stripe's official SDK against the sandbox's Stripe face: refusals, as the exceptions that the SDK makes of them.

A merchant's code decides by an exception's class, its code and the intent beside it whether money may have moved.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from test_stripe_parameters import driver_version
from test_stripe_sdk import (  # noqa: F401 (fixtures are asked for by name)
    AMOUNT_MINOR,
    DECLINED,
    Psp,
    client_of,
    fixture_psp,
    fixture_sandbox,
)

REPLAYED = "idempotent-replayed"
# The version that Pay Once's driver asks for.
DRIVERS_VERSION = driver_version()


def intent_beside(error: stripe.StripeError) -> stripe.PaymentIntent:
    """The intent that an error shows."""
    assert error.error is not None
    assert isinstance(error.error.payment_intent, stripe.PaymentIntent)
    return error.error.payment_intent


def is_replay(answer: Any) -> bool:
    """Whether an answer or an error is one that was given before, under the same key."""
    return answer.headers.get(REPLAYED) == "true"


def test_the_same_key_gives_the_same_intent(psp: Psp) -> None:
    """A replay has no effect, and says that it is one."""
    first = psp.pay(key="k1", metadata={"order": "o1"})
    again = psp.pay(key="k1", metadata={"order": "o1"})
    assert first.last_response is not None and again.last_response is not None
    assert again.to_dict() == first.to_dict()
    assert (is_replay(first.last_response), is_replay(again.last_response)) == (False, True)
    assert again.last_response.idempotency_key == "k1"
    assert psp.authorizations() == 1
    assert psp.pay(key="k2", metadata={"order": "o1"}).id != first.id


def test_a_replay_shows_the_intent_as_it_was_then(psp: Psp) -> None:
    """Stripe keeps the answer, not the object: what happened since does not show."""
    held = psp.pay(key="k1")
    psp.intents.capture(held.id, options={"idempotency_key": "k2"})
    assert psp.pay(key="k1").status == "requires_capture"
    again = psp.intents.capture(held.id, options={"idempotency_key": "k2"})
    assert again.status == "succeeded"
    assert psp.captures() == 1


@pytest.mark.parametrize(
    "change", [{"amount": AMOUNT_MINOR + 1}, {"metadata": {"order": "o2"}}, {"description": "more"}]
)
def test_a_key_with_other_parameters_is_refused(psp: Psp, change: dict[str, Any]) -> None:
    """Nothing happens, and the first answer stays."""
    first = psp.pay(key="k1")
    with pytest.raises(stripe.IdempotencyError) as refusal:
        psp.pay(key="k1", **change)
    assert refusal.value.http_status == 400
    assert refusal.value.error is not None and refusal.value.error.type == "idempotency_error"
    assert "k1" in (refusal.value.user_message or "")
    assert psp.authorizations() == 1
    assert psp.pay(key="k1").id == first.id


def test_a_key_for_another_call_is_refused(psp: Psp) -> None:
    """The path is a parameter as well: the key of a create does not capture."""
    held = psp.pay(key="k1")
    with pytest.raises(stripe.IdempotencyError):
        psp.intents.capture(held.id, options={"idempotency_key": "k1"})
    assert psp.captures() == 0


def test_a_key_in_use_is_a_conflict_until_the_first_is_answered(psp: Psp) -> None:
    """Five at once: one is answered, the others are told 409, and one effect there is."""
    psp.turn(latency_ms={"min": 1500, "max": 1500})

    def pay() -> stripe.PaymentIntent | stripe.StripeError:
        try:
            return Psp(psp.base_url, client_of(psp.base_url)).pay(key="k1")
        except stripe.APIError as error:
            return error

    with ThreadPoolExecutor(5) as pool:
        answers = [task.result() for task in [pool.submit(pay) for _ in range(5)]]
    paid = [answer for answer in answers if isinstance(answer, stripe.PaymentIntent)]
    refused = [answer for answer in answers if isinstance(answer, stripe.StripeError)]
    # On a machine that stalls, a late twin may find the first one answered; it then gets the same intent.
    assert refused and {error.http_status for error in refused} == {409}
    assert {error.error.code for error in refused if error.error} == {"idempotency_key_in_use"}
    assert len({intent.id for intent in paid}) == 1
    assert psp.authorizations() == 1


def test_the_sdk_waits_for_a_key_in_use_by_itself(psp: Psp) -> None:
    """It repeats a 409, and so the twin converges on the first one's intent."""
    psp.turn(latency_ms={"min": 300, "max": 300})

    def pay() -> str:
        return Psp(psp.base_url, client_of(psp.base_url, max_network_retries=8)).pay(key="k1").id

    with ThreadPoolExecutor(3) as pool:
        ids = {task.result() for task in [pool.submit(pay) for _ in range(3)]}
    assert len(ids) == 1 and psp.authorizations() == 1


@pytest.mark.parametrize(
    ("token", "decline_code"),
    [
        (DECLINED, "generic_decline"),
        ("pm_card_visa_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ],
)
def test_a_decline_is_a_card_error(psp: Psp, token: str, decline_code: str) -> None:
    """With the issuer's reason, and the intent, which can be confirmed again with another card."""
    with pytest.raises(stripe.CardError) as refusal:
        psp.pay(payment_method=token, metadata={"attempt_id": "a1"}, key="k1")
    error = refusal.value.error
    assert error is not None
    assert (refusal.value.http_status, refusal.value.code, error.type) == (402, "card_declined", "card_error")
    assert error.decline_code == decline_code
    assert error.doc_url is not None and error.doc_url.endswith("/card-declined")
    assert error.message == refusal.value.user_message
    assert refusal.value.request_id is not None and refusal.value.request_id in str(refusal.value)
    assert error.payment_method is not None and error.payment_method.id == token
    intent = intent_beside(refusal.value)
    assert (intent.status, intent.latest_charge) == ("requires_payment_method", error.charge)
    assert intent.last_payment_error is not None and intent.last_payment_error.decline_code == decline_code
    row = psp.ledger()["a1"]
    assert (row["declines"], row["authorizations"]) == (1, 0)

    with pytest.raises(stripe.CardError) as replay:
        psp.pay(payment_method=token, metadata={"attempt_id": "a1"}, key="k1")
    assert is_replay(replay.value) and replay.value.json_body == refusal.value.json_body
    assert psp.intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "requires_capture"
    assert psp.authorizations() == 1


def test_a_declined_capture_is_a_card_error_too(psp: Psp) -> None:
    """The authorization stays as it was."""
    held = psp.pay(payment_method="pm_sandbox_capture_declined")
    with pytest.raises(stripe.CardError) as refusal:
        psp.intents.capture(held.id)
    assert refusal.value.code == "card_declined"
    assert intent_beside(refusal.value).status == "requires_capture"
    assert psp.captures() == 0


def test_what_the_state_does_not_allow_shows_the_state(psp: Psp) -> None:
    """Captured twice, cancelled after the capture, captured after the cancel, confirmed after the end."""
    taken = psp.pay()
    psp.intents.capture(taken.id)
    released = psp.pay()
    psp.intents.cancel(released.id)
    calls = [
        (psp.intents.capture, taken.id, "succeeded"),
        (psp.intents.cancel, taken.id, "succeeded"),
        (psp.intents.confirm, taken.id, "succeeded"),
        (psp.intents.capture, released.id, "canceled"),
        (psp.intents.cancel, released.id, "canceled"),
    ]
    before = psp.ledger()
    for call, intent_id, status in calls:
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            call(intent_id)
        assert (refusal.value.http_status, refusal.value.code) == (400, "payment_intent_unexpected_state")
        intent = intent_beside(refusal.value)
        assert (intent.id, intent.status) == (intent_id, status)
    assert psp.ledger() == before


def test_what_does_not_exist_is_missing(psp: Psp) -> None:
    """404, and the code that merchants look for."""
    held = psp.pay()
    calls = [
        lambda: psp.intents.retrieve("pi_none"),
        lambda: psp.intents.capture("pi_none"),
        lambda: psp.intents.cancel(held.id + "0"),
        lambda: psp.intents.list({"starting_after": "pi_none"}),
        lambda: psp.client.v1.refunds.create({"payment_intent": "pi_none"}),
    ]
    for call in calls:
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            call()
        assert (refusal.value.http_status, refusal.value.code) == (404, "resource_missing")
        assert refusal.value.param is not None
        assert "No such payment_intent" in (refusal.value.user_message or "")


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": "ten"}, "parameter_invalid_integer", "amount"),
        ({"currency": "pound"}, "parameter_invalid_string", "currency"),
        ({"color": "red"}, "parameter_unknown", "color"),
        # Sent with two and three decimals, of which the last are 0 (docs.stripe.com/currencies).
        ({"amount": 1050, "currency": "isk"}, "invalid_charge_amount", "amount"),
        ({"amount": 1001, "currency": "tnd"}, "invalid_charge_amount", "amount"),
        ({"expand": ["customer_of_mine"]}, "parameter_invalid_string", "expand"),
    ],
)
def test_a_bad_parameter_is_named(psp: Psp, params: dict[str, Any], code: str, param: str) -> None:
    """And does not use the key up: the mended call goes through under it."""
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        psp.pay(key="k1", **params)
    assert (refusal.value.http_status, refusal.value.code, refusal.value.param) == (400, code, param)
    assert refusal.value.error is not None and refusal.value.error.doc_url is not None
    assert psp.ledger() == {}
    assert psp.pay(key="k1").status == "requires_capture"


def test_payment_method_types_are_of_older_versions(psp: Psp) -> None:
    """The SDK of the other tests sends a version that refuses them; the version of the driver takes them, and the answer says so."""
    form = {"amount": AMOUNT_MINOR, "currency": "gbp", "payment_method_types": ["card"]}
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        psp.intents.create(form)
    assert (refusal.value.http_status, refusal.value.code) == (400, "payment_method_types_no_longer_supported")
    made = psp.intents.create(form, {"stripe_version": DRIVERS_VERSION})
    assert made.payment_method_types == ["card"]
    assert made.last_response is not None
    assert made.last_response.headers["stripe-version"] == DRIVERS_VERSION
    with pytest.raises(stripe.InvalidRequestError):
        psp.intents.create(form, {"stripe_version": "2026-07-30.dahlia"})


def test_no_key_is_no_access(psp: Psp) -> None:
    """401 is an AuthenticationError, and does nothing."""
    with pytest.raises(stripe.AuthenticationError) as refusal:
        Psp(psp.base_url, client_of(psp.base_url, api_key="")).pay()
    assert refusal.value.http_status == 401
    assert psp.ledger() == {}


def test_too_many_requests_are_a_rate_limit_error(psp: Psp) -> None:
    """Nothing happens, and the same key later goes through: a 429 is not kept."""
    with pytest.raises(stripe.RateLimitError) as refusal:
        psp.pay(key="k1", payment_method="pm_sandbox_429")
    assert (refusal.value.http_status, psp.authorizations()) == (429, 0)
    assert refusal.value.error is not None and refusal.value.error.code == "rate_limit"
    assert refusal.value.headers is not None and refusal.value.headers["stripe-should-retry"] == "true"
    paid = psp.pay(key="k1", payment_method="pm_sandbox_429")
    assert paid.last_response is not None and not is_replay(paid.last_response)
    assert psp.authorizations() == 1


def test_the_sdk_repeats_too_many_requests_by_itself(psp: Psp) -> None:
    """By itself it would not repeat a 429: it does as `Stripe-Should-Retry` says, under the same key."""
    patient = Psp(psp.base_url, client_of(psp.base_url, max_network_retries=2))
    paid = patient.pay(payment_method="pm_sandbox_429")
    assert paid.last_response is not None and not is_replay(paid.last_response)
    assert (psp.authorizations(), int(psp.client.raw_request("get", "/stats").data["money_calls"])) == (1, 2)


@pytest.mark.parametrize(("token", "effects"), [("pm_sandbox_500_before", 0), ("pm_sandbox_500_after", 1)])
def test_a_server_error_is_an_api_error_and_says_nothing(psp: Psp, token: str, effects: int) -> None:
    """The same exception with and without the effect: only the same key can tell."""
    with pytest.raises(stripe.APIError) as failure:
        psp.pay(key="k1", payment_method=token)
    assert failure.value.http_status == 500
    assert failure.value.error is not None and failure.value.error.type == "api_error"
    assert psp.authorizations() == effects
    assert psp.pay(key="k1", payment_method=token).status == "requires_capture"
    assert psp.authorizations() == 1


def test_an_answer_that_does_not_parse_is_an_api_error(psp: Psp) -> None:
    """Status 200 and not JSON: the money moved, and the same key says so."""
    with pytest.raises(stripe.APIError) as failure:
        psp.pay(key="k1", payment_method="pm_sandbox_garbage")
    assert failure.value.http_status == 200
    assert psp.authorizations() == 1
    paid = psp.pay(key="k1", payment_method="pm_sandbox_garbage")
    assert paid.last_response is not None and is_replay(paid.last_response)
    assert psp.authorizations() == 1
