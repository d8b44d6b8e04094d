"""What is patched in memory, what is read again, and how much: statements and runs are counted.

A little over 500 lines, one file because all of it counts in the same way.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import apsw
import orjson
import pytest

from support.live_stage import IDS
from support.statements import reads, statements_of
from trice import limits
from trice.identity import ADMIN, Identity
from trice.protocol.ids import EntityId
from trice.query import encode
from trice.rules.document import Rules

T1, T2, T3, P1, P2, G1, G2 = (IDS[name] for name in ("t1", "t2", "t3", "p1", "p2", "g1", "g2"))
NEW = "e8000000-0000-4000-8000-000000000000"
COUNTERS = ("patched", "rerun_node", "rerun_query", "rerun_on_thread", "changed", "silent")

BASE = [
    ["update", "people", "p1", {"name": "Ada"}],
    ["update", "people", "p2", {"name": "Eve"}],
    ["update", "tags", "g1", {"word": "red"}],
    ["update", "tags", "g2", {"word": "blue"}],
    ["update", "todos", "t1", {"title": "a", "rank": 1}],
    ["update", "todos", "t2", {"title": "b", "rank": 2}],
    ["update", "todos", "t3", {"title": "c", "rank": 3}],
    ["link", "todos", "t1", {"owner": "p1", "tags": "g1"}],
    ["link", "todos", "t2", {"owner": "p2"}],
    ["link", "todos", "t3", {"owner": "p2"}],
]


@dataclass
class Cost:
    """What one write cost the live queries."""

    statements: int
    patched: int
    rerun_node: int
    rerun_query: int
    rerun_on_thread: int
    changed: int
    silent: int


async def cost_of(stage, *steps):
    """Write and count."""
    reader, counts = stage.database.engine._reader, stage.live.counts
    before = [getattr(counts, name) for name in COUNTERS]
    with statements_of(reader) as statements:
        await stage.write(*steps)
    spent = [getattr(counts, name) - old for name, old in zip(COUNTERS, before, strict=True)]
    return Cost(len(reads(statements)), *spent)


async def check_fresh(stage, watched, query, number=0):
    """The answer equals that of a run of its own, triples in any order."""
    shape = watched.live.question.shape
    fresh = await stage.watch({**query, "$$ruleParams": {"fresh": number}}, shape=shape)
    assert comparable(watched) == comparable(fresh)
    fresh.stop()


def comparable(watched):
    result = orjson.loads(watched.live.answer.result_json)
    if watched.live.question.shape != "flat":
        return result, watched.live.answer.meta_json
    data = result[0]["data"]
    (rows,) = data.pop("datalog-result")["join-rows"]
    return sorted(map(orjson.dumps, rows)), data


CHAT_DOWN = {"todos": {"$": {"order": {"rank": "desc"}, "limit": 2}}}
CHAT_UP = {"todos": {"$": {"order": {"rank": "asc"}, "first": 5}}}
LATEST = {"todos": {"$": {"order": {"serverCreatedAt": "desc"}, "limit": 2}}}
LAST = {"todos": {"$": {"last": 2}}}
BOARD = {"people": {"todos": {}}}
FEED = {"todos": {"$": {"order": {"rank": "desc"}, "limit": 3}, "owner": {}}}
TAGGED = {"todos": {"tags": {}}}
OPEN = {"todos": {"$": {"where": {"rank": {"$lt": 3}}}}}
MINE = {"todos": {"$": {"where": {"owner": "p2", "title": {"$in": ["b", "c", "n"]}}}}}

L20 = pytest.mark.rule("L20")
L21 = pytest.mark.rule("L21")
L22 = pytest.mark.rule("L22")
L23 = pytest.mark.rule("L23")
L24 = pytest.mark.rule("L24")
L25 = pytest.mark.rule("L25")
PATCHED = {
    "new message, newest first": (CHAT_DOWN, [["update", "todos", NEW, {"rank": 9}]], L20),
    "new message, oldest first": (CHAT_UP, [["update", "todos", NEW, {"rank": 9}]], L20),
    "new message, by time": (LATEST, [["update", "todos", NEW, {"rank": 0}]], L20),
    "new message, at the end": (LAST, [["update", "todos", NEW, {"rank": 0}]], L20),
    "beyond a full page": (
        {"todos": {"$": {"order": {"rank": "asc"}, "limit": 3}}},
        [["update", "todos", NEW, {"rank": 9}]],
        L20,
    ),
    "moved within a page": (CHAT_DOWN, [["update", "todos", "t2", {"rank": 8}]], L20),
    "moved into a page": (CHAT_DOWN, [["update", "todos", "t1", {"rank": 8}]], L20),
    "message of an author at hand": (
        FEED,
        [["update", "todos", NEW, {"rank": 9}], ["link", "todos", NEW, {"owner": "p2"}]],
        L20,
    ),
    "title edited": ({"todos": {}}, [["update", "todos", "t1", {"title": "z"}]], L21),
    "title edited on a page": (CHAT_DOWN, [["update", "todos", "t3", {"title": "z"}]], L21),
    "author renamed": (FEED, [["update", "people", "p2", {"name": "Z"}]], L21),
    "title edited beside a condition on a path": (
        {"todos": {"$": {"where": {"owner.name": "Ada"}}}},
        [["update", "todos", "t1", {"title": "z"}]],
        L21,
    ),
    "todo done": (OPEN, [["update", "todos", "t2", {"rank": 5}]], L22),
    "todo open again": (OPEN, [["update", "todos", "t3", {"rank": 0}]], L22),
    "todo made": (OPEN, [["update", "todos", NEW, {"rank": 1}]], L22),
    "todo counted": (
        {"todos": {"$": {"aggregate": "count", "where": {"rank": {"$gt": 1}}}}},
        [["update", "todos", "t1", {"rank": 5}]],
        L22,
    ),
    "own todo made": (
        MINE,
        [["update", "todos", NEW, {"title": "n"}], ["link", "todos", NEW, {"owner": "p2"}]],
        L22,
    ),
    "card moved": (BOARD, [["link", "todos", "t1", {"owner": "p2"}]], L23),
    "card taken off the board": (BOARD, [["unlink", "todos", "t1", {"owner": "p1"}]], L23),
    "card made": (
        BOARD,
        [["update", "todos", NEW, {"title": "n"}], ["link", "todos", NEW, {"owner": "p1"}]],
        L23,
    ),
    "another author at hand": (FEED, [["link", "todos", "t2", {"owner": "p1"}]], L23),
    "tag removed two levels down": (
        {"tags": {"$": {"where": {"word": "red"}}, "todos": {"tags": {}}}},
        [["unlink", "todos", "t1", {"tags": "g1"}]],
        L24,
    ),
    "tag removed": (TAGGED, [["unlink", "todos", "t1", {"tags": "g1"}]], L24),
    "todo deleted": ({"todos": {}}, [["delete", "todos", "t1"]], L25),
    "card deleted": (BOARD, [["delete", "todos", "t1"]], L25),
    "column deleted": (BOARD, [["delete", "people", "p2"]], L25),
    "tag deleted": (TAGGED, [["delete", "tags", "g1"]], L25),
    "todo deleted from a page that shows all": (CHAT_UP, [["delete", "todos", "t2"]], L25),
}


@pytest.mark.parametrize("shape", ["flat", "tree-one"])
@pytest.mark.parametrize(
    ("query", "steps"),
    [pytest.param(*case[:2], marks=case[2], id=name) for name, case in PATCHED.items()],
)
async def test_common_changes_run_no_statement(stage, query, steps, shape):
    await stage.write(*BASE)
    stage.runtime.advance(5)
    watched = await stage.watch(query, shape=shape)
    cost = await cost_of(stage, *steps)
    assert cost == Cost(0, 1, 0, 0, 0, 1, 0), cost
    assert watched.told == 1
    await check_fresh(stage, watched, query)


@pytest.mark.rule("L24")
async def test_a_link_between_shown_entities_is_added_without_a_statement(stage):
    await stage.write(*BASE, ["link", "todos", "t2", {"tags": "g2"}])
    watched = await stage.watch(TAGGED, shape="flat")
    assert await cost_of(stage, ["link", "todos", "t3", {"tags": "g2"}]) == Cost(
        0, 1, 0, 0, 0, 1, 0
    )
    await check_fresh(stage, watched, TAGGED)
    # Of an entity that is not at hand, its level reads the links of one todo.
    await stage.write(["unlink", "todos", "t1", {"tags": "g1"}])
    cost = await cost_of(stage, ["link", "todos", "t2", {"tags": "g1"}])
    assert (cost.patched, cost.rerun_node, cost.rerun_query) == (1, 1, 0)
    await check_fresh(stage, watched, TAGGED, 1)


SILENT = {
    "a field that is not asked for": (
        {"todos": {"$": {"fields": ["title"]}}},
        [["update", "todos", "t1", {"rank": 7}]],
    ),
    "a message below the page": (LATEST, [["update", "todos", "t1", {"rank": 7}]]),
    "a row that stays outside of the filter": (OPEN, [["update", "todos", "t3", {"rank": 7}]]),
    "a link that leads back to where it led": (
        {"todos": {"$": {"fields": ["title"]}}},
        [["link", "todos", "t1", {"owner": "p2"}]],
    ),
}


@pytest.mark.rule("L26")
@pytest.mark.parametrize("name", SILENT)
async def test_what_shows_nothing_is_silent(stage, name):
    query, steps = SILENT[name]
    await stage.write(*BASE[:4], BASE[7])
    stage.runtime.advance(5)
    await stage.write(*BASE)
    watched = await stage.watch(query)
    answer = watched.live.answer
    cost = await cost_of(stage, *steps)
    assert (cost.statements, cost.rerun_query, cost.changed, watched.told) == (0, 0, 0, 0)
    assert watched.live.answer is answer
    await check_fresh(stage, watched, query)


@pytest.mark.rule("L27")
async def test_a_row_that_leaves_a_full_page_reads_that_level_alone(stage):
    query = {"todos": {"$": {"limit": 2}}, "people": {}}
    await stage.write(*BASE)
    watched = await stage.watch(query)
    cost = await cost_of(stage, ["delete", "todos", "t1"])
    # The page, and whether the snapshot is that of the published transaction.
    assert cost == Cost(2, 1, 1, 0, 0, 1, 0)
    await check_fresh(stage, watched, query)


@pytest.mark.rule("L27")
async def test_a_level_is_not_read_from_a_snapshot_that_is_ahead(stage, tmp_path):
    query = {"todos": {"$": {"limit": 2}}}
    await stage.write(*BASE)
    watched = await stage.watch(query)
    another = apsw.Connection(str(tmp_path / "app.db"))
    another.execute("UPDATE _tx SET id = 1000000 WHERE id = 1")
    another.close()
    cost = await cost_of(stage, ["delete", "todos", "t1"])
    assert (cost.patched, cost.rerun_query, cost.changed) == (0, 1, 1)
    await check_fresh(stage, watched, query)


@pytest.mark.rule("L28")
async def test_a_query_run_again_keeps_its_plan_while_the_attrs_stay(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "LIVE_PATCH_ROWS_MAX", -1)
    planned = []
    stage = await open_stage()
    await stage.write(*BASE)
    planner = stage.database._planner
    original = planner.plan

    def counted(*given, **options):
        planned.append(1)
        return original(*given, **options)

    monkeypatch.setattr(planner, "plan", counted)
    watched = await stage.watch({"todos": {}})
    for number, (steps, plans) in enumerate(
        (
            ([["update", "todos", "t1", {"rank": 5}]], 1),
            ([["update", "todos", "t1", {"rank": 6}]], 1),
            ([["update", "todos", "t1", {"color": "red"}]], 2),
            ([["update", "todos", "t1", {"color": "blue"}]], 2),
        )
    ):
        cost = await cost_of(stage, *steps)
        assert (cost.rerun_query, cost.patched, len(planned)) == (1, 0, plans)
        await check_fresh(stage, watched, {"todos": {}}, number)
        planned.pop()  # of the fresh run


@pytest.mark.rule("L29")
async def test_large_answers_are_run_whole(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "LIVE_PATCH_ROWS_MAX", 3)
    stage = await open_stage()
    await stage.write(*BASE)
    watched = await stage.watch({"todos": {}})
    assert (await cost_of(stage, ["update", "todos", "t1", {"rank": 5}])).patched == 1
    cost = await cost_of(stage, ["update", "todos", NEW, {"rank": 5}])
    assert (cost.patched, watched.live.kept.tree) == (1, None)
    cost = await cost_of(stage, ["update", "todos", "t1", {"rank": 7}])
    assert (cost.patched, cost.rerun_query) == (0, 1)
    await check_fresh(stage, watched, {"todos": {}})


@pytest.mark.rule("L94")
async def test_an_answer_that_fell_far_behind_is_run_again_with_its_plan(open_stage, monkeypatch):
    stage = await open_stage()
    await stage.write(*BASE)
    query = {"todos": {"$": {"where": {"rank": {"$gt": 0}}}}}
    watched = await stage.watch(query)
    most = limits.LIVE_PATCH_CHANGES_A_MS
    made = [["update", "todos", f"e8{n:06d}" + NEW[8:], {"rank": 1}] for n in range(most + 1)]
    cost = await cost_of(stage, *made[:-1])
    assert (cost.patched, cost.rerun_query) == (1, 0)
    await check_fresh(stage, watched, query)
    planner, planned = stage.database._planner, []
    monkeypatch.setattr(planner, "plan", lambda *_, **__: planned.append(1))
    cost = await cost_of(stage, *([*step[:3], {"rank": 2}] for step in made))
    assert (cost.patched, cost.rerun_query, planned) == (0, 1, [])
    monkeypatch.undo()
    await check_fresh(stage, watched, query, 1)
    # A run that takes longer is worth more changes.
    watched.live.kept.run_ms = 2
    cost = await cost_of(stage, *([*step[:3], {"rank": 3}] for step in made))
    assert (cost.patched, cost.rerun_query) == (1, 0)
    await check_fresh(stage, watched, query, 2)


@pytest.mark.rule("L30")
async def test_what_left_an_answer_does_not_stay_in_its_read_set(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "LIVE_GROWN_MAX", 8)
    stage = await open_stage()
    await stage.write(*BASE)
    watched = await stage.watch(LATEST)
    for number in range(40):
        stage.runtime.advance(1)
        entity = f"e8{number:06d}-0000-4000-8000-000000000000"
        cost = await cost_of(stage, ["update", "todos", entity, {"rank": 1}])
        assert (cost.statements, cost.patched) == (0, 1)
    index = stage.live._subscriptions
    assert len(index._by_entity) <= 2 + 2 + 8
    watched.stop()
    assert not index._by_entity and not index._grown and not index._by_attr


@pytest.mark.rule("L31")
async def test_commits_between_the_first_that_matters_and_the_refresh_count_too(stage):
    await stage.write(*BASE)
    query = {"todos": {"$": {"where": {"title": "n"}}}}
    watched = await stage.watch(query)
    # The second touches nothing the answer was made from: before the first, it shows no row.
    writes = [["update", "todos", NEW, {"title": "n"}], ["update", "todos", NEW, {"rank": 4}]]
    await asyncio.gather(
        *(stage.database.transact_admin([step], identity=ADMIN) for step in writes)
    )
    await stage.live.settled()
    assert [row["rank"] for row in watched.rows("todos")] == [4]


@pytest.mark.rule("L31")
async def test_commits_of_one_group_count_as_one_change(stage):
    query = {"todos": {"$": {"aggregate": "count", "where": {"rank": {"$gt": 1}}}}}
    await stage.write(*BASE)
    watched = await stage.watch(query)
    # The first starts at once; the others share the next COMMIT.
    writes = [
        ["update", "people", "p1", {"name": "Z"}],
        ["update", "todos", "t1", {"rank": 5}],
        ["update", "todos", "t1", {"title": "z"}],
    ]
    await asyncio.gather(*(stage.write(step) for step in writes))
    assert stage.live.counts.patched == 1
    await check_fresh(stage, watched, query)


@pytest.mark.rule("L20")
async def test_a_page_behind_a_cursor_learns_of_rows_before_it(stage):
    await stage.write(*BASE)
    first = await stage.watch({"todos": {"$": {"order": {"rank": "asc"}, "limit": 1}}})
    cursor = orjson.loads(first.live.answer.meta_json)["page-info"]["todos"]["start-cursor"]
    first.stop()
    paging = {"order": {"rank": "asc"}, "limit": 1, "after": cursor, "afterInclusive": True}
    query = {"todos": {"$": paging}}
    watched = await stage.watch(query)
    cost = await cost_of(stage, ["update", "todos", NEW, {"rank": 0}])
    assert (cost.statements, cost.patched, cost.changed) == (0, 1, 1)
    await check_fresh(stage, watched, query)
    # Whether others are before it, once that one has gone, only the database knows.
    cost = await cost_of(stage, ["delete", "todos", NEW])
    assert (cost.patched, cost.rerun_node) == (1, 1)
    await check_fresh(stage, watched, query, 1)


@pytest.mark.rule("L27")
async def test_proofs_leave_with_the_rows_they_prove(stage):
    query = {
        "people": {
            "$": {"where": {"name": "Ada"}},
            "todos": {"$": {"where": {"tags.word": "red"}}},
        }
    }
    await stage.write(*BASE)
    watched = await stage.watch(query, shape="flat")
    assert b"red" in watched.live.answer.result_json
    cost = await cost_of(stage, ["update", "people", "p1", {"name": "Z"}])
    assert (cost.patched, cost.rerun_node, cost.rerun_query) == (1, 1, 0)
    assert b"red" not in watched.live.answer.result_json
    await check_fresh(stage, watched, query)


RULES = {
    "todos": {
        "allow": {"view": "isOwner || auth.role == 'boss'"},
        "bind": {"isOwner": "auth.id != null && data.owner == auth.id"},
    },
    "$users": {"allow": {"view": "true"}},
}
JUDGED = {"todos": {"allow": {"view": "size(data.title) < 5"}}}


async def watch_as(stage, user, query):
    identity = Identity("user", EntityId(bytes.fromhex(user.replace("-", ""))))
    told = []
    question = stage.database.question(query, identity=identity, shape="tree")
    live = await stage.database.watch(question, told.append)
    return live, told, question


def stop(stage, live):
    for watcher in tuple(live.watchers):
        stage.database.unwatch(live, watcher)


def titles(live):
    return sorted(row["title"] for row in orjson.loads(live.answer.result_json)["todos"])


@pytest.mark.rule("L32")
async def test_rules_on_own_fields_are_patched_and_others_are_not_guessed(stage):
    await stage.write(*BASE)
    stage.database.set_rules(Rules.parse(RULES))
    live, told, _ = await watch_as(stage, P1, {"todos": {}})
    assert titles(live) == ["a"]
    cost = await cost_of(stage, ["link", "todos", "t2", {"owner": "p1"}])
    assert (cost.statements, cost.patched, len(told)) == (0, 1, 1)
    assert titles(live) == ["a", "b"]
    cost = await cost_of(stage, ["link", "todos", "t1", {"owner": "p2"}])
    assert (cost.statements, cost.patched) == (0, 1) and titles(live) == ["b"]
    stop(stage, live)
    stage.database.set_rules(Rules.parse(JUDGED))
    live, _, _ = await watch_as(stage, P1, {"todos": {}})
    cost = await cost_of(stage, ["update", "todos", "t2", {"title": "too long"}])
    assert (cost.patched, cost.rerun_query) == (0, 1) and titles(live) == ["a", "c"]


@pytest.mark.rule("L48")
async def test_a_run_in_another_order_than_the_patches_before_it_is_silent(stage):
    await stage.write(*BASE)
    watched = await stage.watch({"todos": {}}, shape="flat")
    cost = await cost_of(stage, ["delete", "todos", "t1"])
    assert (cost.patched, watched.told) == (1, 1)
    patched, _ = watched.answer()
    field = {"valueType": "json", "required": False, "config": {"indexed": False}}
    before = stage.live.counts.silent
    await stage.database.add_schema(
        {"entities": {"todos": {"attrs": {"more": field}}}, "links": {}}
    )
    await stage.live.settled()
    assert watched.answer()[0] != patched, "it was not run, or in the same order"
    assert (stage.live.counts.silent - before, watched.told) == (1, 1)


MASKED = {
    "todos": {
        "allow": {"view": "true"},
        "fields": {"title": "data.rank != 2", "rank": "data.rank != null && data.rank < 5"},
    }
}


@pytest.mark.rule("L33")
@pytest.mark.parametrize(
    "options",
    [{}, {"where": {"title": {"$not": "q"}}}, {"order": {"title": "asc"}, "limit": 5}],
)
async def test_fields_that_the_entitys_own_cells_hide_and_show_are_patched(stage, options):
    query = {"todos": {"$": options}}
    await stage.write(*BASE)
    stage.database.set_rules(Rules.parse(MASKED))
    live, told, question = await watch_as(stage, P1, query)
    for changed, seen in (
        ({"rank": 2}, {}),
        ({"title": "z"}, {}),
        ({"rank": 9}, {"title": "z"}),
    ):
        before = len(told)
        cost = await cost_of(stage, ["update", "todos", "t1", changed])
        assert (cost.statements, cost.patched) == (0, 1)
        assert len(told) - before == (0 if changed == {"title": "z"} else 1)
        rows = orjson.loads(live.answer.result_json)["todos"]
        shown = next(row for row in rows if row["id"] == T1)
        assert {key: shown[key] for key in shown if key == "title"} == seen
        assert ("rank" in shown) == (changed != {"rank": 9})
        assert {"todos": rows} == orjson.loads(
            await stage.database.query_nested(query, identity=question.identity)
        )


@pytest.mark.rule("L32")
async def test_a_caller_whose_own_row_changes_is_judged_anew(stage):
    await stage.write(*BASE)
    await stage.write(["update", "$users", "p1", {"email": "a@x.test", "role": "none"}])
    stage.database.set_rules(Rules.parse(RULES))
    live, _, _ = await watch_as(stage, P1, {"todos": {}})
    assert titles(live) == ["a"]
    await stage.write(["update", "$users", "p1", {"role": "boss"}])
    assert titles(live) == ["a", "b", "c"]
    await stage.write(["update", "$users", "p1", {"role": "none"}])
    assert titles(live) == ["a"]


@pytest.mark.rule("L32")
async def test_rules_that_change_leave_nothing_patched_under_the_old_ones(stage):
    await stage.write(*BASE)
    stage.database.set_rules(Rules.parse({"todos": {"allow": {"view": "data.rank < 3"}}}))
    live, told, question = await watch_as(stage, P1, {"todos": {}})
    assert titles(live) == ["a", "b"]
    stage.database.set_rules(Rules.parse({"todos": {"allow": {"view": "data.rank < 2"}}}))
    assert live.answer is None
    await stage.write(["update", "todos", "t1", {"title": "z"}])
    assert live.is_outdated and told
    assert stage.database.question({"todos": {}}, identity=question.identity, shape="tree") != (
        question
    )


@pytest.mark.interpreted("a function of ours is replaced")
@pytest.mark.rule("L35")
async def test_of_an_answer_only_what_changed_is_encoded(open_stage, monkeypatch):
    encoded = []
    original = encode.encode_row

    def noting(row, projection):
        encoded.append(row[0])
        return original(row, projection)

    monkeypatch.setattr(encode, "encode_row", noting)
    stage = await open_stage()
    await stage.write(*BASE)
    one = await stage.watch({"todos": {}}, shape="flat")
    again = {"todos": {}, "$$ruleParams": {"other": True}}
    other = await stage.watch(again, shape="flat")
    assert sorted(encoded) == sorted(bytes.fromhex(t.replace("-", "")) for t in (T1, T2, T3))
    encoded.clear()
    await stage.write(["update", "todos", "t2", {"title": "z"}])
    assert encoded == [bytes.fromhex(T2.replace("-", ""))]
    assert comparable(one) == comparable(other)
