"""InstaQL by brute force over the model's triples: what a correct answer is. No I/O.

Follows instant-semantics §2.4-2.8. `where` is a search for an assignment of entities to variables
named by (namespace, depth); lists (`and`, `or`) open a scope of their own per element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from model.state import Attr, Model, NoSuchName, is_ref
from model.values import MISSING, comparable, is_equal, is_like, order_key

Variables = dict[tuple[str, int], str]
Check = Callable[[str, str, str], bool]
"""(entity, namespace, label) -> whether the value there passes."""

PAGING = ("limit", "first", "last", "offset", "before", "after")


@dataclass
class Answer:
    """A tree in which every link is a list, and page info by top label."""

    tree: dict[str, Any] = field(default_factory=dict)
    pages: dict[str, dict[str, Any]] = field(default_factory=dict)


def run(model: Model, query: dict[str, Any]) -> Answer:
    """Answer a valid query."""
    answer = Answer()
    for label, form in query.items():
        if label == "$$ruleParams":
            continue
        options = _options(form)
        found = matching(model, label, options)
        if options.get("aggregate"):
            answer.tree[label] = {"count": len(found)}
            continue
        if "order" in options or any(name in options for name in PAGING):
            found, answer.pages[label] = _page(model, label, options, found)
        answer.tree[label] = [_object(model, entity, label, form) for entity in found]
    return answer


def matching(model: Model, etype: str, options: dict[str, Any]) -> list[str]:
    """Existing entities of `etype` that satisfy the form's `where`, in its order."""
    try:
        model.id_attr(etype)
        found = [e for e in model.entities(etype) if _holds(model, options.get("where"), e, etype)]
    except NoSuchName:
        return []
    return _sorted(model, etype, options, found)


def _options(form: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in form.get("$", {}).items() if v is not None and v is not False}


# --- shape -------------------------------------------------------------------------------------


def _object(model: Model, entity: str, etype: str, form: dict[str, Any]) -> dict[str, Any]:
    wanted = _options(form).get("fields")
    shown: dict[str, Any] = {}
    for attr in model.owned(etype):
        label = attr["forward-identity"][2]
        if is_ref(attr) or not (wanted is None or label in wanted or label == "id"):
            continue
        value = model.value(entity, attr)
        if value is not MISSING:
            shown[label] = value
    for label, child in form.items():
        if label != "$":
            shown[label] = _children(model, entity, etype, label, child)
    return shown


def _children(
    model: Model, entity: str, etype: str, label: str, form: dict[str, Any]
) -> list[dict[str, Any]]:
    try:
        attr, is_forward, child_etype = model.link(etype, label)
    except NoSuchName:
        return []
    linked = model.linked(entity, attr, is_forward=is_forward)
    found = matching(model, child_etype, _options(form))
    return [_object(model, child, child_etype, form) for child in found if child in linked]


# --- order and pages ---------------------------------------------------------------------------


def _order(model: Model, etype: str, options: dict[str, Any]) -> tuple[Attr | None, bool]:
    """The attr sorted by (None: time of creation) and whether it descends."""
    for label, direction in (options.get("order") or {}).items():
        attr = None if label == "serverCreatedAt" else model.forward(etype, label)
        return attr, direction == "desc"
    return None, False


def _key(model: Model, etype: str, attr: Attr | None, entity: str) -> tuple[Any, ...]:
    tie = bytes.fromhex(entity.replace("-", ""))
    if attr is None:
        return ((1, model.created[entity, etype]), tie)
    return (order_key(attr, model.value(entity, attr)), tie)


def _cursor_key(attr: Attr | None, cursor: list[Any]) -> tuple[Any, ...]:
    tie = bytes.fromhex(cursor[0].replace("-", ""))
    return ((1, cursor[3]), tie) if attr is None else (order_key(attr, cursor[2]), tie)


def _sorted(model: Model, etype: str, options: dict[str, Any], found: list[str]) -> list[str]:
    attr, is_descending = _order(model, etype, options)
    return sorted(
        found,
        key=lambda entity: _key(model, etype, attr, entity),
        reverse=is_descending,
    )


