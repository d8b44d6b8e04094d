"""Replacing what is in a data directory by something else, in one step for everybody who opens it.

    data-dir/restoring/new/…        what shall stand there, with the same names
    data-dir/restoring/ready        {"kept": folder, "old": [name], "new": [name]}: it is decided
    data-dir/KEPT/…                 what stood there before

    prepare ──> fill new/ ──> decide (ready is on disk) ──> old moved to KEPT ──> new moved in
       └── a stop: all of it is removed        └── a stop: `settle_swap` completes the moves

Whoever claims the data directory settles first, so nobody opens half of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

_FOLDER: Final = "restoring"
_READY: Final = "ready"


def find_existing(data_dir: Path) -> list[str]:
    """The names of what a server keeps in a data directory."""
    names = [path.name for path in data_dir.glob("platform*.db*")]
    names += [
        name for name in ("apps", "files", "functions", "secret.key") if (data_dir / name).exists()
    ]
    return sorted(names)


def prepare_swap(data_dir: Path) -> Path:
    """An empty folder to fill, inside of a data directory that is claimed."""
    folder = data_dir / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    new = folder / "new"
    new.mkdir(mode=0o700, parents=True)
    return new


def decide_swap(data_dir: Path, *, old: Sequence[str], new: Sequence[str], kept: str) -> None:
    """Put `new` in the place of `old`.

    old, new   names of files and folders, relative to the data directory
    kept       name of the folder to which the old ones are moved
    raises     OSError; once it is decided, the next claim of the directory completes it
    """
    folder = data_dir / _FOLDER
    for root, _, files in os.walk(folder / "new"):
        for name in files:
            _sync(Path(root, name))
        _sync(Path(root))
    part = folder / f"{_READY}.part"
    part.write_bytes(orjson.dumps({"kept": kept, "old": [*old], "new": [*new]}))
    _sync(part)
    os.replace(part, folder / _READY)
    _sync(folder)
    _sync(data_dir)
    settle_swap(data_dir)


def settle_swap(data_dir: Path) -> None:
    """Complete a swap that is decided, and remove one that is not. Raises OSError."""
    folder = data_dir / _FOLDER
    if not folder.is_dir():
        return
    ready = folder / _READY
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        return
    decided = orjson.loads(ready.read_bytes())
    kept, coming = data_dir / decided["kept"], folder / "new"
    new = set(decided["new"])
    for name in decided["old"]:
        # A name that is among the new ones too and stands no longer in `coming` is in place.
        is_old = name not in new or (coming / name).exists()
        if is_old and (data_dir / name).exists() and not (kept / name).exists():
            _move(data_dir / name, kept / name)
    for name in decided["new"]:
        if (coming / name).exists():
            _move(coming / name, data_dir / name)
    _sync(data_dir)
    ready.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.replace(source, target)
    _sync(target.parent)
    _sync(source.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
