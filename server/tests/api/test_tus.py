"""Resumable uploads, over HTTP and below (`trice.api.tus`, `trice.files.resumable`).

A little over 500 lines, one file because all tests share the ways to make uploads and add to them.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.conftest import Stage
from support.asgi import Exchange
from support.http_wire import until
from trice import file_limits
from trice.errors import Conflict, TriceError, Unavailable
from trice.files.partials import Partial
from trice.files.quota import Quota
from trice.files.resumable import ResumableUploads
from trice.identity import ADMIN
from trice.server import open_storage

BASE = "/admin/storage/tus"
PART = "application/offset+octet-stream"
OPEN = {"$files": {"allow": {"$default": "true"}}}


def metadata(**values: str) -> str:
    return ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in values.items())


async def ask(
    stage: Stage, method: str, target: str, data: bytes = b"", **headers: Any
) -> Exchange:
    """A request of the app's admin. Names of headers have `_` for `-`."""
    given = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return await stage.ask(method, target, data, stage.admin(**{"tus-resumable": "1.0.0", **given}))


async def create(stage: Stage, length: int, path: str = "a.txt", **more: Any) -> Exchange:
    given = metadata(path=path, filetype="text/plain")
    return await ask(
        stage, "POST", BASE, upload_length=length, **{"upload_metadata": given, **more}
    )


async def begin(stage: Stage, length: int, path: str = "a.txt") -> str:
    """The URL of a new upload."""
    made = await create(stage, length, path)
    assert made.status == 201, made.body
    return made.headers["location"]


async def add(stage: Stage, url: str, offset: int, data: bytes, **more: Any) -> Exchange:
    given = {"upload_offset": offset, "content_type": PART, **more}
    return await ask(stage, "PATCH", url, data, **given)


async def offset_of(stage: Stage, url: str) -> int:
    told = await ask(stage, "HEAD", url)
    assert told.status == 200, told.status
    return int(told.headers["upload-offset"])


async def rows(stage: Stage) -> list[dict[str, Any]]:
    answer = await stage.ask("POST", "/admin/query", {"query": {"$files": {}}}, stage.admin())
    found: list[dict[str, Any]] = answer.json()["$files"]
    return found


async def stored(stage: Stage, row: dict[str, Any]) -> bytes:
    pieces = stage.files.blobs.read(stage.app_id, row["content-hash"], 0, row["size"])
    return b"".join([piece async for piece in pieces])


def left(stage: Stage) -> list[str]:
    """Names of the files of uploads in parts, and of spooled ones."""
    folder = stage.settings.data_dir / "files"
    return sorted(path.name for name in ("partial", "spool") for path in (folder / name).iterdir())


def resumable(stage: Stage) -> ResumableUploads:
    found: ResumableUploads = stage.asgi.state.resumable
    return found


def partial_of(stage: Stage, url: str) -> Partial:
    found = stage.files.partials.find(url.rpartition("/")[2])
    assert found is not None
    return found


def restart(stage: Stage) -> None:
    """What a server finds that starts on the files as they are now."""
    stage.files.partials = open_storage(stage.settings.data_dir, runtime=stage.runtime).partials
    stage.files.quota = Quota(stage.files.partials.reserved)
    stage.asgi.state.resumable = ResumableUploads(stage.files, runtime=stage.runtime)


@pytest.mark.rule("F130", "F131", "F132")
async def test_parts_become_a_file_when_the_last_is_there(stage):
    url = await begin(stage, 10)
    first = await add(stage, url, 0, b"hello")
    assert (first.status, first.headers["upload-offset"]) == (204, "5")
    assert await rows(stage) == [] and await offset_of(stage, url) == 5
    last = await add(stage, url, 5, b"world")
    assert (last.status, last.headers["upload-offset"]) == (204, "10")
    (row,) = await rows(stage)
    assert (row["path"], row["size"], row["content-type"]) == ("a.txt", 10, "text/plain")
    assert await stored(stage, row) == b"helloworld"
    assert row["content-hash"] == hashlib.sha256(b"helloworld").hexdigest()
    assert last.headers["trice-file-id"] == row["id"]
    assert last.headers["trice-location-id"] == row["location-id"]
    assert [name.rpartition(".")[2] for name in left(stage)] == ["record"]


