"""What actions reach through the server: mail, files, streams. No I/O of its own: `trice.reach`
implements it, above this part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trice.apps.app import App
from trice.calls.side import Level
from trice.errors import Unavailable
from trice.functions.frames import OfReach


class Reached(Protocol):
    """What one call reaches. Holds what it has not brought to an end: uploads, streams."""

    async def ask(self, asked: OfReach) -> bytes:
        """Do something, and answer as `functions.frames` says. raises   TriceError"""
        ...

    async def end(self, reason: str) -> None:
        """The call has ended: its uploads are given up, and streams that it did not end are
        aborted, with `reason`. Nothing is asked any more. Raises nothing."""
        ...


class Reach(Protocol):
    """What the apps of this server reach."""

    def of(self, app: App, note: Callable[[Level, str], None]) -> Reached:
        """What a call of an app reaches. note   writes to the log of the app"""
        ...


class Nothing:
    """Implements both, for a process that has none of it."""

    def of(self, app: App, note: Callable[[Level, str], None]) -> Reached:
        return self

    async def ask(self, asked: OfReach) -> bytes:
        raise Unavailable("overloaded", "Mail, files and streams are not within reach here.")

    async def end(self, reason: str) -> None:
        """There is nothing to end."""
