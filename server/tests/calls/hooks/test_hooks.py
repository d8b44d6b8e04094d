"""Hooks of a real project, from code to rows: what they are told, when, and what fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.hook_project import HookProject
from trice.errors import NotFound

MINUTE_MS = 60_000


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[HookProject]:
    project = HookProject(tmp_path)
    await project.open()
    await project.rest()
    yield project
    await project.close()


@pytest.mark.rule("FN550", "FN552")
async def test_hooks_are_told_of_every_change_in_order(project: HookProject) -> None:
    ids = [await project.message(f"m{number}") for number in range(3)]
    await project.call("hooks.send", text="m3")
    await project.admin(["update", "messages", ids[0], {"text": "M0"}])
    await project.admin(["update", "messages", ids[0], {"likes": 1}])
    await project.admin(["delete", "messages", ids[1]])
    await project.rest()
    assert project.done() == [
        *(("created", f"m{number}") for number in range(4)),
        ("updated", "M0"),
        ("deleted", "m1"),
    ]
    assert await project.seen("counted") == 4


@pytest.mark.rule("FN553")
async def test_an_updated_row_has_what_changed_and_nothing_else(project: HookProject) -> None:
    message = await project.message("m")
    made = [await project.author(name) for name in ("a", "b")]
    sent = "2026-01-02T03:04:05.000Z"
    await project.admin(["link", "messages", message, {"author": made[0]}])
    await project.admin(
        ["link", "messages", message, {"author": made[1]}],
        ["update", "messages", message, {"sentAt": sent}],
    )
    await project.admin(["unlink", "messages", message, {"author": made[1]}])
    await project.rest()
    found = [row["what"] for row in await project.table("seen") if "then" in row["what"]]
    expected = [f"nobody then {made[0]}", f"{made[0]} then {made[1]}", f"{made[1]} then nobody"]
    assert sorted(found) == sorted(expected)


@pytest.mark.rule("FN555")
async def test_a_hook_never_sees_its_own_writes(project: HookProject) -> None:
    message = await project.message("m")
    await project.admin(["update", "messages", message, {"likes": 1}])
    await project.rest()
    assert (await project.row("messages", message))["likes"] == 2
    await project.author("Ada")  # its hook runs a function that makes another author
    await project.rest()
    assert [row for row in project.done() if "author" in row] == ["author Ada"]
    assert len(await project.table("authors")) == 2


@pytest.mark.rule("FN551")
async def test_nothing_is_missed_over_a_restart_and_nothing_from_before(tmp_path: Path) -> None:
    project = HookProject(tmp_path)
    await project.open(has_hooks=False)
    await project.message("before")
    await project.close()
    await project.open()
    await project.rest()
    await project.message("m0")
    await project.rest()
    await project.close()
    await project.open(has_hooks=False)
    await project.message("meanwhile")
    await project.close()
    await project.open()
    await project.rest()
    assert project.done() == [("created", "meanwhile")], "a new process, and nothing twice"
    assert await project.seen("counted") == 2
    await project.close()


@pytest.mark.rule("FN556", "FN557")
async def test_what_fails_ten_times_is_parked_and_can_be_run_again(project: HookProject) -> None:
    project.fails().add("bad")
    await project.message("bad")
    await project.message("good")
    await project.rest()
    assert project.done() == [] and await project.seen("counted") == 0
    rows = {row["name"]: row for row in await project.hook_rows()}
    assert (rows["hooks.told"]["failures"], rows["hooks.told"]["state"]) == (1, "active")
    await project.pass_time(30 * MINUTE_MS, steps=60)
    assert project.done() == [("created", "good")] and await project.seen("counted") == 1
    jobs = await project.rows(state="failed")
    assert sorted(row["function"] for row in jobs) == ["hooks.counted", "hooks.told"]
    assert {row["attempt"] for row in jobs} == {10}
    assert {row["error"]["code"] for row in jobs} == {"function-failed"}
    assert jobs[0]["args"]["change"]["after"]["text"] == "bad"
    rows = {row["name"]: row for row in await project.hook_rows()}
    assert (rows["hooks.told"]["failures"], rows["hooks.told"]["parked"]) == (0, 1)
    assert project.hooks.parked == 2
    project.fails().clear()
    for row in jobs:
        await project.jobs.rerun(project.app.database, row["id"])
    await project.pass_time(10)
    assert project.done() == [("created", "good"), ("created", "bad")]
    assert await project.seen("counted") == 2


@pytest.mark.rule("FN556")
async def test_the_waits_are_those_of_jobs_and_outlast_a_restart(tmp_path: Path) -> None:
    project = HookProject(tmp_path)
    await project.open()
    await project.rest()
    project.fails().add("bad")
    await project.message("bad")
    await project.rest()
    await project.pass_time(1_500, steps=15)
    (row,) = [row for row in await project.hook_rows() if row["name"] == "hooks.counted"]
    assert row["failures"] == 2
    wait_ms = row["dueAt"] - project.runtime.now_ms()
    assert 0 < wait_ms <= 2_400
    await project.close()
    await project.open()
    await project.rest()
    assert await project.seen("counted") == 0, "it waits on"
    await project.pass_time(wait_ms + 100)
    assert await project.seen("counted") == 1
    await project.close()


@pytest.mark.rule("FN558")
async def test_one_that_stops_waits_and_goes_on_when_told(project: HookProject) -> None:
    project.fails().add("bad")
    await project.tag("bad")
    await project.tag("good")
    await project.pass_time(30 * MINUTE_MS, steps=60)
    (row,) = [row for row in await project.hook_rows() if row["name"] == "hooks.strict"]
    assert row["state"] == "stopped" and row["failures"] >= 10
    assert row["error"]["code"] == "function-failed"
    assert project.done() == [] and await project.rows() == []
    assert project.hooks.count("stopped") == 1
    project.fails().clear()
    before = await project.hooks.resume(project.app_id, project.app.database, "hooks.strict")
    await project.rest()
    assert before.state == "stopped"
    assert project.done() == ["bad", "good"], "it goes on where it was"
    assert project.hooks.count("stopped") == 0
    with pytest.raises(NotFound):
        await project.hooks.resume(project.app_id, project.app.database, "hooks.nothing")


@pytest.mark.rule("FN559")
async def test_a_slow_hook_holds_up_no_other(project: HookProject) -> None:
    gate = project.module().GATES["slow"] = asyncio.Event()
    await project.message("slow")
    await project.message("m")
    while await project.seen("counted") < 2:
        await project.settle()
    assert project.done() == []
    gate.set()
    await project.rest()
    assert project.done() == [("created", "slow"), ("created", "m")], "in order"


@pytest.mark.rule("FN560")
async def test_one_that_is_too_far_behind_is_broken_until_it_is_told(tmp_path: Path) -> None:
    project = HookProject(tmp_path, lag_max=20)
    await project.open()
    await project.rest()
    project.fails().add("bad")
    await project.message("bad")
    for number in range(25):
        await project.message(f"m{number}")
    await project.rest()
    states = {row["name"]: row for row in await project.hook_rows()}
    assert states["hooks.counted"]["state"] == "broken"
    assert states["hooks.counted"]["error"]["code"] == "hook-broken"
    assert states["hooks.strict"]["state"] == "active", "it has nothing to do"
    assert project.hooks.count("broken") == 2
    await project.pass_time(60 * MINUTE_MS, steps=5)
    assert await project.seen("counted") == 0
    project.fails().clear()
    await project.close()
    await project.open()
    await project.rest()
    assert await project.seen("counted") == 0, "also after a restart"
    await project.hooks.resume(project.app_id, project.app.database, "hooks.counted")
    await project.message("after")
    await project.rest()
    assert await project.seen("counted") == 1, "from now on"
    await project.close()


@pytest.mark.rule("FN560")
async def test_one_whose_log_is_gone_is_broken(tmp_path: Path) -> None:
    project = HookProject(tmp_path)
    await project.open()
    await project.rest()
    await project.close()
    await project.open(has_hooks=False)
    for number in range(3):
        await project.message(f"m{number}")
    await project.close()
    project.cut_log(1)
    await project.open()
    await project.rest()
    states = {row["name"]: row["state"] for row in await project.hook_rows()}
    assert set(states.values()) == {"broken"}
    await project.close()


@pytest.mark.rule("FN554")
async def test_transactions_that_do_not_concern_it_cost_no_transaction(
    project: HookProject,
) -> None:
    tx = project.app.database.tx
    for number in range(30):
        await project.admin(["update", "seen", project.new_id(), {"what": "x", "number": number}])
    await project.rest(is_still=True)
    assert project.app.database.tx == tx + 30
    assert {lane.at.tx for lane in project.hooks.lanes(project.app_id)} == {tx + 30}
