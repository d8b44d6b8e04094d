"""`trice import`: an Instant backup, files of JSON Lines and CSV, an export of Convex or a data
folder of PocketBase become an app of this server.

Exit codes: 0 done · 1 not: nothing was changed · 2 wrong usage
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
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
from trice.cli.moves import Kind, kind_of, open_export, title_of
from trice.cli.options import option, read_json
from trice.cli.progress import Bars
from trice.cli.remote import Remote, find_remote
from trice.cli.remote_import import import_remote, remote_of_door
from trice.cli.table_files import Asked, load_tables, propose
from trice.cli.terminal import confirm, counted, note, print_counts, print_json, printable, say
from trice.protocol.ids import AppId, find_uuid_bytes


@click.command("import", context_settings={"show_default": True, "max_content_width": 100})
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="BACKUP | TABLE... | CONVEX_ZIP | POCKETBASE_FOLDER",
    type=click.Path(exists=True, path_type=Path),
)
@data_dir_option(must_exist=False)
@files_url_option
@option("--url", envvar="TRICE_URL", help="A running server to import a backup into.")
@option("--token", envvar="TRICE_TOKEN", help="With --url: an access token of your account.")
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
@option(
    "--closed/--open",
    "is_closed",
    default=None,
    show_default=False,
    help="Whether what no rule speaks about is forbidden. Default: as on Instant it is allowed, but"
    " forbidden in apps from Convex and PocketBase.",
)
@option("--drop-unknown", is_flag=True, help="Leave out values whose attr no schema has.")
@option("--ignore-counts", is_flag=True, help="Import an archive that was edited or is not whole.")
@option("--title", help="Tables: the title of the new app. Default: the name of the first file.")
@option("--namespace", "names", multiple=True, metavar="FILE=NAME", help="Tables: not its name.")
@option("--type", "types", multiple=True, metavar="NS.COLUMN=TYPE", help="Tables: a type.")
@option("--id", "ids", multiple=True, metavar="[NS.]COLUMN", help="Tables: what ids are made of.")
@option("--link", "links", multiple=True, metavar="NS.COLUMN=NS.KEY[:BACK]", help="Tables: a link.")
@option("--users", metavar="NAME", help="Tables: which become users, found by their `email`.")
@option("--components", is_flag=True, help="Convex: tables of components come too.")
@option("--drop-dangling", is_flag=True, help="Tables: leave out links to rows that do not exist.")
@option("--dry-run", is_flag=True, help="Tables: show the schema, and make nothing.")
@option("--json", "is_json", is_flag=True, help="Print the report as JSON.")
def import_backup(
    *,
    files: Sequence[Path],
    data_dir: Path,
    files_url: str,
    url: str | None,
    token: str | None,
    app_id: str | None,
    admin_token: str | None,
    attrs_file: Path | None,
    owner: str | None,
    replace: bool,
    yes: bool,
    is_closed: bool | None,
    drop_unknown: bool,
    ignore_counts: bool,
    title: str | None,
    names: Sequence[str],
    types: Sequence[str],
    ids: Sequence[str],
    links: Sequence[str],
    users: str | None,
    components: bool,
    drop_dangling: bool,
    dry_run: bool,
    is_json: bool,
) -> None:
    """Make an app from an Instant backup: schema, rules, data, files, users and their sign-ins. Or
    from tables, files of JSON Lines or CSV: each becomes a namespace. Or from what Convex exports,
    or PocketBase's pb_data: data, links, files and users.

    The schema of all but backups is shown before anything is made, and may be changed. Types are
    string, number, boolean, date, json. Whole or not at all: until it is done nobody finds anything
    of it. After a Ctrl-C or a power cut the same command goes on where it was, with a backup; all
    else begins anew.

    A server that runs on the data directory imports a backup itself, while it serves; one
    elsewhere gets it with --url. All else needs the server stopped.

    \b
    Examples:
      trice import instant-backup-2026-11-20.zip --data-dir trice-data
      trice import backup.zip --url https://api.example.com --token per_…
      trice import todos.csv people.jsonl --link todos.owner=people.email
      trice import convex-export.zip --users users --dry-run
      trice import pb_data --title Shop
    """
    for name, given in (("--app-id", app_id), ("--admin-token", admin_token)):
        if given is not None and find_uuid_bytes(given) is None:
            raise click.UsageError(f"{name} must be a uuid.")
    # SQLite sorts in files of its own, which may grow as large as the data.
    os.environ.setdefault("SQLITE_TMPDIR", os.path.abspath(data_dir))
    options = Options(
        app_id=None if app_id is None else AppId(app_id.lower()),
        admin_token=admin_token,
        attrs=() if attrs_file is None else _attrs_in(attrs_file),
        is_open=None if is_closed is None else not is_closed,
        replaces=replace,
        drops_unknown=drop_unknown,
        ignores_counts=ignore_counts,
    )
    remote = _server(url, token)
    kind = kind_of(files)
    if kind == "backup":
        _check_backup(options, is_agreed=yes)
        report, is_served = _import_backup(files[0], options, data_dir, files_url, owner, remote)
    else:
        if remote is not None:
            _refuse_flags("backups", "--url")
        if not dry_run and (data_dir / "platform.db").exists():
            run(_claim(data_dir, files_url))  # what cannot be made is not asked about
        asked = Asked(title, names, users, components, Wishes(ids, types, links), dry_run, yes)
        wanted = _table_options(files, asked, kind, options, drops_dangling=drop_dangling)
        with ExitStack() as sources:
            load = _tables(kind, files, asked, wanted, data_dir, sources, is_json=is_json)
            if load is None:
                return
            report, is_served = run(_import(load, data_dir, files_url, admin_token, owner)), False
    if is_json:
        print_json(msgspec.to_builtins(report))
    else:
        where = None if kind == "backup" and remote is not None else f"--data-dir {data_dir}"
        _print(report, files[0] if kind == "backup" else None, where, is_served=is_served)


def _table_options(
    files: Sequence[Path], asked: Asked, kind: Kind, options: Options, *, drops_dangling: bool
) -> TableOptions:
    return TableOptions(
        title=title_of(files, asked, kind),
        app_id=options.app_id,
        admin_token=options.admin_token,
        is_open=(kind == "tables") if options.is_open is None else options.is_open,
        drops_dangling=drops_dangling,
    )


def _import_backup(
    backup: Path,
    options: Options,
    data_dir: Path,
    files_url: str,
    owner: str | None,
    remote: Remote | None,
) -> tuple[Report, bool]:
    """Import a backup: here, by the server that runs on the directory, or by one elsewhere.

    returns   also whether a server did it
    """
    if remote is not None:
        if owner is not None:
            raise click.UsageError("With --url the app belongs to the account of the token.")
        return import_remote(backup, options, remote, owner=None, is_here=False), True
    load = partial(_load_backup, backup, data_dir, options)
    try:
        return _keeping(load, data_dir, files_url, options.admin_token, owner), False
    except BlockingIOError:
        door = remote_of_door(data_dir)
        return import_remote(backup, options, door, owner=owner, is_here=True), True


def _server(url: str | None, token: str | None) -> Remote | None:
    """The server to import into; None: the data directory, which is meant if it is named."""
    context = click.get_current_context()
    is_named = context.get_parameter_source("data_dir") is ParameterSource.COMMANDLINE
    is_url_named = context.get_parameter_source("url") is ParameterSource.COMMANDLINE
    if is_named and is_url_named:
        raise click.UsageError("Give --url or --data-dir, not both.")
    return None if url is None or is_named else find_remote(url, token)


_Load = Callable[[DataDir], Coroutine[Any, Any, Report]]


def _refuse_flags(kind: str, *flags: str) -> None:
    """Refuse flags that were given, and are for the other kind of import."""
    ctx = click.get_current_context()
    for each in ctx.command.params:
        if not set(each.opts) & set(flags):
            continue
        if ctx.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{each.opts[0]} is for {kind} only.")


def _tables(
    kind: Kind,
    files: Sequence[Path],
    asked: Asked,
    options: TableOptions,
    data_dir: Path,
    sources: ExitStack,
    *,
    is_json: bool,
) -> _Load | None:
    """What makes an app of tables, or of what another system exported; None: it is not to be made.

    sources   closes what is read from
    """
    _refuse_flags("backups", "--replace", "--attrs", "--drop-unknown", "--ignore-counts")
    if kind != "convex":
        _refuse_flags("exports of Convex", "--components")
    if kind == "tables":
        tables = propose(files, asked, is_json=is_json)
    else:
        tables, notes = open_export(kind, files[0], asked, data_dir, sources, is_json=is_json)
        options = dataclasses.replace(options, notes=notes)
    return None if tables is None else partial(load_tables, tables, data_dir, options)


def _check_backup(options: Options, *, is_agreed: bool) -> None:
    """Refuse flags that are for tables, and ask before an app is replaced."""
    _refuse_flags("tables", "--title", "--namespace", "--type", "--id", "--link", "--dry-run")
    _refuse_flags("tables", "--drop-dangling", "--users", "--components")
    if options.replaces:
        told = "What an app with the same id has on this server will be gone. Go on?"
        confirm(told, is_agreed=is_agreed)


def _keeping(load: _Load, *given: Any) -> Report:
    """Import a backup; a Ctrl-C keeps what was done."""
    try:
        return run(_import(load, *given), may_block=True)
    except KeyboardInterrupt:
        note("\nStopped. What was read is kept for some days: the same command goes on there.")
        raise


async def _claim(data_dir: Path, files_url: str) -> None:
    """Open and close a data directory. raises   OSError when a server runs on it"""
    async with opened(data_dir, files_url):
        pass


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


def _print(report: Report, backup: Path | None, where: str | None, *, is_served: bool) -> None:
    """Tell what came, what did not, and what to do next.

    where       the flag that names the data directory; None: it is elsewhere
    is_served   a server runs already
    """
    say(f"{printable(report.title)} is here, as app {report.app_id}.\n")
    print_counts(report.entities)
    if report.files:
        say(f"\n{counted(report.files, 'file')} with {report.file_bytes:,} bytes came.")
    if report.admin_token is not None:
        say(
            f"\nIts admin token is {report.admin_token}. It is shown once"
            + (": no backup holds the old one." if backup is not None else ".")
        )
    for each in report.notes:
        say(f"\n- {printable(each.what)}")
        if each.next is not None:
            say(f"  Next: {printable(each.next)}")
    if where is None:
        return
    say("")
    if backup is not None:
        told = f"--app {report.app_id} --archive {backup} {where}"
        say(printable(f"Compare: trice doctor {told}"))
    if not is_served:
        say(printable(f"Serve:   trice serve {where}"))
