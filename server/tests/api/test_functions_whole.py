"""A project from its bundle to its callers: deployed, called over HTTP, watched over a session."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.asgi import Exchange
from support.engines import open_apps
from support.function_stage import PROJECTS
from support.memory_client import MemoryClient
from support.runtime import FakeRuntime
from trice.api.routes import build_app
from trice.calls.bundles import Manifest, pack, project_files
from trice.calls.workers.local import LocalWorkers
from trice.config import Settings
from trice.functions import loading
from trice.identity import ADMIN
from trice.schema.document import for_server
from trice.session.hub import Hub

CHANNEL = "c0000001-0000-4000-8000-000000000000"


class Chat:
    """A server with the chat of `functions/projects` deployed in an app."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.data_dir = folder / "data"
        self.runtime = FakeRuntime()

    async def open(self) -> None:
        shutil.copytree(PROJECTS / "chat", self.root, ignore=shutil.ignore_patterns("__pycache__"))
        self.data_dir.mkdir()
        program = loading.load_program(self.root, {})
        assert program.schema is not None
        self.apps = await open_apps(self.data_dir, runtime=self.runtime, is_open_by_default=False)
        self.hub = Hub(apps=self.apps, runtime=self.runtime)
        self.asgi = build_app(
            settings=Settings(data_dir=self.data_dir),
            apps=self.apps,
            hub=self.hub,
            runtime=self.runtime,
            make_workers=lambda on_line: LocalWorkers(
                loading, runtime=self.runtime, on_line=on_line, has_deadline=False
            ),
        )
        schema = for_server(program.schema)
        self.app, self.token = await self.apps.create(title="chat", is_open=False, schema=schema)
        await self.deploy()

    async def deploy(self) -> None:
        deployments = self.asgi.state.deployments
        bundle = pack(project_files(self.root), Manifest())
        await deployments.take(self.app, bundle.raw)
        await deployments.deploy(self.app, bundle.hash)

    async def close(self) -> None:
        state = self.asgi.state
        self.hub.stop()
        for part in (state.live_functions, state.workers, state.deployments, state.function_logs):
            await part.close()
        await state.background.stop()
        self.apps.give_back(self.app)
        await self.apps.close()

    async def ask(self, target: str, body: Any = None, token: str | None = None) -> Any:
        headers = {"app-id": self.app.id, "content-type": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        raw = b"" if body is None else orjson.dumps(body)
        method = "GET" if body is None else "POST"
        return (await Exchange(self.asgi, method, target, headers, raw).whole()).json()

    async def sign_in(self) -> tuple[str, str]:
        answer = await self.ask("/runtime/auth/sign_in_guest", {"app-id": self.app.id})
        return answer["user"]["id"], answer["user"]["refresh_token"]

    async def write(self, *steps: list[Any]) -> None:
        await self.app.database.transact_admin(list(steps), identity=ADMIN)


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    chat = Chat(tmp_path)
    await chat.open()
    yield chat
    await chat.close()


@pytest.mark.rule("FN225", "FN233", "FN238")
async def test_a_chat_is_deployed_called_and_watched(chat: Chat) -> None:
    user, token = await chat.sign_in()
    await chat.write(["create", "channels", CHANNEL, {"title": "all", "sent": 0}])
    sent = {"args": {"channel": CHANNEL, "text": "hello"}}
    refused = await chat.ask("/runtime/functions/messages.send", sent, token)
    assert (refused["type"], refused["hint"]["code"]) == ("function-error", "not-a-member")
    assert (await chat.ask("/runtime/functions/messages.send", sent))["type"] == "signed-out"

    await chat.write(["link", "channels", CHANNEL, {"members": user}])
    reader = MemoryClient(chat.hub)
    await reader.init(
        chat.app.id, refresh_token=token, trice={"version": 1, "features": ["functions"]}
    )
    reader.say("add-call", name="messages.recent", args={"channel": CHANNEL})
    assert (await reader.hear("add-call-ok"))["value"] == []

    done = await chat.ask("/runtime/functions/messages.send", sent, token)
    refresh = await reader.hear("refresh-ok")
    (call,) = refresh["calls"]
    assert [(each["id"], each["text"]) for each in call["value"]] == [(done["value"], "hello")]
    assert refresh["processed-tx-id"] >= done["tx"]

    event = reader.say("call", name="messages.edit", args={"message": done["value"], "text": "hi"})
    assert (await reader.hear("call-ok"))["client-event-id"] == event
    (call,) = (await reader.hear("refresh-ok"))["calls"]
    assert call["value"][0]["text"] == "hi"

    reader.say("call", name="messages.send", args={"channel": CHANNEL, "text": 5})
    error = await reader.hear("error")
    assert error["type"] == "bad-args"

    source = chat.root / "functions" / "messages.py"
    source.write_text(source.read_text().replace("limit=limit", "limit=limit if False else 0"))
    await chat.deploy()
    (call,) = (await reader.hear("refresh-ok"))["calls"]
    assert call["value"] == []
    listed = await chat.ask("/runtime/functions")
    assert "messages.send" in [each["name"] for each in listed["functions"]]
    document = await chat.ask("/runtime/functions/openapi.json")
    assert "/runtime/functions/messages.recent" in document["paths"]
