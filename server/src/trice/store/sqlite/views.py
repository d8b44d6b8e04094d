"""Views for people who open an app's file with `sqlite3`, Datasette or another tool.

    "todos_view"       of table "todos": ids as uuid text, booleans 0 and 1, dates in ISO form,
                       arrays and objects as JSON text, links under their labels; entities only
    "todos.tags_view"  of table "todos.tags": both entities of each pair, as namespace and label

The server never reads them. They call only functions that SQLite itself has, are renewed by the
transaction that changes attrs, and show no more than the tables do. Internal namespaces have none,
because every connection keeps the parsed form of each view (12 KiB in a new app).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.system import EXTENSIBLE, SYSTEM_ETYPES
from trice.catalog.values import has_order_column
from trice.store.engine import WriteTx
from trice.store.sqlite.index import quoted
from trice.store.sqlite.names import choose_name, view_names
from trice.store.sqlite.tables import CREATED, ID, order_column

_FORM: Final = "/* trice 1 */"
"""A comment in every view; a view with another number is made anew."""

_TIME: Final = "serverCreatedAt"
"""The name that clients know for the time at which an entity was created."""

_ISO: Final = "'%Y-%m-%dT%H:%M:%fZ'"
_OURS: Final = (
    "(SELECT name, sql FROM sqlite_schema"
    " WHERE type = 'view' AND substr(sql, 1, 500) LIKE '%/* trice %')"
)
"""Name and text of our views; people may have made others."""
_OTHERS: Final = f"SELECT name FROM sqlite_schema WHERE name NOT IN (SELECT name FROM {_OURS})"


def renew_views(tx: WriteTx, before: Catalog, after: Catalog) -> None:
    """Bring the views of namespaces that differ between two catalogs in line with `after`.

    before  the catalog whose views the file has
    cost    nothing where nothing differs; else 0.1 ms for a thousand names in the file, and 20 µs
            a column of those namespaces, limits.VIEW_COLUMNS_MAX of each at most
    """
    old, new = before.namespaces, after.namespaces
    changed = [etype for etype in {**old, **new} if old.get(etype) is not new.get(etype)]
    if changed:
        gone = [old[etype] for etype in changed if etype in old]
        _renew(tx, gone, [new[etype] for etype in changed if etype in new])


def add_views(tx: WriteTx, catalog: Catalog) -> None:
    """Make the views that a file of another version lacks, or has in another form.

    cost  one statement where no view is lacking; else as `renew_views`
    """
    found = {str(name) for name, sql in tx.rows(f"SELECT * FROM {_OURS}") if _FORM in str(sql)}
    lacking = [
        namespace
        for namespace in catalog.namespaces.values()
        if not all(found.intersection(view_names(table)) for table in _tables(namespace))
    ]
    if lacking:
        _renew(tx, [], lacking)


def _renew(tx: WriteTx, old: Iterable[Namespace], new: Iterable[Namespace]) -> None:
    """Replace our views of the namespaces in `old` by the views of those in `new`."""
    taken = {str(name).lower() for (name,) in tx.rows(_OTHERS)}
    wanted: dict[str, str] = {}
    tables = {table for namespace in old for table in _tables(namespace)}
    for namespace in new:
        for table, select in _selects(tx, namespace).items():
            tables.add(table)
            # If people have taken both names, the table gets no view.
            for name in [name for name in view_names(table) if name.lower() not in taken][:1]:
                wanted[name] = f"CREATE VIEW {quoted(name)} {_FORM} AS {select}"
    found = {str(name): str(sql) for name, sql in tx.rows(f"SELECT * FROM {_OURS}")}
    for table in tables:
        for name in view_names(table):
            if name in found and found[name] != wanted.get(name):
                tx.rows(f"DROP VIEW {quoted(name)}")
    for name, sql in wanted.items():
        if found.get(name) != sql:
            tx.rows(sql)


def _is_shown(namespace: Namespace) -> bool:
    return namespace.etype in EXTENSIBLE or namespace.etype not in SYSTEM_ETYPES


def _tables(namespace: Namespace) -> list[str]:
    """The tables of a namespace that have views."""
    if not _is_shown(namespace):
        return []
    own = [namespace.table] if namespace.id_attr is not None else []
    return own + [attr.table for attr in namespace.pairs]


def _selects(tx: WriteTx, namespace: Namespace) -> dict[str, str]:
    """What the view of each table selects."""
    if not _is_shown(namespace):
        return {}
    found = {attr.table: _pairs_select(attr) for attr in namespace.pairs}
    if namespace.id_attr is not None:
        found[namespace.table] = _entities_select(tx, namespace)
    return found


def _entities_select(tx: WriteTx, namespace: Namespace) -> str:
    """The entities of a namespace, columns in the order in which they were made."""
    table = namespace.table
    made = tx.rows("SELECT name FROM pragma_table_info(?)", (table,))
    places = {name: place for place, (name,) in enumerate(made)}
    columns = sorted(namespace.columns, key=lambda attr: places[attr.column])
    parts = {ID: _uuid(ID)}
    for attr in columns[: limits.VIEW_COLUMNS_MAX]:
        parts[choose_name(attr.label, parts)] = _value(attr)
    parts[choose_name(_TIME, parts)] = _time(CREATED)
    return f"{_select(parts)} FROM {quoted(table)} WHERE {quoted(CREATED)} IS NOT NULL"


def _pairs_select(attr: Attr) -> str:
    source = choose_name(attr.etype, ())
    target = choose_name(attr.label, (source,))
    made = choose_name(_TIME, (source, target))
    parts = {source: _uuid("source"), target: _uuid("target"), made: _time("created_ms")}
    return f"{_select(parts)} FROM {quoted(attr.table)}"


def _select(parts: dict[str, str]) -> str:
    return "SELECT " + ", ".join(f"{value} AS {quoted(name)}" for name, value in parts.items())


def _value(attr: Attr) -> str:
    """SQL for a column's value in the form that people expect (for cells see `catalog.values`)."""
    cell = quoted(attr.column)
    if attr.is_ref:
        return _uuid(cell)
    match attr.checked_type:
        case "string" | "number":
            return cell if attr.is_indexed else f"nullif({cell}, x'00')"
        case "boolean":
            return f"CASE {cell} WHEN x'01' THEN 0 WHEN x'02' THEN 1 END"
        case "date" if has_order_column(attr):
            instant = quoted(order_column(attr))
            return f"coalesce(strftime({_ISO}, {instant} / 1e6, 'unixepoch'), {cell})"
        case "date":
            return (
                f"CASE typeof({cell}) WHEN 'text' THEN {cell} WHEN 'blob' THEN NULL"
                f" ELSE coalesce({_time(cell)}, {cell}) END"
            )
        case None:
            return (
                f"CASE WHEN typeof({cell}) = 'blob' THEN CASE {cell} WHEN x'00' THEN NULL"
                f" WHEN x'01' THEN 0 WHEN x'02' THEN 1 ELSE CAST({cell} AS TEXT) END"
                f" ELSE {cell} END"
            )


def _uuid(cell: str) -> str:
    """The text of 16 bytes; NULL stays NULL."""
    digits = f"hex({cell})"
    rest = "".join(f", substr({digits}, {start})" for start in (9, 13, 17, 21))
    return f"nullif(lower(printf('%.8s-%.4s-%.4s-%.4s-%s', {digits}{rest})), '----')"


def _time(cell: str) -> str:
    """Milliseconds since 1970 as ISO text; NULL beyond the year 9999."""
    return f"strftime({_ISO}, {cell} / 1e3, 'unixepoch')"
