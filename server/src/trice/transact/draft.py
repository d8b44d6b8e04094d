"""The draft of a transaction: its rows and pairs in memory, written once at the end.

Each touched row is read once, changed in memory, and written only where it differs. So the changes
that a commit lists are exactly what differs.

source   instant-semantics §1.3; spec/transact.md T30-T49
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.values import Cell
from trice.protocol.ids import AttrId, EntityId
from trice.store.commit import EntityChange, Image, PairChange
from trice.store.engine import WorkTooLong, WriteTx
from trice.store.rows import Pair, UniqueViolation
from trice.transact import stored

_DOCUMENT: Final = (b"{", b"[")
_NUMBER: Final = b"0123456789+-.eE"


class DraftRow:
    """One entity's row, before and after a transaction.

    old           cells before the transaction, in the order of Namespace.columns; None: no row
    old_created   `_created_ms` before the transaction
    cells, created   cells and `_created_ms` after it
    cleared       cells at the moment when the transaction deleted the row; None: it did not
    is_touched    some step was about the row
    merged        positions of cells that a merge or an increment made: they hold more than the
                  steps gave
    """

    __slots__ = ("cells", "cleared", "created", "id", "is_touched", "merged", "old", "old_created")

    def __init__(
        self, entity: EntityId, old: tuple[Cell, ...] | None, created: int | None, width: int
    ) -> None:
        self.id = entity
        self.old = old
        self.old_created = created
        self.created = created
        self.cells: list[Cell] = [None] * width if old is None else list(old)
        self.cleared: list[Cell] | None = None
        self.is_touched = False
        self.merged: frozenset[int] = frozenset()

    @property
    def has_content(self) -> bool:
        """Whether a row must exist: for an entity, or for a stub that has a value."""
        return self.created is not None or any(cell is not None for cell in self.cells)

    @property
    def is_rewritten(self) -> bool:
        """Whether the transaction deleted the row: hidden cells must go too."""
        return self.cleared is not None

    def clear(self) -> None:
        """Remove all cells, and the entity."""
        self.created = None
        self.cleared = self.cells
        self.cells = [None] * len(self.cells)
        self.is_touched = True


class Draft:
    """Rows and pairs of one transaction.

    Holds the touched rows by namespace, and which pairs are to exist. Does not hold: steps, rules.
    Invariant: nothing is written before `flush`; afterwards the draft is not used again.

    sources   entities whose links of cardinality many changed, by namespace
    """

    def __init__(self, tx: WriteTx, catalog: Catalog) -> None:
        self._tx = tx
        self._stored = tx.stored
        self._catalog = catalog
        self._rows: dict[str, dict[EntityId, DraftRow]] = {}
        self._pairs: dict[AttrId, dict[Pair, bool]] = {}
        self.sources: dict[str, set[EntityId]] = {}
        self._hidden: list[tuple[Attr, tuple[EntityId, ...]]] = []

    @property
    def rows(self) -> Mapping[str, Mapping[EntityId, DraftRow]]:
        """Every row that was loaded."""
        return self._rows

    def load(self, etype: str, ids: Iterable[EntityId]) -> dict[EntityId, DraftRow]:
        """Read the rows of these entities, with one statement; return all rows of `etype`."""
        rows = self._rows.setdefault(etype, {})
        missing = [entity for entity in ids if entity not in rows]
        namespace = self._catalog.namespaces.get(etype)
        if not missing or namespace is None or not namespace.has_rows:
            return rows
        width = len(namespace.columns)
        found = self._stored.find(namespace, missing)
        for entity, created, *cells in found:
            assert isinstance(entity, bytes) and not isinstance(created, (str, bytes, float))
            key = EntityId(entity)
            rows[key] = DraftRow(key, tuple(cells), created, width)
        if len(found) < len(missing):
            for entity in missing:
                if entity not in rows:
                    rows[entity] = DraftRow(entity, None, None, width)
        return rows

    def find(self, etype: str, entity: EntityId) -> DraftRow | None:
        """A loaded row."""
        return self._rows.get(etype, {}).get(entity)

    def link(self, attr: Attr, source: EntityId, target: EntityId, *, is_linked: bool) -> None:
        """Set whether a pair of a link of cardinality many is to exist."""
        self._pairs.setdefault(attr.id, {})[source, target] = is_linked
        self.sources.setdefault(attr.etype, set()).add(source)

    def delete(self, etype: str, entities: Mapping[EntityId, object]) -> None:
        """Delete entities of one namespace, with all their links, in both directions."""
        ids = tuple(entities)
        rows = self.load(etype, ids)
        for entity in ids:
            row = rows.get(entity)
            if row is not None:
                row.clear()
        for attr in self._catalog.by_id.values():
            # Links of soft-deleted attrs go too: a restore must not bring back half an entity.
            if attr.is_pairs and attr.etype == etype:
                self._unlink_all(attr, ids, entities, is_source=True)
            if attr.deleted_ms is None or attr.reverse is None or attr.reverse.etype != etype:
                continue
            if attr.is_pairs:
                self._unlink_all(attr, ids, entities, is_source=False)
            elif attr.is_ref:
                self._hidden.append((attr, ids))
        for attr in self._catalog.pointing_at(etype):
            if attr.is_pairs:
                self._unlink_all(attr, ids, entities, is_source=False)
            else:
                self._clear_links(attr, ids, entities)

    def _unlink_all(
        self,
        attr: Attr,
        ids: tuple[EntityId, ...],
        deleted: Mapping[EntityId, object],
        *,
        is_source: bool,
    ) -> None:
        find = stored.find_targets if is_source else stored.find_sources
        for source, target in find(self._stored, attr, ids):
            self.link(attr, source, target, is_linked=False)
        drafted = self._pairs.get(attr.id, {})
        for pair in drafted:
            if (pair[0] if is_source else pair[1]) in deleted:
                drafted[pair] = False

    def _clear_links(
        self, attr: Attr, ids: tuple[EntityId, ...], deleted: Mapping[EntityId, object]
    ) -> None:
        found = stored.find_sources(self._stored, attr, ids)
        rows = self.load(attr.etype, [source for source, _ in found])
        position = self._catalog.namespaces[attr.etype].index[attr.id]
        for row in rows.values():
            if row.cells[position] in deleted:
                row.cells[position] = None
                row.is_touched = True

    def flush(self) -> tuple[list[EntityChange], list[PairChange]]:
        """Write what differs, and return it.

        raises   Conflict("record-not-unique")
        """
        for attr, ids in self._hidden:
            self._stored.clear_targets(attr, ids)
        changes: list[EntityChange] = []
        for etype, rows in self._rows.items():
            namespace = self._catalog.namespaces.get(etype)
            if namespace is not None and namespace.has_rows:
                changes.extend(self._flush_rows(namespace, rows))
        pairs: list[PairChange] = []
        for is_linked in (False, True):
            for attr_id, wanted in self._pairs.items():
                attr = self._catalog.by_id[attr_id]
                ends = [pair for pair, wish in wanted.items() if wish is is_linked]
                if ends:
                    flush = self._flush_links if is_linked else self._flush_unlinks
                    pairs.extend(flush(attr, ends))
        return changes, pairs

    def _flush_rows(
        self, namespace: Namespace, rows: Mapping[EntityId, DraftRow]
    ) -> list[EntityChange]:
        gone: list[EntityId] = []
        changed: list[tuple[DraftRow, tuple[int, ...]]] = []
        changes: list[EntityChange] = []
        for row in rows.values():
            if not row.is_touched:
                continue
            has_content = row.has_content
            positions = _differing(row, self._tx)
            is_gone = row.old is not None and not has_content
            if is_gone or (row.is_rewritten and row.old is not None):
                gone.append(row.id)
            if is_gone or positions or row.created != row.old_created:
                changes.append(_change(namespace, row, has_content=has_content))
            elif not (row.is_rewritten and row.old is not None):
                continue
            if has_content:
                changed.append((row, positions))
        if gone:
            self._stored.delete(namespace, gone)
        if len(changed) > 1 and namespace.unique:
            self._release(namespace, changed)
        for row, positions in changed:
            try:
                self._write(namespace, row, positions)
            except UniqueViolation as violation:
                raise self._not_unique(violation, row) from violation
        return changes

    def _write(self, namespace: Namespace, row: DraftRow, positions: tuple[int, ...]) -> None:
        if row.old is None or row.is_rewritten:
            given = positions if row.old is None else _present(row)
            self._stored.insert(namespace, row.id, row.created, row.cells, given)
            return
        self._stored.update(
            namespace,
            row.id,
            row.created,
            row.cells,
            positions,
            sets_created=row.created != row.old_created,
        )

    def _release(
        self, namespace: Namespace, changed: list[tuple[DraftRow, tuple[int, ...]]]
    ) -> None:
        """Free unique values that one row gives up and another takes, whatever their order."""
        unique, nothing = namespace.unique, [None] * len(namespace.columns)
        taken = {
            (at, row.cells[at]) for row, positions in changed for at in positions if at in unique
        }
        for row, positions in changed:
            if row.old is None or row.is_rewritten:
                continue
            for at in positions:
                if at in unique and row.old[at] is not None and (at, row.old[at]) in taken:
                    self._stored.update(namespace, row.id, None, nothing, (at,))

    def _flush_unlinks(self, attr: Attr, ends: list[Pair]) -> Iterable[PairChange]:
        for source, target in ends:
            created = self._stored.unlink(attr, source, target)
            if created is not None:
                yield PairChange(attr.id, source, target, created, is_added=False)

    def _flush_links(self, attr: Attr, ends: list[Pair]) -> Iterable[PairChange]:
        now = self._tx.time_ms
        for source, target in ends:
            try:
                is_added = self._stored.link(attr, source, target, now)
            except UniqueViolation as violation:
                raise stored.not_unique(attr, target) from violation
            if is_added:
                yield PairChange(attr.id, source, target, now, is_added=True)

    def _not_unique(self, violation: UniqueViolation, row: DraftRow) -> Exception:
        attr = violation.attr
        position = self._catalog.namespaces[attr.etype].index.get(attr.id)
        # A caller that merges may not be allowed to see the value that it merges into.
        if position is None or position in row.merged:
            return stored.not_unique(attr, None, is_given=False)
        return stored.not_unique(attr, row.cells[position])


def _differing(row: DraftRow, tx: WriteTx) -> tuple[int, ...]:
    """Positions of the cells that change. A document that stays equal keeps its old bytes."""
    old = row.old
    if old is None:
        return _present(row)
    positions: list[int] = []
    for at, cell in enumerate(row.cells):
        before = old[at]
        if cell is before or is_equal_cell(before, cell, tx):
            row.cells[at] = before
        else:
            positions.append(at)
    return tuple(positions)


def _present(row: DraftRow) -> tuple[int, ...]:
    """Positions of the cells that are not None."""
    return tuple([at for at, cell in enumerate(row.cells) if cell is not None])


def is_equal_cell(left: Cell, right: Cell, tx: WriteTx) -> bool:
    """Whether two cells hold equal JSON: 1 and 1.0 are one number, inside documents too.

    raises   WorkTooLong on the loop when the comparison would take long
    """
    if left == right:
        return True
    if not isinstance(left, bytes) or not isinstance(right, bytes):
        return False
    # Sixteen bytes may be the id of a link's target, which is no JSON.
    if len(left) == 16 == len(right) or left[:1] not in _DOCUMENT or left[:1] != right[:1]:
        return False
    if not _may_be_equal(left, right):
        return False
    must_be_short(left, tx)
    must_be_short(right, tx)
    return bool(_canonical(orjson.loads(left)) == _canonical(orjson.loads(right)))


def must_be_short(stored: Cell, tx: WriteTx) -> None:
    """Leave a large document to the writer's thread before it is decoded: a message of a few bytes
    may concern a document of megabytes.

    raises   WorkTooLong
    """
    is_large = isinstance(stored, bytes) and len(stored) > limits.MESSAGE_BYTES_ON_LOOP
    if is_large and not tx.may_take_long:
        raise WorkTooLong


def _may_be_equal(left: bytes, right: bytes) -> bool:
    """Whether documents of different text may be equal. All are written without spaces and with
    sorted keys, so equal documents first differ within a number."""
    same, differ = 0, min(len(left), len(right))
    if left[:differ] == right[:differ]:
        return False  # no document is the beginning of another
    while differ - same > 1:
        middle = (same + differ) // 2
        if left[same:middle] == right[same:middle]:
            same = middle
        else:
            differ = middle
    return left[same] in _NUMBER or right[same] in _NUMBER


def _canonical(value: Any) -> Any:
    """The value with booleans made different from numbers: Python takes True and 1 for equal."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return [_canonical(member) for member in value]
    if isinstance(value, dict):
        return {key: _canonical(member) for key, member in value.items()}
    return value


def _change(namespace: Namespace, row: DraftRow, *, has_content: bool) -> EntityChange:
    ids = namespace.index
    old = None if row.old is None else Image(row.old_created, _given(ids, row.old))
    new = Image(row.created, _given(ids, row.cells)) if has_content else None
    return EntityChange(namespace.etype, row.id, old, new)


def _given(ids: Iterable[AttrId], cells: Iterable[Cell]) -> dict[AttrId, Cell]:
    return {attr_id: cell for attr_id, cell in zip(ids, cells, strict=True) if cell is not None}
