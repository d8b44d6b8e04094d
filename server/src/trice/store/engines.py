"""The contract of where a server keeps its apps: it makes, opens and deletes the storage of each.

`server.py` alone names the implementation. `apps` knows which databases are open and in use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

from trice.catalog.attr import Attr
from trice.loop_shares import LoopShare
from trice.protocol.ids import AppId
from trice.store.engine import Engine
from trice.store.loading import Loading
from trice.store.quota import Quota

PLATFORM: Final = AppId("platform")
"""The platform's own database: which apps there are. Kept like an app, but not among them."""

NEW_PLATFORM: Final = AppId("platform-new")
"""The platform's database while it is being made from an earlier form (`EarlierPlatform`)."""


class EarlierPlatform(Protocol):
    """The list of apps in the form of an earlier version. Its methods block."""

    def apps(self, *, after: str, count: int) -> list[dict[str, Any]]:
        """The fields of `$apps` for at most `count` apps whose ids come after this one, by id.

        raises  Unavailable("data-unusable")
        """
        ...

    def replace(self) -> None:
        """Put NEW_PLATFORM, which is closed, in the place of PLATFORM in one step. The former
        PLATFORM stays as a backup.

        raises  Unavailable, OSError: then PLATFORM is unchanged
        """
        ...


class Engines(Protocol):
    """All storage of one server, claimed for this process until it is closed.

    Holds no engine: the caller that opened an engine closes it, and never opens an app twice at
    the same time.
    """

    def open(
        self,
        app_id: AppId,
        system_attrs: Iterable[Attr],
        *,
        is_new: bool,
        quota: Quota | None = None,
        share: LoopShare | None = None,
    ) -> Engine:
        """Open an app's storage, or make it. Blocks: call it on a thread while a loop runs.

        app_id        an app's id, PLATFORM or NEW_PLATFORM
        system_attrs  attrs every app has; missing ones are added
        is_new        make the storage; else it must be there, and hold an app
        quota         how much it may hold; None: as much as there is room for
        share         of the event loop, beside other apps; None: nobody else needs it
        raises        Unavailable("data-unusable") when it is missing, damaged, or of a version that
                      this server does not know, ("overloaded") when there is no room
        """
        ...

    def has_any(self) -> bool:
        """Whether anything is kept for any app; PLATFORM does not count."""
        ...

    def has(self, app_id: AppId) -> bool:
        """Whether anything is kept for an app."""
        ...

    def find_earlier_platform(self) -> EarlierPlatform | None:
        """PLATFORM, if an earlier version kept it in another form. Blocks."""
        ...

    def place(self, app_id: AppId) -> str:
        """Where an app is kept, for the log. Callers of the server are never told."""
        ...

    def delete(self, app_id: AppId) -> None:
        """Delete all that is kept for an app that is closed; nothing if there is nothing."""
        ...

    def load(self, app_id: AppId, *, keeps: bool = False) -> Loading:
        """Begin to fill an app out of sight, or go on (`Loading.kept`).

        keeps    what is done lasts (`Filling.keep`); if not, nothing of it outlives a stop
        raises   Unavailable("overloaded") while another process loads the same app, OSError
        """
        ...

    def is_loading(self, app_id: AppId) -> bool:
        """Whether something of an app is kept for a loading that goes on later."""
        ...

    def unsettled(self) -> list[tuple[AppId, bytes]]:
        """Complete and remove what loadings left that a stop interrupted; return the ids and notes
        of those that were published. `settle` must follow once each is in the list of apps."""
        ...

    def settle(self, app_id: AppId) -> None:
        """An app of `unsettled` is listed."""
        ...

    def close(self) -> None:
        """Let another process have the storage. Every engine must be closed before."""
        ...
