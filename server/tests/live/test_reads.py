"""Read sets, one shape at a time: after each commit the live answer equals a fresh run."""

from __future__ import annotations

import orjson
import pytest

from support.live_stage import IDS

T1, T2, T3, P1, P2, G1 = (IDS[name] for name in ("t1", "t2", "t3", "p1", "p2", "g1"))
MORE = {
    "id": "aa000000-0000-4000-8000-0000000000f1",
    "forward-identity": ["ab000000-0000-4000-8000-0000000000f1", "todos", "parent"],
    "reverse-identity": ["ab000000-0000-4000-8000-0000000000f2", "todos", "children"],
    "value-type": "ref",
    "cardinality": "one",
    "unique?": False,
    "index?": False,
}
EXTRA = {
    "id": "aa000000-0000-4000-8000-0000000000f3",
    "forward-identity": ["ab000000-0000-4000-8000-0000000000f3", "todos", "extra"],
    "value-type": "blob",
    "cardinality": "one",
    "unique?": False,
    "index?": False,
}


def _add(entity, etype, label, value):
    return ["add", entity, etype, label, value]


def _take(entity, etype, label, value):
    return ["take", entity, etype, label, value]


BASE = [
    *(_add(t, "todos", "id", t) for t in (T1, T2)),
    _add(T1, "todos", "title", "a"),
    _add(T1, "todos", "rank", 1),
    _add(T2, "todos", "title", "b"),
    _add(T2, "todos", "rank", 2),
    _add(P1, "people", "id", P1),
    _add(P1, "people", "name", "Ada"),
    _add(G1, "tags", "id", G1),
    _add(T1, "todos", "owner", P1),
    _add(T1, "todos", "tags", G1),
]

