"""What a call has to do with jobs: those it schedules, and the job that it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trice.calls.jobs.schedule import Wanted, schedule
from trice.calls.jobs.steps import JobSteps
from trice.database import Change

Within = Callable[[Change, bytes], None]
"""Work inside the transaction of a mutation, told what it returned; raises to undo all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsJob:
    """A call that is the run of a job.

    scheduled_for_ms   the time it was meant for
    within             of a mutation: what belongs to its transaction
    steps              of an action
    """

    scheduled_for_ms: int
    within: Within | None = None
    steps: JobSteps | None = None


def writes_of(
    job: AsJob | None, scheduled: Sequence[Wanted], value: bytes, *, kept: Callable[[], int]
) -> Callable[[Change], None] | None:
    """What the server writes in the transaction of a mutation: that the job which it is is done,
    and the jobs that it schedules. None: nothing.

    value   JSON that it returned
    kept    how many jobs the app has
    """
    of_job = None if job is None else job.within
    if of_job is None and not scheduled:
        return None

    def write(change: Change) -> None:
        if of_job is not None:
            of_job(change, value)
        if scheduled:
            schedule(change, scheduled, kept=kept())

    return write
