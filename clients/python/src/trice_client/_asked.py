"""One HTTP request, before it is sent. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trice_client import _json
from trice_client._errors import TriceError, not_ours
from trice_client._retry import Repeats

JSON_TYPE = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Asked:
    """`path` is behind the address of the server, or a whole address.

    json       sent as JSON; `plain` made it
    repeats    whether it may be sent again after a failure
    timeout_s  how long each part of the answer may take; None: as the client says
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    json: Any = None
    content: bytes | None = None
    repeats: Repeats = "always"
    timeout_s: float | None = None

    def body(self) -> bytes | None:
        """The bytes of the body."""
        return self.content if self.json is None else _json.encode(self.json)

    def all_headers(self) -> dict[str, str]:
        """The headers, with the type of a JSON body."""
        return {**(JSON_TYPE if self.json is not None else {}), **self.headers}


def decoded(raw: bytes, path: str, status: int) -> Any:
    """The JSON of an answer. raises   TriceError("answer-malformed")"""
    try:
        return _json.decode(raw)
    except ValueError as cause:
        told = f"The answer to {path} is no JSON; is this the address of a trice server?"
        raise TriceError("answer-malformed", told, status=status) from cause


def refused(raw: bytes, status: int) -> TriceError:
    """The error of an answer."""
    try:
        body = _json.decode(raw)
    except ValueError:
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