SHAPES = {
    "self link from the reverse side beside an equality": (
        {"todos": {"$": {"where": {"title": "a", "children": T2}}}},
        [[_add(T2, "todos", "parent", T1)], [_add(T2, "todos", "parent", T2)]],
    ),
    "no self link from the reverse side beside an equality": (
        {"todos": {"$": {"where": {"title": "a", "children": {"$isNull": True}}}}},
        [[_add(T2, "todos", "parent", T1)], [_take(T2, "todos", "parent", T1)]],
    ),
    "nested over a self link that is tested too": (
        {"people": {"todos": {"$": {"where": {"children": T2}}}}},
        [[_add(T2, "todos", "parent", T1)], [_take(T2, "todos", "parent", T1)]],
    ),
    "walk along a self link, both ways": (
        {"todos": {"$": {"where": {"children.title": "b"}}, "parent": {}, "children": {}}},
        [
            [_add(T2, "todos", "parent", T1)],
            [_add(T2, "todos", "title", "c")],
            [_add(T2, "todos", "title", "b")],
            [["delete", T2, "todos"]],
        ],
    ),
    "id triple renewed: the entity moves to the end of the pages": (
        {"todos": {"$": {"where": {"rank": {"$in": [1, 2]}}, "limit": 1}}},
        [[_take(T1, "todos", "id", T1), _add(T1, "todos", "id", T1)]],
    ),
    "id triple renewed, behind an offset": (
        {"todos": {"$": {"offset": 1, "limit": 1}}},
        [[_take(T1, "todos", "id", T1), _add(T1, "todos", "id", T1)]],
    ),
    "a stub becomes visible": (
        {"todos": {"$": {"where": {"title": "x"}}}},
        [[_add(T3, "todos", "title", "x")], [_add(T3, "todos", "id", T3)]],
    ),
    "a has-one target is made after the link": (
        {"todos": {"owner": {}}},
        [[_add(T2, "todos", "owner", P2)], [_add(P2, "people", "id", P2)]],
    ),
    "a has-many target is made after the link": (
        {"people": {"todos": {"tags": {}}}},
        [[_add(T1, "todos", "tags", P2)], [_add(P2, "tags", "id", P2)]],
    ),
    "the target of a tested path is made after the link": (
        {"todos": {"$": {"where": {"title": "b", "owner.name": {"$isNull": True}}}}},
        [
            [_add(T2, "todos", "owner", P2)],
            [_add(P2, "people", "id", P2)],
            [_add(P2, "people", "name", "x")],
        ],
    ),
    "a negated path": (
        {"todos": {"$": {"where": {"owner.name": {"$not": "Ada"}}}}},
        [[_add(P1, "people", "name", "Eve")], [_take(T1, "todos", "owner", P1)]],
    ),
    "or over a link and a value": (
        {"todos": {"$": {"where": {"or": [{"tags": G1}, {"rank": 2}]}}}},
        [[_take(T1, "todos", "tags", G1)], [_add(T2, "todos", "rank", 3)]],
    ),
    "or over links of every kind": (
        {"todos": {"$": {"where": {"or": [{"tags": G1}, {"owner": P2}, {"children": T3}]}}}},
        [
            [_add(T2, "todos", "owner", P2)],
            [_take(T1, "todos", "tags", G1)],
            [_add(T3, "todos", "parent", T1)],
            [_add(T2, "todos", "owner", P1)],
        ],
    ),
    "a has-one link at the end of a path that goes on": (
        {"tags": {"$": {"where": {"todos.owner": P2, "todos.children.title": "b"}}}},
        [[_add(T2, "todos", "parent", T1)], [_add(T1, "todos", "owner", P2)]],
    ),
    "a link asked for by one end and for its absence": (
        {"todos": {"$": {"where": {"or": [{"tags": G1}, {"tags": {"$isNull": True}}]}}}},
        [[_add(T2, "todos", "tags", P2)], [_take(T2, "todos", "tags", P2)]],
    ),
    "ids of a link from the other side": (
        {"people": {"$": {"where": {"todos": {"$in": [T1, T2]}}}}},
        [[_add(T1, "todos", "owner", P2)], [_add(P2, "people", "id", P2)]],
    ),
    "a tested link whose holder is not there yet, or no more": (
        {"people": {"$": {"where": {"todos": {"$in": [T1, T3]}}}}},
        [
            [_add(T3, "todos", "owner", P1)],
            [_add(T3, "todos", "id", T3), _add(P1, "people", "name", "x")],
            [_take(T1, "todos", "id", T1), _add(P1, "people", "name", "y")],
        ],
    ),
    "a link tested for any end, whose holder is not there yet": (
        {"people": {"$": {"where": {"todos": {"$isNull": False}}}}},
        [
            [_add(T3, "todos", "owner", P1)],
            [_add(T3, "todos", "id", T3)],
            [_add(P1, "people", "name", "x")],
        ],
    ),
    "a has-many link from the other side beside an id": (
        {"tags": {"$": {"where": {"id": G1, "todos": T2}}}},
        [[_add(T2, "todos", "tags", G1)], [_take(T2, "todos", "tags", G1)]],
    ),
    "a count with a condition": (
        {"todos": {"$": {"aggregate": "count", "where": {"owner.name": "Ada"}}}},
        [[_add(T2, "todos", "owner", P1)], [["delete", P1, "people"]]],
    ),
    "rows before the offset": (
        {"todos": {"$": {"where": {"rank": {"$gt": 0}}, "offset": 1, "limit": 1}}},
        [[_add(T3, "todos", "rank", 1), _add(T3, "todos", "id", T3)], [["delete", T1, "todos"]]],
    ),
    "rows before the offset, in order, of one owner": (
        {
            "todos": {
                "$": {"where": {"owner": P1}, "order": {"rank": "asc"}, "offset": 1, "limit": 1}
            }
        },
        [
            [_add(T2, "todos", "owner", P1)],
            [_add(T1, "todos", "rank", 9)],
            [["delete", T2, "todos"]],
        ],
    ),
    "the same uuid in two namespaces": (
        {"todos": {}, "people": {}},
        [[_add(T1, "people", "id", T1)], [["delete", T1, "todos"]]],
    ),
    "numbers of another spelling in an unindexed attr": (
        {"todos": {"$": {"where": {"extra": 1}}}},
        [[_add(T1, "todos", "extra", 1.0)], [_add(T1, "todos", "extra", 2)]],
    ),
    "objects in an unindexed attr": (
        {"todos": {"$": {"where": {"extra": {"$in": ["x", True]}}}}},
        [[_add(T1, "todos", "extra", True)], [_add(T1, "todos", "extra", {"x": 1})]],
    ),
    "null in an unindexed attr": (
        {"todos": {"$": {"where": {"extra": {"$isNull": False}}}}},
        [[_add(T1, "todos", "extra", None)], [_add(T1, "todos", "extra", 1)]],
    ),
    "fields leave out what is tested": (
        {"todos": {"$": {"fields": ["title"], "where": {"rank": {"$gte": 2}}}, "owner": {}}},
        [[_add(T1, "todos", "rank", 5)], [_add(P1, "people", "name", "Z")]],
    ),
    "a deep tree": (
        {"tags": {"todos": {"owner": {"todos": {"$": {"where": {"rank": {"$lt": 5}}}}}}}},
        [[_add(T2, "todos", "owner", P1)], [_add(T2, "todos", "rank", 7)]],
    ),
}


