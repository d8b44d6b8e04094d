"""The zip file of an archive, read within bounds. Names in it never become paths.

    config.json              schema, rules, settings
    entities/ETYPE.jsonl     a line for each entity
    files/LOCATION           the bytes of a file

The list of entries stands at the end of the file and says how large each entry is. No more than
that is ever unpacked, in pieces, and checked by CRC-32.

source   instant-http §6.7; spec/archive.md AR10-AR19
"""

from __future__ import annotations

import errno
import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from trice import archive_limits as limits
from trice.archive.refusals import refused
from trice.errors import InvalidInput

CONFIG: Final = "config.json"

_ENTITIES: Final = re.compile(r"entities/([^\x00]+)\.jsonl")
"""Namespaces may have any name, which stands here as it is."""
_FILES: Final = re.compile(r"files/([^/\\\x00-\x1f\x7f]{1,512})")
_FOLDERS: Final = ("entities/", "files/")

# The end of a zip file (APPNOTE.TXT 4.3.14-4.3.16).
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_COMMENT_BYTES_MAX: Final = 65_535
_LOCATOR: Final = b"PK\x06\x07"
_LOCATOR_BYTES: Final = 20
_ENCRYPTED: Final = 0x1

_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
    ValueError,
    OverflowError,
    struct.error,
)
"""What `zipfile` raises for files that are no good zip."""


class Container:
    """An open archive. Holds its list of entries, and no content.

    name       of the file, for errors
    entities   entries by namespace, in the order of their names
    files      entries by location id
    total      bytes of all entries, unpacked
    unpacked   how many of them were read so far
    lines_read how many lines were
    """

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        """Open a file, and look at its list of entries.

        name     what errors call it; None: as it is called
        raises   InvalidInput that says why it is no archive; OSError
        """
        self.name = path.name if name is None else name
        self._file = open(path, "rb")  # noqa: SIM115
        self.unpacked = 0
        self.lines_read = 0
        try:
            size = path.stat().st_size
            with self._damage(self.name):
                _check_directory(self._file, self.name)
                self._zip = zipfile.ZipFile(self._file)
            self.config: zipfile.ZipInfo | None = None
            self.entities: dict[str, zipfile.ZipInfo] = {}
            self.files: dict[str, zipfile.ZipInfo] = {}
            for entry in self._zip.infolist():
                self._add(entry)
            self.total = sum(entry.file_size for entry in self._zip.infolist())
            if self.total > max(limits.RATIO_FREE_BYTES, limits.RATIO_MAX * size):
                raise refused(
                    self.name,
                    f"its content is {self.total:,} bytes, more than {limits.RATIO_MAX} times the"
                    " archive itself. Data of an app does not compress so well; this looks like a"
                    " trap.",
                )
            self.entities = dict(sorted(self.entities.items()))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def identity(self) -> str:
        """The same for the same archive only: the names, sizes and CRC-32 of its entries."""
        digest = hashlib.sha256()
        for entry in self._zip.infolist():
            told = (entry.filename, entry.file_size, entry.CRC, entry.header_offset)
            digest.update(repr(told).encode())
        return digest.hexdigest()

    def read_config(self) -> bytes:
        """The content of `config.json`."""
        if self.config is None:
            raise refused(self.name, f"it has no {CONFIG}, so it is no Instant backup.")
        if self.config.file_size > limits.CONFIG_BYTES_MAX:
            raise refused(
                CONFIG,
                f"it has {self.config.file_size:,} bytes, and {limits.CONFIG_BYTES_MAX:,} are the"
                " most.",
            )
        return b"".join(self._pieces(self.config))

    def lines(self, etype: str, *, number: int = 0, offset: int = 0) -> Iterator[tuple[int, bytes]]:
        """The lines of a namespace with their numbers, from 1. They end at line feeds only.

        number, offset   a line that was read before, and where the next one begins: it is the first
        """
        for found in self._lines(self.entities[etype], number, offset):
            self.lines_read += 1
            yield found

    def _lines(
        self, entry: zipfile.ZipInfo, number: int, offset: int
    ) -> Iterator[tuple[int, bytes]]:
        rest = b""
        for piece in self._pieces(entry, skipped=offset):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                number += 1
                if len(line) > limits.LINE_BYTES_MAX:
                    raise _too_long(entry, number)
                yield number, line
            if len(rest) > limits.LINE_BYTES_MAX:
                raise _too_long(entry, number + 1)
        if rest:
            yield number + 1, rest

    def pieces(self, location: str) -> Iterator[bytes]:
        """The bytes of a file."""
        return self._pieces(self.files[location])

    def _pieces(self, entry: zipfile.ZipInfo, *, skipped: int = 0) -> Iterator[bytes]:
        """skipped   bytes at the beginning that are unpacked, for the CRC-32, and not given"""
        with self._damage(entry.filename), self._zip.open(entry) as opened:
            left = entry.file_size
            while piece := opened.read(limits.PIECE_BYTES):
                start = max(skipped - (entry.file_size - left), 0)
                left -= len(piece)
                self.unpacked += len(piece)
                if start < len(piece):
                    yield piece[start:] if start else piece
            if left:
                problem = f"it ends {left:,} bytes too early. The archive is cut off or damaged."
                raise refused(entry.filename, problem)

    def _add(self, entry: zipfile.ZipInfo) -> None:
        """Sort one entry in. Other entries than an archive has are refused."""
        name = entry.filename
        check_packing(entry)
        is_twice = False
        if name == CONFIG:
            is_twice, self.config = self.config is not None, entry
        elif (found := _ENTITIES.fullmatch(name)) is not None:
            is_twice = found[1] in self.entities
            self.entities[found[1]] = entry
        elif (found := _FILES.fullmatch(name)) is not None and found[1] not in (".", ".."):
            is_twice = found[1] in self.files
            self.files[found[1]] = entry
        elif name not in _FOLDERS:
            raise refused(
                name,
                "an archive has no such entry. It has config.json, entities/NAMESPACE.jsonl and"
                " files/LOCATION.",
            )
        if is_twice:
            raise refused(name, "the archive has this entry twice.")

    @contextmanager
    def _damage(self, place: str) -> Iterator[None]:
        """Tell errors of `zipfile` in words."""
        try:
            yield
        except InvalidInput:
            raise
        except _DAMAGE as cause:
            problem = f"the archive is cut off or damaged here ({cause}). Download it again."
            raise refused(place, problem) from cause
        except OSError as cause:
            if cause.errno != errno.EINVAL:
                raise
            # The list of entries names a place that no file has.
            problem = "the archive is damaged: its list of entries is wrong. Download it again."
            raise refused(place, problem) from cause


