"""Type hints of functions → types that `msgspec` checks.

Each hint becomes another that says the same to `msgspec`: `Id[Channel]` a text of the form of a
uuid, `Le(100)` a `Meta`, a view or namespace the struct of its shape (`shapes`), a class with
fields a class below it whose fields became that. What needs no change stays the same object.
"""

from __future__ import annotations

import collections.abc
import re
import types
import typing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, NotRequired, Required, TypeVar, Union

import msgspec

from trice.functions.bounds import bounds_of, predicate_of
from trice.functions.model import Model
from trice.functions.records import begun_below, complete_below, struct_below
from trice.functions.shapes import HintError, Shapes, id_text, shown
from trice.functions.values import is_pydantic
from trice.runtime import UUID
from trice.schema.declare import Id, Many, Namespace, One
from trice.schema.views import View

UUID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
re.compile(UUID_PATTERN)  # `re` keeps it: `msgspec` finds it there once a project is loaded
_SAME_ORIGINS: Final[dict[Any, Any]] = {
    collections.abc.Sequence: list,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
    collections.abc.Set: set,
}
"""Abstract hints, and what `msgspec` makes of JSON for them."""
_PLAIN: Final = frozenset(
    (
        *(str, int, float, bool, bytes, bytearray, type(None), list, dict, tuple, set, frozenset),
        *(date, time, timedelta, UUID, Decimal),
    )
)
ACCEPTED: Final = (
    "Accepted: str, int, float, bool, bytes, datetime, date, time, timedelta, UUID, Decimal, Any,"
    " enums, Literal, list, dict, tuple, set, unions, Id, View, a Namespace, TypedDict, dataclass,"
    " msgspec.Struct, pydantic models"
)