def plain(watched):
    """Its answer, triples in any order."""
    result, meta = watched.answer()
    if watched.live.question.shape == "tree":
        return result, meta
    data = orjson.loads(result)[0]["data"]
    rows = data.pop("datalog-result")["join-rows"]
    return repr(sorted(map(repr, (triple for row in rows for triple in row)))), repr(data), meta


@pytest.mark.rule("L14")
@pytest.mark.parametrize("shape", ("tree", "flat"))
@pytest.mark.parametrize("name", SHAPES)
async def test_every_shape_is_seen_by_its_read_set(stage, name, shape):
    query, transactions = SHAPES[name]
    await stage.write_low([["add-attr", MORE], ["add-attr", EXTRA]], *BASE)
    watched = await stage.watch(query, shape=shape)
    seen = [plain(watched)]
    for steps in transactions:
        await stage.write_low([], *steps)
        fresh = await stage.watch({**query, "$$ruleParams": {"fresh": len(seen)}}, shape=shape)
        assert plain(watched) == plain(fresh)
        seen.append(plain(watched))
    assert len(set(seen)) > 1, "nothing changed: this shape shows nothing"


CHANGES = {
    "renamed": {"forward-identity": ["ab000000-0000-4000-8000-0000000000f3", "todos", "more"]},
    "indexed": {"index?": True, "checked-data-type": "number"},
}


@pytest.mark.rule("L9", "L14")
@pytest.mark.parametrize("name", [*CHANGES, "deleted"])
@pytest.mark.parametrize(
    "query",
    [
        {"todos": {"$": {"where": {"extra": 1}}}},
        {"todos": {"$": {"where": {"more": 1}}}},
        {"people": {"todos": {}}},
        {"todos": {"$": {"fields": ["extra"]}}},
        {"todos": {"$": {"order": {"extra": "desc"}}}},
    ],
)
async def test_changed_attrs_plan_the_queries_anew(stage, name, query):
    await stage.write_low([["add-attr", EXTRA]], *BASE, _add(T1, "todos", "extra", 1))
    watched = await stage.try_watch(query)
    if watched is None:
        return
    step = (
        ["delete-attr", EXTRA["id"]]
        if name == "deleted"
        else ["update-attr", {"id": EXTRA["id"], **CHANGES[name]}]
    )
    await stage.write_low([step])
    for steps in ([], [["restore-attr", EXTRA["id"]]] if name == "deleted" else []):
        if steps:
            await stage.write_low(steps)
        fresh = await stage.try_watch({**query, "$$ruleParams": {"fresh": True}})
        if fresh is None:
            assert watched.live.error is not None
        else:
            assert watched.answer() == fresh.answer()
