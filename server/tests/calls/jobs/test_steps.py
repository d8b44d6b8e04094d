"""Steps of jobs, and sleep."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from support.job_stage import SURE, Ctx, Gate, Server, Stage
from support.runtime import settle
from trice import job_limits as limits
from trice.calls.jobs.steps import JobSteps
from trice.errors import FunctionFailed, LimitExceeded


async def held_steps(stage: Stage, server: Server, **options: Any) -> tuple[str, JobSteps, Gate]:
    """The steps of a job that runs."""
    gate, found = Gate(), []

    async def body(ctx: Ctx) -> None:
        found.append(ctx.steps)
        await gate.wait(ctx)

    stage.add("action", "body", body, **options)
    job = await stage.schedule(server, "body")
    await gate.began.wait()
    return job, found[0], gate


@pytest.mark.rule("FN375")
async def test_a_step_is_recorded_by_its_name(stage: Stage) -> None:
    server = stage.server()
    job, steps, _ = await held_steps(stage, server, retry=SURE)
    assert await steps.step("a", is_once=False) == b"{}"
    await steps.step_done("a", b'{"x":1}')
    assert await steps.step("a", is_once=True) == b'{"value":{"x":1}}'
    assert (await stage.row(job))["steps"] == {"a": {"value": {"x": 1}}}
    with pytest.raises(Exception, match="1 to 200"):
        await steps.step("", is_once=False)
    await server.stop()


@pytest.mark.rule("FN376")
async def test_a_step_that_runs_once_only_and_was_not_recorded_fails_the_job(stage: Stage) -> None:
    server = stage.server()
    job, steps, _ = await held_steps(stage, server, retry=SURE)
    assert await steps.step("a", is_once=True) == b"{}"
    with pytest.raises(FunctionFailed) as unknown:
        await steps.step("a", is_once=True)
    assert unknown.value.code == "step-unknown"
    assert await steps.step("b", is_once=False) == b"{}"
    assert await steps.step("b", is_once=False) == b"{}", "others run again"
    await server.stop()
    assert (await stage.row(job))["steps"] == {"a": {"started": stage.runtime.now}}


@pytest.mark.rule("FN375")
async def test_steps_have_bounds(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stage.server()
    _, steps, _ = await held_steps(stage, server, retry=SURE)
    monkeypatch.setattr(limits, "JOB_STEPS_MAX", 1)
    await steps.step_done("a", b"1")
    with pytest.raises(LimitExceeded, match="at most 1 steps"):
        await steps.step_done("b", b"1")
    monkeypatch.setattr(limits, "JOB_STEPS_BYTES_MAX", 100)
    with pytest.raises(LimitExceeded, match="at most 100 bytes"):
        await steps.step_done("a", orjson.dumps("x" * 100))
    await server.stop()


@pytest.mark.rule("FN375")
async def test_only_jobs_with_retry_have_steps(stage: Stage) -> None:
    server = stage.server()
    _, steps, gate = await held_steps(stage, server)
    with pytest.raises(Exception, match="retry=Retry"):
        await steps.step("a", is_once=False)
    with pytest.raises(Exception, match="retry=Retry"):
        await steps.sleep("a", 1_000)
    gate.may_end.set()
    await settle()
    await server.stop()
