"""The streams that one session writes and reads: what is told about them to its client."""

from __future__ import annotations

from typing import Any

from trice import stream_limits as limits
from trice.errors import LimitExceeded
from trice.identity import network_of
from trice.protocol import down
from trice.session.outbox import Outbox
from trice.streams.live import Live
from trice.streams.stream import News, Reader, Stream
from trice.streams.streams import Streams


class SessionStreams:
    """Holds which streams the session is or was the writer of, and its subscriptions.

    writing   by stream id
    starting  how many `start-stream` are not answered yet
    reading   by the event id of the subscription
    ends      ends that were announced before the bytes in front of them were there, by stream id:
              the offset and the reason. Official clients announce an end once only, and send bytes
              again that were refused (ST13)
    """

    def __init__(self, streams: Streams, outbox: Outbox, *, ip: str) -> None:
        self.streams = streams
        self.writing: dict[str, Live] = {}
        self.starting = 0
        self.ends: dict[str, tuple[int, str | None]] = {}
        self.reading: dict[str | None, tuple[Reader, Live | None]] = {}
        self._events: dict[Reader, str | None] = {}
        self._outbox = outbox
        self.network = network_of(ip)
        self.is_ended = False

    def end(self) -> None:
        """The session is over."""
        self.is_ended = True
        self.ends.clear()
        writing, self.writing = self.writing, {}
        for live in writing.values():
            self.streams.leave(live, self)
        for event_id in list(self.reading):
            self.unsubscribe(event_id)

    def append(
        self,
        live: Live,
        offset: int,
        chunks: list[bytes],
        *,
        is_done: bool,
        abort_reason: str | None,
    ) -> None:
        """Add to a stream that the session writes; see `Streams.append`."""
        self.streams.append(
            live, self, offset=offset, chunks=chunks, is_done=is_done, abort_reason=abort_reason
        )
        self.finish(live)

    def note_end(self, stream_id: str, offset: int, abort_reason: str | None) -> None:
        """An end was announced that could not be taken yet."""
        if len(self.ends) < limits.WRITES_OF_SESSION_MAX:
            self.ends[stream_id] = (offset, abort_reason)

    def finish(self, live: Live) -> None:
        """End a stream that has been written up to the end that was announced."""
        offset, abort_reason = self.ends.get(live.stream.id, (-1, None))
        if live.stream.is_done or offset == live.stream.end:
            self.ends.pop(live.stream.id, None)
        if offset == live.stream.end and not live.stream.is_done:
            self.streams.append(
                live, self, offset=offset, chunks=[], is_done=True, abort_reason=abort_reason
            )

    def begin(self, event_id: str | None, reader: Reader) -> None:
        """Note a subscription; raises LimitExceeded."""
        if len(self.reading) >= limits.READS_OF_SESSION_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"A session may read {limits.READS_OF_SESSION_MAX} streams; end some first.",
            )
        self.unsubscribe(event_id)
        self.reading[event_id] = (reader, None)
        self._events[reader] = event_id

    def follow(self, event_id: str | None, reader: Reader, live: Live) -> None:
        """The stream of a subscription was found: tell what is there."""
        if self.is_ended or self.reading.get(event_id) != (reader, None):
            self.streams.unsubscribe(live, reader)  # it was ended meanwhile
            return
        self.reading[event_id] = (reader, live)
        self.streams.tell_one(live, reader)

    def unsubscribe(self, event_id: str | None) -> bool:
        """End a subscription; return whether there was one."""
        reader, live = self.reading.pop(event_id, (None, None))
        if reader is None:
            return False
        self._events.pop(reader, None)
        if live is not None:
            self.streams.unsubscribe(live, reader)
        return True

    def on_writable(self) -> None:
        """There is room again: tell what had to wait."""
        for reader, live in list(self.reading.values()):
            if live is not None:
                self.streams.tell_one(live, reader)

    # --- called by streams -----------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        return self._outbox.has_room

    def on_flushed(self, stream: Stream, *, is_done: bool) -> None:
        if is_done:
            self.writing.pop(stream.id, None)
        self._outbox.push(down.stream_flushed(stream.id, offset=stream.flushed, is_done=is_done))

    def on_failed(self, stream: Stream) -> None:
        self.writing.pop(stream.id, None)
        self._outbox.push(down.append_failed(stream.id))

    def on_news(self, reader: Reader, stream: Stream, news: News) -> None:
        event_id = self._events[reader]
        live = self.reading[event_id][1]
        assert live is not None, "a reader that is told follows a stream"
        told: dict[str, Any] = {"offset": news.start}
        if news.parts is not None:
            told["files"] = [
                {"id": part.file_id, "size": part.size, "url": self.streams.url(live, part)}
                for part in news.parts
            ]
        if news.content:
            told["content"] = news.content
        if news.is_done:
            told["done"] = True
            if stream.abort_reason is not None:
                told["abort-reason"] = stream.abort_reason
        self._tell(event_id, stream, told)
        if news.is_done:
            self.reading.pop(event_id, None)
            self._events.pop(reader, None)

    def on_gone(self, reader: Reader, stream: Stream) -> None:
        event_id = self._events.pop(reader, None)
        self.reading.pop(event_id, None)
        self._tell(event_id, stream, {"error": "Stream is missing."})

    def _tell(self, event_id: str | None, stream: Stream, told: dict[str, Any]) -> None:
        self._outbox.push(
            down.stream_append(
                event_id=event_id, stream_id=stream.id, client_id=stream.client_id, told=told
            )
        )
