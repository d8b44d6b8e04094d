"""Programs: expressions compiled once, evaluated often. No I/O but time zone data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trice.cel.closures import BUDGET, Run, Variables
from trice.cel.compile import compile_expression
from trice.cel.environment import Environment
from trice.cel.parse import Expression
from trice.cel.values import Budget


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """An expression ready to be evaluated. It equals only itself, so facts can be kept by it.

    expression   the source and tree it was made from
    environment  the names it may use
    binds        (name, value) that the expression uses, each after the binds it needs itself
    weight       steps of one evaluation, without what loops and long values add
    run          the closure; call `evaluate`
    """

    expression: Expression
    environment: Environment
    binds: tuple[tuple[str, Expression], ...]
    weight: int
    run: Run


def make_program(
    expression: Expression, environment: Environment, binds: Sequence[tuple[str, Expression]] = ()
) -> Program:
    """Compile `expression` for evaluations in `environment`.

    binds    (name, value); later binds and the expression may use each
    raises   CompileError
    """
    code = compile_expression(expression, environment, binds)
    return Program(expression, environment, tuple(binds), code.weight, code.run)


def evaluate(program: Program, variables: dict[str, Any], budget: Budget) -> Any:
    """The value of a program.

    variables   every variable of its environment, and its methods by dotted name
    returns     a value as in `trice.cel.values`; lists and maps may be those of `variables`
    raises      EvaluationError, BudgetExceeded, and exceptions of the host's methods
    cost        `auth.id != null && data.owner == auth.id` 1 µs
    """
    budget.charge(program.weight)
    scope: Variables = {BUDGET: budget}
    scope.update(variables)
    return program.run(scope)
