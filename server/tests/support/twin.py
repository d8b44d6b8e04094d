"""An engine and the naive model side by side: the same steps and queries, the same outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from model.client import evaluate
from model.query import Answer, run
from model.state import Model
from model.transact import Rejected, transact
from support.engines import open_database
from support.queries import Cursors, is_exact_on_clients
from support.runtime import FakeRuntime
from support.world import Step, World
from trice.database import Database
from trice.errors import TriceError
from trice.identity import ADMIN
from trice.rules.document import Rules


class Twin:
    """One app twice.

    Holds the engine, the model and the cursors seen so far. Every method asserts agreement.
    """

    def __init__(self, world: World, db: Database, runtime: FakeRuntime) -> None:
        self.world = world
        self.db = db
        self.runtime = runtime
        self.model = Model()
        self.cursors: Cursors = {}

    @staticmethod
    async def open(world: World, path: Path) -> Twin:
        runtime = FakeRuntime()
        database = await open_database(path, runtime=runtime, rules=Rules.parse(None))
        return Twin(world, database, runtime)

    # --- transactions ----------------------------------------------------------------------

    async def transact(self, steps: list[Step]) -> bool:
        """Run on both; return whether it was accepted."""
        self.runtime.now += 1
        code = None
        try:
            await self.db.transact(steps, identity=ADMIN)
        except TriceError as failure:
            code = failure.code
        created = {} if code else await self._created_through_lookups(steps)
        story = f"seed {self.world.seed}: {orjson.dumps(steps).decode()}"
        try:
            model = transact(
                self.model,
                steps,
                now_ms=self.runtime.now,
                new_id=lambda attr_id, value: created.get((attr_id, value), "nobody"),
            )
        except Rejected as refusal:
            assert code in refusal.codes, f"engine {code or 'accepts'}, model {refusal}; {story}"
            return False
        assert code is None, f"engine {code}, model accepts; {story}"
        self.model = model
        return True

    async def _created_through_lookups(self, steps: list[Step]) -> dict[tuple[str, Any], str]:
        """The ids that the engine made for entities of lookups; the model takes them over."""
        created: dict[tuple[str, Any], str] = {}
        for step in steps:
            if len(step) > 2 and isinstance(step[1], list):
                attr_id, value = step[1]
                _, etype, label = self.world.attrs[attr_id]["forward-identity"]
                query = {etype: {"$": {"where": {label: value}}}}
                rows = (orjson.loads(await self.db.query_nested(query, identity=ADMIN)))[etype]
                if rows:
                    created[attr_id, value] = rows[0]["id"]
        return created

    async def check_state(self) -> None:
        """Every visible triple of the engine is the model's, and inferred types agree."""
        query: dict[str, Any] = {
            etype: {label: {} for label, _, is_forward, _ in self.world.links(etype) if is_forward}
            for etype in self.world.etypes
        }
        flat = await self.flat(query)
        found = [t for row in flat[0]["data"]["datalog-result"]["join-rows"] for t in row]
        story = f"seed {self.world.seed}"
        assert sorted(map(_key, found)) == sorted(map(_key, self._visible())), story
        for attr in self.db.catalog.wire():
            known = self.model.attrs.get(attr["id"])
            if known is not None and known["value-type"] == "blob":
                seen = set(attr["inferred-types"] or ())
                assert seen == set(known["inferred-types"] or ()), f"{story}: {attr}"

    def _visible(self) -> list[list[Any]]:
        triples = [
            triple
            for entity, etype in self.model.created
            for triple in self.model.own_triples(entity, etype)
        ]
        for (attr_id, source, target), time in self.model.many.items():
            attr = self.model.attrs[attr_id]
            if self.model.exists(source, attr["forward-identity"][1]) and self.model.exists(
                target, attr["reverse-identity"][1]
            ):
                triples.append([source, attr_id, target, time])
        return triples

    async def flat(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """The engine's answer as triples."""
        answer = await self.db.query_flat(query, identity=ADMIN)
        result: list[dict[str, Any]] = orjson.loads(answer.result_json)
        return result

    # --- queries ---------------------------------------------------------------------------

    async def query(self, query: dict[str, Any]) -> Answer:
        """Ask both: for the tree, and for what a client makes of the flat result and page info."""
        story = f"seed {self.world.seed}: {orjson.dumps(query).decode()}"
        answer = run(self.model, query)
        tree = orjson.loads(await self.db.query_nested(query, identity=ADMIN))
        assert _key(tree) == _key(answer.tree), story
        flat = await self.flat(query)
        pages = flat[0]["data"].get("page-info") or {}
        assert _key(pages) == _key(answer.pages), story
        if is_exact_on_clients(self.world, query):
            shown = evaluate(flat, self.db.catalog.wire(), query)
            assert _key(shown) == _key(answer.tree), f"client; {story}"
        self._remember(query, answer)
        return answer

    def _remember(self, query: dict[str, Any], answer: Answer) -> None:
        for etype, page in answer.pages.items():
            order = query[etype]["$"].get("order", {"serverCreatedAt": "asc"})
            ends = [cursor for cursor in (page["start-cursor"], page["end-cursor"]) if cursor]
            self.cursors.setdefault((etype, next(iter(order))), []).extend(ends)


def _key(value: Any) -> str:
    """JSON text in which equal values are equal: keys sorted, whole numbers without a point."""

    def plain(item: Any) -> Any:
        if isinstance(item, float) and item.is_integer():
            return int(item)
        if isinstance(item, list):
            return [plain(one) for one in item]
        if isinstance(item, dict):
            return {key: plain(one) for key, one in item.items()}
        return item

    return orjson.dumps(plain(value), option=orjson.OPT_SORT_KEYS).decode()
