"""`%`/`_` patterns in SQL mean what they mean in JavaScript and PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trice.catalog.like import fold, is_like
from trice.protocol.ids import uuid_text
from trice.store.engine import WriteTx
from trice.store.sqlite.dialect import SqliteDialect

InTx = Callable[[Callable[[WriteTx], Any]], Any]

CASES = [
    ("abc", "abc", True),
    ("abc", "abcd", False),
    ("", "", True),
    ("", "a", False),
    ("%", "", True),
    ("a%", "a\nb", True),
    ("a_c", "a\nc", True),
    ("a_c", "ac", False),
    ("_", "é", True),
    ("_", "😀", True),
    ("%b%", "abc", True),
    ("%b%b", "abcb", True),
    ("%b%b", "ab", False),
    ("a%a", "a", False),
    ("[a]", "[a]", True),
    ("[a]", "a", False),
    ("*", "x", False),
    ("*", "*", True),
    ("?", "x", False),
    ("a?b", "a?b", True),
    ("]", "]", True),
    ("^", "^", True),
    ("10\\%", "10%", True),
    ("10\\%", "10x", False),
    ("a\\_b", "a_b", True),
    ("a\\_b", "axb", False),
    ("a\\\\b", "a\\b", True),
    ("a\\", "a\\", True),
    ("a\\", "a", False),
    ("a\\bc", "abc", True),
    ("'\"", "'\"", True),
    ("日%語", "日本語", True),
]
FOLDED = [
    ("ABC%", "abcdef", True),
    ("é_", "ÉX", True),
    ("ÄRGER%", "ärgerlich", True),
    ("ß", "SS", False),
    ("ß", "ẞ", False),
    ("k", "\u212a", False),  # the Kelvin sign is no k, for JavaScript's i flag
    ("\u212a", "\u212a", True),
    ("σ", "ς", True),
    ("жук", "ЖУК", True),
    ("%é%", "CAFÉ au lait", True),
    ("é\\%", "É%", True),
    ("é\\", "É\\", True),
    ("%é_", "xÉÉ", True),
    ("é%é", "É", False),
]


def found(tx: WriteTx, pattern: str, value: Any, *, is_case_sensitive: bool) -> bool:
    sql, bound = SqliteDialect().like("v", pattern=pattern, is_case_sensitive=is_case_sensitive)
    return bool(tx.rows(f"SELECT 1 FROM (SELECT ? AS v) WHERE {sql}", (value, bound)))


@pytest.mark.rule("S30")
def test_patterns(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        for pattern, value, expected in CASES:
            for is_case_sensitive in (True, False):
                got = found(tx, pattern, value, is_case_sensitive=is_case_sensitive)
                assert got is expected, (pattern, value, is_case_sensitive)

    in_tx(work)


@pytest.mark.rule("S31")
def test_case(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        for pattern, value, expected in FOLDED:
            assert found(tx, pattern, value, is_case_sensitive=False) is expected, (pattern, value)
        assert not found(tx, "ABC", "abc", is_case_sensitive=True)
        assert not found(tx, "É", "é", is_case_sensitive=True)

    in_tx(work)


@pytest.mark.rule("S30")
def test_only_text_matches(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        for value in (None, 1, 1.5, b"\x00", b"\x01", b'"a"', b"1"):
            for pattern in ("%", "1", "é%", "%\u00e9%"):
                assert not found(tx, pattern, value, is_case_sensitive=True)
                assert not found(tx, pattern, value, is_case_sensitive=False)

    in_tx(work)


def oracle(pattern: str, value: str) -> bool:
    """The same by backtracking."""
    parts = re.findall(r"\\.|\\|%|_|[^\\]", pattern, re.DOTALL)
    expression = "".join(
        ".*" if part == "%" else "." if part == "_" else re.escape(fold(part[-1])) for part in parts
    )
    return re.fullmatch(expression, fold(value), re.DOTALL) is not None


@pytest.mark.rule("S30", "S31")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    pattern=st.text(alphabet="aAé%_\\*[?\n", max_size=8),
    value=st.text(alphabet="aAÉ%_\\*[?\n", max_size=8),
)
def test_ilike_agrees_with_backtracking(pattern: str, value: str) -> None:
    assert is_like(pattern, value, is_case_sensitive=False) is oracle(pattern, value)


@pytest.mark.rule("S30")
def test_no_pattern_takes_long() -> None:
    pattern, value = "é" + "%a" * 500 + "b", "é" + "a" * 5_000
    assert not is_like(pattern, value, is_case_sensitive=False)


@pytest.mark.rule("S32")
@pytest.mark.parametrize("prefix", ["", "0", "00000000-", "00000000-0000-4000-8000-00000000000"])
def test_prefix_of_ids(in_tx: InTx, prefix: str) -> None:
    ids = [bytes.fromhex(f"0000000000004000800000000000000{last}") for last in "0f"]
    ids += [bytes.fromhex("00" * 3 + "01" + "00" * 12), b"\xff" * 16]

    def work(tx: WriteTx) -> None:
        for raw in ids:
            sql, bound = SqliteDialect().id_prefix("v", prefix)
            got = bool(tx.rows(f"SELECT 1 FROM (SELECT ? AS v) WHERE {sql}", (raw, *bound)))
            text = uuid_text(raw)
            assert got is text.startswith(prefix), (text, prefix)

    in_tx(work)
