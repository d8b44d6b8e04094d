"""The rules document of an app → compiled programs, looked up by namespace and action. No I/O.

    {etype | "$default" | "attrs": {
        "bind"?:   ["name", expr, …] | {name: expr},
        "allow"?:  {"view"? "create"? "update"? "delete"? "$default"?: expr,
                    "link"? "unlink"?: {label | "$default": expr}},
        "fields"?: {label: expr}},
     "$rateLimits": see rate_limits.py}          expr: CEL text | true | false

Every expression is compiled for each action it can decide, so a saved document never fails for a
name or a kind that could have been known. Other keys are ignored, as Instant does.

source   instant-semantics §5.1-§5.6; spec/rules.md R1-R29
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from trice import limits
from trice.catalog.system import EXTENSIBLE
from trice.cel.ast import Name, walk
from trice.cel.environment import Environment
from trice.cel.errors import CompileError
from trice.cel.evaluate import Program, make_program
from trice.cel.parse import Expression, parse
from trice.cel.values import show
from trice.errors import invalid
from trice.rate_limit import RateLimit
from trice.rules.environments import (
    ENTITY_ACTIONS,
    LINK_ACTIONS,
    Action,
    EntityAction,
    LinkAction,
    environment_of,
)
from trice.rules.rate_limits import parse_rate_limits

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
"""What holds for system namespaces when the document says nothing; elsewhere nobody may."""


_NO_FIELDS: Final[Mapping[str, Program]] = {}


@dataclass(frozen=True, slots=True)
class Rules:
    """A checked document. Immutable.

    source        the document, as it was given
    is_open       whether everybody may do what nothing says anything about
    rate_limits   name -> limits that must all have room
    """

    source: Any = field(repr=False)
    is_open: bool
    rate_limits: Mapping[str, tuple[RateLimit, ...]]
    _programs: Mapping[tuple[str, ...], Program] = field(repr=False)
    _fields: Mapping[str, Mapping[str, Program]] = field(repr=False)
    _sign_up: Program | None = field(repr=False)

    @classmethod
    def parse(cls, document: Any, *, is_open: bool = True) -> Rules:
        """Check and compile a rules document.

        document   decoded JSON of any shape; None is a document without rules
        is_open    what holds where neither the document nor the system says anything
        raises     InvalidInput("validation-failed", data-type "rule") with every fault found,
                   each as {message, in: path}
        cost       about 0.2 ms an expression; nothing without a document
        """
        builder = _Builder()
        builder.read(document)
        if builder.faults:
            raise invalid("rule", document, builder.faults)
        fields: dict[str, dict[str, Program]] = {}
        for (etype, kind, *labels), program in builder.programs.items():
            if kind == "fields":
                fields.setdefault(etype, {})[labels[0]] = program
        return cls(
            document, is_open, builder.rate_limits, builder.programs, fields, builder.sign_up
        )

    def find(self, etype: str, action: EntityAction) -> Program:
        """The program that decides.

        Rules for creating attrs are those of the namespace `attrs`. Internal system namespaces
        are closed whatever the document says.
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
        """`$users.allow.create`, if the document has just that; it alone judges who may sign up."""
        return self._sign_up

    def fields_of(self, etype: str) -> Mapping[str, Program]:
        """Every label of `etype` with a rule of its own, and that rule."""
        return self._fields.get(etype, _NO_FIELDS)

    def find_field(self, etype: str, label: str) -> Program | None:
        """The program that decides who sees one attr; None when there is none."""
        return self._programs.get((etype, "fields", label))

    def find_link(self, etype: str, action: LinkAction, label: str) -> Program | None:
        """The program for linking or unlinking at `etype`'s end; None when there is none."""
        programs = self._programs
        return programs.get((etype, action, label)) or programs.get((etype, action, _DEFAULT))


@dataclass(slots=True)
class _Binds:
    """Binds of one namespace, `$default`'s included.

    broken   names that were reported already; what uses them is not judged
    """

    values: dict[str, Expression] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


