"""Plans shared by queries that differ only in ids, as `owner = X` for any X. No I/O.

When a thousand clients come back, each with its own filter, they ask a thousand queries of one
shape. The shape is planned once, with holes for the ids; each query gets that plan, filled.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from trice import limits
from trice.catalog.catalog import Catalog
from trice.query.ast import AllOf, AnyOf, Form, IdPrefix, Op, Query, Test
from trice.query.hole import Hole
from trice.query.plan import FormPlan, Plan, plan
from trice.query.reads.anchors import Anchor
from trice.query.reads.forms import FormReads
from trice.query.sql.forms import Statement

_HOLES: Final = tuple(Hole(16) for _ in range(4))

Filling = Mapping[Any, Any]
"""Hole → the id that fills it."""


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
        forms = (_filled(made.forms[0], shape.filling),)
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


def _filled(form: FormPlan, filling: Filling) -> FormPlan:
    """The plan of a top level with ids in its holes; the levels below have no holes."""
    return replace(
        form,
        select=_statement(form.select, filling),
        pages=None if form.pages is None else form.pages.rebound(lambda b: _value(b, filling)),
        pairs=tuple(
            replace(pairs, statement=_statement(pairs.statement, filling)) for pairs in form.pairs
        ),
        reads=None if form.reads is None else _reads(form.reads, filling),
    )


def _statement(statement: Any, filling: Filling) -> Any:
    if statement is None:
        return None
    assert isinstance(statement, Statement)
    bindings = tuple(_value(binding, filling) for binding in statement.bindings)
    return replace(statement, bindings=bindings)


def _reads(reads: FormReads, filling: Filling) -> FormReads:
    """What a top level reads, with ids in its holes: only values and ends of links have any."""
    return replace(
        reads,
        ends=reads.ends
        and frozenset(replace(end, end=_value(end.end, filling)) for end in reads.ends),
        anchors=tuple(
            Anchor.of(
                {(attr_id, _value(cell, filling)) for attr_id, cell in anchor.cells}, anchor.spans
            )
            for anchor in reads.anchors
        ),
    )


def _value(value: Any, filling: Filling) -> Any:
    if type(value) is Hole:
        return filling[value]
    if type(value) is tuple:
        return tuple(_value(one, filling) for one in value)
    return value