def _page(
    model: Model, etype: str, options: dict[str, Any], found: list[str]
) -> tuple[list[str], dict[str, Any]]:
    """Cut the page out of all matching rows in order; return it with its page info."""
    attr, is_descending = _order(model, etype, options)
    rows = found
    if "after" in options:
        rows = _beyond(model, etype, options, rows, "after", is_later=not is_descending)
    if "before" in options:
        rows = _beyond(model, etype, options, rows, "before", is_later=is_descending)
    offset = options.get("offset", 0)
    if "last" in options:
        rows = rows[: len(rows) - offset] if offset else rows
        rows = rows[-options["last"] :]
    else:
        limit = options.get("limit", options.get("first"))
        rows = rows[offset:] if limit is None else rows[offset : offset + limit]
    return rows, _page_info(model, etype, options, attr=attr, found=found, rows=rows)


def _beyond(
    model: Model,
    etype: str,
    options: dict[str, Any],
    rows: list[str],
    name: str,
    *,
    is_later: bool,
) -> list[str]:
    attr, _ = _order(model, etype, options)
    cursor = _cursor_key(attr, options[name])

    def is_kept(entity: str) -> bool:
        key = _key(model, etype, attr, entity)
        if key == cursor:
            return bool(options.get(name + "Inclusive"))
        return (key > cursor) is is_later

    return [entity for entity in rows if is_kept(entity)]


def _page_info(
    model: Model,
    etype: str,
    options: dict[str, Any],
    *,
    attr: Attr | None,
    found: list[str],
    rows: list[str],
) -> dict[str, Any]:
    if not rows:
        return {
            "start-cursor": None,
            "end-cursor": None,
            "has-next-page?": False,
            "has-previous-page?": bool(options.get("offset")) or "after" in options,
        }
    can_have_next = any(name in options for name in ("limit", "first", "last", "before"))
    can_have_previous = "after" in options or options.get("offset") or "last" in options
    return {
        "start-cursor": _cursor(model, etype, attr, rows[0]),
        "end-cursor": _cursor(model, etype, attr, rows[-1]),
        "has-next-page?": can_have_next and rows[-1] != found[-1],
        "has-previous-page?": bool(can_have_previous) and rows[0] != found[0],
    }


def _cursor(model: Model, etype: str, attr: Attr | None, entity: str) -> list[Any]:
    time = model.created[entity, etype]
    if attr is None:
        return [entity, model.id_attr(etype)["id"], entity, time]
    value = model.value(entity, attr)
    return [entity, attr["id"], None if value is MISSING else value, time]


# --- where -------------------------------------------------------------------------------------


def _holds(model: Model, where: dict[str, Any] | None, entity: str, etype: str) -> bool:
    """Whether some assignment of linked entities satisfies every key of `where`."""
    conditions = _split_operators(where or {})
    _check_names(model, etype, where or {})
    return any(True for _ in _solve(model, conditions, entity, etype, {}))


def _split_operators(where: dict[str, Any]) -> list[tuple[str, Any]]:
    """One condition per operator: all operators of one map apply, to the same variables."""
    conditions: list[tuple[str, Any]] = []
    for path, condition in where.items():
        if isinstance(condition, dict):
            conditions += [(path, {op: operand}) for op, operand in condition.items()]
        elif isinstance(condition, list) or path == "$entityIdStartsWith":
            conditions.append((path, condition))
        else:
            conditions.append((path, {"$eq": condition}))
    return conditions


def _check_names(model: Model, etype: str, where: dict[str, Any]) -> None:
    """One unknown name anywhere empties the whole form (instant-semantics §2.2)."""
    for path, condition in where.items():
        if path in ("or", "and") and isinstance(condition, list):
            for element in condition:
                _check_names(model, etype, element)
        elif path != "$entityIdStartsWith":
            *links, last = path.split(".")
            here = etype
            for label in links:
                _, _, here = model.link(here, label)
            if model.forward(here, last) is None:
                model.link(here, last)


def _solve(
    model: Model, conditions: list[tuple[str, Any]], entity: str, etype: str, bound: Variables
) -> Iterator[Variables]:
    if not conditions:
        yield bound
        return
    (path, condition), *rest = conditions
    for extended in _solve_one(model, path, condition, entity, etype, bound):
        yield from _solve(model, rest, entity, etype, extended)


