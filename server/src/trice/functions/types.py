"""Types with names, as generators of clients read them (`Signature.types`).

    {"args":   [FIELD],
     "result": T,
     "names":  {KEY: NAMED}}

    T := {"is": "string" | "number" | "integer" | "boolean" | "null" | "any"}
       | {"is": "datetime" | "date" | "time" | "duration"}    ISO 8601 texts; datetimes have a zone
       | {"is": "uuid" | "decimal" | "bytes"}                 texts; bytes in base64
       | {"is": "id", "of": NAMESPACE}                        a uuid in lower case; of "" any
       | {"is": "literal", "values": [texts, numbers or booleans]}
       | {"is": "list", "of": T} | {"is": "tuple", "items": [T]} | {"is": "map", "of": T}
       | {"is": "union", "of": [T]}                           no union in it; null among them: `T?`
       | {"is": "object", "fields": [FIELD]}
       | {"is": "page", "of": T}                {"items": [T], "next": string | null}
       | {"is": "paged"}                        {"size"?: integer, "after"?: string | null}
       | {"is": "named", "key": KEY}

    NAMED := {"is": "object", "name", "fields": [FIELD], "doc"?, "namespace"?}
           | {"is": "enum", "name", "values": [texts or numbers], "doc"?}
    FIELD := {"name", "type": T, "optional": bool}            optional: the key may be absent

KEY is module and class, `messages.MessageView`, and means one class in all signatures of a program.
`name` is that of the class, which two modules may both have. `namespace` is that of a view or row.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, NotRequired, Required, Union

import msgspec

from trice.functions.model import Entity, Model
from trice.functions.records import optional_keys
from trice.functions.shapes import viewed
from trice.runtime import UUID
from trice.schema.declare import Id, Namespace, One
from trice.schema.views import Page, Paged, View

Described = dict[str, Any]

_PLAIN: Final[dict[Any, str]] = {
    str: "string",
    float: "number",
    int: "integer",
    bool: "boolean",
    type(None): "null",
    None: "null",
    Any: "any",
    object: "any",
    datetime: "datetime",
    date: "date",
    time: "time",
    timedelta: "duration",
    UUID: "uuid",
    Decimal: "decimal",
    bytes: "bytes",
    bytearray: "bytes",
    dict: "map",
    list: "list",
}
_LISTS: Final = (
    *(list, set, frozenset, collections.abc.Sequence, collections.abc.Collection),
    *(collections.abc.Iterable, collections.abc.Set),
)
_MAPS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class Describer:
    """Describes the hints of one function. `names` has the classes that they name."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.names: dict[str, Described] = {}

    def describe(self, hint: Any) -> Described:
        """The T of a hint, which has been translated before (`hints`)."""
        origin = typing.get_origin(hint)
        args = typing.get_args(hint)
        if origin is Annotated:
            return self.describe(hint.__origin__)
        if origin in (Required, NotRequired):
            return self.describe(args[0])
        if origin in (Union, types.UnionType):
            return _union(self.describe(each) for each in args)
        if origin is Literal:
            return {"is": "literal", "values": [_value(each) for each in args]}
        if hint is Id or origin is Id:
            entity = self._model.find(args[0]) if args else None
            return {"is": "id", "of": "" if entity is None else entity.etype}
        if origin is Page:
            return {"is": "page", "of": self.describe(args[0])}
        if hint is Paged:
            return {"is": "paged"}
        if origin is One:
            return self._reference(self._model.find(args[0]))
        if origin is tuple:
            return self._tuple(args)
        if origin in _LISTS:
            return {"is": "list", "of": self.describe(args[0])}
        if origin in _MAPS:
            return {"is": "map", "of": self.describe(args[1])}
        if hasattr(hint, "__supertype__"):
            return self.describe(hint.__supertype__)
        if type(hint).__name__ == "TypeAliasType":
            return self.describe(hint.__value__)
        return self._class(hint)

    def _class(self, cls: Any) -> Described:
        if cls in _PLAIN:
            found = _PLAIN[cls]
            return {"is": found, **({"of": {"is": "any"}} if found in ("map", "list") else {})}
        if cls is tuple or cls in (set, frozenset):
            return {"is": "list", "of": {"is": "any"}}
        if isinstance(cls, type) and issubclass(cls, Enum):
            values = [_value(each.value) for each in cls]
            return self._named(cls, lambda: {"is": "enum", "values": values})
        if isinstance(cls, type) and issubclass(cls, Namespace):
            return self._named(cls, lambda: self._row(cls))
        is_record = (
            typing.is_typeddict(cls)
            or dataclasses.is_dataclass(cls)
            or (isinstance(cls, type) and issubclass(cls, (msgspec.Struct, View)))
        )
        return self._named(cls, lambda: self._record(cls)) if is_record else {"is": "any"}

    def _tuple(self, args: tuple[Any, ...]) -> Described:
        if len(args) == 2 and args[1] is Ellipsis:
            return {"is": "list", "of": self.describe(args[0])}
        return {"is": "tuple", "items": [self.describe(each) for each in args]}

    def _named(self, cls: type, make: Any) -> Described:
        module = cls.__module__.removeprefix("functions.")
        key = f"{module}.{cls.__qualname__}"
        if key not in self.names:
            self.names[key] = {}  # a class that holds itself is named inside of itself
            made = make()
            doc = own_doc(cls)
            self.names[key] = {**made, "name": cls.__name__, **({"doc": doc} if doc else {})}
        return {"is": "named", "key": key}

    def _record(self, cls: Any) -> Described:
        hints = typing.get_type_hints(cls, include_extras=True)
        may_be_absent = _defaulted(cls, hints)
        fields = [
            _field(name, self.describe(hint), is_optional=name in may_be_absent)
            for name, hint in hints.items()
            if typing.get_origin(hint) is not typing.ClassVar
        ]
        made: Described = {"is": "object", "fields": fields}
        if issubclass(cls, View):
            entity = self._model.find(viewed(cls))
            assert entity is not None, "the view was translated before"
            made["namespace"] = entity.etype
        return made

    def _row(self, cls: type) -> Described:
        entity = self._model.find(cls)
        assert entity is not None, "the namespace was translated before"
        fields = [_field("id", {"is": "id", "of": entity.etype})]
        fields += [_field(each.name, self.describe(each.hint)) for each in entity.fields.values()]
        for link in entity.links.values():
            if link.is_one:
                target = self._reference(self._model.entity(link.etype))
                fields.append(_field(link.name, _union([target, {"is": "null"}])))
        return {"is": "object", "fields": fields, "namespace": entity.etype}

    def _reference(self, entity: Entity | None) -> Described:
        of = "" if entity is None else entity.etype
        return {"is": "object", "fields": [_field("id", {"is": "id", "of": of})]}


