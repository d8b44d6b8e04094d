"""The jobs of all apps of a server: claimed when they are due, run, and settled.

    commits of `$jobs` ──> lanes ──> one timer ──> pump of an app: load, lapse, renew, sweep, claim
                                                        │ at most JOBS_AT_ONCE of an app
                                         mutation: its transaction says `done`
                                         action: its end is written after it

Nothing is polled: a lane knows when something is to be done next, and hears of every change. The
timer looks at the clock, not at the database, at least every LOOK_MS: a clock may be set.

What runs is bounded by a lease, renewed while this server lives. A server that cannot renew one
stops what it runs; another one takes it once it has lapsed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import inf
from typing import Any, Final

from trice import job_limits as limits
from trice.background import Background
from trice.calls.jobs import crons, rows
from trice.calls.jobs.job import Fields, Job, State
from trice.calls.jobs.lane import Lane, Seen, crowded
from trice.calls.jobs.running import Host, Run, Runner, draw
from trice.catalog.catalog import Catalog
from trice.catalog.values import decode_attr
from trice.database import Change, Database
from trice.errors import NotFound, TriceError
from trice.log import fields
from trice.protocol.ids import AppId, uuid_text
from trice.runtime import Runtime, new_key, new_uuid
from trice.store.commit import Commit, Image

logger: Final = logging.getLogger("trice.jobs")

LOOK_MS: Final = 60_000
_AGAIN_MS: Final = 5_000
_HIDDEN_MS: Final = 3_600_000


@dataclass(slots=True, eq=False)
class _Held:
    """A lane, and what this server runs of it."""

    lane: Lane
    runs: dict[str, Run]
    is_pumping: bool = False
    must_pump: bool = False
    alarm_ms: float = inf
    renew_ms: float = inf


class Jobs:
    """Holds lanes, the timer, and what runs. Does not hold jobs: each app's database does.

    is_alone   no other server can have these databases: leases that are there when this one
               begins are of one that is gone
    """

    def __init__(
        self,
        host: Host,
        *,
        runtime: Runtime,
        is_alone: bool = True,
        lease_ms: int = limits.JOB_LEASE_MS,
        renew_ms: int = limits.JOB_RENEW_MS,
    ) -> None:
        self._host = host
        self._runtime = runtime
        self._is_alone = is_alone
        self._lease_ms = lease_ms
        self._renew_ms = renew_ms
        self._held: dict[AppId, _Held] = {}
        self._alarms: list[tuple[float, AppId]] = []
        self._woken = asyncio.Event()
        self._places = asyncio.Semaphore(limits.JOB_APPS_AT_ONCE)
        self._background: Background | None = None
        self._runner = Runner(host, runtime)
        self._is_closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    # --- start and end ----------------------------------------------------------------------------

    def start(self, background: Background) -> None:
        """Begin to run jobs."""
        self._background = background
        background.begin(self._watch())
        for app_id in self._host.apps():
            self.open(app_id)

    def open(self, app_id: AppId) -> None:
        """An app has functions, or has other ones than before. Before `start` nothing is done."""
        if self._background is None:
            return
        held = self._held.get(app_id)
        if held is None:
            held = self._held[app_id] = _Held(Lane(app_id), {})
        held.lane.must_reconcile = True
        self._ring(held, 0)

    def forget(self, app_id: AppId) -> None:
        """An app is deleted."""
        held = self._held.pop(app_id, None)
        if held is not None:
            for run in held.runs.values():
                run.end()

    async def close(self) -> None:
        """End what runs: a mutation, and an action that may run again, is scheduled again."""
        self._is_closing = self._runner.is_closing = True
        for held in self._held.values():
            for run in held.runs.values():
                if run.call is not None:
                    run.call.cancel()
        # One call more may have begun meanwhile. What does not listen ends with the server.
        for _ in range(2):
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=limits.JOB_STOP_MS / 1_000)

    # --- what others ask --------------------------------------------------------------------------

    def kept(self, app_id: AppId) -> int:
        """How many jobs an app has."""
        held = self._held.get(app_id)
        return 0 if held is None else held.lane.count

    @property
    def running(self) -> int:
        """How many jobs this server runs."""
        return sum(len(held.runs) for held in self._held.values())

    def lanes(self) -> dict[AppId, Lane]:
        """What is known of each app."""
        return {app_id: held.lane for app_id, held in self._held.items()}

    @property
    def is_busy(self) -> bool:
        """Whether something is done about jobs at this moment."""
        return bool(self._tasks)

    async def listed(
        self,
        database: Database,
        *,
        state: State | None = None,
        function: str | None = None,
        count: int = 100,
    ) -> list[dict[str, Any]]:
        """Jobs of an app, newest first, as rows of `$jobs`."""
        return await rows.listed(database, state=state, function=function, count=count)

    async def cancel(self, database: Database, job_id: str) -> State:
        """Cancel a job; one that runs ends soon, and what it schedules is dropped.

        returns  its state before
        raises   NotFound, Conflict("job-over")
        """
        return await rows.cancel(database, job_id, now_ms=self._runtime.now_ms())

    async def rerun(self, database: Database, job_id: str) -> None:
        """Run a job that failed once more. Raises NotFound, Conflict("job-over")."""
        await rows.rerun(database, job_id, now_ms=self._runtime.now_ms())

    # --- hearing ----------------------------------------------------------------------------------

    def hear(self, app_id: AppId, commits: Sequence[Commit]) -> None:
        """Transactions of an app became durable. For apps without functions: one look into a
        dict."""
        held = self._held.get(app_id)
        if held is None:
            return
        is_news = False
        for commit in commits:
            for change in commit.entities:
                if change.etype == "$jobs":
                    is_news = True
                    job_id = uuid_text(change.id)
                    new = _seen(commit.catalog, change.new)
                    old = _seen(commit.catalog, change.old)
                    held.lane.hear(commit.tx, job_id, old, new)
                    run = held.runs.get(job_id)
                    if run is not None and _is_taken(run, new):
                        run.end()
        if is_news:
            self._look_at(held)

    # --- the timer --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while not self._is_closing:
            try:
                await self._ring_due()
            except Exception:  # every job waits for this: it goes on whatever happens
                logger.exception("jobs: the timer failed")
                await self._runtime.sleep_ms(_AGAIN_MS)

    async def _ring_due(self) -> None:
        """Let the pumps of apps begin that are due, and wait for the next."""
        self._woken.clear()
        now_ms = self._runtime.now_ms()
        while self._alarms and self._alarms[0][0] <= now_ms:
            _, app_id = heappop(self._alarms)
            held = self._held.get(app_id)
            if held is not None and held.alarm_ms <= now_ms:
                held.alarm_ms = inf
                self._pump_soon(held)
        if self._alarms:
            await self._wait(self._alarms[0][0])
        else:
            await self._woken.wait()

    async def _wait(self, time_ms: float) -> None:
        """Until this time, or until something is due earlier."""
        sleeping = asyncio.ensure_future(self._sleep_until(time_ms))
        waking = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()

    async def _sleep_until(self, time_ms: float) -> None:
        left_ms = time_ms - self._runtime.now_ms()
        await self._runtime.sleep_ms(max(min(left_ms, LOOK_MS), 0))

    def _ring(self, held: _Held, time_ms: float) -> None:
        """Look at an app at this time."""
        if time_ms < held.alarm_ms:
            held.alarm_ms = time_ms
            heappush(self._alarms, (time_ms, AppId(held.lane.app_id)))
            self._woken.set()

    def _look_at(self, held: _Held) -> None:
        """Note when something is to be done for an app."""
        if held.is_pumping:
            held.must_pump = True
            return
        has_code = self._host.has_functions(AppId(held.lane.app_id))
        has_place = len(held.runs) < limits.JOBS_AT_ONCE and has_code
        time_ms = held.lane.next_ms(own=held.runs, has_place=has_place)
        if held.runs:
            time_ms = min(time_ms, held.renew_ms)
        if time_ms != inf:
            self._ring(held, time_ms)

    # --- the pump ---------------------------------------------------------------------------------

    def _pump_soon(self, held: _Held) -> None:
        if held.is_pumping:
            held.must_pump = True
        elif not self._is_closing:
            held.is_pumping = True
            self._begin(self._pump(held))

    def _begin(self, work: Any) -> None:
        assert self._background is not None, "jobs were started"
        task = self._background.begin(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pump(self, held: _Held) -> None:
        """Do what is to be done for an app; one at a time an app."""
        app_id = AppId(held.lane.app_id)
        again_ms: float | None = None
        try:
            async with self._places:
                database = await self._host.lend(app_id)
                try:
                    await self._turn(held, database)
                    while held.must_pump:
                        held.must_pump = False
                        await self._turn(held, database)
                finally:
                    self._host.give_back(app_id)
        except NotFound:
            again_ms = self._runtime.now_ms() + _HIDDEN_MS  # it is deleted, and may be restored
        except Exception as failure:
            level = logging.WARNING if isinstance(failure, TriceError) else logging.ERROR
            told = fields(app=app_id, reason=str(failure))
            logger.log(level, "jobs not looked at %s", told, exc_info=level == logging.ERROR)
            again_ms = self._runtime.now_ms() + _AGAIN_MS
        finally:
            held.is_pumping = held.must_pump = False
        if again_ms is not None:
            self._ring(held, again_ms)
        elif self._held.get(app_id) is held:
            self._look_at(held)

    async def _turn(self, held: _Held, database: Database) -> None:
        lane = held.lane
        if lane.must_load:
            is_first = not lane.is_loaded
            lane.begin_load()
            lane.end_load(await rows.load_times(database))
            if is_first and self._is_alone:
                await self._lapse(lane, database, list(lane.leases), is_gone=True)
        if lane.must_reconcile:
            lane.must_reconcile = False
            try:
                await self._reconcile(lane, database)
            except BaseException:
                lane.must_reconcile = True
                raise
        now_ms = self._runtime.now_ms()
        await self._lapse(lane, database, lane.lapsed(now_ms, held.runs), is_gone=False)
        if held.runs and now_ms >= held.renew_ms:
            await self._renew(held, database)
        if lane.count and now_ms >= lane.sweep_ms:
            swept = await rows.sweep(database, now_ms=now_ms, is_crowded=crowded(lane))
            is_more = swept >= limits.JOBS_SWEPT
            lane.sweep_ms = now_ms + (0 if is_more else limits.JOB_SWEEP_MS)
        elif crowded(lane):
            await rows.sweep(database, now_ms=now_ms, is_crowded=True)
        await self._claim(held, database)

    async def _reconcile(self, lane: Lane, database: Database) -> None:
        signatures = self._host.signatures(AppId(lane.app_id))
        if signatures is None:
            return

        def work(change: Change) -> None:
            now_ms = self._runtime.now_ms()
            crons.reconcile(change, signatures, now_ms=now_ms, new_id=self._new_id)

        await database.change(work)

    async def _lapse(
        self, lane: Lane, database: Database, ids: Sequence[str], *, is_gone: bool
    ) -> None:
        """Take jobs from servers that are gone."""
        if not ids:
            return

        def end(job: Job) -> Fields | None:
            now_ms = self._runtime.now_ms()
            assert job.lease_until_ms is not None
            if not is_gone and job.lease_until_ms > now_ms:
                return None
            return job.lapse(now_ms=now_ms, random=draw(self._runtime))

        lane.learn(ids, await rows.lapse(database, ids, end))

    async def _renew(self, held: _Held, database: Database) -> None:
        """Say that this server still runs what it runs."""
        now_ms = self._runtime.now_ms()
        held.renew_ms = now_ms + self._renew_ms
        leases = {job_id: run.lease for job_id, run in held.runs.items()}
        kept = await rows.renew(database, leases, until_ms=now_ms + self._lease_ms)
        for job_id in leases.keys() - kept:
            run = held.runs.get(job_id)
            if run is not None and run.lease == leases[job_id]:
                run.end()

    async def _claim(self, held: _Held, database: Database) -> None:
        """Begin what is due."""
        app_id, lane = AppId(held.lane.app_id), held.lane
        if not self._host.has_functions(app_id):
            return
        while (places := limits.JOBS_AT_ONCE - len(held.runs)) > 0 and not self._is_closing:
            freed = lane.freed
            ids = lane.take_due(self._runtime.now_ms(), places)
            if not ids:
                break
            try:
                claimed, waiting = await rows.claim(
                    database, ids, lambda change, job: self._claimed(app_id, lane, change, job)
                )
            except BaseException:
                lane.put_back(ids, self._runtime.now_ms())
                raise
            lane.block((job.id, job.due_ms or 0) for job in waiting)
            if lane.freed != freed:
                lane.unblock()  # what they wait for may have ended before they were noted
            for job in claimed:
                self._start(held, job)

    def _claimed(self, app_id: AppId, lane: Lane, change: Change, job: Job) -> Job | None:
        """Write that a job begins; None when it does not."""
        now_ms = self._runtime.now_ms()
        if job.due_ms is None or job.due_ms > now_ms:
            return None
        signature = self._host.find(app_id, job.function)
        if job.cron is not None:
            begun = crons.begin(
                change,
                job,
                signature,
                now_ms=now_ms,
                has_waited=job.id in lane.has_waited,
                new_id=self._new_id,
            )
            if begun is None:
                return None
            job = begun
        if signature is None or signature.kind == "query":
            told = "There is no such mutation or action."
            error = {"code": "function-not-found", "message": told}
            rows.write(change, job.id, job.refuse(error, now_ms=now_ms))
            return None
        lease = new_uuid(self._runtime)
        claim = job.claim(
            lease=lease,
            now_ms=now_ms,
            lease_ms=self._lease_ms,
            kind=signature.kind,
            retry=signature.retry,
        )
        rows.write(change, job.id, claim)
        return replace(
            job,
            state="running",
            due_ms=None,
            lease=lease,
            attempt=job.attempt + 1,
            kind=signature.kind,
            retry=signature.retry,
        )

    # --- running ----------------------------------------------------------------------------------

    def _start(self, held: _Held, job: Job) -> None:
        assert job.lease is not None
        run = held.runs[job.id] = Run(job, job.lease)
        if len(held.runs) == 1:
            held.renew_ms = self._runtime.now_ms() + self._renew_ms
        self._begin(self._carry(held, run))

    async def _carry(self, held: _Held, run: Run) -> None:
        """Run a job, and write what became of it."""
        app_id = AppId(held.lane.app_id)
        try:
            database = await self._host.lend(app_id)
            try:
                await self._runner.carry(app_id, database, run, kept=held.lane)
            finally:
                self._host.give_back(app_id)
        except Exception:
            # Its lease lapses, and it is dealt with as if this server had ended.
            logger.exception("job not settled %s", fields(app=app_id, job=run.job.id))
        finally:
            if held.runs.get(run.job.id) is run:
                del held.runs[run.job.id]
            self._look_at(held)

    def _new_id(self) -> str:
        return new_key(self._runtime)


def _seen(catalog: Catalog, image: Image | None) -> Seen | None:
    """A row as a commit has it."""
    if image is None or image.created_ms is None:
        return None
    found: dict[str, Any] = {}
    for label in ("state", "lease", "dueAt", "leaseUntil"):
        attr = catalog.find_forward("$jobs", label)
        assert attr is not None, "a system attr is missing"
        cell = image.cells.get(attr.id)
        value = None if cell is None else decode_attr(attr, cell)
        found[label] = value if isinstance(value, str | int | float) else None
    due, until = found["dueAt"], found["leaseUntil"]
    return Seen(
        found["state"] or "",
        found["lease"],
        None if due is None else int(due),
        None if until is None else int(until),
    )


def _is_taken(run: Run, new: Seen | None) -> bool:
    """Whether a job that we run was cancelled, or is somebody else's."""
    if new is None or new.state == "cancelled":
        return True
    return new.state in ("running", "scheduled") and new.lease != run.lease
