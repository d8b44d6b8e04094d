"""Frames on their way to the other side: those of one turn of the loop go out in one write, which
wakes the other side once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Sending:
    """Holds the frames that were sent in this turn of the loop; the transport holds the others."""

    def __init__(
        self, transport: asyncio.WriteTransport, when_written: Callable[[], None] | None = None
    ) -> None:
        """when_written   called after each write"""
        self._transport = transport
        self._when_written = when_written
        self._frames: list[bytes] = []

    def send(self, frame: bytes) -> None:
        """Send a frame, at the end of this turn."""
        if not self._frames:
            asyncio.get_running_loop().call_soon(self.flush)
        self._frames.append(frame)

    def close(self) -> None:
        """Close the transport, once everything is written."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Write now, before anything that may hold up the loop or end the process."""
        if self._frames:
            frames, self._frames = self._frames, []
            if not self._transport.is_closing():
                self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
                if self._when_written is not None:
                    self._when_written()
