"""Paths of `ref`: names to links, links to a statement. No I/O.

    data.ref("owner.posts.title")   links `owner`, `posts`, then the attr `title`

Links go in either direction, by the label that the namespace on the way has for them. Entities on
the way must exist; a link as last segment gives the ids at its other end.

source   instant-semantics §5.4; spec/rules.md R54-R56
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.cel.errors import EvaluationError
from trice.cel.values import show
from trice.query.ast import Hop, Ref
from trice.store.dialect import Dialect
from trice.store.sqlite.tables import CREATED, ID, link_columns


def resolve_path(catalog: Catalog, etype: str, path: str) -> Ref:
    """Find the links and the attr that `path` names, starting at `etype`.

    raises   EvaluationError naming the segment that does not exist or is no link
    """
    *links, last = path.split(".")
    if len(links) > limits.QUERY_DEPTH_MAX:
        raise EvaluationError(
            f"ref({show(path)}) walks {len(links)} links; at most {limits.QUERY_DEPTH_MAX} are "
            "allowed."
        )
    steps: list[Hop] = []
    here = etype
    for label in links:
        step = _find_step(catalog, here, label)
        if step is None:
            raise _unknown(path, here, label, catalog.find_forward(here, label))
        steps.append(step)
        here = step.etype
    attr = catalog.find_forward(here, last)
    if attr is not None:
        return Ref(tuple(steps), attr, True)
    attr = catalog.find_reverse(here, last)
    if attr is None:
        raise _unknown(path, here, last, None, is_last=True)
    return Ref(tuple(steps), attr, False)


def follow_path(catalog: Catalog, etype: str, path: str) -> Iterator[tuple[Attr, str]]:
    """Each attr that `path` names, as far as they exist, and the namespace it is looked for in."""
    *links, last = path.split(".")
    here = etype
    for label in links[: limits.QUERY_DEPTH_MAX]:
        step = _find_step(catalog, here, label)
        if step is None:
            return
        yield step.attr, step.etype
        here = step.etype
    attr = catalog.find_name(here, last)
    if attr is not None:
        yield attr, here


def _find_step(catalog: Catalog, etype: str, label: str) -> Hop | None:
    """The link that `etype` calls `label`, in either direction."""
    attr = catalog.find_forward(etype, label)
    if attr is not None:
        if attr.reverse is None or not attr.is_ref:
            return None
        return Hop(attr, True, attr.reverse.etype)
    attr = catalog.find_reverse(etype, label)
    return None if attr is None else Hop(attr, False, attr.etype)


def _unknown(
    path: str, etype: str, label: str, attr: Attr | None, *, is_last: bool = False
) -> EvaluationError:
    where = f"ref({show(path)}): `{etype}`"
    if attr is not None:
        return EvaluationError(f"{where} has `{label}`, but it is no link and nothing follows it.")
    what = "attr or link" if is_last else "link"
    return EvaluationError(f"{where} has no {what} `{label}`.")


def is_reachable(catalog: Catalog, ref: Ref) -> bool:
    """Whether every namespace on the way can have entities at all."""
    return all(_table(catalog, step.etype) for step in ref.path)


def select_reference(catalog: Catalog, ref: Ref, dialect: Dialect) -> str:
    """The statement that finds the cells of `ref`; `is_reachable` must hold.

    It takes a tuple of starting ids and a most number of rows, and returns one cell a row.
    """
    statement = _Statement(catalog, dialect)
    for step in ref.path:
        statement.walk(step)
    return statement.select(ref)


_START: Final = ""


class _Statement:
    """A join that grows along a path. `_here` is the id arrived at; at the start there is none."""

    def __init__(self, catalog: Catalog, dialect: Dialect) -> None:
        self._catalog = catalog
        self._dialect = dialect
        self._tables: list[str] = []
        self._tests: list[str] = []
        self._here = _START

    def walk(self, step: Hop) -> None:
        """Go to the entities at the other end of a link."""
        far = self._link(step.attr, step.is_forward)
        alias = self._table(_table(self._catalog, step.etype))
        self._here = self._column(alias, ID)
        self._tests.append(f"{self._here} = {far}")
        self._tests.append(f"{self._column(alias, CREATED)} IS NOT NULL")

    def select(self, ref: Ref) -> str:
        """End at an attr of the entities arrived at."""
        if ref.attr.is_ref:
            value = self._link(ref.attr, ref.is_forward)
        else:
            alias = self._table(ref.attr.table)
            value = self._column(alias, ref.attr.column)
            self._starts_at(self._column(alias, ID))
            if not ref.path:
                self._tests.append(f"{self._column(alias, CREATED)} IS NOT NULL")
        self._tests.append(f"{value} IS NOT NULL")
        tests = " AND ".join(self._tests)
        return f"SELECT {value} FROM {', '.join(self._tables)} WHERE {tests} LIMIT ?"

    def _link(self, attr: Attr, is_forward: bool) -> str:
        """Join the pairs of a link to where we are; return the column of the other ends."""
        place = link_columns(attr)
        alias = self._table(place.table)
        near, far = place.source, place.target
        if not is_forward:
            near, far = far, near
        self._starts_at(self._column(alias, near))
        return self._column(alias, far)

    def _starts_at(self, column: str) -> None:
        if self._here == _START:
            self._tests.append(f"{column} IN {self._dialect.in_list()}")
        else:
            self._tests.append(f"{column} = {self._here}")

    def _table(self, table: str) -> str:
        alias = f"t{len(self._tables)}"
        self._tables.append(f"{self._dialect.name(table)} {alias}")
        return alias

    def _column(self, alias: str, column: str) -> str:
        return f"{alias}.{self._dialect.name(column)}"


def _table(catalog: Catalog, etype: str) -> str:
    namespace = catalog.namespaces.get(etype)
    return "" if namespace is None else namespace.table
