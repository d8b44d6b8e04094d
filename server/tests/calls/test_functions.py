"""Calls of functions: who may, how often, what runs again and what does not.

A little over 500 lines, one file because the examples use one stage.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.called_functions import Ctx, FunctionRaised
from support.runtime import settle
from support.watched_calls import IDS, USERS, Stage, call, refusal, user, watched_calls
from trice import function_limits
from trice.calls.functions import Result
from trice.calls.side import CallFailed
from trice.errors import TriceError
from trice.functions.frames import Fail
from trice.identity import ADMIN, GUEST
from trice.metrics import CallCounts


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with watched_calls(tmp_path) as stage:
        await stage.write(
            *(["update", "$users", USERS[n], {"role": "user"}] for n in range(3)),
            ["update", "todos", IDS[0], {"title": "t0", "room": 0}],
        )
        yield stage


async def echo(ctx: Ctx) -> Any:
    return ctx.args


async def bump(ctx: Ctx) -> Any:
    """Adds one to a room, by read and write."""
    (row,) = await ctx.find("todos", where={"id": IDS[0]})
    ctx.write(["update", "todos", IDS[0], {"room": row["room"] + 1}])
    return row["room"] + 1


async def room(stage: Stage) -> Any:
    query = {"todos": {"$": {"where": {"id": IDS[0]}}}}
    found = orjson.loads(await stage.app.database.query_nested(query, identity=ADMIN))
    return found["todos"][0]["room"]


# --- the door -------------------------------------------------------------------------------------


@pytest.mark.rule("FN201")
async def test_a_function_is_called_by_its_name_and_its_older_ones(stage: Stage) -> None:
    stage.project.add(echo, also=("old.echo",))
    stage.project.deploy(stage.app.id)

    assert (await call(stage, "t.echo", a=1)).value == b'{"a":1}'
    assert (await call(stage, "old.echo", a=1)) == Result(b'{"a":1}', None)
    failure = await refusal(stage, "other.echo")
    assert (failure.code, failure.hint["near"]) == ("function-not-found", ["t.echo"])
    assert "t.echo is a query; a mut" in (await refusal(stage, "t.echo", kind="mutation")).message


@pytest.mark.rule("FN201")
async def test_an_app_without_functions_says_so(stage: Stage) -> None:
    failure = await refusal(stage, "t.echo")
    assert failure.code == "function-not-found"
    assert "deploy" in failure.message


@pytest.mark.rule("FN202")
@pytest.mark.parametrize(
    ("auth", "guest", "signed_in", "admin"),
    [
        (None, None, None, None),
        ("none", None, None, None),
        ("optional", None, None, None),
        ("user", "signed-out", None, None),
        ("admin", "permission-denied", "permission-denied", None),
    ],
)
async def test_who_may_call(
    stage: Stage, auth: Any, guest: Any, signed_in: Any, admin: Any
) -> None:
    stage.project.add(echo, auth=auth)
    stage.project.deploy(stage.app.id)
    for identity, code in ((GUEST, guest), (user(0), signed_in), (ADMIN, admin)):
        if code is None:
            await call(stage, "t.echo", identity)
        else:
            assert (await refusal(stage, "t.echo", identity)).code == code


@pytest.mark.rule("FN203")
async def test_internal_functions_are_for_admins_and_functions(stage: Stage) -> None:
    async def outer(ctx: Ctx) -> Any:
        return orjson.loads(await ctx.side.run("t.echo", b'{"a":2}'))

    stage.project.add(echo, is_internal=True, auth="admin", rate="1/day per app")
    stage.project.add(outer, kind="action")
    stage.project.deploy(stage.app.id)

    failure = await refusal(stage, "t.echo", user(0))
    assert (failure.code, failure.hint) == (
        "function-not-found",
        {"function": "t.echo", "near": []},
    )
    assert (await call(stage, "t.echo", ADMIN, a=1)).value == b'{"a":1}'
    for _ in range(2):
        assert (await call(stage, "t.outer", user(0))).value == b'{"a":2}'


@pytest.mark.rule("FN204")
async def test_a_function_knows_its_caller_and_the_time(stage: Stage) -> None:
    stage.project.add(echo)
    stage.project.deploy(stage.app.id)
    await call(stage, "t.echo", user(1), ip="10.1.1.1")
    await call(stage, "t.echo", ADMIN)

    first, second = stage.project.requests
    assert first.caller.user is not None
    assert (first.caller.user["id"], first.caller.user["role"]) == (USERS[1], "user")
    assert (first.caller.is_admin, first.caller.ip) == (False, "10.1.1.1")
    assert (second.caller.user, second.caller.is_admin) == (None, True)
    assert first.now_ms == stage.runtime.now_ms()
    # A clock that went back is not seen: rows are not from the future.
    stage.runtime.now -= 5_000
    await call(stage, "t.echo")
    assert stage.project.requests[-1].now_ms == first.now_ms


# --- rates ----------------------------------------------------------------------------------------


# --- mutations ------------------------------------------------------------------------------------


@pytest.mark.rule("FN215")
@pytest.mark.parametrize(("event_id", "runs"), [("order-1", 2), (IDS[0], 1)])
async def test_a_guest_is_not_answered_what_another_was(
    stage: Stage, event_id: str, runs: int
) -> None:
    async def begin(ctx: Ctx) -> Any:
        ctx.write(["update", "todos", IDS[1], {"title": ctx.seed}])
        return ctx.seed

    stage.project.add(begin, kind="mutation")
    stage.project.deploy(stage.app.id)
    values = {
        (await call(stage, "t.begin", event_id=event_id, ip=ip)).value
        for ip in ("10.0.0.1", "10.0.0.2", "10.0.0.1")
    }
    assert stage.project.runs["t.begin"] == len(values) == runs


@pytest.mark.rule("FN215")
async def test_an_event_id_is_carried_out_once(stage: Stage) -> None:
    stage.project.add(bump, kind="mutation")
    stage.project.deploy(stage.app.id)

    first = await call(stage, "t.bump", event_id="e1")
    again = await call(stage, "t.bump", event_id="e1")

    assert first == again == Result(b"1", stage.app.database.tx)
    assert (await room(stage), stage.project.runs["t.bump"]) == (1, 1)
    # Another caller, or other arguments, are another call.
    await call(stage, "t.bump", user(0), event_id="e1")
    await call(stage, "t.bump", event_id="e1", other=1)
    assert await room(stage) == 3


@pytest.mark.rule("FN209", "FN215")
async def test_a_refused_call_wrote_nothing_and_runs_again(stage: Stage) -> None:
    async def half(ctx: Ctx) -> Any:
        ctx.write(["update", "todos", IDS[0], {"room": 9}])
        if stage.project.runs["t.half"] == 1:
            raise FunctionRaised("no", "No.")

    stage.project.add(half, kind="mutation")
    stage.project.deploy(stage.app.id)
    assert (await refusal(stage, "t.half", event_id="e1")).code == "function-error"
    assert [level for _, _, level, _ in stage.log.lines] == []
    assert await room(stage) == 0
    await call(stage, "t.half", event_id="e1")
    assert await room(stage) == 9


@pytest.mark.rule("FN215")
async def test_one_that_wrote_nothing_runs_again(stage: Stage) -> None:
    """There is no transaction that its value could be kept with."""

    async def look(ctx: Ctx) -> Any:
        return await ctx.find("todos")

    stage.project.add(look, kind="mutation")
    stage.project.deploy(stage.app.id)
    await call(stage, "t.look", event_id="e1")
    await call(stage, "t.look", event_id="e1")
    assert stage.project.runs["t.look"] == 2


@pytest.mark.rule("FN670")
async def test_calls_are_counted(stage: Stage) -> None:
    async def raced(ctx: Ctx) -> Any:
        await bump(ctx)
        if stage.project.runs["t.raced"] < 3:
            await stage.write(["update", "todos", IDS[0], {"title": ctx.seed}])

    stage.project.add(raced, kind="mutation")
    stage.project.deploy(stage.app.id)
    await call(stage, "t.raced", event_id="e1")
    await call(stage, "t.raced", event_id="e1")
    await refusal(stage, "t.absent")
    counts = stage.functions.counts
    runs = stage.project.runs["t.raced"]
    assert (counts.runs, counts.kept) == ({"mutation": runs}, 1)
    assert counts.failures == {"function-not-found": 1}
    assert counts.conflicts == {("t.raced", ""): runs - 1} and runs > 1
    for number in range(CallCounts.PAIRS_MAX):
        counts.note_conflict(f"t.other{number}", "t.raced")
    assert len(counts.conflicts) == CallCounts.PAIRS_MAX + 1
    assert counts.conflicts[CallCounts.OTHERS] == 1


@pytest.mark.rule("FN216")
async def test_tries_of_one_event_id_have_one_seed_that_nobody_can_guess(stage: Stage) -> None:
    async def raced(ctx: Ctx) -> Any:
        await bump(ctx)
        if stage.project.runs["t.raced"] < 3:
            await stage.write(["update", "todos", IDS[0], {"title": ctx.seed}])

    stage.project.add(raced, kind="mutation")
    stage.project.deploy(stage.app.id)
    await call(stage, "t.raced", event_id="e1")
    assert len({request.seed for request in stage.project.requests}) == 1
    await call(stage, "t.raced", event_id="e2")
    await call(stage, "t.raced")
    assert len({request.seed for request in stage.project.requests}) == 3


@pytest.mark.rule("FN217")
async def test_fifty_on_one_counter_all_succeed(stage: Stage) -> None:
    async def slow_bump(ctx: Ctx) -> Any:
        (row,) = await ctx.find("todos", where={"id": IDS[0]})
        await asyncio.sleep(0)
        ctx.write(["update", "todos", IDS[0], {"room": row["room"] + 1}])
        return row["room"] + 1

    stage.project.add(slow_bump, kind="mutation")
    stage.project.deploy(stage.app.id)
    results = await asyncio.gather(*(call(stage, "t.slow_bump") for _ in range(50)))

    assert await room(stage) == 50
    assert sorted(int(result.value) for result in results) == list(range(1, 51))
    assert len({result.tx for result in results}) == 50


@pytest.mark.rule("FN641")
async def test_calls_like_one_that_was_overtaken_run_once_each(stage: Stage) -> None:
    """All at once run for nothing; those that come later, as one is answered, do not."""
    count, more = 8, 24
    stage.project.add(bump, kind="mutation")
    stage.project.deploy(stage.app.id)

    async def client(times: int) -> None:
        for _ in range(times):
            await call(stage, "t.bump")

    await asyncio.gather(*(client(1 + more // count) for _ in range(count)))
    assert await room(stage) == count + more
    assert stage.project.runs["t.bump"] <= 2 * count + more


@pytest.mark.rule("FN218")
async def test_after_three_tries_and_one_with_the_turn_it_is_a_conflict(stage: Stage) -> None:
    writers: list[asyncio.Task[Any]] = []

    async def beaten(ctx: Ctx) -> Any:
        await bump(ctx)
        if stage.project.runs["t.beaten"] <= 3:
            await call(stage, "t.other", ADMIN)
            return
        # With the turn no other commit begins, until it ends by itself.
        writers.append(asyncio.create_task(call(stage, "t.other", ADMIN)))
        await asyncio.wait(writers)

    async def other(ctx: Ctx) -> Any:
        ctx.write(["update", "todos", IDS[0], {"room": 100 * stage.project.runs["t.other"]}])

    stage.project.add(beaten, kind="mutation")
    stage.project.add(other, kind="mutation")
    stage.project.deploy(stage.app.id)
    failure = await refusal(stage, "t.beaten")

    assert failure.code == "conflict"
    assert failure.hint == {"function": "t.beaten", "with": "t.other", "namespaces": ["todos"]}
    assert stage.project.runs["t.beaten"] == 4
    assert await room(stage) == 400


@pytest.mark.rule("FN218")
async def test_with_the_turn_nobody_comes_between(stage: Stage) -> None:
    writers: list[asyncio.Task[Any]] = []

    async def beaten(ctx: Ctx) -> Any:
        await bump(ctx)
        if stage.project.runs["t.beaten"] <= 3:
            await stage.write(["update", "todos", IDS[0], {"room": stage.project.runs["t.beaten"]}])
            return
        writers.append(
            asyncio.create_task(stage.write(["update", "todos", IDS[0], {"title": "late"}]))
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    stage.project.add(beaten, kind="mutation")
    stage.project.deploy(stage.app.id)
    result = await call(stage, "t.beaten")
    assert await room(stage) == 4
    assert result.tx is not None
    assert result.tx < await writers[0]


@pytest.mark.rule("FN219")
async def test_a_mutation_that_looks_at_its_caller_depends_on_it(stage: Stage) -> None:
    async def admins_only(ctx: Ctx) -> Any:
        if ctx.user("role") != "admin":
            raise FunctionRaised("not-admin", "No.")
        if stage.project.runs["t.admins_only"] == runs_before + 1:
            await stage.write(["update", "$users", USERS[0], {"role": "user"}])
        ctx.write(["update", "todos", IDS[0], {"room": 7}])

    stage.project.add(admins_only, kind="mutation")
    stage.project.deploy(stage.app.id)
    for first_time in (True, False):
        runs_before = stage.project.runs.get("t.admins_only", 0)
        await stage.write(["update", "$users", USERS[0], {"role": "admin"}])
        failure = await refusal(stage, "t.admins_only", user(0))
        assert (failure.code, failure.hint["code"]) == ("function-error", "not-admin"), first_time
    assert await room(stage) == 0


@pytest.mark.rule("FN219")
async def test_a_mutation_that_does_not_look_at_its_caller_conflicts_with_nobody(
    stage: Stage,
) -> None:
    async def blind(ctx: Ctx) -> Any:
        await stage.write(["update", "$users", USERS[0], {"role": str(ctx.now_ms)}])
        ctx.write(["update", "$users", USERS[0], {"role": "written"}])

    stage.project.add(blind, kind="mutation")
    stage.project.deploy(stage.app.id)
    await call(stage, "t.blind", user(0))
    assert stage.project.runs["t.blind"] == 1


# --- queries and actions --------------------------------------------------------------------------


@pytest.mark.rule("FN205")
async def test_a_query_has_one_snapshot_and_writes_nothing(stage: Stage) -> None:
    async def twice(ctx: Ctx) -> Any:
        first = await ctx.find("todos")
        await stage.write(["update", "todos", IDS[1], {"title": "new"}])
        return [first, await ctx.find("todos", limit=10)]

    async def write(ctx: Ctx) -> Any:
        ctx.write(["update", "todos", IDS[0], {"room": 9}])

    stage.project.add(twice)
    stage.project.add(write)
    stage.project.deploy(stage.app.id)
    first, second = orjson.loads((await call(stage, "t.twice")).value)
    assert first == second
    assert (await refusal(stage, "t.write")).code == "permission-denied"
    assert await room(stage) == 0


@pytest.mark.rule("FN206")
async def test_an_action_has_no_data_and_runs_functions(stage: Stage) -> None:
    async def act(ctx: Ctx) -> Any:
        first = await ctx.side.run("t.bump", b"{}")
        await stage.write(["update", "todos", IDS[1], {"title": "between"}])
        second = await ctx.side.run("t.bump", b"{}")
        with pytest.raises(TriceError) as refused:
            await ctx.find("todos")
        assert refused.value.code == "permission-denied"
        return [int(first), int(second)]

    stage.project.add(bump, kind="mutation", is_internal=True)
    stage.project.add(act, kind="action")
    stage.project.deploy(stage.app.id)
    assert orjson.loads((await call(stage, "t.act", user(0))).value) == [1, 2]
    assert stage.project.requests[-1].caller.user is not None
    traces = {request.trace for request in stage.project.requests}
    assert len(traces) == 1


@pytest.mark.rule("FN206")
async def test_actions_run_each_other_sixteen_deep(stage: Stage) -> None:
    async def deeper(ctx: Ctx) -> Any:
        return orjson.loads(await ctx.side.run("t.deeper", b"{}"))

    stage.project.add(deeper, kind="action")
    stage.project.deploy(stage.app.id)
    assert (await refusal(stage, "t.deeper")).code == "parameter-limit-exceeded"
    assert stage.project.runs["t.deeper"] == 17


@pytest.mark.rule("FN207")
async def test_arguments_have_a_bound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trice.function_limits.ARGS_BYTES_MAX", 10)
    stage.project.add(echo)
    stage.project.deploy(stage.app.id)
    failure = await refusal(stage, "t.echo", text="longer than that")
    assert (failure.code, failure.hint["bytes-max"]) == ("call-too-big", 10)


# --- the log --------------------------------------------------------------------------------------


@pytest.mark.rule("FN209")
async def test_what_a_call_writes_and_why_it_failed_is_in_the_log(stage: Stage) -> None:
    async def broken(ctx: Ctx) -> Any:
        ctx.side.log("info", "about to fail")
        return 1 / 0

    stage.project.add(broken)
    stage.project.deploy(stage.app.id)
    failure = await refusal(stage, "t.broken")
    assert failure.code == "function-failed"
    trace = failure.hint["trace"]
    assert failure.hint == {"function": "t.broken", "trace": trace}
    assert stage.log.lines == [
        ("t.broken", trace, "info", "about to fail"),
        ("t.broken", trace, "error", "Traceback: division by zero"),
    ]


@pytest.mark.rule("FN209")
@pytest.mark.parametrize("code", ["bad-args", "signed-out", "function-error"])
async def test_callers_cannot_fill_the_log(stage: Stage, code: str) -> None:
    async def refuses(ctx: Ctx) -> Any:
        raise CallFailed(Fail(call=1, code=code, message="No.", traceback="Traceback: No."))

    stage.project.add(refuses)
    stage.project.deploy(stage.app.id)
    assert (await refusal(stage, "t.refuses")).code == code
    assert stage.log.lines == []


# --- processes that end ---------------------------------------------------------------------------


@pytest.mark.rule("FN205", "FN218")
@pytest.mark.parametrize("kind", ["query", "mutation"])
async def test_a_call_that_begins_again_sees_and_writes_nothing_of_before(
    stage: Stage, kind: str
) -> None:
    async def dies(ctx: Ctx) -> Any:
        before = await room(stage)
        if stage.project.runs["t.dies"] == 1:
            await ctx.find("todos")
            if kind == "mutation":
                ctx.write(["update", "todos", IDS[5], {"title": "of the dead"}])
            await stage.write(["update", "todos", IDS[0], {"room": before + 1}])
            await ctx.side.restart()
        (row,) = await ctx.find("todos", where={"id": IDS[0]})
        if kind == "mutation":
            ctx.write(["update", "todos", IDS[0], {"title": "written"}])
        return row["room"]

    stage.project.add(dies, kind=kind)
    stage.project.deploy(stage.app.id)
    assert (await call(stage, "t.dies", user(0))).value == b"1"
    found = orjson.loads(await stage.app.database.query_nested({"todos": {}}, identity=ADMIN))
    assert len(found["todos"]) == 1


@pytest.mark.rule("FN710")
async def test_large_arguments_of_actions_are_bounded_until_these_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hung up and came back had as many bytes again, beside those of its actions."""
    monkeypatch.setattr(function_limits, "ACTIONS_ARGS_OF_NETWORK_BYTES_MAX", 100_000)
    monkeypatch.setattr(function_limits, "ACTIONS_ARGS_OF_APP_BYTES_MAX", 150_000)
    is_open = asyncio.Event()

    async def wait(ctx: Ctx) -> Any:
        await is_open.wait()

    stage.project.add(wait, kind="action")
    stage.project.deploy(stage.app.id)
    large, small = (b'{"a":"%b"}' % (b"x" * size) for size in (120_000, 10))

    def ask(args: bytes, ip: str) -> asyncio.Task[Result]:
        asked = stage.functions.call(stage.app, "t.wait", args, identity=GUEST, ip=ip)
        return asyncio.ensure_future(asked)

    under_way = [ask(large, "192.0.2.1"), ask(small, "192.0.2.1"), ask(large, "198.51.100.1")]
    await settle()
    for ip in ("192.0.2.1", "203.0.113.1"):  # of the network, of the app
        with pytest.raises(TriceError) as refused:
            await ask(large, ip)
        assert refused.value.code == "overloaded"
    is_open.set()
    await asyncio.gather(*under_way)
    await ask(large, "203.0.113.1")


