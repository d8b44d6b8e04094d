"""Plans shared by queries that differ only in ids, as `owner = X` for any X. No I/O.

When a thousand clients come back, each with its own filter, they ask a thousand queries of one
shape. The shape is planned once, with holes for the ids; each query gets that plan, filled.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, Final

from trice import limits
from trice.catalog.catalog import Catalog
from trice.query.ast import AllOf, AnyOf, Form, IdPrefix, Op, Query, Test
from trice.query.hole import Hole, TextHole
from trice.query.plan import AggregatePlan, FormPlan, Plan, plan
from trice.query.reads.anchors import Anchor
from trice.query.reads.forms import FormReads
from trice.query.sql.forms import Statement

_HOLES: Final = tuple(Hole(16) for _ in range(4))
_HOLE_TYPES: Final = (Hole, TextHole)

Filling = Mapping[Any, Any]
"""Hole → the id or text that fills it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A query without its ids.

    query    the query with holes for the ids
    filling  the ids that fill them
    """

    query: Query
    filling: Filling


class Shapes:
    """Plans with holes, by shape and by what else they depend on.

    Holds the plans of one catalog, the LIVE_SHAPES_MAX that were used last. Like every plan that is
    kept between runs, they hold no judge, snapshot or clock.
    """

    def __init__(self) -> None:
        self._catalog: Catalog | None = None
        self._plans: OrderedDict[tuple[str, Form], Plan] = OrderedDict()

    def __len__(self) -> int:
        return len(self._plans)

    def find(self, query: Query, shape: Shape, catalog: Catalog, *, rights: str) -> Plan | None:
        """The plan of `query`, as `plan` would make it; None if its shape is not known.

        rights   the rights that determine what is visible
        """
        if catalog is not self._catalog:
            return None
        key = (rights, shape.query.forms[0])
        made = self._plans.get(key)
        if made is None:
            return None
        self._plans.move_to_end(key)
        forms = (filled(made.forms[0], shape.filling),)
        return Plan(query, catalog, forms, made.visibility, made.dialect)

    def keep(self, shape: Shape, made: Plan, *, rights: str) -> None:
        """Remember the plan of a shape; `made` is the plan of one query, which has run."""
        if made.catalog is not self._catalog:
            self._catalog = made.catalog
            self._plans.clear()
        holed = plan(shape.query, made.catalog, made.visibility, dialect=made.dialect)
        self._plans[rights, shape.query.forms[0]] = holed
        while len(self._plans) > limits.LIVE_SHAPES_MAX:
            self._plans.popitem(last=False)


def find_shape(query: Query) -> Shape | None:
    """The shape of a query that asks for entities by their ids or by ids of links; else None.

    Only ids compared by `=` on the top level become holes; everything else is part of the shape.
    """
    if len(query.forms) != 1 or query.rule_params:
        return None
    (form,) = query.forms
    if form.aggregate is not None or form.is_count or not form.is_known:
        return None
    filling: dict[Any, Any] = {}
    where = tuple(_holed(condition, filling) for condition in form.where)
    if not filling:
        return None
    holed = replace(form, where=where)
    return Shape(replace(query, forms=(holed,)), filling) if _is_plain(holed) else None


def _is_plain(form: Form) -> bool:
    """Whether the rest of a form has no value that Python takes for another: it takes 1, 1.0 and
    True for equal."""
    page = form.page
    return (
        (page is None or (page.after is None and page.before is None))
        and all(map(_is_plain_condition, form.where))
        and all(map(_is_plain, form.children))
    )


def _is_plain_condition(condition: Any) -> bool:
    match condition:
        case Test(op=Op.IS_NULL) | IdPrefix():
            return True
        case Test(value=value):
            return type(value) in (str, bytes, Hole)
        case AllOf(scopes) | AnyOf(scopes):
            return all(_is_plain_condition(inner) for scope in scopes for inner in scope)
        case _:
            return False


def _holed(condition: Any, filling: dict[Any, Any]) -> Any:
    if (
        isinstance(condition, Test)
        and not condition.path
        and condition.op is Op.EQ
        and type(condition.value) is bytes
        and len(filling) < len(_HOLES)
    ):
        hole = _HOLES[len(filling)]
        filling[hole] = condition.value
        return replace(condition, value=hole)
    return condition


class _Copies:
    """Copies of objects of one dataclass that differ in some fields. `replace` takes three times as
    long, and a query with a kept plan makes eight."""

    def __init__(self, made: type, *names: str) -> None:
        """names   of the fields that differ"""
        known = [field.name for field in fields(made)]
        self._made = made
        self._values = attrgetter(*known)
        self._places = [known.index(name) for name in names]

    def __call__(self, one: Any, *values: Any) -> Any:
        copied = list(self._values(one))
        for place, value in zip(self._places, values, strict=True):
            copied[place] = value
        return self._made(*copied)


_copy_plan: Final = _Copies(FormPlan, "select", "count", "pages", "pairs", "reads", "aggregate")
_copy_form: Final = _Copies(Form, "where")
_copy_test: Final = _Copies(Test, "value")
_copy_statement: Final = _Copies(Statement, "bindings")
_copy_reads: Final = _Copies(FormReads, "ends", "anchors")


def filled(form: FormPlan, filling: Filling) -> FormPlan:
    """The plan of a top level with values in its holes; the levels below have no holes."""
    made: FormPlan = _copy_plan(
        form,
        _statement(form.select, filling),
        _statement(form.count, filling),
        None if form.pages is None else form.pages.rebound(lambda b: _value(b, filling)),
        tuple(
            replace(pairs, statement=_statement(pairs.statement, filling)) for pairs in form.pairs
        )
        if form.pairs
        else (),
        None if form.reads is None else _reads(form.reads, filling),
        None if form.aggregate is None else _aggregate(form.aggregate, filling),
    )
    return made


def filled_form(form: Form, filling: Filling) -> Form:
    """A form with values in the holes of its own conditions."""
    made: Form = _copy_form(form, tuple(_condition(one, filling) for one in form.where))
    return made


def _condition(condition: Any, filling: Filling) -> Any:
    if isinstance(condition, Test) and type(condition.value) in _HOLE_TYPES:
        return _copy_test(condition, filling[condition.value])
    return condition


def _aggregate(made: AggregatePlan, filling: Filling) -> AggregatePlan:
    form = filled_form(made.form, filling)
    return AggregatePlan(form, made.columns, _statement(made.statement, filling))


def _statement(statement: Any, filling: Filling) -> Any:
    if statement is None:
        return None
    assert isinstance(statement, Statement)
    return _copy_statement(
        statement, tuple(_value(binding, filling) for binding in statement.bindings)
    )


def _reads(reads: FormReads, filling: Filling) -> FormReads:
    """What a top level reads, with values in its holes: only values and ends of links have any."""
    made: FormReads = _copy_reads(
        reads,
        reads.ends and frozenset(replace(end, end=_value(end.end, filling)) for end in reads.ends),
        tuple(
            Anchor.of(
                {(attr_id, _value(cell, filling)) for attr_id, cell in anchor.cells}, anchor.spans
            )
            for anchor in reads.anchors
        ),
    )
    return made


def _value(value: Any, filling: Filling) -> Any:
    if type(value) in _HOLE_TYPES:
        return filling[value]
    if type(value) is tuple:
        return tuple(_value(one, filling) for one in value)
    return value
