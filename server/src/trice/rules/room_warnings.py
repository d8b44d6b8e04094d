"""Probable mistakes in `$rooms` that can be saved. No I/O.

source   spec/rooms.md M108
"""

from __future__ import annotations

from collections.abc import Iterator

from trice.catalog.catalog import Catalog
from trice.cel.ast import Call, Literal, Name, walk
from trice.cel.errors import EvaluationError
from trice.rules.binds import Fault
from trice.rules.references import resolve_path
from trice.rules.rooms import DEFAULT, ROOMS, RoomPlace, RoomRules


def room_warnings(rooms: RoomRules, catalog: Catalog) -> Iterator[Fault]:
    """Rooms that nobody can be a member of, and paths of `room.ref` that do not exist yet."""
    for room_type in dict.fromkeys(key[0] for key in rooms.places):
        named = [rooms.find(action, room_type, None) for action in ("join", "read")]
        if room_type != DEFAULT and None in named and any(named):
            missing = "join" if named[0] is None else "read"
            message = f"Nobody can be a member of these rooms: `{missing}` is not named."
            yield Fault((ROOMS, room_type), message, "A member needs both `join` and `read`.")
    for place in rooms.places.values():
        yield from _paths(place, catalog)


def _paths(place: RoomPlace, catalog: Catalog) -> Iterator[Fault]:
    program = place.program
    for expression in (program.expression, *(value for _, value in program.binds)):
        for node, _ in walk(expression.root):
            match node:
                case Call(
                    function="ref",
                    target=Name(name="room"),
                    arguments=(Literal(value=str(etype)), Literal(value=str(path))),
                ):
                    try:
                        resolve_path(catalog, etype, path)
                    except EvaluationError as error:
                        yield Fault(place.path, str(error))
                case _:
                    pass
