"""Random steps as functions write them, over a random world. No I/O."""

from __future__ import annotations

from typing import Any

from support.world import PATCHES, Attr, World


def random_steps(world: World) -> list[list[Any]]:
    """One to four steps of the admin API of any kind; a good part of them is refused."""
    steps = []
    for _ in range(world.random.choice((1, 1, 2, 3, 4))):
        steps += _step(world)
    return steps


def _step(world: World) -> list[list[Any]]:
    draw = world.random
    etype = draw.choice(world.etypes)
    entity: Any = draw.choice(world.ids[etype])
    kinds = ("create", "update", "update", "update", "merge", "increment", "link", "link")
    match draw.choice((*kinds, "unlink", "delete", "delete", "lookup")):
        case "create":
            if draw.random() < 0.7:
                world.ids[etype].append(world.new_uuid())
                entity = world.ids[etype][-1]
            return [["create", etype, entity, _values(world, etype, share=0.6)]]
        case "update":
            tail = draw.choice(([], [], [{"upsert": False}]))
            return [["update", etype, entity, _values(world, etype, share=0.3), *tail]]
        case "merge":
            fields = [attr for attr in world.fields(etype) if not attr.get("checked-data-type")]
            given = {_label(attr): draw.choice(PATCHES) for attr in fields[:1]}
            return [["merge", etype, entity, given]]
        case "increment":
            fields = [a for a in world.fields(etype) if a.get("checked-data-type") == "number"]
            given = {_label(attr): draw.choice((1, -2, 0.5)) for attr in fields[:1]}
            return [["increment", etype, entity, given]]
        case "delete":
            return [["delete", etype, entity]]
        case "lookup":
            return _by_lookup(world, etype)
        case op:
            return _relate(world, op, etype, entity)


def _by_lookup(world: World, etype: str) -> list[list[Any]]:
    draw = world.random
    unique = [attr for attr in world.fields(etype) if attr["unique?"]]
    if not unique:
        return []
    subject = {_label(unique[0]): f"u{draw.randint(1, world.serial + 2)}"}
    values = _values(world, etype, share=0.3)
    values.pop(_label(unique[0]), None)
    if draw.random() < 0.3:
        return [["delete", etype, subject]]
    return [["update", etype, subject, values]]


def _relate(world: World, op: str, etype: str, entity: Any) -> list[list[Any]]:
    draw = world.random
    links = world.links(etype)
    if not links:
        return []
    label, _, _, far = draw.choice(links)
    targets: Any = draw.choice(world.ids[far])
    if draw.random() < 0.2:
        targets = draw.sample(world.ids[far], 2)
    return [[op, etype, entity, {label: targets}]]


def _values(world: World, etype: str, *, share: float) -> dict[str, Any]:
    draw = world.random
    values: dict[str, Any] = {}
    for attr in world.fields(etype):
        if attr["required?"] or draw.random() < share:
            is_null = draw.random() < 0.15 and not attr["required?"]
            values[_label(attr)] = None if is_null else world.value(attr)
    for label, attr, is_forward, far in world.links(etype):
        is_one = attr["cardinality"] == "one"
        if is_forward and (attr["required?"] or (is_one and draw.random() < 0.2)):
            values[label] = draw.choice(world.ids[far])
    return values


def _label(attr: Attr) -> str:
    label: str = attr["forward-identity"][2]
    return label
