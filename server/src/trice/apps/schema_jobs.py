"""Pushes of schemas: attrs at once, changes of single properties as jobs (instant-http §4.7, §4.8).

    waiting ──> processing ──> completed | errored | canceled

The jobs of one push run in order, those of one app one at a time. Each is a row of platform.db
(`apps.job_rows`): a job that a stop or a kill of the server cut off begins again at the next start.

source   spec/accounts.md AC35-AC43; spec/schema-jobs.md
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from trice import account_limits
from trice.apps.apps import App, Apps
from trice.apps.attr_change import AttrChange
from trice.apps.job import Job
from trice.apps.job_rows import JobRows
from trice.background import Background, Places
from trice.database import Look
from trice.errors import Conflict, InvalidInput, TriceError, Unavailable, no_record
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import AppId, AttrId, TxId
from trice.protocol.quoting import json_type
from trice.runtime import Runtime, new_key
from trice.shares import ALL, Shares
from trice.transact.schema_steps import SchemaJob, SchemaSteps, with_own_names


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did.

    tx     the transaction of its attr steps; None: it had none
    jobs   those that wait, by the places of their steps
    """

    tx: TxId | None
    group_id: str | None
    jobs: dict[int, Job]


@dataclass(frozen=True, slots=True)
class _Share:
    """What a push counts towards, until its jobs are over: `Shares.take`.

    pushes   bounds of pushes
    count    how many jobs it has
    jobs     bounds of jobs
    """

    pushes: Mapping[Hashable, int] = field(default_factory=dict)
    count: int = 0
    jobs: Mapping[Hashable, int] = field(default_factory=dict)


class _Kept:
    """Jobs of the newest pushes, by push and by id."""

    def __init__(self) -> None:
        self.groups: OrderedDict[str, list[Job]] = OrderedDict()
        self.jobs: dict[str, Job] = {}

    def keep(self, group_id: str, jobs: list[Job]) -> list[Job]:
        """Keep the jobs of a push; the oldest pushes whose jobs are over make room. Returns the
        jobs that are kept no more."""
        self.groups[group_id] = jobs
        self.jobs |= {job.id: job for job in jobs}
        gone: list[Job] = []
        for oldest_id, oldest in list(self.groups.items()):
            if (
                len(self.groups) <= account_limits.SCHEMA_GROUPS_KEPT
                and len(self.jobs) <= account_limits.SCHEMA_JOBS_KEPT_MAX
            ):
                break
            if all(job.is_over for job in oldest):
                gone += self.groups.pop(oldest_id)
                for job in oldest:
                    del self.jobs[job.id]
        return gone


