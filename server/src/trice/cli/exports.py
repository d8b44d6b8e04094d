"""`trice export`: an app becomes an Instant archive. `trice doctor`: an app beside an archive.

Exit codes: 0 done, or equal · 1 not, or they differ · 2 wrong usage
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from trice.archive.compare import Compared, compare
from trice.archive.container import Container
from trice.archive.export import Exported, export_app
from trice.cli.data_dirs import data_dir_option, files_url_option, opened_app, run
from trice.cli.options import option
from trice.cli.table_files import write_tables
from trice.cli.terminal import counted, print_counts, printable, say

_SETTINGS = {"show_default": True, "max_content_width": 100}


@click.command("export", context_settings=_SETTINGS)
@click.argument("target", type=click.Path(path_type=Path))
@option("--app", "app_id", required=True, help="The id of the app.")
@data_dir_option(must_exist=True)
@files_url_option
@option(
    "--format",
    "format",
    type=click.Choice(["zip", "jsonl", "csv"]),
    default="zip",
    help="An archive, or a folder with a table for each namespace.",
)
@option("--for-instant", is_flag=True, help="Leave out passwords and passkeys.")
@option("--force", is_flag=True, help="Replace TARGET if it is there.")
def export(
    *,
    target: Path,
    app_id: str,
    data_dir: Path,
    files_url: str,
    format: Literal["zip", "jsonl", "csv"],
    for_instant: bool,
    force: bool,
) -> None:
    """Write an app to an Instant archive: all data, files, users with their sign-ins, rules.

    TARGET is a zip file, which `trice import` reads, and Instant's own restore too. Codes of
    sign-ins under way are left out. Keep it as safe as the data directory. A server may be running:
    then a copy of the app's database is read, which needs room for it.

    With --format jsonl or csv TARGET is a new folder, with a file for each namespace but those of
    the server (users, files). The command that imports them again is printed.

    \b
    Example:
      trice export shop.zip --app 5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01
    """
    if format != "zip":
        if for_instant or force:
            raise click.UsageError("--for-instant and --force are for archives only.")
        write_tables(target, app_id=app_id, data_dir=data_dir, files_url=files_url, format=format)
        return
    if target.is_dir():
        raise click.UsageError(f"{target} is a folder; --format jsonl or csv writes folders.")
    if target.exists() and not force:
        raise click.UsageError(f"{target} is there already; --force replaces it.")
    written = run(_export(target, app_id, data_dir, files_url, for_instant=for_instant))
    print_counts(written.entities)
    click.echo(f"\n{counted(written.files, 'file')} with {written.file_bytes:,} bytes.")
    click.echo(f"{target} is written: {target.stat().st_size:,} bytes.")


@click.command("doctor", context_settings=_SETTINGS)
@option("--app", "app_id", required=True, help="The id of the app.")
@option(
    "--archive",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The archive to compare it with.",
)
@data_dir_option(must_exist=True)
@files_url_option
@option("--all", "is_whole", is_flag=True, help="Compare every entity, not samples.")
def doctor(*, app_id: str, archive: Path, data_dir: Path, files_url: str, is_whole: bool) -> None:
    """Compare an app with the archive it came from: schema, rules, counts, values, bytes.

    \b
    Example:
      trice doctor --app 5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01 --archive shop.zip
    """
    compared = run(_compare(app_id, archive, data_dir, files_url, is_whole=is_whole))
    _print_compared(compared)
    if not compared.is_equal:
        raise SystemExit(1)


async def _export(
    target: Path, app_id: str, data_dir: Path, files_url: str, *, for_instant: bool
) -> Exported:
    async with opened_app(data_dir, files_url, app_id) as app:
        with click.progressbar(length=1, label="writing", file=sys.stderr) as bar:

            def show(done: int, of: int) -> None:
                bar.length = of
                bar.update(done - bar.pos)

            return await export_app(
                target,
                row=app.row,
                engine=app.database.engine,
                blobs=app.blobs,
                runtime=app.runtime,
                is_for_instant=for_instant,
                on_progress=show,
                webhooks=app.webhooks,
            )


async def _compare(
    app_id: str, archive: Path, data_dir: Path, files_url: str, *, is_whole: bool
) -> Compared:
    with Container(archive) as container:
        async with opened_app(data_dir, files_url, app_id) as app:
            return await compare(
                container,
                row=app.row,
                engine=app.database.engine,
                blobs=app.blobs,
                runtime=app.runtime,
                is_whole=is_whole,
            )


def _print_compared(compared: Compared) -> None:
    names = [printable(each.etype) for each in compared.namespaces]
    width = max(map(len, names), default=9)
    say(f"  {'namespace':<{width}}  {'in archive':>12}  {'here':>12}  {'compared':>12}")
    for name, each in zip(names, compared.namespaces, strict=True):
        counts = (each.in_archive, each.here, each.compared)
        told = "".join(f"  {count:>12,}" for count in counts)
        mark = "" if each.is_equal else f"  {each.differing_count:,} differ"
        say(f"  {name:<{width}}{told}{mark}")
    for each in compared.namespaces:
        for line in each.differing:
            say(printable(f"{each.etype} {line}"))
    for problem in compared.problems:
        say(printable(problem))
    say("\nEqual." if compared.is_equal else "\nThey differ.")
