"""Sealed cursors: places in the order of what a function lists, as texts that only this server
makes and reads. No I/O.

A cursor is sealed together with the app, the function and its arguments, so it is no place in
anything else. Sealing is deterministic: one place has one text, and equal pages are equal bytes.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
import orjson

from trice.errors import InvalidInput
from trice.function_limits import CURSOR_CHARS_MAX
from trice.functions.signature import Signature
from trice.functions.types import paged_names
from trice.protocol.compact_json import dumps_compact
from trice.protocol.ids import AppId
from trice.protocol.quoting import brief


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A place: behind a row, in an order.

    order   label and direction of each thing that orders
    row     cursor of InstaQL: `[entity, attribute, value, created_ms]`
    """

    etype: str
    order: dict[str, str]
    row: list[Any]


class Cursors:
    """Those of one call: a function of an app with its arguments."""

    def __init__(
        self, key: Callable[[], bytes], app_id: AppId, signature: Signature, args: bytes
    ) -> None:
        """key   a secret of the server, of 16 bytes or more"""
        self._key = key
        self._app_id = app_id
        self._signature = signature
        self._args = args
        self._holder: bytes | None = None

    def seal(self, mark: Mark) -> str:
        """The text of a place."""
        sealed = self._cipher().encrypt(dumps_compact(msgspec.to_builtins(mark)), [self._of()])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, text: str) -> Mark:
        """The place of a text.

        raises   InvalidInput("bad-args"): it was not made here, for this call
        """
        from cryptography.exceptions import InvalidTag

        try:
            if len(text) > CURSOR_CHARS_MAX:
                raise ValueError("no cursor is so long")
            sealed = base64.b64decode(f"{text}{'=' * (-len(text) % 4)}", b"-_", validate=True)
            opened = self._cipher().decrypt(sealed, [self._of()])
            return msgspec.json.decode(opened, type=Mark)
        except (ValueError, InvalidTag, msgspec.DecodeError) as cause:
            raise bad_cursor(text) from cause

    def _cipher(self) -> Any:
        # Fetched when a page is first asked for: it takes some milliseconds.
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        return AESSIV(hmac.digest(self._key(), b"cursors of pages", "sha256"))

    def _of(self) -> bytes:
        """What a cursor belongs to."""
        if self._holder is None:
            rest = without_page(self._signature, self._args)
            digest = blake2b(rest, digest_size=16).hexdigest()
            self._holder = f"{self._app_id}/{self._signature.name}/{digest}".encode()
        return self._holder


def without_page(signature: Signature, args: bytes) -> bytes:
    """The arguments that say what is listed: all but which page. A function that takes no `Paged`
    may be given a cursor in any argument, so it has none."""
    names = paged_names(signature.types)
    if not names:
        return b""
    found = orjson.loads(args)
    if not isinstance(found, Mapping):
        return b""
    kept = {name: value for name, value in found.items() if name not in names}
    return dumps_compact(kept, option=orjson.OPT_SORT_KEYS)


def bad_cursor(given: str, told: str = "") -> InvalidInput:
    """The error for a cursor that is none of this list."""
    told = told or "it was made for other arguments, by another server, or by nobody"
    return InvalidInput(
        "bad-args",
        f"page.after is not a place in this list: {told}. Begin with the first page.",
        {
            "path": "page.after",
            "expected": "the `next` of a page of the same function and arguments",
            "got": brief(given),
        },
    )


def is_bad_cursor(failure: Exception | None) -> bool:
    """Whether a call failed because its cursor is none of this list."""
    hint = getattr(failure, "hint", None)
    return (
        getattr(failure, "code", "") == "bad-args"
        and isinstance(hint, dict)
        and hint.get("path") == "page.after"
    )
