"""What sign-ins return, and who was verified lately. No I/O."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import NotRequired, TypedDict

from trice_client._errors import TriceError

_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
VERIFIED_MAX = 10_000
"""How many users are remembered; beyond it, who was verified longest ago is asked for again."""


class User(TypedDict):
    """A row of `$users`, with a token where one was made."""

    id: str
    email: str | None
    refresh_token: str
    type: NotRequired[str]
    imageURL: NotRequired[str | None]


class SignedIn(TypedDict):
    """Who signed in; `created` says that the user is new."""

    user: User
    created: NotRequired[bool]


class Verified:
    """Whose tokens the server accepted, and when. Refusals are not remembered. For any thread.

    now_s   a clock that does not go back
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], tuple[float, User]] = {}

    def find(self, app_id: str, token: str, *, max_age_s: float) -> User | None:
        """The user of a token, if it was accepted within so many seconds."""
        with self._lock:
            known = self._found.get((app_id, token))
        if known is None or self._now_s() - known[0] >= max_age_s:
            return None
        return known[1].copy()

    def note(self, app_id: str, user: User) -> None:
        """The server accepted the user's token."""
        key = (app_id, user["refresh_token"])
        with self._lock:
            self._found.pop(key, None)
            if len(self._found) >= VERIFIED_MAX:
                del self._found[next(iter(self._found))]
            self._found[key] = (self._now_s(), user.copy())

    def forget(self, app_id: str, token: str) -> None:
        """The server did not accept it."""
        with self._lock:
            self._found.pop((app_id, token), None)


def token_in(authorization: str | None) -> str:
    """The token of a header `Bearer …`, or of a text that is one.

    raises   TriceError("token-rejected")
    """
    kind, _, token = (authorization or "").strip().rpartition(" ")
    if kind.strip().lower() in ("", "bearer") and _UUID.fullmatch(token):
        return token.lower()
    raise rejected("There is no token: send `Authorization: Bearer <refresh token>`.")


def rejected(why: str) -> TriceError:
    """The error of a token that is nobody's."""
    return TriceError("token-rejected", why, status=401)
