"""Classes with fields, and classes below them with other type hints for the same fields. No I/O.

A dataclass or TypedDict may hold itself: the class below it is begun before its hints are known.
A Struct cannot, as its fields are fixed when it is made.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, NotRequired, Required

import msgspec


def begun_below(cls: type) -> Any:
    """A class that stands for `cls`, to be completed; of a Struct itself; None: no fields."""
    if typing.is_typeddict(cls):
        below: Any = typing.TypedDict(cls.__name__, {})  # type: ignore[misc]
        below.__module__, below.__doc__ = cls.__module__, cls.__doc__
        return below
    if issubclass(cls, msgspec.Struct):
        return cls
    if not dataclasses.is_dataclass(cls):
        return None
    above: type = cls
    return type(above.__name__, (above,), {"__module__": above.__module__, "__doc__": cls.__doc__})


def complete_below(below: Any, cls: Any, hints: dict[str, Any]) -> None:
    """Give a class that was begun its fields."""
    if typing.is_typeddict(cls):
        absent = optional_keys(cls, hints)
        below.__annotations__ = {
            name: hint
            if typing.get_origin(hint) in (Required, NotRequired)
            else NotRequired[hint]
            if name in absent
            else Required[hint]
            for name, hint in hints.items()
        }
        below.__optional_keys__ = absent
        below.__required_keys__ = frozenset(hints) - absent
    else:
        _complete_record(below, cls, hints)


def optional_keys(cls: Any, hints: dict[str, Any]) -> frozenset[str]:
    """The keys of a TypedDict that may be absent. What the class itself knows of them is wrong
    under `from __future__ import annotations`.

    hints   with Required and NotRequired as they were written
    """
    said = {name: typing.get_origin(hint) for name, hint in hints.items()}
    return frozenset(
        name
        for name, origin in said.items()
        if origin is NotRequired or (origin is not Required and name in cls.__optional_keys__)
    )


def _complete_record(below: Any, cls: Any, hints: dict[str, Any]) -> None:
    """Make a dataclass of it. `msgspec` takes a default of the class for a value of the object, and
    does not write it: what is decoded gets a value of its own."""
    defaults = {}
    for each in dataclasses.fields(cls):
        field: Any = dataclasses.field(
            default=each.default,
            default_factory=each.default_factory,
            init=each.init,
            kw_only=each.kw_only,
        )
        setattr(below, each.name, field)
        has_default = each.default is not dataclasses.MISSING
        if has_default and getattr(cls, each.name, None) is each.default:
            defaults[each.name] = each.default
    after = getattr(cls, "__post_init__", None)

    def complete(record: Any) -> None:
        for name, default in defaults.items():
            if name not in vars(record):
                object.__setattr__(record, name, default)
        if after is not None:
            after(record)

    below.__annotations__ = hints
    below.__post_init__ = complete
    dataclasses.dataclass(below, frozen=cls.__dataclass_params__.frozen)


def struct_below(cls: Any, hints: dict[str, Any]) -> Any:
    """A Struct below a Struct, with its defaults and names."""
    fields: list[Any] = []
    for each in msgspec.structs.fields(cls):
        options: dict[str, Any] = {"name": each.encode_name}
        if each.default is not msgspec.NODEFAULT:
            options["default"] = each.default
        elif each.default_factory is not msgspec.NODEFAULT:
            options["default_factory"] = each.default_factory
        fields.append((each.name, hints[each.name], msgspec.field(**options)))
    return msgspec.defstruct(
        cls.__name__, fields, bases=(cls,), kw_only=True, module=cls.__module__
    )
