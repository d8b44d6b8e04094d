"""What is uploaded, read by pieces; and files that are there whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from trice_client._errors import TriceError

_NAME_BYTES_MAX = 200
"""Of UTF-8: systems take 255 or more, and what is not whole yet has more in its name."""
_REFUSED = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')
_DEVICES = frozenset(
    (
        *("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"),
        *(f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"),
    )
)
"""https://learn.microsoft.com/windows/win32/fileio/naming-a-file: whatever follows a dot."""

Source = bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO


class Pieces:
    """Bytes of a source, from any place on. A file that was opened elsewhere stays open."""

    def __init__(self, source: Source) -> None:
        """raises   TriceError("file-malformed"), OSError"""
        self._bytes: memoryview | None = None
        self._file: BinaryIO | None = None
        self._is_ours = isinstance(source, os.PathLike)
        if isinstance(source, bytes | bytearray | memoryview):
            self._bytes = memoryview(source)
            self.size = self._bytes.nbytes
            self._start = 0
            return
        self._file = _opened(source) if isinstance(source, os.PathLike) else source
        if not hasattr(self._file, "seek") or not self._file.seekable():
            told = "An upload takes bytes, a Path, or a binary file that can seek: it may go back."
            raise TriceError("file-malformed", told)
        self._start = self._file.tell()
        self.size = self._file.seek(0, os.SEEK_END) - self._start

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on. raises   TriceError if the file has shrunk"""
        if self._bytes is not None:
            return bytes(self._bytes[offset : offset + size])
        assert self._file is not None, "it is bytes or a file"
        self._file.seek(self._start + offset)
        piece = self._file.read(size)
        if not piece and offset < self.size:
            raise TriceError("file-changed", "The file became shorter while it was uploaded.")
        return piece

    def close(self) -> None:
        """Close what this opened."""
        if self._file is not None and self._is_ours:
            self._file.close()


def _opened(path: os.PathLike[str]) -> BinaryIO:
    return Path(path).open("rb")


def local_name(path: str) -> str:
    """The last part of a path of the app, as a name that every system takes for a file: no folder
    but the one it is put in, no device of Windows, no character that it refuses, no hidden file."""
    last = _REFUSED.sub("_", re.split(r"[/\\]", path)[-1])
    name = last.encode()[:_NAME_BYTES_MAX].decode(errors="ignore").rstrip(". ")
    stem = name.partition(".")[0].rstrip(" ").upper()
    return f"_{name}" if not stem or stem in _DEVICES else name


class WholeFile:
    """Written beside its place, and put there at the end: nobody sees half of it.

    to    a file, or a folder
    name  of the file in a folder
    """

    def __init__(self, to: os.PathLike[str] | str, name: str = "") -> None:
        given = Path(to)
        self._to = given / local_name(name) if name and given.is_dir() else given
        self._part = self._to.with_name(f"{self._to.name}.{uuid4().hex[:12]}.part")
        self._file = self._part.open("wb")
        self.written = 0

    def write(self, piece: bytes) -> None:
        """Add bytes."""
        self._file.write(piece)
        self.written += len(piece)

    def restart(self) -> None:
        """Forget what was written."""
        self._file.seek(0)
        self._file.truncate()
        self.written = 0

    def keep(self) -> None:
        """Put it in its place."""
        self._file.close()
        self._part.replace(self._to)

    def drop(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._part.unlink(missing_ok=True)
