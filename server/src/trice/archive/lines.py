"""Lines of an archive ↔ rows of the store. No I/O.

    {"entity": {"id": uuid, label: value, link: uuid, links: [uuid, …]}, "createdAt": ms}

A value of cardinality one is a cell of the entity's row, a link to many a list of pairs. Values
pass the checks that every write passes.

source   instant-http §6.7; spec/archive.md AR30-AR39
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from trice import archive_limits as limits
from trice.archive.kept import LinesKept
from trice.archive.refusals import refused
from trice.catalog.attr import INFERRED_BITS, Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.check import check_value
from trice.catalog.values import MISSING, NULL, Cell, decode_attr, encode_cell, inferred_bit
from trice.errors import InvalidInput
from trice.protocol.ids import AttrId, EntityId, find_uuid_bytes, uuid_text
from trice.protocol.quoting import quote
from trice.store.loading import NewPair
from trice.store.rows import Pair, StoredRow

CREATED_MS_MAX: Final = 8_640_000_000_000_000
"""What a JavaScript Date can hold."""

_LINK_BIT: Final = INFERRED_BITS["string"]


@dataclass(slots=True)
class ReadLine:
    """One entity of an archive.

    row     id, time of creation, cells in the order of the namespace's columns; it may be changed
    pairs   of links to many, by attr
    """

    number: int
    row: list[Cell]
    pairs: dict[AttrId, list[NewPair]]

    @property
    def id(self) -> EntityId:
        found = self.row[0]
        assert isinstance(found, bytes)
        return EntityId(found)


class LineReader:
    """Reads the lines of one namespace.

    Holds the types that values of each attr had (`inferred`, bits by attr), how many values of
    labels without an attr were left out (`dropped`), and how many lines without an id (`nameless`).
    """

    def __init__(
        self,
        namespace: Namespace,
        *,
        drops_unknown: bool,
        checks_required: bool = True,
        place: str | None = None,
        unit: str = "line",
    ) -> None:
        """
        place            what errors call the file; None: the entry of an archive
        unit             what numbers count
        drops_unknown    values of labels that no attr has are left out and counted
        checks_required  an entity without a required value is refused
        """
        self.namespace = namespace
        self.place = place or f"entities/{namespace.etype}.jsonl"
        self.unit = unit
        self.inferred: dict[AttrId, int] = {}
        self.dropped: dict[str, int] = {}
        self.nameless = 0
        self._drops_unknown = drops_unknown
        self._checks_required = checks_required
        self._width = 2 + len(namespace.columns)
        self._columns = {
            attr.label: (position, attr) for position, attr in enumerate(namespace.columns, 2)
        }
        self._pairs = {attr.label: attr for attr in namespace.pairs}
        self._bits = [0] * self._width
        self._required = [
            (position, attr) for position, attr in self._columns.values() if attr.is_required
        ]
        self._required_pairs = [attr for attr in namespace.pairs if attr.is_required]

    def read(self, number: int, text: bytes) -> ReadLine | None:
        """Read one line; None for an entity without an id, which nothing can show.

        raises   InvalidInput that names the line and what is wrong with it
        cost     2 µs, and 0.5 µs a value
        """
        try:
            return self._read(number, *_entity_of(text))
        except InvalidInput as failure:
            raise refused(f"{self.place} line {number}", failure.message) from failure

    def read_entity(self, number: int, entity: dict[str, Any], created_ms: int) -> ReadLine:
        """Turn an entity into a row. It has an id, and is used up.

        raises   InvalidInput that names the line and what is wrong with it
        """
        try:
            line = self._read(number, entity, created_ms)
        except InvalidInput as failure:
            place = f"{self.place} {self.unit} {number}"
            raise refused(place, failure.message) from failure
        assert line is not None, "it has an id"
        return line

    def kept(self, number: int, offset: int) -> LinesKept:
        """What another reader needs to go on after a line. See `LinesKept`."""
        return LinesKept(
            self.namespace.etype,
            number,
            offset,
            self._bits,
            {str(attr_id): bits for attr_id, bits in self.inferred.items()},
            self.dropped,
            self.nameless,
        )

    def go_on(self, kept: LinesKept) -> None:
        """Go on where another reader ended."""
        self._bits = list(kept.bits) or self._bits
        self.inferred = {AttrId(attr_id): bits for attr_id, bits in kept.inferred.items()}
        self.dropped = dict(kept.dropped)
        self.nameless = kept.nameless

    def settle(self) -> None:
        """Note the types of all values read so far in `inferred`."""
        for position, attr in self._columns.values():
            if self._bits[position]:
                self.inferred[attr.id] = self._bits[position]
        id_attr = self.namespace.id_attr
        if id_attr is not None:
            self.inferred[id_attr.id] = _LINK_BIT

    def _read(self, number: int, entity: dict[str, Any], created_ms: int) -> ReadLine | None:
        given = entity.pop("id", None)
        if given is None:
            self.nameless += 1
            return None
        found = find_uuid_bytes(given)
        if found is None:
            raise _wrong(f"`id` is {quote(given)}, but must be a uuid.")
        row: list[Cell] = [None] * self._width
        row[0], row[1] = found, created_ms
        pairs: dict[AttrId, list[NewPair]] = {}
        columns, bits = self._columns, self._bits
        for label, value in entity.items():
            column = columns.get(label)
            if column is None:
                self._read_pairs(pairs, label, value, source=found, created_ms=created_ms)
                continue
            position, attr = column
            if attr.is_ref:
                row[position] = None if value is None else _target(label, value)
                bits[position] |= _LINK_BIT
            else:
                check_value(attr, value, found)
                row[position] = encode_cell(value, is_indexed=attr.is_indexed)
                bits[position] |= inferred_bit(value)
        if self._checks_required:
            self._check_required(row, pairs)
        return ReadLine(number, row, pairs)

    def _read_pairs(
        self,
        pairs: dict[AttrId, list[NewPair]],
        label: str,
        value: Any,
        *,
        source: EntityId,
        created_ms: int,
    ) -> None:
        attr = self._pairs.get(label)
        if attr is None:
            self._drop(label)
            return
        if value is None:
            return
        targets = value if isinstance(value, list) else [value]
        if targets:
            pairs[attr.id] = [(source, _target(label, each), created_ms) for each in targets]
            self.inferred[attr.id] = _LINK_BIT

    def _drop(self, label: str) -> None:
        if not self._drops_unknown:
            etype = self.namespace.etype
            raise _wrong(
                f"`{label}` is in no schema. Declare `{etype}.{label}` in `schema` of config.json,"
                " or import with --drop-unknown, which leaves such values out."
            )
        if label not in self.dropped and len(self.dropped) >= limits.DROPPED_LABELS_MAX:
            label = "…"
        self.dropped[label] = self.dropped.get(label, 0) + 1

    def _check_required(self, row: Sequence[Cell], pairs: Mapping[AttrId, Any]) -> None:
        for position, attr in self._required:
            if row[position] is None or row[position] == NULL:
                raise _wrong(f"`{attr.label}` is required, and this entity has none.")
        for attr in self._required_pairs:
            if attr.id not in pairs:
                raise _wrong(f"`{attr.label}` is required, and this entity has none.")


def _entity_of(text: bytes) -> tuple[dict[str, Any], int]:
    """The entity of a line, and when it was made."""
    try:
        document = orjson.loads(text)
    except ValueError as cause:
        raise _wrong(f"the line is no JSON: {cause}.") from cause
    if not isinstance(document, dict) or not isinstance(document.get("entity"), dict):
        raise _wrong('a line is {"entity": {…}, "createdAt": …}.')
    created_ms = document.get("createdAt")
    if type(created_ms) is not int or not -CREATED_MS_MAX <= created_ms <= CREATED_MS_MAX:
        raise _wrong("`createdAt` must be milliseconds since 1970.")
    return document["entity"], created_ms


def _target(label: str, value: Any) -> EntityId:
    found = find_uuid_bytes(value)
    if found is None:
        raise _wrong(f"`{label}` links to {quote(value)}, but must link to the uuid of an entity.")
    return found


def _wrong(problem: str) -> InvalidInput:
    return InvalidInput("validation-failed", problem)


# --- writing ------------------------------------------------------------------------------------

FindPairs = Callable[[Attr, Sequence[EntityId]], Sequence[Pair]]
"""The pairs of a link to many with these sources."""


class LineWriter:
    """Writes the lines of one namespace."""

    def __init__(self, namespace: Namespace, *, left_out: frozenset[str]) -> None:
        """left_out   labels that no line has"""
        self.namespace = namespace
        self._columns = [
            (position, attr)
            for position, attr in enumerate(namespace.columns, 2)
            if attr.label not in left_out
        ]

    def entities(self, rows: Sequence[StoredRow], find_pairs: FindPairs) -> list[dict[str, Any]]:
        """The entities of these rows, as in lines; links to many are sorted lists."""
        made = [self._entity(row) for row in rows]
        by_id = {row[0]: entity for row, entity in zip(rows, made, strict=True)}
        for attr in self.namespace.pairs:
            sources = [EntityId(one) for one in by_id if isinstance(one, bytes)]
            for source, target in sorted(find_pairs(attr, sources)):
                by_id[source].setdefault(attr.label, []).append(uuid_text(target))
        return made

    def _entity(self, row: StoredRow) -> dict[str, Any]:
        entity: dict[str, Any] = {"id": uuid_text(row[0])}  # type: ignore[arg-type]
        for position, attr in self._columns:
            value = decode_attr(attr, row[position])
            if value is not MISSING:
                entity[attr.label] = value
        return entity


def line_of(entity: Mapping[str, Any], created_ms: Cell) -> bytes:
    """A line with its line feed."""
    return orjson.dumps(
        {"entity": entity, "createdAt": created_ms}, option=orjson.OPT_APPEND_NEWLINE
    )


def etype_namespace(catalog: Catalog, etype: str) -> Namespace | None:
    """A namespace that can have entities: one with an id attr."""
    namespace = catalog.namespaces.get(etype)
    return namespace if namespace is not None and namespace.id_attr is not None else None
