"""Where attrs live on disk: the table and column of a field, the table of a link's pairs.

    "todos"        id BLOB PRIMARY KEY, _created_ms INTEGER, one column per attr of cardinality one
                   (a has-one link is a column too: the id of its target), and "title~order" beside
                   an indexed string or date
    "todos.tags"   source BLOB, target BLOB, created_ms INTEGER: the pairs of a has-many link
    "todos_view"   a view of either for people who look (`store.sqlite.views`)
    "_attrs"       one row per attr: its JSON, its table, its column
    "_tx"          the log of transactions

Physical names are chosen once, stay readable, and survive renames. Only this module names them.
The indexes, and the shape each serves:

    _created_ms, id        the newest page of a namespace
    value, _created_ms, id equality and ranges on an indexed field, and its newest page
    value, id              the same for numbers and booleans, and their order
    value~order, id        order of an indexed string or date
    value, unique          lookups (see `lookup_predicate`)
    target, _created_ms, id  a has-one link walked backwards, and the newest page of the entities
                           that it leads back to. Where a target may have only one source the index
                           is on the target alone, and unique
    target, source         pairs walked backwards; unique in the same way
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from trice import account_limits, limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import has_order_column
from trice.errors import LimitExceeded
from trice.protocol.ids import AttrId
from trice.store.engine import Statements, WriteTx
from trice.store.sqlite.attr_rows import find_table, insert_attr, update_attr
from trice.store.sqlite.building import adopt
from trice.store.sqlite.index import Index, quoted
from trice.store.sqlite.names import choose_name, choose_names, view_names

ID: Final = "id"
CREATED: Final = "_created_ms"
_VALUE_INDEXES: Final = (
    "SELECT made.name, group_concat(part.name, char(10) ORDER BY part.seqno)"
    " FROM sqlite_schema AS made, pragma_index_info(made.name) AS part"
    " WHERE made.type = 'index' AND made.name LIKE '%~value' GROUP BY made.name"
)
_PAIRS_TABLE: Final = (
    "CREATE TABLE {0} (source BLOB NOT NULL, target BLOB NOT NULL, created_ms INTEGER NOT NULL,"
    " PRIMARY KEY (source, target)) WITHOUT ROWID"
)
_REMOVED: Final = "~removed"
_RESERVED_COLUMNS: Final = (ID, CREATED, "rowid", "oid", "_rowid_")


class LinkColumns(NamedTuple):
    """Where a link's pairs can be read, whichever way it is stored.

    For a has-one link this is the namespace's own table and `source` is its id; rows whose
    `target` is NULL are not linked.
    """

    table: str
    source: str
    target: str


def link_columns(attr: Attr) -> LinkColumns:
    """The table and columns that hold the pairs of link `attr`."""
    assert attr.is_ref
    if attr.is_pairs:
        return LinkColumns(attr.table, "source", "target")
    return LinkColumns(attr.table, ID, attr.column)


def order_column(attr: Attr) -> str:
    """The column that orders `attr`: that of its order key if there is one, else its own."""
    return f"{attr.column}~order" if has_order_column(attr) else attr.column


def lookup_predicate(attr: Attr) -> str:
    """What a lookup by unique `attr` must add to `column = ?` for SQLite to use its index.

    returns  SQL beginning with " AND ", or "" where the equality alone is enough
    """
    return f" AND {quoted(attr.column)} <> x'00'" if _is_partial(attr) else ""


def create_attrs(tx: WriteTx, catalog: Catalog, attrs: Sequence[Attr]) -> list[Attr]:
    """Make room for new attrs (tables, columns, indexes, their `_attrs` rows); return them placed.

    catalog  the catalog before them (names taken by soft-deleted attrs included)
    attrs    with ids and names that differ
    cost     0.2 ms an attr of a new namespace, whose table is made with all of its columns. With
             each column that an existing table gets, SQLite parses all tables: 13 ms where one
             has 1,800 columns. An index is built in O(rows)
    """
    fields: dict[str, list[Attr]] = {}
    for attr in attrs:
        if not attr.is_pairs:
            fields.setdefault(attr.etype, []).append(attr)
    tables = {etype: _namespace_table(catalog, etype) for etype in fields}
    lacking = [etype for etype, table in tables.items() if table is None]
    chosen = dict(zip(lacking, choose_names(lacking, _table_names(tx)), strict=True))
    placed: dict[AttrId, Attr] = {}
    for etype, members in fields.items():
        table = tables[etype]
        if table is None:
            made = _create_namespace(tx, chosen[etype], members)
        else:
            made = _create_columns(tx, table, members)
        placed.update((attr.id, attr) for attr in made)
    links = [attr for attr in attrs if attr.is_pairs]
    placed.update((attr.id, attr) for attr in _create_pairs(tx, links))
    last = _last_number(tx, catalog)
    numbered = [
        replace(placed[attr.id], number=number) for number, attr in enumerate(attrs, start=last + 1)
    ]
    for attr in numbered:
        _create_indexes(tx, attr)
        insert_attr(tx, attr)
    return numbered


def place_attr(tx: WriteTx, attr: Attr) -> None:
    """Make room for a new attr that has its place and number already, those that `create_attrs`
    chose in a file with the same attrs before."""
    tables = {name.lower() for name in _table_names(tx)}
    if attr.is_pairs:
        tx.rows(_PAIRS_TABLE.format(quoted(attr.table)))
    elif attr.table.lower() not in tables:
        columns = ["id BLOB NOT NULL PRIMARY KEY", f"{quoted(CREATED)} INTEGER"]
        columns += map(quoted, _own_columns(attr))
        table = quoted(attr.table)
        tx.rows(f"CREATE TABLE {table} ({', '.join(columns)})")
        name = quoted(f"{attr.table}~created")
        tx.rows(f"CREATE INDEX {name} ON {table} ({quoted(CREATED)}, id)")
    else:
        for column in _own_columns(attr):
            tx.rows(f"ALTER TABLE {quoted(attr.table)} ADD COLUMN {quoted(column)}")
    _create_indexes(tx, attr)
    insert_attr(tx, attr)


def replace_attr(tx: WriteTx, old: Attr, new: Attr) -> Attr:
    """Bring the disk in line with a changed attr: indexes, order keys, nulls, uniqueness, its row.

    old, new  the same attr before and after; place and number of `new` are ignored
    returns   `new`, placed
    raises    UniqueIndexBroken when existing values are not unique
    cost      O(rows) when flags that touch disk differ, else one row of `_attrs`
    """
    assert old.id == new.id and old.value_type == new.value_type
    placed = replace(new, table=old.table, column=old.column, number=old.number)
    if has_same_shape(old, placed):
        pass
    elif old.pending:
        adopt(tx, indexes_of(old), indexes_of(placed))
    else:
        _drop_indexes(tx, old)
        if old.is_pairs and not placed.is_pairs:
            placed = _pairs_to_column(tx, old, placed)
        elif placed.is_pairs and not old.is_pairs:
            placed = _column_to_pairs(tx, old, placed)
        elif not placed.is_ref and not _is_key(placed):
            _convert_nulls(tx, old, placed)
            _convert_order(tx, old, placed)
        _create_indexes(tx, placed)
    update_attr(tx, placed)
    return placed


def renew_indexes(tx: WriteTx, catalog: Catalog) -> None:
    """Make indexes anew where an older version chose other columns.

    At most limits.INDEX_RENEWED_ROWS_MAX rows are read. A table that would exceed this is left as
    it is, and answers as before.
    cost  10 µs an index, 1 µs a row of an index made anew
    """
    left = limits.INDEX_RENEWED_ROWS_MAX
    found = {str(name): str(columns).split("\n") for name, columns in tx.rows(_VALUE_INDEXES)}
    for attr in catalog.by_id.values():
        columns = found.get(_index_names(attr)[0])
        if attr.is_pairs or columns is None or tuple(columns) == _value_columns(attr):
            continue
        ((last,),) = tx.rows(f"SELECT coalesce(max(rowid), 0) FROM {quoted(attr.table)}")
        assert isinstance(last, int)
        if last <= left:
            left -= last
            _drop_indexes(tx, attr)
            _create_indexes(tx, attr)


# --- places -------------------------------------------------------------------------------------


def _namespace_table(catalog: Catalog, etype: str) -> str | None:
    """The table of `etype`, or None before its first column.

    Attrs in use decide. Soft-deleted attrs are asked only when none is in use, and only while no
    other namespace in use has their table: a namespace may have been renamed since.
    """
    namespace = catalog.namespaces.get(etype)
    if namespace is not None and namespace.table:
        return namespace.table
    in_use = {other.table for other in catalog.namespaces.values()}
    for attr in catalog.by_id.values():
        if attr.etype == etype and not attr.is_pairs and attr.table not in in_use:
            return attr.table
    return None


def _create_namespace(tx: WriteTx, table: str, members: Sequence[Attr]) -> list[Attr]:
    """Make a table with a column for each of `members`, which are returned placed."""
    placed = _named_columns(table, members, ())
    columns = ["id BLOB NOT NULL PRIMARY KEY", f"{quoted(CREATED)} INTEGER"]
    columns += (quoted(column) for attr in placed for column in _own_columns(attr))
    tx.rows(f"CREATE TABLE {quoted(table)} ({', '.join(columns)})")
    tx.rows(f"CREATE INDEX {quoted(f'{table}~created')} ON {quoted(table)} ({quoted(CREATED)}, id)")
    return placed


def _create_columns(tx: WriteTx, table: str, members: Sequence[Attr]) -> list[Attr]:
    """Add a column for each of `members` to a table that exists; return them placed."""
    placed = _named_columns(table, members, _column_names(tx, table))
    columns = [column for attr in placed for column in _own_columns(attr)]
    if len(columns) > 1:
        _check_parsing(tx, len(columns))
    for column in columns:
        tx.rows(f"ALTER TABLE {quoted(table)} ADD COLUMN {quoted(column)}")
    return placed


def _check_parsing(tx: WriteTx, count: int) -> None:
    """Refuse more columns at once than limits.SCHEMA_PARSED_BYTES_MAX allows: with each column
    SQLite parses the CREATE statements of all tables."""
    ((size,),) = tx.rows("SELECT total(length(sql)) FROM sqlite_schema")
    assert isinstance(size, float)
    most = max(int(limits.SCHEMA_PARSED_BYTES_MAX / size), 2)
    if count > most:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"These attributes take {count} columns in a namespace that exists already; the schema"
            f" of this app is so large that {most} can be added to one at once. Add them in several"
            " transactions.",
            {"columns": count, "columns-max": most},
        )


def _named_columns(table: str, members: Sequence[Attr], taken: Iterable[str]) -> list[Attr]:
    """Choose a column for each attr; an id has the table's key."""
    wanted = [attr.label for attr in members if not attr.is_id]
    names = iter(choose_names(wanted, (*taken, *_RESERVED_COLUMNS)))
    return [
        replace(attr, table=table, column=ID if attr.is_id else next(names)) for attr in members
    ]


