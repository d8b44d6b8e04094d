"""The classes of a `schema.py` as a client uses them: labels of attributes, where links lead,
conditions in the names of Python. No I/O.

`trice.schema` is of the server's package, which whoever has such a file has installed: it is
taken from the classes, never imported by this package.

source   docs/schema-files.md
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Union, cast

from trice_client._errors import TriceError
from trice_client._json import is_list, is_mapping
from trice_client._tx import Lookup

MISSING: Final = object()
_MODULE: Final = "trice.schema"
_SYSTEM: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "$users": ("Users", {"email": str, "type": str, "imageURL": str}),
    "$files": ("Files", {"path": str, "size": int, "url": str}),
    "$streams": ("Streams", {"clientId": str, "done": bool, "size": int, "abortReason": str}),
}
"""The class of each namespace of the system, and its attributes; each may lack."""
_BY_CREATION: Final = "serverCreatedAt"


@dataclass(frozen=True, slots=True)
class Field:
    """An attribute that is no link. label   its name in the app"""

    name: str
    label: str
    hint: Any
    default: Any

    @property
    def may_lack(self) -> bool:
        return may_lack(self.hint)


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """A link, as one of its two namespaces has it. etype   where it leads"""

    name: str
    label: str
    etype: str
    is_one: bool
    is_own: bool


@dataclass(frozen=True, slots=True)
class Entity:
    """A namespace: its attributes, and the links of it and to it, by their names in Python."""

    cls: type
    etype: str
    fields: dict[str, Field] = field(default_factory=dict[str, Field])
    links: dict[str, LinkEnd] = field(default_factory=dict[str, LinkEnd])

    def names(self) -> list[str]:
        """All that may be asked for."""
        return ["id", *self.fields, *self.links]

    def label(self, name: str, path: Iterable[str | int]) -> str:
        """What a name is called in the app. raises   TriceError("name-unknown")"""
        known = self.fields.get(name) or self.links.get(name)
        if known is not None:
            return known.label
        if name == "id":
            return name
        told = f"{self.cls.__name__} has no {name!r}. It has {', '.join(self.names())}."
        hint = {"path": [*path, name], "expected": self.names()}
        raise TriceError("name-unknown", told, hint=hint)


class Model:
    """All namespaces of a schema, those of the system among them.

    raises   TriceError("schema-malformed") for anything but a class below `Schema`
    """

    def __init__(self, schema: type) -> None:
        self.schema = schema
        self.words = _words(schema)
        self._by_etype: dict[str, Entity] = {}
        self._by_class: dict[type, Entity] = {}
        try:
            self._list(schema)
            for entity in list(self._by_etype.values()):
                self._read(entity)
        except NameError as cause:
            raise _malformed(f"{schema.__name__}: {cause}") from cause

    def entity(self, etype: str) -> Entity:
        return self._by_etype[etype]

    def find(self, cls: object) -> Entity | None:
        """The namespace of a class; None if it is in no table."""
        return self._by_class.get(cls) if isinstance(cls, type) else None

    def get(self, cls: object) -> Entity:
        """raises   TriceError("schema-malformed")"""
        found = self.find(cls)
        if found is not None:
            return found
        shown = cls.__name__ if isinstance(cls, type) else repr(cls)
        listed = ", ".join(each.cls.__name__ for each in self._by_etype.values())
        told = f"{shown} is in no Table of {self.schema.__name__}. There are {listed}"
        raise _malformed(f"{told}, and a View of each.", expected=listed)

    def where(
        self, entity: Entity, where: Mapping[str, Any], path: tuple[str | int, ...] = ("where",)
    ) -> dict[str, Any]:
        """Conditions by labels. A name that the schema lacks would find nothing on the server; here
        it is an error. raises   TriceError("name-unknown")"""
        made: dict[str, Any] = {}
        for name, value in where.items():
            if name in ("and", "or") and is_list(value):
                parts = enumerate(value)
                made[name] = [self.where(entity, each, (*path, name, at)) for at, each in parts]
            else:
                made[self._label_of_path(entity, name, path)] = self.value(value)
        return made

    def order(self, entity: Entity, order: Mapping[str, str]) -> dict[str, str]:
        """An order by labels. raises   TriceError("name-unknown")"""
        return {
            name if name == _BY_CREATION else entity.label(name, ("order",)): direction
            for name, direction in order.items()
        }

    def value(self, value: Any) -> Any:
        """A value as it is, but rows by their ids."""
        if isinstance(value, (self.words.Namespace, self.words.One)):
            return value.id
        if is_mapping(value):
            return {key: self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each) for each in cast(Iterable[Any], value)]
        return value

    def _label_of_path(self, entity: Entity, name: str, path: tuple[str | int, ...]) -> str:
        """`channel.title`: each part is of the namespace that the one before leads to."""
        labels: list[str] = []
        at: Entity | None = entity
        for part in name.split("."):
            if at is None:  # what is inside of a JSON value has no names here
                labels.append(part)
                continue
            labels.append(at.label(part, path))
            link = at.links.get(part)
            at = None if link is None else self.entity(link.etype)
        return ".".join(labels)

    # --- reading the classes ----------------------------------------------------------------------

    def _list(self, schema: type) -> None:
        systems = {etype: getattr(self.words, name) for etype, (name, _) in _SYSTEM.items()}
        for name, hint in _hints(schema).items():
            core, marks = taken_apart(hint)
            if typing.get_origin(core) is not self.words.Table:
                continue
            (cls,) = typing.get_args(core)
            known = (etype for etype, above in systems.items() if issubclass(cls, above))
            self._add(cls, next(known, None) or self._label(marks, name))
        for etype, cls in systems.items():
            if etype not in self._by_etype:
                self._add(cls, etype)
            self._by_class.setdefault(cls, self._by_etype[etype])

    def _add(self, cls: type, etype: str) -> None:
        if cls in self._by_class:
            raise _malformed(f"{cls.__name__} is in two Tables of {self.schema.__name__}.")
        self._by_etype[etype] = self._by_class[cls] = Entity(cls, etype)

    def _read(self, entity: Entity) -> None:
        system = _SYSTEM[entity.etype][1] if entity.etype in _SYSTEM else {}
        for name, kind in system.items():
            entity.fields[name] = Field(name, name, kind | None, MISSING)
        for name, hint in _hints(entity.cls).items():
            core, marks = taken_apart(hint)
            label = self._label(marks, name)
            origin = typing.get_origin(core)
            if origin in (self.words.One, self.words.Many):
                (target,) = typing.get_args(core)
                self._link(entity, name, label, self.get(target), origin is self.words.One)
            elif name not in system:
                entity.fields[name] = Field(name, label, hint, _default(entity.cls, name))

    def _link(self, entity: Entity, name: str, label: str, target: Entity, is_one: bool) -> None:
        said = _default(entity.cls, name)
        entity.links[name] = LinkEnd(name, label, target.etype, is_one, is_own=True)
        back: str = said.back
        target.links[back] = LinkEnd(back, back, entity.etype, said.back_one, is_own=False)

    def _label(self, marks: Iterable[Any], name: str) -> str:
        return next((mark.label for mark in marks if isinstance(mark, self.words.Label)), name)


def ids_of(target: Any) -> Any:
    """Targets of links as `tx` takes them: ids and lookups, one or several."""
    if isinstance(target, list | tuple | set | frozenset):
        return [ids_of(each) for each in cast(Iterable[Any], target)]
    if isinstance(target, Lookup):
        return target
    return getattr(target, "id", target)


def taken_apart(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A hint without Annotated and None, and what Annotated says."""
    marks: list[Any] = []
    while True:
        origin = typing.get_origin(hint)
        if origin is Annotated:
            marks += hint.__metadata__
            hint = hint.__origin__
            continue
        rest = [each for each in typing.get_args(hint) if each is not type(None)]
        if origin not in (Union, types.UnionType) or len(rest) != 1:
            return hint, tuple(marks)
        (hint,) = rest


def may_lack(hint: Any) -> bool:
    """Whether a hint says `| None`."""
    while typing.get_origin(hint) is Annotated:
        hint = hint.__origin__
    is_union = typing.get_origin(hint) in (Union, types.UnionType)
    return is_union and type(None) in typing.get_args(hint)


def _words(schema: object) -> Any:
    """`trice.schema`, which a class below its `Schema` has imported."""
    words = sys.modules.get(_MODULE)
    if words is not None and isinstance(schema, type) and issubclass(schema, words.Schema):
        return words
    raise _malformed(f"`typed` takes the class of a schema.py, not {schema!r}.")


def _hints(cls: type) -> dict[str, Any]:
    found = typing.get_type_hints(cls, include_extras=True)
    return {name: hint for name, hint in found.items() if typing.get_origin(hint) is not ClassVar}


def _default(cls: type, name: str) -> Any:
    """What stands behind `=`, in a class or those above it; MISSING if nothing."""
    return next((vars(each)[name] for each in cls.__mro__ if name in vars(each)), MISSING)


def _malformed(told: str, expected: str = "class Db(Schema): todos: Table[Todo]") -> TriceError:
    return TriceError("schema-malformed", told, hint={"expected": expected})
