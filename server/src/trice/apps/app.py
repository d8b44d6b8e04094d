"""One app in use, and the error for a token that is not its own."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trice.apps.meters import Meter
from trice.apps.quotas import Allowed
from trice.apps.registry import AppRow, hash_token
from trice.apps.settings import Settings
from trice.database import Database
from trice.errors import NotFound, Unavailable
from trice.loop_shares import LoopShare
from trice.protocol.ids import AppId, find_uuid_bytes


def wrong_admin_token() -> NotFound:
    """The error for an admin token that is not the app's, and for any token of an unknown app."""
    return NotFound(
        "record-not-found",
        "Record not found: app-admin-token. There is no app with this id and this admin token.",
        {
            "record-type": "app-admin-token",
            "args": [],
            "message": "There is no app with this id and this admin token.",
        },
    )


def stopping() -> Unavailable:
    """The error for what comes while the server stops."""
    return Unavailable("overloaded", "The server is stopping; try again in a moment.")


@dataclass(frozen=True, slots=True)
class Beside:
    """What else the transaction that changes an app writes.

    steps    on the platform's database
    on_done  called once it is durable, in the turn of the loop in which the change is in force;
             also if the caller has left
    """

    steps: Sequence[Any]
    on_done: Callable[[], None]


NOTHING_BESIDE: Final = Beside((), lambda: None)


@dataclass(slots=True, eq=False)
class App:
    """An app in use.

    allowed        the quotas in force
    meter          counts what is asked of it
    users          how many sessions and requests hold it; at 0 its database may be closed
    sockets        how many sessions among them
    unused         set when `users` becomes 0, for who waits to close it; None: nobody does
    idle_since_ms  when `users` became 0, by monotonic_ms
    """

    row: AppRow
    database: Database
    allowed: Allowed
    meter: Meter
    users: int = 0
    unused: asyncio.Event | None = None
    sockets: int = 0
    idle_since_ms: float = 0

    @property
    def id(self) -> AppId:
        return self.row.id

    @property
    def share(self) -> LoopShare:
        """What it takes of the event loop."""
        return self.database.share

    @property
    def title(self) -> str:
        return self.row.title

    def check_admin_token(self, token: Any) -> None:
        """Raise unless `token` is this app's admin token. It is compared in constant time."""
        if find_uuid_bytes(token) is None or not hmac.compare_digest(
            hash_token(token), self.row.admin_token_hash
        ):
            raise wrong_admin_token()

    @property
    def is_ephemeral(self) -> bool:
        """Whether it is a throw-away app, which anybody may have made."""
        return self.row.expires_ms is not None

    @property
    def settings(self) -> Settings:
        """The settings of its developer."""
        return self.row.settings
