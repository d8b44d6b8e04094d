"""Apps that come out as tables and go in again."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support.archive_stage import Stage, open_stage
from support.archives import Archive, attr, random_archive
from support.seeds import seeds
from support.table_stage import export, load_planned, wishes_in
from trice import archive_limits
from trice.archive.tables.plan import Scanned, Wishes, plan_tables
from trice.archive.tables.read import TableFile
from trice.archive.tables.scan import scan
from trice.archive.tables.write import Format, Written, import_command
from trice.errors import InvalidInput

GROUPS = 2
SEEDS = range(1, 25)

Entities = dict[str, dict[str, dict[str, Any]]]


async def come_back(stage: Stage, folder: Path, written: Written) -> str:
    """Import an export with the flags that it printed."""
    names, wishes = wishes_in(written)
    files = [Scanned(TableFile(path), names.get(path.name, path.stem)) for path in files_in(folder)]
    tables = plan_tables(await scan(files, stage.ears), Wishes(**wishes))
    return (await load_planned(stage, tables, drops_dangling=True)).app_id


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def entities_in(folder: Path, written: Written) -> Entities:
    """Entities of an export to JSON Lines by namespace and id, without links to nothing."""
    names, wishes = wishes_in(written)
    found: Entities = {}
    for path in files_in(folder):
        rows = [json.loads(line) for line in path.read_text().split("\n") if line]
        found[names.get(path.name, path.stem)] = {row.pop("id"): row for row in rows}
    for wish in wishes["links"]:
        source, _, target = wish.partition("=")
        etype, _, label = source.partition(".")
        there = found[target.partition(".id:")[0]]
        for row in found[etype].values():
            value = row.pop(label, None)
            many = [one for one in value if one in there] if isinstance(value, list) else None
            if many or (many is None and value in there):
                row[label] = many or value
    return found


def without_empty(entities: Entities) -> Entities:
    """What CSV keeps: neither nulls nor empty texts."""
    return {
        etype: {
            id: {label: value for label, value in row.items() if value not in (None, "")}
            for id, row in rows.items()
        }
        for etype, rows in entities.items()
    }


@pytest.mark.rule("AR92")
@pytest.mark.parametrize("format", ["jsonl", "csv"])
@pytest.mark.parametrize("group", range(GROUPS))
async def test_what_comes_out_goes_in_again(group: int, format: Format) -> None:
    for seed in seeds(SEEDS, group=group, groups=GROUPS, loops=2):
        folder = Path(tempfile.mkdtemp())
        try:
            await round_trip(folder, random_archive(seed), format)
        except BaseException as failure:
            failure.add_note(f"seed {seed}")
            raise
        finally:
            shutil.rmtree(folder)


async def round_trip(folder: Path, archive: Archive, format: Format) -> None:
    async with open_stage(folder / "data") as stage:
        report = await stage.load(archive.write(folder / "given.zip"))
        before = await export(stage, report.app_id, folder / "before", "jsonl")
        out = await export(stage, report.app_id, folder / "out", format)
        app_id = await come_back(stage, folder / "out", out)
        after = await export(stage, app_id, folder / "after", "jsonl")
    wanted = entities_in(folder / "before", before)
    found = entities_in(folder / "after", after)
    if format == "csv":
        wanted, found = without_empty(wanted), without_empty(found)
    assert found == wanted


@pytest.mark.rule("AR91")
async def test_names_of_namespaces_become_no_paths(stage: Stage, tmp_path: Path) -> None:
    archive = Archive()
    for etype in ("../out", "a/b", "namespace-1", ".", "plain"):
        archive.namespace(etype, name=attr("string"))
        archive.add(etype, {"name": etype})
    report = await stage.load(archive)
    written = await export(stage, report.app_id, tmp_path / "out", "jsonl")
    names = [path.name for path in files_in(tmp_path / "out")]
    assert sorted(names) == [
        "namespace-1.jsonl",
        "namespace-1_.jsonl",
        "namespace-2.jsonl",
        "namespace-3.jsonl",
        "plain.jsonl",
    ]
    assert "--namespace namespace-3.jsonl=a/b" in import_command(written, tmp_path / "out")
    app_id = await come_back(stage, tmp_path / "out", written)
    async with stage.database(app_id) as database:
        assert {"../out", "a/b", ".", "plain"} <= set(database.catalog.namespaces)


@pytest.mark.rule("AR91")
async def test_an_export_that_fails_leaves_nothing(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive()
    archive.namespace("a")
    archive.namespace("b")
    archive.link("a.bs:many", "b.as:many")
    targets = [archive.add("b", {}) for _ in range(3)]
    archive.add("a", {"bs": targets})
    report = await stage.load(archive)
    monkeypatch.setattr(archive_limits, "LINKS_OF_ENTITY_MAX", 2)
    monkeypatch.setattr(archive_limits, "LINKS_AT_ONCE_MAX", 2)
    with pytest.raises(InvalidInput, match="more than 2 links"):
        await export(stage, report.app_id, tmp_path / "out", "csv")
    assert not [path for path in files_in(tmp_path) if path.name.startswith("out")]
