"""A view rule, with what is known of the caller → conditions that SQL can express.

Parts that do not depend on the entity are evaluated first: `auth`, `auth.ref`, `ruleParams`,
`request`. Of the remaining parts those that SQL expresses exactly become tests; the rest is judged
row by row in Python (`rules.judged`). Results and errors are the same both ways.

Not converted, because SQL and expressions disagree: indexed dates (SQL compares instants,
expressions the stored text), `<` on anything but indexed numbers and strings, lists and objects,
and every part that may fail.

source   instant-semantics §5.5, §5.10; spec/rules.md R70-R79
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from trice import limits
from trice.catalog.catalog import Catalog
from trice.cel.ast import Bind, Call, Choice, Has, Junction, Literal, Name, Node, Select
from trice.cel.errors import BudgetExceeded, EvaluationError
from trice.cel.evaluate import Program, evaluate
from trice.query.ast import Condition, Scope
from trice.rules.facts import facts_of
from trice.rules.formula import (
    TRUE,
    Formula,
    all_of,
    any_of,
    choice,
    conjunction,
    disjunction,
    negate,
)
from trice.rules.judge import Judge
from trice.rules.leaves import (
    PATTERNS,
    RELATIONS,
    Column,
    Failing,
    Known,
    Opaque,
    Operand,
    Size,
    Values,
    allowing,
    pattern,
    relation,
    truth,
)
from trice.rules.references import is_reachable, resolve_path
from trice.rules.template import DATA, Local, LocalScope, Template, template_of


class Conditions:
    """Translates the view rules of one caller on one state."""

    def __init__(self, catalog: Catalog, judge: Judge) -> None:
        self._catalog = catalog
        self._judge = judge

    def scope_of(self, program: Program, etype: str, judged: Callable[[], Condition]) -> Scope:
        """What an entity of `etype` must meet for the rule to allow it.

        judged   makes the condition that evaluates the whole program; called at most once, when
                 SQL cannot decide alone. The whole program keeps errors exact: a part that is
                 false removes errors of other parts, in whatever order SQL evaluates them
        cost     about 5 µs a node unless the scope is known, and the evaluation of constant parts
        """
        if facts_of(program).mentions("rateLimit"):
            return (judged(),)
        constants = _Constants(self._judge, program, etype)
        known = _KNOWN.find(program, etype, self._catalog, constants)
        if known is not None:
            return known
        template = template_of(program)
        translator = _Translator(template, etype, self._catalog, constants.value)
        whole = translator.allowing(template.root, template.scope)
        if whole.when_true is not None and whole.is_total:
            _KNOWN.keep(program, etype, self._catalog, constants, whole.when_true)
            return whole.when_true
        found: Scope | None
        match template.root:
            case Junction(operator="&&", operands=operands):
                parts = [translator.boolean(operand, template.scope) for operand in operands]
                found = all_of((_necessary(parts), (judged(),)))
            case Junction(operands=operands):
                parts = [translator.boolean(operand, template.scope) for operand in operands]
                enough = [part.when_true for part in parts if part.when_true is not None]
                found = any_of((*enough, (judged(),)))
            case _:
                found = (judged(),)
        assert found is not None, "every part given is expressible"
        return found


class _Constants:
    """Evaluates the parts of one program that do not depend on an entity, all on one budget.

    found   the value of each part that was evaluated so far
    """

    def __init__(self, judge: Judge, program: Program, etype: str) -> None:
        self.found: dict[Program, Operand] = {}
        self._budget = judge.start()
        self._variables = judge.scope(etype=etype, data={}, auth=judge.auth_for(program))

    def value(self, part: Program) -> Operand:
        """The value of a part."""
        found = self.found.get(part)
        if found is None:
            found = self.found[part] = self._evaluate(part)
        return found

    def values(self, parts: Sequence[Program]) -> tuple[object, ...] | None:
        """The values of `parts` as a key; None if a value is long, or may equal a different one."""
        values: list[object] = []
        for part in parts:
            found = self.value(part)
            value: object = found.value if isinstance(found, Known) else 0
            if isinstance(value, str) and len(value) > _KEY_CHARS_MAX:
                return None
            if not (value is None or isinstance(value, (bool, str))):
                return None
            values.append(value)
        return tuple(values)

    def _evaluate(self, part: Program) -> Operand:
        try:
            return Known(evaluate(part, self._variables, self._budget))
        except EvaluationError:
            return Failing()
        except (BudgetExceeded, RecursionError):
            return Opaque()


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a rule: its constant parts, and its scope by their values."""

    catalog: Catalog
    parts: tuple[Program, ...]
    scopes: dict[tuple[object, ...], Scope]


class _KnownScopes:
    """Scopes that SQL decides alone, by rule and by the values of its constant parts.

    Holds at most limits.RULE_SCOPES_KEPT of them. Does not hold what Python judges: that is bound
    to one caller on one state. Any thread may use it.
    """

    def __init__(self) -> None:
        self._rules: dict[tuple[Program, str], _Known] = {}
        self._count = 0

    def find(
        self, program: Program, etype: str, catalog: Catalog, constants: _Constants
    ) -> Scope | None:
        """The scope of a rule for a caller with these constants, if it is known."""
        known = self._rules.get((program, etype))
        if known is None or known.catalog is not catalog:
            return None
        values = constants.values(known.parts)
        return None if values is None else known.scopes.get(values)

    def keep(
        self,
        program: Program,
        etype: str,
        catalog: Catalog,
        constants: _Constants,
        scope: Scope,
    ) -> None:
        """Keep the scope of a rule, whose translation used `constants`."""
        parts = tuple(constants.found)
        values = constants.values(parts)
        if values is None:
            return
        if self._count >= limits.RULE_SCOPES_KEPT:
            self._rules.clear()
            self._count = 0
        known = self._rules.get((program, etype))
        if known is None or known.catalog is not catalog or known.parts != parts:
            known = self._rules[program, etype] = _Known(catalog, parts, {})
        known.scopes[values] = scope
        self._count += 1


