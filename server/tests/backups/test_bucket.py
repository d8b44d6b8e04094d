"""Backups in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.archive_stage import Stage
from support.backup_stage import OTHER, SHOP, check, content, contents, make, opened_vault, put_back
from support.runtime import FakeRuntime, SteppedRuntime
from support.s3_server import CREDENTIALS, S3Server, place_of, s3_server
from trice import backup_limits
from trice.backups.listing import find_names
from trice.backups.vaults import object_key
from trice.errors import InvalidInput, Unavailable
from trice.files.s3 import open_bucket


@pytest.fixture(scope="module")
def bucket_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def url(bucket_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return bucket_server.make_bucket()


@pytest.mark.rule("BK1", "BK4", "BK20", "BK30", "BK36", "BK40")
async def test_a_bucket_keeps_backups_as_a_folder_does(
    stage: Stage, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_limits, "BUCKET_READ_BYTES", 10_000)
    vault = opened_vault(url, runtime=SteppedRuntime())
    assert await find_names(vault) == []
    first = await make(stage, vault)
    assert first.put > 0
    assert (await make(stage, vault, keep=1)).put == 0
    assert len(await find_names(vault)) == 1
    assert (await check(vault)).problems == []
    before = {app_id: await content(stage, app_id) for app_id in (SHOP, OTHER)}
    await put_back(vault, tmp_path / "new")
    assert await contents(tmp_path / "new") == before
    piece = first.manifest.apps[0].database
    assert piece is not None
    await vault.put_bytes(object_key(piece.hash), b"\0" * piece.size)
    verified = await check(vault)
    assert len(verified.problems) == 1 and piece.hash in verified.problems[0]
    with pytest.raises(InvalidInput, match=piece.hash):
        await put_back(vault, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert list((stage.folder / "loading").iterdir()) == []


@pytest.mark.rule("BK8", "BK3")
async def test_a_claim_on_a_bucket_ends_with_its_time(stage: Stage, url: str) -> None:
    runtime = SteppedRuntime()
    vault, other = opened_vault(url, runtime=runtime), opened_vault(url, runtime=runtime)
    async with other.claimed():
        with pytest.raises(Unavailable, match="Another process is writing"):
            await make(stage, vault)
    await make(stage, vault)
    killed = other.claimed()
    await killed.__aenter__()
    until_ms = runtime.now
    # Its holder renews it no more.
    store = open_bucket(place_of(url))
    (lock,) = [key async for key in other.list("lock/")]
    store.put(lock, str(until_ms + backup_limits.LOCK_MS).encode())
    with pytest.raises(Unavailable, match="was killed less than 5 minutes ago"):
        await make(stage, vault)
    store.put(lock, str(runtime.now - 1).encode())
    await make(stage, vault)
    assert [key async for key in vault.list("lock/")] == []
    await killed.__aexit__(None, None, None)


@pytest.mark.rule("BK3")
async def test_a_bucket_that_does_not_exist(stage: Stage, url: str) -> None:
    nowhere = url.replace("bucket-", "no-bucket-")
    vault = opened_vault(nowhere, runtime=FakeRuntime())
    with pytest.raises(Unavailable, match="bucket that keeps the backups does not exist"):
        await make(stage, vault)
    with pytest.raises(InvalidInput, match="--backup-to"):
        opened_vault("ftp://x/y", runtime=FakeRuntime())
