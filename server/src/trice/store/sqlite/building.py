"""Indexes that are made a few rows at a time, while others write.

SQLite makes an index in one statement, during which nobody else writes: a second for a million
rows. Here the tree of an index is filled in short transactions, and belongs to other tables until
it is whole. An index and a table without rowid are kept alike, so that one row of `sqlite_schema`
decides whose tree it is:

    index of …-rows ──as_table──> table …-sorted ──as_index──> …-ready, index of …-rows ──adopt──>
    gets entries with NULLs       gets all others in           gets what changed           the index
                                  their order, so that         meanwhile (…-changed)       of the
                                  it only grows at its end                                 attr

Triggers note in `…-changed` which entry a row had before each write. `…-rows` has rows only for the
sake of their entries in the index.

Invariant: the index of an attr has exactly the entries that CREATE INDEX would make (the tests ask
`PRAGMA integrity_check`). Unfinished trees are dropped when the file is opened (`drop_unfinished`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, cast

from trice.catalog.values import Cell
from trice.store.engine import Row, Statements
from trice.store.sqlite.index import Index, quoted

_MARK: Final = "~building-"
FILLING: Final = "~fill" + _MARK
"""Ends the names of an order index, for triggers that fill its column before it is built."""
_ROWID: Final = "~rowid"


class SharedValue(Exception):
    """Two rows have the same value of an index that is to be unique."""

    def __init__(self, cell: Cell) -> None:
        super().__init__("two rows share a value")
        self.cell = cell


class Building:
    """One index that is being made. Each method is the work of one short transaction.

    null_column   its x'00' counts as NULL, because it will be NULL before the index is adopted
    """

    def __init__(self, index: Index, *, null_column: str | None = None) -> None:
        self.index = index
        base = index.name + _MARK
        self._rows, self._sorted, self._changed, self._ready = (
            base + part for part in ("rows", "sorted", "changed", "ready")
        )
        self._base = base
        self._columns = ", ".join(map(quoted, index.columns))
        self._null_column = null_column

    def begin(self, statements: Statements) -> None:
        """Make an empty tree, and note from now on what changes."""
        run, table = statements.rows, quoted(self.index.table)
        self.drop(statements)
        columns = ", ".join(f"{quoted(name)} {_affinity(name)}" for name in self.index.columns)
        run(f"CREATE TABLE {quoted(self._rows)} ({columns})")
        run(f"CREATE TABLE {quoted(self._changed)} ({quoted(_ROWID)} INTEGER, {columns})")
        run(self.index.sql(self._ready, self._rows, is_plain=True))
        note = (
            f"INSERT INTO {quoted(self._changed)} ({quoted(_ROWID)}, {self._columns})"
            f" VALUES (OLD.rowid, {self._cells('OLD.')});"
        )
        differs = " OR ".join(
            f"{old} IS NOT {new}"
            for old, new in zip(self._cell_list("OLD."), self._cell_list("NEW."), strict=True)
        )
        run(
            f"CREATE TRIGGER {quoted(self._base + 'insert')} AFTER INSERT ON {table} BEGIN"
            f" INSERT INTO {quoted(self._changed)} ({quoted(_ROWID)}) VALUES (NEW.rowid); END"
        )
        run(
            f"CREATE TRIGGER {quoted(self._base + 'update')} AFTER UPDATE ON {table}"
            f" WHEN {differs} BEGIN {note} END"
        )
        run(
            f"CREATE TRIGGER {quoted(self._base + 'delete')} AFTER DELETE ON {table} BEGIN"
            f" {note} END"
        )

    def add_nulls(self, statements: Statements, after: int, last: int) -> None:
        """Add the entries that hold a NULL, of the rows after one rowid up to another."""
        if self.index.condition:
            return
        has_null = " OR ".join(f"{cell} IS NULL" for cell in self._cell_list())
        statements.rows(
            f"INSERT OR REPLACE INTO {quoted(self._rows)} (rowid, {self._columns})"
            f" SELECT rowid, {self._cells()} FROM {quoted(self.index.table)}"
            f" WHERE rowid > ? AND rowid <= ? AND ({has_null})",
            (after, last),
        )

    def as_table(self, statements: Statements) -> None:
        """From now on the tree is a table, which is filled in the order of the index."""
        columns = ", ".join(f"{quoted(name)} {_affinity(name)}" for name in self.index.columns)
        key = f"{self._columns}, {quoted(_ROWID)}"
        sql = (
            f"CREATE TABLE {quoted(self._sorted)} ({columns}, {quoted(_ROWID)} INTEGER,"
            f" PRIMARY KEY ({key})) WITHOUT ROWID"
        )
        _turn(statements, self._ready, "table", self._sorted, self._sorted, sql)

    def sorted_entries(
        self, statements: Statements, rows_max: int
    ) -> Iterator[Sequence[tuple[Cell, ...]]]:
        """All entries without NULLs in the order of the index, in pieces.

        raises   SharedValue, if the index is to be unique
        """
        full = " AND ".join(f"{cell} IS NOT NULL" for cell in self._cell_list())
        if self.index.condition:
            full = self.index.condition
        sql = (
            f"SELECT {self._cells()}, rowid FROM {quoted(self.index.table)} WHERE {full}"
            f" ORDER BY {', '.join(self._cell_list())}, rowid"
        )
        latest: Cell = None
        for piece in statements.pieces(sql, rows_max=rows_max):
            if self.index.is_unique:
                for row in piece:
                    if row[0] == latest:
                        raise SharedValue(latest)
                    latest = row[0]
            yield piece

    def add(self, statements: Statements, entries: Sequence[Row]) -> None:
        """Add entries of `sorted_entries`."""
        holes = ", ".join("?" * (len(self.index.columns) + 1))
        sql = f"INSERT OR IGNORE INTO {quoted(self._sorted)} VALUES ({holes})"
        for entry in entries:
            statements.rows(sql, entry)

    def as_index(self, statements: Statements) -> None:
        """From now on the tree is an index again, and gets what has changed."""
        sql = self.index.sql(self._ready, self._rows, is_plain=True)
        _turn(statements, self._sorted, "index", self._ready, self._rows, sql)

    def catch_up(self, statements: Statements, count: int) -> int:
        """Bring the entries of rows that changed up to date, oldest changes first.

        count    at most so many changes
        returns  how many there were
        raises   SharedValue
        """
        run, rows = statements.rows, quoted(self._rows)
        found = run(
            f"SELECT rowid, {quoted(_ROWID)}, {self._columns} FROM {quoted(self._changed)}"
            " ORDER BY rowid LIMIT ?",
            (count,),
        )
        if not found:
            return 0
        holes = ", ".join("?" * (len(self.index.columns) + 1))
        # A row that is added and deleted takes its entry along, which may have been there before.
        replace = f"REPLACE INTO {rows} (rowid, {self._columns}) VALUES ({holes})"
        for _, *entry in found:
            run(replace, entry)
        changed = list(dict.fromkeys(cast(int, rowid) for _, rowid, *_ in found))
        for rowid in changed:
            run(f"DELETE FROM {rows} WHERE rowid = ?", (rowid,))
        condition = f" AND {self.index.condition}" if self.index.condition else ""
        for rowid in changed:
            run(
                f"INSERT INTO {rows} (rowid, {self._columns}) SELECT rowid, {self._cells()}"
                f" FROM {quoted(self.index.table)} WHERE rowid = ?{condition}",
                (rowid,),
            )
        run(f"DELETE FROM {quoted(self._changed)} WHERE rowid <= ?", (found[-1][0],))
        if self.index.is_unique:
            for rowid in changed:
                self._check_alone(statements, rowid)
        return len(found)

    def _check_alone(self, statements: Statements, rowid: int) -> None:
        """Raise SharedValue if another row has the value that a row has now. An entry that waits to
        be removed does not count."""
        table = quoted(self.index.table)
        (cell,), value = self._cell_list(), quoted(self.index.columns[0])
        held = statements.rows(
            f"SELECT {value} FROM {quoted(self._rows)} WHERE rowid = ?", (rowid,)
        )
        if not held or held[0][0] is None:
            return
        for (other,) in statements.rows(
            f"SELECT rowid FROM {quoted(self._rows)} INDEXED BY {quoted(self._ready)}"
            f" WHERE {value} = ?",
            held[0],
        ):
            if other != rowid and statements.rows(
                f"SELECT 1 FROM {table} WHERE rowid = ? AND {cell} = ?", (other, held[0][0])
            ):
                raise SharedValue(held[0][0])

    def is_ready(self, statements: Statements) -> bool:
        """Whether `as_index` was done."""
        return bool(statements.rows("SELECT 1 FROM sqlite_schema WHERE name = ?", (self._ready,)))

    def adopt(self, statements: Statements) -> None:
        """Make the tree the index of its attr, up to date as of this transaction.

        raises   SharedValue
        """
        while self.catch_up(statements, _CHANGES_AT_ONCE):
            pass
        index = self.index
        _turn(statements, self._ready, "index", index.name, index.table, index.sql())
        self.drop(statements)

    def drop(self, statements: Statements) -> None:
        """Remove what was made so far. O(pages): 15 ms for a million rows."""
        drop_under(statements, self._base)

    def _cell_list(self, prefix: str = "") -> list[str]:
        cells = {name: f"{prefix}{quoted(name)}" for name in self.index.columns}
        if self._null_column in cells:
            cells[self._null_column] = f"nullif({cells[self._null_column]}, x'00')"
        return list(cells.values())

    def _cells(self, prefix: str = "") -> str:
        return ", ".join(self._cell_list(prefix))


_CHANGES_AT_ONCE: Final = 1_000


def adopt(statements: Statements, old: Sequence[Index], new: Sequence[Index]) -> None:
    """Replace the indexes of an attr by new ones, which are ready, or are made now in O(rows).

    raises   SharedValue; UniqueIndexBroken, for those made now
    """
    for index in old:
        if index not in new:
            statements.rows(f"DROP INDEX IF EXISTS {quoted(index.name)}")
    for index in new:
        building = Building(index)
        if index in old:
            continue
        drop_under(statements, index.name + FILLING)
        if building.is_ready(statements):
            building.adopt(statements)
        else:
            statements.rows(index.sql())


def drop_unfinished(statements: Statements) -> None:
    """Remove all that a process left that ended while it made indexes."""
    drop_under(statements, "")


def drop_under(statements: Statements, base: str) -> None:
    """Remove unfinished indexes, and their triggers, whose names begin with `base`."""
    found = statements.rows(
        "SELECT type, name FROM sqlite_schema WHERE instr(name, ?) AND substr(name, 1, ?) = ?"
        " AND type IN ('trigger', 'table') ORDER BY type DESC",
        (_MARK, len(base), base),
    )
    for kind, name in found:
        statements.rows(f"DROP {'TRIGGER' if kind == 'trigger' else 'TABLE'} {quoted(str(name))}")


def _turn(statements: Statements, old: str, kind: str, name: str, table: str, sql: str) -> None:
    """Make the tree of a table or index that of another. All connections read the schema anew."""
    statements.rows("PRAGMA writable_schema = 1")
    try:
        statements.rows(
            "UPDATE sqlite_schema SET type = ?, name = ?, tbl_name = ?, sql = ? WHERE name = ?",
            (kind, name, table, sql, old),
        )
        ((version,),) = statements.rows("PRAGMA schema_version")
        assert isinstance(version, int)
        statements.rows(f"PRAGMA schema_version = {version + 1}")
    finally:
        statements.rows("PRAGMA writable_schema = RESET")


def _affinity(column: str) -> str:
    return "INTEGER" if column == "_created_ms" else ""
