"""`ctx` of plain functions: the words of `contexts`, which block in place of being awaited.

Each is a ctx of `contexts` seen from the thread of its call: what is a coroutine there runs on the
loop and is waited for here; what only notes something is done at once. So are tables; their types
are in `trice.schema.blocking_tables`.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, cast

from trice.functions import contexts
from trice.functions.blocking_reach import (
    BlockingFiles,
    BlockingHttp,
    BlockingMail,
    BlockingStream,
)
from trice.functions.call_thread import CallThread
from trice.functions.contexts import D, U
from trice.functions.function import (
    ActionFunction,
    Blocking,
    Function,
    MutationFunction,
    QueryFunction,
)
from trice.functions.later import IfExists, Later, LaterNow, When
from trice.functions.tables import BoundTable, Db
from trice.runtime import SeededRandom
from trice.schema.declare import Id

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Context(Blocking, Generic[D, U]):
    """What every plain function has. A helper that any kind may call takes a `Context[Db]`."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self._thread: CallThread = ctx._running.thread

    if not TYPE_CHECKING:

        def __class_getitem__(cls, params: Any) -> Any:
            """`Query[Db]` as well as `Query[Db, User]`."""
            listed = params if isinstance(params, tuple) else (params,)
            return types.GenericAlias(cls, listed)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._ctx, name)  # an error, which says why

    @property
    def user(self) -> U | None:
        """The caller's row of `$users`; None: nobody is signed in."""
        return cast("U | None", self._ctx.user)

    @property
    def me(self) -> U:
        """`user`, or the error `signed-out`."""
        return cast(U, self._ctx.me)

    @property
    def ip(self) -> str | None:
        """The caller's network address; None: the server itself calls."""
        return cast("str | None", self._ctx.ip)

    @property
    def origin(self) -> str | None:
        """The origin of the page that calls, as its browser says."""
        return cast("str | None", self._ctx.origin)

    @property
    def env(self) -> Mapping[str, str]:
        """The app's secrets and settings, by name."""
        return cast("Mapping[str, str]", self._ctx.env)

    def call_async(self, body: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return self._wait(body(self._ctx, *args, **kwargs))

    def _wait(self, awaited: Coroutine[Any, Any, T]) -> T:
        return self._thread.wait(awaited)


class Reader(Context[D, U]):
    """What queries and mutations share: a helper of both takes a `Reader[Db]`."""

    def __init__(self, ctx: contexts.Reader[Any, Any]) -> None:
        super().__init__(ctx)
        self._db = BlockingDb(ctx.db, self._thread)

    @property
    def db(self) -> type[D]:
        """The tables. What a run reads, it reads from one snapshot.

        To checkers of types this is the class of the schema, which has tables that block.
        """
        return cast("type[D]", self._db)

    def run(self, f: QueryFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call another query, on the same snapshot."""
        return cast(R, self._wait(self._ctx.run(f, *args, **kwargs)))


class Query(Reader[D, U]):
    """The `ctx` of a query: it only reads, and the same is read at the same facts."""

    def time(self, *, every: timedelta) -> datetime:
        """The time, floored to a multiple of `every`; the query runs again at the next one."""
        return cast(datetime, self._ctx.time(every=every))


class _Timed(Context[D, U]):
    """What mutations and actions share."""

    @property
    def now(self) -> datetime:
        """When this try began, never before a row it can see."""
        return cast(datetime, self._ctx.now)

    @property
    def random(self) -> SeededRandom:
        """Randomness that is the same at every try. Not for secrets."""
        return cast(SeededRandom, self._ctx.random)

    def new_id(self) -> Id[Any]:
        """A fresh id, the same at every try."""
        return cast("Id[Any]", self._ctx.new_id())

    @property
    def scheduled_for(self) -> datetime:
        """The time that this job was meant for; `now` in a call that is no job."""
        return cast(datetime, self._ctx.scheduled_for)


class Mutation(Reader[D, U], _Timed[D, U]):
    """The `ctx` of a mutation: one transaction. What it writes it sees, and nobody else until it is
    committed."""

    def later(
        self, when: When = None, /, *, key: str | None = None, if_exists: IfExists = "replace"
    ) -> Later:
        """A job, part of this transaction: `ctx.later(seconds(5)).run(f, …)`.

        when       how long from now, or the time; at once unless told
        key        at most one job with this key waits: a new one replaces it
        if_exists  "keep": the one that waits stays, and no other is made
        """
        return cast(Later, self._ctx.later(when, key=key, if_exists=if_exists))

    def run(
        self,
        f: QueryFunction[P, R] | MutationFunction[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a query, which sees what was written, or a mutation within this one: if it raises,
        what it wrote is gone."""
        return cast(R, self._wait(self._ctx.run(f, *args, **kwargs)))


class Action(_Timed[D, U]):
    """The `ctx` of an action: it has no transaction, so each function it runs has one."""

    @cached_property
    def http(self) -> BlockingHttp:
        """Requests to others: `ctx.http.post(url, json={…})`."""
        return BlockingHttp(self._ctx.http, self._thread)

    @cached_property
    def mail(self) -> BlockingMail:
        """E-mail: `ctx.mail.send(to, subject=…, text=…)`."""
        return BlockingMail(self._ctx.mail, self._thread)

    @cached_property
    def files(self) -> BlockingFiles:
        """Files of the app: `ctx.files.upload(path, data)`."""
        return BlockingFiles(self._ctx.files, self._thread)

    def stream(
        self,
        *,
        link: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> BlockingStream:
        """Text that many read while it comes: `with ctx.stream(link={"message": id}) as out`, then
        `out.write(text)`. Arguments as in an async action."""
        return BlockingStream(self._ctx.stream(link=link, values=values, name=name), self._thread)

    def settle(self, work: Any, *, timeout: Any = None) -> NoReturn:
        """Refused: a plain function does one thing at a time."""
        raise TypeError(
            "ctx.settle waits for things that go on at once, and a plain def does one after the"
            " other: write async def"
        )

    def later(
        self, when: When = None, /, *, key: str | None = None, if_exists: IfExists = "replace"
    ) -> BlockingLater:
        """A job in a transaction of its own: `ctx.later(seconds(5)).run(f, …)`. Arguments as in a
        mutation."""
        made: LaterNow = self._ctx.later(when, key=key, if_exists=if_exists)
        return BlockingLater(made, self._thread)

    def step(
        self, name: str, work: Callable[..., Any], /, *args: Any, once: bool = False, **kwargs: Any
    ) -> Any:
        """Do something once it is recorded: a later attempt of this job returns what it returned.

        name   of the step, unique in the job; a deploy may add, drop or move steps
        work   a query or mutation, or any function; called with the other arguments
        once   if it began and was not recorded, it does not run again: the job fails with
               `step-unknown`
        """
        known = self._wait(self._ctx.begin_step(name, is_once=once))
        if known is None:
            known = self._wait(self._ctx.end_step(name, self._do(work, args, kwargs)))
        return self._ctx._running.program.decode_step(work, known)

    def _do(self, work: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if isinstance(work, Function):
            return self.run(cast(Any, work), *args, **kwargs)
        found = work(*args, **kwargs)
        return self._wait(found) if inspect.iscoroutine(found) else found

    def sleep(self, duration: timedelta, /, *, name: str | None = None) -> None:
        """Let the job rest this long, for days if need be: its process is free meanwhile, and the
        job begins again from its recorded steps.

        name   which sleep of the job this is; else its length, and how many of that length came
               before
        """
        self._wait(self._ctx.sleep(duration, name=name))

    def run(
        self,
        f: QueryFunction[P, R] | MutationFunction[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call a query or mutation, each with a snapshot or transaction of its own."""
        return cast(R, self._wait(self._ctx.run(f, *args, **kwargs)))


class BlockingLater:
    """A job of a plain action: it is made when `run` returns."""

    def __init__(self, later: LaterNow, thread: CallThread) -> None:
        self._later = later
        self._thread = thread

    def run(
        self, f: MutationFunction[P, R] | ActionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> str:
        """Schedule `f`; it is durable when this returns the job's id."""
        return self._thread.wait(self._later.run(f, *args, **kwargs))


class BlockingDb:
    """The tables of a schema, seen from a thread."""

    def __init__(self, db: Db, thread: CallThread) -> None:
        self._db = db
        self._thread = thread

    def __getattr__(self, name: str) -> BlockingTable:
        table = BlockingTable(getattr(self._db, name), self._thread)
        setattr(self, name, table)
        return table

    def as_caller(self) -> BlockingDb:
        """The same tables as the caller's rules show them; for reads only."""
        return BlockingDb(self._db.as_caller(), self._thread)

    def query(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an InstaQL query, as nested objects."""
        return self._thread.wait(self._db.query(query))


class BlockingTable:
    """One table, seen from a thread: reads wait, writes are noted."""

    def __init__(self, table: BoundTable, thread: CallThread) -> None:
        self._table = table
        self._thread = thread

    def __getattr__(self, name: str) -> Any:
        word = getattr(self._table, name)
        if name.startswith("_") or not inspect.iscoroutinefunction(word):
            return word

        def read(*args: Any, **kwargs: Any) -> Any:
            return self._thread.wait(word(*args, **kwargs))

        return read


BY_KIND: Mapping[str, type[Context[Any, Any]]] = {
    "query": Query,
    "mutation": Mutation,
    "action": Action,
    "endpoint": Action,
}
