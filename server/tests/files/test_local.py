from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.blob_places import OTHER_APP, Place, kept
from trice.errors import Unavailable
from trice.files.threads import FileThreads


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    threads = FileThreads()
    yield Place.local(tmp_path, threads=threads)
    threads.close()


@pytest.mark.rule("F7")
async def test_a_blob_is_a_file_that_can_be_sent(place: Place, tmp_path: Path) -> None:
    hash = await place.put(OTHER_APP, b"bytes")
    path = place.blobs.path(OTHER_APP, hash)
    assert path == tmp_path / "blobs" / OTHER_APP / hash[:2] / hash
    assert path.read_bytes() == b"bytes"
    url = await place.blobs.signed_url(
        OTHER_APP, hash, expires_s=60, content_type="text/plain", disposition="inline"
    )
    assert url is None


@pytest.mark.rule("F8")
async def test_bytes_and_their_folders_are_on_disk_when_put_returns(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    hash = await place.put(OTHER_APP, b"bytes")
    path = place.blobs.path(OTHER_APP, hash)
    assert path is not None
    assert synced[3].startswith(str(tmp_path / "spool")), "the file, before it has its name"
    assert {*map(str, path.parents[:4])} <= {*synced}
    synced.clear()
    await place.put(OTHER_APP, b"bytes")
    assert {str(path), str(path.parent)} <= {*synced}, "the earlier put may have been interrupted"


@pytest.mark.rule("F13")
async def test_a_full_disk_keeps_no_part_of_the_bytes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left on device"):
            await place.put(OTHER_APP, b"bytes")
    assert await kept(place.blobs, OTHER_APP) == []
    assert place.spooled_files() == []
    await place.put(OTHER_APP, b"bytes")


@pytest.mark.rule("F6")
async def test_other_files_are_no_blobs(place: Place, tmp_path: Path) -> None:
    hash = await place.put(OTHER_APP, b"bytes")
    folder = tmp_path / "blobs" / OTHER_APP
    (folder / "notes.txt").write_text("an operator's")
    (folder / hash[:2] / "notes.txt").write_text("an operator's")
    (tmp_path / "blobs" / "lost+found").mkdir()
    assert [blob.hash for blob in await kept(place.blobs, OTHER_APP)] == [hash]
    assert [app async for app in place.blobs.apps()] == [OTHER_APP]


@pytest.mark.rule("F7")
async def test_folders_are_closed_to_other_users(place: Place, tmp_path: Path) -> None:
    await place.put(OTHER_APP, b"bytes")
    for path in (tmp_path / "blobs", tmp_path / "blobs" / OTHER_APP, tmp_path / "spool"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
