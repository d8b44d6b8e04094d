"""A traced evaluation: the value, or the error, of every part of an expression. No I/O.

The closures are those of the plain evaluation, each in a wrapper that takes notes, so the result
is the same; a plain `Program` has no such wrappers. Parts that `&&`, `||` and `? :` skip are
evaluated *aside* to show them: on a budget of their own, and without effect on the result.

cost     about 0.3 ms to make, 1 µs a part to evaluate

source   spec/cel.md E80-E84
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trice import limits
from trice.cel.ast import Choice, Junction, Node
from trice.cel.closures import BUDGET, Run, Variables
from trice.cel.compile import compile_expression
from trice.cel.errors import BudgetExceeded, EvaluationError
from trice.cel.evaluate import Program
from trice.cel.parse import Expression
from trice.cel.text import text_of
from trice.cel.values import Budget

_ASIDE: Final = " aside"
"""The key in a scope that says whether it evaluates aside; no variable has this name."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The outcome of one evaluation of a node.

    error     why it has no value; "" when it has `value`
    is_aside  it did not take part in the result: `&&`, `||` or `? :` had skipped it
    """

    value: Any
    error: str
    is_aside: bool


class Trace:
    """A program that takes notes. Evaluate `program` as any other; then ask `seen`.

    Holds the notes since `clear`, at most limits.CEL_TRACE_NOTES_MAX; later ones are left out. Not
    for two evaluations at the same time.

    original  the program that is traced
    silent    prefixes of functions of the host that are not called aside, because their calls have
              effects
    """

    def __init__(self, original: Program, *, silent: tuple[str, ...] = ()) -> None:
        self.original = original
        self._silent = silent
        self._notes: dict[int, list[Seen]] = {}
        self._count = 0
        self._runs: dict[int, Run] = {}
        # Notes are kept by the identity of nodes: those of the binds stay alive with `original`.
        code = compile_expression(
            original.expression, original.environment, original.binds, self._observe
        )
        self.program = Program(
            original.expression, original.environment, original.binds, original.weight, code.run
        )

    @property
    def binds(self) -> Mapping[str, Expression]:
        """The names that the document binds, and their expressions."""
        return dict(self.original.binds)

    def clear(self) -> None:
        """Forget the notes."""
        self._notes.clear()
        self._count = 0

    def seen(self, node: Node) -> list[Seen]:
        """The outcome of each evaluation of `node`; in loops there is one for each item."""
        return self._notes.get(id(node), [])

    def found(self, node: Node) -> Seen | None:
        """The outcome of `node` that took part, else one aside; None: it was never evaluated."""
        notes = self.seen(node)
        return next((note for note in notes if not note.is_aside), notes[0] if notes else None)

    def _observe(self, node: Node, run: Run) -> Run:
        """Wrap the closure of `node`."""
        whole = self._whole(node, run)

        def observed(scope: Variables) -> Any:
            try:
                value = whole(scope)
            except EvaluationError as error:
                error.part = error.part or text_of(node)
                self._note(node, Seen(None, str(error), _ASIDE in scope))
                raise
            self._note(node, Seen(value, "", _ASIDE in scope))
            return value

        self._runs[id(node)] = observed
        return observed

    def _whole(self, node: Node, run: Run) -> Run:
        """The closure of `node`, which afterwards evaluates aside what it skipped."""
        match node:
            case Junction(operands=parts):
                skippable = parts
            case Choice(then=then, otherwise=otherwise):
                skippable = (then, otherwise)
            case _:
                return run

        def whole(scope: Variables) -> Any:
            before = [len(self.seen(part)) for part in skippable]
            try:
                return run(scope)
            finally:
                for part, count in zip(skippable, before, strict=True):
                    if len(self.seen(part)) == count:
                        self._show(part, scope)

        return whole

    def _show(self, node: Node, scope: Variables) -> None:
        """Evaluate a part that was skipped."""
        if self._count >= limits.CEL_TRACE_NOTES_MAX:
            return
        aside = dict(scope)
        main: Budget | None = None
        if _ASIDE not in aside:
            main = scope[BUDGET]
            steps_left = main.steps_left
            aside[BUDGET] = aside[_ASIDE] = Budget()
            for name in aside:
                if isinstance(name, str) and name.startswith(self._silent or (_ASIDE,)):
                    aside[name] = _not_called if callable(aside[name]) else aside[name]
        try:
            self._runs[id(node)](aside)
        except (EvaluationError, BudgetExceeded):
            # An error was noted where it arose; beyond the budget nothing is shown.
            return
        finally:
            if main is not None:
                # Functions of the host may charge the budget they were given beforehand.
                main.steps_left = steps_left

    def _note(self, node: Node, seen: Seen) -> None:
        if self._count < limits.CEL_TRACE_NOTES_MAX:
            self._count += 1
            self._notes.setdefault(id(node), []).append(seen)


def _not_called(*arguments: Any) -> Any:
    raise EvaluationError("It was not evaluated: that would have effects.")
