"""Jobs on a real database: from scheduled to finished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from support.job_stage import SURE, Ctx, Gate, Stage, note
from trice import job_limits as limits
from trice.calls.jobs import rows
from trice.calls.jobs.schedule import schedule
from trice.errors import Conflict, FunctionFailed, LimitExceeded, NotFound, Unavailable
from trice.identity import ADMIN, GUEST


def failing(failure: Callable[[], Exception], *, until: int = 99) -> Any:
    """A function that raises so often."""
    tries = []

    async def body(ctx: Ctx) -> str:
        tries.append(ctx.job.attempt)
        if len(tries) <= until:
            raise failure()
        return "in the end"

    return body


def broken() -> Exception:
    return FunctionFailed("function-failed", "work.x failed.", {"trace": "t"})


@pytest.mark.rule("FN360", "FN361")
async def test_a_job_of_a_mutation_is_done_in_its_transaction(stage: Stage) -> None:
    stage.add("mutation", "note", note)
    server = stage.server()
    job = await stage.schedule(server, "note", args={"text": "a"})
    await stage.states("done")
    row = await stage.row(job)
    assert (row["result"], row["attempt"], await stage.notes()) == ({"value": "fine"}, 1, ["a"])
    assert row.get("lease") is row.get("leaseUntil") is row.get("dueAt") is None
    assert row["finishedAt"] == stage.runtime.now
    await server.stop()
    assert server.lent == 0


@pytest.mark.rule("FN362")
async def test_a_job_waits_for_its_time(stage: Stage) -> None:
    stage.add("mutation", "note", note)
    server = stage.server()
    await stage.schedule(server, "note", in_ms=60_000)
    await stage.schedule(server, "note", in_ms=5_000)
    await stage.runtime.pass_time(4_999)
    await stage.states("scheduled", "scheduled")
    await stage.runtime.pass_time(1)
    await stage.states("done", "scheduled")
    await stage.runtime.pass_time(55_000)
    await stage.states("done", "done")
    await server.stop()


@pytest.mark.rule("FN360")
async def test_only_admins_see_jobs_and_nobody_writes_them(stage: Stage) -> None:
    stage.add("mutation", "note", note)
    server = stage.server()
    job = await stage.schedule(server, "note", in_ms=60_000)
    database = stage.database
    seen = [
        len(orjson.loads(await database.query_nested({"$jobs": {}}, identity=who))["$jobs"])
        for who in (ADMIN, GUEST)
    ]
    assert seen == [1, 0]
    for who in (ADMIN, GUEST):
        with pytest.raises(Exception, match=r"system|denied|directly"):
            steps = [["update", "$jobs", job, {"state": "done"}]]
            await database.transact_admin(steps, identity=who)
    await server.stop()


@pytest.mark.rule("FN367")
async def test_an_action_with_retry_is_tried_again_after_ever_longer_waits(stage: Stage) -> None:
    stage.add("action", "act", failing(broken, until=2), retry=SURE)
    server = stage.server()
    job = await stage.schedule(server, "act")
    await server.rest()
    row = await stage.row(job)
    assert (row["dueAt"], row["error"]["code"]) == (stage.runtime.now + 1_000, "function-failed")
    await stage.runtime.pass_time(1_000)
    await server.rest()
    assert (await stage.row(job))["dueAt"] == stage.runtime.now + 2_000, "3,000 is more than most"
    await stage.runtime.pass_time(2_000)
    await stage.states("done")
    row = await stage.row(job)
    assert (row["attempt"], row["result"], row["error"]) == (3, {"value": "in the end"}, None)
    await server.stop()


@pytest.mark.rule("FN368")
async def test_a_job_without_tries_left_is_a_dead_letter_that_can_be_run_again(
    stage: Stage,
) -> None:
    stage.add("action", "once", failing(broken, until=1))
    stage.add("action", "thrice", failing(broken), retry=SURE)
    server = stage.server()
    once = await stage.schedule(server, "once")
    await stage.states("failed")
    error = {"code": "function-failed", "message": "work.x failed.", "hint": {"trace": "t"}}
    assert (await stage.row(once))["error"] == error
    thrice = await stage.schedule(server, "thrice")
    for wait_ms in (1_000, 2_000):
        await server.rest()
        await stage.runtime.pass_time(wait_ms)
    await stage.states("failed", "failed")
    assert (await stage.row(thrice))["attempt"] == 3
    await server.jobs.rerun(stage.database, once)
    await stage.states("done", "failed")
    with pytest.raises(Conflict, match="done"):
        await server.jobs.rerun(stage.database, once)
    with pytest.raises(NotFound):
        await server.jobs.rerun(stage.database, "00000000-0000-4000-8000-000000000001")
    await server.stop()


@pytest.mark.rule("FN368")
async def test_what_cannot_succeed_is_not_tried_again(stage: Stage) -> None:
    gone = NotFound("function-not-found", "gone", {})
    stage.add("action", "act", failing(lambda: gone), retry=SURE)
    server = stage.server()
    await stage.schedule(server, "act")
    missing = await stage.schedule(server, "nowhere")
    await stage.states("failed", "failed")
    assert (await stage.row(missing))["error"]["code"] == "function-not-found"
    await server.stop()


@pytest.mark.rule("FN369")
async def test_what_could_not_begin_was_no_try(stage: Stage) -> None:
    busy = Unavailable("overloaded", "Later.")
    stage.add("action", "act", failing(lambda: busy, until=3))
    stage.add("mutation", "note", failing(lambda: Conflict("conflict", "Others."), until=1))
    server = stage.server()
    job = await stage.schedule(server, "act")
    await stage.schedule(server, "note")
    for _ in range(3):
        await server.rest()
        await stage.runtime.pass_time(limits.JOB_POSTPONED_MS)
    await stage.states("done", "done")
    assert (await stage.row(job))["attempt"] == 1
    await server.stop()


@pytest.mark.rule("FN366")
async def test_of_a_key_one_runs_at_a_time(stage: Stage) -> None:
    gate = Gate()
    stage.add("action", "gate", gate.wait)
    server = stage.server()
    await stage.schedule(server, "gate", key="k")
    await gate.began.wait()
    await stage.schedule(server, "gate", key="k")
    await stage.schedule(server, "gate", key="other")
    await server.rest()
    await stage.runtime.pass_time(60_000)
    assert (gate.inside, gate.most) == (2, 2)
    gate.may_end.set()
    await stage.states("done", "done", "done")
    assert len(gate.ended) == 3
    await server.stop()


@pytest.mark.rule("FN366")
async def test_two_jobs_of_a_key_in_one_call_are_one(stage: Stage) -> None:
    server = stage.server()
    first, second = (server.wanted("note", {}, in_ms=1_000, key="k") for _ in range(2))
    kept = server.wanted("note", {}, in_ms=1_000, key="k", keep=True)
    await stage.database.change(lambda change: schedule(change, [first, second, kept], kept=0))
    assert [row["id"] for row in await stage.rows()] == [second.id]
    await server.stop()


@pytest.mark.rule("FN370")
async def test_a_cancelled_job_does_not_run(stage: Stage) -> None:
    stage.add("mutation", "note", note)
    server = stage.server()
    job = await stage.schedule(server, "note", in_ms=1_000)
    assert await server.jobs.cancel(stage.database, job) == "scheduled"
    await stage.runtime.pass_time(2_000)
    await server.rest()
    assert ((await stage.row(job))["state"], await stage.notes()) == ("cancelled", [])
    with pytest.raises(Conflict, match="cancelled already"):
        await server.jobs.cancel(stage.database, job)
    await server.stop()


@pytest.mark.rule("FN370")
async def test_what_a_cancelled_job_does_then_is_dropped(stage: Stage) -> None:
    gate, told = Gate(), []

    async def stubborn(ctx: Ctx) -> None:
        """Does not listen when it is told to end."""
        assert ctx.steps is not None
        with pytest.raises(asyncio.CancelledError):
            await gate.wait(ctx)
        for work in (
            ctx.steps.later(ctx.server.wanted("note", {})),
            ctx.steps.step_done("a", b"1"),
        ):
            with pytest.raises(Conflict) as refused:
                await work
            told.append(refused.value.code)

    stage.add("action", "stubborn", stubborn, retry=SURE)
    server = stage.server()
    job = await stage.schedule(server, "stubborn", key="k")
    await gate.began.wait()
    next_one = await stage.schedule(server, "stubborn", key="k", in_ms=90_000)
    assert await server.jobs.cancel(stage.database, job) == "running"
    assert (await stage.row(job))["lease"], "nothing else of its key begins before it has ended"
    await server.rest()
    row = await stage.row(job)
    assert (row["state"], row["lease"], row["activeKey"]) == ("cancelled", None, None)
    assert told == ["job-over", "job-over"]
    assert sorted(row["id"] for row in await stage.rows()) == sorted((job, next_one))
    await server.stop()


@pytest.mark.rule("FN370")
async def test_a_mutation_that_is_cancelled_while_it_runs_writes_nothing(stage: Stage) -> None:
    gate = Gate()

    async def body(ctx: Ctx) -> None:
        ctx.note("never")
        ctx.later("body")
        try:
            await gate.wait(ctx)
        except asyncio.CancelledError:
            return  # goes on to its commit

    stage.add("mutation", "body", body)
    server = stage.server()
    job = await stage.schedule(server, "body")
    await gate.began.wait()
    await server.jobs.cancel(stage.database, job)
    await server.rest()
    assert await stage.notes() == []
    (row,) = await stage.rows()
    assert (row["state"], row["lease"]) == ("cancelled", None)
    await server.stop()


@pytest.mark.rule("FN371")
async def test_eight_run_at_a_time_in_order(stage: Stage) -> None:
    gate = Gate()
    stage.add("action", "gate", gate.wait)
    server = stage.server()
    jobs = [await stage.schedule(server, "gate", in_ms=at) for at in range(12)]
    await stage.runtime.pass_time(20)
    await server.rest()
    assert gate.inside == 8
    assert [job for _, job in stage.begun] == jobs[:8]
    gate.may_end.set()
    await stage.states(*["done"] * 12)
    await server.stop()


@pytest.mark.rule("FN371")
async def test_an_app_keeps_so_many_jobs(stage: Stage) -> None:
    server = stage.server()
    wanted = server.wanted("note", {})
    most = limits.JOBS_KEPT_MAX
    with pytest.raises(LimitExceeded, match="at most 100000") as refused:
        await stage.database.change(lambda change: schedule(change, [wanted], kept=most))
    assert refused.value.code == "too-many-jobs"
    await stage.database.change(lambda change: schedule(change, [wanted], kept=most - 1))
    await server.rest()
    assert server.jobs.kept(server.app_id) == 1
    await server.stop()


@pytest.mark.rule("FN372")
async def test_finished_jobs_go_after_their_time(stage: Stage) -> None:
    stage.add("mutation", "note", note)
    stage.add("action", "act", failing(broken))
    server = stage.server()
    await stage.schedule(server, "note")
    failed = await stage.schedule(server, "act")
    await stage.states("done", "failed")
    await stage.runtime.pass_time(limits.JOB_KEPT_MS - 1)
    await server.rest()
    assert len(await stage.rows()) == 2
    await stage.runtime.pass_time(limits.JOB_SWEEP_MS + 1)
    await server.rest()
    assert [row["id"] for row in await stage.rows()] == [failed]
    await stage.runtime.pass_time(limits.JOB_FAILED_KEPT_MS)
    await server.rest()
    assert await stage.rows() == []
    assert server.jobs.kept(server.app_id) == 0
    await server.stop()


@pytest.mark.rule("FN372")
async def test_where_there_are_many_the_oldest_that_are_done_go_first(stage: Stage) -> None:
    stage.add("mutation", "note", note)
    stage.add("action", "act", failing(broken))
    server = stage.server()
    await stage.schedule(server, "note")
    failed = await stage.schedule(server, "act")
    waiting = await stage.schedule(server, "note", in_ms=60_000)
    await stage.states("done", "failed", "scheduled")
    stage.runtime.advance(1)
    now_ms = stage.runtime.now
    assert await rows.sweep(stage.database, now_ms=now_ms, is_crowded=True) == 1
    assert sorted(row["id"] for row in await stage.rows()) == sorted((failed, waiting))
    await server.stop()
