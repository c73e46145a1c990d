"""What schemathesis has to be told about this contract beyond its document (`SCHEMATHESIS_HOOKS`)."""

from __future__ import annotations

import itertools
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation

# Refusals of well-formed requests with a 400, and the member that they name: the state of the attempt decides them.
# And amounts that the merchant's PSP cannot express in the currency, which only its own table tells.
STATE_DECIDES = {
    "create": {("INVALID_AMOUNT", "amount")},
    "charge": {("INVALID_AMOUNT", "amount")},
    "authorize": {
        ("INVALID_AMOUNT", "amount"),
        ("INVALID_FIELD", "payment_method"),
        ("INVALID_FIELD", "return_url"),
        ("MISSING_FIELD", "payment_method"),
    },
    "capture": {("INVALID_AMOUNT", "amount")},
    # One of two parameters has to be there, and a cursor is the store's to read.
    "search": {("MISSING_FIELD", "state"), ("INVALID_FIELD", "after")},
    "webhook": {("WEBHOOK_SIGNATURE_INVALID", None)},
}


def _exact(value: Any) -> Any:
    """JSON Schema calls 2599.0 an integer. Here it is refused on purpose: whoever writes 25.0 may mean £25."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _exact(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return value


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Writes whole numbers without a fraction."""
    return _exact(body)


_number = itertools.count()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Gives most requests a key of their own. The tester likes to send one key with everything, and would meet little but
    refusals of its reuse; every fourth request keeps its key, so that it meets those as well."""
    headers = case.meta.components.get(ParameterLocation.HEADER) if case.meta else None
    number = next(_number)
    if headers is None or not headers.mode.is_positive or number % 4 == 0:
        return
    key = (case.headers or {}).get("Idempotency-Key")
    if key is not None and not key.startswith('"') and len(key) < 200:
        case.headers["Idempotency-Key"] = f"{key}.{number}"


@schemathesis.check
def a_well_formed_request_is_refused_only_for_its_state(ctx: Any, response: Any, case: Any) -> None:
    """A 400 to what the document allows names what the document cannot say."""
    meta = case.meta
    operation = case.operation.definition.raw.get("operationId")
    # The answer to a HEAD has no words.
    is_told = response.status_code == 400 and case.method.upper() != "HEAD"
    if meta is None or not meta.generation.mode.is_positive or not is_told:
        return
    error = response.json()
    error = error.get("error", error)
    assert (error["code"], error.get("field")) in STATE_DECIDES.get(operation, set()), error
