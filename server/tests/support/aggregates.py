"""Random aggregates over a random world, and answers in a form to compare with the model's."""

from __future__ import annotations

from typing import Any

from model.values import instant_ms
from support.queries import field_test, random_query
from support.visibilities import Eyes, Rule
from support.world import World


def random_aggregate(world: World) -> dict[str, Any]:
    """A query of one or two forms that aggregate."""
    draw = world.random
    etypes = draw.sample(world.etypes, draw.choice((1, 1, 1, 2)))
    return {etype: {"$": _options(world, etype)} for etype in etypes}


def _options(world: World, etype: str) -> dict[str, Any]:
    draw = world.random
    numbers, others = ["nowhere"], []
    for attr in world.fields(etype):
        kind, label = attr.get("checked-data-type"), attr["forward-identity"][2]
        if kind in (None, "number"):
            numbers += [label] * 3
        elif kind in ("string", "date"):
            others += [label] * 2
    asked: dict[str, Any] = {}
    if draw.random() < 0.6:
        asked["count"] = True
    for op in ("sum", "avg", "min", "max"):
        labels = numbers if op in ("sum", "avg") else numbers + others
        if draw.random() < 0.4:
            asked[op] = draw.choice(
                (draw.choice(labels), draw.sample(labels, draw.randint(1, len(labels))))
            )
    if not asked:
        asked["count"] = True
    if draw.random() < 0.5:
        asked["groupBy"] = draw.choice(_group_labels(world, etype))
    options: dict[str, Any] = {"aggregate": asked}
    where = random_query(world, {}).get(etype, {}).get("$", {}).get("where")
    if draw.random() < 0.6:
        where = own_where(world, etype)
    if where:
        options["where"] = where
    return options


def own_where(world: World, etype: str) -> dict[str, Any]:
    """Conditions on fields, the id and has-one links of the entity itself."""
    draw = world.random
    where: dict[str, Any] = {}
    for attr in draw.sample(world.fields(etype), min(2, len(world.fields(etype)))):
        where[attr["forward-identity"][2]] = field_test(world, attr)
    links = [link for link in world.links(etype) if link[2] and link[1]["cardinality"] == "one"]
    if links and draw.random() < 0.4:
        label, _, _, far = draw.choice(links)
        one = draw.choice(world.ids[far])
        where[label] = draw.choice(
            (one, {"$not": one}, {"$in": world.ids[far][:2]}, {"$isNull": draw.random() < 0.5})
        )
    kept = draw.sample(sorted(where), min(len(where), draw.choice((0, 1, 1, 2))))
    return {label: where[label] for label in kept}


def own_eyes(world: World) -> Eyes:
    """Rules that read only the row they are asked about."""
    draw = world.random
    entities = {
        etype: Rule(etype, ["where", own_where(world, etype)])
        for etype in world.etypes
        if draw.random() < 0.5
    }
    fields = {
        attr["id"]: Rule(attr["forward-identity"][1], ["where", own_where(world, etype)])
        for etype in world.etypes
        for attr in (*world.fields(etype), *(link[1] for link in world.links(etype)))
        if attr["forward-identity"][1] == etype and draw.random() < 0.5
    }
    return Eyes(entities, fields)


def _group_labels(world: World, etype: str) -> list[str]:
    fields = [attr["forward-identity"][2] for attr in world.fields(etype)]
    links = [
        label
        for label, attr, is_forward, _ in world.links(etype)
        if is_forward and attr["cardinality"] == "one"
    ]
    return [*fields, *links, *links, "nowhere"]


def comparable_totals(world: World, etype: str, answer: dict[str, Any]) -> Any:
    """An answer with dates as milliseconds, numbers as floats, and groups sorted by their text."""
    if "groups" in answer:
        groups = [
            {"key": _plain(group["key"]), **_measures(world, etype, group)}
            for group in answer["groups"]
        ]
        return sorted(groups, key=repr)
    return _measures(world, etype, answer)


def _measures(world: World, etype: str, answer: dict[str, Any]) -> dict[str, Any]:
    dates = {
        attr["forward-identity"][2]
        for attr in world.fields(etype)
        if attr.get("checked-data-type") == "date"
    }
    found: dict[str, Any] = {"count": answer["count"]} if "count" in answer else {}
    for op in ("sum", "avg", "min", "max"):
        if op in answer:
            found[op] = {
                label: instant_ms(value) if label in dates else _plain(value)
                for label, value in answer[op].items()
            }
    return found


def _plain(value: Any) -> Any:
    """The value with one form for equal numbers, at any depth; true stays different from 1."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    return [_plain(one) for one in value] if isinstance(value, list) else value
