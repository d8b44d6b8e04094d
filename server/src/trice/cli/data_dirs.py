"""Commands that work on a data directory while no server runs on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from trice.apps.registry import AppRow, Registry
from trice.cli.options import file_error, option
from trice.errors import TriceError
from trice.files.files_url import parse_files_url
from trice.files.storage import Storage
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.runtime import Runtime, SystemRuntime
from trice.server import open_engines, open_storage
from trice.store.engines import Engines

T = TypeVar("T")

data_dir_option = option(
    "--data-dir",
    envvar="TRICE_DATA_DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default="trice-data",
    help="The data directory of the server. No server may run on it meanwhile.",
)
files_url_option = option(
    "--files-url",
    envvar="TRICE_FILES_URL",
    default="local",
    help="Where bytes of files are kept, as for `trice serve`.",
)


@dataclass(frozen=True, slots=True)
class DataDir:
    """What is open of a data directory."""

    engines: Engines
    registry: Registry
    storage: Storage
    runtime: Runtime

    def get_row(self, app_id: str) -> AppRow:
        """The row of an app. Raises ClickException for one that does not exist."""
        row = None
        if find_uuid_bytes(app_id) is not None:
            row = self.registry.find(AppId(app_id.lower()))
        if row is None:
            raise click.ClickException(f"There is no app {app_id} in this data directory.")
        return row


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command; a failure ends it with exit code 1 and its sentence."""
    os.umask(0o077)  # no other user of the machine can read files made from here on
    try:
        return asyncio.run(work)
    except BlockingIOError as failure:
        told = f"{file_error(failure)}. Stop it first, then run this again."
        raise click.ClickException(told) from None
    except TriceError as failure:
        raise click.ClickException(failure.message) from None
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None


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
