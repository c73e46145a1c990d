"""Pay Once with stripe-stateful-mock (npm, MIT) as a `keyed` acquirer: a PSP double that nobody here wrote and that honours
idempotency keys, keeping under a key whatever it answered first, a 500 as well.

It knows Stripe's Charges API alone, and Pay Once's `stripe` driver speaks PaymentIntents; so it serves as an acquirer,
behind `ChargesFace`, which translates and decides nothing. What cannot be tested with it:

- PaymentIntents, preparing first, 3-D Secure, webhooks: the mock has none of them. `test_localstripe.py` has them.
- Keys that expire: the mock keeps them for ever, so a key past its horizon is the simulator's business.
- A key that is in use: the mock carries a request out within one turn of its loop, so no two of them ever overlap.
- A look-up that lags, and one that finds what is under way: its list shows a charge at once, or (`tok_forget`) never. Such a
  PSP must not be declared queryable, and is not here: a look-up would prove absent what was authorized.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from fault_proxy import WEIGHTS, Fault, FaultProxy, chosen_seed, replayable
from processes import Process, modules, wait_until
from server import Client, operators, start_server

API_KEY = "sk_test_peers"
AMOUNT_MINOR = 2599
PAYMENTS_UNDER_FAULTS = 60
SETTLES_WITHIN_S = 90.0
# On the loopback interface alone: the package's own command listens on all.
SERVE = """\
const server = require("stripe-stateful-mock").createExpressApp().listen(0, "127.0.0.1", () => {
  console.log(`stateful mock on http://127.0.0.1:${server.address().port}`);
});
"""
CONFIG = """\
open_merchant = "shop"

[merchants.shop]
psp = "cardnet"

[operators.ops]
api_key_sha256 = ["{operator_sha256}"]
roles = ["read", "resolve"]

[psps.cardnet]
face = "acquirer"
base_url = "{base_url}"
api_key_env = "PEERS_PSP_KEY"
{psp_class}

[psps.cardnet.timing]
send_window_ms = 500
call_timeout_ms = 2000
max_in_flight_ms = 5000
max_clock_skew_ms = 100
authorize_retry_ms = 600000
"""
OPERATOR_KEY = "operator-of-the-mock"
KEYED = "keyed_horizon_ms = 86400000"
# Just longer than an unanswered call may be under way: after some seconds no key may be sent again.
BRIEFLY_KEYED = "keyed_horizon_ms = 14000"
KEYED_AND_QUERYABLE = KEYED + "\nlookup_lag_ms = 500"


class ChargesFace(BaseHTTPRequestHandler):
    """The acquirer's wire on one side, Stripe's Charges API on the other: names are translated, keys are passed on, and
    answers that are neither a yes nor a card's no are passed on as they are."""

    protocol_version = "HTTP/1.1"
    mock_url: str

    def do_POST(self) -> None:
        """authorize, capture, void."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        charge = asked.get("psp_reference")
        path, form = {
            "/authorize": (
                "/v1/charges",
                {
                    "amount": asked["amount"],
                    "currency": asked["currency"].lower(),
                    "source": asked.get("payment_method"),
                    "capture": "false",
                    "metadata[attempt_id]": asked["reference"],
                },
            ),
            "/capture": (f"/v1/charges/{charge}/capture", {"amount": asked["amount"]}),
            "/void": ("/v1/refunds", {"charge": charge}),
        }[self.path]
        answer = self._ask("POST", path, form, {"Idempotency-Key": self.headers["Idempotency-Key"]})
        body = answer.json()
        if answer.ok:
            # A capture is called by its movement on the balance, as in the list.
            effect = body["balance_transaction"] if self.path == "/capture" else body["id"]
            self._answer(200, {"status": "approved", "psp_reference": effect, "amount": asked["amount"]})
        elif answer.status_code == 402:
            error = body["error"]
            self._answer(
                200, {"status": "declined", "code": error.get("decline_code"), "message": error["message"]}
            )
        else:
            self._answer(answer.status_code, body)

    def do_GET(self) -> None:
        """Look-up by our reference."""
        reference = self.path.split("reference=")[1]
        listing: dict[str, list[dict[str, Any]]] = {"authorize": [], "capture": [], "void": []}
        for charge in self._ask("GET", "/v1/charges", {}, {}).json()["data"]:
            if charge["metadata"].get("attempt_id") != reference or charge["status"] != "succeeded":
                continue
            of = {"psp_reference": charge["id"]}
            listing["authorize"].append({"id": charge["id"], "amount": charge["amount"]})
            if charge["captured"]:
                capture = {"id": charge["balance_transaction"], "amount": charge["amount_captured"]}
                listing["capture"].append(capture | of)
            else:
                refunds = charge["refunds"]["data"]
                listing["void"] += [{"id": each["id"], "amount": each["amount"]} | of for each in refunds]
        self._answer(200, listing)

    def _ask(self, method: str, path: str, form: dict[str, Any], headers: dict[str, str]) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            headers = headers | {"Authorization": self.headers["Authorization"]}
            return session.request(method, self.mock_url + path, data=form, headers=headers, timeout=30.0)

    def _answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the proxy keeps what came by."""


