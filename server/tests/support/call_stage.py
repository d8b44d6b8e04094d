"""The stage of sessions, with functions deployed in its app."""

from __future__ import annotations

import asyncio
from typing import Any

from support.called_functions import Project, make_functions
from support.memory_client import MemoryClient
from support.patience import WAIT_S
from support.runtime import settle
from trice.identity import ADMIN
from trice.runtime import Runtime

OURS = {"version": 1, "features": ["functions"]}


class CallStage:
    """An app with functions, and clients that call and watch them.

    stage     that of sessions (`tests/session/conftest`)
    runtime   that of functions; None: that of the stage
    """

    def __init__(self, stage: Any, runtime: Runtime | None = None) -> None:
        self.hub = stage.hub
        self.app = stage.app
        self.stage = stage
        self.project = Project()
        self.live = make_functions(self.project, stage.hub.apps, runtime or stage.runtime)
        stage.hub.functions = self.live
        self.gate = asyncio.Event()

    async def client(self, **init: Any) -> MemoryClient:
        client: MemoryClient = await self.stage.client(**{"trice": OURS, **init})
        return client

    def deploy(self) -> None:
        self.project.deploy(self.app.id)

    async def write(self, *steps: list[Any]) -> int:
        """Steps of an admin outside of all sessions."""
        tx: int = await self.app.database.transact_admin(
            list(steps), identity=ADMIN, throw_on_missing_attrs=True
        )
        return tx

    async def quiet(self) -> None:
        async with asyncio.timeout(WAIT_S):
            idle = 0
            while idle < 10:
                await self.app.database.live.settled()
                await settle()
                await self.app.database.look(lambda _: None)
                idle = 0 if self.live.is_busy else idle + 1
