"""localstripe (PyPI, GPL-3) as the PSP of Pay Once: a Stripe double that nobody here wrote and that ignores idempotency
keys, so that a request sent twice is carried out twice.

Run as a program this file serves localstripe's application in a process of its own, on the loopback interface alone and
with its books in memory (by itself it listens on all interfaces and keeps a pickle in the temporary directory). Imported,
it starts that process and reads its books. localstripe itself is not changed and not copied. Where it lacks what Stripe
documents and Pay Once's driver asks for, three things are added around it. Each says what localstripe already knows; none
decides what a request does (and a fourth only makes lists quicker):

1. `confirm` with `payment_method`: localstripe answers 500 “Not implemented” to the member itself. Here it may be
   there if it names the method that the PaymentIntent has anyway; any other is still refused.
2. `amount_received`: localstripe's PaymentIntent has none. It is its charge's amount less what localstripe gave back of it
   (it books a partial capture as a whole one and a refund of the rest). Webhooks have it too, under localstripe's signature.
3. A refused call on a PaymentIntent: Stripe puts the PaymentIntent into the error as `payment_intent`, localstripe says
   “Bad request”. Here the object is added, as it is at that moment, unless `bare_refusals` asks for localstripe as it is.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from fault_proxy import Delivery, Fault, FaultProxy, Names, Request
from processes import Process
from server import Client, operators, start_server

API_KEY = "sk_test_peers"
PUBLIC_KEY = "pk_test_peers"
WEBHOOK_SECRET = "whsec_peers"
CARD_GOOD = "4242424242424242"
CARD_DECLINED = "4000000000000341"
CARD_3D_SECURE = "4000002760003184"
# The longest list that is asked for: localstripe has no bound of its own.
EVERYTHING = "1000000"
READ_WITHIN_S = 60.0

# No `keyed_horizon_ms`: localstripe honours no key. No `lookup_lag_ms`: it lists without the filters that a look-up needs.
# So the PaymentIntent is made and journalled first, and only calls addressed to it move money.
CONFIG = """\
open_merchant = "shop"

[merchants.shop]
psp = "stripe"

[psps.stripe]
face = "stripe"
base_url = "{base_url}"
api_key_env = "PEERS_PSP_KEY"
webhook_secret_env = "PEERS_WEBHOOK_SECRET"
addressable = true
prepare_first = true

