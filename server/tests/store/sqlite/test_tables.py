"""Where attrs live on disk, and what happens there when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from support.attrs import blob, entity, link
from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import text_order
from trice.errors import LimitExceeded
from trice.store.engine import WriteTx
from trice.store.sqlite.connection import UniqueIndexBroken
from trice.store.sqlite.tables import (
    create_attrs,
    order_column,
    quoted,
    renew_indexes,
    replace_attr,
)

InTx = Callable[[Callable[[WriteTx], Any]], Any]

AWKWARD = ("id ", "ID", "created_at", "_created_ms", "Title", "title", "", "rowid", "oid")
ODD = ('q"q', "n\x00l", "sqlite_x", "a.b", "x~order", "x" * 255, "日本", "select", "1", "it's")


def created(tx: WriteTx, attrs: Iterable[Attr], catalog: Catalog | None = None) -> list[Attr]:
    """Create attrs one after the other; the placed ones."""
    catalog = catalog or tx.catalog
    placed = []
    for attr in attrs:
        placed += create_attrs(tx, catalog, [attr])
        catalog = catalog.with_attrs(placed[-1:])
    return placed


def put(tx: WriteTx, attr: Attr, cells: dict[int, Any], *, is_stub: bool = False) -> None:
    """Set a column of some entities."""
    for number, cell in cells.items():
        tx.rows(
            f"INSERT INTO {quoted(attr.table)} (id, _created_ms, {quoted(attr.column)})"
            f" VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET {quoted(attr.column)} = ?",
            (entity(number), None if is_stub else 100 + number, cell, cell),
        )


def cells(tx: WriteTx, attr: Attr, column: str | None = None) -> dict[int, Any]:
    """A column of all entities."""
    found: Any = tx.rows(f"SELECT id, {quoted(column or attr.column)} FROM {quoted(attr.table)}")
    return {int.from_bytes(raw, "big"): cell for raw, cell in found}


def pairs(tx: WriteTx, attr: Attr) -> set[tuple[int, int, int]]:
    found: Any = tx.rows(f"SELECT source, target, created_ms FROM {quoted(attr.table)}")
    return {
        (int.from_bytes(source, "big"), int.from_bytes(target, "big"), ms)
        for source, target, ms in found
    }


def indexes(tx: WriteTx, attr: Attr) -> set[tuple[bool, str]]:
    """(is unique, columns) of the indexes of an attr's table that DDL of ours made."""
    found = tx.rows(
        "SELECT i.\"unique\", group_concat(c.name, ',') FROM pragma_index_list(?) i,"
        " pragma_index_info(i.name) c WHERE i.origin = 'c' GROUP BY i.name",
        (attr.table,),
    )
    return {(bool(unique), str(columns)) for unique, columns in found}


@pytest.mark.rule("S20")
def test_any_label_and_any_namespace_can_be_stored(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        names = (*AWKWARD, *ODD)
        attrs = [blob("t", "id"), *(blob("t", name, is_indexed=True) for name in names)]
        attrs += [blob(name, "id") for name in (*names, "_tx", "_attrs", "T", "sqlite_schema")]
        attrs += [link(name, name, "t", "back") for name in names]
        placed = created(tx, attrs)
        columns = [attr for attr in placed if attr.etype == "t" and attr.column]
        for number, attr in enumerate(columns[1:]):
            put(tx, attr, {1: number})
        assert [cells(tx, attr)[1] for attr in columns[1:]] == list(range(len(names)))
        tables = {attr.table.lower() for attr in placed}
        assert len(tables) == 1 + len(names) + 4 + len(names)

    in_tx(work)


@pytest.mark.rule("S21")
def test_attrs_of_a_namespace_share_its_table(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        early, id_attr, late, pairs_attr = created(
            tx,
            [
                blob("todos", "title"),
                blob("todos", "id"),
                link("todos", "owner", "users", "todos", cardinality="one"),
                link("todos", "tags", "tags", "todos"),
            ],
        )
        assert (early.table, early.column) == ("todos", "title")
        assert (id_attr.table, id_attr.column) == ("todos", "id")
        assert (late.table, late.column) == ("todos", "owner")
        assert (pairs_attr.table, pairs_attr.column) == ("todos.tags", "")

    in_tx(work)


@pytest.mark.rule("S21")
def test_namespace_gets_a_table_of_its_own_while_a_renamed_one_keeps_the_old(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        (old,) = created(tx, [blob("todos", "id")])
        named = replace(old.forward, etype="tasks")
        renamed = replace_attr(tx, old, replace(old, forward=named))
        assert renamed.table == "todos"
        gone = replace(blob("todos", "gone"), deleted_ms=1, table="todos", column="gone")
        fresh = replace(blob("todos", "id"), id="another")  # type: ignore[arg-type]
        (new,) = created(tx, [fresh], Catalog([renamed, gone]))
        assert new.table == "todos_2"

    in_tx(work)


@pytest.mark.rule("S22")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, set()),
        ({"is_indexed": True}, {(False, "v,_created_ms,id")}),
        ({"is_unique": True}, {(True, "v")}),
        ({"is_unique": True, "is_indexed": True}, {(True, "v")}),
        ({"checked_type": "string"}, set()),
        ({"is_indexed": True, "checked_type": "number"}, {(False, "v,id")}),
        ({"is_indexed": True, "checked_type": "boolean"}, {(False, "v,id")}),
        (
            {"is_indexed": True, "checked_type": "string"},
            {(False, "v,_created_ms,id"), (False, "v~order,id")},
        ),
        (
            {"is_indexed": True, "checked_type": "date", "is_unique": True},
            {(True, "v"), (False, "v~order,id")},
        ),
    ],
)
def test_flags_decide_the_indexes(
    in_tx: InTx, flags: dict[str, Any], expected: set[tuple[bool, str]]
) -> None:
    """Made at once, or by any change of flags: the same indexes."""

    def work(tx: WriteTx) -> None:
        (fresh,) = created(tx, [blob("a", "v", **flags)])
        created_index = (False, "_created_ms,id")
        assert indexes(tx, fresh) == {created_index, *expected}
        for number, before in enumerate(
            ({}, {"is_indexed": True, "checked_type": "string"}, {"is_unique": True})
        ):
            (old,) = created(tx, [blob(f"b{number}", "v", **before)])
            changed = replace_attr(tx, old, blob(f"b{number}", "v", **flags))
            assert indexes(tx, changed) == {created_index, *expected}

    in_tx(work)


