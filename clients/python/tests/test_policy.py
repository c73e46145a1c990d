"""The policy by the table that the TypeScript client is tested by as well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from servers import ROOT

from pay_once import Options, PayOnceError, Wait
from pay_once._policy import Answer, CallPolicy, Failure, Limits, retry_after_ms

TABLE: dict[str, Any] = json.loads((ROOT / "clients" / "policy-cases.json").read_text())


def name_of(case: dict[str, Any]) -> str:
    """The name of a case."""
    return str(case["name"])


def heard_of(heard: dict[str, Any]) -> Failure | Answer:
    """What the client heard, from the table."""
    pause_ms = heard.get("retry_after_ms", 0)
    if "failure" in heard:
        return Failure(heard["failure"], pause_ms)
    return Answer(heard["status"], pause_ms, heard.get("body"))


def told(policy: CallPolicy, step: dict[str, Any]) -> dict[str, Any]:
    """A decision in the words of the table, without what is absent."""
    words: dict[str, Any]
    try:
        decision = policy.heard(heard_of(step["heard"]), step["at_ms"], step["random"])
    except PayOnceError as error:
        words = {
            "raise": type(error).__name__,
            "code": error.code,
            "retryable": error.retryable,
            "safe_new_key": error.safe_new_key,
            "attempt": error.attempt and error.attempt["status"],
            "decline_code": error.decline_code,
            "field": error.field,
            "retry_after_ms": error.retry_after_ms or None,
        }
    else:
        if isinstance(decision, Wait):
            assert decision.attempt or decision.code or decision.failure
            status = decision.attempt and decision.attempt["status"]
            words = {"wait_ms": decision.wait_ms, "code": decision.code, "attempt": status}
        else:
            words = {"done": decision.attempt["status"]}
    return {name: value for name, value in words.items() if value is not None}


@pytest.mark.parametrize("case", TABLE["calls"], ids=name_of)
def test_call(case: dict[str, Any]) -> None:
    """Each step of a call is decided as the table says."""
    policy = CallPolicy(Options(**case["options"]), 0)
    for step in case["steps"]:
        assert told(policy, step) == step["then"]


@pytest.mark.parametrize("case", TABLE["limits"], ids=name_of)
def test_limits(case: dict[str, Any]) -> None:
    """A request has the time that the table says."""
    policy = CallPolicy(Options(**case["options"]), 0)
    assert policy.limits(case["at_ms"]) == Limits(case["wait_s"], case["timeout_ms"])


def test_retry_after_is_read_or_ignored() -> None:
    """Seconds and dates are read; anything else is ignored."""
    for case in TABLE["retry_after"]["cases"]:
        assert retry_after_ms(case["header"], TABLE["retry_after"]["now_ms"]) == case["ms"], case
