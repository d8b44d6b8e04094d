"""Log lines: one per event, `time level logger message key=value …`, to standard error."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error")


class _LineFormatter(logging.Formatter):
    """Timestamps in UTC with milliseconds; a traceback follows its line, indented."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
        line = f"{stamp} {record.levelname.lower():7} {record.name} {record.getMessage()}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "\n    " + trace.replace("\n", "\n    ")
        return line


def set_up(level: str) -> None:
    """Send everything from `level` up to standard error; libraries from warning up."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("trice").setLevel(level.upper())


def fields(**pairs: Any) -> str:
    """`key=value` pairs for the end of a log message; values that are None are left out."""
    return " ".join(f"{key}={_shown(value)}" for key, value in pairs.items() if value is not None)


def _shown(value: Any) -> str:
    """Line breaks and control characters escaped: a request must not write lines of its own."""
    text = str(value)
    return text if text.isprintable() else ascii(text)
