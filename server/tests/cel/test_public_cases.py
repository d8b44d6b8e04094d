"""The public conformance cases of the language: cel-spec's, as `@bufbuild/cel-spec` carries them.

Every case is run. Those of parts that ours leaves out must be refused, those where ours differs on
purpose must differ, all others must give what they say: a reason that no case needs is an error.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from support.cel_expressions import value_of
from support.cel_google import ERROR, plain
from support.patience import WAIT_S
from trice.catalog.dates import instant_us
from trice.cel.environment import Environment
from trice.cel.errors import CompileError, EvaluationError
from trice.cel.evaluate import evaluate, make_program
from trice.cel.parse import parse
from trice.cel.uint import Uint
from trice.cel.values import Budget

ROOT: Final = Path(__file__).parents[3]
READ: Final = """
import { tests } from "@bufbuild/cel-spec/testdata/conformance.js";
process.stdout.write(JSON.stringify(tests));
"""

PARTS_LEFT_OUT: Final = {
    "block_ext": "cel.block",
    "dynamic": "messages",
    "encoders_ext": "encoders",
    "enums": "messages",
    "macros2": "macros of two variables",
    "optionals": "optional values",
    "proto2": "messages",
    "proto2_ext": "messages",
    "proto3": "messages",
    "type_deductions": "types are deduced for messages of our own only",
    "wrappers": "messages",
}
"""Files of cases that are about something ours does not have (E108)."""

REFUSALS: Final = {
    "messages": "messages such as",
    "names from the root": "unexpected `.`; a value is expected",
    "names are checked": "undeclared name|unknown function",
    "known kinds are checked": "`(&&|[|][|])` takes a bool",
}
"""Reason → what the refusal says, where a case expects a value."""

DIFFERENT: Final = {
    **dict.fromkeys(
        (
            "comparisons/lt_literal/not_lt_dyn_int_big_lossy_double",
            "comparisons/gt_literal/not_gt_dyn_big_double_int",
            "comparisons/lte_literal/lte_dyn_big_double_int",
            "comparisons/gte_literal/gte_dyn_int_big_lossy_double",
        ),
        "numbers are compared exactly, as the database does",
    ),
    "fields/map_fields/map_field_select_no_such_key": "missing keys are null, as in Instant",
    **dict.fromkeys(
        (
            "timestamps/timestamp_range/from_string_over",
            "timestamps/timestamp_range/add_duration_under",
            "timestamps/timestamp_range/add_duration_over",
            "timestamps/timestamp_range/add_duration_nanos_over",
            "timestamps/timestamp_range/add_duration_nanos_under",
            "timestamps/timestamp_conversions/toString_timestamp_nanos",
            "timestamps/timestamp_arithmetic/add_time_to_duration_nanos_negative",
            "timestamps/timestamp_arithmetic/add_time_to_duration_nanos_positive",
        ),
        "dates are those an app may store: more years, microseconds",
    ),
    **dict.fromkeys(
        (
            "namespace/namespace/self_eval_container_lookup",
            "namespace/namespace/self_eval_container_lookup_unchecked",
        ),
        "rules have no container",
    ),
}
"""Case → why its value is another here."""


class LeftOut(Exception):
    """The case names a value that no expression of ours can have."""


def value_in(told: dict[str, Any]) -> Any:
    """A value as the cases write it (protobuf's JSON form of `cel.expr.Value`)."""
    ((kind, value),) = ((key, each) for key, each in told.items() if key.endswith("Value"))
    match kind:
        case "int64Value":
            return int(value)
        case "uint64Value":
            return Uint(int(value))
        case "doubleValue":
            return float(value)
        case "stringValue" | "boolValue" | "nullValue":
            return value
        case "bytesValue":
            return base64.b64decode(value)
        case "typeValue":
            return value_of("type(1)")  # which one it is, `plain` does not tell
        case "listValue":
            return [value_in(item) for item in value.get("values", [])]
        case "mapValue":
            pairs = value.get("entries", [])
            return {Key(value_in(pair["key"])): value_in(pair["value"]) for pair in pairs}
        case "objectValue":
            name = value["@type"].rpartition(".")[2].lower()
            if name in ("duration", "timestamp"):
                return value_of(f"{name}('{value['value']}')")
    raise LeftOut(told)


class Key:
    """Keeps `1` and `true` apart as keys of a Python dict."""

    def __init__(self, value: Any) -> None:
        self.value = value


def plain_value(value: Any) -> Any:
    """`cel_google.plain`, of what `value_in` made."""
    match value:
        case dict():
            shown = {repr(plain(key.value)): plain_value(item) for key, item in value.items()}
            return ("map", shown)
        case list():
            return ("list", [plain_value(item) for item in value])
        case _:
            return plain(value)


def bound(value: Any) -> Any:
    """A variable's value, of what `value_in` made."""
    match value:
        case dict():
            return {key.value: bound(item) for key, item in value.items()}
        case list():
            return [bound(item) for item in value]
        case _:
            return value


def expected_in(case: dict[str, Any]) -> Any:
    if "evalError" in case:
        return ERROR
    told = case.get("value", {"boolValue": True})
    if "typedResult" in case:
        told = case["typedResult"].get("result")
        if told is None:
            raise LeftOut(case["typedResult"])  # only its type is told
    return plain_value(value_in(told))


def outcome(case: dict[str, Any]) -> tuple[str, str]:
    """What became of a case: agrees · differs · refused (with the error) · left out."""
    try:
        expected = expected_in(case)
        variables = {
            name: bound(value_in(told["value"])) for name, told in case.get("bindings", {}).items()
        }
    except LeftOut:
        return "left out", ""
    environment = Environment(dict.fromkeys(variables, "dyn"), {}, instant_us)
    try:
        program = make_program(parse(case["expr"]), environment)
        found = plain(evaluate(program, variables, Budget()))
    except CompileError as error:
        return ("agrees", "") if expected == ERROR else ("refused", str(error))
    except EvaluationError:
        found = ERROR
    return ("agrees" if found == expected else "differs", f"{found} for {expected}")


def walk(suite: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for test in suite.get("tests", ()):
        case = test["original"]
        yield f"{path}/{case['name']}", case
    for inner in suite.get("suites", ()):
        yield from walk(inner, f"{path}/{inner['name']}" if path else inner["name"])


@pytest.fixture(scope="module")
def cases() -> list[tuple[str, dict[str, Any]]]:
    command = ["node", "--input-type=module", "--eval", READ]
    read = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=WAIT_S)
    return list(walk(json.loads(read.stdout), ""))


@pytest.mark.rule("E109")
def test_the_cases_of_our_parts(cases: list[tuple[str, dict[str, Any]]]) -> None:
    agreeing = 0
    unexplained: dict[str, tuple[str, str]] = {}
    used: set[str] = set()
    for name, case in cases:
        if name.partition("/")[0] in PARTS_LEFT_OUT:
            continue
        found, why = outcome(case)
        if found == "agrees" and name not in DIFFERENT:
            agreeing += 1
        elif found == "differs" and name in DIFFERENT:
            used.add(name)
        elif found == "refused" and (reason := reason_of(name, why)):
            used.add(reason)
        elif found != "left out":
            unexplained[name] = (found, why)
    assert unexplained == {}
    assert used == {*DIFFERENT, *REFUSALS, *FUNCTIONS_LEFT_OUT, "names with dots"}
    assert agreeing == 1_355


FUNCTIONS_LEFT_OUT: Final = {"string_ext/format": "format", "string_ext/quote": "quote"}


def reason_of(name: str, error: str) -> str | None:
    """Why a case that expects a value is refused; None if no reason covers it."""
    for start in FUNCTIONS_LEFT_OUT:
        if name.startswith(start) and re.search("unknown function|name `strings`", error):
            return start
    if name.startswith(("fields/qualified_identifier_resolution/", "namespace/qualified/")):
        return "names with dots"
    return next((why for why, says in REFUSALS.items() if re.search(says, error)), None)


@pytest.mark.rule("E108")
def test_the_cases_of_what_is_left_out(cases: list[tuple[str, dict[str, Any]]]) -> None:
    """Refused, or no different from the language without that part; never another value."""
    found = {
        name: outcome(case)[0] for name, case in cases if name.partition("/")[0] in PARTS_LEFT_OUT
    }
    assert {name.partition("/")[0] for name in found} == set(PARTS_LEFT_OUT)
    assert [name for name, what in found.items() if what == "differs"] == []
    assert sum(what == "refused" for what in found.values()) == 398