def _defaulted(cls: Any, hints: dict[str, Any]) -> set[str]:
    """Fields that may be absent in what is sent."""
    if typing.is_typeddict(cls):
        return set(optional_keys(cls, hints))
    if issubclass(cls, View):
        return set()
    if issubclass(cls, msgspec.Struct):
        return {each.name for each in msgspec.structs.fields(cls) if not each.required}
    missing = dataclasses.MISSING
    return {
        each.name
        for each in dataclasses.fields(cls)
        if each.default is not missing or each.default_factory is not missing
    }


def own_doc(cls: type) -> str:
    """The docstring that a class has itself, unless Python wrote it."""
    doc = vars(cls).get("__doc__") or ""
    is_made = doc.startswith(f"{cls.__name__}(") or (issubclass(cls, Enum) and not doc)
    return "" if is_made else " ".join(doc.split())


def _field(name: str, described: Described, *, is_optional: bool = False) -> Described:
    return {"name": name, "type": described, "optional": is_optional}


def _union(parts: Iterable[Described]) -> Described:
    flat: list[Described] = []
    for each in parts:
        for one in each["of"] if each["is"] == "union" else [each]:
            if one not in flat:
                flat.append(one)
    return flat[0] if len(flat) == 1 else {"is": "union", "of": flat}


def _value(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def lists_of(described: Described, names: dict[str, Described]) -> tuple[str, ...]:
    """Paths to lists of objects that have an id, through objects only (`Signature.lists`)."""
    found: list[str] = []
    _look_for_lists(described, names, "", found, frozenset())
    return tuple(found)


def paged_names(types: Described) -> list[str]:
    """The arguments that say which page is asked for."""
    return [each["name"] for each in types.get("args", ()) if _is_paged(each["type"])]


def _is_paged(described: Described) -> bool:
    if described["is"] == "union":
        return any(_is_paged(each) for each in described["of"])
    return bool(described["is"] == "paged")


def list_of(types: Described) -> tuple[str, Described] | None:
    """Of a function that lists something page by page: the argument that says which page, and what
    is listed. It takes one `Paged`, and returns a `Page`."""
    names = paged_names(types)
    result = types.get("result", {"is": "any"})
    return (names[0], result["of"]) if len(names) == 1 and result["is"] == "page" else None


def _look_for_lists(
    described: Described,
    names: dict[str, Described],
    path: str,
    found: list[str],
    above: frozenset[str],
) -> None:
    match described:
        case {"is": "list", "of": inner} if _has_id(inner, names):
            found.append(path)
        case {"is": "page", "of": inner} if _has_id(inner, names):
            found.append(f"{path}.items" if path else "items")
        case {"is": "named", "key": key} if key not in above:
            _look_for_lists(names[key], names, path, found, above | {key})
        case {"is": "object", "fields": fields}:
            for each in fields:
                below = f"{path}.{each['name']}" if path else each["name"]
                _look_for_lists(each["type"], names, below, found, above)
        case {"is": "union", "of": parts}:
            rest = [each for each in parts if each["is"] != "null"]
            if len(rest) == 1:
                _look_for_lists(rest[0], names, path, found, above)


def _has_id(described: Described, names: dict[str, Described]) -> bool:
    while described["is"] == "named":
        described = names[described["key"]]
    return described["is"] == "object" and any(
        each["name"] == "id" and each["type"]["is"] in ("id", "uuid", "string")
        for each in described["fields"]
    )
