"""The classes of a `schema.py` → a schema document, or the line that is wrong. No I/O.

source   spec/schema-files.md SF2, SF10
"""

from __future__ import annotations

import ast
import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, Final, ForwardRef, Literal, Union

from trice.schema.declare import (
    Fields,
    Files,
    Fill,
    Indexed,
    JsonMark,
    Label,
    Link,
    Many,
    Namespace,
    One,
    Room,
    Schema,
    Streams,
    Unique,
    Users,
    Was,
)
from trice.schema.document import Document, Path, SchemaFault, canonical, link_name
from trice.schema.tables import Table

ACCEPTED: Final = (
    "str, float, int, bool, datetime, date, Json, Any, dict, list, an enum, Literal, a TypedDict"
    " or dataclass, each also with `| None`; One[…] and Many[…] for links"
)
_ACCEPTED_MARKS: Final = 'Accepted in Annotated: Unique, Indexed, Label("…"), Was("…")'
_SYSTEM: Final[tuple[tuple[type[Namespace], str], ...]] = (
    (Users, "$users"),
    (Files, "$files"),
    (Streams, "$streams"),
)
_PLAIN: Final[Mapping[Any, Document]] = {
    str: {"valueType": "string"},
    bool: {"valueType": "boolean"},
    float: {"valueType": "number"},
    int: {"valueType": "number", "format": "integer"},
    datetime: {"valueType": "date"},
    date: {"valueType": "date", "format": "day"},
    Any: {"valueType": "any"},
    dict: {"valueType": "json"},
    list: {"valueType": "json"},
}


