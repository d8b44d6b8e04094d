"""Files of older formats: what opening them makes of them, and what is left when it fails.

`old/format-1.db.gz` was written by the version before the log led to whole commits.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.follower import Follower
from support.runtime import FakeRuntime
from trice.database import Database
from trice.errors import Unavailable
from trice.identity import ADMIN
from trice.protocol.ids import AppId, EventId, TxId
from trice.rules.document import Rules
from trice.store.log_format import Unreadable
from trice.store.sqlite import migrations
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.engine import SqliteEngine
from trice.store.sqlite.engines import SqliteEngines
from trice.store.sqlite.migrations import FORMAT, Migration, backup_path, migrate

OLD = Path(__file__).parent / "old" / "format-1.db.gz"
DYING = Path(__file__).parent / "migrating_process.py"
TODO = "e0000000-0000-4000-8000-00000000000{}"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    path.write_bytes(gzip.decompress(OLD.read_bytes()))
    return path


async def opened(path: Path) -> Database:
    runtime = FakeRuntime()
    return await Database.open(
        lambda attrs: SqliteEngine.open(
            path, runtime=runtime, system_attrs=attrs, can_create=False
        ),
        runtime=runtime,
        rules=Rules.parse(None),
    )


def sent(database: Database, number: int) -> list[Any]:
    """The steps of the transactions that the old file knows by `event-1` and `event-2`."""
    find = database.catalog.find_forward
    id_attr, title = find("todos", "id"), find("todos", "title")
    assert id_attr is not None and title is not None
    todo = TODO.format(number)
    return [
        ["add-triple", todo, id_attr.id, todo],
        ["add-triple", todo, title.id, f"Sent {number}"],
    ]


def version(path: Path) -> Any:
    with sqlite3.connect(path) as file:
        found = file.execute("PRAGMA user_version").fetchone()[0]
    file.close()
    return found


def content(path: Path) -> str:
    """All rows that a file holds, its schema among them."""
    with sqlite3.connect(path) as file:
        tables = [
            name
            for (name,) in file.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' UNION VALUES ('sqlite_schema')"
            )
        ]
        rows = {name: file.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}
    file.close()
    return repr(rows)


@pytest.mark.rule("S205")
async def test_data_links_attrs_and_transaction_ids_are_all_there(old: Path) -> None:
    database = await opened(old)
    found = orjson.loads(
        await database.query_nested({"todos": {"owner": {}, "tags": {}}}, identity=ADMIN)
    )["todos"]
    assert [todo["slug"] for todo in found] == [f"s{number}" for number in range(1, 8)]
    assert found[0]["title"] == "Sent 1" and found[6]["title"] == "Todo 7"
    assert found[0]["due"] == "2025-01-02T00:00:00.000800Z"
    assert [todo["owner"][0]["name"] for todo in found[:2]] == ["Bob", "Ann"]
    assert [tag["name"] for tag in found[1]["tags"]] == ["red", "blue"]
    assert "note" not in found[0]
    assert database.tx == 14
    (note,) = [attr for attr in database.catalog.by_id.values() if attr.label.endswith("$note")]
    await database.transact([["restore-attr", note.id]], identity=ADMIN)
    (todo,) = orjson.loads(
        await database.query_nested({"todos": {"$": {"where": {"slug": "s1"}}}}, identity=ADMIN)
    )["todos"]
    assert todo["note"] == {"n": [1, None]}
    assert database.tx == 15
    await database.close()
    assert version(old) == FORMAT


@pytest.mark.rule("S205", "T110", "T125")
async def test_replays_are_recognised(old: Path) -> None:
    database = await opened(old)
    for number, tx in ((1, 11), (2, 12)):
        again = await database.transact(
            sent(database, number), identity=ADMIN, event_id=EventId(f"event-{number}")
        )
        assert again == tx
    assert database.tx == 14
    await database.close()


@pytest.mark.rule("S205", "S201", "S203")
async def test_what_is_written_from_then_on_can_be_followed(old: Path) -> None:
    database = await opened(old)
    tx = await database.transact(sent(database, 3), identity=ADMIN)
    await database.close()
    follower = Follower(old, after=TxId(tx - 1))
    (commit,) = follower.read()
    (change,) = commit.entities
    assert change.old is not None and len(change.old.cells) == 6
    assert "Sent 3" not in change.old.cells.values()
    assert change.new is not None and "Sent 3" in change.new.cells.values()
    follower.close()
    with pytest.raises(Unreadable):
        Follower(old)  # from the beginning: those rows do not lead to commits


@pytest.mark.rule("S205")
async def test_the_file_is_copied_before(old: Path) -> None:
    before = content(old)
    await open_and_close(old)
    copy = backup_path(old, 1)
    assert copy.name == "app.db.v1.bak"
    assert content(copy) == before and version(copy) == 1
    assert sorted(os.listdir(old.parent)) == [old.name, copy.name]
    copy.unlink()
    await open_and_close(old)
    assert not copy.exists(), "a file of today is left as it is"


async def open_and_close(path: Path) -> None:
    await (await opened(path)).close()


@pytest.mark.rule("S207")
async def test_without_room_the_file_stays_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(old)

    def full(*_: object) -> None:
        raise Unavailable("overloaded", "The server's disk does not accept data. Try again.")

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "copy_to", full)  # interpreted: `migrations` calls it
        with pytest.raises(Unavailable) as caught:
            await open_and_close(old)
        assert caught.value.code == "overloaded"
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "update_attr", full)
        with pytest.raises(Unavailable) as caught:
            await open_and_close(old)
        assert caught.value.code == "overloaded"
    assert content(old) == before and version(old) == 1
    await open_and_close(old)
    assert version(old) == FORMAT


@pytest.mark.rule("S206")
@pytest.mark.parametrize("at", ["copying", "migrating", "committing"])
def test_killed_on_the_way_the_file_is_the_old_one_and_opens(old: Path, at: str) -> None:
    before = content(old)
    died = subprocess.run([sys.executable, str(DYING), str(old), at], check=False)
    assert died.returncode == -9
    # Reading it plays back what SQLite's log holds.
    assert content(old) == before and version(old) == 1
    asyncio.run(open_and_close(old))
    assert version(old) == FORMAT
    assert content(backup_path(old, 1)) == before
    assert not backup_path(old, 1).with_name("app.db.v1.bak.part").exists()


@pytest.mark.rule("S205")
def test_all_formats_that_a_file_lacks_are_made_in_order(tmp_path: Path) -> None:
    path, ran = tmp_path / "any.db", []
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 2")
        file.execute("CREATE TABLE t (n)")
    file.close()

    def step(name: str) -> Migration:
        def run(connection: Connection) -> None:
            connection.rows("INSERT INTO t VALUES (?)", (name,))
            ran.append(name)

        return Migration(name, run)

    steps = [step(name) for name in ("1 to 2", "2 to 3", "3 to 4")]
    for _ in range(2):
        connection = Connection(str(path), Role.WRITER, format_max=4)
        migrate(connection, path, steps)
        assert connection.rows("SELECT n FROM t") == [("2 to 3",), ("3 to 4",)]
        connection.close()
    assert ran == ["2 to 3", "3 to 4"]
    assert version(path) == 4 and backup_path(path, 2).exists()


@pytest.mark.rule("S205")
def test_copies_are_deleted_with_their_app(old: Path) -> None:
    folder = old.parent / "apps"
    folder.mkdir()
    engines = SqliteEngines(old.parent, runtime=FakeRuntime())
    for name in ("one", "two"):
        (folder / f"{name}.db").write_bytes(old.read_bytes())
        asyncio.run(open_and_close(folder / f"{name}.db"))
    (folder / "one.db.v2.bak.part").touch()
    (folder / "one.db.v2.bak.part-journal").touch()
    (folder / "one.db.v1.bak-wal").touch()
    engines.delete(AppId("one"))
    engines.close()
    assert sorted(os.listdir(folder)) == ["two.db", "two.db.v1.bak"]
