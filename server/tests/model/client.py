"""What the official client shows: InstaQL evaluated again over the triples a server sent. No I/O.

Follows instant-semantics §2.5 and §2.8 and instant-realtime §5.4-5.7, quirks included, but for
one: comparison operators do not match null here (JavaScript's coercion would). A *context* maps
variables to entity ids; each pattern turns a list of contexts into the contexts that pass it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from model.state import Attr, NoSuchName, is_ref
from model.values import MISSING, comparable, is_like, order_key

Context = dict[str, str]
Pattern = Callable[[list[Context]], list[Context]]
Naming = Callable[[str, int], str]


class Bag:
    """The triples of one result, indexed. The last triple of a single-valued attr wins."""

    def __init__(self, triples: list[list[Any]], attrs: list[Attr]) -> None:
        self.attrs = {attr["id"]: attr for attr in attrs}
        self.values: dict[tuple[str, str], dict[str, list[Any]]] = {}
        self.sources: dict[tuple[str, str], set[str]] = {}
        self.members: dict[str, list[str]] = {}
        for triple in triples:
            entity, attr_id, value, _ = triple
            if attr_id not in self.attrs:
                continue
            self.values.setdefault((entity, attr_id), {})[_exact(value)] = triple
            if entity not in self.members.setdefault(attr_id, []):
                self.members[attr_id].append(entity)
            if is_ref(self.attrs[attr_id]):
                self.sources.setdefault((value, attr_id), set()).add(entity)

    def find(self, etype: str, label: str, *, side: str = "forward-identity") -> Attr | None:
        for attr in self.attrs.values():
            if (attr.get(side) or [None])[1:] == [etype, label]:
                return attr
        return None

    def get(self, etype: str, label: str) -> tuple[Attr, bool]:
        """The attr of a name and whether it was found on its forward side."""
        attr = self.find(etype, label)
        if attr is not None:
            return attr, True
        attr = self.find(etype, label, side="reverse-identity")
        if attr is None:
            raise NoSuchName(f"{etype}.{label}")
        return attr, False

    def all(self, entity: str, attr: Attr) -> list[Any]:
        return [triple[2] for triple in self.values.get((entity, attr["id"]), {}).values()]

    def one(self, entity: str, attr: Attr) -> Any:
        return next(iter(self.all(entity, attr)), MISSING)

    def time(self, entity: str, attr: Attr) -> Any:
        return next(iter(self.values[entity, attr["id"]].values()))[3]


def _exact(value: Any) -> str:
    """A key under which only values equal in JavaScript's sense meet."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"number {float(value)!r}"
    return f"{type(value).__name__} {value!r}"


def evaluate(flat: list[dict[str, Any]], attrs: list[Attr], query: dict[str, Any]) -> Any:
    """The data tree a client without a schema shows for a flat result (the decoded `result`)."""
    data = flat[0]["data"]
    triples = [triple for row in data["datalog-result"]["join-rows"] for triple in row]
    bag = Bag(triples, attrs)
    aggregate = data.get("aggregate") or {}
    shown: dict[str, Any] = {}
    for label, form in query.items():
        if label == "$$ruleParams":
            continue
        if label in aggregate:
            shown[label] = aggregate[label]
            continue
        page = (data.get("page-info") or {}).get(label)
        shown[label] = _form(bag, label, 0, form, page=page, joined=None)
    return shown


# --- forms -------------------------------------------------------------------------------------


def _form(
    bag: Bag,
    etype: str,
    level: int,
    form: dict[str, Any],
    *,
    page: dict[str, Any] | None,
    joined: set[str] | None,
) -> list[dict[str, Any]]:
    options = form.get("$", {})
    try:
        found = _rows(bag, etype, level, options, page=page, joined=joined)
    except NoSuchName:
        return []
    return [_show(bag, entity, etype, level, form) for entity in found]


def _rows(
    bag: Bag,
    etype: str,
    level: int,
    options: dict[str, Any],
    *,
    page: dict[str, Any] | None,
    joined: set[str] | None,
) -> list[str]:
    is_leading = not any(options.get(name) for name in ("offset", "before", "after"))
    start = (page or {}).get("start-cursor")
    if not is_leading and not start:
        return []
    id_attr = _id_attr(bag, etype)
    root = _name(etype, level)
    contexts = [
        {root: entity}
        for entity in bag.members.get(id_attr["id"], [])
        if joined is None or entity in joined
    ]
    for pattern in _where(bag, _name, etype, level, options.get("where") or {}):
        contexts = pattern(contexts)
    found = list(dict.fromkeys(context[root] for context in contexts))
    return _ordered(bag, etype, options, found, page=None if is_leading else page, start=start)


