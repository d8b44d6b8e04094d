"""Frames on their way to one socket: bounded, joined into one write per turn of the loop.

When that write happens is decided by the queue of all sessions (`send_queue.py`).

Policy when the client is slow: answers and acknowledgements queue up; one that finds
OUTBOX_BYTES_MAX waiting before it drops the session, so a single large answer always goes out.
Refreshes wait from OUTBOX_REFRESH_BYTES_MAX on and are coalesced by the state, which keeps only
that there is news: a slow client skips states, never the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from trice import limits
from trice.protocol.shared import Frame
from trice.session.send_queue import SendQueue
from trice.session.socket import ENDED, Socket


class Outbox:
    """Holds frames until the end of the current turn. Does not know what they mean.

    Counts what is queued as it is held, and what was handed over as it is sent: deflated for those
    who agreed to it.

    make_refresh   asked at flush time for the frame with all news, or None
    on_overflow    called once when the client is hopelessly behind
    """

    def __init__(
        self,
        socket: Socket,
        *,
        sends: SendQueue,
        make_refresh: Callable[[], Frame | None],
        on_overflow: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._make_refresh = make_refresh
        self._on_overflow = on_overflow
        self._sends = sends
        self._frames: list[Frame] = []
        self._frames_bytes = 0
        self._is_scheduled = False
        self._is_closed = False

    @property
    def has_room(self) -> bool:
        """Whether the client keeps up well enough for refreshes to be built."""
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
        """Flush what is queued at once, for a client to whom nothing more is on its way."""
        if not self._is_closed:
            self._sends.now(self)

    def schedule_news(self, lane: Hashable) -> None:
        """Flush when it is this session's turn among all that have news for the same reason."""
        if not self._is_scheduled and not self._is_closed:
            self._sends.news(self, lane)

    def flush(self) -> int:
        """Send what is queued and, if the client keeps up, what is new, in one write.

        returns   the bytes handed to the socket
        """
        self._is_scheduled = False
        if self._is_closed:
            return 0
        frames, self._frames, self._frames_bytes = self._frames, [], 0
        refresh = self._make_refresh() if self.has_room else None
        if refresh is not None:
            frames.append(refresh)
        if frames:
            self._socket.send(frames)
        return sum(map(len, frames))

    def close(self) -> None:
        """Send nothing any more; what is queued is dropped.

        Lets go of the session too, which then needs no garbage collection to go.
        """
        self._is_closed = True
        self._socket, self._make_refresh, self._on_overflow = ENDED, _no_refresh, _nothing
        self._frames = []
        self._frames_bytes = 0


def _no_refresh() -> Frame | None:
    return None


def _nothing() -> None:
    """What a client that has gone overflows."""
