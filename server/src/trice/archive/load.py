"""Import: an archive becomes a new app, whole or not at all.

    open the archive ──> schema, in a file out of sight ──> lines and bytes ──> indexes ──> rename
                                                │ keep ──> keep ──> …              the app is listed

Nobody finds the app before the last step. What a stop before it leaves is kept out of sight for
some days: the next import of the same archive goes on at the last `keep`. A stop during the last
step is completed at the next start. Memory does not grow with the archive: lines become rows in
batches, bytes are copied in pieces.

A little over 500 lines, one file because all steps share what was noted so far.
`fill_archive` does everything but the last step, and needs nothing that a server may have open;
`publish_archive` does that. `import_archive` does both, where no server runs.

source   instant-http §6.7, §6.8; spec/archive.md AR1-AR9, AR100-AR109
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

import trice
from trice import archive_limits as limits
from trice.apps.compile import document_json
from trice.apps.registry import AppRow, Registry
from trice.archive.config import Config, parse_config
from trice.archive.container import CONFIG, Container
from trice.archive.file_bytes import FileBytes, FilePlace
from trice.archive.fill import (
    Progress,
    finish,
    insert_lines,
    make_admin_token,
    not_unique,
    note_types,
    whole,
)
from trice.archive.kept import Kept, LinesKept, dump_kept, read_kept
from trice.archive.lines import LineReader, ReadLine, etype_namespace
from trice.archive.notes import note_app, note_lines
from trice.archive.refusals import refused
from trice.archive.report import Report
from trice.archive.schema import TRANSIENT, plan_attrs
from trice.archive.settings import note_by_hand, settings_of
from trice.archive.users import SystemRows
from trice.archive.webhooks import new_webhooks, webhooks_of
from trice.catalog.catalog import Catalog
from trice.database import Database
from trice.errors import InvalidInput, TriceError, Unavailable
from trice.files.rows import FILES
from trice.identity import SERVER
from trice.protocol.ids import AppId, AttrId, TxId
from trice.protocol.quoting import quote
from trice.rules.document import Rules
from trice.runtime import Runtime, new_uuid
from trice.store.engines import Engines
from trice.store.loading import Filling, Loading
from trice.store.rows import UniqueViolation
from trice.webhooks.rows import Rows, put_step
from trice.webhooks.webhook import Webhook

_INSTANTS_TX: Final = 10**12
"""More than Instant has counted by far (its counter stood below 10^10 in 2026)."""

_LATER_TX: Final = 10**6
"""Transactions that an app may have made after its archive."""

_MEANWHILE_TX: Final = 10**9
"""Transactions that an app which is replaced may make while the archive is read."""


def tx_before(config: Config, *, replaced: TxId | None) -> TxId:
    """The transaction after which those of the new app begin.

    A client keeps its own writes on top of answers until these are of a transaction that is not
    older than the write. It may have writes of the old server, or of the app that is replaced,
    whose ids must therefore be lower.

    replaced   the last transaction of the app that is replaced
    """
    tx = _INSTANTS_TX if config.tx is None else config.tx + _LATER_TX
    return TxId(tx if replaced is None else max(tx, replaced + _MEANWHILE_TX))


async def _tx_of(app_id: AppId, engines: Engines) -> TxId:
    """The last transaction of an app that nobody has open."""
    try:
        engine = await asyncio.to_thread(engines.open, app_id, (), is_new=False)
    except Unavailable:
        return TxId(_INSTANTS_TX)  # it is damaged, which may be why it is replaced
    try:
        return TxId(engine.tx)
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


@dataclass(frozen=True, slots=True)
class Filled:
    """An app that is whole, out of sight.

    webhooks   that it gets, but for those that an app which is replaced has
    """

    row: AppRow
    report: Report
    webhooks: list[Webhook]
    tx_before: TxId
    loading: Loading


async def import_archive(
    path: Path,
    *,
    engines: Engines,
    registry: Registry,
    storage: FilePlace,
    runtime: Runtime,
    options: Options,
    progress: Progress,
) -> Report:
    """Make an app from an archive.

    raises   InvalidInput that names the place in the archive, Unavailable, OSError; then nothing
             is left. A cancellation leaves what the next import of it goes on with
    """
    with Container(path) as container:
        config = parse_config(container.read_config())
        app_id = options.app_id or config.app_id or AppId(new_uuid(runtime))
        replaced = registry.find(app_id)
        check_place(path.name, app_id, replaced, replaces=options.replaces)
        tx = None if replaced is None else await _tx_of(app_id, engines)
        filled = await fill_archive(
            container,
            config,
            app_id,
            engines=engines,
            storage=storage,
            runtime=runtime,
            options=options,
            progress=progress,
            replaced=None if replaced is None else (replaced.admin_token_hash, tx or TxId(0)),
            keeps=bool(options.app_id or config.app_id),
        )
        publishing = publish_archive(filled, registry.database, registry.publish, runtime=runtime)
        await whole(publishing)
        return filled.report


async def fill_archive(
    container: Container,
    config: Config,
    app_id: AppId,
    *,
    engines: Engines,
    storage: FilePlace,
    runtime: Runtime,
    options: Options,
    progress: Progress,
    replaced: tuple[bytes, TxId | None] | None,
    keeps: bool = True,
) -> Filled:
    """Fill an app out of sight, or go on where an earlier call was stopped. Raises as
    `import_archive`.

    replaced   hash of the admin token that the app has or gets, and the last transaction of the app
               that will be replaced, if there is one
    keeps      the next call with the same id may go on where this one is stopped
    """
    room = options.room_bytes
    if room is not None and container.total > room:
        raise refused(
            container.name,
            f"its content takes {container.total:,} bytes, and the disk has {room:,} left for it.",
        )
    before = tx_before(config, replaced=None if replaced is None else replaced[1])
    loading = engines.load(app_id, keeps=keeps)
    try:
        identity = _identity(container, options)
        kept = read_kept(await asyncio.to_thread(loading.kept), identity=identity)
        if kept is None:
            loading.restart()
        work = _Import(
            container,
            config,
            app_id,
            storage=storage,
            runtime=runtime,
            options=options,
            progress=progress,
            token_hash=None if replaced is None else replaced[0],
            tx_before=before,
            kept=kept or Kept(identity),
        )
        await work.run(loading, is_new=kept is None)
    except BaseException as failure:
        if keeps and isinstance(failure, asyncio.CancelledError):
            loading.release()
            raise
        if loading.discard() and replaced is None:
            await storage.blobs.delete_app(app_id)
        raise
    return Filled(work.row(), work.report, work.webhooks, before, loading)


async def publish_archive(
    filled: Filled, platform: Database, publish: Callable[..., Any], *, runtime: Runtime
) -> None:
    """Put an app in its place, and list it with its webhooks.

    platform   the platform's database
    publish    `Registry.publish`, or `Apps.put_loaded` in a running server
    """
    app_id = filled.row.id
    try:
        there = [row.webhook for row in await Rows(platform, runtime=runtime).load_of(app_id)]
        there = [webhook for webhook in there if webhook.status != "deleted"]
        new = new_webhooks(filled.webhooks, there, filled.report)
        steps = [put_step(webhook, position=filled.tx_before) for webhook in new]
        await publish(filled.row, filled.loading, also=steps)
    except Exception:  # not a cancellation: `publish` may go on
        filled.loading.discard()
        raise


def _identity(container: Container, options: Options) -> str:
    """What must be the same for an import to go on where another one was stopped."""
    chosen = (
        *(options.is_open, options.drops_unknown, options.ignores_counts),
        msgspec.json.encode(options.attrs),
    )
    told = repr((trice.__version__, container.identity(), chosen))
    return hashlib.sha256(told.encode()).hexdigest()


def check_place(name: str, app_id: AppId, found: AppRow | None, *, replaces: bool) -> None:
    """Refuse the id of an app that is there, unless it is to be replaced.

    name   of the archive
    """
    if found is None:
        return
    if not replaces:
        raise refused(
            name,
            f"there is an app {app_id} on this server already. Replace it with --replace, or give"
            " the new app another id with --app-id; users then sign in again.",
        )
    if found.expires_ms is not None:
        raise refused(
            name, f"the app {app_id} was deleted, or ends by itself; it cannot be replaced."
        )


class _Import:
    """One import.

    Holds what was noted so far (`kept`), and types of values by attr. Rows are in `filling` once
    read.
    """

    def __init__(
        self,
        container: Container,
        config: Config,
        app_id: AppId,
        *,
        storage: FilePlace,
        runtime: Runtime,
        options: Options,
        progress: Progress,
        token_hash: bytes | None,
        tx_before: TxId,
        kept: Kept,
    ) -> None:
        self._tx_before = tx_before
        self._container = container
        self._config = config
        self._app_id = app_id
        self._runtime = runtime
        self._options = options
        self._progress = progress
        self._token_hash, token = make_admin_token(options.admin_token, token_hash, runtime)
        self._kept = kept
        self._kept_at = 0
        self._inferred = {AttrId(attr_id): bits for attr_id, bits in kept.inferred.items()}
        self._seen = kept.seen
        self._bytes = FileBytes(container, storage, app_id, self._tell)
        self._system = SystemRows(app_id, kept.system)
        self._is_open = options.is_open
        if self._is_open is None:
            self._is_open = True if config.is_open is None else config.is_open
        self.report = Report(app_id, config.title, token, entities=kept.entities)
        self.webhooks: list[Webhook] = []
        self._rules = self._compile()
        self._settings = settings_of(config, self.report, runtime)
        self._own_notes = len(self.report.notes)
        self.report.notes += kept.notes

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

    async def run(self, loading: Loading, *, is_new: bool) -> None:
        """Fill the app's storage."""
        database = await self._open(loading, is_new=is_new)
        try:
            if is_new:
                known = (*self._config.attrs, *self._options.attrs)
                planned = plan_attrs(self._config.schema, known, database.catalog, self._runtime)
                await database.add_attrs(planned)
            catalog = database.catalog
        finally:
            await database.close()
        try:
            with loading.fill(catalog, tx_before=self._tx_before) as filling:
                if is_new:
                    self._keep(filling)
                if not self._kept.is_full:
                    await self._fill_all(filling, catalog)
                await finish(filling, self._progress)
        except UniqueViolation as violation:
            raise not_unique(violation, f"entities/{violation.attr.etype}.jsonl") from violation
        # Opened again as a server will, which takes figures of the tables that are full now.
        database = await self._open(loading, is_new=False)
        try:
            await database.write_on_thread(partial(note_types, self._inferred), turn_key=SERVER)
        finally:
            await database.close()
        self.report.files, self.report.file_bytes = self._kept.files, self._kept.file_bytes
        self._system.note(self.report)
        given = self._config.webhooks
        self.webhooks = webhooks_of(given, self._app_id, catalog, self.report, self._runtime)
        note_by_hand(self._config, self.report)
        is_open = bool(self._is_open)
        note_app(self.report, self._config, attrs=self._options.attrs, is_open=is_open)

    async def _fill_all(self, filling: Filling, catalog: Catalog) -> None:
        """Read every line and file that was not read yet."""
        self._bytes.go_on(
            self._used_locations(filling, catalog),
            count=self._kept.files,
            total=self._kept.file_bytes,
        )
        for etype, entry in self._container.entities.items():
            if etype in self._seen:
                self._container.unpacked += entry.file_size
                continue
            await self._fill(filling, catalog, etype)
            self._keep(filling)
        self._bytes.check_used()
        self._check_counts()
        self._kept.is_full = True
        self._keep(filling)

    def _used_locations(self, filling: Filling, catalog: Catalog) -> Iterator[str]:
        """The locations of files whose bytes are in place."""
        for attr in catalog.namespaces[FILES].columns:
            if attr.label == "location-id":
                yield from (cell for cell in filling.cells(attr) if isinstance(cell, str))

    def _keep(self, filling: Filling, lines: LinesKept | None = None) -> None:
        """Let the next import go on from here, whatever stops this one."""
        kept = self._kept
        kept.lines = lines
        kept.notes = self.report.notes[self._own_notes :]
        kept.inferred = {str(attr_id): bits for attr_id, bits in self._inferred.items()}
        kept.files, kept.file_bytes = self._bytes.count, self._bytes.total
        filling.keep(dump_kept(kept))
        self._kept_at = self._container.unpacked

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
        at = self._kept.lines
        if at is None or at.etype != etype:
            at = LinesKept(etype)
        count = self.report.entities.get(etype, 0)
        reader.go_on(at)
        for batch, end in self._batches(reader, at):
            if etype == FILES:
                await self._bytes.put(reader, batch)
            if etype.startswith("$"):
                for line in batch:
                    self._system.look(namespace, line)
            insert_lines(filling, reader, batch, catalog)
            count += len(batch)
            self.report.entities[etype] = count
            if self._container.unpacked - self._kept_at >= limits.KEEP_BYTES:
                self._keep(filling, reader.kept(end.number, end.offset))
            self._tell()
            await asyncio.sleep(0)  # a Ctrl-C is heard here
        reader.settle()
        self._inferred.update(reader.inferred)
        self._seen[etype] = end.number
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

    def _batches(
        self, reader: LineReader, at: LinesKept
    ) -> Iterator[tuple[list[ReadLine], LinesKept]]:
        """The entities of a namespace, some at a time, each with how far the lines were read then.

        at   where to begin
        """
        batch: list[ReadLine] = []
        size = 0
        etype, last, offset = at.etype, at.number, at.offset
        for number, text in self._container.lines(etype, number=last, offset=offset):
            last = number
            offset += len(text) + 1
            line = reader.read(number, text)
            if line is None:
                continue
            batch.append(line)
            size += len(text)
            if len(batch) >= limits.BATCH_ROWS or size >= limits.BATCH_BYTES:
                yield batch, LinesKept(etype, last, offset)
                batch, size = [], 0
        yield batch, LinesKept(etype, last, offset)

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
