"""A reverse proxy on loopback that does to HTTP what networks and load balancers do, by lot, and counts what it did.

What befalls a request is drawn from the seed, the request's name and how often that name was seen: not from the order
of arrival, which no seed repeats. So the same seed gives the same request of the same payment the same fault again.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
from aiohttp import web
from yarl import URL

# Settable, so that a failure can be played again.
SEED_VARIABLE = "PEERS_SEED"
# How long the proxy's own thread may take to start or to end, in seconds.
THREAD_WITHIN_S = 20.0
# How long the upstream may take to answer one delivery, in seconds.
UPSTREAM_WITHIN_S = 60.0
# Headers of one connection, which are not passed on (RFC 9110, section 7.6.1), and those that the client here sets anew.
NOT_PASSED_ON = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length"}
# What a gateway says for a 500, and what Stripe itself says.
GATEWAY_PAGE = b"<html><body><h1>500 Internal Server Error</h1></body></html>"
API_ERROR = b'{"error": {"type": "api_error", "message": "An unknown error occurred"}}'


class Fault(StrEnum):
    """What may befall a request."""

    NONE = "none"
    # Held for a moment on the way there.
    DELAY = "delay"
    # Delivered twice; the client gets one of the two answers.
    DUPLICATE = "duplicate"
    # Delivered; the connection is closed instead of an answer.
    DROP_ANSWER = "drop_answer"
    # The connection is closed and nothing is delivered, now or later.
    CLOSE_BEFORE = "close_before"
    # Delivered; the answer is a 500.
    ERROR_AFTER = "error_after"
    # Delivered and answered (or not, by lot); delivered a second time seconds later.
    LATE_AGAIN = "late_again"
    # The connection is closed; delivered for the first time seconds later.
    LATE_FIRST = "late_first"


# One request in two is spared.
WEIGHTS: Mapping[Fault, float] = {
    Fault.NONE: 50,
    Fault.DELAY: 10,
    Fault.DUPLICATE: 8,
    Fault.DROP_ANSWER: 8,
    Fault.CLOSE_BEFORE: 6,
    Fault.ERROR_AFTER: 8,
    Fault.LATE_AGAIN: 6,
    Fault.LATE_FIRST: 4,
}
# Questions are spared more often, and whatever comes for the sixth time has an answer: each loss doubles the pause before
# the next try, and nothing but time is learned from more of them.
SPARED_QUESTIONS = 0.6
UNANSWERED_TIMES_MAX = 5
ANSWERED = {Fault.NONE, Fault.DELAY, Fault.DUPLICATE}


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of this name, given in lower case."""
        return next((value for known, value in self.headers if known.lower() == name), None)


@dataclass(frozen=True)
class Delivery:
    """One time that a request reached the upstream."""

    request: Request
    name: str
    fault: Fault
    # From the request's arrival at the proxy until the upstream answered, in seconds.
    flight_s: float
    # The upstream's answer; None if none came.
    status: int | None
    answer: bytes


class Names:
    """What requests are called, for the seed. To be given by whoever knows the wire, where its ids are drawn by chance."""

    def of(self, request: Request) -> str:
        """The name of a request: its key, or what it asks for."""
        return request.header("idempotency-key") or f"{request.method} {request.target}"

    def learn(self, delivery: Delivery) -> None:
        """Told of every delivery and its answer."""


def chosen_seed() -> int:
    """The seed of this run: `PEERS_SEED`, or a fresh one."""
    return int(os.environ.get(SEED_VARIABLE) or secrets.randbelow(2**32))


@contextmanager
def replayable(seed: int, test: str) -> Iterator[None]:
    """A failure inside says which seed it had, and what to run to have it again."""
    try:
        yield
    except BaseException as failure:
        failure.add_note(f"seed {seed}; again: {SEED_VARIABLE}={seed} peers/test -k {test}")
        raise


