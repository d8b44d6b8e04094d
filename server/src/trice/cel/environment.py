"""What an expression may name: variables, and functions its host provides. No I/O."""

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
    result      kind of what it returns
    refuse      says what is wrong with the arguments as written, or None; for functions that
                take literals only
    """

    arguments: tuple[str, ...]
    required: int
    result: str
    refuse: Callable[[tuple[Node, ...]], str | None] | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """The names an expression may use, and how dates are read.

    variables   name -> kind ("dyn" when anything), or what its fields are
    methods     "data.ref" -> Method; when evaluated, the variable "data.ref" holds the callable
    absent      methods that maps seem to have and have not: name -> Method, and why each call
                fails. Calling one is no fault of the expression until it is evaluated
    instant_us  a date as stored -> microseconds since 1970, or None if it is no date
    """

    variables: Mapping[str, str | Record]
    methods: Mapping[str, Method]
    instant_us: Callable[[str | int], int | None]
    absent: Mapping[str, tuple[Method, str]] = field(default_factory=dict)
