"""Sync tables: a namespace in pages, then what each transaction changes in it (instant-realtime
§11). No I/O.

TableView    how the rows of a table are shown; a table ends when its attrs change
read_page    some of its rows from one snapshot; `sync_load` puts the pages of a load together
TableFeed    what commits changed, encoded once for all tables of a namespace
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from trice import sync_limits
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.system import stored_as
from trice.catalog.values import order_cell
from trice.errors import LimitExceeded, invalid
from trice.live.patch.matching import sort_of
from trice.protocol.ids import EntityId, TxId, uuid_text
from trice.query.encode import UrlOf, encode_row, row_triples, with_url
from trice.query.parse.forms import parse
from trice.query.plan import CELLS_FROM, FormPlan, Projection, plan
from trice.query.run import order_of, page_info, run
from trice.store.commit import Commit, EntityChange, Image
from trice.store.dialect import Dialect
from trice.store.engine import Row, Snapshot

Key = tuple[Any, ...]
"""Where a row stands in the order of its table."""


@dataclass(frozen=True, slots=True)
class PageRow:
    """One entity; `json` has its triples: `["e","a",1,9],…`."""

    id: EntityId
    key: Key
    json: bytes


@dataclass(frozen=True, slots=True)
class TablePage:
    """Some entities as of transaction `tx`.

    cursor    the place of the last one, as InstaQL names it
    has_more  whether others follow
    """

    tx: TxId
    rows: Sequence[PageRow]
    cursor: list[Any] | None
    has_more: bool


@dataclass(slots=True)
class TableChange:
    """What one transaction changed: `{"action":"removed","triple":[…]},…` as JSON.

    changes   None until it is encoded (`TableFeed.encode_some`)
    """

    tx: TxId
    changes: bytes | None


class TableView:
    """The query of a sync table, and how its rows are shown under the catalog of its start.

    raises   InvalidInput when the query asks for anything else (instant-semantics §2.11)
    """

    def __init__(
        self, source: Any, catalog: Catalog, *, dialect: Dialect, url_of: UrlOf | None
    ) -> None:
        self.etype = _check_source(source, catalog)
        self.source = source
        options = source[self.etype].get("$", {})
        self._order = {"order": options["order"]} if "order" in options else {}
        self._dialect = dialect
        self._url_of = url_of
        self._namespace = catalog.namespaces[self.etype]
        self._form, self.projection = self._plan(catalog)
        order = self._form.order
        self.is_descending = order is not None and order.is_descending
        self._order_attr = order.attr if order is not None else None

    @property
    def digest(self) -> str:
        """Names the attrs shown: rows under another digest have other attrs."""
        return hashlib.sha256(repr(_attrs_of(self._namespace)).encode()).hexdigest()[:32]

    def is_shown_alike(self, catalog: Catalog) -> bool:
        """Whether the attrs of the table are still those that its client was told."""
        namespace = catalog.namespaces.get(self.etype)
        if namespace is not self._namespace:
            if namespace is None or _attrs_of(namespace) != _attrs_of(self._namespace):
                return False
            self._namespace = namespace
        return True

    def key_of(self, row: Row) -> Key:
        """The place of a row, ascending."""
        return (*sort_of(order_of(self._form, row)), row[0])

    def key_of_image(self, entity: EntityId, image: Image | None) -> Key | None:
        """The place of an entity; None if the table does not show it."""
        if image is None or image.created_ms is None:
            return None
        attr = self._order_attr
        if attr is None:
            return (*sort_of(image.created_ms), entity)
        return (*sort_of(order_cell(attr, image.cells.get(stored_as(attr.id)))), entity)

    def row(self, entity: EntityId, image: Image | None) -> Row | None:
        """An entity as the table shows it; None if it does not."""
        if image is None or image.created_ms is None:
            return None
        cells = map(image.cells.get, self.projection.cell_attrs)
        return (entity, image.created_ms, *cells)

    def find_rows(self, snapshot: Snapshot, options: Any) -> tuple[FormPlan, list[Row], bool]:
        """Run the table's query with more options; the last says whether rows follow."""
        source = {self.etype: {"$": options}}
        query = parse(source, snapshot.catalog, is_admin=True, spend=snapshot.spend)
        made = plan(query, snapshot.catalog, dialect=snapshot.dialect, spend=snapshot.spend)
        (node,) = run(made, snapshot).nodes
        return node.form, node.rows, node.page is not None and node.page.has_next

    def read_page(self, snapshot: Snapshot, *, after: list[Any] | None, count: int) -> TablePage:
        """The next `count` entities, or fewer, for their size.

        raises    LimitExceeded when the attrs of the table changed
        """
        options = {**self._order, "first": count}
        if after is not None:
            options["after"] = after
        self._check_catalog(snapshot)
        form, rows, has_more = self.find_rows(snapshot, options)
        found = self._encoded(rows, snapshot)
        if not found:
            return TablePage(snapshot.tx, (), None, False)
        shown = rows[: len(found)]
        info = page_info(form, shown, has_next=True, has_previous=False)
        return TablePage(snapshot.tx, found, info.end, has_more or len(shown) < len(rows))

    def read_entities(self, snapshot: Snapshot, ids: Sequence[EntityId]) -> TablePage:
        """Those of these entities that are there; fewer, for their size, if `has_more`."""
        self._check_catalog(snapshot)
        options = {"where": {"id": {"$in": [uuid_text(entity) for entity in ids]}}}
        _, rows, _ = self.find_rows(snapshot, options)
        found = self._encoded(rows, snapshot)
        return TablePage(snapshot.tx, found, None, len(found) < len(rows))

    def _encoded(self, rows: Sequence[Row], snapshot: Snapshot) -> list[PageRow]:
        found: list[PageRow] = []
        size = 0
        for row in rows:
            shown = with_url(row, self.projection, self._url_of)
            encoded = encode_row(shown, self.projection)
            found.append(PageRow(row[0], self.key_of(row), encoded))  # type: ignore[arg-type]
            size += len(encoded)
            if size > sync_limits.SYNC_PAGE_BYTES:
                break
        snapshot.spend(len(found))
        return found

    def encode_changes(self, changes: Iterable[EntityChange]) -> bytes:
        """Changes of this namespace as JSON; empty if nothing of them is shown."""
        made: list[dict[str, Any]] = []
        for change in changes:
            self._add(change, made)
        return orjson.dumps(made)[1:-1]

    def _add(self, change: EntityChange, made: list[dict[str, Any]]) -> None:
        old, new = self.row(change.id, change.old), self.row(change.id, change.new)
        changed = None
        if old is not None and new is not None and old[1] == new[1]:
            changed = {
                attr.id
                for attr, before, after in zip(
                    self.projection.columns, old[CELLS_FROM:], new[CELLS_FROM:], strict=True
                )
                if type(before) is not type(after) or before != after
            }
        for action, row in (("removed", old), ("added", new)):
            if row is None:
                continue
            shown = with_url(row, self.projection, self._url_of)
            made += [
                {"action": action, "triple": triple}
                for triple in row_triples(shown, self.projection)
                if changed is None or triple[1] in changed
            ]

    def _check_catalog(self, snapshot: Snapshot) -> None:
        if not self.is_shown_alike(snapshot.catalog):
            raise attrs_changed()

    def _plan(self, catalog: Catalog) -> tuple[FormPlan, Projection]:
        query = parse({self.etype: {"$": {**self._order}}}, catalog, is_admin=True)
        (form,) = plan(query, catalog, dialect=self._dialect).forms
        assert form.projection is not None, "the namespace is known"
        return form, form.projection


