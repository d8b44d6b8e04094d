"""Calls of functions in real processes: what is answered, in which order, where they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.runtime import settle
from support.worker_stage import (
    LocalStage,
    MovedRuntime,
    Side,
    WorkerStage,
    is_alive,
    open_local,
    open_workers,
    until,
)
from trice import function_limits as limits
from trice.calls.side import CallFailed
from trice.calls.workers.process import Process
from trice.errors import LimitExceeded, TriceError, Unavailable

pytestmark = pytest.mark.uvloop  # transports of the loop that the server runs on


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[WorkerStage]:
    async with open_workers(tmp_path) as stage:
        yield stage


@pytest.fixture(params=["processes", "here"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalStage]:
    """Both ways to run functions: the rules of both."""
    opened = open_workers(tmp_path) if request.param == "processes" else open_local(tmp_path)
    async with opened as stage:
        yield stage


async def code_of(task: asyncio.Task[object] | object) -> str:
    """The code that a call fails with."""
    with pytest.raises(TriceError) as failure:
        await task  # type: ignore[misc]
    return failure.value.code


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    await until(lambda: not is_alive(pid))


@pytest.mark.rule("FN140")
@pytest.mark.rule("FN169")
async def test_a_call_is_answered(either: LocalStage) -> None:
    assert await either.call("echo", a=1, b="ä") == {"a": 1, "b": "ä"}
    with pytest.raises(CallFailed, match="KeyError") as failure:
        await either.call("nothing of that name")
    assert failure.value.code == "function-failed"


@pytest.mark.rule("FN140")
async def test_kinds_and_apps_have_processes_of_their_own(stage: WorkerStage) -> None:
    pids = [
        await stage.call("pid"),
        await stage.call("pid", kind="action"),
        await stage.call("pid", code=stage.bundle("other")),
    ]
    assert len(set(pids)) == 3
    assert await stage.call("pid", kind="mutation") == pids[0]


@pytest.mark.rule("FN141")
async def test_what_a_call_asks_is_done_in_order(either: LocalStage) -> None:
    side = Side()
    assert await either.call("write", side=side, kind="mutation") == "written"
    assert side.asked == [
        ("draft", [["a"]]),
        "sub",
        ("draft", [["b"]]),
        ("sub-end", False),
        ("read", "after", True),
    ]
    assert side.lines == [("info", "told")]


@pytest.mark.rule("FN141")
async def test_a_refused_read_is_raised_in_the_function(either: LocalStage) -> None:
    with pytest.raises(CallFailed, match="Not so") as failure:
        await either.call("ask", query="refuse")
    assert failure.value.fail.code == "param-malformed"
    assert failure.value.fail.data == {"at": "query"}


@pytest.mark.rule("FN142")
async def test_an_action_runs_functions_at_once(either: LocalStage) -> None:
    found = await either.call("runs", kind="action", names=["a", "refuse", "b"])
    assert found == ["a", "Not so.", "b"]


@pytest.mark.rule("FN143")
async def test_what_is_printed_is_the_log_of_the_call(stage: WorkerStage) -> None:
    side = Side()
    await stage.call("prints", side=side, lines=1)
    assert side.lines == [("info", "line 0"), ("warning", "logged 1"), ("warning", "unfinished")]
    side.lines.clear()
    await stage.call("prints", side=side, lines=limits.LOG_LINES_MAX + 10)
    assert side.lines[:2] == [("info", "line 0"), ("info", "line 1")]
    assert len(side.lines) == limits.LOG_LINES_MAX + 1
    assert side.lines[-1] == ("warning", "12 more lines of this call were dropped.")


@pytest.mark.rule("FN144")
async def test_arguments_and_results_have_bounds(either: LocalStage) -> None:
    with pytest.raises(LimitExceeded, match="result"):
        await either.call("answer_much", bytes=100 * limits.MIB)
    with pytest.raises(LimitExceeded, match="arguments"):
        await either.call("echo", a="x" * limits.ARGS_BYTES_MAX)
    assert len(await either.call("answer_much", bytes=limits.RESULT_BYTES_MAX - 10)) > limits.MIB


@pytest.mark.rule("FN170")
async def test_functions_may_use_the_threads_that_are_there(stage: WorkerStage) -> None:
    assert (await stage.call("on_thread")).startswith("call")


@pytest.mark.rule("FN168")
async def test_a_call_that_nobody_waits_for_is_told_to_end(stage: WorkerStage) -> None:
    _, task = await stage.waits()
    pid = await stage.call("pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stage.call("pid") == pid
    assert stage.workers.holds_nothing


@pytest.mark.rule("FN155")
async def test_functions_that_cannot_be_loaded_are_broken(tmp_path: Path) -> None:
    runtime = MovedRuntime()
    async with open_workers(tmp_path, runtime=runtime) as stage:
        code = stage.bundle("bad", load="broken")
        for _ in range(2):
            with pytest.raises(Unavailable) as failure:
                await stage.call("echo", code=code)
            assert failure.value.code == "functions-broken"
            assert failure.value.hint["errors"] == [
                {"file": "functions/a.py", "line": 3, "message": "No."}
            ]
        assert stage.workers.counts.broken == limits.LOADS_MAX
        assert await stage.call("echo", a=1) == {"a": 1}  # other apps go on
        stage.bundle("bad", load="well")
        runtime.shift_ms += limits.BROKEN_MS
        assert await stage.call("echo", code=code, a=2) == {"a": 2}


@pytest.mark.rule("FN156")
@pytest.mark.parametrize(
    ("load", "told"),
    [("exit", "ended the process"), ("raise", "SystemExit"), ("hang", "took longer than")],
)
async def test_a_bundle_may_do_anything_while_it_is_loaded(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch, load: str, told: str
) -> None:
    if load == "hang":
        monkeypatch.setattr(limits, "LOAD_MS", 200)
    with pytest.raises(Unavailable) as failure:
        await stage.call("echo", code=stage.bundle("bad", load=load))
    assert failure.value.code == "functions-broken"
    assert told in failure.value.hint["errors"][0]["message"]


@pytest.mark.rule("FN157")
async def test_a_bundle_is_checked_in_a_process_of_its_own(stage: WorkerStage) -> None:
    path = str(stage.code.path)
    ready = await stage.workers.check(path, {})
    assert "echo" in {each.name for each in getattr(ready, "functions", [])}
    broken = await stage.workers.check(str(stage.bundle("bad", load="broken").path), {})
    assert [each.line for each in getattr(broken, "errors", [])] == [3]
    assert stage.workers.running == 0


@pytest.mark.rule("FN158")
async def test_what_has_nothing_to_do_ends(tmp_path: Path) -> None:
    runtime = MovedRuntime()
    async with open_workers(tmp_path, runtime=runtime) as stage:
        pid = await stage.call("pid")
        await stage.spare_is_there()
        runtime.shift_ms += limits.IDLE_MS
        await gone(pid)
        assert stage.workers.running == 0
        assert stage.has_spare
        runtime.shift_ms += limits.IDLE_MS
        await until(lambda: not stage.has_spare)
        assert await stage.call("pid") != pid


@pytest.mark.rule("FN159")
async def test_a_process_that_did_enough_makes_room_for_another(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROCESS_CALLS_MAX", 3)
    pids = [await stage.call("pid") for _ in range(3)]
    assert len(set(pids)) == 1
    await gone(pids[0])
    assert await stage.call("pid") != pids[0]


@pytest.mark.rule("FN159")
async def test_a_process_that_has_grown_makes_room_for_another(stage: WorkerStage) -> None:
    pid = await stage.call("pid")
    await stage.call("keep", bytes=limits.MIB)
    assert await stage.call("pid") == pid
    await stage.call("keep", bytes=100 * limits.MIB)
    await gone(pid)
    assert await stage.call("pid") != pid


@pytest.mark.rule("FN160")
async def test_another_version_ends_the_processes_of_the_old_one(stage: WorkerStage) -> None:
    side, task = await stage.waits()
    old = await stage.call("pid")
    new = await stage.call("pid", code=stage.bundle("app", version=2))
    assert new != old
    assert is_alive(old), "it has a call"
    side.open.set()
    assert await task == {"answer": "wait"}
    await gone(old)


@pytest.mark.rule("FN160")
async def test_calls_that_waited_when_newer_code_came_run_on_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PURE_CALLS", 1)
    async with open_workers(tmp_path, processes_max=1) as stage:
        side, first = await stage.waits()
        old = [asyncio.create_task(stage.call("pid")) for _ in range(3)]
        await asyncio.sleep(0)  # they wait for the only place
        new = asyncio.create_task(stage.call("pid", code=stage.bundle("app", version=2)))
        await asyncio.sleep(0)
        side.open.set()
        await first
        pids = await asyncio.gather(*old, new)
        assert pids[-1] not in pids[:-1]
        assert stage.workers.holds_nothing


@pytest.mark.rule("FN160")
async def test_an_app_that_is_dropped_keeps_no_process(stage: WorkerStage) -> None:
    pid = await stage.call("pid")
    stage.workers.drop("app")
    await gone(pid)
    assert stage.workers.running == 0


@pytest.mark.rule("FN161")
async def test_calls_of_an_app_are_bounded(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CALLS_MAX", 2)
    monkeypatch.setattr(limits, "CALLS_WAITING_MAX", 1)
    (side, first), (other, second) = await stage.waits(), await stage.waits()
    third = asyncio.create_task(stage.call("echo", a=3))
    await asyncio.sleep(0)
    assert await code_of(stage.call("echo")) == "overloaded"
    side.open.set()
    other.open.set()
    assert await third == {"a": 3}
    await asyncio.gather(first, second)
    assert stage.workers.holds_nothing


@pytest.mark.rule("FN161")
async def test_nobody_waits_for_ever(stage: WorkerStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CALLS_MAX", 1)
    side, task = await stage.waits()
    monkeypatch.setattr(limits, "WAIT_MS", 20)
    assert await code_of(stage.call("echo")) == "overloaded"
    side.open.set()
    await task


@pytest.mark.rule("FN162")
async def test_an_idle_process_makes_room_for_another_app(tmp_path: Path) -> None:
    async with open_workers(tmp_path, processes_max=1) as stage:
        pid = await stage.call("pid")
        assert await stage.call("echo", code=stage.bundle("other"), a=1) == {"a": 1}
        await gone(pid)
        assert stage.workers.running == 1


@pytest.mark.rule("FN162")
async def test_a_busy_process_makes_room_when_its_calls_are_done(tmp_path: Path) -> None:
    async with open_workers(tmp_path, processes_max=1) as stage:
        side, task = await stage.waits()
        other = asyncio.create_task(stage.call("echo", code=stage.bundle("other"), a=1))
        await until(lambda: stage.workers.waiting > 0)
        # As long as the first app has a call there is no idle process. Its next one has to wait.
        behind = Side()
        again = asyncio.create_task(stage.call("ask", side=behind, query="wait"))
        side.open.set()
        assert await task == {"answer": "wait"}
        assert await other == {"a": 1}
        behind.open.set()
        assert await again == {"answer": "wait"}


@pytest.mark.rule("FN162")
async def test_many_first_calls_at_once_start_one_process_and_then_one_for_each_core(
    tmp_path: Path,
) -> None:
    async with open_workers(tmp_path, processes_max=4, cores=2) as stage:
        pids = await asyncio.gather(*(stage.call("pid") for _ in range(50)))
        assert len(set(pids)) <= 2
        assert stage.workers.counts.started <= 2
        assert stage.workers.running <= 2


@pytest.mark.rule("FN162")
async def test_a_pool_grows_while_its_processes_are_busy(stage: WorkerStage) -> None:
    waiting = [await stage.waits() for _ in range(limits.GROW_AT + 1)]
    await until(lambda: stage.workers.running == 2)
    for side, _ in waiting:
        side.open.set()
    await asyncio.gather(*(task for _, task in waiting))
    assert stage.workers.running == 2


@pytest.mark.rule("FN171")
async def test_the_second_process_comes_from_the_spare(stage: WorkerStage) -> None:
    await stage.call("echo")
    await stage.spare_is_there()
    await stage.call("echo", code=stage.bundle("other"))
    assert stage.workers.counts.from_spare == 1


@pytest.mark.rule("FN726")
@pytest.mark.parametrize("is_long", [False, True])
async def test_the_next_spare_waits_for_the_app_unless_that_takes_long(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch, is_long: bool
) -> None:
    monkeypatch.setattr(limits, "SPARE_WAITS_MS", 0 if is_long else 3_600_000)
    begun: list[Process] = []
    is_loading, may_load = asyncio.Event(), asyncio.Event()
    load, spawn = Process.load, Process.spawn

    async def load_later(process: Process, *given: Any) -> Any:
        is_loading.set()
        await may_load.wait()
        return await load(process, *given)

    async def spawn_noted(process: Process) -> None:
        begun.append(process)
        await spawn(process)

    monkeypatch.setattr(Process, "load", load_later)
    monkeypatch.setattr(Process, "spawn", spawn_noted)
    called = asyncio.create_task(stage.call("echo"))
    await is_loading.wait()
    if is_long:
        await stage.spare_is_there()
    await settle()
    assert len(begun) == 1 + is_long

    may_load.set()
    await called
    await stage.spare_is_there()
    assert len(begun) == 2


@pytest.mark.rule("FN169")
async def test_functions_in_this_process_are_told_to_end(tmp_path: Path) -> None:
    async with open_local(tmp_path) as stage:
        assert await code_of(stage.call("wait", timeout_ms=10)) == "function-timeout"


@pytest.mark.rule("FN169")
async def test_functions_in_this_process_may_be_broken(tmp_path: Path) -> None:
    async with open_local(tmp_path) as stage:
        bad = stage.bundle("bad", load="broken")
        assert await code_of(stage.call("echo", code=bad)) == "functions-broken"
        broken = await stage.runs.check(str(bad.path), {})
        assert [each.line for each in getattr(broken, "errors", [])] == [3]
        ready = await stage.runs.check(str(stage.code.path), {})
        assert len(getattr(ready, "functions", [])) > 3
        stage.bundle("bad", load="well")
        assert await stage.call("echo", code=bad, a=1) == {"a": 1}


@pytest.mark.rule("FN160")
async def test_functions_in_this_process_are_loaded_again(tmp_path: Path) -> None:
    async with open_local(tmp_path) as stage:
        await stage.call("echo")
        (stage.code.path / "load").write_text("broken")
        assert await stage.call("echo", a=1) == {"a": 1}, "loaded once"
        stage.runs.drop("app")
        assert await code_of(stage.call("echo")) == "functions-broken"


@pytest.mark.rule("FN169")
async def test_a_project_in_this_process_keeps_its_code_until_the_next_is_in_force(
    tmp_path: Path,
) -> None:
    async with open_local(tmp_path, root=tmp_path) as stage:
        project, second = tmp_path / "load", stage.bundle("app", version=2)
        project.write_text("well")
        await stage.runs.check(str(stage.code.path), {})
        assert await stage.call("bundle_path") == str(tmp_path), "not the copy in the bundle"
        project.write_text("broken")
        assert len(getattr(await stage.runs.check(str(second.path), {}), "errors", [])) == 1
        assert await stage.call("echo", a=1) == {"a": 1}


@pytest.mark.rule("FN161")
async def test_actions_leave_room_for_what_they_run(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CALLS_MAX", 2)
    acting = [await stage.waits(kind="action") for _ in range(2)]
    monkeypatch.setattr(limits, "WAIT_MS", 2_000)
    assert await stage.call("echo", kind="mutation", a=1) == {"a": 1}
    for side, task in acting:
        side.open.set()
        await task
    assert stage.workers.holds_nothing


@pytest.mark.rule("FN162")
@pytest.mark.parametrize("most", [1, 2, 4])
async def test_actions_take_half_of_the_processes(tmp_path: Path, most: int) -> None:
    async with open_workers(tmp_path, processes_max=most) as stage:
        half = max(most // 2, 1)
        acting = []
        for number in range(half):
            stage.code = stage.bundle(f"acting-{number}")
            acting.append(await stage.waits(kind="action"))
        late = asyncio.create_task(
            stage.call("echo", code=stage.bundle("late"), kind="action", a=1)
        )
        assert await stage.call("echo", code=stage.bundle("calm"), a=1) == {"a": 1}
        assert await stage.call("echo", code=stage.bundle("acting-0"), a=1) == {"a": 1}
        assert not late.done()
        for side, task in acting:
            side.open.set()
            await task
        assert await late == {"a": 1}
