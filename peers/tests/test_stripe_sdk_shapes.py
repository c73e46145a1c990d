"""Everything the sandbox shows has the shape that Stripe's SDK declares.

The SDK's classes are generated from Stripe's own description of its API: each annotates the members that Stripe may send
and their types. A member that is required there and missing here, of another type, or unknown to Stripe is a
difference that a merchant would find in production.
"""

from __future__ import annotations

import sys
import time
import typing
from typing import Any, ForwardRef, Literal, Union

import pytest
import stripe
from stripe import StripeObject

from test_stripe_sdk import (  # noqa: F401 (fixtures are asked for by name)
    AMOUNT_MINOR,
    DECLINED,
    NEEDS_3DS,
    Psp,
    fixture_psp,
    fixture_sandbox,
)

# Members of a PaymentIntent in Stripe's reference that are null where nothing is to be said. The SDK's objects raise an
# error when a member is read that the answer did not have, so that leaving one out breaks `if intent.customer`.
NULL_IN_AN_INTENT = """application application_fee_amount automatic_payment_methods canceled_at cancellation_reason customer
description last_payment_error next_action on_behalf_of processing receipt_email review setup_future_usage shipping source
statement_descriptor statement_descriptor_suffix transfer_data transfer_group""".split()
EXPAND = {"expand": ["latest_charge"]}


class _Names(dict[str, Any]):
    """What the SDK's annotations may refer to: its modules import one another for type checkers only."""

    def __missing__(self, name: str) -> Any:
        return getattr(stripe, name, Any)


def declared(kind: type[StripeObject]) -> dict[str, Any]:
    """The members that `kind` declares, and their types."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if not (isinstance(base, type) and issubclass(base, StripeObject)) or base is StripeObject:
            continue
        names = _Names({**vars(sys.modules[base.__module__]), **vars(base)})
        for name, annotation in base.__dict__.get("__annotations__", {}).items():
            if not name.startswith("_") and typing.get_origin(annotation) is not typing.ClassVar:
                found[name] = _resolved(annotation, names)
    return found


def _resolved(annotation: Any, names: _Names) -> Any:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        return _resolved(eval(annotation, {}, names), names)  # noqa: S307 (the SDK's own text)
    if typing.get_origin(annotation) is Union:
        return Union[tuple(_resolved(part, names) for part in typing.get_args(annotation))]
    return annotation


def complaints(value: Any, kind: Any, where: str) -> list[str]:
    """What is wrong with `value` where Stripe would send `kind`; empty when nothing is."""
    if kind is Any or isinstance(kind, typing.TypeVar):
        return []
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Union:
        # Stripe's open enumerations are declared as their known words or any text: here only known words are right.
        if any(typing.get_origin(part) is Literal for part in parts):
            parts = tuple(part for part in parts if part is not str)
        # An expanded object is judged as what it says it is, not by the most lenient reading.
        own = tuple(part for part in parts if part is type(value))
        found = [complaints(value, part, where) for part in own or parts]
        return [] if [] in found else min(found, key=len)
    if origin is Literal:
        return [] if value in parts else [f"{where}: {value!r} is none of Stripe's words"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        return [line for n, item in enumerate(value) for line in complaints(item, parts[0], f"{where}[{n}]")]
    if origin is not None and issubclass(origin, StripeObject):
        wanted = parts[0] if origin is not stripe.ListObject else None
        if wanted is None or not isinstance(value, StripeObject):
            return [] if isinstance(value, StripeObject) else [f"{where}: {value!r} is no object"]
        return [line for name in value.to_dict() for line in complaints(value[name], wanted, f"{where}.{name}")]
    if isinstance(kind, type) and issubclass(kind, StripeObject):
        return _object_complaints(value, kind, where)
    # In Python a bool is an int; in JSON it is not.
    right = type(value) is kind if kind in (bool, int, str, float) else isinstance(value, kind)
    return [] if right else [f"{where}: {value!r} is no {kind}"]


def _object_complaints(value: Any, kind: type[StripeObject], where: str) -> list[str]:
    if not isinstance(value, StripeObject):
        return [f"{where}: {value!r} is no {kind.__name__}"]
    members = declared(kind)
    if not members:
        return []
    found = [
        f"{where}.{name}: Stripe always sends it"
        for name, member in members.items()
        if name not in value and type(None) not in typing.get_args(member) and member is not type(None)
    ]
    for name in value.to_dict():
        if name in members:
            found += complaints(value[name], members[name], f"{where}.{name}")
        else:
            found.append(f"{where}.{name}: Stripe knows no such member")
    return found


def conforms(value: StripeObject, kind: type[StripeObject] | None = None) -> None:
    """Fails with everything about `value` that Stripe's SDK does not declare so."""
    kind = kind or type(value)
    assert kind is not StripeObject, "an untyped object: its member `object` is not Stripe's"
    found = complaints(value, kind, kind.__name__)
    assert found == [], "\n".join(found)


