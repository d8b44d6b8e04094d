"""What an action asks of the server while it runs as a job: jobs of its own, steps, sleep.

Each is one durable transaction that holds only while the job is running with our lease: what a
cancelled job schedules is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from trice import job_limits as limits
from trice.calls.jobs.job import Job
from trice.calls.jobs.rows import get_held, write
from trice.calls.jobs.schedule import Wanted, schedule
from trice.database import Change, Database
from trice.errors import FunctionFailed, InvalidInput, LimitExceeded
from trice.protocol.quoting import brief
from trice.runtime import Runtime

_UNKNOWN: Final = "step-unknown"


class JobSteps:
    """Holds which job runs, and with which lease; the steps themselves are in its row.

    sleeps_until_ms   the action was told to end, and is to be called again then
    """

    def __init__(
        self,
        database: Database,
        job: Job,
        *,
        runtime: Runtime,
        kept: Callable[[], int],
    ) -> None:
        """kept   how many jobs the app has"""
        assert job.lease is not None, "it runs"
        self.sleeps_until_ms: int | None = None
        self.scheduled = 0
        self._database = database
        self._job = job
        self._lease = job.lease
        self._runtime = runtime
        self._kept = kept

    async def later(self, wanted: Wanted) -> None:
        """Schedule a job.

        raises   Conflict("job-over"), LimitExceeded("too-many-jobs")
        """
        self.scheduled += 1
        if self.scheduled > limits.JOBS_OF_CALL_MAX:
            raise LimitExceeded(
                "too-many-jobs", f"A call schedules at most {limits.JOBS_OF_CALL_MAX} jobs."
            )

        def work(change: Change) -> None:
            get_held(change, self._job.id, self._lease)
            schedule(change, [wanted], kept=self._kept())

        await self._database.change(work)

    async def step(self, name: str, *, is_once: bool) -> bytes:
        """Begin a step: `{"value": …}` if it is recorded, else `{}`.

        raises   FunctionFailed("step-unknown"): it began before, and may have had its effect
        """
        self._check(name)

        def work(change: Change) -> bytes:
            job = get_held(change, self._job.id, self._lease)
            known = job.steps.get(name)
            if known is not None and "value" in known:
                return orjson.dumps({"value": known["value"]})
            if known is not None and "started" in known and is_once:
                told = f"The step {name!r} began before and was not recorded; it runs once only."
                raise FunctionFailed(_UNKNOWN, told, {"step": name})
            if is_once:
                started = {"started": self._runtime.now_ms()}
                write(change, job.id, {"steps": _with(job, name, started)})
            return b"{}"

        return await self._database.change(work)

    async def step_done(self, name: str, value: bytes) -> None:
        """Record what a step returned.

        raises   Conflict("job-over"), LimitExceeded("call-too-big")
        """
        self._check(name)
        decoded = orjson.loads(value)

        def work(change: Change) -> None:
            job = get_held(change, self._job.id, self._lease)
            write(change, job.id, {"steps": _with(job, name, {"value": decoded})})

        await self._database.change(work)

    async def sleep(self, name: str, duration_ms: int) -> bytes:
        """Wait: `true` when the time has passed, else `false`, and the call must end."""
        self._check(name)
        if not 0 <= duration_ms <= limits.JOB_LATER_MS_MAX:
            raise InvalidInput("bad-args", "A job sleeps at most ten years.", {"ms": duration_ms})

        def work(change: Change) -> int:
            job = get_held(change, self._job.id, self._lease)
            known = job.steps.get(name)
            if known is not None and "until" in known:
                return int(known["until"])
            until_ms = self._runtime.now_ms() + duration_ms
            write(change, job.id, {"steps": _with(job, name, {"until": until_ms})})
            return until_ms

        until_ms = await self._database.change(work)
        if until_ms <= self._runtime.now_ms():
            return b"true"
        self.sleeps_until_ms = until_ms
        return b"false"

    def _check(self, name: str) -> None:
        if self._job.retry is None:
            told = "`ctx.step` and `ctx.sleep` are for jobs of actions with `retry=Retry(…)`."
            raise InvalidInput("bad-args", told, {"function": self._job.function})
        if not 0 < len(name) <= limits.JOB_KEY_CHARS_MAX:
            told = f"The name of a step has 1 to {limits.JOB_KEY_CHARS_MAX} characters."
            raise InvalidInput("bad-args", told, {"name": brief(name)})


def _with(job: Job, name: str, step: dict[str, Any]) -> dict[str, Any]:
    steps = {**job.steps, name: step}
    if len(steps) > limits.JOB_STEPS_MAX:
        raise LimitExceeded("call-too-big", f"A job has at most {limits.JOB_STEPS_MAX} steps.")
    if len(orjson.dumps(steps)) > limits.JOB_STEPS_BYTES_MAX:
        told = f"The results of a job's steps take at most {limits.JOB_STEPS_BYTES_MAX} bytes."
        raise LimitExceeded("call-too-big", told)
    return steps
