"""Jobs that a call schedules, written in its transaction. No I/O of its own: on an open write.

A key stands for at most one scheduled job: a new one replaces it, or with `keep` is not made. One
that runs has begun; the new one waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from trice import job_limits as limits
from trice.calls.jobs.job import Fields, Job, key_of
from trice.database import Change, Look
from trice.errors import InvalidInput, LimitExceeded
from trice.functions.frames import Later
from trice.protocol.ids import find_uuid_bytes
from trice.protocol.quoting import brief
from trice.system_rows import find_row, find_rows

JOBS: Final = "$jobs"
_OF_KEY_MAX: Final = 16

IfExists = Literal["replace", "keep"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job that is to be made.

    due_ms   when it runs, by the wall clock
    """

    id: str
    function: str
    args: Mapping[str, Any]
    due_ms: int
    key: str | None = None
    if_exists: IfExists = "replace"
    trace: str = ""

    def fields(self) -> Fields:
        """Its row."""
        active = None if self.key is None else key_of(self.key)
        return {
            "function": self.function,
            "args": dict(self.args),
            "state": "scheduled",
            "dueAt": self.due_ms,
            "scheduledFor": self.due_ms,
            "key": self.key,
            "activeKey": active,
            "attempt": 0,
            "trace": self.trace,
        }


def wanted_of(later: Later, args: Mapping[str, Any], *, now_ms: int, trace: str) -> Wanted:
    """What a function asked for, checked.

    args     decoded `later.args`
    raises   InvalidInput("bad-args")
    """
    if find_uuid_bytes(later.id) is None:
        raise _bad("A job has a uuid.", later.id)
    if later.key is not None and not 0 < len(later.key) <= limits.JOB_KEY_CHARS_MAX:
        told = f"The key of a job has 1 to {limits.JOB_KEY_CHARS_MAX} characters."
        raise _bad(told, later.key)
    if later.due_ms > now_ms + limits.JOB_LATER_MS_MAX:
        raise _bad("A job runs within ten years.", later.due_ms)
    return Wanted(
        later.id,
        later.function,
        args,
        max(later.due_ms, 0),
        later.key,
        "keep" if later.is_kept else "replace",
        trace,
    )


def decoded_args(later: Later) -> Mapping[str, Any]:
    """The arguments of a job. raises   InvalidInput("bad-args")"""
    try:
        found = orjson.loads(later.args)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise _bad("The arguments of a job are a JSON object.", later.function)
    return found


def schedule(change: Change, wanted: Sequence[Wanted], *, kept: int) -> None:
    """Write jobs.

    kept     how many jobs the app has
    raises   LimitExceeded("too-many-jobs")
    """
    if len(wanted) > limits.JOBS_OF_CALL_MAX:
        raise too_many(f"A call schedules at most {limits.JOBS_OF_CALL_MAX} jobs.")
    if kept + len(wanted) > limits.JOBS_KEPT_MAX:
        raise too_many(f"An app has at most {limits.JOBS_KEPT_MAX} jobs, with those that wait.")
    made: dict[str, Wanted] = {}
    by_key: dict[str, str] = {}
    for each in wanted:
        if each.key is not None:
            before = by_key.get(each.key)
            if before is not None and each.if_exists == "keep":
                continue
            if before is not None:
                del made[before]
            elif not _make_room(change, each):
                continue
            by_key[each.key] = each.id
        made[each.id] = each
    change.write(*(["create", JOBS, each.id, each.fields()] for each in made.values()))


def find_job(look: Look, job_id: str) -> Job | None:
    """A job by its id."""
    raw = find_uuid_bytes(job_id)
    row = None if raw is None else find_row(look, JOBS, "id", raw)
    return None if row is None else Job.load(row.fields)


def jobs_of_key(look: Look, active_key: str) -> list[Job]:
    """The jobs with this active key: one that runs, and one or few that are scheduled."""
    rows = find_rows(look, JOBS, "activeKey", active_key, count=_OF_KEY_MAX)
    return [Job.load(row.fields) for row in rows]


def too_many(told: str) -> LimitExceeded:
    """The error for a job too many."""
    return LimitExceeded("too-many-jobs", told)


def _make_room(change: Change, wanted: Wanted) -> bool:
    """Remove what a job replaces; False when it is not to be made."""
    assert wanted.key is not None
    waiting = [
        each for each in jobs_of_key(change, key_of(wanted.key)) if each.state == "scheduled"
    ]
    if waiting and wanted.if_exists == "keep":
        return False
    change.write(*(["delete", JOBS, each.id] for each in waiting))
    return True


def _bad(told: str, given: object) -> InvalidInput:
    return InvalidInput("bad-args", told, {"given": brief(given)})