class SchemaJobs:
    """Carries out pushes. Holds the jobs of the newest ones, by push; they wait in `queue`.

    Invariant: each job that is not over has its row; whoever changes its status writes the row.
    """

    def __init__(self, apps: Apps, *, runtime: Runtime, background: Background) -> None:
        self._apps = apps
        self._rows = JobRows(apps.platform)
        self._runtime = runtime
        self._background = background
        self._kept = {True: _Kept(), False: _Kept()}  # by whether they are of throw-away apps
        self._waiting = Shares()
        self._waiting_jobs = Shares()
        self._loading: asyncio.Task[None] | None = None
        self.queue = background.queue(
            "schema-jobs",
            Places(
                running=account_limits.SCHEMA_GROUPS_RUNNING,
                in_all=account_limits.SCHEMA_GROUPS_WAITING_MAX,
            ),
            minor=Places(
                running=account_limits.EPHEMERAL_GROUPS_RUNNING,
                in_all=account_limits.EPHEMERAL_GROUPS_WAITING_MAX,
            ),
        )

    async def load(self) -> None:
        """Read the jobs of an earlier process, and begin again those that are not over. Every other
        method needs this to be done; calls after the first do nothing."""
        if self._loading is None:
            self._loading = self._background.begin(self._load())
        await asyncio.shield(self._loading)

    async def _load(self) -> None:
        groups: dict[str, list[Job]] = {}
        for job in await self._rows.load():
            groups.setdefault(job.group_id, []).append(job)
        for group_id, jobs in groups.items():
            jobs.sort(key=lambda job: job.work.at)
            app = self._apps.find_hidden(jobs[0].app_id)
            is_minor = app is not None and app.expires_ms is not None
            self._kept[is_minor].keep(group_id, jobs)
            left = [job for job in jobs if not job.is_over]
            if left:
                self._begin(
                    jobs[0].app_id, left, is_minor=is_minor, turn_key=SERVER, share=_Share()
                )

    async def push(self, app: App, steps: SchemaSteps, *, turn_key: TurnKey = SERVER) -> Pushed:
        """Apply attr steps, and let the jobs begin.

        raises   InvalidInput, Conflict, LimitExceeded, Unavailable("overloaded"); then nothing was
                 done
        """
        await self.load()
        if not steps.jobs:
            return Pushed(await self._change(app, steps, turn_key), None, {})
        is_minor, share = app.is_ephemeral, _share(app, len(steps.jobs), turn_key)
        if self.queue.is_full(is_minor=is_minor) or not self._take(share):
            raise Unavailable("overloaded", "Too many pushes of schemas wait for their jobs.")
        try:
            tx = await self._change(app, steps, turn_key)
            group_id = new_key(self._runtime)
            jobs = [self._job(app, group_id, work) for work in steps.jobs]
            await self._rows.write(jobs)
        except BaseException:
            self._give_back(share)
            raise
        gone = self._kept[is_minor].keep(group_id, jobs)
        self._begin(app.id, jobs, is_minor=is_minor, turn_key=turn_key, share=share)
        if gone:
            await self._rows.delete([job.id for job in gone])
        return Pushed(tx, group_id, {job.work.at: job for job in jobs})

    def _begin(
        self,
        app_id: AppId,
        jobs: list[Job],
        *,
        is_minor: bool,
        turn_key: TurnKey,
        share: _Share,
    ) -> None:
        leave = partial(self._leave, share, jobs)
        try:
            work = partial(self._run, app_id, jobs, turn_key)
            # An app, and the apps of one holder, take one place.
            keys = {app_id, *self._holder(app_id)}
            self.queue.submit(work, is_minor=is_minor, keys=keys).add_done_callback(leave)
        except Unavailable as failure:  # others came while the attrs were written
            outcome = asyncio.get_running_loop().create_future()
            outcome.set_exception(failure)
            leave(outcome)

    def _holder(self, app_id: AppId) -> set[str]:
        """The account or organisation of an app, if it has one."""
        row = self._apps.find_row(app_id)
        return set() if row is None else {each for each in (row.owner, row.org) if each is not None}

    def _take(self, share: _Share) -> bool:
        if not self._waiting.take(1, share.pushes):
            return False
        if self._waiting_jobs.take(share.count, share.jobs):
            return True
        self._waiting.give_back(1, share.pushes)
        return False

    def _give_back(self, share: _Share) -> None:
        self._waiting.give_back(1, share.pushes)
        self._waiting_jobs.give_back(share.count, share.jobs)

    async def _change(self, app: App, steps: SchemaSteps, turn_key: TurnKey) -> TxId | None:
        attr_steps = steps.attr_steps
        if not attr_steps:
            return None
        return await app.database.change_schema(
            lambda catalog: with_own_names(attr_steps, catalog), turn_key=turn_key
        )

    def _leave(self, share: _Share, jobs: Sequence[Job], outcome: asyncio.Future[None]) -> None:
        """The jobs of a push are over, or cut off by a stop: those begin again at the next start.
        Those that found no place say so."""
        self._give_back(share)
        failure = None if outcome.cancelled() else outcome.exception()
        if self._background.is_stopped:
            return
        left = [job for job in jobs if not job.is_over]
        for job in left:
            self._end(job, failure=failure if isinstance(failure, TriceError) else _failed())
        if left:
            self._background.begin(self._rows.write(left))

    def group(self, app_id: AppId, group_id: str) -> list[Job]:
        """The jobs of a push, in order; none for a push that is unknown, or of another app."""
        found = (kept.groups.get(group_id, ()) for kept in self._kept.values())
        return [job for jobs in found for job in jobs if job.app_id == app_id]

    def of_app(self, app_id: AppId) -> list[Job]:
        """The newest jobs of an app, newest first."""
        groups = (jobs for kept in self._kept.values() for jobs in kept.groups.values())
        found = [job for jobs in groups for job in jobs if job.app_id == app_id]
        return found[::-1][: account_limits.SCHEMA_JOBS_LISTED_MAX]

    def get(self, app_id: AppId, job_id: str) -> Job:
        """A job of an app; raises NotFound."""
        found = (kept.jobs.get(job_id) for kept in self._kept.values())
        job = next((job for job in found if job is not None), None)
        if job is None or job.app_id != app_id:
            raise no_record("indexing-job", "This app has no job with this id, or it is old.")
        return job

    async def cancel(self, app_id: AppId, job_id: str) -> Job:
        """End a job that waits or works; its attr stays as it was. The jobs after it go on.

        raises   NotFound; Conflict when it is over, or about to end
        """
        await self.load()
        job = self.get(app_id, job_id)
        if job.is_over or (job.change is not None and job.change.is_late):
            told = "is over already" if job.is_over else "is about to end"
            raise Conflict("record-not-unique", f"The job {told}; it cannot be canceled.")
        job.is_canceled = True
        if job.task is None:
            self._end(job)
            await self._rows.write([job])
        else:
            assert job.change is not None
            job.change.cancel()
            job.task.cancel()
            await job.ended.wait()
        return job

    def _job(self, app: App, group_id: str, work: SchemaJob) -> Job:
        attr = app.database.catalog.by_id.get(work.attr_id)
        name = "unknown.attr" if attr is None else attr.name
        now_ms = self._runtime.now_ms()
        return Job(new_key(self._runtime), app.id, group_id, name, work, now_ms, now_ms)

    async def _run(self, app_id: AppId, jobs: Sequence[Job], turn_key: TurnKey) -> None:
        try:
            app = await self._apps.lend(app_id)
        except TriceError as failure:
            for job in jobs:
                self._end(job, failure=failure)
            await self._rows.write(jobs)
            return
        try:
            for job in jobs:
                if not job.is_over:
                    await self._run_job(app, job, turn_key)
        finally:
            self._apps.give_back(app)

    async def _run_job(self, app: App, job: Job, turn_key: TurnKey) -> None:
        job.status, job.updated_ms = "processing", self._runtime.now_ms()
        job.change = AttrChange(app.database, job.work, turn_key=turn_key)
        job.progress = job.change.progress
        job.task = self._background.begin(job.change.run())
        try:
            await asyncio.wait([job.task])
        except asyncio.CancelledError:
            job.change.cancel()
            job.task.cancel()
            job.ended.set()
            raise
        if job.task.cancelled() and not job.is_canceled:
            raise asyncio.CancelledError  # the server stops
        failure = None if job.task.cancelled() else job.task.exception()
        if self._background.is_stopped and isinstance(failure, Unavailable):
            raise failure
        try:
            if job.task.cancelled():
                await job.change.abandon()
            job.is_canceled = job.task.cancelled()
            if failure is not None and not isinstance(failure, TriceError):
                self._end(job, failure=_failed())
                raise failure
            is_required = job.work.kind == "required"
            if failure is not None and is_required and failure.code == "validation-failed":
                job.found = await _lacking(app, job.work.attr_id)
            self._end(job, failure=failure)
        finally:
            job.change = job.task = None
            if job.is_over:
                await self._rows.write([job])
            job.ended.set()

    def _end(self, job: Job, *, failure: TriceError | None = None) -> None:
        job.updated_ms = self._runtime.now_ms()
        job.status = "completed" if failure is None else "errored"
        if job.is_canceled:
            job.status = "canceled"
        elif failure is not None:
            job.error, found = _told(job, failure)
            job.found = {**found, **job.found}