@pytest.mark.rule("F131")
@pytest.mark.parametrize(
    ("key", "value", "attr", "kept"),
    [
        ("contentType", "image/png", "content-type", "image/png"),
        ("type", "null", "content-type", "application/octet-stream"),
        ("contentDisposition", "attachment", "content-disposition", "attachment"),
        ("filename", "b.txt", "path", "a.txt"),
    ],
)
async def test_metadata_says_what_headers_say_of_other_uploads(stage, key, value, attr, kept):
    given = metadata(**{key: value, "path": "a.txt"})
    made = await create(stage, 1, upload_metadata=given)
    await add(stage, made.headers["location"], 0, b"x")
    assert [row[attr] for row in await rows(stage)] == [kept]
    told = await ask(stage, "HEAD", made.headers["location"])
    assert told.headers["upload-metadata"] == given
    assert told.headers["cache-control"] == "no-store"


@pytest.mark.rule("F131")
@pytest.mark.parametrize(
    "given", ["", "path", "path !!!", "path /w==", "x" * 5_000, metadata(other="a")]
)
async def test_metadata_without_a_path_and_malformed_metadata_are_refused(stage, given):
    answer = await create(stage, 1, upload_metadata=given)
    assert (answer.status, answer.json()["type"]) == (400, "param-malformed")
    assert answer.json()["hint"]["in"] == ["headers", "upload-metadata"]
    assert left(stage) == []


@pytest.mark.rule("F45", "F131")
@pytest.mark.parametrize("path", ["a\x01b", "$stream/a/1", "x" * 1_025])
async def test_paths_of_files_are_checked_at_the_beginning(stage, path):
    answer = await create(stage, 1, path)
    assert (answer.status, answer.json()["type"]) == (400, "validation-failed")


@pytest.mark.rule("F133")
async def test_the_first_part_may_come_with_the_beginning_and_an_empty_file_has_no_part(stage):
    given = {"upload_length": 5, "upload_metadata": metadata(path="b"), "content_type": PART}
    made = await ask(stage, "POST", BASE, b"hello", **given)
    assert (made.status, made.headers["upload-offset"]) == (201, "5")
    empty = await create(stage, 0, "empty")
    assert (empty.status, empty.headers["upload-offset"]) == (201, "0")
    assert sorted((row["path"], row["size"]) for row in await rows(stage)) == [
        ("b", 5),
        ("empty", 0),
    ]


@pytest.mark.rule("F134")
async def test_a_part_at_another_offset_changes_nothing(stage):
    url = await begin(stage, 10)
    await add(stage, url, 0, b"hello")
    for offset in (0, 4, 6, 10):
        answer = await add(stage, url, offset, b"wrong")
        assert (answer.status, answer.json()["type"]) == (409, "upload-offset-wrong")
        assert answer.json()["hint"]["offset"] == 5
    await add(stage, url, 5, b"world")
    (row,) = await rows(stage)
    assert await stored(stage, row) == b"helloworld"


@pytest.mark.rule("F134")
async def test_more_bytes_than_the_length_are_refused(stage):
    url = await begin(stage, 10)
    answer = await add(stage, url, 0, b"x" * 11)
    assert (answer.status, answer.json()["type"]) == (413, "message-too-big")
    assert await offset_of(stage, url) == 0


