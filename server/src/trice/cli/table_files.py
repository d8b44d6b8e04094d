"""`trice import` of JSON Lines and CSV, `trice export --format jsonl|csv`: what the two print and
ask."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from trice.archive.report import Note, Report
from trice.archive.tables.load import Options, import_tables
from trice.archive.tables.people import USERS, UserRows
from trice.archive.tables.plan import Scanned, Table, Wishes, plan_tables
from trice.archive.tables.read import TableFile
from trice.archive.tables.scan import scan
from trice.archive.tables.write import Format, Written, export_tables, import_command
from trice.cli.data_dirs import DataDir, opened_app, run
from trice.cli.progress import Bars
from trice.cli.terminal import confirm, counted, print_counts, printable, printable_lines, say
from trice.limits import APP_TITLE_CHARS_MAX
from trice.protocol.quoting import bare


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options of `trice import` say of tables."""

    title: str | None
    names: Sequence[str]
    users: str | None
    has_components: bool
    wishes: Wishes
    is_dry: bool
    is_agreed: bool


def propose(files: Sequence[Path], asked: Asked, *, is_json: bool) -> list[Table] | None:
    """Read the files, show the schema they would get, and ask; None: it is not to be made.

    is_json  standard output is for the report only
    """
    check_title(asked)
    tables = run(_plan(_named(files, asked.names, asked.users), asked.wishes))
    return tables if is_agreed(tables, (), asked, is_json=is_json) else None


def check_title(asked: Asked) -> None:
    """Refuse a title that no app can have."""
    if asked.title is not None and not 0 < len(asked.title) <= APP_TITLE_CHARS_MAX:
        raise click.UsageError(f"--title takes 1 to {APP_TITLE_CHARS_MAX} characters.")


def is_agreed(
    tables: Sequence[Table], notes: Sequence[Note], asked: Asked, *, is_json: bool
) -> bool:
    """Show a schema, and what does not come; ask. False: only to be shown."""
    for line in _shown(tables):
        click.echo(printable_lines(line), err=is_json)
    for note in notes:
        click.echo(f"\n- {printable(note.what)}", err=is_json)
        if note.next is not None:
            click.echo(f"  {printable(note.next)}", err=is_json)
    if asked.is_dry:
        return False
    confirm("\nMake an app with this schema?", is_agreed=asked.is_agreed)
    return True


async def load_tables(
    tables: Sequence[Table], data_dir: Path, options: Options, place: DataDir
) -> Report:
    """Make the app."""
    with Bars() as bars:
        return await import_tables(
            tables,
            engines=place.engines,
            registry=place.registry,
            storage=place.storage,
            folder=data_dir,
            runtime=place.runtime,
            options=replace(options, room_bytes=shutil.disk_usage(data_dir).free),
            progress=bars,
        )


async def _plan(tables: Sequence[Scanned], wishes: Wishes) -> list[Table]:
    with Bars() as bars:
        return plan_tables(await scan(tables, bars), wishes)


def _named(files: Sequence[Path], names: Sequence[str], users: str | None) -> list[Scanned]:
    """Each file with its namespace: what `FILE=NAME` says, or its own name."""
    chosen: dict[str, str] = {}
    for name in names:
        file, _, etype = name.partition("=")
        if not etype or file not in {text for path in files for text in (path.name, str(path))}:
            raise click.UsageError(f"--namespace {name}: write FILE=NAME with one of the files.")
        chosen[file] = etype
    tables: list[Scanned] = []
    for path in files:
        etype = chosen.get(str(path)) or chosen.get(path.name) or path.stem
        table = Scanned(TableFile(path), etype)
        if etype == users:
            table = Scanned(UserRows(table.source), USERS, also=etype, is_system=True)
        tables.append(table)
    if users not in (None, "none") and all(table.also != users for table in tables):
        raise click.UsageError(f"--users {users}: no file becomes a namespace of this name.")
    return tables


def _shown(tables: Sequence[Table]) -> Iterator[str]:
    """The schema, as lines."""
    yield "The schema:"
    for table in tables:
        scanned = table.scanned
        yield (f"\n  {printable(bare(table.etype, chars=100))}: {counted(scanned.rows, 'row')}")
        lines = [("id", "", _id_told(table), "")]
        for label, column in table.fields():
            count = scanned.columns[column].count
            told = ", ".join(_claims(table, label))
            lines.append((label, table.types[column], told, f"{count:,}"))
        for link in table.links.values():
            many = "many" if link.is_many else "one"
            told = f"by {link.target}.{link.key or 'id'}; back: {link.target}.{link.reverse}"
            told += "; deleted with it" if link.is_cascade else ""
            count = scanned.columns[link.label].count
            lines.append((link.label, f"link, {many}", told, f"{count:,}"))
        rows = [[printable(bare(cell, chars=60)) for cell in line] for line in lines]
        widths = [max(len(row[at]) for row in rows) for at in range(4)]
        for label, type, told, number in rows:
            line = f"{label:<{widths[0]}}  {type:<{widths[1]}}  {number:>{widths[3]}}  {told}"
            yield f"    {line.rstrip()}"


def _claims(table: Table, label: str) -> Iterator[str]:
    """What a schema says of an attr besides its type."""
    if label in table.required:
        yield "required"
    if label in table.unique:
        yield "unique"
    if label in table.unique | table.indexed:
        yield "indexed"


def _id_told(table: Table) -> str:
    if table.id_label is None:
        return "new"
    if table.key_label is None:
        return f"from {table.id_label}"
    return f"made of {table.id_label}, kept as {table.key_label}"


# --- export -------------------------------------------------------------------------------------


def write_tables(
    folder: Path, *, app_id: str, data_dir: Path, files_url: str, format: Format
) -> None:
    """Write an app to a folder of tables, and say how it comes back."""
    if folder.exists():
        raise click.UsageError(f"{folder} is there already; name a folder that is not.")
    written = run(_write(folder, app_id, data_dir, files_url, format))
    print_counts(written.entities)
    if written.left_out:
        named = printable(", ".join(written.left_out))
        say(f"\nNot written: {named}. An archive (--format zip) has them, and files.")
    command = printable(import_command(written, folder))
    say(f"\n{printable(str(folder))} is written. An app of it: {command}")


async def _write(
    folder: Path, app_id: str, data_dir: Path, files_url: str, format: Format
) -> Written:
    async with opened_app(data_dir, files_url, app_id) as app:
        with click.progressbar(length=1, label="writing", file=sys.stderr) as bar:

            def show(done: int, of: int) -> None:
                bar.length = of
                bar.update(done - bar.pos)

            return await export_tables(
                folder, engine=app.database.engine, format=format, on_progress=show
            )
