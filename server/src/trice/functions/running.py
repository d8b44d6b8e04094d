"""One call while it runs: what it read, wrote and looked at, and its way to the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from trice.functions.call_thread import CallThread, StartThread
from trice.functions.channel import Channel
from trice.functions.facts import Facts, UserRow
from trice.functions.frames import Call, Later
from trice.functions.function import Function
from trice.functions.hints import Hints
from trice.functions.outgoing import Outgoing
from trice.runtime import SeededRandom, seeded_uuid


class Registry(Protocol):
    """What a run knows of its program."""

    hints: Hints
    env: Mapping[str, str]
    outgoing: Outgoing
    start_thread: StartThread

    def blocking(self, ctx: Any) -> Any:
        """The ctx of `trice.sync` for that of the same call."""
        ...

    def encode_args(
        self, function: Function[..., Any], args: Any, kwargs: Any
    ) -> tuple[str, bytes]:
        """Name of a function, and arguments as JSON."""
        ...

    def encode_step(self, value: Any) -> bytes:
        """What a step returned, as JSON. raises   RefusedError("bad-result")"""
        ...

    def decode_step(self, work: Any, value: bytes) -> Any:
        """What a step returned, as its hint says."""
        ...

    def decode_result(self, function: Function[..., Any], value: bytes) -> Any:
        """What a function returned, from JSON."""
        ...


class Running:
    """One call. Its sub-calls share it.

    steps     what was written and not told yet
    sleeps    how often it slept under each name that it gave itself
    user_row  the caller's, once it was asked for
    at_end    called once the function has returned or raised
    """

    def __init__(self, call: Call, channel: Channel, program: Registry) -> None:
        self.call = call
        self.channel = channel
        self.program = program
        self.facts = Facts(call.caller)
        self.steps: list[Any] = []
        self.user_row: UserRow | None = None
        self.random = SeededRandom(f"{call.seed} random")
        self._ids = SeededRandom(f"{call.seed} ids")
        self._subs: list[object] = []
        self.sleeps: dict[str, int] = {}
        self.at_end: list[Callable[[], object]] = []
        self._has_page = False
        self._thread: CallThread | None = None

    @property
    def thread(self) -> CallThread:
        """The thread of its plain functions. It is there from the first one on."""
        if self._thread is None:
            self._thread = CallThread(self.program.start_thread)
        return self._thread

    def end(self) -> None:
        """The function has returned or raised: what tasks of it still do ends."""
        for each in self.at_end:
            each()

    def new_id(self) -> str:
        """The next id: the same ones at every try of one event id."""
        return seeded_uuid(self._ids)

    def now(self) -> datetime:
        """When this try began."""
        return datetime.fromtimestamp(self.call.now_ms / 1000, UTC)

    def scheduled_for(self) -> datetime:
        """The time that a job was meant for; of a call that is none, `now`."""
        meant_ms = self.call.scheduled_for_ms
        return self.now() if meant_ms is None else datetime.fromtimestamp(meant_ms / 1000, UTC)

    # --- reads and writes -------------------------------------------------------------------------

    async def read(self, query: Any, *, as_caller: bool) -> bytes:
        """Ask the server, once it knows what was written. raises   RefusedError"""
        if as_caller:
            self.facts.rights()
        self.flush()
        return await self.channel.read(self.call.call, query, as_caller=as_caller)

    async def page(
        self, query: dict[str, Any], *, size: int, after: str | None, as_caller: bool
    ) -> bytes:
        """Ask the server for the page of this run. raises   RefusedError"""
        if self._has_page:
            raise RuntimeError(
                "A run reads one page: a list is followed by its pages, each a run of its own. Use"
                " `find` with a limit for other rows"
            )
        self._has_page = True
        if as_caller:
            self.facts.rights()
        self.flush()
        return await self.channel.page(
            self.call.call, query, size=size, after=after, as_caller=as_caller
        )

    def write(self, scope: object, steps: list[Any]) -> None:
        """Note steps of a mutation.

        scope   the mutation that writes; while another one runs inside it, it may not
        """
        self._check_innermost(scope)
        self.steps += steps

    def later(self, scope: object, job: Later) -> None:
        """Schedule a job in the transaction of a mutation."""
        self._check_innermost(scope)
        self.channel.later(job)

    def _check_innermost(self, scope: object) -> None:
        innermost = self._subs[-1] if self._subs else None
        if scope is not innermost:
            raise RuntimeError(
                "A mutation writes nothing while a mutation that it runs is under way, as that may"
                " be undone: await its ctx.run first"
            )

    def flush(self) -> None:
        """Tell the server what was written."""
        if self.steps:
            steps, self.steps = self.steps, []
            self.channel.draft(self.call.call, steps)

    # --- mutations inside mutations ---------------------------------------------------------------

    def begin_sub(self, outer: object, scope: object) -> None:
        """Begin a savepoint for a mutation that `outer` runs."""
        if outer is not (self._subs[-1] if self._subs else None):
            raise RuntimeError(
                "Mutations that a mutation runs come one after the other: await each ctx.run"
            )
        self.flush()
        self.channel.sub(self.call.call)
        self._subs.append(scope)

    def end_sub(self, scope: object, *, is_kept: bool) -> None:
        """End it; if it is not kept, what it wrote is gone."""
        assert self._subs[-1] is scope
        if is_kept:
            self.flush()
        else:
            self.steps = []
        self._subs.pop()
        self.channel.sub_end(self.call.call, is_kept)