@contextmanager
def charges_face(mock_url: str) -> Iterator[str]:
    """The face, in a thread; its base URL."""
    handler = type("Face", (ChargesFace,), {"mock_url": mock_url})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class World:
    """Pay Once, the mock behind its face, and the proxy between."""

    client: Client
    operators: Client
    # Who may resolve.
    operator: Client
    mock_url: str
    calls: FaultProxy

    def charges(self, attempt_id: str) -> list[dict[str, Any]]:
        """The mock's own account of an attempt: charges that were not refused."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {API_KEY}"
            listing = session.get(f"{self.mock_url}/v1/charges", timeout=30.0).json()
        assert not listing["has_more"]
        return [
            charge
            for charge in listing["data"]
            if charge["metadata"].get("attempt_id") == attempt_id and charge["status"] == "succeeded"
        ]

    def keys_sent(self, operation: str) -> Counter[str]:
        """The keys under which an operation reached the mock, and how often each did."""
        posts = [d.request for d in self.calls.deliveries if d.request.target == f"/{operation}"]
        return Counter(post.header("idempotency-key") or "" for post in posts)

    def create(self, token: str, key: str = "create") -> str:
        """A new attempt; its id."""
        body = {"order_id": "ord_1", "amount": AMOUNT_MINOR, "currency": "GBP", "payment_method": token}
        answer = self.client.create(key, body)
        assert answer.status == 201, answer
        return answer.json["attempt_id"]

    def wait_for(self, attempt_id: str, status: str, operation_state: str | None = None) -> dict[str, Any]:
        """The attempt once it has this status, and its operation this state (or has ended)."""

        def look() -> dict[str, Any] | None:
            attempt = self.client.read(attempt_id).json
            state = attempt.get("operation", {}).get("state")
            return attempt if (attempt["status"], state) == (status, operation_state) else None

        return wait_until(f"{attempt_id} is {status}, {operation_state}", look, SETTLES_WITHIN_S)


@contextmanager
def place(directory: Path, psp_class: str, *, seed: int = 0, quiet: bool = True) -> Iterator[World]:
    """All of it, on loopback."""
    with ExitStack() as stack:
        mock = stack.enter_context(
            Process(["node", "-e", SERVE], directory=modules(), ready=r"stateful mock on (http://\S+)")
        )
        face_url = stack.enter_context(charges_face(mock.ready))
        weights = {Fault.NONE: 1.0} if quiet else WEIGHTS
        calls = stack.enter_context(FaultProxy(face_url, seed=seed, weights=weights))
        config = CONFIG.format(
            base_url=calls.url,
            psp_class=psp_class,
            operator_sha256=hashlib.sha256(OPERATOR_KEY.encode()).hexdigest(),
        )
        server = stack.enter_context(
            start_server(directory, config=config, secrets={"PEERS_PSP_KEY": API_KEY})
        )
        operator = Client(server.ready, OPERATOR_KEY)
        yield World(Client(server.ready), operators(server), operator, mock.ready, calls)


def test_stateful_mock_lifecycle(tmp_path: Path) -> None:
    """Through the face: captured in part, voided, declined; the mock's books say the same."""
    with place(tmp_path, KEYED) as world:
        captured = world.create("tok_visa", "captured")
        assert world.client.operate(captured, "authorize", "a", wait_s=20).status == 200
        answer = world.client.operate(captured, "capture", "c", {"amount": 1000}, wait_s=20)
        assert (answer.status, answer.json["capture"]["amount"]) == (200, 1000)
        (charge,) = world.charges(captured)
        assert (charge["captured"], charge["amount_captured"]) == (True, 1000)

        voided = world.create("tok_visa", "voided")
        assert world.client.operate(voided, "authorize", "a", wait_s=20).status == 200
        assert world.client.operate(voided, "void", "v", wait_s=20).json["status"] == "VOIDED"
        (charge,) = world.charges(voided)
        assert (charge["captured"], charge["amount_refunded"]) == (False, AMOUNT_MINOR)

        declined = world.create("tok_chargeDeclinedInsufficientFunds", "declined")
        answer = world.client.operate(declined, "authorize", "a", wait_s=20)
        assert (answer.status, answer.json["error"]["decline_code"]) == (402, "insufficient_funds")
        assert world.charges(declined) == []


