"""`server` answers what `openapi/openapi.json` says, by a tester that nobody here wrote. The two edges' own tests do the
same with `peers/contract`."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from openapi_contract import document, hold
from processes import Process, binary
from server import operators, start_sandbox, start_server

# The merchant of the suite's environment that has a default payment method (`suite/src/environment.rs`).
TOKEN = "suite-token-of-rival"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server in the suite's environment."""
    directory: Path = tmp_path_factory.mktemp("contract")
    with start_sandbox(webhook_secret="whsec_suite") as sandbox:
        printed = subprocess.run(
            [binary("pay-once-suite"), "config", "--psp-url", sandbox.ready],
            check=True,
            capture_output=True,
            text=True,
        )
        secrets = {"PAY_ONCE_PSP_KEY": "sk_suite", "PAY_ONCE_WEBHOOK_SECRET": "whsec_suite"}
        with start_server(directory, config=printed.stdout, secrets=secrets) as server:
            yield server


def test_the_served_document_is_the_kept_one(server: Process) -> None:
    """Operators read it without a key."""
    answer = operators(server).call("GET", "/openapi.json")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == document()


def test_every_answer_is_as_documented(server: Process) -> None:
    """Zero failures, every check on."""
    status, said = hold(server.ready, TOKEN, document())
    assert status == 0, said
    assert "Stateful" in said and "links covered" not in said


@pytest.mark.parametrize(
    ("where", "truth", "lie"),
    [
        pytest.param("Attempt/properties", "timeline", None, id="a member that is not named"),
        pytest.param("Amount", "maximum", 10, id="more is taken than is said"),
        pytest.param("Error404/properties/error/properties/code", "enum", ["X"], id="another code"),
    ],
)
def test_a_document_that_lies_is_found_out(server: Process, where: str, truth: str, lie: object) -> None:
    """The test above can fail: it does, when the document says anything else than what is so."""
    promised = copy.deepcopy(document())
    schema = promised["components"]["schemas"]
    for name in where.split("/"):
        schema = schema[name]
    assert truth in schema
    if lie is None:
        del schema[truth]
    else:
        schema[truth] = lie
    status, said = hold(server.ready, TOKEN, promised, examples=20)
    assert status == 1, said
    assert "FAILURES" in said