def check_packing(entry: zipfile.ZipInfo) -> None:
    """Refuse an entry that is encrypted, or compressed in a way that is not read."""
    if entry.flag_bits & _ENCRYPTED:
        raise refused(entry.filename, "it is encrypted.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        problem = f"it is compressed by method {entry.compress_type}; accepted is deflate."
        raise refused(entry.filename, problem)


def list_names(path: Path) -> list[str]:
    """The names of all entries of a zip file; none if it is no good zip, or has too many.

    raises   OSError
    """
    with open(path, "rb") as file:
        try:
            _check_directory(file, path.name)
            return zipfile.ZipFile(file).namelist()
        except (InvalidInput, *_DAMAGE):
            return []


def _check_directory(file: IO[bytes], name: str) -> None:
    """Refuse a file whose list of entries is too long to be read, or that has none.

    `zipfile` reads the list whole. Where two places could be the end, it takes the one that is
    looked at first here too.
    """
    size = file.seek(0, 2)
    start = file.seek(max(size - _END_BYTES - _COMMENT_BYTES_MAX - _LOCATOR_BYTES, 0))
    tail = file.read()
    at = len(tail) - _END_BYTES
    if at < 0 or tail[at : at + 4] != _END or tail[-2:] != b"\x00\x00":
        at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        raise refused(
            name,
            "it is no zip file, or not whole: there is no list of entries at its end. Download it"
            " again.",
        )
    (directory,) = struct.unpack_from("<L", tail, at + 12)
    before = at - _LOCATOR_BYTES
    if before >= 0 and tail[before : before + 4] == _LOCATOR:
        (place,) = struct.unpack_from("<Q", tail, before + 8)
        if place + 56 <= start + at:
            file.seek(place)
            (large,) = struct.unpack_from("<Q", file.read(56), 40)
            directory = large if directory == 0xFFFFFFFF else max(directory, large)
    if min(directory, size) > limits.DIRECTORY_BYTES_MAX:
        raise refused(
            name,
            f"its list of entries has {directory:,} bytes, and {limits.DIRECTORY_BYTES_MAX:,} are"
            " the most.",
        )
    file.seek(0)


def _too_long(entry: zipfile.ZipInfo, number: int) -> InvalidInput:
    return refused(
        f"{entry.filename} line {number}",
        f"the line has more than {limits.LINE_BYTES_MAX:,} bytes.",
    )
