"""The Python client of trice: queries, transactions, functions and rooms, live, sync and async."""

from typing import TYPE_CHECKING, Any

from trice_client._aio import AsyncClient
from trice_client._async.platform import AsyncPlatform
from trice_client._errors import TriceError
from trice_client._refs import (
    ActionFunction,
    MutationFunction,
    Namespace,
    NoArgs,
    Page,
    PageArgs,
    QueryFunction,
)
from trice_client._sync.platform import Platform
from trice_client._threaded import Client
from trice_client._tx import Chunk, lookup, new_id, tx
from trice_client._users import SignedIn, User
from trice_client._version import __version__

if TYPE_CHECKING:
    from trice_client._async.typed import AsyncTyped
    from trice_client._live.room import Presence, Room, Topic, TopicMessage
    from trice_client._live.watch import Live, QueryAnswer
    from trice_client._sync.typed import Typed
    from trice_client._threaded import LiveIterator, RoomHandle

__all__ = [
    "ActionFunction",
    "AsyncClient",
    "AsyncPlatform",
    "AsyncTyped",
    "Chunk",
    "Client",
    "Live",
    "LiveIterator",
    "MutationFunction",
    "Namespace",
    "NoArgs",
    "Page",
    "PageArgs",
    "Platform",
    "Presence",
    "QueryAnswer",
    "QueryFunction",
    "Room",
    "RoomHandle",
    "SignedIn",
    "Topic",
    "TopicMessage",
    "TriceError",
    "Typed",
    "User",
    "__version__",
    "lookup",
    "new_id",
    "tx",
]

_LATER = {
    "AsyncTyped": "trice_client._async.typed",
    "Typed": "trice_client._sync.typed",
    **dict.fromkeys(("Presence", "Room", "Topic", "TopicMessage"), "trice_client._live.room"),
    **dict.fromkeys(("Live", "QueryAnswer"), "trice_client._live.watch"),
    **dict.fromkeys(("LiveIterator", "RoomHandle"), "trice_client._threaded"),
}
"""Types of what is live: only who names them pays for their import."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
