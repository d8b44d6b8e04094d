"""`GET /files/APP/LOCATION`: the bytes of files, to whoever has their URL."""

from __future__ import annotations

import io
import os

import pytest
from PIL import Image

from support.file_stage import StoredFiles
from trice import download_limits
from trice.config import Settings
from trice.errors import InvalidInput

LOCATION = "22222222-2222-4222-8222-222222222222"
DATA = bytes(range(256)) * 4096
"""One megabyte: several pieces."""


@pytest.fixture
def serve_files(open_stage, tmp_path):
    """Opens a stage with files; keywords become settings."""

    async def opened(**settings):
        stage = await open_stage(**settings)
        files = StoredFiles(tmp_path / "bytes", stage.runtime)
        stage.asgi.state.files = files
        files.put(LOCATION, DATA)
        return stage, files, files.url(stage.app_id, LOCATION)

    return opened


def picture(width: int = 400, height: int = 200) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "PNG")
    return out.getvalue()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.rule("F100", "F107", "F109")
async def test_whoever_has_the_url_gets_the_bytes(serve_files):
    stage, files, url = await serve_files()
    got = await stage.ask("GET", url, headers={"origin": "https://a.example"})
    assert (got.status, got.body) == (200, DATA)
    assert got.headers["content-length"] == str(len(DATA))
    assert got.headers["content-type"] == "image/png"
    assert got.headers["content-disposition"] == 'inline; filename="cat.png"'
    assert got.headers["etag"] == f'"{files.rows[LOCATION].hash}"'
    assert got.headers["access-control-allow-origin"] == "*"
    assert "etag" in got.headers["access-control-expose-headers"]
    assert got.headers["content-security-policy"].endswith("sandbox")
    head = await stage.ask("HEAD", url)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(DATA))


@pytest.mark.rule("F101", "F102", "F105")
@pytest.mark.parametrize("is_bucket", [False, True])
async def test_spans_and_conditions(serve_files, is_bucket):
    stage, files, url = await serve_files()
    files.blobs.is_bucket = is_bucket
    before = descriptors()
    for given, status, body in (
        ({"range": "bytes=1000-299999"}, 206, DATA[1000:300_000]),
        ({"range": "bytes=-5"}, 206, DATA[-5:]),
        ({"range": "bytes=9999999-"}, 416, b""),
        ({"if-none-match": f'"{files.rows[LOCATION].hash}"'}, 304, b""),
        ({"if-match": '"x"'}, 412, b""),
        ({}, 200, DATA),
    ):
        got = await stage.ask("GET", url, headers=given)
        assert (got.status, got.body) == (status, body)
    assert descriptors() == before


@pytest.mark.rule("F105")
async def test_bytes_on_disk_have_a_date(serve_files):
    stage, _, url = await serve_files()
    date = (await stage.ask("HEAD", url)).headers["last-modified"]
    assert (await stage.ask("GET", url, headers={"if-modified-since": date})).status == 304


