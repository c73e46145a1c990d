"""Pay Once's embedded server and its sandbox PSP, started for a test; and a small client that a merchant might have."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from processes import Process, binary

# The longest that one request may take, in seconds: `Prefer: wait` is 30 at most.
REQUEST_WITHIN_S = 40.0
LISTENING = r"listening on (http://\S+)"
SANDBOX = r"sandbox PSP on (http://\S+)"
OPERATORS = r"operators on (http://\S+)"


def start_sandbox(
    *, latency_ms: str = "0..0", webhook_url: str | None = None, webhook_secret: str = "whsec_peers"
) -> Process:
    """The sandbox PSP alone; `.ready` is its base URL."""
    command = [binary("pay-once-sandbox"), "--listen", "127.0.0.1:0", "--latency-ms", latency_ms]
    command += ["--webhook-secret", webhook_secret]
    if webhook_url is not None:
        command += ["--webhook-url", webhook_url]
    return Process(command, ready=SANDBOX)


def start_server(
    directory: Path,
    *,
    config: str | None = None,
    secrets: dict[str, str] | None = None,
    listen: str = "127.0.0.1:0",
) -> Process:
    """`server` on a store in `directory`; `.ready` is its base URL. `config` is the text of a configuration file;
    without one it serves one merchant with a sandbox PSP inside."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [binary("pay-once"), "--listen", listen, "--admin-listen", "127.0.0.1:0"]
    command += ["--data", str(directory / "data")]
    if config is None:
        command += ["--sandbox-listen", "127.0.0.1:0", "--sandbox-latency-ms", "0..0"]
    else:
        file = directory / "pay-once.toml"
        file.write_text(config)
        command += ["--config", str(file)]
    return Process(command, environment=secrets, ready=LISTENING)


def operators(server: Process) -> "Client":
    """The server's listener for operators."""
    return Client(server.said(OPERATORS))


@dataclass
class Answer:
    """An answer of the API."""

    status: int
    headers: dict[str, str]
    body: bytes
    json: Any = field(default=None)

    @property
    def attempt(self) -> dict[str, Any]:
        """The attempt in it: the body itself, or the one that an error shows."""
        return self.json.get("error", {}).get("attempt") or self.json


class Client:
    """Calls the API once per call: retrying is what tests do."""

    def __init__(self, base_url: str, token: str | None = None) -> None:
        self.base_url = base_url
        self._session = requests.Session()
        # Nothing from the environment: no proxies, no netrc.
        self._session.trust_env = False
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        within_s: float = REQUEST_WITHIN_S,
    ) -> Answer:
        """One request. Raises what `requests` raises when no answer came."""
        all_headers = dict(headers or {})
        if key is not None:
            all_headers["Idempotency-Key"] = key
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        answer = self._session.request(
            method, self.base_url + path, data=raw, headers=all_headers, timeout=within_s
        )
        try:
            value = answer.json()
        except ValueError:
            value = None
        return Answer(answer.status_code, dict(answer.headers), answer.content, value)

    def create(self, key: str, body: dict[str, Any]) -> Answer:
        """POST /attempts."""
        return self.call("POST", "/attempts", body, key=key)

    def operate(
        self, attempt_id: str, operation: str, key: str, body: Any = None, wait_s: int | None = None
    ) -> Answer:
        """POST /attempts/{id}/{operation}, waiting up to `wait_s` for the end."""
        headers = {} if wait_s is None else {"Prefer": f"wait={wait_s}"}
        return self.call("POST", f"/attempts/{attempt_id}/{operation}", body, key=key, headers=headers)

    def read(self, attempt_id: str) -> Answer:
        """GET /attempts/{id}: state and timeline."""
        return self.call("GET", f"/attempts/{attempt_id}")
