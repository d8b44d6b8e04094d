"""Frames on their way to one socket: bounded, joined into one write for each turn of the loop.

The queue of all sessions (`send_queue.py`) decides when that write happens.

If the client is slow, answers and acknowledgements queue up. A frame that finds more than
OUTBOX_BYTES_MAX waiting drops the session, so a single large answer always goes out. Beyond
OUTBOX_REFRESH_BYTES_MAX refreshes wait. The state only notes that there is news, so a slow client
skips states, but never the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from trice import limits
from trice.protocol.shared import Frame
from trice.session.send_queue import SendQueue
from trice.session.socket import ENDED, Socket


class Outbox:
    """Holds frames until the end of the current turn. Does not know what they mean.

    Counts queued frames by their plain size, and frames handed over by the size that is sent, which
    is deflated for clients that agreed to it.

    make_news      called at each flush for the frames with all news
    on_overflow    called once when too much waits for the client
    group          whose turns its news take: the app; None before there is one
    """

    def __init__(
        self,
        socket: Socket,
        *,
        sends: SendQueue,
        make_news: Callable[[], list[Frame]],
        on_overflow: Callable[[], None],
    ) -> None:
        self.group: Hashable = None
        self._socket = socket
        self._make_news = make_news
        self._on_overflow = on_overflow
        self._sends = sends
        self._frames: list[Frame] = []
        self._frames_bytes = 0
        self._is_scheduled = False
        self._is_closed = False

    @property
    def has_room(self) -> bool:
        """Whether little enough waits for the client to build refreshes."""
        return self._socket.backlog_bytes < limits.OUTBOX_REFRESH_BYTES_MAX

    def push(self, frame: Frame) -> None:
        """Send `frame` with the next flush."""
        if self._is_closed:
            return
        if self._frames_bytes + self._socket.backlog_bytes >= limits.OUTBOX_BYTES_MAX:
            on_overflow = self._on_overflow
            self.close()
            on_overflow()
            return
        self._frames.append(frame)
        self._frames_bytes += len(frame)
        self.schedule()

    def schedule(self) -> None:
        """Flush at the end of this turn of the loop, however often this is called."""
        if not self._is_scheduled and not self._is_closed:
            self._is_scheduled = True
            self._sends.soon(self)

    def send_now(self) -> None:
        """Flush at once, for a client for which no other frame will come in this turn."""
        if not self._is_closed:
            self._sends.now(self)

    def schedule_news(self, lane: Hashable) -> None:
        """Flush when this session has its turn among those with news for the same reason
        (`lane`)."""
        if not self._is_scheduled and not self._is_closed:
            self._sends.news(self, lane, self.group)

    def flush(self) -> int:
        """Send queued frames and, if the client keeps up, its news, in one write.

        returns   the bytes handed to the socket
        """
        self._is_scheduled = False
        if self._is_closed:
            return 0
        frames, self._frames, self._frames_bytes = self._frames, [], 0
        if self.has_room:
            frames += self._make_news()
        if frames:
            self._socket.send(frames)
        return sum(map(len, frames))

    def close(self) -> None:
        """Drop what is queued, and send nothing any more.

        This also drops the reference to the session, whose memory is then free without a
        collection.
        """
        self._is_closed = True
        self._socket, self._make_news, self._on_overflow = ENDED, _no_news, _nothing
        self._frames = []
        self._frames_bytes = 0


def _no_news() -> list[Frame]:
    return []


def _nothing() -> None:
    """The `on_overflow` of a session that has ended."""
