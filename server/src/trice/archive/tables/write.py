"""Export to tables: a folder with a file for each namespace, as of one snapshot.

The folder is written beside its place and moved there when it is whole. Links are ids; a link to
many is a list. Namespaces of the server (`$users`) are not written.

source   spec/archive.md AR94-AR97
"""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from trice import archive_limits as limits
from trice.archive.lines import LineWriter
from trice.archive.parts import part_folder
from trice.archive.read import scan
from trice.catalog.attr import INFERRED_BITS, Attr
from trice.catalog.catalog import Namespace
from trice.protocol.ids import AttrId
from trice.store.engine import Engine, Snapshot

Format = Literal["jsonl", "csv"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ -]{0,99}")
"""Namespaces whose file has their name. Others have a number, so that no name is a path."""


@dataclass(slots=True)
class Written:
    """What an export wrote.

    entities  how many, by namespace
    flags     of `trice import`, that bring it back as it was
    left_out  namespaces of the server that have entities
    """

    entities: dict[str, int] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


async def export_tables(
    folder: Path, *, engine: Engine, format: Format, on_progress: Callable[[int, int], None]
) -> Written:
    """Write an app's entities to a folder that does not exist.

    on_progress  hears how many entities are written, and of how many
    raises       InvalidInput for what no file can hold, OSError; then there is no folder
    """
    with part_folder(folder) as part:
        work = _Export(part, format, on_progress)
        await engine.read_on_thread(work.write, timeout_ms=limits.READ_TIMEOUT_MS)
    return work.written


class _Export:
    """One export. Holds one page of entities."""

    def __init__(
        self, folder: Path, format: Format, on_progress: Callable[[int, int], None]
    ) -> None:
        self._folder = folder
        self._format = format
        self._on_progress = on_progress
        self._done = 0
        self._used: set[AttrId] = set()
        self.written = Written()

    def write(self, snapshot: Snapshot) -> None:
        """Write everything. Runs on a thread."""
        rows = snapshot.stored
        mine: list[Namespace] = []
        for etype, namespace in sorted(snapshot.catalog.namespaces.items()):
            if namespace.id_attr is None:
                continue
            count, values = rows.count(namespace)
            if etype.startswith("$"):
                self.written.left_out += [etype] if count else []
            else:
                self.written.entities[etype] = count
                mine.append(namespace)
                self._used |= {attr.id for attr in namespace.attrs() if values.get(attr.id)}
        for number, namespace in enumerate(mine, 1):
            self._write(snapshot, namespace, number)

    def _write(self, snapshot: Snapshot, namespace: Namespace, number: int) -> None:
        etype = namespace.etype
        stem = etype if _PLAIN.fullmatch(etype) else f"namespace-{number}"
        while stem != etype and stem in self.written.entities:
            stem += "_"
        name = f"{stem}.{self._format}"
        if stem != etype:
            self.written.flags += ["--namespace", f"{name}={etype}"]
        attrs = sorted(namespace.attrs(), key=lambda attr: (not attr.is_id, attr.label))
        self._note_flags(attrs)
        writer = LineWriter(namespace, left_out=frozenset())
        line_of = _json_line if self._format == "jsonl" else _CsvLines(attrs).line
        in_all = sum(self.written.entities.values())
        with open(self._folder / name, "wb") as file:
            if self._format == "csv":
                file.write(_csv_line([attr.label for attr in attrs]))
            for _, entity in scan(snapshot.stored, writer):
                file.write(line_of(entity))
                self._done += 1
                if self._done % limits.PAGE_ROWS == 0 or self._done == in_all:
                    self._on_progress(self._done, in_all)
            file.flush()
            os.fsync(file.fileno())

    def _note_flags(self, attrs: Sequence[Attr]) -> None:
        """What an import cannot see in the files: links, and types."""
        for attr in attrs:
            if attr.is_id or attr.id not in self._used:
                continue
            if attr.is_ref:
                assert attr.reverse is not None, "a link has two sides"
                if not attr.reverse.etype.startswith("$"):
                    side = f"{attr.reverse.etype}.id:{attr.reverse.label}"
                    self.written.flags += ["--link", f"{attr.name}={side}"]
            else:
                self.written.flags += ["--type", f"{attr.name}={_type(attr)}"]


def import_command(written: Written, folder: Path) -> str:
    """The command that makes an app of an export."""
    flags = " ".join(map(shlex.quote, written.flags))
    return f"trice import {shlex.quote(str(folder))}/* {flags}".rstrip()


def _type(attr: Attr) -> str:
    """The type of an attr, as `--type` has it; values of several types are json."""
    if attr.checked_type is not None:
        return attr.checked_type
    plain = [name for name, bit in INFERRED_BITS.items() if attr.inferred == bit]
    return plain[0] if plain else "json"


def _json_line(entity: dict[str, Any]) -> bytes:
    return orjson.dumps(entity, option=orjson.OPT_APPEND_NEWLINE)


class _CsvLines:
    """Turns entities into lines of CSV. No value and null are empty cells, but for json."""

    def __init__(self, attrs: Sequence[Attr]) -> None:
        self._columns = [
            (attr.label, attr.is_pairs or (not attr.is_ref and _type(attr) == "json"))
            for attr in attrs
        ]

    def line(self, entity: dict[str, Any]) -> bytes:
        return _csv_line(
            [_cell(entity, label, is_json=is_json) for label, is_json in self._columns]
        )


def _cell(entity: dict[str, Any], label: str, *, is_json: bool) -> str:
    if label not in entity:
        return ""
    value = entity[label]
    if is_json:
        return orjson.dumps(value).decode()
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _csv_line(cells: Sequence[str]) -> bytes:
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerow(cells)
    return made.getvalue().encode()
