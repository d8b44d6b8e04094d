"""Sync tables: one namespace whole, then what each transaction changes in it (instant-realtime
§11). No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from trice import sync_limits
from trice.catalog.catalog import Catalog
from trice.errors import LimitExceeded, invalid
from trice.protocol.ids import TxId
from trice.query.encode import AnswerSize, encode_row
from trice.query.parse.forms import parse
from trice.query.plan import Projection, plan
from trice.query.run import run
from trice.store.commit import Commit, EntityChange, Image
from trice.store.dialect import Dialect
from trice.store.engine import Row, Snapshot


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """A namespace as of transaction `tx`.

    rows   each has the triples of one entity, `["e","a",1,9],…`, in the order of the query
    """

    tx: TxId
    rows: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class TableChange:
    """What one transaction changed: `{"action":"removed","triple":[…]},…` as JSON."""

    tx: TxId
    changes: bytes


def check_table(source: Any, catalog: Catalog) -> str:
    """The namespace that a sync table asks for.

    source   `{etype: {"$": {"order": {label: "asc"}}}}`
    raises   InvalidInput when it asks for anything else (instant-semantics §2.11)
    """
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


def load_table(source: Any, snapshot: Snapshot) -> LoadedTable | None:
    """All entities of the namespace.

    returns   None when the snapshot holds transactions that are not published yet: their attrs may
              be unknown
    raises    LimitExceeded beyond limits.RESULT_BYTES_MAX
    """
    if snapshot.newest_tx() != snapshot.tx:
        return None
    query = parse(source, snapshot.catalog, is_admin=True, spend=snapshot.spend)
    made = plan(query, snapshot.catalog, dialect=snapshot.dialect, spend=snapshot.spend)
    (node,) = run(made, snapshot).nodes
    projection = node.form.projection
    if projection is None:
        return LoadedTable(snapshot.tx, ())
    size = AnswerSize(snapshot.spend)
    rows = []
    for row in node.rows:
        encoded = encode_row(row, projection)
        size.add(len(encoded))
        rows.append(encoded)
    return LoadedTable(snapshot.tx, rows)


class TableChanges:
    """Turns commits into changes of one namespace. Holds how its rows are shown under the last
    catalog it saw, so that attrs which come later are shown too."""

    def __init__(self, source: Any, etype: str, dialect: Dialect) -> None:
        self.etype = etype
        self._source = source
        self._dialect = dialect
        self._catalog: Catalog | None = None
        self._projection: Projection | None = None

    def of(self, commit: Commit) -> TableChange | None:
        """What `commit` changed; None if nothing."""
        parts = [part for change in commit.entities for part in self._of(change, commit.catalog)]
        return TableChange(commit.tx, b",".join(parts)) if parts else None

    def all_of(self, commits: Iterable[Commit]) -> list[TableChange]:
        """What each of `commits` changed.

        raises   LimitExceeded beyond sync_limits.SYNC_WAITING_BYTES_MAX
        """
        found, size = [], 0
        for commit in commits:
            change = self.of(commit)
            if change is not None:
                found.append(change)
                size += len(change.changes)
                if size > sync_limits.SYNC_WAITING_BYTES_MAX:
                    raise too_far_behind()
        return found

    def _of(self, change: EntityChange, catalog: Catalog) -> Iterable[bytes]:
        if change.etype != self.etype:
            return
        old, new = (
            self._triples(change, change.old, catalog),
            self._triples(change, change.new, catalog),
        )
        for triple in old:
            if triple not in new:
                yield b'{"action":"removed","triple":%b}' % triple
        for triple in new:
            if triple not in old:
                yield b'{"action":"added","triple":%b}' % triple

    def _triples(
        self, change: EntityChange, image: Image | None, catalog: Catalog
    ) -> dict[bytes, None]:
        """The triples of one entity as JSON; none of one without an id triple."""
        projection = self._shown(catalog)
        if image is None or image.created_ms is None or projection is None:
            return {}
        cells = [image.cells.get(attr.id) for attr in projection.columns]
        row: Row = (change.id, image.created_ms, *cells)
        triples = orjson.loads(b"[%b]" % encode_row(row, projection))
        return dict.fromkeys(map(orjson.dumps, triples))

    def _shown(self, catalog: Catalog) -> Projection | None:
        if catalog is not self._catalog:
            self._catalog = catalog
            etype_only: dict[str, Any] = {next(iter(self._source)): {}}
            query = parse(etype_only, catalog, is_admin=True)
            (form,) = plan(query, catalog, dialect=self._dialect).forms
            self._projection = form.projection
        return self._projection


def too_far_behind() -> LimitExceeded:
    """The error that makes clients load a sync table afresh."""
    return LimitExceeded(
        "parameter-limit-exceeded",
        "The sync table is too far behind to be continued; start it again.",
    )
