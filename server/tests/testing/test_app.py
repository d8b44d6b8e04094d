"""What a test of a project has: its app, callers, live queries, time."""

from __future__ import annotations

import asyncio
import importlib
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.function_stage import PROJECTS, write_project
from trice.functions import FunctionError, Paged, RefusedError
from trice.functions.loading import LoadErrors, load_program
from trice.testing import stage as stages
from trice.testing.app import App
from trice.testing.project import Project
from trice.testing.stage import Stage

SCHEMA = """
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from trice.schema import Indexed, Many, Namespace, One, Schema, Table, Unique, Users, link

class Kind(StrEnum):
    PLAIN = "plain"
    LOUD = "loud"
class User(Users):
    nickname: str | None
class Note(Namespace):
    text: Annotated[str, Unique]
    kind: Kind = Kind.PLAIN
    at: Annotated[datetime, Indexed]
    owner: One[User] | None = link(back="notes")
class Db(Schema):
    users: Table[User]
    notes: Table[Note]
"""
NOTES = """
from datetime import datetime, timedelta
from typing import Annotated, Any
from schema import Db, Note
from trice.functions import *
from trice.functions import Request, Response, action, cron, http, internal, mutation, query

RAN: list[str] = []

@query
async def texts(ctx: Query[Db]) -> list[str]:
    if await ctx.db.notes.exists({"text": "bad"}):
        raise FunctionError("no-good", "One is bad.")
    return sorted([each.text for each in await ctx.db.notes.find()])

@query
async def listed(ctx: Query[Db], page: Paged) -> Page[Note]:
    return await ctx.db.notes.page(page, order={"text": "asc"})

@query
async def hour(ctx: Query[Db]) -> datetime:
    return ctx.time(every=timedelta(hours=1))

@mutation(rate="3/minute per user")
async def add(ctx: Mutation[Db], text: Annotated[str, MaxLen(10)]) -> Id[Note]:
    RAN.append(text)
    if text == "bug":
        raise ValueError("a bug")
    return ctx.db.notes.create(text=text, at=ctx.now, owner=ctx.user and ctx.user.id)

@mutation(auth="user")
async def mine(ctx: Mutation[Db]) -> str | None:
    return ctx.me.nickname

@mutation
async def refuse(ctx: Mutation[Db]) -> None:
    raise FunctionError("no-good", "It is no good.", data={"n": 1}, status=403)

@mutation
async def drawn(ctx: Mutation[Db]) -> list[Any]:
    return [ctx.random.random(), str(ctx.new_id())]

@internal.mutation
async def clear(ctx: Mutation[Db]) -> int:
    found = await ctx.db.notes.find()
    for each in found:
        ctx.db.notes.delete(each.id)
    return len(found)

@mutation
async def remind(ctx: Mutation[Db], text: str, wait: int) -> None:
    ctx.later(timedelta(seconds=wait)).run(add, text)

@cron("0 6 * * *", tz="UTC")
async def morning(ctx: Mutation[Db]) -> None:
    ctx.db.notes.create(text=f"{ctx.now:%d %H:%M}", at=ctx.now)

@mutation
async def forever(ctx: Mutation[Db]) -> None:
    ctx.later().run(forever)

@http.post("/notes/{number}", auth="user", cors=["https://shop.example"])
async def make(ctx: Action[Db], request: Request, number: int) -> Response:
    made = await ctx.run(add, request.json(str))
    await ctx.run(remind, f"{number}", 5)
    return Response.json({"id": made, "me": ctx.me.email}, status=201, headers={"x-a": "b"})

@http.get("/stream/{how}", auth="admin")
async def stream(ctx: Action[Db], request: Request, how: str) -> Response:
    async def pieces():
        yield b"a"
        while how == "endless":
            yield b"a" * 60_000
        if how == "bug":
            raise ValueError(how)
        yield request.query["more"]
    return Response.stream(pieces())

@action
async def both(ctx: Action[Db]) -> str:
    await ctx.run(add, "a")
    return ctx.env["KEY"] + str(len(await ctx.run(texts)))
"""
RULES = """
notes:
  allow:
    view: "data.text != 'secret'"
    $default: "false"
"""
FILES = {"trice.toml": "", "schema.py": SCHEMA, "functions/notes.py": NOTES, "rules.yaml": RULES}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "apps"
    folder.mkdir()
    return Project(write_project(tmp_path / "project", FILES), folder)


@pytest.fixture
async def stage(project: Project) -> AsyncIterator[Stage]:
    stage = await Stage.open(project)
    yield stage
    await stage.close()


@pytest.fixture
def app(stage: Stage) -> App:
    return App(stage)


