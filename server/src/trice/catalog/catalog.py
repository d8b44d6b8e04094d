"""An immutable snapshot of an app's attrs, with the lookups the engine needs. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import orjson

from trice.catalog.attr import Attr
from trice.protocol.ids import AttrId
from trice.protocol.shared import SharedPart


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

    def attrs(self) -> Iterator[Attr]:
        """Every attr whose forward side this namespace owns, `id` first."""
        if self.id_attr is not None:
            yield self.id_attr
        yield from self.columns
        yield from self.pairs

    @cached_property
    def index(self) -> Mapping[AttrId, int]:
        """Position of each column attr in a row's cells."""
        return {attr.id: position for position, attr in enumerate(self.columns)}

    @cached_property
    def has_rows(self) -> bool:
        """Whether it has any attr of cardinality one; without one it has links only."""
        return self.id_attr is not None or bool(self.columns)

    @cached_property
    def unique(self) -> frozenset[int]:
        """Positions of the columns that are unique."""
        return frozenset(at for at, attr in enumerate(self.columns) if attr.is_unique)

    @cached_property
    def required(self) -> tuple[Attr, ...]:
        return tuple(attr for attr in (*self.columns, *self.pairs) if attr.is_needed)


class Catalog:
    """All attrs of an app at one moment. A change makes a new Catalog; nobody edits one.

    Holds soft-deleted attrs too (`by_id` finds them, names do not), for restore.
    Does not hold: rows, rules, or which client has seen which version (the session knows).

    version   rises by one with each change that clients are told of; inferred types are not told
    """

    def __init__(self, attrs: Iterable[Attr], *, version: int = 1) -> None:
        self.version = version
        self.by_id: dict[AttrId, Attr] = {}
        self.namespaces: dict[str, Namespace] = {}
        self._forward: dict[tuple[str, str], Attr] = {}
        self._reverse: dict[tuple[str, str], Attr] = {}
        self._pointing: dict[str, tuple[Attr, ...]] = {}
        self._put(attrs)

    def _put(self, changed: Iterable[Attr]) -> None:
        """Add or replace attrs, and derive anew what depends on their namespaces.

        Only while the catalog is being made. Costs O(changed + members of their namespaces).
        """
        members: dict[str, dict[AttrId, Attr]] = {}
        pointing: dict[str, dict[AttrId, Attr]] = {}
        for attr in changed:
            old = self.by_id.get(attr.id)
            self.by_id[attr.id] = attr
            for version in (old, attr):
                if version is not None and version.deleted_ms is None:
                    self._place(version, members, pointing, is_gone=version is old)
        for etype, owned in members.items():
            if owned:
                self.namespaces[etype] = _namespace(etype, owned.values())
            else:
                self.namespaces.pop(etype, None)
        for etype, links in pointing.items():
            self._pointing[etype] = tuple(links.values())

    def _place(
        self,
        attr: Attr,
        members: dict[str, dict[AttrId, Attr]],
        pointing: dict[str, dict[AttrId, Attr]],
        *,
        is_gone: bool,
    ) -> None:
        """Add one attr under its names, or remove it."""
        owned = members.get(attr.etype)
        if owned is None:
            namespace = self.namespaces.get(attr.etype)
            owned = {} if namespace is None else {own.id: own for own in namespace.attrs()}
            members[attr.etype] = owned
        places: list[tuple[dict[tuple[str, str], Attr], tuple[str, str], dict[AttrId, Attr]]]
        places = [(self._forward, attr.forward.name, owned)]
        if attr.reverse is not None and attr.is_ref:
            target = attr.reverse.etype
            links = pointing.setdefault(target, {a.id: a for a in self._pointing.get(target, ())})
            places.append((self._reverse, attr.reverse.name, links))
        for names, name, siblings in places:
            if is_gone:
                siblings.pop(attr.id, None)
                if name in names and names[name].id == attr.id:
                    del names[name]
            else:
                siblings[attr.id] = attr
                names[name] = attr

    def find_forward(self, etype: str, label: str) -> Attr | None:
        """The attr that `etype` calls `label` on its forward side."""
        return self._forward.get((etype, label))

    def find_reverse(self, etype: str, label: str) -> Attr | None:
        """The link into `etype` whose reverse label is `label`."""
        return self._reverse.get((etype, label))

    def find_name(self, etype: str, label: str) -> Attr | None:
        """The attr that `etype` calls `label`, on either side."""
        return self._forward.get((etype, label)) or self._reverse.get((etype, label))

    def pointing_at(self, etype: str) -> tuple[Attr, ...]:
        """Links whose targets are entities of `etype`."""
        return self._pointing.get(etype, ())

    def with_attrs(self, changed: Iterable[Attr], *, is_visible: bool = True) -> Catalog:
        """A catalog in which the `changed` attrs are added, or replace the attrs with their ids.

        is_visible   whether clients must be told (False: only inferred types differ)
        """
        made = Catalog((), version=self.version + (1 if is_visible else 0))
        made.by_id = dict(self.by_id)
        made.namespaces = dict(self.namespaces)
        made._forward = dict(self._forward)
        made._reverse = dict(self._reverse)
        made._pointing = dict(self._pointing)
        made._put(changed)
        return made

    def without(self, attr: Attr) -> Catalog:
        """A catalog without a soft-deleted attr. Clients see no difference."""
        assert attr.deleted_ms is not None
        made = self.with_attrs((), is_visible=False)
        del made.by_id[attr.id]
        return made

    def wire(self) -> list[dict[str, Any]]:
        """Every visible attr as clients receive it, sorted by id."""
        visible = (attr for attr in self.by_id.values() if attr.deleted_ms is None)
        return [attr.wire() for attr in sorted(visible, key=lambda attr: attr.id)]

    @cached_property
    def wire_json(self) -> bytes:
        """`wire()` encoded once, shared by every session that needs it."""
        return orjson.dumps(self.wire())

    @cached_property
    def wire_part(self) -> SharedPart:
        """`wire_json` as a part of frames."""
        return SharedPart(self.wire_json)

    @cached_property
    def wire_name(self) -> str:
        """A name of the content of `wire()`: equal for equal catalogs, after a restart too."""
        return blake2b(self.wire_json, digest_size=16).hexdigest()


def _namespace(etype: str, members: Collection[Attr]) -> Namespace:
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
