"""How far functions have followed the log (`$hooks`), as the store must know it: the log is not
trimmed before that, and ids that move take it along."""

from __future__ import annotations

from typing import Final

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.store.engine import Statements
from trice.store.sqlite.index import quoted

_HOOKS: Final = "$hooks"
BROKEN: Final = "broken"
"""The state of a hook for which nothing waits."""


def find_least(statements: Statements, catalog: Catalog) -> int | None:
    """The transaction up to which every hook has read; None: there are no hooks."""
    place, state = _attr(catalog, "place"), _attr(catalog, "state")
    if place is None or state is None:
        return None
    sql = (
        f"SELECT min({quoted(place.column)}) FROM {quoted(place.table)}"
        f" WHERE {quoted(state.column)} <> ?"
    )
    ((least,),) = statements.rows(sql, (BROKEN,))
    return int(least) if isinstance(least, int | float) else None


def move(catalog: Catalog) -> str | None:
    """SQL that goes with `log.MOVE`: all transactions get ids that are higher by ?1."""
    place = _attr(catalog, "place")
    if place is None:
        return None
    column = quoted(place.column)
    return f"UPDATE {quoted(place.table)} SET {column} = {column} + ?1"


def _attr(catalog: Catalog, label: str) -> Attr | None:
    return catalog.find_forward(_HOOKS, label)