@pytest.fixture
def notes(project: Project) -> Any:
    return importlib.import_module("functions.notes")


@pytest.fixture
def schema(project: Project) -> Any:
    return importlib.import_module("schema")


async def code(coroutine: Any) -> str:
    """What a call is refused with."""
    with pytest.raises(RefusedError) as refused:
        await coroutine
    return refused.value.code


@pytest.mark.rule("FN431")
async def test_each_app_is_an_empty_copy(project: Project, notes: Any) -> None:
    first = await Stage.open(project)
    label = first.database.tx
    await App(first).guest.run(notes.add, "a")
    second = await Stage.open(project)
    assert second.database.tx == label, "each begins alike"
    assert second.database.catalog.find_forward("notes", "text") is not None
    assert await App(second).guest.run(notes.texts) == []
    assert await App(first).guest.run(notes.texts) == ["a"]
    for stage in (first, second):
        await stage.close()
    assert [path.name for path in project.folder.iterdir()] == ["template.db"]


@pytest.mark.rule("FN432")
async def test_a_call_is_that_of_a_client(app: App, notes: Any, schema: Any) -> None:
    alice = await app.user("alice@example.com", nickname="al")
    assert await alice.run(notes.mine) == "al"
    made = await alice.run(notes.add, text="a")
    row = await app.get(schema.Note, made)
    assert row is not None and row.owner.id == alice.id
    assert await code(app.guest.run(notes.mine)) == "signed-out"
    assert await code(alice.run(notes.add, text="much too long")) == "bad-args"
    assert await code(alice.run(notes.add, text=5)) == "bad-args"
    assert await code(alice.run(notes.add, text="b")) == "rate-limited"
    assert await code(app.guest.run(notes.clear)) == "function-not-found"
    assert await app.admin.run(notes.clear) == 1
    with pytest.raises(FunctionError) as raised:
        await alice.run(notes.refuse)
    told = raised.value
    assert (told.code, told.message, told.data, told.status) == (
        *("no-good", "It is no good.", {"n": 1}, 403),
    )


@pytest.mark.rule("FN625")
async def test_a_list_is_watched_page_by_page(app: App, notes: Any, schema: Any) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for text in "abcde":
        await app.create(schema.Note, text=text, at=at)

    def texts(page: Any) -> tuple[str, bool]:
        return "".join(note.text for note in page.items), page.next is not None

    async with app.guest.watch(notes.listed, Paged(size=2)) as live:
        assert texts(live.value) == ("ab", True)
        assert texts(await live.more()) == ("abcd", True)
        await app.create(schema.Note, text="aa", at=at)
        assert texts(await live.next()) == ("aaabcd", True)
        assert texts(await live.more()) == ("aaabcde", False)
        with pytest.raises(AssertionError, match="is loaded"):
            await live.more()
        assert live.value.next is None and live.pending == 0
    async with app.guest.watch(notes.texts) as plain:
        with pytest.raises(AssertionError, match="no list"):
            await plain.more()
    page = await app.guest.run(notes.listed, Paged(size=2))
    async with app.guest.watch(notes.listed, Paged(size=2, after=page.next)) as live:
        assert texts(live.value) == ("bc", True)  # one page, as it was asked for


