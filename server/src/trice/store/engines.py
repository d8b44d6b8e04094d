"""The contract of where a server keeps its apps: it makes, opens and deletes the storage of each.

`server.py` alone says which implementation there is. What is open, and who uses it, `apps` knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from trice.catalog.attr import Attr
from trice.protocol.ids import AppId
from trice.store.engine import Engine

PLATFORM: Final = AppId("platform")
"""The platform's own database: which apps there are. Kept like an app, but not among them."""

NEW_PLATFORM: Final = AppId("platform-new")
"""The one that takes its place (`EarlierPlatform`)."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What one app may hold.

    rows    of namespaces, and pairs of links, all together
    bytes   that its storage takes, the log of transactions included
    """

    rows: int
    bytes: int


class EarlierPlatform(Protocol):
    """The list of apps, in a form that versions before this one gave it. Its methods block."""

    def apps(self, *, after: str, count: int) -> list[dict[str, Any]]:
        """The fields of `$apps`, by id, of `count` apps at most whose ids come after this one.

        raises  Unavailable("data-unusable")
        """
        ...

    def replace(self) -> None:
        """Put NEW_PLATFORM, which is closed, in the place of PLATFORM, all at once; what that was
        stays as a backup.

        raises  Unavailable, OSError: then PLATFORM is as it was
        """
        ...


class Engines(Protocol):
    """All storage of one server, claimed for this process until it is closed.

    Holds no engine: whoever opened one closes it, and nobody opens an app twice at a time.
    """

    def open(
        self,
        app_id: AppId,
        system_attrs: Iterable[Attr],
        *,
        is_new: bool,
        quota: Quota | None = None,
    ) -> Engine:
        """Open an app's storage, or make it. Blocks: for a thread, with a loop that runs.

        app_id        of an app, or PLATFORM, or NEW_PLATFORM
        system_attrs  attrs every app has; the ones that are lacking are added
        is_new        make it; else it must be there, and hold an app
        quota         how much it may hold; None: what there is room for
        raises        Unavailable("data-unusable") when it is missing, damaged, or of a version that
                      this server does not know, ("overloaded") when there is no room
        """
        ...

    def has_any(self) -> bool:
        """Whether anything is kept for any app; PLATFORM is none."""
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

    def close(self) -> None:
        """Let another process have the storage. Every engine is closed by then."""
        ...
