"""`trice backup`: copies of a server or an app, made while it runs. `trice restore`: back again.

Exit codes: 0 done · 1 not, or the backup is not whole · 2 wrong usage
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from trice import backup_limits
from trice.backups.listing import FoundBackups, find_backups, newest_name, read_manifest
from trice.backups.make import Made, back_up
from trice.backups.moment import Moment
from trice.backups.opening import open_vault
from trice.backups.restore import Restored, restore
from trice.backups.vaults import Vault
from trice.backups.verify import Verified, verify
from trice.cli.app_backups import create, delete, download, print_backups
from trice.cli.data_dirs import data_dir_option, files_url_option, run
from trice.cli.options import option
from trice.cli.remote import UUID, find_remote, json_option, token_option, understood, url_option
from trice.cli.terminal import counted, printable
from trice.errors import InvalidInput
from trice.files.files_url import parse_files_url
from trice.files.threads import FileThreads
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.runtime import SystemRuntime
from trice.server import RestorePlace, backup_source, open_blobs, open_copies

_SETTINGS = {"show_default": True, "max_content_width": 100}

Progress = Callable[[int, int], None]


class _BackupCommands(click.Group):
    """`trice backup DEST` makes a backup; all other words before a DEST or APP are commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help", "-h"}:
            args = ["make", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self.commands["make"]


@click.group(
    "backup",
    cls=_BackupCommands,
    subcommand_metavar="DEST | list DEST | verify DEST | create APP | list APP | download APP | …",
    context_settings=_SETTINGS,
)
def backup() -> None:
    """Copy a whole server, or one app, while it runs; list and check such backups.

    DEST is a folder, or s3://BUCKET/PREFIX?endpoint=…&region=…. What it has already is not copied
    again. Keep it as safe as the data directory: all secrets are in it.

    With APP, the id of an app, a server is asked by its URL and a token: it makes a backup of this
    app, and keeps it until it is downloaded or ends.

    \b
    Example:
      trice backup /mnt/backups --data-dir trice-data --keep 7
      trice backup make --help
      trice backup download 5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01
    """


for _command in (create, download, delete):
    backup.add_command(_command)


@backup.command("make", context_settings=_SETTINGS)
@click.argument("dest")
@data_dir_option(must_exist=True)
@files_url_option
@option("--app", "app_id", help="Only this app. Default: the whole server.")
@option("--keep", type=int, help="Delete older backups; this many good ones stay.")
@option("--recheck", is_flag=True, help="Ask DEST for every file whether it is there.")
def make(
    *,
    dest: str,
    data_dir: Path,
    files_url: str,
    app_id: str | None,
    keep: int | None,
    recheck: bool,
) -> None:
    """Make a backup. A server may be running on the data directory; writers are not held up.

    \b
    Example:
      trice backup make /mnt/backups --data-dir trice-data
    """
    if keep is not None and not 1 <= keep <= backup_limits.KEEP_MAX:
        raise click.UsageError(f"--keep must be from 1 to {backup_limits.KEEP_MAX}.")
    wanted, vault = _app(app_id), _vault(dest)
    made = run(_make(vault, data_dir, files_url, wanted, keep=keep, rechecks=recheck))
    manifest = made.manifest
    files = sum(part.files.count for part in manifest.apps if part.files)
    click.echo(
        f"Backup {manifest.name}: {counted(len(manifest.apps), 'app')}, {counted(files, 'file')},"
        f" {manifest.bytes:,} bytes, of which {made.put_bytes:,} are new in {vault.name}."
    )
    for name in made.expired:
        click.echo(f"Backup {name} is deleted.")
    if made.unswept is not None:
        click.echo(printable(made.unswept), err=True)
    for part in manifest.apps:
        if part.problem is not None:
            click.echo(f"App {part.id} is damaged: {printable(part.problem)}", err=True)
    for name in made.missing:
        click.echo(f"The data directory itself lacks the file {printable(name)}.", err=True)
    if made.missing or not manifest.is_good:
        raise SystemExit(1)


@backup.command("list", context_settings=_SETTINGS)
@click.argument("dest", metavar="DEST|APP")
@url_option
@token_option
@json_option
def list_backups(*, dest: str, url: str | None, token: str | None, is_json: bool) -> None:
    """List the backups in DEST, oldest first, or those of APP that a server keeps, newest first.

    \b
    Example:
      trice backup list /mnt/backups
      trice backup list 5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01 --json
    """
    if UUID.fullmatch(dest):
        remote = find_remote(url, token)
        with understood(remote):
            print_backups(remote, dest.lower(), is_json=is_json)
        return
    if is_json:
        raise click.UsageError("--json is for the backups of an APP.")
    if not dest.startswith("s3://") and not Path(dest).exists():
        click.echo(f"{dest} does not exist.", err=True)
    found = run(find_backups(_vault(dest)))
    _print_list(found)


@backup.command("verify", context_settings=_SETTINGS)
@click.argument("dest")
@click.argument("name", required=False)
@option("--app", "app_id", help="Without NAME: the newest backup that has this app.")
def verify_backup(*, dest: str, name: str | None, app_id: str | None) -> None:
    """Check a backup, the newest by default: read every byte, open every database.

    \b
    Example:
      trice backup verify /mnt/backups
    """
    verified = run(_verify(_vault(dest), name, _app(app_id)))
    manifest = verified.manifest
    for problem in verified.problems:
        click.echo(printable(problem), err=True)
    if verified.problems:
        click.echo(f"Backup {manifest.name} is damaged.", err=True)
        raise SystemExit(1)
    click.echo(
        f"Backup {manifest.name} is whole: {counted(len(manifest.apps), 'app')},"
        f" {counted(verified.files, 'file')},"
        f" {verified.bytes:,} bytes."
    )


@click.command("restore", context_settings=_SETTINGS)
@click.argument("dest")
@click.argument("name", required=False)
@data_dir_option(must_exist=False)
@files_url_option
@option("--app", "app_id", help="Only this app. Default: all that the backup has.")
@option("--at", help="Bring it to a moment: 2026-11-29T10:00:00Z, or now.")
@option("--yes", is_flag=True, help="Replace what is in the data directory.")
@option("--without-damaged", is_flag=True, help="Leave out apps that were damaged when copied.")
def restore_backup(
    *,
    dest: str,
    name: str | None,
    data_dir: Path,
    files_url: str,
    app_id: str | None,
    at: str | None,
    yes: bool,
    without_damaged: bool,
) -> None:
    """Put a backup, the newest by default, into a data directory; no server may be running there.

    All or nothing. What is replaced stays in a folder of the data directory, before-restore-….

    \b
    Example:
      trice restore /mnt/backups --data-dir trice-data
      trice restore /mnt/backups --data-dir trice-data --at 2026-11-29T10:00:00Z
      trice restore /mnt/backups 20261129T100000Z-3f9a --app APP-ID --yes
    """
    wanted, vault = _app(app_id), _vault(dest)
    if at is not None and name is not None:
        raise click.UsageError("--at chooses the backup itself: leave out NAME.")
    restored = run(
        _restore(
            vault,
            name,
            data_dir,
            files_url,
            wanted,
            at_ms=None if at is None else _moment(at),
            replaces=yes,
            skips_damaged=without_damaged,
        )
    )
    click.echo(
        f"Backup {restored.manifest.name} is restored: {counted(restored.apps, 'app')},"
        f" {counted(restored.files, 'file')}."
    )
    _print_built(restored)
    if restored.kept is not None:
        click.echo(f"What was there before is in {restored.kept}; delete it when all is well.")
    click.echo(f"\nServe:   trice serve --data-dir {data_dir}")


async def _make(
    vault: Vault,
    data_dir: Path,
    files_url: str,
    app_id: AppId | None,
    *,
    keep: int | None,
    rechecks: bool,
) -> Made:
    runtime = SystemRuntime()
    threads = FileThreads()
    blobs = open_blobs(data_dir, parse_files_url(files_url), threads=threads, runtime=runtime)
    try:
        source = backup_source(data_dir, blobs, runtime=runtime)
        with _bar("copying") as show:
            return await back_up(
                vault, source, app_id=app_id, keep=keep, rechecks=rechecks, on_progress=show
            )
    finally:
        await blobs.close()
        threads.close()


async def _verify(vault: Vault, name: str | None, app_id: AppId | None) -> Verified:
    name = name or await newest_name(vault, app_id)
    with TemporaryDirectory() as scratch, _bar("reading") as show:
        return await verify(
            vault, name, copies=open_copies(Path(scratch)), scratch=Path(scratch), on_progress=show
        )


async def _restore(
    vault: Vault,
    name: str | None,
    data_dir: Path,
    files_url: str,
    app_id: AppId | None,
    *,
    at_ms: int | None,
    replaces: bool,
    skips_damaged: bool,
) -> Restored:
    moment = None
    if at_ms is None:
        manifest = await read_manifest(vault, name or await newest_name(vault, app_id))
    else:
        moment = await Moment.find(vault, at_ms, open_copies(data_dir))
        manifest = moment.manifest
    runtime = SystemRuntime()
    place = RestorePlace(data_dir, files_url, runtime=runtime)
    try:
        with _bar("restoring") as show:
            return await restore(
                vault,
                manifest,
                place,
                copies=open_copies(data_dir),
                runtime=runtime,
                app_id=app_id,
                replaces=replaces,
                skips_damaged=skips_damaged,
                moment=moment,
                on_progress=show,
            )
    finally:
        place.close()


def _vault(dest: str) -> Vault:
    try:
        return open_vault(dest, flag="dest", runtime=SystemRuntime())
    except InvalidInput as failure:
        raise click.UsageError(failure.message.replace("--dest", "DEST", 1)) from None


def _moment(text: str) -> int:
    """A moment in ms; without an offset it is UTC."""
    if text == "now":
        return SystemRuntime().now_ms()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError("--at must be a moment: 2026-11-29T10:00:00Z, or now.") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return round(found.timestamp() * 1000)


def _print_built(restored: Restored) -> None:
    for app_id, built in restored.built.items():
        last = datetime.fromtimestamp(built.time_ms / 1000, UTC)
        click.echo(f"  app {app_id}: last transaction {last:%Y-%m-%d %H:%M:%S}Z")
        if built.is_behind:
            click.echo(
                f"App {app_id}: later transactions do not follow and are left out.", err=True
            )
    for app_id in restored.lost:
        click.echo(f"App {app_id} was made then, but there is no copy of it.", err=True)
    for name in restored.missing:
        click.echo(f"There are no bytes of the file {printable(name)}.", err=True)
    for app_id in restored.codeless:
        click.echo(
            f"App {app_id} had functions, but the backup has no code of them: deploy it again.",
            err=True,
        )


def _app(app_id: str | None) -> AppId | None:
    if app_id is not None and find_uuid_bytes(app_id) is None:
        raise click.UsageError("--app must be a uuid.")
    return None if app_id is None else AppId(app_id.lower())


@contextmanager
def _bar(label: str) -> Iterator[Progress]:
    """A bar on standard error."""
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, of: int) -> None:
            bar.length = max(of, 1)
            bar.update(done - bar.pos)

        yield show


def _print_list(found: FoundBackups) -> None:
    if not found.manifests and not found.damaged:
        click.echo("There is no backup.")
        return
    click.echo(f"{'name':<21}  {'began':<20}  {'apps':>6}  {'bytes':>16}  of")
    for each in found.manifests:
        began = datetime.fromtimestamp(each.begun_ms / 1000, UTC)
        what = "the whole server" if each.app is None else f"app {each.app}"
        mark = "" if each.is_good else "  has damaged apps"
        click.echo(
            f"{each.name:<21}  {began:%Y-%m-%d %H:%M:%SZ}  {len(each.apps):>6}  {each.bytes:>16,}"
            f"  {what}{mark}"
        )
    for problem in found.damaged.values():
        click.echo(printable(problem), err=True)
    if found.damaged:
        raise SystemExit(1)
