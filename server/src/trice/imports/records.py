"""Imports on disk: what is known of each, and its archive while it is uploaded.

    data-dir/imports/ID.json   the record; replaced as a whole
    data-dir/imports/ID.zip    the bytes so far; those past the offset in the record do not count

    uploading ──> waiting ──> processing ──> publishing ──> completed
        └────────────┴────────────┴──> errored | cancelled

A record that says `publishing` has the report already: what was published is found out by whether
the storage that was filled is still there.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from trice.log import fields

logger: Final = logging.getLogger("trice.imports")

Status = Literal[
    "uploading", "waiting", "processing", "publishing", "completed", "errored", "cancelled"
]
UNFINISHED: Final[frozenset[Status]] = frozenset(
    ("uploading", "waiting", "processing", "publishing")
)


class Wishes(msgspec.Struct, frozen=True):
    """How the archive is to be imported (`archive.load.Options`)."""

    replaces: bool = False
    is_open: bool | None = None
    drops_unknown: bool = False
    ignores_counts: bool = False
    attrs: list[Any] = []


class Import(msgspec.Struct):
    """One import.

    caller       id of the account that made it; None: the operator
    owner, org   who gets the app; None both: nobody, its admin token is all there is
    identity     what the caller calls the archive: the same for the same bytes only
    replaces     there was an app with this id when it was made
    path         a file on this machine, which the operator named instead of uploading it
    length       bytes of the archive
    offset       how many are safe on disk
    token_hash   of the app's admin token, hex; None: that of the app that is replaced
    sealed       that token, for the app's owner to see
    read, indexed   how far it is, and of how much
    report       `archive.report.Report`, once all is read
    error        why it ended; a sentence
    """

    id: str
    caller: str | None
    owner: str | None
    org: str | None
    app_id: str
    name: str
    identity: str
    length: int
    wishes: Wishes
    created_ms: int
    updated_ms: int
    replaces: bool = False
    path: str | None = None
    offset: int = 0
    status: Status = "uploading"
    token_hash: str | None = None
    sealed: str | None = None
    read: tuple[int, int] = (0, 1)
    indexed: tuple[int, int] = (0, 1)
    report: Any = None
    error: str | None = None
    done_ms: int | None = None

    @property
    def is_unfinished(self) -> bool:
        return self.status in UNFINISHED


_READ: Final = msgspec.json.Decoder(Import)


class Records:
    """The folder. Every method blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> list[Import]:
        """All imports, oldest first. What belongs to none is removed."""
        if not self._folder.is_dir():
            return []
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(_READ.decode(path.read_bytes()))
            except (msgspec.MsgspecError, ValueError) as cause:
                logger.warning("an import was lost %s", fields(id=path.stem, reason=str(cause)))
        known = {each.id for each in found}
        for path in self._folder.iterdir():
            if path.is_dir():  # the spool of a process
                shutil.rmtree(path, ignore_errors=True)
            elif path.stem not in known or path.suffix not in (".json", ".zip"):
                path.unlink()
        return sorted(found, key=lambda each: (each.created_ms, each.id))

    def archive(self, made: Import) -> Path:
        """Where the archive of an import is."""
        return Path(made.path) if made.path is not None else self._folder / f"{made.id}.zip"

    def save(self, made: Import) -> None:
        """Write a record, durably."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{made.id}.json"
        unfinished = path.with_suffix(".new")
        with open(unfinished, "wb") as file:
            file.write(msgspec.json.encode(made))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def write(self, made: Import, at: int, pieces: list[bytes]) -> int:
        """Write bytes of an upload; return where the next ones belong."""
        path = self._folder / f"{made.id}.zip"
        with open(path, "r+b" if path.exists() else "wb", buffering=0) as file:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    count = os.pwrite(file.fileno(), rest, at)
                    rest, at = rest[count:], at + count
        return at

    def keep(self, made: Import, at: int, pieces: list[bytes]) -> None:
        """Write bytes of an upload, and let all up to them count."""
        offset = self.write(made, at, pieces)
        with open(self._folder / f"{made.id}.zip", "r+b", buffering=0) as file:
            file.truncate(offset)
            os.fsync(file.fileno())
        made.offset = offset
        self.save(made)

    def forget_bytes(self, made: Import) -> None:
        """Delete the archive that was uploaded."""
        (self._folder / f"{made.id}.zip").unlink(missing_ok=True)

    def forget(self, made: Import) -> None:
        """Delete all of an import."""
        self.forget_bytes(made)
        (self._folder / f"{made.id}.json").unlink(missing_ok=True)
