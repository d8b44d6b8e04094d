"""The log of transactions: what it keeps, for how long, and what it recognises."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.attrs import blob, committed, creating, entity, link
from support.engines import open_database
from support.follower import Follower, encoded_commit
from support.runtime import FakeRuntime
from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import Unavailable
from trice.identity import ADMIN
from trice.protocol.ids import EntityId, EventId, TxId
from trice.store.commit import Commit, EntityChange, Image, PairChange
from trice.store.engine import WriteTx
from trice.store.log_format import Unreadable, decode_commit, encode_changes
from trice.store.sqlite.engine import SqliteEngine

DAY_MS = 86_400_000
ATTRS = (blob("t", "id"), blob("t", "a"), blob("t", "b"), blob("t", "c"), link("t", "l", "t", "k"))
_, A, B, C, L = (attr.id for attr in ATTRS)
ID = EntityId(entity(1))
OTHER = EntityId(entity(2))


def changing(
    entities: tuple[EntityChange, ...] = (), pairs: tuple[PairChange, ...] = ()
) -> Callable[[WriteTx], Commit]:
    return lambda tx: committed(tx, entities=entities, pairs=pairs)


def in_order(image: dict[Any, Any]) -> dict[Any, Any]:
    """Cells as a namespace lists them."""
    return {key: image[key] for key in sorted(image)}


@pytest.mark.rule("S16", "S200", "S204")
async def test_every_change_is_kept(tmp_path: Path) -> None:
    whole = in_order({A: "x", B: b"\x00", C: 1.5})
    added = EntityChange("t", ID, None, Image(5, whole))
    changed = EntityChange("t", ID, Image(5, whole), Image(5, in_order({A: "y", C: 1, B: b"\x00"})))
    grown = EntityChange("t", ID, Image(None, {}), Image(5, {A: b"[1]"}))
    shrunk = EntityChange("t", ID, Image(5, {A: b"[1]"}), Image(None, {}))
    deleted = EntityChange("t", ID, Image(5, {A: -(2**63)}), None)
    pair = PairChange(L, ID, OTHER, 7, is_added=True)
    published: list[Commit] = []

    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime(now=42))
    engine.on_commits(published.extend)
    await engine.write(creating(*ATTRS))
    await engine.write(changing((added,), (pair,)), event_id=EventId("e"))
    await engine.write(changing((changed, grown, shrunk, deleted)))
    rows = engine.read_now(lambda snapshot: snapshot.rows("SELECT * FROM _tx"))
    assert [row[:4] for row in rows] == [
        (1, 42, "admin", None),
        (2, 42, "admin", "e"),
        (3, 42, "admin", None),
    ]
    assert [attr.number for attr in engine.catalog.by_id.values()] == [1, 2, 3, 4, 5]
    await engine.close()
    follower = Follower(tmp_path / "app.db")
    rebuilt = follower.read()
    follower.close()
    told = [msg.event_id for msg in rebuilt]
    assert told == [None, "e", None]
    for commit, expected in zip(rebuilt, published, strict=True):
        assert commit.entities == [*expected.entities]
        assert commit.pairs == [*expected.pairs]
        assert commit.catalog.wire_json == expected.catalog.wire_json
        assert commit.is_catalog_changed == expected.is_catalog_changed
        assert [attr.number for attr in commit.catalog.by_id.values()] == [1, 2, 3, 4, 5]


@pytest.mark.rule("S202")
def test_long_cells_that_stayed_the_same_are_left_out(tmp_path: Path) -> None:
    long, short = b'"' + b"x" * limits.TX_LOG_SAME_BYTES_MAX + b'"', "y" * 64
    catalog = numbered()
    commit = Commit(
        tx=TxId(3),
        time_ms=4,
        identity="guest",
        event_id=None,
        entities=[
            EntityChange(
                "t",
                ID,
                Image(5, in_order({A: 1, B: long, C: short})),
                Image(5, in_order({A: 2, B: long, C: short})),
            )
        ],
        pairs=[],
        catalog=catalog,
        is_catalog_changed=False,
    )
    blob = encode_changes(commit, catalog)
    assert len(blob) < 200
    asked: list[Any] = []

    def find(*wanted: Any) -> bytes:
        asked.append(wanted)
        return long

    assert encoded_commit(decoded(blob, catalog, find)) == encoded_commit(commit)
    assert asked == [(3, ID, B)]


def numbered() -> Catalog:
    return Catalog(replace(attr, number=at) for at, attr in enumerate(ATTRS, start=1))


def decoded(blob: bytes, catalog: Catalog, find: Any = None) -> Commit:
    return decode_commit(
        blob,
        tx=TxId(3),
        time_ms=4,
        sender="guest",
        event_id=None,
        before=catalog,
        find_cell=find,
    )


@pytest.mark.rule("S203")
@pytest.mark.parametrize("blob", [b"", b"\x92\x90\x90", b"\x94\x03\x90\x90\xc0"])
def test_a_row_of_another_format_is_not_guessed_at(blob: bytes) -> None:
    with pytest.raises(Unreadable):
        decoded(blob, numbered())


def kept(engine: SqliteEngine) -> list[Any]:
    return [tx for (tx,) in engine.read_now(lambda snapshot: snapshot.rows("SELECT id FROM _tx"))]


@pytest.mark.rule("S17")
async def test_log_is_trimmed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "TX_LOG_ROWS_MAX", 5)
    monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 4)
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
    for _ in range(7):
        await engine.write(changing())
    assert kept(engine) == [1, 2, 3, 4, 5, 6, 7]
    await engine.write(changing())
    assert kept(engine) == [4, 5, 6, 7, 8]
    await engine.close()


@pytest.mark.rule("S17")
async def test_a_trim_is_bounded(tmp_path: Path, monkeypatch: Any) -> None:
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
    for _ in range(11):
        await engine.write(changing())
    monkeypatch.setattr(limits, "TX_LOG_ROWS_MAX", 1)
    monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 2)
    await engine.write(changing())
    assert kept(engine) == [5, 6, 7, 8, 9, 10, 11, 12], "two rounds' worth at once"
    await engine.close()


@pytest.mark.rule("S17", "S1")
async def test_old_rows_go_and_the_newest_stays(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 2)
    runtime = FakeRuntime()
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=runtime, history_days=2)
    for _ in range(3):
        await engine.write(changing())
        runtime.advance(DAY_MS)
    await engine.write(changing())
    assert kept(engine) == [2, 3, 4], "what is two days old stays"
    runtime.advance(9 * DAY_MS)
    await engine.write(changing())
    await engine.write(changing())
    assert kept(engine) == [5, 6]
    runtime.advance(9 * DAY_MS)
    for _ in range(2):
        await engine.write(changing())
    await engine.close()
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=runtime)
    assert engine.tx == 8
    await engine.close()


@pytest.mark.rule("T125")
async def test_the_newest_event_ids_are_recognised(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "EVENT_IDS_KEPT", 3)
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
    for name in "abcd":
        await engine.write(changing(), event_id=EventId(name))
    assert await engine.write(changing(), event_id=EventId("b")) == 2
    assert await engine.write(changing(), event_id=EventId("a")) == 5, "older than is kept"
    await engine.close()
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
    assert await engine.write(changing(), event_id=EventId("a")) == 5
    assert await engine.write(changing(), event_id=EventId("c")) == 3
    assert await engine.write(changing(), event_id=EventId("b")) == 6
    await engine.close()


@pytest.mark.rule("T125")
async def test_an_event_id_is_forgotten_with_its_row(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 2)
    runtime = FakeRuntime()
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=runtime, history_days=1)
    await engine.write(changing(), event_id=EventId("a"))
    runtime.advance(2 * DAY_MS)
    await engine.write(changing())
    assert kept(engine) == [2]
    assert await engine.write(changing(), event_id=EventId("a")) == 3
    await engine.close()


@pytest.mark.rule("S240")
async def test_an_event_id_that_comes_again_is_as_new_as_its_latest(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 2)
    monkeypatch.setattr(limits, "EVENT_IDS_KEPT", 3)
    runtime = FakeRuntime()
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=runtime, history_days=1)
    await engine.write(changing(), event_id=EventId("a"))
    runtime.advance(2 * DAY_MS)
    for name, tx in (("b", 2), ("a", 3), ("c", 4), ("d", 5)):
        assert await engine.write(changing(), event_id=EventId(name)) == tx
    assert await engine.write(changing(), event_id=EventId("a")) == 3
    await engine.close()


@pytest.mark.rule("S240")
async def test_a_group_that_fails_costs_no_event_id(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "EVENT_IDS_KEPT", 3)
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())

    def giving_up(tx: WriteTx) -> Commit:
        tx.rows("ROLLBACK")  # as SQLite does by itself when a disk is full
        raise KeyError

    for name in "abc":
        await engine.write(changing(), event_id=EventId(name))
    *_, failed, gave_up = await asyncio.gather(
        engine.write(changing(), event_id=EventId("d")),
        engine.write(changing(), event_id=EventId("e")),
        engine.write(changing(), event_id=EventId("f")),
        engine.write(giving_up),
        return_exceptions=True,
    )
    assert isinstance(failed, Unavailable) and isinstance(gave_up, Unavailable)
    for name, tx in (("b", 2), ("c", 3), ("d", 4)):
        assert await engine.write(changing(), event_id=EventId(name)) == tx
    await engine.close()


@pytest.mark.rule("S202")
async def test_what_was_deleted_after_its_attr_is_refused_as_unreadable(tmp_path: Path) -> None:
    path, runtime, todo = tmp_path / "app.db", FakeRuntime(), str(uuid.UUID(int=7))
    long = "x" * (limits.TX_LOG_SAME_BYTES_MAX + 1)
    database = await open_database(path, runtime=runtime)

    async def admin(*step: Any) -> TxId:
        return await database.transact_admin([[*step]], identity=ADMIN)

    await admin("update", "todos", todo, {"text": long, "done": False})
    changed = await admin("update", "todos", todo, {"done": True})
    text = database.catalog.find_forward("todos", "text")
    assert text is not None
    await admin("delete-attr", text.id)
    await admin("update", "todos", todo, {"done": False})
    follower = Follower(path, after=TxId(changed - 1))
    (change,) = follower.read()[0].entities
    assert change.old is not None and change.old.cells[text.id] == long
    follower.close()
    await admin("delete", "todos", todo)
    follower = Follower(path, after=TxId(changed - 1))
    with pytest.raises(Unreadable):
        follower.read()
    follower.close()
    await database.close()
