"""The namespaces of a schema as functions use them: what an attribute of a class is called in the
app, and where links lead. No I/O.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, ClassVar, Final, Literal, Union

from trice.schema.declare import (
    Files,
    Indexed,
    Label,
    Link,
    Namespace,
    One,
    Schema,
    Streams,
    Unique,
    Users,
)
from trice.schema.tables import Table

MISSING: Final = object()
CREATED: Final = "created_at"
"""What views and orders call the time at which a row was created."""
_SYSTEM: Final[tuple[tuple[type[Namespace], str], ...]] = (
    (Users, "$users"),
    (Files, "$files"),
    (Streams, "$streams"),
)
_SYSTEM_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "$users": {"email": str, "type": str, "imageURL": str},
    "$files": {"path": str, "size": float, "url": str},
    "$streams": {"clientId": str, "done": bool, "size": float, "abortReason": str},
}
"""Attributes of the system that functions may ask for; each may lack."""


@dataclass(frozen=True, slots=True)
class Field:
    """An attribute that is no link.

    hint      its type, Annotated and None included
    default   a constant, a Fill, or MISSING
    """

    name: str
    label: str
    hint: Any
    default: Any

    @property
    def is_listed(self) -> bool:
        """Whether only certain values are allowed, which no server checks."""
        core, _ = _core(self.hint)
        is_enum = isinstance(core, type) and issubclass(core, Enum)
        return is_enum or typing.get_origin(core) is Literal


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """A link, seen from one of its two namespaces.

    etype     where it leads
    """

    name: str
    label: str
    etype: str
    is_one: bool
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Entity:
    """A namespace. `links` are those it declares, by their names in the class; `backs` those that
    others declare, by their label here."""

    cls: type[Namespace]
    etype: str
    fields: dict[str, Field] = field(default_factory=dict)
    links: dict[str, LinkEnd] = field(default_factory=dict)
    backs: dict[str, LinkEnd] = field(default_factory=dict)

    @property
    def has_created(self) -> bool:
        """Whether CREATED is the time of creation: an attribute or link of that name goes first."""
        return self.label(CREATED) is None

    def link(self, name: str) -> LinkEnd | None:
        return self.links.get(name) or self.backs.get(name)

    def label(self, name: str) -> str | None:
        """The label of what is called `name` in Python, or is a label already; None: unknown."""
        field = self.fields.get(name)
        link = self.link(name)
        if field is not None or link is not None:
            return field.label if field is not None else link.label if link is not None else None
        labels = {*(each.label for each in self.fields.values())}
        labels |= {"id", *(each.label for each in self.links.values())}
        return name if name in labels else None

    def can_order_by(self, label: str) -> bool:
        """Whether the schema has an index on a label. Those of the system may have one."""
        found = next((each for each in self.fields.values() if each.label == label), None)
        if found is None:
            return False
        if label in _SYSTEM_FIELDS.get(self.etype, {}):
            return True
        _, marks = _core(found.hint)
        return any(
            mark.indexed if isinstance(mark, Unique) else mark in (Indexed, Unique)
            for mark in marks
        )

    def names(self) -> Iterator[str]:
        """Everything that it has, as views name it."""
        yield from ("id", *self.fields, *self.links, *self.backs)


class Model:
    """The namespaces of a program; without a schema those of the system.

    tables   attribute of the schema class → namespace
    """

    def __init__(self, schema: type[Schema] | None) -> None:
        self.tables: dict[str, Entity] = {}
        self._by_etype: dict[str, Entity] = {}
        self._etypes: dict[type, str] = dict(_SYSTEM)
        if schema is not None:
            self._list(schema)
        for cls, etype in _SYSTEM:
            if etype not in self._by_etype:
                self._by_etype[etype] = Entity(cls, etype)
        for entity in self._by_etype.values():
            self._read(entity)

    def entity(self, etype: str) -> Entity:
        return self._by_etype[etype]

    def find(self, cls: Any) -> Entity | None:
        """The namespace of a class; None if it is in no table."""
        etype = self._etypes.get(cls)
        return None if etype is None else self._by_etype[etype]

    def _list(self, schema: type[Schema]) -> None:
        for name, hint in _hints(schema).items():
            core, marks = _core(hint)
            if typing.get_origin(core) is not Table:
                continue
            cls = typing.get_args(core)[0]
            system = next((etype for known, etype in _SYSTEM if issubclass(cls, known)), None)
            etype = system or _labelled(marks, name)
            self._etypes[cls] = etype
            self._by_etype[etype] = self.tables[name] = Entity(cls, etype)

    def _read(self, entity: Entity) -> None:
        for name, hint in _SYSTEM_FIELDS.get(entity.etype, {}).items():
            entity.fields[name] = Field(name, name, hint | None, MISSING)
        for name, hint in _hints(entity.cls).items():
            _, marks = _core(hint)
            label = _labelled(marks, name)
            default = default_of(entity.cls, name)
            if isinstance(default, Link):
                self._link(entity, name, label, hint, default)
            elif label not in _SYSTEM_FIELDS.get(entity.etype, {}):
                entity.fields[name] = Field(name, label, hint, default)

    def _link(self, entity: Entity, name: str, label: str, hint: Any, said: Link) -> None:
        core, _ = _core(hint)
        is_one = typing.get_origin(core) is One
        target = self._etypes[typing.get_args(core)[0]]
        is_optional = is_one and may_lack(hint)
        entity.links[name] = LinkEnd(name, label, target, is_one, is_optional)
        self._by_etype[target].backs[said.back] = LinkEnd(
            said.back, said.back, entity.etype, said.back_one, True
        )


def default_of(cls: type, name: str) -> Any:
    """What stands behind `=` in a class or those above it; MISSING if nothing."""
    for each in cls.__mro__:
        if name in vars(each):
            return vars(each)[name]
    return MISSING


def may_lack(hint: Any) -> bool:
    """Whether a type hint says `| None`."""
    while typing.get_origin(hint) is Annotated:
        hint = hint.__origin__
    is_union = typing.get_origin(hint) in (Union, types.UnionType)
    return is_union and type(None) in typing.get_args(hint)


def _hints(cls: type) -> dict[str, Any]:
    found = typing.get_type_hints(cls, include_extras=True)
    return {name: hint for name, hint in found.items() if typing.get_origin(hint) is not ClassVar}


def _core(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A hint without Annotated and None, and what Annotated says."""
    marks: list[Any] = []
    while True:
        origin = typing.get_origin(hint)
        if origin is Annotated:
            marks += hint.__metadata__
            hint = hint.__origin__
        elif origin in (Union, types.UnionType) and type(None) in typing.get_args(hint):
            rest = [each for each in typing.get_args(hint) if each is not type(None)]
            if len(rest) != 1:
                return hint, tuple(marks)
            hint = rest[0]
        else:
            return hint, tuple(marks)


def _labelled(marks: tuple[Any, ...], name: str) -> str:
    return next((mark.label for mark in marks if isinstance(mark, Label)), name)
