"""The parts of a backup, made of a copy of the app's database in a scratch folder.

    database ──copy──> data directory of its own ──Export──> NUMBER.gz …, located ──> listed, hashes

The app itself is read only while it is copied, so writers and queries of it wait for nothing.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, cast

import orjson

from trice import app_backup_limits as limits
from trice import archive_limits
from trice.apps.registry import AppRow
from trice.archive.export import Export
from trice.backups.make import Source
from trice.backups.manifest import list_line
from trice.backups.pace import IsOver, on_thread
from trice.catalog.system import system_attrs
from trice.errors import Unavailable, no_record
from trice.store.copies import CopyEnded
from trice.store.engines import Engines


@dataclass(frozen=True, slots=True)
class DraftPart:
    """A part that is not in the vault yet. bytes   how many it has uncompressed"""

    name: str
    path: Path
    bytes: int


@dataclass(slots=True)
class Drafted:
    """The parts of one archive, in its order.

    listed, hashes   the lists of `manifest.FilesPart`; `file_count` and `file_bytes` are their sums
    """

    folder: Path
    parts: list[DraftPart] = field(default_factory=list)
    tx: int = 0
    db_bytes: int = 0
    file_count: int = 0
    file_bytes: int = 0

    @property
    def listed(self) -> Path:
        return self.folder / "listed"

    @property
    def hashes(self) -> Path:
        return self.folder / "hashes"

    @contextmanager
    def entry(self, name: str) -> Iterator[IO[bytes]]:
        """Begin a part. Equal content gives equal bytes, so that the vault keeps it once."""
        path = self.folder / f"{len(self.parts)}.gz"
        with open(path, "xb") as file:
            level = limits.GZIP_LEVEL
            with gzip.GzipFile("", "wb", compresslevel=level, fileobj=file, mtime=0) as packed:
                # A GzipFile has all that a raw stream is asked for.
                whole = io.BufferedWriter(cast(io.RawIOBase, packed), limits.WRITE_BYTES)
                yield whole
                whole.flush()
                size = packed.tell()
                whole.detach()
        self.parts.append(DraftPart(name, path, size))


async def draft(
    source: Source,
    row: AppRow,
    folder: Path,
    *,
    made_ms: int,
    description: str | None,
    on_progress: Callable[[int, int], None],
) -> Drafted:
    """Make all parts of an app, in an empty folder.

    raises   NotFound when it was deleted; InvalidInput for what no archive can hold; Unavailable
             when there is no room or its database is damaged
    """
    drafted = Drafted(folder)
    # A data directory of its own, as a restore makes one.
    path = folder / "copy" / "apps" / f"{row.id}.db"
    await on_thread(partial(_copy, source, row, path))
    drafted.db_bytes = path.stat().st_size
    engines = await asyncio.to_thread(source.open_engines, folder / "copy")
    try:
        with open(folder / "located", "w+b") as located:  # noqa: ASYNC230 takes microseconds
            over = threading.Event()

            def show(done: int, of: int) -> None:
                if over.is_set():
                    raise CopyEnded
                on_progress(done, of)

            export = Export(
                drafted.entry,
                located,
                row,
                now_ms=made_ms,
                on_progress=show,
                description=description,
                triples_max=limits.TRIPLES_MAX,
            )
            await _export(engines, row, export, over)
            drafted.tx = export.tx
            await on_thread(partial(_list_files, drafted, located))
    finally:
        engines.close()
        await asyncio.to_thread(shutil.rmtree, folder / "copy", ignore_errors=True)
    return drafted


def _copy(source: Source, row: AppRow, path: Path, is_over: IsOver) -> None:
    """Copy the database of an app. Runs on a thread."""
    _check_room(source.data_dir, 0)
    try:
        source.copies.copy(row.id, path, is_over=is_over)
    except FileNotFoundError:
        raise no_record("app", f"App {row.id} was deleted meanwhile.") from None
    _check_room(source.data_dir, path.stat().st_size)


def _check_room(data_dir: Path, needed: int) -> None:
    free = shutil.disk_usage(data_dir).free
    if free < needed + limits.FREE_BYTES_MIN:
        problem = f"The disk of the server has {free:,} bytes left, too few for a backup."
        raise Unavailable("overloaded", problem)


async def _export(engines: Engines, row: AppRow, export: Export, over: threading.Event) -> None:
    opening = partial(engines.open, row.id, system_attrs(), is_new=False)
    engine = await asyncio.to_thread(opening)
    try:
        await engine.read_on_thread(export.write, timeout_ms=archive_limits.READ_TIMEOUT_MS)
    finally:
        over.set()
        await engine.close()  # waits for the thread


def _list_files(drafted: Drafted, located: IO[bytes], is_over: IsOver) -> None:
    """Write both lists of files. Runs on a thread."""
    located.flush()
    located.seek(0)
    with open(drafted.listed, "xb") as listed, open(drafted.hashes, "xb") as hashes:
        for line in located:
            if is_over():
                raise CopyEnded
            _, hash, size, _ = orjson.loads(line)
            listed.write(line)
            hashes.write(list_line(hash, size))
            drafted.file_count += 1
            drafted.file_bytes += size
