"""Live queries over a random world, of callers who may not see all of it, beside fresh runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from support.aggregates import random_aggregate
from support.engines import app_engine
from support.follower import FollowingEngine
from support.queries import Cursors, Query, cut_by_hand, random_query, with_cuts
from support.runtime import FakeRuntime
from support.visibilities import Eyes, random_eyes
from support.visible_stage import plain, triples
from support.world import Step, World, random_transaction, schema_steps, seed_steps
from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import InvalidInput, TriceError
from trice.identity import ADMIN
from trice.live.aggregates import keep
from trice.live.answers import Answer, Encoded, encode_tree
from trice.live.index.derive import read_set
from trice.live.live import Live
from trice.live.live_query import OF_FUNCTION, LiveQuery, Question
from trice.live.outcome import Run
from trice.query.ast import Scope, is_judged
from trice.query.encode import EntityCache
from trice.query.parse.forms import parse
from trice.query.plan import Plan, plan
from trice.query.run import run
from trice.query.tree import Tree
from trice.query.visibility import EVERYTHING, Depends, FixedVisibility, Visibility
from trice.store.commit import Commit
from trice.store.engine import Engine, Snapshot, WriteTx
from trice.transact.apply import apply
from trice.transact.parse import parse_steps

DrawQuery = Callable[[World, Cursors], Query]
DrawChange = Callable[[World], list[Step]]

SHAPES = ("flat", "flat", "tree", "tree-one")


@dataclass
class Asked:
    """One live query: the question, its caller, the shape, and how often its watcher was told."""

    query: Query
    eyes: Eyes | None
    question: Question
    live: LiveQuery | None = None
    told: int = 0
    shown: str = ""

    def hear(self, _: LiveQuery) -> None:
        self.told += 1


class LiveWorld:
    """An engine with live queries whose callers have random eyes.

    commits   made so far
    """

    def __init__(
        self,
        world: World,
        path: Path,
        draw_query: DrawQuery = random_query,
        *,
        following: FollowingEngine | None = None,
        shapes: Sequence[str] = SHAPES,
    ) -> None:
        """
        following   the engine, if it is not the one that writes
        shapes      of the questions; those of functions have nested limits
        """
        self.shapes = shapes
        self.world = world
        self.draw_query = draw_query
        self.runtime = FakeRuntime()
        self.engine: Engine = following or app_engine(path, self.runtime)
        self.cache = EntityCache()
        self.live = Live(self.engine, self._evaluate, runtime=self.runtime, cache=self.cache)
        self.asked: list[Asked] = []
        self.commits = 0
        self._plans: dict[Question, Plan] = {}
        self._catalog = self.engine.catalog
        self.engine.on_commits(self._publish)

    def _publish(self, commits: Sequence[Commit]) -> None:
        self.commits += len(commits)
        for commit in commits:
            for change in commit.entities:
                self.cache.forget(change.etype, change.id)
        before, self._catalog = self._catalog, self.engine.catalog
        self.live.apply(commits, before)

    # --- asking ------------------------------------------------------------------------------

    def _evaluate(
        self, snapshot: Snapshot, question: Question, is_on_loop: bool, known: Plan | None
    ) -> Run:
        asked = next(one for one in self.asked if one.question == question)
        made = known or self._plan(snapshot, asked)
        tree = run(made, snapshot)
        encoded = encode_tree(tree, question.shape, self.cache if is_on_loop else EntityCache())
        tx = snapshot.newest_tx()
        kept = tree if _is_lasting(made.visibility) else None

        def encode(later: Tree) -> Encoded:
            return encode_tree(later, question.shape, self.cache)

        totals = None if kept is None else keep(kept, tx, encode)
        plan_tx = tx if known is None else snapshot.tx
        took_ms, parts = 1, encoded.parts
        return Run(encoded.answer, read_set(tree), kept, tx, plan_tx, took_ms, parts, totals)

    def _plan(self, snapshot: Snapshot, asked: Asked) -> Plan:
        """A plan for each catalog; it holds no state."""
        known = self._plans.get(asked.question)
        if known is None or known.catalog is not snapshot.catalog:
            known = self._plans[asked.question] = self._new_plan(snapshot, asked)
        return known

    def _new_plan(self, snapshot: Snapshot, asked: Asked) -> Plan:
        is_function = asked.question.shape == OF_FUNCTION
        query = parse(asked.query, snapshot.catalog, is_admin=True, is_function=is_function)
        eyes = asked.eyes
        visible = EVERYTHING if eyes is None else visibility(eyes, snapshot.catalog)
        return plan(query, snapshot.catalog, visible, dialect=snapshot.dialect)

    def fresh(self, asked: Asked) -> str:
        """The current answer by a whole run, in a comparable form; or that the query is invalid."""

        def work(snapshot: Snapshot) -> Tree:
            return run(self._plan(snapshot, asked), snapshot)

        try:
            tree = self.engine.read_now(work)
        except InvalidInput:
            return "invalid"
        return shown(encode_tree(tree, asked.question.shape, EntityCache()).answer, asked)

    def cut_by_hand(self, asked: Asked) -> str:
        """The current answer to a question of a function, made of one with all nested rows."""

        def work(snapshot: Snapshot) -> Tree:
            whole = replace(asked, question=replace(asked.question, asked=("tree-one", b"")))
            return run(self._new_plan(snapshot, whole), snapshot)

        answer = encode_tree(self.engine.read_now(work), OF_FUNCTION, EntityCache()).answer
        found = cut_by_hand(asked.query, orjson.loads(answer.result_json))
        return plain([found, orjson.loads(answer.meta_json)])

    async def ask(self, cursors: Cursors, eyes: Eyes | None) -> None:
        """Watch a random query, unless it is not accepted."""
        draw = self.world.random
        query = self.draw_query(self.world, cursors)
        kind = draw.random()
        if kind < 0.1:
            query = random_aggregate(self.world)
        elif kind < 0.2:
            etype = next(iter(query))
            where = query[etype].get("$", {}).get("where", {})
            query = {etype: {"$": {"aggregate": "count", "where": where}}}
        shape = draw.choice(self.shapes)
        if shape == OF_FUNCTION:
            query = with_cuts(self.world, query)
        # Equal questions with other eyes must not be shared.
        source = {**query, "$$ruleParams": {"number": len(self.asked)}}
        question = Question.of(source, identity=ADMIN, rights="x", shape=shape)
        asked = Asked(query, eyes, question)
        await self.watch(asked)

    async def watch(self, asked: Asked) -> None:
        """Watch this, unless it is not accepted."""
        self.asked.append(asked)
        try:
            asked.live = await self.live.watch(asked.question, asked.hear)
        except InvalidInput:
            self.asked.remove(asked)

    # --- writing -----------------------------------------------------------------------------

    async def transact(self, steps: list[Step]) -> None:
        """Apply steps, if they are accepted."""
        self.runtime.now += 1

        def work(tx: WriteTx) -> Commit:
            return apply(
                tx,
                parse_steps(steps, is_admin=True),
                is_admin=True,
                identity_name="admin",
                event_id=None,
                runtime=self.runtime,
            )

        try:
            await self.engine.write(work)
        except TriceError:
            return

    async def fill(self) -> None:
        await self.transact(schema_steps(self.world))
        await asyncio.gather(*map(self.transact, seed_steps(self.world)))

    async def close(self) -> None:
        await self.engine.close()
        await self.live.close()


def visibility(eyes: Eyes, catalog: Catalog) -> FixedVisibility:
    """The visibility of `eyes`; InvalidInput when an attr that they read is gone.

    It is made from names: after a change of any attr it must be made anew.
    """
    try:
        made = eyes.visibility(catalog)
    except AssertionError:
        raise InvalidInput("validation-failed", "no such attr") from None
    return replace(made, depends=Depends(etypes=frozenset(catalog.namespaces)))


def _is_lasting(visible: Visibility) -> bool:
    if visible is EVERYTHING:
        return True
    assert isinstance(visible, FixedVisibility)
    scopes: list[Scope] = [*visible.by_etype.values(), *visible.by_attr.values()]
    return not any(map(is_judged, scopes))


def shown(answer: Answer, asked: Asked) -> str:
    """An answer in a form that is equal for equal answers: the order of triples does not count."""
    result = orjson.loads(answer.result_json)
    if asked.question.shape != "flat":
        return plain([result, orjson.loads(answer.meta_json)])
    rest = {key: value for key, value in result[0]["data"].items() if key != "datalog-result"}
    return plain([sorted(map(plain, triples(result))), rest])


def schema_change(world: World) -> list[Step]:
    """Rename, index, hide or bring back a field; or add one."""
    draw = world.random
    etype = draw.choice(world.etypes)
    fields = world.fields(etype)
    kind = draw.choice(("rename", "index", "delete", "restore", "add"))
    if kind == "add" or not fields:
        label = f"more{world.new_uuid()[:4]}"
        attr = {
            "id": world.new_uuid(),
            "forward-identity": [world.new_uuid(), etype, label],
            "value-type": "blob",
            "cardinality": "one",
            "unique?": False,
            "index?": False,
            "required?": False,
        }
        world.attrs[attr["id"]] = attr
        return [["add-attr", attr]]
    attr = draw.choice(fields)
    match kind:
        case "rename":
            ident, _, label = attr["forward-identity"]
            new = label.removesuffix("x") if label.endswith("x") else f"{label}x"
            attr["forward-identity"] = [ident, etype, new]
            return [["update-attr", {"id": attr["id"], "forward-identity": [ident, etype, new]}]]
        case "index":
            return [["update-attr", {"id": attr["id"], "index?": draw.random() < 0.5}]]
        case kind:
            return [[f"{kind}-attr", attr["id"]]]


async def live_story(
    seed: int,
    world: World,
    path: Path,
    *,
    rounds: int,
    draw_query: DrawQuery = random_query,
    draw_change: DrawChange = random_transaction,
    shapes: Sequence[str] = SHAPES,
) -> Counter[str]:
    """Watch random queries of random eyes; after every round of commits each equals a fresh run.

    returns   how often each thing happened
    """
    stage = LiveWorld(world, path, draw_query, shapes=shapes)
    stage.live.start()
    steps_on_loop = limits.READ_STEPS_ON_LOOP
    draw = world.random
    cursors: Cursors = {}
    try:
        await stage.fill()
        stage.commits = 0
        for eyes in (None, None, random_eyes(world), random_eyes(world)):
            for _ in range(5):
                await stage.ask(cursors, eyes)
        for number in range(rounds):
            count = draw.choice((1, 1, 1, 2, 3, 5))
            if draw.random() < 0.1:
                # Runs of some thousand steps of SQLite go to a thread.
                limits.READ_STEPS_ON_LOOP = 1_000
            is_schema = draw.random() < 0.02
            writes = [
                asyncio.ensure_future(
                    stage.transact(schema_change(world) if is_schema else draw_change(world))
                )
                for _ in range(count)
            ]
            if draw.random() < 0.05:
                # Asked while a COMMIT is under way: the snapshot may contain unpublished commits.
                await asyncio.sleep(0)
                await stage.ask(cursors, None)
            await asyncio.gather(*writes)
            await stage.live.settled()
            limits.READ_STEPS_ON_LOOP = steps_on_loop
            compare(stage, seed, number)
            remember(stage, cursors)
    finally:
        limits.READ_STEPS_ON_LOOP = steps_on_loop
        await stage.close()
    counts = stage.live.counts
    return Counter(
        commits=stage.commits,
        patched=counts.patched,
        rerun_node=counts.rerun_node,
        rerun_query=counts.rerun_query,
        rerun_on_thread=counts.rerun_on_thread,
        silent=counts.silent,
    )


def compare(stage: LiveWorld, seed: int, number: int) -> None:
    for asked in stage.asked:
        assert asked.live is not None
        fresh = stage.fresh(asked)
        live = asked.live
        story = f"seed {seed}, round {number}: {asked.question.shape} {asked.query} of {asked.eyes}"
        if live.answer is None:
            assert live.error is not None and fresh == "invalid", story
            asked.shown = ""
            continue
        kept = shown(live.answer, asked)
        assert kept == fresh, story
        if asked.question.shape == OF_FUNCTION:
            assert kept == stage.cut_by_hand(asked), story
        assert asked.shown in ("", kept) or asked.told, f"not told; {story}"
        asked.shown, asked.told = kept, 0


def remember(stage: LiveWorld, cursors: Cursors) -> None:
    """Keep cursors of the current pages, for later pages."""
    for asked in stage.asked:
        if asked.question.shape != "flat" or asked.live is None or asked.live.answer is None:
            continue
        data = orjson.loads(asked.live.answer.result_json)[0]["data"]
        for etype, page in (data.get("page-info") or {}).items():
            order = asked.query[etype]["$"].get("order", {"serverCreatedAt": "asc"})
            ends = [cursor for cursor in (page["start-cursor"], page["end-cursor"]) if cursor]
            known = cursors.setdefault((etype, next(iter(order))), [])
            known.extend(ends)
            del known[:-20]
