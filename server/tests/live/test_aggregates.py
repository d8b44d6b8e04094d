"""Totals carried forward: which commits cost a statement, which a run, and which nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from support.live_stage import IDS
from support.statements import reads, statements_of
from trice import limits
from trice.errors import TriceError
from trice.identity import ADMIN, Identity
from trice.live.aggregates import Aggregates, keep
from trice.live.answers import Answer, Encoded
from trice.live.recent import RecentCommits
from trice.metrics import LiveCounts
from trice.protocol.ids import EntityId
from trice.query.encode import nested_result
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.rules.document import Rules
from trice.store.commit import Commit

ADA = "e3000000-0000-4000-8000-000000000001"
EVERYTHING = {
    "count": True,
    "sum": "rank",
    "avg": "rank",
    "min": ["rank", "title"],
    "max": ["rank", "title"],
}


def recent_of(commits: Sequence[Commit]) -> RecentCommits:
    recent = RecentCommits()
    for commit in commits:
        recent.add(commit)
    return recent


def shown(encoded: Encoded | None) -> bytes | None:
    return None if encoded is None else encoded.answer.result_json


def asking(where: Any = None, **asked: Any) -> dict[str, Any]:
    options = {"aggregate": asked, **({"where": where} if where else {})}
    return {"todos": {"$": options}}


class Cost:
    """What happened since it was made: (patched, statements run again, whole runs)."""

    def __init__(self, stage: Any) -> None:
        self._counts = stage.live.counts
        self._before = self._now()

    def _now(self) -> tuple[int, int, int]:
        counts = self._counts
        return counts.patched, counts.rerun_node, counts.rerun_query + counts.rerun_on_thread

    def spent(self) -> tuple[int, int, int]:
        patched, nodes, queries = (
            now - before for now, before in zip(self._now(), self._before, strict=True)
        )
        return patched, nodes, queries


PATCHED = (1, 0, 0)
NODE = (0, 1, 0)
QUERY = (0, 0, 1)
UNTOUCHED = (0, 0, 0)


async def watch(stage: Any, query: Any, identity: Identity = ADMIN) -> Any:
    """Watch as `identity`; returns a function that tells the answer."""
    question = stage.database.question(query, identity=identity, shape="tree")
    live = await stage.database.watch(question, lambda _: None)

    def answer() -> Any:
        assert live.answer is not None
        return orjson.loads(live.answer.result_json)["todos"]

    return answer


async def fill(stage: Any) -> None:
    await stage.write(
        ["update", "people", "p1", {"name": "Ada"}],
        ["update", "people", "p2", {"name": "Bob"}],
        ["update", "todos", "t1", {"title": "b", "rank": 1}],
        ["update", "todos", "t2", {"title": "a", "rank": 5}],
        ["update", "todos", "t3", {"title": "aa", "rank": 2.5}],
        ["link", "todos", "t1", {"owner": "p1"}],
    )


@pytest.mark.rule("L60")
@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (["update", "todos", "g1", {"rank": 3}], {"count": 4, "sum": {"rank": 11.5}}),
        (["update", "todos", "t3", {"rank": 4}], {"count": 3, "sum": {"rank": 10}}),
        (["update", "todos", "t3", {"rank": None}], {"count": 3, "sum": {"rank": 6}}),
        (["delete", "todos", "t3"], {"count": 2, "sum": {"rank": 6}}),
        (["update", "todos", "t1", {"rank": -7}], {"count": 3, "sum": {"rank": 0.5}}),
    ],
)
async def test_a_commit_is_counted_without_a_statement(stage, step, wanted):
    await fill(stage)
    answer = await watch(stage, asking(**EVERYTHING))
    cost = Cost(stage)
    reads = []
    read_now = stage.database.engine.read_now
    stage.database.engine.read_now = lambda work: reads.append(work) or read_now(work)
    await stage.write(step)
    assert (cost.spent(), reads) == (PATCHED, [])
    assert wanted.items() <= answer().items()


@pytest.mark.rule("L60")
@pytest.mark.parametrize(
    ("where", "step", "count"),
    [
        ({"rank": {"$gt": 2}}, ["update", "todos", "t1", {"rank": 3}], 3),
        ({"rank": {"$gt": 2}}, ["update", "todos", "t2", {"rank": 0}], 1),
        ({"title": {"$in": ["a", "x"]}}, ["update", "todos", "t1", {"title": "x"}], 2),
        ({"title": {"$not": "a"}}, ["update", "todos", "t2", {"title": None}], 3),
        ({"owner": "p1"}, ["link", "todos", "t2", {"owner": "p1"}], 2),
        ({"owner": {"$isNull": True}}, ["unlink", "todos", "t1", {"owner": "p1"}], 3),
        ({"or": [{"rank": 1}, {"title": "a"}]}, ["delete", "todos", "t1"], 1),
        ({"title": {"$like": "_"}}, ["update", "todos", "t2", {"title": "like"}], 1),
        ({"title": {"$ilike": "A%"}}, ["update", "todos", "t1", {"title": "Ab"}], 3),
        ({"id": {"$in": ["t1", "g1"]}}, ["update", "todos", "g1", {"rank": 3}], 2),
    ],
)
async def test_rows_enter_and_leave_conditions_on_their_own_columns(stage, where, step, count):
    await fill(stage)
    watched = await stage.watch(asking(where, count=True))
    cost = Cost(stage)
    await stage.write(step)
    assert cost.spent() == PATCHED
    assert watched.told == 1
    assert orjson.loads(watched.answer()[0]) == {"todos": {"count": count}}
    assert orjson.loads(watched.answer()[1]) == {"aggregate": {"todos": {"count": count}}}


@pytest.mark.rule("L60")
async def test_groups_appear_move_and_vanish(stage):
    await fill(stage)
    answer = await watch(stage, asking(count=True, sum="rank", groupBy="owner"))
    cost = Cost(stage)
    await stage.write(["link", "todos", "t2", {"owner": "p2"}])
    await stage.write(["unlink", "todos", "t1", {"owner": "p1"}])
    assert cost.spent() == (2, 0, 0)
    assert answer() == {
        "groups": [
            {"key": None, "count": 2, "sum": {"rank": 3.5}},
            {"key": IDS["p2"], "count": 1, "sum": {"rank": 5}},
        ]
    }


@pytest.mark.rule("L61")
@pytest.mark.parametrize(
    ("step", "cost", "low", "high"),
    [
        (["update", "todos", "t1", {"rank": 9}], NODE, 2.5, 9),
        (["delete", "todos", "t2"], NODE, 1, 2.5),
        (["update", "todos", "t1", {"title": "z"}], UNTOUCHED, 1, 5),
        (["update", "todos", "t1", {"rank": 0}], PATCHED, 0, 5),
        (["update", "todos", "t2", {"rank": 6}], PATCHED, 1, 6),
        (["delete", "todos", "t3"], PATCHED, 1, 5),
    ],
)
async def test_the_statement_runs_again_only_when_an_extreme_leaves(stage, step, cost, low, high):
    await fill(stage)
    answer = await watch(stage, asking(min="rank", max="rank", groupBy="nowhere"))
    spent = Cost(stage)
    await stage.write(step)
    assert spent.spent() == cost
    assert answer() == {"groups": [{"key": None, "min": {"rank": low}, "max": {"rank": high}}]}


@pytest.mark.rule("L61")
async def test_conditions_on_linked_entities_cost_one_statement(stage):
    await fill(stage)
    answer = await watch(stage, asking({"owner.name": "Ada"}, count=True, sum="rank"))
    cost = Cost(stage)
    with statements_of(stage.database.engine._reader) as statements:
        await stage.write(["update", "people", "p1", {"name": "Eve"}])
    assert cost.spent() == NODE
    assert answer() == {"count": 0, "sum": {"rank": 0}}
    newest, totals = reads(statements)
    assert newest == "SELECT max(id) FROM _tx"
    assert totals.startswith("SELECT NULL, count(*)")


@pytest.mark.rule("L66")
async def test_other_values_and_other_namespaces_do_not_touch_it(stage):
    await fill(stage)
    answer = await watch(stage, asking({"owner": IDS["p1"]}, count=True, sum="rank"))
    before = stage.live.counts.touched
    await stage.write(["update", "todos", "t1", {"title": "z"}])
    await stage.write(["update", "todos", "t2", {"rank": 50}])
    await stage.write(["update", "people", "p1", {"name": "z"}])
    assert stage.live.counts.touched == before
    assert answer() == {"count": 1, "sum": {"rank": 1}}


USER = Identity("user", EntityId(bytes.fromhex(ADA.replace("-", ""))))


async def rule(stage: Any, view: str, **fields: str) -> None:
    document = {"todos": {"allow": {"view": view}, "fields": fields}}
    stage.database.set_rules(Rules.parse(document))
    await stage.live.settled()


@pytest.mark.rule("L60", "Q123")
async def test_rules_on_the_row_itself_are_judged_on_the_commit(stage):
    await fill(stage)
    await rule(
        stage,
        "data.title == auth.id || data.title == 'b'",
        rank="data.rank != null && data.rank < 4",
    )
    answer = await watch(stage, asking(**EVERYTHING), USER)
    assert answer()["count"] == 1
    cost = Cost(stage)
    await stage.write(["update", "todos", "t2", {"title": ADA}])
    assert (answer()["count"], answer()["sum"]) == (2, {"rank": 1})
    await stage.write(["update", "todos", "t2", {"rank": 3}])
    assert (answer()["count"], answer()["sum"]) == (2, {"rank": 4})
    # Hidden before and after: not even looked at.
    await stage.write(["update", "todos", "t3", {"rank": 3}])
    assert cost.spent() == (2, 0, 0)
    assert answer() == {
        "count": 2,
        "sum": {"rank": 4},
        "avg": {"rank": 2},
        "min": {"rank": 1, "title": "b"},
        "max": {"rank": 3, "title": ADA},
    }


@pytest.mark.rule("L63")
async def test_what_rules_are_made_from_has_the_query_run_anew(stage):
    await fill(stage)
    await stage.write(["update", "$users", ADA, {"email": "a@x"}])
    await rule(stage, "auth.email == 'a@x' || data.title == 'b'")
    answer = await watch(stage, asking(count=True), USER)
    assert answer() == {"count": 3}
    cost = Cost(stage)
    await stage.write(["update", "$users", ADA, {"email": "b@x"}])
    assert (answer(), cost.spent()) == ({"count": 1}, QUERY)
    cost = Cost(stage)
    await stage.write(["update", "todos", "t2", {"title": "b"}])
    assert (answer(), cost.spent()) == ({"count": 2}, PATCHED)


@pytest.mark.rule("L63")
@pytest.mark.parametrize(
    "view",
    [
        "request.time > timestamp('2000-01-01T00:00:00Z') && data.rank != 7",
        "size(data.ref('owner.name')) < 5",
    ],
)
async def test_rules_on_the_time_or_judged_in_python_are_run(stage, view):
    await fill(stage)
    await rule(stage, view)
    answer = await watch(stage, asking(count=True), USER)
    cost = Cost(stage)
    await stage.write(["update", "todos", "g1", {"rank": 1}])
    assert (answer(), cost.spent()) == ({"count": 4}, QUERY)


@pytest.mark.rule("L63")
async def test_a_changed_attr_has_the_query_run_anew(stage):
    await fill(stage)
    answer = await watch(stage, asking(sum="minutes"))
    cost = Cost(stage)
    await stage.write(["update", "todos", "t1", {"minutes": 4}])
    assert (answer(), cost.spent()) == ({"sum": {"minutes": 4}}, QUERY)
    cost = Cost(stage)
    await stage.write(["update", "todos", "t2", {"minutes": 5}])
    assert (answer(), cost.spent()) == ({"sum": {"minutes": 9}}, PATCHED)


@pytest.mark.rule("L64")
async def test_commits_during_a_run_on_a_thread_count_once(stage, monkeypatch):
    await stage.write(
        *(
            ["update", "todos", f"e{n:07d}-2222-4000-8000-000000000000", {"rank": n}]
            for n in range(2000)
        )
    )
    with monkeypatch.context() as patch:
        patch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
        waiting = asyncio.ensure_future(watch(stage, asking(count=True, sum="rank")))
        for n in range(20):
            await stage.write(["update", "todos", "t1", {"rank": n}])
        answer = await waiting
        await stage.live.settled()
    assert stage.live.counts.rerun_on_thread >= 1
    assert answer() == {"count": 2001, "sum": {"rank": 1999 * 1000 + 19}}
    cost = Cost(stage)
    await stage.write(["update", "todos", "t1", {"rank": 0}])
    assert (answer(), cost.spent()) == ({"count": 2001, "sum": {"rank": 1999 * 1000}}, PATCHED)


@pytest.mark.rule("L64")
async def test_a_commit_that_the_snapshot_already_held_counts_once(stage):
    commits: list[Commit] = []
    engine = stage.database.engine
    engine.on_commits(commits.extend)
    await fill(stage)
    await stage.write(["update", "todos", "g1", {"rank": 10}])
    kept_totals: Aggregates[str] = Aggregates(LiveCounts())

    def encoded(tree):
        return Encoded(Answer(orjson.dumps(nested_result(tree, is_inferring=False)), b""), None)

    def work(snapshot):
        query = parse(asking(count=True), snapshot.catalog, is_admin=True)
        tree = run(plan(query, snapshot.catalog, dialect=snapshot.dialect), snapshot)
        return keep(tree, snapshot.newest_tx(), encoded)

    # As if the last commit were durable, and in the snapshot, but not published yet.
    kept_totals.adopt("q", engine.read_now(work), recent_of(commits[:-1]), engine.tx - 1)
    kept_totals.note(["q"], commits[-1])
    assert shown(kept_totals.refresh("q", engine)) == b'{"todos":{"count":4}}'


@pytest.mark.rule("L64")
@pytest.mark.parametrize("is_gap", [False, True])
async def test_commits_published_during_a_run_count_unless_one_is_forgotten(stage, is_gap):
    commits: list[Commit] = []
    engine = stage.database.engine
    await fill(stage)
    kept_totals: Aggregates[str] = Aggregates(LiveCounts())

    def encoded(tree):
        return Encoded(Answer(orjson.dumps(nested_result(tree, is_inferring=False)), b""), None)

    def work(snapshot):
        query = parse(asking(count=True), snapshot.catalog, is_admin=True)
        tree = run(plan(query, snapshot.catalog, dialect=snapshot.dialect), snapshot)
        return keep(tree, snapshot.newest_tx(), encoded)

    kept = engine.read_now(work)
    engine.on_commits(commits.extend)
    for name in ("g1", "g2"):
        await stage.write(["update", "todos", name, {"rank": 10}])
    recent = commits[1:] if is_gap else commits
    kept_totals.adopt("q", kept, recent_of(recent), engine.tx)
    found = kept_totals.refresh("q", engine)
    assert shown(found) == (None if is_gap else b'{"todos":{"count":5}}')


@pytest.mark.rule("L65")
async def test_large_commits_and_too_many_groups_are_run_again(stage, monkeypatch):
    await fill(stage)
    answer = await watch(stage, asking(count=True, groupBy="rank"))
    monkeypatch.setattr(limits, "LIVE_TOTALS_CHANGES_MAX", 2)
    cost = Cost(stage)
    await stage.write(*(["update", "todos", name, {"rank": 8}] for name in ("t1", "t2", "t3")))
    assert (answer(), cost.spent()) == ({"groups": [{"key": 8, "count": 3}]}, QUERY)
    await stage.write(["update", "todos", "t1", {"rank": 9}])
    assert cost.spent() == (1, 0, 1)
    monkeypatch.setattr(limits, "LIVE_TOTALS_GROUPS_MAX", 2)
    other = await watch(stage, asking(count=True, groupBy="title"))
    cost = Cost(stage)
    await stage.write(["update", "todos", "t2", {"rank": 9}])
    assert cost.spent() == QUERY, "the totals of the first gave way"
    assert len(other()["groups"]) == 3


@pytest.mark.rule("Q121", "L13")
async def test_a_group_too_many_is_told_and_recovers(stage, monkeypatch):
    await fill(stage)
    monkeypatch.setattr(limits, "AGGREGATE_GROUPS_MAX", 3)
    watched = await stage.watch(asking(count=True, groupBy="rank"))
    await stage.write(["update", "todos", "g1", {"rank": 77}])
    assert isinstance(watched.live.error, TriceError)
    assert watched.live.error.code == "parameter-limit-exceeded"
    await stage.write(["delete", "todos", "g1"])
    assert watched.live.error is None
    assert len(orjson.loads(watched.answer()[0])["todos"]["groups"]) == 3


@pytest.mark.rule("L11")
async def test_the_last_watcher_takes_the_totals_along(stage):
    await fill(stage)
    watched = await stage.watch(asking(count=True))
    assert len(stage.live._aggregates) == 1
    watched.stop()
    assert len(stage.live._aggregates) == 0
