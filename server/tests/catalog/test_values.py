"""Cells: what is kept for each JSON value, and how it orders."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.attrs import blob, entity, link
from trice.catalog.values import (
    INT64_MAX,
    MISSING,
    Cell,
    decode_attr,
    decode_cell,
    encode_cell,
    has_order_column,
    inferred_bit,
    order_cell,
    text_order,
)
from trice.protocol.quoting import json_type

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), INT64_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.rule("S50")
@given(JSON, st.booleans())
def test_values_survive(value: Any, is_indexed: bool) -> None:
    read = decode_cell(encode_cell(value, is_indexed=is_indexed), is_indexed=is_indexed)
    assert read == value and type(read) is type(value)


@pytest.mark.rule("S50")
@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("x", "x"), (1, 1), (1.5, 1.5), (False, b"\x01"), (True, b"\x02"), (None, b"\x00"),
        ([1], b"[1]"), ({"b": 1, "a": 2}, b'{"a":2,"b":1}'), (2**64, float(2**64)),
    ],
)  # fmt: skip
def test_cells(value: Any, cell: Cell) -> None:
    got = encode_cell(value, is_indexed=False)
    assert got == cell and type(got) is type(cell)


@pytest.mark.rule("S51")
def test_null_and_missing_differ_unless_indexed() -> None:
    assert encode_cell(None, is_indexed=False) == b"\x00"
    assert encode_cell(None, is_indexed=True) is None
    assert decode_cell(None, is_indexed=True) is None
    assert decode_cell(None, is_indexed=False) is MISSING
    assert decode_cell(b"\x00", is_indexed=False) is None
    assert repr(MISSING) == "MISSING"


@pytest.mark.rule("S51")
def test_decode_attr() -> None:
    owner = link("t", "owner", "u", "ts", cardinality="one")
    assert decode_attr(owner, None) is MISSING
    assert decode_attr(owner, entity(1)) == "00000000-0000-0000-0000-000000000001"
    assert decode_attr(blob("t", "v", is_indexed=True), None) is None
    assert decode_attr(blob("t", "v"), b"\x02") is True


@pytest.mark.rule("S52")
def test_text_orders_as_clients_do() -> None:
    # As `Intl.Collator('en-US')` of Node 20 sorts them.
    clients = ["", " ", "_", "-", "10", "2", "a", "A", "ä", "a0", "b", "B", "e", "é", "f", "ß"]
    clients += ["Z", "Zz"]
    assert sorted(sorted(clients), key=text_order) == clients


@pytest.mark.rule("S53")
def test_order_cells() -> None:
    text = blob("t", "v", is_indexed=True, checked_type="string")
    date = blob("t", "v", is_indexed=True, checked_type="date")
    number = blob("t", "v", is_indexed=True, checked_type="number")
    assert [has_order_column(attr) for attr in (text, date, number)] == [True, True, False]
    assert not has_order_column(blob("t", "v", checked_type="string"))
    assert not has_order_column(blob("t", "v", is_indexed=True))
    assert order_cell(text, "a") == text_order("a")
    assert order_cell(date, "1970-01-01T00:00:01Z") == order_cell(date, 1000) == 1_000_000
    assert order_cell(number, 5) == 5
    assert [order_cell(attr, None) for attr in (text, date, number)] == [None] * 3
    assert order_cell(text, 5) is None and order_cell(date, b"\x01") is None
    assert order_cell(date, "now") is None


@pytest.mark.rule("S54")
@pytest.mark.parametrize(
    ("value", "name", "bit"),
    [
        (None, "null", 0), (1, "number", 1), (1.5, "number", 1), ("x", "string", 2),
        (True, "boolean", 4), ([], "array", 8), ({}, "object", 8),
    ],
)  # fmt: skip
def test_types(value: Any, name: str, bit: int) -> None:
    assert json_type(value) == name
    assert inferred_bit(value) == bit
