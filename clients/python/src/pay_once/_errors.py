"""Why a call did not succeed. Only `safe_new_key` says that no money moved and that a new try cannot pay twice."""

from __future__ import annotations

from ._openapi import Attempt


class PayOnceError(Exception):
    """All errors of this library. Without `safe_new_key` it is not known that the payment failed."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        safe_new_key: bool = False,
        attempt: Attempt | None = None,
        field: str | None = None,
        decline_code: str | None = None,
        retry_after_ms: int = 0,
    ) -> None:
        """`code` is one of the contract, or of this library: `OUTCOME_UNKNOWN`, `NAME_IN_USE` and others."""
        super().__init__(f"{code}: {message}")
        self.code = code
        # The HTTP status of the answer, if there was one.
        self.status = status
        # Whether the same call under the same name may end differently.
        self.retryable = retryable
        # Whether a new try under a new key is known not to pay twice.
        self.safe_new_key = safe_new_key
        # The attempt as it was last seen.
        self.attempt = attempt
        # The member of the body that is at fault.
        self.field = field
        # The PSP's code for a decline.
        self.decline_code = decline_code
        # How long the server asks to wait before the next call; 0 if it does not say.
        self.retry_after_ms = retry_after_ms


class Declined(PayOnceError):
    """402: the payment is declined, finally. No money was taken."""


class InvalidState(PayOnceError):
    """409: the attempt's status does not allow the call. `attempt` shows what another call has done."""


class KeyReused(PayOnceError):
    """409: the key belongs to another request. The key store gave a key that was used for something else."""


class Conflict(PayOnceError):
    """409: another refusal by the attempt, such as `TOO_MANY_KEYS`."""


class InvalidRequest(PayOnceError):
    """400, 405, 413, 415: refused by its form. An earlier request under the name may have been carried out."""


class Unauthorized(PayOnceError):
    """401, 403: the API key is not accepted."""


class NotFound(PayOnceError):
    """404: there is no such attempt. After a restore, call `create_attempt` again under the same name."""


class OutcomeUnknown(PayOnceError):
    """The outcome is not known yet. The payment has not failed. Call again with the same name."""


class ServerRefused(OutcomeUnknown):
    """A 5xx that a retry does not mend. An operator has to look; then call again with the same name."""


class ActionRequired(OutcomeUnknown):
    """The customer has to act. Send the customer to `url`, and then call again with the same name."""

    @property
    def url(self) -> str | None:
        """The page of the customer's bank, if the PSP named one."""
        action = None if self.attempt is None else self.attempt.get("next_action")
        return None if action is None else action["url"]


class WrongUse(PayOnceError):
    """The caller's mistake. Nothing was sent."""


class NewTryRefused(WrongUse):
    """A new try was asked for, and no answer has said that the try before ended without money. Nothing was sent."""