@pytest.mark.rule("FN432")
async def test_what_failed_is_shown_with_its_lines(app: App, notes: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        await app.guest.run(notes.add, "bug")
    assert refused.value.code == "function-failed"
    (note,) = refused.value.__notes__
    assert 'raise ValueError("a bug")' in note and "ValueError: a bug" in note
    assert await app.guest.run(notes.texts) == []


@pytest.mark.rule("FN432")
async def test_actions_run_functions_and_have_secrets(app: App, notes: Any) -> None:
    app.env["KEY"] = "k"
    assert await app.guest.run(notes.both) == "k1"


@pytest.mark.rule("FN537")
async def test_endpoints_are_asked_by_their_routes(app: App, notes: Any) -> None:
    alice = await app.user("alice@example.com")
    async with app.guest.watch(notes.texts) as live:
        made = await alice.request("POST", "/notes/7", json="a", headers={"Origin": "https://x"})
        assert (made.status, made.headers["X-A"], made.json()["me"]) == (201, "b", alice.email)
        assert await live.next() == ["a"]
    assert "access-control-allow-origin" not in made.headers
    assert made.headers["content-security-policy"].startswith("sandbox")
    await app.advance(seconds=5)
    assert await app.guest.run(notes.texts) == ["7", "a"]

    refused = await app.request("POST", "/notes/7", json="b")
    assert (refused.status, refused.json()["type"]) == (401, "signed-out")
    wrong = await alice.request("POST", "/notes/x", body='"b"')
    assert (wrong.status, wrong.json()["hint"]["path"]) == (400, "number")
    taken = await app.request("GET", "/notes/7")
    assert (taken.status, taken.headers["allow"]) == (405, "OPTIONS, POST")
    with pytest.raises(ValueError, match="begins with /"):
        await app.request("GET", "notes")

    assert taken.json()["message"] == "GET is not taken here, but OPTIONS, POST."
    assert (await app.request("GET", "/stream/well")).status == 403
    assert (await app.admin.request("GET", "/stream/well?more=b")).text() == "ab"
    for how, told in (("bug", "cut off"), ("endless", "has it an end")):
        with pytest.raises(AssertionError, match=told):
            await app.admin.request("GET", f"/stream/{how}")


@pytest.mark.rule("FN433")
async def test_watchers_are_told_before_a_call_returns(app: App, notes: Any) -> None:
    async with app.guest.watch(notes.texts) as live, app.guest.watch(notes.texts) as other:
        assert live.value == []
        for text in "abc":
            await app.admin.run(notes.add, text)
        assert (live.pending, other.pending) == (3, 3)
        assert [await live.next() for _ in range(3)] == [["a"], ["a", "b"], ["a", "b", "c"]]
        assert live.value == ["a", "b", "c"]
        with pytest.raises(AssertionError, match=r"notes\.texts answers as before"):
            await live.next()
        await app.admin.run(notes.drawn)
        assert live.pending == 0
    await app.admin.run(notes.add, "d")
    assert live.pending == 0, "it is watched no more"


@pytest.mark.rule("FN433")
async def test_writes_of_clients_and_failures_are_told_too(
    app: App, notes: Any, schema: Any
) -> None:
    async with app.guest.watch(notes.texts) as live:
        made = await app.create(schema.Note, text="a", at=app.now)
        assert await live.next() == ["a"]
        await app.admin.transact([["update", "notes", made, {"text": "bad"}]])
        with pytest.raises(FunctionError, match="One is bad"):
            await live.next()
        await app.admin.transact([["delete", "notes", made]])
        assert await live.next() == []
    await app.create(schema.Note, text="bad", at=app.now)
    with pytest.raises(FunctionError, match="One is bad"):
        async with app.guest.watch(notes.texts):
            raise AssertionError("a query that fails cannot be watched from the first")


@pytest.mark.rule("FN434")
async def test_time_stands_still_and_ticks_come_in_order(
    app: App, notes: Any, stage: Stage
) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    assert app.now == begin
    woken: list[int] = []

    async def wake(minutes: int) -> None:
        await stage.clock.sleep_ms(minutes * 60_000)
        woken.append(app.now.minute)

    sleepers = [asyncio.create_task(wake(minutes)) for minutes in (30, 10, 50)]
    async with app.guest.watch(notes.hour) as live:
        await app.advance(minutes=40)
        assert (woken, live.pending, app.now.minute) == ([10, 30], 0, 40)
        await app.advance(hours=2, minutes=25)
        assert [(await live.next()).hour for _ in range(3)] == [1, 2, 3]
        assert live.pending == 0
    assert (woken, app.now) == ([10, 30, 50], begin.replace(hour=3, minute=5))
    await asyncio.gather(*sleepers)
    with pytest.raises(ValueError, match="forwards"):
        await app.advance(seconds=-1)


@pytest.mark.rule("FN434")
async def test_what_is_drawn_is_the_same_again(project: Project, notes: Any) -> None:
    found = []
    for _ in range(2):
        stage = await Stage.open(project)
        app = App(stage)
        alice = await app.user("alice@example.com")
        found.append((alice.id, *[await alice.run(notes.drawn) for _ in range(2)]))
        await stage.close()
    assert found[0] == found[1]
    assert found[0][1] != found[0][2]


@pytest.mark.rule("FN435")
async def test_a_conflict_runs_again_and_leaves_nothing(app: App, notes: Any) -> None:
    app.conflict(notes.add, times=3)
    await app.admin.run(notes.add, "a")
    assert notes.RAN == ["a"] * 4
    assert await app.guest.run(notes.texts) == ["a"], "its text is unique: it was written once"
    app.conflict(notes.add, times=4)
    assert await code(app.admin.run(notes.add, "b")) == "conflict"
    await app.admin.run(notes.add, "c")
    assert await app.guest.run(notes.texts) == ["a", "c"]
    with pytest.raises(TypeError, match="only mutations conflict"):
        app.conflict(notes.texts)


@pytest.mark.rule("FN436")
async def test_rows_are_made_as_functions_make_them(app: App, schema: Any) -> None:
    alice = await app.user("alice@example.com", nickname="al")
    made = await app.create(schema.Note, text="a", at=app.now, owner=alice.id)
    row = await app.get(schema.Note, made)
    assert row is not None
    assert (row.kind, row.at, row.owner.id) == (schema.Kind.PLAIN, app.now, alice.id)
    person = await app.get(schema.User, alice.id)
    assert person is not None and (person.email, person.nickname) == (alice.email, "al")
    assert await code(app.create(schema.Note, text="a", at=app.now)) == "record-not-unique"
    assert await app.get(schema.Note, alice.id) is None
    with pytest.raises(TypeError, match="in no table"):
        await app.create(SimpleNamespace)  # type: ignore[type-var]


@pytest.mark.rule("FN436")
async def test_clients_are_under_the_rules(app: App, schema: Any) -> None:
    alice = await app.user("alice@example.com")
    for text in ("secret", "open"):
        made = await app.create(schema.Note, text=text, at=app.now)
    asked = {"notes": {}}
    assert [each["text"] for each in (await alice.query(asked))["notes"]] == ["open"]
    assert len((await app.admin.query(asked))["notes"]) == 2
    refused = alice.transact([["update", "notes", made, {"text": "x"}]])
    assert await code(refused) == "permission-denied"
    assert await code(alice.query({"notes": {"$": {"limit": "x"}}})) == "validation-failed"


@pytest.mark.rule("FN441")
async def test_jobs_are_done_when_they_are_due(app: App, notes: Any) -> None:
    async with app.guest.watch(notes.texts) as live:
        for text, wait in (("c", 60), ("b", 30), ("a", 0)):
            await app.guest.run(notes.remind, text, wait)
        assert (await live.next(), live.pending) == (["a"], 0), (
            "what is due at once is done at once"
        )
        await app.advance(seconds=29)
        assert live.pending == 0
        await app.advance(seconds=31)
        assert [await live.next() for _ in range(live.pending)] == [["a", "b"], ["a", "b", "c"]]
    await app.advance(days=2)
    assert (await app.guest.run(notes.texts))[:2] == ["01 06:00", "02 06:00"]
    await app.guest.run(notes.remind, "a", 5)
    await app.advance(seconds=5)
    (failed,) = (await app.admin.query({"$jobs": {"$": {"where": {"state": "failed"}}}}))["$jobs"]
    assert failed["error"]["code"] == "record-not-unique"


@pytest.mark.rule("FN570")
async def test_hooks_have_run_before_a_call_returns_and_their_waits_pass(tmp_path: Path) -> None:
    folder = tmp_path / "apps"
    folder.mkdir()
    shutil.copytree(PROJECTS / "follows", tmp_path / "project")
    stage = await Stage.open(Project(tmp_path / "project", folder))
    app, hooks = App(stage), importlib.import_module("functions.hooks")
    await app.guest.run(hooks.send, "a")
    assert await app.guest.run(hooks.seen) == ["counted"]
    assert hooks.DONE == [("created", "a")]
    hooks.FAILS.add("b")
    await app.guest.run(hooks.send, "b")
    assert await app.guest.run(hooks.seen) == ["counted"]
    await app.advance(hours=1)
    failed = (await app.admin.query({"$jobs": {}}))["$jobs"]
    assert {each["state"] for each in failed} == {"failed"} and len(failed) == 2
    await stage.close()


@pytest.mark.rule("FN441")
async def test_a_job_without_end_fails_its_test(
    app: App, notes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "LOOKS_MAX", 1_000)
    with pytest.raises(AssertionError, match="do not come to rest"):
        await app.guest.run(notes.forever)


@pytest.mark.rule("FN439")
def test_modules_that_were_imported_are_those_that_are_loaded(project: Project) -> None:
    module = importlib.import_module("functions.notes")
    again = load_program(project.root, {}, is_anew=False)
    assert importlib.import_module("functions.notes") is module
    assert again.signature_of(module.add).name == "notes.add"
    load_program(project.root, {})
    assert importlib.import_module("functions.notes") is not module


@pytest.mark.rule("FN437")
@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("rules.yaml", 'notes:\n  allow:\n    view: "data.("\n', 3),
        ("functions/b.py", "from trice.functions import *\n\n@query\nasync def f(): ...\n", 4),
        ("schema.py", "from trice.schema import Schema\nclass Db(Schema)\n", 2),
    ],
)
def test_faults_have_their_lines(tmp_path: Path, file: str, text: str, line: int) -> None:
    root = write_project(tmp_path / "project", {**FILES, file: text})
    with pytest.raises(LoadErrors) as raised:
        Project(root, tmp_path)
    assert (file, line) in [(each.file, each.line) for each in raised.value.errors]
