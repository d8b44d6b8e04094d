"""Plan and snapshot to Tree: one statement per level. Reads only what the plan names."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from sys import getsizeof
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.dates import is_maybe_fine
from trice.catalog.values import (
    MISSING,
    Cell,
    decode_attr,
    is_coarse,
    order_cell,
    order_run,
)
from trice.errors import LimitExceeded
from trice.protocol.ids import EntityId
from trice.query.ast import Page
from trice.query.cost import READ_BYTES_A_STEP
from trice.query.cursor import Bound, encode_cursor, page_bounds
from trice.query.plan import CELLS_FROM, AggregatePlan, FormPlan, Plan
from trice.query.sql.forms import ROWS_MAX, PageSelect, Statement
from trice.query.totals import Totals
from trice.query.tree import Node, PageInfo, Pair, Tree
from trice.query.visibility import HIDDEN
from trice.store.engine import Binding, Counted, Row

_PAIR_BYTES: Final = 200
"""A row of a link in memory: a tuple, two ids and a time."""

_ROWS_FIRST: Final = 1_000
_WIDE_ROWS_FIRST: Final = 4
"""Rows to read before their size is known, where some of their cells may be large."""

_ROWS_FEW: Final = 64
_WRITTEN_BYTES_SMALL: Final = 16 * 1024
"""A few rows that marshal to at most this are counted as their written size."""

_GROUP_BYTES: Final = 1_000
"""A group of an aggregate, besides its key."""


def run(plan: Plan, snapshot: Counted) -> Tree:
    """Answer `plan` from `snapshot`.

    plan     made for the snapshot's catalog
    raises   LimitExceeded when the answer has more than limits.QUERY_ROWS_MAX entities;
             ReadTooLong from the snapshot
    cost     one statement per level, for any number of parents; a page takes two or three
    """
    reader = _Reader(snapshot)
    return Tree(plan, [reader.top(form) for form in plan.forms])


def read_totals(aggregate: AggregatePlan, snapshot: Counted) -> Totals:
    """The totals of an aggregate on `snapshot`, by one statement.

    raises   LimitExceeded when there are more than limits.AGGREGATE_GROUPS_MAX groups
    """
    statement = aggregate.statement
    if statement is None:
        return Totals.of_rows(aggregate.columns, [])
    return Totals.of_rows(aggregate.columns, _Reader(snapshot).groups(statement))


def run_level(form: FormPlan, parents: Sequence[Row] | None, snapshot: Counted) -> Node:
    """Run one level of a plan and the levels below it.

    parents   rows of the level above; None: a level at the top
    raises    as `run`
    """
    reader = _Reader(snapshot)
    if parents is None:
        return reader.top(form)
    node = reader.linked(form, parents)
    reader.below(node)
    return node


def run_rows(form: FormPlan, parents: Sequence[Row], snapshot: Counted) -> Node:
    """Run the statement of one level for some of its parents, without the levels below."""
    return _Reader(snapshot).linked(form, parents)


class _Take:
    """Counts the rows of one statement, and what they take in memory (`engine.Take`).

    row_bytes  bytes of a row, besides its cells at the positions `wide`
    """

    __slots__ = ("_count", "_row_bytes", "_wide", "rows_first")

    def __init__(
        self, count: Callable[[int, int], None], row_bytes: int, wide: Sequence[int]
    ) -> None:
        self._count = count
        self._row_bytes = row_bytes
        self._wide = wide
        self.rows_first = _WIDE_ROWS_FIRST if wide else _ROWS_FIRST

    def __call__(self, rows: Sequence[Row], /) -> int:
        size_bytes = len(rows) * self._row_bytes
        if self._wide:
            size_bytes += _find_small(rows) or sum(
                sum(map(getsizeof, map(itemgetter(cell), rows))) for cell in self._wide
            )
        self._count(len(rows), size_bytes)
        return size_bytes


def _find_small(rows: Sequence[Row]) -> int | None:
    """How many bytes a few short rows take when marshalled; None when they are many or long.

    To marshal ten rows takes 0.6 µs; to ask every cell for its size takes 4. In memory a text may
    be four times as long as its marshalled form, which matters only for long texts.
    """
    if len(rows) > _ROWS_FEW:
        return None
    written_bytes = len(marshal.dumps(rows))  # type: ignore[arg-type]  # rows come in lists
    return written_bytes if written_bytes <= _WRITTEN_BYTES_SMALL else None


class _Reader:
    """Runs the statements of one answer; counts its rows and their bytes while they are read."""

    def __init__(self, snapshot: Counted) -> None:
        self._snapshot = snapshot
        self._rows_left = limits.QUERY_ROWS_MAX
        self._bytes_left = limits.QUERY_READ_BYTES_MAX

    def top(self, form: FormPlan) -> Node:
        node = Node(form)
        if form.aggregate is not None:
            node.totals = read_totals(form.aggregate, self._snapshot)
        elif form.count is not None:
            self._snapshot.spend(form.count.steps)
            ((count,),) = self._snapshot.rows(form.count.sql, form.count.bindings)
            assert isinstance(count, int)
            node.count = count
        elif form.is_count:
            node.count = 0
        elif form.pages is not None and form.page is not None:
            self._read_page(node, form.pages, form.page)
        elif form.select is not None:
            node.rows = self._rows(form, form.select, form.select.bindings)
        elif form.page is not None:
            node.page = no_rows(form.page)
        self.below(node)
        return node

    def below(self, node: Node) -> None:
        """Add the levels below a node, and the links that prove its conditions."""
        ids = node.ids() if node.form.pairs or node.form.children else ()
        for pairs_plan in node.form.pairs:
            statement = pairs_plan.statement
            bindings = statement.with_ids(ids)
            found = self._read(statement, bindings, row_bytes=_PAIR_BYTES) if ids else []
            node.witnesses.append((pairs_plan.attr.id, _as_pairs(found)))
        for form in node.form.children:
            child = self.linked(form, node.rows, ids)
            node.children.append(child)
            self.below(child)

    def linked(
        self, form: FormPlan, parents: Sequence[Row], ids: tuple[EntityId, ...] | None = None
    ) -> Node:
        """The rows of a level below `parents`, without the levels below. The ids may be given."""
        node = Node(form)
        if ids is None:
            ids = tuple(row[0] for row in parents)  # type: ignore[misc]
        if ids and form.select is not None:
            self._read_linked(node, parents, ids)
        return node

    def _read_linked(self, node: Node, parents: Sequence[Row], ids: tuple[EntityId, ...]) -> None:
        form = node.form
        statement = form.select
        assert statement is not None
        bound: Sequence[EntityId] = ids
        if form.held == "parent":
            assert form.link_cell is not None
            cell = form.link_cell
            bound = tuple({parent[cell] for parent in parents} - {None})  # type: ignore[arg-type]
            if not bound:
                return
        rows = self._rows(form, statement, statement.with_ids(bound))
        if form.held == "pairs":
            _split_pairs(node, rows)
        else:
            node.rows = rows

    def groups(self, statement: Statement) -> list[Row]:
        """The rows of an aggregate. The first cell of each, its group's value, may be long."""
        return self._read(statement, statement.bindings, row_bytes=_GROUP_BYTES, wide=(0,))

    def _rows(self, form: FormPlan, statement: Statement, bindings: Sequence[Binding]) -> list[Row]:
        """Run a statement of a level."""
        projection = form.projection
        assert projection is not None
        return self._read(statement, bindings, row_bytes=projection.row_bytes, wide=projection.wide)

    def _read(
        self,
        statement: Statement,
        bindings: Sequence[Binding],
        *,
        row_bytes: int,
        wide: Sequence[int] = (),
    ) -> list[Row]:
        """Run a statement.

        row_bytes  bytes that a row takes in memory, besides its cells at the positions `wide`
        """
        if statement.steps:
            self._snapshot.spend(statement.steps)
        take = _Take(self._count, row_bytes, wide)
        return self._snapshot.rows(statement.sql, bindings, take)

    def _count(self, count: int, size_bytes: int) -> None:
        self._rows_left -= count
        self._bytes_left -= size_bytes
        if self._rows_left < 0:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"The answer has more than {limits.QUERY_ROWS_MAX} rows. Narrow it with `where` or "
                "read it in pages with `limit`.",
            )
        if self._bytes_left < 0:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"The rows of the answer take more than {limits.QUERY_READ_BYTES_MAX:,} bytes."
                " Narrow it with `where`, read it in pages with `limit`, or ask for less of each"
                " entity with `fields`.",
            )
        self._snapshot.spend(size_bytes // READ_BYTES_A_STEP)

    def _read_page(self, node: Node, pages: PageSelect, page: Page) -> None:
        form = node.form
        is_descending = form.order is not None and form.order.is_descending
        after, before = page_bounds(page, form.order)
        is_reversed = is_descending != page.is_last
        start, end = (before, after) if page.is_last else (after, before)
        wanted = ROWS_MAX if page.limit is None else page.limit + 1
        stretch = partial(
            self._stretch, form, pages, is_descending=is_reversed, start=start, end=end
        )
        if pages.rounded is None:
            rows = stretch(limit=wanted, offset=page.offset)
        else:
            rows = self._read_rounded(
                form,
                pages.rounded,
                stretch,
                is_descending=is_reversed,
                limit=wanted,
                offset=page.offset,
            )
        has_more = len(rows) == wanted and page.limit is not None
        if has_more:
            beyond = rows.pop()
            node.beyond = (order_of(form, beyond), beyond[0])  # type: ignore[assignment]
        if page.is_last:
            rows.reverse()
        node.rows = rows
        node.is_cut = has_more
        if not rows:
            node.page = no_rows(page)
            return
        has_next, has_previous = (False, has_more) if page.is_last else (has_more, False)
        if not has_next:
            has_next = (page.is_last and page.offset > 0) or (
                before is not None
                and self._is_any_beyond(pages, form, rows[-1], is_descending=is_descending)
            )
        if not has_previous:
            has_previous = page.offset > 0 or (
                after is not None
                and self._is_any_beyond(pages, form, rows[0], is_descending=not is_descending)
            )
        node.page = page_info(form, rows, has_next=has_next, has_previous=has_previous)

    def _stretch(
        self,
        form: FormPlan,
        pages: PageSelect,
        *,
        is_descending: bool,
        start: Bound | None,
        end: Bound | None,
        limit: int,
        offset: int = 0,
        is_sorting: bool = False,
        run: tuple[Cell, Cell] | None = None,
        last: Cell = None,
    ) -> list[Row]:
        """The rows of a stretch of the order's index (`PageSelect.stretch`)."""
        statements = pages.stretch(
            is_descending=is_descending,
            start=start,
            end=end,
            limit=limit,
            offset=offset,
            is_sorting=is_sorting,
            run=run,
            last=last,
        )
        if len(statements) == 1:
            return self._rows(form, statements[0], statements[0].bindings)
        rows: list[Row] = []
        for statement in statements:
            if len(rows) < offset + limit:
                rows += self._rows(form, statement, statement.bindings)
        return rows[offset : offset + limit]

    def _read_rounded(
        self,
        form: FormPlan,
        attr: Attr,
        stretch: Callable[..., list[Row]],
        *,
        is_descending: bool,
        limit: int,
        offset: int,
    ) -> list[Row]:
        """A stretch in which rows that order alike for clients (`order_cell`) are in order of id.

        stretch  reads from one end of the page in the direction of its order's index
        cost     one more statement for each end that lies within a run of such rows, unless the
                 index holds one value for the whole run; for dates one look-up tells. Where
                 `offset` ends within a run of several values, all up to the page's end is sorted.
        """
        # The row before the page's first tells whether the page begins within a run.
        ahead = 1 if offset else 0
        self._rows_left += ahead
        rows = stretch(limit=limit + ahead, offset=offset - ahead)
        is_cut = len(rows) == limit + ahead
        if ahead and len(rows) > 1 and self._split_run(form, attr, rows[:2], stretch) is not None:
            self._rows_left += len(rows)
            low, high = order_run(attr, order_of(form, rows[-1]))
            last = (low if is_descending else high) if is_cut else None
            return stretch(limit=limit, offset=offset, is_sorting=True, last=last)
        del rows[:ahead]
        tied: list[Row] = []
        run = self._split_run(form, attr, rows[-2:], stretch) if is_cut and limit > 1 else None
        if run is not None:
            end = order_of(form, rows[-1])
            whole = [row for row in rows if order_of(form, row) != end]
            self._rows_left += len(rows) - len(whole)
            tied = stretch(limit=limit - len(whole), is_sorting=True, run=run)
            rows = whole
        if _is_any_rounded(form, attr, rows):
            rows.sort(key=partial(order_key, form), reverse=is_descending)
        return rows + tied

    def _split_run(
        self, form: FormPlan, attr: Attr, pair: Sequence[Row], stretch: Callable[..., list[Row]]
    ) -> tuple[Cell, Cell] | None:
        """The run of two neighbours that order alike, if the index may not hold it by id."""
        one, other = pair
        cell = order_of(form, one)
        if cell is None or cell != order_of(form, other):
            return None
        low, high = order_run(attr, cell)
        if low == high:
            return None
        if not _is_any_rounded(form, attr, pair):
            # Both are dates at the very start of a millisecond, as most are.
            assert isinstance(cell, int)
            found = stretch(limit=1, run=(cell + 1, high))
            self._rows_left += len(found)
            if not found:
                return None
        return low, high

    def _is_any_beyond(
        self, pages: PageSelect, form: FormPlan, row: Row, *, is_descending: bool
    ) -> bool:
        """Whether a matching row follows `row` in this direction."""
        bound = Bound(order_of(form, row), row[0], False)  # type: ignore[arg-type]
        return bool(
            self._stretch(form, pages, is_descending=is_descending, start=bound, end=None, limit=1)
        )


def order_of(form: FormPlan, row: Row) -> Cell:
    """The cell that orders a row of a page; NULL if it is hidden."""
    position = form.order_position
    if position is None:
        return row[1]
    assert form.order is not None and form.order.attr is not None
    return order_cell(form.order.attr, _unless_hidden(row[position]))


def order_key(form: FormPlan, row: Row) -> tuple[bool, Any, Cell]:
    """The key that sorts rows of a level ascending; a hidden value counts as null."""
    cell = order_of(form, row)
    return (cell is not None, 0 if cell is None else cell, row[0])


def _is_any_rounded(form: FormPlan, attr: Attr, rows: Sequence[Row]) -> bool:
    """Whether the index may hold other values than the order cells by which the rows are sorted."""
    position = form.order_position
    assert position is not None
    if attr.checked_type == "date":
        cells = [cell for row in rows if isinstance(cell := row[position], (str, int, float))]
        return any(map(is_maybe_fine, cells))
    # If any number does, so does the least or the greatest; nulls stand before or behind them.
    for way in (rows, reversed(rows)):
        edge = next((cell for row in way if (cell := order_of(form, row)) is not None), None)
        if is_coarse(edge):
            return True
    return False


def _cursor(form: FormPlan, row: Row) -> list[object]:
    entity, created_ms = row[0], row[1]
    assert isinstance(entity, bytes) and isinstance(created_ms, int)
    assert form.projection is not None
    position = form.order_position
    if position is None:
        cursor = encode_cursor(
            EntityId(entity), attr_id=form.projection.id_attr, value=None, created_ms=created_ms
        )
        cursor[2] = cursor[0]
        return cursor
    attr = form.projection.columns[position - CELLS_FROM]
    value = decode_attr(attr, _unless_hidden(row[position]))
    return encode_cursor(
        EntityId(entity),
        attr_id=attr.id,
        value=None if value is MISSING else value,
        created_ms=created_ms,
    )


def _unless_hidden(cell: Cell) -> Cell:
    return None if cell == HIDDEN else cell


def page_info(
    form: FormPlan, rows: Sequence[Row], *, has_next: bool, has_previous: bool
) -> PageInfo:
    """The page info of a page with these rows, of which there is at least one."""
    return PageInfo(_cursor(form, rows[0]), _cursor(form, rows[-1]), has_next, has_previous)


def no_rows(page: Page) -> PageInfo:
    """The page info of an empty page (instant-realtime §5.7): it has a previous page if the query
    skipped rows, by `offset` or `after`."""
    return PageInfo(None, None, False, page.offset > 0 or page.after is not None)


def _split_pairs(node: Node, rows: list[Row]) -> None:
    """Split rows of `entity…, parent, created_ms` into entities, each once, and pairs."""
    assert node.form.via is not None
    is_forward = node.form.via.is_forward
    entities: dict[Cell, Row] = {}
    pairs: list[Pair] = []
    for row in rows:
        entity, parent, created_ms = row[0], row[-2], row[-1]
        if entity not in entities:
            entities[entity] = row[:-2]
        pair = (parent, entity, created_ms) if is_forward else (entity, parent, created_ms)
        pairs.append(pair)  # type: ignore[arg-type]
    node.rows = list(entities.values())
    node.pairs = pairs


def _as_pairs(rows: list[Row]) -> list[Pair]:
    """Rows of `source, target, created_ms` as pairs; a link that a stub holds has no time yet."""
    pairs = ((source, target, created_ms or 0) for source, target, created_ms in rows)
    return list(pairs)  # type: ignore[arg-type]
