"""What is asked of the server for a view or a row, and how its answer becomes one. No I/O.

A shape is the form of InstaQL for a class, and a struct below the class that its rows are decoded
into. Where the answer is not as the struct wants it (a label that is no name, a date as a number),
rows are changed before.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union

import msgspec

from trice.catalog.dates import instant_us
from trice.functions.channel import RefusedError
from trice.functions.conditions import order_of, where_of
from trice.functions.model import CREATED, Entity, LinkEnd, Model, may_lack
from trice.schema.declare import Id, JsonMark, One
from trice.schema.views import Sub, View

_TEXT_CLASSES: Final = frozenset(("uuid", "decimal", "datetime", "builtins"))
_MODULES: Final = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=\w)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class HintError(Exception):
    """A type hint that cannot be served.

    cls, name   the class it stands in, and its attribute there, if in one
    """

    def __init__(self, message: str, cls: type | None = None, name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cls = cls
        self.name = name

    def at(self, cls: type, name: str) -> HintError:
        """The same, with its place unless it has one."""
        return self if self.cls is not None else HintError(self.message, cls, name)


@dataclass(slots=True)
class Below:
    """A link of a shape. `sub` is of lists only."""

    name: str
    link: LinkEnd
    shape: Shape
    sub: Sub | None


@dataclass(slots=True)
class Shape:
    """How a view, or a namespace as a row, is read.

    struct    what its rows are
    own       attributes: name, label, whether it is a date
    created   whether it tells when a row was created
    is_plain  rows of the answer need no change
    """

    cls: type
    entity: Entity
    struct: Any = None
    own: list[tuple[str, str, type | None]] = field(default_factory=list)
    below: list[Below] = field(default_factory=list)
    created: bool = False
    is_plain: bool = True
    _decoder: Any = None

    def form(
        self,
        *,
        where: Mapping[str, Any] | None = None,
        order: Mapping[str, Any] | None = None,
        limit: int | None = None,
        also: Iterable[str] = (),
    ) -> dict[str, Any]:
        """The form of InstaQL that asks for such rows.

        also   labels that are read besides
        """
        labels = [label for _, label, _ in self.own]
        options: dict[str, Any] = {"fields": [*dict.fromkeys((*labels, *also))] or ["id"]}
        for word, said in (("where", where), ("order", order), ("limit", limit)):
            if said is not None:
                options[word] = said
        if self.created:
            options["created"] = CREATED
        form: dict[str, Any] = {"$": options}
        for each in self.below:
            sub = each.sub or Sub()
            form[each.link.label] = each.shape.form(
                where=sub.where, order=sub.order, limit=sub.limit
            )
        return form

    def rows(self, answer: bytes) -> list[Any]:
        """The rows of an answer that has this form under the name of the namespace."""
        if self._decoder is None:
            rows: Any = _list_of(self.struct)
            self._decoder = msgspec.json.Decoder(dict[str, rows])
        if self.is_plain:
            try:
                found: list[Any] = self._decoder.decode(answer)[self.entity.etype]
                return found
            except msgspec.ValidationError:
                pass  # a date in another of its forms, or a row that does not fit
        return self.made(msgspec.json.decode(answer)[self.entity.etype])

    def made(self, raw: list[dict[str, Any]]) -> list[Any]:
        """Rows of decoded JSON. It is changed."""
        for row in raw:
            self.change(row)
        try:
            found: list[Any] = msgspec.convert(raw, _list_of(self.struct))
        except msgspec.ValidationError as failure:
            told = f"A row of {self.entity.etype} does not fit {self.cls.__name__}: {failure}"
            raise TypeError(told) from None
        return found

    def change(self, row: dict[str, Any]) -> None:
        """Let a row of decoded JSON be as the struct wants it."""
        for name, label, kind in self.own:
            value = row.get(label)
            if kind is not None and value is not None:
                row[label] = _as_date(value, kind)
            if name != label and label in row:
                row[name] = row.pop(label)
        for each in self.below:
            value = row.pop(each.link.label, None)
            if isinstance(value, list):
                for inner in value:
                    each.shape.change(inner)
            elif value is not None:
                each.shape.change(value)
            row[each.name] = value


class Shapes:
    """The shapes of a program, each made once.

    checked   translates the hint of an attribute for `msgspec`
    """

    def __init__(self, model: Model, checked: Callable[[Any], Any]) -> None:
        self._model = model
        self._checked = checked
        self._made: dict[type, Shape] = {}
        self._open: set[type] = set()
        self.reference = msgspec.defstruct(
            "One", [("id", str)], bases=(One, msgspec.Struct), frozen=True
        )

    def of(self, cls: type) -> Shape:
        """The shape of a view or namespace. raises   HintError"""
        if cls not in self._made:
            if cls in self._open:
                raise HintError(f"{cls.__name__} holds itself: a view has an end", cls)
            self._open.add(cls)
            try:
                is_view = issubclass(cls, View)
                self._made[cls] = self._view(cls) if is_view else self._row(cls)
            finally:
                self._open.discard(cls)
        return self._made[cls]

    # --- namespaces as rows -----------------------------------------------------------------------

    def _row(self, cls: type) -> Shape:
        entity = self._model.find(cls)
        if entity is None:
            raise HintError(f"{cls.__name__} is in no Table of the schema")
        shape = Shape(cls, entity)
        fields: list[Any] = [("id", id_text(entity.etype))]
        for each in entity.fields.values():
            is_open = may_lack(each.hint)
            fields.append(_optional(each.name, self._checked(each.hint), is_open=is_open))
            shape.own.append((each.name, each.label, date_kind(each.hint)))
            shape.is_plain = shape.is_plain and each.name == each.label
        unloaded: dict[str, Any] = {}
        for link in (*entity.links.values(), *entity.backs.values()):
            if link.is_one and link.name in entity.links:
                fields.append((link.name, self.reference | None, None))
                target = self._model.entity(link.etype)
                ids = Shape(target.cls, target, self.reference)
                shape.below.append(Below(link.name, link, ids, None))
                shape.is_plain = shape.is_plain and link.name == link.label
            elif link.name.isidentifier():
                unloaded[link.name] = _unloaded(entity.etype, link.name)
        if entity.has_created:
            unloaded[CREATED] = _unloaded(entity.etype, CREATED)
        shape.struct = msgspec.defstruct(
            cls.__name__,
            fields,
            bases=(cls, msgspec.Struct),
            kw_only=True,
            module=cls.__module__,
            namespace={"__doc__": cls.__doc__, **unloaded},
        )
        return shape

    # --- views ------------------------------------------------------------------------------------

    def _view(self, cls: type) -> Shape:
        namespace = viewed(cls)
        entity = self._model.find(namespace)
        if entity is None:
            told = f"{cls.__name__} is a view of what is in no Table of the schema"
            raise HintError(f"{told}. Accepted is class {cls.__name__}(View[CLASS])", cls)
        shape = Shape(cls, entity)
        fields: list[Any] = []
        try:
            hints = typing.get_type_hints(cls, include_extras=True)
        except NameError as failure:
            raise HintError(f"{failure}", cls) from None
        for name, hint in hints.items():
            try:
                fields.append(self._part(shape, name, hint))
            except HintError as failure:
                raise failure.at(cls, name) from None
        shape.struct = msgspec.defstruct(
            cls.__name__,
            fields,
            bases=(cls, msgspec.Struct),
            kw_only=True,
            module=cls.__module__,
            namespace={"__doc__": cls.__doc__},
        )
        return shape

    def _part(self, shape: Shape, name: str, hint: Any) -> Any:
        """One attribute or link of a view, as a field of its struct."""
        entity = shape.entity
        if name == "id":
            return (name, self._own_id(entity, hint))
        link = entity.link(name)
        if link is not None:
            return self._link(shape, name, hint, link)
        known = entity.fields.get(name)
        if name == CREATED and entity.has_created:
            if hint is not datetime:
                raise HintError(f"{name}, when a row was created, is a datetime, not {shown(hint)}")
            shape.created = True
            return (name, self._checked(hint))
        if known is None:
            told = f"{entity.etype} has no attribute or link {name}"
            raise HintError(f"{told}. It has {', '.join(entity.names())}, {CREATED}")
        if may_lack(known.hint) and not may_lack(hint) and not is_anything(hint):
            raise HintError(f"{entity.etype}.{known.label} may be None: say `… | None`")
        have, want = kind_of(known.hint), kind_of(hint)
        if have != want and "any" not in (have, want):
            raise HintError(f"{entity.etype}.{known.label} is a {have}, not a {want}")
        shape.own.append((name, known.label, date_kind(hint)))
        shape.is_plain = shape.is_plain and name == known.label
        return _optional(name, self._checked(hint), is_open=may_lack(hint))

    def _sub(self, sub: Sub | None, entity: Entity) -> Sub | None:
        """What a list is made of, by labels."""
        if sub is None:
            return None
        if sub.limit is not None and (type(sub.limit) is not int or sub.limit < 1):
            raise HintError(f"Sub: limit is a whole number, 1 or more, not {sub.limit!r}")
        try:
            where = None if sub.where is None else where_of(entity, sub.where)
            order = None if sub.order is None else order_of(entity, sub.order)
        except TypeError as failure:
            raise HintError(f"Sub: {failure}") from None
        return Sub(where, order, sub.limit)

    def _own_id(self, entity: Entity, hint: Any) -> Any:
        """The id of a row: the database's, so its form is not looked at again."""
        target = typing.get_args(hint)
        is_other = typing.get_origin(hint) is Id and self._model.find(target[0]) is not entity
        if is_other or (typing.get_origin(hint) is not Id and hint is not str):
            told = f"the id of {entity.etype} is an Id[{entity.cls.__name__}]"
            raise HintError(f"{told}, not {shown(hint)}")
        return id_text(entity.etype)

    def _link(self, shape: Shape, name: str, hint: Any, link: LinkEnd) -> Any:
        core, marks, is_open = taken_apart(hint)
        sub = next((mark for mark in marks if isinstance(mark, Sub)), None)
        is_list = typing.get_origin(core) is list
        if is_list:
            (core,) = typing.get_args(core)
        if typing.get_origin(core) is One and not is_list:
            target = self._model.entity(link.etype)
            inner = Shape(target.cls, target, self.reference)
        elif isinstance(core, type) and issubclass(core, View):
            inner = self.of(core)
        else:
            raise HintError(f"{name} is a link: it takes {_accepted(link)}")
        if is_list == link.is_one or inner.entity.etype != link.etype:
            told = f"{shape.entity.etype}.{name} leads to {link.etype}"
            raise HintError(f"{told}: it takes {_accepted(link)}")
        if sub is not None and not is_list:
            raise HintError("Sub(…) is for lists")
        if link.is_one and link.is_optional and not is_open:
            raise HintError(f"{shape.entity.etype}.{name} may be None: say `… | None`")
        shape.below.append(Below(name, link, inner, self._sub(sub, inner.entity)))
        shape.is_plain = shape.is_plain and inner.is_plain and name == link.label
        made = _list_of(inner.struct) if is_list else inner.struct
        return _optional(name, made | None if is_open else made, is_open=is_open)


