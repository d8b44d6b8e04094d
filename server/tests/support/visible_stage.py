"""An engine and the naive model with the same data, asked by callers who may not see all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from model.state import Model
from model.transact import Rejected, transact
from support.apart import APART, judging_apart
from support.engines import app_engine
from support.flat_results import flat_result
from support.runtime import FakeRuntime
from support.visibilities import Eyes
from support.world import Step, World, schema_steps, seed_steps
from trice.query.encode import EntityCache
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.query.tree import Tree
from trice.store.commit import Commit
from trice.store.dialect import Dialect
from trice.store.engine import Counted, Snapshot, WriteTx
from trice.transact.apply import apply
from trice.transact.parse import parse_steps


class _Unhurried:
    """A snapshot whose budget is for statements only: long rules may be composed on the loop."""

    def __init__(self, snapshot: Snapshot, dialect: Dialect) -> None:
        self.dialect = dialect
        self.rows = snapshot.rows
        self.pieces = snapshot.pieces

    def spend(self, steps: int) -> None:
        """Spend nothing."""


class VisibleStage:
    """One app twice, and one cache of encoded entities for all callers."""

    def __init__(self, world: World, path: Path) -> None:
        self.world = world
        self.runtime = FakeRuntime()
        self.engine = app_engine(path, self.runtime)
        self.model = Model()
        self.cache = EntityCache()
        self.commits: list[Commit] = []
        self.engine.on_commits(self.commits.extend)

    async def transact(self, steps: list[Step]) -> None:
        """Apply on both, if both accept; other tests compare their refusals."""
        self.runtime.now += 1
        try:
            model = transact(self.model, steps, now_ms=self.runtime.now, new_id=lambda *_: "nobody")
        except Rejected:
            return
        if any(isinstance(step[1], list) for step in steps):
            return  # lookups make ids that the model does not know

        def work(tx: WriteTx) -> Commit:
            return apply(
                tx,
                parse_steps(steps, is_admin=True),
                is_admin=True,
                identity_name="admin",
                event_id=None,
                runtime=self.runtime,
            )

        await self.engine.write(work)
        self.model = model

    async def fill(self) -> None:
        await self.transact(schema_steps(self.world))
        for steps in seed_steps(self.world):
            await self.transact(steps)
        assert self.model.created

    def tree(self, query: Any, eyes: Eyes, *, is_apart: bool = False) -> Tree:
        """is_apart   rules in Python are judged beforehand, as by engines without Python inside"""

        def work(snapshot: Snapshot) -> Tree:
            parsed = parse(query, snapshot.catalog, is_admin=True)
            visibility = eyes.visibility(snapshot.catalog)
            dialect = APART if is_apart else snapshot.dialect
            made = plan(parsed, snapshot.catalog, visibility, dialect=dialect)
            statements: Counted = _Unhurried(snapshot, dialect)
            return run(made, judging_apart(statements) if is_apart else statements)

        return self.engine.read_now(work)

    def flat(self, tree: Tree) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = orjson.loads(flat_result(tree, self.cache))
        return result


def plain(value: Any) -> str:
    """JSON text in which equal values are equal: keys sorted, whole numbers without a point."""

    def whole(item: Any) -> Any:
        if isinstance(item, float) and item.is_integer():
            return int(item)
        if isinstance(item, list):
            return [whole(one) for one in item]
        if isinstance(item, dict):
            return {key: whole(one) for key, one in item.items()}
        return item

    return orjson.dumps(whole(value), option=orjson.OPT_SORT_KEYS).decode()


def triples(flat: list[dict[str, Any]]) -> list[Any]:
    return [one for row in flat[0]["data"]["datalog-result"]["join-rows"] for one in row]


def answer(stage: VisibleStage, tree: Tree) -> tuple[list[str], str]:
    """An answer without its order: the triples, and page info with aggregates."""
    flat = stage.flat(tree)
    rest = {key: value for key, value in flat[0]["data"].items() if key != "datalog-result"}
    return sorted(map(plain, triples(flat))), repr(rest)
