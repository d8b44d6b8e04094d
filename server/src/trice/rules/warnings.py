"""Probable mistakes in a rules document that can be saved. No I/O.

A caller that saves or tries rules is told the warnings. They never prevent saving, since rules may
exist before the schema that they name. An unknown name is only warned of where the catalog knows
its neighbours: other attrs of the namespace, other namespaces of the app.

source   spec/rules.md R180-R199
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.cel.ast import Call, Junction, Literal, Name, Node, Select, walk
from trice.cel.errors import EvaluationError
from trice.cel.parse import FAILURE
from trice.cel.text import text_of
from trice.rules.binds import Fault
from trice.rules.document import Place, Rules
from trice.rules.environments import ENTITY_ACTIONS, LINK_ACTIONS
from trice.rules.facts import facts_of, uses_below
from trice.rules.nulls import Exhausted, NodeBudget, Suspect, lets_in, suspects
from trice.rules.references import resolve_path
from trice.rules.room_warnings import room_warnings
from trice.rules.rooms import ROOMS
from trice.rules.values import ADDED_TO_AUTH

_DEFAULT: Final = "$default"
_ATTRS: Final = "attrs"
_USERS: Final = "$users"
_AUTH_PREFIX: Final = "$user."
_ROWS: Final = ("data", "newData", "linkedData")
_MAPS: Final = ("auth", *_ROWS)
_WITH_REF: Final = ("auth", "data", "linkedData")
_SECTION_KEYS: Final = ("allow", "bind", "fields")
_ACTION_KEYS: Final = (*ENTITY_ACTIONS, *LINK_ACTIONS, _DEFAULT)
_OTHER_SECTIONS: Final = (_DEFAULT, _ATTRS, "$rateLimits")
_CLOSENESS: Final = 0.7
_MEANT: Final = {
    **dict.fromkeys(("uid", "userId", "user_id", "sub", "user"), "id"),
    **dict.fromkeys(("mail", "emailAddress", "username"), "email"),
    **dict.fromkeys(("read", "get", "select", "query", "list"), "view"),
    **dict.fromkeys(("write", "edit", "modify", "patch", "set"), "update"),
    **dict.fromkeys(("insert", "add", "new", "post"), "create"),
    **dict.fromkeys(("remove", "destroy"), "delete"),
    **dict.fromkeys(("binds", "bindings"), "bind"),
    **dict.fromkeys(("rules", "permissions", "allows"), "allow"),
}
"""Names that other systems use, and the names that are used here."""


def warnings_of(rules: Rules, catalog: Catalog, *, budget: NodeBudget | None = None) -> list[Fault]:
    """All warnings about rules, compared with `catalog`.

    budget   how many parts of expressions may be visited; None: limits.RULE_WARNING_STEPS
    returns  at most limits.RULE_WARNINGS_MAX warnings, and one more that says if there are others
    cost     about 1 µs a part of an expression; for a thread
    """
    if not isinstance(rules.source, Mapping):
        return []
    told: dict[tuple[tuple[str, ...], str], Fault] = {}
    budget = budget or NodeBudget(limits.RULE_WARNING_STEPS)
    for each in _Finder(rules, catalog, budget).all():
        if len(told) == limits.RULE_WARNINGS_MAX and (each.path, each.message) not in told:
            return [*told.values(), Fault((), "There are more warnings than are told.")]
        path = tuple(map(_cut, each.path))
        told[each.path, each.message] = Fault(path, _cut(each.message), _cut(each.hint))
    return list(told.values())


def warnings_wire(rules: Rules, catalog: Catalog) -> list[dict[str, Any]]:
    """The warnings as answers show them: `[{"message", "in", "hint"?}]`."""
    return [each.wire() for each in warnings_of(rules, catalog)]


def _cut(text: str) -> str:
    most = limits.RULE_WARNING_CHARS_MAX
    return text if len(text) <= most else text[: most - 1] + "…"


class _Finder:
    """Finds the warnings of one document. Used once."""

    def __init__(self, rules: Rules, catalog: Catalog, budget: NodeBudget) -> None:
        self._rules = rules
        self._document: Mapping[str, Any] = rules.source
        self._catalog = catalog
        self._steps = budget
        self._seen: set[tuple[object, ...]] = set()
        own = [etype for etype in catalog.namespaces if not etype.startswith("$")]
        self._has_own_namespaces = bool(own)
        self._labels = {attr.label for attr in catalog.by_id.values() if attr.deleted_ms is None}

    def all(self) -> Iterator[Fault]:
        """Every warning, those of the whole document first."""
        yield from self._rules.notes
        yield from self._shapes()
        yield from self._open_actions()
        if self._rules.rooms is not None:
            yield from room_warnings(self._rules.rooms, self._catalog)
        try:
            for place in self._rules.places:
                if not _is_unusable(place):
                    yield from self._expressions(place)
                    yield from self._null_traps(place)
        except Exhausted:
            yield Fault((), "The rules are too large to be looked at as a whole for warnings.")

    # --- keys -----------------------------------------------------------------------------------

    def _shapes(self) -> Iterator[Fault]:
        """Keys that are not used, and names that do not exist."""
        for etype, section in self._document.items():
            if etype in ("$rateLimits", ROOMS) or not isinstance(section, Mapping):
                continue
            yield from self._namespace(etype)
            for key in section:
                if key not in _SECTION_KEYS:
                    yield self._unknown_key(etype, key)
            yield from self._actions(etype, _object(section, "allow"))
            if etype == _DEFAULT and _object(section, "fields"):
                message = (
                    "`$default.fields` is never asked: rules for fields belong to a namespace."
                )
                yield Fault((_DEFAULT, "fields"), message)
            elif self._has_labels(etype):
                for label in _object(section, "fields"):
                    yield from self._field_rule(etype, label)

    def _namespace(self, etype: str) -> Iterator[Fault]:
        if etype in _OTHER_SECTIONS or etype.startswith("$") or self._is_known(etype):
            return
        if self._has_own_namespaces:
            message = f"There is no namespace `{etype}` yet: its rules decide nothing."
            own = [each for each in self._catalog.namespaces if not each.startswith("$")]
            yield Fault((etype,), message, _did_you_mean(etype, own))

    def _unknown_key(self, etype: str, key: str) -> Fault:
        if key in _ACTION_KEYS:
            message = f"`{etype}.{key}` is never asked: actions stand inside `allow`."
            return Fault((etype, key), message, f'Write {{"allow": {{"{key}": …}}}}.')
        message = f"`{etype}.{key}` is never read: `{etype}` may have allow, bind and fields."
        return Fault((etype, key), message, _did_you_mean(key, _SECTION_KEYS))

    def _actions(self, etype: str, allow: Mapping[str, Any]) -> Iterator[Fault]:
        for action, given in allow.items():
            path = (etype, "allow", action)
            if action not in _ACTION_KEYS:
                message = (
                    f"`{etype}.allow.{action}` is never asked: actions are view, create, update, "
                    "delete, link, unlink and $default."
                )
                yield Fault(path, message, _did_you_mean(action, _ACTION_KEYS))
            elif action in LINK_ACTIONS and etype == _DEFAULT:
                yield Fault(path, f"`{'.'.join(path)}` is never asked: it belongs to a namespace.")
            elif action in LINK_ACTIONS and isinstance(given, Mapping) and self._is_known(etype):
                for label in given:
                    yield from self._link_rule(etype, action, label)

    def _field_rule(self, etype: str, label: str) -> Iterator[Fault]:
        if label == "id" or self._catalog.find_forward(etype, label) is not None:
            return
        path = (etype, "fields", label)
        if self._catalog.find_reverse(etype, label) is not None:
            message = (
                f"`{'.'.join(path)}` is never asked: `{label}` is a link seen from its target."
            )
            yield Fault(path, message)
        else:
            message = f"`{etype}` has no attr `{label}`: this rule hides nothing."
            yield Fault(path, message, _did_you_mean(label, self._names(etype)))

    def _link_rule(self, etype: str, action: str, label: str) -> Iterator[Fault]:
        attr = self._catalog.find_name(etype, label)
        if label != _DEFAULT and (attr is None or not attr.is_ref):
            message = f"`{etype}` has no link `{label}`: this rule is never asked."
            links = [each for each in self._names(etype) if self._is_link(etype, each)]
            yield Fault((etype, "allow", action, label), message, _did_you_mean(label, links))

    # --- what is left open ----------------------------------------------------------------------

    def _open_actions(self) -> Iterator[Fault]:
        """Namespaces whose rules restrict an action, or allow create, and leave others open."""
        if not self._rules.is_open:
            return
        default = _object(_object(self._document, _DEFAULT), "allow")
        for etype, section in self._document.items():
            if etype == _ATTRS or (etype.startswith("$") and etype != _DEFAULT):
                continue
            allow = _object(section, "allow")
            given = [action for action in ENTITY_ACTIONS if allow.get(action) is not None]
            if _DEFAULT in allow or _DEFAULT in default or not given:
                continue
            missing = [
                action
                for action in ENTITY_ACTIONS[1:]
                if allow.get(action) is None and default.get(action) is None
            ]
            is_meant = given == ["view"] and self._is_always(etype, "view")
            if missing and not is_meant:
                listed = " and ".join(f"`{action}`" for action in missing)
                where = f"in `{etype}`" if etype != _DEFAULT else "what has no rules of its own"
                message = f"Everybody may {listed} {where}: no rule says anything about that."
                hint = f'Write "{missing[-1]}": "false", or a rule; or "$default" for all of them.'
                yield Fault((etype, "allow"), message, hint)

    def _is_always(self, etype: str, action: Any) -> bool:
        return facts_of(self._rules.find(etype, action)).constant is True

    # --- expressions ----------------------------------------------------------------------------

    def _expressions(self, place: Place) -> Iterator[Fault]:
        """What is wrong in an expression and the binds it uses."""
        sources = [(place.bind_paths.get(name), value) for name, value in place.program.binds]
        for path, expression in (*sources, (None, place.program.expression)):
            memo = (place.etype, self._other(place), id(expression.root))
            if memo in self._seen:
                continue
            self._seen.add(memo)
            for node, _ in walk(expression.root):
                self._steps.take()
                message, hint = self._about(node, place)
                if message:
                    yield Fault(path or place.path, message, hint)
            for variable, field, ref in uses_below(expression.root):
                self._steps.take()
                if field is not None:
                    message, hint = self._about_field(variable, field, place)
                elif ref:
                    message, hint = self._about_ref(variable, ref, place)
                else:
                    continue
                if message:
                    yield Fault(path or place.path, message, hint)

    def _about(self, node: Node, place: Place) -> tuple[str, str]:
        """What is wrong with one node, and what to write instead."""
        match node:
            case Call(function="ref", target=target) if target is not None and not _has_ref(target):
                text = text_of(node)
                return (
                    f"`{text}` fails whenever it is evaluated: only `data`, `linkedData` and "
                    "`auth` have `ref`.",
                    "What a transaction writes is in `newData.field`; the links it makes are seen "
                    "by `data.ref` in `create`, and judged by rules for `link`.",
                )
            case Call(function="_==_" | "_!=_", arguments=(one, two)):
                for mine, other in ((one, two), (two, one)):
                    if _is_condition(mine) and _is_text_or_number(other):
                        return (
                            f"`{text_of(node)}` compares a condition with a value: they are never "
                            "equal.",
                            "Join conditions with `&&` or `||`.",
                        )
                    if isinstance(mine, Name) and mine.name in _MAPS and _is_null(other):
                        name = mine.name
                        return (
                            f"`{name}` is never null: for guests, and for what does not exist, "
                            "each of its fields is.",
                            f"Compare `{name}.id` with null.",
                        )
                    if _is_ref(mine) and _is_single(other):
                        return (
                            f"`{text_of(node)}` compares a list with one value: they are never "
                            "equal.",
                            f"Write `{text_of(other)} in {text_of(mine)}`, or compare with `[]`.",
                        )
            case Select(operand=Select(operand=Name(name=name), field=link), field=field):
                etype = self._etype_of(name, place)
                attr = None if etype is None else self._catalog.find_forward(etype, link)
                if attr is not None and attr.is_ref and not attr.is_pairs:
                    return (
                        f"`{text_of(node)}` fails whenever it is evaluated: `{name}.{link}` is the "
                        "id of the linked entity.",
                        f"Read its fields with `{name}.ref('{link}.{field}')`, which is a list.",
                    )
        return "", ""

    def _about_field(self, variable: str, label: str, place: Place) -> tuple[str, str]:
        """What is wrong with `variable.label`."""
        if variable == "auth":
            return self._about_auth(label)
        if variable not in _ROWS or label == "id":
            return "", ""
        if place.etype == _DEFAULT and variable != "linkedData":
            if self._has_own_namespaces and label not in self._labels:
                return f"No namespace has an attr `{label}`: `{variable}.{label}` is null.", ""
            return "", ""
        etype = self._etype_of(variable, place)
        if etype is None or not self._has_labels(etype):
            return "", ""
        attr = self._catalog.find_forward(etype, label)
        if attr is not None and not attr.is_pairs:
            return "", ""
        text = f"{variable}.{label}"
        if attr is not None or self._catalog.find_reverse(etype, label) is not None:
            return (
                f"`{text}` is null: `{label}` is a link to many, or one seen from its target.",
                f"Read it with `{variable}.ref('{label}.id')`, which is a list.",
            )
        hint = _did_you_mean(label, self._names(etype))
        return f"`{etype}` has no attr `{label}`: `{text}` is null.", hint

    def _about_auth(self, label: str) -> tuple[str, str]:
        """What is wrong with `auth.label`."""
        attr = self._catalog.find_forward(_USERS, label)
        if label in ADDED_TO_AUTH or label == "id" or (attr is not None and not attr.is_pairs):
            return "", ""
        if attr is not None or self._catalog.find_reverse(_USERS, label) is not None:
            return (
                f"`auth.{label}` is null: `{label}` is a link to many, or seen from its target.",
                f"Read it with `auth.ref('$user.{label}.id')`, which is a list.",
            )
        if not self._has_own_namespaces and label not in _MEANT:
            # Own attrs of `$users` come with the schema.
            return "", ""
        hint = _did_you_mean(label, (*self._names(_USERS), *ADDED_TO_AUTH))
        return f"`$users` has no attr `{label}`: `auth.{label}` is null for everybody.", hint

    def _about_ref(self, variable: str, path: str, place: Place) -> tuple[str, str]:
        """What is wrong with `variable.ref("path")`."""
        if variable == "auth":
            etype: str | None = _USERS
            path = path.removeprefix(_AUTH_PREFIX)
        elif place.etype == _DEFAULT:
            return "", ""
        else:
            etype = self._etype_of(variable, place)
        if variable not in _WITH_REF or etype is None or not self._has_labels(etype):
            return "", ""
        try:
            resolve_path(self._catalog, etype, path)
        except EvaluationError as problem:
            return f"The rule fails whenever it asks for {problem}", ""
        return "", ""

    # --- null equals null -----------------------------------------------------------------------

    def _null_traps(self, place: Place) -> Iterator[Fault]:
        """Comparisons that let in a caller who lacks the value that the entity lacks."""
        if place.etype == _ATTRS:
            return
        for suspect in suspects(place.program, self._steps):
            bind = suspect.bind
            path = place.path if bind is None else place.bind_paths.get(bind, place.path)
            memo = ("null", path, id(suspect.node))
            if memo in self._seen or not self._may_be_null(suspect, place):
                continue
            variable, label = suspect.given
            if variable == "auth" and self._about_auth(label)[0]:
                continue  # it has its warning already
            if lets_in(place.program, suspect, self._steps):
                self._seen.add(memo)
                yield _trap(suspect, path)

    def _may_be_null(self, suspect: Suspect, place: Place) -> bool:
        variable, label = suspect.stored
        if place.etype == _DEFAULT and variable != "linkedData":
            return True
        etype = self._etype_of(variable, place)
        attr = None if etype is None else self._catalog.find_forward(etype, label)
        return attr is None or not attr.is_required

    # --- what there is --------------------------------------------------------------------------

    def _is_known(self, etype: str) -> bool:
        return etype in self._catalog.namespaces

    def _has_labels(self, etype: str) -> bool:
        """Whether the labels of a namespace are known; a schema may add some to system ones."""
        return self._is_known(etype) and self._has_own_namespaces

    def _is_link(self, etype: str, label: str) -> bool:
        attr = self._catalog.find_name(etype, label)
        return attr is not None and attr.is_ref

    def _names(self, etype: str) -> list[str]:
        """Labels that a namespace has, on either side of links."""
        namespace = self._catalog.namespaces.get(etype)
        found = [] if namespace is None else [attr.label for attr in namespace.attrs()]
        links = self._catalog.pointing_at(etype)
        return [*found, *(attr.reverse.label for attr in links if attr.reverse is not None)]

    def _etype_of(self, variable: str, place: Place) -> str | None:
        """The namespace of an entity that a rule sees; None if it is not known."""
        if variable == "linkedData":
            return self._other(place)
        if variable not in _ROWS or place.etype in (_ATTRS, _DEFAULT):
            return None
        return place.etype

    def _other(self, place: Place) -> str | None:
        """The namespace at the other end of the link that a rule is about."""
        if place.action not in LINK_ACTIONS or place.path[-1] == _DEFAULT:
            return None
        attr: Attr | None = self._catalog.find_forward(place.etype, place.path[-1])
        if attr is not None:
            return None if attr.reverse is None else attr.reverse.etype
        attr = self._catalog.find_reverse(place.etype, place.path[-1])
        return None if attr is None else attr.etype


def _trap(suspect: Suspect, path: tuple[str, ...]) -> Fault:
    given, stored = ".".join(suspect.given), ".".join(suspect.stored)
    text = text_of(suspect.node)
    if suspect.given[0] == "auth":
        message = f"`{text}` is true for guests where `{stored}` is null: both sides are null then."
    else:
        message = (
            f"`{text}` is true for whoever sends no `{given}` where `{stored}` is null: both sides "
            "are null then."
        )
    return Fault(path, message, f"Write `{given} != null && {text}`.")


def _is_unusable(place: Place) -> bool:
    match place.program.expression.root:
        case Call(function=name) if name == FAILURE:
            return True
        case _:
            return False


def _has_ref(node: Node) -> bool:
    return isinstance(node, Name) and node.name in _WITH_REF


def _is_ref(node: Node) -> bool:
    match node:
        case Call(function="ref", target=Name(name=name)) if name in _WITH_REF:
            return True
        case _:
            return False


def _is_condition(node: Node) -> bool:
    """Whether a node is certainly true or false."""
    match node:
        case Call(function="_in_" | "_==_" | "_!=_" | "_<_" | "_>_" | "_<=_" | "_>=_" | "!_"):
            return True
        case _:
            return isinstance(node, Junction)


def _is_text_or_number(node: Node) -> bool:
    match node:
        case Literal(value=value):
            return value is not None and not isinstance(value, bool)
        case _:
            return False


def _is_null(node: Node) -> bool:
    return isinstance(node, Literal) and node.value is None


def _is_single(node: Node) -> bool:
    """Whether a node is certainly no list."""
    match node:
        case Literal() | Select(operand=Name(name="auth")) | Select(field="id"):
            return True
        case _:
            return False


def _object(holder: Any, key: str) -> Mapping[str, Any]:
    found = holder.get(key) if isinstance(holder, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _did_you_mean(given: str, known: Iterable[str]) -> str:
    names = list(known)
    meant = _MEANT.get(given)
    if meant not in names:
        # Only the beginning: comparing long texts takes long.
        close = get_close_matches(given[:64], [name[:64] for name in names[:500]], 1, _CLOSENESS)
        meant = close[0] if close else None
    return "" if meant is None else f"Did you mean `{meant}`?"
