"""One HTTP request, before it is sent. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from trice_client import _json
from trice_client._errors import TriceError, not_ours
from trice_client._retry import Repeats

ANSWER_BYTES_MAX = 256 * 1024 * 1024
"""Of an answer that is kept as a whole, unpacked; beyond, it is `answer-too-large`."""
ERROR_BYTES_MAX = 1024 * 1024
"""What is read of an error; the rest of it is not waited for."""
ANSWER_S_MAX = 900.0
"""How long the body of an answer may take; a server can drip bytes for ever."""
_PACKED = {"": None, "identity": None, "gzip": 31}
JSON_TYPE = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Asked:
    """`path` is behind the address of the server, or a whole address.

    json       sent as JSON; `plain` made it
    repeats    whether it may be sent again after a failure
    timeout_s  how long each part of the answer may take; None: as the client says
    has        what the answer has in any case, and of which kind
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    json: Any = None
    content: bytes | None = None
    repeats: Repeats = "always"
    timeout_s: float | None = None
    has: tuple[str, type] | None = None

    def body(self) -> bytes | None:
        """The bytes of the body."""
        return self.content if self.json is None else _json.encode(self.json)

    def all_headers(self) -> dict[str, str]:
        """The headers, with the type of a JSON body."""
        return {**(JSON_TYPE if self.json is not None else {}), **self.headers}


class Body:
    """The bytes of an answer, unpacked as they come and never beyond a bound."""

    def __init__(self, encoding: str, bytes_max: int) -> None:
        """raises   TriceError("answer-malformed")"""
        if encoding not in _PACKED:
            told = f"The answer is packed by {encoding[:40]!r}, which this client did not ask for."
            raise TriceError("answer-malformed", told)
        bits = _PACKED[encoding]
        self._unpack = None if bits is None else zlib.decompressobj(bits)
        self._bytes_max = bytes_max
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def is_over(self) -> bool:
        """There is more than the bound."""
        return self._size > self._bytes_max

    def add(self, piece: bytes) -> None:
        """More of it came. raises   TriceError("answer-malformed")"""
        if self._unpack is not None:
            try:
                piece = self._unpack.decompress(piece, self._bytes_max - self._size + 1)
            except zlib.error as cause:
                raise TriceError("answer-malformed", f"The answer is not gzip: {cause}.") from cause
        self._size += len(piece)
        self._pieces.append(piece)

    def whole(self) -> bytes:
        """What came."""
        return b"".join(self._pieces)


def too_large() -> TriceError:
    """An answer beyond the bound."""
    told = f"The answer has more than {ANSWER_BYTES_MAX:,} bytes: ask for less, or page by page."
    return TriceError("answer-too-large", told)


def decoded(raw: bytes, asked: Asked, status: int) -> Any:
    """The JSON object of an answer. raises   TriceError("answer-malformed")"""
    try:
        found = _json.decode(raw)
    except (ValueError, RecursionError) as cause:
        told = f"The answer to {asked.path} is no JSON; is this the address of a trice server?"
        raise TriceError("answer-malformed", told, status=status) from cause
    if not isinstance(found, dict):
        told = f"The answer to {asked.path} is no JSON object but {type(found).__name__}."
        raise TriceError("answer-malformed", told, status=status)
    answer = cast("dict[str, Any]", found)
    if asked.has is not None:
        name, kind = asked.has
        if name not in answer or not isinstance(answer[name], kind):
            told = f"The answer to {asked.path} lacks {name!r}, or it is of another type."
            raise TriceError("answer-malformed", told, status=status)
    return answer


def told_text(headers: Mapping[str, str], name: str) -> str:
    """A header that an answer has in any case. raises   TriceError("answer-malformed")"""
    if name in headers:
        return headers[name]
    raise TriceError("answer-malformed", f"The answer lacks the header {name!r}.")


def told_number(headers: Mapping[str, str], name: str) -> int:
    """The same, of a count of bytes. raises   TriceError("answer-malformed")"""
    text = told_text(headers, name)
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    raise TriceError("answer-malformed", f"The header {name!r} is no count: {text[:40]!r}.")


def refused(raw: bytes, status: int) -> TriceError:
    """The error of an answer."""
    try:
        body = _json.decode(raw)
    except (ValueError, RecursionError):
        return not_ours(raw[:400].decode(errors="replace"), status)
    if _json.is_object(body) and isinstance(body.get("message"), str):
        return TriceError.of(body, status)
    return not_ours(raw[:400].decode(errors="replace"), status)


def header_text(text: str) -> str:
    """A text as a header carries it: its UTF-8 bytes, each as one character."""
    if any(ord(each) < 32 or ord(each) == 127 for each in text):
        told = f"{text!r} goes into a header: it cannot have line breaks or control characters."
        raise TriceError("header-malformed", told)
    return text.encode().decode("latin-1")
