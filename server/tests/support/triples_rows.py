"""Another layout for an engine: all values in one table, all links in another, integer keys.

    ids      key, id                          an integer for each entity's id
    spaces   space, etype                     an integer for each namespace
    members  space, key, made                 an entity's row; `made` is NULL for a stub
    facts    attr, key, cell, rank, lone      a value of cardinality one; for links the target's key
    pairs    attr, source, target, made, lone   a link of cardinality many, by keys
    attrs    attr, space, body                an attr as JSON

`rank` orders a cell that does not order by itself; `lone` is the cell, or the target, of a unique
attr. `Attr.table` holds the space of an attr, `Attr.column` its number in `attrs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import apsw
import msgspec
import orjson

from trice.catalog.attr import Attr, CheckedType
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.values import FALSE, NULL, TRUE, Cell, has_order_column, stored_order
from trice.protocol.ids import AttrId, EntityId
from trice.store.rows import Pair, StoredRow, UniqueViolation

SCHEMA = """
CREATE TABLE ids (key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);
CREATE TABLE spaces (space INTEGER PRIMARY KEY, etype TEXT NOT NULL UNIQUE);
CREATE TABLE members (space, key, made INTEGER, PRIMARY KEY (space, key));
CREATE TABLE facts (attr, key, cell, rank, lone, PRIMARY KEY (attr, key), UNIQUE (attr, lone));
CREATE INDEX facts_by_cell ON facts (attr, cell);
CREATE TABLE pairs (
    attr, source, target, made INTEGER, lone,
    PRIMARY KEY (attr, source, target), UNIQUE (attr, lone));
