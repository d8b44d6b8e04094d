"""The process of an import into a running server (`imports.process`). Nobody calls it by hand."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import click
import msgspec

from trice import import_limits
from trice.archive.config import parse_config
from trice.archive.container import Container
from trice.archive.load import Options, fill_archive
from trice.archive.refusals import refused
from trice.errors import TriceError, Unavailable
from trice.imports.process import Done, Task, dump_told
from trice.protocol.ids import AppId, TxId
from trice.runtime import Runtime, SystemRuntime
from trice.server import ImportPlace


@click.command("import-worker", hidden=True)
@click.argument("data_dir", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("files_url")
def import_worker(*, data_dir: Path, files_url: str) -> None:
    """Fill an app out of sight, for the server that says so on standard input."""
    os.umask(0o077)
    os.nice(import_limits.NICENESS)
    _bound_memory()
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    threading.Thread(target=_end_with_server, daemon=True).start()
    try:
        done = asyncio.run(_fill(task, data_dir, files_url))
    except TriceError as failure:
        _tell(refused=failure.message)
    except OSError as failure:
        _tell(refused=f"The server's disk: {failure.strerror or failure}.")
    except MemoryError:
        most = import_limits.MEMORY_BYTES_MAX >> 30
        _tell(refused=f"The archive takes more than {most} GiB of memory.")
    else:
        _tell(done=done)


async def _fill(task: Task, data_dir: Path, files_url: str) -> Done:
    runtime = SystemRuntime()
    wishes = task.wishes
    with ImportPlace(data_dir, files_url, app_id=task.app_id, runtime=runtime) as place:
        await _wait_for_former(place, AppId(task.app_id), runtime)
        with Container(Path(task.archive), name=task.name) as container:
            filled = await fill_archive(
                container,
                parse_config(container.read_config()),
                AppId(task.app_id),
                engines=place.engines,
                storage=place,
                runtime=runtime,
                options=Options(
                    attrs=wishes.attrs,
                    is_open=wishes.is_open,
                    drops_unknown=wishes.drops_unknown,
                    ignores_counts=wishes.ignores_counts,
                    room_bytes=max(_left(data_dir), 0),
                ),
                progress=_Progress(task.name, data_dir, runtime),
                replaced=(
                    task.token_hash,
                    None if task.replaced_tx is None else TxId(task.replaced_tx),
                ),
            )
        webhooks = [(webhook.id, webhook.dump()) for webhook in filled.webhooks]
        return Done(filled.row, filled.report, webhooks, filled.tx_before)


async def _wait_for_former(place: ImportPlace, app_id: AppId, runtime: Runtime) -> None:
    """Wait until the process of a server that was killed has ended too."""
    for left in reversed(range(import_limits.FORMER_TRIES)):
        try:
            place.engines.load(app_id, keeps=True).release()
            return
        except Unavailable:
            if not left:
                raise
            await runtime.sleep_ms(import_limits.FORMER_WAIT_MS)


class _Progress:
    """Tells the server how far the import is, and ends it when the disk is too full."""

    def __init__(self, name: str, data_dir: Path, runtime: Runtime) -> None:
        self._name = name
        self._data_dir = data_dir
        self._runtime = runtime
        self._told_ms = -import_limits.PROGRESS_MS

    def read(self, bytes_so_far: int, bytes_in_all: int) -> None:
        self._tell(read=(bytes_so_far, bytes_in_all))

    def indexed(self, done: int, of: int) -> None:
        self._tell(indexed=(done, of))

    def _tell(self, **told: Any) -> None:
        now_ms = int(self._runtime.monotonic_ms())
        if now_ms - self._told_ms < import_limits.PROGRESS_MS:
            return
        self._told_ms = now_ms
        _tell(**told)
        if _left(self._data_dir) < 0:
            raise refused(self._name, "the server's disk is too full to import it.")


def _left(data_dir: Path) -> int:
    """Bytes that an import may still take of the disk."""
    return shutil.disk_usage(data_dir).free - import_limits.DISK_RESERVE_BYTES


def _tell(**told: Any) -> None:
    sys.stdout.buffer.write(dump_told(**told))
    sys.stdout.buffer.flush()


def _end_with_server() -> None:
    """End when the server does: its end of the pipe is closed then."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(1)


def _bound_memory() -> None:
    """Let a trap in an archive end this process, not the machine."""
    most = import_limits.MEMORY_BYTES_MAX
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > most:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
