"""A query while it is parsed: as it was sent, its names, and errors about it. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.errors import InvalidInput, invalid
from trice.query.cost import CONDITION_STEPS, FORM_STEPS, LINK_STEPS, VALUE_STEPS, Spend, free

MESSAGE_LENGTH_MAX: Final = 1_000
"""Characters of a message; only names from the query can make it longer."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the query something stands.

    path     keys from the top, as the sender wrote them: `("todos", "$", "where", "title")`
    coerced  the same place in the form that Instant's shape errors point into:
             `(0, "option-map", "where-conds", 0, 1)`
    """

    path: tuple[str | int, ...]
    coerced: tuple[str | int, ...]

    def key(self, *names: str | int) -> Place:
        """The place below this one in the query, the same in the coerced form."""
        return Place((*self.path, *names), self.coerced)

    def part(self, *names: str | int) -> Place:
        """The place below this one in the coerced form, the same in the query."""
        return Place(self.path, (*self.coerced, *names))


class Source:
    """The query that is parsed, and what was counted of it.

    Holds the query as sent, its catalog, and running totals of the forms, conditions, links and
    values of the whole query. Each is counted before it is checked.

    spend   counts what checking takes; raises ReadTooLong
    """

    def __init__(
        self,
        given: Any,
        catalog: Catalog,
        *,
        is_admin: bool,
        is_function: bool = False,
        spend: Spend = free,
    ) -> None:
        self.given = given
        self.catalog = catalog
        self.is_admin = is_admin
        self.is_function = is_function
        self._spend = spend
        self._forms = 0
        self._conditions = 0
        self._links = 0
        self._values = 0
        self._pattern_chars = 0

    @property
    def size(self) -> int:
        """See `ast.Query.size`."""
        return self._conditions + self._links + self._values + self._pattern_chars

    def failure(
        self, place: Place, message: str, *, expected: str = "", wanted: str = ""
    ) -> InvalidInput:
        """A `validation-failed` error at `place`.

        expected, wanted  the broken rule; Instant spells its key `expected` or `expected?`
        """
        entry: dict[str, Any] = {
            "in": list(place.path),
            "message": _cut(message, MESSAGE_LENGTH_MAX),
        }
        if expected:
            entry["expected"] = expected
        if wanted:
            entry["expected?"] = wanted
        return invalid("query", self.given, [entry])

    def shape_failure(self, place: Place, message: str, *, expected: str) -> InvalidInput:
        """The error for a condition of the wrong shape (instant-semantics §2.3)."""
        entry = {
            "expected": expected,
            "in": list(place.coerced),
            "message": _cut(message, MESSAGE_LENGTH_MAX),
        }
        return invalid("coerced-query", self.given, [entry])

    def no_link(self, place: Place, attr: Attr) -> InvalidInput:
        """The error for a path that walks over an attr that is no link."""
        message = f"`{attr.name}` needs to be a link"
        return invalid("attr", self.given, [{"in": list(place.path), "message": message}])

    def count_form(self, place: Place, depth: int) -> None:
        """Count a form; refuse it when there are too many, or when it is too deep."""
        self._spend(FORM_STEPS)
        self._forms += 1
        if depth > limits.QUERY_DEPTH_MAX:
            raise self.failure(
                place,
                f"A query may nest {limits.QUERY_DEPTH_MAX} levels deep; this one goes deeper.",
                expected="supported-depth?",
            )
        if self._forms > limits.QUERY_FORMS_MAX:
            raise self.failure(
                place,
                f"A query may have {limits.QUERY_FORMS_MAX} forms; this one has more.",
                expected="supported-size?",
            )

    def count_condition(self, place: Place) -> None:
        """Count a condition, or a list of conditions; refuse a query with too many."""
        self._spend(CONDITION_STEPS)
        self._conditions += 1
        if self._conditions > limits.QUERY_CONDITIONS_MAX:
            raise self._too_many(place, f"{limits.QUERY_CONDITIONS_MAX:,} conditions")

    def count_links(self, place: Place, count: int) -> None:
        """Count links; refuse a query whose conditions together walk too many."""
        self._spend(count * LINK_STEPS)
        self._links += count
        if self._links > limits.QUERY_LINKS_MAX:
            raise self._too_many(place, f"{limits.QUERY_LINKS_MAX:,} links in its paths")

    def count_values(self, place: Place, count: int) -> None:
        """Count values; refuse a query whose lists together have too many."""
        self._values += count
        if self._values > limits.QUERY_IN_VALUES_MAX:
            raise self._too_many(place, f"{limits.QUERY_IN_VALUES_MAX:,} values in its lists")
        self._spend(count * VALUE_STEPS)

    def count_pattern(self, pattern: str) -> None:
        """Count a pattern, whose length is bounded."""
        self._pattern_chars += len(pattern)

    def _too_many(self, place: Place, accepted: str) -> InvalidInput:
        return self.failure(
            place,
            f"A query may have {accepted}, all forms together; this one has more.",
            expected="supported-size?",
        )


def is_scalar(value: object) -> bool:
    """Whether a condition may compare with `value`: text, a finite number, true or false."""
    match value:
        case bool():
            return True
        case str():
            return value.isascii() or _is_encodable(value)
        case int():
            return abs(value) < 2**1023
        case float():
            return math.isfinite(value)
        case _:
            return False


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "…"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
