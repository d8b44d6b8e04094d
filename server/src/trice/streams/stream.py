"""One stream that is being written or read: offsets, buffered chunks, the writer, readers. No I/O.

    0 ────── parts, durable ────── flushed ─ chunks on their way ─ chunks in memory ─ end

All offsets are bytes of UTF-8. A flush takes whole chunks, as official clients send whole chunks
again (instant-realtime §20).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from trice import stream_limits as limits
from trice.errors import InvalidInput, LimitExceeded, invalid

MISSING: Final = "Stream is missing."
"""The text by which official clients know that there is no such stream."""


@dataclass(frozen=True, slots=True)
class Part:
    """A durable piece of a stream: a row of `$files`.

    file_id       its id
    location_id   names its bytes in URLs
    start, size   the bytes of the stream that it has
    number        the last part of its path; larger in later parts
    """

    file_id: str
    location_id: str
    start: int
    size: int
    number: int

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one element of `chunks` held."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.data)


@dataclass(frozen=True, slots=True)
class Flush:
    """What is to be made durable.

    start     the offset of `data`; the part is put at the end of those that are there
    is_last   the stream is done with it
    """

    start: int
    data: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class News:
    """What a reader was not told yet.

    start     the offset of its first byte; never above what the reader has
    parts     durable parts, in order; None when none is needed
    content   the text after them
    is_done   nothing follows
    """

    start: int
    parts: tuple[Part, ...] | None
    content: str
    is_done: bool


@dataclass(slots=True, eq=False)
class Reader:
    """One subscription. Holds an offset, never data.

    offset        the reader has, or is being sent, every byte before it
    is_greeted    it was told something
    """

    offset: int = 0
    is_greeted: bool = False


@dataclass(slots=True, eq=False)
class Stream:
    """Holds what is known of one stream while somebody writes or reads it. Only its own methods
    write it. Does not hold: sockets, rows, bytes that are durable.

    is_left   an action wrote it, which did not end it, when it was loaded

    Invariant: parts are contiguous from 0 to `flushed`, chunks from `flushed` to `end`.
    """

    id: str
    client_id: str
    parts: list[Part] = field(default_factory=list)
    is_done: bool = False
    abort_reason: str | None = None
    writer: object | None = None
    readers: dict[Reader, None] = field(default_factory=dict)
    is_stored: bool = False
    is_left: bool = False
    _chunks: list[Chunk] = field(default_factory=list)
    _flushing: int | None = None

    @property
    def flushed(self) -> int:
        """How many bytes are durable."""
        return self.parts[-1].end if self.parts else 0

    @property
    def next_number(self) -> int:
        """The number of the next part."""
        return self.parts[-1].number + 1 if self.parts else 0

    @property
    def end(self) -> int:
        return self._chunks[-1].end if self._chunks else self.flushed

    @property
    def buffered(self) -> int:
        """How many bytes are in memory."""
        return self.end - self.flushed

    @property
    def held_bytes(self) -> int:
        """About how much memory they take."""
        return self.buffered + len(self._chunks) * limits.APPEND_OVERHEAD_BYTES

    @property
    def is_flushing(self) -> bool:
        return self._flushing is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost if it were forgotten."""
        is_kept = self.writer is not None or self.readers or self.is_flushing
        return not is_kept and not self.needs_flush

    @property
    def needs_flush(self) -> bool:
        """Whether something is not durable yet."""
        return bool(self._chunks) or (self.is_done and not self.is_stored)

    @property
    def wants_flush(self) -> bool:
        """Whether it is time to make something durable: enough waits, or nothing will follow."""
        is_much = self.buffered >= limits.FLUSH_BYTES or len(self._chunks) >= limits.FLUSH_APPENDS
        must = self.is_done or self.writer is None or is_much
        return not self.is_flushing and self.needs_flush and must

    def take_over(self, writer: object) -> object | None:
        """Make `writer` the only one who may append; return the one before."""
        old, self.writer = self.writer, writer
        return old

    def leave(self, writer: object) -> None:
        """The writer is gone. Its bytes stay, and the stream stays open."""
        if self.writer is writer:
            self.writer = None

    def append(
        self,
        writer: object,
        offset: int,
        chunks: list[bytes],
        *,
        is_done: bool,
        abort_reason: str | None,
    ) -> None:
        """Add chunks at the end.

        raises   InvalidInput("validation-failed"): not the writer, done already, another offset;
                 LimitExceeded: too much waits for the disk. Then nothing was added
        """
        data = b"".join(chunks)
        self.check_append(writer, offset, len(data))
        if data:
            self._chunks.append(Chunk(self.end, data))
        if is_done:
            self.is_done, self.abort_reason = True, abort_reason

    def check_append(self, writer: object, offset: int, size: int) -> None:
        """Hold that so many bytes may be appended now; raises as `append`."""
        if self.writer is not writer:
            raise refused("append-stream", MISSING)
        if self.is_done:
            raise refused("append-stream", "Stream is completed.")
        if offset != self.end:
            raise refused("append-stream", "Invalid offset for stream.")
        if size and len(self.parts) >= limits.PARTS_MAX:
            raise too_long()
        is_full = len(self._chunks) >= limits.BUFFER_APPENDS_MAX
        if self.buffered + size > limits.BUFFER_BYTES_MAX or is_full:
            raise too_much()

    def abandon(self, reason: str) -> None:
        """Its writer is gone for good: it is done, and not whole."""
        assert self.writer is None, "nobody writes it"
        if not self.is_done:
            self.is_done, self.abort_reason = True, reason

    def begin_flush(self) -> Flush:
        """Take all that is in memory to make it durable; readers still get it from here."""
        assert self._flushing is None, "parts are made one after another"
        self._flushing = len(self._chunks)
        data = b"".join(chunk.data for chunk in self._chunks)
        return Flush(self.flushed, data, self.is_done)

    def end_flush(self, flush: Flush, part: Part | None) -> None:
        """What `begin_flush` gave is durable.

        part   None when it had no bytes
        """
        count, self._flushing = self._flushing, None
        assert count is not None, "a flush was begun"
        del self._chunks[:count]
        if part is not None:
            assert part.start == self.flushed, "parts are contiguous"
            self.parts.append(part)
        if flush.is_last:
            self.is_stored = True
            self.writer = None

    def fail_flush(self) -> None:
        """It could not be made durable. What is in memory is dropped: the writer sends it again."""
        self._flushing = None
        self._chunks.clear()
        self.writer = None
        self.is_done, self.abort_reason = False, None

    def part_at(self, offset: int) -> Part | None:
        """The part that has the byte at `offset`; None if it is not durable."""
        return self.parts[self._index_at(offset)] if offset < self.flushed else None

    def buffered_at(self, offset: int, *, bytes_max: int) -> bytes:
        """Bytes in memory from `offset` on, at least one if there is any."""
        index = bisect_right(self._chunks, offset, key=lambda chunk: chunk.end)
        taken: list[bytes] = []
        left = bytes_max
        while left and index < len(self._chunks):
            chunk = self._chunks[index]
            assert chunk.start <= offset, "chunks are contiguous"
            taken.append(chunk.data[offset - chunk.start :][:left])
            offset += len(taken[-1])
            left -= len(taken[-1])
            index += 1
        return b"".join(taken)

    def small_parts(self) -> list[Part]:
        """The parts at the end that are to be merged into one; none if they are few.

        The first is not larger than the rest together: each byte is merged a few times only,
        however many parts come.
        """
        first = len(self.parts)
        while first and self.parts[first - 1].size < limits.SMALL_PART_BYTES:
            first -= 1
        small = self.parts[first:]
        if len(small) < limits.MERGED_PARTS_MIN:
            return []
        rest = sum(part.size for part in small)
        while small and small[0].size > (rest := rest - small[0].size):
            del small[0]
        return small

    def merge(self, old: Sequence[Part], new: Part) -> None:
        """Put one durable part in the place of several that had the same bytes."""
        first = self._index_at(new.start)
        assert self.parts[first : first + len(old)] == list(old), "they are still there"
        assert new.size == sum(part.size for part in old), "no byte is lost or doubled"
        self.parts[first : first + len(old)] = [new]

    def _index_at(self, offset: int) -> int:
        return bisect_right(self.parts, offset, key=lambda part: part.end)

    def news(self, reader: Reader) -> News | None:
        """What to tell a reader next; it counts as told. There may be more at once.

        returns   None when it knows everything
        """
        was_greeted, reader.is_greeted = reader.is_greeted, True
        if reader.offset > self.end and not was_greeted:
            reader.offset = self.end
            return News(self.end, (), "", self.is_done)
        parts: tuple[Part, ...] | None = None
        start = reader.offset
        if reader.offset < self.flushed:
            first = self._index_at(reader.offset)
            parts = tuple(self.parts[first : first + limits.NEWS_PARTS_MAX])
            start = parts[0].start
            if parts[-1].end < self.flushed:
                reader.offset = parts[-1].end
                return News(start, parts, "", False)
        chunks = [chunk for chunk in self._chunks if chunk.end > reader.offset]
        if parts is None and chunks:
            start = chunks[0].start
        is_new = bool(parts or chunks) or self.is_done or not was_greeted
        reader.offset = max(reader.offset, self.end)
        if not is_new:
            return None
        content = b"".join(chunk.data for chunk in chunks).decode()
        return News(start, parts, content, self.is_done)


class StreamMissing(InvalidInput):
    """There is no such stream, or it has another writer."""


def refused(content: str, message: str) -> InvalidInput:
    """The error for a message about a stream that cannot be carried out."""
    failure = invalid(content, None, [{"message": message}])
    if message == MISSING:
        return StreamMissing(failure.code, failure.message, failure.hint)
    return failure


def too_long() -> LimitExceeded:
    """The error for bytes beyond what one stream can have."""
    return LimitExceeded(
        "parameter-limit-exceeded",
        f"The stream has {limits.PARTS_MAX:,} parts, the most that a stream can have; begin"
        " another one.",
    )


def too_much() -> LimitExceeded:
    """The error for bytes that come faster than they can be stored."""
    return LimitExceeded(
        "parameter-limit-exceeded",
        "More of this stream waits to be stored than the server keeps in memory; start the stream"
        " again and continue from the offset that it answers.",
    )
