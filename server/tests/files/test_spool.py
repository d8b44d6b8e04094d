from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.runtime import FakeRuntime
from trice import file_limits as limits
from trice.errors import LimitExceeded, Unavailable
from trice.files.spool import Spool
from trice.files.threads import FileThreads

BEGUN = limits.SPOOL_WRITE_BYTES
"""Bytes after which an upload has a file."""


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads()
    yield threads
    threads.close()


@pytest.fixture
def spool(tmp_path: Path, threads: FileThreads) -> Spool:
    return Spool(tmp_path / "spool", threads=threads, runtime=FakeRuntime())


@pytest.mark.rule("F10")
async def test_pieces_become_one_file_with_its_hash_and_size(spool: Spool) -> None:
    pieces = [b"a" * 7, b"", b"b" * limits.SPOOL_WRITE_BYTES, b"c" * 3]
    async with await spool.begin(2 * limits.SPOOL_WRITE_BYTES) as spooling:
        for piece in pieces:
            await spooling.write(piece)
        spooled = await spooling.finish()
    data = b"".join(pieces)
    assert spooled.path.read_bytes() == data
    assert (spooled.hash, spooled.size) == (hashlib.sha256(data).hexdigest(), len(data))
    spooled.discard()
    assert not spooled.path.exists()


@pytest.mark.rule("F10")
async def test_a_large_file_is_written_before_it_is_finished(spool: Spool, tmp_path: Path) -> None:
    async with await spool.begin(10 * limits.SPOOL_WRITE_BYTES) as spooling:
        for _ in range(9):
            await spooling.write(b"x" * (limits.SPOOL_WRITE_BYTES // 2))
        [path] = (tmp_path / "spool").iterdir()
        assert path.stat().st_size == 4 * limits.SPOOL_WRITE_BYTES


@pytest.mark.rule("F14")
async def test_a_large_file_is_synced_in_parts(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fdatasync", noted)
    await spool.spool_bytes(b"short")
    assert synced == []
    async with await spool.begin(3 * limits.SPOOL_SYNC_BYTES) as spooling:
        for _ in range(3 * limits.SPOOL_SYNC_BYTES // limits.SPOOL_WRITE_BYTES):
            await spooling.write(b"x" * limits.SPOOL_WRITE_BYTES)
    assert synced == [n * limits.SPOOL_SYNC_BYTES for n in (1, 2, 3)]


@pytest.mark.rule("F11")
async def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(
    spool: Spool, tmp_path: Path
) -> None:
    async with await spool.begin(5) as spooling:
        await spooling.write(b"12345")
        with pytest.raises(LimitExceeded, match="5 bytes") as told:
            await spooling.write(b"6")
    assert told.value.code == "message-too-big"
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.rule("F11")
async def test_what_is_not_finished_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    async with await spool.begin(BEGUN) as spooling:
        await spooling.write(b"x" * BEGUN)
        assert len(list((tmp_path / "spool").iterdir())) == 1
    with pytest.raises(RuntimeError, match="the client left"):
        async with await spool.begin(BEGUN) as spooling:
            await spooling.write(b"x" * BEGUN)
            raise RuntimeError("the client left")
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.rule("F11")
async def test_what_a_stop_left_is_removed(tmp_path: Path, threads: FileThreads) -> None:
    spool = Spool(tmp_path, threads=threads, runtime=FakeRuntime(seed=1))
    await spool.spool_bytes(b"never put")
    spooling = await spool.begin(BEGUN)
    await spooling.write(b"x" * BEGUN)
    assert len(os.listdir(tmp_path)) == 2
    Spool(tmp_path, threads=threads, runtime=FakeRuntime())
    assert os.listdir(tmp_path) == []
    await spooling.abort()


@pytest.mark.rule("F12")
async def test_so_many_uploads_are_spooled_at_a_time(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SPOOLINGS_MAX", 2)
    first, second = await spool.begin(5), await spool.begin(5)
    with pytest.raises(Unavailable, match="Too many files"):
        await spool.begin(5)
    await first.abort()
    await (await spool.begin(5)).abort()
    await second.finish()
    await (await spool.begin(5)).abort()


@pytest.mark.rule("F13")
async def test_a_full_disk_refuses_and_leaves_nothing(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unavailable, match="No space left on device") as told:
        await spool.spool_bytes(b"some bytes")
    assert told.value.code == "overloaded"
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.rule("F11")
async def test_a_cancelled_write_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    async def upload() -> None:
        async with await spool.begin(10 * limits.SPOOL_WRITE_BYTES) as spooling:
            begun.set()
            for _ in range(9):
                await spooling.write(b"x" * limits.SPOOL_WRITE_BYTES)

    begun = asyncio.Event()
    task = asyncio.create_task(upload())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.rule("F15")
async def test_what_is_given_up_is_removed_on_a_thread(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    unlink = Path.unlink

    def noting(path: Path, missing_ok: bool = False) -> None:
        removed.append(threading.current_thread().name)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", noting)
    async with await spool.begin(limits.SPOOL_WRITE_BYTES) as spooling:
        await spooling.write(b"x" * limits.SPOOL_WRITE_BYTES)
    await spool.discard(await spool.spool_bytes(b"finished"))
    assert [name.rpartition("_")[0] for name in removed] == ["trice-files"] * 2
    assert list((tmp_path / "spool").iterdir()) == []
    assert (len(spool), spool.held_bytes) == (0, 0)


@pytest.mark.rule("F16")
async def test_few_threads_hash_much_at_a_time(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who wait for the disk may be many; those who take the processors from the loop not."""
    run, running, most = spool.threads.run, 0, 0

    async def counted(work: Any, *arguments: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await run(work, *arguments)
        finally:
            running -= 1

    monkeypatch.setattr(spool.threads, "run", counted)
    large = b"x" * (limits.HASHED_ALONE_BYTES + 1)
    await asyncio.gather(*(spool.spool_bytes(large) for _ in range(12)))
    assert most == limits.FILE_HASHES_AT_ONCE
    most = 0
    await asyncio.gather(*(spool.spool_bytes(large[1:]) for _ in range(12)))
    assert most == 12
