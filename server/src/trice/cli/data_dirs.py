"""Commands that work on a data directory: alone, or beside a server that they only read from."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import click

from trice.apps.registry import AppRow, Registry
from trice.cli.options import file_error, option
from trice.cli.terminal import printable_lines
from trice.database import Database
from trice.errors import TriceError
from trice.files.blobs import Blobs
from trice.files.files_url import parse_files_url
from trice.files.storage import Storage
from trice.files.threads import FileThreads
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.rules.document import Rules
from trice.runtime import Runtime, SystemRuntime
from trice.server import (
    copy_app,
    copy_engines,
    database_bytes,
    open_blobs,
    open_engines,
    open_storage,
)
from trice.store.engines import PLATFORM, Engines
from trice.webhooks.rows import Rows
from trice.webhooks.webhook import Webhook

T = TypeVar("T")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def data_dir_option(*, must_exist: bool) -> Callable[[Decorated], Decorated]:
    """`--data-dir`. Commands that only read make none."""
    return option(
        "--data-dir",
        envvar="TRICE_DATA_DIR",
        type=click.Path(path_type=Path, file_okay=False, exists=must_exist),
        default="trice-data",
        help="The data directory of the server.",
    )


files_url_option = option(
    "--files-url",
    envvar="TRICE_FILES_URL",
    default="local",
    help="Where bytes of files are kept, as for `trice serve`.",
)


@dataclass(frozen=True, slots=True)
class DataDir:
    """An open data directory that no server uses."""

    engines: Engines
    registry: Registry
    storage: Storage
    runtime: Runtime


@dataclass(frozen=True, slots=True)
class FoundApps:
    """The list of apps that a command reads.

    fetch   must be called before the database of an app is opened with `engines`
    """

    registry: Registry
    engines: Engines
    fetch: Callable[[AppId], None]
    runtime: Runtime


@dataclass(frozen=True, slots=True)
class OpenApp:
    """An app that a command reads: its row, its database, its webhooks, and where bytes of files
    are."""

    row: AppRow
    database: Database
    blobs: Blobs
    runtime: Runtime
    webhooks: Sequence[Webhook] = ()


def run(work: Coroutine[Any, Any, T], *, may_block: bool = False) -> T:
    """Run a command; a failure ends it with exit code 1 and its sentence.

    may_block   BlockingIOError is raised: a server has the data directory
    """
    os.umask(0o077)  # no other user of the machine can read files made from here on
    try:
        return asyncio.run(work)
    except BlockingIOError as failure:
        if may_block:
            raise
        told = f"{file_error(failure)}. Stop it first, then run this again."
        raise click.ClickException(told) from None
    except TriceError as failure:
        raise click.ClickException(printable_lines(failure.message)) from None
    except OSError as failure:
        raise click.ClickException(printable_lines(file_error(failure))) from None


@asynccontextmanager
async def opened(data_dir: Path, files_url: str) -> AsyncIterator[DataDir]:
    """Claim and open a data directory. Raises OSError when a server runs on it, TriceError."""
    runtime = SystemRuntime()
    parse_files_url(files_url)  # a wrong one is told before anything is touched
    engines = open_engines(data_dir, runtime=runtime)
    try:
        registry = await Registry.open(engines, runtime=runtime)
        try:
            storage = open_storage(data_dir, files_url, runtime=runtime)
            try:
                yield DataDir(engines, registry, storage, runtime)
            finally:
                await storage.close()
        finally:
            await registry.close()
    finally:
        engines.close()


@asynccontextmanager
async def opened_registry(data_dir: Path) -> AsyncIterator[FoundApps]:
    """Open the list of apps to read it. While a server runs on the data directory, a copy is read:
    of the moment when the command began.

    raises  OSError, TriceError
    """
    runtime = SystemRuntime()
    with ExitStack() as undo:
        fetch: Callable[[AppId], None] = _nothing
        try:
            engines = open_engines(data_dir, runtime=runtime)
        except BlockingIOError:
            _check_room(data_dir, PLATFORM)
            folder = Path(undo.enter_context(_scratch(data_dir)))
            engines = copy_engines(data_dir, folder, runtime=runtime)
            fetch = partial(_fetch, data_dir, folder)
        undo.callback(engines.close)
        registry = await Registry.open(engines, runtime=runtime)
        try:
            yield FoundApps(registry, engines, fetch, runtime)
        finally:
            await registry.close()


@asynccontextmanager
async def opened_app(data_dir: Path, files_url: str, app_id: str) -> AsyncIterator[OpenApp]:
    """Open an app to read it, as `opened_registry`.

    raises  ClickException for an app that does not exist, OSError, TriceError
    """
    bucket = parse_files_url(files_url)
    async with opened_registry(data_dir) as found:
        threads = FileThreads()
        blobs = open_blobs(data_dir, bucket, threads=threads, runtime=found.runtime)
        try:
            row = _get_row(found.registry, app_id)
            found.fetch(row.id)
            database = await Database.open(
                partial(found.engines.open, row.id, is_new=False),
                runtime=found.runtime,
                rules=Rules.parse(None),
                app_id=row.id,
            )
            try:
                rows = await Rows(found.registry.database, runtime=found.runtime).load_of(row.id)
                webhooks = [each.webhook for each in rows]
                yield OpenApp(row, database, blobs, found.runtime, webhooks)
            finally:
                await database.close()
        finally:
            await blobs.close()
            threads.close()


def _nothing(app_id: AppId) -> None:
    """An app that is read where it is needs no copy."""


def _fetch(data_dir: Path, folder: Path, app_id: AppId) -> None:
    _check_room(data_dir, app_id)
    copy_app(data_dir, folder, app_id)


def _check_room(data_dir: Path, app_id: AppId) -> None:
    """Refuse a copy that the disk has no room for; a server writes to it."""
    needed, left = database_bytes(data_dir, app_id), shutil.disk_usage(data_dir).free
    if needed > left:
        raise click.ClickException(
            f"A server runs on {data_dir}, so a copy of {needed:,} bytes is read, and the disk has"
            f" {left:,} left. Make room, or stop the server."
        )


def _scratch(data_dir: Path) -> TemporaryDirectory[str]:
    """A folder for a copy. One that a stop leaves is removed when a server starts."""
    folder = data_dir / "loading"
    folder.mkdir(mode=0o700, exist_ok=True)
    return TemporaryDirectory(prefix="copy-", dir=folder)


def _get_row(registry: Registry, app_id: str) -> AppRow:
    row = None
    if find_uuid_bytes(app_id) is not None:
        row = registry.find(AppId(app_id.lower()))
    if row is None:
        raise click.ClickException(f"There is no app {app_id} in this data directory.")
    return row
