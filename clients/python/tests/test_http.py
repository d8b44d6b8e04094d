"""Queries, transactions, sign-in and rows in bulk against `trice serve`."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from client_apps import App, make_app
from trice_client import (
    AsyncClient,
    AsyncPlatform,
    Client,
    Namespace,
    Platform,
    TriceError,
    lookup,
    new_id,
)

ROWS = 10_000


@pytest.mark.rule("PY2", "PY3")
@pytest.mark.anyio
async def test_rows_are_written_and_found(app: App) -> None:
    async with app.aio() as db:
        todo, values = new_id(), {"title": "Milk", "done": False}
        chunk = db.tx.todos[todo].create(values)
        values["title"] = "changed afterwards"
        ann = db.tx.people.lookup("name", "Ann").update({})
        made = await db.transact([ann, chunk.link({"owner": lookup("name", "Ann")})])
        assert await db.transact(db.tx.todos[todo].increment({"n": 2})) == made + 1
        query = {"todos": {"$": {"where": {"done": False}}, "owner": {}}}
        (found,) = (await db.query(query))["todos"]
        assert (found["title"], found["n"], found["owner"]["name"]) == ("Milk", 2, "Ann")
        (found,) = (await db.query(query, infer=False))["todos"]
        assert [each["name"] for each in found["owner"]] == ["Ann"]
        await db.transact(db.tx.todos[todo].unlink({"owner": lookup("name", "Ann")}))
        assert (await db.query(query))["todos"][0]["owner"] is None
        with pytest.raises(TriceError) as refused:
            await db.transact([db.tx.todos[todo].update({"n": 9}), db.tx.todos[todo].create({})])
        assert refused.value.code == "record-not-unique" or refused.value.status == 400
        assert (await db.query(query))["todos"][0]["n"] == 2


@pytest.mark.rule("PY1", "PY10")
def test_the_sync_client_has_the_same_words(app: App) -> None:
    for ours, theirs in ((Client, AsyncClient), (Platform, AsyncPlatform)):
        names = {name for name in dir(theirs) if name[0] != "_"} - {"aclose", "connection"}
        assert names - set(dir(ours)) == set()
        for name in names:
            if inspect.isfunction(getattr(theirs, name)):
                given = [inspect.signature(getattr(each, name)) for each in (ours, theirs)]
                assert [*given[0].parameters] == [*given[1].parameters], name
    with app.sync() as db:
        done = [True, True, False]
        db.transact(db.tx.todos[new_id()].create({"n": n, "done": done[n]}) for n in range(3))
        assert db.totals("todos", {"count": True, "sum": "n"}) == {"count": 3, "sum": {"n": 3}}
        groups = db.totals("todos", {"count": True}, group_by="done")["groups"]
        assert [(each["key"], each["count"]) for each in groups] == [(False, 1), (True, 2)]
        todos: Namespace[dict[str, object]] = Namespace("todos")
        assert [each["n"] for each in db.find(todos, order={"n": "desc"}, limit=2)] == [2, 1]


@pytest.mark.rule("PY8", "PY9")
def test_users_see_what_rules_let_them_see(url: str) -> None:
    rules = {"todos": {"allow": {"view": "auth.email == 'ann@example.com'", "create": "false"}}}
    app = make_app(url, rules)
    with app.sync() as db:
        db.transact(db.tx.todos[new_id()].create({"title": "secret"}))
        token = db.auth.create_token(email="ann@example.com")
        ann, guest = db.as_user(token=token), db.as_guest()
        query = {"todos": {}}
        assert len(ann.query(query)["todos"]) == len(db.query(query)["todos"]) == 1
        assert len(db.as_user(email="ann@example.com").query(query)["todos"]) == 1
        assert guest.query(query) == {"todos": []}
        with pytest.raises(TriceError) as refused:
            ann.transact(db.tx.todos[new_id()].create({"title": "mine"}))
        assert refused.value.code == "permission-denied" and refused.value.trace_id
        with pytest.raises(TriceError, match="own token"):
            db.as_user(email="ann@example.com").call("x")
        assert app.admin_token not in repr(db) and token not in repr(ann)
    with Client(app.id, server=url) as own:
        assert own.query(query) == {"todos": []}
        with pytest.raises(TriceError) as missing:
            own.auth.create_guest()
        assert missing.value.code == "admin-token-missing"
        signed_in = own.auth.sign_in_with_token(token)
        assert len(own.as_user(signed_in["user"]).query(query)["todos"]) == 1


@pytest.mark.rule("PY9")
def test_every_way_to_sign_in(app: App) -> None:
    with app.sync() as db:
        code = db.auth.generate_magic_code("bob@example.com")
        bob = db.auth.sign_in_with_magic_code("bob@example.com", code)
        assert bob["created"] is True and bob["user"]["email"] == "bob@example.com"
        with pytest.raises(TriceError):
            db.auth.sign_in_with_magic_code("bob@example.com", code)
        guest = db.auth.sign_in_as_guest()["user"]
        code = db.auth.generate_magic_code("eve@example.com")
        eve = db.auth.sign_in_with_magic_code("eve@example.com", code, guest=guest)["user"]
        assert eve["id"] == guest["id"]
        assert db.auth.get_user(email="eve@example.com") is not None
        db.auth.sign_out(token=eve["refresh_token"])
        with pytest.raises(TriceError):
            db.auth.sign_in_with_token(eve["refresh_token"])
        assert db.auth.delete_user(id=eve["id"]) is not None
        assert db.auth.get_user(id=eve["id"]) is None
        with pytest.raises(TriceError) as off:
            db.auth.sign_in_with_password("bob@example.com", "correct horse battery")
        assert off.value.code != "unknown"


@pytest.mark.rule("PY9")
def test_schemas_and_rules_are_changed_by_the_apps_own_token(app: App) -> None:
    with Platform(app.url, token=app.admin_token) as platform:
        schema = {"entities": {"notes": {"attrs": {"text": {"valueType": "string"}}}}, "links": {}}
        assert platform.plan_schema(app.id, schema)
        platform.push_schema(app.id, schema)
        assert "notes" in json.dumps(platform.get_schema(app.id))
        platform.set_rules(app.id, {"notes": {"allow": {"view": "false"}}})
        assert platform.get_rules(app.id) == {"notes": {"allow": {"view": "false"}}}
        with pytest.raises(TriceError):
            platform.delete_app(app.id)


@pytest.mark.rule("PY40", "PY41", "PY42")
def test_rows_in_bulk(app: App, tmp_path: Path) -> None:
    told: list[int] = []
    with app.sync() as db:
        chunks = (db.tx.todos[new_id()].create({"n": n}) for n in range(ROWS))
        assert db.transact_many(chunks, batch_rows=ROWS, on_progress=told.append) == ROWS
        assert told == [ROWS]
        assert db.export_jsonl("todos", tmp_path / "todos.jsonl") == ROWS
        assert [path.name for path in tmp_path.iterdir()] == ["todos.jsonl"]
        found = [row["n"] for row in db.iterate("todos", page_rows=3_000, order={"n": "desc"})]
        assert found == list(range(ROWS))[::-1]
        lines = (tmp_path / "todos.jsonl").read_text().splitlines()[:2_500]
        (tmp_path / "some.jsonl").write_text("\n".join(lines) + "\n\n")
        told.clear()
        assert db.import_jsonl("todos", tmp_path / "some.jsonl", on_progress=told.append) == 2_500
        assert told == [1_000, 2_000, 2_500]
        assert db.totals("todos", {"count": True}) == {"count": ROWS}
        (tmp_path / "bad.jsonl").write_text('{"n": 1}\n[2]\n')
        with pytest.raises(TriceError, match="Line 2") as refused:
            db.import_jsonl("todos", tmp_path / "bad.jsonl")
        assert refused.value.path == [2]


@pytest.mark.rule("PY50", "PY42")
@pytest.mark.anyio
async def test_files_go_up_in_pieces_and_come_down_whole(app: App, tmp_path: Path) -> None:
    source, told = tmp_path / "source", list[tuple[int, int]]()
    source.write_bytes(os.urandom(700_000))
    async with app.aio() as db:
        kept = await db.storage.upload(
            "a/ü.bin",
            source,
            content_type="application/x-test",
            on_progress=lambda *at: told.append(at),
        )
        assert told[0][0] < told[-1][0] == told[-1][1] == 700_000
        (row,) = (await db.query({"$files": {}}))["$files"]
        assert (row["id"], row["path"]) == (kept, "a/ü.bin")
        assert await db.storage.download("a/ü.bin", tmp_path / "down") == 700_000
        assert (tmp_path / "down").read_bytes() == source.read_bytes()
        await db.storage.upload("empty", b"")
        with pytest.raises(TriceError):
            await db.storage.download("missing", tmp_path / "missing")
        assert sorted(os.listdir(tmp_path)) == ["down", "source"]
        assert await db.storage.delete_many(["a/ü.bin"]) == [kept]
        assert await db.storage.url("a/ü.bin") is None


@pytest.mark.rule("PY51")
@pytest.mark.anyio
async def test_streams_are_written_and_read(app: App) -> None:
    async with app.aio() as db:
        async with await db.streams.write("answer") as stream:
            await stream.write("Grüße ")
            assert [text async for text in db.streams.read("answer", follow=False)] == ["Grüße "]
            await stream.write("🔥" * 1_000)
        assert stream.offset == 8 + 4_000
        texts = [text async for text in db.streams.read("answer", offset=8)]
        assert "".join(texts) == "🔥" * 1_000
        again = await db.streams.write("answer-2", token=new_id())
        with pytest.raises(TriceError):
            await db.streams.write("answer-2")
        await again.aclose()
        with pytest.raises(TriceError) as refused:
            await again.write("more")
        assert refused.value.status == 409


@pytest.mark.rule("PY37")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_after_a_fork_the_child_has_connections_of_its_own(app: App) -> None:
    program = f"""
import os, sys
from trice_client import Client, TriceError
db = Client({app.id!r}, server={app.url!r}, admin_token={app.admin_token!r})
live = db.subscribe_query({{"todos": {{}}}})
live.get()
pid = os.fork()
assert db.query({{"todos": {{}}}}) == {{"todos": []}}
if pid == 0:
    try:
        live.get()
    except TriceError as error:
        assert error.code == "forked", error
        with db.subscribe_query({{"todos": {{}}}}) as own:
            assert own.get().data == {{"todos": []}}
        db.close()
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
db.transact(db.tx.todos["{new_id()}"].create({{"n": 1}}))
assert len(live.get().data["todos"]) == 1
db.close()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
