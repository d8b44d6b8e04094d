"""One change and its hook: the call, and what becomes of it. Holds nothing.

mutation   its transaction moves the place: it runs once for each change
action     the place moves once it has returned: it runs at least once

A run is a call of a job that is in no table: its id is made of the hook and the change, so that
every try has the same ids and randomness.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from trice import function_limits, job_limits
from trice import hook_limits as limits
from trice.calls.hooks import rows
from trice.calls.hooks.lane import Lane
from trice.calls.hooks.reading import Item
from trice.calls.hooks.rows import Fields
from trice.calls.jobs.job import Job
from trice.calls.jobs.running import HOPELESS, NOT_NOW, NOT_NOW_PURE, Host, error_of
from trice.database import Change, Database
from trice.functions.signature import RetryPlan
from trice.log import fields
from trice.protocol.ids import AppId, uuid_text
from trice.runtime import Runtime, new_uuid

logger: Final = logging.getLogger("trice.hooks")

WAITS: Final = RetryPlan(times=limits.HOOK_FAILURES_MAX)
"""The waits of a job that is tried again."""

Verdict = Literal["done", "over", "later", "hopeless", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run.

    verdict   done: it returned · over: the hook is elsewhere · later: it could not begin, or was
              ended by the server: this was no try · hopeless: it cannot succeed as it is · failed
    wait_ms   of `later`
    """

    verdict: Verdict
    error: Fields | None = None
    wait_ms: int = 0


def job_of(lane: Lane, item: Item, runtime: Runtime) -> Job:
    """The run of a hook for a change, as a job."""
    signature = lane.signature
    return Job(
        id=_run_id(lane.id, item),
        function=signature.name,
        args={"change": item.change},
        state="running",
        scheduled_for=item.time_ms,
        kind=signature.kind,
        trace=new_uuid(runtime).replace("-", ""),
        causes=item.causes,
    )


def _run_id(hook_id: str, item: Item) -> str:
    """A uuid for a hook and a change, the same at every try (version 8: of our own making)."""
    raw = bytearray(hashlib.sha256(f"{hook_id} {item.tx} {item.index}".encode()).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return uuid_text(bytes(raw))


async def run(
    host: Host, app_id: AppId, database: Database, lane: Lane, item: Item, job: Job
) -> Outcome:
    """Call the function, and move the place if it returned."""
    if item.size_bytes > function_limits.ARGS_BYTES_MAX:
        told = f"The change has {item.size_bytes:,} bytes as JSON, which no call takes."
        return Outcome("hopeless", {"code": "call-too-big", "message": told})
    if len(item.causes) >= limits.HOOK_CHAIN_MAX:
        return Outcome("hopeless", {"code": "hook-chain", "message": _chain_told(lane, item)})
    before, after = lane.saved, item.place

    def within(change: Change, value: bytes) -> None:
        rows.move(change, lane.id, before, after)

    async def call() -> None:
        if lane.signature.kind == "mutation":
            await host.mutate(app_id, job, within)
        else:
            await host.act(app_id, job, None)
            await rows.save(database, lane.id, before, after)

    lane.call = asyncio.ensure_future(call())
    try:
        with suppress(asyncio.CancelledError):
            await asyncio.wait((lane.call,))
        if not lane.call.done():  # this task was cancelled: the server stops at once
            lane.call.cancel()
            raise asyncio.CancelledError
        if lane.call.cancelled():
            return Outcome("later", wait_ms=job_limits.JOB_POSTPONED_MS)
        failure = lane.call.exception()
    finally:
        lane.call = None
    if failure is None:
        lane.done(after)
        return Outcome("done")
    return _judged(lane, job, failure)


def _chain_told(lane: Lane, item: Item) -> str:
    """Why a change is not followed any more, with the hooks that lead to each other."""
    latest = [lane.name, *item.causes[: limits.HOOK_CHAIN_TOLD]]
    chain = " → ".join(reversed(latest))
    return (
        f"{len(item.causes)} hooks led to this change, each by what it wrote for the one before:"
        f" … → {chain}. At most {limits.HOOK_CHAIN_MAX} do."
        " Let one of them write only if it has to."
    )


def _judged(lane: Lane, job: Job, failure: BaseException) -> Outcome:
    error = error_of(failure)
    code = error["code"]
    if code == "job-over":
        return Outcome("over")
    if code == "unknown":
        told = fields(hook=lane.name, job=job.id)
        logger.error("hook failed %s", told, exc_info=failure)
    if code in (NOT_NOW_PURE if job.kind == "mutation" else NOT_NOW):
        is_broken = code.startswith("functions-")
        wait_ms = function_limits.BROKEN_MS if is_broken else job_limits.JOB_POSTPONED_MS
        return Outcome("later", error, wait_ms)
    return Outcome("hopeless" if code in HOPELESS else "failed", error)


def wait_ms(failures: int, random: float) -> int:
    """How long a hook waits after so many failures of a change. `random` is 0 to 1."""
    tried = Job("", "", {}, "running", attempt=failures, retry=WAITS)
    return tried.wait_ms(random)


def parked(job: Job, item: Item, error: Fields, *, failures: int, now_ms: int) -> Fields:
    """The row of `$jobs` for a change that is parked. One that is too big keeps no rows."""
    args: dict[str, Any] = {"change": item.change}
    if error["code"] == "call-too-big":
        args = {"change": {**item.change, "before": None, "after": None}}
    return {
        "function": job.function,
        "args": args,
        "state": "failed",
        "kind": job.kind,
        "scheduledFor": item.time_ms,
        "attempt": failures,
        "finishedAt": now_ms,
        "error": error,
        "trace": job.trace,
    }
