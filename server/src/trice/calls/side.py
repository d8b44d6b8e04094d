"""What a call of a function is, and what the server does for it while it runs. No I/O of its own:
`CallSide` is implemented by who holds the app's data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from trice.errors import FunctionFailed
from trice.functions import frames
from trice.functions.signature import Kind
from trice.protocol.errors import CODES

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class AppCode:
    """The functions of an app, as one version of them.

    app_id       whose
    bundle_hash  sha256 of the bundle
    path         folder of the unpacked bundle, which nobody changes any more
    env          the app's secrets by name
    version      differs whenever anything of this does: processes of another version end
    memory_mb    what a process may take; the operator's bound applies beside
    packages     folder of the packages of its lock; None: it imports what the server has
    """

    app_id: str
    bundle_hash: str
    path: Path
    env: dict[str, str] = field(default_factory=dict, repr=False)
    version: int = 0
    memory_mb: int | None = None
    packages: Path | None = None


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call.

    function    its name
    kind        decides which processes it runs in
    args        JSON, as it came; checked by the process
    caller      who asks
    now_ms      `ctx.now`
    seed        of randomness and ids: the same for every try of one event id
    trace       W3C trace id, 32 hex digits
    timeout_ms  how long it may take, from when it has a process
    is_isolated it has a process for itself
    scheduled_for_ms   of a job: the time it was meant for
    request     of an endpoint: what it is asked
    """

    function: str
    kind: Kind
    args: bytes
    caller: frames.Caller
    now_ms: int
    seed: str
    trace: str
    timeout_ms: int
    is_isolated: bool = False
    scheduled_for_ms: int | None = None
    request: frames.HttpRequest | None = None

    @property
    def is_pure(self) -> bool:
        """Whether it has no effect before it returns, so that it may begin again elsewhere."""
        return self.kind in ("query", "mutation")


class CallSide(Protocol):
    """What one call asks of the server. A TriceError that `read` or `run` raises is told to the
    function, which may catch it; one of the others ends the call.

    Calls come in the order in which the function made them, one at a time; only `run` and `reach`
    of an action may be at once.
    """

    async def read(self, query: Any, as_caller: bool) -> bytes:
        """Answer an InstaQL query: JSON of the nested result with inference."""
        ...

    async def page(self, asked: frames.Page) -> bytes:
        """Answer with a page: see `frames.Page`."""
        ...

    def draft(self, steps: list[Any]) -> None:
        """Note steps of the admin API."""
        ...

    def sub(self) -> None:
        """A mutation within the mutation begins."""
        ...

    def sub_end(self, is_kept: bool) -> None:
        """It ended; what was drafted since its `sub` stays, or is undone."""
        ...

    async def run(self, function: str, args: bytes) -> bytes:
        """Run a query or mutation for an action."""
        ...

    def later(self, job: frames.Later) -> None:
        """A mutation schedules a job, in its transaction."""
        ...

    async def later_now(self, job: frames.Later) -> None:
        """An action schedules a job, which is durable when this returns."""
        ...

    async def step(self, name: str, is_once: bool) -> bytes:
        """A step of a job begins: JSON of `{"value": …}` if it is recorded, else `{}`."""
        ...

    async def step_done(self, name: str, value: bytes) -> None:
        """It returned: record it."""
        ...

    async def sleep(self, name: str, duration_ms: int) -> bytes:
        """A job waits: `true` when that time has passed; at `false` the call ends."""
        ...

    async def reach(self, asked: frames.OfReach) -> bytes:
        """An action has the server send mail, keep a file, write a stream."""
        ...

    async def reply(self, reply: frames.Reply) -> None:
        """An endpoint answers its request."""
        ...

    async def piece(self, data: bytes) -> None:
        """The next piece of a stream; returns when the socket took it."""
        ...

    def log(self, level: Level, text: str) -> None:
        """Note a line that the call wrote. Bounded by the caller (function_limits)."""
        ...

    async def restart(self) -> None:
        """Forget everything that the call read and drafted: its process ended, and the call, which
        is a query or mutation, begins again in another one."""
        ...


class CallFailed(FunctionFailed):
    """A function raised, or was refused. `fail` is all that its process said of it.

    kind   that of its code
    hint   of `function-error` `{"code", "data"}`: what the FunctionError said
    """

    def __init__(self, fail: frames.Fail) -> None:
        code = fail.code if fail.code in CODES else "function-failed"
        self.kind = CODES[code].kind  # type: ignore[misc]  # it is of a class elsewhere
        hint = fail.data if isinstance(fail.data, dict) else {}
        super().__init__(code, fail.message, hint)
        self.fail = fail


class RunsCalls(Protocol):
    """What runs functions: processes (`workers.Workers`), or this one (`workers.LocalWorkers`)."""

    async def call(self, app: AppCode, call: CallRequest, side: CallSide) -> frames.Done:
        """Run a function to its end. See `Workers.call` for what is raised."""
        ...

    async def check(
        self, path: str, env: dict[str, str], packages: Path | None = None
    ) -> frames.Ready | frames.Broken:
        """Load a bundle, and tell what is in it. packages   as `AppCode.packages`"""
        ...

    def drop(self, app_id: str) -> None:
        """Forget the code of an app; calls under way end first."""
        ...

    async def close(self) -> None:
        """End everything."""
        ...
