"""What is kept for deltas, how often they are made, and what a storm of returning clients costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.delta_client import DeltaClient, content
from support.engines import open_apps
from support.memory_client import MemoryClient
from support.runtime import FakeRuntime
from trice import limits
from trice.apps.apps import App
from trice.identity import ADMIN, GUEST
from trice.session.hub import Hub

ATTRS = {
    label: f"a0000000-0000-4000-8000-{number:012d}"
    for number, label in enumerate(("id", "title", "rank"))
}
IDS = [f"e1000000-0000-4000-8000-{number:012d}" for number in range(200)]
TODOS = {"todos": {}}
TOTALS = {"todos": {"$": {"aggregate": {"count": True, "groupBy": "title"}}}}


class Stage:
    """A hub with one open app of titled todos."""

    def __init__(self, hub: Hub, app: App) -> None:
        self.hub, self.app = hub, app
        self.live = app.database.live
        self.deltas = app.database.live.deltas

    async def write(self, *steps: list[Any]) -> None:
        await self.app.database.transact(list(steps), identity=ADMIN)
        for _ in range(3):
            await self.live.settled()
            await asyncio.sleep(0)

    async def title(self, entity: str, title: str) -> None:
        await self.write(["add-triple", entity, ATTRS["title"], title])

    async def fill(self, count: int) -> None:
        await self.write(
            *(
                [
                    "add-attr",
                    {
                        "id": attr,
                        "forward-identity": [attr.replace("a0", "a1"), "todos", label],
                        "value-type": "blob",
                        "cardinality": "one",
                        "unique?": label == "id",
                        "index?": False,
                    },
                ]
                for label, attr in ATTRS.items()
            )
        )
        for entity in IDS[:count]:
            await self.write(
                ["add-triple", entity, ATTRS["id"], entity],
                ["add-triple", entity, ATTRS["title"], "a title of some length"],
            )

    async def join(self, q: Any = TODOS, *, client: DeltaClient | None = None) -> DeltaClient:
        client = client or DeltaClient(self.hub)
        await client.connect(self.app.id)
        client.ask(q)
        await client.hear("add-query-ok")
        return client

    async def check(self, client: DeltaClient, q: Any = TODOS) -> None:
        """It shows what a fresh run answers."""
        answer = await self.app.database.query_flat(q, identity=GUEST)
        triples, data = content(orjson.loads(answer.result_json))
        assert client.shown(q) == (set(triples), data)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Stage]:
    """A stage on a folder, until it is left."""
    runtime = FakeRuntime()
    apps = await open_apps(folder, runtime=runtime, is_open_by_default=True)
    hub = Hub(apps=apps, runtime=runtime)
    app, _ = await apps.create(title="test", is_open=True)
    try:
        yield Stage(hub, app)
    finally:
        hub.stop()
        await apps.close()


@pytest.fixture
def open_stage(tmp_path: Path, exits: AsyncExitStack) -> Callable[[], Awaitable[Stage]]:
    """Opens the stage of a test at a moment of its choice."""
    return lambda: exits.enter_async_context(running(tmp_path))


@pytest.fixture
async def stage(open_stage: Callable[[], Awaitable[Stage]]) -> Stage:
    return await open_stage()


@pytest.mark.rule("L40")
async def test_one_delta_and_one_frame_serve_all_at_the_same_version(stage: Stage):
    await stage.fill(20)
    clients = [await stage.join() for _ in range(50)]
    counts = stage.live.counts
    before, refreshes = stage.deltas.made, counts.rerun_query + counts.patched
    await stage.title(IDS[0], "new")
    assert stage.deltas.made - before == 1
    assert counts.rerun_query + counts.patched - refreshes == 1
    frames = {id(client.wire.raw[-1]) for client in clients}
    assert len(frames) == 1 and b'"delta"' in clients[0].wire.raw[-1]


@pytest.mark.rule("L40")
async def test_clients_at_different_versions_cost_one_delta_each_version(stage: Stage):
    await stage.fill(20)
    clients = []
    for number in range(5):
        for _ in range(4):
            client = await stage.join()
            client.wire.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
            clients.append(client)
        await stage.title(IDS[number], f"new {number}")
    before = stage.deltas.made
    for client in clients:
        client.wire.backlog = 0
        client.wire.session.on_writable()
    await asyncio.sleep(0)
    assert stage.deltas.made - before == 5
    for client in clients:
        client.take_in()
        assert client.forms == {"full": 1, "delta": 1, "same": 0}
        await stage.check(client)


@pytest.mark.rule("L41")
@pytest.mark.parametrize(
    ("name", "value", "steps"),
    [("LIVE_DELTA_STEPS_MAX", 3, 3), ("LIVE_DELTA_STEPS_BYTES_MAX", 0, 9)],
)
async def test_who_is_too_far_back_gets_the_full_form(open_stage, monkeypatch, name, value, steps):
    monkeypatch.setattr(limits, name, value)
    stage = await open_stage()
    await stage.fill(20)
    keeper = await stage.join()
    forms = []
    for behind in range(1, 12):
        client = await stage.join()
        client.wire.hang_up()
        for number in range(behind):
            await stage.title(IDS[number], f"{behind} {number}, of the old length")
        await stage.join(client=client)
        await stage.check(client)
        forms.append(client.forms["delta"])
        keeper.take_in()
    await stage.check(keeper)
    assert forms == [1] * steps + [0] * (11 - steps)


@pytest.mark.rule("L42")
async def test_what_is_kept_is_bounded_and_clients_go_on_without_it(stage: Stage, monkeypatch):
    await stage.fill(20)
    monkeypatch.setattr(limits, "LIVE_DELTA_BYTES_MAX", 40_000)
    queries = [{"todos": {"$": {"limit": number}}} for number in range(10, 20)]
    clients = [(await stage.join(q), q) for q in queries]
    for number in range(6):
        await stage.title(IDS[number], f"new {number}")
        assert stage.deltas.kept_bytes <= 40_000
        assert 1 <= len(stage.deltas) < len(queries)
        for client, q in clients:
            client.take_in()
            await stage.check(client, q)
    monkeypatch.setattr(limits, "LIVE_DELTA_BYTES_MAX", 10_000_000)
    before = [client.forms["delta"] for client, _ in clients]
    for number in range(4):
        await stage.title(IDS[number], f"newer {number}")
        for client, _ in clients:
            client.take_in()
    after = [client.forms["delta"] for client, _ in clients]
    # One run to be wanted again, one to have something to start from.
    assert all(new - old >= 2 for old, new in zip(before, after, strict=True))


@pytest.mark.rule("L44")
@pytest.mark.parametrize("is_changed", [False, True])
async def test_a_storm_of_returning_clients_is_run_once(stage: Stage, is_changed):
    await stage.fill(100)
    clients = [await stage.join() for _ in range(500)]
    full_bytes = len(clients[0].wire.raw[-1])
    for client in clients:
        client.wire.hang_up()
    assert len(stage.live) == 0
    if is_changed:
        await stage.title(IDS[0], "while they were away")
    runs, made = stage.live.counts.rerun_query, stage.deltas.made
    for client in clients:
        await stage.join(client=client)
        assert client.forms["full"] == 1, "only the first time"
    assert stage.live.counts.rerun_query - runs == 1
    assert stage.deltas.made - made == int(is_changed)
    answers = [client.wire.raw[-1] for client in clients]
    assert max(map(len, answers)) * 50 < full_bytes
    for client in clients[::100]:
        await stage.check(client)


@pytest.mark.rule("P77")
@pytest.mark.parametrize("q", [TODOS, TOTALS], ids=["patched", "counted"])
async def test_who_takes_deltas_holds_what_was_carried_forward(stage: Stage, q):
    await stage.fill(20)
    client = await stage.join(q)
    runs = stage.live.counts.rerun_query
    for title in ("new", "newer", "a title of some length"):
        await stage.title(IDS[0], title)
        client.take_in()
        await stage.check(client, q)
    assert stage.live.counts.rerun_query == runs


@pytest.mark.rule("L45")
@pytest.mark.parametrize("features", [None, [], ["resume"]])
async def test_nothing_is_kept_for_clients_without_delta(stage: Stage, features):
    await stage.fill(20)
    plain = MemoryClient(stage.hub)
    trice = {} if features is None else {"trice": {"version": 1, "features": features}}
    await plain.init(stage.app.id, **trice)
    plain.say("add-query", q=TODOS)
    await plain.hear("add-query-ok")
    await stage.title(IDS[0], "new")
    await plain.hear("refresh-ok")
    (live,) = plain.session.state.subscriptions.values()
    assert live.live is not None and live.live.answer is not None
    assert not any(entry.rows or entry.transitions for entry in stage.deltas._entries.values())
    assert not stage.deltas.is_wanted(live.question)
    if not features:
        assert len(stage.deltas) == 0
