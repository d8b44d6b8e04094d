"""Functions that are watched: when they run again, who shares an answer, what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.called_functions import Ctx, FunctionRaised
from support.runtime import SteppedRuntime
from support.watched_calls import IDS, USERS, Stage, Watcher, user, watched_calls
from trice import function_limits
from trice.errors import LimitExceeded, Unavailable
from trice.identity import ADMIN, GUEST
from trice.rules.document import Rules


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with watched_calls(tmp_path) as stage:
        await stage.write(
            *(
                ["update", "$users", USERS[n], {"email": f"{n}@x.test", "role": "user"}]
                for n in range(4)
            ),
            *(["update", "todos", IDS[n], {"title": f"t{n}", "room": n % 2}] for n in range(4)),
            ["update", "notes", IDS[9], {"text": "a"}],
        )
        yield stage


async def titles(ctx: Ctx) -> Any:
    """Titles of the todos of a room."""
    rows = await ctx.find("todos", where={"room": ctx.args.get("room", 0)}, order={"title": "asc"})
    return [row["title"] for row in rows]


async def count(ctx: Ctx) -> Any:
    """How many todos there are."""
    return len(await ctx.find("todos"))


@pytest.mark.rule("FN230")
async def test_a_watcher_is_told_the_answer_and_each_other_one(stage: Stage) -> None:
    stage.project.add(titles)
    stage.project.deploy(stage.app.id)
    watcher = stage.watch("t.titles")
    assert await watcher.next() == ["t0", "t2"]

    tx = await stage.write(["update", "todos", IDS[0], {"title": "new"}])

    assert await watcher.next() == ["new", "t2"]
    assert watcher.labels[-1] >= tx


@pytest.mark.rule("FN231")
async def test_commits_that_change_no_inner_answer_call_no_python(stage: Stage) -> None:
    stage.project.add(titles)
    stage.project.deploy(stage.app.id)
    watcher = stage.watch("t.titles")
    await watcher.next()
    ran = stage.project.runs["t.titles"]

    for number in range(50):
        await stage.write(["update", "notes", IDS[9], {"text": str(number)}])
        await stage.write(["update", "todos", IDS[1], {"title": f"other {number}"}])
        await stage.write(["update", "todos", IDS[0], {"title": "t0"}])
    await stage.quiet()

    assert stage.project.runs["t.titles"] == ran
    assert watcher.told == [["t0", "t2"]]
    assert watcher.watch.label() == stage.app.database.tx


@pytest.mark.rule("FN741")
async def test_rows_behind_a_nested_limit_call_no_python(stage: Stage) -> None:
    async def newest(ctx: Ctx) -> Any:
        todos = {"$": {"order": {"room": "desc"}, "limit": 2, "fields": ["room"]}}
        query = {"$users": {"$": {"where": {"id": USERS[0]}, "fields": ["id"]}, "todos": todos}}
        (row,) = orjson.loads(await ctx.side.read(query, False))["$users"]
        return [todo["room"] for todo in row["todos"]]

    stage.project.add(newest)
    stage.project.deploy(stage.app.id)
    mine = [["update", "todos", IDS[n], {"room": n, "owner": USERS[0]}] for n in range(6)]
    await stage.write(*mine)
    watcher = stage.watch("t.newest")
    assert await watcher.next() == [5, 4]

    await stage.write(["update", "todos", IDS[0], {"room": 3}])
    await stage.write(["update", "todos", IDS[1], {"title": "x"}], ["delete", "todos", IDS[2]])
    await stage.quiet()
    assert stage.project.runs["t.newest"] == 1

    await stage.write(["update", "todos", IDS[0], {"room": 7}])
    assert await watcher.next() == [7, 5]
    await stage.write(["delete", "todos", IDS[5]])
    assert await watcher.next() == [7, 4], "what was behind comes"


@pytest.mark.rule("FN232")
async def test_an_answer_that_is_the_same_is_not_told_again(stage: Stage) -> None:
    stage.project.add(count)
    stage.project.deploy(stage.app.id)
    watcher = stage.watch("t.count")
    await watcher.next()

    await stage.write(["update", "todos", IDS[0], {"title": "new"}])
    await stage.quiet()

    assert stage.project.runs["t.count"] == 2
    assert watcher.told == [4]


@pytest.mark.rule("FN234")
async def test_five_hundred_watchers_cost_one_run(stage: Stage) -> None:
    stage.project.add(titles)
    stage.project.deploy(stage.app.id)
    watchers = [stage.watch("t.titles", user(n % 4, ip=f"10.0.0.{n % 250}")) for n in range(500)]
    await stage.quiet()
    assert stage.project.runs["t.titles"] == 1

    await stage.write(["update", "todos", IDS[0], {"title": "new"}])
    await stage.quiet()

    assert stage.project.runs["t.titles"] == 2
    assert len(stage.live) == 1
    assert all(watcher.told == [["t0", "t2"], ["new", "t2"]] for watcher in watchers)


@pytest.mark.rule("FN235")
async def test_callers_share_as_far_as_a_run_looked_at_them(stage: Stage) -> None:
    async def mine(ctx: Ctx) -> Any:
        if ctx.user("role") == "admin":
            return "for admins"
        return ctx.user("id")

    stage.project.add(mine)
    stage.project.deploy(stage.app.id)
    await stage.write(*(["update", "$users", USERS[n], {"role": "admin"}] for n in (0, 1)))
    watchers = [stage.watch("t.mine", user(n % 4)) for n in range(8)]
    await stage.quiet()

    assert [watcher.told for watcher in watchers] == [
        ["for admins"] if n % 4 < 2 else [USERS[n % 4]] for n in range(8)
    ]
    assert len(stage.live) == 3


@pytest.mark.rule("FN236")
async def test_who_changes_moves_before_anything_is_told(stage: Stage) -> None:
    async def secrets(ctx: Ctx) -> Any:
        if ctx.user("role") != "admin":
            return "no"
        return [row["title"] for row in await ctx.find("todos", order={"title": "asc"})]

    stage.project.add(secrets)
    stage.project.deploy(stage.app.id)
    await stage.write(*(["update", "$users", USERS[n], {"role": "admin"}] for n in (0, 1)))
    first, second = stage.watch("t.secrets", user(0)), stage.watch("t.secrets", user(1))
    await stage.quiet()
    assert len(stage.live) == 1

    await stage.write(
        ["update", "$users", USERS[0], {"role": "user"}],
        ["update", "todos", IDS[0], {"title": "secret"}],
    )
    await stage.quiet()

    assert first.told == [["t0", "t1", "t2", "t3"], "no"]
    assert second.told[-1] == ["secret", "t1", "t2", "t3"]
    # What an answer did not look at may change, and nothing runs.
    ran = stage.project.runs["t.secrets"]
    await stage.write(["update", "$users", USERS[0], {"email": "new@x.test"}])
    await stage.quiet()
    assert stage.project.runs["t.secrets"] == ran


@pytest.mark.rule("FN237")
async def test_an_error_stands_and_is_told_once_until_something_changes(stage: Stage) -> None:
    async def strict(ctx: Ctx) -> Any:
        rows = await ctx.find("todos", where={"room": 0})
        if len(rows) < 3:
            raise FunctionRaised("too-few", f"There are {len(rows)}.", {"rows": len(rows)})
        return len(rows)

    stage.project.add(strict)
    stage.project.deploy(stage.app.id)
    watcher = stage.watch("t.strict")
    assert await watcher.next() == "function-error"
    assert watcher.watch.answer is not None and watcher.watch.answer.error is not None
    assert watcher.watch.answer.error.hint == {"code": "too-few", "data": {"rows": 2}}

    await stage.write(["update", "todos", IDS[0], {"title": "new"}])
    await stage.quiet()
    assert watcher.told == ["function-error"]

    await stage.write(["update", "todos", IDS[1], {"room": 0}])
    assert await watcher.next() == 3


@pytest.mark.rule("FN238")
async def test_other_code_answers_anew_and_only_differences_are_told(stage: Stage) -> None:
    async def other(ctx: Ctx) -> Any:
        return "other"

    stage.project.add(titles)
    stage.project.add(count)
    stage.project.deploy(stage.app.id)
    same, changed = stage.watch("t.titles"), stage.watch("t.count")
    gone = stage.watch("t.titles", room=1)
    await stage.quiet()

    stage.project.add(other, "t.count")
    stage.project.deploy(stage.app.id)
    await stage.quiet()
    assert (same.told, changed.told) == ([["t0", "t2"]], [4, "other"])

    stage.project.remove("t.titles")
    stage.project.deploy(stage.app.id)
    await stage.quiet()
    assert (same.told[-1], gone.told[-1]) == ("function-not-found", "function-not-found")

    stage.project.add(titles)
    stage.project.deploy(stage.app.id)
    await stage.quiet()
    assert (same.told[-1], gone.told[-1]) == (["t0", "t2"], ["t1", "t3"])


@pytest.mark.rule("FN239")
async def test_time_is_a_dependency(tmp_path: Path) -> None:
    async def minute(ctx: Ctx) -> Any:
        return ctx.time(60_000) // 60_000

    runtime = SteppedRuntime()
    async with watched_calls(tmp_path, runtime) as stage:
        stage.project.add(minute)
        stage.project.deploy(stage.app.id)
        first, second = stage.watch("t.minute"), stage.watch("t.minute")
        now = runtime.now_ms() // 60_000
        assert [await first.next(), await second.next()] == [now, now]

        await runtime.pass_time(60_000 - runtime.now_ms() % 60_000 - 1)
        await stage.quiet()
        assert stage.project.runs["t.minute"] == 1
        await runtime.pass_time(1)

        assert [await first.next(), await second.next()] == [now + 1, now + 1]
        assert stage.project.runs["t.minute"] == 2


@pytest.mark.rule("FN240")
async def test_what_could_not_be_done_is_tried_again_later_and_later(tmp_path: Path) -> None:
    async def busy(ctx: Ctx) -> Any:
        if stage.project.runs["t.busy"] < 4:
            raise Unavailable("function-timeout", "It took too long.")
        return "done"

    runtime = SteppedRuntime()
    async with watched_calls(tmp_path, runtime) as stage:
        stage.project.add(busy)
        stage.project.deploy(stage.app.id)
        watcher = stage.watch("t.busy")
        assert await watcher.next() == "function-timeout"
        for wait_ms in (1_000, 2_000, 4_000):
            ran = stage.project.runs["t.busy"]
            await runtime.pass_time(wait_ms - 1)
            assert stage.project.runs["t.busy"] == ran
            await runtime.pass_time(1)
            await stage.quiet()
            assert stage.project.runs["t.busy"] == ran + 1

        assert watcher.told == ["function-timeout", "done"]


@pytest.mark.rule("FN241")
async def test_who_may_not_call_is_told_so_and_others_are_answered(stage: Stage) -> None:
    stage.project.add(titles, auth="user")
    stage.project.add(titles, "t.inside", is_internal=True)
    stage.project.add(titles, "t.write", kind="mutation")
    stage.project.deploy(stage.app.id)
    watchers = [
        stage.watch("t.titles"),
        stage.watch("t.titles", user(0)),
        stage.watch("t.inside", user(0)),
        stage.watch("t.inside", ADMIN),
        stage.watch("t.write", user(0)),
    ]
    await stage.quiet()

    assert [watcher.told for watcher in watchers] == [
        ["signed-out"],
        [["t0", "t2"]],
        ["function-not-found"],
        [["t0", "t2"]],
        ["function-not-found"],
    ]


@pytest.mark.rule("FN242")
async def test_without_watchers_nothing_is_kept(stage: Stage) -> None:
    stage.project.add(titles)
    stage.project.deploy(stage.app.id)
    watchers = [stage.watch("t.titles", user(n)) for n in range(3)]
    await stage.quiet()
    assert stage.app.database.live_queries == 1

    for watcher in watchers:
        watcher.stop()
    ran = stage.project.runs["t.titles"]
    await stage.write(["update", "todos", IDS[0], {"title": "new"}])
    await stage.quiet()

    assert (len(stage.live), stage.app.database.live_queries) == (0, 0)
    assert stage.project.runs["t.titles"] == ran
    assert all(len(watcher.told) == 1 for watcher in watchers)


@pytest.mark.rule("FN243")
async def test_who_comes_later_is_answered_from_memory_as_new_as_what_is_published(
    stage: Stage,
) -> None:
    stage.project.add(titles)
    stage.project.deploy(stage.app.id)
    first = stage.watch("t.titles")
    await first.next()

    found: list[Watcher] = []

    def come(commits: Any) -> None:
        # In the turn of the loop that publishes, before any answer is brought up to date.
        if not found:
            found.append(stage.watch("t.titles"))

    stage.app.database.watch_commits(come)
    tx = await stage.write(["update", "todos", IDS[0], {"title": "new"}])
    stage.app.database.unwatch_commits(come)
    (later,) = found
    assert await later.next() == ["new", "t2"]
    assert later.labels[0] >= tx
    await stage.quiet()
    assert stage.project.runs["t.titles"] == 2
    again = stage.watch("t.titles")
    assert await again.next() == ["new", "t2"]
    assert stage.project.runs["t.titles"] == 2


@pytest.mark.rule("FN244")
async def test_a_call_that_is_watched_takes_one_token(stage: Stage) -> None:
    stage.project.add(titles, rate="2/minute per ip")
    stage.project.deploy(stage.app.id)
    for _ in range(2):
        await stage.watch("t.titles", user(0, ip="10.0.0.1")).next()
    with pytest.raises(LimitExceeded) as refused:
        stage.watch("t.titles", user(0, ip="10.0.0.1"))
    assert refused.value.code == "rate-limited"

    for number in range(5):
        await stage.write(["update", "todos", IDS[0], {"title": str(number)}])
    await stage.quiet()
    assert stage.project.runs["t.titles"] > 2


@pytest.mark.rule("FN245")
async def test_many_inner_queries_are_still_noticed(stage: Stage) -> None:
    async def one_by_one(ctx: Ctx) -> Any:
        found = []
        for number in range(function_limits.INNER_QUERIES_MAX + 10):
            found += await ctx.find("todos", where={"id": IDS[number]})
        return [row["title"] for row in found]

    stage.project.add(one_by_one)
    stage.project.deploy(stage.app.id)
    watcher = stage.watch("t.one_by_one")
    assert await watcher.next() == ["t0", "t1", "t2", "t3"]

    last = function_limits.INNER_QUERIES_MAX + 5
    await stage.write(["update", "todos", IDS[last], {"title": "last"}])

    assert await watcher.next() == ["t0", "t1", "t2", "t3", "last"]
    ran = stage.project.runs["t.one_by_one"]
    await stage.write(["update", "notes", IDS[9], {"text": "b"}])
    await stage.quiet()
    assert stage.project.runs["t.one_by_one"] == ran


@pytest.mark.rule("FN235")
async def test_other_rules_answer_anew_what_is_read_as_the_caller(stage: Stage) -> None:
    async def mine(ctx: Ctx) -> Any:
        rows = await ctx.find("todos", as_caller=True, order={"title": "asc"})
        return [row["title"] for row in rows]

    stage.project.add(mine)
    stage.project.deploy(stage.app.id)
    people = [stage.watch("t.mine", identity) for identity in (user(0), user(1), ADMIN)]
    await stage.quiet()
    assert [each.told for each in people] == [[["t0", "t1", "t2", "t3"]]] * 3

    view = f"data.room == 0 || auth.id == '{USERS[1]}'"
    stage.app.database.set_rules(Rules.parse({"todos": {"allow": {"view": view}}}))
    await stage.quiet()

    assert [each.told[-1] for each in people] == [
        ["t0", "t2"],
        ["t0", "t1", "t2", "t3"],
        ["t0", "t1", "t2", "t3"],
    ]
    assert [len(each.told) for each in people] == [2, 1, 1]


@pytest.mark.rule("FN235")
@pytest.mark.parametrize("view", ["request.ip == '10.0.0.1'", "request.origin == 'https://a.test'"])
@pytest.mark.parametrize("is_user", [False, True])
async def test_rules_may_look_at_where_a_caller_is(stage: Stage, view: str, is_user: bool) -> None:
    async def mine(ctx: Ctx) -> Any:
        return len(await ctx.find("todos", as_caller=True))

    stage.project.add(mine)
    stage.project.deploy(stage.app.id)
    who = user(0) if is_user else GUEST
    inside = replace(who, ip="10.0.0.1", origin="https://a.test")
    outside = replace(who, ip="10.0.0.2", origin="https://b.test")
    stage.app.database.set_rules(Rules.parse({"todos": {"allow": {"view": view}}}))
    people = [stage.watch("t.mine", each) for each in (inside, outside, inside)]
    await stage.quiet()
    assert [each.told for each in people] == [[4], [0], [4]]
    assert len(stage.live) == 2
    later = stage.watch("t.mine", outside)
    await stage.quiet()
    assert later.told == [0]

    stage.app.database.set_rules(Rules.parse({"todos": {"allow": {"view": "true"}}}))
    await stage.quiet()
    assert [each.told[-1] for each in people] == [4, 4, 4]
    stage.app.database.set_rules(Rules.parse({"todos": {"allow": {"view": view}}}))
    await stage.quiet()
    assert [each.told[-1] for each in (*people, later)] == [4, 0, 4, 0]


@pytest.mark.rule("FN248")
async def test_one_network_watches_half_of_what_may_be_watched(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_limits, "LIVE_CALLS_MAX", 4)
    stage.project.add(titles)
    stage.project.deploy(stage.app.id)
    greedy = [stage.watch("t.titles", user(0, ip="10.0.0.1"), room=n) for n in range(2)]
    stage.watch("t.titles", user(1, ip="10.0.0.1"), room=0)
    with pytest.raises(Unavailable):
        stage.watch("t.titles", user(1, ip="10.0.0.1"), room=2)
    assert await stage.watch("t.titles", user(2, ip="10.0.0.2"), room=2).next() == []
    greedy[1].stop()
    assert await stage.watch("t.titles", user(1, ip="10.0.0.1"), room=3).next() == []


@pytest.mark.rule("FN724")
@pytest.mark.parametrize(("pause_ms", "rests_ms"), [(0, 40), (15, 25), (40, 0), (1_000, 0)])
async def test_a_call_rests_from_its_run_on_as_long_as_that_took(
    tmp_path: Path, pause_ms: int, rests_ms: int
) -> None:
    runtime = SteppedRuntime()
    async with watched_calls(tmp_path, runtime) as stage:
        began: list[float] = []

        async def slow(ctx: Ctx) -> Any:
            found = len(await ctx.find("todos"))
            began.append(runtime.monotonic)
            runtime.advance(40)
            return found

        stage.project.add(slow)
        stage.project.deploy(stage.app.id)
        watcher = stage.watch("t.slow")
        assert await watcher.next() == 0
        await stage.quiet()
        runtime.advance(pause_ms)
        at_ms = runtime.monotonic

        await stage.write(["update", "todos", IDS[0], {"title": "a"}])
        await stage.app.database.live.settled()
        await runtime.pass_time(rests_ms)
        assert await watcher.next() == 1

        assert began[-1] - at_ms == rests_ms