def test_an_intent_has_stripes_shape_in_every_state(psp: Psp) -> None:
    """With the charge as an id, and expanded."""
    pay, intents = psp.pay, psp.intents
    bare = intents.create({"amount": AMOUNT_MINOR, "currency": "gbp"})
    ready = intents.create({"amount": AMOUNT_MINOR, "currency": "gbp", "payment_method": "pm_card_visa"})
    waiting = pay(payment_method=NEEDS_3DS, return_url="https://shop.example/back", metadata={"order": "o1"})
    held, taken, released, refused = pay(), pay(), pay(), pay(payment_method=NEEDS_3DS)
    intents.capture(taken.id, {"amount_to_capture": 1})
    psp.client.v1.refunds.create({"payment_intent": taken.id})
    intents.cancel(released.id, {"cancellation_reason": "abandoned"})
    psp.authenticate(refused.id, success=False)
    with pytest.raises(stripe.CardError):
        pay(payment_method=DECLINED)
    [declined] = intents.list({"limit": 1}).data
    statuses = set()
    for intent in [bare, ready, waiting, held, taken, released, refused, declined]:
        conforms(intents.retrieve(intent.id))
        now = intents.retrieve(intent.id, EXPAND)
        conforms(now)
        statuses.add(now.status)
    assert len(statuses) == 6, "every status that the sandbox has"
    listed = intents.list({"expand": ["data.latest_charge"]})
    assert listed.object == "list" and len(listed.data) == 8
    for intent in listed.data:
        conforms(intent)


def test_a_lapsed_intent_has_stripes_shape(psp: Psp) -> None:
    """Stripe itself cancels what was not captured in time, for a reason that no caller can give."""
    psp.turn(authorization_lifetime_ms=1)
    held = psp.pay()
    time.sleep(0.01)
    lapsed = psp.intents.retrieve(held.id, EXPAND)
    conforms(lapsed)
    assert (lapsed.status, lapsed.cancellation_reason) == ("canceled", "automatic")


def test_members_without_a_value_are_null(psp: Psp) -> None:
    """Reading one is no error."""
    intent = psp.pay()
    assert [getattr(intent, name) for name in NULL_IN_AN_INTENT] == [None] * len(NULL_IN_AN_INTENT)


def test_refunds_have_stripes_shape(psp: Psp) -> None:
    """One by one, and in their list."""
    intent = psp.pay(capture_method="automatic")
    part = psp.client.v1.refunds.create({"payment_intent": intent.id, "amount": 1, "reason": "duplicate"})
    conforms(part)
    for refund in psp.client.v1.refunds.list({"payment_intent": intent.id}).data:
        conforms(refund)


def test_errors_have_stripes_shape(psp: Psp) -> None:
    """With the objects that stand beside them."""
    held = psp.pay(key="k1")
    psp.intents.cancel(held.id)
    calls = [
        (lambda: psp.pay(payment_method=DECLINED), stripe.CardError),
        (lambda: psp.intents.capture(held.id), stripe.InvalidRequestError),
        (lambda: psp.intents.retrieve("pi_none"), stripe.InvalidRequestError),
        (lambda: psp.pay(amount=-1), stripe.InvalidRequestError),
        (lambda: psp.pay(amount=1, key="k1"), stripe.IdempotencyError),
        (lambda: psp.pay(payment_method="pm_sandbox_429"), stripe.RateLimitError),
        (lambda: psp.pay(payment_method="pm_sandbox_500_before"), stripe.APIError),
    ]
    for call, kind in calls:
        with pytest.raises(stripe.StripeError) as failure:
            call()
        assert type(failure.value) is kind
        assert failure.value.error is not None
        conforms(failure.value.error)
        assert failure.value.error.type in {"api_error", "card_error", "idempotency_error", "invalid_request_error"}
        assert failure.value.request_id is not None
        if failure.value.error.code:
            page = failure.value.error.code.replace("_", "-")
            assert failure.value.error.doc_url == f"https://stripe.com/docs/error-codes/{page}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "captured"}, "PaymentIntent.status: 'captured' is none"),
        ({"amount": "1000"}, "PaymentIntent.amount: '1000' is no"),
        ({"livemode": 0}, "PaymentIntent.livemode: 0 is no"),
        ({"colour": "red"}, "PaymentIntent.colour: Stripe knows no"),
        ({"metadata": {"order": 1}}, "PaymentIntent.metadata.order: 1 is no"),
        ({"payment_method_types": ["card", 1]}, "PaymentIntent.payment_method_types[1]: 1 is no"),
        ({"latest_charge": {"object": "charge"}}, "PaymentIntent.latest_charge.amount: Stripe always"),
        ({"next_action": {"type": 7}}, "PaymentIntent.next_action.type: 7 is no"),
        ({"confirmation_method": None}, "PaymentIntent.confirmation_method: None is none"),
    ],
)
def test_what_is_not_stripes_shape_is_found(psp: Psp, change: dict[str, Any], words: str) -> None:
    """The judge of this file does judge."""
    broken = {**psp.pay().to_dict(), **change}
    intent = stripe.PaymentIntent.construct_from(broken, key=None)
    assert any(line.startswith(words) for line in complaints(intent, stripe.PaymentIntent, "PaymentIntent"))
    del broken["currency"]
    intent = stripe.PaymentIntent.construct_from(broken, key=None)
    assert "PaymentIntent.currency: Stripe always sends it" in complaints(intent, type(intent), "PaymentIntent")