_KNOWN: Final = _KnownScopes()
_KEY_CHARS_MAX: Final = 200


def _necessary(parts: Sequence[Formula]) -> Scope:
    """Conditions that a conjunction needs: where one does not hold it is false and cannot fail.

    Parts may need each other for that: `data.n != null && data.n < 5`.
    """
    expressible = [part for part in parts if part.when_true is not None]
    together = conjunction(expressible)
    if together.is_total and together.when_true is not None:
        return together.when_true
    return conjunction([part for part in expressible if part.is_total]).when_true or ()


class _Translator:
    """Translates the parts of one program for entities of one namespace."""

    def __init__(
        self,
        template: Template,
        etype: str,
        catalog: Catalog,
        constant: Callable[[Program], Operand],
    ) -> None:
        self._template = template
        self._etype = etype
        self._catalog = catalog
        self._constant = constant
        self._shared: dict[tuple[int, bool], Formula] = {}

    def allowing(self, node: Node, scope: LocalScope) -> Formula:
        """Whether the value of `node` allows: anything but null and false does."""
        return self._formula(node, scope, is_rule=True)

    def boolean(self, node: Node, scope: LocalScope) -> Formula:
        """The truth of `node` as an operand of `&&`, `||`, `!` or `?:`, where null fails."""
        return self._formula(node, scope, is_rule=False)

    def _formula(self, node: Node, scope: LocalScope, *, is_rule: bool) -> Formula:
        if not self._template.is_dependent(node, scope):
            known = self._value(node, scope)
            return allowing(known) if is_rule else truth(known)
        match node:
            case Name(name=name) if name in scope:
                return self._bound(scope[name], is_rule=is_rule)
            case Bind(variable=variable, value=value, body=body) if variable not in scope:
                inner = {**scope, variable: Local(value, scope)}
                return self._formula(body, inner, is_rule=is_rule)
            case Junction(operator=operator, operands=operands):
                parts = [self.boolean(operand, scope) for operand in operands]
                return conjunction(parts) if operator == "&&" else disjunction(parts)
            case Choice(condition=condition, then=then, otherwise=otherwise):
                return choice(
                    self.boolean(condition, scope),
                    self._formula(then, scope, is_rule=is_rule),
                    self._formula(otherwise, scope, is_rule=is_rule),
                )
            case Has(operand=Name(name=name)) if name == DATA and name not in scope:
                return TRUE
            case Call(function="!_", arguments=(negated,)):
                return negate(self.boolean(negated, scope))
            case Call(function=function, target=None, arguments=(left, right)) if (
                function in RELATIONS
            ):
                return relation(function, self._operand(left, scope), self._operand(right, scope))
            case Call(function=function, target=target, arguments=(part,)) if (
                function in PATTERNS and target is not None
            ):
                return pattern(function, self._operand(target, scope), self._operand(part, scope))
            case _:
                operand = self._operand(node, scope)
                return allowing(operand) if is_rule else truth(operand)

    def _bound(self, local: Local, *, is_rule: bool) -> Formula:
        """The formula of a bind, translated once for all its uses."""
        key = (id(local.value), is_rule)
        found = self._shared.get(key)
        if found is None:
            found = self._formula(local.value, local.scope, is_rule=is_rule)
            self._shared[key] = found
        return found

    def _operand(self, node: Node, scope: LocalScope) -> Operand:
        if not self._template.is_dependent(node, scope):
            return self._value(node, scope)
        match node:
            case Name(name=name) if name in scope:
                return self._operand(scope[name].value, scope[name].scope)
            case Bind(variable=variable, value=value, body=body) if variable not in scope:
                return self._operand(body, {**scope, variable: Local(value, scope)})
            case Select(operand=Name(name=name), field=field) if _is_data(name, scope):
                return self._column(field)
            case Call(function="_[_]", arguments=(Name(name=name), Literal(value=str(field)))) if (
                _is_data(name, scope)
            ):
                return self._column(field)
            case Call(function="ref", target=Name(name=name), arguments=(path,)) if _is_data(
                name, scope
            ):
                match self._operand(path, scope):
                    case Known(str(text)):
                        return self._values(text)
                    case _:
                        return Opaque()
            case Call(function="size", target=target, arguments=arguments):
                (listed,) = arguments if target is None else (target,)
                match self._operand(listed, scope):
                    case Values(ref):
                        return Size(ref)
                    case _:
                        return Opaque()
            case _:
                return Opaque()

    def _value(self, node: Node, scope: LocalScope) -> Operand:
        match node:
            case Literal(value=value):
                return Known(value)
            case _:
                return self._constant(self._template.constant(node, scope))

    def _column(self, label: str) -> Operand:
        """`data.label`. A label that is no attr of cardinality one reads as null."""
        attr = self._catalog.find_forward(self._etype, label)
        return Known(None) if attr is None or attr.is_pairs else Column(attr)

    def _values(self, path: str) -> Operand:
        try:
            ref = resolve_path(self._catalog, self._etype, path)
        except EvaluationError:
            return Failing()
        if not is_reachable(self._catalog, ref):
            return Known([])
        return Values(ref)


def _is_data(name: str, scope: LocalScope) -> bool:
    return name == DATA and name not in scope
