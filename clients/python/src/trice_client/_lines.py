"""Files of JSON Lines, read a batch at a time."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from trice_client import _json
from trice_client._errors import TriceError

_LINE_BYTES_MAX = 16 * 1024 * 1024


class Lines:
    """An open file, and how many of its lines were read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.number = 0

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def open_lines(source: os.PathLike[str] | str) -> Lines:
    """raises   OSError"""
    return Lines(Path(source).open("rb"))


def read_batch(lines: Lines, rows: int) -> list[dict[str, Any]]:
    """The rows of the next lines; empty ones are skipped. [] at the end.

    raises   TriceError("lines-malformed")
    """
    return list(islice(_rows(lines), rows))


def _rows(lines: Lines) -> Any:
    while line := lines.file.readline(_LINE_BYTES_MAX):
        lines.number += 1
        if not line.strip():
            continue
        try:
            row = _json.decode(line)
        except ValueError as cause:
            raise _malformed(lines.number, str(cause)) from cause
        if not isinstance(row, dict):
            raise _malformed(lines.number, f"it is {type(row).__name__}")
        yield row


def _malformed(number: int, why: str) -> TriceError:
    told = f"Line {number} is no JSON object: {why}."
    hint = {"path": [number], "expected": "an object"}
    return TriceError("lines-malformed", told, hint=hint)
