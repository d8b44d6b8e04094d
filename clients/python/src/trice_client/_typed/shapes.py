"""What is asked for a row or a view, and how an answer becomes one. No I/O.

A shape is the form of a query for a class, and a `msgspec.Struct` below the class, which rows are.
The answer is left as it was: all who watch the same query share it.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import IntEnum
from typing import Annotated, Any, cast

import msgspec

from trice_client._errors import TriceError
from trice_client._json import is_list
from trice_client._typed.model import Entity, Field, LinkEnd, Model, may_lack, taken_apart

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Below:
    """A link that a shape names. limit   how many are kept; None: all"""

    name: str
    label: str
    shape: Shape
    options: Mapping[str, Any]
    limit: int | None = None


@dataclass(slots=True)
class Shape:
    """A namespace as rows, or a view.

    own     attributes: name, label, what changes a value of JSON
    struct  what rows are
    """

    cls: type
    entity: Entity
    own: list[tuple[str, str, Callable[[Any], Any] | None]] = field(
        default_factory=list[tuple[str, str, Callable[[Any], Any] | None]]
    )
    below: list[Below] = field(default_factory=list[Below])
    struct: Any = None

    @property
    def labels(self) -> list[str]:
        """The attributes that are asked for."""
        return ["id", *(label for _, label, _ in self.own if label != "id")]

    @property
    def links(self) -> dict[str, Any]:
        """The forms of the links that are asked for."""
        return {each.label: each.shape.form(each.options) for each in self.below}

    def form(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The form of a query. options   `where`, `order` and so on, by labels"""
        return {"$": {**options, "fields": self.labels}, **self.links}

    def row(self, raw: Mapping[str, Any]) -> Any:
        """A row of an answer. raises   TriceError("row-malformed")"""
        try:
            return msgspec.convert(self._values(raw), self.struct, dec_hook=_hook)
        except msgspec.ValidationError as cause:
            told = f"A row of {self.entity.etype} is no {self.cls.__name__}: {cause}."
            hint = {"path": [self.entity.etype, raw.get("id")], "expected": self.cls.__name__}
            raise TriceError("row-malformed", told, hint=hint) from cause

    def _values(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"id": raw.get("id")}
        for name, label, change in self.own:
            value = raw.get(label)
            made[name] = value if change is None or value is None else change(value)
        for each in self.below:
            found = raw.get(each.label)
            if is_list(found):
                made[each.name] = [each.shape._values(inner) for inner in found[: each.limit]]
            else:
                made[each.name] = None if found is None else each.shape._values(found)
        return made


