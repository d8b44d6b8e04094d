"""Random InstaQL over a random world, and which of it official clients evaluate exactly. No I/O."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from support.world import DATES, NAMES, NUMBERS, Attr, World

Query = dict[str, Any]
Cursors = dict[tuple[str, str], list[list[Any]]]
"""Cursors seen in earlier answers, by (namespace, label ordered by)."""

PATTERNS = ("%", "a%", "%a%", "_", "__", "%\n%", "A%", "\\%x\\_", "", "%z", "É")


def random_query(world: World, cursors: Cursors) -> Query:
    """One or two top forms, nested up to three deep."""
    draw = world.random
    etypes = draw.sample(world.etypes, draw.choice((1, 1, 1, 2)))
    return {etype: _form(world, etype, cursors, depth=0) for etype in etypes}


def _form(world: World, etype: str, cursors: Cursors, *, depth: int) -> dict[str, Any]:
    draw = world.random
    options: dict[str, Any] = {}
    if draw.random() < (0.75 if depth == 0 else 0.4):
        options["where"] = _where(world, etype, nesting=0)
    if draw.random() < 0.25:
        labels = [attr["forward-identity"][2] for attr in world.fields(etype)]
        options["fields"] = draw.sample(labels, draw.randint(0, len(labels)))
    if draw.random() < 0.45:
        options["order"] = {draw.choice(_order_labels(world, etype)): draw.choice(("asc", "desc"))}
    if depth == 0 and draw.random() < 0.45:
        add_paging(world, etype, options, cursors)
    form: dict[str, Any] = {"$": options} if options else {}
    links = world.links(etype)
    if depth < 3 and links and draw.random() < 0.6:
        for label, _, _, far in draw.sample(links, min(len(links), draw.choice((1, 1, 2)))):
            form[label] = _form(world, far, cursors, depth=depth + 1)
    return form


def _order_labels(world: World, etype: str) -> list[str]:
    sortable = [
        attr["forward-identity"][2]
        for attr in world.fields(etype)
        if attr["index?"] and attr.get("checked-data-type")
    ]
    texts = [label for label in sortable if label == "name"]
    return ["serverCreatedAt", *sortable, *texts]


def add_paging(world: World, etype: str, options: dict[str, Any], cursors: Cursors) -> None:
    """Cut a form that may be ordered: by number, from either end, at cursors."""
    draw = world.random
    label = next(iter(options.get("order", {"serverCreatedAt": "asc"})))
    known = cursors.get((etype, label), [])
    if draw.random() < 0.85:
        options[draw.choice(("limit", "first", "first", "last"))] = draw.randint(1, 4)
    if "last" not in options and draw.random() < 0.25:
        options["offset"] = draw.randint(0, 3)
    for name in ("after", "before"):
        if known and draw.random() < 0.35:
            options[name] = _handed_back(draw, draw.choice(known))
            if draw.random() < 0.3:
                options[name + "Inclusive"] = True


def _handed_back(draw: random.Random, cursor: list[Any]) -> list[Any]:
    """A cursor as a client sends it; a JavaScript client has read its numbers as doubles."""
    entity, attr_id, value, *rest = cursor
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    read = int(float(value)) if is_number and value == int(value) else value
    return [entity, attr_id, read if draw.random() < 0.5 else value, *rest]


# --- nested limits ---------------------------------------------------------------------------


def with_cuts(world: World, query: Query) -> Query:
    """The query with limits in some of its nested forms, which cut where functions ask it. It gets
    a nested form where it has none."""
    made: Query = {}
    for etype, form in query.items():
        links = [label for label, *_ in world.links(etype)]
        if links and not form.keys() - {"$"}:
            form = {**form, world.random.choice(links): {}}
        made[etype] = _with_cuts(world.random, form, depth=0)
    return made


def _with_cuts(draw: random.Random, form: dict[str, Any], *, depth: int) -> dict[str, Any]:
    made = {
        label: _with_cuts(draw, child, depth=depth + 1)
        for label, child in form.items()
        if label != "$"
    }
    options = dict(form.get("$", {}))
    if depth and draw.random() < 0.7:
        options[draw.choice(("limit", "limit", "first", "last"))] = draw.choice((1, 1, 2, 3))
    return {"$": options, **made} if options else made


def cut_by_hand(query: Query, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with all nested rows, as nested objects, cut as the nested forms say."""
    return {
        etype: [_cut_row(query[etype], row) for row in rows] if isinstance(rows, list) else rows
        for etype, rows in answer.items()
    }


