"""Text to trees: precedence, literals, macros, errors that point."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.cel_expressions import show_tree
from trice import limits
from trice.cel.ast import (
    Bind,
    Call,
    Choice,
    Has,
    Junction,
    ListOf,
    Literal,
    Loop,
    MapOf,
    Name,
    Node,
    Select,
)
from trice.cel.errors import CompileError
from trice.cel.parse import parse
from trice.cel.uint import Uint


def tree(source: str) -> Node:
    return parse(source).root


@pytest.mark.rule("E1")
@pytest.mark.parametrize(
    ("source", "bracketed"),
    [
        ("a || b && c", "a || (b && c)"),
        ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
        ("a == b && c != d", "(a == b) && (c != d)"),
        ("a + b * c - d", "(a + (b * c)) - d"),
        ("a < b == c", "(a < b) == c"),
        ("!a.b", "!(a.b)"),
        ("-a.b[c].d()", "-(((a.b)[c]).d())"),
        ("a in b + c", "a in (b + c)"),
        ("a || b ? c : d", "(a || b) ? c : d"),
        ("!!a", "!(!a)"),
        ("a / b / c % d", "((a / b) / c) % d"),
    ],
)
def test_precedence(source: str, bracketed: str) -> None:
    assert tree(source) == tree(bracketed)


LITERALS: dict[str, Any] = {
    "12": 12,
    "-12": -12,
    "0x1F": 31,
    "-0xa": -10,
    "7u": Uint(7),
    "0xFFu": Uint(255),
    "1.5": 1.5,
    ".5": 0.5,
    "1e3": 1000.0,
    "-2.5E-1": -0.25,
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "18446744073709551615u": Uint(2**64 - 1),
    "true": True,
    "false": False,
    "null": None,
    '"a\'b"': "a'b",
    "'a\"b'": 'a"b',
    "'''a\nb'c'''": "a\nb'c",
    '"""x"y"""': 'x"y',
    r"r'\d\n'": r"\d\n",
    r'R"\"': "\\",
    r"'\a\b\f\n\r\t\v\\\?\"\'\`'": "\a\b\f\n\r\t\v\\?\"'`",
    r"'\x41\u00e9\U0001F600\101'": "Aé😀A",
    r"b'\xff\377é'": b"\xff\xff\xc3\xa9",
    r"br'\xff'": rb"\xff",
    r"rb'\x'": rb"\x",
    "''": "",
    "b''": b"",
}


@pytest.mark.rule("E2")
@pytest.mark.parametrize("source", LITERALS)
def test_literals(source: str) -> None:
    assert tree(source) == Literal(LITERALS[source], at=0)


@pytest.mark.rule("E3")
def test_commas_comments_and_odd_names() -> None:
    assert tree("[1, 2,]") == tree("[1, 2]")
    assert tree("{'a': 1,}") == tree("{'a': 1}")
    assert tree("1 // one\n + 2 // two") == tree("1 + 2")
    assert tree("data.package") == Select(Name("data", at=0), "package", at=0)
    assert tree("data.`content-type`") == Select(Name("data", at=0), "content-type", at=0)
    with pytest.raises(CompileError, match="`package` is a reserved word"):
        parse("package == 1")


@pytest.mark.rule("E4")
def test_macros() -> None:
    items, body = Name("xs", at=0), Name("x", at=0)
    for macro in ("all", "exists", "exists_one", "map", "filter"):
        assert tree(f"xs.{macro}(x, x)") == Loop(macro, items, "x", None, body, at=0)
    assert tree("xs.map(x, x, 1)") == Loop("map", items, "x", body, Literal(1, at=0), at=0)
    assert tree("has(a.b)") == Has(Name("a", at=0), "b", at=0)
    assert tree("cel.bind(x, 1, x)") == Bind("x", Literal(1, at=0), body, at=0)
    for wrong in ("xs.all(x)", "xs.all(1, true)", "has(a)", "cel.bind(x, 1)", "xs.filter(x,1,2)"):
        with pytest.raises(CompileError, match=r"takes|plain name"):
            parse(wrong)


