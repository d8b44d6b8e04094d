"""`ctx`: what a function may do, by its kind. Each kind has only what that kind may do.

    all            user me ip origin env
    Query[Db]      db, which reads               run(query)             time
    Mutation[Db]   db, which reads and writes    run(query, mutation)   now random new_id later
    Action[Db]                                   run(query, mutation)   now random new_id later
                                                                        step sleep settle
                                                                        http mail files stream

The second parameter is the class of `ctx.user`, where an app adds to `Users`: `Query[Db, User]`.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, ParamSpec, cast

import msgspec

from trice.function_limits import RUN_DEPTH_MAX
from trice.functions.asleep import AsleepError
from trice.functions.channel import RefusedError
from trice.functions.durations import whole_ms
from trice.functions.facts import UserRow
from trice.functions.function import Function, FunctionError, MutationFunction, QueryFunction
from trice.functions.later import IfExists, Later, LaterNow, When, check_if_exists
from trice.functions.reaching import Files, Mail, StreamWriter, stream_values
from trice.functions.requests import Http
from trice.functions.running import Running
from trice.functions.settled import Settled, settle
from trice.functions.tables import Db
from trice.functions.values import check_text
from trice.runtime import SeededRandom
from trice.schema.declare import Id, Schema, Users

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    D = TypeVar("D", bound=Schema, covariant=True)
    U = TypeVar("U", bound=Users, default=Users, covariant=True)
else:
    from typing import TypeVar

    D = TypeVar("D")
    U = TypeVar("U")

K = TypeVar("K", bound=str)
P = ParamSpec("P")
R = TypeVar("R")


class Env(Mapping[str, str]):
    """The app's secrets and settings. One that is not set says how it is."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        if name not in self._values:
            told = f"{name} is not set for this app: `trice env set {name}`"
            raise KeyError(told)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


_REACHING: Final = dict.fromkeys(
    ("http", "mail", "files", "stream"),
    "is for actions: what a query or mutation did there could not be undone, and it may run several"
    " times",
)


class Context(Generic[D, U]):
    """What every function has. A helper that any kind may call takes a `Context[Db]`."""

    _told: ClassVar[Mapping[str, str]] = {}

    def __init__(self, running: Running, *, depth: int = 0) -> None:
        self._running = running
        self._depth = depth

    if not TYPE_CHECKING:

        def __class_getitem__(cls, params: Any) -> Any:
            """`Query[Db]` as well as `Query[Db, User]`."""
            listed = params if isinstance(params, tuple) else (params,)
            return types.GenericAlias(cls, listed)

        def __getattr__(self, name: str) -> Any:
            if name in _REACHING and name not in self._told:
                told = f"ctx.{name} {_REACHING[name]}"
            else:
                told = self._told.get(
                    name, f"The ctx of {_kind(type(self).__name__)} has no {name}"
                )
            raise AttributeError(told)

    @property
    def user(self) -> U | None:
        """The caller's row of `$users`; None: nobody is signed in."""
        running = self._running
        if not running.facts.is_signed_in():
            return None
        if running.user_row is not None:
            return cast(U, running.user_row)
        shape = running.program.hints.shapes.of(running.program.hints.model.entity("$users").cls)
        row = dict(running.call.caller.user or {})
        row |= {each.link.label: None for each in shape.below}
        (made,) = shape.made([row])
        labels = {"id": "id"} | {name: label for name, label, _ in shape.own}
        running.user_row = UserRow(running.facts, made, labels)
        return cast(U, running.user_row)

    @property
    def me(self) -> U:
        """`user`, or the error `signed-out`."""
        found = self.user
        if found is None:
            raise RefusedError("signed-out", "Sign in first: this is for users of the app.")
        return found

    @property
    def ip(self) -> str | None:
        """The caller's network address; None: the server itself calls."""
        found: str | None = self._running.facts.note("ip", self._running.call.caller.ip)
        return found

    @property
    def origin(self) -> str | None:
        """The origin of the page that calls, as its browser says."""
        found: str | None = self._running.facts.note("origin", self._running.call.caller.origin)
        return found

    @property
    def env(self) -> Mapping[str, str]:
        """The app's secrets and settings, by name."""
        return Env(self._running.program.env)

    async def call_blocking(self, body: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What a plain function returns, on the thread of this call."""
        running = self._running
        ctx = running.program.blocking(self)
        return await running.thread.work(lambda: body(ctx, *args, **kwargs))

    def _deeper(self) -> int:
        if self._depth >= RUN_DEPTH_MAX:
            raise RecursionError(f"Functions run each other {RUN_DEPTH_MAX} deep at most")
        return self._depth + 1


class Reader(Context[D, U]):
    """What queries and mutations share: a helper of both takes a `Reader[Db]`."""

    def __init__(self, running: Running, *, depth: int = 0) -> None:
        super().__init__(running, depth=depth)
        self._db = Db(running, scope=None)

    @property
    def db(self) -> D:
        """The tables. What a run reads, it reads from one snapshot."""
        return cast(D, self._db)

    async def run(self, f: QueryFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call another query, on the same snapshot."""
        if not isinstance(f, QueryFunction):
            raise _not_runnable(self, f, "queries")
        ctx: Query[Any, Any] = Query(self._running, depth=self._deeper())
        return await f(ctx, *args, **kwargs)


class Query(Reader[D, U]):
    """The `ctx` of a query: it only reads, and the same is read at the same facts."""

    _told: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("now", "random", "new_id"),
            "A query is live and runs again: it has no now, random or new_id, but"
            " ctx.time(every=…)",
        ),
        "later": "A query changes nothing: schedule work in a mutation or an action",
    }

    def time(self, *, every: timedelta) -> datetime:
        """The time, floored to a multiple of `every`; the query runs again at the next one."""
        every_ms = every // timedelta(milliseconds=1)
        if every_ms < 1:
            raise ValueError(f"every is a millisecond at least, not {every}")
        floored = self._running.call.now_ms // every_ms * every_ms
        self._running.facts.note(f"time.{every_ms}", floored)
        return datetime.fromtimestamp(floored / 1000, UTC)


