"""What is known of one function without running it: what its worker tells the server, what a bundle
keeps, what discovery and generators of clients read. No I/O.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

Kind = Literal["query", "mutation", "action", "endpoint"]
KINDS_SHOWN: Final[dict[Kind, str]] = {
    "query": "a query",
    "mutation": "a mutation",
    "action": "an action",
    "endpoint": "an endpoint",
}
Auth = Literal["none", "optional", "user", "admin"]


Missed = Literal["once", "skip", "all"]


class RetryPlan(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """How a job of an action is tried again: at least once instead of at most once.

    times      how often after the first try
    first_ms   before the second try; each further wait is `factor` times as long, `most_ms` at most
    jitter     each wait is longer or shorter by a random part of it, up to this: 0 to 1
    """

    times: int
    first_ms: int = 1_000
    factor: float = 2.0
    most_ms: int = 3_600_000
    jitter: float = 0.2


class Schedule(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """When a function runs by itself: an expression of cron in a time zone, or every so often.

    missed   of the times at which no server ran: "once" (the latest), "skip", "all" (oldest first)
    """

    cron: str | None = None
    tz: str = "UTC"
    every_ms: int | None = None
    missed: Missed = "once"

    def text(self) -> str:
        """The same text for the same schedule."""
        if self.every_ms is not None:
            return f"every {self.every_ms} {self.missed}"
        return f"{self.cron} {self.tz} {self.missed}"


class Route(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Where an endpoint is: below `/http/APP`.

    method   "POST"
    path     "/orders/{order}", as `functions/paths.py` reads it
    cors     origins whose pages may ask it; "*" is all of them
    """

    method: str
    path: str
    cors: tuple[str, ...] = ()


class HookPlan(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Which changes of rows a function follows.

    update   labels of which one changed; None: whatever changed; empty: none
    stop     it waits at a change that fails, instead of parking it
    """

    namespace: str
    create: bool = False
    update: tuple[str, ...] | None = ()
    delete: bool = False
    stop: bool = False

    def text(self) -> str:
        """What it follows, for people: `create, update of text, delete`."""
        named = "update" if self.update is None else f"update of {' or '.join(self.update)}"
        parts = [(self.create, "create"), (self.update != (), named), (self.delete, "delete")]
        return ", ".join(word for is_wanted, word in parts if is_wanted)


class Signature(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """One function as its callers see it.

    name         module path and name: `messages.recent`
    kind         what it may do
    is_internal  only other functions, jobs and admins may call it
    auth         who may call it; None: anybody
    rate         as written, `10/minute per user`; None: as often as they like
    timeout_ms   how long a call may take; None: that of its kind (`function_limits`)
    args         JSON Schema 2020-12 of the arguments: an object
    result       JSON Schema of what it returns
    types        the same with names, for generators of clients: see `functions/types.py`
    doc          its docstring; "" if it has none
    file, line   where it is defined, below the project's root
    also         other names it is called by
    ignores      arguments that it had once, and drops
    lists        paths to lists of objects with `id` in what it returns, for deltas: `""` is the
                 value itself, `items` its key
    retry        of an action: how its jobs are tried again
    schedule     when it runs by itself
    route        of an endpoint: where it is
    hook         which changes it follows
    is_isolated  of an action: each call has a process for itself
    """

    name: str
    kind: Kind
    is_internal: bool = False
    auth: Auth | None = None
    rate: str | None = None
    timeout_ms: int | None = None
    args: dict[str, Any]
    result: dict[str, Any]
    types: dict[str, Any] = {}
    doc: str = ""
    file: str = ""
    line: int = 0
    also: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    retry: RetryPlan | None = None
    schedule: Schedule | None = None
    route: Route | None = None
    hook: HookPlan | None = None
    is_isolated: bool = False
