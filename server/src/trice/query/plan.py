"""Query to Plan: the levels in reading order, their SQL, what each depends on. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.system import URL_ATTR, stored_as
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import Cut, Form, Hop, Op, Order, Page, Query, Test
from trice.query.cost import Composed, Spend, free
from trice.query.reads.forms import NARROWING_MAX, FormReads, all_tests, form_reads, size_of
from trice.query.sql.aggregate import select_aggregate
from trice.query.sql.branches import is_absence_enough
from trice.query.sql.forms import (
    Held,
    PageSelect,
    Statement,
    held,
    select,
    select_count,
    select_linked,
    select_pairs,
)
from trice.query.sql.where import Composer
from trice.query.totals import Columns
from trice.query.visibility import EVERYTHING, Visibility
from trice.store.dialect import Dialect

_ROW_BYTES: Final = 150
_CELL_BYTES: Final = 60
"""A row and a short cell in memory, as Python objects."""

CELLS_FROM: Final = 2
"""Where the cells of a row begin: after its id and its time of creation."""


@dataclass(frozen=True, slots=True)
class Projection:
    """Which attrs a level returns of each entity.

    columns  attrs of cardinality one, in the order of a row's cells
    key      equal for projections whose rows encode alike; hashable
    row_bytes   bytes that a row takes in memory, besides its wide cells
    wide     positions in a row of cells that may hold any value, of any length
    cell_attrs  the attr whose stored cell each column holds: another one for a computed column
    url_at   position in a row of a file's URL; the cell holds the location id that it is made from
    """

    etype: str
    id_attr: AttrId
    columns: tuple[Attr, ...]
    key: tuple[object, ...]
    row_bytes: int
    wide: tuple[int, ...]
    cell_attrs: tuple[AttrId, ...]
    url_at: int | None

    def position(self, attr: Attr) -> int:
        """Where the cell of a column attr is in a row."""
        return next(
            index for index, column in enumerate(self.columns, CELLS_FROM) if column.id == attr.id
        )


@dataclass(frozen=True, slots=True)
class PairsPlan:
    """Links that prove a condition, read for the entities of a level, without the linked entities.

    statement   takes the ids of the level's entities; returns `source, target, created_ms`
    """

    attr: Attr
    is_forward: bool
    statement: Statement


@dataclass(frozen=True, slots=True, eq=False)
class AggregatePlan:
    """What a form that aggregates counts.

    form       as parsed, for code that goes on counting without the statement
    statement  None when nothing can be found (unknown namespace)
    """

    form: Form
    columns: Columns
    statement: Statement | None


@dataclass(frozen=True, slots=True, eq=False)
class FormPlan:
    """One level: a form of the query, or linked entities that prove its conditions.

    label       key in a tree result
    via         link from the parent level; None at the top
    held        where that link is stored
    link_cell   position of the link's cell: in the parent's row or in the own row, by `held`
    projection  None: nothing can be found (unknown namespace or link), or only a count is wanted
    fields      what a tree result shows: label, position in a row, attr
    select      the level's statement; None when it pages, counts or finds nothing
    page        and `pages`, its statements: of a top level that orders or limits
    is_count    only the number of matching entities is wanted
    count       the statement of a level that counts; None when nothing can be found
    order       explicit order of the form
    aggregate   of a level that answers with totals instead of rows
    cut         of a level that has some of the linked entities only
    created     the label in a tree result of the time at which an entity was created
    is_witness  not part of the result's tree; proves conditions to clients, which test them again
    """

    label: str
    etype: str
    via: Hop | None
    held: Held | None
    link_cell: int | None
    projection: Projection | None
    fields: tuple[tuple[str, int, Attr], ...]
    select: Statement | None
    page: Page | None
    pages: PageSelect | None
    is_count: bool
    count: Statement | None
    order: Order | None
    is_witness: bool
    children: tuple[FormPlan, ...]
    pairs: tuple[PairsPlan, ...]
    reads: FormReads | None
    aggregate: AggregatePlan | None = None
    cut: Cut | None = None
    created: str | None = None

    @property
    def is_singular(self) -> bool:
        """Whether at most one entity is linked on this level for each parent."""
        return self.via is not None and _is_singular(self.via)

    @property
    def order_position(self) -> int | None:
        """Where the cell of the order attr is in a row; None for creation time."""
        attr = self.order.attr if self.order is not None else None
        return None if attr is None or self.projection is None else self.projection.position(attr)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A query, ready to run any number of times while its catalog is in force.

    forms    top levels, in query order
    catalog  the catalog it was planned against; names of tables in its SQL hold only for this one
    visibility  what the caller may see; its `depends` is complete once the plan has run
    dialect  the dialect of its statements
    reads    for each visible form, parents before children: what the answer depends on. Witnesses
             have none of their own: the `paths` of their form cover them.
    """

    query: Query
    catalog: Catalog
    forms: tuple[FormPlan, ...]
    visibility: Visibility
    dialect: Dialect

    @property
    def reads(self) -> tuple[FormReads, ...]:
        return tuple(form.reads for form in walk_forms(self.forms) if form.reads is not None)


