"""Exports of Convex that become apps."""

from __future__ import annotations

import asyncio
import os
import random
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support.archive_stage import Stage, open_stage
from support.convex_exports import ConvexExport, integer, make_id, small_chat
from support.move_stage import bytes_of, load_convex, told
from support.table_stage import rows_of
from trice import archive_limits
from trice.archive.container import list_names
from trice.archive.convex.entries import is_convex
from trice.archive.convex.propose import Choices
from trice.archive.convex.values import table_number
from trice.errors import InvalidInput
from trice.protocol.ids import AppId

SEEDS = 15


@pytest.mark.rule("AR141")
def test_ids_say_their_table() -> None:
    # From Convex's own tests: what must never change.
    assert table_number("z43zp6c3e75gkmz1kfwj6mbbx5sw281h") == 1017
    assert table_number("sssswsgggggggggsgcsssfafffsffks") is None
    for number in (1, 127, 128, 10_001, 2**31):
        made = make_id(number, bytes(range(16)))
        assert table_number(made) == number
        assert table_number(made[:-1]) is None and table_number(made + "0") is None
        assert table_number(made.upper()) is None
    for text in ("", "x", "hello world", "0" * 31, "z" * 37, "é" * 31):
        assert table_number(text) is None


@pytest.mark.rule("AR140", "AR141", "AR144")
@pytest.mark.parametrize("folder", ["", "snapshot-2026/"])
async def test_an_export_becomes_an_app(stage: Stage, tmp_path: Path, folder: str) -> None:
    chat = small_chat()
    path = chat.write(tmp_path / "chat.zip", folder)
    assert is_convex(list_names(path))
    report = await load_convex(stage, path)
    assert report.entities == {"channels": 1, "empty": 0, "messages": 2, "users": 2, "$files": 1}
    query: dict[str, Any] = {
        "messages": {"author": {}, "channel": {"members": {}}, "reply": {}, "pictures": {}},
        "users": {"image": {}, "messages": {}, "channels": {}},
        "$files": {"users": {}, "messages": {}},
    }
    found = await rows_of(stage, report.app_id, query)
    hello, reply = found["messages"]
    assert hello["text"] == "hello" and hello["author"][0]["name"] == "Ada"
    members = hello["channel"][0]["members"]
    assert sorted(each["name"] for each in members) == ["Ada", "Bob"]
    assert reply["reply"][0]["id"] == hello["id"] and hello["reply"] == []
    (original,) = (each for each in chat.tables["messages"] if each["text"] == "hello")
    assert hello["_id"] == original["_id"]
    assert hello["_creationTime"] == original["_creationTime"]
    assert hello["pictures"][0]["path"].startswith("storage/")
    assert [each["text"] for each in found["users"][0]["messages"]] == ["hello"]
    (file,) = found["$files"]
    assert file["content-type"] == "image/png" and file["size"] == 3004 and file["users"]
    assert bytes_of(stage, report.app_id, file["content-hash"]) == b"\x89PNG" + bytes(3000)
    assert (report.files, report.file_bytes) == (1, 3004)
    row = stage.registry.find(AppId(report.app_id))
    assert row is not None and not row.is_open
    async with stage.database(report.app_id) as database:
        attr = database.catalog.find_forward("messages", "_id")
        assert attr is not None and attr.is_unique and attr.is_indexed
        made = database.catalog.find_forward("messages", "_creationTime")
        assert made is not None and made.is_indexed and made.checked_type == "number"
        assert database.catalog.find_forward("empty", "id") is not None
        first = await database.look(
            lambda look: look.find({"messages": {"$": {"order": {"serverCreatedAt": "desc"}}}})
        )
    assert first["messages"][0]["text"] == "and you?"


