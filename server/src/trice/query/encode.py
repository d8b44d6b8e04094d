"""Tree to bytes and objects: Instant's flat triples, the nested result of the admin API. No I/O.

A little over 500 lines, one file because all forms share what is encoded of an entity.

An entity is encoded once, and its JSON is joined into every answer that shows it. The JSON is kept
with the row it was made from, and used again only for an equal row. So an answer from an older
snapshot neither gets nor leaves wrong JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.dates import iso_text
from trice.catalog.values import FALSE, MISSING, NULL, TRUE, Cell, decode_attr, order_cell
from trice.errors import LimitExceeded
from trice.protocol.compact_json import dumps_compact
from trice.protocol.ids import AttrId, EntityId, uuid_text
from trice.query.cost import ENCODED_BYTES_A_STEP, Spend, free
from trice.query.plan import CELLS_FROM, FormPlan, Plan, Projection, walk_forms
from trice.query.tree import Node, Pair, Tree
from trice.query.visibility import HIDDEN
from trice.store.engine import Row

_JSON_OF_BYTES: Final[dict[bytes, object]] = {NULL: None, FALSE: False, TRUE: True}


UrlOf = Callable[[str], str]
"""The URL of a file of the app, by its location id."""


def with_url(row: Row, projection: Projection, url_of: UrlOf | None) -> Row:
    """The row with the URL of its file in place of the location id, if the level shows URLs."""
    at = projection.url_at
    if at is None:
        return row
    location = row[at]
    url = url_of(location) if url_of is not None and isinstance(location, str) else None
    return (*row[:at], url, *row[at + 1 :])


class EntityCache:
    """JSON of entities, by projection and id. Owned by one app's database, on one thread.

    Holds: `(row, triples as JSON without brackets)`, at most limits.ENTITY_CACHE_ROWS_MAX of them
    and limits.ENTITY_CACHE_BYTES_MAX of JSON; the oldest leave first. It may be out of date: every
    use compares the row.
    """

    def __init__(
        self,
        *,
        url_of: UrlOf | None = None,
        rows_max: int = limits.ENTITY_CACHE_ROWS_MAX,
        bytes_max: int = limits.ENTITY_CACHE_BYTES_MAX,
    ) -> None:
        """url_of   makes `$files.url`; None: it is not shown. After a change of what it returns,
        `clear`"""
        self.url_of = url_of
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._by_projection: dict[Hashable, dict[Cell, tuple[Row, bytes]]] = {}
        self._keys_by_etype: dict[str, set[Hashable]] = {}
        self._rows = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._rows

    def fragments(self, projection: Projection, rows: Iterable[Row]) -> list[bytes]:
        """The JSON of each row's triples, in the order of `rows`: `["e","a",1,9],…`."""
        known = self._by_projection.get(projection.key)
        if known is None:
            known = self._by_projection[projection.key] = {}
            self._keys_by_etype.setdefault(projection.etype, set()).add(projection.key)
        found: list[bytes] = []
        for row in rows:
            entry = known.get(row[0])
            if entry is not None and entry[0] == row:
                found.append(entry[1])
            else:
                encoded = encode_row(with_url(row, projection, self.url_of), projection)
                found.append(encoded)
                self._keep(known, row, encoded, entry)
        if self._rows > self._rows_max or self._bytes > self._bytes_max:
            self._shrink()
        return found

    def forget(self, etype: str, entity: EntityId) -> None:
        """Free what is kept of an entity. Never needed for correctness."""
        for key in self._keys_by_etype.get(etype, ()):
            entry = self._by_projection[key].pop(entity, None)
            if entry is not None:
                self._rows -= 1
                self._bytes -= len(entry[1])

    def clear(self) -> None:
        """Free all that is kept."""
        self._by_projection.clear()
        self._keys_by_etype.clear()
        self._rows = self._bytes = 0

    def _keep(
        self,
        known: dict[Cell, tuple[Row, bytes]],
        row: Row,
        encoded: bytes,
        replaced: tuple[Row, bytes] | None,
    ) -> None:
        if replaced is None:
            self._rows += 1
        else:
            self._bytes -= len(replaced[1])
        known[row[0]] = (row, encoded)
        self._bytes += len(encoded)

    def _shrink(self) -> None:
        """Drop the oldest half of each projection until there is room."""
        while self._rows > self._rows_max or self._bytes > self._bytes_max:
            for known in self._by_projection.values():
                for entity in list(known)[: (len(known) + 1) // 2]:
                    self._bytes -= len(known.pop(entity)[1])
                    self._rows -= 1
        empty = [key for key, known in self._by_projection.items() if not known]
        for key in empty:
            del self._by_projection[key]
            for keys in self._keys_by_etype.values():
                keys.discard(key)


@dataclass(frozen=True, slots=True)
class FlatParts:
    """A flat result in pieces. No triple is in two of them.

    rows       each has triples of one entity, `["e","a",1,9],…`: at most one of an attr
    links      each is one triple; an entity may have several of one attr
    data_json  the rest of `data`: `{"page-info":…,"aggregate":…}`, or `{}`
    """

    rows: Sequence[bytes]
    links: Sequence[bytes]
    data_json: bytes


def flat_parts(tree: Tree, cache: EntityCache, spend: Spend = free) -> FlatParts:
    """The parts of a flat result; an entity that was shown before has the same bytes object.

    spend    counts the bytes
    raises   LimitExceeded when the result would be larger than limits.RESULT_BYTES_MAX
    """
    size = AnswerSize(spend)
    rows, links = _row_parts(tree, cache, size), _link_parts(tree, size)
    return FlatParts(rows, links, dumps_compact(result_meta(tree)))


def join_parts(parts: FlatParts) -> bytes:
    """The `result` of a query message: one node, one row of distinct triples.

    returns  `[{"data":{"datalog-result":{"join-rows":[[[e,a,v,t],…]]},"page-info"?:…,
             "aggregate"?:…},"child-nodes":[]}]`
    """
    return b"".join(
        (
            b'[{"data":{"datalog-result":{"join-rows":[[',
            b",".join((*parts.rows, *parts.links)),
            b"]]}",
            b"" if parts.data_json == b"{}" else b"," + parts.data_json[1:-1],
            b'},"child-nodes":[]}]',
        )
    )


def result_meta(tree: Tree) -> dict[str, Any]:
    """`{"page-info": {etype: …}, "aggregate": {etype: {"count": n}}}`, only what was asked for.

    returns  what orjson encodes: totals are JSON already
    """
    pages = {node.form.label: node.page.wire() for node in tree.nodes if node.page is not None}
    counts: dict[str, Any] = {}
    for node in tree.nodes:
        if node.totals is not None:
            counts[node.form.label] = orjson.Fragment(node.totals.json())
        elif node.count is not None:
            counts[node.form.label] = {"count": node.count}
    meta: dict[str, Any] = {}
    if pages:
        meta["page-info"] = pages
    if counts:
        meta["aggregate"] = counts
    return meta


_ROWS_AT_ONCE: Final = 1_000
"""Rows encoded between two checks of the answer's size."""


def _row_parts(tree: Tree, cache: EntityCache, size: AnswerSize) -> list[bytes]:
    """The triples of all shown entities as JSON, each once."""
    nodes = [node for node in tree.walk() if node.rows]
    levels: dict[str, int] = {}
    for node in nodes:
        levels[node.form.etype] = levels.get(node.form.etype, 0) + 1
    parts: list[bytes] = []
    shown: dict[tuple[str, Cell], list[Projection]] = {}
    for node in nodes:
        projection = node.form.projection
        assert projection is not None
        if levels[projection.etype] == 1:
            _add_rows(parts, projection, node.rows, cache, size)
            continue
        fresh: list[Row] = []
        for row in node.rows:
            before = shown.setdefault((projection.etype, row[0]), [])
            if not before:
                fresh.append(row)
            elif not any(other.key == projection.key for other in before):
                shown_row = with_url(row, projection, cache.url_of)
                remaining = _remaining(shown_row, projection, before)
                size.add(sum(map(len, remaining)) + len(remaining))
                parts += remaining
            before.append(projection)
        _add_rows(parts, projection, fresh, cache, size)
    return parts


def _add_rows(
    parts: list[bytes],
    projection: Projection,
    rows: Sequence[Row],
    cache: EntityCache,
    size: AnswerSize,
) -> None:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = cache.fragments(projection, rows[start : start + _ROWS_AT_ONCE])
        size.add(sum(map(len, some)) + len(some))
        parts += some


def _remaining(row: Row, projection: Projection, before: list[Projection]) -> list[bytes]:
    """The triples of a row without those that other levels, with other attrs, have shown."""
    known = {attr.id for other in before for attr in other.columns}
    text = uuid_text(row[0])  # type: ignore[arg-type]
    return [
        dumps_compact((text, attr.id, value, row[1]))
        for attr, cell in zip(projection.columns, row[CELLS_FROM:], strict=True)
        if attr.id not in known and (value := _value(attr, cell)) is not MISSING
    ]


def encode_row(row: Row, projection: Projection) -> bytes:
    return orjson.dumps(row_triples(row, projection))[1:-1]


def row_triples(row: Row, projection: Projection) -> list[tuple[str, AttrId, object, Cell]]:
    """The triples of a row as orjson takes them: `(entity, attr, value, created_ms)`."""
    entity, created_ms, *cells = row
    text = uuid_text(entity)  # type: ignore[arg-type]
    triples: list[tuple[str, AttrId, object, Cell]] = [(text, projection.id_attr, text, created_ms)]
    for attr, cell in zip(projection.columns, cells, strict=True):
        value: object = cell
        if cell is None:
            if attr.is_ref or not attr.shows_null:
                continue
        elif type(cell) is bytes:
            if attr.is_ref:
                value = uuid_text(cell)
            elif cell == HIDDEN:
                continue
            elif len(cell) == 1 and cell in _JSON_OF_BYTES:
                value = _JSON_OF_BYTES[cell]
            else:
                value = orjson.Fragment(cell)
        triples.append((text, attr.id, value, created_ms))
    return triples


def _link_parts(tree: Tree, size: AnswerSize) -> list[bytes]:
    """Links that are no cell of a shown row, as triples, each once."""
    seen: set[tuple[AttrId, bytes, bytes]] = set()
    parts: list[bytes] = []
    for node in tree.walk():
        if node.pairs and node.form.via is not None:
            _add_pairs(parts, seen, node.form.via.attr.id, node.pairs, size)
        for attr_id, pairs in node.witnesses:
            if pairs:
                holders = _holders(tree, attr_id)
                shown = (pair for pair in pairs if pair[0] not in holders)
                _add_pairs(parts, seen, attr_id, shown, size)
    return parts


def _holders(tree: Tree, attr_id: AttrId) -> set[Cell]:
    """Entities that are shown with `attr_id` among their own triples."""
    return {
        row[0]
        for node in tree.walk()
        if node.form.projection is not None
        and any(attr.id == attr_id for attr in node.form.projection.columns)
        for row in node.rows
    }


def pair_json(attr_id: AttrId, pair: Pair) -> bytes:
    """A link as one triple."""
    source, target, created_ms = pair
    # Ids need no escaping, so this costs no more than encoding all of them as one list.
    return f'["{uuid_text(source)}","{attr_id}","{uuid_text(target)}",{created_ms}]'.encode()


def shows_each_once(plan: Plan) -> bool:
    """Whether no two levels can show the same entity or link. Then the answer is the parts of each
    level, one after the other."""
    etypes: set[str] = set()
    links: set[AttrId] = set()
    for form in walk_forms(plan.forms):
        if form.is_witness or form.pairs or form.etype in etypes:
            return False
        etypes.add(form.etype)
        if form.held == "pairs":
            assert form.via is not None
            if form.via.attr.id in links:
                return False
            links.add(form.via.attr.id)
    return True


def _add_pairs(
    parts: list[bytes],
    seen: set[tuple[AttrId, bytes, bytes]],
    attr_id: AttrId,
    pairs: Iterable[Pair],
    size: AnswerSize,
) -> None:
    before = len(parts)
    for source, target, created_ms in pairs:
        key = (attr_id, source, target)
        if key not in seen:
            seen.add(key)
            parts.append(pair_json(attr_id, (source, target, created_ms)))
    if len(parts) > before:
        size.add((len(parts) - before) * (len(parts[-1]) + 1))


def nested_result(tree: Tree, *, is_inferring: bool) -> dict[str, Any]:
    """`nested_json` as Python objects, for callers inside the server."""
    found: dict[str, Any] = orjson.loads(nested_json(tree, is_inferring=is_inferring))
    return found


def nested_json(
    tree: Tree, *, is_inferring: bool, spend: Spend = free, url_of: UrlOf | None = None
) -> bytes:
    """The answer as objects: `{"todos": [{"id": …, "title": …, "owner": [{…}]}]}`.

    is_inferring  a link that leads to at most one entity is that object, or null
    spend         counts the bytes, before they are made
    url_of        makes `$files.url`; None: it is not shown
    returns       rows on every level by the form's order, else by creation and id; for a form that
                  aggregates or counts, its totals: `{"todos": {"count": 2}}`
    raises        LimitExceeded when it would be larger than limits.RESULT_BYTES_MAX
    cost          O(rows + links), and the bytes of each level. An entity is encoded once, but its
                  text stands below every entity that leads to it. So the answer may be many times
                  as large as what was read
    """
    size = AnswerSize(spend)
    parts = [
        orjson.dumps(node.form.label) + b":" + _nested(node, is_inferring, size, url_of)
        for node in tree.nodes
    ]
    return b"{" + b",".join(parts) + b"}"


class AnswerSize:
    """Counts the bytes of an answer before they are joined.

    raises  LimitExceeded beyond limits.RESULT_BYTES_MAX
    """

    def __init__(self, spend: Spend = free) -> None:
        self._spend = spend
        self._bytes = 0

    def add(self, size_bytes: int) -> None:
        """Count bytes that will be in the answer."""
        self._bytes += size_bytes
        check_bytes(self._bytes)
        self._spend(size_bytes // ENCODED_BYTES_A_STEP)

    def begin_level(self) -> AnswerSize:
        """A fresh count for another level. Levels contain those below, so sizes do not add up."""
        return AnswerSize(self._spend)


def check_bytes(size_bytes: int) -> None:
    """Refuse an answer larger than limits.RESULT_BYTES_MAX."""
    if size_bytes > limits.RESULT_BYTES_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The answer has {size_bytes:,} bytes or more; at most {limits.RESULT_BYTES_MAX:,} are"
            " sent. Ask for a page with `limit`, for less of each entity with `fields`, or for"
            " fewer nested levels: an entity is repeated below each that it is linked from.",
            {"bytes": size_bytes, "bytes-max": limits.RESULT_BYTES_MAX},
        )


def _nested(node: Node, is_inferring: bool, size: AnswerSize, url_of: UrlOf | None) -> bytes:
    if node.totals is not None:
        return node.totals.json()
    if node.count is not None:
        return b'{"count":%d}' % node.count
    if node.form.projection is None:
        return b"[]"
    rows = node.rows if node.form.page is not None else _sorted(node.form, node.rows)
    built = _build(node, is_inferring, size, url_of)
    return b"[" + b",".join([built[row[0]] for row in rows]) + b"]"


def _build(
    node: Node, is_inferring: bool, size: AnswerSize, url_of: UrlOf | None
) -> dict[Cell, bytes]:
    """The JSON of each row, links filled in.

    Every row of a level is shown somewhere in the answer, so the bound of the answer bounds each
    level.
    """
    below = [
        (
            child.form,
            _build(child, is_inferring, size.begin_level(), url_of),
            child.by_parent(node.rows),
        )
        for child in node.children
        if not child.form.is_witness
    ]
    names = [b"," + orjson.dumps(form.label) + b":" for form, _, _ in below]
    own = _encoder(node.form, url_of)
    found: dict[Cell, bytes] = {}
    for row in node.rows:
        parts = [own(row)]
        for name, (form, objects, linked) in zip(names, below, strict=True):
            rows = _sorted(form, linked.get(row[0], []))  # type: ignore[call-overload]
            parts.append(name)
            if is_inferring and form.is_singular:
                parts.append(objects[rows[0][0]] if rows else b"null")
            else:
                parts.append(b"[")
                parts += _separated([objects[row[0]] for row in rows])
                parts.append(b"]")
        parts.append(b"}")
        size.add(sum(map(len, parts)) + 1)
        found[row[0]] = b"".join(parts)
    return found


def _separated(parts: list[bytes]) -> Iterator[bytes]:
    """The parts with commas between them."""
    is_first = True
    for part in parts:
        if not is_first:
            yield b","
        is_first = False
        yield part


def _encoder(form: FormPlan, url_of: UrlOf | None) -> Callable[[Row], bytes]:
    """Encodes a row's own fields, without the closing brace: `{"id":"…","title":…`."""

    projection = form.projection
    if projection is None:
        return lambda _: b""  # there are no rows

    def encode(row: Row) -> bytes:
        row = with_url(row, projection, url_of)
        found: dict[str, Any] = {"id": uuid_text(row[0])}  # type: ignore[arg-type]
        for label, position, attr in form.fields:
            value = _json_value(attr, row[position])
            if value is not MISSING:
                found[label] = value
        if form.created is not None:
            created_ms = row[1]
            assert isinstance(created_ms, int)
            found[form.created] = iso_text(created_ms)
        return orjson.dumps(found)[:-1]

    return encode


def _json_value(attr: Attr, cell: Cell) -> Any:
    """The value that orjson is given for a cell; stored JSON is passed unchanged."""
    if type(cell) is bytes and len(cell) > 1 and not attr.is_ref:
        return orjson.Fragment(cell)
    return _value(attr, cell)


def _value(attr: Attr, cell: Cell) -> Any:
    return MISSING if cell == HIDDEN else decode_attr(attr, cell)


def _sorted(form: FormPlan, rows: list[Row]) -> list[Row]:
    if len(rows) < 2:
        return rows
    position = form.order_position
    order = form.order
    is_descending = order is not None and order.is_descending
    if position is None or order is None or order.attr is None:
        return sorted(rows, key=lambda row: (row[1], row[0]), reverse=is_descending)
    attr = order.attr

    def key(row: Row) -> tuple[bool, Any, Cell]:
        cell = row[position]
        if cell is None or cell == HIDDEN:
            return (False, 0, row[0])
        return (True, order_cell(attr, cell), row[0])

    return sorted(rows, key=key, reverse=is_descending)
