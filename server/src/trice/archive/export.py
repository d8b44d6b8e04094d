"""Export: an app becomes an archive, as of one snapshot.

    count everything ──> config.json ──> entities/*.jsonl, a page of rows at a time ──> files/*

The zip is written beside its place and moved there when it is whole and on disk. Nothing of an app
is held in memory but one page, or one piece of a file.

source   instant-http §6.7; spec/archive.md AR60-AR69
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import orjson

from trice import archive_limits as limits
from trice.apps.registry import AppRow
from trice.archive.config import OURS
from trice.archive.container import CONFIG
from trice.archive.lines import LineWriter, line_of
from trice.archive.read import scan
from trice.archive.refusals import refused
from trice.archive.schema import LEFT_OUT, NOT_INSTANTS, TRANSIENT, schema_of
from trice.archive.settings import exported_settings
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.dates import iso_text
from trice.errors import NotFound
from trice.files.blobs import Blobs
from trice.files.rows import FILES
from trice.protocol.ids import TxId
from trice.runtime import Runtime
from trice.store.engine import Engine, Snapshot

_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(slots=True)
class Exported:
    """What an export wrote: entities by namespace, files, and their bytes."""

    entities: dict[str, int]
    files: int = 0
    file_bytes: int = 0


async def export_app(
    path: Path,
    *,
    row: AppRow,
    engine: Engine,
    blobs: Blobs,
    runtime: Runtime,
    is_for_instant: bool,
    on_progress: Callable[[int, int], None],
) -> Exported:
    """Write an archive of an app; the file at `path` is replaced when it is whole.

    is_for_instant   leave out what Instant's restore would refuse: passwords and passkeys
    on_progress      hears how many entities are written, and of how many
    raises           InvalidInput for what no archive can hold, OSError; then there is no file
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with (
            open(part, "wb") as file,  # noqa: ASYNC230 the command has nothing else to do
            tempfile.TemporaryFile(dir=path.parent) as located,
        ):
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                work = _Export(archive, located, row, runtime=runtime, on_progress=on_progress)
                work.is_for_instant = is_for_instant
                await engine.read_on_thread(work.write, timeout_ms=limits.READ_TIMEOUT_MS)
                await work.write_files(blobs)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return work.exported


class _Export:
    """One export.

    Holds the open zip. `located` is a file of lines, one for each file of the app: what its entry
    is called, and the hash of its bytes.
    """

    def __init__(
        self,
        archive: zipfile.ZipFile,
        located: IO[bytes],
        row: AppRow,
        *,
        runtime: Runtime,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._zip = archive
        self._located = located
        self._row = row
        self._now_ms = runtime.now_ms()
        self._on_progress = on_progress
        self.is_for_instant = False
        self.exported = Exported({})

    def write(self, snapshot: Snapshot) -> None:
        """Write everything but the bytes of files. Runs on a thread."""
        catalog, rows = snapshot.catalog, snapshot.stored
        namespaces = self._namespaces(catalog)
        triples = 0
        for namespace in namespaces:
            count, values = rows.count(namespace)
            self.exported.entities[namespace.etype] = count
            left_out = LEFT_OUT.get(namespace.etype, _NOTHING)
            triples += count
            triples += sum(
                values[attr.id]
                for attr in namespace.attrs()
                if not attr.is_id and attr.label not in left_out
            )
        self.exported.entities = {
            etype: count for etype, count in self.exported.entities.items() if count
        }
        with self._entry(CONFIG) as entry:
            config = self._config(catalog, triples, tx=snapshot.newest_tx())
            entry.write(orjson.dumps(config, option=orjson.OPT_INDENT_2))
        in_all = sum(self.exported.entities.values())
        done = 0
        for namespace in namespaces:
            if namespace.etype in self.exported.entities:
                done = self._write_entities(snapshot, namespace, done, in_all)

    async def write_files(self, blobs: Blobs) -> None:
        """Write the bytes of files."""
        self._located.seek(0)
        for line in self._located:
            location, hash, size = orjson.loads(line)
            with self._entry(f"files/{location}") as entry:
                try:
                    async for piece in blobs.read(self._row.id, hash, 0, size):
                        entry.write(piece)
                except NotFound as cause:
                    problem = "the bytes of this file are not where files are kept."
                    raise refused(f"files/{location}", problem) from cause
            self.exported.files += 1
            self.exported.file_bytes += size

    def _write_entities(
        self, snapshot: Snapshot, namespace: Namespace, done: int, in_all: int
    ) -> int:
        """Write the lines of one namespace; return how many are done then."""
        etype = namespace.etype
        writer = LineWriter(namespace, left_out=LEFT_OUT.get(etype, _NOTHING))
        hashes = LineWriter(namespace, left_out=_NOTHING) if etype == FILES else None
        with self._entry(f"entities/{etype}.jsonl") as entry:
            for row, entity in scan(snapshot.stored, writer):
                line = line_of(entity, row[1])
                if len(line) > limits.LINE_BYTES_MAX:
                    problem = f"it takes {len(line):,} bytes, which no import accepts."
                    raise refused(f"{etype} {entity['id']}", problem)
                entry.write(line)
                if hashes is not None:
                    (whole,) = hashes.entities([row], lambda attr, sources: ())
                    self._locate(whole)
                done += 1
                if done % limits.PAGE_ROWS == 0 or done == in_all:
                    self._on_progress(done, in_all)
        return done

    def _locate(self, entity: dict[str, Any]) -> None:
        """Note which bytes a file has; they are written after all entities."""
        known = [entity.get(label) for label in ("location-id", "content-hash", "size")]
        self._located.write(orjson.dumps(known, option=orjson.OPT_APPEND_NEWLINE))

    def _namespaces(self, catalog: Catalog) -> list[Namespace]:
        left_out = TRANSIENT | (NOT_INSTANTS if self.is_for_instant else _NOTHING)
        return [
            namespace
            for etype, namespace in sorted(catalog.namespaces.items())
            if namespace.id_attr is not None and etype not in left_out
        ]

    def _config(self, catalog: Catalog, triples: int, *, tx: TxId) -> dict[str, Any]:
        row = self._row
        attrs = [attr for attr in catalog.by_id.values() if not attr.is_system]
        return {
            "counts": self.exported.entities,
            "tripleCount": triples,
            "schema": schema_of(catalog),
            "rules": row.rules,
            **exported_settings(row.settings),
            "title": row.title,
            "appId": row.id,
            "backupAt": iso_text(self._now_ms),
            "isn": None,
            "description": "Exported by trice",
            OURS: {
                "attrs": [attr.wire() for attr in attrs if attr.deleted_ms is None],
                "settings": msgspec.to_builtins(row.settings),
                "isOpen": row.is_open,
                "tx": tx,
            },
        }

    @contextmanager
    def _entry(self, name: str) -> Iterator[IO[bytes]]:
        """A new entry of the zip; sizes up to 2^64 fit."""
        made = datetime.fromtimestamp(self._now_ms / 1000, UTC)
        info = zipfile.ZipInfo(name, made.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(info, "w", force_zip64=name != CONFIG) as entry:
            yield entry
