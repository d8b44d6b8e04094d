"""Import of tables: files of JSON Lines or CSV become a new app, whole or not at all.

    scan: types, counts ──> plan (shown, and agreed to) ──> keys on disk ──> rows ──> rename

Files are read up to three times, a row at a time, and must not change meanwhile. Nobody finds the
app before the end, and a failure leaves nothing of it.

source   spec/archive.md AR80-AR93
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from trice import archive_limits as limits
from trice.apps.registry import AppRow, Registry
from trice.apps.settings import Settings
from trice.archive.fill import (
    Progress,
    finish,
    insert_lines,
    make_admin_token,
    not_unique,
    note_types,
    whole,
)
from trice.archive.kept import SystemKept
from trice.archive.lines import CREATED_MS_MAX, LineReader, ReadLine
from trice.archive.refusals import refused
from trice.archive.report import Note, Report
from trice.archive.schema import plan_attrs
from trice.archive.tables.bytes import FileSource, TableFiles
from trice.archive.tables.faults import Faults
from trice.archive.tables.infer import convert, key_text
from trice.archive.tables.keys import KeyMap, entity_id
from trice.archive.tables.people import USERS
from trice.archive.tables.plan import Link, Table, schema_document
from trice.archive.tables.scan import BytesRead, breathing
from trice.archive.users import SystemRows
from trice.catalog.catalog import Catalog
from trice.catalog.dates import instant_us
from trice.database import Database
from trice.errors import InvalidInput
from trice.files.rows import FILES
from trice.files.storage import Storage
from trice.identity import SERVER
from trice.protocol.ids import AppId, AttrId, EntityId, TxId, uuid_text
from trice.protocol.quoting import quote
from trice.rules.document import Rules
from trice.runtime import Runtime, new_uuid
from trice.store.engines import Engines
from trice.store.loading import Filling, Loading
from trice.store.rows import UniqueViolation


@dataclass(frozen=True, slots=True)
class Options:
    """How tables are imported.

    app_id       None: a new one
    admin_token  a uuid; None: a new one
    is_open         whether callers may do what no rule speaks about
    drops_dangling  links to rows that do not exist are left out, and counted
    room_bytes      how much the disk takes; None: nobody looks
    notes           what the report says first
    """

    title: str
    app_id: AppId | None = None
    admin_token: str | None = None
    is_open: bool = True
    drops_dangling: bool = False
    room_bytes: int | None = None
    notes: Sequence[Note] = ()


async def import_tables(
    tables: Sequence[Table],
    *,
    engines: Engines,
    registry: Registry,
    storage: Storage,
    folder: Path,
    runtime: Runtime,
    options: Options,
    progress: Progress,
) -> Report:
    """Make an app from tables.

    folder   where keys may be kept on disk, without a name
    raises   InvalidInput that names file and line, Unavailable, OSError; then nothing is left
    """
    needed = limits.TABLE_ROOM * sum(table.scanned.source.size for table in tables)
    if options.room_bytes is not None and needed > options.room_bytes:
        raise refused(
            "tables",
            f"an app of these files takes {needed:,} bytes while it is made, and the disk has"
            f" {options.room_bytes:,} left.",
        )
    app_id = options.app_id or AppId(new_uuid(runtime))
    if registry.find(app_id) is not None:
        raise refused("--app-id", f"there is an app {app_id} on this server already.")
    loading = engines.load(app_id)
    try:
        with ExitStack() as undo:
            work = _Import(tables, app_id, storage, runtime, options, progress)
            work.open_keys(folder, undo)
            await work.run(loading)
        await whole(registry.publish(work.row(), loading))
    except BaseException:
        if loading.discard():
            await storage.blobs.delete_app(app_id)
        raise
    return work.report


class _Import:
    """One import. Holds the keys of columns that links lead to, and of ids."""

    def __init__(
        self,
        tables: Sequence[Table],
        app_id: AppId,
        storage: Storage,
        runtime: Runtime,
        options: Options,
        progress: Progress,
    ) -> None:
        self._tables = tables
        self._app_id = app_id
        self._runtime = runtime
        self._options = options
        self._progress = progress
        self._token_hash, token = make_admin_token(options.admin_token, None, runtime)
        self._rules = Rules.parse(None, is_open=options.is_open)
        self._keys: dict[tuple[str, str | None], KeyMap] = {}
        self._inferred: dict[AttrId, int] = {}
        self._next_ms = runtime.now_ms() - sum(table.scanned.rows for table in tables)
        sources = [table.scanned.source for table in tables]
        self._told = BytesRead(sources, progress, passes=2)
        self._first_ms = self._next_ms
        self._secret = runtime.random_bytes(16)
        self._names = {table.etype: table.scanned.name for table in tables}
        self._files = TableFiles(storage, app_id, runtime)
        self._system = SystemRows(app_id, SystemKept())
        self._missing = Faults()
        self.report = Report(app_id, options.title, token, notes=[*options.notes])

    def row(self) -> AppRow:
        """The app, for the list of apps."""
        return AppRow(
            id=self._app_id,
            title=self._options.title,
            admin_token_hash=self._token_hash,
            is_open=self._options.is_open,
            rules=None,
            created_ms=self._runtime.now_ms(),
            expires_ms=None,
            settings=Settings(),
        )

    def open_keys(self, folder: Path, undo: ExitStack) -> None:
        """Make room for the keys of all ids, and of columns that links lead to."""
        for table in self._tables:
            labels: set[str | None] = {*(table.unique - {table.key_label or ""})}
            if table.id_label is not None:
                labels.add(None)
            for label in labels:
                secret = self._runtime.random_bytes(16)
                keys = KeyMap(folder, count=table.scanned.rows, secret=secret)
                undo.callback(keys.close)
                self._keys[table.etype, label] = keys

    async def run(self, loading: Loading) -> None:
        """Fill the app's storage."""
        database = await self._open(loading, is_new=True)
        try:
            schema = schema_document(self._tables)
            await database.add_attrs(plan_attrs(schema, (), database.catalog, self._runtime))
            catalog = database.catalog
        finally:
            await database.close()
        await self._note_keys()
        try:
            with loading.fill(catalog, tx_before=TxId(0)) as filling:
                faults = Faults()
                for table in self._tables:
                    await self._fill(filling, catalog, table, faults)
                if self._options.drops_dangling:
                    for told in faults.told():
                        self.report.note(f"{told} These links were left out.")
                else:
                    faults.check("With --drop-dangling these links are left out.")
                await finish(filling, self._progress)
        except UniqueViolation as violation:
            raise not_unique(violation, self._names[violation.attr.etype]) from violation
        database = await self._open(loading, is_new=False)
        try:
            await database.write_on_thread(partial(note_types, self._inferred), turn_key=SERVER)
        finally:
            await database.close()
        self._note_app()

    async def _open(self, loading: Loading, *, is_new: bool) -> Database:
        return await Database.open(
            partial(loading.open, is_new=is_new),
            runtime=self._runtime,
            rules=self._rules,
            app_id=self._app_id,
        )

    # --- keys -----------------------------------------------------------------------------------

    async def _note_keys(self) -> None:
        """Put keys on disk, so that links find rows that come later, and twins are told."""
        faults = Faults()
        for table in self._tables:
            labels = [label for etype, label in self._keys if etype == table.etype]
            if not labels:
                continue
            async for number, row in breathing(table.scanned.source, self._told.more):
                for label in labels:
                    self._note_key(table, label, number, row, faults)
        faults.check()

    def _note_key(
        self, table: Table, label: str | None, number: int, row: Mapping[str, Any], faults: Faults
    ) -> None:
        column = table.id_label if label is None else label
        assert column is not None, "ids are kept where a column has them"
        key = self._key(table, column, row.get(column), number)
        place = table.scanned.name
        if key is None:
            if label is None:
                problem = f"have no `{column}`, which is their id"
                faults.add(place, problem, number, unit=table.scanned.source.unit)
            return
        # A uuid is one id in whatever case.
        entity = self._id_of(table, row, number)
        keep = entity if label is None else _key_bytes(key)
        try:
            earlier = self._keys[table.etype, label].add(keep, entity, number)
        except OverflowError:
            raise _changed(table) from None
        if earlier is not None:
            unit = table.scanned.source.unit
            shown = f"{quote(key)} is in {unit} {earlier:,}"
            problem = f"have the same `{column}` as an earlier row"
            faults.add(place, problem, number, shown, unit)

    def _id_of(self, table: Table, row: Mapping[str, Any], number: int) -> EntityId:
        """The id that a row will have, as far as its columns say."""
        if table.id_label is None:
            return self._new_id(table, number)
        key = self._key(table, table.id_label, row.get(table.id_label), number)
        return EntityId(bytes(16)) if key is None else entity_id(table.etype, key)

    def _key(self, table: Table, label: str, value: Any, number: int) -> str | None:
        """A value as a key, in the type of its column; None if there is none."""
        if value is None:
            return None
        found = key_text(self._convert(table, label, value, number))
        if found is None:
            place = _place(table, number)
            raise refused(place, f"`{label}` is {quote(value)}, which is no key.")
        return found

    def _convert(self, table: Table, label: str, value: Any, number: int) -> Any:
        try:
            return convert(value, table.types[label], is_csv=table.scanned.source.is_csv)
        except InvalidInput as failure:
            place = _place(table, number)
            raise refused(place, f"`{label}`: {failure.message}") from failure
        except KeyError:
            raise _changed(table) from None

    def _new_id(self, table: Table, number: int) -> EntityId:
        """The id of a row whose file has none: the same in every reading, and in the order of the
        file (a uuid of version 7)."""
        name = f"{number} {table.etype}".encode()
        raw = bytearray((self._first_ms + number).to_bytes(6, "big"))
        raw += blake2b(name, digest_size=10, key=self._secret).digest()
        raw[6] = (raw[6] & 0x0F) | 0x70
        raw[8] = (raw[8] & 0x3F) | 0x80
        return EntityId(bytes(raw))

    # --- rows -----------------------------------------------------------------------------------

    async def _fill(self, filling: Filling, catalog: Catalog, table: Table, faults: Faults) -> None:
        """Read the rows of one file into the storage."""
        scanned = table.scanned
        namespace = catalog.namespaces[table.etype]
        reader = LineReader(
            namespace,
            drops_unknown=False,
            checks_required=False,
            place=scanned.name,
            unit=scanned.source.unit,
        )
        count, size, before = 0, 0, 0
        files: list[tuple[int, dict[str, Any], Mapping[str, Any]]] = []
        batch: list[ReadLine] = []

        def more(count: int) -> None:
            nonlocal size
            size += count
            self._told.more(count)

        async for number, row in breathing(scanned.source, more):
            entity = self._entity(table, number, row, faults)
            count += 1
            if table.etype == FILES:
                files.append((number, entity, row))
                if len(files) >= limits.FILES_AT_ONCE:
                    batch.extend(await self._with_bytes(reader, table, files))
            else:
                batch.append(self._line(reader, table, number, entity, row))
            if len(batch) >= limits.BATCH_ROWS or size - before >= limits.BATCH_BYTES:
                insert_lines(filling, reader, batch, catalog)
                batch, before = [], size
        batch.extend(await self._with_bytes(reader, table, files))
        insert_lines(filling, reader, batch, catalog)
        if count != scanned.rows:
            raise _changed(table)
        reader.settle()
        self._inferred.update(reader.inferred)
        self.report.entities[table.etype] = count

    async def _with_bytes(
        self,
        reader: LineReader,
        table: Table,
        files: list[tuple[int, dict[str, Any], Mapping[str, Any]]],
    ) -> list[ReadLine]:
        """Put the bytes of files in place, and read their rows. The list is empty then."""
        if not files:
            return []
        await self._files.put(cast(FileSource, table.scanned.source), files)
        lines = [self._line(reader, table, *each) for each in files]
        files.clear()
        return lines

    def _line(
        self,
        reader: LineReader,
        table: Table,
        number: int,
        entity: dict[str, Any],
        row: Mapping[str, Any],
    ) -> ReadLine:
        """An entity as a row of the store."""
        made = reader.read_entity(number, entity, self._created_ms(table, row))
        if table.etype == USERS:
            self._system.look(reader.namespace, made)
        return made

    def _created_ms(self, table: Table, row: Mapping[str, Any]) -> int:
        """When a row was made: as it says itself, else in the order of rows."""
        self._next_ms += 1
        label = table.scanned.told.created_label
        value = None if label is None else row.get(label)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            moment_us = instant_us(value)
            if moment_us is not None and abs(moment_us) // 1000 <= CREATED_MS_MAX:
                return int(moment_us // 1000)
        return self._next_ms - 1

    def _entity(
        self, table: Table, number: int, row: Mapping[str, Any], faults: Faults
    ) -> dict[str, Any]:
        """A row as an entity of an archive."""
        entity: dict[str, Any] = {"id": uuid_text(self._id_of(table, row, number))}
        for label, value in row.items():
            link = table.links.get(label)
            if link is not None:
                targets = self._targets(table, link, value, number, faults)
                if targets:
                    entity[label] = targets if link.is_many else targets[0]
            elif label != table.id_label:
                entity[label] = self._convert(table, label, value, number)
        if table.key_label is not None:
            assert table.id_label is not None, "keys are made of it"
            entity[table.key_label] = self._convert(
                table, table.id_label, row[table.id_label], number
            )
        return entity

    def _targets(
        self, table: Table, link: Link, value: Any, number: int, faults: Faults
    ) -> list[str]:
        """The ids that a value links to."""
        if value is None:
            return []
        read = self._convert(table, link.label, value, number)
        found: list[str] = []
        for each in read if isinstance(read, list) else [read]:
            key = key_text(each)
            if key is None:
                place = _place(table, number)
                raise refused(place, f"`{link.label}` is {quote(each)}, which is no key.")
            by_id = link.key is None
            wanted = entity_id(link.target, key) if by_id else _key_bytes(key)
            target = self._keys[link.target, link.key].find(wanted)
            if target is None:
                problem = f"link by `{link.label}` to no `{link.target}.{link.key or 'id'}`"
                unit = table.scanned.source.unit
                kind = self._missing if link.target == FILES else faults
                kind.add(table.scanned.name, problem, number, quote(key), unit)
            else:
                found.append(uuid_text(target))
        return found

    def _note_app(self) -> None:
        self.report.files = self._files.count
        self.report.file_bytes = self._files.total
        self._system.note(self.report)
        for told in self._missing.told():
            self.report.note(f"{told} These files did not come.")
        for table in self._tables:
            if table.key_label is not None and table.scanned.told.id_label is None:
                self.report.note(
                    f"Ids of {table.etype} are made of `{table.id_label}`, which"
                    f" `{table.etype}.{table.key_label}` keeps; the same keys give the same ids"
                    " again."
                )
        if self._options.is_open:
            self.report.note(
                "Everybody may read and change everything, until rules say more.",
                "Push rules with `instant-cli push perms`, or import with --closed.",
            )
        elif self._options.notes:
            self.report.note(
                "The app is closed: nobody but admins may read or change anything, until rules"
                " allow it.",
                "Push rules with `instant-cli push perms`, or import with --open to try it first.",
            )


def _place(table: Table, number: int) -> str:
    return f"{table.scanned.name} {table.scanned.source.unit} {number}"


def _key_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _changed(table: Table) -> InvalidInput:
    return refused(table.scanned.name, "the file changed while it was read. Import it again.")
