"""Jobs of a whole server: the apps they are kept in, the functions they run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from trice import job_limits as limits
from trice.apps.app import App
from trice.apps.apps import Apps
from trice.calls.deployments import Deployments
from trice.calls.door import Deployed
from trice.calls.functions import Functions
from trice.calls.jobs.as_job import AsJob, Within
from trice.calls.jobs.job import Job
from trice.calls.jobs.jobs import Jobs
from trice.calls.jobs.schedule import JOBS
from trice.calls.jobs.steps import JobSteps
from trice.calls.report import Unfit
from trice.calls.side import AppCode
from trice.database import Database
from trice.functions.signature import Signature
from trice.protocol.ids import AppId
from trice.runtime import Runtime


class WithApps(Deployed, Protocol):
    """What is deployed, and where."""

    def apps(self) -> Sequence[AppId]:
        """The apps that have functions."""
        ...


class ServerHost:
    """`jobs.Host` of a server. Holds the apps that jobs use at this moment, each as often as it is
    lent."""

    def __init__(self, apps: Apps, deployed: WithApps, functions: Functions) -> None:
        self._apps = apps
        self._deployed = deployed
        self._functions = functions
        self._lent: dict[AppId, list[App]] = {}

    async def lend(self, app_id: AppId) -> Database:
        app = await self._apps.lend(app_id, is_own=True)
        self._lent.setdefault(app_id, []).append(app)
        return app.database

    def give_back(self, app_id: AppId) -> None:
        held = self._lent[app_id]
        self._apps.give_back(held.pop())
        if not held:
            del self._lent[app_id]

    def apps(self) -> Sequence[AppId]:
        return self._deployed.apps()

    def has_functions(self, app_id: AppId) -> bool:
        return self._deployed.current(app_id) is not None

    def signatures(self, app_id: AppId) -> Sequence[Signature] | None:
        if self._deployed.current(app_id) is None:
            return None
        known = self._deployed.signatures(app_id)
        return [each for name, each in known.items() if each.name == name]

    def find(self, app_id: AppId, name: str) -> Signature | None:
        return self._deployed.signatures(app_id).get(name)

    async def mutate(self, app_id: AppId, job: Job, within: Within) -> None:
        as_job = AsJob(scheduled_for_ms=job.scheduled_for, within=within)
        await self._functions.run_job(self._lent[app_id][-1], job, as_job)

    async def act(self, app_id: AppId, job: Job, steps: JobSteps | None) -> bytes:
        as_job = AsJob(scheduled_for_ms=job.scheduled_for, steps=steps)
        return await self._functions.run_job(self._lent[app_id][-1], job, as_job)


def open_jobs(
    apps: Apps, deployments: Deployments, functions: Functions, *, runtime: Runtime
) -> Jobs:
    """The jobs of all apps; `start` them once the deployments are loaded."""
    jobs = Jobs(ServerHost(apps, deployments, functions), runtime=runtime)
    apps.commit_listeners.append(jobs.hear)
    functions.jobs_kept = jobs.kept

    def switched(app_id: AppId, code: AppCode | None) -> None:
        if code is None:
            jobs.forget(app_id)
        else:
            jobs.open(app_id)

    deployments.on_switch(switched)
    deployments.find_unfit = unfit_jobs
    return jobs


async def unfit_jobs(app: App, signatures: Sequence[Signature]) -> Sequence[Unfit]:
    """Jobs that wait and that these functions could not run, by function and reason. Of arguments
    it is known which there are and which must be; their types are checked when the job runs."""
    known = {name: each for each in signatures for name in (each.name, *each.also)}
    form = {
        "where": {"state": "scheduled", "cron": {"$isNull": True}},
        "fields": ["function", "args"],
        "limit": limits.JOBS_CHECKED_MAX,
    }
    found = await app.database.look(lambda look: look.find({JOBS: {"$": form}}))
    faults = Counter(
        (row["function"], fault)
        for row in found[JOBS]
        if (fault := _fault(known.get(row["function"]), row["args"])) is not None
    )
    return [Unfit(name, count, fault) for (name, fault), count in sorted(faults.items())]


def _fault(signature: Signature | None, args: dict[str, Any]) -> str | None:
    """Why a function could not run with these arguments."""
    if signature is None or signature.kind in ("query", "endpoint"):
        return "there is no such mutation or action"
    schema = signature.args
    if "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    accepted = {*schema.get("properties", {}), *signature.ignores}
    surplus = sorted(args.keys() - accepted)
    if surplus:
        return f"it has no argument {surplus[0]}"
    missing = sorted(set(schema.get("required", ())) - args.keys())
    return f"its argument {missing[0]} is missing" if missing else None
