"""Writers and readers of streams over sessions in memory, on the stage of `tests/session`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import orjson

from support.memory_client import MemoryClient
from trice.database import Look
from trice.identity import Identity

TOKEN = str(UUID(int=7))
OTHER = str(UUID(int=8))


async def admin(stage, ip=""):
    client = MemoryClient(stage.hub, Identity("guest", ip=ip))
    init = {"op": "init", "app-id": stage.app.id, "__admin-token": stage.token}
    client.say_raw(orjson.dumps(init))
    await client.hear("init-ok")
    return client


async def start(client, name="chat", token=TOKEN):
    client.say("start-stream", client_id=name, reconnect_token=token)
    return await client.hear("start-stream-ok")


def append(client, stream, *chunks, offset, **fields):
    client.say("append-stream", stream_id=stream, chunks=list(chunks), offset=offset, **fields)


class Reading:
    """A reader that assembles what it hears, as official clients do."""

    def __init__(self, stage, client, data=b""):
        self.client, self.data, self.files = client, data, stage.hub
        self.is_done, self.folder, self.app = False, stage.folder, stage.app

    def subscribe(self, name="chat"):
        self.event = self.client.say("subscribe-stream", client_id=name, offset=len(self.data))

    async def hear(self):
        told = await self.client.hear_where(
            lambda m: m["op"] == "stream-append" and m["client-event-id"] == self.event
        )
        got = b""
        for file in told.get("files", ()):
            location = file["url"].split("?")[0].rsplit("/", 1)[1]
            query = {"$files": {"$": {"where": {"location-id": location}}}}
            row = await self.app.database.look(partial(Look.find, source=query))
            digest = row["$files"][0]["content-hash"]
            got += (self.folder / "files" / self.app.id / digest[:2] / digest).read_bytes()
        got += told.get("content", "").encode()
        start = told.get("offset", len(self.data))
        assert start <= len(self.data), "a reader must not miss bytes"
        self.data += got[len(self.data) - start :]
        self.is_done = told.get("done", False)
        return told

    async def until(self, data):
        while self.data != data:
            assert data.startswith(self.data)
            await self.hear()


def hold_disk(stage):
    """Let bytes wait before they are stored.

    returns   events: they began to wait; they may be stored
    """
    files = stage.hub.streams.parts
    began, may_store, kept = asyncio.Event(), asyncio.Event(), files.kept

    @asynccontextmanager
    async def slow(app_id, data):
        began.set()
        await may_store.wait()
        async with kept(app_id, data) as hashed:
            yield hashed

    files.kept = slow
    return began, may_store


async def row_of(stage, name="chat"):
    query = {"$streams": {"$": {"where": {"clientId": name}}, "$files": {}}}
    rows = (await stage.app.database.look(lambda look: look.find(query)))["$streams"]
    return rows[0] if rows else None


async def write_parts(writer, stream, count, *, offset=0):
    for n in range(count):
        append(writer, stream, f"{n:03d};", offset=offset + 4 * n)
        await writer.hear("stream-flushed")
    return b"".join(b"%03d;" % n for n in range(count))