class Misread(Exception):
    """What is wrong in which class, and at which attribute of it."""

    def __init__(self, message: str, cls: type, name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cls = cls
        self.name = name


def read_schema(schema: type[Schema]) -> Document:
    """The document that a class of namespaces stands for. raises   Misread"""
    return _Reading(schema).document()


@dataclasses.dataclass(frozen=True, slots=True)
class _Hint:
    """One type hint, taken apart.

    core    the type, without Annotated and without None
    marks   what stands in Annotated
    """

    core: Any
    marks: tuple[Any, ...]
    is_optional: bool


class _Reading:
    """Collects namespaces and links, and where each stands."""

    def __init__(self, schema: type[Schema]) -> None:
        self._schema = schema
        self._etypes: dict[type[Namespace], str] = dict(_SYSTEM)
        self._listed: dict[str, type[Namespace]] = {}
        self._places: dict[Path, tuple[type, str | None]] = {}
        self._links: Document = {}

    def document(self) -> Document:
        for name, given in _hints(self._schema).items():
            self._list(name, _taken_apart(given, self._schema, name))
        entities = {etype: self._entity(etype, cls) for etype, cls in self._listed.items()}
        rooms = {name: self._room(name, room) for name, room in self._rooms().items()}
        try:
            return canonical({"entities": entities, "links": self._links, "rooms": rooms})
        except SchemaFault as fault:
            cls, at = self._place(fault.path)
            raise Misread(fault.message, cls, at) from None

    def _place(self, path: Path) -> tuple[type, str | None]:
        while path:
            if path in self._places:
                return self._places[path]
            path = path[:-1]
        return self._schema, None

    def _list(self, name: str, hint: _Hint) -> None:
        """Note one `todos: Table[Todo]`."""
        found = typing.get_args(hint.core)
        if typing.get_origin(hint.core) is not Table or not _is_namespace(found[0]):
            raise Misread("Accepted here is NAME: Table[CLASS], of a Namespace", self._schema, name)
        cls = found[0]
        system = next((etype for known, etype in _SYSTEM if issubclass(cls, known)), None)
        etype = system or _label(hint, name)
        if etype in self._listed:
            raise Misread(f"{etype} stands twice in the schema", self._schema, name)
        if self._etypes.get(cls, etype) != etype:
            told = f"{cls.__name__} is {self._etypes[cls]} already: a namespace has its own class"
            raise Misread(told, self._schema, name)
        self._etypes[cls] = etype
        self._listed[etype] = cls
        self._places[("entities", etype)] = (self._schema, name)

    def _rooms(self) -> Mapping[str, Room]:
        rooms = vars(self._schema).get("rooms", {})
        fits = isinstance(rooms, dict) and all(isinstance(one, Room) for one in rooms.values())
        if not fits:
            told = 'Accepted is rooms = {"chat": Room(presence=…, topics={…})}'
            raise Misread(told, self._schema, "rooms")
        return typing.cast(Mapping[str, Room], rooms)

    def _room(self, name: str, room: Room) -> Document:
        path = ("rooms", name)
        self._places[path] = (self._schema, "rooms")
        shown = self._shown(room.presence, (*path, "presence"))
        topics = {
            topic: self._shown(cls, (*path, "topics", topic)) for topic, cls in room.topics.items()
        }
        return {"presence": shown, "topics": topics}

    def _shown(self, cls: type[Fields], path: Path) -> Document:
        if not (isinstance(cls, type) and issubclass(cls, Fields)):
            raise Misread("a room takes classes below Fields", self._schema, "rooms")
        attrs: Document = {}
        for name, given in _hints(cls).items():
            hint = _taken_apart(given, cls, name)
            attrs[_label(hint, name)] = _field(hint, _MISSING, cls, name)
            self._places[(*path, "attrs", _label(hint, name))] = (cls, name)
        return {"attrs": attrs}

    def _entity(self, etype: str, cls: type[Namespace]) -> Document:
        attrs: Document = {}
        for name, given in _hints(cls).items():
            hint = _taken_apart(given, cls, name)
            label = _label(hint, name)
            default = _default_of(cls, name)
            if typing.get_origin(hint.core) in (One, Many):
                self._link(etype, cls, name, hint, default)
                continue
            if isinstance(default, Link):
                told = "link(…) is for One[…] and Many[…], as in One[User] = link(back=…)"
                raise Misread(told, cls, name)
            if label in attrs:
                raise Misread(f"{etype}.{label} stands twice in the schema", cls, name)
            attrs[label] = _field(hint, default, cls, name)
            self._places[("entities", etype, "attrs", label)] = (cls, name)
        return {"attrs": attrs}

    def _link(self, etype: str, cls: type, name: str, hint: _Hint, said: Any) -> None:
        target = typing.get_args(hint.core)[0]
        if not isinstance(said, Link):
            told = 'A link says what it is called from the other side: = link(back="todos")'
            raise Misread(told, cls, name)
        if target not in self._etypes:
            shown = getattr(target, "__name__", repr(target))
            told = f"{shown} is in no Table of {self._schema.__name__}"
            raise Misread(told, cls, name)
        for mark in hint.marks:
            if not isinstance(mark, Label | Was):
                raise Misread('Accepted in Annotated of a link: Label("…"), Was("…")', cls, name)
        is_one = typing.get_origin(hint.core) is One
        if is_one and said.required:
            raise Misread("A One is required unless it says `| None`", cls, name)
        if hint.is_optional and not is_one:
            raise Misread("A Many may be empty: it says no `| None`", cls, name)
        label = _label(hint, name)
        forward: Document = {"on": etype, "label": label, "has": "one" if is_one else "many"}
        forward["required"] = said.required or (is_one and not hint.is_optional)
        forward["onDelete"] = said.on_delete
        reverse = {
            "on": self._etypes[target],
            "label": said.back,
            "has": "one" if said.back_one else "many",
            "onDelete": said.on_delete_back,
            "was": said.back_was,
        }
        forward["was"] = said.was or next(
            (mark.label for mark in hint.marks if isinstance(mark, Was)), None
        )
        key = link_name(etype, label, self._links)
        self._links[key] = {"forward": forward, "reverse": reverse}
        self._places[("links", key)] = (cls, name)


# --- hints ----------------------------------------------------------------------------------------

_MISSING: Final = object()


def _hints(cls: type) -> dict[str, Any]:
    """The type hints of a class and those above it, in the order of the file."""
    try:
        found = typing.get_type_hints(cls, include_extras=True)
    except NameError as failure:
        told = f"{failure}. A class that stands further down is named in quotes, and in no block"
        raise Misread(told, cls, _hint_that_names(cls, failure.name)) from None
    except (TypeError, SyntaxError) as failure:
        raise Misread(f"a type hint is none: {failure}", cls) from None
    return {name: hint for name, hint in found.items() if typing.get_origin(hint) is not ClassVar}


def _hint_that_names(cls: type, missing: str | None) -> str | None:
    for name, given in vars(cls).get("__annotations__", {}).items():
        if missing and missing in repr(given):
            return str(name)
    return None


def _taken_apart(given: Any, cls: type, name: str) -> _Hint:
    core, marks, is_optional = given, list[Any](), False
    while True:
        origin = typing.get_origin(core)
        if origin is Annotated:
            marks += core.__metadata__
            core = core.__origin__
        elif origin in (Union, types.UnionType):
            rest = [each for each in typing.get_args(core) if each is not type(None)]
            if len(rest) > 1:
                raise Misread(f"{_shown(core)} is no type here. Accepted: {ACCEPTED}", cls, name)
            core, is_optional = rest[0], True
        else:
            return _Hint(core, tuple(marks), is_optional)


def _label(hint: _Hint, name: str) -> str:
    return next((mark.label for mark in hint.marks if isinstance(mark, Label)), name)


def _default_of(cls: type, name: str) -> Any:
    for each in cls.__mro__:
        if name in vars(each):
            return vars(each)[name]
    return _MISSING


def _is_namespace(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Namespace) and cls is not Namespace


def _field(hint: _Hint, default: Any, cls: type, name: str) -> Document:
    """One attribute. raises   Misread"""
    made = dict(_type(hint, cls, name))
    if not hint.is_optional:
        made["required"] = True
    config: Document = {}
    for mark in hint.marks:
        match mark:
            case Unique(indexed=is_indexed):
                config |= {"unique": True, "indexed": is_indexed or config.get("indexed", False)}
            case _ if mark is Unique:
                config |= {"unique": True, "indexed": True}
            case _ if mark is Indexed or isinstance(mark, Indexed):
                config["indexed"] = True
            case Was(label=was):
                made["was"] = was
            case Label() | JsonMark():
                pass
            case _:
                raise Misread(f"{_shown(mark)} is unknown. {_ACCEPTED_MARKS}", cls, name)
    if config:
        made["config"] = config
    if default is not _MISSING and not (default is None and hint.is_optional):
        made["default"] = _default(default)
    return made


def _type(hint: _Hint, cls: type, name: str) -> Document:
    core = hint.core
    if any(isinstance(mark, JsonMark) for mark in hint.marks):
        return {"valueType": "json"}
    origin = typing.get_origin(core)
    if origin is Literal:
        return _enumerated(list(typing.get_args(core)), cls, name)
    if isinstance(core, type) and issubclass(core, Enum):
        return _enumerated([member.value for member in core], cls, name)
    try:
        found = _PLAIN.get(origin or core)
    except TypeError:
        found = None
    if found is None and _is_record(core):
        return {"valueType": "json"}
    if found is None:
        shown = _shown(core)
        if isinstance(core, type) and issubclass(core, Namespace):
            shown += f" is a namespace; a link to it is One[{shown}] or Many[{shown}]"
            raise Misread(shown, cls, name)
        raise Misread(f"{shown} is no type of an attribute. Accepted: {ACCEPTED}", cls, name)
    return found


def _is_record(core: Any) -> bool:
    """A class whose values are JSON objects."""
    is_known = typing.is_typeddict(core) or dataclasses.is_dataclass(core)
    return isinstance(core, type) and (is_known or hasattr(core, "__struct_fields__"))


def _enumerated(values: list[Any], cls: type, name: str) -> Document:
    if values and all(isinstance(one, str) for one in values):
        return {"valueType": "string", "values": [str(one) for one in values]}
    if values and all(isinstance(one, int | float) and type(one) is not bool for one in values):
        plain = [one if isinstance(one, float) else int(one) for one in values]
        return {"valueType": "number", "values": plain}
    raise Misread("The values of an enum or Literal are all texts, or all numbers", cls, name)


def _default(given: Any) -> Document:
    match given:
        case Fill(by=by):
            return {"by": by}
        case Enum():
            return {"value": given.value}
        case date():
            return {"value": given.isoformat()}
        case _:
            return {"value": given}


def _shown(hint: Any) -> str:
    if isinstance(hint, ForwardRef):
        return hint.__forward_arg__
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    text = repr(hint).replace("typing.", "")
    return text if len(text) <= 80 else f"{text[:80]}…"


# --- lines ----------------------------------------------------------------------------------------


def line_of(source: str, cls_name: str, name: str | None) -> int | None:
    """The line of a class, or of an attribute in it; None if the text has none.

    cls_name   its qualified name: `Outer.Inner`
    """
    body: list[ast.stmt] = ast.parse(source).body
    found: ast.ClassDef | None = None
    for part in cls_name.split("."):
        classes = [
            node for node in ast.walk(ast.Module(body, [])) if isinstance(node, ast.ClassDef)
        ]
        found = next((node for node in reversed(classes) if node.name == part), None)
        if found is None:
            return None
        body = found.body
    assert found is not None
    for node in found.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node.lineno
    return found.lineno
