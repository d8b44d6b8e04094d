"""Whether the log beside a database, its `-wal`, can be read. SQLite ignores an unreadable one.

The latest commits would then be lost in silence, and transaction ids given a second time.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

_HEADER: Final = 32
_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
"""How a log begins, and the byte order of its checksums (sqlite.org/fileformat2.html)."""


def is_log_damaged(path: Path) -> bool:
    """Whether the log of the database at `path` has a header that SQLite would not take.

    A log that was being made when the power failed has no header yet, or zeros; it held nothing.
    Damage behind the header looks like a commit that was cut off, and cannot be told from it.
    """
    try:
        with path.with_name(path.name + "-wal").open("rb") as file:
            header = file.read(_HEADER)
    except FileNotFoundError:
        return False
    if len(header) < _HEADER or not any(header):
        return False
    order = _MAGIC.get(int.from_bytes(header[:4], "big"))
    if order is None:
        return True
    one = two = 0
    for even, odd in struct.iter_unpack(f"{order}II", header[:24]):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return (one, two) != struct.unpack(">II", header[24:])
