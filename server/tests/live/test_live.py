"""Which commits refresh which queries, and which are not even looked at."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from support.live_stage import IDS
from trice import limits
from trice.errors import InvalidInput
from trice.identity import ADMIN
from trice.live.live_query import Question
from trice.live.planner import Prepared
from trice.store.engine import ReadTooLong


@pytest.mark.rule("L1")
async def test_equal_queries_share_one_run(stage):
    one = await stage.watch({"todos": {"$": {"limit": 5, "where": {"rank": 1}}}})
    two = await stage.watch({"todos": {"$": {"where": {"rank": 1}, "limit": 5}}})
    assert one.live is two.live
    counts = stage.live.counts
    runs = counts.rerun_query
    await stage.write(["update", "todos", "t1", {"rank": 1}])
    assert counts.rerun_query + counts.patched == runs + 1
    assert (one.told, two.told) == (1, 1)


UNTOUCHED = [
    ({"people": {}}, ["update", "todos", "t2", {"rank": 5}]),
    ({"todos": {"$": {"where": {"owner": "p1"}}}}, ["update", "todos", "t2", {"rank": 5}]),
    ({"todos": {"$": {"where": {"id": "t1"}}}}, ["update", "todos", "t2", {"title": "x"}]),
    ({"todos": {"$": {"where": {"rank": 3}}}}, ["update", "todos", "t2", {"title": "x"}]),
    (
        {"people": {"$": {"where": {"id": "p1"}}, "todos": {}}},
        ["update", "todos", "t2", {"title": "x"}],
    ),
]


@pytest.mark.rule("L2")
@pytest.mark.parametrize(("query", "step"), UNTOUCHED)
async def test_unrelated_commits_are_not_looked_at(stage, query, step):
    await stage.write(
        ["update", "people", "p1", {"name": "Ada"}],
        ["update", "todos", "t1", {"title": "a", "rank": 1}],
        ["link", "todos", "t1", {"owner": "p1"}],
        ["update", "todos", "t2", {"title": "b", "rank": 2}],
    )
    watched = await stage.watch(query)
    touched = stage.live.counts.touched
    await stage.write(step)
    assert (stage.live.counts.touched, watched.told) == (touched, 0)


@pytest.mark.rule("L3")
async def test_of_many_owners_only_the_written_one_is_touched(stage):
    people = [f"e9{number:06d}-0000-4000-8000-000000000000" for number in range(200)]
    await stage.write(*(["update", "people", p, {"name": "n"}] for p in people))
    all_watched = [
        await stage.watch({"todos": {"$": {"where": {"owner": person}}}}) for person in people
    ]
    touched = stage.live.counts.touched
    await stage.write(
        ["update", "todos", "t1", {"title": "a"}], ["link", "todos", "t1", {"owner": people[7]}]
    )
    assert stage.live.counts.touched == touched + 1
    assert [w.told for w in all_watched] == [int(n == 7) for n in range(200)]
    await stage.write(["link", "todos", "t1", {"owner": people[8]}])
    assert [w.told for w in all_watched] == [(n == 7) * 2 + (n == 8) for n in range(200)]
    assert all_watched[7].rows("todos") == []


REFRESHED = [
    pytest.param(
        {"todos": {}}, ["update", "todos", "t1", {"title": "z"}], marks=pytest.mark.rule("L4")
    ),
    pytest.param(
        {"todos": {"$": {"where": {"rank": {"$gt": 5}}}}},
        ["update", "todos", "t1", {"rank": 9}],
        marks=pytest.mark.rule("L5"),
    ),
    pytest.param(
        {"todos": {"$": {"where": {"rank": 1}}}},
        ["update", "todos", "t1", {"rank": 9}],
        marks=pytest.mark.rule("L5"),
    ),
    pytest.param(
        {"todos": {"$": {"where": {"owner": "p1", "rank": 7}}}},
        ["update", "todos", "t1", {"rank": 7}],
        marks=pytest.mark.rule("L5"),
    ),
    pytest.param(
        {"todos": {"$": {"where": {"owner.name": "Bob"}}}},
        ["update", "people", "p1", {"name": "Bob"}],
        marks=pytest.mark.rule("L5"),
    ),
    pytest.param(
        {"todos": {"$": {"where": {"tags": {"$isNull": True}}}}},
        ["unlink", "todos", "t1", {"tags": "g1"}],
        marks=pytest.mark.rule("L5"),
    ),
    pytest.param(
        {"todos": {"tags": {}}},
        ["link", "todos", "t1", {"tags": "g2"}],
        marks=pytest.mark.rule("L6"),
    ),
    pytest.param(
        {"tags": {"todos": {}}},
        ["unlink", "todos", "t1", {"tags": "g1"}],
        marks=pytest.mark.rule("L6"),
    ),
    pytest.param(
        {"people": {"todos": {}}},
        ["link", "people", "p2", {"todos": "t1"}],
        marks=pytest.mark.rule("L6"),
    ),
    pytest.param(
        {"todos": {"owner": {}}},
        ["link", "todos", "t2", {"owner": "p2"}],
        marks=pytest.mark.rule("L6"),
    ),
    pytest.param(
        {"todos": {"owner": {}}},
        ["update", "people", "p1", {"name": "Z"}],
        marks=pytest.mark.rule("L7"),
    ),
    pytest.param({"todos": {"tags": {}}}, ["delete", "tags", "g1"], marks=pytest.mark.rule("L7")),
    pytest.param(
        {"people": {"$": {"where": {"id": "p1"}}, "todos": {"$": {"where": {"rank": 8}}}}},
        ["update", "todos", "t1", {"rank": 8}],
        marks=pytest.mark.rule("L7"),
    ),
    pytest.param(
        {"todos": {"$": {"order": {"rank": "desc"}, "limit": 1}}},
        ["update", "todos", "t3", {"rank": 99}],
        marks=pytest.mark.rule("L8"),
    ),
    pytest.param(
        {"todos": {"$": {"order": {"rank": "desc"}, "limit": 1}}},
        ["update", "todos", "t1", {"rank": 99}],
        marks=pytest.mark.rule("L8"),
    ),
    pytest.param(
        {"stars": {}}, ["update", "stars", "t1", {"size": 1}], marks=pytest.mark.rule("L9")
    ),
    pytest.param(
        {"todos": {"$": {"where": {"color": "red"}}}},
        ["update", "todos", "t1", {"color": "red"}],
        marks=pytest.mark.rule("L9"),
    ),
    pytest.param(
        {"todos": {"stars": {}}},
        ["link", "todos", "t1", {"stars": "g2"}],
        marks=pytest.mark.rule("L9"),
    ),
    pytest.param(
        {"todos": {}}, ["update", "todos", "t1", {"color": "red"}], marks=pytest.mark.rule("L9")
    ),
]


@pytest.mark.rule("L14")
@pytest.mark.parametrize(("query", "step"), REFRESHED)
async def test_commits_that_matter_refresh(stage, query, step):
    await stage.write(
        ["update", "people", "p1", {"name": "Ada"}],
        ["update", "people", "p2", {"name": "Eve"}],
        ["update", "tags", "g1", {"word": "red"}],
        ["update", "tags", "g2", {"word": "blue"}],
        ["update", "todos", "t1", {"title": "a", "rank": 1}],
        ["update", "todos", "t2", {"title": "b", "rank": 2}],
        ["link", "todos", "t1", {"owner": "p1", "tags": "g1"}],
    )
    if "stars" in str(step) and step[0] == "link":
        await stage.write(["update", "stars", "g2", {"size": 1}])
    watched = await stage.watch(query)
    before = watched.live.answer.result_json
    await stage.write(step)
    assert watched.told >= 1
    assert watched.live.answer.result_json != before
    fresh = await stage.watch({**query, "$$ruleParams": {"fresh": True}})
    assert watched.live.answer.result_json == fresh.live.answer.result_json
    assert watched.live.tx == stage.database.tx


@pytest.mark.rule("L10")
async def test_commits_that_arrive_together_run_a_query_once(stage):
    watched = await stage.watch({"todos": {}})
    runs = stage.live.counts.rerun_query
    writes = [
        stage.database.transact_admin(
            [["update", "todos", f"e{n:07d}-1111-4000-8000-000000000000", {"rank": n}]],
            identity=ADMIN,
        )
        for n in range(50)
    ]
    await asyncio.gather(*writes)
    await stage.live.settled()
    # The first write starts at once; the other 49 share the next commit.
    assert stage.live.counts.rerun_query - runs <= 3
    assert len(watched.rows("todos")) == 50


@pytest.mark.rule("L11")
async def test_the_last_watcher_takes_the_query_along(stage):
    one, two = await stage.watch({"todos": {}}), await stage.watch({"todos": {}})
    one.stop()
    await stage.write(["update", "todos", "t1", {"rank": 1}])
    assert (one.told, two.told) == (0, 1)
    two.stop()
    two.stop()
    assert len(stage.live) == 0
    runs, touched = stage.live.counts.rerun_query, stage.live.counts.touched
    await stage.write(["update", "todos", "t1", {"rank": 2}])
    assert (stage.live.counts.rerun_query, stage.live.counts.touched) == (runs, touched)


@pytest.mark.rule("L12")
@pytest.mark.parametrize("recent_changes", [100_000, 1])
async def test_long_runs_move_to_a_thread_and_miss_no_commit(
    open_stage, monkeypatch, recent_changes
):
    monkeypatch.setattr(limits, "LIVE_RECENT_CHANGES", recent_changes)
    stage = await open_stage()
    await stage.write(
        *(
            ["update", "todos", f"e{n:07d}-2222-4000-8000-000000000000", {"rank": n}]
            for n in range(3000)
        )
    )
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 2_000)
    query = {"todos": {"$": {"where": {"rank": {"$gte": 0}}}}}
    with pytest.raises(ReadTooLong):
        stage.live.watch_now(
            Question.of(query, identity=ADMIN, rights="admin", shape="tree"), lambda live: None
        )
    first, same = await asyncio.gather(stage.watch(query), stage.watch(query))
    assert first.live is same.live
    assert stage.live.counts.rerun_on_thread == 1
    for number in range(5):
        await stage.database.transact_admin(
            [["update", "todos", f"e{number:07d}-2222-4000-8000-000000000000", {"rank": -1}]],
            identity=ADMIN,
        )
    await stage.live.settled()
    assert len(first.rows("todos")) == 2995
    assert first.live.tx == stage.database.tx


@pytest.mark.rule("L13", "P16")
async def test_a_refresh_that_fails_is_told_and_recovers(stage, monkeypatch):
    watched = await stage.watch({"todos": {}})

    def broken(*_args):
        raise InvalidInput("validation-failed", "broken")

    with monkeypatch.context() as patch:
        patch.setattr(stage.live, "_patch", broken)
        await stage.write(["update", "todos", "t1", {"rank": 1}])
        assert watched.told == 1
        assert watched.live.error.message == "broken"
    await stage.write(["update", "todos", "t1", {"rank": 2}])
    assert (watched.told, watched.live.error) == (2, None)
    assert [row["rank"] for row in watched.rows("todos")] == [2]


@pytest.mark.rule("L15")
async def test_an_answer_asked_after_an_acknowledged_write_shows_it(stage):
    others = await stage.watch({"todos": {}})
    question = others.live.question
    steps = [["update", "todos", IDS["t1"], {"rank": 1}]]
    write = asyncio.ensure_future(stage.database.transact_admin(steps, identity=ADMIN))
    seen = []

    def ask(_):
        # Right after the acknowledgement, before any refresh had its turn.
        live = stage.database.watch_now(Prepared(question), lambda live: None)
        seen.append((live.tx, len(orjson.loads(live.answer.result_json)["todos"])))

    write.add_done_callback(ask)
    tx = await write
    await stage.live.settled()
    assert seen == [(tx, 1)]
    assert others.told == 1


@pytest.mark.rule("L15")
async def test_a_long_answer_asked_after_an_acknowledged_write_shows_it(stage, monkeypatch):
    await stage.write(
        *(
            ["update", "todos", f"e{n:07d}-2222-4000-8000-000000000000", {"rank": n}]
            for n in range(3000)
        )
    )
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 2_000)
    query = {"todos": {}}
    watched = [asyncio.ensure_future(stage.watch(query))]
    await asyncio.sleep(0)
    for number in range(3):
        steps = [["update", "todos", f"e{number:07d}-3333-4000-8000-000000000000", {"rank": 0}]]
        await stage.database.transact_admin(steps, identity=ADMIN)
        one = await stage.watch(query)
        assert len(one.rows("todos")) >= 3001 + number
    await asyncio.gather(*watched)


@pytest.mark.rule("L15")
async def test_who_asks_the_moment_a_long_run_ends_behind_a_write_is_answered(stage, monkeypatch):
    await stage.write(
        *(
            ["update", "todos", f"e{n:07d}-2222-4000-8000-000000000000", {"rank": n}]
            for n in range(20_000)
        )
    )
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 2_000)
    query, asked = {"todos": {}}, []
    first = asyncio.ensure_future(stage.watch(query))
    await asyncio.sleep(0)
    steps = [["update", "todos", IDS["t1"], {"rank": 1}]]
    write = asyncio.ensure_future(stage.database.transact_admin(steps, identity=ADMIN))
    while not (first.done() and write.done()):
        asked.append(asyncio.ensure_future(stage.watch(query)))
        await asyncio.sleep(0)
    for one in await asyncio.gather(*asked[-20:]):
        assert len(one.rows("todos")) == 20_001
