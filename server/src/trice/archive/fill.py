"""What every import does with the storage that it fills: rows in, indexes built, types noted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from trice.apps.registry import hash_token
from trice.archive.lines import LineReader, ReadLine
from trice.archive.refusals import refused
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell, decode_cell
from trice.ended import until_ended
from trice.errors import InvalidInput
from trice.protocol.ids import AttrId, uuid_text
from trice.protocol.quoting import quote
from trice.runtime import Runtime, new_uuid
from trice.store.commit import Commit
from trice.store.engine import WriteTx
from trice.store.loading import Filling, NewPair
from trice.store.rows import UniqueViolation

IDENTITY = "import"
"""Who made the transaction of the log that an import ends with."""


class Progress(Protocol):
    """Hears how far an import is."""

    def read(self, bytes_so_far: int, bytes_in_all: int) -> None: ...

    def indexed(self, done: int, of: int) -> None: ...


async def whole(change: Coroutine[Any, Any, None]) -> None:
    """Wait for a change to its end. A Ctrl-C meanwhile comes too late."""
    changing = asyncio.ensure_future(change)
    while not changing.done():
        try:
            await asyncio.shield(changing)
        except asyncio.CancelledError:
            continue
    changing.result()


def make_admin_token(
    given: str | None, replaced: bytes | None, runtime: Runtime
) -> tuple[bytes, str | None]:
    """The hash of the app's admin token, and the token if it is a new one.

    replaced   hash of the token of the app that is replaced
    """
    if given is not None:
        return hash_token(given), None
    if replaced is not None:
        return replaced, None
    token = new_uuid(runtime)
    return hash_token(token), token


async def finish(filling: Filling, progress: Progress) -> None:
    """Build the indexes on a thread. A Ctrl-C ends the thread's work first."""
    finishing = asyncio.ensure_future(asyncio.to_thread(filling.finish, progress.indexed))
    try:
        await asyncio.shield(finishing)
    except asyncio.CancelledError:
        filling.interrupt()
        await until_ended(finishing)
        raise


def note_types(inferred: Mapping[AttrId, int], tx: WriteTx) -> Commit:
    """Note the types of values in their attrs, as writes do."""
    changed: list[Attr] = []
    for attr_id, bits in inferred.items():
        old = tx.catalog.by_id[attr_id]
        if bits & ~old.inferred:
            changed.append(tx.attrs.replace(old, replace(old, inferred=old.inferred | bits)))
    return Commit(
        tx=tx.tx,
        time_ms=tx.time_ms,
        identity=IDENTITY,
        event_id=None,
        entities=(),
        pairs=(),
        catalog=tx.catalog.with_attrs(changed, is_visible=False) if changed else tx.catalog,
        is_catalog_changed=False,
    )


def insert_lines(
    filling: Filling, reader: LineReader, batch: Sequence[ReadLine], catalog: Catalog
) -> None:
    try:
        filling.insert(reader.namespace, [tuple(line.row) for line in batch])
    except UniqueViolation as violation:
        number = next(line.number for line in reversed(batch) if line.row[0] == violation.cell)
        raise refused(
            f"{reader.place} {reader.unit} {number}",
            f"the id {_shown(violation.cell)} is in another {reader.unit} already.",
        ) from violation
    pairs: dict[AttrId, list[NewPair]] = {}
    for line in batch:
        for attr_id, found in line.pairs.items():
            pairs.setdefault(attr_id, []).extend(found)
    for attr_id, found in pairs.items():
        filling.link(catalog.by_id[attr_id], found)


def not_unique(violation: UniqueViolation, place: str) -> InvalidInput:
    attr = violation.attr
    if attr.is_ref:
        return refused(
            place,
            f"several entities link by `{attr.label}` to {_shown(violation.cell)}, and only one"
            " may.",
        )
    return refused(
        place, f"several entities have the `{attr.label}` {_shown(violation.cell)}: it is unique."
    )


def _shown(cell: Cell) -> str:
    if isinstance(cell, bytes):
        is_id = len(cell) == 16
        return uuid_text(cell) if is_id else quote(decode_cell(cell, is_indexed=False))
    return quote(cell)
