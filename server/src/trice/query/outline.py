"""Plans by what their queries look like as they are sent: a query of a known look is neither parsed
nor planned. No I/O.

`{"todos": {"$": {"where": {"id": X, "done": false}, "limit": 1}}}` has one outline for any X. What
a plan depends on besides its ids and texts is in the outline, byte for byte, or is the same for all
plans that are kept: the catalog, and that everything is visible.
"""

from __future__ import annotations

import marshal
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from trice import plan_limits
from trice.catalog.catalog import Catalog
from trice.protocol.ids import find_uuid_bytes
from trice.query.ast import Condition, Form, Never, Op, Query, Test
from trice.query.cost import at_most
from trice.query.hole import Hole, TextHole
from trice.query.parse.forms import OPTIONS, RULE_PARAMS
from trice.query.parse.source import is_scalar
from trice.query.plan import Plan, plan
from trice.query.shapes import Filling, filled, filled_form
from trice.query.visibility import EVERYTHING
from trice.store.engine import ReadTooLong

_MARSHAL_VERSION: Final = 2
"""The last one whose bytes do not depend on which objects are shared, or interned."""


class Look(Enum):
    """What a text of an outline is to the plan."""

    ID = "any id"
    TEXT = "any text"
    PART = "a part of the plan"


_HOLES: Final = tuple(
    {Look.ID: Hole(16), Look.TEXT: TextHole()} for _ in range(plan_limits.OUTLINE_HOLES_MAX)
)


@dataclass(frozen=True, slots=True)
class Outline:
    """A query without the texts that its top level compares values with.

    key    equal only for queries that are equal otherwise: 1 is not 1.0, nor true
    texts  in their order
    """

    key: bytes
    texts: tuple[str, ...]


def outline_of(source: Any, *, is_function: bool = False) -> Outline | None:
    """The outline of a query as it was sent; None for one of another form, or a long one.

    is_function   how it is parsed: a plan that cuts is no plan of a query that does not
    cost   O(size of the query)
    """
    if type(source) is not dict or len(source) != 1 or RULE_PARAMS in source:
        return None
    ((etype, form),) = source.items()
    if type(form) is not dict:
        return None
    options = form.get(OPTIONS)
    where = options.get("where") if type(options) is dict else None
    if type(options) is not dict or type(where) is not dict:
        return None
    texts: list[str] = []
    rest: dict[Any, Any] = {}
    for label, value in where.items():
        if _is_compared(label, value):
            texts.append(value)
            value = ...  # no JSON, so nothing that is sent equals it
        rest[label] = value
    holed = (etype, {**form, OPTIONS: {**options, "where": rest}}, is_function)
    try:
        key = marshal.dumps(holed, _MARSHAL_VERSION)
    except ValueError:
        return None  # too deep, or no JSON
    return Outline(key, tuple(texts)) if len(key) <= plan_limits.OUTLINE_BYTES_MAX else None


