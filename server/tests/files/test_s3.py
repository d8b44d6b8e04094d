from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from botocore.config import Config
from botocore.session import Session

from support.blob_places import OTHER_APP, Place, read_all
from support.patience import WAIT_S
from support.s3_server import CREDENTIALS, S3Server, place_of, s3_server
from trice import file_limits as limits
from trice.errors import InvalidInput, Unavailable
from trice.files.files_url import S3Place, parse_files_url
from trice.files.signed_urls import Credentials, sign_url
from trice.files.threads import FileThreads


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileThreads]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    threads = FileThreads()
    yield threads
    threads.close()


@pytest.mark.rule("F30")
@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("local", None),
        ("s3://files", S3Place("files", "", "https://s3.us-east-1.amazonaws.com", "us-east-1")),
        (
            "s3://my.files/a/b-c/?region=eu-west-1",
            S3Place("my.files", "a/b-c/", "https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ),
        (
            "s3://files/a?endpoint=http://127.0.0.1:9000/",
            S3Place("files", "a/", "http://127.0.0.1:9000", "us-east-1"),
        ),
    ],
)
def test_a_files_url_says_where(url: str, place: S3Place | None) -> None:
    assert parse_files_url(url) == place


@pytest.mark.rule("F30")
@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "Local",
            "/srv/files",
            "https://s3.amazonaws.com/files",
            "s3://",
            "s3://A_B",
            "s3:files",
        ),
        *("s3://files/../x", "s3://files/a b", "s3://files#x", "s3://files/a//b", "s3://[files"),
        *("s3://files?region=EU", "s3://files?zone=1", "s3://files?region=a&region=b"),
        *(
            "s3://files?endpoint=ftp://x",
            "s3://files?endpoint=http://x/path",
            "s3://files?endpoint",
        ),
    ],
)
def test_another_url_is_refused_with_what_is_accepted(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"must be `local` .* or s3://BUCKET") as told:
        parse_files_url(url)
    assert repr(url) in told.value.message


@pytest.mark.rule("F30")
def test_a_secret_in_a_url_is_not_repeated() -> None:
    with pytest.raises(InvalidInput, match="AWS_ACCESS_KEY_ID") as told:
        parse_files_url("s3://key:hidden@files")
    assert "hidden" not in told.value.message


@pytest.mark.rule("F33")
@pytest.mark.parametrize("token", [None, "a/token+="])
def test_a_signed_url_is_the_one_that_amazons_library_makes(token: str | None) -> None:
    session = Session()
    credentials = Credentials(*CREDENTIALS.values(), token)
    session.set_credentials(credentials.key_id, credentials.secret, token)
    client = session.create_client(
        "s3",
        region_name="eu-west-1",
        endpoint_url="https://s3.example.com",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    disposition = "attachment; filename*=UTF-8''%C3%A9 é.txt"
    theirs = client.generate_presigned_url(
        "get_object",
        {
            "Bucket": "files",
            "Key": "a/b~c/d",
            "ResponseContentType": "text/plain; charset=utf-8",
            "ResponseContentDisposition": disposition,
        },
        ExpiresIn=90,
    )
    told = dict(parse_qsl(urlsplit(theirs).query))
    ours = sign_url(
        S3Place("files", "a/", "https://s3.example.com", "eu-west-1"),
        "a/b~c/d",
        credentials,
        now_ms=round(datetime.fromisoformat(told["X-Amz-Date"]).timestamp() * 1000),
        expires_s=90,
        content_type="text/plain; charset=utf-8",
        disposition=disposition,
    )
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]
    assert dict(parse_qsl(urlsplit(ours).query)) == told


@pytest.mark.rule("F33")
async def test_the_bucket_serves_a_signed_url_itself(
    server: S3Server, tmp_path: Path, threads: FileThreads
) -> None:
    place = Place.bucket(server.make_bucket(), tmp_path, threads=threads)
    hash = await place.put(OTHER_APP, b"bytes")
    url = await place.blobs.signed_url(
        OTHER_APP, hash, expires_s=60, content_type="text/plain", disposition="inline"
    )
    assert url is not None
    async with httpx.AsyncClient(timeout=WAIT_S) as client:
        answer = await client.get(url)
    assert (answer.status_code, answer.content) == (200, b"bytes")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-disposition"] == "inline"


@pytest.mark.rule("F33")
async def test_without_a_key_there_is_no_signed_url(
    server: S3Server, tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    place = Place.bucket(server.make_bucket(), tmp_path, threads=threads)
    url = await place.blobs.signed_url(
        OTHER_APP, "0" * 64, expires_s=60, content_type="text/plain", disposition="inline"
    )
    assert url is None


@pytest.mark.rule("F31")
def test_half_of_a_key_is_refused_at_the_start(
    tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(InvalidInput, match=r"(?i)secret.?access.?key") as told:
        Place.bucket("s3://files", tmp_path, threads=threads)
    assert told.value.message.startswith("--files-url: The variables of the bucket are not usable")


@pytest.mark.rule("F31")
async def test_a_bucket_refuses_other_credentials(tmp_path: Path, threads: FileThreads) -> None:
    with s3_server() as server:
        url = server.make_bucket()
        place = Place.bucket(url, tmp_path, threads=threads)
        await place.put(OTHER_APP, b"bytes")
        server.check_signatures()
        with pytest.raises(Unavailable, match="refuses this server's credentials"):
            await place.put(OTHER_APP, b"more bytes")
        with pytest.raises(Unavailable):
            _ = [app async for app in place.blobs.apps()]
    assert place.spooled_files() == []


@pytest.mark.rule("F32")
async def test_a_bucket_that_is_not_reached_is_unavailable(
    tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "S3_RETRIES_MAX", 1)
    url = "s3://files?endpoint=http://127.0.0.1:1"
    place = Place.bucket(url, tmp_path, threads=threads)
    with pytest.raises(Unavailable, match="cannot be reached") as told:
        await place.put(OTHER_APP, b"bytes")
    assert told.value.code == "overloaded"
    with pytest.raises(Unavailable):
        await read_all(place.blobs, OTHER_APP, "0" * 64, size=1)
    assert place.spooled_files() == []


@pytest.mark.rule("F32")
async def test_a_bucket_that_does_not_exist_is_unavailable(
    server: S3Server, tmp_path: Path, threads: FileThreads
) -> None:
    url = f"s3://never-made?endpoint={server.endpoint}"
    assert place_of(url).bucket == "never-made"
    place = Place.bucket(url, tmp_path, threads=threads)
    with pytest.raises(Unavailable, match="does not exist"):
        await place.put(OTHER_APP, b"bytes")
    assert place.spooled_files() == []
