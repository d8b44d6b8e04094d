"""Log lines, one for each event, to standard error: as text or as JSON.

time level logger message key=value …
{"time": …, "level": …, "logger": …, "message": …, "key": value, …, "traceback"?: …}
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from trice import limits

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("text", "json")


_QUOTED: Final = frozenset(" =\"'")
"""Characters that a value without quotes may not hold."""


class Fields:
    """`key=value` pairs for the end of a log message; made into text only for a line that is
    written."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: dict[str, Any]) -> None:
        self.pairs = pairs

    def __str__(self) -> str:
        return " ".join(f"{key}={_shown(value)}" for key, value in self.pairs.items())


def fields(**pairs: Any) -> Fields:
    """Pairs to log; values that are None are left out."""
    return Fields({key: value for key, value in pairs.items() if value is not None})


class _LineFormatter(logging.Formatter):
    """Timestamps in UTC with milliseconds; a traceback follows its line, indented."""

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        line = f"{_time(record)} {level:7} {record.name} {record.getMessage()}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "\n    " + trace.replace("\n", "\n    ")
        return line


class _JsonFormatter(logging.Formatter):
    """One object in each line, ASCII. Fields stand beside the message under their own names, with
    an underscore where a name is taken."""

    def format(self, record: logging.LogRecord) -> str:
        arguments = record.args if isinstance(record.args, tuple) else (record.args,)
        found = [each for each in arguments if isinstance(each, Fields)]
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if found:
            said = tuple("" if isinstance(each, Fields) else each for each in arguments)
            line["message"] = (str(record.msg) % said).rstrip()
        for each in found:
            for key, value in each.pairs.items():
                line[key if key not in line else f"{key}_"] = _plain(value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Seldom(logging.Filter):
    """Lets one line of a logger through each minute, for what happens at every request while a disk
    is full. The fields of the next line tell how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self.left_out = 0
        self._last_s = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        if 0 <= record.created - self._last_s < limits.LOG_REPEAT_MS / 1000:
            self.left_out += 1
            return False
        self._last_s = record.created
        if self.left_out and isinstance(record.args, tuple):
            record.args = tuple(map(self._with_count, record.args))
            self.left_out = 0
        return True

    def _with_count(self, argument: object) -> object:
        if isinstance(argument, Fields):
            return Fields({**argument.pairs, "left-out": self.left_out})
        return argument


def set_up(level: str, form: str = "text") -> None:
    """Send log lines from `level` up to standard error; those of libraries from warning up."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if form == "json" else _LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("trice").setLevel(level.upper())


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _shown(value: Any) -> str:
    """A value as it stands in a line: in quotes if it would look like more than one, with line
    breaks and control characters escaped. So a request cannot add pairs or lines to the log."""
    text = _short(str(value))
    if not text.isprintable():
        return ascii(text)
    return text if text and _QUOTED.isdisjoint(text) else repr(text)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) else _short(str(value))


def _short(text: str) -> str:
    rest = len(text) - limits.LOG_VALUE_CHARS_MAX
    return text if rest <= 0 else f"{text[: limits.LOG_VALUE_CHARS_MAX]}… ({rest} more)"
