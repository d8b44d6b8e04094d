"""Entities of a snapshot, in the form of archives and in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from trice import archive_limits as limits
from trice.archive.lines import LineWriter
from trice.archive.refusals import refused
from trice.catalog.attr import Attr
from trice.catalog.values import Cell
from trice.protocol.ids import EntityId, uuid_text
from trice.store.rows import Pair, Rows, StoredRow


class _TooMany(Exception):
    """Some entities have more links than memory should hold."""


def scan(rows: Rows, writer: LineWriter) -> Iterator[tuple[StoredRow, dict[str, Any]]]:
    """All entities of a namespace: the row, and the entity as in a line.

    raises   InvalidInput for an entity that no archive can hold
    """
    after = b""
    while page := rows.scan(writer.namespace, after=after, count=limits.PAGE_ROWS):
        yield from entities_of(rows, writer, page)
        last = page[-1][0]
        assert isinstance(last, bytes)
        after = last


def entities_of(
    rows: Rows, writer: LineWriter, page: Sequence[StoredRow]
) -> Iterator[tuple[StoredRow, dict[str, Any]]]:
    """The entities of some rows; where they have very many links, a part of them at a time."""
    is_one = len(page) == 1
    most = limits.LINKS_OF_ENTITY_MAX if is_one else limits.LINKS_AT_ONCE_MAX

    def find_pairs(attr: Attr, sources: Sequence[EntityId]) -> Sequence[Pair]:
        found = rows.find_targets(attr, sources, count=most + 1)
        if len(found) > most:
            raise _TooMany
        return found

    try:
        made = writer.entities(page, find_pairs)
    except _TooMany:
        if is_one:
            raise refused(
                f"{writer.namespace.etype} {_text(page[0][0])}",
                f"it has more than {most:,} links by one attr, which no archive can hold.",
            ) from None
        half = len(page) // 2
        yield from entities_of(rows, writer, page[:half])
        yield from entities_of(rows, writer, page[half:])
        return
    yield from zip(page, made, strict=True)


def _text(cell: Cell) -> str:
    assert isinstance(cell, bytes)
    return uuid_text(cell)
