"""The `_attrs` table: the catalog on disk, one row per attr."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Final

import msgspec
import orjson

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.store.engine import Row, Statements

CREATE: Final = """
CREATE TABLE _attrs (
  id     TEXT NOT NULL PRIMARY KEY,
  name   TEXT NOT NULL,  -- namespace.label, for people who look
  "table"  TEXT NOT NULL,
  "column" TEXT NOT NULL,
  attr   TEXT NOT NULL   -- the whole attr as JSON; the other columns repeat parts of it
) WITHOUT ROWID
"""

_DECODER: Final = msgspec.json.Decoder(Attr)
_STORED: Final = tuple(field.name for field in fields(Attr) if field.init)
"""What an attr is made of; the rest follows from it."""


def insert_attr(statements: Statements, attr: Attr) -> None:
    """Add the row of a new attr."""
    statements.rows("INSERT INTO _attrs VALUES (?, ?, ?, ?, ?)", _row(attr))


def update_attr(statements: Statements, attr: Attr) -> None:
    """Replace the row of an attr. Nothing else on disk changes: see `tables.replace_attr`."""
    statements.rows("REPLACE INTO _attrs VALUES (?, ?, ?, ?, ?)", _row(attr))


def find_table(statements: Statements, etype: str) -> str | None:
    """The table of a namespace as of this very statement; None while it has no column."""
    found = statements.rows(
        "SELECT \"table\" FROM _attrs WHERE \"column\" <> '' AND attr ->> '$.forward.etype' = ?"
        " ORDER BY attr ->> '$.deleted_ms' IS NOT NULL LIMIT 1",
        (etype,),
    )
    return str(found[0][0]) if found else None


def load_catalog(statements: Statements) -> Catalog:
    """Read every attr, soft-deleted ones included."""
    return Catalog(_decoded(statements.rows("SELECT attr FROM _attrs ORDER BY id")))


def _row(attr: Attr) -> Row:
    stored = {name: getattr(attr, name) for name in _STORED}
    return (attr.id, attr.name, attr.table, attr.column, orjson.dumps(stored).decode())


def _decoded(rows: Iterable[Row]) -> Iterable[Attr]:
    for (text,) in rows:
        assert isinstance(text, str)
        yield _DECODER.decode(text)
