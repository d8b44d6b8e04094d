"""What a function that runs may ask of the server, and how the server refuses.

Two things are a channel: the socket of a worker, and a test's or `trice dev --debug`'s own process.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from trice.functions.frames import Later, OfReach, Pairs

Level = Literal["debug", "info", "warning", "error"]


class RefusedError(Exception):
    """What a function asked for was refused, or what a call is refused with.

    code      a code of trice: `permission-denied`, `too-many-rows`, `signed-out`, …
    message   one sentence
    hint      JSON for programs
    """

    def __init__(self, code: str, message: str, hint: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class Channel(Protocol):
    """The server, as one call sees it. `call` is the number of the call in its `frames.Call`.

    The order of calls is that of the program: what was drafted before a read is seen by it.
    """

    async def read(self, call: int, query: Any, *, as_caller: bool) -> bytes:
        """Answer InstaQL from the snapshot of the call, with what it drafted.

        returns  JSON of the nested result; a link to at most one entity is an object or null
        raises   RefusedError
        """
        ...

    async def page(
        self, call: int, query: dict[str, Any], *, size: int, after: str | None, as_caller: bool
    ) -> bytes:
        """Answer with a page of one form, as `read` answers.

        returns  JSON: `{"next", "most", "answer"}`, see `frames.Page`
        raises   RefusedError
        """
        ...

    def draft(self, call: int, steps: list[Any]) -> None:
        """Note steps of the admin API. What is wrong with them is told by the next `read`, or at
        the end of the call."""
        ...

    def sub(self, call: int) -> None:
        """Begin a savepoint: all that was written before has been drafted."""
        ...

    def sub_end(self, call: int, is_kept: bool) -> None:
        """End the newest savepoint; if it is not kept, drafts since it are undone."""
        ...

    async def run(self, call: int, function: str, args: bytes) -> bytes:
        """Run a query or mutation for an action, each by itself.

        args     JSON object
        returns  JSON of its result
        raises   RefusedError; `function-error` has `{"code", "data"}` as its hint
        """
        ...

    def later(self, job: Later) -> None:
        """Schedule a job in the transaction of a mutation. What is wrong with it fails the call."""
        ...

    async def later_now(self, job: Later) -> None:
        """Schedule a job for an action; it is durable when this returns. raises   RefusedError"""
        ...

    async def step(self, call: int, name: str, *, is_once: bool) -> bytes:
        """Begin a step of a job.

        returns  JSON: `{"value": …}` if it is recorded, else `{}`
        raises   RefusedError("step-unknown"): it began before, and is not recorded
        """
        ...

    async def step_done(self, call: int, name: str, value: bytes) -> None:
        """Record what a step returned. raises   RefusedError"""
        ...

    async def reply(
        self, call: int, status: int, headers: Pairs, body: bytes, *, is_stream: bool
    ) -> None:
        """Answer the request of an endpoint: with all of the body, or with `piece`s that follow.

        raises   RefusedError for an answer that may not be
        """
        ...

    async def piece(self, call: int, data: bytes) -> None:
        """The next piece, of endpoint_limits.PIECE_BYTES_MAX at most. Returns when the client's
        socket took it. raises   RefusedError"""
        ...

    async def sleep(self, call: int, name: str, duration_ms: int) -> bool:
        """Whether this much time has passed since a job asked for the first time; if not, the
        call has to end. raises   RefusedError"""
        ...

    async def reach(self, call: int, asked: OfReach) -> bytes:
        """Have the server do something for an action. raises   RefusedError

        asked    without call and number
        returns  see each frame
        """
        ...

    def reach_untold(self, call: int, asked: OfReach) -> None:
        """The same, of which nobody is told what became of it. Once the call has ended, nothing."""
        ...

    def log(self, call: int, level: Level, text: str) -> None:
        """Write a line to the app's log."""
        ...
