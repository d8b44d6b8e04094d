"""What a process gives up, and that none outlives its server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import trice
from support.patience import WAIT_S
from support.worker_stage import TESTS, is_alive, until

SOURCE = Path(trice.__file__).parent.parent

SERVER = """
import asyncio, sys
from pathlib import Path
from support.worker_stage import open_workers

def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

async def main():
    async with open_workers(Path(sys.argv[1])) as stage:
        pid = await stage.call("pid")
        await stage.spare_is_there()
        task = asyncio.create_task(stage.call(sys.argv[2], timeout_ms=3_600_000, kind="action"))
        acting = None
        while acting is None:
            await asyncio.sleep(0.01)
            children = Path("/proc/self/task").glob("*/children")
            found = {int(each) for path in children for each in path.read_text().split()} - {pid}
            is_ready = sys.argv[2] != "stop_itself" or any(map(is_stopped, found))
            acting = found if len(found) >= 2 and is_ready else None
        print(pid, *acting, flush=True)
        await task

asyncio.run(main())
"""

AS_SOMEBODY = """
import ctypes, sys
from trice.functions.worker.confine import become, hide_process

become(60_001)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a process that was this user's from its start
if sys.argv[1] == "look":
    try:
        print(len(open(f"/proc/{sys.argv[2]}/environ", "rb").read()) > 0)
    except PermissionError:
        print("denied")
else:
    if sys.argv[1] == "hidden":
        hide_process()
    print("there", flush=True)
    sys.stdin.read()
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{TESTS}"}


@pytest.mark.rule("FN167")
@pytest.mark.parametrize("name", ["wait", "loop", "stop_itself"])
async def test_processes_die_with_the_server(tmp_path: Path, name: str) -> None:
    server = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", SERVER, str(tmp_path), name],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    with server:
        assert server.stdout is not None
        pids = [int(each) for each in server.stdout.readline().split()]
        assert len(pids) >= 3, "one of queries, one of actions, the spare"
        server.send_signal(signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        await until(lambda: not any(map(is_alive, pids)))


@pytest.mark.rule("FN166")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize(("state", "seen"), [("open", "True"), ("hidden", "denied")])
def test_nobody_of_the_same_user_looks_into_the_server(state: str, seen: str) -> None:
    command = [sys.executable, "-c", AS_SOMEBODY]
    with subprocess.Popen(
        [*command, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"there\n"
        looked = subprocess.run(
            [*command, "look", str(server.pid)],
            capture_output=True,
            env=environment(),
            timeout=WAIT_S,
            text=True,
        )
        server.communicate(timeout=WAIT_S)
    assert looked.stdout.strip() == seen, looked.stderr
