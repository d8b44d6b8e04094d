"""A database to query: attrs, rows and pairs written straight into the store's tables. No commits.

The query tests use this instead of transactions, to test `query` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from support.attrs import blob, entity, link
from support.flat_results import flat_result
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import encode_cell, has_order_column, stored_order
from trice.protocol.ids import TxId, uuid_text
from trice.query.encode import EntityCache, nested_result
from trice.query.parse.forms import parse
from trice.query.plan import Plan, plan
from trice.query.run import run
from trice.query.tree import Tree
from trice.store.dialect import Dialect
from trice.store.engine import Binding, Row, Take
from trice.store.sqlite import attr_rows
from trice.store.sqlite.attrs import SqliteAttrs
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.dialect import SQLITE
from trice.store.sqlite.index import quoted
from trice.store.sqlite.rows import SqliteOpenRows
from trice.store.sqlite.tables import order_column


def uid(number: int) -> str:
    """The text of entity `number`'s id."""
    return uuid_text(entity(number))


@dataclass
class Library:
    """An open database. `statements` lists the SQL of the reads since it was last cleared, `steps`
    is the cost of other work."""

    path: Path
    catalog: Catalog = field(default_factory=lambda: Catalog(()))
    statements: list[tuple[str, tuple[Binding, ...]]] = field(default_factory=list)
    steps: int = 0
    cache: EntityCache = field(default_factory=EntityCache)
    tx: TxId = field(default_factory=lambda: TxId(1))
    time_ms: int = 0
    dialect: Dialect = SQLITE

    def __post_init__(self) -> None:
        self.connection = Connection(str(self.path), Role.WRITER)
        self.connection.rows(attr_rows.CREATE)

    def rows(
        self, sql: str, bindings: tuple[Binding, ...] = (), take: Take | None = None
    ) -> list[Row]:
        """Run SQL, as a Snapshot and a WriteTx do."""
        self.statements.append((sql, tuple(bindings)))
        return self.connection.rows(sql, bindings, take)

    def pieces(
        self, sql: str, bindings: tuple[Binding, ...] = (), *, rows_max: int
    ) -> Iterator[list[Row]]:
        self.statements.append((sql, tuple(bindings)))
        return self.connection.pieces(sql, bindings, rows_max=rows_max)

    @property
    def stored(self) -> SqliteOpenRows:
        return SqliteOpenRows(self.rows)

    @property
    def attrs(self) -> SqliteAttrs:
        return SqliteAttrs(self)

    def spend(self, steps: int) -> None:
        self.steps += steps

    # --- data --------------------------------------------------------------------------------

    def add_attrs(self, *attrs: Attr) -> None:
        for attr in attrs:
            self.catalog = self.catalog.with_attrs(self.attrs.create(self.catalog, [attr]))

    def field(self, etype: str, label: str, **flags: Any) -> None:
        """Add a field; `flags` may have `checked_type` and `is_indexed`."""
        self.add_attrs(blob(etype, label, **flags))

    def link(self, etype: str, label: str, target: str, reverse: str, **flags: Any) -> None:
        self.add_attrs(link(etype, label, target, reverse, **flags))

    def add(self, etype: str, number: int, *, created: int | None = -1, **values: Any) -> str:
        """An entity; has-one links take the number of their target. Created at `number` ms.

        created  None makes a stub
        """
        namespace = self.catalog.namespaces[etype]
        cells: dict[str, Any] = {
            "id": entity(number),
            "_created_ms": number if created == -1 else created,
        }
        for label, value in values.items():
            attr = self.catalog.find_forward(etype, label)
            assert attr is not None, label
            if attr.is_ref:
                cells[attr.column] = entity(value)
                continue
            cell = encode_cell(value, is_indexed=attr.is_indexed)
            cells[attr.column] = cell
            if has_order_column(attr):
                cells[order_column(attr)] = stored_order(attr, cell)
        names = ", ".join(quoted(name) for name in cells)
        marks = ", ".join("?" * len(cells))
        self.connection.rows(
            f"INSERT INTO {quoted(namespace.table)} ({names}) VALUES ({marks})",
            tuple(cells.values()),
        )
        return uid(number)

    def pair(self, etype: str, label: str, source: int, *targets: int) -> None:
        attr = self.catalog.find_forward(etype, label)
        assert attr is not None and attr.is_pairs
        for target in targets:
            self.connection.rows(
                f"INSERT INTO {quoted(attr.table)} VALUES (?, ?, ?)",
                (entity(source), entity(target), 7),
            )

    # --- queries -----------------------------------------------------------------------------

    def plan(self, query: Any, *, is_admin: bool = True) -> Plan:
        parsed = parse(query, self.catalog, is_admin=is_admin)
        return plan(parsed, self.catalog, dialect=self.dialect)

    def run(self, query: Any) -> Tree:
        made = self.plan(query)
        self.statements.clear()
        return run(made, self)

    def tree(self, query: Any, *, is_inferring: bool = False) -> dict[str, Any]:
        return nested_result(self.run(query), is_inferring=is_inferring)

    def numbers(self, etype: str, options: dict[str, Any]) -> list[int]:
        """The numbers of the entities that a top form finds, in order."""
        found = self.tree({etype: {"$": options}})[etype]
        return [int(item["id"].replace("-", ""), 16) for item in found]

    def where(self, etype: str, where: dict[str, Any]) -> list[int]:
        return self.numbers(etype, {"where": where})

    def flat(self, query: Any) -> dict[str, Any]:
        """`data` of the one node of a flat result."""
        ((node,)) = orjson.loads(flat_result(self.run(query), self.cache))
        assert node["child-nodes"] == []
        data: dict[str, Any] = node["data"]
        return data

    def triples(self, query: Any) -> list[tuple[int, str, Any]]:
        """The triples of a flat result as (entity number, attr name, value), sorted.

        Asserts that each comes once, and with its fourth element.
        """
        (row,) = self.flat(query)["datalog-result"]["join-rows"]
        seen: set[str] = set()
        found = []
        for triple in row:
            text = orjson.dumps(triple).decode()
            assert text not in seen, f"twice: {text}"
            seen.add(text)
            eid, attr_id, value, created_ms = triple
            assert isinstance(created_ms, int)
            attr = self.catalog.by_id[attr_id]
            if attr.is_ref:
                value = int(value.replace("-", ""), 16)
            elif attr.is_id:
                assert value == eid
                value = int(eid.replace("-", ""), 16)
            found.append((int(eid.replace("-", ""), 16), attr.name, value))
        return sorted(found, key=repr)

    def explain(self, sql: str, bindings: tuple[Binding, ...]) -> str:
        """SQLite's plan of a statement, one line per step."""
        found = self.connection.rows(f"EXPLAIN QUERY PLAN {sql}", bindings)
        return "\n".join(str(row[3]) for row in found)
