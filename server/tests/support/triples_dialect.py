"""The SQL that reads the layout of `triples_rows`: SQLite's dialect with other tables.

Rows are judged before a statement (`store.judging`), not in it.
"""

from __future__ import annotations

from trice.catalog.attr import Attr
from trice.catalog.catalog import Namespace
from trice.catalog.values import Cell, has_order_column
from trice.store.judged import JudgedTerm
from trice.store.judging import apart
from trice.store.sqlite.dialect import SqliteDialect


class TriplesDialect(SqliteDialect):
    """See `store.dialect.Dialect`."""

    def entities(self, namespace: Namespace, alias: str) -> str:
        return _members(namespace.table, alias)

    def entity_id(self, alias: str) -> str:
        return f"{alias}.id"

    def created_ms(self, alias: str) -> str:
        return f"{alias}.made"

    def cell(self, attr: Attr, alias: str) -> str:
        if attr.is_id:
            return f"{alias}.id"
        if attr.is_ref:
            return (
                "(SELECT _i.id FROM facts AS _f JOIN ids AS _i ON _i.key = _f.cell"
                f" WHERE _f.attr = {int(attr.column)} AND _f.key = {alias}.key)"
            )
        return _fact("cell", attr, alias)

    def order_cell(self, attr: Attr, alias: str) -> str:
        return _fact("rank" if has_order_column(attr) else "cell", attr, alias)

    def links(self, attr: Attr, alias: str) -> str:
        if not attr.is_pairs:
            return _members(attr.table, alias)
        return (
            "(SELECT _s.id AS source, _t.id AS target, _p.made AS made FROM pairs AS _p"
            " JOIN ids AS _s ON _s.key = _p.source JOIN ids AS _t ON _t.key = _p.target"
            f" WHERE _p.attr = {int(attr.column)}) AS {alias}"
        )

    def source(self, attr: Attr, alias: str) -> str:
        return f"{alias}.source" if attr.is_pairs else f"{alias}.id"

    def target(self, attr: Attr, alias: str) -> str:
        return f"{alias}.target" if attr.is_pairs else self.cell(attr, alias)

    def linked_ms(self, attr: Attr, alias: str) -> str:
        return f"{alias}.made"

    def in_list(self) -> str:
        """A list is bound as JSON: the hex digits of each id."""
        return "(SELECT unhex(value) FROM json_each(?))"

    def id_prefix(self, operand: str, prefix: str) -> tuple[str, tuple[Cell, ...]]:
        digits = prefix.replace("-", "").upper()
        return f"substr(hex({operand}), 1, {len(digits)}) = ?", (digits,)

    def judge(self, term: JudgedTerm) -> tuple[str, JudgedTerm]:
        return apart(term, self)


def _members(space: str, alias: str) -> str:
    return (
        "(SELECT _m.key AS key, _m.made AS made, _i.id AS id FROM members AS _m"
        f" JOIN ids AS _i ON _i.key = _m.key WHERE _m.space = {int(space)}) AS {alias}"
    )


def _fact(part: str, attr: Attr, alias: str) -> str:
    return (
        f"(SELECT _f.{part} FROM facts AS _f"
        f" WHERE _f.attr = {int(attr.column)} AND _f.key = {alias}.key)"
    )


TRIPLES = TriplesDialect()