def viewed(cls: type) -> Any:
    """The namespace that a class is a view of; None if it says none."""
    for each in cls.__mro__:
        for base in getattr(each, "__orig_bases__", ()):
            if typing.get_origin(base) is View:
                return typing.get_args(base)[0]
    return None


def _list_of(struct: Any) -> Any:
    return list[struct]


def id_text(etype: str, **bounds: Any) -> Any:
    """The text of an id, for `msgspec`."""
    schema = {"format": "uuid", "x-namespace": etype}
    return Annotated[str, msgspec.Meta(extra_json_schema=schema, **bounds)]


def _optional(name: str, hint: Any, *, is_open: bool) -> Any:
    return (name, hint, None) if is_open else (name, hint)


def _accepted(link: LinkEnd) -> str:
    if link.is_one:
        return f"a View of {link.etype}" + (", or None" if link.is_optional else "")
    return f"list[a View of {link.etype}]"


def _unloaded(etype: str, name: str) -> Any:
    def refuse(_: Any) -> Any:
        raise RefusedError(
            "not-loaded",
            f"{etype}.{name} was not asked for. Name it in a View, and pass that to the read.",
            {"namespace": etype, "link": name},
        )

    return property(refuse)


# --- hints of attributes --------------------------------------------------------------------------


def taken_apart(hint: Any) -> tuple[Any, list[Any], bool]:
    """A hint without Annotated and None; what Annotated says; whether None is among it."""
    marks: list[Any] = []
    is_open = False
    while True:
        origin = typing.get_origin(hint)
        if origin is Annotated:
            marks += hint.__metadata__
            hint = hint.__origin__
        elif origin in (Union, types.UnionType) and type(None) in typing.get_args(hint):
            rest = [each for each in typing.get_args(hint) if each is not type(None)]
            is_open = True
            if len(rest) != 1:
                return Union[tuple(rest)], marks, is_open  # noqa: UP007
            hint = rest[0]
        else:
            return hint, marks, is_open


