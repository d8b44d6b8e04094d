"""Random schemas, data and transactions for the property tests. Seeded; no I/O.

A world is a set of attrs in wire form. The generator chooses their ids, so the engine and the naive
model get exactly the same steps.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

Attr = dict[str, Any]
Step = list[Any]

NAMES = ("a1", "Zz", "a0", "10", "2", "é", "ea", "", "A b", "%x_", "x\ny", "straße")
NUMBERS = (0, 1, -1, 2.5, 100, 1e12)
# JavaScript reads three of these as one number, and two as another.
GREAT_NUMBERS = (2**53, 2**53 + 1, 9007199254740992.0, -(2**60), -(2**60) - 1)
DATES = (
    "2025-01-02T00:00:00Z",
    "2024-12-31",
    1735776000000,
    1735776000001,
    1735776000000.25,
    "2025-01-02T00:00:00.0005Z",
    "2025-01-02T00:00:00.000999+00:00",
    "2025-06-01T12:30:00+02:00",
)
JSONS = ({"k": 1, "n": {"m": None}}, [1, "a"], "a1", 7, True, False, {"n": {"p": 2}})
PATCHES: tuple[Any, ...] = (
    {"k": None},
    {"n": {"m": 1, "p": None}},
    {"n": None, "q": {"r": None}},
    {},
    5,
)


@dataclass
class World:
    """One random schema with the entities made so far.

    attrs     by id, wire form
    etypes    namespaces, each with an id attr
    ids       entities by namespace, existing or not
    """

    seed: int
    random: random.Random
    etypes: list[str] = field(default_factory=list)
    attrs: dict[str, Attr] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)
    serial: int = 0

    def new_uuid(self) -> str:
        return str(_uuid(self.random))

    def fields(self, etype: str) -> list[Attr]:
        """The blob attrs of a namespace without `id`."""
        return [
            a
            for a in self.attrs.values()
            if a["forward-identity"][1] == etype
            and a["value-type"] == "blob"
            and a["forward-identity"][2] != "id"
        ]

    def id_attr(self, etype: str) -> Attr:
        return next(a for a in self.attrs.values() if a["forward-identity"][1:] == [etype, "id"])

    def links(self, etype: str) -> list[tuple[str, Attr, bool, str]]:
        """(label, attr, runs forward, namespace it leads to) of every link seen from `etype`."""
        found = []
        for attr in self.attrs.values():
            if attr["value-type"] != "ref":
                continue
            forward, reverse = attr["forward-identity"], attr["reverse-identity"]
            if forward[1] == etype:
                found.append((forward[2], attr, True, reverse[1]))
            if reverse[1] == etype:
                found.append((reverse[2], attr, False, forward[1]))
        return found

    def value(self, attr: Attr) -> Any:
        """A value the attr accepts; values of unique attrs mostly differ."""
        draw = self.random
        if attr["unique?"] and draw.random() < 0.8:
            self.serial += 1
            return f"u{self.serial}"
        match attr.get("checked-data-type"):
            case "string":
                return draw.choice(NAMES)
            case "number":
                return draw.choice((*NUMBERS, *GREAT_NUMBERS))
            case "boolean":
                return draw.random() < 0.5
            case "date":
                return draw.choice(DATES)
            case _:
                return draw.choice((*JSONS, *JSONS[:1] * 6, *NAMES[:4], *NUMBERS[:3]))

    def wrong_value(self, attr: Attr) -> Any:
        """A value the attr refuses."""
        return {"string": 5, "number": "five", "boolean": 0, "date": "2025-01-0"}[
            attr["checked-data-type"]
        ]


def make_world(seed: int) -> World:
    """2-5 namespaces with fields of every kind and links of every cardinality between them."""
    draw = random.Random(seed)
    world = World(seed, draw)
    for number in range(draw.randint(2, 4)):
        etype = f"{'abcde'[number]}s"
        world.etypes.append(etype)
        world.ids[etype] = [world.new_uuid() for _ in range(draw.randint(3, 7))]
        _add(world, etype, "id", **{"unique?": True})
        _add_fields(world, etype)
    for number in range(draw.randint(2, 5)):
        _add_link(world, number)
    if draw.random() < 0.3:  # one uuid in two namespaces
        world.ids[world.etypes[0]][0] = world.ids[world.etypes[1]][0]
    return world


def _add_fields(world: World, etype: str) -> None:
    draw = world.random
    for label, checked in (
        ("name", "string"),
        ("size", "number"),
        ("done", "boolean"),
        ("due", "date"),
        ("extra", None),
    ):
        if draw.random() < 0.25:
            continue
        flags: dict[str, Any] = {"index?": draw.random() < 0.6}
        if checked is not None and draw.random() < 0.85:
            flags["checked-data-type"] = checked
        flags["required?"] = label == "name" and draw.random() < 0.2
        _add(world, etype, label, **flags)
    if draw.random() < 0.4:
        _add(world, etype, "code", **{"unique?": True, "index?": draw.random() < 0.5})


def _add(world: World, etype: str, label: str, **flags: Any) -> Attr:
    attr = {
        "id": world.new_uuid(),
        "forward-identity": [world.new_uuid(), etype, label],
        "value-type": "blob",
        "cardinality": "one",
        "unique?": False,
        "index?": False,
        "required?": False,
        **flags,
    }
    world.attrs[attr["id"]] = attr
    return attr


def _add_link(world: World, number: int) -> None:
    draw = world.random
    source, target = draw.choice(world.etypes), draw.choice(world.etypes)
    cardinality = draw.choice(("one", "many"))
    is_unique = draw.random() < 0.4
    flags: dict[str, Any] = {
        "value-type": "ref",
        "cardinality": cardinality,
        "unique?": is_unique,
        "reverse-identity": [world.new_uuid(), target, f"back{number}"],
    }
    if cardinality == "one" and draw.random() < 0.3:
        flags["on-delete"] = "cascade"
    if is_unique and draw.random() < 0.3:
        flags["on-delete-reverse"] = "cascade"
    if draw.random() < 0.1:
        flags["required?"] = True
    _add(world, source, f"link{number}", **flags)


def _uuid(draw: random.Random) -> str:
    digits = f"{draw.getrandbits(128):032x}"
    digits = digits[:12] + "4" + digits[13:16] + "8" + digits[17:]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


# --- transactions --------------------------------------------------------------------------------


def schema_steps(world: World) -> list[Step]:
    return [["add-attr", attr] for attr in world.attrs.values()]


def seed_steps(world: World) -> list[list[Step]]:
    """One transaction per entity with its fields, then one per link: most are accepted."""
    draw = world.random
    batches = []
    for etype in world.etypes:
        for entity in world.ids[etype]:
            if draw.random() < 0.9:
                batches.append(_put(world, etype, entity, share=0.75))
    for etype in world.etypes:
        for _, attr, is_forward, far in world.links(etype):
            if is_forward:
                batches += [
                    [["add-triple", entity, attr["id"], draw.choice(world.ids[far])]]
                    for entity in world.ids[etype]
                    if draw.random() < 0.7
                ]
    return batches


def _put(
    world: World, etype: str, entity: Any, *, share: float, mode: str | None = None
) -> list[Step]:
    """Write the id triple and a random part of the fields."""
    draw = world.random
    tail = [{"mode": mode}] if mode else []
    steps: list[Step] = [["add-triple", entity, world.id_attr(etype)["id"], entity, *tail]]
    for attr in world.fields(etype):
        if attr["required?"] or draw.random() < share:
            is_null = draw.random() < 0.15 and not attr["required?"]
            value = None if is_null else world.value(attr)
            steps.append(["add-triple", entity, attr["id"], value, *tail])
    for _, attr, is_forward, far in world.links(etype):
        if is_forward and attr["required?"]:
            steps.append(["add-triple", entity, attr["id"], draw.choice(world.ids[far])])
    return steps


def random_transaction(world: World) -> list[Step]:
    """One to four actions of any kind; a good part of them is refused."""
    steps: list[Step] = []
    for _ in range(world.random.choice((1, 1, 1, 2, 3, 4))):
        steps += _random_action(world)
    return steps


def _random_action(world: World) -> list[Step]:
    draw = world.random
    etype = draw.choice(world.etypes)
    entity = draw.choice(world.ids[etype])
    match draw.choice(("put", "set", "set", "link", "link", "unlink", "delete", "odd", "new")):
        case "put":
            mode = draw.choice((None, None, "create", "update"))
            return _put(world, etype, entity, share=0.5, mode=mode)
        case "new":
            world.ids[etype].append(world.new_uuid())
            return _put(world, etype, world.ids[etype][-1], share=0.7, mode="create")
        case "set":
            return _set(world, etype, entity)
        case "link" | "unlink" as kind:
            return _relate(world, etype, entity, is_link=kind == "link")
        case "delete":
            return [["delete-entity", entity, etype]]
        case _:
            return _odd(world, etype, entity)


def _set(world: World, etype: str, entity: str) -> list[Step]:
    draw = world.random
    fields = world.fields(etype)
    if not fields:
        return []
    attr = draw.choice(fields)
    tail = draw.choice(([], [], [{"mode": "update"}]))
    if draw.random() < 0.1 and attr.get("checked-data-type"):
        return [["add-triple", entity, attr["id"], world.wrong_value(attr), *tail]]
    value = None if draw.random() < 0.15 else world.value(attr)
    is_merge = draw.random() < 0.3
    if is_merge and not attr.get("checked-data-type"):
        value = draw.choice((*PATCHES, *JSONS[:2]))
    if is_merge and type(value) in (int, float):
        return [["increment-triple", entity, attr["id"], value, *tail]]
    return [["deep-merge-triple" if is_merge else "add-triple", entity, attr["id"], value, *tail]]


def _relate(world: World, etype: str, entity: str, *, is_link: bool) -> list[Step]:
    draw = world.random
    links = world.links(etype)
    if not links:
        return []
    _, attr, is_forward, far = draw.choice(links)
    other = draw.choice(world.ids[far])
    source, target = (entity, other) if is_forward else (other, entity)
    return [["add-triple" if is_link else "retract-triple", source, attr["id"], target]]


def _odd(world: World, etype: str, entity: str) -> list[Step]:
    """Rare steps: lookups, deletes everywhere, ids taken back."""
    draw = world.random
    unique = [attr for attr in world.fields(etype) if attr["unique?"]]
    kind = draw.choice(("lookup", "lookup", "delete", "retract-id"))
    if kind == "lookup" and unique:
        lookup = [unique[0]["id"], f"u{draw.randint(1, world.serial + 2)}"]
        steps: list[Step] = [["add-triple", lookup, world.id_attr(etype)["id"], lookup]]
        others = [a for a in world.fields(etype) if not a["unique?"]]
        steps += [["add-triple", lookup, a["id"], world.value(a)] for a in others[:2]]
        return steps
    if kind == "delete":
        return [["delete-entity", entity]]
    return [["retract-triple", entity, world.id_attr(etype)["id"], entity]]
