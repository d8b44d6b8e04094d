"""One job while it runs: the call of its function, and what becomes of the job.

mutation   its transaction says `done`; else nothing of it is there, and the row says why
action     the row says what became of it, once the call has ended
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from trice import function_limits
from trice import job_limits as limits
from trice.calls.jobs import rows
from trice.calls.jobs.as_job import Within
from trice.calls.jobs.job import Fields, Job
from trice.calls.jobs.lane import Lane
from trice.calls.jobs.steps import JobSteps
from trice.database import Change, Database
from trice.errors import TriceError, Unavailable
from trice.functions.signature import Signature
from trice.log import fields
from trice.protocol.ids import AppId
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.jobs")

NOT_NOW: Final = frozenset(("overloaded", "functions-broken", "functions-off", "timeout"))
NOT_NOW_PURE: Final = NOT_NOW | {"conflict", "worker-lost"}
"""Codes of calls that did not begin; of mutations also of those that had no effect."""

HOPELESS: Final = frozenset(("bad-args", "function-not-found", "step-unknown"))
"""Codes of calls that fail again unless something is done."""


class Host(Protocol):
    """Where jobs are kept, and what runs them."""

    async def lend(self, app_id: AppId) -> Database:
        """The database of an app, open until `give_back`. Raises NotFound, Unavailable."""
        ...

    def give_back(self, app_id: AppId) -> None:
        """It is not needed any more; once for each `lend`."""
        ...

    def apps(self) -> Sequence[AppId]:
        """The apps that have functions."""
        ...

    def has_functions(self, app_id: AppId) -> bool:
        """Whether an app has functions; the jobs of one without wait. Costs a look into a dict, and
        raises nothing: it is asked while a commit is told."""
        ...

    def signatures(self, app_id: AppId) -> Sequence[Signature] | None:
        """The functions of an app; None: it has none."""
        ...

    def find(self, app_id: AppId, name: str) -> Signature | None:
        """One of them, also by an older name."""
        ...

    async def mutate(self, app_id: AppId, job: Job, within: Within) -> None:
        """Run a mutation, with the job's id as its event id. `within` is part of its transaction.

        raises   TriceError; then it had no effect
        """
        ...

    async def act(self, app_id: AppId, job: Job, steps: JobSteps | None) -> bytes:
        """Run an action; returns JSON. Raises TriceError.

        steps   None: it is the run of a hook, and records none
        """
        ...


@dataclass(slots=True, eq=False)
class Run:
    """A job that this server runs.

    call      the call of its function
    is_over   it was cancelled, or is somebody else's: nobody waits for the call
    """

    job: Job
    lease: str
    call: asyncio.Task[Any] | None = None
    is_over: bool = False

    def end(self) -> None:
        """Tell the call that nobody waits for it."""
        self.is_over = True
        if self.call is not None:
            self.call.cancel()


class Runner:
    """Calls functions for jobs. Holds nothing but whether the server stops.

    is_closing   nothing begins any more
    """

    def __init__(self, host: Host, runtime: Runtime) -> None:
        self.is_closing = False
        self._host = host
        self._runtime = runtime

    async def carry(self, app_id: AppId, database: Database, run: Run, *, kept: Lane) -> None:
        """Run a job to its end, and write what became of it.

        kept   knows how many jobs the app has
        """
        await self._settle(database, run, await self._outcome(app_id, database, run, kept))

    async def _outcome(
        self, app_id: AppId, database: Database, run: Run, kept: Lane
    ) -> Callable[[Job], Fields] | None:
        """What to write; None when that is written already."""
        job = run.job
        steps = JobSteps(database, job, runtime=self._runtime, kept=lambda: kept.count)
        if self.is_closing:
            return self._stopped
        run.call = asyncio.ensure_future(self._call(app_id, job, steps))
        with suppress(asyncio.CancelledError):
            await asyncio.wait((run.call,))
        if not run.call.done():  # this task was cancelled: the server stops at once
            run.call.cancel()
            raise asyncio.CancelledError
        if run.is_over or run.call.cancelled():
            return self._stopped
        failure, until_ms = run.call.exception(), steps.sleeps_until_ms
        if until_ms is not None:
            return lambda row: row.sleep(until_ms=until_ms)
        if failure is not None:
            return self._failed(job, failure)
        if job.kind == "mutation":
            return None
        result = _kept(run.call.result())
        return lambda row: row.done(now_ms=self._runtime.now_ms(), result=result)

    async def _call(self, app_id: AppId, job: Job, steps: JobSteps) -> bytes:
        if job.kind == "action":
            return await self._host.act(app_id, job, steps)
        lease = job.lease
        assert lease is not None

        def within(change: Change, value: bytes) -> None:
            row = rows.get_held(change, job.id, lease)
            rows.write(change, job.id, row.done(now_ms=change.time_ms, result=_kept(value)))

        await self._host.mutate(app_id, job, within)
        return b""

    def _stopped(self, row: Job) -> Fields:
        """It was ended by this server, which stops, or which lost its lease for a while."""
        now_ms = self._runtime.now_ms()
        return row.lapse(now_ms=now_ms, random=draw(self._runtime))

    def _failed(self, job: Job, failure: BaseException) -> Callable[[Job], Fields]:
        """What to write of a call that raised."""
        error = error_of(failure)
        code = error["code"]
        if code == "job-over":
            return self._stopped
        if code == "unknown":
            logger.error("job failed %s", fields(job=job.id, name=job.function), exc_info=failure)
        not_now = NOT_NOW_PURE if job.kind == "mutation" else NOT_NOW

        def make(row: Job) -> Fields:
            now_ms = self._runtime.now_ms()
            if code in not_now:
                is_broken = code.startswith("functions-")
                wait_ms = function_limits.BROKEN_MS if is_broken else limits.JOB_POSTPONED_MS
                return row.postpone(error, due_ms=now_ms + wait_ms)
            if code in HOPELESS:
                return row.fail(error, now_ms=now_ms)
            return row.failure(error, now_ms=now_ms, random=draw(self._runtime))

        return make

    async def _settle(
        self, database: Database, run: Run, make: Callable[[Job], Fields] | None
    ) -> None:
        """Write what became of a job, once the disk takes it."""
        while make is not None:
            try:
                await rows.change_held(database, run.job.id, run.lease, make)
            except Unavailable as failure:
                logger.warning("job not settled %s", fields(reason=failure.message))
                await self._runtime.sleep_ms(limits.JOB_POSTPONED_MS)
            else:
                return


def error_of(failure: BaseException) -> Fields:
    """What a row keeps of what a call raised: {"code", "message", "hint"?}."""
    code = failure.code if isinstance(failure, TriceError) else "unknown"
    error: Fields = {"code": code, "message": str(failure)}
    if isinstance(failure, TriceError) and failure.hint:
        error["hint"] = failure.body()["hint"]
    return error


def draw(runtime: Runtime) -> float:
    """A random number from 0 to 1."""
    return int.from_bytes(runtime.random_bytes(4)) / 2**32


def _kept(value: bytes) -> Any:
    """What a job keeps of its result."""
    if len(value) > limits.JOB_RESULT_BYTES_MAX:
        return None
    return orjson.loads(value)
