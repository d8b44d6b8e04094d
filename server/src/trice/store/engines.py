"""The contract of where a server keeps its apps: it makes, opens and deletes the storage of each.

`server.py` alone says which implementation there is. What is open, and who uses it, `apps` knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from trice.catalog.attr import Attr
from trice.protocol.ids import AppId
from trice.store.engine import Engine


@dataclass(frozen=True, slots=True)
class Quota:
    """What one app may hold.

    rows    of namespaces, and pairs of links, all together
    bytes   that its storage takes, the log of transactions included
    """

    rows: int
    bytes: int


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

        system_attrs  attrs every app has; the ones that are lacking are added
        is_new        make it; else it must be there, and hold an app
        quota         how much it may hold; None: what there is room for
        raises        Unavailable("data-unusable") when it is missing, damaged, or of a version that
                      this server does not know, ("overloaded") when there is no room
        """
        ...

    def has_any(self) -> bool:
        """Whether anything is kept for any app."""
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
