from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.blob_places import OTHER_APP, Place, kept, read_all
from support.s3_server import CREDENTIALS, S3Server, s3_server
from trice.cli.files import files
from trice.files.threads import FileThreads
from trice.protocol.ids import AppId

APP = AppId("11111111-1111-4111-8111-111111111111")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return server.make_bucket()


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads()
    yield threads
    threads.close()


@pytest.fixture
def local(tmp_path: Path, threads: FileThreads) -> Place:
    """The files of a data directory, with some in two apps."""
    place = Place.local(tmp_path / "data", threads=threads, blobs="files")

    asyncio.run(fill(place))
    return place


async def fill(place: Place) -> None:
    for number in range(5):
        await place.put(APP, b"%d" % number * 300_000)
    await place.put(OTHER_APP, b"another app's")


def run_move(data_dir: Path, *flags: str) -> Result:
    return CliRunner().invoke(files, ["move", "--data-dir", str(data_dir), *flags])


async def expect_same(first: Place, second: Place) -> None:
    """Both have the same bytes."""
    for app_id in (APP, OTHER_APP):
        blobs = await kept(first.blobs, app_id)
        for blob in blobs:
            data = await read_all(first.blobs, app_id, blob.hash)
            assert await read_all(second.blobs, app_id, blob.hash) == data
        assert len(await kept(second.blobs, app_id)) == len(blobs)


@pytest.mark.rule("F35", "F36")
def test_files_move_to_a_bucket_and_back(
    local: Place, bucket: str, tmp_path: Path, threads: FileThreads
) -> None:
    told = run_move(tmp_path / "data", "--to", bucket)
    assert told.exit_code == 0, told.output
    assert "6 copied (1500013 bytes), 0 were there already, 0 deleted meanwhile." in told.output
    assert f"TRICE_FILES_URL='{bucket}'" in told.output
    there = Place.bucket(bucket, tmp_path, threads=threads)

    asyncio.run(expect_same(local, there))
    (tmp_path / "back").mkdir()
    back = run_move(tmp_path / "back", "--from", bucket, "--to", "local")
    assert back.exit_code == 0, back.output
    back_again = Place.local(tmp_path / "back", threads=threads, blobs="files")
    asyncio.run(expect_same(local, back_again))
    assert list((tmp_path / "back" / "files" / "moving").iterdir()) == []


@pytest.mark.rule("F36", "F37")
def test_a_second_run_copies_what_is_missing_or_of_another_size(
    local: Place, bucket: str, tmp_path: Path, threads: FileThreads
) -> None:
    assert run_move(tmp_path / "data", "--to", bucket).exit_code == 0
    (tmp_path / "back" / "files").mkdir(parents=True)
    assert run_move(tmp_path / "back", "--from", bucket, "--to", "local").exit_code == 0
    back = Place.local(tmp_path / "back", threads=threads, blobs="files")
    first, second, *_ = asyncio.run(kept(back.blobs, APP))
    paths = [back.blobs.path(APP, blob.hash) for blob in (first, second)]
    assert paths[0] is not None and paths[1] is not None
    paths[0].unlink()
    paths[1].write_bytes(b"cut off")
    told = run_move(tmp_path / "back", "--from", bucket, "--to", "local")
    assert "2 copied (600000 bytes), 4 were there already" in told.output
    assert asyncio.run(read_all(back.blobs, APP, second.hash)) == asyncio.run(
        read_all(local.blobs, APP, second.hash)
    )


@pytest.mark.rule("F37")
def test_damaged_bytes_are_named_and_not_copied(
    local: Place, bucket: str, tmp_path: Path, threads: FileThreads
) -> None:
    blob = asyncio.run(kept(local.blobs, APP))[0]
    path = local.blobs.path(APP, blob.hash)
    assert path is not None
    path.write_bytes(b"x" * blob.size)
    told = run_move(tmp_path / "data", "--to", bucket)
    assert told.exit_code == 1
    assert "5 copied" in told.output
    assert f"{APP}/{blob.hash} is damaged" in told.output
    there = Place.bucket(bucket, tmp_path, threads=threads)
    assert asyncio.run(there.blobs.size(APP, blob.hash)) is None


@pytest.mark.rule("F35")
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--to", "/srv"], "--to is '/srv', but must be `local`"),
        (["--from", "x", "--to", "local"], "--from is 'x'"),
        (["--to", "local"], "the same place"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, flags: list[str], told: str) -> None:
    result = run_move(tmp_path, *flags)
    assert result.exit_code == 2
    assert told in result.output
    assert list(tmp_path.iterdir()) == []
