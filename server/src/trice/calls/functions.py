"""Calls of functions: who may call what, what each call runs on, and when it runs again.

    call ──> door: deployed? its kind? who may? its rate?
         query     one snapshot ──> worker ──> value, once what it saw is published
         mutation  kept result? ──> snapshot ──> worker ──> commit
                       others changed what it read: again; 3 tries, then once with the turn
         action    worker; each function that it runs has a snapshot or transaction of its own
         endpoint  an action, let in by `endpoints`, whose answer goes to a socket

This is one file because each kind of call takes the same steps: slot, side, run, commit.

source   spec/functions.md FN200-FN229
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterator,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakValueDictionary

from trice import function_limits as limits
from trice.apps.app import App
from trice.calls.answering import Answering
from trice.calls.door import Asked, Deployed, Door
from trice.calls.jobs.as_job import AsJob, writes_of
from trice.calls.jobs.job import Job
from trice.calls.jobs.schedule import Wanted, schedule
from trice.calls.lines import Lines
from trice.calls.outliving import Outliving
from trice.calls.page_reads import PageReads, Stretch
from trice.calls.reached import Nothing, Reach
from trice.calls.side import AppCode, CallFailed, CallRequest, CallSide, Level
from trice.calls.sides import (
    ActionSide,
    Answers,
    DataSide,
    HeldSide,
    looks_at_row,
    peek_user,
    read_user,
)
from trice.calls.slots import Rank, Slot, Slots
from trice.data_run import DataRun, Stale
from trice.errors import Conflict, TriceError, Unavailable
from trice.functions import frames
from trice.functions.signature import Kind, Signature
from trice.identity import Identity
from trice.metrics import CallCounts
from trice.protocol.ids import AppId, EventId, TxId
from trice.rate_limit import Buckets
from trice.runtime import Runtime
from trice.shares import ALL, Shares
from trice.store.engine import Turn

T = TypeVar("T")


class Runs(Protocol):
    """What runs functions (`workers.Workers`)."""

    async def call(self, app: AppCode, call: CallRequest, side: CallSide) -> frames.Done:
        """Run one call; raises TriceError with a code of functions."""
        ...


class Notes(Protocol):
    """Where lines of calls go."""

    def note(self, app_id: AppId, *, function: str, trace: str, level: Level, text: str) -> None:
        """Note a line."""
        ...


_OF_CALLERS: Final = frozenset(("bad-args", "signed-out", "function-error"))
"""Failures that callers are told whole. The log has none of them: anybody could fill it."""


_NO_TURN: Final = nullcontext(None)


@dataclass(frozen=True, slots=True)
class Result:
    """What a call returned.

    value   JSON
    tx      of a mutation: its transaction, or the state that it read if it wrote nothing
    """

    value: bytes
    tx: TxId | None = None


@dataclass(frozen=True, slots=True)
class _Habits:
    """What runs of an app's functions have done, by their names.

    lookers   they looked at attrs of their caller's row: runs of them depend on it
    readers   they read: a snapshot is taken before they begin, as what they are told of the time
              may not be before it. Others have none, which most of a call's cost without reads was
    """

    code: AppCode
    lookers: set[str] = field(default_factory=set)
    readers: set[str] = field(default_factory=set)


class Functions:
    """All functions of the apps of this process, to be called.

    `jobs_kept` says how many jobs an app has, `reach` is what actions reach: who has them sets it.
    Holds who waits for a turn, and which functions look at their caller. Does not hold code
    (Deployed), processes (Runs), what outlives its caller (Outliving) or results (the apps'
    databases).
    """

    def __init__(
        self,
        deployed: Deployed,
        runs: Runs,
        *,
        runtime: Runtime,
        buckets: Buckets,
        seed_key: Callable[[], bytes],
        notes: Notes | None = None,
    ) -> None:
        """
        seed_key   see `Door`
        notes      None: lines of calls are dropped
        """
        self.door = Door(deployed, runtime=runtime, buckets=buckets, seed_key=seed_key)
        self.jobs_kept: Callable[[AppId], int] = lambda app_id: 0
        self.reach: Reach = Nothing()
        self.runtime = runtime
        self.counts = CallCounts()
        self._runs = runs
        self._notes = notes
        self._slots: dict[tuple[AppId, bool], Slots] = {}
        self._habits: dict[AppId, _Habits] = {}
        self._lines = Lines()
        self._outliving = Outliving()
        self._args = Shares()
        self._retrying: WeakValueDictionary[tuple[AppId, str], asyncio.Lock] = WeakValueDictionary()

    def signatures(self, app: App) -> Sequence[Signature]:
        """The functions of an app, in order of their names."""
        known = self.door.deployed.signatures(app.id)
        return [known[name] for name in sorted(known) if known[name].name == name]

    async def call(
        self,
        app: App,
        name: str,
        args: bytes,
        *,
        identity: Identity,
        event_id: EventId | None = None,
        kind: Kind | None = None,
        ip: str = "",
        origin: str = "",
        trace: str | None = None,
    ) -> Result:
        """Call a function once, as a client of the app.

        args       JSON of an object, the same for equal ones (`door.args_key`); checked by the
                   function's process
        event_id   a mutation sent again with it, by the same caller and with the same arguments,
                   returns what it returned, and is not run
        kind       the only one that is accepted
        raises     TriceError with the codes of functions.md §11
        """
        with self._counting_failures():
            asked = self.door.let_in(
                *(app, name, args),
                identity=identity,
                event_id=event_id,
                kind=kind,
                ip=ip,
                origin=origin,
                trace=trace,
            )
            if asked.key is not None:
                kept = await DataRun.find_result(app.database, asked.key)
                if kept is not None:
                    self.counts.kept += 1
                    return Result(kept.value, kept.tx)
            self.door.take_token(asked)
            return await self._run(asked)

    @contextmanager
    def _counting_failures(self) -> Iterator[None]:
        try:
            yield
        except TriceError as failure:
            self.counts.note_failure(failure.code)
            raise

    async def run_job(self, app: App, job: Job, as_job: AsJob) -> bytes:
        """Run a mutation or action as the server itself. Returns JSON; raises as `call`."""
        asked = self.door.let_in_job(app, job, as_job)
        if asked.key is not None:
            kept = await DataRun.find_result(app.database, asked.key)
            if kept is not None:
                self.counts.kept += 1
                return kept.value
        with self._counting_failures():
            return (await self._run(asked)).value

    # --- running ---------------------------------------------------------------------------------

    async def _run(self, asked: Asked) -> Result:
        match asked.signature.kind:
            case "query":
                return Result(await self._query(asked))
            case "mutation":
                return await self._mutation(asked)
            case "action":
                return Result(await self._action(asked))
            case "endpoint":
                raise AssertionError("the door lets endpoints in by their path only")

    async def _query(self, asked: Asked) -> bytes:
        """Run a query on one snapshot; what it saw is published when this returns."""
        habits = self._habits_of(asked)
        while True:
            is_late = asked.identity.user_id is None and asked.name not in habits.readers
            async with (
                self.slot(asked, Rank.FIRST),
                self.side(asked, is_late=is_late) as side,
            ):
                user = await read_user(side.run_on, asked.identity)
                done = await self._run_anew(asked, side, habits, user=user)
                tx = side.run_on.tx
            if done is not None:
                await asked.app.database.published(tx)
                return done.value

    async def _mutation(self, asked: Asked) -> Result:
        """Run a mutation until nobody changed what it read: see functions.md §5.3.

        raises   Conflict("conflict")
        """
        key = (asked.app.id, asked.name, asked.args)
        if not self._lines.has_room(key):
            try:
                return await self._try(asked, has_turn=False)
            except Stale:
                async with self._lines.place(key):
                    return await self._try_again(asked)
        async with self._lines.place(key):
            try:
                return await self._try(asked, has_turn=False)
            except Stale:
                return await self._try_again(asked)

    async def _try_again(self, asked: Asked) -> Result:
        """Run a mutation that was overtaken once. raises   Conflict("conflict")"""
        async with self._lock(asked):
            for number in range(1, limits.TRIES + 1):
                try:
                    return await self._try(asked, has_turn=number == limits.TRIES)
                except Stale as cause:
                    stale = cause
        raise _conflict(asked, stale)

    async def _try(self, asked: Asked, *, has_turn: bool) -> Result:
        """One run of a mutation, and its commit. raises   Stale"""
        try:
            return await self._run_once(asked, has_turn=has_turn)
        except Stale as cause:
            self.counts.note_conflict(asked.name, cause.function or "")
            raise

    async def _run_once(self, asked: Asked, *, has_turn: bool) -> Result:
        habits = self._habits_of(asked)
        while True:
            is_looker = asked.name in habits.lookers
            is_late = not (has_turn or is_looker or asked.name in habits.readers)
            async with (
                self.slot(asked, Rank.MUTATION),
                self._turn(asked.app) if has_turn else _NO_TURN as turn,
                self.side(asked, may_write=True, turn=turn, is_late=is_late) as side,
            ):
                user = (
                    await read_user(side.run_on, asked.identity)
                    if is_looker
                    else await peek_user(asked.app.database, asked.identity)
                )
                done = await self._run_anew(asked, side, habits, user=user)
                if done is None:
                    continue
                if not is_looker and looks_at_row(done.facts):
                    # Its row was not read by the run, which would not notice if it changes.
                    habits.lookers.add(asked.name)
                    continue
                committed = await side.run_on.commit(
                    event_id=asked.key,
                    function=asked.name,
                    identity_name=asked.identity.name,
                    value=done.value,
                    within=writes_of(
                        asked.job,
                        side.jobs,
                        done.value,
                        kept=lambda: self.jobs_kept(asked.app.id),
                    ),
                )
                return Result(committed.value, committed.tx)

    async def _run_anew(
        self, asked: Asked, side: DataSide, habits: _Habits, *, user: dict[str, Any] | None
    ) -> frames.Done | None:
        """`run_on`; None if what the function was told does not hold any more, whatever came of it:
        then it is to be run again."""
        try:
            done = await self.run_on(asked, side, user=user)
        except TriceError:
            if not side.is_outdated:
                raise
            done = None
        finally:
            if side.run_on.has_snapshot:
                habits.readers.add(asked.name)
        return None if side.is_outdated else done

    def _habits_of(self, asked: Asked) -> _Habits:
        known = self._habits.get(asked.app.id)
        if known is None or known.code is not asked.code:
            known = self._habits[asked.app.id] = _Habits(asked.code)
        return known

    @asynccontextmanager
    async def _turn(self, app: App) -> AsyncIterator[Turn]:
        """No other transaction of the app begins, for limits.TURN_MS at most."""
        turn = await app.database.engine.take_turn(lasts_ms=limits.TURN_MS)
        try:
            yield turn
        finally:
            turn.end()

    async def answer(self, asked: Asked, request: frames.HttpRequest, answer: Answering) -> None:
        """Run an endpoint until its answer has left, the whole stream included. What it raises once
        the answer has begun nobody can be told: the log has it.

        raises   as `call`
        """
        try:
            await self._action(asked, request, answer)
        except TriceError as failure:
            if answer.has_begun:
                note = self._noting(asked)
                note("error", f"The answer was cut off: {failure.code}: {failure.message}")
            raise

    def outlive(self, work: Coroutine[Any, Any, T], then: Callable[[], object]) -> asyncio.Task[T]:
        """As `Outliving.begin`."""
        return self._outliving.begin(work, then)

    async def close(self) -> None:
        """End what outlived its callers."""
        await self._outliving.close()

    async def _action(
        self,
        asked: Asked,
        request: frames.HttpRequest | None = None,
        answer: Answering | None = None,
    ) -> bytes:
        async def run(name: str, args: bytes) -> bytes:
            return (await self._run(self.door.inner(asked, name, args))).value

        async def schedule_one(wanted: Wanted) -> None:
            kept = self.jobs_kept(asked.app.id)
            await asked.app.database.change(lambda change: schedule(change, [wanted], kept=kept))

        reached = self.reach.of(asked.app, self._noting(asked))
        side = ActionSide(
            run,
            note=self._noting(asked),
            schedule=schedule_one,
            want=partial(self.door.wanted, asked),
            steps=None if asked.job is None else asked.job.steps,
            reached=reached,
            answer=answer,
        )
        reason = "cancelled"
        async with AsyncExitStack() as stack:
            if not asked.depth:  # else the action that runs it has one
                if request is None and asked.job is None:
                    stack.enter_context(self._holding(asked))
                await stack.enter_async_context(self.slot(asked, Rank.FIRST))
            user = await peek_user(asked.app.database, asked.identity)
            now_ms = self.runtime.now_ms()
            try:
                done = await self._call(asked, side, user=user, now_ms=now_ms, request=request)
                reason = "not-ended"
            except TriceError as failure:
                reason = failure.code
                raise
            finally:
                await reached.end(reason)
        return done.value

    @contextmanager
    def _holding(self, asked: Asked) -> Iterator[None]:
        """Count the arguments of an action: they are in memory until it has ended, and its caller's
        session, which counts them too, may have ended long before. raises   Unavailable"""
        size_bytes = max(len(asked.args) - limits.ACTION_ARGS_FREE_BYTES, 0)
        bounds = {
            ALL: limits.ACTIONS_ARGS_BYTES_MAX,
            asked.app.id: limits.ACTIONS_ARGS_OF_APP_BYTES_MAX,
            (asked.app.id, asked.turn_key[0]): limits.ACTIONS_ARGS_OF_NETWORK_BYTES_MAX,
        }
        if not self._args.take(size_bytes, bounds):
            told = "Too many actions with large arguments are under way; try again in a moment."
            raise Unavailable("overloaded", told)
        try:
            yield
        finally:
            self._args.give_back(size_bytes, bounds)

    # --- one run ---------------------------------------------------------------------------------

    def slot(self, asked: Asked, rank: Rank) -> Slot:
        """A place among the runs of an app, each of which holds a snapshot; or among its actions,
        which hold none. A context."""
        is_action = asked.signature.kind in ("action", "endpoint")
        most = limits.CALLS_MAX if is_action else limits.HELD_SNAPSHOTS_MAX
        key = (asked.app.id, is_action)
        slots = self._slots.get(key)
        if slots is None:
            slots = self._slots[key] = Slots(most)
        return Slot(slots, rank, asked.turn_key, partial(self._slots.pop, key, None))

    def side(
        self,
        asked: Asked,
        *,
        may_write: bool = False,
        answers: Answers | None = None,
        turn: Turn | None = None,
        stretch: Stretch | None = None,
        is_late: bool = False,
    ) -> HeldSide:
        """A snapshot, and what the server does on it for one run. A context.

        answers   answers reads in place of the snapshot
        stretch   of a list, which the run reads in place of the page that it is asked for
        is_late   the snapshot is taken when something is read
        """

        async def begin() -> DataSide:
            lasts_ms = asked.timeout_ms + limits.CANCEL_GRACE_MS
            run = await DataRun.begin(
                asked.app.database, turn=turn, lasts_ms=lasts_ms, is_late=is_late
            )
            return DataSide(
                run,
                asked.app.database,
                asked.identity,
                now_ms=max(self.runtime.now_ms(), run.now_floor_ms),
                may_write=may_write,
                note=self._noting(asked),
                want=partial(self.door.wanted, asked),
                pages=PageReads(self.door.cursors(asked), stretch),
                answers=answers,
                lasts_ms=lasts_ms,
            )

        return HeldSide(begin)

    async def run_on(
        self,
        asked: Asked,
        side: DataSide,
        *,
        user: dict[str, Any] | None,
    ) -> frames.Done:
        """Run a query or mutation on a snapshot; what it wrote last is drafted, not committed."""
        done = await self._call(asked, side, user=user, now_ms=side.now_ms)
        if done.steps:
            side.draft(done.steps)
        return done

    async def _call(
        self,
        asked: Asked,
        side: CallSide,
        *,
        user: dict[str, Any] | None,
        now_ms: int,
        request: frames.HttpRequest | None = None,
    ) -> frames.Done:
        caller = frames.Caller(
            user=user,
            is_admin=asked.identity.is_admin,
            ip=asked.ip or None,
            origin=asked.origin or None,
        )
        call = CallRequest(
            function=asked.name,
            kind=asked.signature.kind,
            is_isolated=asked.signature.is_isolated,
            args=asked.args,
            caller=caller,
            now_ms=now_ms,
            seed=asked.seed,
            trace=asked.trace,
            timeout_ms=asked.timeout_ms,
            scheduled_for_ms=None if asked.job is None else asked.job.scheduled_for_ms,
            request=request,
        )
        began_ms = self.runtime.monotonic_ms()
        try:
            return await self._runs.call(asked.code, call, side)
        except CallFailed as failure:
            if failure.fail.traceback and failure.code not in _OF_CALLERS:
                self._noting(asked)("error", failure.fail.traceback)
            if failure.code == "function-failed":
                failure.hint.update({"function": asked.name, "trace": asked.trace})
            raise
        finally:
            self.counts.note_run(asked.signature.kind, self.runtime.monotonic_ms() - began_ms)

    def _noting(self, asked: Asked) -> Callable[[Level, str], None]:
        def note(level: Level, text: str) -> None:
            if self._notes is not None:
                self._notes.note(
                    asked.app.id, function=asked.name, trace=asked.trace, level=level, text=text
                )

        return note

    def _lock(self, asked: Asked) -> asyncio.Lock:
        """Retries of one function wait for each other."""
        return self._retrying.setdefault((asked.app.id, asked.name), asyncio.Lock())


def _conflict(asked: Asked, stale: Stale) -> Conflict:
    """The error after the last try: it names both functions and the namespaces."""
    other = stale.function or "a transaction"
    places = ", ".join(stale.namespaces)
    return Conflict(
        "conflict",
        f"{asked.name} read what {other} kept changing ({places}); try again in a moment.",
        {"function": asked.name, "with": stale.function, "namespaces": list(stale.namespaces)},
    )
