"""Functions in the server's own process: for `trice dev --debug`, where a breakpoint stops in the
terminal, and for tests. The frames are the same, as bytes, without a socket between.

Nothing is isolated and nothing is ended by force: never for functions of strangers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol

from trice.calls.side import AppCode, CallRequest, CallSide
from trice.calls.workers.outcomes import broken, expect_args_fit, failure_of, frame_of
from trice.calls.workers.talk import Expired, Lost, Talk
from trice.functions import frames
from trice.functions.worker.calls import Calls
from trice.functions.worker.framing import dump_frame, server_reader, worker_reader
from trice.functions.worker.metering import Steps
from trice.runtime import Runtime


class Loading(Protocol):
    """`functions.loading`, or what tests have in its place."""

    LoadErrors: Any

    def load_program(self, path: Path, env: dict[str, str]) -> Any:
        """Load a project. raises   LoadErrors"""
        ...


@dataclass(slots=True)
class _Loaded:
    """A loaded bundle, in this process.

    app_id   whose; None while it was only checked
    """

    program: Any
    calls: Calls
    talks: dict[int, Talk]
    app_id: str | None = None


class LocalWorkers:
    """Runs calls on the loop that calls it. Holds what it loaded, by the folder of the bundle: what
    is in force for each app, and what was checked last.

    root          the folder to load in place of each bundle that is checked: that of a project
                  that is edited, where breakpoints were set
    has_deadline  whether calls that take too long are told to end; not while somebody debugs
    allows_private  whether `ctx.http` reaches addresses of a private network, too
    """

    def __init__(
        self,
        loading: Loading,
        *,
        runtime: Runtime,
        on_line: Callable[[str, str, str], None],
        root: Path | None = None,
        has_deadline: bool = True,
        allows_private: bool = False,
    ) -> None:
        self._loading = loading
        self._runtime = runtime
        self._on_line = on_line
        self._root = root
        self._has_deadline = has_deadline
        self._allows_private = allows_private
        self._loaded: dict[str, _Loaded] = {}
        self._numbers: Final = count(1)

    async def call(self, app: AppCode, call: CallRequest, side: CallSide) -> frames.Done:
        """See `Workers.call`."""
        expect_args_fit(call)
        loaded = self._find(app)
        number = next(self._numbers)
        reader = worker_reader()

        def send(data: bytes) -> None:
            for frame, _ in reader.feed(data):
                loaded.calls.take(frame)

        deadline_ms = self._runtime.monotonic_ms() + call.timeout_ms
        talk = Talk(number, side, send, deadline_ms=deadline_ms)
        loaded.talks[number] = talk
        late = asyncio.create_task(self._expire(talk, call)) if self._has_deadline else None
        outcome = None
        try:
            send(dump_frame(frame_of(number, call)))
            outcome = await talk.outcome()
        finally:
            del loaded.talks[number]
            if late is not None:
                late.cancel()
            if not isinstance(outcome, frames.Done | frames.Fail):
                send(dump_frame(frames.Cancel(call=number)))
        if isinstance(outcome, frames.Done):
            return outcome
        assert not isinstance(outcome, Lost), "there is no process that could end"
        raise failure_of(call, outcome)

    async def check(
        self, path: str, env: dict[str, str], packages: Path | None = None
    ) -> frames.Ready | frames.Broken:
        """Load a bundle, or the project that it was made of. It is there when it is called. What
        it imports is what this process can."""
        for key in [key for key, each in self._loaded.items() if each.app_id is None]:
            del self._loaded[key]
        try:
            loaded = self._load(path, self._root or Path(path), env)
        except self._loading.LoadErrors as failure:
            return frames.Broken(errors=list(failure.errors))
        return frames.Ready(functions=loaded.program.signatures, schema=loaded.program.schema)

    def drop(self, app_id: str) -> None:
        """Forget the code of an app. Calls under way go on."""
        for key in [key for key, each in self._loaded.items() if each.app_id == app_id]:
            del self._loaded[key]

    async def close(self) -> None:
        """End the calls that are under way."""
        for loaded in self._loaded.values():
            for talk in loaded.talks.values():
                talk.end(Expired.EXPIRED)
        self._loaded.clear()

    def _find(self, app: AppCode) -> _Loaded:
        """The code of an app. raises   Unavailable("functions-broken")"""
        path = str(app.path)
        loaded = self._loaded.get(path)
        if loaded is None:  # it was deployed before this process began
            try:
                loaded = self._load(path, app.path, app.env)
            except self._loading.LoadErrors as failure:
                raise broken(list(failure.errors)) from None
        if loaded.app_id is None:
            self.drop(app.app_id)  # what was in force before; its calls go on
            loaded.app_id = app.app_id
        loaded.program.env = app.env
        return loaded

    def _load(self, path: str, place: Path, env: dict[str, str]) -> _Loaded:
        """raises   LoadErrors"""
        program = self._loading.load_program(place, env)
        if self._allows_private:
            program.outgoing.allows_private = True
        talks: dict[int, Talk] = {}
        reader = server_reader()

        def send(frame: frames.ToServer) -> None:
            for again, size in reader.feed(dump_frame(frame)):
                if isinstance(again, frames.Log) and again.call == 0:
                    self._on_line(loaded.app_id or "", again.level, again.text)
                elif not isinstance(again, frames.Ready | frames.Broken | frames.Pong):
                    talk = talks.get(again.call)
                    if talk is not None:
                        talk.take(again, size)

        calls = Calls(program, send, steps=Steps(), threads=None, cpu_ms_max=float("inf"))
        loaded = self._loaded[path] = _Loaded(program, calls, talks)
        return loaded

    async def _expire(self, talk: Talk, call: CallRequest) -> None:
        await self._runtime.sleep_ms(call.timeout_ms)
        talk.end(Expired.EXPIRED)
