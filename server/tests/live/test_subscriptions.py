"""What a commit looks at, counted: of many queries the ones it concerns, and no others."""

from __future__ import annotations

import pytest

from support.live_stage import IDS
from trice import limits

MANY = 500
PAGES = 40
T1, T2, P1, P2, G1 = (IDS[name] for name in ("t1", "t2", "p1", "p2", "g1"))


def _id(number, kind="7"):
    return f"e{kind}{number:06d}-0000-4000-8000-000000000000"


def _attr(number, label, kind):
    def uuid(part):
        return f"{part}{number:06d}-0000-4000-8000-000000000000"

    return {
        "id": uuid("a7"),
        "forward-identity": [uuid("a8"), "todos", label],
        "value-type": "blob",
        "cardinality": "one",
        "unique?": False,
        "index?": True,
        "checked-data-type": kind,
    }


@pytest.fixture(autouse=True)
def list_at_once(monkeypatch):
    """What left an answer leaves its read set with the same refresh."""
    monkeypatch.setattr(limits, "LIVE_GROWN_MAX", -1)


class Many:
    """Queries watched at once, and which of them a transaction concerned."""

    def __init__(self, stage):
        self.stage = stage
        self.watched = []

    async def watch(self, queries):
        self.watched = [await self.stage.watch(query) for query in queries]

    async def told(self, *steps):
        """Who was told; the index found them and looked at no others, before and after."""
        told = [one.told for one in self.watched]
        counts = self.stage.live.counts
        touched, looked_at = counts.touched, counts.looked_at
        await self.stage.write(*steps)
        found = [n for n, one in enumerate(self.watched) if one.told > told[n]]
        assert counts.touched - touched == len(found)
        assert counts.looked_at - looked_at <= 2 * len(found)
        return found


def where(**conditions):
    return {"todos": {"$": {"where": {k.replace("__", "."): v for k, v in conditions.items()}}}}


def day(number):
    return f"20{number // 28 // 12:02d}-{number // 28 % 12 + 1:02d}-{number % 28 + 1:02d}"


STRETCHES = {
    "numbers with two ends": (
        "rank",
        lambda n: {"$gt": 10 * n, "$lte": 10 * n + 10},
        [(80, [7]), (80.5, [7, 8]), (90, [8]), (-1, [8]), (None, []), (10 * MANY, [MANY - 1])],
    ),
    "numbers above": (
        "rank",
        lambda n: {"$gt": n},
        [(3, [0, 1, 2]), (2, [0, 1, 2]), (0.5, [0, 1]), (None, [0])],
    ),
    "numbers below": (
        "rank",
        lambda n: {"$lte": -n},
        [(-3, [0, 1, 2, 3]), (-2.5, [0, 1, 2, 3]), (0, [0, 1, 2]), (None, [0]), (1, [])],
    ),
    "dates by instant": (
        "due",
        lambda n: {"$gte": day(n), "$lt": day(n + 1)},
        [
            (f"{day(7)}T12:00:00Z", [7]),
            (f"{day(8)}T00:30:00+01:00", [7]),
            (f"{day(8)}T00:30:00Z", [7, 8]),
            (None, [8]),
        ],
    ),
    "texts by code point": (
        "title",
        lambda n: {"$gte": chr(200 + 2 * n), "$lt": chr(202 + 2 * n)},
        [(chr(214), [7]), (f"{chr(215)}z", [7]), (chr(216), [7, 8]), ("Z", [8])],
    ),
    "texts by their beginning": (
        "title",
        lambda n: {"$like": f"k{n:03d}%"},
        [("k007", [7]), ("k007 more", [7]), ("k008", [7, 8]), ("K008", [8]), ("k", [])],
    ),
    "whole texts": (
        "title",
        lambda n: {"$like": f"k{n:03d}"},
        [("k007", [7]), ("k008", [7, 8]), ("k", [8])],
    ),
}


