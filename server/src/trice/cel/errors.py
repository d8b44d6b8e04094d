"""The errors of expressions. No I/O.

These are no `TriceError`s: the code that evaluates knows which rule it was, and names it.
"""

from __future__ import annotations


class CompileError(Exception):
    """The expression cannot be used.

    message  one sentence: what was found, what is accepted
    line     1-based; `column` too, in characters
    bind     the bind that has the fault; None: the expression itself
    """

    def __init__(self, message: str, *, line: int, column: int, bind: str | None = None) -> None:
        where = f"line {line}, column {column}"
        super().__init__(f"{where} of bind `{bind}`: {message}" if bind else f"{where}: {message}")
        self.message = message
        self.line = line
        self.column = column
        self.bind = bind


class EvaluationError(Exception):
    """The expression has no value for these variables. `&&` and `||` may absorb it.

    part   the innermost part of the expression without a value, as text; known where the evaluation
           was traced (`cel.trace`), else empty
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.part = ""


class BudgetExceeded(Exception):
    """The evaluation took too many steps, or made too large a value. No operator absorbs it."""
