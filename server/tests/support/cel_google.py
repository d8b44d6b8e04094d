"""Google's implementation of CEL, and ours, with results in one comparable form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.cel_expressions import value_of
from trice.cel.errors import EvaluationError
from trice.cel.values import Duration, Map, Timestamp, Type, kind_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ERROR = "an error"


def ours(source: str) -> Any:
    """Our result: a plain value with its kind, or ERROR."""
    try:
        return plain(value_of(source))
    except EvaluationError:
        return ERROR


def plain(value: Any) -> Any:
    """A value with its kind; timestamps and durations in microseconds, Google's precision."""
    match value:
        case Timestamp(ns=ns):
            return ("timestamp", ns // 1000)
        case Duration(ns=ns):
            return ("duration", ns // 1000)
        case Type():
            return ("type",)
        case Map():
            return ("map", {repr(plain(key)): plain(value.get(key)) for key in value})
        case list():
            return ("list", [plain(item) for item in value])
        case float() if value != value:
            return ("double", "NaN")
        case _:
            return (kind_of(value), value)


def make_google() -> Callable[[str], Any]:
    """Evaluates as Google's library does; its values come in the form of `plain`."""
    cel = pytest.importorskip("cel_expr_python.cel")
    strings = pytest.importorskip("cel_expr_python.ext.ext_strings")
    math = pytest.importorskip("cel_expr_python.ext.ext_math")
    bindings = pytest.importorskip("cel_expr_python.ext.ext_bindings")
    extensions = [strings.ExtStrings(), math.ExtMath(), bindings.ExtBindings()]
    environment = cel.NewEnv(variables={}, extensions=extensions)

    def plain_of(value: Any) -> Any:
        kind = value.type().name().lower().partition("<")[0]
        found = value.value()
        match kind, found:
            case "error", _:
                return ERROR
            case "timestamp", _:
                return ("timestamp", (found - EPOCH) // timedelta(microseconds=1))
            case "duration", _:
                return ("duration", found // timedelta(microseconds=1))
            case "type", _:
                return ("type",)
            case "list", _:
                return ("list", [plain_of(item) for item in found])
            case "map", _:
                return ("map", {repr(plain(key)): plain_of(item) for key, item in found.items()})
            case "double", _ if found != found:
                return ("double", "NaN")
            case "bytes", _:
                return ("bytes", bytes(found))
            case _:
                return (kind, found)

    def run(source: str) -> Any:
        return plain_of(environment.compile(source, disable_check=True).eval(data={}))

    return run
