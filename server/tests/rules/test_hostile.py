"""Attempts to see, infer or change what one may not; and what long judging does to others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from support import engines
from support.attrs import entity
from support.library import uid as note_id
from support.live_stage import SCHEMA
from support.notes import Notes, user
from support.ruled_app import RuledApp
from support.runtime import FakeRuntime
from support.transact_app import App, uid
from trice import limits
from trice.database import Database
from trice.errors import Conflict, InvalidInput, LimitExceeded, PermissionDenied
from trice.identity import ADMIN, Identity
from trice.live.live_query import LiveQuery
from trice.protocol.ids import EntityId
from trice.rules.conditions import Conditions
from trice.rules.document import Rules
from trice.rules.writes import WriteChecks
from trice.transact.permission import Proposal

MANY = 2_400
"""Rows that one read judges partly on the loop, then all on a thread."""


@pytest.fixture
def open_database(
    tmp_path: Path, exits: AsyncExitStack
) -> Callable[[Any], Coroutine[Any, Any, Database]]:
    """Opens a database under rules: todos with a title, an owner and tags."""

    async def opened(rules: Any) -> Database:
        database = await engines.open_database(
            tmp_path / "app.db",
            runtime=FakeRuntime(),
            rules=Rules.parse(rules),
            app_id="app",
            schema=SCHEMA,
        )
        exits.push_async_callback(database.close)
        return database

    return opened


def caller(number: int) -> Identity:
    return Identity("user", EntityId(bytes.fromhex(uid(number).replace("-", ""))))


async def write(database: Database, *steps: Any) -> None:
    await database.transact_admin(list(steps), identity=ADMIN)
    await database.live.settled()


async def add_todos(database: Database, count: int) -> None:
    for first in range(0, count, 400):
        numbers = range(first, min(first + 400, count))
        steps = [["update", "todos", uid(1_000 + n), {"title": f"t{n}"}] for n in numbers]
        await write(database, *steps)


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.rule("R84")
async def test_moving_to_a_thread_takes_no_token_twice(open_database: Any) -> None:
    limit = {"limits": [{"capacity": MANY, "refill": {"amount": 1, "period": "1 day"}}]}
    view = "rateLimit.reads.limit(auth.id)"
    rules = {"$rateLimits": {"reads": limit}, "todos": {"allow": {"view": view}}}
    database = await open_database(rules)
    await add_todos(database, MANY)
    orjson.loads(await database.query_nested({"todos": {}}, identity=caller(1)))
    with pytest.raises(LimitExceeded):
        orjson.loads(await database.query_nested({"todos": {}}, identity=caller(1)))
    orjson.loads(await database.query_nested({"todos": {}}, identity=caller(2)))


@pytest.mark.rule("R85")
def test_a_rule_is_judged_once_for_an_entity(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    notes.library.add("notes", 10, title="a", sub="ab")
    notes.library.add("notes", 11, title="b", sub="b", parent=10)
    rules = Rules.parse({"notes": {"fields": {"title": "data.sub.contains(data.sub)"}}})
    failures: list[int] = []
    program = rules.find_field("notes", "title")
    assert program is not None
    run = program.run

    def counted(scope: Any) -> Any:
        failures.append(1)
        return run(scope)

    object.__setattr__(program, "run", counted)
    where = {"title": {"$in": ["a", "b"]}}
    query = {"notes": {"$": {"where": where, "order": {"title": "asc"}, "first": 5}, "parent": {}}}
    notes.ask(rules, query, user(1))
    assert len(failures) == 2


@pytest.mark.rule("Q101")
@pytest.mark.parametrize("label", ["owner.role", "tags.name", "children.title"])
def test_a_rule_fails_only_on_rows_the_query_speaks_of(notes: Notes, label: str) -> None:
    notes.library.add("notes", 10, title="t", owner=1)
    notes.library.add("notes", 11, title="x", kind="ok", parent=10)
    notes.library.pair("notes", "tags", 10, 60)
    for etype, name, first in (("$users", "role", 1), ("tags", "name", 60)):
        notes.library.add(etype, first, **{name: "x"})
        notes.library.add(etype, first + 1, **{name: "x"})
    notes.library.add("notes", 12, title="x")
    fine = f"data.id in ['{note_id(1)}', '{note_id(60)}', '{note_id(10)}', '{note_id(11)}']"
    view = f"{fine} || data.missing.startsWith('x')"
    rules = Rules.parse({etype: {"allow": {"view": view}} for etype in ("$users", "tags")})
    if label == "children.title":
        rules = Rules.parse({"notes": {"allow": {"view": view}}})
    query = {"notes": {"$": {"where": {label: "x", "id": note_id(10)}}}}
    (node,) = notes.ask(rules, query, user(1)).nodes[:1]
    assert [row[0] for row in node.rows] == [entity(10)]


@pytest.mark.rule("R92")
async def test_answers_follow_paths_that_entities_choose(open_database: Any) -> None:
    database = await open_database({"todos": {"allow": {"view": "'x' in data.ref(data.title)"}}})
    await write(
        database,
        ["update", "todos", uid(10), {"title": "tags.word"}],
        ["update", "tags", uid(20), {"word": "x"}],
    )
    query = {"todos": {"$": {"where": {"id": uid(10)}}}}

    def told(_: LiveQuery) -> None:
        pass

    question = database.question(query, identity=caller(1), shape="tree")
    live = await database.watch(question, told)
    for op, shown in (("link", 1), ("unlink", 0), ("link", 1)):
        await write(database, [op, "todos", uid(10), {"tags": uid(20)}])
        assert live.answer is not None
        assert len(orjson.loads(live.answer.result_json)["todos"]) == shown
    await write(database, ["update", "tags", uid(20), {"word": "y"}])
    assert live.answer is not None
    assert orjson.loads(live.answer.result_json) == {"todos": []}


@pytest.mark.rule("Q99")
async def test_few_rows_of_a_long_rule_leave_the_loop_too(open_database: Any) -> None:
    numbers = "[" + ",".join("1" * 1 for _ in range(30)) + "]"
    view = f"{numbers}.all(a, {numbers}.all(b, a == b && data.title != null))"
    database = await open_database({"todos": {"allow": {"view": view}}})
    await add_todos(database, 40)
    before = database.live.counts.rerun_on_thread
    query = {"todos": {}}

    def told(_: LiveQuery) -> None:
        pass

    question = database.question(query, identity=caller(1), shape="tree")
    live = await database.watch(question, told)
    assert live.answer is not None
    assert len(orjson.loads(live.answer.result_json)["todos"]) == 40
    assert database.live.counts.rerun_on_thread == before + 1


@pytest.mark.interpreted("a method of ours is replaced")
@pytest.mark.rule("R129")
@pytest.mark.parametrize(("count", "is_loop"), [(2, True), (60, False)])
async def test_judging_a_long_transaction_leaves_the_loop(
    open_database: Any, monkeypatch: pytest.MonkeyPatch, count: int, is_loop: bool
) -> None:
    threads: list[int] = []
    judged = WriteChecks.after

    def after(checks: WriteChecks, proposal: Proposal) -> None:
        threads.append(threading.get_ident())
        judged(checks, proposal)

    monkeypatch.setattr(WriteChecks, "after", after)

    numbers = "[" + ",".join("1" for _ in range(15)) + "]"
    create = f"{numbers}.all(a, {numbers}.all(b, a == b && newData.title != null))"
    database = await open_database({"todos": {"allow": {"create": create, "view": "true"}}})
    steps = [["create", "todos", uid(100 + n), {"title": "t"}] for n in range(count)]
    later = ["update", "todos", uid(100), {"title": "u"}]
    first, second = await asyncio.gather(
        database.transact_admin(steps, identity=caller(1)),
        database.transact_admin([later], identity=ADMIN),
    )
    assert second == first + 1
    # Where it was begun on the loop and found too long, it was judged again elsewhere.
    assert (threads[-1] == threading.get_ident()) is is_loop
    found = orjson.loads(await database.query_nested({"todos": {}}, identity=ADMIN))
    assert len(found["todos"]) == count
    assert [each["title"] for each in found["todos"]].count("u") == 1


@pytest.mark.rule("R129")
async def test_judging_again_takes_no_tokens_again(open_database: Any) -> None:
    numbers = "[" + ",".join("1" for _ in range(15)) + "]"
    create = f"{numbers}.all(a, {numbers}.all(b, a == b)) && rateLimit.new.limit(auth.id)"
    limit = {"limits": [{"capacity": 61, "refill": {"period": "1 hour"}}]}
    database = await open_database(
        {"$rateLimits": {"new": limit}, "todos": {"allow": {"create": create}}}
    )
    steps = [["create", "todos", uid(100 + n), {"title": "t"}] for n in range(60)]
    await database.transact_admin(steps, identity=caller(1))
    one = ["create", "todos", uid(300), {"title": "t"}]
    await database.transact_admin([one], identity=caller(1))
    with pytest.raises(LimitExceeded, match="rate limit"):
        await database.transact_admin(
            [["create", "todos", uid(301), {"title": "t"}]], identity=caller(1)
        )


@pytest.mark.rule("R86")
def test_known_conditions_are_those_of_the_caller_and_of_the_attrs(notes: Notes) -> None:
    notes.library.add("notes", 10, owner=1, title="a")
    notes.library.add("notes", 11, owner=2, title="b")
    rules = Rules.parse({"notes": {"allow": {"view": "auth.id == data.owner"}}})

    def shown(number: int) -> list[int]:
        (node,) = notes.ask(rules, {"notes": {}}, user(number)).nodes
        return [int.from_bytes(row[0], "big") for row in node.rows]

    for _ in range(2):
        assert [shown(1), shown(2), shown(3)] == [[10], [11], []]
    program = rules.find("notes", "view")

    def conditions(number: int) -> Any:
        judge = notes.judge(rules, user(number))
        translator = Conditions(notes.library.catalog, judge)
        return translator.scope_of(program, "notes", lambda: pytest.fail("SQL decides alone"))

    first, other = conditions(1), conditions(2)
    assert conditions(1) is first is not other
    notes.library.field("notes", "late")
    assert conditions(1) is not first


@pytest.mark.rule("R86")
def test_known_conditions_are_bounded(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RULE_SCOPES_KEPT", 2)
    rules = Rules.parse({"notes": {"allow": {"view": "auth.id == data.owner"}}})
    for _ in range(2):
        for number in range(1, 6):
            assert notes.visibility(rules, user(number)).entities("notes") != ()


# --- writing -------------------------------------------------------------------------------------


def refusal(ruled: RuledApp, steps: Any) -> tuple[str, str]:
    """How a user is refused: the code and the message."""
    with pytest.raises((PermissionDenied, InvalidInput)) as caught:
        ruled.act(steps, user=1)
    return caught.value.code, caught.value.message


@pytest.mark.rule("R127")
def test_lookups_do_not_tell_who_is_there(app: App) -> None:
    app.put("people", 1, email="there@a.b")
    rules = {"people": {"allow": dict.fromkeys(("view", "create", "update", "delete"), "false")}}
    ruled = RuledApp(app, rules)

    def steps(email: str) -> list[list[Any]]:
        by = ruled.by("people", "email", email)
        role = app.attr("people", "role").id
        return [
            ["delete-entity", by, "people"],
            ["delete-entity", by],
            ["retract-triple", by, role, "x"],
            ["add-triple", by, role, "x"],
            ["add-triple", by, role, "x", {"mode": "update"}],
            ["deep-merge-triple", by, role, {}, {"mode": "update"}],
        ]

    for there, absent in zip(steps("there@a.b"), steps("absent@a.b"), strict=True):
        assert refusal(ruled, [there]) == refusal(ruled, [absent]), there
        assert refusal(ruled, [there])[0] == "permission-denied"


@pytest.mark.rule("R127")
def test_lookups_do_not_tell_which_users_there_are(app: App) -> None:
    add = [["update", "$users", uid(7), {"email": "there@a.b"}]]
    app.admin(*add)
    ruled = RuledApp(app)

    def steps(email: str) -> list[list[Any]]:
        by = ruled.by("$users", "email", email)
        role, image = (app.attr("$users", label).id for label in ("role", "imageURL"))
        return [
            ["delete-entity", by, "$users"],
            ["retract-triple", by, role, "x"],
            ["add-triple", by, role, "x"],
            ["add-triple", by, image, "x"],
        ]

    for there, absent in zip(steps("there@a.b"), steps("absent@a.b"), strict=True):
        assert refusal(ruled, [there]) == refusal(ruled, [absent]), there


@pytest.mark.rule("R127")
def test_who_may_change_anybody_hears_that_nobody_is_there(app: App) -> None:
    ruled = RuledApp(app)
    by = ruled.by("people", "email", "absent@a.b")
    ruled.act([["delete-entity", by, "people"]], user=1)
    ruled.act([["retract-triple", by, app.attr("people", "role").id, "x"]], user=1)
    update = ["add-triple", by, app.attr("people", "role").id, "x", {"mode": "update"}]
    assert "Updating entities that don't exist" in refusal(ruled, [update])[1]


@pytest.mark.rule("R128")
def test_entities_that_lose_a_required_link_are_not_named(app: App) -> None:
    attr = app.attr_json("memos", "by", to=("people", "memos"), required=True)
    app.transact([["add-attr", app.attr_json("memos", "id")], ["add-attr", attr]])
    app.put("people", 1, email="a@b.c")
    app.put("memos", 5, by=uid(1))
    ruled = RuledApp(app, {"memos": {"allow": {"view": "false"}}})
    with pytest.raises(InvalidInput) as caught:
        ruled.act([ruled.delete("people", 1)], user=1)
    told = orjson.dumps([caught.value.message, caught.value.hint]).decode()
    assert "memos/by" in told and uid(5) not in told
    with pytest.raises(InvalidInput) as named:
        ruled.act([ruled.delete("people", 1), *ruled.set("memos", 5, id=uid(5))], user=1)
    assert uid(5) in named.value.message
    with pytest.raises(InvalidInput) as admin:
        app.transact([ruled.delete("people", 1)])
    assert uid(5) in admin.value.message


@pytest.mark.rule("T67")
def test_a_merge_that_clashes_does_not_repeat_what_was_stored(app: App) -> None:
    app.transact([["add-attr", app.attr_json("docs", "id")]])
    app.transact([["add-attr", app.attr_json("docs", "doc", unique=True)]])
    app.put("docs", 1, doc={"a": 1, "b": "hidden"})
    app.put("docs", 2, doc={"b": "hidden"})
    ruled = RuledApp(app)
    with pytest.raises(Conflict) as caught:
        ruled.act(ruled.set("docs", 2, "deep-merge-triple", doc={"a": 1}), user=1)
    assert "hidden" not in orjson.dumps([caught.value.message, caught.value.hint]).decode()
    assert caught.value.hint["label"] == "doc"
    with pytest.raises(Conflict) as given:
        ruled.act(ruled.set("docs", 3, doc={"a": 1, "b": "hidden"}), user=1)
    assert "hidden" in given.value.message
