"""An immutable snapshot of an app's attrs, with the lookups the engine needs. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from trice.catalog.attr import Attr
from trice.protocol.ids import AttrId


@dataclass(frozen=True, eq=False)
class Namespace:
    """One namespace: its id attr and the attrs whose forward side it owns.

    columns   attrs of cardinality one but `id`, in a fixed order: the layout of a row
    pairs     links of cardinality many
    """

    etype: str
    table: str
    id_attr: Attr | None
    columns: tuple[Attr, ...]
    pairs: tuple[Attr, ...]

    @cached_property
    def index(self) -> Mapping[AttrId, int]:
        """Position of each column attr in a row's cells."""
        return {attr.id: position for position, attr in enumerate(self.columns)}

    @cached_property
    def required(self) -> tuple[Attr, ...]:
        return tuple(attr for attr in (*self.columns, *self.pairs) if attr.is_required)


class Catalog:
    """All attrs of an app at one moment. A change makes a new Catalog; nobody edits one.

    Holds soft-deleted attrs too (`by_id` finds them, names do not), for restore.
    Does not hold: rows, rules, or which client has seen which version (the session knows).

    version   rises by one with each change that clients must hear of; inferred types are not such
    """

    def __init__(self, attrs: Iterable[Attr], *, version: int = 1) -> None:
        self.version = version
        self.by_id: dict[AttrId, Attr] = {attr.id: attr for attr in attrs}
        self._forward: dict[tuple[str, str], Attr] = {}
        self._reverse: dict[tuple[str, str], Attr] = {}
        owned: dict[str, list[Attr]] = {}
        self._pointing: dict[str, list[Attr]] = {}
        for attr in self.by_id.values():
            if attr.deleted_ms is not None:
                continue
            self._forward[attr.forward.name] = attr
            owned.setdefault(attr.etype, []).append(attr)
            if attr.reverse is not None and attr.is_ref:
                self._reverse[attr.reverse.name] = attr
                self._pointing.setdefault(attr.reverse.etype, []).append(attr)
        self.namespaces: dict[str, Namespace] = {
            etype: _namespace(etype, members) for etype, members in owned.items()
        }

    def find_forward(self, etype: str, label: str) -> Attr | None:
        """The attr that `etype` calls `label` on its forward side."""
        return self._forward.get((etype, label))

    def find_reverse(self, etype: str, label: str) -> Attr | None:
        """The link that `etype`, as its target, calls `label`."""
        return self._reverse.get((etype, label))

    def find_name(self, etype: str, label: str) -> Attr | None:
        """Whatever `etype` calls `label`, on either side."""
        return self._forward.get((etype, label)) or self._reverse.get((etype, label))

    def pointing_at(self, etype: str) -> tuple[Attr, ...]:
        """Links whose targets are entities of `etype`."""
        return tuple(self._pointing.get(etype, ()))

    def with_attrs(self, changed: Iterable[Attr], *, is_visible: bool = True) -> Catalog:
        """A catalog in which `changed` attrs are added or replace the ones with their ids.

        is_visible   whether clients must be told (False: only inferred types differ)
        """
        merged = dict(self.by_id)
        merged.update((attr.id, attr) for attr in changed)
        return Catalog(merged.values(), version=self.version + (1 if is_visible else 0))

    def without_attr(self, attr_id: AttrId) -> Catalog:
        """A catalog that never had this attr."""
        return Catalog(
            (attr for attr in self.by_id.values() if attr.id != attr_id), version=self.version + 1
        )

    def wire(self) -> list[dict[str, Any]]:
        """Every visible attr as clients receive it, sorted by id."""
        visible = (attr for attr in self.by_id.values() if attr.deleted_ms is None)
        return [attr.wire() for attr in sorted(visible, key=lambda attr: attr.id)]

    @cached_property
    def wire_json(self) -> bytes:
        """`wire()` encoded once, shared by every session that needs it."""
        return orjson.dumps(self.wire())


def _namespace(etype: str, members: list[Attr]) -> Namespace:
    columns = [attr for attr in members if not attr.is_pairs and not attr.is_id]
    id_attr = next((attr for attr in members if attr.is_id), None)
    table = next((attr.table for attr in (*([id_attr] if id_attr else ()), *columns)), "")
    return Namespace(
        etype=etype,
        table=table,
        id_attr=id_attr,
        columns=tuple(sorted(columns, key=lambda attr: attr.id)),
        pairs=tuple(attr for attr in members if attr.is_pairs),
    )