@pytest.mark.rule("AR143")
async def test_values_of_convex_are_plain_json(stage: Stage, tmp_path: Path) -> None:
    chat = small_chat()
    chat.add("messages", {"count": 7, "nested": {"$integer": "no base64!"}, "text": "odd"})
    report = await load_convex(stage, chat.write(tmp_path / "chat.zip"))
    found = await rows_of(stage, report.app_id, {"messages": {}})
    hello, odd = (each for each in found["messages"] if each["text"] in ("hello", "odd"))
    assert hello["count"] == 42 and hello["large"] == 2**60 and hello["ratio"] is None
    assert hello["raw"] == "ABCD" and hello["nested"]["when"] == 1
    assert hello["nested"]["by"] == chat.tables["users"][1]["_id"]
    assert odd["count"] == 7 and odd["nested"] == {"$integer": "no base64!"}
    notes = told(report.notes)
    for text in (
        "1 ids inside of objects of `messages` stay texts",
        "1 integers of `messages` are beyond 2^53",
        "1 numbers of `messages` are infinite or NaN",
        "1 values of bytes in `messages` become texts in base64",
        "Functions, indexes and validators are in no export",
        "The app is closed",
    ):
        assert text in notes, text
    assert "older form" not in notes
    chat.schema = '"{\\"count\\": int64}"'
    kept = await load_convex(
        stage, chat.write(tmp_path / "old.zip"), types=["messages.large=string"]
    )
    assert "older form" in told(kept.notes)
    found = await rows_of(stage, kept.app_id, {"messages": {}})
    assert [row["large"] for row in found["messages"] if "large" in row] == [str(2**60)]


@pytest.mark.rule("AR141", "AR142")
async def test_columns_become_links_only_if_rows_exist(stage: Stage, tmp_path: Path) -> None:
    made = ConvexExport()
    user = made.add("users", {"name": "Ada"})
    gone = made.new_id("users")
    thread = made.add("_components/agent/threads", {"title": "t"})
    foreign = make_id(77_777, bytes(16))
    for each in (user, gone, user):
        made.add(
            "notes", {"by": each, "was": gone, "thread": thread, "far": foreign, "mixed": each}
        )
    made.add("notes", {"by": None, "mixed": "somebody", "list": [user, thread]})
    path = made.write(tmp_path / "notes.zip")
    # Threads have the number that users have: both tables are the first of their component.
    assert table_number(thread) == table_number(user)
    with pytest.raises(
        InvalidInput, match=r"1 rows link by `by` to no `users.id`: line 2"
    ) as failed:
        await load_convex(stage, path)
    assert failed.value.message.endswith("With --drop-dangling these links are left out.")
    assert stage.left() == []
    report = await load_convex(stage, path, drops_dangling=True)
    found = await rows_of(stage, report.app_id, {"notes": {"by": {}}})
    assert [len(row["by"]) for row in found["notes"]] == [1, 0, 1, 0]
    first = found["notes"][0]
    assert (first["was"], first["thread"], first["far"]) == (gone, thread, foreign)
    assert first["mixed"] == user and "1 rows link by `by`" in told(report.notes)
    assert "stay texts: notes.far, notes.was, notes.thread" in told(report.notes)
    assert "Tables of components do not come: agent/threads" in told(report.notes)
    assert "--include-file-storage" in told(report.notes)
    # Somebody may say otherwise, either way.
    texts = await load_convex(
        stage, path, types=["notes.by=string"], links=["notes.was=users.name"], drops_dangling=True
    )
    found = await rows_of(stage, texts.app_id, {"notes": {"was": {}}})
    assert found["notes"][1]["by"] == gone and found["notes"][1]["was"] == []


