"""The output of a process: lines for the log of its app, as many bytes a second as are read.

The process writes without blocking: what is not read in time is lost to it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from trice import function_limits as limits

_NEWEST_MAX: Final = 3
_NEWEST_CHARS_MAX: Final = 300


class Output:
    """Reads function_limits.OUTPUT_BYTES_MAX, then nothing until OUTPUT_MS are over.

    newest  its last lines
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self.newest: deque[str] = deque(maxlen=_NEWEST_MAX)
        self._pipe: asyncio.ReadTransport | None = None
        self._rest = b""
        self._left = limits.OUTPUT_BYTES_MAX
        self._is_renewing = False

    def begin(self, pipe: asyncio.ReadTransport) -> None:
        self._pipe = pipe

    def take(self, data: bytes) -> None:
        """Bytes that came."""
        self._left -= len(data)
        if not self._is_renewing:
            self._is_renewing = True
            asyncio.get_running_loop().call_later(limits.OUTPUT_MS / 1000, self._renew)
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > limits.LOG_LINE_CHARS_MAX:
            whole.append(self._rest)
            self._rest = b""
        for line in whole[: limits.LOG_LINES_MAX]:
            text = line[: limits.LOG_LINE_CHARS_MAX].decode("utf-8", "replace")
            self.newest.append(text[:_NEWEST_CHARS_MAX])
            self._on_line(text)
        if len(whole) > limits.LOG_LINES_MAX:
            self._on_line(f"{len(whole) - limits.LOG_LINES_MAX} more lines were dropped.")
        if self._left <= 0 and self._pipe is not None:
            self._pipe.pause_reading()

    def _renew(self) -> None:
        self._is_renewing = False
        is_paused = self._left <= 0
        self._left = limits.OUTPUT_BYTES_MAX
        if is_paused and self._pipe is not None and not self._pipe.is_closing():
            self._pipe.resume_reading()
