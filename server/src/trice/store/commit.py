"""A Commit: everything one transaction changed, old and new. Only this travels upward. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.protocol.ids import AttrId, EntityId, EventId, TxId


class Image(msgspec.Struct, frozen=True):
    """One entity's row at one moment.

    created_ms   time of its id triple; None while it has none. It is a stub then: writes named it
                 as source or target before they gave it its id. No query shows it
    cells        every column attr whose cell is not NULL
    """

    created_ms: int | None
    cells: Mapping[AttrId, Cell]


class EntityChange(msgspec.Struct, frozen=True):
    """One row before and after; `old` is None when there was none, `new` when it was deleted."""

    etype: str
    id: EntityId
    old: Image | None
    new: Image | None


class PairChange(msgspec.Struct, frozen=True):
    """One pair of a link of cardinality many, added or removed."""

    attr_id: AttrId
    source: EntityId
    target: EntityId
    created_ms: int
    is_added: bool


class Commit(msgspec.Struct, frozen=True):
    """One transaction as it became durable.

    Invariant: lists every row and pair it changed, each once, and nothing that stayed equal.

    tx        ids are integers >= 1, rise by one per app, are never reset
    catalog   the catalog from this transaction on (the same object when no attr changed)
    event_id  the client's id of the mutation; a replay is recognised by it
    function  the name of the function that wrote it; None: steps that a client sent
    """

    tx: TxId
    time_ms: int
    identity: str
    event_id: EventId | None
    entities: Sequence[EntityChange]
    pairs: Sequence[PairChange]
    catalog: Catalog
    is_catalog_changed: bool
    function: str | None = None


class LoggedChanges(msgspec.Struct, frozen=True):
    """The rows that one transaction changed, as the log tells them.

    identity   as of `Commit`
    function   as of `Commit`
    """

    tx: TxId
    entities: Sequence[EntityChange]
    time_ms: int
    identity: str
    function: str | None
