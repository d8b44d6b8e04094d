"""The zip file that `npx convex export` writes, read within the bounds of archives.

    README.md
    _tables/documents.jsonl             {"name": "messages", "id": 10001}
    messages/documents.jsonl            {"_creationTime": ms, "_id": id, …}
    messages/generated_schema.jsonl     "uniform"; types of values in older exports
    _storage/documents.jsonl            {"_id", "_creationTime", "contentType", "sha256", "size", …}
    _storage/ID.EXT                     the bytes of a file
    _components/NAME/…                  the same for a component

A folder around all of it is passed over.

source   https://docs.convex.dev/database/import-export/export; spec/archive.md AR140-AR149
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from trice import archive_limits as limits
from trice.archive.container import CONFIG, Container, check_packing, list_names
from trice.archive.refusals import refused

STORAGE: Final = "_storage"

_DOCUMENTS: Final = re.compile(r"(?:[^/]+/)*documents\.jsonl")
_TABLE: Final = re.compile(
    r"(?P<path>(?:_components/[A-Za-z0-9_]{1,64}/)*)"
    r"(?P<table>[A-Za-z0-9_]{1,64})/(?P<file>[^/\\\x00]{1,255})"
)
_FILE: Final = re.compile(r"(?P<id>[0-9a-z]{1,64})(?:\.[^/.]{1,64})?")
_PASSED_OVER: Final = re.compile(r"README\.md|__MACOSX/.*|(?:[^/]+/)*\.DS_Store|(?:[^/]+/)+")


def is_convex(names: Sequence[str]) -> bool:
    """Whether a zip file is an export of Convex, by the names in it."""
    return CONFIG not in names and any(map(_DOCUMENTS.fullmatch, names))


class ConvexZip(Container):
    """An open export.

    `entities` has the documents of tables by path and name (`_components/agent/threads`), `files`
    the bytes of files by path and id (`_storage/k17…`).

    is_old   types of some values are in `generated_schema.jsonl` only
    """

    def __init__(self, path: Path) -> None:
        """Raises as `Container`."""
        self._prefix: str | None = None
        self._schemas: list[zipfile.ZipInfo] = []
        names = [name for name in list_names(path) if _DOCUMENTS.fullmatch(name)]
        if names:
            self._prefix = _outer_folder(names)
        super().__init__(path)

    @property
    def is_old(self) -> bool:
        """Whether integers and bytes stand there as texts, as in exports of before 2025."""
        return any(
            next(self._pieces(entry), b"").strip() not in (b'"uniform"', b"")
            for entry in self._schemas[:20]
            if entry.file_size < 1024**2
        )

    def rows(self, name: str, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
        """The lines of a table, with their numbers."""
        untold = 0
        for number, line in self.lines(name):
            untold += len(line) + 1
            if untold >= limits.PIECE_BYTES:
                on_bytes(untold)
                untold = 0
            yield number, line
        on_bytes(untold)

    def _add(self, entry: zipfile.ZipInfo) -> None:
        name = entry.filename.removeprefix(self._prefix or "")
        check_packing(entry)
        found = _TABLE.fullmatch(name)
        if found is None:
            if _PASSED_OVER.fullmatch(name) is None or ".." in name.split("/"):
                raise refused(name, "no export of Convex has such an entry.")
            return
        key = f"{found['path']}{found['table']}"
        if found["file"] == "documents.jsonl":
            if key in self.entities:
                raise refused(name, "it is there twice.")
            self.entities[key] = entry
        elif found["file"] == "generated_schema.jsonl":
            self._schemas.append(entry)
        elif found["table"] == STORAGE and (file := _FILE.fullmatch(found["file"])) is not None:
            key = f"{key}/{file['id']}"
            if key in self.files:
                raise refused(name, "there are two files with this id.")
            self.files[key] = entry
        elif _PASSED_OVER.fullmatch(name) is None:
            raise refused(name, "no export of Convex has such an entry.")


def _outer_folder(names: list[str]) -> str:
    """The folder that everything is in, if somebody packed it again: `snapshot/`, or nothing."""
    first = min(names, key=lambda name: name.count("/"))
    if first.count("/") < 2 or first.startswith("_components/"):
        return ""
    folder = first[: first.rindex("/")]
    folder = folder[: folder.rindex("/") + 1]
    return folder if all(name.startswith(folder) for name in names) else ""
