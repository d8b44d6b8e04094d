"""Streams over plain HTTP, on the stage of `tests/api`."""

from __future__ import annotations

import orjson

from support.memory_client import MemoryClient
from trice.identity import ADMIN
from trice.rules.document import Rules

TOKEN = "00000000-0000-4000-8000-000000000007"
OTHER = "00000000-0000-4000-8000-000000000008"
RULES = {"$streams": {"allow": {"create": "true", "view": "data.clientId != 'hidden'"}}}


class Http:
    """Requests about one stream."""

    def __init__(self, stage, name="log", **headers):
        self.stage = stage
        self.path = f"/streams/{stage.app_id}/{name}"
        self.headers = headers or {"authorization": f"Bearer {stage.token}"}

    def start(self, method, query="", text=None, **headers):
        given = {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        body = text if isinstance(text, bytes) else (text or "").encode()
        if method in ("PUT", "POST"):
            given = {"content-length": str(len(body)), "content-type": "text/plain", **given}
        if given.get("transfer-encoding"):
            del given["content-length"]
        return self.stage.start(method, self.path + query, body, given)

    async def ask(self, method, query="", text=None, **headers):
        return await self.start(method, query, text, **headers).whole()

    async def post(self, text, query="", **headers):
        answer = await self.ask("POST", query, text, **headers)
        assert answer.status == 204, answer.body
        return int(answer.headers["stream-next-offset"])

    async def text(self, query=""):
        answer = await self.ask("GET", query)
        assert answer.status == 200, answer.body
        return answer.body.decode()


async def set_rules(stage, document=RULES):
    app = await stage.apps.lend(stage.app_id)
    app.database.set_rules(Rules.parse(document))
    stage.apps.give_back(app)


async def row_of(stage, name="log"):
    app = await stage.apps.lend(stage.app_id)
    query = {"$streams": {"$": {"where": {"clientId": name}}, "$files": {}}}
    found = (await app.database.look(lambda look: look.find(query)))["$streams"]
    stage.apps.give_back(app)
    return found[0] if found else None


async def session(stage):
    client = MemoryClient(stage.hub)
    init = {"op": "init", "app-id": stage.app_id, "__admin-token": stage.token}
    client.say_raw(orjson.dumps(init))
    await client.hear("init-ok")
    return client


async def until(exchange, text):
    """Wait until an answer has got so far."""
    while text not in exchange.body.decode(errors="replace"):
        assert not exchange.is_over, exchange.body
        await exchange.changed()


async def live_of(stage, name="log"):
    app = await stage.apps.lend(stage.app_id)
    live = await stage.streams.view(app, ADMIN, stream_id=None, client_id=name, params={})
    stage.apps.give_back(app)
    return live
