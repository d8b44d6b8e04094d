"""The statements that a SQLite connection runs, as its library reports them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trice.store.sqlite.connection import Connection


@contextmanager
def statements_of(connection: Connection) -> Iterator[list[str]]:
    """What `connection` runs meanwhile, in order."""
    found: list[str] = []

    def note(_cursor: Any, sql: str, _bindings: Any) -> bool:
        found.append(sql)
        return True

    connection._raw.exec_trace = note
    try:
        yield found
    finally:
        connection._raw.exec_trace = None


def reads(statements: list[str]) -> list[str]:
    """The statements that find rows."""
    return [sql for sql in statements if sql.startswith(("SELECT", "WITH"))]