class Body:
    """The body of a part, which the test sends piece by piece."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self.pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece


async def adding(stage: Stage, url: str, offset: int, body: Body) -> asyncio.Task[None]:
    """A request that adds what the body says; returns once it has the upload."""
    app = await stage.apps.lend(stage.app_id)
    partial = partial_of(stage, url)

    async def work() -> None:
        try:
            await resumable(stage).append(
                *(app, partial, offset, aiter(body)),
                network="n",
                checksum=None,
                check=lambda look, path: None,
            )
        finally:
            stage.apps.give_back(app)

    task = asyncio.ensure_future(work())
    await until(lambda: partial.interruption is not None)
    return task


@pytest.mark.rule("F135")
async def test_one_of_two_parts_at_a_time_wins(stage):
    url, body = await begin(stage, 10), Body()
    first = await adding(stage, url, 0, body)
    answer = await add(stage, url, 0, b"other")
    assert (answer.status, answer.json()["type"]) == (423, "upload-busy")
    for piece in (b"hello", b"world", None):
        body.pieces.put_nowait(piece)
    await first
    (row,) = await rows(stage)
    assert await stored(stage, row) == b"helloworld"


@pytest.mark.rule("F136")
async def test_whoever_asks_for_the_offset_ends_a_part_that_hangs_and_its_bytes_stay(stage):
    url, body = await begin(stage, 10), Body()
    hanging = await adding(stage, url, 0, body)
    body.pieces.put_nowait(b"hello")
    await until(body.pieces.empty)
    assert await offset_of(stage, url) == 5
    with pytest.raises(Conflict, match="Another request came"):
        await hanging
    assert (await add(stage, url, 5, b"world")).status == 204
    (row,) = await rows(stage)
    assert await stored(stage, row) == b"helloworld"


@pytest.mark.rule("F136", "F141")
async def test_whoever_deletes_an_upload_ends_a_part_that_hangs(stage):
    url, body = await begin(stage, 10), Body()
    hanging = await adding(stage, url, 0, body)
    body.pieces.put_nowait(b"hello")
    assert (await ask(stage, "DELETE", url)).status == 204
    with pytest.raises(Conflict, match="Another request came"):
        await hanging
    assert left(stage) == [] and stage.files.partials.holds_nothing


@pytest.mark.rule("F135", "F138")
async def test_who_asks_waits_until_an_upload_is_stored(stage, monkeypatch):
    url, gate = await begin(stage, 5), asyncio.Event()
    put = stage.files.blobs.put

    async def slow(app_id: str, spooled: Any) -> None:
        await gate.wait()
        await put(app_id, spooled)

    monkeypatch.setattr(stage.files.blobs, "put", slow)
    storing = asyncio.ensure_future(add(stage, url, 0, b"hello"))
    await until(lambda: partial_of(stage, url).offset == 5)
    monkeypatch.setattr(file_limits, "PARTIAL_WAIT_MS", 0)
    assert (await ask(stage, "HEAD", url)).status == 423
    monkeypatch.undo()
    asking = asyncio.ensure_future(offset_of(stage, url))
    await asyncio.sleep(0)
    gate.set()
    assert (await storing).status == 204 and await asking == 5
    assert len(await rows(stage)) == 1


@pytest.mark.rule("F136")
async def test_a_client_that_leaves_in_a_part_goes_on_where_its_bytes_ended(stage):
    url, body = await begin(stage, 10), Body()
    leaving = await adding(stage, url, 0, body)
    body.pieces.put_nowait(b"hel")
    body.pieces.put_nowait(ConnectionError("left"))
    with pytest.raises(ConnectionError):
        await leaving
    assert await offset_of(stage, url) == 3
    await add(stage, url, 3, b"loworld")
    (row,) = await rows(stage)
    assert await stored(stage, row) == b"helloworld"


@pytest.mark.rule("F137")
async def test_unfinished_uploads_outlive_the_server(stage, monkeypatch):
    monkeypatch.setattr(file_limits, "HASH_BYTES", 4)
    url = await begin(stage, 10)
    await add(stage, url, 0, b"hello")
    restart(stage)
    assert await offset_of(stage, url) == 5
    await add(stage, url, 5, b"world")
    (row,) = await rows(stage)
    assert await stored(stage, row) == b"helloworld"
    restart(stage)
    assert await offset_of(stage, url) == 10


@pytest.mark.rule("F137")
async def test_the_offset_is_what_was_synced_not_what_was_written(stage):
    url, body = await begin(stage, 10), Body()
    hanging = await adding(stage, url, 0, body)
    partial = partial_of(stage, url)
    body.pieces.put_nowait(b"hello")
    await until(body.pieces.empty)
    assert partial.offset == 0
    stage.runtime.advance(file_limits.PARTIAL_SYNC_MS)
    body.pieces.put_nowait(b"w")  # more comes after that time: all of it is synced
    await until(lambda: partial.offset > 0)
    folder = stage.settings.data_dir / "files" / "partial"
    record = (folder / f"{partial.id}.record").read_bytes()
    assert int(record.split()[0]) == partial.offset == 6
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


@pytest.mark.rule("F137")
async def test_bytes_past_the_offset_do_not_count_after_a_stop(stage):
    url = await begin(stage, 10)
    await add(stage, url, 0, b"hello")
    data = stage.settings.data_dir / "files" / "partial" / f"{partial_of(stage, url).id}.bytes"
    data.write_bytes(b"hellogarbage")
    restart(stage)
    await add(stage, url, 5, b"world")
    (row,) = await rows(stage)
    assert await stored(stage, row) == b"helloworld"


@pytest.mark.rule("F137")
@pytest.mark.parametrize("damage", ["record", "short", "gone", "alone"])
async def test_what_is_damaged_on_disk_is_forgotten_and_keeps_no_other(stage, damage, caplog):
    url, other = await begin(stage, 10), await begin(stage, 10, "b")
    await add(stage, url, 0, b"hello")
    folder = stage.settings.data_dir / "files" / "partial"
    id = partial_of(stage, url).id
    if damage == "record":
        (folder / f"{id}.record").write_bytes(b"{}")
    elif damage == "short":
        (folder / f"{id}.bytes").write_bytes(b"hell")
    elif damage == "gone":
        (folder / f"{id}.bytes").unlink()
    else:
        (folder / f"{id}.record").unlink()
    restart(stage)
    answer = await ask(stage, "HEAD", url)
    assert answer.status == 404
    assert await offset_of(stage, other) == 0
    assert not [name for name in left(stage) if name.startswith(id)]


@pytest.mark.rule("F138")
async def test_what_is_whole_and_not_stored_is_stored_by_who_asks(stage, monkeypatch):
    url = await begin(stage, 5)
    put = stage.files.blobs.put

    async def fail(app_id: str, spooled: Any) -> None:
        spooled.discard()
        raise Unavailable("overloaded", "The bucket is not reached.")

    monkeypatch.setattr(stage.files.blobs, "put", fail)
    assert (await add(stage, url, 0, b"hello")).status == 503
    assert (await ask(stage, "HEAD", url)).status == 503
    restart(stage)
    monkeypatch.setattr(stage.files.blobs, "put", put)
    assert await rows(stage) == []
    assert await offset_of(stage, url) == 5
    (row,) = await rows(stage)
    assert await stored(stage, row) == b"hello"
    assert left(stage) == [f"{url.rpartition('/')[2]}.record"]


@pytest.mark.rule("F139")
async def test_rules_are_asked_at_the_beginning_and_again_at_the_end(stage):
    url = f"/storage/tus?app_id={stage.app_id}"
    headers = {
        "tus-resumable": "1.0.0",
        "upload-length": "5",
        "upload-metadata": metadata(path="a"),
    }
    refused = await stage.ask("POST", url, None, headers)
    assert (refused.status, refused.json()["type"]) == (400, "permission-denied")
    assert left(stage) == []
    await stage.apps.set_rules(stage.app_id, OPEN)
    made = await stage.ask("POST", url, None, headers)
    assert made.status == 201
    place = made.headers["location"]
    await stage.apps.set_rules(stage.app_id, {"$files": {"allow": {"create": "false"}}})
    part = {"tus-resumable": "1.0.0", "upload-offset": "0", "content-type": PART}
    late = await stage.ask("PATCH", place, b"hello", part)
    assert (late.status, late.json()["type"]) == (400, "permission-denied")
    assert await rows(stage) == [] and left(stage) == []


@pytest.mark.rule("F150")
async def test_a_client_chooses_the_id_of_a_new_row_and_of_no_other(stage):
    chosen = "0197f3d2-0000-7000-8000-00000000000A"
    made = await create(stage, 5, upload_metadata=metadata(path="a", fileId=chosen))
    url = made.headers["location"]
    restart(stage)
    last = await add(stage, url, 0, b"hello")
    (row,) = await rows(stage)
    assert row["id"] == last.headers["trice-file-id"] == chosen.lower()
    assert int(last.headers["trice-tx-id"]) > 0
    restart(stage)
    told = await ask(stage, "HEAD", url)
    assert told.headers["trice-tx-id"] == last.headers["trice-tx-id"]

    # The path keeps its row, whatever id is wanted.
    other = chosen.replace("A", "b")
    again = await create(stage, 3, upload_metadata=metadata(path="a", fileId=other))
    last = await add(stage, again.headers["location"], 0, b"new")
    assert last.headers["trice-file-id"] == row["id"]
    assert [(each["id"], each["size"]) for each in await rows(stage)] == [(row["id"], 3)]


@pytest.mark.rule("F150")
async def test_an_id_that_another_file_has_is_refused_and_its_file_stays(stage):
    chosen = "0197f3d2-0000-7000-8000-00000000000a"
    late = await create(stage, 5, upload_metadata=metadata(path="late", fileId=chosen))
    made = await create(stage, 1, upload_metadata=metadata(path="first", fileId=chosen))
    await add(stage, made.headers["location"], 0, b"x")
    refused = await create(stage, 5, upload_metadata=metadata(path="b", fileId=chosen))
    assert (refused.status, refused.json()["type"]) == (400, "record-not-unique")
    end = await add(stage, late.headers["location"], 0, b"hello")
    assert (end.status, end.json()["type"]) == (400, "record-not-unique")
    assert (await ask(stage, "HEAD", late.headers["location"])).status == 404
    (row,) = await rows(stage)
    assert (row["path"], await stored(stage, row)) == ("first", b"x")
    odd = await create(stage, 5, upload_metadata=metadata(path="b", fileId="7"))
    assert (odd.status, odd.json()["type"]) == (400, "param-malformed")


@pytest.mark.rule("F140")
async def test_nobody_else_goes_on_with_an_upload(stage):
    await stage.apps.set_rules(stage.app_id, OPEN)
    url = await begin(stage, 5)
    guest = {"tus-resumable": "1.0.0", "upload-offset": "0", "content-type": PART}
    for target in (url.replace("/admin", ""), url.replace(url[-8:], "00000000")):
        for method in ("PATCH", "HEAD", "DELETE"):
            answer = await stage.ask(method, target, b"other", {"app-id": stage.app_id, **guest})
            assert answer.status == 404 if "/admin" not in target else answer.status in (400, 404)
    assert await offset_of(stage, url) == 0


@pytest.mark.rule("F141")
async def test_an_upload_that_is_deleted_or_expired_is_gone_with_its_bytes(stage):
    url, late = await begin(stage, 5), await begin(stage, 5, "late")
    assert (await ask(stage, "DELETE", url)).status == 204
    for method in ("HEAD", "DELETE"):
        assert (await ask(stage, method, url)).status == 404
    stage.runtime.advance(file_limits.PARTIAL_MS - 1_000)
    assert (await add(stage, late, 0, b"he")).status == 204
    stage.runtime.advance(file_limits.PARTIAL_MS - 1_000)
    told = await ask(stage, "HEAD", late)
    assert told.headers["upload-expires"].endswith(" GMT")
    stage.runtime.advance(1_000)
    assert (await ask(stage, "HEAD", late)).status == 404
    await stage.files.sweep_partials()
    assert left(stage) == []


@pytest.mark.rule("F141")
async def test_uploads_of_a_deleted_app_are_swept(stage):
    await begin(stage, 5)
    await stage.apps.delete(stage.app_id)
    await stage.files.sweep_partials()
    assert left(stage) == []


@pytest.mark.rule("F142")
@pytest.mark.parametrize("name", ["PARTIALS_MAX", "PARTIALS_OF_APP_MAX", "PARTIALS_OF_NETWORK_MAX"])
async def test_unfinished_uploads_are_bounded_in_number(stage, monkeypatch, name):
    monkeypatch.setattr(file_limits, name, 2)
    urls = [await begin(stage, 1, str(number)) for number in range(2)]
    assert (await create(stage, 1)).status == 503
    await add(stage, urls[0], 0, b"x")
    assert (await create(stage, 1)).status == 201


@pytest.mark.rule("F142")
@pytest.mark.parametrize(
    "name", ["PARTIAL_FILES_MAX", "PARTIAL_FILES_OF_APP_MAX", "PARTIAL_FILES_OF_NETWORK_MAX"]
)
async def test_unfinished_uploads_are_bounded_in_bytes(open_stage, monkeypatch, name):
    monkeypatch.setattr(file_limits, name, 1)
    stage = await open_stage(file_bytes_max=10)
    one, two = await begin(stage, 10), await begin(stage, 10, "b")
    assert (await add(stage, one, 0, b"123456")).status == 204
    assert (await add(stage, two, 0, b"12345")).status == 503
    restart(stage)
    stage.files.partials.file_bytes_max = 10
    assert (await add(stage, two, 0, b"12345")).status == 503
    assert (await add(stage, one, 6, b"7890")).status == 204
    assert (await add(stage, two, 0, b"12345")).status == 204


@pytest.mark.rule("F142")
async def test_stored_uploads_are_remembered_up_to_a_number_and_a_time(stage, monkeypatch):
    monkeypatch.setattr(file_limits, "STORED_PARTIALS_MAX", 1)
    urls = [await begin(stage, 1, str(number)) for number in range(2)]
    for url in urls:
        await add(stage, url, 0, b"x")
    assert (await ask(stage, "HEAD", urls[0])).status == 404
    assert await offset_of(stage, urls[1]) == 1
    again = await add(stage, urls[1], 1, b"")
    assert (again.status, len(await rows(stage))) == (204, 2)
    stage.runtime.advance(file_limits.STORED_PARTIAL_MS)
    assert (await ask(stage, "HEAD", urls[1])).status == 404


@pytest.mark.rule("F143")
async def test_the_quota_of_a_throw_away_app_counts_what_is_unfinished(stage, monkeypatch):
    monkeypatch.setattr(file_limits, "EPHEMERAL_FILES_BYTES_MAX", 10)
    made = await stage.apps.create(title="short", is_open=True, life_ms=10**9)
    stage.app_id, stage.token = made[0].id, made[1]
    stage.apps.give_back(made[0])
    url = await begin(stage, 6)
    refused = await create(stage, 5, "b")
    assert refused.json()["hint"] == {"quota": "file-bytes", "current": 6, "limit": 10}
    plain = await stage.ask("PUT", "/admin/storage/upload", b"12345", stage.admin(path="c"))
    assert plain.json()["type"] == "app-quota-exceeded"
    await add(stage, url, 0, b"123456")
    assert (await create(stage, 10)).status == 201  # it takes the place of the first
    assert (await create(stage, 1, "c")).json()["type"] == "app-quota-exceeded"


@pytest.mark.rule("F143", "F46")
async def test_a_file_that_is_too_large_is_refused_at_the_beginning(open_stage):
    stage = await open_stage(file_bytes_max=10)
    answer = await create(stage, 11)
    assert (answer.status, answer.json()["type"]) == (413, "message-too-big")
    told = await stage.ask("OPTIONS", BASE)
    assert (told.status, told.headers["tus-max-size"]) == (204, "10")


@pytest.mark.rule("F144")
@pytest.mark.parametrize("name", ["sha1", "sha256"])
async def test_a_part_with_another_checksum_is_dropped(stage, name):
    url = await begin(stage, 10)
    digest = b64encode(hashlib.new(name, b"hello").digest()).decode()
    wrong = await add(stage, url, 0, b"hallo", upload_checksum=f"{name} {digest}")
    assert (wrong.status, wrong.json()["type"]) == (460, "checksum-wrong")
    assert await offset_of(stage, url) == 0
    right = await add(stage, url, 0, b"hello", upload_checksum=f"{name} {digest}")
    assert right.headers["upload-offset"] == "5"
    await add(stage, url, 5, b"world")
    (row,) = await rows(stage)
    assert row["content-hash"] == hashlib.sha256(b"helloworld").hexdigest()
    assert await stored(stage, row) == b"helloworld"


@pytest.mark.rule("F144")
@pytest.mark.parametrize("given", ["md4 eA==", "sha1", "sha1 ?"])
async def test_a_checksum_of_another_form_is_refused(stage, given):
    answer = await add(stage, await begin(stage, 1), 0, b"x", upload_checksum=given)
    named = answer.json().get("hint", {}).get("in", answer.json()["type"])
    assert answer.status in (400, 460) and named in (
        ["headers", "upload-checksum"],
        "checksum-wrong",
    )


@pytest.mark.rule("F145")
async def test_another_version_and_another_type_are_refused_as_the_protocol_says(stage):
    for version in ("", "0.2.2"):
        answer = await ask(stage, "POST", BASE, tus_resumable=version)
        assert (answer.status, answer.headers["tus-version"]) == (412, "1.0.0")
        assert answer.json()["type"] == "tus-version-unknown"
    url = await begin(stage, 1)
    answer = await add(stage, url, 0, b"x", content_type="text/plain")
    assert (answer.status, answer.json()["type"]) == (415, "content-type-refused")
    for wrong in ("-1", "1.5", "x", ""):
        answer = await add(stage, url, 0, b"x", upload_offset=wrong)
        assert (answer.status, answer.json()["type"]) == (400, "param-malformed")
    assert (await create(stage, "x")).json()["hint"]["in"] == ["headers", "upload-length"]
    missing = await ask(stage, "POST", BASE, upload_metadata=metadata(path="a"))
    assert missing.json()["type"] == "param-missing"


@pytest.mark.rule("F146")
async def test_options_say_what_the_server_takes(stage):
    for origin in ({}, {"origin": "https://app.example"}):
        told = await stage.ask("OPTIONS", "/storage/tus", None, origin)
        assert (told.status, told.headers["tus-version"]) == (204, "1.0.0")
        extensions = "creation,creation-with-upload,termination,expiration,checksum"
        assert told.headers["tus-extension"] == extensions
        assert told.headers["tus-checksum-algorithm"] == "sha1,sha256"


@pytest.mark.rule("F146")
async def test_pages_of_other_origins_may_ask_and_read_the_answers(stage):
    origin = {"origin": "https://app.example"}
    asked = {"access-control-request-method": "PATCH"}
    first = await stage.ask("OPTIONS", "/storage/tus/x", None, {**origin, **asked})
    assert first.status == 200 and "PATCH" in first.headers["access-control-allow-methods"]
    url = await begin(stage, 1)
    for answer in (
        await ask(stage, "HEAD", url, origin=origin["origin"]),
        await add(stage, url, 5, b"x", origin=origin["origin"]),
    ):
        assert answer.headers["access-control-allow-origin"] == origin["origin"]
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        for name in ("location", "upload-offset", "upload-length", "tus-resumable", "x-trace-id"):
            assert name in exposed
        assert answer.headers["tus-resumable"] == "1.0.0"


@pytest.mark.rule("F147")
async def test_the_method_may_be_a_header(stage):
    url = await begin(stage, 5)
    given = {"upload_offset": 0, "content_type": PART, "x_http_method_override": "PATCH"}
    assert (await ask(stage, "POST", url, b"hello", **given)).status == 204
    assert len(await rows(stage)) == 1
    told = await ask(stage, "POST", url, x_http_method_override="HEAD")
    assert told.headers["upload-offset"] == "5"
    assert (await ask(stage, "POST", url)).status == 404


@pytest.mark.rule("F142")
async def test_whatever_becomes_of_them_uploads_give_back_what_they_took(stage):
    url, other = await begin(stage, 10), await begin(stage, 10, "b")
    await add(stage, url, 0, b"hello")
    await add(stage, other, 0, b"x" * 10)
    await create(stage, 1, upload_metadata=metadata(path="$stream/x"))
    await ask(stage, "DELETE", url)
    partials = stage.files.partials
    assert partials.holds_nothing and stage.files.pins.holds_nothing()
    with pytest.raises(TriceError):
        resumable(stage).find_app(url.rpartition("/")[2])
    assert ADMIN.name == partial_of(stage, other).owner
