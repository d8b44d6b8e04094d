"""Pushes of schemas: attrs at once, changes of single properties as jobs (instant-http §4.7, §4.8).

    waiting ──> processing ──> completed | errored

The jobs of one push run in order, each as one transaction. What they found is kept in memory for
those who ask. A stop of the server ends jobs that wait: pushing the schema again makes them anew.

source   spec/accounts.md AC35-AC42
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from trice import account_limits
from trice.apps.apps import App, Apps
from trice.background import Background, Places
from trice.catalog.dates import iso_text
from trice.database import Look
from trice.errors import InvalidInput, NotFound, TriceError, Unavailable, no_record
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import AppId, AttrId, TxId
from trice.protocol.quoting import json_type
from trice.runtime import Runtime, new_key
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


class SchemaJobs:
    """Carries out pushes. Holds the jobs of the newest ones, by push; they wait in `queue`."""

    def __init__(self, apps: Apps, *, runtime: Runtime, background: Background) -> None:
        self._apps = apps
        self._runtime = runtime
        self._groups: OrderedDict[str, list[Job]] = OrderedDict()
        self._jobs: dict[str, Job] = {}
        places = Places(
            running=account_limits.SCHEMA_GROUPS_RUNNING,
            in_all=account_limits.SCHEMA_GROUPS_WAITING_MAX,
        )
        self.queue = background.queue("schema-jobs", places, minor=places)

    async def push(self, app: App, steps: SchemaSteps, *, turn_key: TurnKey = SERVER) -> Pushed:
        """Apply attr steps, and let the jobs begin.

        raises   InvalidInput, Conflict, LimitExceeded, Unavailable("overloaded"); then nothing was
                 done
        """
        tx = None
        if steps.jobs and self.queue.is_full:
            raise Unavailable("overloaded", "Too many pushes of schemas wait for their jobs.")
        if steps.attr_steps:
            attr_steps = steps.attr_steps
            tx = await app.database.change_schema(
                lambda catalog: with_own_names(attr_steps, catalog), turn_key=turn_key
            )
        if not steps.jobs:
            return Pushed(tx, None, {})
        group_id = new_key(self._runtime)
        jobs = [self._job(app, group_id, work) for work in steps.jobs]
        self._keep(group_id, jobs)
        try:
            outcome = self.queue.submit(lambda: self._run(app.id, jobs, turn_key))
        except Unavailable as failure:  # others came while the attrs were written
            for job in jobs:
                self._end(job, failure=failure)
        else:
            # Each job tells its own failure. The stop of the server ends all; nobody asks then.
            outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        return Pushed(tx, group_id, {job.work.at: job for job in jobs})

    def group(self, app_id: AppId, group_id: str) -> list[Job]:
        """The jobs of a push, in order; none for a push that is unknown, or of another app."""
        return [job for job in self._groups.get(group_id, ()) if job.app_id == app_id]

    def get(self, app_id: AppId, job_id: str) -> Job:
        """A job of an app; raises NotFound."""
        job = self._jobs.get(job_id)
        if job is None or job.app_id != app_id:
            raise no_record("indexing-job", "This app has no job with this id, or it is old.")
        return job

    def _job(self, app: App, group_id: str, work: SchemaJob) -> Job:
        attr = app.database.catalog.by_id.get(work.attr_id)
        name = "unknown.attr" if attr is None else attr.name
        now_ms = self._runtime.now_ms()
        return Job(new_key(self._runtime), app.id, group_id, name, work, now_ms, now_ms)

    def _keep(self, group_id: str, jobs: list[Job]) -> None:
        self._groups[group_id] = jobs
        self._jobs |= {job.id: job for job in jobs}
        while (
            len(self._groups) > account_limits.SCHEMA_GROUPS_KEPT
            or len(self._jobs) > account_limits.SCHEMA_JOBS_KEPT_MAX
        ):
            _, oldest = self._groups.popitem(last=False)
            for job in oldest:
                del self._jobs[job.id]

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
            self._end(job, failure=NotFound("record-not-found", "It failed, see the log."))
            raise
        else:
            self._end(job)

    def _end(self, job: Job, *, failure: TriceError | None = None) -> None:
        job.updated_ms = self._runtime.now_ms()
        job.status = "completed" if failure is None else "errored"
        if failure is not None:
            job.error, found = _told(job, failure)
            job.found = {**found, **job.found}


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
