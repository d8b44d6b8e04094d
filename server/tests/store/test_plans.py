"""Every shape of SQL that `query` and `transact` compose has its index, and SQLite takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.attrs import blob, entity, link
from trice.catalog.attr import Attr
from trice.store.engine import WriteTx
from trice.store.sqlite.dialect import SqliteDialect
from trice.store.sqlite.tables import (
    CREATED,
    create_attrs,
    link_columns,
    lookup_predicate,
    order_column,
    quoted,
)

InTx = Callable[[Callable[[WriteTx], Any]], Any]

ATTRS = {
    attr.label: attr
    for attr in (
        blob("t", "id"),
        blob("t", "title", is_indexed=True, checked_type="string"),
        blob("t", "rank", is_indexed=True, checked_type="number"),
        blob("t", "slug", is_unique=True),
        blob("t", "email", is_unique=True, is_indexed=True, checked_type="string"),
        link("t", "owner", "u", "ts", cardinality="one"),
        link("t", "card", "u", "t", cardinality="one", is_unique=True),
        link("t", "tags", "g", "ts"),
        link("t", "parts", "p", "t", is_unique=True),
    )
}
IN = SqliteDialect().in_list()
LIKE = SqliteDialect().like(quoted("title"), pattern="ab%", is_case_sensitive=True)


def newest(_: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    return f"SELECT id FROM t ORDER BY {CREATED} DESC, id DESC LIMIT 50", ()


def newest_after(_: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    return (
        f"SELECT id FROM t WHERE {CREATED} IS NOT NULL AND ({CREATED}, id) < (?, ?)"
        f" ORDER BY {CREATED} DESC, id DESC LIMIT 50",
        (5, entity(1)),
    )


def by_text(attrs: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    return f"SELECT id FROM t ORDER BY {quoted(order_column(attrs['title']))}, id LIMIT 50", ()


def by_number(_: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    return "SELECT id FROM t ORDER BY rank DESC, id DESC LIMIT 50", ()


def equal(_: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    return "SELECT id FROM t WHERE title = ?", ("x",)


def compared(_: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    return "SELECT id FROM t WHERE rank > ? AND rank <= ?", (1, 2)


def matching(_: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    # A bound pattern says nothing when the statement is planned; SQLite plans again with its value.
    return f"SELECT id FROM t WHERE {LIKE[0]}", (LIKE[1],)


def by_ids(_: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    return f"SELECT id FROM t WHERE id IN {IN}", ((entity(1), entity(2)),)


def looked_up(attrs: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    return f"SELECT id FROM t WHERE slug = ?{lookup_predicate(attrs['slug'])}", ("x",)


def looked_up_indexed(attrs: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
    assert lookup_predicate(attrs["email"]) == ""
    return "SELECT id FROM t WHERE email = ?", ("x",)


def backwards(label: str) -> Callable[[dict[str, Attr]], tuple[str, tuple[Any, ...]]]:
    def query(attrs: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
        table, source, target = map(quoted, link_columns(attrs[label]))
        return f"SELECT {source} FROM {table} WHERE {target} IN {IN}", ((entity(1),),)

    return query


def forwards(label: str) -> Callable[[dict[str, Attr]], tuple[str, tuple[Any, ...]]]:
    def query(attrs: dict[str, Attr]) -> tuple[str, tuple[Any, ...]]:
        table, source, target = map(quoted, link_columns(attrs[label]))
        return f"SELECT {target} FROM {table} WHERE {source} IN {IN}", ((entity(1),),)

    return query


@pytest.mark.rule("S22")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        (newest, "USING COVERING INDEX t~created"),
        (newest_after, "SEARCH t USING COVERING INDEX t~created"),
        (by_text, "USING COVERING INDEX t~title~order"),
        (by_number, "USING COVERING INDEX t~rank~value"),
        (equal, "SEARCH t USING COVERING INDEX t~title~value (title=?)"),
        (compared, "SEARCH t USING COVERING INDEX t~rank~value (rank>? AND rank<?)"),
        (matching, "SEARCH t USING COVERING INDEX t~title~value (title>? AND title<?)"),
        (by_ids, "SEARCH t USING COVERING INDEX sqlite_autoindex_t_1 (id=?)"),
        (looked_up, "SEARCH t USING INDEX t~slug~unique (slug=?)"),
        (looked_up_indexed, "SEARCH t USING INDEX t~email~unique (email=?)"),
        (backwards("owner"), "SEARCH t USING COVERING INDEX t~owner~value (owner=?)"),
        (backwards("card"), "SEARCH t USING INDEX t~card~unique (card=?)"),
        (backwards("tags"), "SEARCH t.tags USING COVERING INDEX t.tags~~value (target=?)"),
        (backwards("parts"), "SEARCH t.parts USING COVERING INDEX t.parts~~unique (target=?)"),
        (forwards("owner"), "SEARCH t USING INDEX sqlite_autoindex_t_1 (id=?)"),
        (forwards("tags"), "SEARCH t.tags USING PRIMARY KEY (source=?)"),
    ],
)
def test_index_is_used(
    in_tx: InTx, query: Callable[[dict[str, Attr]], tuple[str, tuple[Any, ...]]], index: str
) -> None:
    def work(tx: WriteTx) -> None:
        catalog = tx.catalog
        placed = {}
        for label, attr in ATTRS.items():
            (placed[label],) = create_attrs(tx, catalog, [attr])
            catalog = catalog.with_attrs([placed[label]])
        sql, bindings = query(placed)
        plan = [str(step[3]) for step in tx.rows(f"EXPLAIN QUERY PLAN {sql}", bindings)]
        assert any(index in step for step in plan), plan
        assert not any("TEMP B-TREE" in step for step in plan), plan

    in_tx(work)
