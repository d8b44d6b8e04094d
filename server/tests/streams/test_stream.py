"""Random histories of one stream, held against a naive model: a string and two numbers."""

from __future__ import annotations

from random import Random

import pytest

from trice import stream_limits as limits
from trice.errors import InvalidInput
from trice.streams.stream import Part, Reader, Stream

LETTERS = ("a", "bc", "ö", "€uro", "\N{GRINNING FACE}", "")


class World:
    """A stream, the disk below it, its writer as official clients are, and its readers.

    text    what the writer wants to write, all of it chosen before
    sent    how many chunks it sent since it started last
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.chunks = [self.random.choice(LETTERS).encode() for _ in range(60)]
        self.text = b"".join(self.chunks)
        self.disk: dict[str, bytes] = {}
        self.stream = Stream("id", "name")
        self.writer: object | None = None
        self.sent = 0
        self.offset = 0
        self.flush = None
        self.readers: dict[Reader, bytes] = {}
        self.ended: list[bytes] = []

    def start(self) -> None:
        """A writer comes, or comes back: it drops the chunks below the durable offset."""
        if self.flush is not None:
            self.store()
        if self.stream.is_done:
            return
        if self.stream.needs_flush:
            self.flush = self.stream.begin_flush()
            self.store()
        self.writer = object()
        self.stream.take_over(self.writer)
        self.sent, self.offset = 0, 0
        while self.offset < self.stream.flushed:
            self.offset += len(self.chunks[self.sent])
            self.sent += 1
        assert self.offset == self.stream.flushed, "a flush must not split a chunk"

    def append(self) -> None:
        if self.writer is None or self.stream.writer is not self.writer or self.stream.is_done:
            return
        count = self.random.randint(0, 3)
        some = self.chunks[self.sent : self.sent + count]
        if self.random.random() < 0.2:
            with pytest.raises(InvalidInput):
                self.stream.append(
                    self.writer, self.offset + 1, some, is_done=False, abort_reason=None
                )
        self.sent += len(some)
        is_done = self.sent == len(self.chunks)
        self.stream.append(self.writer, self.offset, some, is_done=is_done, abort_reason=None)
        self.offset += sum(map(len, some))

    def begin(self) -> None:
        if self.stream.wants_flush:
            self.flush = self.stream.begin_flush()

    def store(self) -> None:
        """The disk took the part that is on its way."""
        if self.flush is None:
            return
        flush, self.flush = self.flush, None
        part = None
        if flush.data:
            part = self.part(self.stream.flushed, flush.data, self.stream.next_number)
        self.stream.end_flush(flush, part)
        assert self.stored == self.text[: self.stream.flushed]

    def part(self, start: int, data: bytes, number: int) -> Part:
        """A part on the disk."""
        self.disk[str(len(self.disk))] = data
        return Part(str(len(self.disk) - 1), "", start, len(data), number)

    @property
    def stored(self) -> bytes:
        """What the parts of the stream hold."""
        return b"".join(self.disk[part.file_id] for part in self.stream.parts)

    def merge(self) -> None:
        """Small parts become one."""
        old = self.stream.small_parts()
        if old:
            data = b"".join(self.disk[part.file_id] for part in old)
            self.stream.merge(old, self.part(old[0].start, data, old[0].number))
        assert self.stored == self.text[: self.stream.flushed]

    def fail(self) -> None:
        """The disk refused it."""
        if self.flush is not None:
            self.flush = None
            self.stream.fail_flush()
            assert self.stream.end == self.stream.flushed == len(self.stored)

    def leave(self) -> None:
        if self.writer is not None:
            self.stream.leave(self.writer)
            self.writer = None

    def crash(self) -> None:
        """The server dies: rows and bytes stay, readers come again with what they have."""
        readers = self.readers
        parts = list(self.stream.parts)
        is_done = self.stream.is_stored
        self.stream = Stream("id", "name", parts, is_done=is_done, is_stored=is_done)
        self.writer = self.flush = None
        self.readers = {Reader(len(had)): had for had in readers.values()}

    def read(self) -> None:
        """A reader comes, from the beginning or with what another one had."""
        if len(self.readers) < 5:
            had = self.text[: self.random.randint(0, self.stream.end)]
            self.readers[Reader(len(had))] = had

    def hear(self) -> None:
        if not self.readers:
            return
        reader = self.random.choice(list(self.readers))
        had = self.readers[reader]
        news = self.stream.news(reader)
        if news is None:
            return
        got = b"".join(self.disk[part.file_id] for part in news.parts or ())
        got += news.content.encode()
        if news.start <= len(had):
            had += got[len(had) - news.start :]
        else:
            raise AssertionError("a reader missed bytes")
        assert self.text.startswith(had)
        is_paged = len(news.parts or ()) == limits.NEWS_PARTS_MAX
        assert len(had) >= self.stream.end or is_paged
        self.readers[reader] = had
        if news.is_done:
            assert had == self.text
            self.ended.append(had)
            del self.readers[reader]


@pytest.mark.rule("ST12")
@pytest.mark.parametrize("seed", range(200))
def test_readers_have_a_beginning_and_flushed_bytes_stay(seed, monkeypatch):
    monkeypatch.setattr(limits, "FLUSH_BYTES", 6)
    monkeypatch.setattr(limits, "SMALL_PART_BYTES", 20)
    monkeypatch.setattr(limits, "MERGED_PARTS_MIN", 3)
    monkeypatch.setattr(limits, "NEWS_PARTS_MAX", 2)
    world = World(seed)
    steps = [world.append] * 6 + [world.begin, world.store] * 3 + [world.hear] * 4
    steps += [
        world.start,
        world.fail,
        world.leave,
        world.crash,
        world.read,
        world.read,
        world.merge,
    ]
    for _ in range(300):
        world.random.choice(steps)()
    # Then everything goes well, and all arrives.
    world.start()
    while not world.stream.is_done:
        world.append()
    world.begin()
    world.store()
    assert world.stream.is_stored
    assert world.stored == world.text
    world.read()
    while world.readers:
        world.hear()
    assert set(world.ended) == {world.text}
