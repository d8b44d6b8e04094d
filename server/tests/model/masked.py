"""The model's data as somebody sees who may not see all of it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.state import Model, is_ref

Sets = Mapping[str, frozenset[str]]


def masked(model: Model, *, visible: Sets, shown: Sets) -> Model:
    """What remains when hidden entities and hidden attrs are taken away.

    visible  by namespace, the entities that may be seen; all, where a namespace is not listed
    shown    by attr id, the entities that show it; all, where an attr is not listed

    An entity takes its own triples along, the links it holds included. The id of a hidden entity
    stays as the value of a link that another one holds.
    """
    seen = model.copy()

    def is_kept(entity: str, attr_id: str) -> bool:
        attr = model.attrs[attr_id]
        etype, label = attr["forward-identity"][1:]
        holders = [visible.get(etype), None if label == "id" else shown.get(attr_id)]
        # Nothing is known of an entity without an id triple: it meets no condition.
        is_bound = any(one is not None for one in holders)
        return (not is_bound or model.exists(entity, etype)) and all(
            one is None or entity in one for one in holders
        )

    seen.created = {
        (entity, etype): time
        for (entity, etype), time in model.created.items()
        if etype not in visible or entity in visible[etype]
    }
    seen.hidden = frozenset(
        (entity, attr_id)
        for entity, etype in seen.created
        for attr_id in shown
        if model.attrs[attr_id]["forward-identity"][1] == etype and not is_kept(entity, attr_id)
    )
    seen.ones = {key: value for key, value in model.ones.items() if is_kept(*key)}
    seen.many = {key: time for key, time in model.many.items() if is_kept(key[1], key[0])}
    return seen


def visible_triples(model: Model) -> list[list[Any]]:
    """Every triple of the model that an answer may hold."""
    triples = [
        triple for entity, etype in model.created for triple in model.own_triples(entity, etype)
    ]
    triples += [
        [source, attr_id, target, time] for (attr_id, source, target), time in model.many.items()
    ]
    # Links of what has no id triple yet are there to be tested; they have no time.
    for (source, attr_id), target in model.ones.items():
        attr = model.attrs[attr_id]
        if is_ref(attr) and not model.exists(source, attr["forward-identity"][1]):
            triples.append([source, attr_id, target, 0])
    return triples