@pytest.mark.rule("L70")
@pytest.mark.parametrize("name", STRETCHES)
async def test_of_many_stretches_those_that_hold_the_value_are_looked_at(stage, name):
    label, condition, writes = STRETCHES[name]
    await stage.write_low([["add-attr", _attr(1, "due", "date")]])
    many = Many(stage)
    await many.watch([where(**{label: condition(n)}) for n in range(MANY)])
    for value, concerned in writes:
        assert await many.told(["update", "todos", T1, {label: value}]) == concerned


VALUES = {
    "ids": (lambda n: {"id": _id(n)}, [({"rank": 5}, _id(7), [7]), ({"rank": 6}, T1, [])]),
    "ids by their beginning": (
        lambda n: {"$entityIdStartsWith": _id(n)[:9]},
        [({"rank": 5}, _id(7), [7]), ({"rank": 6}, T1, []), ({"rank": 7}, _id(MANY), [])],
    ),
    "lists": (
        lambda n: {"rank": {"$in": [n, n + 1]}},
        [
            ({"rank": 8}, T1, [7, 8]),
            ({"rank": 10}, T1, [7, 8, 9, 10]),
            ({"title": "x"}, T1, [9, 10]),
        ],
    ),
    "dates": (
        lambda n: {"due": day(n)},
        [
            ({"due": f"{day(7)}T00:00:00Z"}, T1, [7]),
            ({"due": f"{day(8)}T01:00:00+01:00"}, T1, [7, 8]),
        ],
    ),
    "or": (
        lambda n: {"or": [{"title": f"k{n}"}, {"rank": {"$gt": n, "$lt": n + 1}}]},
        [({"title": "k7"}, T1, [7]), ({"rank": 9.5}, T1, [7, 9]), ({"title": "k8"}, T1, [7, 8, 9])],
    ),
    "null, and one value": (
        lambda n: {"rank": {"$in": [n, None]}} if n else {"title": {"$isNull": True}},
        [({"title": "x", "rank": 5}, T1, [5]), ({"rank": 6}, T1, [5, 6])],
    ),
}


@pytest.mark.rule("L71")
@pytest.mark.parametrize("name", VALUES)
async def test_of_many_values_those_before_and_after_are_looked_at(stage, name):
    conditions, writes = VALUES[name]
    await stage.write_low([["add-attr", _attr(1, "due", "date")]])
    many = Many(stage)
    await many.watch([where(**conditions(n)) for n in range(MANY)])
    for values, entity, concerned in writes:
        assert await many.told(["update", "todos", entity, values]) == concerned


async def fill_ranks(stage, count):
    await stage.write(*(["update", "todos", _id(n), {"rank": n}] for n in range(count)))


@pytest.mark.rule("L72")
@pytest.mark.parametrize("way", ("limit", "last"))
async def test_pages_are_touched_up_to_the_first_row_beyond(stage, way):
    """Page n shows the ranks below n, or the last of them in falling order; n is the row beyond."""
    direction = "asc" if way == "limit" else "desc"
    await fill_ranks(stage, PAGES + 10)
    many = Many(stage)
    order = {"order": {"rank": direction}}
    await many.watch([{"todos": {"$": {**order, way: n + 1}}} for n in range(PAGES)])
    counts = stage.live.counts

    async def touched(*steps):
        before = counts.touched
        await stage.write(*steps)
        return counts.touched - before

    def beyond(rank):
        return sum(n + 1 >= rank for n in range(PAGES))

    assert await touched(["update", "todos", T1, {"rank": 1000}]) == 0
    assert await touched(["update", "todos", T1, {"rank": 900}]) == 0
    assert await touched(["delete", "todos", _id(PAGES + 9)]) == 0
    assert await touched(["update", "todos", T1, {"title": "x"}]) == 0
    assert await touched(["update", "todos", _id(PAGES), {"rank": PAGES - 0.5}]) == 1
    assert await touched(["update", "todos", T2, {"rank": 30.5}]) == beyond(30.5)
    assert await touched(["update", "todos", T2, {"rank": None}]) == PAGES


