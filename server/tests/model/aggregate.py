"""Totals by brute force over the model: what a correct aggregate is. No I/O."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from model.query import matching
from model.state import Attr, Model, is_ref
from model.values import COLLATOR, MISSING, instant_ms, is_number, is_same


def totals(model: Model, etype: str, options: dict[str, Any]) -> dict[str, Any]:
    """The answer of one top form that aggregates, dates as milliseconds, groups in no order."""
    asked = options["aggregate"]
    found = matching(model, etype, {"where": options.get("where")})
    if "groupBy" not in asked:
        return _of(model, etype, found, asked)
    groups: list[tuple[Any, list[str]]] = []
    for entity in found:
        key = _value(model, entity, model.forward(etype, asked["groupBy"]))
        members = next((members for known, members in groups if is_same(known, key)), None)
        if members is None:
            groups.append((key, [entity]))
        else:
            members.append(entity)
    return {"groups": [{"key": key, **_of(model, etype, found, asked)} for key, found in groups]}


def _value(model: Model, entity: str, attr: Attr | None) -> Any:
    """None for null, missing and hidden alike."""
    if attr is None:
        return None
    if is_ref(attr):
        return next(iter(model.linked(entity, attr, is_forward=True)), None)
    value = model.value(entity, attr)
    return None if value is MISSING else value


def _of(model: Model, etype: str, found: list[str], asked: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"count": len(found)} if asked.get("count") else {}
    for op in ("sum", "avg", "min", "max"):
        if op not in asked:
            continue
        labels = asked[op] if isinstance(asked[op], list) else [asked[op]]
        answer[op] = {}
        for label in labels:
            attr = model.forward(etype, label)
            values = [_value(model, entity, attr) for entity in found]
            answer[op][label] = _measure(op, attr, [one for one in values if one is not None])
    return answer


def _measure(op: str, attr: Attr | None, values: list[Any]) -> Any:
    kind = attr.get("checked-data-type") if attr is not None else None
    if op in ("min", "max"):
        pick = min if op == "min" else max
        if kind == "string":
            return pick(
                values, key=lambda one: (bytes(COLLATOR.getSortKey(one)), one), default=None
            )
        if kind == "date":
            return pick((instant_ms(one) for one in values), default=None)
        return pick(filter(is_number, values), default=None)
    exact = [Fraction(one) for one in values if is_number(one)]
    if op == "sum":
        return float(sum(exact))
    return float(sum(exact) / len(exact)) if exact else None
