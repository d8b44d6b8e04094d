"""How should rows be kept: by rowid, WITHOUT ROWID, or by integers that stand for ids?

`.venv/bin/python bench/table_layout.py [ROUNDS]` builds 100,000 todos with an owner in each way in
SQLite, with the indexes and statistics of the store. In turns it does what every app does: create
one more (durable, in a transaction of its own, with its row in the log), read the newest 20, 1,000
by id, and the newest 10 of an owner. Ids are random, as clients make them, or ordered, as the
server makes them. `events` also has an index of event ids in the log, as files of format 1 had.
Times are medians of CPU, in µs. `store/log.md` quotes the result.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import apsw

ROWS: Final = 100_000
OWNERS: Final = 10_000
TIMES: Final = {"create": 200, "newest": 200, "by id": 10, "of owner": 200}
VARIANTS: Final = (
    ("rowid", "random", True),
    ("rowid", "random", False),
    ("without", "random", False),
    ("integer", "random", False),
    ("rowid", "ordered", False),
    ("without", "ordered", False),
    ("integer", "ordered", False),
)
COLUMNS: Final = "_created_ms INTEGER, title, title_order, done, owner, rank, note"
SCHEMA: Final = """
CREATE INDEX t_created ON t (_created_ms, id);
CREATE INDEX t_owner ON t (owner, _created_ms, id);
CREATE INDEX t_title ON t (title, _created_ms, id);
CREATE INDEX t_order ON t (title_order, id);
CREATE INDEX t_rank ON t (rank, id);
CREATE TABLE _tx (id INTEGER NOT NULL PRIMARY KEY, time_ms, identity, event_id TEXT, changes BLOB);
"""
TABLES: Final = {
    "rowid": f"CREATE TABLE t (id BLOB NOT NULL PRIMARY KEY, {COLUMNS});",
    "without": f"CREATE TABLE t (id BLOB NOT NULL PRIMARY KEY, {COLUMNS}) WITHOUT ROWID;",
    # A table of all ids gives each id its integer; reading a row joins its id, and that of the
    # entity it links to.
    "integer": "CREATE TABLE ids (key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);"
    f"CREATE TABLE t (id INTEGER PRIMARY KEY, {COLUMNS});",
}
ROW: Final = "t.id, _created_ms, title, done, owner, rank, note"
KEYED_ROW: Final = "k.id, _created_ms, title, done, o.id, rank, note"
JOINED: Final = "t JOIN ids k ON k.key = t.id LEFT JOIN ids o ON o.key = t.owner"


class Layout:
    """One file, and what is done to it."""

    def __init__(self, folder: Path, table: str, ids: str, *, has_events: bool) -> None:
        self.name = f"{table} {ids}{' events' if has_events else ''}"
        self.path = folder / self.name
        self._random = random.Random(1)
        self._is_keyed, self._is_ordered, self._has_events = (
            table == "integer",
            ids == "ordered",
            has_events,
        )
        self._writer = apsw.Connection(str(self.path), statementcachesize=256)
        for pragma in ("journal_mode = wal", "wal_autocheckpoint = 8000", "cache_size = -4000"):
            self._writer.execute(f"PRAGMA {pragma}").fetchall()
        self._writer.execute(TABLES[table] + SCHEMA)
        if has_events:
            self._writer.execute("CREATE INDEX _tx_event ON _tx (event_id)")
        self._tx = 0
        self._ids: list[bytes] = []
        self._writer.execute("BEGIN")
        self._owners = [self._new_id() for _ in range(OWNERS)]
        if self._is_keyed:
            self._owner_keys = [self._key(owner) for owner in self._owners]
        for _ in range(ROWS):
            self._create()
        self._writer.execute("COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        flags = apsw.SQLITE_OPEN_READONLY
        self._reader = apsw.Connection(str(self.path), flags=flags, statementcachesize=256)
        self._reader.execute("PRAGMA cache_size = -8000")
        self._row = KEYED_ROW if self._is_keyed else ROW
        self._from = JOINED if self._is_keyed else "t"

    def run(self, what: str) -> float:
        """CPU µs of one operation."""
        work = {"create": self._write, "newest": self._newest, "by id": self._by_id}
        began = time.process_time()
        for _ in range(TIMES[what]):
            work.get(what, self._of_owner)()
        return (time.process_time() - began) / TIMES[what] * 1e6

    def _write(self) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        self._create()
        self._writer.execute("COMMIT")

    def _create(self) -> None:
        run, draw = self._writer.execute, self._random
        self._tx += 1
        entity = self._new_id()
        self._ids.append(entity)
        event = f"{draw.randbytes(16).hex()}.{draw.randbytes(12).hex()}"
        if self._has_events:
            run("SELECT id FROM _tx WHERE event_id = ?", (event,)).fetchall()
        title, at = f"Todo number {draw.randrange(10**6)}", draw.randrange(OWNERS)
        key: bytes | int = entity
        owner: bytes | int = self._owners[at]
        if self._is_keyed:
            # The look-ups that tell that one id is new, and the integer of the other.
            run("SELECT key FROM ids WHERE id = ?", (entity,)).fetchall()
            run("SELECT key FROM ids WHERE id = ?", (owner,)).fetchall()
            key, owner = self._key(entity), self._owner_keys[at]
        else:
            run("SELECT * FROM t WHERE id = ?", (key,)).fetchall()
        cells = (
            key,
            self._tx,
            title,
            title.encode() * 2,
            b"\x01",
            owner,
            draw.random(),
            b'{"a":[1,2]}',
        )
        run("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", cells)
        run("INSERT INTO _tx VALUES (?, ?, 'guest', ?, ?)", (self._tx, self._tx, event, b"x" * 250))

    def _newest(self) -> None:
        self._read(
            "WHERE _created_ms IS NOT NULL ORDER BY _created_ms DESC, t.id DESC LIMIT 20", ()
        )

    def _by_id(self) -> None:
        wanted = apsw.carray(tuple(self._random.sample(self._ids, 1_000)))
        name = "k.id" if self._is_keyed else "t.id"
        self._read(f"WHERE {name} IN carray(?)", (wanted,))

    def _of_owner(self) -> None:
        owner: bytes | int = self._owners[self._random.randrange(OWNERS)]
        if self._is_keyed:
            # A statement of its own: SQLite does not know how few rows a subquery leads to.
            ((owner,),) = self._reader.execute("SELECT key FROM ids WHERE id = ?", (owner,))
        self._read(
            "WHERE owner = ? AND _created_ms IS NOT NULL"
            " ORDER BY _created_ms DESC, t.id DESC LIMIT 10",
            (owner,),
        )

    def _read(self, where: str, bindings: tuple[object, ...]) -> None:
        self._reader.execute(f"SELECT {self._row} FROM {self._from} {where}", bindings).fetchall()

    def _key(self, entity: bytes) -> int:
        self._writer.execute("INSERT INTO ids (id) VALUES (?)", (entity,))
        return int(self._writer.last_insert_rowid())

    def _new_id(self) -> bytes:
        if self._is_ordered:
            return self._tx.to_bytes(6, "big") + self._random.randbytes(10)
        return self._random.randbytes(16)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    order = random.Random(2)
    taken: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        layouts = [Layout(Path(folder), *it[:2], has_events=it[2]) for it in VARIANTS]
        for _ in range(rounds):
            for layout in order.sample(layouts, len(layouts)):
                for what in TIMES:
                    taken.setdefault((layout.name, what), []).append(layout.run(what))
        lines = [f"{'layout':24} {'MB':>6} " + " ".join(f"{what:>9}" for what in TIMES)]
        for layout in layouts:
            figures = (statistics.median(taken[layout.name, what]) for what in TIMES)
            size_mb = layout.path.stat().st_size / 1e6
            shown = " ".join(f"{figure:9.1f}" for figure in figures)
            lines.append(f"{layout.name:24} {size_mb:6.1f} {shown}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
