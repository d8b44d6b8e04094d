"""A manifest says all that one backup consists of. No I/O.

    SHA-256 of the rest in hex, newline, JSON of `Manifest`

Lists of files are objects of their own, so that backups of an app whose files did not change share
one: a line `HASH SIZE` for each, by hash.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from trice.errors import InvalidInput
from trice.files.blobs import is_hash
from trice.protocol.ids import find_uuid_bytes

FORMAT: Final = 1
"""The form of manifests. Another form gets another number."""

M = TypeVar("M", bound=msgspec.Struct)

APPS: Final = "$apps"
"""The namespace of the platform that lists apps."""

NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}", re.ASCII)
"""The name of a backup: when it began, and four random digits."""

_LINE: Final = re.compile(rb"([0-9a-f]{64}) ([0-9]{1,18})", re.ASCII)


class Piece(msgspec.Struct, frozen=True):
    """An object of the vault, by its SHA-256."""

    hash: str
    size: int


class FilesPart(msgspec.Struct, frozen=True):
    """The files of an app.

    listed    the list of them
    count     how many different ones there are; `bytes` is their size
    missing   how many the app itself had lost: they are in no list
    """

    listed: Piece
    count: int
    bytes: int
    missing: int


class BundlePart(msgspec.Struct, frozen=True):
    """A bundle of functions.

    code   as it came: the hash is its name
    told   what the worker told that checked it
    """

    code: Piece
    told: Piece


class CodePart(msgspec.Struct, frozen=True):
    """The bundles that the deployments of an app name, each once; in a copy of the platform, those
    of all apps.

    missing   hashes of those that the server itself had lost
    """

    bundles: list[BundlePart]
    missing: list[str]


class AppPart(msgspec.Struct, frozen=True):
    """One app.

    database   its database; None: it could not be read, see `problem`
    tx         its last transaction
    counts     entities by namespace, and pairs by link to many
    problem    what is wrong with its database; None: it is whole
    code       None: the backup is of a version that left code out
    """

    id: str
    database: Piece | None
    tx: int
    counts: dict[str, int]
    files: FilesPart | None
    problem: str | None
    code: CodePart | None = None

    def pieces(self) -> Iterator[Piece]:
        """Its objects but the bytes of files."""
        if self.database is not None:
            yield self.database
        if self.files is not None:
            yield self.files.listed
        for bundle in self.bundles:
            yield bundle.code
            yield bundle.told

    @property
    def bundles(self) -> Sequence[BundlePart]:
        """Its bundles of functions."""
        return () if self.code is None else self.code.bundles


class Manifest(msgspec.Struct, frozen=True):
    """One backup.

    app          the app it is of; None: the whole server
    begun_ms     before the first database was read, and `ended_ms` after the last
    platform     the database of the platform. In a backup of one app it lists that one
    secret_key   of a whole server which keeps its key in the data directory
    """

    format: int
    name: str
    version: str
    app: str | None
    begun_ms: int
    ended_ms: int
    platform: Piece
    secret_key: Piece | None
    apps: list[AppPart]

    @property
    def is_good(self) -> bool:
        """Whether every database in it is whole."""
        return all(part.problem is None for part in self.apps)

    @property
    def bytes(self) -> int:
        """The size of all it consists of."""
        pieces = [self.platform.size, self.secret_key.size if self.secret_key else 0]
        for part in self.apps:
            pieces.append(part.database.size if part.database else 0)
            pieces.append(part.files.bytes + part.files.listed.size if part.files else 0)
            pieces += [bundle.code.size + bundle.told.size for bundle in part.bundles]
        return sum(pieces)

    def pieces(self) -> Iterator[Piece]:
        """All objects but the bytes of files."""
        yield self.platform
        if self.secret_key is not None:
            yield self.secret_key
        for part in self.apps:
            yield from part.pieces()


def dump_manifest(manifest: msgspec.Struct) -> bytes:
    """Write a manifest, or another struct that is kept like one."""
    text = msgspec.json.encode(manifest)
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def load_manifest(name: str, data: bytes) -> Manifest:
    """Read a manifest.

    raises   InvalidInput when it is damaged, cut off, or of a version that is not known
    """
    manifest = load_struct(name, data, Manifest, format=FORMAT)
    is_sound = (
        manifest.name == name
        and all(is_hash(piece.hash) and piece.size >= 0 for piece in manifest.pieces())
        and all(find_uuid_bytes(part.id) is not None for part in manifest.apps)
        and len({part.id for part in manifest.apps}) == len(manifest.apps)
    )
    if not is_sound:
        raise damaged(f"Backup {name} is damaged: its manifest names what cannot be.")
    return manifest


def load_struct(name: str, data: bytes, type: type[M], *, format: int) -> M:
    """Read what `dump_manifest` wrote; raises InvalidInput as `load_manifest`."""
    digest, _, text = data.partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise damaged(f"Backup {name} is damaged: its manifest has another hash.")
    try:
        found = msgspec.json.decode(text, type=_Format).format
        if found != format:
            problem = f"Backup {name} is of format {found}, but this version reads {format}."
            raise damaged(f"{problem} Use the version of trice that wrote it, or a newer one.")
        return msgspec.json.decode(text, type=type)
    except msgspec.MsgspecError as failure:
        raise damaged(f"Backup {name} is damaged: {failure}.") from failure


def list_line(hash: str, size: int) -> bytes:
    """A line of a list of files."""
    return f"{hash} {size}\n".encode()


def list_pieces(lines: Iterable[bytes]) -> Iterator[Piece]:
    """The files of a list; raises InvalidInput for a line that is none."""
    for line in lines:
        found = _LINE.fullmatch(line.rstrip(b"\n"))
        if found is None:
            raise damaged("A list of files in the backup is damaged.")
        yield Piece(found[1].decode(), int(found[2]))


def damaged(problem: str) -> InvalidInput:
    """The error for a backup that cannot be used."""
    return InvalidInput("param-malformed", problem)


class _Format(msgspec.Struct):
    format: int
