"""Apps that come out as tables and go in again."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support.archive_stage import Stage, open_stage, small_shop
from support.archives import Archive, random_archive, read_archive
from support.seeds import seeds
from support.table_stage import export, load_planned, wishes_in
from trice.archive.tables.load import scan
from trice.archive.tables.plan import Wishes, plan_tables
from trice.archive.tables.read import is_table
from trice.archive.tables.write import Format, Written
from trice.errors import InvalidInput

GROUPS = 2
SEEDS = range(1, 25)


async def come_back(stage: Stage, folder: Path, written: Written, **options: bool) -> str:
    """Import an export with the flags that it printed."""
    names, wishes = wishes_in(written)
    files = [(path, names.get(path.name, path.stem)) for path in sorted(folder.iterdir())]
    assert all(is_table(path) for path, _ in files)
    tables = plan_tables(await scan(files, stage.ears), Wishes(**wishes))
    return (await load_planned(stage, tables, **options)).app_id


def entities_in(path: Path) -> dict[str, Any]:
    """Entities of an archive by namespace and id, without those of the server."""
    return {
        etype: {line["entity"]["id"]: line["entity"] for line in lines}
        for etype, lines in read_archive(path)["entities"].items()
        if not etype.startswith("$")
    }


def without_system_links(entities: dict[str, Any], archive: Archive) -> dict[str, Any]:
    return entities


@pytest.mark.rule("AR92")
@pytest.mark.parametrize("group", range(GROUPS))
async def test_json_lines_come_back_equal(group: int) -> None:
    for seed in seeds(SEEDS, group=group, groups=GROUPS):
        folder = Path(tempfile.mkdtemp())
        try:
            await round_trip(folder, random_archive(seed))
        except BaseException as failure:
            failure.add_note(f"seed {seed}")
            raise
        finally:
            shutil.rmtree(folder)


async def round_trip(folder: Path, archive: Archive) -> None:
    async with open_stage(folder / "data") as stage:
        report = await stage.load(archive.write(folder / "given.zip"))
        written = await export(stage, report.app_id, folder / "out", "jsonl")
        app_id = await come_back(stage, folder / "out", written, drops_dangling=True)
        await stage.export(report.app_id, folder / "before.zip")
        await stage.export(app_id, folder / "after.zip")
    print(entities_in(folder / "before.zip"))
    assert entities_in(folder / "after.zip") == entities_in(folder / "before.zip")
