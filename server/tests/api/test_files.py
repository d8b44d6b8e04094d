"""Files over HTTP: upload, delete, list, signed URLs, rules (`trice.api.files`)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.conftest import Stage
from support.asgi import Exchange
from support.sign_in import SignIns, problem
from trice import file_limits
from trice.files.upload_tokens import UploadTokens
from trice.identity import ADMIN
from trice.server import open_storage

OPEN = {"$files": {"allow": {"$default": "true"}}}
DENIED = "Permission denied: not has-storage-permission?"


async def put(stage: Stage, path: str, data: bytes = b"hello", **headers: str) -> Exchange:
    given = {"content-type": "text/plain", **headers}
    return await stage.ask("PUT", "/admin/storage/upload", data, stage.admin(path=path, **given))


async def rows(stage: Stage, source: Any = None) -> list[dict[str, Any]]:
    query = {"query": {"$files": {} if source is None else source}}
    answer = await stage.ask("POST", "/admin/query", query, stage.admin())
    found: list[dict[str, Any]] = answer.json()["$files"]
    return found


async def browser(
    stage: Stage, method: str, target: str, data: Any = None, **headers: str
) -> Exchange:
    return await stage.ask(method, target, data, {"app-id": stage.app_id, **headers})


async def stored_bytes(stage: Stage, row: dict[str, Any]) -> bytes:
    pieces = stage.files.blobs.read(stage.app_id, row["content-hash"], 0, row["size"])
    return b"".join([piece async for piece in pieces])


def hinted(answer: Exchange) -> list[str]:
    found: list[str] = answer.json()["hint"]["input"]
    return found


@pytest.mark.rule("F40", "F43")
async def test_an_upload_makes_a_row_and_keeps_the_bytes(stage):
    answer = await put(stage, "a/b.txt", b"hello", **{"content-disposition": "attachment"})
    data = answer.json()["data"]
    assert answer.status == 200 and data["size"] == 5 and set(data) == {"id", "location-id", "size"}
    (row,) = await rows(stage)
    assert row["id"] == data["id"] and row["location-id"] == data["location-id"]
    assert (row["path"], row["content-type"]) == ("a/b.txt", "text/plain")
    assert row["content-disposition"] == "attachment" and row["key-version"] == 1
    assert await stored_bytes(stage, row) == b"hello"


@pytest.mark.rule("F41")
@pytest.mark.parametrize("kind", ["", "null", "undefined"])
async def test_a_type_that_says_nothing_is_the_default(stage, kind):
    await put(stage, "a", **{"content-type": kind})
    (row,) = await rows(stage)
    assert row["content-type"] == "application/octet-stream"
    assert row["content-disposition"] == "inline"


@pytest.mark.rule("F42")
async def test_an_upload_to_a_path_that_exists_keeps_id_and_gets_a_new_location(stage):
    first = (await put(stage, "a", b"one")).json()["data"]
    (before,) = await rows(stage)
    second = (await put(stage, "a", b"three")).json()["data"]
    assert second["id"] == first["id"] and second["location-id"] != first["location-id"]
    (row,) = await rows(stage)
    assert row["size"] == 5 and await stored_bytes(stage, row) == b"three"
    await stage.files.collect()
    assert await stage.files.blobs.size(stage.app_id, before["content-hash"]) is None
    assert await stage.files.blobs.size(stage.app_id, row["content-hash"]) == 5


@pytest.mark.rule("F44")
@pytest.mark.parametrize(
    ("raw", "path"), [("é".encode(), "é"), ("é".encode("latin-1"), "é"), (b" a b ", "a b")]
)
async def test_the_path_is_utf_8_or_else_latin_1(stage, raw, path):
    headers = stage.admin(path=raw.decode("utf-8", "surrogateescape"))
    assert (await stage.ask("PUT", "/admin/storage/upload", b"x", headers)).status == 200
    assert [row["path"] for row in await rows(stage)] == [path]


@pytest.mark.rule("F45")
@pytest.mark.parametrize("path", ["a\x01b", "$stream/a/1", "x" * (file_limits.PATH_BYTES_MAX + 1)])
async def test_paths_that_are_refused(stage, path):
    answer = await put(stage, path)
    assert (answer.status, answer.json()["type"]) == (400, "validation-failed")
    assert await rows(stage) == []


@pytest.mark.rule("F45")
async def test_a_path_is_required(stage):
    answer = await stage.ask("PUT", "/admin/storage/upload", b"x", stage.admin())
    assert problem(answer) == (400, "param-missing", ["headers", "path"])


@pytest.mark.rule("F46")
async def test_a_file_that_is_too_large_is_refused(open_stage):
    stage = await open_stage(file_bytes_max=10)
    for headers in ({"content-length": "11"}, {}):
        answer = await put(stage, "a", b"x" * 11, **headers)
        assert (answer.status, answer.json()["type"]) == (413, "message-too-big")
    assert (await put(stage, "a", b"x" * 10)).status == 200


@pytest.mark.rule("F47")
async def test_files_of_a_throw_away_app_have_a_bound_together(stage, monkeypatch):
    monkeypatch.setattr(file_limits, "EPHEMERAL_FILES_BYTES_MAX", 10)
    made = await stage.apps.create(title="short", is_open=True, life_ms=10**9)
    stage.app_id, stage.token = made[0].id, made[1]
    stage.apps.give_back(made[0])
    assert (await put(stage, "a", b"123456")).status == 200
    answer = await put(stage, "b", b"12345")
    assert answer.json()["hint"] == {"quota": "file-bytes", "current": 6, "limit": 10}
    assert (await put(stage, "a", b"1234567890")).status == 200


@pytest.mark.rule("F47")
async def test_the_sum_of_all_files_follows_every_change_and_holds_in_a_race(stage, monkeypatch):
    monkeypatch.setattr(file_limits, "EPHEMERAL_FILES_BYTES_MAX", 10)
    made = await stage.apps.create(title="short", is_open=True, life_ms=10**9)
    stage.app_id, stage.token = made[0].id, made[1]
    stage.apps.give_back(made[0])
    for size in (3, 1, 4):  # the same path: only the last counts
        assert (await put(stage, "a", b"x" * size)).status == 200
    await put(stage, "b", b"12")
    await stage.ask("DELETE", "/admin/storage/files?filename=b", None, stage.admin())
    answer = await put(stage, "c", b"x" * 7)
    assert answer.json()["hint"] == {"quota": "file-bytes", "current": 4, "limit": 10}
    answers = await asyncio.gather(*(put(stage, f"race {n}", b"x" * 5) for n in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 400, 400, 400, 400]
    assert sum(row["size"] for row in await rows(stage)) == 9
    assert (await put(stage, "d", b"x")).status == 200
    assert stage.files.quota.reserved.holds_nothing


@pytest.mark.rule("F50")
async def test_without_rules_everything_is_closed_to_browsers(stage):
    await put(stage, "a")
    target = f"?app_id={stage.app_id}&filename=a"
    upload = await browser(stage, "PUT", "/storage/upload", b"x", path="a")
    delete = await browser(stage, "DELETE", f"/storage/files{target}")
    view = await browser(stage, "GET", f"/storage/signed-download-url{target}")
    body = {"app_id": stage.app_id, "filename": "a"}
    sign = await browser(stage, "POST", "/storage/signed-upload-url", body)
    for answer, action in (
        (upload, "create"),
        (delete, "delete"),
        (view, "view"),
        (sign, "create"),
    ):
        assert (answer.status, answer.json()["type"]) == (400, "permission-denied")
        assert answer.json()["message"] == DENIED and hinted(answer) == ["$files", action]
    (row,) = await rows(stage)
    assert await stored_bytes(stage, row) == b"hello"


@pytest.mark.rule("F51")
async def test_rules_see_the_path_and_the_caller(stage):
    own = "auth.id != null && data.path.startsWith(auth.id + '/')"
    rules = {"$files": {"allow": {"create": own, "delete": own, "view": own}}}
    await stage.apps.set_rules(stage.app_id, rules)
    signed_in = (await SignIns(stage).sign_in())["user"]
    path, token = f"{signed_in['id']}/a", f"Bearer {signed_in['refresh_token']}"
    for _ in range(2):
        made = await browser(stage, "PUT", "/storage/upload", b"x", path=path, authorization=token)
        assert made.status == 200
    refused = await browser(stage, "PUT", "/storage/upload", b"x", path="b", authorization=token)
    assert refused.json()["type"] == "permission-denied"
    target = f"?app_id={stage.app_id}&filename={path}"
    url = await browser(stage, "GET", f"/storage/signed-download-url{target}", authorization=token)
    assert url.json()["data"].startswith(f"http://files.test/files/{stage.app_id}/")
    acting = {"as-token": signed_in["refresh_token"], "path": path}
    assert (await browser(stage, "PUT", "/admin/storage/upload", b"x", **acting)).status == 200
    gone = await browser(stage, "DELETE", f"/storage/files{target}", authorization=token)
    assert gone.json() == {"data": {"id": made.json()["data"]["id"]}}
    again = await browser(stage, "DELETE", f"/storage/files{target}", authorization=token)
    assert again.json() == {"data": {"id": None}}


@pytest.mark.rule("F52")
async def test_a_deletion_judges_every_path_before_any(stage):
    rules = {"$files": {"allow": {"delete": "data.path != 'b'"}}}
    await stage.apps.set_rules(stage.app_id, rules)
    for path in "ab":
        await put(stage, path)
    headers = {"as-guest": "true"}
    target = "/admin/storage/files/delete"
    answer = await browser(stage, "POST", target, {"filenames": ["a", "b"]}, **headers)
    assert hinted(answer) == ["$files", "delete"] and len(await rows(stage)) == 2
    answer = await stage.ask("POST", target, {"filenames": ["a", "b", "c"]}, stage.admin())
    assert len(answer.json()["data"]["ids"]) == 2 and await rows(stage) == []
    await stage.files.collect()
    assert [blob async for blob in stage.files.blobs.list(stage.app_id)] == []


@pytest.mark.rule("F53")
async def test_an_admin_lists_all_files(stage):
    data = (await put(stage, "a")).json()["data"]
    answer = await stage.ask("GET", "/admin/storage/files", None, stage.admin())
    row = {"key": data["location-id"], "name": "a", "size": 5}
    assert answer.json() == {"data": [{**row, "etag": None, "last_modified": None}]}


@pytest.mark.rule("F54")
async def test_an_upload_url_works_once_and_soon(stage):
    async def sign() -> str:
        body = {"app_id": stage.app_id, "filename": "a"}
        answer = await stage.ask("POST", "/admin/storage/signed-upload-url", body, stage.admin())
        return str(answer.json()["data"]).removeprefix("http://files.test")

    target = await sign()
    kind = {"content-type": "image/png"}
    assert (await stage.ask("PUT", target, b"x", kind)).json()["data"]["size"] == 1
    assert (await rows(stage))[0]["content-type"] == "image/png"
    late = await sign()
    forged = (await sign()).replace("/storage/", "/storage/A")
    stage.runtime.advance(file_limits.UPLOAD_URL_MS)
    for wrong in (target, late, forged, "/storage/x/consume-upload-url"):
        answer = await stage.ask("PUT", wrong, b"x")
        assert answer.json()["hint"]["data-type"] == "app-upload-url"


@pytest.mark.rule("F54")
async def test_an_upload_url_that_was_used_does_not_work_after_a_restart(stage, monkeypatch):
    monkeypatch.setattr(file_limits, "UPLOAD_URLS_USED_MAX", 2)

    async def upload(target: str) -> int:
        return (await stage.ask("PUT", target, b"x", {"content-type": "image/png"})).status

    async def sign() -> str:
        body = {"app_id": stage.app_id, "filename": "a"}
        answer = await stage.ask("POST", "/admin/storage/signed-upload-url", body, stage.admin())
        return str(answer.json()["data"]).removeprefix("http://files.test")

    def restart() -> None:
        used = open_storage(stage.settings.data_dir, runtime=stage.runtime).used_tokens
        stage.files.tokens = UploadTokens(lambda: stage.files.url_key, used)

    used, unused = await sign(), await sign()
    assert await upload(used) == 200
    restart()
    assert [await upload(used), await upload(unused), await upload(unused)] == [400, 200, 400]
    assert await upload(await sign()) == 503
    path = stage.settings.data_dir / "files" / "used-upload-urls"
    path.write_bytes(path.read_bytes()[:-40] + b"\xff")  # a stop cut the last line off
    restart()
    assert await upload(used) == 400
    for _ in range(3):
        stage.runtime.advance(file_limits.UPLOAD_URL_MS)
        assert await upload(await sign()) == 200
    assert len(path.read_text().splitlines()) <= 4


@pytest.mark.rule("F55")
async def test_developers_upload_and_delete_without_rules(stage):
    base, headers = f"/dash/apps/{stage.app_id}/storage", stage.admin(path="a")
    data = (await stage.ask("PUT", f"{base}/upload", b"x", headers)).json()["data"]
    body = {"filenames": ["a"]}
    answer = await stage.ask("POST", f"{base}/files/delete", body, headers)
    assert answer.json() == {"data": {"ids": [data["id"]]}}


@pytest.mark.rule("F60", "F61")
async def test_the_url_is_there_when_it_is_asked_for(stage):
    data = (await put(stage, "a")).json()["data"]
    (row,) = await rows(stage)
    assert f"/files/{stage.app_id}/{data['location-id']}?expires=" in row["url"]
    (named,) = await rows(stage, {"$": {"fields": ["url"]}})
    assert named == {"id": row["id"], "url": row["url"]}
    (other,) = await rows(stage, {"$": {"fields": ["path"]}})
    assert other == {"id": row["id"], "path": "a"}
    target = row["url"].removeprefix("http://files.test")
    answer = await stage.ask("GET", target)
    assert (answer.status, answer.body) == (200, b"hello")
    query = {"query": {"$files": {"$": {"where": {"url": "x"}}}}}
    refused = await stage.ask("POST", "/admin/query", query, stage.admin())
    assert refused.json()["type"] == "validation-failed"
    assert "is computed for each answer" in refused.json()["message"]
    await stage.ask("DELETE", "/admin/storage/files?filename=a", None, stage.admin())
    assert (await stage.ask("GET", target)).json()["type"] == "file-not-found"


@pytest.mark.rule("F62")
@pytest.mark.parametrize("shape", ["flat", "tree"])
async def test_live_queries_show_urls_and_renew_them_when_the_day_turns(stage, shape):
    app = await stage.apps.lend(stage.app_id)
    database, told = app.database, []
    source = {"$files": {"$": {"fields": ["url"]}}}
    question = database.question(source, identity=ADMIN, shape=shape)
    live = await database.watch(question, told.append)
    first = (await put(stage, "a")).json()["data"]["location-id"]
    await database.live.settled()
    assert first.encode() in live.answer.result_json and b"&signature=" in live.answer.result_json
    second = (await put(stage, "a", b"other")).json()["data"]["location-id"]
    await database.live.settled()
    assert (
        second.encode() in live.answer.result_json and first.encode() not in live.answer.result_json
    )
    before, count = live.answer.result_json, len(told)
    stage.runtime.advance(file_limits.DAY_MS)
    await stage.files.renew_urls()
    assert live.answer.result_json != before and len(told) == count + 1
    await stage.files.renew_urls()
    assert len(told) == count + 1
    stage.apps.give_back(app)


@pytest.mark.rule("F63")
async def test_a_deletion_by_transaction_lets_go_of_the_bytes(stage):
    first = (await put(stage, "a", b"same")).json()["data"]["id"]
    await put(stage, "b", b"same")
    for steps, left in ((["delete", "$files", first], 1), (["delete", "$files", "b"], 0)):
        if not left:
            steps[2] = (await rows(stage))[0]["id"]
        answer = await stage.ask("POST", "/admin/transact", {"steps": [steps]}, stage.admin())
        assert answer.status == 200, answer.json()
        await stage.files.collect()
        assert len([blob async for blob in stage.files.blobs.list(stage.app_id)]) == left


@pytest.mark.rule("F64")
async def test_a_move_keeps_the_url(stage):
    await put(stage, "a")
    (before,) = await rows(stage)
    for path, status in (("$stream/a/1", 400), ("b", 200)):
        steps = [["update", "$files", before["id"], {"path": path}]]
        answer = await stage.ask("POST", "/admin/transact", {"steps": steps}, stage.admin())
        assert answer.status == status
    (after,) = await rows(stage)
    assert after == {**before, "path": "b"}


@pytest.mark.rule("F65")
async def test_uploads_of_one_network_at_once_are_bounded(stage, monkeypatch):
    monkeypatch.setattr(file_limits, "UPLOADS_OF_NETWORK_MAX", 0)
    answer = await put(stage, "a")
    assert answer.json()["type"] == "overloaded"
