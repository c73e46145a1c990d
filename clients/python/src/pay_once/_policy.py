"""What follows an answer, decided without I/O, clock and randomness.

The TypeScript client decides the same; the cases in clients/policy-cases.json hold for both.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, cast

from . import _errors as errors
from ._openapi import Attempt

_NO_DEADLINE_MS = 2**53


@dataclass(frozen=True)
class Options:
    """How a call goes on until it ends."""

    # How long the server may hold a call open (`Prefer: wait`), in seconds, from 0 to 30.
    wait_s: int = 10
    # How much longer than `wait_s` an answer may take.
    grace_ms: int = 5_000
    # How long the whole call may take, with all its retries. None: until it has an answer.
    deadline_ms: float | None = 60_000
    # The longest pause after the first failure. The limit doubles with each further failure.
    backoff_first_ms: int = 200
    # The limit of that limit.
    backoff_max_ms: int = 10_000
    # The most that is added to `Retry-After` between two questions about an operation that is under way.
    poll_max_ms: int = 15_000
    # Whether to keep asking while the customer has to act, instead of raising `ActionRequired`.
    follow_action: bool = False

    def __post_init__(self) -> None:
        """Refuses settings that cannot be kept to."""
        if type(self.wait_s) is not int or not 0 <= self.wait_s <= 30:
            raise errors.WrongUse("INVALID_FIELD", "`wait_s` is an integer from 0 to 30.")
        if self.deadline_ms is not None and not self.deadline_ms > 0:
            raise errors.WrongUse("INVALID_FIELD", "`deadline_ms` is a number above 0, or None.")


@dataclass(frozen=True)
class Failure:
    """One request has no answer."""

    why: str
    retry_after_ms: int = 0


@dataclass(frozen=True)
class Answer:
    """One request has an answer. `body` is None if it is not JSON."""

    status: int
    retry_after_ms: int
    body: object


@dataclass(frozen=True)
class Limits:
    """How long the server may hold the next request, and how long the answer may take."""

    wait_s: int
    timeout_ms: float


@dataclass(frozen=True)
class Wait:
    """The same request is sent again after a pause. The other members are for the caller to see."""

    wait_ms: int
    # The attempt as it was last seen.
    attempt: Attempt | None = None
    # The code of a refusal that is retried.
    code: str | None = None
    # Why the last request has no answer that can be relied on.
    failure: str | None = None


@dataclass(frozen=True)
class Done:
    """The call has succeeded."""

    attempt: Attempt


class CallPolicy:
    """One call with all its retries. Times are milliseconds of one monotonic clock."""

    def __init__(self, options: Options, now_ms: float) -> None:
        """The call begins now."""
        self._options = options
        self._begun_ms = now_ms
        self._failures = 0
        self._attempt: Attempt | None = None

    def limits(self, now_ms: float) -> Limits:
        """The limits of the next request: a call does not wait past its deadline."""
        left_ms = self._left_ms(now_ms)
        grace_ms = self._options.grace_ms
        wait_s = max(0, min(self._options.wait_s, math.floor((left_ms - grace_ms) / 1000)))
        return Limits(wait_s, max(1, min(wait_s * 1000 + grace_ms, left_ms)))

    def heard(self, heard: Failure | Answer, now_ms: float, random: float) -> Wait | Done:
        """What follows. `random` is from 0 up to 1: pauses differ between clients that failed together."""
        if isinstance(heard, Failure):
            return self._failed(heard.why, heard.retry_after_ms, now_ms, random)
        status, body, retry_after_ms = heard.status, heard.body, heard.retry_after_ms
        if 200 <= status < 300 and _is_attempt(body):
            self._attempt = cast(Attempt, body)
            if status != 202:
                return Done(self._attempt)
            return self._under_way(self._attempt, retry_after_ms, now_ms, random)
        refusal = _refusal(body) if status >= 400 else None
        # A gateway's page, half a body, a redirect: whatever is not an answer of Pay Once says nothing about the money.
        if refusal is None or status == 429:
            code = "not an answer of Pay Once" if refusal is None else refusal["code"]
            return self._failed(f"HTTP {status}, {code}", retry_after_ms, now_ms, random)
        attempt = refusal.get("attempt")
        self._attempt = attempt or self._attempt
        if refusal["retryable"]:
            wait = Wait(self._backoff_ms(retry_after_ms, random), attempt=attempt, code=refusal["code"])
            return self._again(wait, retry_after_ms, now_ms)
        raise _error(status, refusal, retry_after_ms)

    def _under_way(self, attempt: Attempt, retry_after_ms: int, now_ms: float, random: float) -> Wait:
        self._failures = 0
        if attempt["status"] == "REQUIRES_ACTION" and not self._options.follow_action:
            raise errors.ActionRequired(
                "ACTION_REQUIRED",
                "The customer has to act. Send the customer to `url`, and then call again with the same name.",
                retryable=True,
                attempt=attempt,
                retry_after_ms=retry_after_ms,
            )
        # The longer an operation takes, the less often it is asked about.
        spread_ms = min((now_ms - self._begun_ms) / 10, self._options.poll_max_ms)
        wait_ms = max(retry_after_ms, self._options.backoff_first_ms) + math.floor(random * spread_ms)
        return self._again(Wait(wait_ms, attempt=attempt), retry_after_ms, now_ms)

    def _failed(self, failure: str, retry_after_ms: int, now_ms: float, random: float) -> Wait:
        wait = Wait(self._backoff_ms(retry_after_ms, random), failure=failure)
        return self._again(wait, retry_after_ms, now_ms)

    def _backoff_ms(self, retry_after_ms: int, random: float) -> int:
        """Full jitter above `Retry-After`."""
        # The shift is bounded: a call without a deadline may fail for days.
        doubled_ms = self._options.backoff_first_ms << min(self._failures, 50)
        self._failures += 1
        return retry_after_ms + math.floor(random * min(doubled_ms, self._options.backoff_max_ms))

    def _again(self, wait: Wait, retry_after_ms: int, now_ms: float) -> Wait:
        if wait.wait_ms < self._left_ms(now_ms):
            return wait
        shown = "" if wait.attempt is None else f"the attempt is {wait.attempt['status']}"
        raise errors.OutcomeUnknown(
            "OUTCOME_UNKNOWN",
            f"The outcome is not known yet; call again with the same name. Last: {wait.failure or wait.code or shown}.",
            retryable=True,
            attempt=self._attempt,
            retry_after_ms=retry_after_ms,
        )

    def _left_ms(self, now_ms: float) -> float:
        deadline_ms = self._options.deadline_ms
        return _NO_DEADLINE_MS if deadline_ms is None else self._begun_ms + deadline_ms - now_ms


def _error(status: int, refusal: dict[str, Any], retry_after_ms: int) -> errors.PayOnceError:
    return _kind(status, refusal["code"])(
        refusal["code"],
        refusal["message"],
        status=status,
        # A 5xx says that the server has a problem. It is no evidence about money, whatever else it says.
        safe_new_key=status < 500 and refusal["safe_new_key"],
        attempt=refusal.get("attempt"),
        field=refusal.get("field"),
        decline_code=refusal.get("decline_code"),
        retry_after_ms=retry_after_ms,
    )


def _kind(status: int, code: str) -> type[errors.PayOnceError]:
    if status >= 500:
        return errors.ServerRefused
    if code == "INVALID_STATE":
        return errors.InvalidState
    if code == "IDEMPOTENCY_KEY_REUSE":
        return errors.KeyReused
    by_status: dict[int, type[errors.PayOnceError]] = {
        401: errors.Unauthorized,
        402: errors.Declined,
        403: errors.Unauthorized,
        404: errors.NotFound,
        409: errors.Conflict,
    }
    return by_status.get(status, errors.InvalidRequest)


def _is_attempt(body: object) -> bool:
    return isinstance(body, dict) and isinstance(body.get("attempt_id"), str) and isinstance(body.get("status"), str)


def _refusal(body: object) -> dict[str, Any] | None:
    """A refusal that has all members which decide what follows."""
    error = body.get("error") if isinstance(body, dict) else None
    is_refusal = (
        isinstance(error, dict)
        and isinstance(error.get("code"), str)
        and isinstance(error.get("message"), str)
        and isinstance(error.get("retryable"), bool)
        and isinstance(error.get("safe_new_key"), bool)
        and ("attempt" not in error or _is_attempt(error["attempt"]))
    )
    return error if is_refusal else None


def retry_after_ms(header: str | None, now_ms: float) -> int:
    """`Retry-After` in milliseconds: whole seconds, or a date of a gateway; 0 if there is none or it cannot be read.

    `now_ms` is the wall clock, for a date.
    """
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return int(text) * 1000
    # The one form of a date that RFC 9110 lets a server send.
    if not re.fullmatch(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT", text):
        return 0
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return 0
    return max(0, math.floor(date.timestamp() * 1000 - now_ms))
