"""The client of Pay Once: it retries as often as needed, and the money moves once. See clients/README.md."""

from ._client import AsyncPayment, AsyncPayOnce, Payment, PayOnce
from ._errors import (
    ActionRequired,
    Conflict,
    Declined,
    InvalidRequest,
    InvalidState,
    KeyReused,
    NewTryRefused,
    NotFound,
    OutcomeUnknown,
    PayOnceError,
    ServerRefused,
    Unauthorized,
    WrongUse,
)
from ._flow import CallOptions
from ._keys import AsyncKeyStore, KeyStore, MemoryKeyStore, SqliteKeyStore
from ._openapi import Attempt, Authorize, Charge, Create
from ._openapi import Capture1 as Capture
from ._policy import Options, Wait

__all__ = [
    "ActionRequired",
    "AsyncKeyStore",
    "AsyncPayOnce",
    "AsyncPayment",
    "Attempt",
    "Authorize",
    "CallOptions",
    "Capture",
    "Charge",
    "Conflict",
    "Create",
    "Declined",
    "InvalidRequest",
    "InvalidState",
    "KeyReused",
    "KeyStore",
    "MemoryKeyStore",
    "NewTryRefused",
    "NotFound",
    "Options",
    "OutcomeUnknown",
    "PayOnce",
    "PayOnceError",
    "Payment",
    "ServerRefused",
    "SqliteKeyStore",
    "Unauthorized",
    "Wait",
    "WrongUse",
]
