"""The client by itself: what it sends, keeps, refuses and never shows."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
from servers import ROOT

from pay_once import (
    AsyncPayOnce,
    Attempt,
    Charge,
    InvalidRequest,
    InvalidState,
    MemoryKeyStore,
    NotFound,
    Options,
    OutcomeUnknown,
    PayOnce,
    SqliteKeyStore,
    Wait,
    WrongUse,
)

URL = "http://pay-once.example"
BODY: Charge = {"amount": 2599, "currency": "GBP"}
CAPTURED = (200, {"attempt_id": "pa_1", "status": "CAPTURED"}, None)
Reply = tuple[int, object, str | None] | type[httpx.HTTPError]


def refusal(code: str, **more: object) -> dict[str, Any]:
    """The body of a refusal."""
    return {"error": {"code": code, "message": "why", "retryable": False, "safe_new_key": False, **more}}


class Script:
    """Gives these answers in turn, and keeps what was asked."""

    def __init__(self, *answers: Reply) -> None:
        """An answer is a status, a body and `Retry-After`, or the error of a request without an answer."""
        self._answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.at: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """The next answer."""
        self.asked.append(request)
        self.at.append(time.monotonic())
        answer = self._answers.pop(0) if self._answers else httpx.ConnectError
        if isinstance(answer, type):
            raise answer("lost")
        status, body, retry_after = answer
        headers = {} if retry_after is None else {"retry-after": retry_after}
        return httpx.Response(status, headers=headers, content=json.dumps(body))

    def client(self, keys: Any = None, api_key: str | None = None, **options: Any) -> PayOnce:
        """A client of this server."""
        http = httpx.Client(transport=httpx.MockTransport(self), verify=False)
        settings = Options(**{"wait_s": 1, "backoff_first_ms": 20, **options})
        return PayOnce(URL, keys or MemoryKeyStore(), api_key=api_key, options=settings, http=http)


def test_the_key_is_kept_before_the_first_request_and_each_retry_sends_the_same_bytes() -> None:
    """The store has the key when the first answer is still out."""
    under_way = (202, {"attempt_id": "pa_1", "status": "AUTHORIZING"}, None)
    script = Script(httpx.ReadError, (502, "<h1>Bad Gateway</h1>", None), under_way, CAPTURED)
    keys = MemoryKeyStore()
    seen: list[Wait] = []
    kept: list[str | None] = []

    def watch(wait: Wait) -> None:
        seen.append(wait)
        kept.append(keys.load("order-1#1"))

    script.client(keys).payment("order-1").charge(BODY, on_progress=watch)
    request = json.loads(kept[0] or "")
    assert request["body"] == '{"amount":2599,"currency":"GBP"}'
    assert len(script.asked) == 4
    for asked in script.asked:
        assert (asked.method, asked.url.path, asked.content.decode()) == ("POST", "/charge", request["body"])
        assert (asked.headers["idempotency-key"], asked.headers["prefer"]) == (request["key"], "wait=1")
    assert [wait.failure is None for wait in seen] == [False, False, True]


def test_the_bytes_that_are_kept_are_sent_even_if_members_come_in_another_order() -> None:
    """Another request under the name is refused without a call."""
    script = Script((409, refusal("INVALID_STATE"), None), CAPTURED)
    client = script.client()
    with pytest.raises(InvalidState):
        client.payment("a").charge({"amount": 1, "currency": "GBP"})
    client.payment("a").charge({"currency": "GBP", "amount": 1})
    with pytest.raises(WrongUse, match="NAME_IN_USE"):
        client.payment("a").charge({"amount": 2, "currency": "GBP"})
    with pytest.raises(WrongUse, match="NAME_IN_USE"):
        # A create of what is charged under the name would be a second attempt.
        client.payment("a").create_attempt(cast(Any, {"amount": 1, "currency": "GBP"}))
    assert [asked.content for asked in script.asked] == [b'{"amount":1,"currency":"GBP"}'] * 2
    assert len({asked.headers["idempotency-key"] for asked in script.asked}) == 1


@pytest.mark.parametrize("amount", [25.99, 25.0, 0, -1, float("nan"), 2**53, "2599", None, True])
def test_an_amount_that_is_not_an_integer_is_refused_before_the_call(amount: object) -> None:
    """Nothing is kept and nothing is sent."""
    script, keys = Script(), MemoryKeyStore()
    payment = script.client(keys).payment("a")
    calls: list[Callable[[Any], Attempt]] = [payment.charge, payment.create_attempt, payment.capture]
    for call in calls:
        with pytest.raises(WrongUse, match="INVALID_AMOUNT"):
            call({"amount": amount, "currency": "GBP"})
    assert (script.asked, keys.load("a#1")) == ([], None)


def test_retry_after_is_waited_for() -> None:
    """After a 503 and after a 202."""
    busy = (503, refusal("OVERLOADED", retryable=True), "1")
    script = Script(busy, (202, {"attempt_id": "pa_1", "status": "AUTHORIZING"}, "1"), CAPTURED)
    script.client().payment("a").charge(BODY)
    assert all(after - before >= 1 for before, after in itertools.pairwise(script.at))


def test_a_redirect_is_not_followed() -> None:
    """Not even by an httpx client that follows redirects by itself."""
    redirect = httpx.Response(307, headers={"location": "http://other.example/charge"})
    hosts = set()

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.add(request.url.host)
        return redirect

    http = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True, verify=False)
    client = PayOnce(URL, MemoryKeyStore(), api_key="sk_secret", options=Options(deadline_ms=300), http=http)
    with pytest.raises(OutcomeUnknown, match="HTTP 307"):
        client.payment("a").charge(BODY)
    assert hosts == {"pay-once.example"}


def test_the_api_key_is_sent_and_shown_nowhere() -> None:
    """Neither in errors nor in what they were caused by."""
    api_key = "sk_live_secret"
    script = Script((404, refusal("ATTEMPT_NOT_FOUND"), None))
    client = script.client(api_key=api_key, deadline_ms=200)
    shown: list[object] = [client, client.payment("a")]
    for kind in (NotFound, OutcomeUnknown):
        with pytest.raises(kind) as error:
            client.get("pa_1")
        shown.append(error.value)
    assert script.asked[0].headers["authorization"] == f"Bearer {api_key}"
    for url, key in [(URL, f"{api_key}\n"), (URL, f"{api_key}é"), (URL, ""), (f"http://user:{api_key}@a", None)]:
        with pytest.raises(WrongUse) as refused:
            PayOnce(url, MemoryKeyStore(), api_key=key)
        shown.append(refused.value)
    for one in shown:
        assert "sk_live" not in repr(one) + str(one)
        while isinstance(one, BaseException) and (one := one.__cause__ or one.__context__):
            assert "sk_live" not in repr(one)


@pytest.mark.parametrize("value", ["", "null", "{}", '{"key":1,"path":"/charge","body":"{}"}', None])
def test_a_store_that_gives_back_something_else_is_refused(value: object) -> None:
    """A new key in its place could pay twice."""

    class BrokenKeyStore(MemoryKeyStore):
        def keep(self, name: str, _: str) -> str:
            return cast(str, value)

    script = Script()
    with pytest.raises(WrongUse, match="STORE_BROKEN"):
        script.client(BrokenKeyStore()).payment("a").charge(BODY)
    assert script.asked == []


def test_settings_that_cannot_be_kept_to_are_refused() -> None:
    """At once, and not in the middle of a payment."""
    for bad in ({"wait_s": 31}, {"wait_s": 1.5}, {"deadline_ms": 0}, {"deadline_ms": float("nan")}):
        with pytest.raises(WrongUse):
            Options(**cast(Any, bad))
    for url in ("x", "ftp://a", "http://a?b", ""):
        with pytest.raises(WrongUse):
            PayOnce(url, MemoryKeyStore())
    client = Script().client()
    for name, number in (("", 1), ("a", 0)):
        with pytest.raises(WrongUse):
            client.payment(name, try_number=number)


def test_a_capture_of_another_amount_after_the_psp_refused_the_first_has_a_key_of_its_own() -> None:
    """The caller names it."""
    created = (201, {"attempt_id": "pa_1", "status": "CREATED"}, None)
    script = Script(created, (400, refusal("INVALID_AMOUNT"), None), CAPTURED)
    payment = script.client().payment("a")
    payment.create_attempt({"order_id": "a", **BODY})
    with pytest.raises(InvalidRequest, match="INVALID_AMOUNT"):
        payment.capture({"amount": 5})
    with pytest.raises(WrongUse, match="NAME_IN_USE"):
        payment.capture({"amount": 10})
    payment.capture({"amount": 10}, step="second")
    _, first, second = script.asked
    assert (first.content, second.content) == (b'{"amount":5}', b'{"amount":10}')
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


@contextmanager
def dripping() -> Iterator[str]:
    """A server whose answers never end."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(200):
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def test_an_answer_that_drips_is_cut_off_by_the_time_limit() -> None:
    """By both clients."""
    options = Options(wait_s=0, grace_ms=200, deadline_ms=500)

    async def awaited(url: str) -> None:
        async with AsyncPayOnce(url, MemoryKeyStore(), options=options) as client:
            await client.payment("a").charge(BODY)

    with dripping() as url:
        for pay in (
            lambda: PayOnce(url, MemoryKeyStore(), options=options).payment("a").charge(BODY),
            lambda: anyio.run(awaited, url),
        ):
            begun = time.monotonic()
            with pytest.raises(OutcomeUnknown, match="no answer in time"):
                pay()
            assert time.monotonic() - begun < 5


