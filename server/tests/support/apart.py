"""SQLite, used as if it could not call Python inside of its statements."""

from __future__ import annotations

from trice.store.engine import Counted
from trice.store.judged import JudgedTerm
from trice.store.judging import JudgedApart, apart
from trice.store.sqlite.dialect import SqliteDialect


class ApartDialect(SqliteDialect):
    """SQLite's dialect, except that rows are judged beforehand (`store.judging`)."""

    def judge(self, term: JudgedTerm) -> tuple[str, JudgedTerm]:
        return apart(term, self)


APART = ApartDialect()


def judging_apart(statements: Counted) -> JudgedApart:
    """The runner of statements in this dialect."""
    return JudgedApart(statements, may_begin_again=False)
