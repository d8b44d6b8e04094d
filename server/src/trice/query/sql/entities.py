"""Statements by which rules read single entities: a row, and the end of a path. No I/O.

source   instant-semantics §5.4; spec/rules.md R54-R56
"""

from __future__ import annotations

from typing import Final

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.query.ast import Hop, Ref
from trice.store.dialect import Dialect

_ROW: Final = "e"


def select_entity(namespace: Namespace, dialect: Dialect) -> str:
    """The statement that finds the row of an entity of a namespace that has rows.

    It takes the id and returns at most one row of `created_ms, cells of namespace.columns…`;
    created_ms is NULL for a stub.
    """
    cells = [dialect.created_ms(_ROW), *(dialect.cell(attr, _ROW) for attr in namespace.columns)]
    return (
        f"SELECT {', '.join(cells)} FROM {dialect.entities(namespace, _ROW)}"
        f" WHERE {dialect.entity_id(_ROW)} = ?"
    )


def select_reference(catalog: Catalog, ref: Ref, dialect: Dialect) -> str:
    """The statement that finds the cells of `ref`; `is_reachable` must hold.

    It takes a tuple of starting ids and the largest number of rows, and returns one cell a row.
    """
    statement = _Statement(catalog, dialect)
    for hop in ref.path:
        statement.walk(hop)
    return statement.select(ref)


class _Statement:
    """A join that grows along a path. `_here` is the id it has reached; empty at the start."""

    def __init__(self, catalog: Catalog, dialect: Dialect) -> None:
        self._catalog = catalog
        self._dialect = dialect
        self._tables: list[str] = []
        self._tests: list[str] = []
        self._here: str | None = None

    def walk(self, hop: Hop) -> None:
        """Go to the entities at the other end of a link."""
        far = self._link(hop.attr, hop.is_forward)
        alias = self._entities(hop.etype)
        self._here = self._dialect.entity_id(alias)
        self._tests.append(f"{self._here} = {far}")
        self._tests.append(f"{self._dialect.created_ms(alias)} IS NOT NULL")

    def select(self, ref: Ref) -> str:
        """End the path at an attr of the entities reached."""
        dialect = self._dialect
        if ref.attr.is_ref:
            value = self._link(ref.attr, ref.is_forward)
        else:
            alias = self._entities(ref.attr.etype)
            value = dialect.cell(ref.attr, alias)
            self._starts_at(dialect.entity_id(alias))
            if not ref.path:
                self._tests.append(f"{dialect.created_ms(alias)} IS NOT NULL")
        self._tests.append(f"{value} IS NOT NULL")
        tests = " AND ".join(self._tests)
        return f"SELECT {value} FROM {', '.join(self._tables)} WHERE {tests} LIMIT ?"

    def _link(self, attr: Attr, is_forward: bool) -> str:
        """Join the pairs of a link to the ids reached; return the column of the other ends."""
        alias = self._new_alias()
        self._tables.append(self._dialect.links(attr, alias))
        source, target = self._dialect.source(attr, alias), self._dialect.target(attr, alias)
        near, far = (source, target) if is_forward else (target, source)
        self._starts_at(near)
        return far

    def _starts_at(self, operand: str) -> None:
        if self._here is None:
            self._tests.append(f"{operand} IN {self._dialect.in_list()}")
        else:
            self._tests.append(f"{operand} = {self._here}")

    def _entities(self, etype: str) -> str:
        """Join the rows of a namespace; return their alias."""
        alias = self._new_alias()
        self._tables.append(self._dialect.entities(self._catalog.namespaces[etype], alias))
        return alias

    def _new_alias(self) -> str:
        return f"t{len(self._tables)}"
