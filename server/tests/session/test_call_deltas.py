"""Watched calls of clients that take what changed in the place of values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest

from support.call_stage import CallStage
from support.call_values import taken
from support.called_functions import Ctx, FunctionRaised
from support.memory_client import MemoryClient
from support.runtime import SteppedRuntime
from trice import function_limits
from trice.identity import ADMIN
from trice.session.extension import PLAIN, negotiate

OURS = {"version": 1, "features": ["functions", "call-delta"]}
IDS = tuple(f"e{number:07d}-0000-4000-8000-000000000000" for number in range(1_000))
TODOS = {"op": "add-call", "name": "t.todos", "args": {}}


async def todos(ctx: Ctx) -> Any:
    return await ctx.find("todos", order={"title": "asc"})


async def page(ctx: Ctx) -> Any:
    rows = await ctx.find("todos", order={"title": "asc"})
    return {"items": rows, "next": None, "done": sum(bool(row.get("done")) for row in rows)}


@pytest.fixture
async def calls(open_stage: Callable[[], Awaitable[Any]]) -> AsyncIterator[CallStage]:
    stage = CallStage(await open_stage(), SteppedRuntime())
    stage.project.add(todos, lists=("",))
    stage.project.add(page, lists=("items",))
    stage.deploy()
    yield stage
    await stage.live.close()


class Holder:
    """A client that keeps what watched calls return, by name, over its connections."""

    def __init__(self, calls: CallStage) -> None:
        self.calls = calls
        self.held: dict[str, tuple[Any, str | None]] = {}

    async def connect(self, **init: Any) -> None:
        self.wire = await self.calls.client(trice=OURS, **init)

    async def ask(self, name: str, *, says_held: bool = True) -> dict[str, Any]:
        """Watch a call; returns what was said of it."""
        _, version = self.held.get(name, (None, None))
        fields = {"held": version} if says_held and version is not None else {}
        event = self.wire.say("add-call", name=name, **fields)
        return self._take(
            await self.wire.hear_where(lambda message: message.get("client-event-id") == event)
        )

    async def news(self) -> dict[str, Any]:
        """The next thing said of its one call."""
        (said,) = (await self.wire.hear("refresh-ok"))["calls"]
        return self._take(said)

    def _take(self, said: dict[str, Any]) -> dict[str, Any]:
        if "value" in said or "from" in said:
            before = self.held.get(said["name"], (None, None))
            self.held[said["name"]] = taken(*before, said)
        return said

    def titles(self, name: str = "t.todos") -> list[str]:
        value, _ = self.held[name]
        return [row["title"] for row in (value["items"] if name == "t.page" else value)]


async def holder(calls: CallStage, name: str = "t.todos") -> Holder:
    """A client that watches a call."""
    made = Holder(calls)
    await made.connect()
    await made.ask(name)
    return made


async def fill(calls: CallStage, count: int = 4) -> None:
    steps = [["update", "todos", IDS[n], {"title": f"{n:04}"}] for n in range(count)]
    await calls.write(*steps)


def title(number: int, text: str) -> list[Any]:
    return ["update", "todos", IDS[number], {"title": text}]


# --- who gets what --------------------------------------------------------------------------------


@pytest.mark.rule("FN580")
async def test_only_who_asked_for_changes_gets_them_and_versions(calls: CallStage) -> None:
    await fill(calls)
    plain, ours = await calls.client(), await holder(calls)
    plain.say_raw(orjson.dumps(TODOS))
    assert set(await plain.hear("add-call-ok")) == {
        *("op", "client-event-id", "name", "args", "value", "processed-tx-id"),
    }
    await calls.write(title(1, "0001 new"))
    said = await ours.news()
    assert set(said) == {"name", "args", "from", "version", "delta"}
    assert ours.titles() == ["0000", "0001 new", "0002", "0003"]
    (told,) = (await plain.hear("refresh-ok"))["calls"]
    assert told == {"name": "t.todos", "args": {}, "value": ours.held["t.todos"][0]}


@pytest.mark.rule("FN580")
async def test_equal_values_have_equal_versions_for_all(calls: CallStage) -> None:
    await fill(calls)
    one, other = await holder(calls), await holder(calls)
    first = one.held["t.todos"][1]
    assert first == other.held["t.todos"][1]
    await calls.write(title(1, "0001 new"))
    second = (await one.news())["version"]
    await calls.write(title(1, "0001"))
    assert second != first == (await one.news())["version"]


@pytest.mark.rule("FN580")
def test_the_feature_needs_functions() -> None:
    assert not PLAIN.has_call_delta
    assert negotiate({"version": 1, "features": ["call-delta"]}).features == []
    assert negotiate({"version": 1, "features": OURS["features"]}).features == OURS["features"]


@pytest.mark.rule("FN582")
async def test_one_changed_row_of_a_thousand_is_a_few_bytes(calls: CallStage) -> None:
    await fill(calls, 1_000)
    plain, ours = await calls.client(), await holder(calls)
    plain.say_raw(orjson.dumps(TODOS))
    await plain.hear("add-call-ok")
    await calls.write(title(500, "0500 new"))
    await ours.news()
    await plain.hear("refresh-ok")

    row = ours.held["t.todos"][0][500]
    assert row["title"] == "0500 new"
    sent, whole = len(ours.wire.raw[-1]), len(plain.raw[-1])
    assert sent < len(orjson.dumps(row)) + 250 < 400
    assert whole > 100 * sent

    # So is a new one in the middle, one that goes, and one that moves to the other end.
    for step in (
        ["update", "todos", "e9999999-0000-4000-8000-000000000000", {"title": "0600 new"}],
        ["delete", "todos", IDS[7]],
        title(2, "9999"),
    ):
        await calls.write(step)
        await ours.news()
        assert len(ours.wire.raw[-1]) < 500
    await calls.quiet()
    plain.say("call", name="t.todos")
    assert ours.held["t.todos"][0] == (await plain.hear("call-ok"))["value"]


@pytest.mark.rule("FN582")
async def test_pages_have_deltas_and_much_that_changed_is_told_whole(calls: CallStage) -> None:
    await fill(calls)
    ours = await holder(calls, "t.page")
    await calls.write(["update", "todos", IDS[1], {"done": True}])
    said = await ours.news()
    assert said["delta"]["rest"] == {"items": [], "next": None, "done": 1}
    assert ours.held["t.page"][0]["items"][1]["done"] is True

    await calls.write(*(title(number, f"{9 - number} other") for number in range(4)))
    said = await ours.news()
    assert "value" in said and "delta" not in said
    assert ours.titles("t.page") == ["6 other", "7 other", "8 other", "9 other"]


@pytest.mark.rule("FN581")
async def test_a_client_that_skips_values_gets_one_delta_over_all(calls: CallStage) -> None:
    await fill(calls, 50)
    ours = await holder(calls)
    ours.wire.backlog = 2**30
    for number in range(5):
        await calls.write(title(number, f"000{number} new"))
        await calls.quiet()
    ours.wire.backlog = 0
    ours.wire.session.on_writable()
    said = await ours.news()
    assert len(said["delta"]["lists"][""]["put"]) == 5
    assert ours.titles()[:6] == [*(f"000{number} new" for number in range(5)), "0005"]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.rule("FN584")
async def test_after_an_error_the_client_still_holds_what_it_was_told(calls: CallStage) -> None:
    async def strict(ctx: Ctx) -> Any:
        found = await ctx.find("todos", order={"title": "asc"})
        if any(row["title"] == "bad" for row in found):
            raise FunctionRaised("bad", "One is bad.")
        return found

    calls.project.add(strict, lists=("",))
    calls.deploy()
    await fill(calls)
    ours = await holder(calls, "t.strict")
    version = ours.held["t.strict"][1]
    await calls.write(title(3, "bad"))
    assert set(await ours.news()) == {"name", "args", "error"}
    await calls.write(title(3, "0003"))
    said = await ours.news()
    assert said == {"name": "t.strict", "args": {}, "from": version, "version": version}
    await calls.write(title(3, "bad"))
    assert "error" in await ours.news()
    await calls.write(title(3, "0003 new"))
    assert (await ours.news())["from"] == version
    assert ours.titles("t.strict")[3] == "0003 new"


# --- resume ---------------------------------------------------------------------------------------


@pytest.mark.rule("FN583")
async def test_who_comes_back_is_told_what_it_missed(calls: CallStage) -> None:
    await fill(calls, 20)
    ours = await holder(calls)
    ours.wire.hang_up()
    await calls.quiet()
    assert len(calls.live) == 0

    # Nothing was missed: nothing is sent.
    await ours.connect()
    said = await ours.ask("t.todos")
    assert said["from"] == said["version"] and not {"value", "delta"} & set(said)
    assert said["processed-tx-id"] == calls.app.database.tx

    # What was missed while another watched.
    other = await holder(calls)
    ours.wire.hang_up()
    await calls.write(title(1, "0001 new"), ["delete", "todos", IDS[5]])
    await other.news()
    await ours.connect()
    said = await ours.ask("t.todos")
    assert said["delta"] == {
        "lists": {"": {"gone": [IDS[5]], "put": [other.held["t.todos"][0][1]]}}
    }
    assert ours.held == other.held

    # What was missed while nobody watched.
    for client in (ours, other):
        client.wire.hang_up()
    await calls.write(title(1, "0001"))
    await ours.connect()
    assert "delta" in await ours.ask("t.todos")
    assert ours.titles()[1] == "0001"
    # From there it goes on as ever; who says that it holds nothing gets all.
    await calls.write(title(2, "0002 new"))
    assert "delta" in await ours.news()
    assert len((await ours.ask("t.todos", says_held=False))["value"]) == 19


@pytest.mark.rule("FN583")
async def test_what_is_said_to_be_held_is_checked(calls: CallStage) -> None:
    await fill(calls)
    client = await calls.client(trice=OURS)
    client.say("add-call", name="t.todos", held=7)
    error = await client.hear("error")
    assert (error["type"], error["hint"]["in"]) == ("param-malformed", ["held"])
    for held in ("", "no version", "00ff", "é", "ab" * 100_000):
        client.say("add-call", name="t.todos", held=held)
        assert len((await client.hear("add-call-ok"))["value"]) == 4
    # Who did not ask for the feature may say what it likes.
    plain = await calls.client()
    plain.say("add-call", name="t.todos", held=7)
    assert len((await plain.hear("add-call-ok"))["value"]) == 4


@pytest.mark.rule("FN583")
async def test_who_asks_again_may_say_what_it_holds(calls: CallStage) -> None:
    await fill(calls)
    ours = await holder(calls)
    said = await ours.ask("t.todos")
    assert "value" not in said and said["from"] == said["version"]
    assert calls.project.runs["t.todos"] == 1


# --- who shares -----------------------------------------------------------------------------------


@pytest.mark.rule("FN585")
async def test_watchers_share_one_delta(calls: CallStage) -> None:
    await fill(calls, 50)
    holders = [await holder(calls) for _ in range(20)]
    deltas = calls.live.deltas(calls.app.database)
    kept_bytes = deltas.kept_bytes
    assert len(deltas) == 1
    await calls.write(title(1, "0001 new"))
    for each in holders:
        assert "delta" in await each.news()
    assert deltas.made == 1
    assert len(deltas) == 1 and deltas.kept_bytes < 1.5 * kept_bytes


@pytest.mark.rule("FN585")
async def test_nothing_is_kept_where_nobody_wants_changes(calls: CallStage) -> None:
    await fill(calls)
    plain = await calls.client()
    plain.say_raw(orjson.dumps(TODOS))
    await plain.hear("add-call-ok")
    await calls.write(title(1, "0001 new"))
    await plain.hear("refresh-ok")
    assert len(calls.live.deltas(calls.app.database)) == 0
    # A first one who does gets them from its second value on.
    ours = await holder(calls)
    await calls.write(title(1, "0001"))
    assert "delta" in await ours.news()


@pytest.mark.rule("FN586")
async def test_no_delta_leads_from_what_others_were_shown(calls: CallStage) -> None:
    secret = "the secret of admins " * 20

    async def by_rights(ctx: Ctx) -> Any:
        is_admin = ctx.facts.setdefault("rights", "admin" if ctx.request.caller.is_admin else None)
        rows = await ctx.find("todos", order={"title": "asc"})
        return rows if is_admin else [row for row in rows if secret not in row["title"]]

    calls.project.add(by_rights, lists=("",))
    calls.deploy()
    await fill(calls, 30)
    await calls.write(title(3, f"0003 {secret}"))
    admin = Holder(calls)
    admin.wire = MemoryClient(calls.hub, ADMIN)
    admin.wire.say("init", app_id=calls.app.id, trice=OURS, **{"__admin-token": calls.stage.token})
    await admin.wire.hear("init-ok")
    await admin.ask("t.by_rights")
    assert len(admin.titles("t.by_rights")) == 30

    # A guest who knows the version that an admin holds gets its own value, and whole.
    guest = await holder(calls, "t.by_rights")
    guest.held["t.by_rights"] = (None, admin.held["t.by_rights"][1])
    guest.wire.hang_up()
    await guest.connect()
    assert len((await guest.ask("t.by_rights"))["value"]) == 29
    await calls.write(title(1, "0001 new"))
    for each in (admin, guest):
        assert "delta" in await each.news()
    assert len(admin.titles("t.by_rights")) == 30
    assert secret.encode() not in b"".join(guest.wire.raw)


@pytest.mark.rule("FN585")
async def test_a_value_too_large_for_deltas_is_told_whole(
    calls: CallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_limits, "CALL_DELTA_VALUE_BYTES_MAX", 1_000)
    await fill(calls, 50)
    ours = await holder(calls)
    await calls.write(title(1, "0001 new"))
    assert len((await ours.news())["value"]) == 50
    await calls.quiet()
    assert calls.live.deltas(calls.app.database).kept_bytes < 2_000
