"""Random visibilities over a random world, each twice: as scopes, and as sets of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.masked import masked
from model.query import matching
from model.state import Model
from support.queries import random_query
from support.world import World
from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell, encode_cell
from trice.protocol.ids import AttrId, EntityId, uuid_text
from trice.query.ast import NOTHING, AllOf, AnyOf, Hop, Judged, Ref, Scope
from trice.query.parse.forms import parse
from trice.query.visibility import FixedVisibility

Meaning = Sequence[Any]
"""What a rule demands: `["where", w]`, `["none"]`, `["half"]` of the ids, `["value", label, cell]`,
`["ref", labels, cell]`, or `["all" | "any", rule, rule…]`."""


@dataclass
class Rule:
    """One random rule of a namespace."""

    etype: str
    meaning: Meaning

    def scope(self, catalog: Catalog) -> Scope:
        return _scope(self.meaning, self.etype, catalog)

    def meets(self, model: Model) -> frozenset[str]:
        """The entities of the model that meet it, judged on all of the data."""
        return frozenset(_meeting(self.meaning, self.etype, model))


@dataclass
class Eyes:
    """What a caller may see: rules by namespace and by attr id."""

    entities: dict[str, Rule]
    fields: dict[str, Rule]

    def visibility(self, catalog: Catalog) -> FixedVisibility:
        return FixedVisibility(
            {etype: rule.scope(catalog) for etype, rule in self.entities.items()},
            {AttrId(attr_id): rule.scope(catalog) for attr_id, rule in self.fields.items()},
        )

    def world(self, model: Model) -> Model:
        return masked(
            model,
            visible={etype: rule.meets(model) for etype, rule in self.entities.items()},
            shown={attr_id: rule.meets(model) for attr_id, rule in self.fields.items()},
        )


def random_eyes(world: World) -> Eyes:
    """Rules for some namespaces and some attrs, links of both kinds included."""
    draw = world.random
    entities = {
        etype: Rule(etype, _meaning(world, etype)) for etype in world.etypes if draw.random() < 0.6
    }
    fields = {}
    for attr in world.attrs.values():
        etype, label = attr["forward-identity"][1:]
        if label != "id" and draw.random() < 0.3:
            fields[attr["id"]] = Rule(etype, _meaning(world, etype))
    return Eyes(entities, fields)


def _meaning(world: World, etype: str, *, depth: int = 0) -> Meaning:
    draw = world.random
    fields = world.fields(etype)
    kinds = ["where", "where", "where", "half", "half", "value", "ref"]
    if depth == 0:
        kinds += ["all", "any", "none"]
    match draw.choice(kinds):
        case "all" | "any" as kind:
            return [kind, *(_meaning(world, etype, depth=1) for _ in range(draw.randint(1, 3)))]
        case "none":
            return ["none"] if draw.random() < 0.4 else ["half"]
        case "value" if fields:
            attr = draw.choice(fields)
            return ["value", attr["forward-identity"][2], _cell(world, attr)]
        case "ref" if world.links(etype):
            label, _, _, far = draw.choice(world.links(etype))
            if draw.random() < 0.3 or not world.fields(far):
                last, cell = draw.choice(([label], [label, "id"])), draw.choice(world.ids[far])
                return ["ref", last, bytes.fromhex(cell.replace("-", ""))]
            attr = draw.choice(world.fields(far))
            return ["ref", [label, attr["forward-identity"][2]], _cell(world, attr)]
        case "where":
            for _ in range(5):
                where = random_query(world, {}).get(etype, {}).get("$", {}).get("where")
                if where:
                    return ["where", where]
    return ["half"]


def _cell(world: World, attr: Any) -> Cell:
    value = world.value(attr)
    return encode_cell(value, is_indexed=attr["index?"])


# --- as scopes -----------------------------------------------------------------------------------


def _scope(meaning: Meaning, etype: str, catalog: Catalog) -> Scope:
    match meaning:
        case ["none"]:
            return NOTHING
        case ["half"]:
            return (Judged(_is_in_half, (), ()),)
        case ["value", label, wanted]:
            attr = catalog.find_forward(etype, label)
            assert attr is not None

            def has_value(_: EntityId, cells: Sequence[Cell], refs: Any) -> tuple[bool, int]:
                assert len(cells) == 1 and len(refs) == 0
                return _is_same(cells[0], wanted), 1

            return (Judged(has_value, (attr,), ()),)
        case ["ref", labels, wanted]:
            ref = _ref(labels, etype, catalog)

            def reaches(_: EntityId, cells: Sequence[Cell], refs: Any) -> tuple[bool, int]:
                assert len(cells) == 0 and len(refs) == 1 and None not in refs[0]
                return any(_is_same(cell, wanted) for cell in refs[0]), 1

            return (Judged(reaches, (), (ref,)),)
        case ["all", *parts]:
            return (AllOf(tuple(_scope(part, etype, catalog) for part in parts)),)
        case ["any", *parts]:
            return (AnyOf(tuple(_scope(part, etype, catalog) for part in parts)),)
        case ["where", where]:
            return parse({etype: {"$": {"where": where}}}, catalog, is_admin=True).forms[0].where
        case _:
            raise AssertionError(meaning)


def _ref(labels: Sequence[str], etype: str, catalog: Catalog) -> Ref:
    path: list[Hop] = []
    for label in labels[:-1]:
        attr = catalog.find_forward(etype, label)
        reverse = catalog.find_reverse(etype, label)
        found = attr or reverse
        assert found is not None and found.reverse is not None
        etype = found.reverse.etype if attr is not None else found.etype
        path.append(Hop(found, attr is not None, etype))
    attr = catalog.find_forward(etype, labels[-1])
    last = attr or catalog.find_reverse(etype, labels[-1])
    assert last is not None
    return Ref(tuple(path), last, attr is not None)


def _is_in_half(entity: EntityId, cells: Sequence[Cell], refs: Any) -> tuple[bool, int]:
    assert len(cells) == len(refs) == 0
    return _is_half(uuid_text(entity)), 1


def _is_half(entity: str) -> bool:
    return int(entity[-1], 16) % 2 == 0


def _is_same(cell: Cell, wanted: Cell) -> bool:
    return cell == wanted and cell is not None


# --- as sets -------------------------------------------------------------------------------------


def _meeting(meaning: Meaning, etype: str, model: Model) -> set[str]:
    everyone = set(model.entities(etype))
    match meaning:
        case ["none"]:
            return set()
        case ["half"]:
            return {entity for entity in everyone if _is_half(entity)}
        case ["value", label, wanted]:
            return {one for one in everyone if _has(model, one, etype, label, wanted)}
        case ["ref", labels, wanted]:
            return {one for one in everyone if _has_at_end(model, one, etype, labels, wanted)}
        case ["all", *parts]:
            return everyone.intersection(*(_meeting(part, etype, model) for part in parts))
        case ["any", *parts]:
            return set().union(*(_meeting(part, etype, model) for part in parts))
        case ["where", where]:
            return set(matching(model, etype, {"where": where}))
        case _:
            raise AssertionError(meaning)


def _has(model: Model, entity: str, etype: str, label: str, wanted: Cell) -> bool:
    attr = model.forward(etype, label)
    assert attr is not None
    stored = model.ones.get((entity, attr["id"]))
    is_stored = (entity, attr["id"]) in model.ones
    return is_stored and _is_same(encode_cell(stored, is_indexed=attr["index?"]), wanted)


def _has_at_end(model: Model, entity: str, etype: str, labels: Sequence[str], wanted: Cell) -> bool:
    label, *rest = labels
    attr = model.forward(etype, label)
    if attr is not None and attr["value-type"] == "blob":
        is_id = (
            label == "id" and entity == uuid_text(wanted) if isinstance(wanted, bytes) else False
        )
        return is_id if label == "id" else _has(model, entity, etype, label, wanted)
    link, is_forward, far = model.link(etype, label)
    linked = model.linked(entity, link, is_forward=is_forward)
    if not rest:
        return any(bytes.fromhex(one.replace("-", "")) == wanted for one in linked)
    return any(
        model.exists(one, far) and _has_at_end(model, one, far, rest, wanted) for one in linked
    )
