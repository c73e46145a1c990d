"""Every request that Pay Once's Stripe driver can write, held to the typed parameters of Stripe's official SDK.

The SDK of the API version that the driver asks for is generated from Stripe's description of that version. Each of the driver's
calls must be a call there, and each parameter must be declared for it, with a type that allows the value. The requests are the
golden file of core's newest wire form, and a table of what that file does not have.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from stripe_declared import declared_by, pinned_python

CORE = Path(__file__).parents[2] / "core"
DRIVER = CORE / "src" / "psp" / "stripe.rs"
ERRORS = CORE / "src" / "psp" / "stripe_errors.rs"
# The base URL of the PSP in core's tests.
BASE = "http://psp.test"
REFUSED_LATER = "payment_method_types"
# The golden files have the calls that move money, and of those not the one that prepares a PaymentIntent. The others are these, as
# core/tests/it has them: wire_stripe.rs (the prepared PaymentIntent, the read by id, the list), looking.rs (smaller pages),
# rules_lookup.rs (later pages), events.rs (the refunds of a PaymentIntent); the reads of a refund and of a dispute by their ids are in
# the driver's source alone.
# `test_no_request_of_the_driver_is_left_out` fails when that has a path or a parameter that neither the golden file nor this table has.
OTHERS = [
    "POST /v1/payment_intents amount=2599&currency=gbp&capture_method=manual&payment_method_types%5B%5D=card"
    "&payment_method=pm_card_visa&metadata%5Battempt_id%5D=pa_1&expand%5B%5D=latest_charge",
    "GET /v1/payment_intents/pi_3N00001?expand%5B%5D=latest_charge",
    "GET /v1/payment_intents?limit=100&created%5Bgte%5D=1764160494&created%5Blte%5D=1764160620",
    "GET /v1/payment_intents?limit=10&created%5Bgte%5D=1764160494&created%5Blte%5D=1764160620&starting_after=pi_1",
    "GET /v1/refunds?limit=100&payment_intent=pi_9",
    "GET /v1/refunds?limit=1&payment_intent=pi_9&starting_after=re_1",
    "GET /v1/refunds/re_1",
    "GET /v1/disputes/dp_1",
]


@dataclass(frozen=True)
class Written:
    """A request of the driver's."""

    method: str
    path: str
    # The form of a POST, or the query of a GET.
    form: str
    # The header `stripe-version`.
    version: str | None

    @property
    def call(self) -> str:
        """The method, and the path with `{}` for ids."""
        return f"{self.method} {re.sub(r'/(?:pi|re|dp)_[^/]+', '/{}', self.path)}"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The parameters as they are written."""
        return parse_qsl(self.form, keep_blank_values=True, strict_parsing=True) if self.form else []


def golden_requests(text: str) -> list[Written]:
    """Stripe's requests of a golden file: a line with method and URL, headers, an empty line, a body."""
    found = []
    for block in re.split(r"^(?=(?:GET|POST) )", text, flags=re.MULTILINE)[1:]:
        head, body = block.split("\n\n", 1)
        first, *lines = head.splitlines()
        headers = dict(line.split(": ", 1) for line in lines)
        method, url = first.split(" ")
        # The acquirer's requests are in the same file; its face has no /v1.
        if url.startswith(f"{BASE}/v1/"):
            found.append(Written(method, url.removeprefix(BASE), body.split("\n")[0], headers.get("stripe-version")))
    return found


def newest_golden() -> Path:
    """The golden file of the newest wire form."""
    return max((CORE / "tests" / "golden" / "wire").glob("form_*.txt"), key=lambda file: int(file.stem.split("_")[1]))


def driver_version() -> str:
    """The version that the driver's source names."""
    (version,) = re.findall(r'const VERSION: &str = "([^"]+)"', DRIVER.read_text())
    return version


def all_requests() -> list[Written]:
    """The golden file's, and the table's."""
    others = []
    for line in OTHERS:
        method, target = line.split(" ", 1)
        path, form = (*re.split(r"[ ?]", target, maxsplit=1), "")[:2]
        others.append(Written(method, path, form, driver_version()))
    return golden_requests(newest_golden().read_text()) + others


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`a=1&b[c]=2&d[]=3` as Stripe reads it: texts, objects and lists."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        first, *inner = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        node: Any = tree
        for at, after in zip([first, *inner], [*inner, None], strict=True):
            last = after is None
            fresh = value if last else [] if after == "" else {}
            if at == "":
                node.append(fresh)
                node = fresh
            else:
                assert not (last and at in node), f"{name} comes twice"
                node = node.setdefault(at, fresh)
    return tree


