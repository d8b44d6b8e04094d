"""The rules document of an app → compiled programs, looked up by namespace and action. No I/O.

    {etype | "$default" | "attrs": {
        "bind"?:   ["name", expr, …] | {name: expr},
        "allow"?:  {"view"? "create"? "update"? "delete"? "$default"?: expr,
                    "link"? "unlink"?: {label | "$default": expr}},
        "fields"?: {label: expr}},
     "$rateLimits": see rate_limits.py, "$rooms": see rooms.py}
                                                 expr: CEL text | true | false

Every expression is compiled for each action it can decide. An error for which Instant refuses to
save the document is a fault. An error that Instant finds only on first use (in `$default`, `link`,
`unlink`, unused binds) is noted; the document is saved, and the expression fails when it is asked.
Other keys are ignored, as by Instant; `rules/warnings.py` warns of them.

A little over 500 lines, one file because one builder checks every part of a document.

source   instant-semantics §5.1-§5.6; spec/rules.md R1-R29, R180-R184
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError
from typing import Any, Final

from trice import limits
from trice.catalog.system import EXTENSIBLE
from trice.cel.environment import Environment
from trice.cel.errors import CompileError
from trice.cel.evaluate import Program, make_program
from trice.cel.parse import Expression, parse, unusable
from trice.cel.values import show
from trice.errors import invalid
from trice.rate_limit import RateLimit
from trice.rules.binds import Binds, Fault, broken_of, in_order, names_in
from trice.rules.environments import (
    ENTITY_ACTIONS,
    LINK_ACTIONS,
    Action,
    EntityAction,
    LinkAction,
    environment_of,
)
from trice.rules.rate_limits import parse_rate_limits
from trice.rules.rooms import ROOMS, RoomRules, parse_rooms

_DEFAULT: Final = "$default"
_RATE_LIMITS: Final = "$rateLimits"

_OWN_USER: Final = (
    "auth.id == data.id || (data.linkedPrimaryUser != null && auth.id == data.linkedPrimaryUser)"
)


def _built_in(source: str, action: Action) -> Program:
    return make_program(parse(source), environment_of(action, ()))


_NOBODY: Final = _built_in("false", "view")
_ANYBODY: Final = _built_in("true", "view")
_BUILT_IN: Final[Mapping[tuple[str, str], Program]] = {
    ("$users", "view"): _built_in(_OWN_USER, "view"),
    ("$users", "create"): _built_in("true", "create"),
    ("$users", "update"): _built_in(_OWN_USER, "update"),
}
"""The rules of system namespaces when the document has none; everything else there is denied."""


_FAILS: Final = "Until it is mended, it fails whenever it is asked."
_UNUSED: Final = "No rule uses this bind."
_REPORTED: Final = "This rule has a fault that was reported when it was saved."

_NO_FIELDS: Final[Mapping[str, Program]] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """An expression of the document that decides one action of one namespace.

    path      its place in the document
    etype     the namespace of `data`; `$default` where `data` may be of any
    program   the compiled expression, binds included
    bind_paths   name -> the place of each bind
    """

    path: tuple[str, ...]
    etype: str
    action: Action
    program: Program
    bind_paths: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Rules:
    """A checked document. Immutable.

    source        the document, as it was given
    is_open       whether everything is allowed for which neither document nor system has a rule
    rate_limits   name -> limits that must all have room
    notes         faults with which it was saved all the same
    places        every expression that can decide, once for each time it is compiled
    rooms         the rules of rooms; None: all rooms are open
    """

    source: Any = field(repr=False)
    is_open: bool
    rate_limits: Mapping[str, tuple[RateLimit, ...]]
    notes: tuple[Fault, ...] = field(repr=False)
    places: tuple[Place, ...] = field(repr=False)
    _programs: Mapping[tuple[str, ...], Program] = field(repr=False)
    _fields: Mapping[str, Mapping[str, Program]] = field(repr=False)
    _sign_up: Program | None = field(repr=False)
    rooms: RoomRules | None = field(repr=False)

    @classmethod
    def parse(cls, document: Any, *, is_open: bool = True, is_stored: bool = False) -> Rules:
        """Check and compile a rules document.

        document   decoded JSON of any shape; None is a document without rules
        is_open    whether actions are allowed for which neither document nor system has a rule
        is_stored  it was saved before, maybe by a version that refused less: nothing is refused,
                   and an expression with a fault fails when it is asked
        raises     InvalidInput("validation-failed", data-type "rule") with every fault found,
                   each as {message, in: path}
        cost       about 0.2 ms an expression; nothing without a document
        """
        builder = _Builder(is_lenient=is_stored)
        builder.read(document)
        if builder.faults:
            raise invalid("rule", document, builder.faults)
        fields: dict[str, dict[str, Program]] = {}
        for (etype, kind, *labels), program in builder.programs.items():
            if kind == "fields":
                fields.setdefault(etype, {})[labels[0]] = program
        return cls(
            document,
            is_open,
            builder.rate_limits,
            tuple(builder.notes.values()),
            tuple(builder.places),
            builder.programs,
            fields,
            builder.sign_up,
            builder.rooms,
        )

    def find(self, etype: str, action: EntityAction) -> Program:
        """The program that decides.

        Rules for creating attrs are those of the namespace `attrs`. Internal system namespaces
        are always closed, whatever the document says.
        """
        is_system = etype.startswith("$")
        if is_system and etype not in EXTENSIBLE:
            return _NOBODY
        found = self._programs.get((etype, action)) or self._programs.get((_DEFAULT, action))
        if found is not None:
            return found
        if is_system:
            return _BUILT_IN.get((etype, action), _NOBODY)
        return _ANYBODY if self.is_open else _NOBODY

    def sign_up_rule(self) -> Program | None:
        """`$users.allow.create`, if the document has this very rule; only it judges sign-ups."""
        return self._sign_up

    def fields_of(self, etype: str) -> Mapping[str, Program]:
        """Every label of `etype` that has a rule of its own, with the rule."""
        return self._fields.get(etype, _NO_FIELDS)

    def find_field(self, etype: str, label: str) -> Program | None:
        """The program that decides which callers see one attr; None when there is none."""
        return self._programs.get((etype, "fields", label))

    def find_link(self, etype: str, action: LinkAction, label: str) -> Program | None:
        """The program for linking or unlinking at `etype`'s end; None when there is none."""
        programs = self._programs
        return programs.get((etype, action, label)) or programs.get((etype, action, _DEFAULT))


