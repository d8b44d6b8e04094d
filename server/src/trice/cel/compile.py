"""The tree of an expression → closures, checked against an environment. No I/O.

Kinds are checked as far as they are known. Data is "dyn", and checked when it is evaluated.

source   spec/cel.md E10-E19
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

from trice import limits
from trice.cel import closures
from trice.cel.ast import (
    Bind,
    Call,
    Choice,
    Has,
    Junction,
    ListOf,
    Literal,
    Loop,
    MapOf,
    Name,
    Node,
    Select,
)
from trice.cel.closures import Run
from trice.cel.environment import Environment, Method, Record
from trice.cel.errors import CompileError, EvaluationError
from trice.cel.functions import FUNCTIONS, TIME_STEPS, TYPE_NAMES, Overload, Overloads
from trice.cel.lex import TOO_DEEP, position_error
from trice.cel.parse import FAILURE, Expression
from trice.cel.patterns import compile_pattern
from trice.cel.times import MICROSECOND_NS
from trice.cel.values import Timestamp, Type, kind_of, show

_TYPES: Final = frozenset(TYPE_NAMES.values())
_NAMESPACE: Final = "math"
_NAMES_COMPARED: Final = 32
_NAME_CHARS_COMPARED: Final = 64
_NUMBERS: Final = frozenset(("int", "uint", "double"))
_OTHER_NAMES: Final = {
    **dict.fromkeys(("undefined", "None", "nil", "NULL", "Null"), "null"),
    **dict.fromkeys(("True", "TRUE"), "true"),
    **dict.fromkeys(("False", "FALSE"), "false"),
    "not": "!",
}
"""Names of other languages, and the names here."""


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled node.

    kind    of its value; "dyn" when not known
    run     evaluates it
    weight  how many nodes it has: the largest cost of one evaluation, without loops
    depth   the most Python frames it needs, including the values of binds it uses
    is_given   the kind is one that the host declared for its variables and methods
    """

    kind: str
    run: Run
    weight: int
    depth: int
    is_given: bool = False


@dataclass(frozen=True, slots=True)
class _Local:
    """A variable of a macro: of a loop when `value` is None, else of a bind."""

    slot: int
    value: Code | None


Observe = Callable[[Node, Run], Run]
"""Wraps the closure of a node, children before parents, to watch an evaluation."""


def compile_expression(
    expression: Expression,
    environment: Environment,
    binds: Sequence[tuple[str, Expression]] = (),
    observe: Observe | None = None,
) -> Code:
    """Check every name and turn the tree into closures.

    binds    (name, value); later binds and the expression may use each
    observe  called for every node, those of binds included; evaluating then costs its wrappers
    raises   CompileError; its `bind` names the bind in which the fault is
    """
    slots = _Slots()
    locals_: dict[str, _Local] = {}
    bound: list[int] = []
    weight = 0
    for name, value in binds:
        compiler = _Compiler(value, environment, slots, bind=name, observe=observe)
        code = compiler.compile(value.root, locals_)
        weight += code.weight
        local = _Local(slots.take(), code)
        locals_ = {**locals_, name: local}
        bound.append(local.slot)
    compiler = _Compiler(expression, environment, slots, bind=None, observe=observe)
    code = compiler.compile(expression.root, locals_)
    run = code.run
    for slot in reversed(bound):
        run = closures.bind(slot, run)
    weight += code.weight
    depth = code.depth + len(bound)
    if weight > limits.CEL_NODES_MAX:
        message = f"with its binds the expression has {weight:,} parts; at most "
        raise compiler.error(expression.root, f"{message}{limits.CEL_NODES_MAX:,} are allowed.")
    if depth > limits.CEL_DEPTH_MAX:
        raise compiler.error(expression.root, f"with its binds {TOO_DEEP}")
    return Code(code.kind, run, weight, depth)


