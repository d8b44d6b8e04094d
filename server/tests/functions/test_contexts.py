"""`ctx`: what each kind of function has, what it notes, and what it runs."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.function_stage import Failed, Stage, open_stage
from trice.functions import FunctionError
from trice.rules.document import Rules

ID = "e0000001-0000-4000-8000-000000000000"
KINDS = {"query": "notes.look", "mutation": "notes.change", "action": "notes.act"}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path, "desk") as made:
        yield made


def notes() -> Any:
    """The module of the functions under test."""
    return sys.modules["functions.notes"]


async def within(stage: Stage, kind: str, work: Any, **options: Any) -> Any:
    """Run something in a function of a kind; what it returns, and what was told of it."""
    kept: list[Any] = []

    async def do(ctx: Any) -> None:
        kept.append(await work(ctx))

    notes().DO[kind] = do
    done = await stage.outcome(KINDS[kind], b"{}", **options)
    return kept[0], done


_LATER = ("now", "random", "new_id", "later", "scheduled_for")
HAS = {
    "query": {"db", "user", "ip", "origin", "env", "run", "time"},
    "mutation": {"db", "user", "ip", "origin", "env", "run", *_LATER},
    "action": {
        *("user", "ip", "origin", "env", "run", *_LATER, "step", "sleep"),
        *("http", "mail", "files", "stream", "settle"),
    },
}


@pytest.mark.rule("FN90", "FN500")
@pytest.mark.parametrize("kind", HAS)
async def test_a_kind_has_only_what_it_may_do(stage: Stage, kind: str) -> None:
    async def work(ctx: Any) -> Any:
        every = set().union(*HAS.values())
        return {name for name in every if hasattr(ctx, name)}

    found, _ = await within(stage, kind, work)
    assert found == HAS[kind]


LACKS = {
    ("query", "now"): "A query is live and runs again: it has no now, random or new_id, but",
    ("query", "later"): "A query changes nothing: schedule work in a mutation or an action",
    ("mutation", "step"): "ctx.step and ctx.sleep are for actions that run as jobs",
    ("mutation", "time"): "ctx.time is for queries: a mutation has ctx.now",
    ("mutation", "http"): "ctx.http is for actions: what a query or mutation did there could not",
    ("query", "files"): "ctx.files is for actions: what a query or mutation did there could not",
    ("query", "settle"): "The ctx of a query has no settle",
    ("query", "schedule"): "ctx.schedule is not built yet in this version of trice",
    ("action", "db"): "An action has no db, as it is no transaction: call a query or mutation",
    ("action", "banana"): "The ctx of an action has no banana",
}


@pytest.mark.rule("FN90")
@pytest.mark.parametrize(("kind", "name"), LACKS)
async def test_what_a_ctx_lacks_is_told(stage: Stage, kind: str, name: str) -> None:
    async def work(ctx: Any) -> Any:
        with pytest.raises(AttributeError) as raised:
            getattr(ctx, name)
        return str(raised.value)

    told, _ = await within(stage, kind, work)
    assert told.startswith(LACKS[kind, name])


@pytest.mark.rule("FN91")
@pytest.mark.parametrize("kind", ["mutation", "action"])
async def test_time_ids_and_randomness_are_those_of_the_call(stage: Stage, kind: str) -> None:
    async def work(ctx: Any) -> Any:
        return ctx.now, [ctx.new_id(), ctx.new_id()], ctx.random.random()

    async def again(seed: str) -> Any:
        stage.calls = 0
        return (await within(stage, kind, work, seed=seed))[0]

    now, ids, number = await again("a")
    assert now == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert len(set(ids)) == 2 and all(each[14] == "4" for each in ids)
    assert await again("a") == (now, ids, number)
    other = await again("b")
    assert not set(other[1]) & set(ids) and other[2] != number


@pytest.mark.rule("FN91")
async def test_a_query_knows_the_time_by_steps(stage: Stage) -> None:
    async def work(ctx: Any) -> Any:
        with pytest.raises(ValueError, match="every is a millisecond at least"):
            ctx.time(every=timedelta(0))
        return ctx.time(every=timedelta(minutes=1)), ctx.time(every=timedelta(days=1))

    (minute, day), done = await within(stage, "query", work)
    assert minute == datetime(2023, 11, 14, 22, 13, tzinfo=UTC)
    assert day == datetime(2023, 11, 14, tzinfo=UTC)
    assert done.facts == [("time.60000", 1_699_999_980_000), ("time.86400000", 1_699_920_000_000)]


@pytest.mark.rule("FN92")
async def test_facts_are_what_was_looked_at_in_order_and_once(stage: Stage) -> None:
    user = await stage.user(ID, nickname="al", **{"first-name": "Al"})

    async def work(ctx: Any) -> Any:
        assert ctx.origin == "https://app.example"
        assert ctx.me.first_name == "Al"
        assert ctx.user.id == ID and ctx.me.email.endswith("@example.com")
        assert ctx.ip == "192.0.2.1" and ctx.me.first_name == "Al"
        assert ctx.me.joined is None
        await ctx.db.as_caller().notes.find()

    _, done = await within(stage, "query", work, user=user)
    assert done.facts == [
        ("origin", "https://app.example"),
        ("user", True),
        ("user.first-name", "Al"),
        ("user.id", ID),
        ("user.email", "e0000001@example.com"),
        ("ip", "192.0.2.1"),
        ("user.joined", None),
        ("rights", ID),
    ]


@pytest.mark.rule("FN92")
async def test_a_run_that_looks_at_nothing_or_fails_has_its_facts(stage: Stage) -> None:
    async def nothing(ctx: Any) -> None:
        await ctx.db.notes.find()

    _, done = await within(stage, "query", nothing)
    assert done.facts == []
    with pytest.raises(Failed) as raised:
        await within(stage, "query", lambda ctx: ctx.me.id)
    assert raised.value.fail.facts == [("user", False)]


@pytest.mark.rule("FN92")
@pytest.mark.parametrize(
    "look",
    [lambda user: user.shown, lambda user: user.is_called("al"), lambda user: [user]],
    ids=["property", "method", "result"],
)
async def test_what_a_row_computes_depends_on_all_of_it(stage: Stage, look: Any) -> None:
    user = await stage.user(ID)

    async def work(ctx: Any) -> Any:
        return look(ctx.me)

    notes().DO["query"] = work
    done = await stage.outcome("notes.look", b"{}", user=user)
    assert dict(done.facts).keys() >= {
        *("user", "user.id", "user.email", "user.nickname", "user.first-name", "user.joined")
    }


@pytest.mark.rule("FN93")
async def test_who_is_not_signed_in_has_no_row(stage: Stage) -> None:
    async def work(ctx: Any) -> Any:
        assert ctx.user is None
        return ctx.me

    with pytest.raises(Failed) as raised:
        await within(stage, "mutation", work)
    assert raised.value.fail.code == "signed-out"


@pytest.mark.rule("FN93")
async def test_the_callers_row_is_a_value_and_a_result(stage: Stage) -> None:
    user = await stage.user(ID, nickname="al")

    async def work(ctx: Any) -> Any:
        note = ctx.db.notes.create(text="a", owner=ctx.me)
        return [ctx.me, note]

    notes().DO["mutation"] = work
    row, note = await stage.call("notes.change", user=user)
    assert row["id"] == ID and row["nickname"] == "al"
    found = await stage.ask({"notes": {"owner": {}}})
    assert (found["notes"][0]["id"], found["notes"][0]["owner"]["id"]) == (note, ID)


@pytest.mark.rule("FN90")
async def test_secrets_are_in_env(stage: Stage) -> None:
    async def work(ctx: Any) -> Any:
        return ctx.env["PUSH_KEY"]

    assert (await within(stage, "action", work))[0] == "secret"

    async def absent(ctx: Any) -> Any:
        assert "NO_KEY" not in ctx.env and ctx.env.get("NO_KEY") is None
        return ctx.env["NO_KEY"]

    notes().DO["action"] = absent
    fail = await stage.fail("notes.act")
    assert fail.code == "function-failed"
    assert "NO_KEY is not set for this app: `trice env set NO_KEY`" in fail.traceback


@pytest.mark.rule("FN94")
async def test_a_mutation_that_fails_inside_leaves_nothing(stage: Stage) -> None:
    async def work(ctx: Any) -> Any:
        ctx.db.notes.create(text="before")
        with pytest.raises(FunctionError) as raised:
            await ctx.run(notes().refused, "inner")
        assert [each.text for each in await ctx.db.notes.find()] == ["before"]
        ctx.db.notes.create(text="after")
        return raised.value.code

    assert (await within(stage, "mutation", work))[0] == "refused"
    found = (await stage.ask({"notes": {}}))["notes"]
    assert sorted(each["text"] for each in found) == ["after", "before"]


@pytest.mark.rule("FN94")
async def test_a_query_inside_sees_what_was_written(stage: Stage) -> None:
    async def work(ctx: Any) -> Any:
        made = ctx.db.notes.create(text="a")
        return made, await ctx.run(notes().rows)

    (made, rows), _ = await within(stage, "mutation", work)
    assert [each.id for each in rows] == [made]


@pytest.mark.rule("FN94")
async def test_mutations_inside_come_one_after_the_other(stage: Stage) -> None:
    async def work(ctx: Any) -> Any:
        inner = ctx.run(notes().change)
        made = ctx

        async def inside(ctx: Any) -> None:
            with pytest.raises(RuntimeError, match="under way, as that may be undone"):
                made.db.notes.create(text="lost")
            with pytest.raises(RuntimeError, match="one after the other"):
                await made.run(notes().refused, "x")
            ctx.db.notes.create(text="kept")

        notes().DO["mutation"] = inside
        await inner

    await within(stage, "mutation", work)
    assert [each["text"] for each in (await stage.ask({"notes": {}}))["notes"]] == ["kept"]


@pytest.mark.rule("FN94")
async def test_functions_run_each_other_so_deep_and_no_deeper(stage: Stage) -> None:
    assert await stage.call("notes.deeper", depth=16) == 16
    fail = await stage.fail("notes.deeper", depth=17)
    assert "Functions run each other 16 deep at most" in fail.traceback


@pytest.mark.rule("FN94")
@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("query", "change", "ctx.run of a query takes queries, not a mutation"),
        ("mutation", "act", "ctx.run of a mutation takes queries and mutations, not an action"),
        ("action", "act", "ctx.run of an action takes queries and mutations, not an action"),
        ("query", "DO", "which is no function of the app"),
    ],
)
async def test_a_kind_runs_only_what_it_may(stage: Stage, kind: str, name: str, told: str) -> None:
    async def work(ctx: Any) -> Any:
        with pytest.raises(TypeError, match=told):
            await ctx.run(getattr(notes(), name))

    await within(stage, kind, work)


@pytest.mark.rule("FN95")
async def test_failures_are_told_by_what_they_are(stage: Stage) -> None:
    def raising(failure: BaseException) -> Any:
        async def work(ctx: Any) -> None:
            raise failure

        return work

    async def fail_of(failure: BaseException) -> Any:
        notes().DO["query"] = raising(failure)
        return await stage.fail("notes.look")

    fail = await fail_of(
        FunctionError("no", "Not now.", data={"at": datetime(2026, 1, 2, tzinfo=UTC)}, status=409)
    )
    assert (fail.code, fail.message, fail.status) == ("function-error", "Not now.", 409)
    assert fail.data == {"code": "no", "data": {"at": "2026-01-02T00:00:00Z"}}
    for failure in (KeyError("secret"), SystemExit(1), RecursionError()):
        fail = await fail_of(failure)
        assert (fail.code, fail.message) == ("function-failed", "notes.look failed.")
        assert type(failure).__name__ in fail.traceback
    assert "functions/notes.py" in fail.traceback and "program.py" not in fail.traceback
    assert str(stage.program.root) not in fail.traceback, "paths are those of the project"

    async def asks(ctx: Any) -> None:
        try:
            await ctx.db.notes.find(order={"nothing": "asc"})
        except TypeError as cause:
            raise RuntimeError("found nothing") from cause

    notes().DO["query"] = asks
    fail = await stage.fail("notes.look")
    assert "notes has no nothing. It has id" in fail.traceback
    assert "RuntimeError: found nothing" in fail.traceback
    assert "tables.py" not in fail.traceback, "what trice did is no news"
    fail = await stage.fail("notes.look", no=1)
    assert (fail.code, fail.traceback) == (
        "bad-args",
        "bad-args: notes.look has no argument no. It takes none.\n",
    )
    fail = await fail_of(FunctionError("no", data=object()))
    assert (
        fail.code == "function-failed"
        and "the data of its FunctionError is no JSON" in fail.message
    )
    with pytest.raises(ValueError, match="400 to 599"):
        FunctionError("no", status=200)


@pytest.mark.rule("FN96")
async def test_an_action_gets_typed_results_and_failures(stage: Stage) -> None:
    async def work(ctx: Any) -> Any:
        with pytest.raises(FunctionError) as raised:
            await ctx.run(notes().refused, text="a")
        assert (raised.value.code, raised.value.data) == ("refused", {"state": "open"})
        assert await ctx.run(notes().deeper, 2) == 2
        return await ctx.run(notes().rows)

    async def put(ctx: Any) -> None:
        ctx.db.notes.create(text="a")

    await within(stage, "mutation", put)
    rows, _ = await within(stage, "action", work)
    assert isinstance(rows[0], sys.modules["schema"].Note) and rows[0].text == "a"
    assert [each[:2] for each in stage_calls(stage)] == [
        ("run", "notes.refused"),
        ("run", "notes.deeper"),
        ("run", "notes.rows"),
    ]


def stage_calls(stage: Stage) -> list[Any]:
    """What the last action ran."""
    return [each for each in stage.actions[-1].told if each[0] == "run"]


@pytest.mark.rule("FN97")
async def test_rules_apply_where_a_function_asks_for_them(stage: Stage) -> None:
    stage.database.set_rules(Rules.parse({"notes": {"allow": {"view": "data.text == 'seen'"}}}))

    async def put(ctx: Any) -> None:
        for text in ("seen", "unseen"):
            ctx.db.notes.create(text=text)

    await within(stage, "mutation", put)

    async def work(ctx: Any) -> Any:
        seen = ctx.db.as_caller()
        return await ctx.db.notes.count(), [each.text for each in await seen.notes.find()]

    assert (await within(stage, "query", work))[0] == (2, ["seen"])
