"""The hooks of all apps of a server: functions that run for each change of a row, in order.

    commit ──> lanes of the app: not the hook's concern ──> it goes past, in memory
                                 else ──> a task of the hook: read the log after its place, a batch
                                          at a time ──> a run for each change ──> the place moves
                 failed ──> again after a wait ──> ten times: parked in `$jobs`, or it waits

Nothing is polled: a lane hears of every commit. Each hook has a task of its own while it has
something to do, so that a slow one holds up no other; the app is open as long as one has. What is
durable is the place: a row of `$hooks` in the app's database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trice import hook_limits as limits
from trice import job_limits
from trice.background import Background
from trice.calls.hooks import rows, running
from trice.calls.hooks.lane import Lane
from trice.calls.hooks.reading import Batch, Item, read_batch
from trice.calls.hooks.rows import Fields, HookRow
from trice.calls.jobs.jobs import Jobs
from trice.calls.jobs.running import Host, draw
from trice.database import Database
from trice.errors import Conflict, NotFound, TriceError
from trice.functions.signature import Signature
from trice.identity import SERVER
from trice.log import fields
from trice.protocol.ids import AppId
from trice.runtime import Runtime, new_key
from trice.store.commit import Commit
from trice.store.engine import Snapshot

logger: Final = logging.getLogger("trice.hooks")

_LOOK_MS: Final = 60_000
_AGAIN_MS: Final = 5_000
_HIDDEN_MS: Final = 3_600_000


@dataclass(slots=True, eq=False)
class _Held:
    """The hooks of an app.

    newest         the last transaction that was heard of, or found
    must_read      rows are read, and made to fit what is deployed
    task           does so
    """

    app_id: AppId
    lanes: dict[str, Lane] = field(default_factory=dict)
    newest: int = 0
    must_read: bool = True
    task: asyncio.Task[None] | None = None


class Hooks:
    """Holds lanes, and what runs. Does not hold places: each app's database does.

    parked   changes that were parked, since the server began
    broken   hooks that were found broken, since then
    lag_max  further behind is broken; the log keeps as much
    """

    def __init__(
        self, host: Host, jobs: Jobs, *, runtime: Runtime, lag_max: int = limits.HOOK_LAG_MAX
    ) -> None:
        """jobs   knows how many jobs an app has: what is parked is one"""
        self.parked = self.broken = 0
        self._host = host
        self._jobs = jobs
        self._runtime = runtime
        self.lag_max = lag_max
        self._held: dict[AppId, _Held] = {}
        self._reads = asyncio.Semaphore(limits.HOOK_READS_AT_ONCE)
        self._background: Background | None = None
        self._is_closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    # --- start and end ----------------------------------------------------------------------------

    def start(self, background: Background) -> None:
        """Begin to follow."""
        self._background = background
        for app_id in self._host.apps():
            self.open(app_id)

    def open(self, app_id: AppId) -> None:
        """An app has functions, or has other ones than before. Before `start` nothing is done."""
        if self._background is None or self._is_closing:
            return
        held = self._held.setdefault(app_id, _Held(app_id))
        held.must_read = True
        self._read_soon(held)

    def reopen(self, app_id: AppId) -> None:
        """An app has another database than before, without places: its hooks begin anew."""
        if app_id in self._held:
            self.open(app_id)

    async def prepare(
        self, database: Database, signatures: Sequence[Signature], before: Sequence[Signature]
    ) -> None:
        """Other functions are about to be in force: new hooks follow from now on."""
        await rows.prepare(database, signatures, before, new_id=self._new_id)

    def forget(self, app_id: AppId) -> None:
        """An app is deleted."""
        held = self._held.pop(app_id, None)
        for lane in () if held is None else held.lanes.values():
            lane.drop()

    async def close(self) -> None:
        """End what runs: a mutation did nothing then, and an action runs again."""
        self._is_closing = True
        for held in self._held.values():
            for lane in held.lanes.values():
                if lane.call is not None:
                    lane.call.cancel()
        for _ in range(2):  # one call more may have begun meanwhile
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=job_limits.JOB_STOP_MS / 1_000)

    # --- what others ask --------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether something is done about hooks at this moment."""
        return bool(self._tasks)

    def lanes(self, app_id: AppId) -> Sequence[Lane]:
        """What is known of the hooks of an app."""
        held = self._held.get(app_id)
        return () if held is None else list(held.lanes.values())

    def count(self, state: rows.State) -> int:
        """How many hooks of all apps are in a state."""
        lanes = (lane for held in self._held.values() for lane in held.lanes.values())
        return sum(lane.state == state for lane in lanes)

    async def resume(self, app_id: AppId, database: Database, name: str) -> HookRow:
        """Let a hook go on: a broken one from now, one that waits at once.

        returns   its row as it was
        raises    NotFound
        """
        row = await rows.resume(database, name)
        held = self._held.get(app_id)
        lane = None if held is None else held.lanes.get(name)
        if held is not None and lane is not None:
            if row.state == "broken":
                self._read_anew(held, lane)
            else:
                lane.failures, lane.due_ms, lane.state = 0, 0, "active"
                self._look_at(held, lane)
        return row

    # --- hearing ----------------------------------------------------------------------------------

    def hear(self, app_id: AppId, commits: Sequence[Commit]) -> None:
        """Transactions of an app became durable. For apps without functions: one look into a
        dict."""
        held = self._held.get(app_id)
        if held is None:
            return
        for commit in commits:
            held.newest = commit.tx
            if held.lanes:
                etypes = {change.etype for change in commit.entities}
                for lane in held.lanes.values():
                    lane.hear(commit, etypes)
        for lane in held.lanes.values():
            self._look_at(held, lane)

    def _look_at(self, held: _Held, lane: Lane) -> None:
        """Let a hook go on, if it has something to do now."""
        if self._is_closing or lane.task is not None or lane.is_gone or lane.state == "broken":
            return
        is_behind = lane.at.tx < held.newest
        if not (is_behind or lane.is_late):
            return
        is_lost = held.newest - lane.at.tx > self.lag_max
        if is_behind and not is_lost and lane.due_ms > self._runtime.now_ms():
            self._wake_later(held, lane)
        elif self._host.has_functions(held.app_id):
            lane.task = self._begin(self._follow(held, lane))

    def _wake_later(self, held: _Held, lane: Lane) -> None:
        async def wait() -> None:
            while (left_ms := lane.due_ms - self._runtime.now_ms()) > 0:
                await self._runtime.sleep_ms(min(left_ms, _LOOK_MS))
            lane.timer = None
            self._look_at(held, lane)

        if lane.timer is None and self._background is not None:
            lane.timer = self._background.begin(wait())

    def _begin(self, work: Any) -> asyncio.Task[None]:
        assert self._background is not None, "hooks were started"
        task = self._background.begin(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- rows -------------------------------------------------------------------------------------

    def _read_soon(self, held: _Held) -> None:
        if held.task is None and not self._is_closing:
            held.task = self._begin(self._read_rows(held))

    async def _read_rows(self, held: _Held) -> None:
        """Read the hooks of an app, and let them be those that are deployed."""
        again_ms = 0
        try:
            while held.must_read and self._held.get(held.app_id) is held:
                held.must_read = False
                await self._adopt(held)
        except NotFound:
            again_ms = _HIDDEN_MS  # it is deleted, and may be restored
        except Exception as failure:
            level = logging.WARNING if isinstance(failure, TriceError) else logging.ERROR
            told = fields(app=held.app_id, reason=str(failure))
            logger.log(level, "hooks not read %s", told, exc_info=level == logging.ERROR)
            again_ms = _AGAIN_MS
        finally:
            held.task = None
        if again_ms and self._background is not None and not self._is_closing:
            held.must_read = True
            self._background.begin(self._read_later(held, again_ms))

    async def _read_later(self, held: _Held, wait_ms: int) -> None:
        await self._runtime.sleep_ms(wait_ms)
        if self._held.get(held.app_id) is held:
            self._read_soon(held)

    async def _adopt(self, held: _Held) -> None:
        signatures = self._host.signatures(held.app_id)
        if signatures is None:
            return
        database = await self._host.lend(held.app_id)
        try:
            found = await rows.reconcile(database, signatures, new_id=self._new_id)
            held.newest = max(held.newest, database.tx)
        finally:
            self._host.give_back(held.app_id)
        known = {each.name: each for each in signatures}
        earlier = {lane.id: lane for lane in held.lanes.values()}
        held.lanes = {}
        for row in found:
            signature = known.get(row.name)
            if signature is None or signature.hook is None:
                continue  # of other code, which is in force by now: it is read again
            lane = earlier.pop(row.id, None)
            if lane is None:
                lane = Lane.of(row, signature)
            else:
                lane.signature, lane.plan = signature, signature.hook
                lane.due_ms = 0  # the code may be another one: what failed is tried at once
            held.lanes[row.name] = lane
        for lane in earlier.values():
            lane.drop()
        for lane in held.lanes.values():
            self._look_at(held, lane)

    # --- following --------------------------------------------------------------------------------

    async def _follow(self, held: _Held, lane: Lane) -> None:
        """Do what a hook has to do now."""
        again_ms = 0
        try:
            database = await self._host.lend(held.app_id)
            try:
                await self._advance(held, lane, database)
            finally:
                self._host.give_back(held.app_id)
        except NotFound:
            again_ms = _HIDDEN_MS
        except Exception as failure:
            if isinstance(failure, Conflict) and failure.code == "job-over":
                self._read_anew(held, lane)
                return
            level = logging.WARNING if isinstance(failure, TriceError) else logging.ERROR
            told = fields(app=held.app_id, hook=lane.name, reason=str(failure))
            logger.log(level, "hook stands still %s", told, exc_info=level == logging.ERROR)
            again_ms = _AGAIN_MS
        finally:
            lane.task = None
        if again_ms:
            lane.due_ms = self._runtime.now_ms() + again_ms
        self._look_at(held, lane)

    def _read_anew(self, held: _Held, lane: Lane) -> None:
        """A hook is not where it was believed to be."""
        lane.drop()
        if held.lanes.get(lane.name) is lane:
            del held.lanes[lane.name]
        self.open(held.app_id)

    def _may_go_on(self, held: _Held, lane: Lane) -> bool:
        is_over = self._is_closing or lane.is_gone or lane.state == "broken"
        return not is_over and self._host.has_functions(held.app_id)

    async def _advance(self, held: _Held, lane: Lane, database: Database) -> None:
        while self._may_go_on(held, lane) and lane.at.tx < held.newest:
            lag = held.newest - lane.at.tx
            if lag > self.lag_max:
                await self._break(held, lane, database, lag)
                return
            if lane.due_ms > self._runtime.now_ms():
                return
            async with self._reads:
                batch = await self._read(lane, database)
            if batch.lost:
                await self._break(held, lane, database, batch.lost)
                return
            plan = lane.plan
            for item in batch.items:
                if not self._may_go_on(held, lane):
                    return
                if lane.plan != plan:
                    break  # other code follows other changes
                if not await self._handle(held, lane, database, item):
                    return
            else:
                lane.at = batch.place
        if lane.is_late and self._may_go_on(held, lane):
            await rows.save(database, lane.id, lane.saved, lane.at)
            lane.saved = lane.at

    async def _read(self, lane: Lane, database: Database) -> Batch:
        name, plan, place, url_of = lane.name, lane.plan, lane.at, database.url_of

        def work(snapshot: Snapshot) -> Batch:
            return read_batch(snapshot, name, plan, place, url_of=url_of)

        return await database.read_on_thread(work, turn_key=SERVER)

    async def _handle(self, held: _Held, lane: Lane, database: Database, item: Item) -> bool:
        """Run a hook for a change; False when it does not go on now."""
        job = running.job_of(lane, item, self._runtime)
        outcome = await running.run(self._host, held.app_id, database, lane, item, job)
        if outcome.verdict == "done":
            return True
        if outcome.verdict == "over":
            self._read_anew(held, lane)
            return False
        now_ms = self._runtime.now_ms()
        if outcome.verdict == "later":
            lane.due_ms = now_ms + outcome.wait_ms
            return False
        assert outcome.error is not None, "it failed with something"
        failures, error = lane.failures + 1, outcome.error
        is_last = outcome.verdict == "hopeless" or failures >= limits.HOOK_FAILURES_MAX
        if is_last and not lane.plan.stop and self._has_room(held):
            row = running.parked(job, item, error, failures=failures, now_ms=now_ms)
            await rows.park(database, lane.id, lane.saved, item.place, job_id=job.id, job=row)
            lane.done(item.place)
            self.parked += 1
            told = fields(app=held.app_id, hook=lane.name, job=job.id, code=error["code"])
            logger.error("change parked: `trice jobs run` runs it again %s", told)
            return True
        await self._wait(held, lane, database, error, failures, is_last=is_last)
        return False

    def _has_room(self, held: _Held) -> bool:
        """Whether a change may be parked: else the hook waits for room."""
        return self._jobs.kept(held.app_id) < job_limits.JOBS_KEPT_MAX

    async def _wait(
        self,
        held: _Held,
        lane: Lane,
        database: Database,
        error: Fields,
        failures: int,
        *,
        is_last: bool,
    ) -> None:
        """Try the same change again later."""
        now_ms = self._runtime.now_ms()
        due_ms = now_ms + running.wait_ms(failures, draw(self._runtime))
        state: rows.State = "stopped" if is_last else "active"
        if state == "stopped" != lane.state:
            told = fields(app=held.app_id, hook=lane.name, code=error["code"])
            logger.error("hook waits: `trice hooks resume` lets it try at once %s", told)
        lane.failures, lane.due_ms, lane.state = failures, due_ms, state
        await rows.fail(
            *(database, lane.id, lane.saved),
            failures=failures,
            due_ms=due_ms,
            error=error,
            state=state,
        )

    async def _break(self, held: _Held, lane: Lane, database: Database, lost: int) -> None:
        """The log lacks what comes next, or will soon: nothing waits for the hook any more."""
        told = f"It is {lost:,} transactions behind, and the log keeps them no more."
        error: Fields = {"code": "hook-broken", "message": told}
        await rows.give_up(database, lane.id, lane.saved, error)
        lane.state, lane.due_ms = "broken", 0
        self.broken += 1
        shown = fields(app=held.app_id, hook=lane.name, after=lane.at.tx, lost=lost)
        logger.error("hook is broken: `trice hooks resume` lets it go on from now %s", shown)

    def _new_id(self) -> str:
        return new_key(self._runtime)
