"""Rows of a file of JSON Lines or CSV, read in pieces.

    {"title": "Tea", "price": 2}           title,price
    {"title": "Cup"}                       Tea,2

A row is its labels with their values, and the number of the line where it begins. Cells of CSV are
texts; an empty one is no value. No more than one row is held.

source   RFC 4180; spec/archive.md AR81-AR83
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from trice import archive_limits as limits
from trice.archive.refusals import refused

CSV: Final = frozenset({".csv", ".tsv"})
JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})

Row = tuple[int, dict[str, Any]]
"""The number of a line, and what stands there."""


class Source(Protocol):
    """Where the rows of one namespace come from. They are read several times, and are the same each
    time."""

    @property
    def name(self) -> str:
        """What errors call it: `todos.csv`."""
        ...

    @property
    def unit(self) -> str:
        """What its numbers count: "line" or "row"."""
        ...

    @property
    def size(self) -> int:
        """How much `on_bytes` hears in one reading, about."""
        ...

    @property
    def is_csv(self) -> bool:
        """Whether all values are texts."""
        ...

    def rows(
        self, on_bytes: Callable[[int], None], on_labels: Callable[[list[str]], None]
    ) -> Iterator[Row]:
        """The rows.

        on_bytes   hears how much more was read
        on_labels  hears the columns that a CSV file says it has
        raises     InvalidInput that names the place, OSError
        """
        ...


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file of JSON Lines or CSV."""

    path: Path
    unit: str = "line"

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def is_csv(self) -> bool:
        return self.path.suffix.lower() in CSV

    def rows(
        self, on_bytes: Callable[[int], None], on_labels: Callable[[list[str]], None]
    ) -> Iterator[Row]:
        lines = _lines(self.path, on_bytes)
        if self.is_csv:
            return _csv_rows(self.path, lines, on_labels)
        return json_rows(self.name, lines)


_BOM: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def is_table(path: Path) -> bool:
    """Whether a file can be read as rows, by its name."""
    return path.suffix.lower() in CSV | JSON_LINES


def _lines(path: Path, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, from 1. They end at line feeds only."""
    most = limits.TABLE_ROW_BYTES_MAX if path.suffix.lower() in CSV else limits.LINE_BYTES_MAX
    number, rest = 0, b""
    with open(path, "rb") as file:
        while piece := file.read(limits.PIECE_BYTES):
            on_bytes(len(piece))
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                number += 1
                yield number, _checked(path.name, number, line, most)
            _checked(path.name, number + 1, rest, most)
    if rest:
        yield number + 1, _checked(path.name, number + 1, rest, most)


def _checked(name: str, number: int, line: bytes, most: int) -> bytes:
    """A line without the mark that editors put before the first one."""
    if len(line) > most:
        raise refused(f"{name} line {number}", f"the line has more than {most:,} bytes.")
    if number == 1:
        if line.startswith(_UTF_16):
            raise refused(name, "it is UTF-16. Save it as UTF-8.")
        return line.removeprefix(_BOM)
    return line


# --- JSON Lines ---------------------------------------------------------------------------------


def json_rows(name: str, lines: Iterator[tuple[int, bytes]]) -> Iterator[Row]:
    """Lines of JSON as rows; blank ones are none."""
    for number, line in lines:
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except ValueError as cause:
            raise refused(f"{name} line {number}", f"the line is no JSON: {cause}.") from cause
        if not isinstance(row, dict):
            problem = 'a line is an object, such as {"title": "Tea"}.'
            if line.startswith(b"["):
                problem += f" An array becomes lines with `jq -c '.[]' {name}`."
            raise refused(f"{name} line {number}", problem)
        yield number, row


# --- CSV ----------------------------------------------------------------------------------------


class _Texts:
    """Lines as text for the reader of CSV. Counts the bytes of a row, which may have many lines."""

    def __init__(self, name: str, lines: Iterator[tuple[int, bytes]]) -> None:
        self._name = name
        self._lines = lines
        self.row_bytes = 0

    def __iter__(self) -> _Texts:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        self.row_bytes += len(line) + 1
        if self.row_bytes > limits.TABLE_ROW_BYTES_MAX + 1:
            raise refused(
                f"{self._name} line {number}",
                f"the row that ends here has more than {limits.TABLE_ROW_BYTES_MAX:,} bytes. A"
                " quote may not be closed.",
            )
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as cause:
            raise refused(
                f"{self._name} line {number}",
                f"byte {cause.start + 1} of the line is no text in UTF-8. Save the file as UTF-8.",
            ) from cause


def _csv_rows(
    path: Path, lines: Iterator[tuple[int, bytes]], on_labels: Callable[[list[str]], None]
) -> Iterator[Row]:
    texts = _Texts(path.name, lines)
    first = next(texts, None)
    if first is None:
        raise refused(path.name, "it is empty. Its first line must name the columns.")
    csv.field_size_limit(limits.TABLE_ROW_BYTES_MAX)
    reader = csv.reader(_after(first, texts), delimiter=_delimiter(path, first), strict=True)
    labels: list[str] | None = None
    while True:
        number = reader.line_num + 1
        texts.row_bytes = 0
        try:
            cells = next(reader, None)
        except csv.Error as cause:
            place = f"{path.name} line {reader.line_num}"
            raise refused(place, f"the line is no CSV: {cause}.") from cause
        if cells is None:
            return
        if not cells:
            continue
        if labels is None:
            labels = _labels(path.name, cells)
            on_labels(labels)
            continue
        if len(cells) != len(labels):
            problem = f"the row has {len(cells):,} cells, and the file {len(labels):,} columns."
            raise refused(f"{path.name} line {number}", problem)
        yield number, {label: cell for label, cell in zip(labels, cells, strict=True) if cell}


def _after(first: str, texts: Iterator[str]) -> Iterator[str]:
    yield first
    yield from texts


def _delimiter(path: Path, header: str) -> str:
    """What stands between cells: a comma, or what the header has instead of one."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    return next((each for each in (",", ";", "\t") if each in header), ",")


def _labels(name: str, cells: list[str]) -> list[str]:
    """The names of the columns."""
    labels = [cell.strip() for cell in cells]
    for position, label in enumerate(labels, 1):
        if not label:
            raise refused(f"{name} line 1", f"column {position} has no name.")
    if len(labels) > limits.TABLE_COLUMNS_MAX:
        problem = f"it has {len(labels):,} columns; {limits.TABLE_COLUMNS_MAX} are the most."
        raise refused(name, problem)
    seen: set[str] = set()
    for label in labels:
        if label in seen:
            raise refused(f"{name} line 1", f"two columns are called `{label[:200]}`.")
        seen.add(label)
    return labels
