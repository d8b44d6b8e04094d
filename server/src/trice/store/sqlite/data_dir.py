"""The data directory: one process claims it, and no other user of the machine may read it."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from trice.log import fields
from trice.store.sqlite.swap import settle_swap

logger: Final = logging.getLogger("trice.store")

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def claim_data_dir(data_dir: Path) -> IO[bytes]:
    """Claim the folder for this process until the returned file is closed, or the process ends.

    The folder is made if there is none; a restore that a stop interrupted is completed. Other users
    of the machine lose all access to it: files of earlier versions, and of restored backups, may
    have been open to them.

    raises  OSError when another server has it: two writers would give the same transaction ids
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = open(os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600), "wb")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        lock.close()
        raise OSError(
            cause.errno, f"another trice server is using the data directory {data_dir}"
        ) from cause
    try:
        settle_swap(data_dir)
    except BaseException:
        lock.close()
        raise
    for path in _everything(data_dir):
        _take_from_others(path)
    return lock


def _everything(data_dir: Path) -> Iterator[Path]:
    """The folder, and what a server keeps there; other files in it are left out."""
    yield data_dir
    for name in ("lock", "secret.key", "files"):
        yield data_dir / name
    yield from data_dir.glob("platform*.db*")
    apps = data_dir / "apps"
    if apps.is_dir():
        yield apps
        yield from apps.iterdir()


def _take_from_others(path: Path) -> None:
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
    except FileNotFoundError:
        return
    except OSError as cause:
        told = fields(path=str(path), reason=cause.strerror)
        logger.warning("others may read what is kept here %s", told)