def _ordered(
    bag: Bag,
    etype: str,
    options: dict[str, Any],
    found: list[str],
    *,
    page: dict[str, Any] | None,
    start: list[Any] | None,
) -> list[str]:
    """Sort, trim to the server's cursors unless the query is a leading one, cut to the limit."""
    label, direction = next(iter((options.get("order") or {}).items()), ("", "asc"))
    named = bag.attrs.get(start[1]) if start else bag.find(etype, label)
    attr = named if named is not None and named["forward-identity"][2] != "id" else None
    id_attr = _id_attr(bag, etype)

    def key(entity: str) -> tuple[Any, ...]:
        tie = bytes.fromhex(entity.replace("-", ""))
        if attr is None:
            return ((1, bag.time(entity, id_attr)), tie)
        return (order_key(attr, bag.one(entity, attr)), tie)

    def cursor_key(cursor: list[Any]) -> tuple[Any, ...]:
        tie = bytes.fromhex(cursor[0].replace("-", ""))
        return ((1, cursor[3]), tie) if attr is None else (order_key(attr, cursor[2]), tie)

    found = sorted(found, key=key, reverse=direction == "desc")
    if page is not None:
        low, high = cursor_key(page["start-cursor"]), cursor_key(page["end-cursor"])
        low, high = (high, low) if direction == "desc" else (low, high)
        found = [entity for entity in found if low <= key(entity) <= high]
    limit = options.get("limit") or options.get("first") or options.get("last")
    return found[:limit] if limit else found


def _show(bag: Bag, entity: str, etype: str, level: int, form: dict[str, Any]) -> dict[str, Any]:
    fields = form.get("$", {}).get("fields")
    shown: dict[str, Any] = {}
    for attr in bag.attrs.values():
        _, owner, label = attr["forward-identity"]
        if owner != etype or is_ref(attr):
            continue
        if isinstance(fields, list) and label not in fields and label != "id":
            continue
        value = bag.one(entity, attr)
        if value is not MISSING:
            shown[label] = value
    for label, child in form.items():
        if label != "$":
            shown[label] = _children(bag, entity, etype, level, label, child)
    return shown


def _children(
    bag: Bag, entity: str, etype: str, level: int, label: str, form: dict[str, Any]
) -> list[dict[str, Any]]:
    try:
        attr, is_forward = bag.get(etype, label)
    except NoSuchName:
        return []
    child_etype = attr["reverse-identity" if is_forward else "forward-identity"][1]
    linked = set(_linked(bag, entity, attr, is_forward=is_forward))
    return _form(bag, child_etype, level + 1, form, page=None, joined=linked)


def _linked(bag: Bag, entity: str, attr: Attr, *, is_forward: bool) -> list[str]:
    if is_forward:
        return [str(value) for value in bag.all(entity, attr)]
    return sorted(bag.sources.get((entity, attr["id"]), ()))


def _id_attr(bag: Bag, etype: str) -> Attr:
    attr = bag.find(etype, "id")
    if attr is None:
        raise NoSuchName(f"{etype}.id")
    return attr


# --- where -------------------------------------------------------------------------------------


def _name(etype: str, level: int) -> str:
    return f"{etype}-{level}"


def _where(
    bag: Bag, naming: Naming, etype: str, level: int, where: dict[str, Any]
) -> Iterator[Pattern]:
    for path, condition in where.items():
        if path in ("or", "and") and isinstance(condition, list):
            elements = [
                list(_where(bag, _renamed(naming, naming(etype, level), index), etype, level, one))
                for index, one in enumerate(condition)
            ]
            yield _either(elements) if path == "or" else _all(elements)
        elif path != "$entityIdStartsWith":
            yield _condition(bag, naming, etype, level, path.split("."), condition)


def _renamed(naming: Naming, root: str, index: int) -> Naming:
    """Variables of one element of a list get names of their own, all but the form's entity."""

    def name(etype: str, level: int) -> str:
        base = naming(etype, level)
        return base if base == root else f"{base}-{index}"

    return name


def _chain(patterns: list[Pattern]) -> Pattern:
    def run(contexts: list[Context]) -> list[Context]:
        for pattern in patterns:
            contexts = pattern(contexts)
        return contexts

    return run


def _all(elements: list[list[Pattern]]) -> Pattern:
    return _chain([_chain(element) for element in elements])


