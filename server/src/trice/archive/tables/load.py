"""Import of tables: files of JSON Lines or CSV become a new app, whole or not at all.

    scan: types, counts ──> plan (shown, and agreed to) ──> keys on disk ──> rows ──> rename

Files are read up to three times, a row at a time, and must not change meanwhile. Nobody finds the
app before the end, and a failure leaves nothing of it.

source   spec/archive.md AR80-AR93
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

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
from trice.archive.lines import LineReader, ReadLine
from trice.archive.refusals import refused
from trice.archive.report import Report
from trice.archive.schema import plan_attrs
from trice.archive.tables.faults import Faults
from trice.archive.tables.infer import Column, convert, key_text
from trice.archive.tables.keys import KeyMap, entity_id
from trice.archive.tables.plan import Link, Scanned, Table, schema_document
from trice.archive.tables.read import Row, is_csv, read_rows
from trice.catalog.catalog import Catalog
from trice.database import Database
from trice.errors import InvalidInput
from trice.identity import SERVER
from trice.protocol.ids import AppId, AttrId, EntityId, TxId, uuid_text
from trice.protocol.quoting import quote
from trice.rules.document import Rules
from trice.runtime import Runtime, new_uuid
from trice.store.engines import Engines
from trice.store.loading import Filling, Loading
from trice.store.rows import UniqueViolation

_BREATH_ROWS = 500
"""Rows between two moments at which a Ctrl-C is heard."""


@dataclass(frozen=True, slots=True)
class Options:
    """How tables are imported.

    app_id       None: a new one
    admin_token  a uuid; None: a new one
    is_open         whether callers may do what no rule speaks about
    drops_dangling  links to rows that do not exist are left out, and counted
    """

    title: str
    app_id: AppId | None = None
    admin_token: str | None = None
    is_open: bool = True
    drops_dangling: bool = False


class _Bytes:
    """Tells how far the files were read, all passes together."""

    def __init__(self, paths: Sequence[Path], progress: Progress, *, passes: int) -> None:
        self._progress = progress
        self._in_all = passes * sum(path.stat().st_size for path in paths)
        self._done = 0

    def more(self, count: int) -> None:
        self._done += count
        self._progress.read(self._done, max(self._in_all, self._done))


async def _breathing(
    path: Path,
    on_bytes: Callable[[int], None],
    on_labels: Callable[[list[str]], None] = lambda labels: None,
) -> AsyncIterator[Row]:
    """The rows of a file; other tasks, and a Ctrl-C, have their turn in between."""
    for done, row in enumerate(read_rows(path, on_bytes, on_labels)):
        if done % _BREATH_ROWS == 0:
            await asyncio.sleep(0)
        yield row


# --- the first reading --------------------------------------------------------------------------


async def scan(files: Sequence[tuple[Path, str]], progress: Progress) -> list[Scanned]:
    """Read files once to see which columns they have.

    files    each with its namespace
    raises   InvalidInput that names file and line, OSError
    """
    if len(files) > limits.TABLES_MAX:
        raise refused("tables", f"{limits.TABLES_MAX} files are the most of one import.")
    seen: dict[str, Path] = {}
    for path, etype in files:
        if etype.startswith("$"):
            problem = f"`{etype}` is a namespace of the server. Give it a name with --namespace."
            raise refused(path.name, problem)
        if etype in seen:
            problem = f"{seen[etype].name} becomes `{etype}` already. Use --namespace."
            raise refused(path.name, problem)
        seen[etype] = path
    told = _Bytes([path for path, _ in files], progress, passes=1)
    return [await _scan(path, etype, told) for path, etype in files]


async def _scan(path: Path, etype: str, told: _Bytes) -> Scanned:
    scanned = Scanned(path, etype, is_csv(path))
    columns = scanned.columns

    def name_columns(labels: list[str]) -> None:
        columns.update((label, Column(is_csv=True)) for label in labels)

    async for number, row in _breathing(path, told.more, name_columns):
        scanned.rows += 1
        for label, value in row.items():
            column = columns.get(label)
            if column is None:
                if len(columns) >= limits.TABLE_COLUMNS_MAX:
                    problem = f"the file has more than {limits.TABLE_COLUMNS_MAX} labels."
                    raise refused(f"{path.name} line {number}", problem)
                column = columns[label] = Column(is_csv=scanned.is_csv)
            column.add(value)
    return scanned


# --- the import ---------------------------------------------------------------------------------


async def import_tables(
    tables: Sequence[Table],
    *,
    engines: Engines,
    registry: Registry,
    folder: Path,
    runtime: Runtime,
    options: Options,
    progress: Progress,
) -> Report:
    """Make an app from tables.

    folder   where keys may be kept on disk, without a name
    raises   InvalidInput that names file and line, Unavailable, OSError; then nothing is left
    """
    app_id = options.app_id or AppId(new_uuid(runtime))
    if registry.find(app_id) is not None:
        raise refused("--app-id", f"there is an app {app_id} on this server already.")
    loading = engines.load(app_id)
    try:
        with ExitStack() as undo:
            work = _Import(tables, app_id, runtime, options, progress)
            work.open_keys(folder, undo)
            await work.run(loading)
        await whole(registry.publish(work.row(), loading))
    except BaseException:
        loading.discard()
        raise
    return work.report


class _Import:
    """One import. Holds the keys of columns that links lead to, and of ids."""

    def __init__(
        self,
        tables: Sequence[Table],
        app_id: AppId,
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
        paths = [table.scanned.path for table in tables]
        self._told = _Bytes(paths, progress, passes=2)
        self._first_ms = self._next_ms
        self._secret = runtime.random_bytes(16)
        self._names = {table.etype: table.scanned.path.name for table in tables}
        self.report = Report(app_id, options.title, token)

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
                    faults.check()
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
            async for number, row in _breathing(table.scanned.path, self._told.more):
                for label in labels:
                    self._note_key(table, label, number, row, faults)
        faults.check()

    def _note_key(
        self, table: Table, label: str | None, number: int, row: Mapping[str, Any], faults: Faults
    ) -> None:
        column = table.id_label if label is None else label
        assert column is not None, "ids are kept where a column has them"
        key = self._key(table, column, row.get(column), number)
        place = table.scanned.path.name
        if key is None:
            if label is None:
                faults.add(place, f"have no `{column}`, which is their id", number)
            return
        # A uuid is one id in whatever case.
        entity = self._id_of(table, row, number)
        keep = entity if label is None else _key_bytes(key)
        try:
            earlier = self._keys[table.etype, label].add(keep, entity, number)
        except OverflowError:
            raise _changed(table) from None
        if earlier is not None:
            shown = f"{quote(key)} is in line {earlier:,}"
            faults.add(place, f"have the same `{column}` as an earlier row", number, shown)

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
            place = f"{table.scanned.path.name} line {number}"
            raise refused(place, f"`{label}` is {quote(value)}, which is no key.")
        return found

    def _convert(self, table: Table, label: str, value: Any, number: int) -> Any:
        try:
            return convert(value, table.types[label], is_csv=table.scanned.is_csv)
        except InvalidInput as failure:
            place = f"{table.scanned.path.name} line {number}"
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
            namespace, drops_unknown=False, checks_required=False, place=scanned.path.name
        )
        count, size, before = 0, 0, 0
        batch: list[ReadLine] = []

        def more(count: int) -> None:
            nonlocal size
            size += count
            self._told.more(count)

        async for number, row in _breathing(scanned.path, more):
            entity = self._entity(table, number, row, faults)
            batch.append(reader.read_entity(number, entity, self._next_ms))
            self._next_ms += 1
            count += 1
            if len(batch) >= limits.BATCH_ROWS or size - before >= limits.BATCH_BYTES:
                insert_lines(filling, reader, batch, catalog)
                batch, before = [], size
        insert_lines(filling, reader, batch, catalog)
        if count != scanned.rows:
            raise _changed(table)
        reader.settle()
        self._inferred.update(reader.inferred)
        self.report.entities[table.etype] = count

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
                place = f"{table.scanned.path.name} line {number}"
                raise refused(place, f"`{link.label}` is {quote(each)}, which is no key.")
            by_id = link.key is None
            wanted = entity_id(link.target, key) if by_id else _key_bytes(key)
            target = self._keys[link.target, link.key].find(wanted)
            if target is None:
                problem = f"link by `{link.label}` to no `{link.target}.{link.key or 'id'}`"
                faults.add(table.scanned.path.name, problem, number, quote(key))
            else:
                found.append(uuid_text(target))
        return found

    def _note_app(self) -> None:
        for table in self._tables:
            if table.key_label is not None:
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


def _key_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _changed(table: Table) -> InvalidInput:
    return refused(table.scanned.path.name, "the file changed while it was read. Import it again.")
