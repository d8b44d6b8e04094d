"""Where the jobs of a test are kept, and what runs them: its one app."""

from __future__ import annotations

from collections.abc import Sequence

from trice.apps.app import App
from trice.calls.functions import Functions
from trice.calls.jobs.as_job import AsJob, Within
from trice.calls.jobs.job import Job
from trice.calls.jobs.steps import JobSteps
from trice.database import Database
from trice.functions.signature import Signature
from trice.protocol.ids import AppId


class OneApp:
    """`jobs.Host` of a test, whose app is open as long as the test lasts."""

    def __init__(self, app: App, functions: Functions) -> None:
        self._app = app
        self._functions = functions

    async def lend(self, app_id: AppId) -> Database:
        return self._app.database

    def give_back(self, app_id: AppId) -> None:
        """It stays open."""

    def apps(self) -> Sequence[AppId]:
        return [self._app.id]

    def has_functions(self, app_id: AppId) -> bool:
        return True

    def signatures(self, app_id: AppId) -> Sequence[Signature]:
        return self._functions.signatures(self._app)

    def find(self, app_id: AppId, name: str) -> Signature | None:
        return self._functions.door.deployed.signatures(app_id).get(name)

    async def mutate(self, app_id: AppId, job: Job, within: Within) -> None:
        as_job = AsJob(scheduled_for_ms=job.scheduled_for, within=within)
        await self._functions.run_job(self._app, job, as_job)

    async def act(self, app_id: AppId, job: Job, steps: JobSteps | None) -> bytes:
        as_job = AsJob(scheduled_for_ms=job.scheduled_for, steps=steps)
        return await self._functions.run_job(self._app, job, as_job)
