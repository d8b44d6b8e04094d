"""Hooks of a whole server: the apps they are kept in, the functions they run."""

from __future__ import annotations

from collections.abc import Sequence

from trice.apps.app import App
from trice.apps.apps import Apps
from trice.calls.deployments import Deployments
from trice.calls.functions import Functions
from trice.calls.hooks.hooks import Hooks
from trice.calls.jobs.host import ServerHost
from trice.calls.jobs.jobs import Jobs
from trice.calls.side import AppCode
from trice.functions.signature import Signature
from trice.protocol.ids import AppId
from trice.runtime import Runtime


def open_hooks(
    apps: Apps, deployments: Deployments, functions: Functions, jobs: Jobs, *, runtime: Runtime
) -> Hooks:
    """The hooks of all apps; `start` them once the deployments are loaded."""
    hooks = Hooks(ServerHost(apps, deployments, functions), jobs, runtime=runtime)
    apps.commit_listeners.append(hooks.hear)

    def switched(app_id: AppId, code: AppCode | None) -> None:
        if code is None:
            hooks.forget(app_id)
        else:
            hooks.open(app_id)

    async def prepare(app: App, signatures: Sequence[Signature]) -> None:
        await hooks.prepare(app.database, signatures, functions.signatures(app))

    deployments.on_switch(switched)
    deployments.prepare = prepare
    return hooks