@pytest.mark.rule("F111")
async def test_changed_and_ended_urls_are_refused(serve_files):
    stage, files, url = await serve_files()
    other = "33333333-3333-4333-8333-333333333333"
    files.put(other, b"other")
    path, _, query = url.partition("?")
    expires, _, signature = query.partition("&")
    later = f"expires={int(expires.removeprefix('expires=')) + 1}"
    for changed in (
        path,
        f"{path}?{expires}",
        f"{path}?{signature}",
        f"{path}?{later}&{signature}",
        f"{path}?expires=&{signature}",
        f"{path}?{expires}&signature=",
        f"{path}?{expires}&{signature}A",
        f"{path}?{expires}&{signature[:-1]}",
        f"{path}?{expires}&signature=%F0%9F%90%88",
        url.replace(LOCATION, other),
        url.replace(stage.app_id, other),
        url.replace(LOCATION, LOCATION + "0"),
        url.replace(LOCATION, ".."),
        url.replace(LOCATION, "%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
        url.replace(stage.app_id, ".."),
        url.replace(LOCATION, "a\0b"),
    ):
        got = await stage.ask("GET", changed)
        assert (got.status, got.json()["type"]) == (403, "file-url-invalid"), changed
    stage.runtime.advance(7 * 24 * 3_600_000)
    got = await stage.ask("GET", url)
    assert (got.status, got.json()["type"]) == (403, "file-url-invalid")
    assert "is over" in got.json()["message"]


@pytest.mark.rule("F112")
@pytest.mark.parametrize("is_bucket", [False, True])
async def test_the_url_of_a_deleted_file_ends_at_once(serve_files, is_bucket):
    stage, files, url = await serve_files()
    files.blobs.is_bucket = is_bucket
    row = files.rows.pop(LOCATION)
    got = await stage.ask("GET", url)
    assert (got.status, got.json()["type"]) == (404, "file-not-found")
    files.rows[LOCATION] = row
    (files.blobs.folder / row.hash).unlink()
    got = await stage.ask("GET", url)
    assert (got.status, got.json()["type"]) == (404, "file-not-found")


@pytest.mark.rule("F112")
async def test_a_download_that_has_begun_ends_whole(serve_files):
    stage, files, url = await serve_files()
    got = stage.start("GET", url)
    while not got.body:
        await got.changed()
    files.blobs.path("", files.rows.pop(LOCATION).hash).unlink()
    assert (await got.whole()).body == DATA


@pytest.mark.rule("F113")
@pytest.mark.parametrize("is_bucket", [False, True])
async def test_who_sleeps_costs_a_piece_and_who_leaves_nothing(serve_files, is_bucket):
    stage, files, url = await serve_files()
    files.blobs.is_bucket = is_bucket
    before = descriptors()
    sleeper = stage.start("GET", url)
    sleeper.stop_reading()
    assert (await stage.ask("GET", url)).body == DATA
    assert descriptors() == before + (not is_bucket)
    if is_bucket:
        assert files.blobs.pieces_read <= len(DATA) // 1000 + 1 + 2
    await sleeper.hang_up()
    assert descriptors() == before


@pytest.mark.rule("F114")
async def test_bytes_in_a_bucket_come_from_there_if_wanted(serve_files):
    stage, files, url = await serve_files(has_direct_files=True)
    assert (await stage.ask("GET", url)).status == 200
    files.blobs.is_bucket = True
    got = await stage.ask("GET", url)
    digest = files.rows[LOCATION].hash
    assert (got.status, got.body) == (302, b"")
    left_s, *rest = (
        got.headers["location"].removeprefix(f"https://bucket.example/{digest}?").split("&")
    )
    assert rest == ["image/png", 'inline; filename="cat.png"']
    expires_s = int(url.partition("expires=")[2].partition("&")[0])
    assert int(left_s) == expires_s - stage.runtime.now_ms() // 1000
    kept_s = int(left_s) - download_limits.REDIRECT_SPARE_S
    assert got.headers["cache-control"] == f"private, max-age={kept_s}"
    assert got.headers["access-control-allow-origin"] == "*"
    files.put(LOCATION, picture())
    assert (await stage.ask("GET", url + "&w=16")).status == 200


@pytest.mark.rule("F115")
async def test_files_have_a_host_of_their_own(serve_files):
    stage, _, url = await serve_files(files_host="Files.example.com")
    there, elsewhere = {"host": "files.example.com:8888"}, {"host": "api.example.com"}
    assert (await stage.ask("GET", url, headers=there)).status == 200
    assert (await stage.ask("GET", "/health", headers=elsewhere)).status == 200
    for target, headers in (
        (url, elsewhere),
        (url, {}),
        (url, {"host": "files.example.com.evil.example"}),
        ("/health", there),
        ("/", there),
        ("/files", there),
        ("/runtime/sse", there),
        ("/files/../health", there),
    ):
        got = await stage.ask("GET", target, headers=headers)
        assert got.status in (403, 404), target
        assert got.json()["type"] in ("route-not-found", "file-url-invalid")


@pytest.mark.rule("F115")
async def test_a_port_of_the_files_host_counts(serve_files):
    stage, _, url = await serve_files(files_host="localhost:9000")
    assert (await stage.ask("GET", url, headers={"host": "localhost:9000"})).status == 200
    assert (await stage.ask("GET", url, headers={"host": "localhost:8888"})).status == 404
    assert (await stage.ask("GET", "/health", headers={"host": "localhost:8888"})).status == 200


@pytest.mark.rule("F115")
def test_urls_of_files_name_their_host():
    base = "https://api.example.com"
    assert Settings().files_base_url(base) == base
    settings = Settings(files_host="files.example.com:8443")
    assert settings.files_base_url(base) == "https://files.example.com:8443"
    for host in ("", "a b", "https://files.example.com", "files.example.com/x", "a\r\nb"):
        with pytest.raises(InvalidInput, match="--files-host"):
            Settings(files_host=host)


@pytest.mark.rule("F128", "F122")
async def test_variants_answer_as_files_do(serve_files):
    stage, files, url = await serve_files()
    digest = files.put(LOCATION, picture(), "a/cät.old.png", "text/html")
    target = url + "&w=100&fit=cover&h=100"
    got = await stage.ask("GET", target)
    assert got.status == 200
    assert Image.open(io.BytesIO(got.body)).size == (128, 128)
    assert got.headers["content-type"] == "image/webp"
    assert got.headers["etag"] == f'"{digest}-1-128x128-cover-80.webp"'
    assert "filename*=UTF-8''c%C3%A4t.old.webp" in got.headers["content-disposition"]
    assert got.headers["cache-control"].endswith("immutable")
    part = await stage.ask("GET", target, headers={"range": "bytes=0-3"})
    assert (part.status, part.body) == (206, b"RIFF")
    known = await stage.ask("GET", target, headers={"if-none-match": got.headers["etag"]})
    assert known.status == 304
    plain = await stage.ask("GET", url, headers={"if-none-match": got.headers["etag"]})
    assert plain.status == 200


@pytest.mark.rule("F111", "F121", "F124")
async def test_variants_that_are_none(serve_files):
    stage, _, url = await serve_files()
    for target, status, code in (
        (url + "&w=0", 400, "param-malformed"),
        (url + "&w=64", 400, "validation-failed"),
        (url.replace("signature=", "signature=A") + "&w=64", 403, "file-url-invalid"),
        (url.replace("signature=", "signature=A") + "&w=0", 403, "file-url-invalid"),
    ):
        got = await stage.ask("GET", target)
        assert (got.status, got.json()["type"]) == (status, code)
