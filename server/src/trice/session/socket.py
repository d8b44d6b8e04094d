"""The contract between a session and the transport of its frames. No I/O.

There are two directions; all calls are made on the event loop:

    transport -> session    receive(frame) · on_writable() · on_closed()
    session   -> transport  send(frames) · close(code, reason) · pause_reading() · resume_reading()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from trice.protocol.shared import Frame


class Socket(Protocol):
    """What a transport offers: a WebSocket by picows or plain ASGI, or server-sent events."""

    def send(self, frames: Sequence[Frame]) -> None:
        """Hand over frames, in order, in one write. Never blocks; see `backlog_bytes`."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """Bytes handed over that the operating system has not taken yet."""
        ...

    @property
    def unfinished(self) -> tuple[int, int] | None:
        """The number of the message that has come in part, and its bytes so far; None: no such
        one."""
        ...

    def ping(self) -> None:
        """Ping the client, if the transport has pings."""
        ...

    def pause_reading(self) -> None:
        """Take nothing more from the client until `resume_reading`."""
        ...

    def resume_reading(self) -> None: ...

    def close(self, code: int, reason: str) -> None:
        """Close with a WebSocket close code; frames sent before still go out."""
        ...


class EndedSocket:
    """Takes the place of the socket once a session has ended; all calls are ignored."""

    backlog_bytes = 0
    unfinished = None

    def send(self, frames: Sequence[Frame]) -> None: ...
    def ping(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


ENDED: Final = EndedSocket()


class MustClose(Exception):
    """The client sent something for which the transport must close, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
