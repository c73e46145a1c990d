"""The clients: they carry out what a flow asks for, with httpx. One blocks, the other awaits."""

from __future__ import annotations

import inspect
import json
import re
import time
from typing import Any, Self, TypeVar, Unpack

import anyio
import httpx

from . import _flow as flow
from ._errors import WrongUse
from ._flow import CallOptions, PaymentFlow
from ._keys import AsyncKeyStore, KeyStore
from ._openapi import Attempt, Authorize, Charge, Create
from ._openapi import Capture1 as Capture
from ._policy import Answer, Failure, Options, retry_after_ms

T = TypeVar("T")


class _Settings:
    """What both clients are told, checked."""

    def __init__(self, url: str, api_key: str | None, options: Options) -> None:
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL:
            address = httpx.URL("")
        if address.scheme not in ("http", "https") or not address.host:
            raise WrongUse("INVALID_FIELD", "`url` is not an http or https address.")
        # A password in the address would appear in errors.
        if address.userinfo or address.query or address.fragment:
            raise WrongUse("INVALID_FIELD", "`url` has a user, a query or a fragment.")
        # httpx would show a header that cannot be sent in its error, and the API key with it.
        if api_key is not None and not re.fullmatch(r"[\x21-\x7e]+", api_key):
            raise WrongUse("INVALID_FIELD", "The API key is not visible ASCII.")
        self.options = options
        self._url = url.rstrip("/")
        self._authorization = None if api_key is None else f"Bearer {api_key}"

    def request(self, send: flow.Send) -> dict[str, Any]:
        """The arguments of httpx for a request."""
        headers = {"accept": "application/json"}
        if self._authorization is not None:
            headers["authorization"] = self._authorization
        if send.key is not None:
            headers |= {"idempotency-key": send.key, "content-type": "application/json"}
            if send.limits.wait_s > 0:
                headers["prefer"] = f"wait={send.limits.wait_s}"
        return {
            "method": send.method,
            "url": self._url + send.path,
            "headers": headers,
            "content": None if send.body is None else send.body.encode(),
            "timeout": send.limits.timeout_ms / 1000,
            "follow_redirects": False,
        }


def _pause_ms(response: httpx.Response) -> int:
    return retry_after_ms(response.headers.get("retry-after"), time.time() * 1000)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


class Payment:
    """One try at one payment. The same name is the same payment, also after a crash."""

    def __init__(self, client: PayOnce, payment: PaymentFlow) -> None:
        """Use `PayOnce.payment`."""
        self._run = client._run
        self._flow = payment

    def charge(self, body: Charge, **options: Unpack[CallOptions]) -> Attempt:
        """Creates, authorizes and captures under one key. Returns the attempt once it is captured."""
        return self._run(self._flow.begin("/charge", body, options))

    def create_attempt(self, body: Create, **options: Unpack[CallOptions]) -> Attempt:
        """Creates the attempt. No money moves."""
        return self._run(self._flow.begin("/attempts", body, options))

    def authorize(self, body: Authorize | None = None, **options: Unpack[CallOptions]) -> Attempt:
        """Reserves the funds."""
        return self._run(self._flow.step("authorize", "authorize", body or {}, options))

    def capture(
        self, body: Capture | None = None, *, step: str | None = None, **options: Unpack[CallOptions]
    ) -> Attempt:
        """Takes the reserved funds, whole or in part.

        `step` names a capture of its own, after the PSP refused the amount of the one before.
        """
        name = "capture" if step is None else f"capture/{step}"
        return self._run(self._flow.step("capture", name, body or {}, options))

    def void(self, **options: Unpack[CallOptions]) -> Attempt:
        """Releases the funds, or ends an unfinished 3-D Secure."""
        return self._run(self._flow.step("void", "void", {}, options))