class _Builder:
    """What has been read of a document so far: programs, and faults."""

    def __init__(self) -> None:
        self.rate_limits: dict[str, tuple[RateLimit, ...]] = {}
        self.programs: dict[tuple[str, ...], Program] = {}
        self.sign_up: Program | None = None
        self.faults: list[dict[str, Any]] = []
        self._environments: dict[Action, Environment] = {}
        self._compiled: dict[tuple[object, ...], Program] = {}
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
        default_binds = self._binds(_DEFAULT, default, _Binds())
        self._read_actions(_DEFAULT, default, {}, default_binds)
        default_allow = self._object(default, "allow", [_DEFAULT], is_quiet=True)
        for etype in document:
            if etype not in (_DEFAULT, _RATE_LIMITS):
                section = self._section(document, etype)
                if not self._is_reserved(etype, section):
                    self._read_namespace(etype, section, default_allow, default_binds)

    def _read_namespace(
        self,
        etype: str,
        section: Mapping[str, Any],
        default_allow: Mapping[str, Any],
        default_binds: _Binds,
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
        binds: _Binds,
    ) -> None:
        """Compile what decides each action: the namespace's own rule, or one of `$default`.

        default_allow   rules to take over; empty when `etype` sees them as they are
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
        self, key: tuple[str, ...], action: Action, given: Any, path: list[str], binds: _Binds
    ) -> None:
        """Compile one expression, or report why it cannot be."""
        if given is None:
            return
        expression = self._parsed(given, path)
        if expression is None:
            return
        names = _names(expression)
        try:
            used = list(_in_order(names, binds))
        except CycleError as error:
            cycle = " -> ".join(f"`{name}`" for name in reversed(error.args[1]))
            self._report(path, f"Cyclic dependency between binds: {cycle}.")
            return
        if _leads_to_broken(names, used, binds):
            return
        memo = (action, expression.source, *((name, binds.values[name].source) for name in used))
        try:
            program = self._compiled.get(memo) or self._make(expression, action, used, binds)
        except CompileError as error:
            self._report(path, f"{'.'.join(path)} (for {action}): {error}")
            return
        self._compiled[memo] = self.programs[key] = program
        self._parts += program.weight

    def _make(
        self, expression: Expression, action: Action, used: list[str], binds: _Binds
    ) -> Program:
        values = [(name, binds.values[name]) for name in used]
        return make_program(expression, self._environments[action], values)

    def _parsed(self, given: Any, path: list[str]) -> Expression | None:
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
        try:
            # What `$default` says is read once, however many namespaces take it over.
            tree = self._trees.get(text) or parse(text)
        except CompileError as error:
            self._report(path, f"{'.'.join(path)}: {error}")
            return None
        self._trees[text] = tree
        return tree

    def _binds(self, etype: str, section: Mapping[str, Any], outer: _Binds) -> _Binds:
        """The binds of a namespace on top of `outer`, each checked by itself."""
        binds = _Binds(dict(outer.values), set(outer.broken))
        own: list[str] = []
        for name, given in self._bind_pairs(etype, section.get("bind")):
            path = [etype, "bind", name]
            if name in own:
                self._report(path, "bind should only contain a given variable name once.")
                continue
            own.append(name)
            expression = self._parsed(given, path)
            if expression is None:
                binds.broken.add(name)
            else:
                binds.values[name] = expression
                binds.broken.discard(name)
        for name in own:
            self._check_bind(etype, name, binds)
        return binds

    def _check_bind(self, etype: str, name: str, binds: _Binds) -> None:
        """Compile a bind with all variables there are; which it may use, its users decide."""
        if name in binds.broken:
            return
        try:
            names = _names(binds.values[name])
            used = list(_in_order(names, binds))
            if not _leads_to_broken(names, used, binds):
                self._parts += self._make(binds.values[name], "link", used, binds).weight
        except CycleError:
            # Reported by the rules that use it; one that nothing uses does no harm.
            return
        except CompileError as error:
            if error.bind is None:
                binds.broken.add(name)
                self._report([etype, "bind", name], f"{etype}.bind.{name}: {error}")

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
        """Whether no rules may be set for `etype`; says so at each action that has one."""
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
        """`holder[key]`, an object; anything else is reported once and read as empty."""
        found = holder.get(key)
        if isinstance(found, Mapping):
            return found
        if found is not None and not is_quiet:
            shown = ".".join((*path, key))
            self._report([*path, key], f"`{shown}` must be an object; it is {show(found)}.")
        return {}

    def _report(self, path: list[str], message: str) -> None:
        fault = {"message": message, "in": path}
        if fault not in self.faults and len(self.faults) < limits.ERROR_SAMPLES_MAX:
            self.faults.append(fault)


def _first_given(
    *places: tuple[Mapping[str, Any], str, list[str]],
) -> tuple[Any, list[str] | None]:
    """The first expression there is, and its path."""
    for holder, key, path in places:
        if holder.get(key) is not None:
            return holder[key], path
    return None, None


def _names(expression: Expression) -> set[str]:
    """Every name it mentions, those of its own loops included: a bind too many does no harm."""
    return {node.name for node, _ in walk(expression.root) if isinstance(node, Name)}


def _leads_to_broken(names: set[str], used: list[str], binds: _Binds) -> bool:
    """Whether a fault was reported already in what `names` stand for."""
    reached = names.union(*(_names(binds.values[name]) for name in used))
    return not binds.broken.isdisjoint(reached)


def _in_order(names: set[str], binds: _Binds) -> Iterator[str]:
    """Binds that `names` need, each after those it needs itself; raises CycleError."""
    needs: dict[str, set[str]] = {}
    waiting = sorted(names & binds.values.keys())
    while waiting:
        name = waiting.pop()
        if name not in needs:
            needs[name] = _names(binds.values[name]) & binds.values.keys()
            waiting.extend(sorted(needs[name]))
    return iter(TopologicalSorter(needs).static_order())
