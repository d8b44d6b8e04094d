"""Exports of Convex and folders of PocketBase that become apps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from support.archive_stage import Stage
from trice.archive.convex.entries import ConvexZip
from trice.archive.convex.propose import Choices, propose
from trice.archive.pocketbase import propose as pocketbase
from trice.archive.pocketbase.database import DATABASE, PocketBaseFile
from trice.archive.report import Note, Report
from trice.archive.tables.load import Options, import_tables
from trice.archive.tables.plan import Proposal, Table, Wishes, plan_tables
from trice.protocol.ids import AppId


def told(notes: Sequence[Note]) -> str:
    """Notes as one text."""
    return "\n".join(f"{note.what} {note.next or ''}" for note in notes)


async def load_proposed(
    stage: Stage, proposal: Proposal, *, drops_dangling: bool = False, **wishes: Sequence[str]
) -> Report:
    """Make an app of a proposal."""
    tables: list[Table] = plan_tables(proposal.tables, Wishes(**wishes))
    return await import_tables(
        tables,
        engines=stage.engines,
        registry=stage.registry,
        storage=stage.storage,
        folder=stage.folder,
        runtime=stage.runtime,
        options=Options(
            title="Moved", is_open=False, drops_dangling=drops_dangling, notes=proposal.notes
        ),
        progress=stage.ears,
    )


async def load_convex(
    stage: Stage,
    path: Path,
    choices: Choices | None = None,
    *,
    drops_dangling: bool = False,
    **wishes: Sequence[str],
) -> Report:
    """Import an export of Convex."""
    with ConvexZip(path) as zip:
        proposal = await propose(zip, choices or Choices(), stage.ears)
        return await load_proposed(stage, proposal, drops_dangling=drops_dangling, **wishes)


async def load_pocketbase(
    stage: Stage,
    path: Path,
    choices: pocketbase.Choices | None = None,
    *,
    drops_dangling: bool = False,
    **wishes: Sequence[str],
) -> Report:
    """Import a data folder of PocketBase."""
    folder = pocketbase.find_folder(path) or path
    with PocketBaseFile(folder / DATABASE) as file:
        made = choices or pocketbase.Choices()
        proposal = await pocketbase.propose(file, folder, made, stage.ears)
        return await load_proposed(stage, proposal, drops_dangling=drops_dangling, **wishes)


def bytes_of(stage: Stage, app_id: str, hash: str) -> bytes:
    """The bytes of a file that is kept under a hash."""
    path = stage.storage.blobs.path(AppId(app_id), hash)
    assert path is not None
    return path.read_bytes()
