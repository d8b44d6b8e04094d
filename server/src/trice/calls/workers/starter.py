"""Starts processes: from the spare, which is there already, or from nothing. Knows which user they
run as, and where that user finds the bundle.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

import trice
from trice import function_limits as limits
from trice.calls.side import AppCode
from trice.calls.workers.process import Process, Start
from trice.calls.workers.staging import Staging
from trice.calls.workers.users import Users
from trice.errors import Unavailable
from trice.functions import frames
from trice.functions.worker.confine import hide_process
from trice.metrics import WorkerCounts
from trice.runtime import Runtime

_PROGRAM: Final = "trice.functions.worker"
_CHECKED: Final = "checked bundle"

OnLine = Callable[[str, str, str], None]
"""Takes the id of an app, a level and a line that a process of it wrote outside of calls."""


class Starter:
    """Holds the spare: a process that has imported trice, and waits for an app.

    is_dev   functions are told of what they should not do; callers see tracebacks
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        users: Users | None,
        on_line: OnLine,
        loading: str | None = None,
        python_path: Sequence[Path] = (),
        is_dev: bool = False,
        is_hiding: bool = False,
        allows_private: bool = False,
        asks_http: bool = False,
        is_confined: bool = False,
    ) -> None:
        """
        users     whom processes run as; None: the server's user
        loading   module that loads bundles, in place of `trice.functions.loading`
        is_hiding     whether this process hides what is in it, before the first one is started
        is_confined   whether processes open nothing but their files, and a folder of their own
        python_path   folders of modules that functions may import, beside the server's
        allows_private   whether `ctx.http` reaches addresses of a private network, too
        asks_http     requests of `ctx.http` are asked of this process: for tests
        """
        self.counts = WorkerCounts()
        self._users = users
        self._is_dev = is_dev
        self._is_hiding = is_hiding
        self._allows_private = allows_private
        self._asks_http = asks_http
        self._is_confined = is_confined
        self._staging = Staging()
        self._owners: dict[int, str] = {}
        self._alive: set[Process] = set()
        self._spare: Process | None = None
        self._sparing: asyncio.Task[None] | None = None
        self._is_resting = self._is_closed = False
        command = [sys.executable, "-P", "-m", _PROGRAM]
        if loading is not None:
            command.append(f"--loading={loading}")
        self._start = Start(tuple(command), _environment(python_path), runtime, on_line)

    async def start(
        self, code: AppCode, *, is_pure: bool, in_use: Iterable[str]
    ) -> tuple[Process, frames.Ready | frames.Broken]:
        """A process with the code of an app, and what it says of it. raises   Unavailable"""
        uid = None if self._users is None else self._users.uid_of(code.app_id, in_use)
        path = await self._place(code.app_id, code.path, uid)
        packages = await self._place_packages(code.app_id, code.packages, uid)
        process = self._take_spare(uid)
        if process is None:
            process = await self._spawn(uid)
        else:
            self.counts.from_spare += 1
        self.counts.started += 1
        hello = self._hello(path, code.env, packages, is_pure=is_pure, memory_mb=code.memory_mb)
        # The next spare takes a core for 150 ms to import trice: whom a call waits for goes first,
        # unless it takes long.
        refill = asyncio.get_running_loop().call_later(limits.SPARE_WAITS_MS / 1000, self._refill)
        try:
            hello = await self._with_scratch(hello, process)
            return process, await process.load(hello, code.app_id)
        finally:
            refill.cancel()
            self._refill()

    async def check(
        self, path: str, env: dict[str, str], packages: Path | None = None
    ) -> frames.Ready | frames.Broken:
        """Load a bundle in a new process, which then ends. raises   Unavailable"""
        uid = None if self._users is None else self._users.check_uid
        process = await self._spawn(uid)
        try:
            placed = await self._place(_CHECKED, Path(path), uid)
            there = await self._place_packages(_CHECKED, packages, uid)
            hello = self._hello(placed, env, there, is_pure=True, memory_mb=None)
            return await process.load(await self._with_scratch(hello, process), _CHECKED)
        finally:
            process.kill("it was a check")
            if uid is not None and self._users is not None and not self._users.is_shared:
                await self._staging.forget(uid)

    @property
    def has_spare(self) -> bool:
        return self._spare is not None and not self._spare.has_exited.done()

    def rest(self) -> None:
        """No functions are in use: no spare is needed."""
        self._is_resting = True
        if self._spare is not None:
            self._spare.kill("it has nothing to do")
        self._spare = None

    async def close(self) -> None:
        """End every process, and wait until they have."""
        self._is_closed = True
        self.rest()
        if self._sparing is not None:
            await asyncio.wait((self._sparing,))
        exits = [process.has_exited for process in self._alive]
        for process in self._alive:
            process.kill("the server stops")
        if exits:
            await asyncio.wait(exits)
        self._staging.close()

    def _hello(
        self,
        path: Path,
        env: dict[str, str],
        packages: Path | None,
        *,
        is_pure: bool,
        memory_mb: int | None,
    ) -> frames.Hello:
        wanted = limits.MEMORY_MB if memory_mb is None else memory_mb
        allowed = min(max(wanted, limits.MEMORY_MB_MIN), limits.MEMORY_MB_MAX)
        return frames.Hello(
            path=str(path),
            env=env,
            packages=None if packages is None else str(packages),
            is_pure=is_pure,
            is_dev=self._is_dev,
            memory_bytes=allowed * limits.MIB,
            allows_private=self._allows_private,
            asks_http=self._asks_http,
        )

    async def _place(
        self, app_id: str, path: Path, uid: int | None, *, owner: str | None = None
    ) -> Path:
        """owner   the app, where `app_id` is a name for something else of it"""
        owner = app_id if owner is None else owner
        if uid is None or uid == os.geteuid():
            return path
        try:
            is_taken_over = self._owners.get(uid, owner) != owner
            if is_taken_over and self._users is not None and not self._users.is_shared:
                await self._staging.forget(uid)
            self._owners[uid] = owner
            return await self._staging.place(app_id, path, uid)
        except OSError as cause:
            raise Unavailable("overloaded", f"The bundle cannot be copied: {cause}.") from cause

    async def _with_scratch(self, hello: frames.Hello, process: Process) -> frames.Hello:
        """Give a process that is confined a folder, which ends with it."""
        if not self._is_confined:
            return hello
        try:
            folder = await asyncio.to_thread(_make_scratch, process.uid)
        except OSError as cause:
            raise Unavailable("overloaded", f"No worker can be started: {cause}.") from cause

        def remove(_: object) -> None:
            asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, folder, True)

        process.has_exited.add_done_callback(remove)
        confined: frames.Hello = msgspec.structs.replace(hello, scratch=folder)
        return confined

    async def _place_packages(
        self, app_id: str, packages: Path | None, uid: int | None
    ) -> Path | None:
        """Where the user finds packages. They are copied apart: code changes more often."""
        if packages is None or not await asyncio.to_thread(packages.is_dir):
            return None  # its imports fail, and say which
        return await self._place(f"{app_id} packages", packages, uid, owner=app_id)

    async def _spawn(self, uid: int | None) -> Process:
        if self._is_hiding:
            hide_process()
        process = Process(self._start, uid)
        try:
            await process.spawn()
        except OSError as cause:
            raise Unavailable("overloaded", f"No worker can be started: {cause}.") from cause
        finally:
            if process.pid:  # also one that nobody waits for any more
                self._alive.add(process)
                process.has_exited.add_done_callback(lambda _: self._alive.discard(process))
        return process

    def _take_spare(self, uid: int | None) -> Process | None:
        spare = self._spare
        if spare is None or spare.uid != uid or spare.has_exited.done():
            return None
        self._spare = None
        return spare

    def _refill(self) -> None:
        """Have a spare soon. It is one that the next app without a process can use."""
        if self._is_closed:
            return
        self._is_resting = False
        if self._sparing is None and not self.has_spare:
            self._sparing = asyncio.create_task(self._make_spare())

    async def _make_spare(self) -> None:
        uid = None if self._users is None else self._users.next_uid()
        try:
            if self._users is None or uid is not None:
                spare = await self._spawn(uid)
                if self._is_resting:
                    spare.kill("it has nothing to do")
                else:
                    self._spare = spare
        except Unavailable:
            # The next process is started from nothing, and says why if that fails, too.
            return
        finally:
            self._sparing = None


def _make_scratch(uid: int | None) -> str:
    folder = tempfile.mkdtemp(prefix="trice-scratch-")
    if uid is not None and uid != os.geteuid():
        os.chown(folder, uid, -1)
    return folder


def _environment(python_path: Sequence[Path]) -> dict[str, str]:
    """All that a process is told of ours, which holds secrets."""
    kept = ("PATH", "LD_LIBRARY_PATH", "LANG", "TZ", "TMPDIR")
    told = {name: os.environ[name] for name in kept if name in os.environ}
    return told | {
        "PYTHONPATH": os.pathsep.join(map(str, (Path(trice.__file__).parent.parent, *python_path))),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # a bundle is not written to
        "MALLOC_ARENA_MAX": "2",  # threads that mostly wait share their memory
        "OPENBLAS_NUM_THREADS": "1",  # processes of queries may start no threads
        "OMP_NUM_THREADS": "1",
        "HOME": "/nonexistent",
    }
