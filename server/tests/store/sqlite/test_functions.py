"""SQL functions in Python on the loop: what they take is counted, so that long reads leave it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from support.runtime import FakeRuntime
from trice.catalog.values import ORDERED_CHARS, text_order
from trice.store.engine import ReadTooLong, Row, Snapshot
from trice.store.sqlite.engine import SqliteEngine

NUMBERS = "(SELECT key AS i FROM json_each(?))"
VALUES = {
    "max(trice_text_order(printf('%.*c', 300000, 'x') || i))": 80,
    "max(trice_text_order('short' || i))": 6_100,
    "max(trice_instant('2026-01-0' || (i % 9 + 1)))": 800,
    "max(trice_instant(i))": 6_100,
    "trice_exact_sum(i * 1.5)": 6_100,
}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
    yield engine
    await engine.close()


@pytest.mark.rule("S245")
@pytest.mark.parametrize(("value", "count"), VALUES.items(), ids=VALUES)
async def test_much_work_for_many_rows_leaves_the_loop(
    engine: SqliteEngine, value: str, count: int
) -> None:
    def ask(value: str, rows: int) -> Callable[[Snapshot], list[Row]]:
        listed = f"[{','.join('0' * rows)}]"
        return lambda snapshot: snapshot.rows(f"SELECT {value} FROM {NUMBERS}", (listed,))

    assert engine.read_now(ask("max(i)", count)) == [(count - 1,)]
    assert engine.read_now(ask(value, count // 10))
    with pytest.raises(ReadTooLong):
        engine.read_now(ask(value, count))
    assert await engine.read(ask(value, count), timeout_ms=60_000)


@pytest.mark.rule("S245", "Q115")
def test_long_texts_order_by_their_beginning() -> None:
    same = "é" * ORDERED_CHARS
    assert text_order(same + "a") == text_order(same + "b") == text_order(same)
    assert text_order(same[1:] + "a") < text_order(same[1:] + "b")
    assert len(text_order("é" * 1_000_000)) < 10 * ORDERED_CHARS
