"""Current answers of queries, run whole beside the live engine, once for each caller and query."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import orjson

from support.delta_client import Triples, content
from support.flat_results import flat_result
from support.queries import Cursors, Query
from trice import limits
from trice.database import Database
from trice.errors import TriceError
from trice.identity import ADMIN, Identity
from trice.query.encode import EntityCache
from trice.query.parse.forms import parse
from trice.query.plan import Plan, plan
from trice.query.run import run
from trice.query.tree import Tree
from trice.store.engine import Snapshot

Place = tuple[str, bytes]
"""The caller, and the query as JSON."""


@dataclass(frozen=True)
class Fresh:
    """The answer of a whole run.

    failure   the error's code; then there is nothing else
    tree      None for a failure
    """

    failure: str | None
    tree: Tree | None
    result_json: bytes
    triples: Triples
    data: dict[str, Any]


class FreshRuns:
    """Fresh answers of one moment, from `begin` on.

    Holds the answers of the moment before, whose equals need not be decoded again; plans; and
    cursors of pages, for later pages.
    """

    def __init__(self, draw: random.Random) -> None:
        self.cursors: Cursors = {}
        self._draw = draw
        self._database: Database
        self._users = b""
        self._plans: dict[Place, tuple[Any, Plan]] = {}
        self._before: dict[Place, Fresh] = {}
        self._now: dict[Place, Fresh] = {}

    async def begin(self, database: Database) -> None:
        """Begin a new moment: data may have changed."""
        self._database = database
        self._before, self._now = self._now, {}
        self._users = await database.query_nested({"$users": {}}, identity=ADMIN)

    async def of(self, identity: Identity, key: bytes, q: Query) -> Fresh:
        """The answer to `q`, which is `key` as JSON, for an identity."""
        place = (identity.name, key)
        if place not in self._now:
            self._now[place] = await self._run(identity, q, place)
        return self._now[place]

    async def _run(self, identity: Identity, q: Query, place: Place) -> Fresh:
        def work(snapshot: Snapshot) -> Tree:
            return run(self._plan(snapshot, identity, q, place), snapshot)

        try:
            tree = await self._database.engine.read(work, timeout_ms=limits.READ_TIMEOUT_MS)
        except TriceError as failure:
            return Fresh(failure.code, None, b"", {}, {})
        result_json = flat_result(tree, EntityCache())
        last = self._before.get(place)
        if last is not None and last.result_json == result_json:
            return replace(last, tree=tree)
        triples, data = content(orjson.loads(result_json))
        self._remember(q, data)
        return Fresh(None, tree, result_json, triples, data)

    def _plan(self, snapshot: Snapshot, identity: Identity, q: Query, place: Place) -> Plan:
        """A plan for fresh runs. It is used again, for a short time, while catalog, rules and users
        are the same: the rules of `support.oracle` are made from nothing else."""
        made_from = (snapshot.catalog.version, self._database.rules, self._users)
        known = self._plans.get(place)
        if known is not None and known[0] == made_from and self._draw.random() < 0.9:
            return known[1]
        query = parse(q, snapshot.catalog, is_admin=identity.is_admin)
        visibility = self._database.rights.visible_to(query, identity, snapshot)
        made = plan(query, snapshot.catalog, visibility, dialect=snapshot.dialect)
        self._plans.pop(place, None)
        if identity.is_admin or getattr(made.visibility, "is_lasting", False):
            self._plans[place] = (made_from, made)
        return made

    def _remember(self, q: Query, data: dict[str, Any]) -> None:
        for etype, page in (data.get("page-info") or {}).items():
            order = q[etype]["$"].get("order", {"serverCreatedAt": "asc"})
            known = self.cursors.setdefault((etype, next(iter(order))), [])
            known.extend(cursor for cursor in (page["start-cursor"], page["end-cursor"]) if cursor)
            del known[:-20]
