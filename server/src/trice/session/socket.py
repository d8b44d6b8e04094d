"""The contract between a session and whatever carries its frames. No I/O.

Two directions, all calls on the event loop:

    transport -> session    receive(frame) · on_writable() · on_closed()
    session   -> transport  send(frames) · close(code, reason) · pause_reading() · resume_reading()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from trice.protocol.shared import Frame


class Socket(Protocol):
    """What a transport offers: WebSocket by picows or plain ASGI, server-sent events."""

    def send(self, frames: Sequence[Frame]) -> None:
        """Hand over frames, in order, in one write. Never blocks; see `backlog_bytes`."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """Bytes handed over that the operating system has not taken yet."""
        ...

    @property
    def unfinished(self) -> tuple[int, int] | None:
        """The message that has come in part: a number of its own, and its bytes so far."""
        ...

    def ping(self) -> None:
        """Make the other side answer, where the transport has pings."""
        ...

    def pause_reading(self) -> None:
        """Take nothing more from the client until `resume_reading`."""
        ...

    def resume_reading(self) -> None: ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with a WebSocket close code; frames sent before still go out."""
        ...


class EndedSocket:
    """Stands where the socket was once a session has ended; whatever is said to it is lost."""

    backlog_bytes = 0
    unfinished = None

    def send(self, frames: Sequence[Frame]) -> None: ...
    def ping(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


ENDED: Final = EndedSocket()


class MustClose(Exception):
    """What the client sent leaves no other way: the transport closes with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
