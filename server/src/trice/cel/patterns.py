"""Regular expressions in linear time, by RE2. No I/O."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from trice import limits
from trice.cel.errors import EvaluationError
from trice.cel.values import Budget, show

if TYPE_CHECKING:
    import re2

_SUBJECT_CHARS_PER_STEP: Final = 8


class Pattern(Protocol):
    """The part of a compiled expression that is used here."""

    def search(self, text: str, /) -> object | None:
        """Find it anywhere in `text`."""


@cache
def _options() -> re2.Options:
    import re2  # 1.5 of the 60 MB of an idle server: loaded by the first rule that needs it

    options = re2.Options()
    options.max_mem = limits.CEL_PATTERN_MEMORY_BYTES_MAX
    options.log_errors = False
    return options


def compile_pattern(text: str) -> Pattern:
    """Compile a regular expression of RE2; raises EvaluationError, saying what is wrong.

    cost   up to 1 ms the first time
    """
    compiled = _compiled(text)
    if isinstance(compiled, str):
        raise EvaluationError(compiled)
    return compiled


@lru_cache(maxsize=limits.CEL_PATTERNS_KEPT)
def _compiled(text: str) -> Pattern | str:
    """The pattern, or what is wrong with it. Refusals cost time too, so they are kept as well."""
    if len(text) > limits.CEL_PATTERN_CHARS_MAX:
        size = f"A regular expression of {len(text):,} characters"
        return f"{size}; at most {limits.CEL_PATTERN_CHARS_MAX:,} are allowed."
    import re2  # see `_options`

    try:
        pattern: Pattern = re2.compile(text, _options())
    except re2.error as error:
        reason = error.args[0] if error.args else "unknown reason"
        shown = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        message = f"The regular expression {show(text)} is refused: {shown}"
        return f"{message} (RE2 syntax: no look-around, no references)."
    return pattern


def matches(budget: Budget, text: str, pattern: str) -> bool:
    """Whether `pattern` is found anywhere in `text`."""
    misses = _compiled.cache_info().misses
    compiled = _compiled(pattern)
    if _compiled.cache_info().misses != misses:
        budget.charge(limits.CEL_PATTERN_STEPS)
    if isinstance(compiled, str):
        raise EvaluationError(compiled)
    budget.charge(len(text) // _SUBJECT_CHARS_PER_STEP)
    return compiled.search(text) is not None