class _Slots:
    """Numbers for local variables, each given once in a program."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self) -> int:
        self._taken += 1
        return self._taken


class _Compiler:
    """Compiles the nodes of one source."""

    def __init__(
        self,
        expression: Expression,
        environment: Environment,
        slots: _Slots,
        *,
        bind: str | None,
        observe: Observe | None,
    ) -> None:
        self._source = expression.source
        self._environment = environment
        self._slots = slots
        self._bind = bind
        self._observe = observe

    def error(self, node: Node, message: str) -> CompileError:
        """A CompileError at `node`."""
        found = position_error(self._source, node.at, message)
        return CompileError(message, line=found.line, column=found.column, bind=self._bind)

    def compile(self, node: Node, scope: dict[str, _Local]) -> Code:
        """Compile `node`, whose local variables are in `scope`."""
        code = self._compile(node, scope)
        if code.depth > limits.CEL_DEPTH_MAX:
            raise self.error(node, TOO_DEEP)
        if self._observe is not None:
            return replace(code, run=self._observe(node, code.run))
        return code

    def _compile(self, node: Node, scope: dict[str, _Local]) -> Code:
        match node:
            case Literal(value=value):
                return Code(kind_of(value), closures.constant(value), 1, 1)
            case Name():
                return self._name(node, scope)
            case Select():
                return self._select(node, scope)
            case Has(operand=operand, field=field):
                holder = self.compile(operand, scope)
                self._expect_map(node, holder, field)
                self._field_kind(node, operand, field, scope)
                return _code("bool", closures.has(holder.run, field), holder)
            case Call():
                return self._call(node, scope)
            case Junction(operator=operator, operands=operands):
                parts = [self.compile(operand, scope) for operand in operands]
                for operand, part in zip(operands, parts, strict=True):
                    self._expect_bool(operand, part, operator)
                runs = tuple(part.run for part in parts)
                return _code("bool", closures.junction(operator, runs), *parts)
            case Choice(condition=condition, then=then, otherwise=otherwise):
                parts = [self.compile(part, scope) for part in (condition, then, otherwise)]
                self._expect_bool(condition, parts[0], "?:")
                kind = parts[1].kind if parts[1].kind == parts[2].kind else "dyn"
                return _code(kind, closures.choice(*(part.run for part in parts)), *parts)
            case ListOf(items=items):
                parts = [self.compile(item, scope) for item in items]
                return _code("list", closures.list_of(tuple(part.run for part in parts)), *parts)
            case MapOf(entries=entries):
                pairs = [
                    (self.compile(key, scope), self.compile(value, scope)) for key, value in entries
                ]
                run = closures.map_of(tuple((key.run, value.run) for key, value in pairs))
                return _code("map", run, *(part for pair in pairs for part in pair))
            case Loop():
                return self._loop(node, scope)
            case Bind(variable=variable, value=value, body=body):
                local = _Local(self._slots.take(), self.compile(value, scope))
                inner = self.compile(body, {**scope, variable: local})
                assert local.value is not None
                weight = inner.weight + local.value.weight + 1
                run = closures.bind(local.slot, inner.run)
                return Code(inner.kind, run, weight, inner.depth + 1)

    def _name(self, node: Name, scope: dict[str, _Local]) -> Code:
        local = scope.get(node.name)
        if local is not None:
            if local.value is None:
                return Code("dyn", closures.variable(local.slot), 1, 1)
            value = local.value
            run = closures.bound(local.slot, value.run, value.weight)
            return Code(value.kind, run, 1, value.depth + 1, value.is_given)
        declared = self._environment.variables.get(node.name)
        if declared is not None:
            kind = "map" if isinstance(declared, Record) else declared
            return Code(kind, closures.variable(node.name), 1, 1, is_given=True)
        if node.name in _TYPES:
            return Code("type", closures.constant(Type(node.name)), 1, 1)
        known = sorted({*self._environment.variables, *scope})
        meant = _OTHER_NAMES.get(node.name) or _closest(node.name, known)
        advice = "" if meant is None else f" Did you mean `{meant}`?"
        message = f"undeclared name `{node.name}`; here are: {', '.join(known)}.{advice}"
        raise self.error(node, message)

    def _select(self, node: Select, scope: dict[str, _Local]) -> Code:
        type_name = self._type_name(node, scope)
        if type_name is not None:
            return Code("type", closures.constant(Type(type_name)), 1, 1)
        return self._field(node, node.operand, node.field, scope)

    def _field(self, node: Node, operand: Node, field: str, scope: dict[str, _Local]) -> Code:
        """`operand.field`, or `operand['field']` of a variable whose fields are known."""
        holder = self.compile(operand, scope)
        self._expect_map(node, holder, field)
        kind = self._field_kind(node, operand, field, scope)
        match operand:
            case Name(name=name) if name not in scope:
                code = _code(kind, closures.field_of_variable(name, field), holder)
            case _:
                code = _code(kind, closures.select(holder.run, field), holder)
        return replace(code, is_given=True) if kind != "dyn" else code

    def _type_name(self, node: Select, scope: dict[str, _Local]) -> str | None:
        """The type that a dotted path names, as `google.protobuf.Timestamp` does."""
        path = _path(node, scope)
        is_variable = path.partition(".")[0] in self._environment.variables
        return path if path in _TYPES and not is_variable else None

    def _expect_map(self, node: Node, holder: Code, field: str) -> None:
        if holder.kind not in ("dyn", "map"):
            raise self.error(node, f"{holder.kind} has no field `{field}`; only maps have fields.")

    def _field_kind(self, node: Node, holder: Node, field: str, scope: dict[str, _Local]) -> str:
        """The kind of a field; refuses fields that a known variable does not have."""
        match holder:
            case Name(name=name) if name not in scope:
                declared = self._environment.variables.get(name)
            case _:
                declared = None
        if not isinstance(declared, Record):
            return "dyn"
        kind = declared.fields.get(field)
        if kind is not None:
            return kind
        known = ", ".join(sorted(declared.fields)) or "nothing"
        message = f"`{name}` has no field `{field}`; it has: {known}.{declared.advice}"
        raise self.error(node, message)

    def _expect_bool(self, node: Node, code: Code, operator: str) -> None:
        if code.kind not in ("dyn", "bool"):
            raise self.error(node, f"`{operator}` takes a bool; it is given {code.kind}.")

    def _call(self, node: Call, scope: dict[str, _Local]) -> Code:
        match node:
            case Call(function=name, arguments=(Literal(value=str(reason)),)) if name == FAILURE:
                return Code("dyn", closures.failing(reason), 1, 1)
            case Call(function="_[_]", arguments=(Name(name=name) as holder, Literal(value=key))):
                declared = self._environment.variables.get(name)
                if isinstance(key, str) and name not in scope and isinstance(declared, Record):
                    return self._field(node, holder, key, scope)
        if node.target is not None:
            path = _path(node.target, scope)
            name = f"{path}.{node.function}" if path else ""
            method = self._environment.methods.get(name)
            if method is not None:
                return self._method(node, name, method, scope)
            if path == _NAMESPACE and path not in self._environment.variables:
                return self._mathematics(node, scope)
        arguments = node.arguments if node.target is None else (node.target, *node.arguments)
        parts = [self.compile(argument, scope) for argument in arguments]
        if node.function in ("_==_", "_!=_"):
            return self._equality(node, parts)
        if node.function == "!_":
            self._expect_bool(node, parts[0], "!")
            return _code("bool", closures.negate(parts[0].run), *parts)
        if node.function == "matches":
            self._check_pattern(node)
        if node.target is not None and node.function in self._environment.absent:
            return self._absent_method(node, parts)
        return self._apply(node, node.function, node.target is not None, parts)

    def _equality(self, node: Call, parts: list[Code]) -> Code:
        is_equal = node.function == "_==_"
        self._expect_comparable(node, *parts)
        for part, other in ((parts[0], parts[1]), (parts[1], parts[0])):
            if other.kind == "null":
                test = closures.is_null if is_equal else closures.is_not_null
                return _code("bool", test(part.run), *parts)
        compare = closures.equals if is_equal else closures.differs
        return _code("bool", compare(parts[0].run, parts[1].run), *parts)

    def _expect_comparable(self, node: Call, one: Code, two: Code) -> None:
        """Refuse to compare values that the host declared as of different kinds.

        The expression's own values may be compared with anything: that is false, not a fault.
        """
        kinds = {one.kind, two.kind}
        if len(kinds) == 1 or not kinds.isdisjoint(("dyn", "null")) or kinds <= _NUMBERS:
            return
        if one.is_given or two.is_given:
            operator = node.function.strip("_")
            message = f"`{operator}` compares {one.kind} with {two.kind}: they are never equal."
            listed = " Ask for a member with `in`, for the number of them with `size(…)`."
            raise self.error(node, message + (listed if "list" in kinds else ""))

    def _absent_method(self, node: Call, parts: list[Code]) -> Code:
        """A call that fails when it is evaluated; its arguments are checked like any others."""
        method, reason = self._environment.absent[node.function]
        kinds = ("map", *method.arguments)
        if not _fits(kinds, tuple(part.kind for part in parts)):
            raise self.error(node, self._unknown_function(node.function, True))
        run = closures.failing(reason, _runs(parts))
        return _code(method.result, run, *parts)

    def _method(self, node: Call, name: str, method: Method, scope: dict[str, _Local]) -> Code:
        parts = [self.compile(argument, scope) for argument in node.arguments]
        if not method.required <= len(parts) <= len(method.arguments):
            raise self.error(node, f"`{name}` takes ({', '.join(method.arguments)}).")
        for part, kind in zip(parts, method.arguments, strict=False):
            if "dyn" not in (part.kind, kind) and part.kind != kind:
                raise self.error(node, f"`{name}` takes {kind}; it is given {part.kind}.")
        problem = method.refuse(node.arguments) if method.refuse else None
        if problem is not None:
            raise self.error(node, problem)
        code = _code(method.result, closures.host_call(name, _runs(parts)), *parts)
        return replace(code, is_given=True)

    def _mathematics(self, node: Call, scope: dict[str, _Local]) -> Code:
        parts = [self.compile(argument, scope) for argument in node.arguments]
        is_list = len(parts) == 1 and parts[0].kind not in ("int", "uint", "double")
        if node.function in ("greatest", "least") and parts and not is_list:
            parts = [_code("list", closures.list_of(_runs(parts)), *parts)]
        return self._apply(node, f"{_NAMESPACE}.{node.function}", False, parts)

    def _apply(self, node: Call, name: str, has_target: bool, parts: list[Code]) -> Code:
        overloads = self._overloads(name, has_target)
        if overloads is None:
            raise self.error(node, self._unknown_function(name, has_target))
        kinds = tuple(part.kind for part in parts)
        fitting = [found for shape, found in overloads.items() if _fits(shape, kinds)]
        if not fitting:
            raise self.error(node, closures.no_overload(name, kinds))
        results = {overload.result for overload in fitting}
        kind = results.pop() if len(results) == 1 else "dyn"
        return _code(kind, closures.call(name, overloads, _runs(parts)), *parts)

    def _overloads(self, name: str, has_target: bool) -> Overloads | None:
        found = FUNCTIONS.get((name, has_target))
        if name != "timestamp" or found is None:
            return found
        read = Overload("timestamp", self._read_timestamp, is_costly=False, steps=TIME_STEPS)
        return {**found, ("string",): read, ("int",): read}

    def _read_timestamp(self, value: str | int) -> Timestamp:
        found = self._environment.instant_us(value)
        if found is None:
            raise EvaluationError(f"{show(value)} is no date.")
        return Timestamp(found * MICROSECOND_NS)

    def _unknown_function(self, name: str, has_target: bool) -> str:
        named = [method for method in self._environment.methods if method.endswith(f".{name}")]
        if has_target and named:
            return f"`{name}` can be called only as {', '.join(sorted(named))}."
        if (name, not has_target) in FUNCTIONS:
            written = f"{name}(x)" if has_target else f"x.{name}()"
            return f"unknown function `{name}`; did you mean `{written}`?"
        return f"unknown function `{name}`."

    def _check_pattern(self, node: Call) -> None:
        match node.arguments[-1:]:
            case (Literal(value=str(pattern)),):
                try:
                    compile_pattern(pattern)
                except EvaluationError as error:
                    raise self.error(node, str(error)) from None
            case _:
                pass

    def _loop(self, node: Loop, scope: dict[str, _Local]) -> Code:
        items = self.compile(node.items, scope)
        if items.kind not in ("dyn", "list", "map"):
            message = f"`{node.macro}` goes through lists and maps, not {items.kind}."
            raise self.error(node, message)
        local = _Local(self._slots.take(), None)
        inner = {**scope, node.variable: local}
        body = self.compile(node.body, inner)
        parts = [items, body]
        slot = local.slot
        cost = body.weight + 1
        if node.condition is not None:
            condition = self.compile(node.condition, inner)
            self._expect_bool(node.condition, condition, node.macro)
            run = closures.selection(
                node.macro, items.run, slot, condition.run, body.run, cost + condition.weight
            )
            return _code("list", run, *parts, condition)
        if node.macro != "map":
            self._expect_bool(node.body, body, node.macro)
        match node.macro:
            case "all" | "exists":
                run = closures.quantifier(node.macro, items.run, slot, body.run, cost)
                return _code("bool", run, *parts)
            case "map":
                always = closures.constant(True)
                run = closures.selection("map", items.run, slot, always, body.run, cost)
                return _code("list", run, *parts)
            case "filter" | "exists_one":
                item = closures.variable(slot)
                run = closures.selection(node.macro, items.run, slot, body.run, item, cost)
                if node.macro == "filter":
                    return _code("list", run, *parts)
                return _code("bool", closures.exactly_one(run), *parts)


def _code(kind: str, run: Run, *parts: Code) -> Code:
    depth = max((part.depth for part in parts), default=0) + 1
    return Code(kind, run, sum(part.weight for part in parts) + 1, depth)


def _closest(name: str, known: Sequence[str]) -> str | None:
    """The name that was probably meant. Few and short names are compared, because that is slow."""
    if len(name) > _NAME_CHARS_COMPARED:
        return None
    short = [each for each in known if len(each) <= _NAME_CHARS_COMPARED]
    close = get_close_matches(name, short[:_NAMES_COMPARED], n=1)
    return close[0] if close else None


def _runs(parts: Sequence[Code]) -> tuple[Run, ...]:
    return tuple(part.run for part in parts)


def _path(node: Node, scope: dict[str, _Local]) -> str:
    """`a.b`, also written `a['b']`, if it starts at a variable of the environment; else empty."""
    fields: list[str] = []
    while True:
        match node:
            case Select(operand=operand, field=field):
                fields.append(field)
                node = operand
            case Call(function="_[_]", arguments=(operand, Literal(value=str(field)))):
                fields.append(field)
                node = operand
            case _:
                break
    if not isinstance(node, Name) or node.name in scope:
        return ""
    return ".".join((node.name, *reversed(fields)))


def _fits(shape: tuple[str, ...], kinds: tuple[str, ...]) -> bool:
    return len(shape) == len(kinds) and all(
        "dyn" in (one, two) or one == two for one, two in zip(shape, kinds, strict=True)
    )
