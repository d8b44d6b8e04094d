"""The log of transactions: what it keeps, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.attrs import committed, entity
from support.runtime import FakeRuntime
from trice import limits
from trice.protocol.ids import AttrId, EntityId, EventId
from trice.store.commit import Commit, EntityChange, Image, PairChange
from trice.store.engine import WriteTx
from trice.store.sqlite.engine import SqliteEngine

A, B, C = (AttrId(name) for name in "abc")
ID = EntityId(entity(1))
OTHER = EntityId(entity(2))


def changing(
    entities: tuple[EntityChange, ...] = (), pairs: tuple[PairChange, ...] = ()
) -> Callable[[WriteTx], Commit]:
    return lambda tx: committed(tx, entities=entities, pairs=pairs)


@pytest.mark.rule("S16")
def test_every_change_is_kept(tmp_path: Path) -> None:
    added = EntityChange("t", ID, None, Image(5, {A: "x", B: b"\x00", C: 1.5}))
    changed = EntityChange("t", ID, Image(5, {A: "x", B: b"\x00"}), Image(5, {A: "y", B: b"\x00"}))
    grown = EntityChange("t", ID, Image(None, {}), Image(5, {A: b"[1]"}))
    deleted = EntityChange("t", ID, Image(5, {A: -(2**63)}), None)
    pair = PairChange(A, ID, OTHER, 7, is_added=True)

    async def scenario() -> None:
        engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime(now=42))
        await engine.write(changing((added,), (pair,)), event_id=EventId("e"))
        await engine.write(changing((changed, grown, deleted)))
        first, second = engine.read_now(lambda snapshot: snapshot.rows("SELECT * FROM _tx"))
        await engine.close()
        assert first[:4] == (1, 42, "admin", "e")
        assert second[:4] == (2, 42, "admin", None)
        assert msgspec.msgpack.decode(first[4]) == [  # type: ignore[arg-type]
            [["t", ID, None, {}, 5, {A: "x", B: b"\x00", C: 1.5}, 0]],
            [[A, ID, OTHER, 7, True]],
        ]
        assert msgspec.msgpack.decode(second[4]) == [  # type: ignore[arg-type]
            [
                ["t", ID, 5, {A: "x"}, 5, {A: "y"}, 1],
                ["t", ID, None, {A: None}, 5, {A: b"[1]"}, 1],
                ["t", ID, 5, {A: -(2**63)}, None, {}, 2],
            ],
            [],
        ]

    asyncio.run(scenario())


def kept(engine: SqliteEngine) -> list[Any]:
    return [tx for (tx,) in engine.read_now(lambda snapshot: snapshot.rows("SELECT id FROM _tx"))]


@pytest.mark.rule("S17")
def test_log_is_trimmed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "TX_LOG_ROWS_MAX", 5)
    monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 4)

    async def scenario() -> None:
        engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
        for _ in range(7):
            await engine.write(changing())
        assert kept(engine) == [1, 2, 3, 4, 5, 6, 7]
        await engine.write(changing())
        assert kept(engine) == [4, 5, 6, 7, 8]
        await engine.close()

    asyncio.run(scenario())


@pytest.mark.rule("S17")
def test_a_trim_is_bounded(tmp_path: Path, monkeypatch: Any) -> None:
    async def scenario() -> None:
        engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
        for _ in range(11):
            await engine.write(changing())
        monkeypatch.setattr(limits, "TX_LOG_ROWS_MAX", 1)
        monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 2)
        await engine.write(changing())
        assert kept(engine) == [6, 7, 8, 9, 10, 11, 12], "at most two rounds' worth at once"
        await engine.close()

    asyncio.run(scenario())