@pytest.mark.rule("L72")
@pytest.mark.parametrize("shape", ("asc", "desc", "offset", "created"))
async def test_the_first_row_beyond_a_page_counts_and_then_the_next(open_stage, shape, monkeypatch):
    # Nothing but the changed boundary has the read set listed anew.
    monkeypatch.setattr(limits, "LIVE_GROWN_MAX", 256)
    options = {
        "asc": {"order": {"rank": "asc"}, "limit": 3},
        "desc": {"order": {"rank": "desc"}, "limit": 3},
        "offset": {"order": {"rank": "asc"}, "offset": 1, "limit": 2},
        "created": {"limit": 3},
    }[shape]
    stage = await open_stage()
    for n in range(5):
        stage.runtime.advance(1)
        await stage.write(["update", "todos", _id(n), {"rank": n}])
    watched = await stage.watch({"todos": {"$": options}}, shape="flat")
    for n in (1, 0) if shape == "desc" else (3, 4):
        assert b'"has-next-page?":true' in watched.live.answer.result_json
        await stage.write(["delete", "todos", _id(n)])
    assert b'"has-next-page?":false' in watched.live.answer.result_json and watched.told == 1


@pytest.mark.rule("L73")
async def test_a_page_that_fills_up_stops_to_be_touched_by_what_is_behind(stage):
    many = Many(stage)
    await many.watch([{"todos": {"$": {"order": {"rank": "asc"}, "limit": 2}}}])
    for rank, concerned in (
        (5, [0]),
        (6, [0]),
        (7, [0]),
        (8, []),
        (9, []),
        (1, [0]),
        (6.5, []),
    ):
        entity = _id(int(rank * 10))
        assert await many.told(["update", "todos", entity, {"rank": rank}]) == concerned
    assert [row["rank"] for row in many.watched[0].rows("todos")] == [1, 5]


@pytest.mark.rule("L79")
async def test_the_index_follows_rows_pushed_out_of_a_page(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "LIVE_GROWN_MAX", 8)
    stage = await open_stage()
    await fill_ranks(stage, 4)
    watched = await stage.watch({"todos": {"$": {"order": {"rank": "desc"}, "limit": 2}}})
    counts = stage.live.counts
    for n in range(4, 13):
        await stage.write(["update", "todos", _id(n), {"rank": n}])
    touched = counts.touched
    for n in range(1, 10):
        await stage.write(["update", "todos", _id(n), {"rank": n - 0.5}])
        await stage.write(["update", "todos", _id(50 + n), {"rank": n}])
    assert counts.touched == touched, "all before the first row beyond and those shown"
    await stage.write(["update", "todos", _id(10), {"rank": 0}])
    assert counts.touched == touched + 1
    watched.stop()
    assert not stage.live._subscriptions._by_span


