"""Forged, stale, broken and unreadable webhooks, against the embedded server: refused, by a documented code, and nothing has
changed. Beside them what only looks like that, and is genuine.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from test_webhook_security import (  # noqa: F401 (fixtures are asked for by name)
    AMOUNT_MINOR,
    OTHERS,
    SECRETS,
    Sent,
    World,
    fixture_world,
    signature,
    signed,
    written_anew,
)

# Defaults of the server (core/src/base/limits.rs, core/src/base/config.rs): largest webhook, and how far its time may be from now.
BODY_BYTES_MAX = 1024 * 1024
TOLERANCE_S = 300
# What noise of the machine may take of a tolerance, in seconds.
SLACK_S = 30
# How long the server may take for one forged webhook, whatever is in it, in seconds. Debug builds hash slowly.
FORGED_WITHIN_S = 10.0


def documented_codes() -> dict[int, set[str]]:
    """Error codes by status, from the table in the project's README."""
    codes: dict[int, set[str]] = {}
    for line in (Path(__file__).parents[2] / "README.md").read_text().splitlines():
        # What is in parentheses explains a code.
        if row := re.fullmatch(r"\| ([\d, ]+) \| ([A-Z_,; ]+) \|", re.sub(r" \([^)]*\)", "", line)):
            # "401, 402 | UNAUTHORIZED; DECLINED": the groups are the statuses' in their order.
            for status, group in zip(row[1].split(", "), row[2].split("; "), strict=True):
                codes[int(status)] = set(group.split(", "))
    return codes


def _tags(header: str) -> tuple[str, str]:
    """The `t` and the `v1` of a signature header."""
    time_tag, mac_tag = header.split(",")
    return time_tag, mac_tag


def _now_with(tail: str) -> str:
    return f"t={int(time.time())},{tail}"


def _moved(body: bytes) -> Sent:
    return signed(body, f"t={int(time.time())},{_tags(signature(body, age_s=TOLERANCE_S + SLACK_S))[1]}")


def _two_lines(*values: str) -> list[tuple[str, str | bytes]]:
    return [("Stripe-Signature", value) for value in values]


def _changed(body: bytes, change: Callable[[bytes], bytes]) -> Sent:
    assert change(body) != body
    return signed(change(body), signature(body))


def _with_intent(body: bytes, **members: Any) -> Sent:
    whole = json.loads(body)
    whole["data"]["object"].update(members)
    return signed(json.dumps(whole).encode())


