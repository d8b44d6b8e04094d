"""The first reading of tables: which columns they have, of which types, and how many rows.

source   spec/archive.md AR80-AR84
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from trice import archive_limits as limits
from trice.archive.fill import Progress
from trice.archive.refusals import refused
from trice.archive.tables.plan import Scanned
from trice.archive.tables.read import Row, Source
from trice.catalog.system import EXTENSIBLE
from trice.limits import ATTRS_PER_APP_MAX

_BREATH_ROWS: Final = 500
"""Rows between two moments at which a Ctrl-C is heard."""


class BytesRead:
    """Tells how far sources were read, all passes together."""

    def __init__(self, sources: Sequence[Source], progress: Progress, *, passes: int) -> None:
        self._progress = progress
        self._in_all = passes * sum(source.size for source in sources)
        self._done = 0

    def more(self, count: int) -> None:
        self._done += count
        self._progress.read(self._done, max(self._in_all, self._done))


async def breathing(
    source: Source,
    on_bytes: Callable[[int], None],
    on_labels: Callable[[list[str]], None] = lambda labels: None,
) -> AsyncIterator[Row]:
    """The rows of a source; other tasks, and a Ctrl-C, have their turn in between."""
    for done, row in enumerate(source.rows(on_bytes, on_labels)):
        if done % _BREATH_ROWS == 0:
            await asyncio.sleep(0)
        yield row


async def scan(tables: Sequence[Scanned], progress: Progress) -> list[Scanned]:
    """Read sources once to see which columns they have.

    raises   InvalidInput that names source and line, OSError
    """
    if len(tables) > limits.TABLES_MAX:
        raise refused("tables", f"{limits.TABLES_MAX} files are the most of one import.")
    seen: dict[str, str] = {}
    for table in tables:
        is_system = table.etype.startswith("$")
        if is_system and not (table.is_system and table.etype in EXTENSIBLE):
            problem = f"`{table.etype}` is a namespace of the server."
            raise refused(table.name, f"{problem} Give it a name with --namespace.")
        if table.etype in seen:
            problem = f"{seen[table.etype]} becomes `{table.etype}` already. Use --namespace."
            raise refused(table.name, problem)
        seen[table.etype] = table.name
    told = BytesRead([table.source for table in tables], progress, passes=1)
    left = ATTRS_PER_APP_MAX
    for table in tables:
        await _scan(table, told, columns_max=min(left, limits.TABLE_COLUMNS_MAX))
        left -= len(table.columns)
    return list(tables)


async def _scan(table: Scanned, told: BytesRead, *, columns_max: int) -> None:
    columns = table.columns

    def name_columns(labels: list[str]) -> None:
        columns.update((label, table.make_column()) for label in labels)

    name_columns([*table.told.types, *table.told.links])
    async for number, row in breathing(table.source, told.more, name_columns):
        table.rows += 1
        for label, value in row.items():
            column = columns.get(label)
            if column is None:
                if len(columns) >= columns_max:
                    problem = f"the file has more than {limits.TABLE_COLUMNS_MAX} labels."
                    if columns_max < limits.TABLE_COLUMNS_MAX:
                        problem = f"all files have more than {ATTRS_PER_APP_MAX:,} labels."
                    raise refused(f"{table.name} {table.source.unit} {number}", problem)
                column = columns[label] = table.make_column()
            column.add(value)
