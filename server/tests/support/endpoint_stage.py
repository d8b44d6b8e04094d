"""A server whose app has endpoints, in the process of the test: asked without a network, or by
sockets over loopback whose time the test holds.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from support.asgi import Exchange
from support.engines import open_apps
from support.function_stage import write_project
from support.http_wire import Client, until
from support.runtime import SteppedRuntime
from trice.api.bounded_http import make_http_class
from trice.api.connections import Connections
from trice.api.routes import build_app
from trice.calls.bundles import Manifest, pack, project_files
from trice.calls.log_ring import Wanted
from trice.calls.side import RunsCalls
from trice.calls.workers.local import LocalWorkers
from trice.calls.workers.starter import OnLine
from trice.config import Settings
from trice.functions import loading
from trice.session.hub import Hub


class EndpointStage:
    """One app with a module `functions/hooks.py`.

    runs    what runs its functions; those of this process unless told
    """

    def __init__(self, folder: Path, runs: RunsCalls | None = None, **settings: Any) -> None:
        self._runs = runs
        self.root = folder / "project"
        self.runtime = SteppedRuntime()
        self.settings = Settings(data_dir=folder / "data", **settings)
        self.connections = Connections(self.runtime, is_own_host=self.settings.is_own_host)
        self.clients: list[Client] = []
        self.made: list[Any] = []
        self._server: asyncio.Server | None = None

    async def open(self, hooks: str) -> None:
        self.settings.data_dir.mkdir(parents=True)
        write_project(self.root, {"functions/hooks.py": hooks})
        self.apps = await open_apps(
            self.settings.data_dir, runtime=self.runtime, is_open_by_default=False
        )
        self.hub = Hub(apps=self.apps, runtime=self.runtime)
        self.asgi = build_app(
            settings=self.settings,
            apps=self.apps,
            hub=self.hub,
            runtime=self.runtime,
            make_workers=lambda on_line: self._runs or self._local(on_line),
        )
        self.app, self.token = await self.apps.create(title="hooks", is_open=False)
        deployments = self.asgi.state.deployments
        bundle = pack(project_files(self.root), Manifest())
        self.report = await deployments.take(self.app, bundle.raw)
        await deployments.deploy(self.app, bundle.hash)
        self.at = f"/http/{self.app.id}"

    def _local(self, on_line: OnLine) -> RunsCalls:
        return LocalWorkers(loading, runtime=self.runtime, on_line=on_line)

    @property
    def module(self) -> Any:
        """The loaded functions, whose globals a test may look at and set."""
        return sys.modules["functions.hooks"]

    async def lines(self) -> list[tuple[str, str]]:
        """Level and text of what the log was told."""
        logs = self.asgi.state.function_logs
        found, _ = await logs.read(self.app.id, after=None, wanted=Wanted())
        return [(each.level, each.text) for each in found]

    def ask(
        self, method: str, path: str, body: bytes = b"", /, token: str = "", **headers: str
    ) -> Exchange:
        """A request below the app."""
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        if token:
            given["authorization"] = f"Bearer {token}"
        return Exchange(self.asgi, method, f"{self.at}{path}", {"host": "x.test", **given}, body)

    async def answer(self, *words: Any, **more: Any) -> Exchange:
        """The whole answer to a request."""
        return await self.ask(*words, **more).whole()

    async def sign_in(self) -> tuple[str, str]:
        """Id and refresh token of a new user."""
        path, headers = "/runtime/auth/sign_in_guest", {"content-type": "application/json"}
        body = b'{"app-id":"%b"}' % self.app.id.encode()
        user = (await Exchange(self.asgi, "POST", path, headers, body).whole()).json()["user"]
        return user["id"], user["refresh_token"]

    async def client(self) -> Client:
        """A new connection over loopback."""
        if self._server is None:
            config = uvicorn.Config(self.asgi, lifespan="off", log_config=None)
            config.load()
            state, make = ServerState(), make_http_class(self.connections)

            def accept() -> asyncio.Protocol:
                self.made.append(make(config=config, server_state=state, app_state={}))
                return self.made[-1]

            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(accept, "127.0.0.1", 0)
        count = len(self.made)
        port = self._server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: len(self.made) > count and self.made[count].transport is not None)
        self.clients.append(Client(reader, writer))
        return self.clients[-1]

    def say(self, client: Client, method: str, path: str, *headers: str, body: bytes = b"") -> None:
        """Send a request below the app."""
        lines = [f"{method} {self.at}{path} HTTP/1.1", "host: x.test", *headers, "", ""]
        client.say("\r\n".join(lines).encode() + body)

    async def pass_time(self, duration_ms: int) -> None:
        """Move the server's clock while its loop runs."""
        while duration_ms > 0:
            await self.runtime.pass_time(min(duration_ms, 1_000))
            duration_ms -= 1_000
            self.connections.check()

    async def close(self) -> None:
        for client in self.clients:
            client.writer.close()
        if self._server is not None:
            self._server.close()
            await until(lambda: not len(self.connections))
        state = self.asgi.state
        self.hub.stop()
        for part in (state.live_functions, state.workers, state.deployments, state.function_logs):
            await part.close()
        assert state.endpoints.holds_nothing
        await state.background.stop()
        assert self.app.users == 1, "every call has given the app back"
        self.apps.give_back(self.app)
        await self.apps.close()


@asynccontextmanager
async def open_endpoints(
    folder: Path, hooks: str, *, runs: RunsCalls | None = None, **settings: Any
) -> AsyncIterator[EndpointStage]:
    """A stage with these functions."""
    stage = EndpointStage(folder, runs, **settings)
    await stage.open(hooks)
    try:
        yield stage
    finally:
        await stage.close()
