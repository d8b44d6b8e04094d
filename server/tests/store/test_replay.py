"""Transactions done again in a copy: it equals the file that did them first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.live_world import LiveWorld, schema_change
from support.world import make_world, random_transaction
from trice.protocol.ids import TxId
from trice.store.copies import LogRow
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.replay import is_replayable, replay

_ROWS = "SELECT id, time_ms, identity, event_id, changes FROM _tx WHERE id > ? ORDER BY id"


def copy(path: Path, target: Path) -> None:
    connection = Connection(str(path), Role.READER)
    connection.begin_snapshot()
    connection.copy_pages(str(target), 100, lambda: False)
    connection.rollback()
    connection.close()


def everything(path: Path) -> dict[str, Any]:
    """Every row of every table, and the text of every table, index and view."""
    connection = Connection(str(path), Role.READER)
    try:
        found: dict[str, Any] = {
            str(name): sql
            for name, sql in connection.rows("SELECT name, sql FROM sqlite_schema ORDER BY name")
            if not str(name).startswith("sqlite_")
        }
        tables = connection.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (name,) in tables:
            if not str(name).startswith("sqlite_"):
                rows = connection.rows(f'SELECT * FROM "{name}"')
                found[f"rows of {name}"] = sorted(rows, key=repr)
        assert connection.rows("PRAGMA integrity_check(1)") == [("ok",)]
        return found
    finally:
        connection.close()


def log_after(path: Path, tx: int) -> list[LogRow]:
    connection = Connection(str(path), Role.READER)
    try:
        return [LogRow(*row) for row in connection.rows(_ROWS, (tx,))]  # type: ignore[arg-type]
    finally:
        connection.close()


def last(path: Path) -> int:
    return log_after(path, 0)[-1].tx


@pytest.mark.rule("BK60")
@pytest.mark.parametrize("seed", range(12))
async def test_a_replay_equals_the_first_time(seed: int, tmp_path: Path) -> None:
    world = make_world(seed)
    draw = world.random
    path, follower = tmp_path / "app.db", tmp_path / "copy.db"
    live = LiveWorld(world, path)
    live.live.start()
    await live.fill()
    copy(path, follower)
    replayed = copied = 0
    for number in range(20):
        for _ in range(draw.choice((1, 2, 5))):
            is_schema = draw.random() < 0.05
            await live.transact(schema_change(world) if is_schema else random_transaction(world))
        rows = log_after(path, last(follower))
        tx = replay(follower, rows)
        if tx < live.engine.tx:
            blocked = next(row for row in rows if row.tx == tx + 1)
            assert not is_replayable(blocked.changes)
            follower = tmp_path / f"copy-{number}.db"
            copy(path, follower)
            copied += 1
        replayed += len(rows)
        mine, theirs = everything(follower), everything(path)
        for name in theirs:
            assert mine.get(name) == theirs[name], f"seed {seed}, round {number}: {name}"
        assert mine.keys() == theirs.keys()
    assert replayed > 20
    await live.close()


@pytest.mark.rule("BK60")
async def test_a_gap_ends_a_replay(tmp_path: Path) -> None:
    world = make_world(1)
    path, follower = tmp_path / "app.db", tmp_path / "copy.db"
    live = LiveWorld(world, path)
    live.live.start()
    await live.fill()
    copy(path, follower)
    for _ in range(4):
        await live.transact(random_transaction(world))
    rows = log_after(path, last(follower))
    assert len(rows) >= 3
    before = last(follower)
    assert replay(follower, rows[1:]) == before
    assert replay(follower, [rows[0], *rows[2:]]) == TxId(before + 1)
    await live.close()
