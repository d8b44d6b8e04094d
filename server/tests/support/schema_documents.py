"""Random schemas in their canonical form, with names and values that no language likes."""

from __future__ import annotations

from random import Random
from typing import Any

NAMES = (
    *("title", "done", "sentAt", "first-name", "class", "Literal", "datetime", "str", "_hidden"),
    *("größe", "ﬁ", "a b", "日本", "now", "link", "rooms", "__proto__", "constructor", 'say "x"'),
    *(
        "it's",
        "back\\slash",
        "line\nend",
        "😀",
        "Users",
        "Many",
        "None",
        "list",
        "1st",
        "id2",
        "Item",
    ),
    *("mro", "${x}", "`", "#", "*/", "\u2028", "any", "json", "true", "$x", "users", "float"),
)
TEXTS = ("a", "b c", 'x"y', "it's", "\\", "line\nend", "😀", "\u2028", "", "null", "${1}")
ETYPES = ("items", "Item", "todos", "boxes", "news", "tables", "db", "x-y", "users", "日本")


def random_schema(random: Random, *, is_plain: bool = False) -> dict[str, Any]:
    """A schema as `trice.schema.document.canonical` gives it.

    is_plain   only what `instant.schema.ts` has words for
    """
    etypes = random.sample(ETYPES, random.randint(1, 5))
    entities = {etype: {"attrs": _attrs(random, is_plain)} for etype in etypes}
    if random.random() < 0.5:
        attrs = _attrs(random, is_plain)
        for each in attrs.values():
            each.pop("required", None)
        if attrs:
            entities["$users"] = {"attrs": attrs}
    made: dict[str, Any] = {"entities": entities, "links": _links(random, entities, is_plain)}
    if random.random() < 0.4:
        made["rooms"] = {
            name: {
                "presence": {"attrs": _shown(random, is_plain)},
                "topics": {
                    topic: {"attrs": _shown(random, is_plain)}
                    for topic in random.sample(NAMES, random.randint(0, 2))
                },
            }
            for name in random.sample(NAMES, random.randint(1, 2))
        }
    return made


def _attrs(random: Random, is_plain: bool) -> dict[str, Any]:
    return {label: _field(random, is_plain) for label in random.sample(NAMES, random.randint(0, 6))}


def _shown(random: Random, is_plain: bool) -> dict[str, Any]:
    """What a room shows, of which nothing is stored."""
    attrs = _attrs(random, is_plain)
    for each in attrs.values():
        for key in ("config", "default", "was"):
            each.pop(key, None)
    return attrs


def _field(random: Random, is_plain: bool) -> dict[str, Any]:
    kind = random.choice(("string", "number", "boolean", "date", "json", "any"))
    field: dict[str, Any] = {"valueType": kind}
    if random.random() < 0.5:
        field["required"] = True
    config = {key: True for key in ("indexed", "unique") if random.random() < 0.3}
    if config:
        field["config"] = config
    if kind == "string" and random.random() < 0.3:
        field["values"] = _some(random, TEXTS)
    if is_plain:
        return field
    if kind == "number" and random.random() < 0.2:
        field["values"] = _some(random, (3, 1, -4, 2))
    elif kind in ("number", "date") and random.random() < 0.4:
        field["format"] = "integer" if kind == "number" else "day"
    if random.random() < 0.3:
        field["default"] = _default(random, field)
    if random.random() < 0.1:
        field["was"] = random.choice(NAMES)
    return field


def _some(random: Random, values: tuple[Any, ...]) -> list[Any]:
    """A few values, in one order: Python takes `Literal[1, 2]` and `Literal[2, 1]` for the same,
    and gives either to a program that has both."""
    chosen = random.sample(values, random.randint(1, 3))
    return sorted(chosen, key=values.index)


def _default(random: Random, field: dict[str, Any]) -> dict[str, Any]:
    if "values" in field:
        return {"value": random.choice(field["values"])}
    match field["valueType"]:
        case "string":
            return random.choice(({"by": "new_id"}, {"value": random.choice(TEXTS)}))
        case "number":
            return {"value": random.choice((0, 1, -2))}
        case "boolean":
            return {"value": random.random() < 0.5}
        case "date":
            day = "2024-02-29"
            full = day if "format" in field else f"{day}T12:00:00+00:00"
            return random.choice(({"by": "now"}, {"value": full}))
        case _:
            return {"value": random.choice(({"a": [1, None, True]}, [], "x", 1.5))}


def _links(random: Random, entities: dict[str, Any], is_plain: bool) -> dict[str, Any]:
    taken = {(etype, label) for etype, each in entities.items() for label in each["attrs"]}
    links: dict[str, Any] = {}
    ends = [*entities, "$users", "$files"]
    for _ in range(random.randint(0, 5)):
        sides = []
        for _ in range(2):
            side: dict[str, Any] = {"on": random.choice(ends), "label": random.choice(NAMES)}
            side["has"] = random.choice(("one", "many"))
            if side["has"] == "one" and random.random() < 0.4:
                side["onDelete"] = "cascade"
            if not is_plain and random.random() < 0.1:
                side["was"] = random.choice(NAMES)
            sides.append(side)
        names = {(side["on"], side["label"]) for side in sides}
        if len(names) < 2 or names & taken:
            continue
        taken |= names
        if not sides[0]["on"].startswith("$") and random.random() < 0.5:
            sides[0]["required"] = True
        label = sides[0]["label"]
        wanted = name = f"{sides[0]['on']}{label[:1].upper()}{label[1:]}"
        number = 2
        while name in links:
            name, number = f"{wanted}{number}", number + 1
        links[name] = {"forward": sides[0], "reverse": sides[1]}
    return links


def random_rules(random: Random) -> dict[str, Any]:
    """Rules of any form that a file may hold, whether a server takes them or not."""
    texts = (*TEXTS, "auth.id != null", "data.owner == auth.id", "yes", "12:30:00", "2024-01-01")
    made: dict[str, Any] = {}
    for etype in random.sample((*ETYPES, "$default", "attrs", "on", "no"), random.randint(0, 4)):
        allow: dict[str, Any] = {
            action: random.choice((*texts, True, False))
            for action in random.sample(("view", "create", "update", "$default"), 2)
        }
        allow["link"] = {random.choice(NAMES): random.choice(texts)}
        made[etype] = {"allow": allow, "bind": random.sample(texts, 2)}
        if random.random() < 0.5:
            made[etype]["fields"] = {random.choice(NAMES): random.choice(texts)}
    if random.random() < 0.3:
        limits = [{"capacity": 10, "refill": {"amount": 1.5, "period": "1 minute"}}]
        made["$rateLimits"] = {"slow": {"limits": limits}}
    return made