# --- snapshots that are taken late ----------------------------------------------------------------


async def touch(ctx: Ctx) -> Any:
    """Writes without a read."""
    ctx.write(["update", "todos", IDS[0], {"room": ctx.args["room"]}])


def _count_holds(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts, engine = [0], stage.app.database.engine
    hold = engine.hold

    async def held(*, lasts_ms: int) -> Any:
        counts[0] += 1
        return await hold(lasts_ms=lasts_ms)

    monkeypatch.setattr(engine, "hold", held)
    return counts


@pytest.mark.rule("FN720")
async def test_calls_that_read_nothing_hold_no_snapshot(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.project.add(touch, kind="mutation")
    stage.project.add(echo)
    stage.project.add(bump, kind="mutation")
    stage.project.deploy(stage.app.id)
    holds = _count_holds(stage, monkeypatch)

    for number in range(5):
        await call(stage, "t.touch", room=number)
        await call(stage, "t.echo")
    assert holds == [0]
    for number in range(5):
        assert orjson.loads((await call(stage, "t.bump")).value) == 5 + number
    assert (holds, stage.project.runs["t.bump"]) == ([5], 5)


@pytest.mark.rule("FN721", "FN204")
@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("kind", ["query", "mutation"])
async def test_no_row_that_a_call_sees_is_of_a_later_time_than_it_was_told(
    stage: Stage, kind: Any, raises: bool
) -> None:
    told: list[tuple[int, int]] = []

    async def late(ctx: Ctx) -> Any:
        if not told:  # others write while its first run has read nothing yet
            stage.runtime.advance(1_000)
            await stage.write(["update", "todos", IDS[1], {"room": stage.runtime.now}])
        (row,) = await ctx.find("todos", where={"id": IDS[1]})
        told.append((ctx.now_ms, row["room"]))
        if raises and len(told) == 1:
            raise FunctionRaised("from-the-future", "It saw a row of a later time.")
        return row["room"]

    stage.project.add(late, kind=kind)
    stage.project.deploy(stage.app.id)

    result = await call(stage, "t.late")

    first, last = told
    assert first[0] < first[1], "what it was told does not hold"
    assert last[0] >= last[1] == orjson.loads(result.value)
    await call(stage, "t.late")
    assert len(told) == 3, "it is known to read: its snapshot is taken first"
