"""Worlds, queries and changes that meet at boundaries: few values, equal ones, nulls. No I/O.

A read set that leaves out too much fails where a change lies exactly at the end of a range, beside
the last row of a page, or makes a value null.
"""

from __future__ import annotations

from typing import Any

from support.queries import Cursors, Query, add_paging, field_test
from support.world import NAMES, Attr, Step, World, make_world, random_transaction

KINDS = {"name": "string", "size": "number", "done": "boolean", "due": "date"}
PREFIXES = ("a", "a1", "é", "A ", "\\%x", "x_", "2%_", "stra")


def sharp_world(seed: int) -> World:
    """A random world whose fields are nearly all indexed and typed."""
    world = make_world(seed)
    draw = world.random
    for attr in world.attrs.values():
        kind = KINDS.get(attr["forward-identity"][2])
        if kind is not None and draw.random() < 0.9:
            attr["index?"], attr["required?"] = True, False
            attr["checked-data-type"] = kind
    return world


def sharp_query(world: World, cursors: Cursors) -> Query:
    """One form with few conditions, or a page."""
    draw = world.random
    etype = draw.choice(world.etypes)
    options: dict[str, Any] = {}
    is_page = draw.random() < 0.5
    if not is_page or draw.random() < 0.4:
        options["where"] = _where(world, etype)
    if is_page:
        labels = [attr["forward-identity"][2] for attr in _sortable(world, etype)]
        label = draw.choice(("serverCreatedAt", *labels, *labels))
        options["order"] = {label: draw.choice(("asc", "desc"))}
        if draw.random() < 0.25:
            add_paging(world, etype, options, cursors)
        else:
            options[draw.choice(("limit", "last"))] = draw.randint(1, 3)
    form: dict[str, Any] = {"$": options}
    links = world.links(etype)
    if links and draw.random() < 0.4:
        label, _, _, far = draw.choice(links)
        form[label] = {"$": {"where": _where(world, far)}} if draw.random() < 0.6 else {}
    return {etype: form}


def _sortable(world: World, etype: str) -> list[Attr]:
    return [
        attr
        for attr in world.fields(etype)
        if attr["index?"] and attr.get("checked-data-type") is not None
    ]


def _where(world: World, etype: str) -> dict[str, Any]:
    draw = world.random
    kind = draw.choice(("one", "one", "two", "or", "or", "path", "end"))
    links = world.links(etype)
    if kind in ("path", "end") and links:
        label, _, _, far = draw.choice(links)
        one = draw.choice(world.ids[far])
        if kind == "end":
            return {label: draw.choice((one, {"$in": world.ids[far][:2]}))}
        return {f"{label}.{path}": test for path, test in _condition(world, far).items()}
    if kind == "two":
        return {**_condition(world, etype), **_condition(world, etype)}
    if kind == "or":
        return {"or": [_condition(world, etype) for _ in range(draw.choice((2, 2, 3)))]}
    return _condition(world, etype)


def _condition(world: World, etype: str) -> dict[str, Any]:
    draw = world.random
    attrs, links = _sortable(world, etype), world.links(etype)
    if links and draw.random() < 0.1:
        label, _, _, far = draw.choice(links)
        return {label: draw.choice(world.ids[far])}
    if not attrs or draw.random() < 0.1:
        return {"id": draw.choice(world.ids[etype])}
    attr = draw.choice(attrs)
    value = world.value(attr)
    tests: list[Any] = [
        {draw.choice(("$gt", "$gte", "$lt", "$lte")): value},
        {draw.choice(("$gt", "$gte", "$lt", "$lte")): value},
        {draw.choice(("$gt", "$gte")): value, draw.choice(("$lt", "$lte")): world.value(attr)},
        value,
        {"$in": [value, draw.choice((None, world.value(attr)))]},
        {"$isNull": draw.random() < 0.7},
        field_test(world, attr),
    ]
    if attr["checked-data-type"] == "string":
        stem = draw.choice((*PREFIXES, *(name[:1] for name in NAMES if name)))
        tests += [{"$like": f"{stem}{draw.choice(('%', '_', '', '%1'))}"}] * 2
    return {attr["forward-identity"][2]: draw.choice(tests)}


def sharp_change(world: World) -> list[Step]:
    """Mostly one value of one entity; else any transaction."""
    draw = world.random
    if draw.random() < 0.35:
        return random_transaction(world)
    etype = draw.choice(world.etypes)
    entity = draw.choice(world.ids[etype])
    attrs = world.fields(etype)
    if not attrs:
        return random_transaction(world)
    attr = draw.choice(attrs)
    value = None if draw.random() < 0.2 else world.value(attr)
    return [["add-triple", entity, attr["id"], value]]