def test_stateful_mock_duplicate_delivery(tmp_path: Path) -> None:
    """Everything reaches the mock twice, and the key makes it one: the second answer is the first's, and one charge."""
    with place(tmp_path, KEYED) as world:
        world.calls.choose = lambda _request, _lot: Fault.DUPLICATE
        attempt_id = world.create("tok_visa")
        assert world.client.operate(attempt_id, "authorize", "a", wait_s=20).status == 200
        assert world.client.operate(attempt_id, "capture", "c", wait_s=20).status == 200
        for operation in ("authorize", "capture"):
            answers = [d.answer for d in world.calls.deliveries if d.request.target == f"/{operation}"]
            assert len(answers) == 2 and answers[0] == answers[1]
        (charge,) = world.charges(attempt_id)
        assert (charge["amount_captured"], charge["amount_refunded"]) == (AMOUNT_MINOR, 0)


def test_stateful_mock_under_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every kind of fault, recovered by sending again under the same key: one charge for each payment, captured once."""
    seed = chosen_seed()
    with replayable(seed, "test_stateful_mock_under"), place(tmp_path, KEYED, seed=seed, quiet=False) as world:

        def pay(number: int) -> str:
            client = Client(world.client.base_url)
            body = {"amount": AMOUNT_MINOR + number, "currency": "GBP", "payment_method": "tok_visa"}
            prefer = {"Prefer": "wait=10"}

            def charged() -> str | None:
                answer = client.call("POST", "/charge", body, key=f"charge-{number}", headers=prefer)
                assert answer.status in (200, 202), answer
                return answer.json["attempt_id"] if answer.status == 200 else None

            return wait_until(f"payment {number} is charged", charged, SETTLES_WITHIN_S)

        with ThreadPoolExecutor(16) as pool:
            attempts = list(pool.map(pay, range(PAYMENTS_UNDER_FAULTS)))
        wait_until("all late requests have landed", world.calls.has_settled, SETTLES_WITHIN_S)
        for number, attempt_id in enumerate(attempts):
            books = [(c["amount_captured"], c["amount_refunded"]) for c in world.charges(attempt_id)]
            assert books == [(AMOUNT_MINOR + number, 0)], f"payment {number} {attempt_id}"
        again = sum(
            sum(times - 1 for times in world.keys_sent(name).values()) for name in ("authorize", "capture")
        )
        with capsys.disabled():
            print(f"\nseed {seed}: {len(attempts)} payments; double-sends that reached the mock {again}")
            print(f"  calls: {world.calls.counts()}")
        assert again > 0, "no double-sends: this shows nothing"
        world.calls.assert_met_all(PAYMENTS_UNDER_FAULTS // 2)


def test_stateful_mock_kept_500_is_no_outcome(tmp_path: Path) -> None:
    """The mock keeps a 500 under the key and would answer it for ever, although under a new key the card is good. A PSP
    that is keyed and nothing else: asked under that one key until the horizon, then parked; never declined, never tried
    under another key, until a named operator has looked."""
    with place(tmp_path, BRIEFLY_KEYED) as world:
        attempt_id = world.create("tok_500|tok_visa|parked")
        answer = world.client.operate(attempt_id, "authorize", "a")
        assert answer.status == 202, answer
        attempt = world.wait_for(attempt_id, "AUTHORIZING", "parked")
        assert attempt["charge_state"] == "processing"
        (key, times), *others = world.keys_sent("authorize").items()
        assert times > 1 and others == [], f"{times} times under {key}; others {others}"
        assert {d.status for d in world.calls.deliveries} == {500}
        assert world.charges(attempt_id) == []

        looked = {
            "reason": "not in the PSP's books",
            "operation": "authorize",
            "generation": attempt["operation"]["generation"],
            "outcome": "did_not_happen",
        }
        merchants = world.client.operate(attempt_id, "resolve", "m", looked)
        assert (merchants.status, merchants.json["error"]["code"]) == (403, "FORBIDDEN")
        resolved = world.operator.operate(attempt_id, "resolve", "r", looked)
        assert (resolved.status, resolved.json["decline"]["code"]) == (200, "resolved_by_operator")
        assert world.charges(attempt_id) == []


def test_stateful_mock_kept_500_proven_absent(tmp_path: Path) -> None:
    """The same 500, and look-ups that count: proven absent, so tried under the next key, and authorized exactly once."""
    with place(tmp_path, KEYED_AND_QUERYABLE) as world:
        attempt_id = world.create("tok_500|tok_visa|proven")
        world.client.operate(attempt_id, "authorize", "a")
        world.wait_for(attempt_id, "AUTHORIZED")
        keys = world.keys_sent("authorize")
        assert list(keys) == [f"{attempt_id}-authorize-1", f"{attempt_id}-authorize-2"], keys
        assert keys[f"{attempt_id}-authorize-1"] > 1, "the same key came first"
        assert len(world.charges(attempt_id)) == 1


def test_stateful_mock_forgotten_charge(tmp_path: Path) -> None:
    """`tok_forget`: the charge is made and answered, and the list never has it. The lost answer is had again under the key,
    the same charge and no second one. The capture is then answered 404, which says nothing of a charge that was there: it is asked
    for again under the one key, is told as neither done nor refused, and is shown to the operator as the PSP's problem."""
    with place(tmp_path, KEYED) as world:
        lose = iter([Fault.DROP_ANSWER])
        world.calls.choose = lambda _request, _lot: next(lose, Fault.NONE)
        attempt_id = world.create("tok_forget")
        answer = world.client.operate(attempt_id, "authorize", "a", wait_s=20)
        assert answer.status == 200, answer
        references = {json.loads(d.answer)["psp_reference"] for d in world.calls.deliveries}
        assert references == {answer.json["authorization"]["psp_reference"]}
        assert world.keys_sent("authorize") == {f"{attempt_id}-authorize-1": 2}
        assert world.charges(attempt_id) == [], "the mock forgot it"
        captured = world.client.operate(attempt_id, "capture", "c", wait_s=5)
        assert (captured.status, captured.json["status"]) == (202, "CAPTURING"), captured
        operation = captured.json["operation"]
        assert (operation["name"], operation["state"]) == ("capture", "in_doubt")
        assert captured.json["charge_state"] == "processing" and "capture" not in captured.json
        (key, times), *others = world.keys_sent("capture").items()
        assert (key, others) == (f"{attempt_id}-capture-1", []) and times > 1
        assert {d.status for d in world.calls.deliveries if d.request.target == "/capture"} == {404}
        (problem,) = world.operators.call("GET", "/status").json["psp_problems"]
        assert (problem["psp"], problem["status"], problem["code"]) == ("cardnet", 404, "resource_missing")