def _solve_one(
    model: Model, path: str, condition: Any, entity: str, etype: str, bound: Variables
) -> Iterator[Variables]:
    if path in ("or", "and") and isinstance(condition, list):
        outcomes = (_holds(model, element, entity, etype) for element in condition)
        if any(outcomes) if path == "or" else all(outcomes):
            yield bound
        return
    if path == "$entityIdStartsWith":
        if entity.startswith(condition.lower()):
            yield bound
        return
    (op, operand), *_ = condition.items()
    labels = path.split(".")
    for *links, last, check in _branches(model, labels, op, operand):
        for found, where, extended in _walk(model, links, entity, etype, bound):
            if check(found, where, last):
                yield extended


def _branches(model: Model, labels: list[str], op: str, operand: Any) -> Iterator[tuple[Any, ...]]:
    """The alternatives of one condition: labels walked and tested, then the check at the end."""

    def is_null(entity: str, etype: str, label: str) -> bool:
        return _is_null(model, entity, etype, label)

    prefixes = [labels[:size] for size in range(1, len(labels) + 1)]
    match op, operand:
        case (("$not" | "$ne"), _):
            yield (*labels, _differs(model, operand))
            for prefix in prefixes:
                yield (*prefix, is_null)
        case "$isNull", True:
            for prefix in prefixes:
                yield (*prefix, is_null)
        case "$isNull", False:
            yield (*labels, _is_set(model))
        case _:
            yield (*labels, _passes(model, op, operand))


def _walk(
    model: Model, links: list[str], entity: str, etype: str, bound: Variables
) -> Iterator[tuple[str, str, Variables]]:
    """Every entity at the end of the links, all existing, that agrees with what is bound."""
    places = [(entity, etype, bound)]
    for depth, label in enumerate(links, start=1):
        reached = []
        for here, here_etype, variables in places:
            attr, is_forward, there_etype = model.link(here_etype, label)
            for there in model.linked(here, attr, is_forward=is_forward):
                is_free = variables.get((there_etype, depth), there) == there
                if is_free and model.exists(there, there_etype):
                    reached.append((there, there_etype, {**variables, (there_etype, depth): there}))
        places = reached
    yield from places


# --- tests at the end of a path ------------------------------------------------------------------


def _ends(model: Model, entity: str, etype: str, label: str) -> tuple[Attr, list[Any]]:
    """The attr at the end and the values found there: a field's value or ids of linked entities."""
    attr = model.forward(etype, label)
    if attr is not None and not is_ref(attr):
        value = model.value(entity, attr)
        return attr, [] if value is MISSING else [value]
    attr, is_forward, _ = model.link(etype, label)
    return attr, list(model.linked(entity, attr, is_forward=is_forward))


def _is_null(model: Model, entity: str, etype: str, label: str) -> bool:
    _, values = _ends(model, entity, etype, label)
    return model.exists(entity, etype) and all(value is None for value in values)


def _is_set(model: Model) -> Check:
    def check(entity: str, etype: str, label: str) -> bool:
        return model.exists(entity, etype) and not _is_null(model, entity, etype, label)

    return check


def _differs(model: Model, operand: Any) -> Check:
    def check(entity: str, etype: str, label: str) -> bool:
        attr, values = _ends(model, entity, etype, label)
        return any(not is_equal(attr, value, operand) for value in values)

    return check


def _passes(model: Model, op: str, operand: Any) -> Check:
    def check(entity: str, etype: str, label: str) -> bool:
        attr, values = _ends(model, entity, etype, label)
        return any(_compare(attr, value, op, operand) for value in values)

    return check


def _compare(attr: Attr, value: Any, op: str, operand: Any) -> bool:
    if op == "$eq":
        return is_equal(attr, value, operand)
    if op in ("$in", "in"):
        return any(is_equal(attr, value, one) for one in operand)
    if op in ("$like", "$ilike"):
        return is_like(value, operand, is_case_sensitive=op == "$like", has_escapes=True)
    if value is None:
        return False
    left, right = comparable(attr, value), comparable(attr, operand)
    outcomes = {"$gt": left > right, "$gte": left >= right, "$lt": left < right}
    return bool({**outcomes, "$lte": left <= right}[op])
