"""Processes under test: each on a free port of the loopback interface, in a directory of its own, and ended by its owner.

A process says where it listens on its standard output or error; that line is waited for, so that no port is guessed.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

# How long a process may take to say where it listens, in seconds. Two noisy cores, debug builds.
STARTS_WITHIN_S = 60.0
# How long a process may take to end once it is asked to, in seconds.
ENDS_WITHIN_S = 20.0
# How often a condition is looked at that nobody announces, in seconds.
LOOK_EVERY_S = 0.05

T = TypeVar("T")


def binary(name: str) -> str:
    """The path of a binary of this project: `PAY_ONCE_BIN` is set by `./test`."""
    default = Path(__file__).parent.parent / "target" / "debug"
    return str(Path(os.environ.get("PAY_ONCE_BIN", default)) / name)


def modules() -> Path:
    """The directory whose `node_modules` hold the Node packages of these tests: where `./setup` put them."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parent.parent / "target"))
    return target / "peers" / "node"


def free_port() -> int:
    """A port that was free a moment ago, for programs that cannot say which one they took."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(what: str, look: Callable[[], T], within_s: float) -> T:
    """What `look` says as soon as it is true of anything; fails, naming `what`, if that takes longer than `within_s`."""
    until = time.monotonic() + within_s
    while True:
        if seen := look():
            return seen
        if time.monotonic() >= until:
            raise AssertionError(f"not within {within_s:.0f} s: {what}")
        time.sleep(LOOK_EVERY_S)


class Process:
    """One process; its output is kept in memory and shown when a test fails."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        ready: str | None = None,
    ) -> None:
        """Starts `command`, and waits for a line that matches `ready`; its first group is kept as `self.ready`.

        `environment` replaces this process's own but for PATH and HOME: nothing from outside gets in.
        """
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.name = Path(command[0]).name
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**kept, **(environment or {})},
            cwd=directory,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ready = self.said(ready) if ready else ""

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def said(self, pattern: str) -> str:
        """Waits for a line that matches; its first group, or the whole line."""
        wanted = re.compile(pattern)
        until = time.monotonic() + STARTS_WITHIN_S
        seen = 0
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    if match := wanted.search(line):
                        return match.group(1) if wanted.groups else line
                seen = len(self.lines)
                left = until - time.monotonic()
                if left <= 0 or self._child.poll() is not None:
                    break
                self._changed.wait(min(left, 0.2))
        self.kill()
        raise AssertionError(f"{self.name} never said {pattern!r}:\n" + self.output())

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.pid

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._child.poll() is None

    def output(self) -> str:
        """What it wrote."""
        with self._changed:
            return "\n".join(self.lines)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._child.send_signal(signal.SIGKILL)
        self._child.wait(ENDS_WITHIN_S)
        self._reader.join(ENDS_WITHIN_S)

    def stop(self) -> None:
        """Asks it to end, and insists."""
        if self.is_running():
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait(ENDS_WITHIN_S)
        self._reader.join(ENDS_WITHIN_S)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
