"""Import: an archive becomes a new app, whole or not at all.

    open the archive ──> schema, in a file out of sight ──> lines and bytes ──> indexes ──> rename
                                                                     the app is listed ──┘

Nobody finds the app before the last step, and a stop before it leaves nothing: what is out of sight
is removed at the next start, bytes of no app by the next sweep. A stop during the last step is
completed at the next start. Memory does not grow with the
archive: lines become rows in batches, bytes are copied in pieces.

source   instant-http §6.7, §6.8; spec/archive.md AR1-AR9
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from trice import archive_limits as limits
from trice.apps.compile import document_json
from trice.apps.registry import AppRow, Registry
from trice.archive.config import Config, parse_config
from trice.archive.container import CONFIG, Container
from trice.archive.file_bytes import FileBytes
from trice.archive.fill import (
    Progress,
    finish,
    insert_lines,
    make_admin_token,
    not_unique,
    note_types,
    whole,
)
from trice.archive.lines import LineReader, ReadLine, etype_namespace
from trice.archive.notes import note_app, note_lines
from trice.archive.refusals import refused
from trice.archive.report import Report
from trice.archive.schema import TRANSIENT, plan_attrs
from trice.archive.settings import note_by_hand, settings_of
from trice.archive.users import SystemRows
from trice.catalog.catalog import Catalog
from trice.database import Database
from trice.errors import InvalidInput, TriceError, Unavailable
from trice.files.rows import FILES
from trice.files.storage import Storage
from trice.identity import SERVER
from trice.protocol.ids import AppId, AttrId, TxId
from trice.protocol.quoting import quote
from trice.rules.document import Rules
from trice.runtime import Runtime, new_uuid
from trice.store.engines import Engines
from trice.store.loading import Filling, Loading
from trice.store.rows import UniqueViolation

_INSTANTS_TX: Final = 10**12
"""More than Instant has counted by far (its counter stood below 10^10 in 2026)."""

_LATER_TX: Final = 10**6
"""Transactions that an app may have made after its archive."""


async def _tx_before(config: Config, engines: Engines, replaced: AppRow | None) -> TxId:
    """The transaction after which those of the new app begin.

    A client keeps its own writes on top of answers until these are of a transaction that is not
    older than the write. It may have writes of the old server, or of the app that is replaced,
    whose ids must therefore be lower.
    """
    tx = _INSTANTS_TX if config.tx is None else config.tx + _LATER_TX
    if replaced is None:
        return TxId(tx)
    try:
        engine = await asyncio.to_thread(engines.open, replaced.id, (), is_new=False)
    except Unavailable:
        return TxId(tx + _LATER_TX)  # it is damaged, which may be why it is replaced
    try:
        return TxId(max(tx, engine.tx + _LATER_TX))
    finally:
        await engine.close()


@dataclass(frozen=True, slots=True)
class Options:
    """How an archive is imported.

    app_id         None: the archive's own, or a new one if it has none
    admin_token    a uuid; None: a new one
    attrs          attrs in the form of clients, whose ids the app gets
    is_open        whether callers may do what no rule speaks about; None: as where it comes from
    replaces       an app with the same id is replaced
    drops_unknown  values of labels without an attr are left out
    ignores_counts the counts in config.json need not be those of the lines
    room_bytes     how much the disk takes; None: nobody looks
    """

    app_id: AppId | None = None
    admin_token: str | None = None
    attrs: Sequence[Any] = ()
    is_open: bool | None = None
    replaces: bool = False
    drops_unknown: bool = False
    ignores_counts: bool = False
    room_bytes: int | None = None


async def import_archive(
    path: Path,
    *,
    engines: Engines,
    registry: Registry,
    storage: Storage,
    runtime: Runtime,
    options: Options,
    progress: Progress,
) -> Report:
    """Make an app from an archive.

    raises   InvalidInput that names the place in the archive, Unavailable, OSError; then nothing
             is left
    """
    with Container(path) as container:
        config = parse_config(container.read_config())
        app_id = options.app_id or config.app_id or AppId(new_uuid(runtime))
        replaced = registry.find(app_id)
        _check_place(path, app_id, replaced, replaces=options.replaces)
        if options.room_bytes is not None and container.total > options.room_bytes:
            raise refused(
                path.name,
                f"its content takes {container.total:,} bytes, and the disk has"
                f" {options.room_bytes:,} left.",
            )
        work = _Import(
            container,
            config,
            app_id,
            storage=storage,
            runtime=runtime,
            options=options,
            progress=progress,
            replaced=replaced,
            tx_before=await _tx_before(config, engines, replaced),
        )
        loading = engines.load(app_id)
        try:
            await work.run(loading)
            await whole(registry.publish(work.row(), loading))
        except BaseException:
            if loading.discard() and replaced is None:
                await storage.blobs.delete_app(app_id)
            raise
        return work.report


def _check_place(path: Path, app_id: AppId, found: AppRow | None, *, replaces: bool) -> None:
    """Refuse the id of an app that is there, unless it is to be replaced."""
    if found is None:
        return
    if not replaces:
        raise refused(
            path.name,
            f"there is an app {app_id} on this server already. Replace it with --replace, or give"
            " the new app another id with --app-id; users then sign in again.",
        )
    if found.expires_ms is not None:
        raise refused(
            path.name, f"the app {app_id} was deleted, or ends by itself; it cannot be replaced."
        )


class _Import:
    """One import.

    Holds what was noted so far, and types of values by attr. Rows are in `filling` once read.
    """

    def __init__(
        self,
        container: Container,
        config: Config,
        app_id: AppId,
        *,
        storage: Storage,
        runtime: Runtime,
        options: Options,
        progress: Progress,
        replaced: AppRow | None,
        tx_before: TxId,
    ) -> None:
        self._tx_before = tx_before
        self._container = container
        self._config = config
        self._app_id = app_id
        self._runtime = runtime
        self._options = options
        self._progress = progress
        self._token_hash, token = make_admin_token(options.admin_token, replaced, runtime)
        self._inferred: dict[AttrId, int] = {}
        self._seen: dict[str, int] = {}
        self._bytes = FileBytes(container, storage, app_id, self._tell)
        self._system = SystemRows(app_id)
        self._is_open = options.is_open
        if self._is_open is None:
            self._is_open = True if config.is_open is None else config.is_open
        self.report = Report(app_id, config.title, token)
        self._rules = self._compile()
        self._settings = settings_of(config, self.report, runtime)

    def row(self) -> AppRow:
        """The app, for the list of apps."""
        assert self._is_open is not None, "it is decided"
        return AppRow(
            id=self._app_id,
            title=self._config.title,
            admin_token_hash=self._token_hash,
            is_open=self._is_open,
            rules=self._config.rules,
            created_ms=self._runtime.now_ms(),
            expires_ms=None,
            settings=self._settings,
        )

    async def run(self, loading: Loading) -> None:
        """Fill the app's storage."""
        database = await self._open(loading, is_new=True)
        try:
            known = (*self._config.attrs, *self._options.attrs)
            await database.add_attrs(
                plan_attrs(self._config.schema, known, database.catalog, self._runtime)
            )
            catalog = database.catalog
        finally:
            await database.close()
        try:
            with loading.fill(catalog, tx_before=self._tx_before) as filling:
                for etype in self._container.entities:
                    await self._fill(filling, catalog, etype)
                self._bytes.check_used()
                self._check_counts()
                await finish(filling, self._progress)
        except UniqueViolation as violation:
            raise not_unique(violation, f"entities/{violation.attr.etype}.jsonl") from violation
        # Opened again as a server will, which takes figures of the tables that are full now.
        database = await self._open(loading, is_new=False)
        try:
            await database.write_on_thread(partial(note_types, self._inferred), turn_key=SERVER)
        finally:
            await database.close()
        self.report.files = self._bytes.count
        self.report.file_bytes = self._bytes.total
        self._system.note(self.report)
        note_by_hand(self._config, self.report)
        is_open = bool(self._is_open)
        note_app(self.report, self._config, attrs=self._options.attrs, is_open=is_open)

    async def _open(self, loading: Loading, *, is_new: bool) -> Database:
        return await Database.open(
            partial(loading.open, is_new=is_new),
            runtime=self._runtime,
            rules=self._rules,
            app_id=self._app_id,
        )

    def _compile(self) -> Rules:
        """The rules as they will be in force. Faults in them are noted: rules are never lost."""
        document = self._config.rules
        try:
            document_json(document)
        except InvalidInput as failure:
            raise refused(CONFIG, failure.message) from failure
        is_open = bool(self._is_open)
        try:
            return Rules.parse(document, is_open=is_open)
        except TriceError as failure:
            self.report.note(
                f"The rules came, but parts of them have faults, and fail whenever they are asked."
                f" {failure.message}",
                "Push corrected rules with `instant-cli push perms`.",
            )
        return Rules.parse(document, is_open=is_open, is_stored=True)

    async def _fill(self, filling: Filling, catalog: Catalog, etype: str) -> None:
        """Read the lines of one namespace."""
        namespace = etype_namespace(catalog, etype)
        if etype in TRANSIENT or (namespace is None and etype.startswith("$")):
            await self._pass_over(etype)
            return
        if namespace is None:
            raise refused(
                f"entities/{etype}.jsonl",
                f"no namespace `{quote(etype)[1:-1]}` is in `schema` of config.json.",
            )
        drops = self._options.drops_unknown or etype.startswith("$")
        reader = LineReader(namespace, drops_unknown=drops)
        count = 0
        for batch in self._batches(reader):
            if etype == FILES:
                await self._bytes.put(reader, batch)
            if etype.startswith("$"):
                for line in batch:
                    self._system.look(namespace, line)
            insert_lines(filling, reader, batch, catalog)
            count += len(batch)
            self._tell()
            await asyncio.sleep(0)  # a Ctrl-C is heard here
        reader.settle()
        self._inferred.update(reader.inferred)
        self.report.entities[etype] = count
        note_lines(self.report, reader)

    async def _pass_over(self, etype: str) -> None:
        """Count the lines of a namespace that does not come."""
        count = self._seen[etype] = sum(1 for _ in self._container.lines(etype))
        if etype in TRANSIENT:
            return
        self.report.note(
            f"{count:,} entities of {etype} did not come: this version of trice does not know that"
            " namespace of Instant."
        )

    def _batches(self, reader: LineReader) -> Iterator[list[ReadLine]]:
        """The entities of a namespace, some at a time."""
        batch: list[ReadLine] = []
        size = 0
        etype = reader.namespace.etype
        self._seen[etype] = 0
        for number, text in self._container.lines(etype):
            self._seen[etype] += 1
            line = reader.read(number, text)
            if line is None:
                continue
            batch.append(line)
            size += len(text)
            if len(batch) >= limits.BATCH_ROWS or size >= limits.BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _tell(self) -> None:
        self._progress.read(self._container.unpacked, self._container.total)

    # --- the end --------------------------------------------------------------------------------

    def _check_counts(self) -> None:
        """Compare the number of entities with what the archive says."""
        if self._config.counts is None or self._options.ignores_counts:
            return
        for etype, count in self._config.counts.items():
            found = self._seen.get(etype, 0)
            if found != count:
                raise refused(
                    f"entities/{etype}.jsonl",
                    f"it has {found:,} lines, but config.json counts {count:,}. The archive is"
                    " not whole, or was edited; --ignore-counts imports it as it is.",
                )
