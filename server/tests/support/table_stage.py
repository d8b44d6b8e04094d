"""Files of JSON Lines and CSV that become apps, and come out of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.archive_stage import Stage
from trice.archive.report import Report
from trice.archive.tables.load import Options, import_tables
from trice.archive.tables.plan import Scanned, Table, Wishes, plan_tables
from trice.archive.tables.read import TableFile
from trice.archive.tables.scan import scan
from trice.archive.tables.write import Format, Written, export_tables


async def proposed(stage: Stage, *files: Path, **wishes: Sequence[str]) -> list[Table]:
    """What becomes of files; `wishes` as `Wishes`."""
    named = [Scanned(TableFile(path), path.stem) for path in files]
    return plan_tables(await scan(named, stage.ears), Wishes(**wishes))


async def load(
    stage: Stage, *files: Path, drops_dangling: bool = False, **wishes: Sequence[str]
) -> Report:
    """Import files."""
    return await load_planned(
        stage, await proposed(stage, *files, **wishes), drops_dangling=drops_dangling
    )


async def load_planned(
    stage: Stage, tables: Sequence[Table], *, drops_dangling: bool = False
) -> Report:
    return await import_tables(
        tables,
        engines=stage.engines,
        registry=stage.registry,
        storage=stage.storage,
        folder=stage.folder,
        runtime=stage.runtime,
        options=Options(title="Tables", drops_dangling=drops_dangling),
        progress=stage.ears,
    )


async def export(stage: Stage, app_id: str, folder: Path, format: Format) -> Written:
    """Export an app to tables."""
    async with stage.database(app_id) as database:
        return await export_tables(
            folder, engine=database.engine, format=format, on_progress=lambda done, of: None
        )


async def rows_of(stage: Stage, app_id: str, query: dict[str, Any]) -> dict[str, Any]:
    """The answer to a query."""
    async with stage.database(app_id) as database:
        found: dict[str, Any] = await database.look(lambda look: look.find(query))
        return found


def wishes_in(written: Written) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The flags that an export prints: namespaces by file, and wishes."""
    names: dict[str, str] = {}
    wishes: dict[str, list[str]] = {"types": [], "links": []}
    for flag, value in zip(written.flags[::2], written.flags[1::2], strict=True):
        if flag == "--namespace":
            file, _, etype = value.partition("=")
            names[file] = etype
        else:
            wishes[{"--type": "types", "--link": "links"}[flag]].append(value)
    return names, wishes
