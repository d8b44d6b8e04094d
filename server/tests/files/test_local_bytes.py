"""Files that are read in pieces, on threads of their own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trice.files.local_bytes import LocalBytes
from trice.files.threads import FileThreads


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads(1, name="readers")
    yield threads
    threads.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    return path


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.rule("F116")
async def test_a_disk_that_hangs_holds_up_nothing_but_readers(
    threads: FileThreads, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    pread = os.pread

    def hanging(*arguments: Any) -> bytes:
        goes_on.wait()
        return pread(*arguments)

    monkeypatch.setattr(os, "pread", hanging)
    opened = [await LocalBytes.open(path, threads=threads) for _ in range(40)]
    reads = [asyncio.ensure_future(anext(each.read(0, 6))) for each in opened]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(lambda: "other work") == "other work"
    assert not any(read.done() for read in reads)
    goes_on.set()
    assert await asyncio.gather(*reads) == [b"abcdef"] * 40
    for each in opened:
        each.close()


@pytest.mark.rule("F116")
async def test_who_leaves_while_a_file_is_opened_leaves_no_descriptor(
    threads: FileThreads, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_files()
    began, goes_on = threading.Event(), threading.Event()
    fstat = os.fstat

    def slow(descriptor: int) -> os.stat_result:
        began.set()
        goes_on.wait()
        return fstat(descriptor)

    monkeypatch.setattr(os, "fstat", slow)
    opening = asyncio.ensure_future(LocalBytes.open(path, threads=threads))
    await asyncio.to_thread(began.wait)
    opening.cancel()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert open_files() == before
