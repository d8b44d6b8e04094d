"""Rows that become users: `$users`, found by e-mail address.

Nobody's password comes: people sign in by a code that is sent to their address.

source   spec/archive.md AR146; spec/auth.md A30-A32
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from trice.archive.tables.plan import system_labels
from trice.archive.tables.read import Row, Source
from trice.auth.emails import find_email

USERS: Final = "$users"
_TAKEN: Final = system_labels(USERS) - {"id", "email"}


def user_label(label: str) -> str:
    """The label that a value of a user has here: `type` and some others are the server's own."""
    return f"{label}_" if label in _TAKEN else label


@dataclass(frozen=True, slots=True)
class UserRows:
    """Rows of another source, as users. Addresses are in lower case, as sign-in looks them up."""

    source: Source

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def unit(self) -> str:
        return self.source.unit

    @property
    def size(self) -> int:
        return self.source.size

    @property
    def is_csv(self) -> bool:
        return self.source.is_csv

    def rows(
        self, on_bytes: Callable[[int], None], on_labels: Callable[[list[str]], None]
    ) -> Iterator[Row]:
        def name_labels(labels: list[str]) -> None:
            on_labels([user_label(label) for label in labels])

        for number, row in self.source.rows(on_bytes, name_labels):
            yield number, {user_label(label): _value(label, each) for label, each in row.items()}


def _value(label: str, value: Any) -> Any:
    if label != "email":
        return value
    return find_email(value) or value or None