def _share(app: App, count: int, turn_key: TurnKey) -> _Share:
    """The bounds that a push of so many jobs counts towards: anybody can make throw-away apps, and
    an account has many of the others."""
    holder = app.row.owner or app.row.org or app.id
    pushes: dict[Hashable, int] = {holder: account_limits.SCHEMA_GROUPS_OF_HOLDER}
    if app.is_ephemeral:
        holder = turn_key[0]
        pushes = {holder: account_limits.EPHEMERAL_GROUPS_OF_NETWORK}
    of_holder = account_limits.SCHEMA_JOBS_OF_HOLDER
    jobs: dict[Hashable, int] = {ALL: account_limits.SCHEMA_JOBS_KEPT_MAX, (holder,): of_holder}
    return _Share(pushes, count, jobs)


def _failed() -> Unavailable:
    return Unavailable("overloaded", "The job failed; the log of the server says why.")


def _told(job: Job, failure: TriceError) -> tuple[str, dict[str, Any]]:
    """Instant's name of a failure, and what it found."""
    hint = failure.hint
    if failure.code == "record-not-unique":
        return "triple-not-unique-error", {"invalid_unique_value": hint.get("value")}
    if not isinstance(failure, InvalidInput):
        return "unexpected-error", {"error_data": {"message": failure.message}}
    if "entity-id" in hint:
        value = hint["value"]
        sample = {"entity_id": hint["entity-id"], "value": value, "json_type": json_type(value)}
        is_large = hint.get("value-too-large?") is True
        kind = "triple-too-large-error" if is_large else "invalid-triple-error"
        return kind, {"invalid_triples_sample": [sample]}
    if job.work.kind == "required" and "count" in job.found.get("error_data", {}):
        return "missing-required-error", {}
    return "invalid-attr-state-error", {"error_data": {"message": failure.message}}


async def _lacking(app: App, attr_id: AttrId) -> dict[str, Any]:
    """Which entities lack a value, a few of them by id; nothing if the attr is no more."""
    attr = app.database.catalog.by_id.get(attr_id)
    if attr is None or attr.is_system:
        return {}

    def work(look: Look) -> dict[str, Any]:
        where = {"where": {attr.label: {"$isNull": True}}}
        few = {**where, "fields": ["id"], "limit": account_limits.JOB_SAMPLES_MAX}
        rows = look.find({attr.etype: {"$": few}})[attr.etype]
        counted: Any = look.find({attr.etype: {"$": {**where, "aggregate": "count"}}})
        return {
            "error_data": {
                "count": counted[attr.etype]["count"],
                "entity-ids": [row["id"] for row in rows],
                "etype": attr.etype,
                "label": attr.label,
            }
        }

    return await app.database.look(work)
