"""JSON, by msgspec, which is imported when it is first needed: it takes 30 ms."""

from __future__ import annotations

from typing import Any


def encode(value: Any) -> bytes:
    """The bytes of a value of JSON."""
    import msgspec

    return msgspec.json.encode(value)


def decode(raw: bytes) -> Any:
    """The value of JSON. raises   ValueError"""
    import msgspec

    return msgspec.json.decode(raw)
