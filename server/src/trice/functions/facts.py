"""What a run looks at besides its arguments and the database, in order. No I/O.

Two callers get the same answer if every fact agrees: a run is the same up to its first fact, hence
up to each next one. Names and values:

    user             whether somebody is signed in
    user.id          the caller's id
    user.LABEL       an attribute of the caller's row, as it is stored
    ip, origin       text or null
    rights           of `as_caller`: "admin", the caller's id, or null for a guest
    time.MS          the time, floored to so many milliseconds: it changes by itself
"""

from __future__ import annotations

from typing import Any

from trice.functions.frames import Caller


class Facts:
    """The facts of one call. Each is noted when it is first looked at."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self._seen: dict[str, Any] = {}

    def note(self, name: str, value: Any) -> Any:
        """Remember that a run knows this; returns the value."""
        self._seen.setdefault(name, value)
        return value

    def listed(self) -> list[tuple[str, Any]]:
        """As frames carry them."""
        return list(self._seen.items())

    def is_signed_in(self) -> bool:
        return bool(self.note("user", self.caller.user is not None))

    def rights(self) -> str | None:
        """Whose rules `as_caller` applies."""
        user = self.caller.user
        mine = "admin" if self.caller.is_admin else None if user is None else str(user["id"])
        self.note("rights", mine)
        return mine


class UserRow:
    """The caller's row. It notes which of its attributes are looked at.

    row      it as its namespace class
    labels   names of attributes → labels
    """

    __slots__ = ("_facts", "_labels", "_row")

    def __init__(self, facts: Facts, row: Any, labels: dict[str, str]) -> None:
        self._facts = facts
        self._row = row
        self._labels = labels

    def __getattr__(self, name: str) -> Any:
        label = self._labels.get(name)
        if label is not None:
            self._note(label)
        elif hasattr(type(self._row), name):
            # A property or method of its class: what it looks at cannot be told.
            self._note_all()
        return getattr(self._row, name)

    def __repr__(self) -> str:
        return "<the caller's row>"

    def _note(self, label: str) -> None:
        user = self._facts.caller.user
        if user is not None:
            self._facts.note(f"user.{label}", user.get(label))

    def _note_all(self) -> None:
        # Those that it lacks too: they may be set later.
        for label in dict.fromkeys((*self._labels.values(), *(self._facts.caller.user or {}))):
            self._note(label)


def whole_row(user: UserRow) -> Any:
    """The row with all of its attributes, each of them noted."""
    user._note_all()
    return user._row
