"""What an export writes before it has its name: `TARGET.part`, beside it.

An export that was killed leaves it; the next one takes it over. One that runs holds a lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def part_file(target: Path) -> Iterator[int]:
    """An empty file, which becomes `target` when the block ends, durably, and is gone if it fails.

    returns  its descriptor, open to write; closed with the block
    raises   OSError, when another export writes it too
    """
    part = _part_of(target)
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _claim(descriptor, part)
        try:
            os.ftruncate(descriptor, 0)
            yield descriptor
            os.fsync(descriptor)
            os.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    finally:
        os.close(descriptor)


@contextmanager
def part_folder(target: Path) -> Iterator[Path]:
    """The same for a folder; `target` must not be there."""
    part = _part_of(target)
    part.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _claim(descriptor, part)
        try:
            for path in part.iterdir():
                path.unlink()
            yield part
            os.rename(part, target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _claim(descriptor: int, part: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as failure:
        raise OSError(failure.errno, "Another export is writing it", str(part)) from failure
