"""Rows of `$files`: read by path, location or hash; the steps that write them. No I/O.

A row names bytes by `content-hash`. Its `location-id` is new with every upload, and is part of its
URL.

source   instant-http §1.13, §2.1; spec/files.md F40-F59
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trice import file_limits as limits
from trice.database import Look
from trice.errors import Conflict, InvalidInput, invalid
from trice.protocol.ids import find_uuid_bytes
from trice.protocol.quoting import brief
from trice.store.commit import Commit
from trice.system_rows import FoundRow, find_row, find_rows

FILES: Final = "$files"
STREAM_PREFIX: Final = "$stream/"
CONTENT_TYPE: Final = "application/octet-stream"
DISPOSITION: Final = "inline"
KEY_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row of `$files`.

    hash   SHA-256 of its bytes, as 64 hex digits
    size   bytes
    """

    id: str
    path: str
    location_id: str
    hash: str
    size: int
    content_type: str | None
    content_disposition: str | None


def find_file(
    look: Look, *, path: str | None = None, location_id: str | None = None
) -> FileRow | None:
    """The row with this path, or with this location now."""
    label, value = ("path", path) if path is not None else ("location-id", location_id)
    found = find_row(look, FILES, label, value)
    return None if found is None else _file_row(found)


def is_hash_named(look: Look, hash: str) -> bool:
    """Whether a row names these bytes."""
    return bool(find_rows(look, FILES, "content-hash", hash, count=1))


def upload_steps(row: FileRow) -> list[Any]:
    """The steps that make a row, or give it other bytes; its links and own attrs stay."""
    fields = {
        "path": row.path,
        "size": row.size,
        "content-type": row.content_type,
        "content-disposition": row.content_disposition,
        "location-id": row.location_id,
        "key-version": KEY_VERSION,
        "content-hash": row.hash,
    }
    return ["update", FILES, row.id, fields]


def check_path(path: str, *, may_be_stream: bool = False) -> str:
    """The path of a file, if it is one.

    raises   InvalidInput: it is blank, too long, has control characters, or is a stream's
    """
    problem = None
    if not path.strip():
        problem = "A path has at least one character that is not blank."
    elif len(path.encode("utf-8", "replace")) > limits.PATH_BYTES_MAX:
        problem = f"A path has up to {limits.PATH_BYTES_MAX:,} bytes of UTF-8."
    elif not path.isprintable() and any(_is_control(char) for char in path):
        problem = "A path has no control characters and no lone surrogates."
    elif path.startswith(STREAM_PREFIX) and not may_be_stream:
        problem = "The path for stream files can't be edited."
    if problem is not None:
        raise invalid("path", brief(path), [{"message": problem, "in": ["path"]}])
    return path


def check_id(look: Look, id: str | None, *, path: str) -> None:
    """Refuse the id that a new row shall have if a file of another path has it.

    raises   Conflict("record-not-unique")
    """
    raw = find_uuid_bytes(id)
    found = None if raw is None else find_row(look, FILES, "id", raw)
    if found is not None and found.fields["path"] != path:
        raise Conflict(
            "record-not-unique",
            f"A file of another path has the id {id}; choose another one.",
            {"record-type": "triple", "etype": FILES, "label": "id", "value": id},
        )


def check_header(value: str, *, name: str) -> str:
    """A content type or disposition, which becomes a header of downloads.

    raises   InvalidInput when it is too long, or has characters that no header has
    """
    if len(value) > limits.HEADER_CHARS_MAX or any(_is_control(char) for char in value):
        raise InvalidInput(
            "param-malformed",
            f'Malformed parameter: ["headers" "{name}"]. It must be up to'
            f" {limits.HEADER_CHARS_MAX} characters without control characters.",
            {"in": ["headers", name]},
        )
    return value


def let_go(commits: Sequence[Commit]) -> set[str]:
    """The hashes that rows named before these commits and do not name in the same row now."""
    found: set[str] = set()
    for commit in commits:
        for change in commit.entities:
            if change.etype != FILES or change.old is None:
                continue
            attr = commit.catalog.find_forward(FILES, "content-hash")
            assert attr is not None, "a system attr is missing"
            old = change.old.cells.get(attr.id)
            new = None if change.new is None else change.new.cells.get(attr.id)
            if isinstance(old, str) and old != new:
                found.add(old)
    return found


def named_hashes(look: Look, hashes: Iterable[str]) -> set[str]:
    """Those of the hashes that rows name."""
    return {hash for hash in hashes if is_hash_named(look, hash)}


def _is_control(char: str) -> bool:
    code = ord(char)
    return code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000


def _file_row(found: FoundRow) -> FileRow:
    fields = found.fields
    return FileRow(
        fields["id"],
        fields["path"],
        fields["location-id"],
        fields.get("content-hash") or "",
        int(fields["size"]),
        fields.get("content-type"),
        fields.get("content-disposition"),
    )
