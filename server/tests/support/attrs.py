"""Attrs, and commits with only what a store test needs. No I/O."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from trice.catalog.attr import Attr, AttrName
from trice.catalog.catalog import Catalog
from trice.protocol.ids import AttrId
from trice.store.commit import Commit, EntityChange, PairChange
from trice.store.engine import WriteTx

_SPACE = uuid.UUID("00000000-0000-4000-8000-000000000001")


def name_id(text: str) -> str:
    """The uuid that always stands for `text`."""
    return str(uuid.uuid5(_SPACE, text))


def entity(number: int) -> bytes:
    """The 16 bytes of entity `number`; they order as the numbers do."""
    return number.to_bytes(16, "big")


def blob(etype: str, label: str, **flags: Any) -> Attr:
    """A field; `id` is unique, as clients create it."""
    flags.setdefault("is_unique", label == "id")
    return Attr(
        id=AttrId(name_id(f"{etype}.{label}")),
        forward=AttrName(name_id(f"{etype}.{label}>"), etype, label),
        reverse=None,
        value_type="blob",
        cardinality="one",
        **flags,
    )


def link(etype: str, label: str, target: str, reverse: str, **flags: Any) -> Attr:
    """A link from `etype` to `target`; its cardinality is many unless given."""
    flags.setdefault("cardinality", "many")
    return Attr(
        id=AttrId(name_id(f"{etype}.{label}")),
        forward=AttrName(name_id(f"{etype}.{label}>"), etype, label),
        reverse=AttrName(name_id(f"{etype}.{label}<"), target, reverse),
        value_type="ref",
        **flags,
    )


def committed(
    tx: WriteTx,
    *,
    entities: Sequence[EntityChange] = (),
    pairs: Sequence[PairChange] = (),
    catalog: Catalog | None = None,
) -> Commit:
    """The Commit of a transaction with these changes."""
    return Commit(
        tx=tx.tx,
        time_ms=tx.time_ms,
        identity="admin",
        event_id=None,
        entities=entities,
        pairs=pairs,
        catalog=catalog or tx.catalog,
        is_catalog_changed=catalog is not None,
    )


def creating(*attrs: Attr) -> Any:
    """A work that creates these attrs."""

    def work(tx: WriteTx) -> Commit:
        catalog = tx.catalog
        for attr in attrs:
            catalog = catalog.with_attrs(tx.attrs.create(catalog, [attr]))
        return committed(tx, catalog=catalog)

    return work