def _own_columns(attr: Attr) -> tuple[str, ...]:
    """The columns that belong to `attr` alone."""
    if _is_key(attr):
        return ()
    return (attr.column, order_column(attr)) if has_order_column(attr) else (attr.column,)


def _create_pairs(tx: WriteTx, attrs: Sequence[Attr]) -> list[Attr]:
    """A table of pairs for each of `attrs`, which are returned placed."""
    taken = {name.lower() for name in _table_names(tx)} if attrs else set()
    placed = []
    for attr in attrs:
        wanted = f"{choose_name(attr.etype, ())}.{choose_name(attr.label, ())}"
        table = wanted
        number = 2
        while table.lower() in taken:
            table = f"{wanted}_{number}"
            number += 1
        taken.add(table.lower())
        tx.rows(_PAIRS_TABLE.format(quoted(table)))
        placed.append(replace(attr, table=table, column=""))
    return placed


def _table_names(statements: Statements) -> list[str]:
    """The names of tables, and of views: they share one space of names."""
    found = statements.rows("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
    return [str(name) for (name,) in found]


def _column_names(statements: Statements, table: str) -> list[str]:
    found = statements.rows("SELECT name FROM pragma_table_info(?)", (table,))
    return [str(name) for (name,) in found]


# --- indexes ------------------------------------------------------------------------------------


def has_same_shape(old: Attr, new: Attr) -> bool:
    """Whether a change of an attr has no effect on stored rows and indexes."""
    return _shape(old) == _shape(new)


def _shape(attr: Attr) -> tuple[object, ...]:
    """Everything about an attr that has an effect on disk."""
    return (
        attr.cardinality,
        attr.is_unique,
        attr.is_indexed,
        attr.checked_type if has_order_column(attr) else None,
        _is_value_order(attr),
    )


def _is_key(attr: Attr) -> bool:
    """Whether it is an id attr, which the table's own key serves. A soft delete may have changed
    its name."""
    return attr.column == ID


def _is_partial(attr: Attr) -> bool:
    """Whether the unique index leaves out explicit nulls (x'00'): a unique field that is not
    indexed may hold them many times."""
    return not attr.is_ref and not _is_key(attr) and attr.is_unique and not attr.is_indexed


def _is_value_order(attr: Attr) -> bool:
    """Whether pages may be ordered by the column of `attr` itself, ties by id."""
    return attr.is_sortable and not has_order_column(attr)


def _index_names(attr: Attr) -> tuple[str, ...]:
    base = f"{attr.table}~{attr.column}"
    return (f"{base}~value", f"{base}~unique", f"{base}~order")


def _value_columns(attr: Attr) -> tuple[str, ...]:
    """The columns of the index by value; any number of rows may share a value.

    Where 10,000 rows share one, its newest page reads 20 entries and sorts none.
    """
    if attr.is_pairs:
        return ("target", "source")
    return (attr.column, ID) if _is_value_order(attr) else (attr.column, CREATED, ID)


def indexes_of(attr: Attr) -> list[Index]:
    """The indexes that serve an attr in the state that it has."""
    if _is_key(attr):
        return []
    value_index, unique_index, order_index = _index_names(attr)
    place = link_columns(attr) if attr.is_ref else LinkColumns(attr.table, ID, attr.column)
    made: list[Index] = []
    if attr.is_unique:
        value = quoted(place.target)
        condition = f"{value} IS NOT NULL AND {value} <> x'00'" if _is_partial(attr) else ""
        made.append(Index(unique_index, place.table, (place.target,), True, condition))
    elif attr.is_ref or attr.is_indexed:
        made.append(Index(value_index, place.table, _value_columns(attr)))
    if has_order_column(attr):
        made.append(Index(order_index, place.table, (order_column(attr), ID)))
    return made


def _create_indexes(tx: WriteTx, attr: Attr) -> None:
    for index in indexes_of(attr):
        tx.rows(index.sql())


def _drop_indexes(tx: WriteTx, attr: Attr) -> None:
    for name in _index_names(attr):
        tx.rows(f"DROP INDEX IF EXISTS {quoted(name)}")


# --- changes ------------------------------------------------------------------------------------


def _convert_nulls(tx: WriteTx, old: Attr, new: Attr) -> None:
    """Indexed fields keep null as NULL; others keep it as x'00', and NULL means never set."""
    table, value = quoted(new.table), quoted(new.column)
    if new.is_indexed and not old.is_indexed:
        tx.rows(f"UPDATE {table} SET {value} = NULL WHERE {value} = x'00'")
    elif old.is_indexed and not new.is_indexed:
        # Apps saw null there until now, and must go on seeing it.
        tx.rows(
            f"UPDATE {table} SET {value} = x'00'"
            f" WHERE {value} IS NULL AND {quoted(CREATED)} IS NOT NULL"
        )


def _convert_order(tx: WriteTx, old: Attr, new: Attr) -> None:
    table, value = quoted(new.table), quoted(new.column)
    if has_order_column(new):
        add_order_column(tx, new)
        tx.rows(f"UPDATE {table} SET {quoted(order_column(new))} = {order_key(new)}({value})")
    elif has_order_column(old):
        column = quoted(order_column(old))
        tx.rows(f"UPDATE {table} SET {column} = NULL WHERE {column} IS NOT NULL")


def add_order_column(statements: Statements, attr: Attr) -> None:
    """Make room for the order keys of an attr."""
    column = order_column(attr)
    if column not in _column_names(statements, attr.table):
        statements.rows(f"ALTER TABLE {quoted(attr.table)} ADD COLUMN {quoted(column)}")


def order_key(attr: Attr) -> str:
    """The function that makes the order key of a value."""
    return "trice_text_order" if attr.checked_type == "string" else "trice_instant"


def remove_attr(tx: WriteTx, attr: Attr) -> None:
    """Remove an attr whose values are gone: its indexes, its row, and its table if no attr uses
    that any more. Its column stays where dropping it would rewrite many rows."""
    tx.rows(f"CREATE TABLE IF NOT EXISTS {quoted(_REMOVED)} (number INTEGER NOT NULL)")
    tx.rows(f"INSERT INTO {quoted(_REMOVED)} VALUES (?)", (attr.number,))
    tx.rows("DELETE FROM _attrs WHERE id = ?", (attr.id,))
    _drop_indexes(tx, attr)
    table = quoted(attr.table)
    if not tx.rows('SELECT 1 FROM _attrs WHERE "table" = ? LIMIT 1', (attr.table,)):
        for name in view_names(attr.table):
            if tx.rows("SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = ?", (name,)):
                tx.rows(f"DROP VIEW {quoted(name)}")
        tx.rows(f"DROP TABLE {table}")
        return
    ((last,),) = tx.rows(f"SELECT coalesce(max(rowid), 0) FROM {table}")
    assert isinstance(last, int)
    if not _is_key(attr) and last <= account_limits.SCHEMA_ROWS_AT_ONCE:
        for column in _column_names(tx, attr.table):
            if column in (attr.column, f"{attr.column}~order"):
                _drop_column(tx, table, quoted(column))


def _last_number(tx: WriteTx, catalog: Catalog) -> int:
    """The highest number that an attr has or had: the log names attrs by their numbers."""
    last = max((attr.number for attr in catalog.by_id.values()), default=0)
    if tx.rows("SELECT 1 FROM sqlite_schema WHERE name = ?", (_REMOVED,)):
        ((removed,),) = tx.rows(f"SELECT max(number) FROM {quoted(_REMOVED)}")
        assert isinstance(removed, int)
        last = max(last, removed)
    return last


def _column_to_pairs(tx: WriteTx, old: Attr, new: Attr) -> Attr:
    """Move a has-one link into a table of pairs. A row's creation time becomes its pair's."""
    (placed,) = _create_pairs(tx, [new])
    table, column = quoted(old.table), quoted(old.column)
    tx.rows(
        f"INSERT INTO {quoted(placed.table)} (source, target, created_ms)"
        f" SELECT id, {column}, coalesce({quoted(CREATED)}, ?) FROM {table}"
        f" WHERE {column} IS NOT NULL",
        (tx.time_ms,),
    )
    _drop_column(tx, table, column)
    return placed


def _pairs_to_column(tx: WriteTx, old: Attr, new: Attr) -> Attr:
    """Move pairs into a column. Of several targets the one linked first stays."""
    # Not from the catalog: this transaction may have created the namespace.
    found = find_table(tx, new.etype)
    if found is None:
        name = choose_name(new.etype, _table_names(tx))
        (placed,) = _create_namespace(tx, name, [new])
    else:
        (placed,) = _create_columns(tx, found, [new])
    table, column = quoted(placed.table), quoted(placed.column)
    pairs = quoted(old.table)
    tx.rows(f"INSERT OR IGNORE INTO {table} (id) SELECT DISTINCT source FROM {pairs}")
    tx.rows(
        f"UPDATE {table} SET {column} = (SELECT target FROM {pairs}"
        " WHERE source = id ORDER BY created_ms, target LIMIT 1)"
    )
    tx.rows(f"DROP TABLE {pairs}")
    return placed


def _drop_column(tx: WriteTx, table: str, column: str) -> None:
    """Drop a column even if views name it. `table` and `column` are quoted.

    Our views are renewed before the transaction ends (`store.sqlite.views`). Views that people made
    would keep attrs from changing; with this pragma SQLite leaves them as they are.
    """
    tx.rows("PRAGMA writable_schema = 1")
    try:
        tx.rows(f"ALTER TABLE {table} DROP COLUMN {column}")
    finally:
        tx.rows("PRAGMA writable_schema = 0")