def _attrs_of(namespace: Namespace) -> list[tuple[object, ...]]:
    """What a client must know of the attrs, and what decides the order of rows."""
    return sorted(
        (attr.id, attr.label, attr.is_indexed, attr.checked_type or "", attr.value_type)
        for attr in namespace.attrs()
        if not attr.is_pairs
    )


def _check_source(source: Any, catalog: Catalog) -> str:
    """The namespace that a sync table asks for: `{etype: {"$": {"order": {label: "asc"}}}}`."""
    if not isinstance(source, dict) or len(source) != 1:
        raise _refused(source, [], "A sync table needs exactly one namespace.")
    ((etype, form),) = source.items()
    if not isinstance(form, dict):
        raise _refused(source, [etype], "A form must be an object.")
    for key in form:
        if key != "$":
            raise _refused(source, [etype, key], "A sync table has no linked entities.")
    options = form.get("$", {})
    if not isinstance(options, dict):
        raise _refused(source, [etype, "$"], "Options must be an object.")
    for key in options:
        if key != "order":
            raise _refused(source, [etype, "$", key], "A sync table accepts `order` only.")
    (parsed,) = parse(source, catalog, is_admin=True).forms
    if not parsed.is_known:
        raise _refused(source, [etype], f"The namespace `{etype}` does not exist.")
    return parsed.etype


def _refused(source: Any, where: list[Any], reason: str) -> Exception:
    return invalid("query", source, [{"in": where, "message": reason}])


