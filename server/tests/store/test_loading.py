"""What is filled in at once is what transactions would have written, to the last order key."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import apsw
import pytest

from support.archive_stage import open_stage
from support.archives import Archive, many_links, random_archive
from support.engines import open_database
from support.runtime import FakeRuntime
from support.seeds import seeds
from trice.archive.schema import plan_attrs
from trice.database import Change, Database

CREATED = {"_created_ms", "created_ms"}


def shape(path: Path) -> set[tuple[str, ...]]:
    """Tables, indexes and views, as they were declared."""
    file = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = set(file.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))
    file.close()
    return {row for row in found if not row[1].startswith("sqlite_")}


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables but the log and the attrs, without the times."""
    file = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = {}
    for kind, table, _, _ in sorted(shape(path)):
        if kind == "table" and not table.startswith("_"):
            names = [
                name for (name,) in file.execute("SELECT name FROM pragma_table_info(?)", (table,))
            ]
            listed = ", ".join(f'"{name}"' for name in names if name not in CREATED)
            found[table] = sorted(file.execute(f'SELECT {listed} FROM "{table}"'), key=repr)
    file.close()
    return found


async def write(database: Database, archive: Archive) -> None:
    """Write the entities of an archive as transactions."""
    links = many_links(archive.schema)
    for etype, lines in archive.lines.items():
        for line, _ in lines:
            many = {label: line[label] for label in links.get(etype, ()) if label in line}
            one = {k: v for k, v in line.items() if k not in many and k != "id"}

            def work(change: Change, etype: str = etype, line: Any = line, one: Any = one) -> None:
                change.write(["update", etype, line["id"], one])

            await database.change(work)
            if many:
                step = ["link", etype, line["id"], many]
                await database.change(lambda change, step=step: change.write(step))


@pytest.mark.rule("AR33", "AR40")
async def test_a_filled_database_is_what_transactions_write() -> None:
    for seed in seeds(range(12)):
        folder = Path(tempfile.mkdtemp())
        try:
            await compare(folder, random_archive(seed))
        except BaseException as failure:
            failure.add_note(f"seed {seed}")
            raise
        finally:
            shutil.rmtree(folder)


async def compare(folder: Path, archive: Archive) -> None:
    known = [
        {
            "id": f"{number:08x}-0000-4000-8000-000000000000",
            "forward-identity": [f"{number:08x}-0000-4000-8000-000000000001", etype, label],
            "reverse-identity": [f"{number:08x}-0000-4000-8000-000000000002"],
        }
        for number, (etype, label) in enumerate(
            [(etype, "id") for etype in archive.schema["entities"]]
            + [
                (etype, label)
                for etype, each in archive.schema["entities"].items()
                for label in each["attrs"]
            ]
            + [
                (link["forward"]["on"], link["forward"]["label"])
                for link in archive.schema["links"].values()
            ]
        )
    ]
    async with open_stage(folder / "data") as stage:
        report = await stage.load(archive, attrs=known)
        filled = Path(stage.engines.place(report.app_id))  # type: ignore[arg-type]
    written = folder / "written.db"
    database = await open_database(written, runtime=FakeRuntime())
    await database.add_attrs(plan_attrs(archive.schema, known, database.catalog, FakeRuntime()))
    await write(database, archive)
    catalog = database.catalog.wire()
    await database.close()
    again = await open_database(filled, runtime=FakeRuntime())
    assert again.catalog.wire() == catalog
    await again.close()
    assert shape(filled) == shape(written)
    assert rows(filled) == rows(written)