[psps.stripe.timing]
send_window_ms = 1000
call_timeout_ms = 3000
max_in_flight_ms = {max_in_flight_ms}
max_clock_skew_ms = 100
action_timeout_ms = {action_timeout_ms}
# Nobody is declined because a fault took long: each payment is to end as its card says.
authorize_retry_ms = 600000
"""


@dataclass
class Account:
    """What localstripe's books hold under one attempt's name."""

    intents: list[dict[str, Any]] = field(default_factory=list)
    charges: list[dict[str, Any]] = field(default_factory=list)
    # Every movement of money, by localstripe's balance: what was taken, and what was given back.
    taken_minor: list[int] = field(default_factory=list)
    given_back_minor: list[int] = field(default_factory=list)

    def authorized(self) -> int:
        """How many authorizations were ever granted."""
        return sum(charge["status"] == "succeeded" for charge in self.charges)

    def declined(self) -> int:
        """How many charges the card refused."""
        return sum(charge["status"] == "failed" for charge in self.charges)

    def captured(self) -> int:
        """How many charges were captured."""
        return sum(charge["status"] == "succeeded" and charge["captured"] for charge in self.charges)

    def held(self) -> int:
        """How many authorizations hold money still: granted, neither captured nor released."""
        return sum(intent["status"] == "requires_capture" for intent in self.intents)

    def moved_minor(self) -> int:
        """What the customer paid in the end, in minor units."""
        return sum(self.taken_minor) + sum(self.given_back_minor)

    def statuses(self) -> list[str]:
        """The status of each PaymentIntent that was ever acted on (the others hold nothing and never did)."""
        untouched = ("requires_confirmation",)
        return sorted(intent["status"] for intent in self.intents if intent["status"] not in untouched)


class Books:
    """localstripe's own account of things, asked for directly: nothing of ours is between."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def call(self, method: str, path: str, form: dict[str, str] | None = None) -> Any:
        """One request that must succeed."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {API_KEY}"
            answer = session.request(method, self.base_url + path, data=form, timeout=READ_WITHIN_S)
        assert answer.ok, f"localstripe: {method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def all(self, what: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        listing = self.call("GET", f"/v1/{what}?limit={EVERYTHING}")
        assert not listing["has_more"]
        return listing["data"]

    def accounts(self) -> dict[str, Account]:
        """The books, by the name that each PaymentIntent was given. To be asked for when nothing is under way."""
        accounts: dict[str, Account] = defaultdict(Account)
        name_of = {}
        for intent in self.all("payment_intents"):
            name = name_of[intent["id"]] = intent["metadata"].get("attempt_id", "nobody's")
            accounts[name].intents.append(intent)
        of_charge = {}
        for charge in self.all("charges"):
            name = of_charge[charge["id"]] = name_of.get(charge["payment_intent"], "nobody's")
            accounts[name].charges.append(charge)
        of_refund = {refund["id"]: of_charge[refund["charge"]] for refund in self.all("refunds")}
        for movement in self.all("balance_transactions"):
            if movement["type"] == "charge":
                accounts[of_charge[movement["source"]]].taken_minor.append(movement["amount"])
            else:
                accounts[of_refund[movement["source"]]].given_back_minor.append(movement["amount"])
        return accounts

    def account(self, attempt_id: str) -> Account:
        """One attempt's."""
        return self.accounts().get(attempt_id, Account())

    def payment_method(self, card_number: str) -> str:
        """A token for a card."""
        card = {"number": card_number, "exp_month": "12", "exp_year": "2035", "cvc": "123"}
        form = {"type": "card", **{f"card[{name}]": value for name, value in card.items()}}
        return self.call("POST", "/v1/payment_methods", form)["id"]

    def authenticate(self, attempt_id: str, *, success: bool) -> None:
        """What the customer's bank does in the end: finishes the 3-D Secure of the attempt's PaymentIntent."""
        intents = [i for i in self.all("payment_intents") if i["metadata"].get("attempt_id") == attempt_id]
        waiting = [intent for intent in intents if intent["status"] == "requires_action"]
        assert len(waiting) == 1, f"{attempt_id}: {len(waiting)} PaymentIntents wait for 3-D Secure"
        intent = waiting[0]
        form = {
            "key": PUBLIC_KEY,
            "client_secret": intent["client_secret"],
            "success": str(success).lower(),
        }
        self.call("POST", f"/v1/payment_intents/{intent['id']}/_authenticate", form)


@dataclass
class World:
    """Pay Once, localstripe, and a proxy on each way between them."""

    server: Process
    client: Client
    operators: Client
    books: Books
    # From Pay Once to localstripe.
    calls: FaultProxy
    # From localstripe to Pay Once.
    webhooks: FaultProxy
    max_in_flight_ms: int


class IntentNames(Names):
    """Calls to localstripe, which draws its ids by chance: a request is called by the attempt's name, the same in every run."""

    def __init__(self) -> None:
        self._attempts: dict[str, str] = {}

    def of(self, request: Request) -> str:
        """The key (it has the attempt's name in it), or what is read of which attempt."""
        intent_id = request.target.split("?")[0].rsplit("/", 1)[-1]
        read = f"{request.method} {self._attempts[intent_id]}" if intent_id in self._attempts else super().of(request)
        return request.header("idempotency-key") or read

    def learn(self, delivery: Delivery) -> None:
        """Which PaymentIntent was made for which attempt."""
        if delivery.request.target == "/v1/payment_intents" and delivery.status == 200:
            intent = json.loads(delivery.answer)
            self._attempts[intent["id"]] = intent["metadata"].get("attempt_id", "nobody's")


class EventNames(Names):
    """localstripe's webhooks: called by what they are and whose."""

    def of(self, request: Request) -> str:
        """The event's type and the attempt."""
        event = json.loads(request.body)
        return f"{event['type']} {event['data']['object']['metadata'].get('attempt_id')}"


