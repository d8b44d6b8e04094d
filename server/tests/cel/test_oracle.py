"""Ours against Google's implementation, and against a naive evaluator of the tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings

from support.cel_expressions import TREES, show_tree
from support.cel_google import ERROR, ours, plain
from trice.cel.ast import Bind, Call, Choice, Junction, ListOf, Literal, Loop, Name, Node
from trice.cel.errors import CompileError
from trice.cel.parse import parse
from trice.cel.uint import Uint
from trice.cel.values import kind_of

CORPUS = (Path(__file__).parent / "corpus.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.rule("E72")
@pytest.mark.parametrize("source", CORPUS)
def test_google_agrees(source: str, google: Callable[[str], Any]) -> None:
    assert ours(source) == google(source)


@pytest.mark.rule("E72")
@settings(max_examples=300, deadline=None)
@given(TREES)
def test_google_agrees_on_random_expressions(google: Callable[[str], Any], tree: Node) -> None:
    source = show_tree(tree)
    try:
        found = ours(source)
    except CompileError:
        assume(False)
    assert found == google(source), source


class Failed(Exception):
    """The naive evaluator met an error."""


def naive(node: Node, scope: dict[str, Node | Any]) -> Any:
    """Evaluate by walking the tree, with nothing but the words of the language definition."""
    match node:
        case Literal(value=value):
            return value
        case Name(name=name):
            return scope[name]()
        case Call(function="dyn", arguments=(operand,)):
            return naive(operand, scope)
        case Call(function="!_", arguments=(operand,)):
            return not boolean(naive(operand, scope))
        case Call(function=operator, arguments=(left, right)):
            return naive_operator(operator, naive(left, scope), naive(right, scope))
        case Junction(operator=operator, operands=operands):
            return naive_junction(operator, [lambda o=o: naive(o, scope) for o in operands])
        case Choice(condition=condition, then=then, otherwise=otherwise):
            return naive(then if boolean(naive(condition, scope)) else otherwise, scope)
        case ListOf(items=items):
            return [naive(item, scope) for item in items]
        case Bind(variable=name, value=value, body=body):
            return naive(body, {**scope, name: lambda: naive(value, scope)})
        case Loop(macro=macro, items=items, variable=name, body=body):
            return naive_loop(macro, naive(items, scope), name, body, scope)
        case _:
            raise AssertionError(node)


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Failed
    return value


def naive_junction(operator: str, operands: list[Callable[[], Any]]) -> bool:
    results: list[bool | None] = []
    for operand in operands:
        try:
            results.append(boolean(operand()))
        except Failed:
            results.append(None)
    deciding = operator == "||"
    if deciding in results:
        return deciding
    if None in results:
        raise Failed
    return not deciding


def naive_loop(macro: str, items: Any, name: str, body: Node, scope: dict[str, Any]) -> Any:
    results = [lambda i=i: naive(body, {**scope, name: lambda: i}) for i in items]
    match macro:
        case "all":
            return naive_junction("&&", results)
        case "exists":
            return naive_junction("||", results)
        case "map":
            return [result() for result in results]
    kept = [item for item, result in zip(items, results, strict=True) if boolean(result())]
    return kept if macro == "filter" else len(kept) == 1


def naive_equal(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(naive_equal, left, right))
    if kind_of(left) != kind_of(right) and not is_number(left, right):
        return False
    return bool(left == right)


def is_number(*values: Any) -> bool:
    return all(kind_of(value) in ("int", "uint", "double") for value in values)


def naive_operator(operator: str, left: Any, right: Any) -> Any:
    same = kind_of(left) == kind_of(right)
    match operator:
        case "_==_":
            return naive_equal(left, right)
        case "_!=_":
            return not naive_equal(left, right)
        case "_in_" if isinstance(right, list):
            return any(naive_equal(left, item) for item in right)
        case "_[_]" if is_number(right) and right == int(right) and 0 <= right < len(left):
            return left[int(right)]
        case "_<_" | "_>=_" if is_number(left, right) or (same and isinstance(left, bool | str)):
            return (left < right) == (operator == "_<_")
        case "_+_" if same and isinstance(left, str | list):
            return left + right
        case "_+_" | "_-_" | "_*_" | "_/_" if same and is_number(left):
            return naive_arithmetic(operator, left, right)
        case _:
            raise Failed


def naive_arithmetic(operator: str, left: Any, right: Any) -> Any:
    if isinstance(left, float):
        if operator == "_/_" and right == 0.0:
            sign = str(left)[0] == "-", str(right)[0] == "-"
            return float("nan" if left == 0 else "-inf" if sign[0] != sign[1] else "inf")
        return {"+": left + right, "-": left - right, "*": left * right}.get(
            operator[1], left / right if right else 0.0
        )
    if operator == "_/_" and right == 0:
        raise Failed
    whole = abs(left) // abs(right or 1) * (-1 if (left < 0) != (right < 0) else 1)
    result = {"+": left + right, "-": left - right, "*": left * right}.get(operator[1], whole)
    if isinstance(left, Uint):
        if result < 0:
            raise Failed
        return Uint(result)
    return result


@pytest.mark.rule("E73")
@settings(max_examples=300, deadline=None)
@given(TREES)
def test_a_naive_evaluator_agrees(tree: Node) -> None:
    source = show_tree(tree)
    try:
        found = ours(source)
    except CompileError:
        assume(False)
    try:
        expected = plain(naive(parse(source).root, {}))
    except Failed:
        expected = ERROR
    assert found == expected, source
