"""What a query costs before its first row is read, and after its last. No I/O.

Costs are counted in steps: one is the time of an instruction of SQLite, about 0.08 µs. So all parts
of a read are paid from one budget (`limits.READ_STEPS_ON_LOOP`). The numbers are measured, and
rounded up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trice import limits
from trice.errors import LimitExceeded
from trice.store.engine import ReadTooLong

Spend = Callable[[int], None]
"""Counts steps. Raises ReadTooLong when none are left: the work must move to a thread, or end.
"""

FORM_STEPS: Final = 150
"""Checking one form."""

CONDITION_STEPS: Final = 60
"""Checking one condition, or one list of conditions."""

LINK_STEPS: Final = 15
"""Following one link of a path through the catalog."""

VALUE_STEPS: Final = 10
"""Checking one value of a list."""

COMPOSED_STEPS: Final = 120
"""Composing one condition or link of a path into a statement, and noting what it reads."""

COMPOSED_VALUE_STEPS: Final = 15
"""Binding one value of a list in a statement."""

PAIRS_OF_TESTS_A_STEP: Final = 4
"""Pairs of tests of one group that are compared in a step."""

PATTERN_CHARS_FREE: Final = 4
"""Patterns up to this length are matched in the time of an instruction or two."""

PREPARED_CHARS_MIN: Final = 4_000
"""Statements up to this length are prepared in the time of a read."""

PREPARED_CHARS_SCALE: Final = 10_000
"""Longer statements cost a step a character, two steps a character at this length, and so on,
because SQLite looks for the best of many ways."""

READ_BYTES_A_STEP: Final = 64
"""Bytes of rows that are read in a step: values of megabytes take few instructions."""

ENCODED_BYTES_A_STEP: Final = 32
"""Bytes of an answer that are encoded and joined in a step."""


class Composed:
    """Counts what is composed into the statements of one query.

    raises   LimitExceeded beyond limits.QUERY_COMPOSED_MAX; what `spend` raises
    """

    def __init__(self, spend: Spend) -> None:
        self._spend = spend
        self._count = 0
        self._pattern_chars = 0
        self._held = 0

    def add(self, count: int, *, values: int = 0) -> None:
        """Count conditions or links that will be composed, and the values of their lists."""
        self._count += count
        if self._count > limits.QUERY_COMPOSED_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                "There are too many parameters in the query: its conditions, with those of the"
                f" rules, expand to more than {limits.QUERY_COMPOSED_MAX:,}. Use fewer conditions,"
                " or shorter paths.",
            )
        self._spend(count * COMPOSED_STEPS + values * COMPOSED_VALUE_STEPS)

    def pattern(self, chars: int) -> None:
        """Count a pattern that SQLite will look for inside of texts. One row may take long and is
        still one instruction, so a long pattern costs many steps here."""
        self._pattern_chars += chars
        budget = limits.READ_STEPS_ON_LOOP
        held = budget - budget * PATTERN_CHARS_FREE // max(self._pattern_chars, PATTERN_CHARS_FREE)
        self._spend(held - self._held)
        self._held = held

    def group(self, tests: int) -> None:
        """Count tests that share linked entities: they are compared with each other."""
        self._spend(tests * tests // PAIRS_OF_TESTS_A_STEP)


def prepared_steps(sql: str) -> int:
    """The steps that SQLite takes to prepare a statement, besides those of reading."""
    chars = len(sql)
    if chars <= PREPARED_CHARS_MIN:
        return 0
    return chars + chars * chars // PREPARED_CHARS_SCALE


def free(_steps: int) -> None:
    """Count nothing: the work is the server's own."""


def at_most(steps_max: int) -> Spend:
    """Counts what one piece of work takes. It raises ReadTooLong past `steps_max`."""
    left = steps_max

    def spend(steps: int) -> None:
        nonlocal left
        left -= steps
        if left < 0:
            raise ReadTooLong

    return spend
