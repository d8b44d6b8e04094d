"""Questions of callers, each parsed once, and their plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trice import limits
from trice.catalog.catalog import Catalog
from trice.identity import Identity
from trice.live.live_query import OF_FUNCTION, Question, RightsChanged
from trice.query.ast import Query
from trice.query.cost import Spend, at_most
from trice.query.parse.forms import parse
from trice.query.plan import Plan, plan
from trice.query.shapes import Shape, Shapes, find_shape
from trice.rules.rights import ADMIN_RIGHTS, Rights
from trice.store.engine import ReadTooLong, Snapshot


@dataclass(frozen=True, slots=True)
class Parsed:
    """A query as it was checked. It is valid as long as the catalog and the rules stay the same."""

    query: Query
    catalog: Catalog
    rules_version: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question, and what it was parsed to: most questions are run right after they are checked.

    parsed   None where it was not checked: for admins, or because that takes long. Then it is
             checked when it is run, as it is when `parsed` is no longer valid
    """

    question: Question
    parsed: Parsed | None = None


class Planner:
    """Holds the plans that several questions may share. Does not hold questions or answers."""

    def __init__(self, rights: Rights, *, shared: Callable[[Question], Question]) -> None:
        """shared   returns the equal question that is live already, if there is one"""
        self._rights = rights
        self._shared = shared
        self._shapes = Shapes()

    def prepare(
        self,
        source: Any,
        catalog: Catalog,
        *,
        identity: Identity,
        shape: str,
        is_long: bool,
    ) -> Prepared:
        """The question of a query: what is asked, and with which rights. It may be live already.

        A query that takes long to check is not checked here. It is not shared with other callers,
        and is checked where it is run.

        is_long  the query is known to take long
        raises   InvalidInput when the query is invalid, orjson.JSONEncodeError when it cannot be
                 echoed
        """
        if identity.is_admin:
            made = Question.of(source, identity=identity, rights=ADMIN_RIGHTS, shape=shape)
            return Prepared(self._shared(made))
        query = None if is_long else _parse_now(source, catalog, is_function=shape == OF_FUNCTION)
        own = self._rights.own
        rights = own(identity) if query is None else self._rights.to_answer(query, identity)
        made = Question.of(
            source, identity=identity, rights=rights, shape=shape, is_long=query is None
        )
        parsed = None if query is None else Parsed(query, catalog, self._rights.version)
        return Prepared(self._shared(made), parsed)

    def plan(
        self, snapshot: Snapshot, question: Question, parsed: Parsed | None, *, is_on_loop: bool
    ) -> tuple[Plan, Shape | None]:
        """Plan a question, as long as its rights are still those of its identity.

        parsed       of this question, for a run right after it was prepared
        is_on_loop   off the loop the shared plans are not touched
        returns      the plan; and its shape, if that is new and may be shared (`keep`)
        raises       RightsChanged, and what `parse` and `plan` do
        """
        catalog = snapshot.catalog
        if parsed is not None and self._holds(parsed, catalog):
            query = parsed.query
        else:
            query = self._parse_again(question, catalog, snapshot.spend)
        # The plan of one caller's view is made from its identity. Only plans for all are shared.
        is_shared = is_on_loop and self._rights.are_of_all(question.rights)
        shape = find_shape(query) if is_shared else None
        if shape is not None:
            made = self._shapes.find(query, shape, catalog, rights=question.rights)
            if made is not None:
                return made, None
        visibility = self._rights.visible_to(query, question.identity, snapshot)
        made = plan(query, catalog, visibility, dialect=snapshot.dialect, spend=snapshot.spend)
        return made, shape

    def keep(self, shape: Shape, made: Plan, *, rights: str) -> None:
        """Let questions of this shape, with these rights, share a plan that has run."""
        self._shapes.keep(shape, made, rights=rights)

    def _parse_again(self, question: Question, catalog: Catalog, spend: Spend) -> Query:
        """The query of a question, as long as its rights are those of its identity."""
        identity = question.identity
        is_admin, is_function = identity.is_admin, question.shape == OF_FUNCTION
        source = question.source
        query = parse(source, catalog, is_admin=is_admin, is_function=is_function, spend=spend)
        is_own = question.is_long and not identity.is_admin
        own = self._rights.own
        rights = own(identity) if is_own else self._rights.to_answer(query, identity)
        if rights != question.rights:
            raise RightsChanged
        return query

    def _holds(self, parsed: Parsed, catalog: Catalog) -> bool:
        """Whether parsing again, against `catalog` and the rules in force, would give the same."""
        return parsed.catalog is catalog and parsed.rules_version == self._rights.version


def _parse_now(source: Any, catalog: Catalog, *, is_function: bool) -> Query | None:
    """Check a query on the loop; None when that takes more than limits.QUERY_STEPS_ON_LOOP."""
    spend = at_most(limits.QUERY_STEPS_ON_LOOP)
    try:
        return parse(source, catalog, is_admin=False, is_function=is_function, spend=spend)
    except ReadTooLong:
        return None
