"""What a command on archives did, and what is left to do for people. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trice import archive_limits as limits


class Note(msgspec.Struct, frozen=True):
    """Something that did not come, or came changed.

    what   a sentence
    next   what to do about it: a command or a place; None: nothing
    """

    what: str
    next: str | None = None


class Report(msgspec.Struct):
    """What an import did.

    entities      how many came, by namespace
    admin_token   the app's new admin token; None: the one that was given, or that it had
    """

    app_id: str
    title: str
    admin_token: str | None = None
    entities: dict[str, int] = msgspec.field(default_factory=dict)
    files: int = 0
    file_bytes: int = 0
    notes: list[Note] = msgspec.field(default_factory=list)

    def note(self, what: str, next: str | None = None) -> None:
        """Add something that people should know."""
        self.notes.append(Note(what, next))


def listed(names: Sequence[str]) -> str:
    """Some names as text; of many the first, and how many more there are."""
    shown = ", ".join(names[: limits.NOTES_MAX])
    more = len(names) - limits.NOTES_MAX
    return f"{shown} and {more:,} more" if more > 0 else shown
