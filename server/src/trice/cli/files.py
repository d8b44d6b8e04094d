"""`trice files`: work on the bytes of files.

Exit codes: 0 done · 1 not, or not all · 2 wrong usage
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import click

from trice.cli.options import file_error, option
from trice.errors import InvalidInput, TriceError
from trice.files.files_url import parse_files_url
from trice.files.move import Moved, count_blobs, move, moving_folder
from trice.files.spool import Spool
from trice.files.threads import FileThreads
from trice.runtime import SystemRuntime
from trice.server import files_of, open_blobs


@click.group("files")
def files() -> None:
    """Work on the bytes of files."""


@files.command("move", context_settings={"show_default": True, "max_content_width": 100})
@option(
    "--from",
    "source_url",
    envvar="TRICE_FILES_URL",
    default="local",
    help="Where the bytes are: local, or s3://BUCKET/PREFIX?endpoint=…&region=….",
)
@option("--to", "target_url", required=True, help="Where they shall be, in the same form.")
@option(
    "--data-dir",
    envvar="TRICE_DATA_DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="trice-data",
    help="The data directory that `local` means.",
)
def move_files(*, source_url: str, target_url: str, data_dir: Path) -> None:
    """Copy the bytes of all apps' files to another place.

    A server may be running meanwhile, and nothing is deleted: the bytes of a file never change. Run
    it again to continue after a stop, and for what came since.

    Example: trice files move --from local --to 's3://photos/app?region=eu-central-1'
    """
    try:
        parse_files_url(source_url, flag="from")
        parse_files_url(target_url, flag="to")
    except InvalidInput as failure:
        raise click.UsageError(failure.message) from None
    if source_url == target_url:
        raise click.UsageError("--from and --to are the same place.")
    os.umask(0o077)  # no other user of the machine can read files made from here on
    try:
        moved = asyncio.run(_move(source_url, target_url, data_dir))
    except BlockingIOError:
        raise click.ClickException("Another `trice files move` is running here.") from None
    except TriceError as failure:
        raise click.ClickException(f"{failure.message} Run it again to continue.") from None
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None
    _report(moved, target_url)


async def _move(source_url: str, target_url: str, data_dir: Path) -> Moved:
    runtime = SystemRuntime()
    threads = FileThreads()
    folder = moving_folder(files_of(data_dir))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        spool = Spool(folder, threads=threads, runtime=runtime)
        source = open_blobs(data_dir, parse_files_url(source_url), threads=threads, runtime=runtime)
        target = open_blobs(data_dir, parse_files_url(target_url), threads=threads, runtime=runtime)
        count = await count_blobs(source)
        with click.progressbar(length=count, label="files") as bar:
            return await move(
                source, target, spool, on_progress=lambda moved: bar.update(moved.seen - bar.pos)
            )
    finally:
        os.close(lock)
        threads.close()


def _report(moved: Moved, target_url: str) -> None:
    click.echo(
        f"{moved.copied} copied ({moved.copied_bytes} bytes), {moved.skipped} were there already,"
        f" {moved.gone} deleted meanwhile."
    )
    for name in moved.damaged or ():
        click.echo(f"{name} is damaged: its bytes have another hash. It is not copied.", err=True)
    click.echo(
        f"Nothing is switched yet. Stop the server, run this once more for what came meanwhile,"
        f" and start it with TRICE_FILES_URL='{target_url}'."
    )
    if moved.damaged:
        raise SystemExit(1)