def complaints(value: Any, declared: Any, where: str) -> list[str]:
    """What is wrong with a value of a form where Stripe declares `declared`; empty when nothing is."""
    if isinstance(declared, dict) and "union" in declared:
        kinds = declared["union"]
        # Open enumerations are declared as their known words or any text: only known words are right here.
        if any("literal" in kind for kind in kinds if isinstance(kind, dict)):
            kinds = [kind for kind in kinds if kind != "str"]
        found = [complaints(value, kind, where) for kind in kinds]
        return [] if [] in found else min(found, key=len)
    if isinstance(declared, dict) and "object" in declared:
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        members = declared["object"]
        missing = [f"{where}: {name} is missing" for name in declared["required"] if name not in value]
        unknown = [f"{where}: {name} is not declared" for name in value if name not in members]
        known = [(name, part) for name, part in value.items() if name in members]
        return missing + unknown + [line for name, part in known for line in complaints(part, members[name], f"{where} {name}")]
    if isinstance(declared, dict) and "list" in declared:
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        return [line for part in value for line in complaints(part, declared["list"], where)]
    if isinstance(declared, dict) and "dict" in declared:
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        return [line for name, part in value.items() for line in complaints(part, declared["dict"], f"{where}[{name}]")]
    if not isinstance(value, str):
        return [f"{where}: {value!r} is not {declared}"]
    if isinstance(declared, dict):
        return [] if value in declared["literal"] else [f"{where}: {value!r} is none of {declared['literal']}"]
    forms = {"int": r"-?\d+", "float": r"-?\d+(\.\d+)?", "bool": "true|false", "str": r"[\s\S]+"}
    return [] if re.fullmatch(forms[declared], value) else [f"{where}: {value!r} is not {declared}"]


def judge(requests: list[Written], sdk: dict[str, Any]) -> list[str]:
    """What Stripe's SDK does not allow of the requests; each complaint once."""
    found: dict[str, None] = {}
    for request in requests:
        if request.version != sdk["api_version"]:
            found[f"{request.call}: version {request.version}, the SDK's is {sdk['api_version']}"] = None
        declared = sdk["calls"].get(request.call)
        if declared is None:
            found[f"{request.call}: no such call"] = None
            continue
        found |= dict.fromkeys(complaints(nested(request.pairs), declared, request.call))
    return list(found)


@pytest.fixture(name="pinned", scope="module")
def fixture_pinned() -> dict[str, Any]:
    """What the SDK of the driver's API version declares."""
    return declared_by(pinned_python())


@pytest.fixture(name="newest", scope="module")
def fixture_newest() -> dict[str, Any]:
    """What the SDK of the other tests declares."""
    return declared_by(sys.executable)


def test_the_sdk_is_of_the_version_that_the_driver_asks_for(pinned: dict[str, Any]) -> None:
    """The driver's source, each request of the golden file and the SDK name one version."""
    assert driver_version() == pinned["api_version"]
    golden = golden_requests(newest_golden().read_text())
    assert {request.version for request in golden} == {pinned["api_version"]}


def test_every_parameter_is_declared_by_stripe(pinned: dict[str, Any]) -> None:
    """All calls of the driver, all parameters, with their types."""
    assert judge(all_requests(), pinned) == []


def test_no_request_of_the_driver_is_left_out() -> None:
    """Each path and each parameter in the driver's source is one of the requests that are judged, and the other way round."""
    writing, reading = DRIVER.read_text().split("pub(super) fn read(")
    assert "/v1/" not in reading
    paths = set(re.findall(r'"(/v1/[^"?]*)', writing))
    names = set(re.findall(r'\(\s*"([a-z_]+(?:\[[a-z_]*\])?)",', writing))
    judged = all_requests()
    assert {request.call.split(" ")[1] for request in judged} == paths
    assert {name for request in judged for name, _ in request.pairs} == names