def _either(elements: list[list[Pattern]]) -> Pattern:
    def run(contexts: list[Context]) -> list[Context]:
        return [context for element in elements for context in _chain(element)(contexts)]

    return run


def _condition(
    bag: Bag, naming: Naming, etype: str, level: int, path: list[str], condition: Any
) -> Pattern:
    op, operand = _operator(condition)
    prefixes = [path[:size] for size in range(1, len(path) + 1)]

    def ending_in(labels: list[str], op: str, operand: Any) -> list[Pattern]:
        return list(_walk_and_test(bag, naming, etype, level, labels, op, operand))

    if op == "$not":
        missing = [ending_in(prefix, "$isNull", True) for prefix in prefixes]
        return _either([ending_in(path, op, operand), *missing])
    if op == "$isNull" and operand is True:
        return _either([ending_in(prefix, op, True) for prefix in prefixes])
    return _chain(ending_in(path, op, operand))


def _operator(condition: Any) -> tuple[str, Any]:
    """The one operator a client applies, by its fixed priority."""
    if not isinstance(condition, dict):
        return "$eq", condition
    aliases = {"$ne": "$not", "in": "$in"}
    ops = {aliases.get(op, op): operand for op, operand in condition.items()}
    for op in ("$not", "$isNull", "$in", "$gt", "$gte", "$lt", "$lte", "$like", "$ilike"):
        if op in ops:
            return op, ops[op]
    raise AssertionError(f"no operator in {condition}")


def _walk_and_test(
    bag: Bag, naming: Naming, etype: str, level: int, labels: list[str], op: str, operand: Any
) -> Iterator[Pattern]:
    for label in labels[:-1]:
        attr, is_forward = bag.get(etype, label)
        next_etype = attr["reverse-identity" if is_forward else "forward-identity"][1]
        here, there = naming(etype, level), naming(next_etype, level + 1)
        yield _step(bag, attr, here, there, is_forward=is_forward)
        etype, level = next_etype, level + 1
    attr, is_forward = bag.get(etype, labels[-1])
    variable = naming(etype, level)
    if op == "$isNull":
        yield _null_test(bag, attr, _id_attr(bag, etype), variable, is_forward, operand)
    else:
        yield _value_test(bag, attr, variable, is_forward, op, operand)


def _step(bag: Bag, attr: Attr, here: str, there: str, *, is_forward: bool) -> Pattern:
    def run(contexts: list[Context]) -> list[Context]:
        return [
            {**context, there: target}
            for context in contexts
            for target in _linked(bag, context[here], attr, is_forward=is_forward)
            if context.get(there, target) == target
        ]

    return run


def _null_test(
    bag: Bag, attr: Attr, id_attr: Attr, variable: str, is_forward: bool, wanted: bool
) -> Pattern:
    def passes(entity: str) -> bool:
        if not bag.all(entity, id_attr):
            return False
        linked = bag.all(entity, attr) if is_forward else bag.sources.get((entity, attr["id"]))
        return (not linked or (is_forward and None in linked)) is wanted

    return lambda contexts: [context for context in contexts if passes(context[variable])]


def _value_test(
    bag: Bag, attr: Attr, variable: str, is_forward: bool, op: str, operand: Any
) -> Pattern:
    def passes(entity: str) -> bool:
        if is_forward:
            return any(_passes(attr, value, op, operand) for value in bag.all(entity, attr))
        # A reverse label compares with one id only: operators find nothing there (a client quirk).
        return op == "$eq" and operand in bag.sources.get((entity, attr["id"]), ())

    return lambda contexts: [context for context in contexts if passes(context[variable])]


def _passes(attr: Attr, value: Any, op: str, operand: Any) -> bool:
    match op:
        case "$eq":
            return _exact(value) == _exact(operand)
        case "$in":
            return any(_exact(value) == _exact(one) for one in operand)
        case "$not":
            return _exact(value) != _exact(operand)
        case "$like" | "$ilike":
            is_case_sensitive = op == "$like"
            return is_like(value, operand, is_case_sensitive=is_case_sensitive, has_escapes=False)
        case _:
            return value is not None and _is_beyond(attr, value, op, operand)


def _is_beyond(attr: Attr, value: Any, op: str, operand: Any) -> bool:
    left, right = comparable(attr, value), comparable(attr, operand)
    if isinstance(left, str):  # JavaScript compares UTF-16 units.
        left, right = left.encode("utf-16-be"), right.encode("utf-16-be")
    outcomes = {"$gt": left > right, "$gte": left >= right, "$lt": left < right}
    return bool({**outcomes, "$lte": left <= right}[op])
