"""Rows judged beforehand, for engines without Python inside. No I/O.

    dialect.judge(term)        `apart`: the row is one of a list of ids
    statements.rows(sql, …)    1. read the rows that each term may be asked about, with its cells
                               2. ask `decide` of each
                               3. run the statement, the ids that passed bound as the list

An engine with Python inside calls `decide` where the term stands, in one statement. Answers are the
same. Costs and side effects differ: here every row that a term may be asked about is judged, also
those beyond the LIMIT. These rows are the ones that the statement is about. Where a condition leads
over a link, they are all rows of the namespace at the other end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from trice.catalog.values import Cell
from trice.errors import TriceError
from trice.protocol.ids import EntityId
from trice.store.dialect import Dialect
from trice.store.engine import Binding, Counted, ReadTooLong, Row, Take
from trice.store.judged import JudgedTerm

_READ_STEPS: Final = 2
"""What one step of evaluation costs, in steps of reading."""


def apart(term: JudgedTerm, dialect: Dialect) -> tuple[str, JudgedTerm]:
    """`Dialect.judge` of an engine without Python inside; its statements are `JudgedApart`."""
    return f"{term.entity} IN {dialect.in_list()}", term


class _Verdict(NamedTuple):
    """The outcome for the rows that a term may be asked about: ids that passed, ids that could not
    be judged, and why the first of these could not."""

    passed: tuple[EntityId, ...]
    failed: tuple[EntityId, ...]
    failure: TriceError | None


class JudgedApart:
    """Statements of an engine without Python inside (`engine.Counted`).

    A row that cannot be judged ends a statement only if the answer depends on it: the statement is
    run without the row and with it, and both answers must be equal.
    """

    def __init__(self, statements: Counted, *, may_begin_again: bool) -> None:
        """may_begin_again   the read is on the loop: terms with `is_once` are not asked"""
        self._statements = statements
        self._may_begin_again = may_begin_again
        self._verdicts: dict[JudgedTerm, _Verdict] = {}

    @property
    def dialect(self) -> Dialect:
        return self._statements.dialect

    def spend(self, steps: int) -> None:
        """See `engine.Counted.spend`."""
        self._statements.spend(steps)

    def rows(
        self, sql: str, bindings: Sequence[Binding] = (), take: Take | None = None
    ) -> list[Row]:
        """See `engine.Statements.rows`."""
        if JudgedTerm not in map(type, bindings):
            return self._statements.rows(sql, bindings, take)
        try:
            found, other, failure = self._both(sql, bindings, take)
        finally:
            self._verdicts.clear()
        if failure is not None and Counter(found) != Counter(other):
            raise failure
        return found

    def pieces(
        self, sql: str, bindings: Sequence[Binding] = (), *, rows_max: int
    ) -> Iterator[list[Row]]:
        """See `engine.Statements.pieces`. With judged terms all rows are read at once."""
        if JudgedTerm not in map(type, bindings):
            yield from self._statements.pieces(sql, bindings, rows_max=rows_max)
            return
        found = self.rows(sql, bindings)
        for start in range(0, len(found), rows_max):
            yield found[start : start + rows_max]

    def _both(
        self, sql: str, bindings: Sequence[Binding], take: Take | None = None
    ) -> tuple[list[Row], list[Row], TriceError | None]:
        """The rows without and with those that could not be judged, and why the first could not."""
        terms = [one for one in bindings if isinstance(one, JudgedTerm)]
        verdicts = list(map(self._verdict, terms))
        failure = next((one.failure for one in verdicts if one.failure is not None), None)
        found = self._statements.rows(sql, self._bound(bindings, is_lenient=False), take)
        if failure is None:
            return found, found, None
        return found, self._statements.rows(sql, self._bound(bindings, is_lenient=True)), failure

    def _bound(self, bindings: Sequence[Binding], *, is_lenient: bool) -> list[Binding]:
        """Each term replaced by the ids that passed; is_lenient: also by those that could not be
        judged."""
        return [
            self._ids(one, is_lenient=is_lenient) if isinstance(one, JudgedTerm) else one
            for one in bindings
        ]

    def _ids(self, term: JudgedTerm, *, is_lenient: bool) -> tuple[EntityId, ...]:
        verdict = self._verdicts[term]
        return verdict.passed + verdict.failed if is_lenient else verdict.passed

    def _verdict(self, term: JudgedTerm) -> _Verdict:
        known = self._verdicts.get(term)
        if known is None:
            known = self._verdicts[term] = self._judge(term)
        return known

    def _judge(self, term: JudgedTerm) -> _Verdict:
        if term.is_once and self._may_begin_again:
            raise ReadTooLong
        passed: list[EntityId] = []
        failed: list[EntityId] = []
        failure: TriceError | None = None
        for entity, cells, refs in self._asked(term):
            try:
                is_met, steps = term.decide(entity, cells, refs)
            except TriceError as error:
                failed.append(entity)
                failure = failure or error
                continue
            self.spend(steps * _READ_STEPS)
            if is_met:
                passed.append(entity)
        return _Verdict(tuple(passed), tuple(failed), failure)

    def _asked(
        self, term: JudgedTerm
    ) -> Iterator[tuple[EntityId, Sequence[Cell], list[list[Cell]]]]:
        """The rows that a term may be asked about: id, cells, and what its references found."""
        dialect, alias = self.dialect, term.alias
        tests = [f"{dialect.created_ms(alias)} IS NOT NULL", *(text for text, _ in term.asked)]
        sql = (
            f"SELECT {', '.join((term.entity, *term.cells, *term.refs))}"
            f" FROM {dialect.entities(term.namespace, alias)} WHERE {' AND '.join(tests)}"
        )
        bindings = [one for _, some in term.asked for one in some]
        found, other, _ = self._both(sql, bindings)
        count = len(term.cells)
        for entity, *cells in sorted({*found, *other}, key=itemgetter(0)):
            assert isinstance(entity, bytes)
            refs = list(map(dialect.collected, cells[count:]))
            yield EntityId(entity), cells[:count], refs
