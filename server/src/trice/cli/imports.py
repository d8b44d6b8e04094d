"""`trice import`: an Instant backup becomes an app of this server.

Exit codes: 0 done · 1 not: nothing was changed · 2 wrong usage
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from trice.accounts.accounts import Accounts
from trice.archive.load import Options, import_archive
from trice.archive.report import Report
from trice.auth.oauth.sealed import Seal
from trice.cli.data_dirs import data_dir_option, files_url_option, opened, run
from trice.cli.options import option, read_json
from trice.protocol.ids import AppId, find_uuid_bytes


@click.command("import", context_settings={"show_default": True, "max_content_width": 100})
@click.argument("backup", type=click.Path(exists=True, dir_okay=False, path_type=Path))
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
@option("--yes", is_flag=True, help="With --replace: do not ask.")
@option("--closed", "is_closed", is_flag=True, help="Forbid what no rule speaks about.")
@option("--drop-unknown", is_flag=True, help="Leave out values whose attr no schema has.")
@option("--ignore-counts", is_flag=True, help="Import an archive that was edited or is not whole.")
@option("--json", "is_json", is_flag=True, help="Print the report as JSON.")
def import_backup(
    *,
    backup: Path,
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
    is_json: bool,
) -> None:
    """Make an app from an Instant backup: schema, rules, data, files, users and their sign-ins.

    Whole or not at all: after an error, Ctrl-C or a power cut there is nothing of it, and the same
    command may be run again.

    \b
    Example:
      trice import instant-backup-2026-11-20.zip --data-dir trice-data
    """
    for name, given in (("--app-id", app_id), ("--admin-token", admin_token)):
        if given is not None and find_uuid_bytes(given) is None:
            raise click.UsageError(f"{name} must be a uuid.")
    if replace and not yes:
        told = "What an app with the same id has on this server will be gone. Go on?"
        click.confirm(told, abort=True, err=True)
    options = Options(
        app_id=None if app_id is None else AppId(app_id.lower()),
        admin_token=admin_token,
        attrs=() if attrs_file is None else _attrs_in(attrs_file),
        is_open=False if is_closed else None,
        replaces=replace,
        drops_unknown=drop_unknown,
        ignores_counts=ignore_counts,
    )
    # SQLite sorts in files of its own, which may grow as large as the data.
    os.environ.setdefault("SQLITE_TMPDIR", os.path.abspath(data_dir))
    report = run(_import(backup, data_dir, files_url, options, owner))
    if is_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _print(report, backup, data_dir)


async def _import(
    backup: Path, data_dir: Path, files_url: str, options: Options, owner: str | None
) -> Report:
    async with opened(data_dir, files_url) as place:
        room = shutil.disk_usage(data_dir).free
        with _Bars() as bars:
            accounts = Accounts(place.registry.database, runtime=place.runtime)
            account = None if owner is None else accounts.get_by_email(owner)
            report = await import_archive(
                backup,
                engines=place.engines,
                registry=place.registry,
                storage=place.storage,
                runtime=place.runtime,
                options=dataclasses.replace(options, room_bytes=room),
                progress=bars,
            )
        if account is not None:
            app_id = AppId(report.app_id)
            await place.registry.set_holder(app_id, owner=account.id)
            token = report.admin_token or options.admin_token
            if token is not None:  # its owner can see it then
                key = os.environ.get("TRICE_SECRET_KEY")
                seal = Seal(data_dir, secret_key=key, runtime=place.runtime)
                sealed = seal.seal(token, holder=app_id)
                await place.registry.set_token(app_id, token, sealed=sealed)
        return report


class _Bars:
    """Two bars on standard error: bytes read, then indexes built."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._label = ""

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *failure: object) -> None:
        self._close()

    def read(self, bytes_so_far: int, bytes_in_all: int) -> None:
        self._show("reading", bytes_so_far, bytes_in_all)

    def indexed(self, done: int, of: int) -> None:
        self._show("indexing", done, of)

    def _show(self, label: str, done: int, of: int) -> None:
        if label != self._label:
            self._close()
            self._label = label
            self._bar = click.progressbar(length=of, label=f"{label:<8}", file=sys.stderr)
            self._bar.render_progress()
        self._bar.update(done - self._bar.pos)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None


def _attrs_in(path: Path) -> Sequence[Any]:
    """The attrs in an answer of `schema/pull`, or in a list."""
    document = read_json(path)
    found = document.get("attrs") if isinstance(document, dict) else document
    if not isinstance(found, list):
        raise click.UsageError(f"{path} has no list of attrs.")
    return found


def _print(report: Report, backup: Path, data_dir: Path) -> None:
    click.echo(f"{report.title} is here, as app {report.app_id}.\n")
    width = max((len(etype) for etype in report.entities), default=0)
    for etype, count in report.entities.items():
        click.echo(f"  {etype:<{width}}  {count:>12,}")
    if report.files:
        click.echo(f"\n{report.files:,} files with {report.file_bytes:,} bytes came.")
    if report.admin_token is not None:
        click.echo(
            f"\nIts admin token is {report.admin_token}. It is shown once: no backup holds the old"
            " one."
        )
    for note in report.notes:
        click.echo(f"\n- {note.what}")
        if note.next is not None:
            click.echo(f"  Next: {note.next}")
    click.echo(
        f"\nCompare: trice doctor --app {report.app_id} --archive {backup} --data-dir {data_dir}"
        f"\nServe:   trice serve --data-dir {data_dir}"
    )
