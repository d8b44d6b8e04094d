"""How the values of a namespace's table are spread, estimated from a sample of its rows.

SQLite's own ANALYZE reads either every entry of every index or only the first ones, which are the
nulls. An attr that is set in a few of a million rows then counts as "a million rows a value", and
a page `where label = rare` walks the table. So rows from all over the table are copied into a
database in memory with the same indexes. ANALYZE counts these, and its figures are scaled up:

    sqlite_stat1  rows of the index, and rows a value; null does not count as a value
    sqlite_stat4  for up to 24 values of each index, which are frequent or evenly apart: how many
                  rows have the value, and how many a lower one. A frequent null is among them

With the second, SQLite tells a rare value from a frequent one, and a small range from a large one,
once it sees the bound values.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from trice import limits
from trice.errors import Bug
from trice.store.engine import Row
from trice.store.sqlite.connection import Connection
from trice.store.sqlite.index import quoted
from trice.store.sqlite.tables import CREATED

MARK: Final = "trice="
"""Stands before the last rowid, at the end of each `stat` written here. SQLite skips words that it
does not know (sqlite.org/fileformat2.html#stat1tab)."""

_INDEXES: Final = (
    "SELECT owned.name, origin = 'pk', group_concat(part.name, char(10) ORDER BY part.seqno)"
    " FROM pragma_index_list(?) AS owned, pragma_index_info(owned.name) AS part"
    " WHERE NOT partial GROUP BY owned.name ORDER BY owned.name"
)
# ?1 stretches of rowids from ?2 on, each ?3 long, and in each a run of ?4 rowids. The run is at a
# different place in each stretch: rows written in turns (owner 1, 2, 3, 1, …) would bias it.
_COPY: Final = (
    "WITH RECURSIVE stretch(number) AS"
    " (SELECT 0 UNION ALL SELECT number + 1 FROM stretch WHERE number < ?1 - 1),"
    " run(start) AS (SELECT ?2 + number * ?3"
    " + number * 2654435761 % 4294967296 * (?3 - ?4 + 1) / 4294967296 FROM stretch)"
    " INSERT INTO sample.entries SELECT {columns} FROM run CROSS JOIN main.{table} AS entry"
    " ON entry.rowid BETWEEN run.start AND run.start + ?4 - 1"
)
_VALUES: Final = (
    "SELECT count(*), coalesce(sum(entries), 0), coalesce(sum(entries = 1), 0) FROM (SELECT"
    " count(*) AS entries FROM sample.entries WHERE {column} IS NOT NULL GROUP BY {column})"
)
_STAT4: Final = "SELECT neq, nlt, ndlt, sample FROM sample.sqlite_stat4 WHERE idx = ?"


@dataclass(frozen=True, slots=True)
class Figures:
    """What SQLite is told about a table.

    stat1  rows of `idx, stat`
    stat4  rows of `idx, neq, nlt, ndlt, sample`
    """

    stat1: tuple[Row, ...]
    stat4: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class _Index:
    """An index of the table, and its columns in order.

    is_key  it serves the table's own key
    """

    name: str
    columns: tuple[str, ...]
    is_key: bool


@dataclass(frozen=True, slots=True)
class _Values:
    """Counts of one column in a sample, null left out.

    distinct  different values
    present   rows that have a value
    once      rows whose value no other row has
    """

    distinct: int
    present: int
    once: int

    def rows_each(self, scale: float) -> int:
        """Rows of the table that share a value, on average; at least 1.

        scale  rows of the table for each row of the sample
        source Haas and Stokes (1998), the estimator Duj1, as PostgreSQL uses it
        """
        if self.present == 0:
            return 1
        seen_again = self.present - self.once
        distinct = self.present * self.distinct / (seen_again + self.once / scale)
        return max(1, round(self.present * scale / distinct))


def last_rowid(connection: Connection, table: str) -> int:
    """The highest rowid of a namespace's table: it grows with every row made. 0 when empty."""
    ((found,),) = connection.rows(f"SELECT max(rowid) FROM {quoted(table)}")
    return int(found or 0)


def take_figures(connection: Connection, table: str) -> Figures:
    """Figures of a namespace's table. No transaction may be open.

    raises  Unavailable, Bug: nothing is left behind then
    cost    120 ms at 1,000,000 rows with ten indexes; not more for larger tables because of
            limits.STATISTICS_SAMPLE_ROWS, and at most 200 ms for more indexes because of
            limits.STATISTICS_SAMPLE_ENTRIES_MAX
    """
    connection.run("ATTACH ':memory:' AS sample")
    try:
        indexes = [
            _Index(str(name), tuple(str(columns).split("\n")), bool(is_key))
            for name, is_key, columns in connection.rows(_INDEXES, (table,))
        ]
        counted = [index for index in indexes if not index.is_key]
        rows = _copy(connection, table, counted)
        if rows == 0:
            return Figures((), ())
        for index in counted:
            columns = ", ".join(map(quoted, index.columns))
            connection.run(f"CREATE INDEX sample.{quoted(index.name)} ON entries ({columns})")
        connection.rows("PRAGMA analysis_limit = 0")
        connection.run("ANALYZE sample.entries")
        return _scaled(connection, indexes, rows=rows, mark=last_rowid(connection, table))
    finally:
        with suppress(Bug):
            connection.run("DETACH sample")


def _copy(connection: Connection, table: str, indexes: list[_Index]) -> int:
    """Fill `sample.entries` with the columns of `indexes`; return an estimate of `table`'s rows."""
    names = dict.fromkeys(column for index in indexes for column in index.columns)
    columns = ", ".join(map(quoted, names))
    connection.run(f"CREATE TABLE sample.entries ({columns})")
    lowest = connection.rows(f"SELECT min(rowid) FROM {quoted(table)}")[0][0]
    if not isinstance(lowest, int):
        return 0
    span = last_rowid(connection, table) - lowest + 1
    length = limits.STATISTICS_RUN_ROWS
    wanted = limits.STATISTICS_SAMPLE_ENTRIES_MAX // len(indexes)
    wanted = max(length, min(wanted, limits.STATISTICS_SAMPLE_ROWS))
    runs = wanted // length
    step = -(-span // runs)
    if span <= wanted:
        runs, step, length = 1, span, span
    copy = _COPY.format(columns=columns, table=quoted(table))
    while True:
        length = min(length, step)
        connection.rows("DELETE FROM sample.entries")
        connection.rows(copy, (runs, lowest, step, length))
        ((found,),) = connection.rows("SELECT count(*) FROM sample.entries")
        assert isinstance(found, int)
        if length == step or found * 4 >= wanted:
            return round(found * step / length)
        # Most rows were deleted: longer runs find enough of the rows that are left.
        length = min(step, length * wanted // max(1, found))


def _scaled(connection: Connection, indexes: list[_Index], *, rows: int, mark: int) -> Figures:
    """The figures of the sample as those of a table of so many rows."""
    ((copied,),) = connection.rows("SELECT count(*) FROM sample.entries")
    assert isinstance(copied, int)
    scale = max(1.0, rows / copied)
    stat1: list[Row] = []
    stat4: list[Row] = []
    for index in indexes:
        each = 1
        if not index.is_key:
            each = _values(connection, index.columns[0]).rows_each(scale)
        rest = " 1" * (len(index.columns) - 1)
        stat1.append((index.name, f"{rows} {each}{rest} {MARK}{mark}"))
        # Pages by creation time read this index in order with or without figures. With figures a
        # statement would be planned again whenever its bound values differ (5 µs).
        if index.columns[0] != CREATED and not index.is_key:
            stat4 += [
                (index.name, *_scaled_value(row, scale=scale, each=each))
                for row in connection.rows(_STAT4, (index.name,))
            ]
    return Figures(tuple(stat1), tuple(stat4))


def _values(connection: Connection, column: str) -> _Values:
    (found,) = connection.rows(_VALUES.format(column=quoted(column)))
    distinct, present, once = (int(number or 0) for number in found)
    return _Values(distinct, present, once)


def _scaled_value(row: Row, *, scale: float, each: int) -> Row:
    """A row of the sample's `neq, nlt, ndlt, sample` for the whole table.

    each  rows a value, on average; taken for a value that the sample has once, because many values
          are like that and nothing more is known of it
    """
    equal, below, distinct = ([int(n) for n in str(text).split()] for text in row[:3])
    if scale > 1:
        found = round(equal[0] * scale)
        equal[0] = min(each, found) if equal[0] == 1 else found
        below = [round(number * scale) for number in below]
        # Any numbers will do that rise with the values.
        distinct = [round(number * scale) for number in distinct]
    return (*(" ".join(map(str, numbers)) for numbers in (equal, below, distinct)), row[3])
