"""Keys of rows on disk: which entity has a key, and on which line.

    slot: hash of the key, 16 bytes | id of the entity, 16 | line, 8; a line of 0 is an empty slot

A table of slots in a file without a name, twice as many as there are rows: two or three reads find
a key, whatever the size. The hash has a secret, so that nobody can choose keys for one place.
"""

from __future__ import annotations

import os
import tempfile
from hashlib import blake2b, sha1
from pathlib import Path
from typing import Final

from trice.protocol.ids import EntityId, find_uuid_bytes

_SLOT_BYTES: Final = 40
_SPACE: Final = bytes.fromhex("6f1e2a0c5c0d4f6e9a3b7d1f2c4e8a90")
"""The namespace of ids that are made of keys (RFC 9562 §5.5)."""


def entity_id(etype: str, key: str) -> EntityId:
    """The id of the entity with a key: a uuid as it is, else the one that the key always gives."""
    found = find_uuid_bytes(key)
    if found is not None:
        return found
    name = f"{etype}\0{key}".encode("utf-8", "surrogatepass")
    raw = bytearray(sha1(_SPACE + name, usedforsecurity=False).digest()[:16])
    raw[6] = (raw[6] & 0x0F) | 0x50
    raw[8] = (raw[8] & 0x3F) | 0x80
    return EntityId(bytes(raw))


class KeyMap:
    """Keys of one column, up to a number of them that is known before."""

    def __init__(self, folder: Path, *, count: int, secret: bytes) -> None:
        """
        folder   where the file may be; it has no name there
        secret   16 random bytes
        """
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._secret = secret
        self._left = count
        self._slots = 2 * count + 1
        self._file.truncate(self._slots * _SLOT_BYTES)

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def add(self, key: bytes, entity: EntityId, number: int) -> int | None:
        """Note the entity of a key. If the key is there already, return the line of that instead.

        raises   OverflowError for more keys than were announced
        """
        hashed, place, slot = self._look(key)
        if slot is not None:
            return int.from_bytes(slot[32:], "big")
        if not self._left:
            raise OverflowError("more keys than rows")
        self._left -= 1
        os.pwrite(self._file.fileno(), hashed + entity + number.to_bytes(8, "big"), place)
        return None

    def find(self, key: bytes) -> EntityId | None:
        """The entity of a key."""
        slot = self._look(key)[2]
        return None if slot is None else EntityId(slot[16:32])

    def _look(self, key: bytes) -> tuple[bytes, int, bytes | None]:
        """The hash of a key, the place of its slot in the file, and the slot if it is taken."""
        hashed = blake2b(key, digest_size=16, key=self._secret).digest()
        at = int.from_bytes(hashed[:8], "big") % self._slots
        while True:
            slot = os.pread(self._file.fileno(), _SLOT_BYTES, at * _SLOT_BYTES)
            if not any(slot[32:]):
                return hashed, at * _SLOT_BYTES, None
            if slot[:16] == hashed:
                return hashed, at * _SLOT_BYTES, slot
            at = (at + 1) % self._slots