class _Unusable(Exception):
    """An expression has no program.

    faults   the reasons; empty: they were reported
    """

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__()
        self.faults = faults


class _Builder:
    """What has been read of a document so far: programs, faults, and notes by their path.

    is_lenient   faults of expressions are notes, wherever they are
    """

    def __init__(self, *, is_lenient: bool) -> None:
        self.is_lenient = is_lenient
        self.notes: dict[tuple[object, ...], Fault] = {}
        self.places: list[Place] = []
        self.rate_limits: dict[str, tuple[RateLimit, ...]] = {}
        self.programs: dict[tuple[str, ...], Program] = {}
        self.sign_up: Program | None = None
        self.rooms: RoomRules | None = None
        self.faults: list[dict[str, Any]] = []
        self._environments: dict[Action, Environment] = {}
        self._compiled: dict[tuple[object, ...], Program] = {}
        self._broken_binds: dict[tuple[str, ...], Fault] = {}
        self._used_binds: set[tuple[str, ...]] = set()
        self._trees: dict[str, Expression] = {}
        self._expressions = 0
        self._parts = 0

    def read(self, document: Any) -> None:
        """Read a whole document."""
        if document is None:
            return
        if not isinstance(document, Mapping):
            self._report([], f"Rules must be an object of namespaces; they are {show(document)}.")
            return
        self.rate_limits = parse_rate_limits(document.get(_RATE_LIMITS), self._report)
        self._environments = {
            action: environment_of(action, self.rate_limits)
            for action in (*ENTITY_ACTIONS, *LINK_ACTIONS)
        }
        default = self._section(document, _DEFAULT)
        default_binds = self._binds(_DEFAULT, default, Binds())
        self._read_actions(_DEFAULT, default, {}, default_binds)
        default_allow = self._object(default, "allow", [_DEFAULT], is_quiet=True)
        for etype in document:
            if etype not in (_DEFAULT, _RATE_LIMITS, ROOMS):
                section = self._section(document, etype)
                if not self._is_reserved(etype, section):
                    self._read_namespace(etype, section, default_allow, default_binds)
        self.rooms = parse_rooms(
            document.get(ROOMS), self.rate_limits, self._parsed, self._report, self._weigh
        )
        for path, fault in self._broken_binds.items():
            if path not in self._used_binds:
                self._note(fault, _UNUSED)

    def _read_namespace(
        self,
        etype: str,
        section: Mapping[str, Any],
        default_allow: Mapping[str, Any],
        default_binds: Binds,
    ) -> None:
        binds = self._binds(etype, section, default_binds)
        inherits = section.get("bind") is not None
        self._read_actions(etype, section, default_allow if inherits else {}, binds)
        allow = self._object(section, "allow", [etype], is_quiet=True)
        for action in LINK_ACTIONS:
            for label, given in self._object(allow, action, [etype, "allow"]).items():
                path = [etype, "allow", action, label]
                self._add((etype, action, label), action, given, path, binds)
        for label, given in self._object(section, "fields", [etype]).items():
            if label == "id":
                message = "You cannot set field rules for `id`; use `allow.view` to hide entities."
                self._report([etype, "fields"], message)
            else:
                path = [etype, "fields", label]
                self._add((etype, "fields", label), "view", given, path, binds)

    def _read_actions(
        self,
        etype: str,
        section: Mapping[str, Any],
        default_allow: Mapping[str, Any],
        binds: Binds,
    ) -> None:
        """Compile the rule of each action: the namespace's own, or one of `$default`.

        default_allow   rules to take over; empty when `etype` uses them as compiled for any
        """
        allow = self._object(section, "allow", [etype])
        for action in ENTITY_ACTIONS:
            given, path = _first_given(
                (allow, action, [etype, "allow", action]),
                (allow, _DEFAULT, [etype, "allow", _DEFAULT]),
                (default_allow, action, [_DEFAULT, "allow", action]),
                (default_allow, _DEFAULT, [_DEFAULT, "allow", _DEFAULT]),
            )
            if path is None:
                continue
            if path == ["$users", "allow", "delete"] and given not in (False, "false"):
                message = "The `$users` namespace doesn't support permissions for delete"
                self._report(path, f'{message}; only "false" is accepted.')
                continue
            self._add((etype, action), action, given, path, binds)
            if path == ["$users", "allow", "create"]:
                self.sign_up = self.programs.get((etype, action))

    def _add(
        self, key: tuple[str, ...], action: Action, given: Any, path: list[str], binds: Binds
    ) -> None:
        """Compile one expression for one action.

        Where Instant compiles when it saves, a fault is reported. Elsewhere it is noted, and a
        program that always fails stands in for the expression: it allows nothing.
        """
        if given is None:
            return
        is_refused = not self.is_lenient and _is_checked_when_saved(key, path)
        try:
            program = self._compile(action, given, path, binds)
        except _Unusable as problem:
            for fault in problem.faults:
                if is_refused:
                    self._report(list(fault.path), fault.message)
                else:
                    self._note(fault, _FAILS)
            message = _cut(problem.faults[0].message) if problem.faults else _REPORTED
            source = given if isinstance(given, str) else ""
            program = make_program(unusable(source, message), self._environments[action])
        self.programs[key] = program
        self.places.append(Place(tuple(path), key[0], action, program, binds.paths))

    def _compile(self, action: Action, given: Any, path: list[str], binds: Binds) -> Program:
        """The program of an expression with the binds it uses; raises _Unusable."""
        try:
            expression = self._parsed(given, path)
        except CompileError as error:
            raise _Unusable([Fault(tuple(path), f"{'.'.join(path)}: {error}")]) from error
        if expression is None:
            raise _Unusable([])
        names = names_in(expression)
        try:
            used = list(in_order(names, binds))
        except CycleError as error:
            cycle = " -> ".join(f"`{name}`" for name in reversed(error.args[1]))
            message = f"Cyclic dependency between binds: {cycle}."
            raise _Unusable([Fault(tuple(path), message)]) from error
        broken = broken_of(names, used, binds)
        if broken:
            self._used_binds.update(each.path for each in broken if each is not None)
            raise _Unusable([each for each in broken if each is not None])
        memo = (action, expression.source, *((name, binds.values[name].source) for name in used))
        found = self._compiled.get(memo)
        if found is None:
            try:
                found = self._make(expression, action, used, binds)
            except CompileError as error:
                message = f"{'.'.join(path)} (for {action}): {error}"
                raise _Unusable([Fault(tuple(path), message)]) from error
            self._compiled[memo] = found
        self._parts += found.weight
        return found

    def _make(
        self, expression: Expression, action: Action, used: list[str], binds: Binds
    ) -> Program:
        values = [(name, binds.values[name]) for name in used]
        return make_program(expression, self._environments[action], values)

    def _weigh(self, program: Program) -> None:
        self._parts += program.weight

    def _parsed(self, given: Any, path: list[str]) -> Expression | None:
        """The tree of an expression; None when `given` is none, which is reported.

        raises   CompileError
        """
        if not isinstance(given, str | bool):
            message = f"{'.'.join(path)} must be an expression as text, true or false"
            self._report(path, f"{message}; it is {show(given)}.")
            return None
        self._expressions += 1
        if self._expressions > limits.RULES_EXPRESSIONS_MAX:
            if self._expressions == limits.RULES_EXPRESSIONS_MAX + 1:
                most = f"{limits.RULES_EXPRESSIONS_MAX:,}"
                self._report(path, f"The rules have more than {most} expressions.")
            return None
        if self._parts > limits.RULES_PARTS_MAX:
            most = f"{limits.RULES_PARTS_MAX:,}"
            self._report([], f"The rules have more than {most} parts, binds counted at each use.")
            return None
        text = ("false", "true")[given] if isinstance(given, bool) else given
        tree = self._trees.get(text)
        if tree is None:
            # An expression of `$default` is parsed once for all namespaces that take it over.
            tree = self._trees[text] = parse(text)
        return tree

    def _binds(self, etype: str, section: Mapping[str, Any], outer: Binds) -> Binds:
        """The binds of a namespace, added to `outer`, each checked by itself."""
        binds = Binds(dict(outer.values), dict(outer.broken), dict(outer.paths))
        own: list[str] = []
        for name, given in self._bind_pairs(etype, section.get("bind")):
            path = [etype, "bind", name]
            if name in own:
                self._report(path, "bind should only contain a given variable name once.")
                continue
            own.append(name)
            binds.paths[name] = tuple(path)
            binds.values.pop(name, None)
            binds.broken[name] = None
            try:
                expression = self._parsed(given, path)
            except CompileError as error:
                self._break_bind(etype, name, binds, error)
                continue
            if expression is not None:
                binds.values[name] = expression
                del binds.broken[name]
        for name in own:
            self._check_bind(etype, name, binds)
        return binds

    def _break_bind(self, etype: str, name: str, binds: Binds, error: CompileError) -> None:
        """Remember why a bind has no value. Whether it matters depends on the rules that use it."""
        path = (etype, "bind", name)
        fault = Fault(path, f"{'.'.join(path)}: {error}")
        binds.broken[name] = self._broken_binds[path] = fault

    def _check_bind(self, etype: str, name: str, binds: Binds) -> None:
        """Compile a bind with all variables. Which it may use depends on the rules that use it."""
        if name in binds.broken:
            return
        try:
            names = names_in(binds.values[name])
            used = list(in_order(names, binds))
            if not broken_of(names, used, binds):
                self._parts += self._make(binds.values[name], "link", used, binds).weight
        except CycleError:
            # The rules that use it report it; an unused bind does no harm.
            return
        except CompileError as error:
            if error.bind is None:
                self._break_bind(etype, name, binds, error)

    def _bind_pairs(self, etype: str, given: Any) -> Iterator[tuple[str, Any]]:
        match given:
            case None:
                return
            case dict():
                yield from given.items()
            case list() if len(given) % 2:
                message = "bind should have an even number of elements: a name, its expression, …"
                self._report([etype, "bind"], f"{message} It has {len(given)}.")
            case list() if all(isinstance(name, str) for name in given[::2]):
                yield from zip(given[::2], given[1::2], strict=True)
            case _:
                message = 'bind must be ["name", expression, …] or {name: expression}'
                self._report([etype, "bind"], f"{message}; it is {show(given)}.")

    def _is_reserved(self, etype: str, section: Mapping[str, Any]) -> bool:
        """Whether no rules may be set for `etype`; reports each action that has one."""
        if not etype.startswith("$") or etype in EXTENSIBLE:
            return False
        allow = self._object(section, "allow", [etype], is_quiet=True)
        message = f"The `{etype}` namespace is a reserved internal namespace that does not yet"
        for action in allow or (None,):
            path = [etype] if action is None else [etype, "allow", action]
            self._report(path, f"{message} support rules.")
        return True

    def _section(self, document: Mapping[str, Any], etype: str) -> Mapping[str, Any]:
        return self._object(document, etype, [])

    def _object(
        self, holder: Mapping[str, Any], key: str, path: list[str], *, is_quiet: bool = False
    ) -> Mapping[str, Any]:
        """`holder[key]` if it is an object; anything else is reported once and read as empty."""
        found = holder.get(key)
        if isinstance(found, Mapping):
            return found
        if found is not None and not is_quiet:
            shown = ".".join((*path, key))
            self._report([*path, key], f"`{shown}` must be an object; it is {show(found)}.")
        return {}

    def _note(self, fault: Fault, consequence: str = "") -> None:
        """Note a fault with which the document may be saved: each once, and a bounded number."""
        if len(self.notes) <= limits.RULE_WARNINGS_MAX:
            message = f"{_cut(fault.message)} {consequence}".rstrip()
            self.notes.setdefault((fault.path, fault.message), replace(fault, message=message))

    def _report(self, path: list[str], message: str) -> None:
        if self.is_lenient:
            self._note(Fault(tuple(path), message))
            return
        fault = {"message": message, "in": path}
        if fault not in self.faults and len(self.faults) < limits.ERROR_SAMPLES_MAX:
            self.faults.append(fault)


def _first_given(
    *places: tuple[Mapping[str, Any], str, list[str]],
) -> tuple[Any, list[str] | None]:
    """The first expression that is given, and its path."""
    for holder, key, path in places:
        if holder.get(key) is not None:
            return holder[key], path
    return None, None


def _cut(message: str) -> str:
    """The beginning of a message, which is kept while the rules are in force."""
    most = limits.RULE_WARNING_CHARS_MAX - 100
    return message if len(message) <= most else f"{message[:most]}…"


def _is_checked_when_saved(key: tuple[str, ...], path: list[str]) -> bool:
    """Whether Instant compiles this expression, with these binds, when a document is saved."""
    is_own = path[0] == key[0]
    return is_own and (path[1] == "fields" or path[2] in ENTITY_ACTIONS)
