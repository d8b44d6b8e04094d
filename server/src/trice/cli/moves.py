"""`trice import`: which kind of thing a path is, and exports of other systems: what is printed and
asked before they become apps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import click

from trice.archive.container import list_names
from trice.archive.convex import propose as convex
from trice.archive.convex.entries import ConvexZip, is_convex
from trice.archive.pocketbase import propose as pocketbase
from trice.archive.pocketbase.database import DATABASE, PocketBaseFile
from trice.archive.pocketbase.propose import find_folder
from trice.archive.refusals import refused
from trice.archive.report import Note
from trice.archive.tables.plan import Proposal, Table, plan_tables
from trice.archive.tables.read import is_table
from trice.cli.data_dirs import run
from trice.cli.progress import Bars
from trice.cli.table_files import Asked, check_title, is_agreed
from trice.limits import APP_TITLE_CHARS_MAX

Kind = Literal["backup", "tables", "convex", "pocketbase"]


def kind_of(files: Sequence[Path]) -> Kind:
    """What there is to import, by names and content.

    raises   UsageError for a mixture
    """
    if any(is_table(path) for path in files):
        for path in files:
            if not is_table(path):
                raise click.UsageError(f"{path.name} is none of .jsonl, .ndjson, .csv, .tsv.")
            if not path.is_file():
                raise click.UsageError(f"{path} is no plain file; it is read several times.")
        return "tables"
    if len(files) > 1:
        raise click.UsageError(
            "Import one backup, one export of Convex, one folder of PocketBase, or several files of"
            " .jsonl, .ndjson, .csv or .tsv."
        )
    (path,) = files
    if path.is_dir():
        if find_folder(path) is None:
            raise click.UsageError(
                f"{path} has no data.db, so it is no data folder of PocketBase. Backups, exports"
                " and tables are files."
            )
        return "pocketbase"
    names = list_names(path)
    if DATABASE in names:
        raise click.UsageError(
            f"{path} is a backup of PocketBase. Unpack it, and import the folder."
        )
    return "convex" if is_convex(names) else "backup"


def title_of(files: Sequence[Path], asked: Asked, kind: Kind) -> str:
    """The title of the new app; without one it is called as its first file, or the folder in which
    PocketBase keeps its own."""
    path = files[0].absolute()
    if kind == "pocketbase" and path.name == "pb_data":
        path = path.parent
    return asked.title or path.stem[:APP_TITLE_CHARS_MAX]


def open_export(
    kind: Kind, path: Path, asked: Asked, data_dir: Path, sources: ExitStack, *, is_json: bool
) -> tuple[list[Table] | None, list[Note]]:
    """Read an export, show the schema it would get, and ask; None: it is not to be made.

    sources  closes the export
    """
    check_title(asked)
    tables, notes = run(_read(kind, path, asked, data_dir, sources))
    is_wanted = is_agreed(tables, notes, asked, is_json=is_json)
    return (tables if is_wanted else None), notes


async def _read(
    kind: Kind, path: Path, asked: Asked, data_dir: Path, sources: ExitStack
) -> tuple[list[Table], list[Note]]:
    with Bars() as bars:
        if kind == "convex":
            proposal = await _read_convex(path, asked, data_dir, sources, bars)
        else:
            proposal = await _read_pocketbase(path, asked, sources, bars)
    return plan_tables(proposal.tables, asked.wishes), proposal.notes


async def _read_convex(
    path: Path, asked: Asked, data_dir: Path, sources: ExitStack, bars: Bars
) -> Proposal:
    zip = sources.enter_context(ConvexZip(path))
    room = _room(data_dir)
    if zip.total > room:
        problem = f"its content takes {zip.total:,} bytes, and the disk has {room:,} left."
        raise refused(path.name, problem)
    users = None if asked.users == "none" else asked.users
    choices = convex.Choices(_names(asked), users, asked.has_components)
    return await convex.propose(zip, choices, bars)


async def _read_pocketbase(path: Path, asked: Asked, sources: ExitStack, bars: Bars) -> Proposal:
    folder = find_folder(path)
    assert folder is not None, "it was found before"
    file = sources.enter_context(PocketBaseFile(folder / DATABASE))
    choices = pocketbase.Choices(_names(asked), asked.users)
    return await pocketbase.propose(file, folder, choices, bars)


def _room(data_dir: Path) -> int:
    """Bytes that the disk of a folder has left; the folder may not be there yet."""
    place = next(each for each in (data_dir, *data_dir.absolute().parents) if each.exists())
    return shutil.disk_usage(place).free


def _names(asked: Asked) -> dict[str, str]:
    """What `--namespace TABLE=NAME` says."""
    names: dict[str, str] = {}
    for each in asked.names:
        table, _, etype = each.partition("=")
        if not etype:
            raise click.UsageError(f"--namespace {each}: write TABLE=NAME.")
        names[table] = etype
    return names