CREATE TABLE attrs (attr INTEGER PRIMARY KEY, space INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE log (tx INTEGER PRIMARY KEY, event TEXT UNIQUE);
CREATE TABLE calls (event TEXT PRIMARY KEY, tx INTEGER, made INTEGER, value BLOB);
"""

_ATTR = msgspec.json.Decoder(Attr)
_STORED = tuple(each.name for each in fields(Attr) if each.init)


def load_catalog(file: apsw.Connection) -> Catalog:
    """Every attr, soft-deleted ones included."""
    rows = file.execute("SELECT body FROM attrs ORDER BY attr").fetchall()
    return Catalog(_ATTR.decode(body) for (body,) in rows)


class TriplesRows:
    """See `store.rows.OpenRows`; a snapshot uses the reading half."""

    def __init__(self, file: apsw.Connection) -> None:
        self._file = file

    def _all(self, sql: str, *bindings: Any) -> list[Any]:
        return self._file.execute(sql, bindings).fetchall()

    def _find_key(self, entity: EntityId) -> int | None:
        found = self._all("SELECT key FROM ids WHERE id = ?", entity)
        return found[0][0] if found else None

    def _id(self, key: int) -> EntityId:
        ((entity,),) = self._all("SELECT id FROM ids WHERE key = ?", key)
        return EntityId(entity)

    def _shown(self, attr: Attr, cell: Cell) -> Cell:
        return self._id(cell) if attr.is_ref and isinstance(cell, int) else cell

    def _row(self, namespace: Namespace, entity: EntityId, key: int, made: int | None) -> StoredRow:
        facts = dict(self._all("SELECT attr, cell FROM facts WHERE key = ?", key))
        cells = (
            self._shown(attr, facts.get(int(attr.column))) if int(attr.column) in facts else None
            for attr in namespace.columns
        )
        return (entity, made, *cells)

    # --- reading ----------------------------------------------------------------------------

    def find(self, namespace: Namespace, ids: Sequence[EntityId]) -> list[StoredRow]:
        found = []
        for entity in ids:
            rows = self._all(
                "SELECT key, made FROM members JOIN ids USING (key) WHERE space = ? AND id = ?",
                int(namespace.table),
                entity,
            )
            found += [self._row(namespace, entity, key, made) for key, made in rows]
        return found

    def find_entities(
        self, namespace: Namespace, attr: Attr, cell: Cell, *, count: int
    ) -> list[StoredRow]:
        if attr.is_id or attr.is_ref:
            assert isinstance(cell, bytes)
            cell = self._find_key(EntityId(cell))
        holds = "key = ?2"
        if not attr.is_id:
            holds = f"key IN (SELECT key FROM facts WHERE attr = {int(attr.column)} AND cell = ?2)"
        rows = self._all(
            f"SELECT id, key, made FROM members JOIN ids USING (key) WHERE space = ?1 AND {holds}"
            " AND made IS NOT NULL ORDER BY made, id LIMIT ?3",
            int(namespace.table),
            cell,
            count,
        )
        return [self._row(namespace, EntityId(entity), key, made) for entity, key, made in rows]

    def find_present(self, namespace: Namespace, ids: Sequence[EntityId]) -> list[EntityId]:
        found = (row[0] for row in self.find(namespace, ids))
        return [EntityId(entity) for entity in found if isinstance(entity, bytes)]

    def find_holders(self, attr: Attr, cells: Sequence[Cell]) -> dict[Cell, EntityId]:
        holders: dict[Cell, EntityId] = {}
        for cell in cells:
            if attr.is_ref:
                assert isinstance(cell, bytes)
                holders.update(
                    (cell, source) for source, _ in self.find_sources(attr, [EntityId(cell)])
                )
            else:
                rows = self._all(
                    "SELECT cell, key FROM facts WHERE attr = ? AND lone = ?",
                    int(attr.column),
                    cell,
                )
                holders.update((found, self._id(key)) for found, key in rows)
        return holders

    def find_sources(
        self, attr: Attr, targets: Sequence[EntityId], *, count: int = -1
    ) -> list[Pair]:
        pairs: list[Pair] = []
        for target in targets:
            rows = self._all(
                "SELECT source FROM pairs WHERE attr = ?1 AND target = ?2"
                if attr.is_pairs
                else "SELECT key FROM facts WHERE attr = ?1 AND cell = ?2",
                int(attr.column),
                self._find_key(target),
            )
            pairs += [(self._id(source), target) for (source,) in rows]
        return pairs if count < 0 else pairs[:count]

    def find_targets(self, attr: Attr, sources: Sequence[EntityId], *, count: int) -> list[Pair]:
        pairs: list[Pair] = []
        for source in sources:
            rows = self._all(
                "SELECT target FROM pairs WHERE attr = ?1 AND source = ?2"
                if attr.is_pairs
                else "SELECT cell FROM facts WHERE attr = ?1 AND key = ?2",
                int(attr.column),
                self._find_key(source),
            )
            pairs += [(source, self._id(target)) for (target,) in rows]
        return pairs[:count]

    def find_linked(self, attr: Attr, sources: Sequence[EntityId]) -> set[EntityId]:
        return {source for source in sources if self.find_targets(attr, [source], count=1)}

    def scan(self, namespace: Namespace, *, after: bytes, count: int) -> list[StoredRow]:
        rows = self._all(
            "SELECT id, key, made FROM members JOIN ids USING (key) WHERE space = ?"
            " AND made IS NOT NULL AND id > ? ORDER BY id LIMIT ?",
            int(namespace.table),
            after,
            count,
        )
        return [self._row(namespace, EntityId(entity), key, made) for entity, key, made in rows]

    def count(self, namespace: Namespace) -> tuple[int, dict[AttrId, int]]:
        rows = self.scan(namespace, after=b"", count=-1)
        values = {}
        for position, attr in enumerate(namespace.columns, 2):
            is_always = attr.is_indexed and not attr.is_ref
            values[attr.id] = sum(is_always or row[position] is not None for row in rows)
        ids = [EntityId(row[0]) for row in rows if isinstance(row[0], bytes)]
        for attr in namespace.pairs:
            values[attr.id] = len(self.find_targets(attr, ids, count=10**9))
        return len(rows), values

    def has_entities(self, namespace: Namespace) -> bool:
        sql = "SELECT 1 FROM members WHERE space = ? AND made IS NOT NULL LIMIT 1"
        return bool(self._all(sql, int(namespace.table)))

    # --- writing ----------------------------------------------------------------------------

    def key(self, entity: EntityId) -> int:
        """The key of an entity, made where it has none."""
        self._all("INSERT OR IGNORE INTO ids (id) VALUES (?)", entity)
        key = self._find_key(entity)
        assert key is not None
        return key

    def _put(self, attr: Attr, key: int, cell: Cell) -> None:
        number, kept = int(attr.column), cell
        if attr.is_ref and isinstance(cell, bytes):
            kept = self.key(EntityId(cell))
        self._all("DELETE FROM facts WHERE attr = ? AND key = ?", number, key)
        if cell is None:
            return
        rank = stored_order(attr, cell) if has_order_column(attr) else None
        lone = kept if attr.is_unique and cell != NULL else None
        try:
            self._all("INSERT INTO facts VALUES (?, ?, ?, ?, ?)", number, key, kept, rank, lone)
        except apsw.ConstraintError as error:
            raise UniqueViolation(attr, cell) from error

    def insert(
        self,
        namespace: Namespace,
        entity: EntityId,
        created_ms: int | None,
        cells: Sequence[Cell],
        positions: Sequence[int],
    ) -> None:
        key = self.key(entity)
        try:
            self._all("INSERT INTO members VALUES (?, ?, ?)", int(namespace.table), key, created_ms)
        except apsw.ConstraintError as error:
            assert namespace.id_attr is not None
            raise UniqueViolation(namespace.id_attr, entity) from error
        for at in positions:
            self._put(namespace.columns[at], key, cells[at])

    def update(
        self,
        namespace: Namespace,
        entity: EntityId,
        created_ms: int | None,
        cells: Sequence[Cell],
        positions: Sequence[int],
        *,
        sets_created: bool = False,
    ) -> None:
        key = self.key(entity)
        if sets_created:
            sql = "UPDATE members SET made = ? WHERE space = ? AND key = ?"
            self._all(sql, created_ms, int(namespace.table), key)
        for at in positions:
            self._put(namespace.columns[at], key, cells[at])

    def delete(self, namespace: Namespace, ids: Sequence[EntityId]) -> None:
        space = int(namespace.table)
        for entity in ids:
            key = self._find_key(entity)
            self._all("DELETE FROM members WHERE space = ? AND key = ?", space, key)
            own = "SELECT attr FROM attrs WHERE space = ?"
            self._all(f"DELETE FROM facts WHERE key = ? AND attr IN ({own})", key, space)

    def link(self, attr: Attr, source: EntityId, target: EntityId, created_ms: int) -> bool:
        if (source, target) in self.find_targets(attr, [source], count=2**31):
            return False
        end = self.key(target)
        values = (int(attr.column), self.key(source), end, created_ms)
        try:
            lone = end if attr.is_unique else None
            self._all("INSERT INTO pairs VALUES (?, ?, ?, ?, ?)", *values, lone)
        except apsw.ConstraintError as error:
            raise UniqueViolation(attr, target) from error
        return True

    def unlink(self, attr: Attr, source: EntityId, target: EntityId) -> int | None:
        found = self._all(
            "DELETE FROM pairs WHERE attr = ? AND source = ? AND target = ? RETURNING made",
            int(attr.column),
            self._find_key(source),
            self._find_key(target),
        )
        return found[0][0] if found else None

    def clear_targets(self, attr: Attr, targets: Sequence[EntityId]) -> None:
        for target in targets:
            key = self._find_key(target)
            self._all("DELETE FROM facts WHERE attr = ? AND cell = ?", int(attr.column), key)


class TriplesAttrs:
    """See `store.rows.StoredAttrs`. Questions about values are answered in Python, one by one."""

    def __init__(self, file: apsw.Connection, time_ms: int) -> None:
        self._file = file
        self._time_ms = time_ms
        self._rows = TriplesRows(file)

    def _all(self, sql: str, *bindings: Any) -> list[Any]:
        return self._file.execute(sql, bindings).fetchall()

    def create(self, catalog: Catalog, attrs: Sequence[Attr]) -> list[Attr]:
        placed = []
        for attr in attrs:
            self._all("INSERT OR IGNORE INTO spaces (etype) VALUES (?)", attr.etype)
            ((space,),) = self._all("SELECT space FROM spaces WHERE etype = ?", attr.etype)
            ((number,),) = self._all("SELECT coalesce(max(attr), 0) + 1 FROM attrs")
            if attr.is_id:
                self._all("UPDATE members SET made = NULL WHERE space = ?", space)
            new = replace(attr, table=str(space), column=str(number))
            self._all("INSERT INTO attrs VALUES (?, ?, ?)", number, space, _body(new))
            placed.append(new)
        return placed

    def replace(self, old: Attr, new: Attr) -> Attr:
        new = replace(new, table=old.table, column=old.column)
        number = int(old.column)
        if new.is_pairs and not old.is_pairs:
            self._all(
                "INSERT INTO pairs SELECT attr, key, cell, coalesce(made, ?), NULL FROM facts"
                " LEFT JOIN members USING (key) WHERE attr = ? AND space = ?",
                self._time_ms,
                number,
                int(old.table),
            )
            self._all("DELETE FROM facts WHERE attr = ?", number)
        elif old.is_pairs and not new.is_pairs:
            self._to_one(number, int(old.table))
        elif not new.is_ref and not new.is_id:
            self._convert_nulls(old, new)
            for entity, cell in list(self.values(old)):
                rank = stored_order(new, cell) if has_order_column(new) else None
                sql = "UPDATE facts SET rank = ? WHERE attr = ? AND key = ?"
                self._all(sql, rank, number, self._rows.key(entity))
        for table, value in (("facts", "nullif(cell, x'00')"), ("pairs", "target")):
            lone = value if new.is_unique else "NULL"
            try:
                self._all(f"UPDATE {table} SET lone = {lone} WHERE attr = ?", number)
            except apsw.ConstraintError as error:
                raise UniqueViolation(new, None) from error
        self._all("UPDATE attrs SET body = ? WHERE attr = ?", _body(new), number)
        return new

    def _to_one(self, number: int, space: int) -> None:
        """Keep for each source only the target that was linked first."""
        rows = self._all(
            "SELECT source, target FROM pairs JOIN ids ON ids.key = target WHERE attr = ?"
            " ORDER BY made DESC, id DESC",
            number,
        )
        for source, target in dict(rows).items():
            self._all("INSERT OR IGNORE INTO members VALUES (?, ?, NULL)", space, source)
            self._all("INSERT INTO facts VALUES (?, ?, ?, NULL, NULL)", number, source, target)
        self._all("DELETE FROM pairs WHERE attr = ?", number)

    def _convert_nulls(self, old: Attr, new: Attr) -> None:
        number = int(old.column)
        if new.is_indexed and not old.is_indexed:
            self._all("DELETE FROM facts WHERE attr = ? AND cell = x'00'", number)
        elif old.is_indexed and not new.is_indexed:
            self._all(
                "INSERT OR IGNORE INTO facts SELECT ?, key, x'00', NULL, NULL FROM members"
                " WHERE space = ? AND made IS NOT NULL",
                number,
                int(old.table),
            )

    def settle(self, before: Catalog, after: Catalog) -> None:
        """There are no views."""

    def lacks_value(self, namespace: Namespace, attr: Attr) -> bool:
        has = "SELECT key FROM facts WHERE attr = ?2 AND cell <> x'00'"
        if attr.is_pairs:
            has = "SELECT source FROM pairs WHERE attr = ?2"
        sql = f"SELECT 1 FROM members WHERE space = ?1 AND made IS NOT NULL AND key NOT IN ({has})"
        return bool(self._all(sql, int(namespace.table), int(attr.column)))

    def find_shared(self, attr: Attr) -> Cell:
        table, value = ("pairs", "target") if attr.is_pairs else ("facts", "cell")
        found = self._all(
            f"SELECT {value} FROM {table} WHERE attr = ? AND {value} <> x'00'"
            f" GROUP BY {value} HAVING count(*) > 1 LIMIT 1",
            int(attr.column),
        )
        if not found or not attr.is_ref:
            return found[0][0] if found else None
        ((entity,),) = self._all("SELECT id FROM ids WHERE key = ?", found[0][0])
        return bytes(entity)

    def find_longer(self, attr: Attr, bytes_max: int) -> tuple[EntityId, Cell] | None:
        for entity, cell in self.values(attr):
            kept = cell.encode() if isinstance(cell, str) else cell
            if isinstance(kept, bytes) and len(kept) > bytes_max:
                return entity, cell
        return None

    def find_mistyped(self, attr: Attr, checked_type: CheckedType) -> tuple[EntityId, Cell] | None:
        forms: dict[str, tuple[type, ...]] = {
            "string": (str,), "number": (int, float), "date": (int, float, str), "boolean": (),
        }  # fmt: skip
        for entity, cell in self.values(attr):
            is_right = isinstance(cell, forms[checked_type])
            if checked_type == "boolean":
                is_right = cell in (TRUE, FALSE)
            if not is_right and cell != NULL:
                return entity, cell
        return None

    def values(self, attr: Attr) -> Iterator[tuple[EntityId, Cell]]:
        rows = self._all(
            "SELECT id, cell FROM facts JOIN ids USING (key) WHERE attr = ? ORDER BY id",
            int(attr.column),
        )
        return ((EntityId(entity), cell) for entity, cell in rows)


def _body(attr: Attr) -> str:
    return orjson.dumps({name: getattr(attr, name) for name in _STORED}).decode()
