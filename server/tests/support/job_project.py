"""A project whose functions schedule jobs, on a server in this process: real code, real data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from support.engines import open_apps
from support.function_stage import PROJECTS
from support.patience import WAIT_S
from support.runtime import SteppedRuntime, settle
from trice import hook_limits
from trice.apps.apps import App, Apps
from trice.background import Background
from trice.calls.functions import Functions
from trice.calls.hooks.hooks import Hooks
from trice.calls.jobs.host import ServerHost
from trice.calls.jobs.jobs import Jobs
from trice.calls.side import AppCode
from trice.calls.workers.local import LocalWorkers
from trice.functions import loading
from trice.functions.frames import Ready
from trice.functions.signature import Signature
from trice.identity import GUEST
from trice.protocol.ids import AppId
from trice.schema.document import for_server

__all__ = ["WAIT_S", "JobProject"]


class Deployed:
    """One project, deployed in one app, once that is known."""

    def __init__(self, path: Path, ready: Ready) -> None:
        self.code: AppCode | None = None
        self._signatures = {
            name: each for each in ready.functions for name in (each.name, *each.also)
        }

    def current(self, app_id: AppId) -> AppCode | None:
        code = self.code
        return code if code is not None and code.app_id == app_id else None

    def apps(self) -> list[AppId]:
        return [] if self.code is None else [AppId(self.code.app_id)]

    def signatures(self, app_id: AppId) -> Mapping[str, Signature]:
        return self._signatures

    def on_switch(self, listener: Callable[[AppId, AppCode | None], None]) -> None:
        """Nothing is switched."""


class JobProject:
    """An app with the functions of a project, and what runs its jobs."""

    apps: Apps
    app: App
    jobs: Jobs
    hooks: Hooks
    functions: Functions

    def __init__(
        self, folder: Path, project: str = "works", *, lag_max: int = hook_limits.HOOK_LAG_MAX
    ) -> None:
        self.lag_max = lag_max
        self.has_hooks = True
        self.folder = folder
        self.path = PROJECTS / project
        self.runtime = SteppedRuntime()
        self.app_id = ""

    async def open(self) -> None:
        """Begin; again after `close`, as a server that starts."""
        self.apps = await open_apps(self.folder, runtime=self.runtime, is_open_by_default=True)
        workers = LocalWorkers(
            loading, runtime=self.runtime, on_line=lambda *_: None, has_deadline=False
        )
        ready = await workers.check(str(self.path), {})
        assert isinstance(ready, Ready), ready
        deployed = Deployed(self.path, ready)
        self.functions = Functions(
            deployed, workers, runtime=self.runtime, buckets=self.apps.buckets, seed_key=bytes
        )
        self.jobs = Jobs(
            ServerHost(self.apps, deployed, self.functions), runtime=self.runtime, is_alone=True
        )
        self.apps.commit_listeners.append(self.jobs.hear)  # before any app is opened
        self.functions.jobs_kept = self.jobs.kept
        self.hooks = Hooks(
            ServerHost(self.apps, deployed, self.functions),
            self.jobs,
            runtime=self.runtime,
            lag_max=self.lag_max,
        )
        self.apps.commit_listeners.append(self.hooks.hear)
        if not self.app_id:
            schema = None if ready.schema is None else for_server(ready.schema)
            made, _ = await self.apps.create(title="x", schema=schema)
            self.apps.give_back(made)
            self.app_id = made.id
        deployed.code = AppCode(self.app_id, "0" * 64, self.path)
        self.app = await self.apps.lend(self.app_id)
        self.background = Background(self.runtime)
        self.jobs.start(self.background)
        if self.has_hooks:
            self.hooks.start(self.background)

    async def close(self) -> None:
        await self.jobs.close()
        await self.hooks.close()
        await self.background.stop()
        self.apps.give_back(self.app)
        await self.apps.close()

    async def call(self, name: str, **args: Any) -> Any:
        """Call a function as a guest."""
        raw = json.dumps(args).encode()
        result = await self.functions.call(self.app, name, raw, identity=GUEST)
        return json.loads(result.value)

    async def rows(self, **where: Any) -> list[dict[str, Any]]:
        """Jobs, by what their rows have."""
        found = await self.app.database.look(lambda look: look.find({"$jobs": {}}))
        listed = [each for each in found["$jobs"] if where.items() <= each.items()]
        return sorted(listed, key=lambda each: each["scheduledFor"])

    async def rest(self, *, is_still: bool = False) -> None:
        """Let it do all that it can do while time stands still.

        is_still   no transaction is made to find out
        """
        while True:
            tx = self.app.database.tx
            await settle()
            if is_still:
                if not self.hooks.is_busy:
                    return
                continue
            await self.app.database.change(lambda change: None)  # behind all that is under way
            await settle()
            is_busy = self.jobs.running or self.jobs.is_busy or self.hooks.is_busy
            if not is_busy and self.app.database.tx <= tx + 1:
                return

    async def pass_time(self, duration_ms: float, *, steps: int = 10) -> None:
        """Let time pass, and everything be done that becomes due."""
        await self.rest()
        for _ in range(steps):
            await self.runtime.pass_time(duration_ms / steps)
            await self.rest()
