"""What a test of the client needs: Pay Once with its sandbox PSP, the bad network before it, and the PSP's ledger."""

from __future__ import annotations

import os
import random
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from pay_once import Attempt

ROOT = Path(__file__).parents[3]
# How long a process may take to say where it listens: a busy machine, a debug build.
STARTS_WITHIN_S = 30.0
# The chances of the network: printed, and given back by CLIENTS_SEED.
SEED = int(os.environ.get("CLIENTS_SEED") or random.randrange(10**9))
# Faults of all kinds, as rates from 0 to 1.
FOUL = {"lose_request": 0.15, "lose_answer": 0.2, "repeat": 0.2, "cut": 0.05, "gateway": 0.08, "delay": 0.03}


class Process:
    """A process that has said where it listens, and ends with its owner."""

    def __init__(self, command: list[str], *lines: str) -> None:
        """Waits until all of these lines were written; `said` has the first group of each."""
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
            text=True,
        )
        self._output: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()
        ends = time.monotonic() + STARTS_WITHIN_S
        while True:
            found = [re.search(line, "".join(self._output)) for line in lines]
            if all(found):
                self.said = [match[1] for match in found if match]
                return
            if time.monotonic() > ends or self._child.poll() is not None:
                self.kill()
                raise AssertionError(f"{command[0]} did not start:\n{''.join(self._output)}")
            time.sleep(0.02)

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._output.append(line)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._child.kill()
        self._child.wait()


def _binary() -> str:
    """PAY_ONCE_BIN is the binary, or the directory that it is in."""
    path = Path(os.environ.get("PAY_ONCE_BIN") or ROOT / "target" / "debug")
    return str(path / "pay-once" if path.is_dir() else path)


class World:
    """One test's servers."""

    def __init__(self, url: str, sandbox_url: str, directory: Path) -> None:
        """`url` is the address of the bad network."""
        self.url = url
        self.sandbox_url = sandbox_url
        self.directory = directory

    def faults(self, **rates: float) -> None:
        """Sets the network's faults; those that are not named have rate 0."""
        assert httpx.put(f"{self.url}/proxy", json=rates, trust_env=False).status_code == 200

    def report(self) -> dict[str, Any]:
        """What the network did, and which keys it saw."""
        return self._json(f"{self.url}/proxy")

    def quiet(self) -> dict[str, Any]:
        """Waits until nothing is on its way any more, repetitions included."""
        while (report := self.report())["counts"]["under_way"]:
            time.sleep(0.05)
        return report

    def ledger_of(self, attempt_id: str) -> dict[str, Any]:
        """What the PSP did for one attempt."""
        return self._json(f"{self.sandbox_url}/ledger/{attempt_id}")

    def ledger(self) -> dict[str, Any]:
        """What the PSP did, by attempt."""
        return self._json(f"{self.sandbox_url}/ledger")

    def violations(self, paid: Mapping[str, tuple[Attempt, int]], keys: Mapping[str, int]) -> list[str]:
        """What is wrong; empty if every payment moved its money once and no key was wasted.

        `paid` has the attempt that each payment ended with, and its amount; `keys`, how many keys each call may use.
        """
        report = self.quiet()
        found = []
        for name, (attempt, amount) in paid.items():
            if attempt["status"] != "CAPTURED":
                found.append(f"{name} ended as {attempt['status']}")
            row = self.ledger_of(attempt["attempt_id"])
            said = [row[member] for member in ("authorizations", "live_authorizations", "captures", "captured_minor")]
            if said != [1, 1, 1, amount]:
                found.append(f"{name}: the ledger says {said}")
        taken = [row for row in self.ledger().values() if row["captures"]]
        if len(taken) != len(paid):
            found.append(f"{len(taken)} attempts took money, for {len(paid)} payments")
        if report["mixed_keys"]:
            found.append(f"{len(report['mixed_keys'])} keys were used for two requests")
        for call, count in report["keys"].items():
            if count != keys.get(call, 0):
                found.append(f"{call} used {count} keys instead of {keys.get(call, 0)}")
        return found

    def _json(self, url: str) -> dict[str, Any]:
        response = httpx.get(url, trust_env=False)
        assert response.status_code == 200, response.text
        value: dict[str, Any] = response.json()
        return value


@contextmanager
def world() -> Iterator[World]:
    """Pay Once behind the bad network, which is fair at first."""
    with tempfile.TemporaryDirectory(prefix="pay-once-client-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        listen = [
            *("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0"),
            *("--data", str(directory / "data"), "--log", "warn", "--sandbox-latency-ms", "0..60"),
        ]
        pay_once = Process([_binary(), *listen], r"listening on (http:\S+)", r"sandbox PSP on (http:\S+)")
        try:
            script = str(ROOT / "clients" / "testing" / "faulty-proxy.js")
            proxy = Process(["node", script, pay_once.said[0], str(SEED)], r"proxy on (http:\S+)")
            try:
                yield World(proxy.said[0], pay_once.said[1], directory)
            finally:
                proxy.kill()
        finally:
            pay_once.kill()
