"""Streams that a call writes: each is done when the call says so, else aborted when it ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from trice import reach_limits as limits
from trice import stream_limits
from trice.apps.app import App
from trice.catalog.catalog import Catalog
from trice.database import Change
from trice.errors import InvalidInput, LimitExceeded, NotFound
from trice.functions import frames
from trice.protocol.ids import find_uuid_bytes
from trice.protocol.quoting import brief
from trice.runtime import new_uuid
from trice.streams.rows import STREAMS
from trice.streams.streams import Streams
from trice.streams.writing import Writing
from trice.system_rows import find_row


@dataclass(slots=True, eq=False)
class _Text:
    """One stream. turn   what is written to it comes one after the other"""

    writing: Writing
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Texts:
    """Holds the streams of one call, by the numbers that it gave them; None: it begins."""

    def __init__(self, streams: Streams, app: App) -> None:
        self._streams = streams
        self._app = app
        self._network = f"functions of {app.id}"
        self._under_way: dict[int, _Text | None] = {}

    async def begin(self, asked: frames.BeginStream) -> dict[str, str]:
        """Make a stream. raises   what `Streams.begin` does; InvalidInput, NotFound for its values;
        LimitExceeded("parameter-limit-exceeded"), ("rate-limited")"""
        if len(self._under_way) >= limits.STREAMS_OF_CALL_MAX or asked.stream in self._under_way:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"A call writes {limits.STREAMS_OF_CALL_MAX} streams at a time at most.",
            )
        # Each of them is looked for while nothing else commits.
        values = asked.values.values()
        if sum(len(each) if isinstance(each, list) else 1 for each in values) > (
            limits.STREAM_VALUES_MAX
        ):
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"A stream has {limits.STREAM_VALUES_MAX} attributes and links at most.",
            )
        self._under_way[asked.stream] = None
        try:
            self._streams.count_bytes(self._network, stream_limits.START_BYTES)
            name = asked.name if asked.name is not None else new_uuid(self._app.database.runtime)
            writing = await Writing.begin(
                self._streams,
                self._app,
                client_id=name,
                network=self._network,
                fill=partial(_fill, values=asked.values),
            )
            self._under_way[asked.stream] = _Text(writing)
        finally:
            if self._under_way[asked.stream] is None:
                del self._under_way[asked.stream]
        return {"id": writing.id, "name": name}

    async def take(self, asked: frames.StreamText | frames.EndStream) -> None:
        """raises   as `Writing`"""
        text = self._under_way.get(asked.stream)
        if text is None:
            raise _not_written()
        async with text.turn:
            if self._under_way.get(asked.stream) is not text:
                raise _not_written()
            match asked:
                case frames.StreamText(text=piece):
                    await text.writing.write(piece)
                case frames.EndStream(abort_reason=None):
                    await text.writing.finish()
                    del self._under_way[asked.stream]
                case frames.EndStream(abort_reason=str(reason)):
                    del self._under_way[asked.stream]
                    text.writing.abandon(reason[: stream_limits.ABORT_REASON_CHARS_MAX])

    def end(self, reason: str) -> None:
        """Abort what the call has not ended."""
        for text in self._under_way.values():
            if text is not None:
                text.writing.abandon(reason)
        self._under_way.clear()


def _not_written() -> InvalidInput:
    return InvalidInput("validation-failed", "This stream is not being written.")


def _fill(change: Change, stream_id: str, *, values: dict[str, Any]) -> None:
    """Write attributes and links of the app's own into the row of a stream."""
    catalog = change.catalog
    for label, value in values.items():
        attr = catalog.find_name(STREAMS, label)
        if attr is None or attr.is_system:
            raise InvalidInput(
                "validation-failed",
                f"$streams has no attribute or link {brief(label)!r} of the app's own.",
                {"in": ["values", brief(label)]},
            )
        if attr.is_ref:
            etype = _other_end(catalog, label)
            for target in value if isinstance(value, list) else [value]:
                _expect_row(change, etype, target)
            change.write(["link", STREAMS, stream_id, {label: value}])
        else:
            change.write(["update", STREAMS, stream_id, {label: value}])


def _other_end(catalog: Catalog, label: str) -> str:
    """The namespace that a link of `$streams` leads to."""
    forward = catalog.find_forward(STREAMS, label)
    if forward is not None:
        assert forward.reverse is not None, "links have two names"
        return forward.reverse.etype
    reverse = catalog.find_reverse(STREAMS, label)
    assert reverse is not None, "it was found by this name"
    return reverse.etype


def _expect_row(change: Change, etype: str, id: Any) -> None:
    """raises   NotFound: a link to nothing would make a row of nothing but its id"""
    raw = find_uuid_bytes(id) if isinstance(id, str) else None
    is_there = raw is not None and _has_ids(change, etype) and find_row(change, etype, "id", raw)
    if not is_there:
        raise NotFound(
            "record-not-found",
            f"There is no row {brief(id)!r} in {etype} to link the stream with.",
            {"record-type": etype, "args": [brief(id)]},
        )


def _has_ids(change: Change, etype: str) -> bool:
    """Whether rows of a namespace can be asked for by their id."""
    return change.catalog.find_forward(etype, "id") is not None
