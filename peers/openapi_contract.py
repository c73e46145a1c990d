"""Holds a running adapter to the contract's document with schemathesis: every check, every phase, links included.

What the adapter answers must be exactly what `openapi/openapi.json` says: for the test, its objects are closed, so that a
member which it does not name is a failure as well. The same seed asks the same again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "openapi" / "openapi.json"


def document() -> dict[str, Any]:
    """The document as it is kept."""
    return json.loads(DOCUMENT.read_text())


def closed(value: Any) -> Any:
    """The same schemas, in which no object has a member that is not named."""
    if isinstance(value, list):
        return [closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    members = {name: closed(member) for name, member in value.items()}
    if members.get("type") == "object" and "properties" in members:
        members.setdefault("additionalProperties", False)
    return members


def hold(url: str, token: str, promised: dict[str, Any], *, seed: int = 1, examples: int = 60) -> tuple[int, str]:
    """Runs schemathesis; returns its exit status (0: no failure) and what it said.

    `token` is that of a merchant with a default payment method; `examples` bounds the requests an operation and phase.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "openapi.json"
        file.write_text(json.dumps(closed(promised)))
        command = [
            str(Path(sys.executable).with_name("st")),
            f"--config-file={HERE / 'schemathesis.toml'}",
            "run",
            str(file),
            f"--url={url}",
            f"--header=Authorization: Bearer {token}",
            "--checks=all",
            f"--max-examples={examples}",
            f"--seed={seed}",
        ]
        environment = {
            **os.environ,
            "SCHEMATHESIS_HOOKS": "contract_hooks",
            "PYTHONPATH": str(HERE),
            "NO_COLOR": "1",
        }
        # It keeps what it found in the directory in which it runs.
        ended = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return ended.returncode, ended.stdout


def main() -> int:
    """`./contract`."""
    parser = argparse.ArgumentParser(prog="./contract", description=__doc__)
    parser.add_argument("url", help="where the adapter listens")
    parser.add_argument("token", help="a merchant's, with a default payment method (the suite's: suite-token-of-rival)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=60, help="most requests an operation and phase (default: 60)")
    options = parser.parse_args()
    status, said = hold(options.url, options.token, document(), seed=options.seed, examples=options.examples)
    print(said)
    return status


if __name__ == "__main__":
    sys.exit(main())
