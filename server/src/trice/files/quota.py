"""How many bytes the files of apps have, with what uploads are about to add.

The rows of an app are summed up once, in a transaction, so that it is known which commits the sum
has; later commits add what they change. So an upload costs the same, however many files there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from trice import file_limits as limits
from trice.apps.apps import App
from trice.database import Change
from trice.errors import LimitExceeded
from trice.files.rows import FILES
from trice.protocol.ids import AppId
from trice.shares import Shares
from trice.store.commit import Commit

_SUM: Final = {FILES: {"$": {"aggregate": {"sum": "size"}}}}


@dataclass(slots=True)
class Room:
    """How many bytes one upload has reserved in an app."""

    app_id: AppId
    bytes: int = 0


@dataclass(slots=True)
class _Counted:
    """bytes   of all files, by the commits before the transaction `since` and by those noted"""

    bytes: int
    since: int


class Quota:
    """Holds the sums of apps that were asked for, and forgets them when they are too many.

    reserved   bytes that each app is about to have: of unfinished uploads, and of those being
               stored. Whoever counts some there gives them back
    """

    def __init__(self, reserved: Shares) -> None:
        self.reserved = reserved
        self._counted: dict[AppId, _Counted] = {}

    async def load(self, app: App) -> None:
        """Sum up the files of an app, unless that is done. Comes before `check`."""
        if app.id in self._counted:
            return
        if len(self._counted) >= limits.QUOTA_APPS_MAX:
            self._counted.clear()

        def count(change: Change) -> None:
            found: dict[str, Any] = change.find(_SUM)
            total = int(found[FILES]["sum"]["size"] or 0)
            self._counted[app.id] = _Counted(total, change.tx)

        try:
            await app.database.change(count)
        except BaseException:
            self._counted.pop(app.id, None)
            raise

    def note(self, app_id: AppId, commits: Iterable[Commit]) -> None:
        """Add what commits have changed."""
        counted = self._counted.get(app_id)
        if counted is not None:
            counted.bytes += sum(_more(each) for each in commits if each.tx >= counted.since)

    def take(self, app: App, room: Room, size: int, old_size: int) -> None:
        """Reserve room for a file that takes the place of another, until `give_back`. Twice is
        once. Raises as `check`."""
        self.check(app, size - old_size, reserved=room.bytes)
        self.reserved.add(size - room.bytes, [app.id])
        room.bytes = size

    def give_back(self, room: Room) -> None:
        """End what `take` began: the commits tell of the file now, or there is none."""
        self.reserved.give_back(room.bytes, [room.app_id])
        room.bytes = 0

    def check(self, app: App, more: int, *, reserved: int = 0) -> None:
        """Refuse bytes beyond what the files of an app may have together.

        reserved   how many of `more` `self.reserved` counts already
        raises     LimitExceeded("app-quota-exceeded")
        """
        counted = self._counted.get(app.id)
        used = (counted.bytes if counted else 0) + self.reserved.used(app.id) - reserved
        most = app.allowed.file_bytes
        if most is not None and used + more > most:
            raise LimitExceeded(
                "app-quota-exceeded",
                f"The files of this app would have {used + more:,} bytes, and {most:,} are the"
                f" most. Delete some{app.allowed.advice}.",
                {"quota": "file-bytes", "current": used, "limit": most},
            )

    async def used(self, app: App) -> int:
        """How many bytes the files of an app have, without what uploads are about to add."""
        await self.load(app)
        return self._counted[app.id].bytes


def _more(commit: Commit) -> int:
    """By how many bytes the files have grown."""
    attr = commit.catalog.find_forward(FILES, "size")
    assert attr is not None, "a system attr is missing"
    return sum(
        _size(change.new, attr.id) - _size(change.old, attr.id)
        for change in commit.entities
        if change.etype == FILES
    )


def _size(row: Any, attr_id: Any) -> int:
    return 0 if row is None else int(row.cells.get(attr_id) or 0)
