"""Where backups are kept: the contract of a vault, in a folder or in a bucket.

objects/HH/HASH       bytes by their SHA-256: databases, files, lists of files, the secret key
backups/NAME          a manifest (`manifest`), written last: without it there is no backup
log/… named/… bases/…   what was written since (`log_area`)
lock                  who writes now
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol

from trice import backup_limits as limits
from trice.errors import InvalidInput
from trice.store.copies import CopyEnded

BACKUPS: Final = "backups/"
OBJECTS: Final = "objects/"


class Vault(Protocol):
    """Objects by key. Every method may raise Unavailable("overloaded"): the disk is full, the
    bucket is not reached.

    name   the place, for messages
    """

    @property
    def name(self) -> str: ...

    async def put(self, key: str, path: Path, *, is_ours: bool) -> None:
        """Keep the bytes of a file durably, whole or not at all.

        is_ours   the file may be moved away; else it may be linked, as its bytes never change
        """
        ...

    async def put_bytes(self, key: str, data: bytes) -> None:
        """Keep bytes durably; what the key had is replaced."""
        ...

    async def size(self, key: str) -> int | None:
        """How many bytes the key has; None if there are none."""
        ...

    async def fetch(self, key: str, path: Path, *, may_link: bool) -> None:
        """Write the bytes to a new file. They may be damaged: see `hash_of`.

        may_link   nobody changes the new file, so it may be the vault's own under another name
        raises     FileNotFoundError
        """
        ...

    async def hash_of(self, key: str) -> tuple[str, int]:
        """SHA-256 and count of the bytes, all of which are read; raises FileNotFoundError."""
        ...

    async def read(self, key: str, bytes_max: int) -> bytes:
        """The bytes of a small object; raises FileNotFoundError, InvalidInput when it is larger."""
        ...

    def list(self, prefix: str) -> AsyncIterator[str]:
        """The keys that begin with a prefix, which ends in a slash."""
        ...

    async def folders(self, prefix: str) -> Sequence[str]:
        """What follows a prefix, up to the next slash, in keys that have one more slash."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete up to limits.DELETED_AT_ONCE keys, those that are there."""
        ...

    async def begin_shipping(self) -> None:
        """Make ready for `put` and `put_bytes` of the log, which is written without a claim."""
        ...

    def claimed(self) -> AbstractAsyncContextManager[None]:
        """Write, and let no other process write meanwhile.

        raises   Unavailable("overloaded") when another does
        """
        ...

    def scratch(self, other: Path) -> AbstractAsyncContextManager[Path]:
        """An empty folder, removed at the end; a stop leaves it to the next claim.

        other   where it may be made if it cannot be in the vault
        """
        ...


def object_key(hash: str) -> str:
    """The key of bytes."""
    return f"{OBJECTS}{hash[:2]}/{hash}"


def never() -> bool:
    """Work that nobody ends."""
    return False


def hash_file(path: Path, is_over: Callable[[], bool] = never) -> tuple[str, int]:
    """SHA-256 and size of a file, which is read in pieces. Blocks. Raises CopyEnded."""
    made, size = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(limits.PIECE_BYTES):
            if is_over():
                raise CopyEnded
            made.update(piece)
            size += len(piece)
    return made.hexdigest(), size


def too_large(key: str) -> InvalidInput:
    """The error for an object that is larger than anything we write."""
    return InvalidInput("param-malformed", f"{key} is larger than any that trice writes.")