def _cut_row(form: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    made = dict(row)
    for label, child in form.items():
        below = row.get(label) if label != "$" else None
        if isinstance(below, dict):
            made[label] = _cut_row(child, below)
        elif isinstance(below, list):
            options = child.get("$", {})
            first = options.get("limit", options.get("first"))
            rows = below[-options["last"] :] if "last" in options else below[:first]
            made[label] = [_cut_row(child, one) for one in rows]
    return made


# --- where -------------------------------------------------------------------------------------


def _where(world: World, etype: str, *, nesting: int) -> dict[str, Any]:
    draw = world.random
    where: dict[str, Any] = {}
    for _ in range(draw.choice((1, 1, 2, 3))):
        path, condition = _condition(world, etype)
        where[path] = condition
    if nesting < 2 and draw.random() < 0.3:
        elements = [
            _where(world, etype, nesting=nesting + 1) for _ in range(draw.choice((1, 2, 2, 3)))
        ]
        where[draw.choice(("or", "or", "and"))] = elements
    return where


def _condition(world: World, etype: str) -> tuple[str, Any]:
    """A path of at most two links, ending in an attr, a link or an id."""
    draw = world.random
    path: list[str] = []
    here = etype
    while world.links(here) and len(path) < 2 and draw.random() < 0.4:
        label, _, _, here = draw.choice(world.links(here))
        path.append(label)
    links, fields = world.links(here), world.fields(here)
    kind = draw.choice(("field",) * 6 + ("link", "id", "unknown" if draw.random() < 0.1 else "id"))
    if kind == "link" and links:
        label, _, _, far = draw.choice(links)
        return ".".join([*path, label]), _id_test(world, far)
    if kind == "unknown":
        return ".".join([*path, "nowhere"]), "x"
    if kind == "id" or not fields:
        return ".".join([*path, "id"]), draw.choice(world.ids[here])
    attr = draw.choice(fields)
    return ".".join([*path, attr["forward-identity"][2]]), field_test(world, attr)


def _id_test(world: World, etype: str) -> Any:
    draw = world.random
    one = draw.choice(world.ids[etype])
    others = draw.sample(world.ids[etype], 2)
    return draw.choice((one, {"$in": others}, {"$not": one}, {"$isNull": draw.random() < 0.5}))


def field_test(world: World, attr: Attr) -> Any:
    draw = world.random
    value = _operand(world, attr)
    ops = ["$eq", "$eq", "$in", "$not", "$ne", "$isNull"]
    if attr["index?"] and attr.get("checked-data-type"):
        ops += ["$gt", "$gte", "$lt", "$lte", "range"]
        if attr["checked-data-type"] == "string":
            ops += ["$like", "$ilike"]
    match draw.choice(ops):
        case "$eq":
            return value
        case "$in":
            null = [None] if attr["index?"] and draw.random() < 0.3 else []
            return {draw.choice(("$in", "in")): [value, _operand(world, attr), *null]}
        case "$isNull":
            return {"$isNull": draw.random() < 0.5}
        case "$like" | "$ilike" as op:
            return {op: draw.choice(PATTERNS)}
        case "range":
            return {"$gte": value, "$lt": _operand(world, attr)}
        case op:
            return {op: value}


def _operand(world: World, attr: Attr) -> Any:
    draw = world.random
    match attr.get("checked-data-type"):
        case "string":
            return draw.choice(NAMES)
        case "number":
            return draw.choice(NUMBERS)
        case "boolean":
            return draw.random() < 0.5
        case "date":
            return draw.choice(DATES)
        case _:
            return draw.choice(("a1", 7, True, False, 0, 1, "2", f"u{draw.randint(1, 9)}"))


# --- what clients evaluate exactly ---------------------------------------------------------------


def is_exact_on_clients(world: World, query: Query, *, has_all_triples: bool = False) -> bool:
    """Whether an official client shows exactly the server's answer for this query.

    has_all_triples   it holds every triple of the app, not only the triples sent for this query

    It does not where it reads a condition differently (instant-semantics §2.5). Nor where it can
    take an entity that was sent for another part of the query for an answer: it has only part of
    such an entity, so absence proves nothing, and pages have other neighbours.
    """
    touched: list[str] = []
    fragile: list[str] = []
    for etype, form in query.items():
        if not _scan_form(world, etype, form, touched, fragile):
            return False
    return has_all_triples or all(touched.count(etype) == 1 for etype in fragile)


def _scan_form(
    world: World, etype: str, form: dict[str, Any], touched: list[str], fragile: list[str]
) -> bool:
    options = form.get("$", {})
    touched.append(etype)
    if any(name in options for name in ("limit", "first", "last", "offset", "after", "before")):
        fragile.append(etype)
    where = options.get("where", {})
    if _is_clashing(where) or not all(
        _scan_condition(world, etype, path, condition, touched, fragile)
        for path, condition in _conditions(where)
    ):
        return False
    far = {label: there for label, _, _, there in world.links(etype)}
    return all(
        _scan_form(world, far[label], child, touched, fragile)
        for label, child in form.items()
        if label != "$"
    )


def _conditions(where: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for path, condition in where.items():
        if path in ("or", "and"):
            for element in condition:
                yield from _conditions(element)
        else:
            yield path, condition


def _is_clashing(where: dict[str, Any]) -> bool:
    """`and` and `or` beside each other share the variables of their elements on clients."""
    lists = [path for path in where if path in ("or", "and")]
    return len(lists) > 1 or any(_is_clashing(one) for path in lists for one in where[path])


def _scan_condition(
    world: World, etype: str, path: str, condition: Any, touched: list[str], fragile: list[str]
) -> bool:
    *links, last = path.split(".")
    here = etype
    for label in links:
        here = next((far for name, _, _, far in world.links(here) if name == label), here)
        touched.append(here)
    ops = set(condition) if isinstance(condition, dict) else {"$eq"}
    if ops & {"$not", "$ne"} or condition == {"$isNull": True}:
        fragile.append(etype)
    is_reverse = any(name == last and not fwd for name, _, fwd, _ in world.links(here))
    if is_reverse and ops & {"$in", "in", "$not", "$ne"}:
        return False
    attr = next((a for a in world.fields(here) if a["forward-identity"][2] == last), {})
    if attr.get("checked-data-type") == "date" and ops & {"$eq", "$in", "in", "$not", "$ne"}:
        return False
    has_escape = any(op in ("$like", "$ilike") and "\\" in condition[op] for op in ops)
    return len(ops) == 1 and not has_escape
