"""How messages repeat what clients sent."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from trice.protocol import decode
from trice.protocol.quoting import bare, brief, json_type, quote, why_no_json


@pytest.mark.rule("H63")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (-0.5, "-0.5"),
        (2**2000, "(a number of 2001 bits)"),
        ('a"\n', '"a\\"\\n"'),
        ("é\u2028", '"é\u2028"'),
        ("\ud83d", '"?"'),
        ("x" * 200, f'"{"x" * 100}…"'),
        ([], "[]"),
        ({"a": [None, {"b": False}], "c": "d"}, '{"a":[null,{"b":false}],"c":"d"}'),
        ({"a": 10**30, "b": True}, f'{{"a":{10**30},"b":true}}'),
        ([1] * 200, f"[{'1,' * 49}1…"),
    ],
)
def test_a_value_is_quoted_as_json(value: Any, text: str) -> None:
    assert quote(value) == text


@pytest.mark.rule("H63")
def test_quoting_costs_what_it_shows() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert quote(deep) == "[" * 100 + "…"

    class Counted(list[int]):
        looked_at = 0

        def __iter__(self) -> Any:
            for item in super().__iter__():
                self.looked_at += 1
                yield item

    long = Counted([7] * 10_000)
    quote(long)
    assert long.looked_at < 110


@pytest.mark.rule("H63")
def test_bare_and_brief() -> None:
    assert [bare(value) for value in ("a'b", "x" * 200, None, [True])] == [
        "a'b",
        "x" * 100 + "…",
        "null",
        "[true]",
    ]
    assert [brief(value) for value in ("a", 5, True, None, [1], {})] == [
        *("a", 5, True, None),
        *("an array", "an object"),
    ]
    assert [json_type(value) for value in (None, True, 1.5, "", [], {})] == [
        *("null", "boolean", "number", "string", "array", "object")
    ]


@pytest.mark.rule("H63")
@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"{", "unexpected end of data at line 1 column 2."),
        (b'"\xe9"', "it is not in UTF-8."),
        (b'"\\ud83d"', "half of a surrogate pair in a string at line 1 column 2."),
        (b"1e999", "a number beyond 1.8e308 at line 1 column 1."),
    ],
)
def test_why_a_text_is_no_json(raw: bytes, problem: str) -> None:
    with pytest.raises(orjson.JSONDecodeError) as caught:
        orjson.loads(raw)
    assert why_no_json(caught.value) == problem


@pytest.mark.rule("P150")
@pytest.mark.parametrize(
    ("value", "given"),
    [(b"5", "a number"), (b"true", "true or false"), (b"[]", "an array"), (b"{}", "an object")],
)
def test_a_field_of_the_wrong_type_is_named_in_words_of_json(value: bytes, given: str) -> None:
    with pytest.raises(ValueError, match="client-event-id") as caught:
        decode.decoder.decode(b'{"op":"transact","client-event-id":%b}' % value)
    assert decode.explain_misfit(caught.value) == (
        ["client-event-id"],
        f"It must be a string or null, not {given}.",
    )
