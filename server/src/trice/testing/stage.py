"""The app of one test: the real engine in a file of its own, and what calls functions on it."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, Final

from trice.apps import quotas
from trice.apps.app import App
from trice.apps.meters import Meter
from trice.apps.registry import AppRow, hash_token
from trice.apps.settings import Settings
from trice.background import Background
from trice.calls.functions import Functions
from trice.calls.hooks.hooks import Hooks
from trice.calls.jobs.jobs import Jobs
from trice.calls.live import LiveFunctions
from trice.database import Database
from trice.functions.program import Program
from trice.metrics import QuotaCounts
from trice.protocol.ids import AppId
from trice.rate_limit import Buckets
from trice.testing.clock import Clock
from trice.testing.http import AppHttp
from trice.testing.jobs import OneApp
from trice.testing.outgoing import Answered
from trice.testing.project import Project, remove_database
from trice.testing.reach import TestReach, file_url
from trice.testing.runs import Runs, Shown

_ID: Final = AppId("00000000-0000-4000-8000-000000000001")
ADMIN_TOKEN: Final = "00000000-0000-4000-8000-00000000ad01"
_IDLE_LOOKS: Final = 10
"""How often in a row nothing is being done before it is believed: work goes on some turns of the
loop after what it waited for."""

LOOKS_MAX: Final = 1_000_000
"""After so many, which take some seconds, a test fails: a job that schedules itself has no end."""


class Stage:
    """What the words of a test stand on.

    server   what answers requests of endpoints, once there was one (`requests`)
    """

    def __init__(
        self, program: Program, database: Database, path: Path, clock: Clock, *, is_apart: bool
    ) -> None:
        """Use `Stage.open`."""
        self.program = program
        self.clock = clock
        row = AppRow(
            _ID, "test", hash_token(ADMIN_TOKEN), False, None, clock.now_ms(), None, Settings()
        )
        allowed = quotas.Allowed(None, None, None, None, None, {}, "")
        self.app = App(row, database, allowed, Meter(clock, QuotaCounts()), users=1)
        self.runs = Runs(program, _ID, runtime=clock)
        self.http = AppHttp()
        program.outgoing = Answered(self.http)
        buckets = Buckets(clock)
        self.functions = Functions(
            *(self.runs, self.runs),
            runtime=clock,
            buckets=buckets,
            seed_key=lambda: b"trice.testing",
            notes=Shown() if is_apart else None,
        )
        if is_apart:
            self.runs.work_apart()
        folder = path.with_suffix(".files")
        self.reach = TestReach(
            self.app, folder=folder, runtime=clock, buckets=buckets, http=self.http
        )
        self.functions.reach = self.reach
        self.live = LiveFunctions(self.functions)
        host = OneApp(self.app, self.functions)
        self.jobs = Jobs(host, runtime=clock)
        self.hooks = Hooks(host, self.jobs, runtime=clock)
        self.functions.jobs_kept = self.jobs.kept
        database.on_commits(partial(self.jobs.hear, _ID))
        database.on_commits(partial(self.hooks.hear, _ID))
        self.server: Any = None
        self._background = Background(clock)
        self._path = path

    @staticmethod
    async def open(project: Project, *, is_apart: bool = False) -> Stage:
        """A new app of a project, without data. is_apart   functions run in processes"""
        clock = Clock()
        database, path = await project.open_database(
            clock, app_id=_ID, url_of=partial(file_url, clock, _ID)
        )
        stage = Stage(project.program, database, path, clock, is_apart=is_apart)
        stage.jobs.start(stage._background)
        stage.hooks.start(stage._background)
        await stage.settle()
        return stage

    @property
    def database(self) -> Database:
        return self.app.database

    async def settle(self) -> None:
        """Wait until what is due is done, and all who watch something were told what there is."""
        idle = 0
        for _ in range(LOOKS_MAX):
            await self.database.live.settled()
            await asyncio.sleep(0)
            is_busy = self.live.is_busy or self.jobs.is_busy or self.hooks.is_busy
            is_busy = is_busy or self.reach.is_busy
            idle = 0 if is_busy else idle + 1
            if idle == _IDLE_LOOKS:
                return
        told = "Jobs, hooks and live queries do not come to rest: does one cause itself?"
        raise AssertionError(told)

    async def close(self) -> None:
        """End what is under way, and remove the file."""
        await self.jobs.close()
        await self.hooks.close()
        await self._background.stop()
        await self.live.close()
        await self.runs.close()
        await self.reach.close()
        await self.database.close()
        remove_database(self._path)
