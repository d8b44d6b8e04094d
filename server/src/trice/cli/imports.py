"""`trice import`: an Instant backup, or files of JSON Lines and CSV, become an app of this server.

Exit codes: 0 done · 1 not: nothing was changed · 2 wrong usage
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from trice.accounts.accounts import Accounts
from trice.archive.load import Options, import_archive
from trice.archive.report import Report
from trice.archive.tables.load import Options as TableOptions
from trice.archive.tables.plan import Wishes
from trice.auth.oauth.sealed import Seal
from trice.cli.data_dirs import DataDir, data_dir_option, files_url_option, opened, run
from trice.cli.options import option, read_json
from trice.cli.progress import Bars
from trice.cli.table_files import Asked, are_tables, load_tables, propose, title_of
from trice.protocol.ids import AppId, find_uuid_bytes


@click.command("import", context_settings={"show_default": True, "max_content_width": 100})
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="BACKUP | TABLE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@data_dir_option(must_exist=False)
@files_url_option
@option("--app-id", help="The id of the new app. Default: that of the backup, so users stay.")
@option(
    "--admin-token",
    envvar="TRICE_ADMIN_TOKEN",
    help="The app's admin token, such as the one it had before. Default: a new one is printed.",
)
@option(
    "--attrs",
    "attrs_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Answer of GET /dash/apps/APP/schema/pull: attrs keep their ids.",
)
@option("--owner", metavar="EMAIL", help="The account that the app belongs to.")
@option("--replace", is_flag=True, help="Replace an app that has the same id.")
@option("--yes", is_flag=True, help="With --replace, and for tables: do not ask.")
@option("--closed", "is_closed", is_flag=True, help="Forbid what no rule speaks about.")
@option("--drop-unknown", is_flag=True, help="Leave out values whose attr no schema has.")
@option("--ignore-counts", is_flag=True, help="Import an archive that was edited or is not whole.")
@option("--title", help="Tables: the title of the new app. Default: the name of the first file.")
@option("--namespace", "names", multiple=True, metavar="FILE=NAME", help="Tables: not its name.")
@option("--type", "types", multiple=True, metavar="NS.COLUMN=TYPE", help="Tables: a type.")
@option("--id", "ids", multiple=True, metavar="[NS.]COLUMN", help="Tables: what ids are made of.")
@option("--link", "links", multiple=True, metavar="NS.COLUMN=NS.KEY[:BACK]", help="Tables: a link.")
@option("--drop-dangling", is_flag=True, help="Tables: leave out links to rows that do not exist.")
@option("--dry-run", is_flag=True, help="Tables: show the schema, and make nothing.")
@option("--json", "is_json", is_flag=True, help="Print the report as JSON.")
def import_backup(
    *,
    files: Sequence[Path],
    data_dir: Path,
    files_url: str,
    app_id: str | None,
    admin_token: str | None,
    attrs_file: Path | None,
    owner: str | None,
    replace: bool,
    yes: bool,
    is_closed: bool,
    drop_unknown: bool,
    ignore_counts: bool,
    title: str | None,
    names: Sequence[str],
    types: Sequence[str],
    ids: Sequence[str],
    links: Sequence[str],
    drop_dangling: bool,
    dry_run: bool,
    is_json: bool,
) -> None:
    """Make an app from an Instant backup: schema, rules, data, files, users and their sign-ins. Or
    from tables, files of JSON Lines or CSV: each becomes a namespace.

    Types of tables are inferred, and shown before anything is made: string, number, boolean, date,
    json. Whole or not at all: after an error, Ctrl-C or a power cut there is nothing of it, and the
    same command may be run again.

    \b
    Examples:
      trice import instant-backup-2026-11-20.zip --data-dir trice-data
      trice import todos.csv people.jsonl --link todos.owner=people.email
    """
    for name, given in (("--app-id", app_id), ("--admin-token", admin_token)):
        if given is not None and find_uuid_bytes(given) is None:
            raise click.UsageError(f"{name} must be a uuid.")
    wanted_id = None if app_id is None else AppId(app_id.lower())
    # SQLite sorts in files of its own, which may grow as large as the data.
    os.environ.setdefault("SQLITE_TMPDIR", os.path.abspath(data_dir))
    asked = Asked(title, names, Wishes(ids, types, links), dry_run, yes)
    if are_tables(files):
        _refuse_flags("backups", "--replace", "--attrs", "--drop-unknown", "--ignore-counts")
        tables = propose(files, asked, is_json=is_json)
        if tables is None:
            return
        options = TableOptions(
            title=title_of(files, asked),
            app_id=wanted_id,
            admin_token=admin_token,
            is_open=not is_closed,
            drops_dangling=drop_dangling,
        )
        load: _Load = partial(load_tables, tables, data_dir, options)
    else:
        _refuse_flags("tables", "--title", "--namespace", "--type", "--id", "--link", "--dry-run")
        _refuse_flags("tables", "--drop-dangling")
        if replace and not yes:
            told = "What an app with the same id has on this server will be gone. Go on?"
            click.confirm(told, abort=True, err=True)
        options_of_backup = Options(
            app_id=wanted_id,
            admin_token=admin_token,
            attrs=() if attrs_file is None else _attrs_in(attrs_file),
            is_open=False if is_closed else None,
            replaces=replace,
            drops_unknown=drop_unknown,
            ignores_counts=ignore_counts,
        )
        load = partial(_load_backup, files[0], data_dir, options_of_backup)
    report = run(_import(load, data_dir, files_url, admin_token, owner))
    if is_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _print(report, None if are_tables(files) else files[0], data_dir)


_Load = Callable[[DataDir], Coroutine[Any, Any, Report]]


def _refuse_flags(kind: str, *flags: str) -> None:
    """Refuse flags that were given, and are for the other kind of import."""
    ctx = click.get_current_context()
    for each in ctx.command.params:
        if not set(each.opts) & set(flags):
            continue
        if ctx.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{each.opts[0]} is for {kind} only.")


async def _load_backup(backup: Path, data_dir: Path, options: Options, place: DataDir) -> Report:
    room = shutil.disk_usage(data_dir).free
    with Bars() as bars:
        return await import_archive(
            backup,
            engines=place.engines,
            registry=place.registry,
            storage=place.storage,
            runtime=place.runtime,
            options=dataclasses.replace(options, room_bytes=room),
            progress=bars,
        )


async def _import(
    load: _Load, data_dir: Path, files_url: str, admin_token: str | None, owner: str | None
) -> Report:
    async with opened(data_dir, files_url) as place:
        accounts = Accounts(place.registry.database, runtime=place.runtime)
        account = None if owner is None else accounts.get_by_email(owner)
        report = await load(place)
        if account is not None:
            app_id = AppId(report.app_id)
            await place.registry.set_holder(app_id, owner=account.id)
            token = report.admin_token or admin_token
            if token is not None:  # its owner can see it then
                key = os.environ.get("TRICE_SECRET_KEY")
                seal = Seal(data_dir, secret_key=key, runtime=place.runtime)
                sealed = seal.seal(token, holder=app_id)
                await place.registry.set_token(app_id, token, sealed=sealed)
        return report


def _attrs_in(path: Path) -> Sequence[Any]:
    """The attrs in an answer of `schema/pull`, or in a list."""
    document = read_json(path)
    found = document.get("attrs") if isinstance(document, dict) else document
    if not isinstance(found, list):
        raise click.UsageError(f"{path} has no list of attrs.")
    return found


def _print(report: Report, backup: Path | None, data_dir: Path) -> None:
    click.echo(f"{report.title} is here, as app {report.app_id}.\n")
    width = max((len(etype) for etype in report.entities), default=0)
    for etype, count in report.entities.items():
        click.echo(f"  {etype:<{width}}  {count:>12,}")
    if report.files:
        click.echo(f"\n{report.files:,} files with {report.file_bytes:,} bytes came.")
    if report.admin_token is not None:
        click.echo(
            f"\nIts admin token is {report.admin_token}. It is shown once"
            + (": no backup holds the old one." if backup is not None else ".")
        )
    for note in report.notes:
        click.echo(f"\n- {note.what}")
        if note.next is not None:
            click.echo(f"  Next: {note.next}")
    click.echo("")
    if backup is not None:
        told = f"--app {report.app_id} --archive {backup} --data-dir {data_dir}"
        click.echo(f"Compare: trice doctor {told}")
    click.echo(f"Serve:   trice serve --data-dir {data_dir}")
