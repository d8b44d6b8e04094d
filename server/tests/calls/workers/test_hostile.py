"""What a function can do to its process, and who notices: its caller does, nobody else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.worker_stage import Side, WorkerStage, open_workers, until
from trice import function_limits as limits
from trice.calls.workers.users import Users
from trice.errors import TriceError

pytestmark = pytest.mark.uvloop

NOBODY = 65_534


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkerStage]:
    for name, ms in (("CALL_CPU_MS", 300), ("BLOCKED_MS", 600)):
        monkeypatch.setattr(limits, name, ms)
    async with open_workers(tmp_path, users=Users(NOBODY, NOBODY)) as stage:
        yield stage


async def failure_of(call: object) -> TriceError:
    with pytest.raises(TriceError) as failure:
        await call  # type: ignore[misc]
    return failure.value


async def unseen(stage: WorkerStage, guilty: str, **args: object) -> TriceError:
    """How a call fails that takes its process with it, while an innocent one beside it succeeds."""
    side, innocent = await stage.waits()
    failure = await failure_of(stage.call(guilty, **args))
    side.open.set()
    assert await innocent == {"answer": "wait"}
    assert side.restarts == 1
    return failure


@pytest.mark.rule("FN147")
async def test_an_endless_loop(stage: WorkerStage) -> None:
    failure = await unseen(stage, "loop")
    assert failure.code == "function-timeout"
    assert "in loop" in failure.message


@pytest.mark.rule("FN147")
async def test_a_socket_that_blocks(stage: WorkerStage) -> None:
    failure = await unseen(stage, "block")
    assert failure.code == "function-timeout"
    assert "in block" in failure.message


@pytest.mark.rule("FN148")
async def test_code_that_lets_no_thread_run(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SILENT_KILL_MS", 600)
    failure = await unseen(stage, "hold_interpreter")
    assert failure.code in ("function-timeout", "function-crashed")


@pytest.mark.rule("FN145")
async def test_a_call_whose_time_is_over(stage: WorkerStage) -> None:
    side, innocent = await stage.waits()
    pid = await stage.call("pid")
    failure = await failure_of(stage.call("wait", timeout_ms=50))
    assert failure.code == "function-timeout"
    assert await stage.call("pid") == pid, "it ended when it was told to"
    side.open.set()
    await innocent


@pytest.mark.rule("FN145")
@pytest.mark.parametrize("name", ["stay", "block_thread"])
async def test_a_call_that_does_not_end_when_it_is_told_to(stage: WorkerStage, name: str) -> None:
    side, innocent = await stage.waits()
    assert (await failure_of(stage.call(name, timeout_ms=50))).code == "function-timeout"
    await until(lambda: side.restarts > 0)
    side.open.set()
    assert await innocent == {"answer": "wait"}


@pytest.mark.rule("FN146")
async def test_computing_in_small_steps(stage: WorkerStage) -> None:
    pid = await stage.call("pid")
    failure = await failure_of(stage.call("compute"))
    assert failure.code == "function-timeout"
    assert "used the processor" in failure.message
    assert await stage.call("pid") == pid


@pytest.mark.rule("FN149")
async def test_ending_the_process(stage: WorkerStage) -> None:
    assert (await unseen(stage, "leave")).code == "function-crashed"
    assert stage.workers.counts.died == 2


@pytest.mark.rule("FN172")
@pytest.mark.parametrize("name", ["leave", "loop"])
async def test_what_ended_its_process_is_alone_from_then_on(stage: WorkerStage, name: str) -> None:
    await failure_of(stage.call(name))
    side, innocent = await stage.waits()
    await failure_of(stage.call(name))
    side.open.set()
    assert await innocent == {"answer": "wait"}
    assert side.restarts == 0


@pytest.mark.rule("FN149")
async def test_a_call_that_ends_its_process_once(stage: WorkerStage) -> None:
    assert await stage.call("leave_once") == 1


@pytest.mark.rule("FN149")
async def test_recursion_beyond_the_stack_of_c(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CALL_CPU_MS", "BLOCKED_MS", "SILENT_KILL_MS"):
        monkeypatch.setattr(limits, name, 30_000)
    assert (await failure_of(stage.call("overflow"))).code == "function-crashed"
    assert any("Segmentation fault" in line for line in stage.lines)


@pytest.mark.rule("FN149")
async def test_recursion_of_python(stage: WorkerStage) -> None:
    failure = await failure_of(stage.call("recurse"))
    assert failure.code == "function-failed"
    assert "RecursionError" in failure.message


@pytest.mark.rule("FN150")
async def test_actions_beside_it_are_lost(stage: WorkerStage) -> None:
    _, beside = await stage.waits(kind="action")
    assert (await failure_of(stage.call("leave", kind="action"))).code == "worker-lost"
    assert (await failure_of(beside)).code == "worker-lost"


@pytest.mark.rule("FN150")
async def test_an_action_that_blocks_has_its_time(stage: WorkerStage) -> None:
    """It holds the others up, but none is ended before the one that blocks has to."""
    _, beside = await stage.waits(kind="action")
    blocked = asyncio.create_task(stage.call("block", kind="action", timeout_ms=900))
    assert (await failure_of(blocked)).code == "function-timeout"
    assert (await failure_of(beside)).code == "worker-lost"


@pytest.mark.rule("FN151")
async def test_allocating_ten_gigabytes(stage: WorkerStage) -> None:
    small = replace(stage.code, memory_mb=limits.MEMORY_MB_MIN)
    pid = await stage.call("pid", code=small)
    for size in (10 * 1024 * limits.MIB, limits.MIB):
        failure = await failure_of(stage.call("allocate", code=small, bytes=size))
        assert failure.code == "function-memory"
    assert await stage.call("pid", code=small) == pid


@pytest.mark.rule("FN152")
async def test_queries_start_neither_processes_nor_threads(stage: WorkerStage) -> None:
    assert await stage.call("fork") == [0, "BlockingIOError"]
    assert "can't start new thread" in (await failure_of(stage.call("start_thread"))).message


@pytest.mark.rule("FN152")
async def test_actions_start_so_many(stage: WorkerStage) -> None:
    assert await stage.call("start_thread", kind="action") == "started"
    started, end = await stage.call("fork", kind="action")
    assert end == "BlockingIOError"
    assert started <= limits.ACTING_PROCESSES_MAX


@pytest.mark.rule("FN153")
async def test_bytes_that_are_no_frame(stage: WorkerStage) -> None:
    failure = await unseen(stage, "no_frame")
    assert failure.code == "function-crashed"
    assert any("a frame has" in line for line in stage.lines)


@pytest.mark.rule("FN153")
async def test_asking_without_listening(stage: WorkerStage) -> None:
    failure = await failure_of(stage.call("chatter"))
    assert failure.code in ("function-crashed", "function-timeout")


@pytest.mark.rule("FN154")
async def test_writing_more_than_is_read(stage: WorkerStage) -> None:
    lost = await stage.call("pour", mib=1_000)
    assert lost > 900, "what is not read in time is dropped, and blocks nobody"
    assert len(stage.lines) < 10_000


@pytest.mark.rule("FN163")
async def test_nothing_of_the_server_is_within_reach(
    stage: WorkerStage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRICE_SECRET_KEY", "a secret of the server")
    secret = tmp_path / "platform.db"
    secret.write_text("rows")
    secret.chmod(0o600)
    with secret.open() as held:
        os.set_inheritable(held.fileno(), True)
        found = await stage.call("see")
    assert "a secret of the server" not in str(found)
    assert not [name for name in found["environ"] if name.startswith("TRICE")]
    assert found["environ"]["SECRET_OF_APP"] == "s3cret"
    kinds = sorted(each.partition(":")[0] for each in found["descriptors"].values())
    others = [each for each in kinds if each not in ("socket", "anon_inode", "/dev/null", "pipe")]
    assert others == []
    assert found["uid"] == NOBODY
    assert found["groups"] == []
    for path in (str(secret), f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/mem"):
        assert await stage.call("try_open", path=path) == "PermissionError"


@pytest.mark.rule("FN166")
async def test_workers_of_one_user_do_not_look_into_each_other(stage: WorkerStage) -> None:
    other = await stage.call("pid", kind="action")
    for name in ("environ", "mem", "maps"):
        path = f"/proc/{other}/{name}"
        assert await stage.call("try_open", path=path) == "PermissionError"


@pytest.mark.rule("FN165")
async def test_bundles_are_readable_to_the_user_of_their_app_only(stage: WorkerStage) -> None:
    stage.code.path.chmod(0o700)  # as all that the server makes
    path = await stage.call("echo", a=1)
    assert path == {"a": 1}


async def test_side_is_not_called_after_the_end(stage: WorkerStage) -> None:
    side = Side()
    await failure_of(stage.call("leave", side=side))
    assert side.restarts == 1