CREATE = "amount=1&currency=gbp&capture_method=manual&payment_method_types%5B%5D=card&confirm=true"


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        (f"POST /v1/payment_intents {CREATE}&colour=red", "colour is not declared"),
        # Options of the SDK's own are no parameters.
        (f"POST /v1/payment_intents {CREATE}&idempotency_key=k", "idempotency_key is not declared"),
        (f"POST /v1/payment_intents {CREATE}&metadata%5B%5D=x", "metadata: ['x'] is no object"),
        (f"POST /v1/payment_intents {CREATE}&radar_options%5Bcolour%5D=x", "radar_options: colour is not declared"),
        (f"POST /v1/payment_intents {CREATE}&expand=latest_charge", "expand: 'latest_charge' is no list"),
        ("POST /v1/payment_intents " + CREATE.replace("manual", "later"), "capture_method: 'later' is none of"),
        ("POST /v1/payment_intents " + CREATE.replace("amount=1", "amount=1.5"), "amount: '1.5' is not int"),
        ("POST /v1/payment_intents " + CREATE.replace("amount=1", "amount="), "amount: '' is not int"),
        ("POST /v1/payment_intents " + CREATE.replace("true", "yes"), "confirm: 'yes' is not bool"),
        ("POST /v1/payment_intents " + CREATE.replace("currency=gbp&", ""), "currency is missing"),
        ("POST /v1/payment_intents " + CREATE.replace("%5B%5D", ""), "payment_method_types: 'card' is no list"),
        ("POST /v1/payment_intents/pi_1/confirm metadata%5Battempt_id%5D=pa_1", "metadata is not declared"),
        ("POST /v1/payment_intents/pi_1/capture amount=1", "amount is not declared"),
        ("POST /v1/payment_intents/pi_1/cancel cancellation_reason=expired", "cancellation_reason: 'expired' is none of"),
        ("POST /v1/payment_intents/pi_1/void ", "no such call"),
        ("DELETE /v1/refunds/re_1 ", "no such call"),
        ("GET /v1/payment_intents created%5Bsince%5D=1", "created: since is not declared"),
        ("GET /v1/payment_intents created%5Bgte%5D=today", "gte: 'today' is not int"),
        ("GET /v1/refunds created%5Bgte%5D=1&after=re_1", "after is not declared"),
    ],
)
def test_a_planted_mistake_is_found(pinned: dict[str, Any], planted: str, words: str) -> None:
    """The judge of this file does judge: one mistake is one complaint, about that mistake."""
    method, path, form = planted.split(" ")
    [complaint] = judge([Written(method, path, form, pinned["api_version"])], pinned)
    assert words in complaint


def test_another_version_is_found(pinned: dict[str, Any]) -> None:
    """A golden file of another version, or of none, is not judged by this SDK."""
    golden = newest_golden().read_text()
    for other in ("stripe-version: 2026-08-26.dahlia\n", ""):
        changed = golden_requests(re.sub(r"stripe-version: .*\n", other, golden))
        assert changed != []
        found = [line for line in judge(changed, pinned) if ": version " in line]
        assert len(found) == len({request.call for request in changed})


def test_later_versions_refuse_a_parameter_of_ours(newest: dict[str, Any], pinned: dict[str, Any]) -> None:
    """The reason for the pin: from 2026-09-30.endive on Stripe has no `payment_method_types` on a PaymentIntent's create and
    confirm. All else that the driver sends is still declared. If Stripe takes it back, or drops more, the pin is to be thought
    about again."""
    if newest["api_version"] < "2026-09-30":
        pytest.skip(f"the newest SDK here is of {newest['api_version']}, which still takes {REFUSED_LATER}")
    for call in ("POST /v1/payment_intents", "POST /v1/payment_intents/{}/confirm"):
        assert REFUSED_LATER in pinned["calls"][call]["object"]
        assert REFUSED_LATER not in newest["calls"][call]["object"]
    as_newest = [replace(request, version=newest["api_version"]) for request in all_requests()]
    assert judge(as_newest, newest) == [f"POST /v1/payment_intents: {REFUSED_LATER} is not declared"]


# Errors that the SDK tells by the HTTP status alone: the row that has them.
BY_STATUS = {"permission_error": "403"}


def rows(source: str) -> list[str]:
    """The left column of the table in the driver's doc comment."""
    return [line.split("|")[1] for line in source.splitlines() if line.startswith("//! |")][2:]


def left_out(source: str, errors: list[str]) -> list[str]:
    """The types of errors that the table does not name."""
    words = {word for row in rows(source) for word in re.findall(r"`(\w+)`|\b(\d{3})\b", row) for word in word if word}
    return [error for error in errors if BY_STATUS.get(error, error) not in words]


def test_every_type_of_error_has_a_row(newest: dict[str, Any], pinned: dict[str, Any]) -> None:
    """The table of `stripe_errors.rs` names each type of error that Stripe's SDK knows, of both versions."""
    source = ERRORS.read_text()
    documented = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}
    for sdk in (pinned, newest):
        assert documented < set(sdk["errors"])
        assert left_out(source, sdk["errors"]) == []


def test_a_type_without_a_row_is_found(pinned: dict[str, Any]) -> None:
    """The test above can fail: it does for a new type, and for each type whose row is gone."""
    source = ERRORS.read_text()
    assert left_out(source, [*pinned["errors"], "weather_error"]) == ["weather_error"]
    for error in pinned["errors"]:
        word = BY_STATUS.get(error, error)
        without = "\n".join(line for line in source.splitlines() if word not in line or not line.startswith("//! |"))
        assert error in left_out(without, pinned["errors"])
