"""`trice backup create | list | download | delete APP`: backups of an app that a server keeps.

Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from trice.cli.options import file_error, option
from trice.cli.remote import (
    UUID,
    Refused,
    Remote,
    checked_app_id,
    in_path,
    json_option,
    on_server,
    wait,
    yes_option,
)
from trice.cli.terminal import confirm, note, print_json, print_table, printable, say

_POLL_MS: Final = 500

_COLUMNS: Final = {
    "id": "id",
    "backup_at": "made",
    "db_size": "database",
    "files_size": "files",
    "expires_at": "until",
    "description": "description",
}
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f/\\]|\.\.?\Z")
"""What the name of a file in an archive never has."""

_app_argument: Final[Callable[..., Any]] = click.argument(
    "app_id", metavar="APP", envvar="TRICE_APP", callback=checked_app_id
)


@click.command("create")
@_app_argument
@option("--description", help="Shown in lists.")
@option(
    "--no-wait", "is_waiting", flag_value=False, default=True, help="Do not wait until it is made."
)
@json_option
@on_server
def create(
    *, remote: Remote, app_id: str, description: str | None, is_waiting: bool, is_json: bool
) -> None:
    """Let the server make a backup of APP, and keep it for 30 days.

    \b
    Example: trice backup create 5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01 --description tuesday
    """
    base = f"/dash/apps/{in_path(app_id)}"
    job = remote.post(f"{base}/backups", {"description": description})["job"]
    if is_waiting:
        job = _follow(remote, f"{base}/backup-jobs/{in_path(job['id'])}")
    if job["job_status"] in ("errored", "cancelled"):
        reason = printable(job.get("error") or "It was cancelled.")
        raise Refused(f"The backup is not made. {reason}", job)
    if is_json:
        print_json(job)
    elif is_waiting:
        note("The backup is made.")
        say(printable(job["app_backup_id"]))
    else:
        note("The backup is being made; `trice backup list` shows it then.")


def _follow(remote: Remote, path: str) -> dict[str, Any]:
    """The job once it is over."""
    with _bar("writing entities") as show:
        while True:
            job: dict[str, Any] = remote.get(path)["job"]
            show(job["work_completed"] or 0, job["work_estimate"] or 0)
            if job["done_at"] is not None:
                return job
            wait(_POLL_MS)


def print_backups(remote: Remote, app_id: str, *, is_json: bool) -> None:
    """Print the backups of an app, newest first."""
    found = remote.get(f"/dash/apps/{in_path(app_id)}/backups")["backups"]
    if is_json:
        print_json(found)
        return
    rows = [
        {
            **each,
            "db_size": _size(each["db_size"]),
            "files_size": _size(each["files_size"]),
            "backup_at": _minute(each["backup_at"]),
            "expires_at": _minute(each["expires_at"]),
        }
        for each in found
    ]
    print_table(rows, _COLUMNS, none="There is no backup. `trice backup create` makes one.")


@click.command("download")
@_app_argument
@click.argument("backup_id", metavar="[BACKUP]", required=False)
@option(
    "--out",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The zip file; without this, trice-backup-….zip in the working folder.",
)
@option("--force", "is_forced", is_flag=True, help="Replace the file if it is there.")
@on_server
def download(
    *, remote: Remote, app_id: str, backup_id: str | None, target: Path | None, is_forced: bool
) -> None:
    """Fetch a backup of APP, the newest by default, as an archive that `trice import` reads.

    \b
    Example: trice backup download 5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01 --out shop.zip
    """
    base = f"/dash/apps/{in_path(app_id)}/backups"
    found = remote.get(base)["backups"]
    if backup_id is None and not found:
        raise click.ClickException("There is no backup. `trice backup create` makes one.")
    chosen = [each for each in found if backup_id in (None, each["id"])]
    if not chosen:
        raise click.ClickException(f"There is no backup {printable(backup_id)} of this app.")
    backup = chosen[0]
    made = re.sub(r"[^0-9TZ]+", "-", backup["backup_at"])
    target = target or Path(f"trice-backup-{made}.zip")
    if target.exists() and not is_forced:
        raise click.UsageError(f"{target} is there already; --force replaces it.")
    try:
        _download(remote, f"{base}/{in_path(backup['id'])}", backup, target)
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None
    note(f"{target} is written: {target.stat().st_size:,} bytes.")


@click.command("delete")
@_app_argument
@click.argument("backup_id", metavar="BACKUP")
@yes_option
@on_server
def delete(*, remote: Remote, app_id: str, backup_id: str, is_agreed: bool) -> None:
    """Delete a backup of APP.

    \b
    Example: trice backup delete 5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01 BACKUP --yes
    """
    if UUID.fullmatch(backup_id) is None:
        told = f"{printable(backup_id)!r} is no id of a backup. `trice backup list APP` shows them."
        raise click.UsageError(told)
    confirm(f"Delete the backup {printable(backup_id)}?", is_agreed=is_agreed)
    remote.delete(f"/dash/apps/{in_path(app_id)}/backups/{in_path(backup_id)}")
    note("It is deleted.")


def _download(remote: Remote, path: str, backup: dict[str, Any], target: Path) -> None:
    """Write the archive beside its place, and move it there when it is whole (instant-http §6.7).

    raises   Refused, OSError; then there is no file
    """
    part = target.with_name(f"{target.name}.part")
    # Fetched first: this list ends soon, and the connection with it.
    files = list(_files(remote, path))
    of = (backup["uncompressed_size"] or 0) + (backup["files_size"] or 0)
    try:
        with open(part, "wb") as file:
            with (
                zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
                _bar("reading") as show,
            ):
                writing = _Writing(remote, archive, backup, lambda done: show(done, of))
                for each in remote.get(f"{path}/files")["files"]:
                    params = {"name": each["name"]}
                    url = remote.get(f"{path}/file-url", params=params)["url"]
                    writing.add(each["name"], url)
                for location, url in files:
                    writing.add(f"files/{location}", url)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


class _Writing:
    """The archive while it is written. Holds how many bytes were read."""

    def __init__(
        self,
        remote: Remote,
        archive: zipfile.ZipFile,
        backup: dict[str, Any],
        on_progress: Callable[[int], None],
    ) -> None:
        self._remote = remote
        self._archive = archive
        self._time = datetime.fromisoformat(backup["backup_at"]).timetuple()[:6]
        self._on_progress = on_progress
        self._done = 0

    def add(self, name: str, url: str) -> None:
        """Write an entry with what a URL leads to."""
        info = zipfile.ZipInfo(name, self._time)
        info.compress_type = zipfile.ZIP_DEFLATED
        with (
            self._remote.download(url) as pieces,
            self._archive.open(info, "w", force_zip64=True) as entry,
        ):
            for piece in pieces:
                entry.write(piece)
                self._done += len(piece)
                self._on_progress(self._done)


def _files(remote: Remote, path: str) -> Iterator[tuple[str, str]]:
    """The location and URL of each file. raises   Refused when the list is cut off"""
    with remote.lines(f"{path}/storage-files") as lines:
        for line in _parsed(lines, remote):
            if line.get("done") is True:
                return
            location = line["locationId"]
            if not location or _UNFIT.search(location):
                raise Refused(f"{remote.url} names a file {printable(location)!r}.")
            yield location, line["url"]
    raise Refused("The list of files is cut off. Try again.")


def _parsed(lines: Iterable[Any], remote: Remote) -> Iterator[Any]:
    try:
        yield from lines
    except ValueError:
        raise Refused(f"{remote.url} answers with a line that is no JSON.") from None


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error."""
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, of: int) -> None:
            bar.length = max(of, 1)
            bar.update(min(done, bar.length) - bar.pos)

        yield show


def _size(count: int | None) -> str | None:
    return None if count is None else f"{count:,}"


def _minute(moment: str | None) -> str | None:
    return None if moment is None else f"{moment[:16].replace('T', ' ')}Z"