@pytest.mark.rule("E5", "E6")
@pytest.mark.parametrize(
    ("source", "line", "column", "message"),
    [
        ("", 1, 1, "unexpected end; a value is expected."),
        ("a &&\n  || b", 2, 3, "unexpected `||`; a value is expected."),
        ("(a", 1, 3, "`)` for the closing bracket is expected"),
        ("a b", 1, 3, "unexpected `b`; an operator or the end is expected."),
        ("a = b", 1, 3, "Compare with `==`"),
        ("a & b", 1, 3, "Write `&&`"),
        ("a ? b", 1, 6, "`:` for the other value"),
        ("f(a b)", 1, 5, "the end of the arguments, or a comma"),
        ("[1 2]", 1, 4, "the end of the list"),
        ("{1}", 1, 3, "`:` for the value of the key"),
        ("{1: 2 3}", 1, 7, "the end of the map"),
        ("a[1", 1, 4, "the end of the index"),
        ("a.1", 1, 2, "unexpected `.1`"),
        ("a.in", 1, 3, "the name of a field"),
        ("a.?b", 1, 3, "the name of a field"),
        ("T{a: 1}", 1, 2, "write a map"),
        ("1 + 'abc", 1, 5, "the string is not closed"),
        ("'a\nb'", 1, 1, "the string is not closed"),
        (r"'\q'", 1, 2, r"unknown escape \q"),
        (r"b'\u0041'", 1, 3, r"unknown escape \u"),
        (r"'\ud800'", 1, 2, "is no character"),
        ("12ab", 1, 1, "ends in a letter"),
        ("9223372036854775808", 1, 1, "64 bits of an int"),
        ("18446744073709551616u", 1, 1, "64 bits of a uint"),
        ("9" * 41, 1, 1, "64 bits of an int"),
        ("1e999", 1, 1, "range of a double"),
        ("a @ b", 1, 3, "unexpected character '@'"),
    ],
)
def test_errors_point_at_the_fault(source: str, line: int, column: int, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse(source)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert message in caught.value.message


@pytest.mark.rule("E13")
@pytest.mark.parametrize(
    "source",
    [
        "(" * 2000 + "1" + ")" * 2000,
        "!" * 200 + "true",
        "1" + " + 1" * 200,
        "a" + ".b" * 200,
        "true ? 1 : " * 200 + "1",
    ],
)
def test_deep_texts_are_refused(source: str) -> None:
    with pytest.raises(CompileError, match=f"more than {limits.CEL_DEPTH_MAX} levels"):
        parse(source)


@pytest.mark.rule("E13")
def test_long_texts_are_refused() -> None:
    with pytest.raises(CompileError, match="more than 2,000 parts"):
        parse("[" + "1," * 2000 + "]")
    with pytest.raises(CompileError, match="at most 10,000 are allowed"):
        parse("1" + " " * 10_000)
    assert len(tree("a" + " && a" * 1500).operands) == 1501  # type: ignore[union-attr]


NAMES = st.sampled_from(["a", "b", "data", "x_1"])
LITERAL_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1).map(Uint),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.binary(max_size=5),
)
OPERATORS = st.sampled_from(
    [
        "_+_",
        "_-_",
        "_*_",
        "_/_",
        "_%_",
        "_<_",
        "_<=_",
        "_>_",
        "_>=_",
        "_==_",
        "_!=_",
        "_in_",
        "_[_]",
    ]
)


def nodes(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    listed = st.lists(inner, max_size=3).map(tuple)
    pairs = st.lists(st.tuples(inner, inner), max_size=2).map(tuple)
    macros = st.sampled_from(["all", "exists", "exists_one", "map", "filter"])
    return st.one_of(
        st.builds(Select, inner, NAMES, at=st.just(0)),
        st.builds(Has, inner, NAMES, at=st.just(0)),
        st.builds(Call, OPERATORS, st.none(), st.tuples(inner, inner), at=st.just(0)),
        st.builds(Call, st.just("!_"), st.none(), st.tuples(inner), at=st.just(0)),
        st.builds(Call, st.just("f"), st.none() | inner, listed, at=st.just(0)),
        st.builds(
            Junction,
            st.sampled_from(["&&", "||"]),
            st.lists(inner, min_size=2, max_size=3).map(tuple),
            at=st.just(0),
        ),
        st.builds(Choice, inner, inner, inner, at=st.just(0)),
        st.builds(ListOf, listed, at=st.just(0)),
        st.builds(MapOf, pairs, at=st.just(0)),
        st.builds(Loop, macros, inner, NAMES, st.none(), inner, at=st.just(0)),
        st.builds(Loop, st.just("map"), inner, NAMES, inner, inner, at=st.just(0)),
        st.builds(Bind, NAMES, inner, inner, at=st.just(0)),
    )


TREES = st.recursive(
    st.builds(Literal, LITERAL_VALUES, at=st.just(0)) | st.builds(Name, NAMES, at=st.just(0)),
    nodes,
    max_leaves=12,
)


@pytest.mark.rule("E7")
@settings(max_examples=150, deadline=None)
@given(TREES)
def test_printed_trees_read_back(node: Node) -> None:
    assert tree(show_tree(node)) == node


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab1.+-*/%!?:&|=<>()[]{}'\"\\`, \nrux"), max_size=40))
def test_any_text_is_read_or_refused(source: str) -> None:
    try:
        assert parse(source).source == source
    except CompileError as error:
        assert error.line >= 1 and error.column >= 1


@pytest.mark.rule("E110")
@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("a and b", "Write `&&` for `and`."),
        ("a AND b", "Write `&&` for `AND`."),
        ("a or b", "Write `||` for `or`."),
        ("a is null", "Write `==` for `is`."),
        ("(a and b) || c", "Write `&&` for `and`."),
        ("[a or b]", "Write `||` for `or`."),
    ],
)
def test_words_of_other_languages_are_answered_with_operators(source: str, advice: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse(source)
    assert caught.value.message.endswith(advice)


@pytest.mark.rule("E111")
@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("a == “x”", 'Write a straight quote, `"`.'),
        ("a == ‘x’", "Write a straight quote, `'`."),
        ("a – 1", "Write a plain minus, `-`."),
        ("a ≠ 1", "Write `!=`."),
        ("a;", "join conditions with `&&` or `||`."),
        ("a === b", "Compare with `==`."),
        ("a & b", "Write `&&` for `and`."),
    ],
)
def test_signs_that_editors_make_are_answered_with_plain_ones(source: str, advice: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse(source)
    assert caught.value.message.endswith(advice)
    assert parse("a == '“x” – ;'")
