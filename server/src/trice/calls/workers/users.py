"""Which user of the machine the processes of an app run as (TRICE_FUNCTIONS_USER)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from trice import function_limits as limits
from trice.errors import InvalidInput, Unavailable

_FORM: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)
_MOST: Final = 2**32 - 2


class Users:
    """Gives each app a uid of a range, for as long as it has processes; or one uid to all. The last
    of a range is kept for bundles that are checked."""

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        self._by_app: dict[str, int] = {}

    @classmethod
    def parse(cls, text: str) -> Users:
        """raises   InvalidInput"""
        match = _FORM.fullmatch(text)
        first = int(match[1]) if match else 0
        last = int(match[2]) if match and match[2] else first
        if match and match[2] and first == last:
            last = -1  # a range has one for an app and one for checks
        if not 1 <= first <= last <= _MOST or last - first >= limits.UIDS_MAX:
            accepted = f"a uid, or a range of {limits.UIDS_MAX} at most: 20000-20999; never root's"
            raise InvalidInput(
                "param-malformed", f"--functions-user is {text!r}, but must be {accepted}."
            )
        return cls(first, last)

    @property
    def is_shared(self) -> bool:
        """Whether all apps have the same."""
        return self.first == self.last

    def uid_of(self, app_id: str, in_use: Iterable[str]) -> int:
        """The uid of an app.

        in_use   apps that have processes: the others' uids may be given away
        raises   Unavailable when there is none left
        """
        if self.is_shared:
            return self.first
        if app_id not in self._by_app:
            self._by_app[app_id] = self._free(in_use)
        return self._by_app[app_id]

    @property
    def check_uid(self) -> int:
        """Whom bundles are checked as."""
        return self.last

    def next_uid(self) -> int | None:
        """The uid that an app without one would get, if one was never given away."""
        return self.first if self.is_shared else self._unused()

    def _unused(self) -> int | None:
        given = set(self._by_app.values())
        return next((uid for uid in range(self.first, self.last) if uid not in given), None)

    def _free(self, in_use: Iterable[str]) -> int:
        uid = self._unused()
        if uid is not None:
            return uid
        kept = set(in_use)
        for app_id in self._by_app:
            if app_id not in kept:
                return self._by_app.pop(app_id)
        message = "All uids of --functions-user are in use by other apps."
        raise Unavailable("overloaded", message)


def find_unreadable(uid: int, paths: Iterable[str]) -> Path | None:
    """A folder or file that the user cannot read, among `paths` and the folders they are in. Looks
    at modes, for somebody who is neither the owner nor in the group unless it is the owner."""
    for path in paths:
        place = Path(path).resolve()
        for each in (place, *place.parents):
            found = os.stat(each)
            is_owner = found.st_uid == uid
            wanted = stat.S_IRUSR if is_owner else stat.S_IROTH
            if each.is_dir():
                wanted = stat.S_IXUSR if is_owner else stat.S_IXOTH
            if not found.st_mode & wanted:
                return each
    return None
