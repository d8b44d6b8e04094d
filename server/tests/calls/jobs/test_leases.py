"""Jobs on two servers, and on one that ends: leases."""

from __future__ import annotations

from typing import Any

import pytest

from support.job_stage import SURE, Gate, Stage, note
from trice import job_limits as limits
from trice.calls.jobs import rows


@pytest.mark.rule("FN363")
async def test_two_servers_run_each_job_once(stage: Stage) -> None:
    stage.add("mutation", "note", note)
    servers = [stage.server(is_alone=False) for _ in range(2)]
    for at in range(20):
        await stage.schedule(servers[0], "note", args={"text": f"{at:02}"})
    await stage.states(*["done"] * 20)
    assert await stage.notes() == [f"{at:02}" for at in range(20)]
    assert len(stage.begun) == 20, "nothing began twice"
    for server in servers:
        await server.stop()


@pytest.mark.rule("FN363", "FN364")
async def test_another_server_takes_what_a_lapsed_lease_leaves(stage: Stage) -> None:
    gate = Gate()
    stage.add("mutation", "note", note)
    stage.add("action", "gate", gate.wait)
    stage.add("action", "sure", gate.wait, retry=SURE)
    first = stage.server(is_alone=False)
    once, sure = [await stage.schedule(first, name) for name in ("gate", "sure")]
    await stage.states("running", "running")
    second = stage.server(is_alone=False)
    await second.rest()
    first.kill()
    gate.may_end.set()
    await stage.runtime.pass_time(limits.JOB_LEASE_MS - 1)
    await second.rest()
    assert [row["state"] for row in await stage.rows()] == ["running", "running"]
    await stage.runtime.pass_time(1)
    await second.rest()
    row = await stage.row(once)
    assert (row["state"], row["error"]["code"]) == ("failed", "worker-lost")
    assert (await stage.row(sure))["state"] == "scheduled"
    await stage.runtime.pass_time(1_000)
    await stage.states("failed", "done")
    assert (await stage.row(sure))["attempt"] == 2
    await second.stop()


@pytest.mark.rule("FN363")
async def test_a_server_renews_what_it_runs_and_stops_what_it_lost(stage: Stage) -> None:
    gate = Gate()
    stage.add("action", "gate", gate.wait)
    server = stage.server()
    job = await stage.schedule(server, "gate")
    await gate.began.wait()
    for _ in range(6):
        await stage.runtime.pass_time(limits.JOB_RENEW_MS)
        await server.rest()
    until_ms = (await stage.row(job))["leaseUntil"]
    assert until_ms == stage.runtime.now + limits.JOB_LEASE_MS
    taken = {"lease": "of another one"}
    await stage.database.change(lambda change: rows.write(change, job, taken))
    await server.rest()
    assert (gate.inside, gate.ended) == (0, [])
    assert (await stage.row(job))["state"] == "running", "the other one has it"
    await server.stop()


@pytest.mark.rule("FN363")
async def test_a_server_that_is_alone_takes_at_once_what_one_before_it_left(stage: Stage) -> None:
    gate = Gate()
    stage.add("action", "sure", gate.wait, retry=SURE)
    first = stage.server()
    await stage.schedule(first, "sure")
    await stage.states("running")
    first.kill()
    gate.may_end.set()
    await stage.reopen()
    second = stage.server()
    await stage.states("scheduled")
    await stage.runtime.pass_time(1_000)
    await stage.states("done")
    await second.stop()


@pytest.mark.rule("FN364")
async def test_a_server_that_stops_gives_its_jobs_back(stage: Stage) -> None:
    gate = Gate()
    stage.add("mutation", "note", gate.wait)
    stage.add("action", "once", gate.wait)
    stage.add("action", "sure", gate.wait, retry=SURE)
    server = stage.server()
    for name in ("note", "once", "sure"):
        await stage.schedule(server, name)
    await stage.states("running", "running", "running")
    await server.stop()
    assert {row["function"]: row["state"] for row in await stage.rows()} == {
        "note": "scheduled",
        "once": "failed",
        "sure": "scheduled",
    }
    assert server.lent == 0


@pytest.mark.rule("FN363")
async def test_a_lease_that_was_renewed_meanwhile_is_not_taken(stage: Stage) -> None:
    gate = Gate()
    stage.add("action", "gate", gate.wait)
    server = stage.server()
    job = await stage.schedule(server, "gate")
    await gate.began.wait()
    other = stage.server(is_alone=False)
    await other.rest()
    other.lane.leases[job] = 0  # it has not heard of the renewal
    await stage.schedule(other, "gate", in_ms=60_000)
    await other.rest()
    assert (await stage.row(job))["state"] == "running"
    gate.may_end.set()
    await stage.states("done", "scheduled")
    await server.stop()
    await other.stop()


@pytest.mark.rule("FN366")
async def test_one_of_a_key_ends_while_the_next_is_put_aside(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    stage.add("action", "gate", gate.wait)
    server = stage.server()
    first = await stage.schedule(server, "gate", key="k")
    await gate.began.wait()
    real = rows.claim

    async def claim(database: Any, ids: Any, begin: Any) -> Any:
        found = await real(database, ids, begin)
        if found[1] and not gate.may_end.is_set():
            gate.may_end.set()
            await stage.wait(lambda: is_done(first), what="the first one")
        return found

    async def is_done(job: str) -> bool:
        return bool((await stage.row(job))["state"] == "done")

    monkeypatch.setattr(rows, "claim", claim)
    await stage.schedule(server, "gate", key="k")
    await stage.states("done", "done")
    await server.stop()