def _is_singular(via: Hop) -> bool:
    return via.attr.cardinality == "one" if via.is_forward else via.attr.is_unique


def walk_forms(forms: Iterable[FormPlan]) -> Iterator[FormPlan]:
    """All levels, parents before children."""
    for form in forms:
        yield form
        yield from walk_forms(form.children)


def plan(
    query: Query,
    catalog: Catalog,
    visibility: Visibility = EVERYTHING,
    *,
    dialect: Dialect,
    spend: Spend = free,
) -> Plan:
    """Decide what each level of `query` reads and compose its SQL.

    query       from `parse`, against the same catalog
    visibility  what the caller may see; composed into every statement
    dialect     the dialect of the snapshots that the statements will run on
    spend       counts the cost, in steps (`query.cost`); an exception from it ends the planning
    raises      LimitExceeded when the conditions expand to too much SQL
    cost        O(size of the query), no I/O
    """
    planner = _Planner(catalog, visibility, dialect, Composed(spend))
    forms = tuple(planner.form(form, None) for form in query.forms)
    return Plan(query, catalog, forms, visibility, dialect)


class _Planner:
    """Plans the levels of one query. Holds the catalog, what is visible, the dialect, and what
    counts the work."""

    def __init__(
        self, catalog: Catalog, visibility: Visibility, dialect: Dialect, composed: Composed
    ) -> None:
        self._catalog = catalog
        self._visibility = visibility
        self._dialect = dialect
        self._composed = composed

    def _composer(self) -> Composer:
        return Composer(self._catalog, self._dialect, self._visibility, composed=self._composed)

    def _projection(
        self, namespace: Namespace, id_attr: Attr, columns: tuple[Attr, ...]
    ) -> Projection:
        # Masked rows get a key of their own. Callers who see different cells of an entity would
        # otherwise replace each other's JSON.
        is_masked = self._visibility.masks(namespace.etype)
        key = (id_attr.id, is_masked, *((attr.id, attr.shows_null) for attr in columns))
        return Projection(
            namespace.etype,
            id_attr.id,
            columns,
            key,
            row_bytes=_ROW_BYTES + len(columns) * _CELL_BYTES,
            wide=tuple(place for place, attr in enumerate(columns, CELLS_FROM) if _is_wide(attr)),
            cell_attrs=tuple(stored_as(attr.id) for attr in columns),
            url_at=next(
                (place for place, attr in enumerate(columns, CELLS_FROM) if attr.id == URL_ATTR),
                None,
            ),
        )

    def form(self, form: Form, parent: Projection | None) -> FormPlan:
        namespace = self._catalog.namespaces.get(form.etype)
        if not form.is_known or namespace is None or namespace.id_attr is None:
            return _nothing(form, parent)
        if form.aggregate is not None:
            return self._aggregate(form)
        tests = list(all_tests(form.where))
        self._composed.add(size_of(tests))
        projection = self._projection(
            namespace, namespace.id_attr, _columns(form, namespace, tests)
        )
        composer, columns = self._composer(), projection.columns
        cut = None if form.via is None or _is_singular(form.via) else form.cut
        statement = pages = count = None
        if form.is_count:
            count = select_count(composer, form.etype, form.where)
        elif form.via is not None:
            statement = select_linked(
                composer, form.via, columns, form.where, cut=cut, order=form.order
            )
        elif form.page is not None:
            pages = PageSelect(composer, form.etype, columns, form.where, form.order)
        else:
            statement = select(composer, form.etype, columns, form.where)
        return FormPlan(
            label=form.label,
            etype=form.etype,
            via=form.via,
            held=None if form.via is None else held(form.via),
            link_cell=_link_cell(form.via, parent, projection),
            projection=None if form.is_count else projection,
            fields=_fields(form, projection),
            select=statement,
            page=None if form.is_count else form.page,
            pages=pages,
            is_count=form.is_count,
            count=count,
            order=form.order,
            is_witness=False,
            children=(
                *(self.form(child, projection) for child in form.children),
                *(() if form.is_count else self._hops(tests, projection, form.children)),
            ),
            pairs=() if form.is_count else self._pairs(tests),
            reads=form_reads(
                form, columns, parent.etype if parent is not None else "", self._visibility
            ),
            cut=cut,
            created=form.created,
        )

    def _aggregate(self, form: Form) -> FormPlan:
        found = _nothing(form, None)
        assert found.aggregate is not None
        columns = found.aggregate.columns
        statement = select_aggregate(self._composer(), form.etype, form.where, columns)
        return replace(
            found,
            reads=form_reads(form, (), "", self._visibility),
            aggregate=replace(found.aggregate, statement=statement),
        )

    def _hops(
        self, tests: Sequence[Test], parent: Projection, visible: Sequence[Form]
    ) -> list[FormPlan]:
        """Levels of linked entities that prove `tests`, one for each link that they walk first.

        visible  forms of the query on the same level: one of them may show the entities anyway
        """
        by_hop: dict[Hop, list[Test]] = {}
        for test in tests:
            if test.path:
                by_hop.setdefault(test.path[0], []).append(test)
        found: list[FormPlan] = []
        for hop, walking in by_hop.items():
            rest = [replace(test, path=test.path[1:]) for test in walking]
            level = self._hop(hop, rest, parent)
            if level is not None and not (
                any(_shows_all(form, hop) for form in visible) and not level.children + level.pairs
            ):
                found.append(level)
        return found

    def _hop(self, hop: Hop, tests: Sequence[Test], parent: Projection) -> FormPlan | None:
        namespace = self._catalog.namespaces.get(hop.etype)
        if namespace is None or namespace.id_attr is None:
            return None
        self._composed.add(len(tests))
        wanted = set(_own_columns(tests))
        if held(hop) == "child":
            wanted.add(hop.attr.id)
        columns = tuple(attr for attr in namespace.columns if attr.id in wanted)
        projection = self._projection(namespace, namespace.id_attr, columns)
        # A negation is proved by all linked entities together. Other tests are proved by entities
        # that meet one, unless that condition would itself be a large query.
        is_all = any(map(is_absence_enough, tests)) or size_of(tests) > NARROWING_MAX
        needed = () if is_all else tests
        return FormPlan(
            label="",
            etype=hop.etype,
            via=hop,
            held=held(hop),
            link_cell=_link_cell(hop, parent, projection),
            projection=projection,
            fields=(),
            select=select_linked(self._composer(), hop, columns, (), needed=needed),
            page=None,
            pages=None,
            is_count=False,
            count=None,
            order=None,
            is_witness=True,
            children=tuple(self._hops(tests, projection, ())),
            pairs=self._pairs(tests),
            reads=None,
        )

    def _pairs(self, tests: Sequence[Test]) -> tuple[PairsPlan, ...]:
        """Links that are compared with ids at the end of a path and are no cell of the row."""
        wanted: dict[tuple[AttrId, bool], tuple[Attr, list[EntityId] | None]] = {}
        for test in tests:
            attr, key = test.attr, (test.attr.id, test.is_forward)
            if test.path or not attr.is_ref or (test.is_forward and not attr.is_pairs):
                continue
            ids = wanted.get(key, (attr, []))[1]
            if test.op is Op.IS_NULL and test.value is True:
                # It is proved by the absence of links.
                continue
            if ids is None or test.op not in (Op.EQ, Op.IN):
                wanted[key] = (attr, None)
            else:
                wanted[key] = (attr, [*ids, *(test.value if test.op is Op.IN else (test.value,))])
        return tuple(
            PairsPlan(
                attr,
                is_forward,
                select_pairs(self._composer(), attr, is_forward=is_forward, ids=ids or ()),
            )
            for (_, is_forward), (attr, ids) in wanted.items()
        )