@pytest.mark.rule("L74")
async def test_of_many_ends_of_a_link_the_linked_one_is_looked_at(stage):
    many = Many(stage)
    await many.watch(
        [
            query
            for n in range(MANY // 2)
            for query in (where(tags=_id(n)), {"people": {"$": {"where": {"todos": _id(n)}}}})
        ]
    )
    await stage.write(
        ["update", "todos", _id(7), {"rank": 1}], ["update", "people", P1, {"name": "Ada"}]
    )
    assert await many.told(["link", "todos", _id(7), {"tags": _id(9)}]) == [18]
    assert await many.told(["unlink", "todos", _id(7), {"tags": _id(9)}]) == [18]
    assert await many.told(["link", "todos", _id(7), {"owner": P1}]) == [15]


@pytest.mark.rule("L74")
async def test_of_many_ends_behind_a_path_the_linked_one_is_looked_at(stage):
    await stage.write(["update", "todos", T1, {"rank": 1}], ["link", "todos", T1, {"owner": P1}])
    await stage.write(["update", "people", P1, {"name": "Ada"}])
    many = Many(stage)
    await many.watch([{"people": {"$": {"where": {"todos.tags": _id(n)}}}} for n in range(MANY)])
    assert await many.told(["link", "todos", T1, {"tags": _id(9)}]) == [9]


@pytest.mark.rule("L75")
async def test_below_a_link_only_what_is_linked_or_passes_is_looked_at(stage):
    count = MANY // 5
    for n in range(count):
        await stage.write(
            ["update", "people", _id(n, "6"), {"name": "Ada"}],
            ["update", "tags", _id(n, "5"), {"word": "none"}],
            ["update", "todos", _id(n), {"rank": n}],
        )
        await stage.write(["link", "todos", _id(n), {"owner": _id(n, "6"), "tags": _id(n, "5")}])
    many = Many(stage)

    def below(n, label, condition):
        return {"todos": {"$": {"where": {"id": _id(n)}}, label: {"$": {"where": condition}}}}

    await many.watch(
        [
            *(below(n, "owner", {"name": {"$not": "Eve"}}) for n in range(count)),
            *(below(n, "tags", {"word": f"w{n}"}) for n in range(count)),
        ]
    )
    assert await many.told(["update", "people", _id(7, "6"), {"name": "Eve"}]) == [7]
    assert await many.told(["update", "people", _id(7, "6"), {"name": "Ada"}]) == [7]
    assert await many.told(["update", "people", P1, {"name": "Eve"}]) == []
    assert await many.told(["update", "tags", _id(7, "5"), {"word": "w7"}]) == [count + 7]
    assert await many.told(["update", "tags", _id(8, "5"), {"word": "w"}]) == []


@pytest.mark.rule("L76")
@pytest.mark.parametrize(
    ("conditions", "values", "looked_at"),
    [
        (lambda n: {"rank": {"$gt": 0}, "owner": _id(n, "6")}, {"rank": 5}, 0),
        (lambda n: {"rank": {"$gt": 0}, "title": f"k{n}"}, {"rank": 5, "title": "k7"}, 1),
        (
            lambda n: {"title": {"$gt": "a"}, "rank": {"$gt": n, "$lt": n + 2}},
            {"rank": 5, "title": "b"},
            1,
        ),
        (lambda n: {"title": {"$isNull": False}, "rank": {"$gt": n}}, {"rank": 3, "title": "b"}, 3),
        (lambda n: {"title": {"$isNull": True}, "rank": {"$gt": n}}, {"rank": 3}, 3),
    ],
)
async def test_the_condition_that_lets_through_least_is_looked_up(
    stage, conditions, values, looked_at
):
    for n in range(100):
        await stage.watch(where(**conditions(n)))
    before = stage.live.counts.looked_at
    await stage.write(["update", "todos", T1, values])
    assert stage.live.counts.looked_at - before == looked_at


@pytest.mark.rule("L77")
async def test_of_many_conditions_on_linked_entities_those_that_pass_are_looked_at(stage):
    await stage.write(
        ["update", "people", P1, {"name": "n1"}], ["update", "todos", T1, {"rank": 1}]
    )
    await stage.write(["link", "todos", T1, {"owner": P1}])
    many = Many(stage)
    await many.watch([where(owner__name=f"n{n}") for n in range(MANY)])
    assert await many.told(["update", "people", P1, {"name": "n7"}]) == [1, 7]
    assert await many.told(["update", "people", P1, {"name": "n8"}]) == [7, 8]
    counts = stage.live.counts
    touched = counts.touched
    await stage.write(["update", "people", P2, {"name": "nobody"}])
    assert counts.touched == touched
    absent = await stage.watch(where(owner__name={"$not": "n8"}))
    assert absent.rows("todos") == []
    touched = counts.touched
    await stage.write(["update", "people", P2, {"name": "n9"}])
    assert counts.touched == touched + 2, "the one on n9, and the one that any may concern"
