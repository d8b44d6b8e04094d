"""Kills writers, readers and the server of streams again and again (`make kill`).

Each stream has a writer and a reader, processes of `support/stream_worker.py`, which compare each
byte. At random moments one process is killed and started again: a server on the same data, a
writer with the same token, a reader where the last one was. No byte that was flushed may be lost or
doubled, and every stream comes to its end. A stream that did is read once more, from the middle,
and deleted; a new one takes its place.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import httpx

from support import stream_worker
from support.killed import Killed, KilledServer, make_old
from support.patience import WAIT_S
from support.stream_worker import Work

STREAMS = 3
WORDS_MAX = 10
"""Said by writers and readers between two kills."""
TURNS_MAX = 300_000
"""Of an empty loop, between what was said and a kill."""
VICTIMS = ("server", "server", "writer", "reader")


class _Play:
    """One stream and its processes.

    flushed   what writers were told is durable
    have      what readers had
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.data = work.data()
        self.flushed = 0
        self.have = 0
        self.is_done = self.is_read = False
        self.writer = Killed(stream_worker.write, work)
        self.reader: Killed | None = None

    @property
    def is_over(self) -> bool:
        return self.is_done and self.is_read

    @property
    def processes(self) -> list[Killed]:
        return [self.writer, *([] if self.reader is None else [self.reader])]

    def hear(self) -> int:
        """Note what the processes said; return how much that was."""
        words = [word for process in self.processes for word in process.said()]
        for kind, value in words:
            assert kind != "wrong", value
            if kind in ("flushed", "done"):
                assert value >= self.flushed, f"{self.flushed} bytes were flushed; now {value} are"
                self.flushed = value
                self.is_done |= kind == "done"
                if self.reader is None:
                    self.reader = Killed(stream_worker.read, self.work, 0)
            else:
                assert value >= self.have, f"a reader that had {self.have} bytes has {value}"
                self.have = value
                self.is_read |= kind == "end"
        if self.is_done:
            assert self.flushed == len(self.data)
        if self.is_read:
            assert self.have == len(self.data)
        return len(words)

    def kill_writer(self) -> None:
        self.writer.kill()
        self.hear()
        if not self.is_done:
            self.writer = Killed(stream_worker.write, self.work)

    def kill_reader(self) -> None:
        if self.reader is None:
            return
        self.reader.kill()
        self.hear()
        if not self.is_read:
            self.reader = Killed(stream_worker.read, self.work, self.have)

    def end(self) -> None:
        for process in self.processes:
            process.kill()


class StreamKills:
    """A server in `folder`, streams, and counts of what was met.

    found   kills by victim, and those that met a stream of which a part was durable; streams that
            came to their end, their bytes and parts
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.found = Counter[str]()
        self._folder = folder
        self._choices = random.Random(seed)
        self._app: dict[str, str] = {}
        self._plays: list[_Play] = []
        self._server: KilledServer | None = None

    def play(self, kills: int) -> None:
        """Kill so many times, then let every stream come to its end; raises AssertionError at what
        must not be."""
        try:
            self._start_server()
            for _ in range(kills):
                self._kill_one()
            while self._plays:
                self._hear(1)
                self._check_ended()
            assert self._post("/admin/query", {"query": {"$files": {}}}) == {"$files": []}
        finally:
            for play in self._plays:
                play.end()
            if self._server is not None:
                self._server.kill()

    def _kill_one(self) -> None:
        while len(self._plays) < STREAMS:
            self._plays.append(_Play(self._work()))
        self._hear(self._choices.randrange(WORDS_MAX))
        for _ in range(self._choices.randrange(TURNS_MAX)):
            pass
        victim, play = self._choices.choice(VICTIMS), self._choices.choice(self._plays)
        self.found[f"{victim} killed"] += 1
        self.found["kills"] += 1
        self.found["met"] += any(0 < play.flushed < len(play.data) for play in self._plays)
        match victim:
            case "server":
                assert self._server is not None, "it runs between kills"
                self._server.kill()
                self._start_server()
            case "writer":
                play.kill_writer()
            case "reader":
                play.kill_reader()
        self._check_ended()

    def _hear(self, words: int) -> None:
        """Wait until so much was said, or a stream has come to its end."""
        while True:
            words -= sum(play.hear() for play in self._plays)
            if words <= 0 or any(play.is_over for play in self._plays):
                return
            pipes = [
                process.pipe
                for play in self._plays
                for process in play.processes
                if process.process.is_alive()
            ]
            assert wait(pipes, WAIT_S), f"nothing goes on: {self._state()}"

    def _check_ended(self) -> None:
        """Look at the rows of streams that came to their end, and read them late."""
        for play in [play for play in self._plays if play.is_over]:
            self._plays.remove(play)
            play.end()
            steps = self._check_row(play)
            late = Killed(stream_worker.read, play.work, self._choices.randrange(play.have + 1))
            late.process.join(WAIT_S)
            said = late.said()
            assert said and said[-1] == ("end", play.have), said
            self.found["streams"] += 1
            self.found["bytes"] += play.have
            self._post("/admin/transact", {"steps": steps})

    def _check_row(self, play: _Play) -> list[list[str]]:
        """The row says the end, and its parts are all of it; return the steps that delete it."""
        query = {"$streams": {"$": {"where": {"clientId": play.work.name}}, "$files": {}}}
        (row,) = self._post("/admin/query", {"query": query})["$streams"]
        assert row["done"] is True and row["size"] == len(play.data), row
        assert sum(file["size"] for file in row["$files"]) == len(play.data), row
        self.found["parts"] += len(row["$files"])
        return [["delete", "$streams", row["id"]]]

    def _start_server(self) -> None:
        make_old(self._folder)
        self._server = KilledServer(self._folder)
        if not self._app:
            self._app = self._post("/dash/apps/ephemeral", {"title": "kills"})["app"]

    def _work(self) -> Work:
        make = self._choices
        name, token = (str(uuid.UUID(int=make.getrandbits(128), version=4)) for _ in range(2))
        app_id, admin_token = self._app["id"], self._app["admin-token"]
        return Work(self._folder, app_id, admin_token, name, token, make.getrandbits(32))

    def _post(self, path: str, body: Any) -> Any:
        assert self._server is not None
        headers = {}
        if self._app:
            token = self._app["admin-token"]
            headers = {"app-id": self._app["id"], "authorization": f"Bearer {token}"}
        url = f"{self._server.url}{path}"
        response = httpx.post(url, json=body, headers=headers, timeout=WAIT_S)
        assert response.status_code == 200, response.text
        return response.json()

    def _state(self) -> list[str]:
        return [
            f"{play.work.name}: {play.flushed} flushed, {play.have} read of {len(play.data)}"
            for play in self._plays
        ]
