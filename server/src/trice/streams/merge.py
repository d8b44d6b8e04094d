"""Merging many small parts of a stream into one: what short requests and lost writers leave.

read ──> bytes, durable ──> one transaction: the new part in place of the old ones

Readers that have the URL of an old part are refused, and ask again; see spec/streams.md ST15.
"""

from __future__ import annotations

from collections.abc import Sequence

from trice.apps.apps import App
from trice.database import Change
from trice.streams import rows
from trice.streams.parts import Parts
from trice.streams.stream import Part


async def merge(app: App, parts: Parts, stream_id: str, old: Sequence[Part], new: Part) -> None:
    """Make one part of several.

    old      parts that follow one another, up to MERGED_PARTS_MIN and a few of SMALL_PART_BYTES
    raises   what reading, keeping and writing raise; then the old parts are still there
    """
    read: list[bytes] = []
    for part in old:
        read += [piece async for piece in parts.read(app, part.location_id, 0, part.size)]
    data = b"".join(read)
    assert len(data) == new.size, "the parts have the bytes that their rows say"

    def work(change: Change) -> None:
        for part in old:
            change.write(["delete", rows.FILES, part.file_id])
        rows.write_part(change, stream_id, new, hash=hashed)

    async with parts.kept(app.id, data) as hashed:
        await app.database.change(work)
