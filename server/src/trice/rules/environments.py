"""The names that the expression of each action may use. No I/O.

source   instant-semantics §5.4; spec/rules.md R30-R37, spec/rooms.md M104-M107
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from trice.catalog.dates import instant_us
from trice.cel.ast import Literal as LiteralNode
from trice.cel.ast import Node
from trice.cel.environment import Environment, Method, Record

EntityAction = Literal["view", "create", "update", "delete"]
LinkAction = Literal["link", "unlink"]
Action = EntityAction | LinkAction
RoomAction = Literal["join", "read", "presence", "publish"]

ENTITY_ACTIONS: Final[tuple[EntityAction, ...]] = ("view", "create", "update", "delete")
LINK_ACTIONS: Final[tuple[LinkAction, ...]] = ("link", "unlink")
ROOM_ACTIONS: Final[tuple[RoomAction, ...]] = ("join", "read", "presence", "publish")

_REQUEST: Final = Record(
    {"ip": "string", "modifiedFields": "list", "origin": "string", "time": "timestamp"}
)
_REF: Final = Method(("string",), required=1, result="list")
_NO_REF: Final = (
    "only `data`, `linkedData` and `auth` have `ref`: what a transaction is about to write has no "
    "links yet. In `create`, `data.ref` sees the links that the transaction makes."
)
_LIMIT: Final = Method(("dyn", "int"), required=1, result="bool")
_UNKNOWN_LIMIT: Final = " That is not a valid rate limit config; define it in `$rateLimits`."


def _refuse_path(arguments: tuple[Node, ...]) -> str | None:
    """What is wrong with the argument of `auth.ref`."""
    match arguments:
        case (LiteralNode(value=str(path)),) if path.startswith("$user."):
            return None
        case (LiteralNode(),):
            return "auth.ref arg must start with `$user.`, as in auth.ref('$user.todos.id')."
        case _:
            return (
                "auth.ref arg must start with `$user.` and be written as a plain string, "
                "as in auth.ref('$user.todos.id')."
            )


def environment_of(action: Action, rate_limits: Iterable[str]) -> Environment:
    """The names an expression for `action` may use.

    rate_limits   names defined in `$rateLimits`
    """
    names = tuple(rate_limits)
    variables: dict[str, str | Record] = {
        "auth": "map",
        "data": "map",
        "rateLimit": Record(dict.fromkeys(names, "dyn"), _UNKNOWN_LIMIT),
        "request": _REQUEST,
        "ruleParams": "map",
    }
    methods = {
        "auth.ref": Method(("string",), required=1, result="list", refuse=_refuse_path),
        "data.ref": _REF,
        **{f"rateLimit.{name}.limit": _LIMIT for name in names},
    }
    if action in ("create", "update", "link", "unlink"):
        variables["newData"] = "map"
    if action in LINK_ACTIONS:
        variables["linkedData"] = "map"
        methods["linkedData.ref"] = _REF
    if action == "link":
        variables["actions"] = Record({"data": "string", "linkedData": "string"})
    return Environment(variables, methods, instant_us, {"ref": (_REF, _NO_REF)})


_NO_ROOM_REF: Final = (
    "only `room` and `auth` have `ref`: what a member sends is no entity and has no links."
)
_ROOM: Final = Record({"id": "string", "type": "string"})


def _refuse_room_path(arguments: tuple[Node, ...]) -> str | None:
    """What is wrong with the arguments of `room.ref`."""
    match arguments:
        case (LiteralNode(value=str()), LiteralNode(value=str())):
            return None
        case _:
            return (
                "room.ref takes a namespace and a path, both written as plain strings, "
                "as in room.ref('chats', 'members.id')."
            )


def room_environment_of(action: RoomAction, rate_limits: Iterable[str]) -> Environment:
    """The names an expression for `action` in a room may use.

    rate_limits   names defined in `$rateLimits`. Join and read have none: they are judged again
                  whenever rights may have changed, which must not take tokens
    """
    names = tuple(rate_limits) if action in ("presence", "publish") else ()
    return Environment(
        {
            "auth": "map",
            "data": "dyn" if action == "publish" else "map",
            "rateLimit": Record(dict.fromkeys(names, "dyn"), _UNKNOWN_LIMIT),
            "request": Record({"ip": "string", "origin": "string", "time": "timestamp"}),
            "room": _ROOM,
            "ruleParams": "map",
        },
        {
            "auth.ref": Method(("string",), required=1, result="list", refuse=_refuse_path),
            "room.ref": Method(
                ("string", "string"), required=2, result="list", refuse=_refuse_room_path
            ),
            **{f"rateLimit.{name}.limit": _LIMIT for name in names},
        },
        instant_us,
        {"ref": (_REF, _NO_ROOM_REF)},
    )
