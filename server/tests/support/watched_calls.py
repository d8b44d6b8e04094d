"""An app with functions that are watched: watchers that note what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.call_values import taken
from support.called_functions import Noted, Project, make_functions
from support.engines import open_apps
from support.patience import WAIT_S
from support.runtime import FakeRuntime, settle
from trice.apps.apps import App, Apps
from trice.calls.functions import Result
from trice.calls.live import LiveFunctions
from trice.calls.page_list import PageList
from trice.calls.watch import Watch
from trice.errors import TriceError
from trice.identity import ADMIN, GUEST, Identity
from trice.protocol.ids import EventId, TxId, find_uuid_bytes


def _attr(kind: str, *, is_indexed: bool = False) -> dict[str, Any]:
    config = {"indexed": is_indexed, "unique": False}
    return {"valueType": kind, "required": False, "config": config}


SCHEMA = {
    "entities": {
        "$users": {"attrs": {"role": _attr("string"), "nickname": _attr("string")}},
        "todos": {
            "attrs": {
                "title": _attr("string", is_indexed=True),
                "room": _attr("number", is_indexed=True),
                "done": _attr("boolean", is_indexed=True),
                "due": _attr("date", is_indexed=True),
            }
        },
        "notes": {"attrs": {"text": _attr("string")}},
    },
    "links": {
        "owners": {
            "forward": {"on": "todos", "label": "owner", "has": "one"},
            "reverse": {"on": "$users", "label": "todos", "has": "many"},
        }
    },
}
USERS = tuple(f"a{number:07d}-0000-4000-8000-000000000000" for number in range(10))
IDS = tuple(f"e{number:07d}-0000-4000-8000-000000000000" for number in range(100))


def user(number: int, ip: str = "") -> Identity:
    """One of USERS."""
    return Identity("user", find_uuid_bytes(USERS[number]), ip=ip)


class Watcher:
    """Takes news at once, as a quick client does. `told`: values, or codes of errors.

    changes   how often it was told what changed in the place of a value; None: it takes values
    """

    def __init__(self, stage: Stage, identity: Identity, *, has_deltas: bool) -> None:
        self.changes = 0 if has_deltas else None
        self._held: tuple[Any, str | None] = (None, None)
        self.told: list[Any] = []
        self.labels: list[TxId] = []
        self.identity = identity
        self.watch: Watch
        self._stage = stage
        self._is_news = asyncio.Event()

    def on_news(self, watch: Watch) -> None:
        answer = watch.answer
        assert answer is not None
        if answer.value is None:
            assert answer.error is not None
            self.told.append(answer.error.code)
        else:
            held = None if self.changes is None else watch.held
            said = orjson.loads(b"{%b}" % answer.said(held).plain)
            if self.changes is not None:
                self.changes += "delta" in said
            self._held = taken(*self._held, said)
            self.told.append(self._held[0])
        self.labels.append(watch.label())
        watch.tell(answer)
        self._is_news.set()

    async def next(self) -> Any:
        """What it is told next."""
        async with asyncio.timeout(WAIT_S):
            while not self._is_news.is_set():
                await self._is_news.wait()
        self._is_news.clear()
        return self.told[-1]

    def stop(self) -> None:
        self._stage.live.unwatch(self._stage.app, self.watch)


class ListWatcher:
    """Takes news of a list at once, and keeps its pages as clients do.

    ends    where each page ends; "" with the list
    values  what each page is; codes of errors
    """

    def __init__(self, stage: Stage) -> None:
        self.ends: list[str | None] = []
        self.values: list[Any] = []
        self.told = 0
        self.labels: list[TxId] = []
        self.pages: PageList
        self._stage = stage

    def on_news(self, pages: PageList) -> None:
        news = pages.take()
        if news is None:
            return
        self.told += 1
        self.labels.append(news.tx)
        if news.is_whole:
            self.ends, self.values = [], []
        for page in news.pages:
            answer = page.answer
            failed = None if answer.error is None else answer.error.code
            value = failed if answer.value is None else orjson.loads(answer.value)
            upto = page.at if page.is_new else page.at + 1
            self.ends[page.at : upto] = [page.until]
            self.values[page.at : upto] = [value]
        del self.ends[news.count :], self.values[news.count :]
        assert len(self.ends) == news.count

    @property
    def items(self) -> list[Any]:
        """What all pages list."""
        return [item for value in self.values for item in value["items"]]

    def stop(self) -> None:
        self.pages.close()


class Stage:
    """One app, what is deployed in it, and its watched calls."""

    def __init__(self, apps: Apps, app: App, runtime: FakeRuntime) -> None:
        self.apps = apps
        self.app = app
        self.runtime = runtime
        self.project = Project()
        self.log = Noted()
        self.live: LiveFunctions = make_functions(self.project, apps, runtime, self.log)
        self.functions = self.live.functions

    def watch(
        self, name: str, identity: Identity = GUEST, *, has_deltas: bool = False, **args: Any
    ) -> Watcher:
        watcher = Watcher(self, identity, has_deltas=has_deltas)
        watcher.watch = self.live.watch(
            *(self.app, name, orjson.dumps(args, option=orjson.OPT_SORT_KEYS)),
            identity=identity,
            on_news=watcher.on_news,
            has_deltas=has_deltas,
        )
        return watcher

    def watch_list(
        self, name: str, identity: Identity = GUEST, *, ends: Any = (), **args: Any
    ) -> ListWatcher:
        watcher = ListWatcher(self)
        watcher.pages = PageList(
            *(self.live, self.app, name, orjson.dumps(args, option=orjson.OPT_SORT_KEYS)),
            identity=identity,
            on_news=watcher.on_news,
            ends=ends,
        )
        return watcher

    async def write(self, *steps: list[Any]) -> TxId:
        return await self.app.database.transact_admin(list(steps), identity=ADMIN)

    async def quiet(self) -> None:
        """Wait until nothing changes any more."""
        async with asyncio.timeout(WAIT_S):
            idle = 0
            while idle < 10:
                before = len(self.project.requests), self.app.database.tx
                await self.app.database.live.settled()
                await settle()
                await self.app.database.look(lambda _: None)
                is_same = before == (len(self.project.requests), self.app.database.tx)
                idle = idle + 1 if is_same and not self.live.is_busy else 0


async def call(
    stage: Stage,
    name: str,
    identity: Identity = GUEST,
    *,
    event_id: str | None = None,
    kind: Any = None,
    ip: str = "",
    **args: Any,
) -> Result:
    return await stage.functions.call(
        *(stage.app, name, orjson.dumps(args)),
        identity=identity,
        event_id=None if event_id is None else EventId(event_id),
        kind=kind,
        ip=ip,
    )


async def refusal(
    stage: Stage, name: str, identity: Identity = GUEST, **options: Any
) -> TriceError:
    with pytest.raises(TriceError) as refused:
        await call(stage, name, identity, **options)
    return refused.value


@asynccontextmanager
async def watched_calls(folder: Path, runtime: FakeRuntime | None = None) -> AsyncIterator[Stage]:
    runtime = runtime or FakeRuntime()
    apps = await open_apps(folder, runtime=runtime, is_open_by_default=True)
    app, _ = await apps.create(title="test", is_open=True, schema=SCHEMA)
    stage = Stage(apps, app, runtime)
    try:
        yield stage
    finally:
        await stage.live.close()
        apps.give_back(app)
        await apps.close()
