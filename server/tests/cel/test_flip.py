"""What would have had to be true for an expression to come out otherwise."""

from __future__ import annotations

import contextlib
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.cel_expressions import ENVIRONMENT
from trice.cel.errors import EvaluationError
from trice.cel.evaluate import evaluate, make_program
from trice.cel.flip import Condition, Need, Several, conditions, facts_of, flip
from trice.cel.parse import parse
from trice.cel.trace import Trace
from trice.cel.values import Budget

DATA = {"owner": "bob", "locked": True, "tags": ["a"], "count": 3, "nothing": None}


def traced(source: str, data: dict[str, Any] = DATA, **binds: str) -> Trace:
    pairs = [(name, parse(value)) for name, value in binds.items()]
    trace = Trace(make_program(parse(source), ENVIRONMENT, pairs))
    variables = {
        "auth": {"id": "ann"},
        "data": data,
        "request": {"time": None, "ip": ""},
        "data.ref": lambda path: [path],
    }
    with contextlib.suppress(EvaluationError):
        evaluate(trace.program, variables, Budget())
    return trace


def words(need: Need | None) -> Any:
    """A need as nested tuples of text."""
    match need:
        case None:
            return None
        case Condition(text=text):
            return text
        case Several(is_all=is_all, needs=needs):
            return ("all" if is_all else "any", *map(words, needs))


@pytest.mark.rule("E90")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("data.owner == auth.id", "data.owner == auth.id"),
        (
            "data.owner == auth.id && auth.id != null && data.count > 5",
            ("all", "data.owner == auth.id", "data.count > 5"),
        ),
        (
            "data.owner == auth.id || data.count > 5",
            ("any", "data.owner == auth.id", "data.count > 5"),
        ),
        ("!(data.locked || data.count > 5)", "!data.locked"),
        ("!(data.count == 3)", "data.count != 3"),
        ("!(data.owner != auth.id)", "data.owner == auth.id"),
        (
            "data.locked ? data.owner == auth.id : data.count > 1",
            ("any", "data.owner == auth.id", "!data.locked"),
        ),
        (
            "data.locked ? data.owner == auth.id : data.count > 5",
            ("any", "data.owner == auth.id", ("all", "!data.locked", "data.count > 5")),
        ),
        ("data.count > 3 && (data.count > 3 || false)", "data.count > 3"),
        ("data.nothing", "data.nothing != null"),
        ("data.nothing.x == 1", "data.nothing.x == 1"),
        ("cel.bind(x, data.count > 5, x && data.locked)", "data.count > 5"),
        ("data.tags.exists(tag, tag == 'b')", "data.tags.exists(tag, tag == 'b')"),
    ],
)
def test_what_would_allow(source: str, expected: Any) -> None:
    assert words(flip(traced(source), goal=True)) == expected


@pytest.mark.rule("E90")
@pytest.mark.parametrize("source", ["false", "1 == 2", "data.locked && false", "never"])
def test_nothing_helps_a_constant(source: str) -> None:
    assert flip(traced(source, never="1 > 2"), goal=True) is None


@pytest.mark.rule("E90")
def test_what_would_deny() -> None:
    need = flip(traced("data.locked && (data.count == 3 || data.count > 1)"), goal=False)
    assert words(need) == ("any", "!data.locked", ("all", "data.count != 3", "!(data.count > 1)"))


@pytest.mark.rule("E91")
def test_conditions_come_with_the_values_they_look_at() -> None:
    trace = traced(
        "mine || data.ref('a.b').exists(x, x == auth.id || x == data.tags[0])",
        mine="data.owner == auth.id",
    )
    need = flip(trace, goal=True)
    assert isinstance(need, Several)
    found = [
        {fact.text: fact.seen and fact.seen.value for fact in condition.facts}
        for condition in need.needs
        if isinstance(condition, Condition)
    ]
    assert found == [
        {"data.owner": "bob", "auth.id": "ann"},
        {"data.ref('a.b')": ["a.b"], "auth.id": "ann", "data.tags[0]": "a"},
    ]
    assert [fact.text for fact in facts_of(trace)] == [
        "data.owner",
        "auth.id",
        "data.ref('a.b')",
        "data.tags[0]",
    ]


@pytest.mark.rule("E91")
def test_an_error_is_told() -> None:
    need = flip(traced("data.nothing.x == 1 && data.locked"), goal=True)
    assert isinstance(need, Condition)
    assert "asked of null" in need.error


@pytest.mark.rule("E92")
def test_conditions_of_an_expression() -> None:
    trace = traced(
        "mine && !(data.locked || true) ? data.count > 1 : cel.bind(x, data.nothing, x)",
        mine="data.owner == auth.id",
    )
    assert list(conditions(trace)) == [
        "data.owner == auth.id",
        "data.locked",
        "data.count > 1",
        "data.nothing",
    ]


ATOMS = ["data.a", "data.b", "data.c"]
BOOLEAN = st.recursive(
    st.sampled_from([*ATOMS, "true", "false"]),
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!{}".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=8,
)


def worlds(need: Need | None) -> list[dict[str, bool]]:
    """The assignments that a need asks for; contradictory ones left out."""
    match need:
        case None:
            return []
        case Condition(text=text):
            return [{text.lstrip("!").split(".")[1]: not text.startswith("!")}]
        case Several(is_all=False, needs=needs):
            return [world for each in needs for world in worlds(each)]
        case Several(needs=needs):
            found: list[dict[str, bool]] = [{}]
            for each in needs:
                found = [
                    {**one, **two}
                    for one in found
                    for two in worlds(each)
                    if all(one.get(name, value) == value for name, value in two.items())
                ]
            return found


@pytest.mark.rule("E93")
@settings(max_examples=300, deadline=None)
@given(BOOLEAN, st.fixed_dictionaries({name: st.booleans() for name in "abc"}))
def test_doing_what_is_needed_suffices(source: str, data: dict[str, bool]) -> None:
    """Where an atom occurs once, meeting a need turns the result round."""
    if any(source.count(atom) > 1 for atom in ATOMS):
        return
    trace = traced(source, data)
    seen = trace.found(trace.original.expression.root)
    assert seen is not None
    goal = not seen.value
    asked = worlds(flip(trace, goal=goal))
    everything = [
        dict(zip("abc", values, strict=True)) for values in product((False, True), repeat=3)
    ]
    for world in asked:
        again = traced(source, {**data, **world})
        now = again.found(again.original.expression.root)
        assert now is not None and now.value is goal, (source, data, world)
    if not asked:
        for world in everything:
            again = traced(source, world)
            now = again.found(again.original.expression.root)
            assert now is not None and now.value is not goal, (source, data, world)
