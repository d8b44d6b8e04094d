"""The `_attrs` table: the catalog on disk, one row per attr."""

from __future__ import annotations

from typing import Final

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.store.engine import Row, Statements
from trice.store.log_format import dump_attr, load_attr

CREATE: Final = """
CREATE TABLE _attrs (
  id     TEXT NOT NULL PRIMARY KEY,
  name   TEXT NOT NULL,  -- namespace.label, for people who look
  "table"  TEXT NOT NULL,
  "column" TEXT NOT NULL,
  attr   TEXT NOT NULL   -- the whole attr as JSON; the other columns repeat parts of it
) WITHOUT ROWID
"""


def insert_attr(statements: Statements, attr: Attr) -> None:
    """Add the row of a new attr."""
    statements.rows("INSERT INTO _attrs VALUES (?, ?, ?, ?, ?)", _row(attr))


def update_attr(statements: Statements, attr: Attr) -> None:
    """Replace the row of an attr. Nothing else on disk changes: see `tables.replace_attr`."""
    statements.rows("REPLACE INTO _attrs VALUES (?, ?, ?, ?, ?)", _row(attr))


def find_table(statements: Statements, etype: str) -> str | None:
    """The table of a namespace as of this statement; None while the namespace has no column."""
    found = statements.rows(
        "SELECT \"table\" FROM _attrs WHERE \"column\" <> '' AND attr ->> '$.forward.etype' = ?"
        " ORDER BY attr ->> '$.deleted_ms' IS NOT NULL LIMIT 1",
        (etype,),
    )
    return str(found[0][0]) if found else None


def load_catalog(statements: Statements) -> Catalog:
    """Read every attr, soft-deleted ones included."""
    found = statements.rows("SELECT attr FROM _attrs ORDER BY id")
    return Catalog(load_attr(str(text)) for (text,) in found)


def _row(attr: Attr) -> Row:
    return (attr.id, attr.name, attr.table, attr.column, dump_attr(attr))