@pytest.mark.rule("AR145", "AR146")
async def test_components_auth_and_users(stage: Stage, tmp_path: Path) -> None:
    made = ConvexExport()
    ada = made.add("users", {"email": " Ada@X.io", "type": "admin", "name": "Ada"})
    made.add("users", {"email": "", "isAnonymous": True})
    made.add("users", {"email": "no address"})
    made.add("authAccounts", {"userId": ada, "provider": "password", "secret": "scrypt…"})
    session = made.add("authSessions", {"userId": ada})
    made.add("authRefreshTokens", {"sessionId": session})
    made.add("posts", {"author": ada})
    thread = made.add("_components/agent/threads", {"title": "t"})
    made.add("_components/agent/messages", {"thread": thread})
    made.add("_scheduled_functions", {"name": "f"})
    path = made.write(tmp_path / "auth.zip")
    report = await load_convex(stage, path)
    assert report.entities == {"posts": 1, "users": 3}
    assert "Tables of Convex Auth do not come: authAccounts, authRefreshTokens, authSessions" in (
        told(report.notes)
    )
    assert "Import with --users users." in told(report.notes)
    assert "Tables of Convex itself do not come: _scheduled_functions" in told(report.notes)
    choices = Choices({"authAccounts": "logins"}, "users", has_components=True)
    report = await load_convex(stage, path, choices)
    assert report.entities == {
        "agent_messages": 1,
        "agent_threads": 1,
        "logins": 1,
        "posts": 1,
        "$users": 3,
    }
    query: dict[str, Any] = {
        "posts": {"author": {}},
        "$users": {"logins": {}},
        "agent_messages": {"thread": {}},
    }
    found = await rows_of(stage, report.app_id, query)
    author = found["posts"][0]["author"][0]
    assert author["email"] == "ada@x.io" and author["type_"] == "admin" and author["_id"] == ada
    assert found["agent_messages"][0]["thread"][0]["title"] == "t"
    emails = [each.get("email") for each in found["$users"]]
    assert emails == ["ada@x.io", None, "no address"]
    assert "1 users have an e-mail address that nobody can sign in with" in told(report.notes)
    for wrong, option in ((Choices(users="people"), "--users"), (Choices({"x": "y"}), "--namesp")):
        with pytest.raises(InvalidInput, match=f"^{option}.*the export has no table"):
            await load_convex(stage, path, wrong)
    made.add("users", {"email": "ADA@x.io"})
    with pytest.raises(
        InvalidInput, match=r"^users/documents\.jsonl: 1 rows have the same `email`"
    ):
        await load_convex(stage, made.write(path), Choices(users="users"))


def broken(path: Path, change: str) -> None:
    """Write an export in which something is wrong."""
    chat = small_chat()
    match change:
        case "traversal":
            chat.more["../../etc/documents.jsonl"] = b"{}\n"
        case "absolute":
            chat.more["/etc/documents.jsonl"] = b"{}\n"
        case "backslash":
            chat.more["_storage/..\\x"] = b"x"
        case "unknown":
            chat.more["run.sh"] = b"x"
        case "no json":
            chat.more["todos/documents.jsonl"] = b'{"_id": "1"}\n{"_id": \n'
        case "no object":
            chat.more["todos/documents.jsonl"] = b"[1]\n"
        case "deep":
            chat.more["todos/documents.jsonl"] = b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}\n"
        case "no id":
            chat.more["todos/documents.jsonl"] = b'{"_id": "1"}\n{"a": 1}\n'
        case "twin":
            chat.add("channels", {}, id=chat.tables["channels"][0]["_id"])
        case "no bytes":
            chat.stored.clear()
        case "other bytes":
            chat.stored = dict.fromkeys(chat.stored, b"\x89PNG" + bytes(2999) + b"x")
        case "other hash":
            chat.file(b"x", None, sha256="A" * 43 + "=")
        case "header":
            chat.file(b"x", "text/plain\r\nx: y")
        case "two bytes":
            name = next(iter(chat.stored)).removesuffix(".png")
            chat.more[f"{name}.gif"] = b"x"
        case "cut":
            whole = chat.write(path).read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            return
        case "bomb":
            chat.more["todos/documents.jsonl"] = b" " * 3_000_000
        case _:
            raise AssertionError(change)
    chat.write(path)


