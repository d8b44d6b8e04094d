"""JSON, by msgspec, which is imported when it is first needed: it takes 30 ms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard


def encode(value: Any) -> bytes:
    """The bytes of a value of JSON."""
    import msgspec

    return msgspec.json.encode(value)


def decode(raw: bytes) -> Any:
    """The value of JSON. raises   ValueError"""
    import msgspec

    return msgspec.json.decode(raw)


# What `isinstance` leaves unknown to checkers of types: the keys and values of what it finds.


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value of JSON is an object."""
    return isinstance(value, dict)


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether a value is a mapping of any class."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value of JSON is a list."""
    return isinstance(value, list)