class OutlinedPlans:
    """Plans of admins, who see everything, by outline.

    Holds the plans of one catalog, the PLANS_KEPT_MAX that were used last, and which outlines were
    seen once: as many come only once, a plan with holes is made for the second query of one. Used
    by one thread.

    found   how many queries got a plan from here
    made    how many plans were made to be kept
    """

    def __init__(self) -> None:
        self.found = self.made = 0
        self._catalog: Catalog | None = None
        self._looks: OrderedDict[bytes, tuple[Look, ...]] = OrderedDict()
        self._plans: OrderedDict[tuple[bytes, tuple[str, ...]], Plan | None] = OrderedDict()

    def __len__(self) -> int:
        return sum(made is not None for made in self._plans.values())

    def find(self, outline: Outline, catalog: Catalog) -> Plan | None:
        """The plan of a query, as `parse` and `plan` would make it; None if it is not known."""
        if catalog is not self._catalog:
            return None
        looks = self._looks.get(outline.key)
        if looks is None:
            return None
        key = (outline.key, _parts(outline, looks))
        made = self._plans.get(key)
        filling = None if made is None else _filling(outline, looks)
        if made is None or filling is None:
            return None
        self._looks.move_to_end(outline.key)
        self._plans.move_to_end(key)
        self.found += 1
        query = Query((filled_form(made.query.forms[0], filling),), {}, made.query.size)
        return Plan(query, catalog, (filled(made.forms[0], filling),), EVERYTHING, made.dialect)

    def keep(self, outline: Outline, source: Any, made: Plan) -> None:
        """Remember a plan that has run.

        outline   of `source`, the query as an admin sent it
        cost      the second time that of planning, at most plan_limits.KEPT_PLAN_STEPS_MAX
        """
        assert made.visibility is EVERYTHING, "plans of all that there is"
        if made.catalog is not self._catalog:
            self._catalog = made.catalog
            self._looks.clear()
            self._plans.clear()
        (form,) = made.query.forms
        ((_, given),) = source.items()
        looks = _looks(given[OPTIONS]["where"], form.where)
        if looks is None:
            return
        parts = _parts(outline, looks)
        if sum(map(len, parts)) > plan_limits.OUTLINE_BYTES_MAX:
            return
        key, holed = (outline.key, parts), None
        if key in self._plans:
            query = Query((_holed(form, given[OPTIONS]["where"], looks),), {}, made.query.size)
            try:
                holed = plan(
                    query,
                    made.catalog,
                    dialect=made.dialect,
                    spend=at_most(plan_limits.KEPT_PLAN_STEPS_MAX),
                )
            except ReadTooLong:
                del self._plans[key]
                return
            self.made += 1
        self._looks[outline.key] = looks
        self._plans[key] = holed
        for kept in (self._looks, self._plans):
            while len(kept) > plan_limits.PLANS_KEPT_MAX:
                kept.popitem(last=False)


def _is_compared(label: Any, value: Any) -> bool:
    """Whether an entry of `where` compares with a text."""
    return type(value) is str and type(label) is str and label[:1] != "$"


def _places(where: Mapping[Any, Any]) -> tuple[list[int], int]:
    """Where the texts of `where` are among its conditions, and how many conditions it has, if all
    of its names exist: one for each text, number or list, else one for each operator."""
    found: list[int] = []
    count = 0
    for label, value in where.items():
        if _is_compared(label, value):
            found.append(count)
        count += len(value) if type(value) is dict else 1
    return found, count


def _looks(where: Mapping[Any, Any], scope: Sequence[Condition]) -> tuple[Look, ...] | None:
    """What the texts of `where` are to its plan; None if it is not to be kept.

    scope   what it was parsed to
    """
    places, count = _places(where)
    if count != len(scope) or any(isinstance(condition, Never) for condition in scope):
        return None
    found: list[Look] = []
    for place in places:
        look = _look(scope[place])
        if look is None:
            return None
        is_full = len(found) - found.count(Look.PART) == plan_limits.OUTLINE_HOLES_MAX
        found.append(Look.PART if is_full else look)
    return tuple(found)


def _look(condition: Condition) -> Look | None:
    assert isinstance(condition, Test), "a text is compared"
    if condition.path:
        return Look.PART
    if condition.op is not Op.EQ:
        return None  # no id, where others are
    if type(condition.value) is bytes:
        return Look.ID
    return Look.TEXT if condition.attr.checked_type in (None, "string") else Look.PART


def _parts(outline: Outline, looks: tuple[Look, ...]) -> tuple[str, ...]:
    """The texts that are part of the plan."""
    if Look.PART not in looks:
        return ()
    return tuple(text for text, look in zip(outline.texts, looks, strict=True) if look is Look.PART)


def _filling(outline: Outline, looks: tuple[Look, ...]) -> Filling | None:
    """What fills the holes; None if a text is not what it must be there."""
    found: dict[Any, Any] = {}
    for text, look in zip(outline.texts, looks, strict=True):
        if look is not Look.PART:
            value = find_uuid_bytes(text) if look is Look.ID else text if is_scalar(text) else None
            if value is None:
                return None
            found[_HOLES[len(found)][look]] = value
    return found


def _holed(form: Form, where: Mapping[Any, Any], looks: tuple[Look, ...]) -> Form:
    """A form with holes in place of its ids and texts."""
    conditions = list(form.where)
    count = 0
    for place, look in zip(_places(where)[0], looks, strict=True):
        if look is not Look.PART:
            condition = conditions[place]
            assert isinstance(condition, Test)
            conditions[place] = replace(condition, value=_HOLES[count][look])
            count += 1
    return replace(form, where=tuple(conditions))