class Hints:
    """Translates hints, each class once.

    shapes   of the views and namespaces that hints name
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.shapes = Shapes(model, self.checked)
        self._classes: dict[Any, Any] = {}
        self._open: dict[Any, bool] = {}  # those being read, and whether they hold themselves

    def checked(self, hint: Any) -> Any:
        """The hint for `msgspec`. raises   HintError"""
        origin = typing.get_origin(hint)
        if origin is Annotated:
            return self._annotated(hint)
        if origin in (Union, types.UnionType):
            return Union[tuple(self.checked(each) for each in typing.get_args(hint))]  # noqa: UP007
        if hint is None:
            return type(None)
        if hint is Id or origin is Id:
            return self._id(hint)
        if hint is object:
            return Any
        if isinstance(hint, TypeVar):
            raise HintError(f"{hint} is a type variable: say which type it is")
        if hint is datetime:
            return Annotated[hint, msgspec.Meta(tz=True)]
        if origin is Literal:
            return hint
        if origin is not None and not self._is_own(origin):
            return self._generic(origin, typing.get_args(hint))
        return self._class(hint)

    def argument(self, hint: Any) -> Any:
        """`checked`, of an argument: its `Predicate` is left to `predicates`."""
        if typing.get_origin(hint) is not Annotated:
            return self.checked(hint)
        marks = [mark for mark in hint.__metadata__ if predicate_of(mark) is None]
        inner = hint.__origin__
        for mark in marks:
            inner = Annotated[inner, mark]
        return self.checked(inner)

    def _annotated(self, hint: Any) -> Any:
        inner = self.checked(hint.__origin__)
        said: dict[str, Any] = {}
        marks = []
        for mark in hint.__metadata__:
            bound = bounds_of(mark)
            if bound is not None:
                said |= bound
            elif isinstance(mark, msgspec.Meta):
                marks.append(mark)
            elif predicate_of(mark) is not None:
                raise HintError("a Predicate is of an argument itself, not of what is inside of it")
            elif _is_bound(mark):
                raise HintError(f"{shown(mark)} is no bound here, such as Le(100) or MaxLen(20)")
        if said:
            marks.append(msgspec.Meta(**said))
        return _bounded(inner, marks)

    def _id(self, hint: Any) -> Any:
        target = typing.get_args(hint)
        entity = self.model.find(target[0]) if target else None
        if target and entity is None and target[0] not in (Namespace, Any):
            raise HintError(f"{shown(hint)}: {shown(target[0])} is in no Table of the schema")
        etype = "" if entity is None else entity.etype
        return id_text(etype, pattern=UUID_PATTERN)

    def _is_own(self, origin: Any) -> bool:
        return isinstance(origin, type) and issubclass(origin, (View, Namespace))

    def _generic(self, origin: Any, args: tuple[Any, ...]) -> Any:
        if origin is One:
            return self.shapes.reference
        if origin is Many:
            raise HintError("Many[…] is for a schema: here it is a list of a view")
        if origin in (Required, NotRequired, typing.ClassVar):
            return origin[self.checked(args[0])]
        inner = tuple(each if each is Ellipsis else self.checked(each) for each in args)
        if origin is collections.abc.Callable:
            raise HintError("a function is no value that JSON has")
        return _SAME_ORIGINS.get(origin, origin)[inner]

    # --- classes ----------------------------------------------------------------------------------

    def _class(self, cls: Any) -> Any:
        if hasattr(cls, "__supertype__"):
            return self.checked(cls.__supertype__)
        if type(cls).__name__ == "TypeAliasType":  # `type Name = …`, since Python 3.12
            return self.checked(cls.__value__)
        if cls in _PLAIN or cls is Any:
            return cls
        if not isinstance(cls, type):
            raise HintError(f"{shown(cls)} is no type of an argument or result. {ACCEPTED}")
        if issubclass(cls, (View, Namespace)):
            return self.shapes.of(cls).struct
        if cls in self._open:
            self._open[cls] = True
        elif cls not in self._classes:
            self._open[cls] = False
            self._read_class(cls)
        return self._classes[cls]

    def _read_class(self, cls: Any) -> None:
        """Note the class that is decoded instead of one: below it, with translated fields; itself
        if it has none, or if they are as they were."""
        self._classes[cls] = cls
        if is_pydantic(cls) or issubclass(cls, Enum):
            del self._open[cls]
            return
        below = begun_below(cls)
        if below is None:
            del self._classes[cls], self._open[cls]
            raise HintError(f"{shown(cls)} is no type of an argument or result. {ACCEPTED}")
        self._classes[cls] = below  # so it may hold itself
        try:
            hints = typing.get_type_hints(cls, include_extras=True)
        except NameError as failure:
            raise HintError(f"{failure}", cls=cls) from None
        made = {}
        for name, hint in hints.items():
            try:
                made[name] = self.checked(hint)
            except HintError as failure:
                raise failure.at(cls, name) from None
        holds_itself = self._open.pop(cls)
        if issubclass(cls, msgspec.Struct):
            if any(made[name] != hint for name, hint in hints.items()):
                if holds_itself:
                    told = "holds itself, and has ids, dates or bounds in it: make it a dataclass"
                    raise HintError(told, cls=cls)
                self._classes[cls] = struct_below(cls, made)
        else:
            complete_below(below, cls, made)


def _bounded(hint: Any, marks: list[Any]) -> Any:
    """A hint with bounds; those of `int | None` are of the int."""
    if typing.get_origin(hint) is Union and marks:
        parts = typing.get_args(hint)
        return Union[  # noqa: UP007
            tuple(each if each is type(None) else _bounded(each, marks) for each in parts)
        ]
    for mark in marks:
        hint = Annotated[hint, mark]
    return hint


# --- values that msgspec does not know ------------------------------------------------------------


def decoded(cls: Any, value: Any) -> Any:
    """`dec_hook`: a model of pydantic checks its own values."""
    if is_pydantic(cls):
        try:
            return cls.model_validate(value)
        except ValueError as failure:
            raise ValueError(str(failure)) from None
    raise NotImplementedError(f"{shown(cls)} is no type of an argument or result")


def described(cls: Any) -> dict[str, Any]:
    """`schema_hook`: JSON Schema of a class that `msgspec` does not know."""
    if is_pydantic(cls):
        found: dict[str, Any] = cls.model_json_schema()
        return found
    raise NotImplementedError(f"{shown(cls)} has no JSON Schema")


def _is_bound(mark: Any) -> bool:
    """Whether a mark is meant as a bound: of a package of bounds, or ours as a class."""
    module = (mark if isinstance(mark, type) else type(mark)).__module__
    return module in ("annotated_types", "trice.functions.bounds")


def predicates(hint: Any) -> list[Any]:
    """The functions that a value of this hint must satisfy."""
    if typing.get_origin(hint) is not Annotated:
        return []
    return [found for mark in hint.__metadata__ if (found := predicate_of(mark)) is not None]
