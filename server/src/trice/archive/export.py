"""Export: an app becomes an archive, as of one snapshot.

    count everything ──> config.json ──> entities/*.jsonl, a page of rows at a time ──> files/*

The zip is written beside its place and moved there when it is whole and on disk. Nothing of an app
is held in memory but one page, or one piece of a file.

source   instant-http §6.7; spec/archive.md AR60-AR69
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import orjson

from trice import archive_limits as limits
from trice.apps.registry import AppRow
from trice.archive.config import OURS
from trice.archive.container import CONFIG
from trice.archive.lines import LineWriter, line_of
from trice.archive.parts import part_file
from trice.archive.read import scan
from trice.archive.refusals import refused
from trice.archive.schema import LEFT_OUT, NOT_INSTANTS, TRANSIENT, schema_of
from trice.archive.settings import exported_settings
from trice.archive.webhooks import exported_webhooks
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.dates import iso_text
from trice.errors import NotFound
from trice.files.blobs import Blobs
from trice.files.rows import FILES
from trice.protocol.ids import TxId
from trice.runtime import Runtime
from trice.store.engine import Engine, Snapshot
from trice.webhooks.webhook import Webhook

_NOTHING: Final[frozenset[str]] = frozenset()
_LOCATED: Final = ("location-id", "content-hash", "size", "path")


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
    webhooks: Sequence[Webhook] = (),
) -> Exported:
    """Write an archive of an app; the file at `path` is replaced when it is whole.

    is_for_instant   leave out what Instant's restore would refuse: passwords and passkeys
    on_progress      hears how many entities are written, and of how many
    raises           InvalidInput for what no archive can hold, OSError; then there is no file
    """
    with (
        part_file(path) as descriptor,
        open(descriptor, "r+b", closefd=False) as file,  # noqa: ASYNC230 the command only waits
        tempfile.TemporaryFile(dir=path.parent) as located,
    ):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            now_ms = runtime.now_ms()
            open_entry = partial(_zip_entry, archive, now_ms)
            work = Export(open_entry, located, row, now_ms=now_ms, on_progress=on_progress)
            work.is_for_instant = is_for_instant
            work.webhooks = exported_webhooks(webhooks)
            await engine.read_on_thread(work.write, timeout_ms=limits.READ_TIMEOUT_MS)
            await work.write_files(blobs)
        file.flush()
    return work.exported


OpenEntry = Callable[[str], AbstractContextManager[IO[bytes]]]
"""Begins an entry of an archive; what is written until the end are its bytes."""


class Export:
    """One export. Holds where the entries of the archive go, and what was written.

    exported   counts
    tx         the last transaction that is in it
    """

    def __init__(
        self,
        open_entry: OpenEntry,
        located: IO[bytes],
        row: AppRow,
        *,
        now_ms: int,
        on_progress: Callable[[int, int], None],
        description: str | None = "Exported by trice",
        triples_max: int | None = None,
    ) -> None:
        """
        located       gets a line for each file of the app:
                      `[location id, SHA-256 of its bytes, their count, its path]`
        now_ms        the time of the archive
        on_progress   hears how many entities are written, and of how many
        triples_max   an app with more is refused; None: there is no bound
        """
        self._entry = open_entry
        self._located = located
        self._row = row
        self._now_ms = now_ms
        self._on_progress = on_progress
        self._description = description
        self._triples_max = triples_max
        self.is_for_instant = False
        self.webhooks: list[dict[str, Any]] = []
        self.exported = Exported({})
        self.tx = TxId(0)

    def write(self, snapshot: Snapshot) -> None:
        """Write everything but the bytes of files. Runs on a thread.

        raises   InvalidInput for what no archive can hold, and beyond `triples_max`
        """
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
        if self._triples_max is not None and triples > self._triples_max:
            problem = f"It has {triples:,} values, and {self._triples_max:,} are the most."
            raise refused("the app", problem)
        self.tx = snapshot.newest_tx()
        with self._entry(CONFIG) as entry:
            config = self._config(catalog, triples, tx=self.tx)
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
            location, hash, size, _ = orjson.loads(line)
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
        known = [entity.get(label) for label in _LOCATED]
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
            "webhooks": self.webhooks,
            "title": row.title,
            "appId": row.id,
            "backupAt": iso_text(self._now_ms),
            "isn": None,
            "description": self._description,
            OURS: {
                "attrs": [attr.wire() for attr in attrs if attr.deleted_ms is None],
                "settings": msgspec.to_builtins(row.settings),
                "isOpen": row.is_open,
                "tx": tx,
            },
        }


@contextmanager
def _zip_entry(archive: zipfile.ZipFile, now_ms: int, name: str) -> Iterator[IO[bytes]]:
    """A new entry of a zip; sizes up to 2^64 fit."""
    made = datetime.fromtimestamp(now_ms / 1000, UTC)
    info = zipfile.ZipInfo(name, made.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=name != CONFIG) as entry:
        yield entry
