"""Crons: the next time of each is a scheduled job, with the cron's name as its key and its time in
`runId`, which is unique. It is the durable place of the cron.

    deployed ──> next time is scheduled ──due──> it runs, and the time after it is scheduled, in one
    transaction. Of one cron one runs at a time; what was due meanwhile runs once, after it.

A cron that is new or has another schedule starts from now. No I/O of its own: on an open write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from trice import job_limits as limits
from trice.calls.jobs.job import Fields, Job, cron_key
from trice.calls.jobs.rows import write
from trice.calls.jobs.schedule import JOBS
from trice.database import Change, Look
from trice.functions.cron_times import latest_until, newest, next_after
from trice.functions.signature import Schedule, Signature
from trice.system_rows import find_row


@dataclass(frozen=True, slots=True)
class Turn:
    """What becomes of a time that is due.

    run_ms    the time that runs; None: none does
    next_ms   the time that is scheduled then
    """

    run_ms: int | None
    next_ms: int


def decide(schedule: Schedule, due_ms: int, *, now_ms: int, has_waited: bool) -> Turn:
    """Which of the times from `due_ms` to now runs.

    has_waited   it was due while the cron ran: no server missed it
    """
    if schedule.missed == "all":
        run_ms = newest(schedule, now_ms, first_ms=due_ms, count=limits.CRON_MISSED_MAX)[0]
        return Turn(run_ms, next_after(schedule, run_ms, anchor_ms=due_ms))
    latest_ms = latest_until(schedule, now_ms, first_ms=due_ms)
    next_ms = next_after(schedule, now_ms, anchor_ms=due_ms)
    is_missed = now_ms - latest_ms > limits.CRON_LATE_MS and not has_waited
    if schedule.missed == "skip" and is_missed:
        return Turn(None, next_ms)
    return Turn(latest_ms, next_ms)


def begin(
    change: Change,
    job: Job,
    signature: Signature | None,
    *,
    now_ms: int,
    has_waited: bool,
    new_id: Callable[[], str],
) -> Job | None:
    """Let a due time of a cron begin, and schedule the next one; None: it does not run.

    signature   of its function as it is now
    """
    schedule = None if signature is None else signature.schedule
    if signature is None or schedule is None or schedule.text() != job.cron:
        return None  # other functions were deployed: `reconcile` changes it
    if job.has_begun:
        return job  # the next time was scheduled when it began first
    turn = decide(schedule, job.scheduled_for, now_ms=now_ms, has_waited=has_waited)
    if turn.run_ms is None:
        write(change, job.id, _times(signature.name, turn.next_ms))
        return None
    if turn.run_ms != job.scheduled_for:
        moved = {"runId": run_id(signature.name, turn.run_ms), "scheduledFor": turn.run_ms}
        write(change, job.id, moved)
    _put(change, signature, schedule, turn.next_ms, new_id())
    return replace(job, scheduled_for=turn.run_ms)


def reconcile(
    change: Change,
    signatures: Iterable[Signature],
    *,
    now_ms: int,
    new_id: Callable[[], str],
) -> None:
    """Let the scheduled times be those of the crons that are deployed."""
    wanted = {each.name: each for each in signatures if each.schedule is not None}
    settled: set[str] = set()
    for row in _scheduled(change):
        name, signature = row["function"], wanted.get(row["function"])
        if row.get("startedAt") is not None:
            continue  # a time that began, and runs again
        if signature is None or signature.schedule is None or name in settled:
            change.write(["delete", JOBS, row["id"]])
            continue
        settled.add(name)
        text = signature.schedule.text()
        if text != row["cron"]:
            time_ms = _first_free(change, signature, signature.schedule, now_ms, row["id"])
            write(change, row["id"], {"cron": text, **_times(name, time_ms)})
    for name, signature in wanted.items():
        if name not in settled and signature.schedule is not None:
            time_ms = _first_free(change, signature, signature.schedule, now_ms, "")
            _create(change, signature, signature.schedule, time_ms, new_id())


def run_id(name: str, time_ms: int) -> str:
    """What a run of a cron is known by, on every server."""
    return f"{name} {time_ms}"


def _first_free(
    change: Change, signature: Signature, schedule: Schedule, now_ms: int, job_id: str
) -> int:
    """The first time after now that did not run: a clock may have been set back."""
    anchor_ms = time_ms = next_after(schedule, now_ms, anchor_ms=now_ms)
    for _ in range(limits.CRON_MISSED_MAX):
        there = find_row(change, JOBS, "runId", run_id(signature.name, time_ms))
        if there is None or there.fields["id"] == job_id:
            break
        time_ms = next_after(schedule, time_ms, anchor_ms=anchor_ms)
    return time_ms


def _put(
    change: Change, signature: Signature, schedule: Schedule, time_ms: int, job_id: str
) -> None:
    """Schedule a time of a cron, if nobody did."""
    if find_row(change, JOBS, "runId", run_id(signature.name, time_ms)) is None:
        _create(change, signature, schedule, time_ms, job_id)


def _create(
    change: Change, signature: Signature, schedule: Schedule, time_ms: int, job_id: str
) -> None:
    fields: Fields = {
        "function": signature.name,
        "args": {},
        "state": "scheduled",
        "activeKey": cron_key(signature.name),
        "cron": schedule.text(),
        "attempt": 0,
        **_times(signature.name, time_ms),
    }
    change.write(["create", JOBS, job_id, fields])


def _times(name: str, time_ms: int) -> Fields:
    return {"dueAt": time_ms, "scheduledFor": time_ms, "runId": run_id(name, time_ms)}


def _scheduled(look: Look) -> list[dict[str, Any]]:
    where = {
        "and": [
            {"state": "scheduled"},
            {"activeKey": {"$gt": cron_key("")}},
            {"activeKey": {"$lt": cron_key("\U0010ffff")}},
        ]
    }
    fields = ["function", "cron", "startedAt"]
    form = {"where": where, "fields": fields, "limit": 4 * limits.CRONS_MAX}
    return look.find({JOBS: {"$": form}})[JOBS]
