"""Pushes of schemas: attrs at once, changes of single properties as jobs (instant-http §4.7, §4.8).

    waiting ──> processing ──> completed | errored

The jobs of one push run in order, each as one transaction. What they found is kept in memory for
those who ask. A stop of the server ends jobs that wait: pushing the schema again makes them anew.

source   spec/accounts.md AC35-AC42
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from trice import account_limits
from trice.apps.apps import App, Apps
from trice.background import Background, Places
from trice.catalog.dates import iso_text
from trice.database import Look
from trice.errors import InvalidInput, TriceError, Unavailable, no_record
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import AppId, AttrId, TxId
from trice.protocol.quoting import json_type
from trice.runtime import Runtime, new_key
from trice.shares import Shares
from trice.transact.schema_steps import SchemaJob, SchemaSteps, with_own_names

Status = Literal["waiting", "processing", "completed", "errored"]

_STAGES: Final = {"waiting": "enqueued", "processing": "validate", "completed": "done"}


@dataclass(slots=True, eq=False)
class Job:
    """One job, and what became of it.

    error   "triple-not-unique-error", …; None unless it is errored
    found   what did not fit, with the keys of its JSON
    """

    id: str
    app_id: AppId
    group_id: str
    attr_name: str
    work: SchemaJob
    created_ms: int
    updated_ms: int
    status: Status = "waiting"
    error: str | None = None
    found: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The job as clients read it (instant-http §4.8)."""
        is_over = self.status in ("completed", "errored")
        return {
            "id": self.id,
            "app_id": self.app_id,
            "group_id": self.group_id,
            "attr_id": self.work.attr_id,
            "attr_name": self.attr_name,
            "job_type": self.work.kind,
            "job_status": self.status,
            "job_stage": _STAGES.get(self.status, self.status),
            "work_estimate": None,
            "work_completed": None,
            "error": self.error,
            "checked_data_type": self.work.checked_type,
            "invalid_unique_value": None,
            "invalid_triples_sample": None,
            "error_data": None,
            **self.found,
            "created_at": iso_text(self.created_ms),
            "updated_at": iso_text(self.updated_ms),
            "done_at": iso_text(self.updated_ms) if is_over else None,
        }


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did.

    tx     the transaction of its attr steps; None: it had none
    jobs   those that wait, by the places of their steps
    """

    tx: TxId | None
    group_id: str | None
    jobs: dict[int, Job]


class _Kept:
    """Jobs of the newest pushes, by push and by id."""

    def __init__(self) -> None:
        self.groups: OrderedDict[str, list[Job]] = OrderedDict()
        self.jobs: dict[str, Job] = {}

    def keep(self, group_id: str, jobs: list[Job]) -> None:
        """Keep the jobs of a push; the oldest pushes make room."""
        self.groups[group_id] = jobs
        self.jobs |= {job.id: job for job in jobs}
        while (
            len(self.groups) > account_limits.SCHEMA_GROUPS_KEPT
            or len(self.jobs) > account_limits.SCHEMA_JOBS_KEPT_MAX
        ):
            _, oldest = self.groups.popitem(last=False)
            for job in oldest:
                del self.jobs[job.id]


class SchemaJobs:
    """Carries out pushes. Holds the jobs of the newest ones, by push; they wait in `queue`."""

    def __init__(self, apps: Apps, *, runtime: Runtime, background: Background) -> None:
        self._apps = apps
        self._runtime = runtime
        self._kept = {True: _Kept(), False: _Kept()}  # by whether they are of throw-away apps
        self._waiting = Shares()
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

    async def push(self, app: App, steps: SchemaSteps, *, turn_key: TurnKey = SERVER) -> Pushed:
        """Apply attr steps, and let the jobs begin.

        raises   InvalidInput, Conflict, LimitExceeded, Unavailable("overloaded"); then nothing was
                 done
        """
        if not steps.jobs:
            return Pushed(await self._change(app, steps, turn_key), None, {})
        is_minor = app.is_ephemeral
        if self.queue.is_full(is_minor=is_minor) or not self._waiting.take(
            1, _share(app, turn_key)
        ):
            raise Unavailable("overloaded", "Too many pushes of schemas wait for their jobs.")
        try:
            tx = await self._change(app, steps, turn_key)
        except BaseException:
            self._waiting.give_back(1, _share(app, turn_key))
            raise
        group_id = new_key(self._runtime)
        jobs = [self._job(app, group_id, work) for work in steps.jobs]
        self._kept[is_minor].keep(group_id, jobs)
        leave = partial(self._leave, _share(app, turn_key), jobs)
        try:
            work = partial(self._run, app.id, jobs, turn_key)
            self.queue.submit(work, is_minor=is_minor).add_done_callback(leave)
        except Unavailable as failure:  # others came while the attrs were written
            outcome = asyncio.get_running_loop().create_future()
            outcome.set_exception(failure)
            leave(outcome)
        return Pushed(tx, group_id, {job.work.at: job for job in jobs})

    async def _change(self, app: App, steps: SchemaSteps, turn_key: TurnKey) -> TxId | None:
        attr_steps = steps.attr_steps
        if not attr_steps:
            return None
        return await app.database.change_schema(
            lambda catalog: with_own_names(attr_steps, catalog), turn_key=turn_key
        )

    def _leave(
        self, share: dict[str, int], jobs: Sequence[Job], outcome: asyncio.Future[None]
    ) -> None:
        """The jobs of a push are over. Those that did not begin say why: the server stops."""
        self._waiting.give_back(1, share)
        failure = None if outcome.cancelled() else outcome.exception()
        for job in jobs:
            if job.status in ("waiting", "processing"):
                self._end(job, failure=failure if isinstance(failure, TriceError) else _stopped())

    def group(self, app_id: AppId, group_id: str) -> list[Job]:
        """The jobs of a push, in order; none for a push that is unknown, or of another app."""
        found = (kept.groups.get(group_id, ()) for kept in self._kept.values())
        return [job for jobs in found for job in jobs if job.app_id == app_id]

    def get(self, app_id: AppId, job_id: str) -> Job:
        """A job of an app; raises NotFound."""
        found = (kept.jobs.get(job_id) for kept in self._kept.values())
        job = next((job for job in found if job is not None), None)
        if job is None or job.app_id != app_id:
            raise no_record("indexing-job", "This app has no job with this id, or it is old.")
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
            return
        try:
            for job in jobs:
                await self._run_job(app, job, turn_key)
        finally:
            self._apps.give_back(app)

    async def _run_job(self, app: App, job: Job, turn_key: TurnKey) -> None:
        job.status, job.updated_ms = "processing", self._runtime.now_ms()
        try:
            await app.database.change_schema(lambda _: [job.work.step()], turn_key=turn_key)
        except TriceError as failure:
            if job.work.kind == "required" and failure.code == "validation-failed":
                job.found = await _lacking(app, job.work.attr_id)
            self._end(job, failure=failure)
        except Exception:
            self._end(job, failure=_stopped("The job failed; the log of the server says why."))
            raise
        else:
            self._end(job)

    def _end(self, job: Job, *, failure: TriceError | None = None) -> None:
        job.updated_ms = self._runtime.now_ms()
        job.status = "completed" if failure is None else "errored"
        if failure is not None:
            job.error, found = _told(job, failure)
            job.found = {**found, **job.found}


def _share(app: App, turn_key: TurnKey) -> dict[str, int]:
    """The bound that a push counts towards: anybody can make throw-away apps."""
    return {turn_key[0]: account_limits.EPHEMERAL_GROUPS_OF_NETWORK} if app.is_ephemeral else {}


def _stopped(told: str = "The server stopped before the job was done.") -> Unavailable:
    return Unavailable("overloaded", told)


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
