"""A process is killed at random moments while it puts and deletes blobs (SIGKILL)."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import blob_worker
from support.blob_places import Place, kept, read_all
from support.blob_worker import APP
from trice.files.threads import FileThreads

KILLS = 8
"""At least; more until one met an upload."""


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads()
    yield threads
    threads.close()


def work_until_killed(folder: Path, seed: int, *, lines: int, turns: int) -> list[str]:
    """What the worker said until it was killed: after `lines` lines, and `turns` turns of an empty
    loop later, which is some place inside of a call."""
    process = subprocess.Popen(
        [sys.executable, blob_worker.__file__, folder, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = [process.stdout.readline().strip() for _ in range(lines)]
        for _ in range(turns):
            pass
    finally:
        process.kill()
        rest, _ = process.communicate()
    assert said[0] == "ready", said
    return [*said[1:], *rest.splitlines()]


@pytest.mark.rule("F9")
async def test_a_process_killed_at_any_moment_keeps_what_it_said(
    tmp_path: Path, threads: FileThreads
) -> None:
    choices = random.Random(7)
    certain: dict[str, bool] = {}  # whether it is there; keys under way at a kill are not certain
    left = 0
    for seed in range(20 * KILLS):
        if seed >= KILLS and left:
            break
        turns = choices.randrange(200_000)
        lines = choices.randrange(10, 60)
        for line in work_until_killed(tmp_path, seed, lines=lines, turns=turns):
            word, _, hash = line.partition(" ")
            if len(hash) == 64 and word in ("kept", "gone"):
                certain[hash] = word == "kept"
            elif len(hash) == 64:
                certain.pop(hash, None)
        left += len(os.listdir(tmp_path / "spool"))
        place = Place.local(tmp_path, threads=threads)
        assert place.spooled_files() == []
        found = {blob.hash for blob in await kept(place.blobs, APP)}
        for hash in found:
            data = await read_all(place.blobs, APP, hash)
            assert hashlib.sha256(data).hexdigest() == hash
        for hash, is_kept in certain.items():
            assert (hash in found) == is_kept, f"seed {seed}"
    assert left, "no kill met an upload"