def test_a_key_store_may_be_awaited() -> None:
    """The key is kept before the first request all the same."""
    kept: dict[str, str] = {}
    script = Script(CAPTURED)

    class AwaitedKeyStore:
        async def load(self, name: str) -> str | None:
            return kept.get(name)

        async def keep(self, name: str, value: str) -> str:
            await anyio.sleep(0.01)
            assert script.asked == []
            return kept.setdefault(name, value)

    async def pay() -> Attempt:
        async with httpx.AsyncClient(transport=httpx.MockTransport(script), verify=False) as http:
            return await AsyncPayOnce(URL, AwaitedKeyStore(), http=http).payment("a").charge(BODY)

    assert anyio.run(pay)["status"] == "CAPTURED"
    assert json.loads(kept["a#1"])["key"] == script.asked[0].headers["idempotency-key"]


def test_the_sqlite_store_keeps_the_first_value_for_all_who_share_the_file(tmp_path: Path) -> None:
    """Also if they keep at the same time, and after all of them have ended."""
    stores = [SqliteKeyStore(tmp_path / "keys") for _ in range(4)]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda store=store, i=i: found.append(store.keep("a", str(i))))
        for i, store in enumerate(stores * 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(threads)
    assert len(set(found)) == 1
    for store in stores:
        store.close()
    again = SqliteKeyStore(tmp_path / "keys")
    assert (again.load("a"), again.load("b")) == (found[0], None)


def test_the_types_are_those_of_the_openapi_document(tmp_path: Path) -> None:
    """Run `generate` in clients/python if this fails."""
    home = ROOT / "clients" / "python"
    made = tmp_path / "_openapi.py"
    subprocess.run([home / "generate", made], check=True, capture_output=True)
    assert (home / "src" / "pay_once" / "_openapi.py").read_text() == made.read_text()
