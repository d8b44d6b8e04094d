"""Where should a has-one link be: in a column of its namespace, or in a table of pairs?

`.venv/bin/python bench/link_layout.py` builds 100,000 todos with an owner in both ways in SQLite,
and times what every app does: read the newest 50 with links and owners, and create one more.
ARCHITECTURE.md quotes the result.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw

ROWS = 100_000
OWNERS = 1_000
ROUNDS = 5
READS = 400
CREATES = 4_000

COLUMN = """
CREATE TABLE todos (id BLOB NOT NULL PRIMARY KEY, created INTEGER, title, done, owner);
CREATE INDEX todos_created ON todos (created, id);
CREATE INDEX todos_owner ON todos (owner, id);
CREATE TABLE people (id BLOB NOT NULL PRIMARY KEY, created INTEGER, name)
"""
PAIRS = """
CREATE TABLE todos (id BLOB NOT NULL PRIMARY KEY, created INTEGER, title, done);
CREATE INDEX todos_created ON todos (created, id);
CREATE TABLE owner (source BLOB PRIMARY KEY, target BLOB, created INTEGER) WITHOUT ROWID;
CREATE INDEX owner_target ON owner (target, source);
CREATE TABLE people (id BLOB NOT NULL PRIMARY KEY, created INTEGER, name)
"""
NEWEST = {
    "column": "SELECT id, created, title, done, owner FROM todos ORDER BY created DESC, id DESC"
    " LIMIT 50",
    "pairs": "SELECT t.id, t.created, t.title, t.done, o.target FROM (SELECT * FROM todos"
    " ORDER BY created DESC, id DESC LIMIT 50) t LEFT JOIN owner o ON o.source = t.id",
}
PEOPLE = "SELECT id, created, name FROM people WHERE id IN carray(?)"


def main() -> None:
    lines = [f"{'layout':8} {'read newest 50 µs':>24} {'create µs':>24} {'MB':>6}"]
    with tempfile.TemporaryDirectory() as folder:
        for layout, schema in (("column", COLUMN), ("pairs", PAIRS)):
            lines.append(measure(Path(folder) / layout, layout, schema))
    sys.stdout.write("\n".join(lines) + "\n")


def measure(path: Path, layout: str, schema: str) -> str:
    """Build one layout's file and time it: a line of the table."""
    database = apsw.Connection(str(path))
    database.execute("PRAGMA journal_mode = WAL").fetchall()
    database.execute("PRAGMA synchronous = OFF").fetchall()
    database.execute(schema)
    owners = [os.urandom(16) for _ in range(OWNERS)]
    database.execute("BEGIN")
    for owner in owners:
        database.execute("INSERT INTO people VALUES (?, 1, 'name')", (owner,))
    for number in range(ROWS):
        create(database, layout, owners, number)
    database.execute("COMMIT")
    reads = [timed(lambda: read(database, layout), READS) for _ in range(ROUNDS)]
    database.execute("BEGIN")
    one_more = partial(create, database, layout, owners, ROWS)
    writes = [timed(one_more, CREATES) for _ in range(ROUNDS)]
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    size_mb = path.stat().st_size / 1e6
    return f"{layout:8} {spread(reads):>24} {spread(writes):>24} {size_mb:6.1f}"


def read(database: apsw.Connection, layout: str) -> None:
    rows = database.execute(NEWEST[layout]).fetchall()
    wanted = tuple({row[4] for row in rows})
    database.execute(PEOPLE, (apsw.carray(wanted),)).fetchall()


def create(database: apsw.Connection, layout: str, owners: list[bytes], number: int) -> None:
    entity, owner = os.urandom(16), owners[number % OWNERS]
    title = f"todo {number}"
    if layout == "column":
        database.execute("INSERT INTO todos VALUES (?, ?, ?, 0, ?)", (entity, number, title, owner))
        return
    database.execute("INSERT INTO todos VALUES (?, ?, ?, 0)", (entity, number, title))
    database.execute("INSERT INTO owner VALUES (?, ?, ?)", (entity, owner, number))


def timed(work: Callable[[], None], times: int) -> float:
    """Microseconds that one call takes."""
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times * 1e6


def spread(samples: list[float]) -> str:
    return f"{statistics.median(samples):.1f} ({min(samples):.1f}–{max(samples):.1f})"


if __name__ == "__main__":
    main()
