"""Kills a server while files are uploaded, replaced, moved and deleted (`make kill`).

Four users each have some paths, and do one thing at a time. What a server answered is certain;
what was under way at a kill has happened or not. After each start rows are one of the two, and
every row has its bytes. All bytes are made old before, so that the sweep of each start deletes what
no row names, while equal bytes are being uploaded again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from support.http_wire import until
from support.killed import KilledServer, blobs, make_old
from support.patience import WAIT_S

USERS = 4
PATHS = 3
PIECE_BYTES = 64 * 1024
SIZES = (0, 1, 5_000, 5_000, 90_000, 90_000, 700_000, 2_500_000)
CONTENTS = 3
"""Of each size: users often have the same bytes, which are kept once."""
TURNS_MAX = 3_000
"""Of the loop, between an answer and the kill."""
ANSWERS_MAX = 25

DOINGS = ("upload", "replace", "move", "delete", "delete all")
"""What users do, and a kill may meet."""

Paths = dict[str, str]
"""Path → SHA-256 of the bytes."""


class User:
    """What one user knows of its files.

    paths     as far as the server answered
    under_way what they are once the server has done what it was asked for; None: nothing is asked
    """

    def __init__(self, number: int) -> None:
        self.names = [f"{number}/{name}" for name in range(PATHS)]
        self.paths: Paths = {}
        self.under_way: Paths | None = None
        self.doing = ""


class FileKills:
    """A server in `folder`, its users, and counts of what was met.

    found   kills, answers, checked files, and by name what a kill met under way
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.found = Counter[str]()
        self._folder = folder
        self._choices = random.Random(seed)
        self._contents = [bytes([number]) * size for size in SIZES for number in range(CONTENTS)]
        self._users = [User(number) for number in range(USERS)]
        self._app: dict[str, str] = {}

    @property
    def met(self) -> int:
        """Kills that came while something was under way, by user."""
        return sum(self.found[doing] for doing in DOINGS)

    async def play(self, rounds: int) -> None:
        """Kill so many times; raises AssertionError at what must not be."""
        for _ in range(rounds):
            await self._round()
        await self._sweep()

    async def _round(self) -> None:
        self._note_orphans()
        server = KilledServer(self._folder)
        try:
            async with self._client(server) as client:
                await self._check(client)
                await self._work(client, server)
        finally:
            server.kill()
        self.found["kills"] += 1

    async def _work(self, client: httpx.AsyncClient, server: KilledServer) -> None:
        """Let all users work until the server is killed."""
        answers = self.found["answers"] + self._choices.randrange(ANSWERS_MAX)
        turns = self._choices.randrange(TURNS_MAX)
        tasks = [asyncio.create_task(self._use(client, user)) for user in self._users]
        await until(lambda: self.found["answers"] >= answers or any(t.done() for t in tasks))
        for _ in range(turns):
            await asyncio.sleep(0)
        server.process.kill()
        await asyncio.gather(*tasks)
        for user in self._users:
            if user.under_way is not None:
                self.found[user.doing] += 1

    async def _use(self, client: httpx.AsyncClient, user: User) -> None:
        """Do one thing after the other until the connection breaks."""
        while True:
            try:
                response = await self._step(client, user)
            except httpx.TransportError:
                return
            assert response.status_code == 200, f"{user.doing}: {response.text}"
            assert user.under_way is not None, "something was asked for"
            user.paths, user.under_way = user.under_way, None
            self.found["answers"] += 1

    async def _step(self, client: httpx.AsyncClient, user: User) -> httpx.Response:
        doing = self._choices.choices(DOINGS, (30, 30, 15, 20, 5))[0]
        there = sorted(user.paths)
        free = [name for name in user.names if name not in user.paths]
        if doing == "move" and there and free:
            return await self._move(client, user, self._choices.choice(there), free[0])
        if doing == "delete" and there:
            name = self._choices.choice(there)
            user.doing, user.under_way = "delete", {**user.paths}
            del user.under_way[name]
            return await client.delete("/admin/storage/files", params={"filename": name})
        if doing == "delete all" and there:
            user.doing, user.under_way = "delete all", {}
            return await client.post("/admin/storage/files/delete", json={"filenames": user.names})
        name, data = self._choices.choice(user.names), self._choices.choice(self._contents)
        user.doing = "replace" if name in user.paths else "upload"
        user.under_way = {**user.paths, name: hashlib.sha256(data).hexdigest()}
        return await client.put(
            "/admin/storage/upload", headers={"path": name}, content=pieces(data)
        )

    async def _move(
        self, client: httpx.AsyncClient, user: User, old: str, new: str
    ) -> httpx.Response:
        user.doing, user.under_way = "move", {**user.paths, new: user.paths[old]}
        del user.under_way[old]
        ids = await self._rows(client)
        step = ["update", "$files", ids[old]["id"], {"path": new}]
        return await client.post("/admin/transact", json={"steps": [step]})

    async def _check(self, client: httpx.AsyncClient) -> None:
        """Rows are what was answered or asked for, and have their bytes; nothing is half there."""
        rows = await self._rows(client)
        for user in self._users:
            is_now = {name: rows[name]["content-hash"] for name in user.names if name in rows}
            accepted = [user.paths] if user.under_way is None else [user.paths, user.under_way]
            assert is_now in accepted, f"{user.doing}: {is_now} is none of {accepted}"
            user.paths, user.under_way = is_now, None
        assert len(rows) == sum(len(user.paths) for user in self._users)
        for name, row in rows.items():
            response = await client.get(row["url"])
            assert response.status_code == 200, f"{name}: {response.text}"
            assert len(response.content) == row["size"], name
            assert hashlib.sha256(response.content).hexdigest() == row["content-hash"], name
            self.found["checked"] += 1

    async def _sweep(self) -> None:
        """After the last kill: what no row names is gone, and nothing else."""
        self._note_orphans()
        server = KilledServer(self._folder)
        try:
            async with self._client(server) as client:
                await self._check(client)
                named = {row["content-hash"] for row in (await self._rows(client)).values()}
                async with asyncio.timeout(WAIT_S):
                    await until(lambda: {path.name for path in blobs(self._folder)} == named)
                await self._check(client)
                assert os.listdir(self._folder / "data/files/spool") == []
        finally:
            server.kill()

    def _note_orphans(self) -> None:
        """Count what a kill left without a row, and let the next sweep look at it."""
        named = {
            hash
            for user in self._users
            for paths in (user.paths, user.under_way or {})
            for hash in paths.values()
        }
        self.found["orphans"] += sum(path.name not in named for path in blobs(self._folder))
        make_old(self._folder)

    def _client(self, server: KilledServer) -> httpx.AsyncClient:
        if not self._app:
            answer = httpx.post(f"{server.url}/dash/apps/ephemeral", json={"title": "kills"})
            self._app = answer.json()["app"]
        headers = {"app-id": self._app["id"], "authorization": f"Bearer {self._app['admin-token']}"}
        return httpx.AsyncClient(base_url=server.url, headers=headers, timeout=WAIT_S)

    async def _rows(self, client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
        response = await client.post("/admin/query", json={"query": {"$files": {}}})
        assert response.status_code == 200, response.text
        return {row["path"]: row for row in response.json()["$files"]}


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]
