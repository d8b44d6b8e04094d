"""The naive model's data: triples in dictionaries, and plain reads over them. No I/O.

Follows instant-semantics §1 with the decisions of trice: an entity exists when it has its id
triple; null and missing are one thing for indexed attrs; fields carry their entity's time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from model.values import MISSING

Attr = dict[str, Any]
"""An attr as it travels: kebab-case keys, question marks and all."""


class NoSuchName(Exception):
    """A query names an attr or link that does not exist."""


class Model:
    """All triples of one app.

    attrs    by id
    ones     (entity, attr id) -> value, for attrs of cardinality one
    created  (entity, etype) -> time of its id triple
    many     (attr id, source, target) -> time, for links of cardinality many
    hidden   (entity, attr id) that are missing even where others are null
    """

    def __init__(self, attrs: Iterable[Attr] = ()) -> None:
        self.attrs: dict[str, Attr] = {}
        self.ones: dict[tuple[str, str], Any] = {}
        self.created: dict[tuple[str, str], int] = {}
        self.many: dict[tuple[str, str, str], int] = {}
        self.hidden: frozenset[tuple[str, str]] = frozenset()
        for attr in attrs:
            self.attrs[attr["id"]] = dict(attr)

    def copy(self) -> Model:
        other = Model(self.attrs.values())
        other.ones = copy.copy(self.ones)
        other.created = dict(self.created)
        other.many = dict(self.many)
        return other

    # --- names -----------------------------------------------------------------------------

    def forward(self, etype: str, label: str) -> Attr | None:
        return next(
            (a for a in self.attrs.values() if a["forward-identity"][1:] == [etype, label]), None
        )

    def reverse(self, etype: str, label: str) -> Attr | None:
        return next(
            (
                a
                for a in self.attrs.values()
                if is_ref(a) and a["reverse-identity"][1:] == [etype, label]
            ),
            None,
        )

    def link(self, etype: str, label: str) -> tuple[Attr, bool, str]:
        """The link `etype` calls `label`, whether it runs forward, and where it arrives."""
        attr = self.forward(etype, label)
        if attr is not None and is_ref(attr):
            return attr, True, attr["reverse-identity"][1]
        attr = self.reverse(etype, label)
        if attr is None:
            raise NoSuchName(f"{etype}.{label}")
        return attr, False, attr["forward-identity"][1]

    def owned(self, etype: str) -> list[Attr]:
        """Every attr whose forward side is `etype`."""
        return [a for a in self.attrs.values() if a["forward-identity"][1] == etype]

    def id_attr(self, etype: str) -> Attr:
        attr = self.forward(etype, "id")
        if attr is None:
            raise NoSuchName(f"{etype}.id")
        return attr

    # --- reads -----------------------------------------------------------------------------

    def entities(self, etype: str) -> list[str]:
        """Ids of the entities that exist in `etype`."""
        return [entity for entity, owner in self.created if owner == etype]

    def exists(self, entity: str, etype: str) -> bool:
        return (entity, etype) in self.created

    def has_row(self, entity: str, etype: str) -> bool:
        """Whether anything of cardinality one is stored for it, its id included.

        A null in an indexed field is nothing.
        """
        stored = (
            (self.ones.get((entity, a["id"]), MISSING), a["index?"]) for a in self.owned(etype)
        )
        return any(
            value is not MISSING and not (value is None and is_indexed)
            for value, is_indexed in stored
        )

    def has_triples(self, entity: str, etype: str) -> bool:
        """Whether anything at all is stored for it, links to others included."""
        pairs = any(
            source == entity and self.attrs[attr_id]["forward-identity"][1] == etype
            for attr_id, source, _ in self.many
        )
        return pairs or self.has_row(entity, etype)

    def value(self, entity: str, attr: Attr) -> Any:
        """The value of a field, or MISSING; an indexed field of an entity is null at least, unless
        it is hidden."""
        if (entity, attr["id"]) in self.hidden:
            return MISSING
        value = self.ones.get((entity, attr["id"]), MISSING)
        if attr["index?"] and (value is MISSING or value is None):
            return None if self.exists(entity, attr["forward-identity"][1]) else MISSING
        return value

    def linked(self, entity: str, attr: Attr, *, is_forward: bool) -> dict[str, int]:
        """Ids at the other end of a link with the times of the pairs, existing or not."""
        if attr["cardinality"] == "many":
            pairs = [
                (source, target, time)
                for (attr_id, source, target), time in self.many.items()
                if attr_id == attr["id"]
            ]
        else:
            etype = attr["forward-identity"][1]
            pairs = [
                (source, target, self.created.get((source, etype), 0))
                for (source, attr_id), target in self.ones.items()
                if attr_id == attr["id"]
            ]
        if is_forward:
            return {target: time for source, target, time in pairs if source == entity}
        return {source: time for source, target, time in pairs if target == entity}

    def own_triples(self, entity: str, etype: str) -> list[list[Any]]:
        """Its triples of cardinality one, as a query that shows it must deliver them."""
        time = self.created[entity, etype]
        triples = []
        for attr in self.owned(etype):
            if attr["cardinality"] == "many":
                continue
            value = self.ones.get((entity, attr["id"]), MISSING)
            if not is_ref(attr):
                value = self.value(entity, attr)
            if value is not MISSING:
                triples.append([entity, attr["id"], value, time])
        return triples


def is_ref(attr: Attr) -> bool:
    return bool(attr["value-type"] == "ref")
