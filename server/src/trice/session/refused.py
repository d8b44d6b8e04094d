"""Reading what can be read of a message that the decoder refuses: event id, op, where it broke.

A client finds the request that failed by the `client-event-id` and `q` of the answer. Without them
it would wait for ever. No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import orjson

from trice import limits

_STRING: Final = rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
_SCALAR: Final = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null"
_TOKEN: Final = re.compile(rb"[ \t\r\n]*+(?:(" + _STRING + rb")|(" + _SCALAR + rb")|([\[\]{},:]))")
_TAIL: Final = re.compile(
    rb"[ \t\r\n]*+:[ \t\r\n]*+(" + _STRING + rb")"
    rb"(?:[ \t\r\n]*+,[ \t\r\n]*+" + _STRING + rb"[ \t\r\n]*+:[ \t\r\n]*+"
    rb"(?:" + _STRING + rb"|" + _SCALAR + rb"))*+[ \t\r\n]*+\}[ \t\r\n]*+\Z"
)
_SPACES: Final = b" \t\r\n"
_TAIL_BYTES: Final = 1_024
_PATH_SHOWN: Final = 8


_ECHO_BYTES: Final = {
    "op": limits.NAME_BYTES_MAX,
    "client-event-id": limits.ERROR_ECHO_BYTES_MAX,
}
"""A longer text is not repeated in `original-event`; the answer itself still has the event id."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The readable part of a message.

    members  the top-level members that are whole, as they came: JSON by name
    path     the keys and indexes that lead to where reading ended; only the first few if it is deep
    """

    members: dict[str, bytes]
    path: list[str | int]

    def text(self, name: str) -> str | None:
        """A member that is a text which JSON can carry; None for anything else."""
        raw = self.members.get(name)
        if raw is None:
            return None
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, str) else None

    def echo(self) -> bytes:
        """`original-event`, which tells the client which of its messages failed."""
        parts = []
        for name in ("op", "client-event-id"):
            if self.text(name) is not None and len(self.members[name]) <= _ECHO_BYTES[name]:
                parts.append(b'"%b":%b' % (name.encode(), self.members[name]))
        q = self.members.get("q")
        if q is not None and len(q) <= limits.ERROR_ECHO_QUERY_BYTES_MAX:
            parts.append(b'"q":%b' % q)
        return b"{%b}" % b",".join(parts)


def outline(raw: bytes, *, until: int | None = None, depth_max: int | None = None) -> Outline:
    """Read as far as the text is JSON; then look for `op` and `client-event-id` at its end.

    raw        a message, or the beginning of one
    until      the byte where a decoder gave up; reading ends before it
    depth_max  how many arrays and objects may be open; reading ends where there are more
    cost       1 µs for each value, at most limits.REFUSED_TOKENS_MAX of them
    """
    reading = _Reading(raw)
    reading.run(len(raw) if until is None else until, len(raw) if depth_max is None else depth_max)
    has_tail = raw.lstrip(_SPACES).startswith(b"{") and not reading.is_at_end
    for name in ("op", "client-event-id") if has_tail else ():
        if name not in reading.members:
            found = _find_at_end(raw, b'"%b"' % name.encode())
            if found is not None:
                reading.members[name] = found
    return Outline(reading.members, reading.path)


def _find_at_end(raw: bytes, name: bytes) -> bytes | None:
    """The text called `name`, if only texts and numbers follow it in the message."""
    end = len(raw.rstrip(_SPACES))
    position = raw.rfind(name, max(end - _TAIL_BYTES, 0))
    found = _TAIL.match(raw, position + len(name)) if position >= 0 else None
    return found[1] if found is not None and _is_utf8(found[1]) else None


class _Reading:
    """Follows the grammar of JSON without making values.

    Holds one entry for each open array and object: the index or key of the value that comes next.
    """

    def __init__(self, raw: bytes) -> None:
        self.members: dict[str, bytes] = {}
        self.path: list[str | int] = []
        self.is_at_end = False
        self._raw = raw
        self._open: list[str | int] = []
        self._value_start = 0

    def run(self, until: int, depth_max: int) -> None:
        """Read until the text ends, is not JSON, or is too deep or too long."""
        position = 0
        expected = "value"
        for _ in range(limits.REFUSED_TOKENS_MAX):
            token = _TOKEN.match(self._raw, position)
            if token is None or token.end() > until:
                break
            position = token.end()
            after = self._take(expected, token)
            if after is None or len(self._open) > depth_max or (after == "end" and not self._open):
                break
            expected = after
        self.path = self._open[:_PATH_SHOWN]
        self.is_at_end = position >= len(self._raw)

    def _take(self, expected: str, token: re.Match[bytes]) -> str | None:
        """What may follow `token`; None if `token` may not stand here."""
        mark = token[3]
        if expected == "colon":
            return "value" if mark == b":" else None
        if expected in ("value", "first value") and mark not in (b"]", b"}", b",", b":"):
            return self._value(token)
        if expected in ("key", "first key") and token[1] is not None:
            return self._key(token[1])
        if mark in (b"]", b"}"):
            return self._close(expected, mark, token.end())
        if expected == "end" and mark == b"," and self._open:
            current = self._open[-1]
            if isinstance(current, int):
                self._open[-1] = current + 1
                return "value"
            return "key"
        return None

    def _value(self, token: re.Match[bytes]) -> str:
        if len(self._open) == 1:
            self._value_start = token.start(token.lastindex or 0)
        match token[3]:
            case b"[":
                self._open.append(0)
                return "first value"
            case b"{":
                self._open.append("")
                return "first key"
        self._note(token.end())
        return "end"

    def _key(self, raw: bytes) -> str | None:
        try:
            self._open[-1] = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return None  # half of a surrogate pair, or not UTF-8
        return "colon"

    def _close(self, expected: str, mark: bytes, end: int) -> str | None:
        wanted = {"end": True, "first value": mark == b"]", "first key": mark == b"}"}
        is_object = bool(self._open) and isinstance(self._open[-1], str)
        if not self._open or not wanted.get(expected) or is_object != (mark == b"}"):
            return None
        self._open.pop()
        self._note(end)
        return "end"

    def _note(self, end: int) -> None:
        """A value ended here: keep it if it is a member of the message."""
        if len(self._open) == 1 and isinstance(self._open[0], str):
            value = self._raw[self._value_start : end]
            if _is_utf8(value):
                self.members[self._open[0]] = value


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
