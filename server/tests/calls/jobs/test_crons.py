"""Crons on a real database: once each, missed, changed."""

from __future__ import annotations

from typing import Any

import pytest

from support.job_stage import Gate, Schedule, Stage, note
from trice import job_limits as limits

EVERY = Schedule(every_ms=10_000)


async def polls(stage: Stage) -> list[int]:
    """The times that a cron ran for, in seconds after the beginning."""
    rows = [row for row in await stage.rows() if row["state"] == "done"]
    return sorted((row["scheduledFor"] - 1_700_000_000_000) // 1_000 for row in rows)


@pytest.mark.rule("FN380", "FN381")
async def test_two_servers_run_each_time_of_a_cron_once(stage: Stage) -> None:
    stage.add("mutation", "poll", note, schedule=EVERY)
    servers = [stage.server(is_alone=False) for _ in range(2)]
    for _ in range(4):
        for server in servers:
            await server.rest()
        await stage.runtime.pass_time(10_000)
    for server in servers:
        await server.rest()
        await server.stop()
    assert await polls(stage) == [10, 20, 30, 40]
    ids = [row["runId"] for row in await stage.rows()]
    assert len(ids) == len(set(ids)) == 5


@pytest.mark.rule("FN381")
async def test_what_is_due_while_a_cron_runs_runs_once_after_it(stage: Stage) -> None:
    gate = Gate()
    stage.add("action", "poll", gate.wait, schedule=Schedule(every_ms=10_000, missed="skip"))
    server = stage.server()
    await server.rest()
    await stage.runtime.pass_time(10_000)
    await gate.began.wait()
    await server.rest()
    await stage.runtime.pass_time(100_000)
    await server.rest()
    assert gate.most == 1
    gate.may_end.set()
    await server.rest()
    await stage.runtime.pass_time(1)
    await server.rest()
    assert await polls(stage) == [10, 110]
    await server.stop()


@pytest.mark.rule("FN383")
@pytest.mark.parametrize(
    ("missed", "expected"),
    [("once", [200, 1_000]), ("skip", [200]), ("all", [200, 400, 600, 800, 1_000])],
)
async def test_times_at_which_no_server_ran(stage: Stage, missed: Any, expected: list[int]) -> None:
    every = Schedule(every_ms=200_000, missed=missed)
    stage.add("mutation", "poll", note, schedule=every)
    server = stage.server()
    await server.rest()
    await stage.runtime.pass_time(200_000)
    await server.rest()
    server.kill()
    stage.runtime.advance(800_000 + limits.CRON_LATE_MS + 1)
    late = stage.server()
    await late.rest()
    assert await polls(stage) == expected
    await stage.runtime.pass_time(200_000 - limits.CRON_LATE_MS - 1)
    await late.rest()
    assert await polls(stage) == [*expected, 1_200]
    await late.stop()


@pytest.mark.rule("FN384")
async def test_a_changed_cron_starts_from_now_and_a_removed_one_ends(stage: Stage) -> None:
    stage.add("mutation", "poll", note, schedule=EVERY)
    stage.add("mutation", "gone", note, schedule=EVERY)
    server = stage.server()
    await server.rest()
    await stage.runtime.pass_time(5_000)
    stage.add("mutation", "poll", note, schedule=Schedule(every_ms=60_000))
    del stage.functions["gone"]
    server.jobs.open(server.app_id)
    await server.rest()
    (row,) = await stage.rows()
    assert (row["function"], row["dueAt"]) == ("poll", stage.runtime.now + 60_000)
    server.jobs.open(server.app_id)
    await stage.runtime.pass_time(30_000)
    await server.rest()
    (row,) = await stage.rows()
    assert row["dueAt"] == stage.runtime.now + 30_000, "the same one goes on"
    await server.stop()
