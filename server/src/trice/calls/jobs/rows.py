"""Jobs as rows of `$jobs`: each method is one transaction, or one read.

What runs a job writes only where the row is running and the lease is its own (`get_held`); so does
the transaction of its mutation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from trice import job_limits as limits
from trice.calls.jobs.job import FINISHED, RELEASED, Fields, Job, State
from trice.calls.jobs.schedule import JOBS, find_job, jobs_of_key
from trice.database import Change, Database, Look
from trice.errors import Conflict, NotFound, no_record
from trice.store.engine import Snapshot


@dataclass(frozen=True, slots=True)
class Times:
    """When something is to be done about the jobs of an app.

    due        id → when it is due: those that are next
    is_whole   there are no others
    leases     id → until when somebody has it
    count      how many jobs there are
    tx         the last transaction that was seen
    """

    due: Mapping[str, int]
    is_whole: bool
    leases: Mapping[str, int]
    count: int
    tx: int


def get_held(look: Look, job_id: str, lease: str) -> Job:
    """The job that runs with this lease.

    raises   Conflict("job-over") when it was cancelled, or somebody else has it
    """
    job = find_job(look, job_id)
    if job is None or job.state != "running" or job.lease != lease:
        raise Conflict(
            "job-over", "The job was cancelled, or its lease lapsed; it can write no more."
        )
    return job


def write(change: Change, job_id: str, fields: Fields) -> None:
    """Change labels of a job."""
    change.write(["update", JOBS, job_id, fields])


async def load_times(database: Database) -> Times:
    """What a server must know of the jobs of an app."""

    def work(look: Look) -> Times:
        count = limits.JOBS_LOADED_MAX
        due = _page(look, {"dueAt": {"$gte": 0}}, "dueAt", count=count)
        held = _page(look, {"leaseUntil": {"$gte": 0}}, "leaseUntil", count=limits.JOBS_LOADED_MAX)
        number, _ = look.stored.count(look.catalog.namespaces[JOBS])
        return Times(
            {row["id"]: int(row["dueAt"]) for row in due},
            len(due) < count,
            {row["id"]: int(row["leaseUntil"]) for row in held},
            number,
            cast(Snapshot, look.statements).newest_tx(),
        )

    return await database.look(work)


async def claim(
    database: Database, ids: Sequence[str], begin: Callable[[Change, Job], Job | None]
) -> tuple[list[Job], list[Job]]:
    """Begin those of these jobs that are scheduled and of whose key none runs.

    begin     writes the claim of one, and returns it as claimed; None: it does not run
    returns   those that were claimed, and those that wait for one of their key
    """

    def work(change: Change) -> tuple[list[Job], list[Job]]:
        claimed: list[Job] = []
        waiting: list[Job] = []
        taken: set[str] = set()
        for job_id in ids:
            job = find_job(change, job_id)
            if job is None or job.state != "scheduled":
                continue
            if job.active_key is not None:
                if job.active_key in taken or _is_busy(change, job.active_key):
                    waiting.append(job)
                    continue
                taken.add(job.active_key)
            begun = begin(change, job)
            if begun is not None:
                claimed.append(begun)
        return claimed, waiting

    return await database.change(work)


async def change_held(
    database: Database, job_id: str, lease: str, make: Callable[[Job], Fields]
) -> bool:
    """Change a job while it runs with this lease; a cancelled one is released instead. False when
    it is not ours any more."""

    def work(change: Change) -> bool:
        job = find_job(change, job_id)
        if job is None or job.lease != lease:
            return False
        is_running = job.state == "running"
        write(change, job_id, make(job) if is_running else RELEASED)
        return is_running

    return await database.change(work)


async def renew(database: Database, leases: Mapping[str, str], *, until_ms: int) -> set[str]:
    """Renew leases, by job; returns the jobs that are running with theirs."""

    def work(change: Change) -> set[str]:
        kept = set()
        for job_id, lease in leases.items():
            job = find_job(change, job_id)
            if job is not None and job.lease == lease:
                write(change, job_id, {"leaseUntil": until_ms})
                if job.state == "running":
                    kept.add(job_id)
        return kept

    return await database.change(work)


async def lapse(
    database: Database, ids: Sequence[str], end: Callable[[Job], Fields | None]
) -> Mapping[str, int]:
    """Take jobs from servers that are gone. `end` says what changes; None: it has not lapsed.

    returns   those that have not, and until when they are somebody's
    """

    def work(change: Change) -> dict[str, int]:
        left = {}
        for job_id in ids:
            job = find_job(change, job_id)
            if job is None or job.lease is None or job.lease_until_ms is None:
                continue
            fields = end(job)
            if fields is None:
                left[job_id] = job.lease_until_ms
            else:
                write(change, job_id, fields if job.state == "running" else RELEASED)
        return left

    return await database.change(work)


async def cancel(database: Database, job_id: str, *, now_ms: int) -> State:
    """Cancel a job that is scheduled or runs; returns its state before.

    raises   NotFound; Conflict("job-over") when it is finished
    """

    def work(change: Change) -> State:
        job = _get(change, job_id)
        if job.state not in ("scheduled", "running"):
            raise Conflict("job-over", f"The job is {job.state} already.")
        write(change, job_id, job.cancel(now_ms=now_ms))
        return job.state

    return await database.change(work)


async def rerun(database: Database, job_id: str, *, now_ms: int) -> None:
    """Schedule a failed job again, now.

    raises   NotFound; Conflict("job-over") when it did not fail
    """

    def work(change: Change) -> None:
        job = _get(change, job_id)
        if job.state != "failed":
            raise Conflict(
                "job-over", f"Only failed jobs can be run again; this one is {job.state}."
            )
        write(change, job_id, job.rerun(now_ms=now_ms))

    await database.change(work)


async def listed(
    database: Database, *, state: State | None, function: str | None, count: int
) -> list[dict[str, Any]]:
    """Jobs, newest first, as their rows."""
    where = {"state": state, "function": function}
    options: dict[str, Any] = {
        "where": {label: value for label, value in where.items() if value is not None},
        "order": {"serverCreatedAt": "desc"},
        "limit": count,
    }
    found = await database.look(lambda look: look.find({JOBS: {"$": options}}))
    return found[JOBS]


async def sweep(database: Database, *, now_ms: int, is_crowded: bool) -> int:
    """Remove jobs that finished long ago, some of them; how many.

    is_crowded   the oldest that are done or cancelled go before their time
    """

    def find(look: Look) -> list[str]:
        old: list[dict[str, Any]] = []
        before_ms = now_ms if is_crowded else now_ms - limits.JOB_KEPT_MS
        ended = {"state": {"$in": ["done", "cancelled"]}, "finishedAt": {"$lt": before_ms}}
        old += _page(look, ended, "finishedAt", count=limits.JOBS_SWEPT)
        failed_ms = now_ms - limits.JOB_FAILED_KEPT_MS
        failed = {"state": "failed", "finishedAt": {"$lt": failed_ms}}
        old += _page(look, failed, "finishedAt", count=limits.JOBS_SWEPT)
        return [row["id"] for row in old]

    def work(change: Change) -> None:
        for job_id in ids:
            job = find_job(change, job_id)
            if job is not None and job.state in FINISHED and job.lease is None:
                change.write(["delete", JOBS, job_id])

    ids = await database.look(find)
    if ids:
        await database.change(work, is_long=len(ids) > limits.JOBS_SWEPT // 10)
    return len(ids)


def unknown_job(job_id: str) -> NotFound:
    """The error for a job that the app does not have, or no more."""
    return no_record("job", "The app has no job with this id, or no more.", {"id": job_id})


def _get(look: Look, job_id: str) -> Job:
    job = find_job(look, job_id)
    if job is None:
        raise unknown_job(job_id)
    return job


def _is_busy(look: Look, active_key: str) -> bool:
    return any(each.lease is not None for each in jobs_of_key(look, active_key))


def _page(look: Look, where: Mapping[str, Any], label: str, *, count: int) -> list[dict[str, Any]]:
    options = {"where": where, "order": {label: "asc"}, "limit": count, "fields": [label]}
    return look.find({JOBS: {"$": options}})[JOBS]