class FaultProxy:
    """The proxy, in a thread of its own. `choose` may be set to a script, and then decides: `lambda request, lot: Fault.NONE`."""

    def __init__(
        self,
        upstream: str,
        *,
        seed: int,
        label: str = "psp",
        weights: Mapping[Fault, float] = WEIGHTS,
        late_s: tuple[float, float] = (0.5, 2.5),
        delay_s: tuple[float, float] = (0.02, 0.4),
        names: Names | None = None,
    ) -> None:
        self.upstream = upstream
        self.seed = seed
        self.label = label
        self.url = ""
        # What was met, and every delivery: appended by the proxy's thread, read by the test's.
        self.met: Counter[Fault] = Counter()
        self.deliveries: list[Delivery] = []
        self.choose: Callable[[Request, random.Random], Fault] | None = None
        self._weights = dict(weights)
        self._late_s, self._delay_s = late_s, delay_s
        self._names = names or Names()
        self._seen: Counter[str] = Counter()
        self._late: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        assert self._ready.wait(THREAD_WITHIN_S), f"the {self.label} proxy did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(THREAD_WITHIN_S)
        assert not self._thread.is_alive(), f"the {self.label} proxy did not end"
        self._loop.close()

    def calm(self) -> None:
        """Faults stop. What is on its way still lands late."""
        self.choose = lambda _request, _lot: Fault.NONE

    def has_settled(self) -> bool:
        """Whether nothing is on its way."""
        return not self._late and self._under_way == 0

    def counts(self) -> dict[str, int]:
        """How often each fault was met."""
        return {str(fault): self.met[fault] for fault in Fault}

    def assert_met_all(self, at_least: int) -> None:
        """A test that met no faults shows nothing."""
        kinds = [fault for fault in Fault if fault is not Fault.NONE]
        assert all(self.met[fault] for fault in kinds), f"{self.label}: not all faults were met: {self.counts()}"
        assert sum(self.met[fault] for fault in kinds) >= at_least, f"{self.label}: too few faults: {self.counts()}"

    def longest_flight_s(self) -> float:
        """The longest time that any request took from its arrival until it had its effect upstream, in seconds."""
        return max((delivery.flight_s for delivery in self.deliveries), default=0.0)

    def _by_weight(self, request: Request, lot: random.Random, times_seen: int) -> Fault:
        if request.method == "GET" and lot.random() < SPARED_QUESTIONS:
            return Fault.NONE
        fault = lot.choices(list(self._weights), list(self._weights.values()))[0]
        return fault if fault in ANSWERED or times_seen < UNANSWERED_TIMES_MAX else Fault.NONE

    async def _serve(self) -> None:
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        # A connection of its own for every delivery: one kept alive may be closed just then, a fault of nobody's choosing.
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        timeout = aiohttp.ClientTimeout(total=UPSTREAM_WITHIN_S)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, trust_env=False, auto_decompress=False
        ) as session:
            self._session = session
            self._ready.set()
            await self._ended.wait()
            for task in list(self._late):
                task.cancel()
            await asyncio.gather(*self._late, return_exceptions=True)
            await runner.cleanup()

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        self._under_way += 1
        try:
            return await self._meet(incoming)
        finally:
            self._under_way -= 1

    async def _meet(self, incoming: web.Request) -> web.StreamResponse:
        arrived_s = time.monotonic()
        request = Request(
            incoming.method, incoming.raw_path, tuple(incoming.headers.items()), await incoming.read()
        )
        name = self._names.of(request)
        times_seen = self._seen[name]
        self._seen[name] += 1
        lot = random.Random(f"{self.seed}/{self.label}/{name}/{times_seen}")
        fault = self.choose(request, lot) if self.choose else self._by_weight(request, lot, times_seen)
        self.met[fault] += 1

        async def deliver() -> Delivery:
            return await self._deliver(request, name, fault, arrived_s)

        match fault:
            case Fault.NONE:
                return self._pass_on(incoming, await deliver())
            case Fault.DELAY:
                await asyncio.sleep(lot.uniform(*self._delay_s))
                return self._pass_on(incoming, await deliver())
            case Fault.DUPLICATE:
                if lot.random() < 0.5:
                    answers = await asyncio.gather(deliver(), deliver())
                else:
                    answers = [await deliver(), await deliver()]
                return self._pass_on(incoming, answers[lot.randrange(2)])
            case Fault.DROP_ANSWER:
                await deliver()
                return hang_up(incoming)
            case Fault.CLOSE_BEFORE:
                return hang_up(incoming)
            case Fault.ERROR_AFTER:
                await deliver()
                page, content_type = lot.choice([(GATEWAY_PAGE, "text/html"), (API_ERROR, "application/json")])
                return web.Response(status=500, body=page, content_type=content_type)
            case Fault.LATE_AGAIN:
                delivery = await deliver()
                self._deliver_late(request, name, fault, arrived_s, lot.uniform(*self._late_s))
                return self._pass_on(incoming, delivery) if lot.random() < 0.5 else hang_up(incoming)
            case Fault.LATE_FIRST:
                self._deliver_late(request, name, fault, arrived_s, lot.uniform(*self._late_s))
                return hang_up(incoming)

    def _deliver_late(self, request: Request, name: str, fault: Fault, arrived_s: float, late_s: float) -> None:
        async def wait_and_deliver() -> None:
            await asyncio.sleep(late_s)
            await self._deliver(request, name, fault, arrived_s)

        task = asyncio.get_running_loop().create_task(wait_and_deliver())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _deliver(self, request: Request, name: str, fault: Fault, arrived_s: float) -> Delivery:
        headers = [(name_, value) for name_, value in request.headers if name_.lower() not in NOT_PASSED_ON]
        status, answer = None, b""
        try:
            async with self._session.request(
                request.method,
                URL(self.upstream + request.target, encoded=True),
                headers=headers,
                data=request.body or None,
                allow_redirects=False,
            ) as response:
                answer = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            # The upstream is gone or hangs: the client is hung up on, as any gateway would.
            pass
        delivery = Delivery(request, name, fault, time.monotonic() - arrived_s, status, answer)
        self._names.learn(delivery)
        self.deliveries.append(delivery)
        return delivery

    def _pass_on(self, incoming: web.Request, delivery: Delivery) -> web.StreamResponse:
        if delivery.status is None:
            return hang_up(incoming)
        return web.Response(status=delivery.status, body=delivery.answer, content_type="application/json")


def hang_up(incoming: web.Request) -> web.Response:
    """Closes the connection with no answer; what is returned has nobody to go to."""
    if incoming.transport is not None:
        incoming.transport.abort()
    return web.Response()
