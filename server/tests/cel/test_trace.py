"""Traced evaluations: the same result, with what every part came to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from support.cel_expressions import ENVIRONMENT, TREES, show_tree
from trice import limits
from trice.cel.ast import Node, walk
from trice.cel.environment import Environment, Method
from trice.cel.errors import BudgetExceeded, CompileError, EvaluationError
from trice.cel.evaluate import Program, evaluate, make_program
from trice.cel.parse import parse
from trice.cel.text import text_of
from trice.cel.trace import Trace
from trice.cel.values import Budget

VARIABLES = {
    "auth": {"id": "ann"},
    "data": {"owner": "bob", "tags": ["a", "b"], "count": 3},
    "request": {"time": None, "ip": ""},
    "data.ref": lambda path: [path, "ann"],
}


def make(source: str, binds: dict[str, str] | None = None) -> Program:
    pairs = [(name, parse(value)) for name, value in (binds or {}).items()]
    return make_program(parse(source), ENVIRONMENT, pairs)


def outcome(program: Program, steps: int = limits.CEL_STEPS_MAX) -> tuple[str, Any]:
    """What an evaluation comes to: kind of outcome, and value or message."""
    try:
        return "value", repr(evaluate(program, dict(VARIABLES), Budget(steps)))
    except (EvaluationError, BudgetExceeded) as error:
        return type(error).__name__, str(error)


def notes(trace: Trace) -> dict[str, Any]:
    """Text of each part of the expression → its value, or its error in brackets."""
    found = {}
    for node, _ in walk(trace.original.expression.root):
        seen = trace.found(node)
        if seen is not None:
            value = f"({seen.error})" if seen.error else seen.value
            found[text_of(node)] = ("aside", value) if seen.is_aside else value
    return found


@pytest.mark.rule("E80")
@settings(max_examples=300, deadline=None)
@given(TREES)
def test_tracing_changes_no_result(tree: Node) -> None:
    try:
        program = make_program(parse(show_tree(tree)), ENVIRONMENT)
    except CompileError:
        return
    assert outcome(Trace(program).program) == outcome(program)
    assert outcome(Trace(program).program, steps=12) == outcome(program, steps=12)


@pytest.mark.rule("E81")
def test_every_part_has_its_value_or_error() -> None:
    trace = Trace(make("data.owner == auth.id || data.count.x > 2"))
    with pytest.raises(EvaluationError) as caught:
        evaluate(trace.program, dict(VARIABLES), Budget())
    assert caught.value.part == "data.count.x"
    assert notes(trace) == {
        "data.owner == auth.id || data.count.x > 2": f"({caught.value})",
        "data.owner == auth.id": False,
        "data.owner": "bob",
        "auth.id": "ann",
        "data.count.x > 2": f"({caught.value})",
        "data.count.x": f"({caught.value})",
        "data.count": 3,
    }


@pytest.mark.rule("E81")
def test_loops_note_each_item_and_clearing_forgets() -> None:
    trace = Trace(make("data.tags.exists(tag, tag == 'b')"))
    assert evaluate(trace.program, dict(VARIABLES), Budget()) is True
    nodes = [node for node, _ in walk(trace.original.expression.root)]
    (body,) = [node for node in nodes if text_of(node) == "tag == 'b'"]
    assert [seen.value for seen in trace.seen(body)] == [False, True]
    trace.clear()
    assert trace.seen(body) == []


@pytest.mark.rule("E81")
def test_values_of_binds_are_noted_once() -> None:
    trace = Trace(make("mine && mine", {"mine": "auth.id == 'ann'"}))
    assert evaluate(trace.program, dict(VARIABLES), Budget()) is True
    assert [seen.value for seen in trace.seen(trace.binds["mine"].root)] == [True]


@pytest.mark.rule("E82")
def test_what_was_skipped_is_evaluated_aside() -> None:
    trace = Trace(make("data.owner == auth.id && (data.count > 2 || data.x.y) ? 1 : 2"))
    assert evaluate(trace.program, dict(VARIABLES), Budget()) == 2
    found = notes(trace)
    assert found["data.owner == auth.id"] is False
    assert found["data.count > 2"] == ("aside", True)
    assert found["data.x.y"][1].startswith("(Field `y` was asked of null")
    assert found["1"] == ("aside", 1)
    assert found["2"] == 2


@pytest.mark.rule("E82")
def test_what_has_effects_is_not_called_aside() -> None:
    calls: list[str] = []

    def limit(key: str) -> bool:
        calls.append(key)
        return True

    environment = Environment(
        {"data": "map", "rateLimit": "map"},
        {"rateLimit.limit": Method(("dyn",), 1, "bool")},
        ENVIRONMENT.instant_us,
    )
    program = make_program(parse("data.x != null && rateLimit.limit('k')"), environment)
    variables = {"data": {"x": None}, "rateLimit": {}, "rateLimit.limit": limit}
    trace = Trace(program, silent=("rateLimit.",))
    assert evaluate(trace.program, dict(variables), Budget()) is False
    assert calls == []
    assert "effects" in notes(trace)["rateLimit.limit('k')"][1]
    variables["data"] = {"x": 1}
    assert evaluate(trace.program, dict(variables), Budget()) is True
    assert calls == ["k"]


@pytest.mark.rule("E83")
def test_notes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CEL_TRACE_NOTES_MAX", 3)
    trace = Trace(make("data.tags.exists(tag, tag == 'b')"))
    assert evaluate(trace.program, dict(VARIABLES), Budget()) is True
    nodes = [node for node, _ in walk(trace.original.expression.root)]
    assert sum(len(trace.seen(node)) for node in nodes) == 3


@pytest.mark.rule("E84")
@settings(max_examples=300, deadline=None)
@given(TREES)
def test_text_of_a_tree_parses_to_it(tree: Node) -> None:
    assert parse(text_of(tree)).root == parse(show_tree(tree)).root


@pytest.mark.rule("E84")
@pytest.mark.parametrize(
    "source",
    [
        "a.b == 1 && !(c || d.e('x')) && [1, 2u, 1.5, -1][0] in {'k': b'\\x00', null: true}",
        "-(1) - -1 - (2 - 3) * (-2).abs() + -a.b",
        "(a ? b : c) ? d : e ? f : g",
        "a.all(x, has(x.y)) || a.map(x, x > 1, x.`content-type`) == cel.bind(y, 1, y)",
        "f('a\\'\\n\\U00000007é', 1.5e-30)",
        "(a || b) && c",
    ],
)
def test_text_has_the_brackets_it_needs(source: str) -> None:
    assert text_of(parse(source).root) == source


@pytest.mark.rule("E80")
def test_what_is_shown_aside_costs_the_evaluation_nothing() -> None:
    budget = Budget()

    def ref(path: str) -> list[str]:
        budget.charge(1_000)
        return [path]

    program = make("data.count > 5 && data.ref('a').exists(x, x == 'a')")
    trace = Trace(program)
    assert evaluate(trace.program, {**VARIABLES, "data.ref": ref}, budget) is False
    assert notes(trace)["data.ref('a')"] == ("aside", ["a"])
    assert budget.steps_left == limits.CEL_STEPS_MAX - program.weight