class PayOnce:
    """The client that blocks."""

    def __init__(
        self,
        url: str,
        keys: KeyStore,
        *,
        api_key: str | None = None,
        options: Options | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        """`keys` keeps keys before the first call. `http` is closed by its owner; without it there is an own one."""
        self._settings = _Settings(url, api_key, options or Options())
        self._keys = keys
        self._owned = httpx.Client() if http is None else None
        self._http = self._owned or http or httpx.Client()

    def payment(self, name: str, *, try_number: int = 1, attempt_id: str | None = None) -> Payment:
        """A payment of the caller, such as an order.

        A later try than the first needs an answer that said `safe_new_key` of the try before. `attempt_id` is the
        attempt of a charge, to release it from another process.
        """
        return Payment(self, PaymentFlow(self._settings.options, name, try_number, attempt_id))

    def get(self, attempt_id: str, **options: Unpack[CallOptions]) -> Attempt:
        """The attempt as it is now, with its timeline."""
        return self._run(flow.read(attempt_id, self._settings.options, options))

    def close(self) -> None:
        """Closes the connections."""
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Self:
        """Closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the connections."""
        self.close()

    def _run(self, steps: flow.Flow[T]) -> T:
        reply: object = None
        try:
            while True:
                reply = self._do(steps.send(reply))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            steps.close()

    def _do(self, command: flow.Command) -> object:
        match command:
            case flow.Load(name):
                return self._keys.load(name)
            case flow.Keep(name, value):
                return self._keys.keep(name, value)
            case flow.Send():
                return self._send(command)
            case flow.Sleep(ms):
                time.sleep(ms / 1000)
                return None

    def _send(self, send: flow.Send) -> Answer | Failure:
        ends = time.monotonic() + send.limits.timeout_ms / 1000
        pause_ms = 0
        try:
            with self._http.stream(**self._settings.request(send)) as response:
                pause_ms = _pause_ms(response)
                body = b""
                # httpx limits the pause between two pieces of a body. The time limit is for all of it.
                for piece in response.iter_bytes():
                    body += piece
                    if time.monotonic() > ends:
                        return Failure("no answer in time", pause_ms)
                return Answer(response.status_code, pause_ms, _parsed(body))
        except httpx.HTTPError as error:
            return Failure(f"{type(error).__name__}: {error}", pause_ms)


class AsyncPayment:
    """As `Payment`, to be awaited."""

    def __init__(self, client: AsyncPayOnce, payment: PaymentFlow) -> None:
        """Use `AsyncPayOnce.payment`."""
        self._run = client._run
        self._flow = payment

    async def charge(self, body: Charge, **options: Unpack[CallOptions]) -> Attempt:
        """As `Payment.charge`."""
        return await self._run(self._flow.begin("/charge", body, options))

    async def create_attempt(self, body: Create, **options: Unpack[CallOptions]) -> Attempt:
        """As `Payment.create_attempt`."""
        return await self._run(self._flow.begin("/attempts", body, options))

    async def authorize(self, body: Authorize | None = None, **options: Unpack[CallOptions]) -> Attempt:
        """As `Payment.authorize`."""
        return await self._run(self._flow.step("authorize", "authorize", body or {}, options))

    async def capture(
        self, body: Capture | None = None, *, step: str | None = None, **options: Unpack[CallOptions]
    ) -> Attempt:
        """As `Payment.capture`."""
        name = "capture" if step is None else f"capture/{step}"
        return await self._run(self._flow.step("capture", name, body or {}, options))

    async def void(self, **options: Unpack[CallOptions]) -> Attempt:
        """As `Payment.void`."""
        return await self._run(self._flow.step("void", "void", {}, options))


class AsyncPayOnce:
    """The client that awaits, on asyncio or trio. A call that is cancelled keeps its key."""

    def __init__(
        self,
        url: str,
        keys: KeyStore | AsyncKeyStore,
        *,
        api_key: str | None = None,
        options: Options | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """As `PayOnce`. A store that blocks, blocks the loop as well."""
        self._settings = _Settings(url, api_key, options or Options())
        self._keys = keys
        self._owned = httpx.AsyncClient() if http is None else None
        self._http = self._owned or http or httpx.AsyncClient()

    def payment(self, name: str, *, try_number: int = 1, attempt_id: str | None = None) -> AsyncPayment:
        """As `PayOnce.payment`."""
        return AsyncPayment(self, PaymentFlow(self._settings.options, name, try_number, attempt_id))

    async def get(self, attempt_id: str, **options: Unpack[CallOptions]) -> Attempt:
        """As `PayOnce.get`."""
        return await self._run(flow.read(attempt_id, self._settings.options, options))

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._owned is not None:
            await self._owned.aclose()

    async def __aenter__(self) -> Self:
        """Closed at the end of the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the connections."""
        await self.aclose()

    async def _run(self, steps: flow.Flow[T]) -> T:
        reply: object = None
        try:
            while True:
                reply = await self._do(steps.send(reply))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            steps.close()

    async def _do(self, command: flow.Command) -> object:
        match command:
            case flow.Load(name):
                value = self._keys.load(name)
                return await value if inspect.isawaitable(value) else value
            case flow.Keep(name, value):
                kept = self._keys.keep(name, value)
                return await kept if inspect.isawaitable(kept) else kept
            case flow.Send():
                return await self._send(command)
            case flow.Sleep(ms):
                await anyio.sleep(ms / 1000)
                return None

    async def _send(self, send: flow.Send) -> Answer | Failure:
        # The time limit holds until the last byte of the body.
        with anyio.move_on_after(send.limits.timeout_ms / 1000):
            try:
                response = await self._http.request(**self._settings.request(send))
            except httpx.HTTPError as error:
                return Failure(f"{type(error).__name__}: {error}")
            return Answer(response.status_code, _pause_ms(response), _parsed(response.content))
        return Failure("no answer in time")