class TableFeed:
    """What the newest commits changed, by namespace; made when the first table asks.

    All tables of a namespace show the same attrs (`TableView.is_shown_alike`), so they share it.
    What changes many entities is encoded a piece at a time, by `encode_some`.

    tables   how many tables follow the app; counted by those who hold them

    Bounds: sync_limits.SYNC_UNENCODED_MAX entities whose changes are not encoded yet.
    """

    def __init__(self, *, when_unfinished: Callable[[], object]) -> None:
        """when_unfinished   called when there is something to encode; then `encode_some` is due
        until there is nothing"""
        self._when_unfinished = when_unfinished
        self.tables = 0
        self._by_etype: dict[TxId, dict[str, list[EntityChange]]] = {}
        self._made: dict[tuple[TxId, str], TableChange | None] = {}
        self._unfinished: deque[_Encoding] = deque()
        self._entities = 0

    def close(self) -> None:
        """Encode nothing more, and let go of who is called: it has this in turn."""
        self._unfinished.clear()
        self._when_unfinished = _nothing

    @property
    def is_unfinished(self) -> bool:
        """Whether there is something to encode."""
        return bool(self._unfinished)

    def begin(self) -> None:
        """Other commits follow: forget those before."""
        self._by_etype, self._made = {}, {}

    def changes(self, commit: Commit, etype: str) -> Sequence[EntityChange]:
        """The changes of one namespace."""
        by_etype = self._by_etype.get(commit.tx)
        if by_etype is None:
            by_etype = self._by_etype[commit.tx] = {}
            for change in commit.entities:
                by_etype.setdefault(change.etype, []).append(change)
        return by_etype.get(etype, ())

    def of(self, commit: Commit, view: TableView) -> TableChange | None:
        """What `commit` changed in the tables of a namespace; None if nothing.

        raises   LimitExceeded when too much is to be encoded before
        """
        key = (commit.tx, view.etype)
        if key not in self._made:
            self._made[key] = self.make(view, commit.tx, self.changes(commit, view.etype))
        return self._made[key]

    def make(
        self, view: TableView, tx: TxId, changes: Sequence[EntityChange]
    ) -> TableChange | None:
        """Changes of one transaction; None if nothing of them is shown. See `of`."""
        if len(changes) <= sync_limits.SYNC_ENTITIES_AT_ONCE:
            encoded = view.encode_changes(changes)
            return TableChange(tx, encoded) if encoded else None
        if self._entities + len(changes) > sync_limits.SYNC_UNENCODED_MAX:
            raise too_far_behind()
        self._entities += len(changes)
        made = TableChange(tx, None)
        if not self._unfinished:
            self._when_unfinished()
        self._unfinished.append(_Encoding(made, view, changes))
        return made

    def encode_some(self) -> bool:
        """Encode a few entities; return whether that finished a change."""
        if not self._unfinished:
            return False
        encoding = self._unfinished[0]
        count = sync_limits.SYNC_ENTITIES_AT_ONCE
        some = encoding.changes[encoding.done : encoding.done + count]
        encoding.done += len(some)
        self._entities -= len(some)
        if part := encoding.view.encode_changes(some):
            encoding.parts.append(part)
        if encoding.done < len(encoding.changes):
            return False
        encoding.made.changes = b",".join(encoding.parts)
        self._unfinished.popleft()
        return True


@dataclass(slots=True)
class _Encoding:
    """A change that is being encoded: of `changes`, `done` are in `parts`."""

    made: TableChange
    view: TableView
    changes: Sequence[EntityChange]
    parts: list[bytes] = field(default_factory=list)
    done: int = 0


def replayed(view: TableView, commits: Iterable[Commit]) -> list[TableChange]:
    """What commits of the log changed.

    raises   LimitExceeded beyond sync_limits.SYNC_WAITING_BYTES_MAX, or when the attrs changed
    """
    found, size = [], 0
    for commit in commits:
        own = [change for change in commit.entities if change.etype == view.etype]
        encoded = view.encode_changes(own) if own else b""
        if encoded:
            found.append(TableChange(commit.tx, encoded))
            size += len(encoded)
            if size > sync_limits.SYNC_WAITING_BYTES_MAX:
                raise too_far_behind()
    return found


def too_far_behind() -> LimitExceeded:
    """The error that makes clients load a sync table afresh."""
    return LimitExceeded(
        "parameter-limit-exceeded",
        "The sync table is too far behind to be continued; start it again.",
    )


def attrs_changed() -> LimitExceeded:
    """As `too_far_behind`: what the client holds has not the attrs of the namespace."""
    return LimitExceeded(
        "parameter-limit-exceeded",
        "The attrs of the namespace changed since the sync table began; start it again.",
    )


def _nothing() -> None:
    """Called in place of what a closed feed called."""
