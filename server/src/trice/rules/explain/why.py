"""Why a rule decided as it did: which rule, values of its parts, what would have had to be true.

No I/O. An explanation is JSON: it reads the same from a server and from a data directory.

source   instant-semantics §5.2, §5.12; spec/rules.md R150-R156
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from trice.catalog.catalog import Catalog
from trice.catalog.system import EXTENSIBLE
from trice.cel.ast import Literal as LiteralNode
from trice.cel.ast import Name, Node, children, walk
from trice.cel.flip import Condition, Fact, Need, Several, facts_of, flip
from trice.cel.lex import position_error
from trice.cel.parse import Expression
from trice.cel.text import text_of
from trice.cel.times import write_duration, write_timestamp
from trice.cel.trace import Seen, Trace
from trice.cel.uint import Uint
from trice.cel.values import Duration, Map, Timestamp, Type
from trice.rules.document import Rules
from trice.rules.rooms import ROOMS
from trice.rules.values import ADDED_TO_AUTH

_DEFAULT: Final = "$default"
_ITEMS_SHOWN: Final = 20
_CHARS_SHOWN: Final = 200
_DEPTH_SHOWN: Final = 4
_PARTS_SHOWN: Final = 100
Origin = Literal["rule", "built-in", "default"]
"""rule: the document · built-in: the rules of system namespaces · default: the app's setting."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What an explanation needs besides the values of the parts.

    etype         namespace of `data`
    other         namespace of `linkedData`; None where there is none
    is_signed_in  whether there is a user
    catalog       attrs that exist
    """

    etype: str
    other: str | None
    is_signed_in: bool
    catalog: Catalog


def place_of(rules: Rules, etype: str, action: str, label: str | None) -> tuple[str, ...]:
    """The place of the deciding rule in the document; empty: the document has none.

    label   of a field for "view", of a link for "link" and "unlink"; else None
    """
    if etype.startswith("$") and etype not in EXTENSIBLE:
        return ()
    places: tuple[tuple[str, ...], ...]
    if action in ("link", "unlink"):
        places = ((etype, "allow", action, label or ""), (etype, "allow", action, _DEFAULT))
    elif label is not None:
        places = ((etype, "fields", label),)
    else:
        places = (
            (etype, "allow", action),
            (etype, "allow", _DEFAULT),
            (_DEFAULT, "allow", action),
            (_DEFAULT, "allow", _DEFAULT),
        )
    return next((place for place in places if _is_given(rules.source, place)), ())


def _is_given(document: Any, place: tuple[str, ...]) -> bool:
    for key in place:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document is not None


def decided_by(rules: Rules, etype: str, action: str, label: str | None) -> dict[str, Any]:
    """`{"rule": "todos.allow.update" or null, "origin"}`: which rule decides, and its origin."""
    place = place_of(rules, etype, action, label)
    origin: Origin = "rule" if place else "built-in" if etype.startswith("$") else "default"
    return {"rule": ".".join(place) or None, "origin": origin}


def explain(trace: Trace, setting: Setting) -> dict[str, Any]:
    """Explain the evaluation that `trace` has just watched.

    returns   {"source", "binds": {name: source}, "allowed", "value",
               "error": null or {"message", "part", "line"?, "column"?, "bind"?}; without a part
               when the expression did not fail by itself,
               "parts": [{"text", "depth", "bind", "value" or "error", "skipped"}],
               "values": [{"text", "value" or "error", "note"}], "needed": null or a need}
              a need is {"condition", "values", "error"}, {"all": [need]} or {"any": [need]}: what
              would have had to be true for the other result; null: nothing, the rule is constant
    """
    expression = trace.original.expression
    seen = trace.found(expression.root)
    is_allowed = (
        seen is not None and not seen.error and seen.value is not None and seen.value is not False
    )
    need = flip(trace, goal=not is_allowed)
    return {
        "source": expression.source,
        "binds": {name: value.source for name, value in trace.original.binds},
        "allowed": is_allowed,
        "value": None if seen is None else json_of(seen.value),
        "error": _error(trace),
        "parts": list(_parts(trace)),
        "values": [_fact(fact, setting) for fact in facts_of(trace)],
        "needed": None if need is None else _need(need, setting),
    }


def code_of(expression: Expression, binds: tuple[tuple[str, Expression], ...]) -> str:
    """The expression with its binds inside: `cel.bind(isOwner, …, isOwner && …)`."""
    code = expression.source
    for name, value in reversed(binds):
        code = f"cel.bind({name}, {value.source}, {code})"
    return code


def json_of(value: Any, depth: int = 0) -> Any:
    """A value of an expression as JSON, with long texts and lists cut short."""
    match value:
        case None | bool() | float():
            return value
        case Uint():
            return int(value)
        case int():
            return value
        case str():
            return value if len(value) <= _CHARS_SHOWN else value[:_CHARS_SHOWN] + "…"
        case Timestamp():
            return write_timestamp(value)
        case Duration():
            return write_duration(value)
        case Type(name=name):
            return name
        case bytes():
            return f"{len(value)} bytes"
        case list() | tuple():
            return _json_items(list(value), depth)
        case dict():
            return _json_map({str(key): item for key, item in value.items()}, depth)
        case Map():
            return _json_map({str(key): value.get(key) for key in value}, depth)
        case _:
            return "…"


def _json_items(items: list[Any], depth: int) -> Any:
    if depth >= _DEPTH_SHOWN:
        return "[…]"
    shown = [json_of(item, depth + 1) for item in items[:_ITEMS_SHOWN]]
    return shown if len(items) <= _ITEMS_SHOWN else [*shown, f"… {len(items) - _ITEMS_SHOWN} more"]


def _json_map(entries: dict[str, Any], depth: int) -> Any:
    if depth >= _DEPTH_SHOWN:
        return "{…}"
    found = {key: json_of(item, depth + 1) for key, item in list(entries.items())[:_ITEMS_SHOWN]}
    if len(entries) > _ITEMS_SHOWN:
        found["…"] = f"{len(entries) - _ITEMS_SHOWN} more"
    return found


def _sources(trace: Trace) -> Iterator[tuple[str | None, Expression]]:
    """The binds in order, then the expression."""
    yield from trace.original.binds
    yield None, trace.original.expression


def _error(trace: Trace) -> dict[str, Any] | None:
    """Why the expression has no value, and the innermost part that has none."""
    whole = trace.found(trace.original.expression.root)
    if whole is None or not whole.error:
        return None
    for bind, expression in _sources(trace):
        for node, _ in walk(expression.root):
            if _is_source(trace, node, whole.error):
                at = position_error(expression.source, node.at, "")
                return {
                    "message": whole.error,
                    "part": text_of(node),
                    "line": at.line,
                    "column": at.column,
                    "bind": bind,
                }
    return {"message": whole.error, "part": None}


def _is_source(trace: Trace, node: Node, error: str) -> bool:
    """Whether an error arose at `node`: the node has this error, and none of its parts has it."""

    def has_it(part: Node) -> bool:
        return any(seen.error == error and not seen.is_aside for seen in trace.seen(part))

    if isinstance(node, Name) and node.name in trace.binds:
        return False
    return has_it(node) and not any(map(has_it, children(node)))


def _parts(trace: Trace) -> Iterator[dict[str, Any]]:
    """Every part but literals and plain variables, each before its own parts."""
    count = 0
    for bind, expression in _sources(trace):
        for node, depth in walk(expression.root):
            seen = trace.found(node)
            is_plain = isinstance(node, LiteralNode) or (
                isinstance(node, Name) and node.name not in trace.binds
            )
            if (is_plain and depth > 1) or seen is None or count >= _PARTS_SHOWN:
                continue
            count += 1
            text = json_of(text_of(node))
            yield {"text": text, "depth": depth, "bind": bind, **_outcome(seen)}


def _outcome(seen: Seen) -> dict[str, Any]:
    found = {"error": seen.error} if seen.error else {"value": json_of(seen.value)}
    return {**found, "skipped": seen.is_aside}


def _fact(fact: Fact, setting: Setting) -> dict[str, Any]:
    seen = fact.seen
    if seen is None:
        return {"text": fact.text, "error": "It was not evaluated.", "note": ""}
    if seen.error:
        return {"text": fact.text, "error": seen.error, "note": ""}
    note = "" if seen.value is not None else _why_null(fact.text, setting)
    return {"text": fact.text, "value": json_of(seen.value), "note": note}


def _why_null(text: str, setting: Setting) -> str:
    """The reason for a null value, where it is not in the data."""
    variable, _, rest = text.partition(".")
    label = rest.partition(".")[0]
    match variable:
        case "auth" if not setting.is_signed_in:
            return "nobody is signed in"
        case "ruleParams":
            return "no such rule param was given"
        case "auth" if label in ADDED_TO_AUTH:
            return ""
        case "auth":
            etype: str | None = "$users"
        case "data" | "newData":
            # What a member of a room sends has no attrs.
            etype = None if setting.etype.startswith(ROOMS) else setting.etype
        case "linkedData":
            etype = setting.other
        case _:
            return ""
    if etype is None or not label.isidentifier() or etype == "attrs":
        return ""
    attr = setting.catalog.find_forward(etype, label)
    if attr is not None and attr.is_pairs:
        return f"`{label}` is a link to many; read it with {variable}.ref"
    return "" if attr is not None else f"{etype} has no attr `{label}`"


def _need(need: Need, setting: Setting) -> dict[str, Any]:
    match need:
        case Condition(text=text, facts=facts, error=error):
            values = [_fact(fact, setting) for fact in facts]
            return {"condition": text, "values": values, "error": error or None}
        case Several(is_all=is_all, needs=needs):
            return {"all" if is_all else "any": [_need(each, setting) for each in needs]}