def _is_wide(attr: Attr) -> bool:
    """Whether a cell may be large. Cells of indexed attrs hold limits.INDEXED_VALUE_BYTES_MAX at
    most."""
    return not (
        attr.is_ref or attr.is_indexed or attr.checked_type in ("number", "boolean", "date")
    )


def _nothing(form: Form, parent: Projection | None) -> FormPlan:
    """A level without rows. If its namespace or link does not exist, it waits for the name."""
    return FormPlan(
        label=form.label,
        etype=form.etype,
        via=form.via,
        held=None,
        link_cell=None,
        projection=None,
        fields=(),
        select=None,
        page=form.page,
        pages=None,
        is_count=form.is_count,
        count=None,
        order=None,
        is_witness=False,
        children=(),
        pairs=(),
        reads=form_reads(form, (), parent.etype if parent is not None else ""),
        aggregate=None
        if form.aggregate is None
        else AggregatePlan(form, Columns(form.aggregate), None),
    )


def _columns(form: Form, namespace: Namespace, tests: Sequence[Test]) -> tuple[Attr, ...]:
    """The attrs that a form returns of its entities, or that prove its conditions and order."""
    if form.fields is None:
        return namespace.columns
    wanted = {attr.id for attr in form.fields} | _own_columns(tests)
    if form.order is not None and form.order.attr is not None:
        wanted.add(form.order.attr.id)
    for hop in (*(child.via for child in form.children), form.via):
        if hop is not None:
            wanted.add(hop.attr.id)
    return tuple(attr for attr in namespace.columns if attr.id in wanted)


def _own_columns(tests: Iterable[Test]) -> set[AttrId]:
    """Attrs of the entity itself that tests read, has-one links that they walk included."""
    return {test.path[0].attr.id if test.path else test.attr.id for test in tests}


def _fields(form: Form, projection: Projection) -> tuple[tuple[str, int, Attr], ...]:
    shown = projection.columns if form.fields is None else form.fields
    return tuple((attr.label, projection.position(attr), attr) for attr in shown if not attr.is_ref)


def _link_cell(via: Hop | None, parent: Projection | None, own: Projection) -> int | None:
    if via is None or parent is None:
        return None
    match held(via):
        case "parent":
            return parent.position(via.attr)
        case "child":
            return own.position(via.attr)
        case "pairs":
            return None


def _shows_all(form: Form, hop: Hop) -> bool:
    """Whether a form returns every entity that `hop` leads to, with all attrs."""
    is_whole = not form.where and form.fields is None and form.cut is None
    return form.via == hop and is_whole and form.is_known
