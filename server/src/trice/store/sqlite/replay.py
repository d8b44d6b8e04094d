"""Doing transactions again in a copy that was made before them, from their rows of the log.

A row tells what each entity had and got, each pair, and each attr (`store.log_format`). It does not
tell how tables change with an attr that was there before. Such a row is not replayed: whoever ships
the log copies the app anew after it (`is_replayable`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.values import Cell
from trice.protocol.ids import AttrId, EntityId, TxId
from trice.store.copies import LogRow
from trice.store.log_format import ADDED, DELETED, Unreadable, load_attr, read_changes
from trice.store.sqlite import log
from trice.store.sqlite.attr_rows import load_catalog, update_attr
from trice.store.sqlite.attrs import SqliteAttrs
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.rows import SqliteOpenRows
from trice.store.sqlite.tables import place_attr
from trice.store.sqlite.writer import OpenTx

_GROUP_ROWS: Final = 1_000
_FILES: Final = "$files"
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_replayable(changes: bytes) -> bool:
    """Whether a row can be done again: it changes no attr that was there before it, but for what is
    known of the types of its values, and removes none."""
    try:
        _, _, attrs = read_changes(changes)
    except Unreadable:
        return False
    if attrs is None:
        return True
    is_told, changed = attrs
    return all(new is not None and (not is_told or old is None) for old, new in changed)


def find_file_hashes(changes: bytes) -> list[str]:
    """The hashes of bytes that rows of `$files` get in a transaction."""
    return [text for each in find_texts(changes, _FILES) for text in each if _HASH.fullmatch(text)]


def find_texts(changes: bytes, etype: str) -> list[list[str]]:
    """The texts that each row of a namespace gets in a transaction."""
    found = []
    for what, each, _, *rest in read_changes(changes)[0]:
        if each != etype or what == DELETED:
            continue
        cells = rest[1].values() if what == ADDED else (new for _, new in rest[2].values())
        found.append([cell for cell in cells if isinstance(cell, str)])
    return found


def replay(path: Path, rows: Iterable[LogRow]) -> TxId:
    """Do transactions again; return the last one the copy has then.

    rows     those that follow the last one of the copy; a gap ends the replay, and so does a row
             that is not replayable
    raises   Unavailable; Unreadable for a row that does not fit the copy
    """
    connection = Connection(str(path), Role.WRITER, can_create=False)
    try:
        connection.run("PRAGMA synchronous = OFF")  # a copy that a stop leaves is thrown away
        before = load_catalog(connection)
        work = _Replay(connection, before, log.load_last_tx(connection))
        connection.run("BEGIN IMMEDIATE")
        for row in rows:
            if row.tx != work.tx + 1 or not is_replayable(row.changes):
                break
            work.redo(row)
            if work.tx % _GROUP_ROWS == 0:
                connection.run("COMMIT")
                connection.run("BEGIN IMMEDIATE")
        SqliteAttrs(work.open_tx(0)).settle(before, work.catalog)
        connection.run("COMMIT")
        connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return work.tx
    except (KeyError, TypeError, ValueError) as failure:
        raise Unreadable from failure
    finally:
        connection.rollback()
        connection.close()


class _Replay:
    """The copy as of transaction `tx`."""

    def __init__(self, connection: Connection, catalog: Catalog, tx: TxId) -> None:
        self.catalog = catalog
        self.tx = tx
        self._connection = connection
        self._rows = SqliteOpenRows(connection.rows)
        self._by_number = {attr.number: attr for attr in catalog.by_id.values()}

    def open_tx(self, time_ms: int) -> OpenTx:
        return OpenTx(self._connection, tx=self.tx, time_ms=time_ms, catalog=self.catalog)

    def redo(self, row: LogRow) -> None:
        entities, pairs, attrs = read_changes(row.changes)
        if attrs is not None:
            self._change_attrs(row, attrs)
        self._change_entities(entities)
        for number, source, target, created_ms, is_added in sorted(pairs, key=lambda pair: pair[4]):
            attr = self._by_number[number]
            if is_added:
                self._rows.link(attr, EntityId(source), EntityId(target), created_ms)
            else:
                self._rows.unlink(attr, EntityId(source), EntityId(target))
        self._connection.rows(log.INSERT, row)
        self.tx = row.tx

    def _change_attrs(self, row: LogRow, attrs: Any) -> None:
        is_told, changed = attrs
        tx = self.open_tx(row.time_ms)
        made: list[Attr] = []
        for old, text in changed:
            attr = load_attr(text)
            made.append(attr)
            if old is not None:
                update_attr(tx, attr)
        for (old, _), attr in sorted(zip(changed, made, strict=True), key=lambda it: it[1].number):
            if old is None:
                place_attr(tx, attr)
        self.catalog = self.catalog.with_attrs(made, is_visible=is_told)
        self._by_number.update((attr.number, attr) for attr in made)

    def _change_entities(self, entities: list[Any]) -> None:
        changed: list[tuple[Namespace, EntityId, Any]] = []
        for what, etype, found, *rest in entities:
            namespace, entity = self.catalog.namespaces[etype], EntityId(found)
            if what == DELETED:
                self._rows.delete(namespace, [entity])
            else:
                changed.append((namespace, entity, (what, rest)))
        # A unique value that one entity gives up may be taken by another, in any order.
        for namespace, entity, (what, rest) in changed:
            if what != ADDED and namespace.unique:
                held = self._cells(namespace, {n: old for n, (old, _) in rest[2].items()})
                freed = tuple(at for at in held if at in namespace.unique)
                if freed:
                    nothing: list[Cell] = [None] * len(namespace.columns)
                    self._rows.update(namespace, entity, None, nothing, freed)
        for namespace, entity, (what, rest) in changed:
            cells: list[Cell] = [None] * len(namespace.columns)
            if what == ADDED:
                created_ms, given = rest
                found_cells = self._cells(namespace, given)
                for at, cell in found_cells.items():
                    cells[at] = cell
                # A row that a deleted attr of another namespace left may be in the way.
                self._rows.delete(namespace, [entity])
                self._rows.insert(namespace, entity, created_ms, cells, tuple(found_cells))
                continue
            old_created, created_ms, differing, *_ = rest
            found_cells = self._cells(namespace, {n: new for n, (_, new) in differing.items()})
            for at, cell in found_cells.items():
                cells[at] = cell
            self._rows.update(
                namespace,
                entity,
                created_ms,
                cells,
                tuple(found_cells),
                sets_created=created_ms != old_created,
            )

    def _cells(self, namespace: Namespace, given: dict[int, Cell]) -> dict[int, Cell]:
        """Cells by their position in the row."""
        index = namespace.index
        positions: dict[int, Cell] = {}
        for number, cell in given.items():
            attr_id: AttrId = self._by_number[number].id
            positions[index[attr_id]] = cell
        return positions