@pytest.mark.rule("AR148")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("traversal", "^../../etc/documents.jsonl: no export of Convex has such an entry"),
        ("absolute", "^/etc/documents.jsonl: no export of Convex has such an entry"),
        ("backslash", "no export of Convex has such an entry"),
        ("unknown", "^run.sh: no export of Convex has such an entry"),
        ("no json", "^todos/documents.jsonl line 2: the line is no JSON"),
        ("no object", "^todos/documents.jsonl line 1: a line is an object"),
        ("deep", "^todos/documents.jsonl line 1: .*(nested too deeply|levels)"),
        ("no id", "^todos/documents.jsonl: 1 rows have no `_id`.*: line 2"),
        ("twin", "^channels/documents.jsonl: 1 rows have the same `_id`.*line 2"),
        ("no bytes", "^_storage/documents.jsonl line 1: there is no entry"),
        ("other bytes", "^_storage/documents.jsonl line 1: `content-hash` is .*damaged"),
        ("other hash", "^_storage/documents.jsonl line 2: `content-hash` is .*damaged"),
        ("header", "^_storage/documents.jsonl line 2: Malformed parameter"),
        ("two bytes", "there are two files with this id"),
        ("cut", "it is no zip file, or not whole"),
        ("bomb", "this looks like a trap"),
    ],
)
async def test_hostile_exports_leave_nothing(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, said: str
) -> None:
    monkeypatch.setattr(archive_limits, "RATIO_FREE_BYTES", 1_000_000)
    path = tmp_path / "x.zip"
    broken(path, change)
    with pytest.raises(InvalidInput, match=said):
        await load_convex(stage, path)
    assert stage.left() == []
    assert sorted(os.listdir(tmp_path)) == ["data", "x.zip"]
    assert await stage.registry.rows() == []


@pytest.mark.rule("AR148")
async def test_a_damaged_byte_is_found(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    made = ConvexExport()
    for each in range(200):
        made.add("notes", {"text": made.random.randbytes(30).hex(), "at": integer(each)})
    made.write(path)
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("notes/documents.jsonl").header_offset + 3_000
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"^notes/documents\.jsonl"):
        await load_convex(stage, path)
    assert stage.left() == []


@pytest.mark.rule("AR90", "AR148")
async def test_a_stop_leaves_nothing(tmp_path: Path) -> None:
    made = small_chat()
    for each in range(60):
        made.file(b"%d" % each, None)
    for _ in range(3_000):
        made.add("messages", {"text": "x"})
    path = made.write(tmp_path / "x.zip")
    stopped = 0
    for turns in (1, 10, 40, 100, 300):
        async with open_stage(tmp_path / "data") as stage:
            work = asyncio.ensure_future(load_convex(stage, path))
            for _ in range(turns):
                await asyncio.sleep(0)
            stopped += work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
        async with open_stage(tmp_path / "data") as stage:
            assert stage.left() == []
    assert stopped == 5


@pytest.mark.rule("AR149")
async def test_memory_does_not_grow_with_an_export(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_limits, "PIECE_BYTES", 64 * 1024)

    async def peak_bytes(rows: int) -> int:
        made = ConvexExport()
        first = made.add("notes", {"text": "x" * 100})
        for _ in range(rows):
            first = made.add("notes", {"text": "x" * 100, "before": first})
        path = made.write(tmp_path / "notes.zip")
        del made
        tracemalloc.start()
        try:
            await load_convex(stage, path)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = await peak_bytes(10_000), await peak_bytes(25_000)
    assert large - small < 1024**2


@pytest.mark.rule("AR148")
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_spoilt_exports_are_refused_or_read(stage: Stage, tmp_path: Path, seed: int) -> None:
    """Whatever bytes are wrong: an error with a place and nothing left, or an app."""
    draw = random.Random(seed)
    path = small_chat().write(tmp_path / "x.zip")
    spoilt = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 4, 40))):
        at = draw.randrange(len(spoilt))
        spoilt[at] ^= 1 << draw.randrange(8)
    path.write_bytes(spoilt)
    try:
        await load_convex(stage, path, drops_dangling=True)
    except InvalidInput as failure:
        assert ": " in failure.message
        assert stage.left() == []
