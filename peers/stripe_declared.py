"""What a release of Stripe's official SDK declares: its API version, the typed parameters of calls, and the types of errors.

The SDK is generated from Stripe's own description of its API. Run as a program, this file prints the declarations of the SDK
in the interpreter that runs it, as JSON. Imported, it starts that program: two releases cannot be loaded into one process.

A declared type is one of `"str"`, `"int"`, `"float"`, `"bool"`, `"any"`, `{"literal": [word, …]}`, `{"list": type}`,
`{"dict": type}`, `{"union": [type, …]}` and `{"object": {name: type, …}, "required": [name, …]}`.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path
from typing import Any

# Modules of the SDK whose calls are declared.
SERVICES = ["stripe._payment_intent_service", "stripe._refund_service", "stripe._dispute_service"]
# How long loading the SDK and printing its declarations may take, in seconds.
DECLARES_WITHIN_S = 120.0


def pinned_python() -> str:
    """The interpreter of the environment that has the SDK of the driver's API version: where `./setup` put it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parent.parent / "target"))
    return str(target / "peers" / "stripe-pinned" / "bin" / "python")


def declared_by(python: str) -> dict[str, Any]:
    """The declarations of the SDK in the environment of the interpreter `python`."""
    printed = subprocess.run(
        [python, __file__],
        check=True,
        capture_output=True,
        text=True,
        timeout=DECLARES_WITHIN_S,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return json.loads(printed.stdout)


def _type(hint: Any) -> Any:
    """A hint of the SDK's as JSON."""
    import typing_extensions

    if hint is Any:
        return "any"
    if hint in (str, int, float, bool):
        return hint.__name__
    if typing_extensions.is_typeddict(hint):
        return _object(hint)
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    kind = getattr(origin, "__name__", str(origin))
    if kind in ("Literal", "typing.Literal"):
        return {"literal": list(parts)}
    if kind in ("Union", "typing.Union", "UnionType"):
        return {"union": [_type(part) for part in parts]}
    if kind == "list":
        return {"list": _type(parts[0])}
    if kind == "dict":
        return {"dict": _type(parts[1])}
    if kind in ("NotRequired", "Required"):
        return _type(parts[0])
    # `UntypedStripeObject[str]` stands for what `Dict[str, str]` beside it says.
    if kind == "UntypedStripeObject":
        return {"dict": _type(parts[0])}
    raise TypeError(f"a kind of hint that is not known here: {hint!r}")


def _object(params: Any) -> dict[str, Any]:
    """The members of a typed dictionary. Options of the request, which the SDK lets a caller mix in, are no parameters."""
    import stripe

    # The classes of parameters inherit the options; those of members inside do not.
    inherits = stripe.RequestOptions in getattr(params, "__orig_bases__", ())
    options = stripe.RequestOptions.__annotations__ if inherits else {}
    own = {name: hint for name, hint in params.__annotations__.items() if name not in options}
    # The names in the hints are those of the module of `params`.
    hints = typing.get_type_hints(type("Own", (), {"__annotations__": own}), vars(sys.modules[params.__module__]))
    required = sorted(name for name in own if name in params.__required_keys__)
    return {"object": {name: _type(hint) for name, hint in hints.items()}, "required": required}


def _calls(module_name: str) -> dict[str, Any]:
    """The calls of a service, by method and path, with the type of their parameters: from the text of the SDK's own methods."""
    tree = ast.parse(inspect.getsource(import_module(module_name)))
    modules = {
        name.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
    }
    found = {}
    for method in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        asked = [
            node
            for node in ast.walk(method)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_request"
        ]
        if not asked:
            continue
        verb, path = (_text(argument) for argument in asked[0].args[:2])
        annotation = next(a.annotation for a in method.args.args if a.arg == "params")
        (name,) = re.findall(r"\w+Params", ast.unparse(annotation))
        params = getattr(import_module(modules[name]), name)
        found[f"{verb.upper()} {re.sub(r'{[^}]*}', '{}', path)}"] = {"params": name, **_object(params)}
    return found


def _text(argument: ast.expr) -> str:
    """A text, or the text that `.format` is called on."""
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute):
        argument = argument.func.value
    assert isinstance(argument, ast.Constant) and isinstance(argument.value, str), ast.dump(argument)
    return argument.value


def _errors() -> list[str]:
    """The types of errors: what the objects that carry an error declare, and the exceptions that the SDK makes of an answer of
    /v1, by the names of their types."""
    import stripe
    from stripe._api_requestor import _APIRequestor

    types = set()
    for carrier in (stripe.PaymentIntent.LastPaymentError, stripe.SetupIntent.LastSetupError):
        # The words alone, or (in newer releases) a union of the words and any text.
        hint = carrier.__annotations__["type"]
        for words in (hint, *typing.get_args(hint)):
            types |= {word for word in typing.get_args(words) if isinstance(word, str)}
    source = inspect.getsource(_APIRequestor.specific_v1_api_error)
    for name in re.findall(r"\berror\.(\w+Error)\(", source):
        types.add(re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower())
    return sorted(types)


def main() -> None:
    """Prints the declarations."""
    import stripe

    calls = {name: call for service in SERVICES for name, call in _calls(service).items()}
    json.dump({"api_version": stripe.api_version, "calls": calls, "errors": _errors()}, sys.stdout)


if __name__ == "__main__":
    main()