@pytest.mark.rule("S22")
@pytest.mark.parametrize("is_unique", [False, True])
def test_links_can_be_walked_backwards(in_tx: InTx, *, is_unique: bool) -> None:
    def work(tx: WriteTx) -> None:
        one, many = created(
            tx,
            [
                link("t", "one", "u", "ones", cardinality="one", is_unique=is_unique),
                link("t", "many", "u", "manies", is_unique=is_unique),
            ],
        )
        assert ((True, "one") if is_unique else (False, "one,_created_ms,id")) in indexes(tx, one)
        assert indexes(tx, many) == {(True, "target") if is_unique else (False, "target,source")}
        flipped = replace_attr(tx, many, replace(many, is_unique=not is_unique))
        assert indexes(tx, flipped) == {(False, "target,source") if is_unique else (True, "target")}

    in_tx(work)


@pytest.mark.rule("S23")
def test_nulls_change_their_cell_with_the_index(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        (plain,) = created(tx, [blob("t", "v")])
        put(tx, plain, {1: None, 2: b"\x00", 3: "x", 4: b"\x01"})
        put(tx, plain, {5: None}, is_stub=True)
        indexed = replace_attr(tx, plain, replace(plain, is_indexed=True))
        assert cells(tx, indexed) == {1: None, 2: None, 3: "x", 4: b"\x01", 5: None}
        again = replace_attr(tx, indexed, plain)
        assert cells(tx, again) == {1: b"\x00", 2: b"\x00", 3: "x", 4: b"\x01", 5: None}

    in_tx(work)


@pytest.mark.rule("S23")
def test_unique_field_may_hold_many_nulls(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        plain, indexed = created(
            tx, [blob("t", "a", is_unique=True), blob("t", "b", is_unique=True, is_indexed=True)]
        )
        put(tx, plain, {1: b"\x00", 2: b"\x00", 3: None, 4: None, 5: b"\x01"})
        put(tx, indexed, {1: None, 2: None})
        with pytest.raises(UniqueIndexBroken):
            put(tx, plain, {6: b"\x01"})
        both = replace_attr(tx, plain, replace(plain, is_indexed=True))
        assert cells(tx, both)[2] is None

    in_tx(work)


@pytest.mark.rule("S24")
def test_order_keys_follow_the_type(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        (attr,) = created(tx, [blob("t", "v")])
        put(tx, attr, {1: "a", 2: "B", 3: "2025-01-02", 4: 7, 5: b"\x00"})
        text = replace_attr(tx, attr, replace(attr, is_indexed=True, checked_type="string"))
        assert order_column(text) == "v~order"
        keys = cells(tx, text, "v~order")
        assert keys[1] == text_order("a") < keys[2] == text_order("B")
        assert keys[4] is None and keys[5] is None
        date = replace_attr(tx, text, replace(text, checked_type="date"))
        assert cells(tx, date, order_column(date)) == {
            1: None, 2: None, 3: 1_735_776_000_000_000, 4: 7_000, 5: None,
        }  # fmt: skip
        number = replace_attr(tx, date, replace(date, checked_type="number"))
        assert order_column(number) == "v"
        assert set(cells(tx, number, "v~order").values()) == {None}
        back = replace_attr(tx, number, replace(number, checked_type="string"))
        assert cells(tx, back, order_column(back)) == keys

    in_tx(work)


@pytest.mark.rule("S25")
@pytest.mark.parametrize("is_indexed", [False, True])
def test_uniqueness_is_refused_when_values_repeat(in_tx: InTx, *, is_indexed: bool) -> None:
    def work(tx: WriteTx) -> None:
        (attr,) = created(tx, [blob("t", "v", is_indexed=is_indexed)])
        put(tx, attr, {1: "x", 2: "x"})
        with pytest.raises(UniqueIndexBroken) as failed:
            replace_attr(tx, attr, replace(attr, is_unique=True))
        assert (failed.value.table, failed.value.columns) == ("t", ("v",))

    in_tx(work)


@pytest.mark.rule("S26")
def test_has_one_link_becomes_has_many(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        _, one = created(tx, [blob("t", "id"), link("t", "owner", "u", "ts", cardinality="one")])
        put(tx, one, {1: entity(7), 2: entity(7), 3: None})
        put(tx, one, {4: entity(8)}, is_stub=True)
        many = replace_attr(tx, one, replace(one, cardinality="many"))
        assert pairs(tx, many) == {(1, 7, 101), (2, 7, 102), (4, 8, tx.time_ms)}
        assert indexes(tx, many) == {(False, "target,source")}

    in_tx(work)


@pytest.mark.rule("S26")
def test_has_many_link_becomes_has_one_and_keeps_the_oldest_target(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        _, many = created(tx, [blob("t", "id"), link("t", "owners", "u", "ts")])
        tx.rows("INSERT INTO t (id, _created_ms) VALUES (?, 1), (?, 1)", (entity(1), entity(2)))
        for source, target, ms in ((1, 9, 5), (1, 8, 4), (1, 7, 6), (3, 7, 1)):
            tx.rows(
                f"INSERT INTO {quoted(many.table)} VALUES (?, ?, ?)",
                (entity(source), entity(target), ms),
            )
        one = replace_attr(tx, many, replace(many, cardinality="one"))
        assert one.table == "t"
        assert cells(tx, one) == {1: entity(8), 2: None, 3: entity(7)}
        assert (False, f"{one.column},_created_ms,id") in indexes(tx, one)
        assert tx.rows("SELECT _created_ms FROM t WHERE id = ?", (entity(3),)) == [(None,)]
        assert not tx.rows("SELECT 1 FROM sqlite_schema WHERE name = ?", (many.table,))

    in_tx(work)


@pytest.mark.rule("S26")
def test_has_many_link_of_a_namespace_without_fields_becomes_has_one(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        (many,) = created(tx, [link("t", "owners", "u", "ts", is_unique=True)])
        tx.rows(f"INSERT INTO {quoted(many.table)} VALUES (?, ?, 1)", (entity(1), entity(2)))
        one = replace_attr(tx, many, replace(many, cardinality="one"))
        assert cells(tx, one) == {1: entity(2)}
        assert (True, one.column) in indexes(tx, one)

    in_tx(work)


@pytest.mark.rule("S22")
def test_soft_deleted_id_keeps_the_tables_key(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        (id_attr,) = created(tx, [blob("t", "id", is_indexed=True)])
        before = indexes(tx, id_attr)
        hidden = replace(id_attr.forward, label="x_deleted$id")
        deleted = replace(id_attr, forward=hidden, is_indexed=False, deleted_ms=1)
        gone = replace_attr(tx, id_attr, deleted)
        assert (gone.column, indexes(tx, gone)) == ("id", before)
        assert indexes(tx, replace_attr(tx, gone, id_attr)) == before

    in_tx(work)


@pytest.mark.rule("S27")
def test_what_does_not_show_on_disk_changes_one_row(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        (attr,) = created(tx, [blob("t", "v", is_indexed=True, checked_type="string")])
        schema = tx.rows("SELECT sql FROM sqlite_schema")
        renamed = replace(
            attr,
            forward=replace(attr.forward, label="w"),
            is_required=True,
            inferred=3,
            metadata={"a": 1},
            table="",
            column="",
        )
        kept = replace_attr(tx, attr, renamed)
        assert (kept.table, kept.column) == ("t", "v")
        assert tx.rows("SELECT sql FROM sqlite_schema") == schema
        assert tx.rows('SELECT name, "column" FROM _attrs') == [("t.w", "v")]

    in_tx(work)


@pytest.mark.rule("S75")
def test_indexes_with_other_columns_are_made_anew_while_tables_are_small(
    in_tx: InTx, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(tx: WriteTx) -> None:
        attrs = created(
            tx,
            [
                blob("t", "id"),
                blob("t", "kind", is_indexed=True),
                blob("t", "rank", is_indexed=True, checked_type="number"),
                link("t", "owner", "u", "ts", cardinality="one"),
                link("t", "tags", "g", "ts"),
            ],
        )
        tx.rows("INSERT INTO t (id, _created_ms) VALUES (?, 1), (?, 1)", (entity(1), entity(2)))
        wanted = indexes(tx, attrs[1])
        assert {(False, "kind,_created_ms,id"), (False, "rank,id")} < wanted
        for column in ("kind", "owner"):
            tx.rows(f'DROP INDEX "t~{column}~value"')
            tx.rows(f'CREATE INDEX "t~{column}~value" ON t ({column}, id)')
        before = indexes(tx, attrs[1])
        # Two rows for each of two indexes: there is room for none, one, then the other.
        for rows_max, renewed in ((1, 0), (3, 1), (2, 2)):
            monkeypatch.setattr(limits, "INDEX_RENEWED_ROWS_MAX", rows_max)
            renew_indexes(tx, Catalog(attrs))
            assert len(before - indexes(tx, attrs[1])) == renewed
        assert indexes(tx, attrs[1]) == wanted
        schema = tx.rows("SELECT sql FROM sqlite_schema")
        renew_indexes(tx, Catalog(attrs))
        assert tx.rows("SELECT sql FROM sqlite_schema") == schema

    in_tx(work)


class Watched:
    """A write that notes what it runs."""

    def __init__(self, tx: WriteTx) -> None:
        self.tx, self.time_ms, self.catalog = tx.tx, tx.time_ms, tx.catalog
        self._tx = tx
        self.statements: list[str] = []

    def rows(self, sql: str, bindings: Any = ()) -> Any:
        self.statements.append(sql)
        return self._tx.rows(sql, bindings)

    def count(self, beginning: str) -> int:
        return sum(sql.startswith(beginning) for sql in self.statements)


@pytest.mark.rule("S100")
def test_a_new_namespace_gets_its_columns_with_its_table(in_tx: InTx) -> None:
    def work(tx: WriteTx) -> None:
        watched = Watched(tx)
        fields = [
            blob("t", f"f{n}", is_indexed=True, checked_type="string")
            for n in range(limits.ATTRS_PER_NAMESPACE_MAX - 1)
        ]
        placed = create_attrs(watched, tx.catalog, [blob("t", "id"), *fields])
        assert (watched.count("CREATE TABLE"), watched.count("ALTER TABLE")) == (1, 0)
        assert watched.count("SELECT") == 2, "names in use, and removed numbers, are looked up once"
        assert len({attr.column for attr in placed}) == len(fields) + 1
        put(tx, placed[-1], {1: "x"})
        assert cells(tx, placed[-1]) == {1: "x"}
        # One made with its table and one added to it later lie on disk alike.
        later = create_attrs(tx, tx.catalog.with_attrs(placed), [blob("t", "z", is_indexed=True)])
        assert later[0].table == placed[0].table
        assert (False, "z,_created_ms,id") in indexes(tx, later[0])
        assert (False, f"{fields[0].label},_created_ms,id") in indexes(tx, placed[1])
        assert (False, f"{fields[0].label}~order,id") in indexes(tx, placed[1])

    in_tx(work)


@pytest.mark.rule("S101")
def test_columns_added_at_once_are_bounded_by_what_is_parsed(
    in_tx: InTx, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(tx: WriteTx) -> None:
        catalog = tx.catalog.with_attrs(create_attrs(tx, tx.catalog, [blob("t", "id")]))
        ((size,),) = tx.rows("SELECT total(length(sql)) FROM sqlite_schema")
        monkeypatch.setattr(limits, "SCHEMA_PARSED_BYTES_MAX", int(size) * 5)
        fields = [blob("t", f"f{n}") for n in range(6)]
        watched = Watched(tx)
        with pytest.raises(LimitExceeded, match="5 can be added"):
            create_attrs(watched, catalog, fields)
        assert watched.count("ALTER TABLE") == 0
        assert len(create_attrs(watched, catalog, fields[:5])) == 5
        # New namespaces are not concerned: nothing is parsed again for their columns.
        create_attrs(tx, catalog, [blob("u", f"f{n}") for n in range(50)])

    in_tx(work)
