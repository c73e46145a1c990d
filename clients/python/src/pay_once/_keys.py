"""Keys are made and kept before the first call. After a crash of the caller, the same name gives the same key."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Protocol
from uuid import uuid4

from ._errors import WrongUse


class KeyStore(Protocol):
    """Where the caller keeps keys: a table of its database, as durable as its orders.

    Values are opaque text of less than 40 KiB. The name of a value starts with the name of the payment.
    """

    def load(self, name: str) -> str | None:
        """The value that is kept under `name`."""

    def keep(self, name: str, value: str) -> str:
        """Keeps `value` under `name` unless a value is kept there, and returns the value that is kept then.

        This is atomic, also between processes (`INSERT ... ON CONFLICT DO NOTHING`), and durable once it returns.
        """


class AsyncKeyStore(Protocol):
    """A key store for `AsyncPayOnce` that does not block its loop."""

    async def load(self, name: str) -> str | None:
        """As `KeyStore.load`."""

    async def keep(self, name: str, value: str) -> str:
        """As `KeyStore.keep`."""


class MemoryKeyStore:
    """Keeps keys as long as the process lives: for tests. A payment that outlives it needs a durable store."""

    def __init__(self) -> None:
        """Begins empty."""
        self._values: dict[str, str] = {}

    def load(self, name: str) -> str | None:
        """The value that is kept under `name`."""
        return self._values.get(name)

    def keep(self, name: str, value: str) -> str:
        """Keeps `value` unless there is one; atomic, as `dict.setdefault` is."""
        return self._values.setdefault(name, value)


class SqliteKeyStore:
    """Keeps keys in a file of SQLite, which several processes of one machine can share."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Opens or makes the file."""
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        # A key is on disk before the first call, also if the machine loses its power.
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE IF NOT EXISTS pay_once_keys (name TEXT PRIMARY KEY, value TEXT NOT NULL)")

    def load(self, name: str) -> str | None:
        """The value that is kept under `name`."""
        with self._lock:
            row = self._database.execute("SELECT value FROM pay_once_keys WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep(self, name: str, value: str) -> str:
        """Keeps `value` unless there is one."""
        # The update changes nothing; it makes the statement return the row that was there.
        statement = (
            "INSERT INTO pay_once_keys VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = pay_once_keys.value RETURNING value"
        )
        with self._lock:
            row = self._database.execute(statement, (name, value)).fetchone()
        return str(row[0])

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


@dataclass(frozen=True)
class KeptRequest:
    """One request as it is kept. Every retry sends these bytes under this key."""

    key: str
    path: str
    body: str


def new_request(path: str, body: Mapping[str, object]) -> KeptRequest:
    """A request with a new key, to be kept before it is sent."""
    text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    return KeptRequest(str(uuid4()), path, text)


def to_text(request: KeptRequest) -> str:
    """The value that a store keeps."""
    return json.dumps({"key": request.key, "path": request.path, "body": request.body})


def from_text(name: str, value: str) -> KeptRequest:
    """The request that a store has kept. Another value is refused: a new key in its place could pay twice."""
    try:
        kept = json.loads(value)
        members = [kept[member] for member in ("key", "path", "body")]
    except (TypeError, ValueError, KeyError):
        members = [None]
    if not all(isinstance(member, str) for member in members):
        raise WrongUse("STORE_BROKEN", f"The key store has another value under {name} than was kept.")
    return KeptRequest(*members)


def refuse_another(name: str, kept: KeptRequest, wanted: KeptRequest) -> None:
    """Refuses another request under a name that is in use."""
    # The members may come in another order after a new release of the caller. The bytes that are kept are sent.
    if kept.path != wanted.path or json.loads(kept.body) != json.loads(wanted.body):
        message = f"Another request is kept under the name {name}. A different payment needs a different name."
        raise WrongUse("NAME_IN_USE", message)