class Shapes:
    """The shapes of a schema, each made once."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._made: dict[type, Shape] = {}
        self._open: set[type] = set()
        bases = (model.words.One, msgspec.Struct)
        one = msgspec.defstruct("One", [("id", str)], bases=bases, frozen=True)
        self._one = one

    def of(self, cls: type) -> Shape:
        """The shape of a namespace or view. raises   TriceError("schema-malformed")"""
        if cls not in self._made:
            if cls in self._open:
                raise _refused(cls, "it holds itself, so that it has no end")
            self._open.add(cls)
            try:
                is_view = isinstance(cls, type) and issubclass(cls, self.model.words.View)
                self._made[cls] = self._view(cls) if is_view else self._row(cls)
            finally:
                self._open.discard(cls)
        return self._made[cls]

    # --- namespaces -------------------------------------------------------------------------------

    def _row(self, cls: type) -> Shape:
        entity = self.model.get(cls)
        shape = Shape(cls, entity)
        fields: list[Any] = [("id", str)]
        fields += [self._own(shape, known, known.hint) for known in entity.fields.values()]
        unread: dict[str, Any] = {}
        for link in entity.links.values():
            if link.is_one and link.is_own:
                shape.below.append(Below(link.name, link.label, self._id_only(link), {}))
                fields.append((link.name, self._one | None, None))
            elif link.name.isidentifier():
                unread[link.name] = _unread(entity, link.name)
        return self._made_of(shape, fields, {"__repr__": _shown, **unread})

    def _id_only(self, link: LinkEnd) -> Shape:
        target = self.model.entity(link.etype)
        return Shape(target.cls, target, struct=self._one)

    # --- views ------------------------------------------------------------------------------------

    def _view(self, cls: type) -> Shape:
        entity = self.model.get(_viewed(cls, self.model.words.View))
        shape = Shape(cls, entity)
        fields: list[Any] = []
        try:
            hints = typing.get_type_hints(cls, include_extras=True)
        except NameError as cause:
            raise _refused(cls, str(cause)) from cause
        for name, hint in hints.items():
            link = entity.links.get(name)
            known = entity.fields.get(name)
            if name == "id":
                fields.append(("id", str))
            elif link is not None:
                fields.append(self._link(shape, name, hint, link))
            elif known is None:
                listed = ", ".join(entity.names())
                raise _refused(cls, f"{entity.cls.__name__} has no {name!r}. It has {listed}")
            elif known.may_lack and not may_lack(hint) and hint is not Any:
                raise _refused(cls, f"{name} may lack: say `{name}: … | None`")
            else:
                fields.append(self._own(shape, known, hint))
        return self._made_of(shape, fields, {"__repr__": _shown})

    def _link(self, shape: Shape, name: str, hint: Any, link: LinkEnd) -> Any:
        core, marks = taken_apart(hint)
        is_many = typing.get_origin(core) is list
        inner: Any = typing.get_args(core)[0] if is_many else core
        is_view = isinstance(inner, type) and issubclass(inner, self.model.words.View)
        is_id = typing.get_origin(inner) is self.model.words.One and link.is_one
        if is_many == link.is_one or not (is_view or is_id):
            wanted = "a View, or None" if link.is_one else "list[a View]"
            raise _refused(shape.cls, f"{name} leads to {link.etype}: it is {wanted}")
        below = self.of(inner) if is_view else self._id_only(link)
        if below.entity.etype != link.etype:
            told = f"{name} leads to {link.etype}, and {inner.__name__} is of {below.entity.etype}"
            raise _refused(shape.cls, told)
        subs = [mark for mark in marks if isinstance(mark, self.model.words.Sub)]
        sub = subs[0] if subs else self.model.words.Sub()
        options: dict[str, Any] = {}
        if sub.where is not None:
            options["where"] = self.model.where(below.entity, sub.where)
        if sub.order is not None:
            options["order"] = self.model.order(below.entity, sub.order)
        shape.below.append(Below(name, link.label, below, options, sub.limit))
        made: Any = _list_of(below.struct) if is_many else below.struct
        return (name, made | None, None) if may_lack(hint) else (name, made)

    # --- both -------------------------------------------------------------------------------------

    def _own(self, shape: Shape, known: Field, hint: Any) -> Any:
        shape.own.append((known.name, known.label, _change(hint)))
        bare = self.bare(hint)
        return (known.name, bare, None) if may_lack(hint) else (known.name, bare)

    def bare(self, hint: Any) -> Any:
        """A hint without the marks of a schema, which `msgspec` would ask about."""
        core, marks = taken_apart(hint)
        if any(not isinstance(mark, msgspec.Meta) for mark in marks):
            kept: Any = core
            for mark in marks:
                kept = Annotated[kept, mark] if isinstance(mark, msgspec.Meta) else kept
            return kept | None if may_lack(hint) and kept is not Any else kept
        return hint

    def _made_of(self, shape: Shape, fields: Any, namespace: dict[str, Any]) -> Shape:
        cls = shape.cls
        namespace["__doc__"] = cls.__doc__
        shape.struct = msgspec.defstruct(
            cls.__name__,
            fields,
            bases=(cls, msgspec.Struct),
            kw_only=True,
            module=cls.__module__,
            namespace=namespace,
        )
        return shape


def shapes_of(schema: type, known: dict[type, Any]) -> Shapes:
    """The shapes of a schema, which are noted among those that are known."""
    if schema not in known:
        known[schema] = Shapes(Model(schema))
    found: Shapes = known[schema]
    return found


def _list_of(struct: Any) -> Any:
    return list[struct]


def _viewed(cls: type, view: type) -> Any:
    """The namespace that a class is a view of."""
    for each in cls.__mro__:
        for above in cast(tuple[Any, ...], getattr(each, "__orig_bases__", ())):
            if typing.get_origin(above) is view:
                return typing.get_args(above)[0]
    raise _refused(cls, f"it says no namespace: class {cls.__name__}(View[Message])")


def _change(hint: Any) -> Callable[[Any], Any] | None:
    core, _ = taken_apart(hint)
    if core is datetime:
        return _moment
    if core is date:
        return _day
    if core is int or (isinstance(core, type) and issubclass(core, IntEnum)):
        return _whole
    return None


def _day(value: Any) -> Any:
    found = _moment(value)
    return found.date() if isinstance(found, datetime) else found


def _whole(value: Any) -> Any:
    """JSON has one kind of numbers: 2.0 is 2."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: Any) -> Any:
    """A stored date: ISO 8601 or RFC 5322, in UTC where it names no zone, or milliseconds since
    1970. What is none stays, and is refused as a value of that class."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _EPOCH + timedelta(milliseconds=value)
        if not isinstance(value, str):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError):
        return value
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _hook(kind: Any, value: Any) -> Any:
    """Classes that `msgspec` does not know: an `Id` is a text."""
    if isinstance(value, str):
        return value
    raise NotImplementedError(f"{kind} is no class of JSON")


def _unread(entity: Entity, name: str) -> Any:
    def refuse(_: Any) -> Any:
        told = f"{entity.cls.__name__}.{name} was not asked for: name it in a View."
        raise TriceError("not-loaded", told, hint={"path": [entity.etype, name]})

    return property(refuse)


def _shown(row: Any) -> str:
    names: tuple[str, ...] = row.__struct_fields__
    named = (f"{name}={getattr(row, name)!r}" for name in names)
    return f"{type(row).__name__}({', '.join(named)})"


def _refused(cls: type, why: str) -> TriceError:
    return TriceError("schema-malformed", f"{cls.__name__}: {why}.", hint={"path": [cls.__name__]})
