"""The calls of a payment as generators: they yield what has to be done, and both clients carry it out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote

from . import _keys
from ._errors import NewTryRefused, PayOnceError, WrongUse
from ._openapi import Attempt
from ._policy import CallPolicy, Limits, Options, Wait

AMOUNT_MAX = 2**53 - 1


class CallOptions(TypedDict, total=False):
    """What can be set for one call; the rest is as the client has it. See `Options`."""

    wait_s: int
    grace_ms: int
    deadline_ms: float | None
    backoff_first_ms: int
    backoff_max_ms: int
    poll_max_ms: int
    follow_action: bool
    # Told before each pause.
    on_progress: Callable[[Wait], None]


@dataclass(frozen=True)
class Load:
    """Ask the key store for a value. The reply is the value or None."""

    name: str


@dataclass(frozen=True)
class Keep:
    """Have the key store keep a value. The reply is the value that is kept."""

    name: str
    value: str


@dataclass(frozen=True)
class Send:
    """Send one request. The reply is an `Answer` or a `Failure`."""

    method: str
    path: str
    key: str | None
    body: str | None
    limits: Limits


@dataclass(frozen=True)
class Sleep:
    """Pause. There is no reply."""

    ms: int


Command = Load | Keep | Send | Sleep
T = TypeVar("T")
# The type of a reply depends on the command, which the type of a generator cannot say.
Flow = Generator[Command, Any, T]


def call(
    method: str, path: str, key: str | None, body: str | None, options: Options, overrides: CallOptions
) -> Flow[Attempt]:
    """Sends one request until there is a final answer."""
    given: dict[str, Any] = dict(overrides)
    on_progress = given.pop("on_progress", None)
    policy = CallPolicy(replace(options, **given), _now_ms())
    while True:
        heard = yield Send(method, path, key, body, policy.limits(_now_ms()))
        decision = policy.heard(heard, _now_ms(), random.random())
        if not isinstance(decision, Wait):
            return decision.attempt
        if on_progress is not None:
            on_progress(decision)
        yield Sleep(decision.wait_ms)


def read(attempt_id: str, options: Options, overrides: CallOptions) -> Flow[Attempt]:
    """The attempt as it is now."""
    return call("GET", f"/attempts/{quote(attempt_id, safe='')}", None, None, options, overrides)


class PaymentFlow:
    """One try at one payment: its calls, each under a key that is kept before the first request."""

    def __init__(self, options: Options, name: str, try_number: int, attempt_id: str | None) -> None:
        """`attempt_id` is the attempt of a charge, to release it from another process."""
        if name == "" or type(try_number) is not int or try_number < 1:
            raise WrongUse("INVALID_FIELD", "A payment has a name, and tries count from 1.")
        self._options = options
        self._name = name
        self._try_number = try_number
        self._try_name = f"{name}#{try_number}"
        self._attempt_id = attempt_id

    def begin(self, path: str, body: Mapping[str, object], overrides: CallOptions) -> Flow[Attempt]:
        """A charge or a create: the call that begins the try."""
        _refuse_amount(body.get("amount"))
        if self._try_number > 1:
            before = f"{self._name}#{self._try_number - 1}"
            if (yield Load(f"{before}/ended")) is None:
                message = f"No answer has said that {before} ended without money. Call it again first."
                raise NewTryRefused("NEW_TRY_REFUSED", message)
        return (yield from self._kept(self._try_name, path, body, overrides))

    def step(self, name: str, step: str, body: Mapping[str, object], overrides: CallOptions) -> Flow[Attempt]:
        """A call about the attempt; `step` names its key."""
        if "amount" in body:
            _refuse_amount(body["amount"])
        attempt_id = self._attempt_id
        if attempt_id is None:
            attempt_id = yield from self._created(overrides)
        path = f"/attempts/{quote(attempt_id, safe='')}/{name}"
        return (yield from self._kept(f"{self._try_name}/{step}", path, body, overrides))

    def _kept(self, name: str, path: str, body: Mapping[str, object], overrides: CallOptions) -> Flow[Attempt]:
        wanted = _keys.new_request(path, body)
        kept = _keys.from_text(name, (yield Keep(name, _keys.to_text(wanted))))
        _keys.refuse_another(name, kept, wanted)
        return (yield from self._run(kept, overrides))

    def _run(self, request: _keys.KeptRequest, overrides: CallOptions) -> Flow[Attempt]:
        try:
            attempt = yield from call("POST", request.path, request.key, request.body, self._options, overrides)
        except PayOnceError as error:
            if error.attempt is not None:
                self._attempt_id = error.attempt["attempt_id"]
            if error.safe_new_key:
                # Kept before the caller learns of it: a new try is refused without it.
                yield Keep(f"{self._try_name}/ended", error.code)
            raise
        self._attempt_id = attempt["attempt_id"]
        return attempt

    def _created(self, overrides: CallOptions) -> Flow[str]:
        """The attempt's id in a new process: from the create, which is repeated under its key without effect."""
        value = yield Load(self._try_name)
        kept = None if value is None else _keys.from_text(self._try_name, value)
        # A charge is not repeated for its id: it would move money that the caller may want to release.
        if kept is None or kept.path != "/attempts":
            message = f"Create {self._try_name} first, or give its `attempt_id` if it is a charge."
            raise WrongUse("NOT_CREATED", message)
        return (yield from self._run(kept, overrides))["attempt_id"]


def _refuse_amount(amount: object) -> None:
    # A bool is an int for `isinstance`.
    if type(amount) is not int or not 1 <= amount <= AMOUNT_MAX:
        message = f"An amount is an integer in minor units, from 1 to {AMOUNT_MAX}."
        raise WrongUse("INVALID_AMOUNT", message, field="amount")


def _now_ms() -> float:
    return time.monotonic() * 1000
