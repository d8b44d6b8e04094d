"""Read sets of callers who may not see everything, one shape at a time."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from support.visibilities import Eyes, Rule
from support.visible_stage import VisibleStage, answer
from support.world import World, schema_steps
from trice.live.changes import Changes
from trice.live.index.derive import read_set
from trice.live.index.subscriptions import Subscriptions
from trice.protocol.ids import AttrId, EntityId
from trice.query.visibility import Depends, FixedVisibility

T1, T2, P1, G1 = (f"e000000{n}-0000-4000-8000-00000000000{n}" for n in range(1, 5))


def _attr(number: int, etype: str, label: str, **flags: Any) -> dict[str, Any]:
    def uuid(kind: str) -> str:
        return f"{kind}{number:06d}-0000-4000-8000-000000000000"

    attr = {
        "id": uuid("a1"),
        "forward-identity": [uuid("a2"), etype, label],
        "value-type": "blob",
        "cardinality": "one",
        "unique?": label == "id",
        "index?": False,
        "required?": False,
    }
    if "to" in flags:
        far, back = flags.pop("to")
        attr |= {"value-type": "ref", "reverse-identity": [uuid("a3"), far, back]}
    return {**attr, **flags}


TITLE = {"index?": True, "checked-data-type": "string"}
ATTRS = {
    ".".join(attr["forward-identity"][1:]): attr
    for attr in (
        _attr(1, "todos", "id"),
        _attr(2, "todos", "title", **TITLE),
        _attr(3, "todos", "rank"),
        _attr(4, "people", "id"),
        _attr(5, "people", "name", **TITLE),
        _attr(6, "people", "age"),
        _attr(7, "tags", "id"),
        _attr(8, "todos", "owner", to=("people", "todos")),
        _attr(9, "todos", "tags", to=("tags", "todos"), cardinality="many"),
    )
}


def put(entity: str, name: str, value: Any) -> list[Any]:
    return ["add-triple", entity, ATTRS[name]["id"], value]


BASE = [
    put(T1, "todos.id", T1),
    put(T1, "todos.title", "a"),
    put(T1, "todos.rank", 0),
    put(T1, "todos.owner", P1),
    put(T1, "todos.tags", G1),
    put(P1, "people.id", P1),
    put(P1, "people.name", "Ada"),
    put(P1, "people.age", 0),
    put(G1, "tags.id", G1),
]


def where(etype: str, **conditions: Any) -> Rule:
    return Rule(etype, ["where", {key.replace("__", "."): v for key, v in conditions.items()}])


RANKED, AGED = where("todos", rank=1), where("people", age=1)
UNRANKED = where("todos", rank=0)
OF_ADULTS = where("todos", owner__age=1)


def fields(name: str, rule: Rule) -> Eyes:
    return Eyes({}, {ATTRS[name]["id"]: rule})


RANK, AGE = [put(T1, "todos.rank", 1)], [put(P1, "people.age", 1)]
SHAPES: dict[str, tuple[Any, Eyes, list[Any]]] = {
    "own value": ({"todos": {}}, Eyes({"todos": RANKED}, {}), RANK),
    "own value of one title": (
        {"todos": {"$": {"where": {"title": "a"}}}},
        Eyes({"todos": RANKED}, {}),
        RANK,
    ),
    "value of a linked entity": ({"todos": {}}, Eyes({"todos": OF_ADULTS}, {}), AGE),
    "cell judged in Python": (
        {"todos": {}},
        Eyes({"todos": Rule("todos", ["value", "rank", 1])}, {}),
        RANK,
    ),
    "reference judged in Python": (
        {"todos": {}},
        Eyes({"todos": Rule("todos", ["ref", ["owner", "age"], 1])}, {}),
        AGE,
    ),
    "entity on a path": (
        {"todos": {"$": {"where": {"owner.name": "Ada"}}}},
        Eyes({"people": AGED}, {}),
        AGE,
    ),
    "link on a path": (
        {"todos": {"$": {"where": {"owner.name": "Ada"}}}},
        fields("todos.owner", RANKED),
        RANK,
    ),
    "link on a path, walked back": (
        {"people": {"$": {"where": {"todos.title": "a"}}}},
        fields("todos.owner", RANKED),
        RANK,
    ),
    "field tested": (
        {"todos": {"$": {"where": {"title": "a"}}}},
        fields("todos.title", RANKED),
        RANK,
    ),
    "field that is null once it is hidden": (
        {"todos": {"$": {"where": {"title": {"$isNull": True}}}}},
        fields("todos.title", UNRANKED),
        RANK,
    ),
    "link that is null once it is hidden": (
        {"todos": {"$": {"where": {"owner": {"$isNull": True}}}}},
        fields("todos.owner", UNRANKED),
        RANK,
    ),
    "field tested on a path": (
        {"todos": {"$": {"where": {"owner.name": "Ada"}}}},
        fields("people.name", AGED),
        AGE,
    ),
    "field that orders": (
        {"todos": {"$": {"order": {"title": "asc"}, "limit": 1, "offset": 1, "fields": []}}},
        fields("todos.title", RANKED),
        RANK,
    ),
    "field shown": ({"todos": {}}, fields("todos.title", OF_ADULTS), AGE),
    "link tested from the other side": (
        {"people": {"$": {"where": {"todos": T1}}}},
        Eyes({"todos": RANKED}, {}),
        RANK,
    ),
    "holder of a link is born": (
        {"people": {"$": {"where": {"todos": T2}}}},
        Eyes({"todos": Rule("todos", ["half"])}, {}),
        [put(T2, "todos.id", T2)],
    ),
    "column followed back": (
        {"people": {"todos": {}}},
        fields("todos.owner", RANKED),
        RANK,
    ),
    "column followed": ({"todos": {"owner": {}}}, fields("todos.owner", OF_ADULTS), AGE),
    "pairs followed": ({"todos": {"tags": {}}}, fields("todos.tags", OF_ADULTS), AGE),
    "pairs followed back": ({"tags": {"todos": {}}}, fields("todos.tags", OF_ADULTS), AGE),
    "count": (
        {"todos": {"$": {"aggregate": "count"}}},
        Eyes({"todos": OF_ADULTS}, {}),
        AGE,
    ),
}


@pytest.mark.rule("L18")
@pytest.mark.parametrize("name", SHAPES)
async def test_a_change_of_what_is_visible_touches_the_answer(name: str, tmp_path: Path) -> None:
    query, eyes, steps = SHAPES[name]
    world = World(0, random.Random(0), ["todos", "people", "tags"])
    world.attrs = {attr["id"]: attr for attr in ATTRS.values()}
    stage = VisibleStage(world, tmp_path / "app.db")
    await stage.transact(schema_steps(world))
    await stage.transact(BASE)
    await stage.transact([put(T2, "todos.owner", P1), put(T2, "todos.title", "b")])
    if name == "field that orders":
        await stage.transact([put(T2, "todos.id", T2)])
    tree = stage.tree(query, eyes)
    index: Subscriptions[str] = Subscriptions()
    index.put("it", read_set(tree))
    stage.commits.clear()
    await stage.transact(steps)
    assert answer(stage, tree) != answer(stage, stage.tree(query, eyes))
    (commit,) = stage.commits
    assert index.affected(Changes.of([commit]), commit.catalog) == {"it"}
    await stage.engine.close()


@pytest.mark.rule("L18", "L72")
async def test_a_row_that_moves_because_its_order_is_hidden_touches_the_page(
    tmp_path: Path,
) -> None:
    """It is behind the page while it shows its title; hidden, it comes first, as null does."""
    world = World(0, random.Random(0), ["todos", "people", "tags"])
    world.attrs = {attr["id"]: attr for attr in ATTRS.values()}
    stage = VisibleStage(world, tmp_path / "app.db")
    await stage.transact(schema_steps(world))
    ids = [f"e000001{n}-0000-4000-8000-00000000000{n}" for n in range(4)]
    for entity, title in zip(ids, "abcd", strict=True):
        cells = {"todos.id": entity, "todos.title": title, "todos.rank": 0}
        await stage.transact([put(entity, name, value) for name, value in cells.items()])
    query = {"todos": {"$": {"order": {"title": "asc"}, "limit": 1}}}
    eyes = fields("todos.title", UNRANKED)
    tree = stage.tree(query, eyes)
    index: Subscriptions[str] = Subscriptions()
    index.put("it", read_set(tree))
    stage.commits.clear()
    await stage.transact([put(ids[3], "todos.rank", 1)])
    assert answer(stage, tree) != answer(stage, stage.tree(query, eyes))
    assert index.affected(Changes.of(stage.commits[:1]), stage.commits[0].catalog) == {"it"}
    await stage.engine.close()


@pytest.mark.rule("L19")
async def test_a_rule_on_the_owner_is_not_touched_by_a_row_of_another(tmp_path: Path) -> None:
    world = World(0, random.Random(0), ["todos", "people", "tags"])
    world.attrs = {attr["id"]: attr for attr in ATTRS.values()}
    stage = VisibleStage(world, tmp_path / "app.db")
    await stage.transact(schema_steps(world))
    await stage.transact(BASE)
    index: Subscriptions[str] = Subscriptions()
    index.put("it", read_set(stage.tree({"todos": {}}, Eyes({"todos": OF_P1}, {}))))
    for owner, found in ((G1, set()), (P1, {"it"})):
        stage.commits.clear()
        await stage.transact([put(T2, "todos.id", T2), put(T2, "todos.owner", owner)])
        (commit,) = stage.commits
        assert index.affected(Changes.of([commit]), commit.catalog) == found
    await stage.engine.close()


OF_P1 = Rule("todos", ["all", ["where", {"owner": P1}]])


async def test_what_the_visibility_was_made_from_is_read_too(tmp_path: Path) -> None:
    entity = EntityId(bytes.fromhex(P1.replace("-", "")))
    depends = Depends(
        frozenset({("people", entity)}),
        frozenset({AttrId("x")}),
        frozenset({"people"}),
        frozenset({"tags"}),
    )

    class Told(Eyes):
        def visibility(self, catalog: Any) -> FixedVisibility:
            return FixedVisibility({}, {}, depends)

    world = World(0, random.Random(0), ["todos", "people", "tags"])
    world.attrs = {attr["id"]: attr for attr in ATTRS.values()}
    stage = VisibleStage(world, tmp_path / "app.db")
    await stage.transact(schema_steps(world))
    reads = read_set(stage.tree({"todos": {}}, Told({}, {})))
    assert ("people", entity) in reads.entities and "x" in reads.attrs
    assert reads.births == {"todos", "people"} and reads.etypes == {"todos", "tags"}
    await stage.engine.close()