def is_anything(hint: Any) -> bool:
    """Whether a hint takes every value."""
    return taken_apart(hint)[0] in (Any, object)


def kind_of(hint: Any) -> str:
    """The type of the app that values of a hint have: string, number, boolean, date, json, any."""
    core, marks, _ = taken_apart(hint)
    if any(isinstance(mark, JsonMark) for mark in marks):
        return "json"
    if core is Id or typing.get_origin(core) is Id:
        return "string"
    if typing.get_origin(core) is Literal:
        core = type(typing.get_args(core)[0])
    elif isinstance(core, type) and issubclass(core, Enum):
        core = type(next(iter(core)).value)
    origin = typing.get_origin(core) or core
    if not isinstance(core, type) or origin in (list, dict, tuple, set):
        return "json" if origin in (list, dict, tuple, set) else "any"
    for kinds, name in (
        ((str,), "string"),
        ((bool,), "boolean"),
        ((int, float), "number"),
        ((date,), "date"),
    ):
        if issubclass(core, kinds):
            return name
    return "any" if core.__module__ in _TEXT_CLASSES else "json"


def date_kind(hint: Any) -> type | None:
    """`datetime` or `date` if values of a hint are one."""
    core = taken_apart(hint)[0]
    return core if core in (datetime, date) else None


def _as_date(value: Any, kind: type) -> Any:
    """A stored date as `msgspec` reads it: ISO with a zone, or a day."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    found = instant_us(value)
    if found is None:
        return value
    try:
        when = _EPOCH + timedelta(microseconds=found)
    except OverflowError:
        return value
    return when.date().isoformat() if kind is date else when.isoformat()


def shown(hint: Any) -> str:
    """A hint as people write it."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    text = _MODULES.sub("", repr(hint))
    return text if len(text) <= 80 else f"{text[:80]}…"
