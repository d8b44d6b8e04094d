"""What one commit changes for a session leaves in one message, if it is ready in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from support.call_stage import CallStage
from support.called_functions import PAGED, Ctx
from support.memory_client import MemoryClient, refreshed
from support.runtime import SteppedRuntime, settle
from trice import function_limits
from trice.identity import ADMIN

T1, T2 = (f"e{number:07d}-0000-4000-8000-000000000000" for number in (1, 2))
QUERY = {"todos": {}}
ONE_EACH = {"page": {"size": 1}}


class Stage(CallStage):
    """`gated` and `same` wait at `gate` while it is closed, and so does `listed` for a page that
    has a title with `z`; `slow` takes `slow_ms` of the clock."""

    def __init__(self, stage: Any) -> None:
        self.runtime = SteppedRuntime()
        super().__init__(stage, self.runtime)
        self.gate.set()
        self.slow_ms = 30
        for function in (self.titles, self.count, self.gated, self.same, self.slow):
            self.project.add(function)
        self.project.add(self.listed, types=PAGED)
        self.deploy()

    async def titles(self, ctx: Ctx) -> Any:
        return [row["title"] for row in await ctx.find("todos")]

    async def count(self, ctx: Ctx) -> Any:
        return [len(row["title"]) for row in await ctx.find("todos")]

    async def gated(self, ctx: Ctx) -> Any:
        found = await ctx.find("todos")
        await self.gate.wait()
        return [row["title"] for row in found]

    async def same(self, ctx: Ctx) -> Any:
        await self.gated(ctx)
        return "same"

    async def slow(self, ctx: Ctx) -> Any:
        found = await ctx.find("todos")
        self.runtime.advance(self.slow_ms)
        await self.gate.wait()
        return [row["title"] for row in found]

    async def listed(self, ctx: Ctx) -> Any:
        page = await ctx.page("todos", order={"serverCreatedAt": "asc"}, fields=["title"])
        if any("z" in row["title"] for row in page["items"]):
            await self.gate.wait()
        return page

    async def watcher(self, *names: str) -> MemoryClient:
        """A client that watches a query, and functions by name."""
        client = await self.client()
        client.say("add-query", q=QUERY)
        await client.hear("add-query-ok")
        for name in names:
            client.say("add-call", name=f"t.{name}")
            await client.hear("add-call-ok")
        client.unheard()
        return client

    async def load_pages(self, client: MemoryClient) -> None:
        """Have a client watch the todos as a list, and load two pages of one todo each."""
        await self.write(["update", "todos", T2, {"title": "z"}])
        await self.quiet()
        client.say("add-call", name="t.listed", args=ONE_EACH, paged=True)
        await client.hear("add-call-ok")
        client.say("more-call", name="t.listed", args=ONE_EACH)
        await client.hear("refresh-ok")
        await self.quiet()
        client.unheard()

    async def retitle(self, title: str) -> int:
        tx = await self.write(["update", "todos", T1, {"title": title}])
        await self.quiet_engine()
        return tx

    async def quiet_engine(self) -> None:
        """Until the engine has told everybody; functions may go on."""
        for _ in range(3):
            await self.app.database.live.settled()
            await settle()
            await self.app.database.look(lambda _: None)
            await settle()

    @property
    def waited(self) -> int:
        return self.live.holds.begun


@pytest.fixture
async def stage(open_stage: Callable[[], Awaitable[Any]]) -> AsyncIterator[Stage]:
    stage = Stage(await open_stage())
    await stage.write(["update", "todos", T1, {"title": "a"}])
    yield stage
    stage.gate.set()
    await stage.live.close()


def parts(message: dict[str, Any]) -> tuple[int, list[str]]:
    """How many queries, and which calls, a refresh tells of."""
    names = [call["name"].removeprefix("t.") for call in message.get("calls", ())]
    return len(message["computations"]), sorted(names)


@pytest.mark.rule("FN587")
async def test_one_commit_is_one_message(stage: Stage) -> None:
    client = await stage.watcher("titles", "count")
    for number in range(5):
        tx = await stage.retitle("b" * (number + 2))
        await stage.quiet()
        (refresh,) = client.unheard()
        assert parts(refresh) == (1, ["count", "titles"])
        assert refresh["processed-tx-id"] == tx


@pytest.mark.rule("FN587")
async def test_what_is_not_ready_in_time_follows_under_its_own_label(stage: Stage) -> None:
    client = await stage.watcher("titles", "gated")
    stage.gate.clear()
    tx = await stage.retitle("b")
    assert client.unheard() == []
    await stage.runtime.pass_time(function_limits.TOGETHER_MS - 1)
    assert client.unheard() == []
    await stage.runtime.pass_time(1)
    (refresh,) = client.unheard()
    assert parts(refresh) == (1, ["titles"])
    assert refresh["processed-tx-id"] == tx

    # The run that goes on is not waited for a second time.
    later = await stage.retitle("c")
    assert [(parts(message), message["processed-tx-id"]) for message in client.unheard()] == [
        ((1, ["titles"]), later)
    ]
    stage.gate.set()
    # It rests as long as it took, and runs once more.
    await stage.runtime.pass_time(function_limits.TOGETHER_MS)
    await stage.quiet()
    *_, last = client.unheard()
    assert parts(last) == (0, ["gated"])
    assert (last["calls"][0]["value"], last["processed-tx-id"]) == (["c"], later)


@pytest.mark.rule("FN587")
async def test_who_waits_for_a_function_that_changes_nothing_goes_on(stage: Stage) -> None:
    client = await stage.watcher("same")
    stage.gate.clear()
    tx = await stage.retitle("b")
    assert client.unheard() == []
    stage.gate.set()
    await stage.quiet()
    (refresh,) = client.unheard()
    assert parts(refresh) == (1, [])
    assert refresh["processed-tx-id"] == tx
    assert stage.waited == 1


def pages(message: dict[str, Any]) -> list[tuple[int, list[str]]]:
    """The pages of the list that a refresh tells of: their places, and titles."""
    (news,) = (call for call in message["calls"] if call["name"] == "t.listed")
    return [
        (page["at"], [row["title"] for row in page["value"]["items"]]) for page in news["pages"]
    ]


@pytest.mark.rule("FN587")
async def test_pages_of_a_list_come_with_what_else_the_commit_changes(stage: Stage) -> None:
    client = await stage.watcher("titles")
    await stage.load_pages(client)
    tx = await stage.retitle("b")
    await stage.quiet()
    (refresh,) = client.unheard()
    assert parts(refresh) == (1, ["listed", "titles"])
    assert (pages(refresh), refresh["processed-tx-id"]) == ([(0, ["b"])], tx)

    stage.gate.clear()
    # The second page is late: the first one, the call and the query wait for it.
    tx = await stage.write(
        ["update", "todos", T1, {"title": "d"}], ["update", "todos", T2, {"title": "z2"}]
    )
    await stage.quiet_engine()
    assert client.unheard() == []
    stage.gate.set()
    await stage.quiet()
    (refresh,) = client.unheard()
    assert parts(refresh) == (1, ["listed", "titles"])
    assert pages(refresh) == [(0, ["d"]), (1, ["z2"])]
    assert refresh["processed-tx-id"] == tx


@pytest.mark.rule("FN587")
async def test_pages_of_a_session_that_watches_nothing_else(stage: Stage) -> None:
    client = await stage.client()
    await stage.load_pages(client)
    stage.gate.clear()
    tx = await stage.write(
        ["update", "todos", T1, {"title": "d"}], ["update", "todos", T2, {"title": "z2"}]
    )
    await stage.quiet_engine()
    assert client.unheard() == []
    await stage.runtime.pass_time(function_limits.TOGETHER_MS)
    (refresh,) = client.unheard()
    assert (pages(refresh), refresh["processed-tx-id"]) == ([(0, ["d"])], tx)
    stage.gate.set()
    await stage.runtime.pass_time(function_limits.TOGETHER_MS)
    await stage.quiet()
    (refresh,) = client.unheard()
    assert (pages(refresh), refresh["processed-tx-id"]) == ([(1, ["z2"])], tx)


@pytest.mark.rule("FN588")
async def test_a_list_that_is_given_up_lets_news_go(stage: Stage) -> None:
    client = await stage.watcher()
    await stage.load_pages(client)
    stage.gate.clear()
    await stage.write(["update", "todos", T2, {"title": "z2"}])
    await stage.quiet_engine()
    assert client.unheard() == []
    client.say("remove-call", name="t.listed", args=ONE_EACH, paged=True)
    await settle()
    (refresh,) = client.unheard()
    assert parts(refresh) == (1, [])


@pytest.mark.rule("FN588")
async def test_a_function_that_takes_longer_is_not_waited_for(stage: Stage) -> None:
    client = await stage.watcher("slow")
    stage.gate.clear()
    await stage.retitle("b")
    (refresh,) = client.unheard()
    assert parts(refresh) == (1, [])
    assert stage.waited == 0


@pytest.mark.rule("FN588")
async def test_sessions_without_calls_never_wait(stage: Stage) -> None:
    both, query_only, former = (
        await stage.watcher("gated"),
        await stage.watcher(),
        await stage.watcher("titles"),
    )
    former.say("remove-call", name="t.titles")
    stage.gate.clear()
    for number in range(20):
        await stage.retitle(f"b{number}")
        for client in (query_only, former):
            (refresh,) = client.unheard()
            assert refreshed(refresh)[0][2] in (T1, f"b{number}")
    assert both.unheard() == []
    assert stage.waited == 1


@pytest.mark.rule("FN588")
async def test_a_first_run_is_not_waited_for(stage: Stage) -> None:
    client = await stage.watcher("titles")
    stage.gate.clear()
    client.say("add-call", name="t.gated")
    await stage.retitle("b")
    await stage.quiet_engine()
    (refresh,) = client.unheard()
    assert parts(refresh) == (1, ["titles"])


@pytest.mark.rule("FN588")
async def test_a_call_that_is_given_up_lets_news_go(stage: Stage) -> None:
    client = await stage.watcher("gated")
    stage.gate.clear()
    await stage.retitle("b")
    assert client.unheard() == []
    client.say("remove-call", name="t.gated")
    await settle()
    (refresh,) = client.unheard()
    assert parts(refresh) == (1, [])


@pytest.mark.rule("FN589")
async def test_answers_do_not_wait(stage: Stage) -> None:
    client = await stage.watcher("gated")
    stage.gate.clear()
    steps = [["add-triple", T1, stage.stage.attr("todos", "title"), "b"]]
    event = client.say("transact", tx_steps=steps)
    acknowledged = await client.hear("transact-ok")
    assert acknowledged["client-event-id"] == event
    client.say("call", name="t.titles")
    assert (await client.hear("call-ok"))["value"] == ["b"]
    await stage.quiet_engine()
    assert client.unheard() == []
    stage.gate.set()
    await stage.quiet()
    (refresh,) = client.unheard()
    assert parts(refresh) == (1, ["gated"])
    assert refresh["processed-tx-id"] == acknowledged["tx-id"]


@pytest.mark.rule("FN589")
async def test_a_new_catalog_does_not_wait(stage: Stage) -> None:
    client = await stage.watcher("gated")
    stage.gate.clear()
    await stage.app.database.transact_admin(
        [["update", "todos", T1, {"colour": "red"}]], identity=ADMIN
    )
    await stage.quiet_engine()
    assert "attrs" in client.unheard()[0]