@contextmanager
def place(
    directory: Path,
    *,
    seed: int = 0,
    weights: Mapping[Fault, float] | None = None,
    webhooks: bool = True,
    max_in_flight_ms: int = 12_000,
    action_timeout_ms: int = 3_600_000,
    bare_refusals: bool = False,
) -> Iterator[World]:
    """All of it, on loopback; without `weights` nothing goes wrong unless a test's script says so."""
    quiet = {Fault.NONE: 1.0}
    with ExitStack() as stack:
        localstripe = stack.enter_context(start_localstripe(bare_refusals=bare_refusals))
        books = Books(localstripe.ready)
        calls = stack.enter_context(
            FaultProxy(localstripe.ready, seed=seed, weights=weights or quiet, names=IntentNames())
        )
        config = CONFIG.format(
            base_url=calls.url, max_in_flight_ms=max_in_flight_ms, action_timeout_ms=action_timeout_ms
        )
        secrets = {"PEERS_PSP_KEY": API_KEY, "PEERS_WEBHOOK_SECRET": WEBHOOK_SECRET}
        server = stack.enter_context(start_server(directory, config=config, secrets=secrets))
        news = stack.enter_context(
            FaultProxy(server.ready, seed=seed, label="webhooks", weights=weights or quiet, names=EventNames())
        )
        if webhooks:
            form = {"url": f"{news.url}/webhooks/stripe", "secret": WEBHOOK_SECRET}
            books.call("POST", "/_config/webhooks/pay-once", form)
        yield World(server, Client(server.ready), operators(server), books, calls, news, max_in_flight_ms)


def start_localstripe(*, bare_refusals: bool = False) -> Process:
    """localstripe, in a process of its own; `.ready` is its base URL. `bare_refusals`: its refusals show no state."""
    return Process(
        [sys.executable, __file__, *(["--bare-refusals"] if bare_refusals else [])],
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        ready=r"localstripe on (http://\S+)",
    )


async def serve(*, bare_refusals: bool) -> None:
    """Serves localstripe until the process is ended. Only here is localstripe loaded."""
    from aiohttp import web
    from localstripe import resources
    from localstripe.errors import UserError

    intents = resources.PaymentIntent
    # Its books stay in memory: by itself it writes them to the temporary directory at every change.
    resources.Store.dump_to_disk = lambda _store: None

    # Every object shows its refunds, and looks through the whole store for them: here through its own kind alone.
    kinds: dict[str, dict[str, Any]] = defaultdict(dict)
    look_through = resources.StripeObject._api_list_all.__func__

    def keep(store: dict[str, Any], key: str, value: Any) -> None:
        dict.__setitem__(store, key, value)
        kinds[key.split(":")[0]][key] = value

    def look_through_its_kind(cls: Any, *url_and_page: Any, **form: Any) -> Any:
        whole, resources.store = resources.store, kinds[cls.object]
        try:
            return look_through(cls, *url_and_page, **form)
        finally:
            resources.store = whole

    resources.Store.__setitem__ = keep
    resources.StripeObject._api_list_all = classmethod(look_through_its_kind)

    def confirm(id: str, payment_method: str | None = None, **form: Any) -> Any:
        known = intents._api_retrieve(id).payment_method
        if payment_method is not None and known is not None and payment_method != known:
            raise UserError(500, "Not implemented")
        return intents._api_confirm(id, **form)

    def amount_received(intent: Any) -> int:
        charge = intent.latest_charge
        if charge is None or charge.status != "succeeded" or not charge.captured:
            return 0
        return charge.amount - charge.amount_refunded

    @web.middleware
    async def state_in_refusals(request: web.Request, handler: Any) -> web.StreamResponse:
        answer = await handler(request)
        addressed = re.fullmatch(r"/v1/payment_intents/(\w+)/(?:confirm|capture|cancel)", request.path)
        if addressed is None or not 400 <= answer.status < 500:
            return answer
        intent = resources.store.get(f"payment_intent:{addressed.group(1)}")
        if intent is None:
            return answer
        body = json.loads(answer.text)
        body["error"]["payment_intent"] = intent._export()
        return web.json_response(body, status=answer.status)

    intents.amount_received = property(amount_received)
    resources.extra_apis[:] = [
        (method, path, confirm if path == "/v1/payment_intents/{id}/confirm" else carry_out)
        for method, path, carry_out in resources.extra_apis
    ]
    # Made when it is imported, from the table above.
    from localstripe.server import app

    if not bare_refusals:
        app.middlewares.insert(0, state_in_refusals)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"localstripe on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(bare_refusals="--bare-refusals" in sys.argv))
