"""Jobs of a real project: `ctx.later`, steps, sleep, crons, from code to rows."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.job_project import JobProject
from trice.errors import TriceError

DAY_MS = 86_400_000


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[JobProject]:
    project = JobProject(tmp_path)
    await project.open()
    yield project
    await project.close()


def outside() -> list[str]:
    """What actions did outside of the database."""
    done: list[str] = sys.modules["functions.work"].DONE
    return done


def done_outside() -> list[str]:
    """The same without what the cron did."""
    return [each for each in outside() if not each.startswith("polled")]


@pytest.mark.rule("FN360", "FN362")
async def test_a_mutation_schedules_in_its_transaction(project: JobProject) -> None:
    job = await project.call("work.plan", text="a")
    (row,) = await project.rows(function="work.note")
    assert (row["id"], row["state"], row["args"]) == (job, "scheduled", {"text": "a"})
    await project.pass_time(4_900)
    assert await project.call("work.notes") == []
    await project.pass_time(200)
    assert await project.call("work.notes") == ["a"]
    (row,) = await project.rows(function="work.note")
    assert row["state"] == "done"


@pytest.mark.rule("FN362")
async def test_jobs_of_a_mutation_that_is_undone_are_gone(project: JobProject) -> None:
    with pytest.raises(TriceError, match="no"):
        await project.call("work.plan_and_fail")
    assert await project.rows(function="work.note") == []
    await project.call("work.plan_within")
    await project.pass_time(1)
    assert await project.call("work.notes") == ["after"]


@pytest.mark.rule("FN366")
async def test_a_key_replaces_the_job_that_waits_or_keeps_it(project: JobProject) -> None:
    await project.call("work.plan", text="first", key="k")
    await project.call("work.plan", text="other", key="l")
    await project.pass_time(4_000)
    second = await project.call("work.plan", text="second", key="k")
    await project.call("work.plan", text="third", key="k", keep=True)
    rows = await project.rows(function="work.note", key="k")
    assert [row["id"] for row in rows] == [second]
    await project.pass_time(4_900)
    assert await project.call("work.notes") == ["other"]
    await project.pass_time(200)
    assert await project.call("work.notes") == ["other", "second"]
    await project.call("work.plan", text="fourth", key="k")
    assert len(await project.rows(key="k")) == 2, "one that is done is not replaced"


@pytest.mark.rule("FN362")
async def test_an_action_schedules_in_a_transaction_of_its_own(project: JobProject) -> None:
    await project.call("work.act_and_plan")
    await project.pass_time(1)
    assert await project.call("work.notes") == ["from an action"]


@pytest.mark.rule("FN371")
async def test_a_call_schedules_so_many_jobs(project: JobProject) -> None:
    await project.call("work.plan_many", count=1_000)
    assert len(await project.rows(function="work.note")) == 1_000
    with pytest.raises(TriceError) as refused:
        await project.call("work.plan_many", count=1_001)
    assert refused.value.code == "too-many-jobs"
    assert len(await project.rows(function="work.note")) == 1_000


@pytest.mark.rule("FN375", "FN376", "FN377")
async def test_steps_are_recorded_and_sleep_frees_the_job(project: JobProject) -> None:
    outside().clear()
    job = await project.call("work.plan_order")
    await project.pass_time(1)
    (row,) = await project.rows(function="work.order")
    assert row["state"] == "scheduled" and row["steps"]["charge"]["value"]
    assert outside() == ["begun", "charged"]
    await project.pass_time(3 * DAY_MS - 1_000, steps=10)
    assert done_outside() == ["begun", "charged"], "it sleeps"
    await project.close()
    await project.open()
    await project.pass_time(20_000, steps=20)
    assert done_outside() == ["begun", "packed", "begun", "begun"], "new code, old steps"
    (row,) = await project.rows(function="work.order")
    assert (row["id"], row["state"]) == (job, "done")
    when, packed, meant = row["result"]["value"]
    assert (when, packed) == ("2026-01-02T03:04:05.678000Z", {"count": 2})
    assert meant.startswith("2023-11-14T22:13:20")
    assert await project.call("work.notes") == [
        *(["packed 2"]),
        *(f"swept 2023-11-{day}T01:00:00+00:00" for day in (15, 16, 17)),
    ]


@pytest.mark.rule("FN375")
async def test_steps_are_for_jobs(project: JobProject) -> None:
    with pytest.raises(TriceError) as refused:
        await project.call("work.step_outside")
    assert refused.value.code == "bad-args" or "jobs" in str(refused.value.hint)


@pytest.mark.rule("FN380", "FN382")
async def test_crons_run_at_their_times(project: JobProject) -> None:
    outside().clear()
    await project.rest()
    (poll,) = await project.rows(function="work.poll")
    assert poll["dueAt"] == project.runtime.now + 300_000
    await project.pass_time(900_000, steps=6)
    times = ("22:18:20", "22:23:20", "22:28:20")
    assert outside() == [f"polled 2023-11-14T{time}+00:00" for time in times]
    (sweep,) = await project.rows(function="work.sweep")
    assert sweep["dueAt"] == 1_700_010_000_000, "two o'clock in Berlin"


async def codes_of(project: JobProject, function: str) -> list[Any]:
    """The errors of its jobs."""
    return [row["error"]["code"] for row in await project.rows(function=function)]
