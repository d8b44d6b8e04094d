"""Records and files of collections, as sources of rows.

source   spec/archive.md AR151-AR156
"""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import orjson

from trice import archive_limits as limits
from trice.archive.pocketbase.collections import Collection, Field
from trice.archive.pocketbase.database import PocketBaseFile, Value
from trice.archive.refusals import refused
from trice.archive.tables.infer import ColumnType
from trice.archive.tables.read import Row

TYPES: Final[Mapping[str, ColumnType]] = {
    "text": "string",
    "editor": "string",
    "email": "string",
    "url": "string",
    "number": "number",
    "bool": "boolean",
    "date": "date",
    "autodate": "date",
    "select": "string",
    "relation": "string",
    "file": "string",
}
"""Types of fields that have one value; others are json."""

_NO_VALUE: Final = frozenset({"email", "url", "date", "autodate", "select", "relation", "file"})
"""Kinds of fields in which an empty text says that there is no value."""

_NAME: Final = re.compile(r"[^./\\\x00][^/\\\x00]{0,254}")
_TOLD_ROWS: Final = 1_000


def type_of(field: Field) -> ColumnType:
    """The type of a field's values."""
    return "json" if field.is_many else TYPES.get(field.kind, "json")


class Records:
    """The records of a collection. Values that are as good as none are left out."""

    unit: Final = "row"
    is_csv: Final = False

    def __init__(self, file: PocketBaseFile, collection: Collection) -> None:
        self._file = file
        self._collection = collection

    @property
    def name(self) -> str:
        return self._collection.name

    @property
    def size(self) -> int:
        return self._file.count(self._collection.name)

    def rows(
        self, on_bytes: Callable[[int], None], on_labels: Callable[[list[str]], None]
    ) -> Iterator[Row]:
        fields = self._collection.fields
        empty_as_none = _NO_VALUE
        found = self._file.rows(self.name, [field.name for field in fields])
        for number, values in enumerate(found, 1):
            if number % _TOLD_ROWS == 0:
                on_bytes(_TOLD_ROWS)
            row: dict[str, Any] = {}
            for field, raw in zip(fields, values, strict=True):
                if raw is None or (raw == "" and field.kind in empty_as_none):
                    continue
                try:
                    value = _value(field, raw)
                except ValueError as cause:
                    place = f"{self.name} row {number}"
                    raise refused(place, f"`{field.name}` is no {field.kind}: {cause}.") from cause
                if raw == "" and field.name in self._collection.unique:
                    continue  # such an index may leave empty texts out, which are all equal
                if field.kind == "file":
                    value = _keys(self._collection, str(values[0]), value)
                row[field.name] = value
            yield number, row


def _value(field: Field, raw: Value) -> Any:
    """A stored value as JSON.

    raises   ValueError
    """
    if isinstance(raw, bytes):
        raw = raw.decode()
    if field.kind == "bool":
        return bool(raw) if isinstance(raw, (int, float)) else raw
    if field.kind in ("date", "autodate"):
        return raw.replace(" ", "T", 1) if isinstance(raw, str) else raw
    if field.is_many:
        return _texts(raw)
    if isinstance(raw, str) and type_of(field) == "json":
        try:
            return orjson.loads(raw)
        except ValueError:
            return raw
    return raw


def _texts(raw: Value) -> list[str]:
    """Several texts; a field that had one value before has a plain text."""
    if not isinstance(raw, str):
        return []
    try:
        found = orjson.loads(raw)
    except ValueError:
        found = raw
    if isinstance(found, list):
        return [each for each in dict.fromkeys(map(str, found)) if each]
    return [str(found)] if found not in (None, "") else []


def _keys(collection: Collection, record: str, names: Any) -> Any:
    """Names of files as keys that no other file has."""
    if isinstance(names, list):
        return [f"{collection.id}/{record}/{name}" for name in names]
    return f"{collection.id}/{record}/{names}"


class StoredFiles:
    """The files of all records, as rows of `$files`. Those that are not in the folder are left out.

    Every folder and file is opened without following links, so no name leads out of `storage`.
    """

    name: Final = "storage"
    unit: Final = "file"
    is_csv: Final = False

    def __init__(
        self, file: PocketBaseFile, folder: Path, collections: Sequence[Collection]
    ) -> None:
        self._file = file
        self._folder = folder
        self._collections = collections

    @property
    def size(self) -> int:
        return sum(self._file.count(each.name) for each in self._collections)

    def rows(
        self, on_bytes: Callable[[int], None], on_labels: Callable[[list[str]], None]
    ) -> Iterator[Row]:
        number = 0
        for collection in self._collections:
            fields = collection.of_kind("file")
            columns = ["id", *(field.name for field in fields)]
            for done, (record, *values) in enumerate(self._file.rows(collection.name, columns), 1):
                if done % _TOLD_ROWS == 0:
                    on_bytes(_TOLD_ROWS)
                for field, raw in zip(fields, values, strict=True):
                    for name in _texts(raw) if field.is_many else ([str(raw)] if raw else []):
                        row = self._row(collection, str(record), name)
                        if row is not None:
                            number += 1
                            yield number, row

    def _row(self, collection: Collection, record: str, name: str) -> dict[str, Any] | None:
        parts = (collection.id, record, name)
        opened = self._open(parts)
        if opened is None:
            return None
        os.close(opened)
        row = {"id": "/".join(parts), "path": f"{collection.name}/{record}/{name}"}
        content_type = self._content_type(parts)
        return row if content_type is None else row | {"content-type": content_type}

    def pieces(self, row: Mapping[str, Any]) -> Iterator[bytes]:
        """The bytes of a file."""
        opened = self._open(tuple(str(row["id"]).split("/")))
        if opened is None:
            raise refused(str(row["path"]), "the file went away while it was read.")
        with open(opened, "rb", buffering=0) as file:
            while piece := file.read(limits.PIECE_BYTES):
                yield piece

    def _content_type(self, parts: tuple[str, ...]) -> str | None:
        """What PocketBase noted beside a file; else what its name says."""
        *folders, name = parts
        opened = self._open((*folders, f"{name}.attrs"))
        if opened is not None:
            with open(opened, "rb") as file:
                noted = file.read(limits.ATTRIBUTES_BYTES_MAX)
            try:
                found = orjson.loads(noted)
            except ValueError:
                found = None
            told = found.get("user.content_type") if isinstance(found, dict) else None
            if isinstance(told, str) and told:
                return told
        return mimetypes.guess_type(name)[0]

    def _open(self, parts: Sequence[str]) -> int | None:
        """Open a file below `storage`; None if it is not there, or no plain file."""
        if any(_NAME.fullmatch(part) is None for part in parts):
            return None
        with ExitStack() as folders:
            try:
                at = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
                folders.callback(os.close, at)
                for part in parts[:-1]:
                    at = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
                    folders.callback(os.close, at)
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                opened = os.open(parts[-1], flags, dir_fd=at)
            except (OSError, ValueError):
                return None
        if stat.S_ISREG(os.fstat(opened).st_mode):
            return opened
        os.close(opened)
        return None
