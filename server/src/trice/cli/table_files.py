"""`trice import` of JSON Lines and CSV, `trice export --format jsonl|csv`: what the two print and
ask."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from trice.archive.report import Report
from trice.archive.tables.load import Options, import_tables, scan
from trice.archive.tables.plan import Scanned, Table, Wishes, plan_tables
from trice.archive.tables.read import is_table
from trice.archive.tables.write import Format, Written, export_tables, import_command
from trice.cli.data_dirs import DataDir, opened_app, run
from trice.cli.progress import Bars
from trice.limits import APP_TITLE_CHARS_MAX
from trice.protocol.quoting import bare


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options of `trice import` say of tables."""

    title: str | None
    names: Sequence[str]
    wishes: Wishes
    is_dry: bool
    is_agreed: bool


def are_tables(files: Sequence[Path]) -> bool:
    """Whether files are tables, not one archive."""
    tables = [path for path in files if is_table(path)]
    if not tables:
        if len(files) > 1:
            raise click.UsageError(
                "Import one backup, or several files of .jsonl, .ndjson, .csv or .tsv."
            )
        return False
    for path in files:
        if not is_table(path):
            raise click.UsageError(f"{path.name} is none of .jsonl, .ndjson, .csv, .tsv.")
        if not path.is_file():
            raise click.UsageError(f"{path} is no plain file; it is read several times.")
    return True


def propose(files: Sequence[Path], asked: Asked, *, is_json: bool) -> list[Table] | None:
    """Read the files, show the schema they would get, and ask; None: it is not to be made.

    is_json  standard output is for the report only
    """
    if asked.title is not None and not 0 < len(asked.title) <= APP_TITLE_CHARS_MAX:
        raise click.UsageError(f"--title takes 1 to {APP_TITLE_CHARS_MAX} characters.")
    tables = run(_plan(_named(files, asked.names), asked.wishes))
    for line in _shown(tables):
        click.echo(line, err=is_json)
    if asked.is_dry:
        return None
    if not asked.is_agreed:
        click.confirm("\nMake an app with this schema?", abort=True, err=True)
    return tables


async def load_tables(
    tables: Sequence[Table], data_dir: Path, options: Options, place: DataDir
) -> Report:
    """Make the app."""
    with Bars() as bars:
        return await import_tables(
            tables,
            engines=place.engines,
            registry=place.registry,
            folder=data_dir,
            runtime=place.runtime,
            options=options,
            progress=bars,
        )


def title_of(files: Sequence[Path], asked: Asked) -> str:
    """The title of the new app; without one it is called as its first file."""
    return asked.title or files[0].stem[:APP_TITLE_CHARS_MAX]


async def _plan(files: Sequence[tuple[Path, str]], wishes: Wishes) -> list[Table]:
    with Bars() as bars:
        scanned: list[Scanned] = await scan(files, bars)
    return plan_tables(scanned, wishes)


def _named(files: Sequence[Path], names: Sequence[str]) -> list[tuple[Path, str]]:
    """Each file with its namespace: what `FILE=NAME` says, or its own name."""
    chosen: dict[str, str] = {}
    for name in names:
        file, _, etype = name.partition("=")
        if not etype or file not in {text for path in files for text in (path.name, str(path))}:
            raise click.UsageError(f"--namespace {name}: write FILE=NAME with one of the files.")
        chosen[file] = etype
    return [(path, chosen.get(str(path)) or chosen.get(path.name) or path.stem) for path in files]


def _shown(tables: Sequence[Table]) -> Iterator[str]:
    """The schema, as lines."""
    yield "The schema:"
    for table in tables:
        scanned = table.scanned
        yield (f"\n  {bare(table.etype, chars=100)}: {scanned.rows:,} rows")
        lines = [("id", "", _id_told(table), "")]
        for label, column in table.fields():
            count = scanned.columns[column].count
            told = "unique, indexed" if label in table.unique else ""
            lines.append((label, table.types[column], told, f"{count:,}"))
        for link in table.links.values():
            many = "many" if link.is_many else "one"
            told = f"by {link.target}.{link.key or 'id'}; back: {link.target}.{link.reverse}"
            count = scanned.columns[link.label].count
            lines.append((link.label, f"link, {many}", told, f"{count:,}"))
        rows = [[bare(cell, chars=60) for cell in line] for line in lines]
        widths = [max(len(row[at]) for row in rows) for at in range(4)]
        for label, type, told, number in rows:
            line = f"{label:<{widths[0]}}  {type:<{widths[1]}}  {number:>{widths[3]}}  {told}"
            yield f"    {line.rstrip()}"


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
    width = max(map(len, written.entities), default=0)
    for etype, count in written.entities.items():
        click.echo(f"  {etype:<{width}}  {count:>12,}")
    if written.left_out:
        named = ", ".join(written.left_out)
        click.echo(f"\nNot written: {named}. An archive (--format zip) has them, and files.")
    click.echo(f"\n{folder} is written. An app of it: {import_command(written, folder)}")


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