class Mutation(Reader[D, U]):
    """The `ctx` of a mutation: one transaction. What it writes it sees, and nobody else until it is
    committed."""

    _told: ClassVar[Mapping[str, str]] = {
        "time": "ctx.time is for queries: a mutation has ctx.now",
        **dict.fromkeys(
            ("step", "sleep"), "ctx.step and ctx.sleep are for actions that run as jobs"
        ),
    }

    def __init__(self, running: Running, *, depth: int = 0, is_sub: bool = False) -> None:
        super().__init__(running, depth=depth)
        self._scope = self if is_sub else None
        self._db = Db(running, scope=self._scope, is_writing=True)

    @property
    def now(self) -> datetime:
        """When this try began, never before a row it can see."""
        return self._running.now()

    @property
    def random(self) -> SeededRandom:
        """Randomness that is the same at every try. Not for secrets."""
        return self._running.random

    def new_id(self) -> Id[Any]:
        """A fresh id, the same at every try."""
        return Id(self._running.new_id())

    @property
    def scheduled_for(self) -> datetime:
        """The time that this job was meant for; `now` in a call that is no job."""
        return self._running.scheduled_for()

    def later(
        self, when: When = None, /, *, key: str | None = None, if_exists: IfExists = "replace"
    ) -> Later:
        """A job, part of this transaction: `ctx.later(seconds(5)).run(f, …)`.

        when       how long from now, or the time; at once unless told
        key        at most one job with this key waits: a new one replaces it
        if_exists  "keep": the one that waits stays, and no other is made
        """
        return Later(self._running, when, key, check_if_exists(if_exists), self._scope)

    async def run(
        self,
        f: QueryFunction[P, R] | MutationFunction[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a query, which sees what was written, or a mutation within this one: if it raises,
        what it wrote is gone."""
        if isinstance(f, QueryFunction):
            return await super().run(f, *args, **kwargs)
        if not isinstance(f, MutationFunction):
            raise _not_runnable(self, f, "queries and mutations")
        ctx: Mutation[Any, Any] = Mutation(self._running, depth=self._deeper(), is_sub=True)
        self._running.begin_sub(self._scope, ctx)
        is_kept = False
        try:
            value = await f(ctx, *args, **kwargs)
            is_kept = True
        finally:
            self._running.end_sub(ctx, is_kept=is_kept)
        return value


class Action(Context[D, U]):
    """The `ctx` of an action: it has no transaction, so each function it runs has one."""

    _told: ClassVar[Mapping[str, str]] = {
        "db": "An action has no db, as it is no transaction: call a query or mutation with ctx.run",
        "time": "ctx.time is for queries: an action has ctx.now",
    }

    def __init__(self, running: Running, *, depth: int = 0) -> None:
        super().__init__(running, depth=depth)
        self._streams = count(1)

    @cached_property
    def http(self) -> Http:
        """Requests to others: `await ctx.http.post(url, json={…})`."""
        return Http(self._running, self._running.program.outgoing)

    @cached_property
    def mail(self) -> Mail:
        """E-mail: `await ctx.mail.send(to, subject=…, text=…)`."""
        return Mail(self._running)

    @cached_property
    def files(self) -> Files:
        """Files of the app: `await ctx.files.upload(path, data)`."""
        return Files(self._running)

    def stream(
        self,
        *,
        link: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> StreamWriter:
        """Text that many read while it comes: `async with ctx.stream(link={"message": id}) as out`,
        then `await out.write(text)`. It is done after the block, and aborted if that raises, or the
        action ends in any other way.

        link    links of its row of `$streams`, by their names there: an id, or a list of ids
        values  attributes of the app's own
        name    its `clientId`, by which clients may read it too; a new one unless told. One that is
                there already is the error `stream-conflict`
        """
        made = stream_values(self._running, link or {}, values or {})
        return StreamWriter(self._running, next(self._streams), name=name, values=made)

    async def settle(
        self,
        work: Mapping[K, Awaitable[R]],
        *,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109
    ) -> dict[K, Settled[R]]:
        """Wait for several things at once: `{"a": ctx.http.get(…), "b": …}`.

        timeout  seconds for all of them; what is not done then is cancelled
        returns  of each name its `value`, or the `error`; `value` raises that
        """
        return await settle(work, timeout=timeout)

    @property
    def now(self) -> datetime:
        """When the action began."""
        return self._running.now()

    @property
    def random(self) -> SeededRandom:
        """Randomness that is the same at every attempt. Not for secrets."""
        return self._running.random

    def new_id(self) -> Id[Any]:
        """A fresh id, the same at every attempt."""
        return Id(self._running.new_id())

    @property
    def scheduled_for(self) -> datetime:
        """The time that this job was meant for; `now` in a call that is no job."""
        return self._running.scheduled_for()

    def later(
        self, when: When = None, /, *, key: str | None = None, if_exists: IfExists = "replace"
    ) -> LaterNow:
        """A job in a transaction of its own: `await ctx.later(seconds(5)).run(f, …)`. Arguments as
        in a mutation."""
        return LaterNow(self._running, when, key, check_if_exists(if_exists))

    async def step(
        self, name: str, work: Callable[..., Any], /, *args: Any, once: bool = False, **kwargs: Any
    ) -> Any:
        """Do something once it is recorded: a later attempt of this job returns what it returned.

        name   of the step, unique in the job; a deploy may add, drop or move steps
        work   a query or mutation, or any function; called with the other arguments
        once   if it began and was not recorded, it does not run again: the job fails with
               `step-unknown`
        """
        known = await self.begin_step(name, is_once=bool(once))
        if known is None:
            known = await self.end_step(name, await self._do(work, args, kwargs))
        return self._running.program.decode_step(work, known)

    async def begin_step(self, name: str, *, is_once: bool) -> bytes | None:
        """The recorded result of a step as JSON; None: it is to be done now."""
        check_text("The name of a step", name)
        running = self._running
        return decode_known(await running.channel.step(running.call.call, name, is_once=is_once))

    async def end_step(self, name: str, value: Any) -> bytes:
        """Record the result of a step; returns it as JSON."""
        running = self._running
        known = running.program.encode_step(value)
        await running.channel.step_done(running.call.call, name, known)
        return known

    async def _do(self, work: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if isinstance(work, Function):
            return await self.run(cast(Any, work), *args, **kwargs)
        found = work(*args, **kwargs)
        return await found if inspect.isawaitable(found) else found

    async def sleep(self, duration: timedelta, /, *, name: str | None = None) -> None:
        """Let the job rest this long, for days if need be: its process is free meanwhile, and the
        job begins again from its recorded steps.

        name   which sleep of the job this is; else its length, and how many of that length came
               before
        """
        if not isinstance(duration, timedelta):
            told = f"such as days(3), not {duration!r:.60}"
            raise TypeError(f"ctx.sleep takes a length of time, {told}")
        if name is not None:
            check_text("name= of ctx.sleep", name)
        running, duration_ms = self._running, whole_ms(duration)
        if name is None:
            number = running.sleeps[str(duration_ms)] = running.sleeps.get(str(duration_ms), 0) + 1
            name = f"sleep {duration_ms} {number}"
        if not await running.channel.sleep(running.call.call, name, duration_ms):
            raise AsleepError

    async def run(
        self,
        f: QueryFunction[P, R] | MutationFunction[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a query or mutation, each with a snapshot or transaction of its own."""
        if not isinstance(f, (QueryFunction, MutationFunction)):
            raise _not_runnable(self, f, "queries and mutations")
        program = self._running.program
        name, encoded = program.encode_args(f, args, kwargs)
        try:
            answer = await self._running.channel.run(self._running.call.call, name, encoded)
        except RefusedError as failure:
            if failure.code != "function-error":
                raise
            told = failure.hint
            raise FunctionError(told["code"], failure.message, data=told.get("data")) from None
        result: R = program.decode_result(f, answer)
        return result


def decode_known(answer: bytes) -> bytes | None:
    """The recorded result of a step as JSON; None: it is not recorded."""
    known: dict[str, msgspec.Raw] = _known.decode(answer)
    return bytes(known["value"]) if "value" in known else None


_known: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _not_runnable(ctx: Context[Any, Any], f: Any, accepted: str) -> TypeError:
    shown = _kind(f.kind) if isinstance(f, Function) else f"{f!r}, which is no function of the app"
    return TypeError(f"ctx.run of {_kind(type(ctx).__name__)} takes {accepted}, not {shown}")


def _kind(name: str) -> str:
    """`an action`, `a query`."""
    return f"{'an' if name[0] in 'Aa' else 'a'} {name.lower()}"
