"""What a backup of an app consists of: an archive in parts (instant-http §6.7). No I/O.

Objects are those of a vault (`backups.vaults`): bytes by their SHA-256. A part is kept compressed,
a file as it is.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trice.backups.manifest import Piece, damaged, load_struct
from trice.files.blobs import is_hash

FORMAT: Final = 1
"""The form of manifests. Another form gets another number."""


class Part(msgspec.Struct, frozen=True):
    """An entry of the archive but for bytes of files.

    name    `config.json`, `entities/todos.jsonl`
    piece   its bytes, compressed by gzip
    bytes   how many it has uncompressed
    """

    name: str
    piece: Piece
    bytes: int


class FilesPart(msgspec.Struct, frozen=True):
    """The files.

    listed   lines `[location id, hash, size, path]` of JSON, one for each
    hashes   lines `HASH SIZE`, so that a sweep finds what is named
    """

    listed: Piece
    hashes: Piece
    count: int
    bytes: int


class AppBackup(msgspec.Struct, frozen=True):
    """One backup.

    made_ms        the time of the archive, just before its database was copied
    tx             the last transaction that is in it
    is_automatic   the server made it by itself
    db_bytes       the size of the database
    parts          in the order of the archive: `config.json` is the first
    """

    format: int
    id: str
    app: str
    made_ms: int
    expires_ms: int
    tx: int
    description: str | None
    is_automatic: bool
    db_bytes: int
    parts: list[Part]
    files: FilesPart

    @property
    def part_bytes(self) -> int:
        """The size of all parts, uncompressed."""
        return sum(part.bytes for part in self.parts)

    def hashes(self) -> set[str]:
        """All objects but the bytes of files."""
        kept = {part.piece.hash for part in self.parts}
        return kept | {self.files.listed.hash, self.files.hashes.hash}


def load_backup(app_id: str, backup_id: str, data: bytes) -> AppBackup:
    """Read a manifest; raises InvalidInput when it is damaged, or of a format that is not known."""
    backup = load_struct(backup_id, data, AppBackup, format=FORMAT)
    if (backup.id, backup.app) != (backup_id, app_id) or not all(map(is_hash, backup.hashes())):
        raise damaged(f"Backup {backup_id} is damaged: its manifest names what cannot be.")
    return backup
