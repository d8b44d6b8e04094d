"""The names that an expression may use: variables, and functions of its host. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trice.cel.ast import Node


@dataclass(frozen=True, slots=True)
class Record:
    """A variable whose fields are all known.

    fields   name -> kind
    advice   added to the error when another field is asked for; may be empty
    """

    fields: Mapping[str, str]
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """A function of the host, called on a variable, as in `data.ref("owner.id")`.

    arguments   kinds it takes; those from `required` on may be left out
    result      kind of the value it returns
    refuse      returns what is wrong with the arguments as written, or None; for functions that
                take only literals
    """

    arguments: tuple[str, ...]
    required: int
    result: str
    refuse: Callable[[tuple[Node, ...]], str | None] | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """The names an expression may use, and how dates are read.

    variables   name -> kind ("dyn" when it may be any), or its fields
    methods     "data.ref" -> Method; when evaluated, the variable "data.ref" holds the callable
    absent      methods that maps may seem to have, but lack: name -> Method, and why each call
                fails. A call is no fault when it is compiled; it fails when it is evaluated
    instant_us  a date as stored -> microseconds since 1970, or None if it is no date
    """

    variables: Mapping[str, str | Record]
    methods: Mapping[str, Method]
    instant_us: Callable[[str | int], int | None]
    absent: Mapping[str, tuple[Method, str]] = field(default_factory=dict)
