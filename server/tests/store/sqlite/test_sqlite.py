"""What only the SQLite engine promises: files, durability, disks that fail."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from support.attrs import blob, committed, creating, entity
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from trice import limits
from trice.errors import Bug, Unavailable
from trice.store.commit import Commit
from trice.store.engine import Snapshot, WriteTx
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.engine import SqliteEngine

WRITER = Path(__file__).with_name("writing_process.py")


def open_engine(tmp_path: Path, **options: Any) -> SqliteEngine:
    return SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime(), **options)


def insert(number: int) -> Any:
    def work(tx: WriteTx) -> Commit:
        tx.rows("INSERT INTO t (id, _created_ms) VALUES (?, 1)", (entity(number),))
        return committed(tx)

    return work


def count(engine: SqliteEngine) -> Any:
    return engine.read_now(lambda snapshot: snapshot.rows("SELECT count(*) FROM t"))[0][0]


@pytest.mark.rule("S60")
def test_killed_process_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    """The child prints each transaction id once `write` returned it; then it is killed."""
    with subprocess.Popen(
        [sys.executable, str(WRITER), str(tmp_path / "app.db")], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in child.stdout.read().splitlines()]
    engine = open_engine(tmp_path)
    found = engine.read_now(lambda snapshot: snapshot.rows("SELECT n FROM t"))
    assert set(acknowledged) <= {tx for (tx,) in found}
    assert engine.tx == max(tx for (tx,) in found) >= max(acknowledged)
    logged = engine.read_now(lambda snapshot: snapshot.rows("SELECT id FROM _tx"))
    assert [tx for (tx,) in logged] == list(range(1, engine.tx + 1))
    asyncio.run(engine.close())


@contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond `size_bytes`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def bytes_of(path: Path) -> int:
    return path.stat().st_size


@pytest.mark.rule("S61")
async def test_group_that_cannot_be_committed_leaves_nothing(tmp_path: Path) -> None:
    engine = open_engine(tmp_path)
    heard: list[int] = []
    await engine.write(creating(blob("t", "id")))
    engine.on_commits(lambda commits: heard.extend(commit.tx for commit in commits))
    catalog = engine.catalog
    with full_disk(bytes_of(tmp_path / "app.db-wal")):
        outcomes = await asyncio.gather(
            engine.write(creating(blob("u", "id"))),
            engine.write(insert(1)),
            engine.write(insert(2)),
            return_exceptions=True,
        )
    for outcome in outcomes:
        assert isinstance(outcome, Unavailable) and outcome.code == "overloaded"
        assert isinstance(outcome.__cause__, Unavailable)
    assert (engine.tx, engine.catalog, heard, count(engine)) == (1, catalog, [], 0)
    assert await engine.write(creating(blob("u", "id"))) == 2
    assert await engine.write(insert(1)) == 3
    assert (heard, count(engine)) == ([2, 3], 1)
    await engine.close()


@pytest.mark.rule("S61")
async def test_transaction_that_sqlite_gave_up_fails_its_group(tmp_path: Path) -> None:
    engine = open_engine(tmp_path)
    await engine.write(creating(blob("t", "id")))

    def giving_up(tx: WriteTx) -> Commit:
        insert(9)(tx)
        tx.rows("ROLLBACK")  # as SQLite does by itself when a disk is full
        raise KeyError

    outcomes = await asyncio.gather(
        engine.write(insert(1)),
        engine.write(insert(2)),
        engine.write(giving_up),
        return_exceptions=True,
    )
    assert outcomes[0] == 2
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes[1:])
    assert await engine.write(insert(3)) == 3
    assert count(engine) == 2
    await engine.close()


@pytest.mark.rule("S61")
async def test_file_locked_by_another_process(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "STORE_BUSY_MS", 1)
    engine = open_engine(tmp_path)
    await engine.write(creating(blob("t", "id")))
    other = apsw.Connection(str(tmp_path / "app.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as refused:
        await engine.write(insert(1))
    assert refused.value.code == "overloaded"
    assert count(engine) == 0, "reading goes on"
    other.execute("ROLLBACK")
    other.close()
    assert await engine.write(insert(1)) == 2
    await engine.close()


def log_bytes(tmp_path: Path) -> int:
    return (tmp_path / "app.db-wal").stat().st_size


async def grow_log(engine: SqliteEngine) -> None:
    """Write until reads are held back."""
    for number in range(limits.WRITE_AHEAD_PAGES_MAX):
        await engine.write(insert(engine.tx * 1_000 + number))
        if engine._writer.is_log_long:
            return
    raise AssertionError("the log never becomes long")


@pytest.mark.rule("S242")
async def test_reads_that_overlap_let_the_log_begin_anew(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "WRITE_AHEAD_PAGES", 10)
    monkeypatch.setattr(limits, "WRITE_AHEAD_PAGES_MAX", 40)
    monkeypatch.setattr(limits, "READER_THREADS", 2)
    engine = open_engine(tmp_path)
    await engine.write(creating(blob("t", "id")))
    most = 0
    ends = [threading.Event() for _ in range(8)]

    async def read(number: int) -> int:
        def work(snapshot: Snapshot) -> int:
            assert ends[number].wait(WAIT_S)
            return snapshot.tx

        return await engine.read_on_thread(
            work, timeout_ms=60_000, turn_key=(f"network {number}", "")
        )

    earlier = asyncio.create_task(read(0))
    for number in range(1, len(ends)):
        await grow_log(engine)
        later = asyncio.create_task(read(number))
        await asyncio.sleep(0)
        assert engine.waiting == (0, 1), "it waits, although a thread is free"
        ends[number - 1].set()
        await earlier
        while engine.waiting[1]:  # noqa: ASYNC110 - told by a thread
            await asyncio.sleep(0)
        earlier = later
        most = max(most, log_bytes(tmp_path))
    ends[-1].set()
    assert await earlier == engine.tx
    assert most < 2 * limits.WRITE_AHEAD_PAGES_MAX * 4_200
    await engine.close()


@pytest.mark.rule("S242")
async def test_another_process_that_reads_holds_back_nobody(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(limits, "WRITE_AHEAD_PAGES", 10)
    monkeypatch.setattr(limits, "WRITE_AHEAD_PAGES_MAX", 40)
    engine = open_engine(tmp_path)
    await engine.write(creating(blob("t", "id")))
    other = apsw.Connection(str(tmp_path / "app.db"))
    other.execute("BEGIN; SELECT count(*) FROM _tx").fetchall()
    for _ in range(3):
        await grow_log(engine)
        found = await engine.read_on_thread(lambda snapshot: snapshot.tx, timeout_ms=60_000)
        assert found == engine.tx
    other.close()
    await engine.close()


@pytest.mark.rule("S62")
async def test_commits_are_synced(tmp_path: Path) -> None:
    engine = open_engine(tmp_path)
    settings: dict[str, Any] = {}

    def work(tx: WriteTx) -> Commit:
        for name in ("journal_mode", "synchronous", "foreign_keys"):
            settings[name] = tx.rows(f"PRAGMA {name}")[0][0]
        return committed(tx)

    await engine.write(work)
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 0}
    await engine.close()


@pytest.mark.rule("FN431")
async def test_commits_of_a_file_that_need_not_last_are_not_synced(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, is_lasting=False)
    found: list[Any] = []

    def work(tx: WriteTx) -> Commit:
        found.append(tx.rows("PRAGMA synchronous")[0][0])
        return committed(tx)

    await engine.write(work)
    await engine.close()
    connection = Connection(str(tmp_path / "app.db"), Role.WRITER, is_lasting=False)
    for is_waiting in (False, True):
        connection.wait_for_disk(is_waiting=is_waiting)
        found.append(connection.rows("PRAGMA synchronous")[0][0])
    connection.close()
    assert found == [0, 0, 0]


@pytest.mark.rule("S12")
async def test_a_read_that_comes_after_the_end_is_told_to_come_again(tmp_path: Path) -> None:
    """A request that was lent the app may read it when it is closed."""
    engine = open_engine(tmp_path)
    await engine.close()
    with pytest.raises(Unavailable) as late:
        await engine.read(lambda snapshot: snapshot.rows("SELECT 1"), timeout_ms=60_000)
    assert late.value.code == "overloaded"


@pytest.mark.rule("S63")
async def test_closed_app_is_one_file(tmp_path: Path) -> None:
    engine = open_engine(tmp_path)
    await engine.write(creating(blob("t", "id")))
    assert sorted(os.listdir(tmp_path)) == ["app.db", "app.db-shm", "app.db-wal"]
    await engine.close()
    await engine.close()
    assert os.listdir(tmp_path) == ["app.db"]


@pytest.mark.rule("S64")
def test_file_of_another_format_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    raw = apsw.Connection(str(path))
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="format 99"):
        open_engine(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.rule("S65")
async def test_system_attrs_are_placed_once_and_added_later(tmp_path: Path) -> None:
    users = blob("$users", "id", is_system=True)
    email = blob("$users", "email", is_system=True, is_unique=True, is_indexed=True)
    for attrs in ((users,), (users, email), (users, email)):
        engine = open_engine(tmp_path, system_attrs=attrs)
        assert engine.tx == 0
        assert list(engine.catalog.by_id) == sorted(attr.id for attr in attrs)
        assert {attr.table for attr in engine.catalog.by_id.values()} == {"$users"}
        await engine.close()


@pytest.mark.rule("S75")
async def test_indexes_of_an_older_version_are_made_anew_when_the_file_is_opened(
    tmp_path: Path,
) -> None:
    kind = blob("t", "kind", is_indexed=True)

    await open_engine(tmp_path, system_attrs=(blob("t", "id"), kind)).close()
    older = Connection(str(tmp_path / "app.db"), Role.WRITER)
    older.run('DROP INDEX "t~kind~value"')
    older.run('CREATE INDEX "t~kind~value" ON t (kind, id)')
    older.close()
    engine = open_engine(tmp_path)
    found = engine.read_now(
        lambda snapshot: snapshot.rows("SELECT name FROM pragma_index_info('t~kind~value')")
    )
    await engine.close()
    assert [name for (name,) in found] == ["kind", "_created_ms", "id"]


@pytest.mark.rule("S66")
async def test_readers_cannot_write_and_misspelt_columns_fail(tmp_path: Path) -> None:
    engine = open_engine(tmp_path)
    await engine.write(creating(blob("t", "id")))
    for sql in ("DELETE FROM t", 'SELECT "nope" FROM t', 'SELECT id FROM t WHERE "nope" = 1'):
        with pytest.raises(Bug):
            engine.read_now(lambda snapshot, sql=sql: snapshot.rows(sql))  # type: ignore[misc]
    assert count(engine) == 0
    await engine.close()


@pytest.mark.rule("S67")
def test_other_constraints_are_bugs(tmp_path: Path) -> None:
    connection = Connection(str(tmp_path / "x.db"), Role.WRITER)
    connection.run("CREATE TABLE t (a NOT NULL)")
    with pytest.raises(Bug, match=r"NOT NULL constraint failed: t\.a in: INSERT"):
        connection.rows("INSERT INTO t VALUES (?)", (None,))
    connection.close()
