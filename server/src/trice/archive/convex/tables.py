"""Tables and files of an export, as sources of rows.

source   spec/archive.md AR140-AR145
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from trice import archive_limits as limits
from trice.archive.convex.entries import ConvexZip
from trice.archive.convex.values import Changed, plain, table_number
from trice.archive.refusals import refused
from trice.archive.tables.infer import Column
from trice.archive.tables.read import Row, json_rows

ID: Final = "_id"
CREATED: Final = "_creationTime"
_PLAIN: Final = frozenset((str, float, bool, type(None)))
"""Types of values that are plain as they are."""


class Documents:
    """The documents of a table.

    changed   values that came changed in the latest reading
    """

    unit: Final = "line"
    is_csv: Final = False

    def __init__(self, zip: ConvexZip, key: str) -> None:
        self.changed = Changed()
        self._zip = zip
        self._key = key

    @property
    def name(self) -> str:
        return f"{self._key}/documents.jsonl"

    @property
    def size(self) -> int:
        return self._zip.entities[self._key].file_size

    def rows(
        self, on_bytes: Callable[[int], None], on_labels: Callable[[list[str]], None]
    ) -> Iterator[Row]:
        changed = self.changed = Changed()
        for number, row in json_rows(self.name, self._zip.rows(self._key, on_bytes)):
            try:
                made = {
                    label: value if type(value) in _PLAIN else plain(value, changed)
                    for label, value in row.items()
                }
            except RecursionError:
                place = f"{self.name} line {number}"
                raise refused(place, "its values are nested too deeply.") from None
            yield number, made


class StoredFiles(Documents):
    """Files, as rows of `$files`."""

    def rows(
        self, on_bytes: Callable[[int], None], on_labels: Callable[[list[str]], None]
    ) -> Iterator[Row]:
        for number, row in super().rows(on_bytes, on_labels):
            entry = self._zip.files.get(f"{self._key}/{row.get(ID)}")
            if entry is None:
                problem = f"there is no entry {self._key}/{row.get(ID)} with its bytes."
                raise refused(f"{self.name} line {number}", problem)
            made = {
                ID: row.get(ID),
                CREATED: row.get(CREATED),
                "path": f"storage/{PurePosixPath(entry.filename).name}",
                "content-type": row.get("contentType"),
                "size": entry.file_size,
                "content-hash": _hash(row.get("sha256")),
            }
            yield number, {label: value for label, value in made.items() if value is not None}

    def pieces(self, row: Mapping[str, Any]) -> Iterator[bytes]:
        """The bytes of a file."""
        return self._zip.pieces(f"{self._key}/{row[ID]}")


def _hash(text: Any) -> str | None:
    """SHA-256 in hex digits, from base64; None if there is none."""
    try:
        raw = binascii.a2b_base64(text, strict_mode=True) if isinstance(text, str) else b""
    except ValueError:
        return None
    return raw.hex() if len(raw) == 32 else None


@dataclass(slots=True)
class IdColumn(Column):
    """A column that may turn out to have ids of a table.

    is_ids   whether each value so far is an id, or a list of ids
    number   of the table that all ids are of
    samples  some of the ids
    is_many  whether a value is a list
    """

    is_ids: bool = True
    number: int | None = None
    samples: set[str] = field(default_factory=set)
    is_many: bool = False

    # `super()` finds no class in a dataclass with slots.
    def add(self, value: Any) -> None:
        Column.add(self, value)
        if value is None or not self.is_ids:
            return
        is_list = isinstance(value, list)
        self.is_many = self.is_many or is_list
        self.is_ids = all(map(self._take, value)) if is_list else self._take(value)

    def _take(self, value: Any) -> bool:
        number = table_number(value) if isinstance(value, str) else None
        if number is None or self.number not in (None, number):
            return False
        self.number = number
        if len(self.samples) < limits.ID_SAMPLES:
            self.samples.add(value)
        return True