FORGED = "WEBHOOK_SIGNATURE_INVALID"
UNREADABLE = "WEBHOOK_INVALID"
ATTACKS: dict[str, tuple[str, Callable[[bytes], Sent]]] = {
    "another secret": (FORGED, lambda body: signed(body, signature(body, "whsec_guess"))),
    "the other PSP's secret": (FORGED, lambda body: signed(body, signature(body, OTHERS))),
    "an empty secret": (FORGED, lambda body: signed(body, signature(body, ""))),
    "unsigned": (FORGED, lambda body: Sent([], body)),
    "an empty header": (FORGED, lambda body: signed(body, "")),
    "stale": (FORGED, lambda body: signed(body, signature(body, age_s=TOLERANCE_S + 1))),
    "from 1970": (FORGED, lambda body: signed(body, signature(body, age_s=int(time.time())))),
    "from the future": (FORGED, lambda body: signed(body, signature(body, age_s=-TOLERANCE_S - SLACK_S))),
    "stale, its time moved": (FORGED, _moved),
    "cut short": (FORGED, lambda body: _changed(body, lambda body: body[: len(body) // 2])),
    "a byte more": (FORGED, lambda body: _changed(body, lambda body: body + b" ")),
    "written anew": (FORGED, lambda body: _changed(body, written_anew)),
    "another amount": (FORGED, lambda body: _changed(body, lambda body: body.replace(b" 500,", b" 501,", 1))),
    "scheme v0": (FORGED, lambda body: signed(body, signature(body).replace("v1=", "v0="))),
    "scheme V1": (FORGED, lambda body: signed(body, signature(body).replace("v1=", "V1="))),
    "many v1, all wrong": (FORGED, lambda body: signed(body, _now_with(",".join(["v1=" + "0" * 64] * 100)))),
    "no time": (FORGED, lambda body: signed(body, _tags(signature(body))[1])),
    "another time first": (FORGED, lambda body: signed(body, f"t={int(time.time()) - 1},{signature(body)}")),
    "a time of words": (FORGED, lambda body: signed(body, re.sub(r"t=\d+", "t=now", signature(body)))),
    "a negative time": (FORGED, lambda body: signed(body, signature(body).replace("t=", "t=-"))),
    "a time without end": (FORGED, lambda body: signed(body, re.sub(r"t=\d+", "t=" + "9" * 5000, signature(body)))),
    "the last time of all": (FORGED, lambda body: signed(body, re.sub(r"t=\d+", f"t={2**64 - 1}", signature(body)))),
    "half a signature": (FORGED, lambda body: signed(body, signature(body)[:-32])),
    "a signature and more": (FORGED, lambda body: signed(body, signature(body) + "00")),
    "an empty v1": (FORGED, lambda body: signed(body, _now_with("v1="))),
    "no hexadecimal": (FORGED, lambda body: signed(body, _now_with("v1=" + "g" * 64))),
    "only commas": (FORGED, lambda body: signed(body, "," * 1000)),
    "no ASCII": (FORGED, lambda body: signed(body, signature(body).encode() + b",v2=\xff\xe9")),
    "huge": (FORGED, lambda body: signed(body, _now_with("x=" + "y" * 20_000))),
    "two lines, both forged": (FORGED, lambda body: Sent(_two_lines(*[signature(body, "whsec_guess")] * 2), body)),
    "two halves in two lines": (FORGED, lambda body: Sent(_two_lines(*_tags(signature(body))), body)),
    "in the acquirer's header": (FORGED, lambda body: Sent([("Acquirer-Signature", signature(body))], body)),
    "for another PSP": (FORGED, lambda body: signed(body, path="/webhooks/other")),
    "for a PSP without secret": (FORGED, lambda body: signed(body, signature(body, ""), path="/webhooks/mute")),
    "for nobody": ("UNKNOWN_PSP", lambda body: signed(body, path="/webhooks/nobody")),
    "for a PSP of another case": ("UNKNOWN_PSP", lambda body: signed(body, path="/webhooks/Stripe")),
    "further down": ("NOT_FOUND", lambda body: signed(body, path="/webhooks/stripe/more")),
    "by PUT": ("METHOD_NOT_ALLOWED", lambda body: signed(body, method="PUT")),
    "oversized": ("BODY_TOO_LARGE", lambda body: signed(body + b" " * (BODY_BYTES_MAX + 1 - len(body)))),
    "empty and unsigned": (FORGED, lambda _: Sent([], b"")),
    "empty": (UNREADABLE, lambda _: signed(b"")),
    "no JSON": (UNREADABLE, lambda _: signed(b"type=payment_intent.succeeded")),
    "no UTF-8": (UNREADABLE, lambda body: signed(body.replace(b'"pi_', b'"pi_\xff'))),
    "half of the JSON": (UNREADABLE, lambda body: signed(body[:-1])),
    "two events in one": (UNREADABLE, lambda body: signed(body + body)),
    "nested without end": (UNREADABLE, lambda _: signed(b'{"type":"payment_intent.x","data":' + b"[" * 100_000)),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_changes_nothing(world: World, name: str) -> None:
    """A documented refusal that gives nothing away; then the genuine webhook is believed."""
    wanted, attack = ATTACKS[name]
    attempt_id = world.take()
    body = world.genuine(attempt_id)
    before = world.read(attempt_id)
    answer = world.send(attack(body))
    assert answer.json["error"]["code"] == wanted, answer.body
    assert wanted in documented_codes()[answer.status]
    for secret in [*SECRETS.values(), _tags(signature(body))[1].removeprefix("v1=")]:
        assert secret.encode() not in answer.body
    assert world.read(attempt_id) == before
    world.keeps_its_secrets()
    world.ends_by(attempt_id, signed(body))


# Signed by the PSP, and JSON: nothing in them names an attempt or an object.
TAKEN: dict[str, Callable[[bytes], Sent]] = {
    "a list": lambda body: signed(b"[" + body + b"]"),
    "no type": lambda body: signed(body.replace(b'"type": "payment_intent', b'"kind": "payment_intent')),
    "no data": lambda body: signed(body.replace(b'"data"', b'"date"')),
    "no intent": lambda _: signed(b'{"type":"payment_intent.succeeded","data":{"object":[]}}'),
    "the intent of another kind of object": lambda body: _with_intent(body, id="ch_1", amount="many"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_concerns_no_attempt_is_taken_and_changes_nothing(world: World, name: str) -> None:
    """200, since Stripe repeats what is refused for days and then switches the endpoint off."""
    attempt_id = world.take()
    body = world.genuine(attempt_id)
    before = world.read(attempt_id)
    sent = TAKEN[name](body)
    assert sent.body != body
    answer = world.send(sent)
    assert (answer.status, answer.json) == (200, {"received": True})
    assert world.read(attempt_id) == before
    world.ends_by(attempt_id, signed(body))


# Signed by the PSP, about an intent of ours, in a form that cannot be read here. Of a version to come, perhaps.
ANOTHER_FORM: dict[str, Callable[[bytes], Sent]] = {
    "a negative amount": lambda body: _with_intent(body, amount=-AMOUNT_MINOR),
    "an amount in words": lambda body: _with_intent(body, amount=str(AMOUNT_MINOR)),
    "an amount in parts": lambda body: _with_intent(body, amount=AMOUNT_MINOR + 0.5),
    "an amount without end": lambda body: _with_intent(body, amount=10**30),
}


@pytest.mark.parametrize("name", ANOTHER_FORM)
def test_an_intent_in_another_form_is_read_at_the_psp(world: World, name: str) -> None:
    """What the PSP answers to the read is believed, not the event. If the PSP does not answer it, nothing changes, and the event is
    to be sent again."""
    attempt_id = world.take()
    before = world.read(attempt_id)
    sent = ANOTHER_FORM[name](world.genuine(attempt_id))
    world.psp.turn(reject_status=401, reject_calls="reads")
    try:
        answer = world.send(sent)
    finally:
        world.psp.turn(reject_status=0, reject_calls="all")
    assert (answer.status, answer.json["error"]["code"]) == (502, "PSP_READ_FAILED")
    assert "PSP_READ_FAILED" in documented_codes()[answer.status]
    assert world.read(attempt_id) == before
    world.ends_by(attempt_id, sent)
    world.keeps_its_secrets()


BELIEVED: dict[str, Callable[[bytes], Sent]] = {
    "one of several v1": lambda body: signed(
        body, _now_with(f"v1={'0' * 64},{_tags(signature(body))[1]},v1={'f' * 64}")
    ),
    "beside other schemes": lambda body: signed(body, f"v0={'0' * 64},{signature(body)},v9=x,y"),
    "almost stale": lambda body: signed(body, signature(body, age_s=TOLERANCE_S - SLACK_S)),
    "a clock that is ahead": lambda body: signed(body, signature(body, age_s=-TOLERANCE_S + SLACK_S)),
    "as large as can be": lambda body: signed(body + b" " * (BODY_BYTES_MAX - len(body))),
    "of an unknown kind": lambda body: signed(body.replace(b".amount_capturable_updated", b".of_next_year")),
}


@pytest.mark.parametrize("name", BELIEVED)
def test_what_is_genuine_is_believed(world: World, name: str) -> None:
    """The other side of each check: not one byte or second too strict."""
    attempt_id = world.take()
    world.ends_by(attempt_id, BELIEVED[name](world.genuine(attempt_id)))


def test_a_forged_webhook_is_cheap(world: World) -> None:
    """Nobody has to be known to send one: 4 kB of signatures over a large body must not keep the server from its work.

    What is signed is hashed once, however many signatures there are to compare with.
    """
    forged = signed(b"x" * BODY_BYTES_MAX, _now_with(",".join(["v1="] * 1000)))
    try:
        answer = world.send(forged, within_s=FORGED_WITHIN_S)
    except TimeoutError:
        pytest.fail(f"one forged webhook keeps the server busy for {FORGED_WITHIN_S} s and more")
    assert answer.json["error"]["code"] == FORGED
