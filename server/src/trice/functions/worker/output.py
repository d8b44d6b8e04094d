"""What functions print and log: lines of the log of their call, not bytes of a pipe."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Final, Literal

from trice.functions.worker.metering import current_meter

Level = Literal["debug", "info", "warning", "error"]
Tell = Callable[[int, Level, str], None]
"""Takes the number of a call (0: none), a level and a line."""

_UNFINISHED_MAX: Final = 64


class Printed(io.TextIOBase):
    """In the place of `sys.stdout` or `sys.stderr`."""

    def __init__(self, level: Level, tell: Tell) -> None:
        self._level = level
        self._tell = tell
        self._begun: dict[int, str] = {}

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        call = _current_call()
        *whole, rest = (self._begun.pop(call, "") + text).split("\n")
        for line in whole:
            self._tell(call, self._level, line)
        if rest:
            if len(self._begun) >= _UNFINISHED_MAX:
                oldest = next(iter(self._begun))
                self._tell(oldest, self._level, self._begun.pop(oldest))
            self._begun[call] = rest
        return len(text)

    def end(self, call: int) -> None:
        """A call ends: what it began to print is a line."""
        rest = self._begun.pop(call, "")
        if rest:
            self._tell(call, self._level, rest)


class Logged(logging.Handler):
    """The handler of the root logger."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "debug"
        if record.levelno >= logging.ERROR:
            level = "error"
        elif record.levelno >= logging.WARNING:
            level = "warning"
        elif record.levelno >= logging.INFO:
            level = "info"
        self._tell(_current_call(), level, self.format(record))


def _current_call() -> int:
    meter = current_meter.get()
    return 0 if meter is None else meter.call
