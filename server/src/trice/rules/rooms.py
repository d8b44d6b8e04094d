"""`$rooms` of the rules document: who may be in a room, and what members may send. No I/O.

    {type | "$default": {"bind"?: ["name", expr, …] | {name: expr},
                         "join"? "read"? "presence"?: expr,
                         "publish"?: expr | {topic | "$default": expr}}}

Without `$rooms` all rooms are open. With it, what is not named is denied. Instant has no such
rules, so every fault is refused when the document is saved.

source   spec/rooms.md M100-M119
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError
from typing import Any, Final

from trice.cel.environment import Environment
from trice.cel.errors import CompileError
from trice.cel.evaluate import Program, make_program
from trice.cel.parse import Expression, parse
from trice.cel.values import show
from trice.rules.binds import Binds, broken_of, in_order, names_in
from trice.rules.environments import ROOM_ACTIONS, RoomAction, room_environment_of

ROOMS: Final = "$rooms"
DEFAULT: Final = "$default"
_KEYS: Final = ("bind", *ROOM_ACTIONS)
DENIED: Final = make_program(parse("false"), room_environment_of("join", ()))
"""Stands for a rule that has a fault, or that there is not."""

Report = Callable[[list[str], str], None]
"""Called with the path of a fault in the document, and a message."""
Parse = Callable[[Any, list[str]], Expression | None]
"""The tree of an expression; None when it is none, which is reported. Raises CompileError."""


@dataclass(frozen=True, slots=True)
class RoomPlace:
    """An expression that decides one action.

    path      its place in the document
    """

    path: tuple[str, ...]
    action: RoomAction
    program: Program


@dataclass(frozen=True, slots=True)
class RoomRules:
    """The rules of an app's rooms. Immutable.

    places   (type, action), or (type, "publish", topic) -> the expression
    """

    places: Mapping[tuple[str, ...], RoomPlace]

    def find(self, action: RoomAction, room_type: str, topic: str | None) -> RoomPlace | None:
        """What decides: the type's own rule before that of `$default`, and for each of both the
        topic's own before `$default`. None: denied."""
        for etype in (room_type, DEFAULT):
            if action != "publish":
                keys: tuple[tuple[str, ...], ...] = ((etype, action),)
            else:
                keys = ((etype, action, topic or DEFAULT), (etype, action, DEFAULT))
            for key in keys:
                if key in self.places:
                    return self.places[key]
        return None


def parse_rooms(
    section: Any,
    rate_limits: Mapping[str, object],
    parse: Parse,
    report: Report,
    weigh: Callable[[Program], None],
) -> RoomRules | None:
    """Read `$rooms`.

    section      any JSON; None is no section
    rate_limits  names defined in `$rateLimits`
    weigh        counts the parts of each program that is compiled
    returns      None without a section; what has a fault is not part of it, so it is denied
    """
    if section is None:
        return None
    reader = _Reader(rate_limits, parse, report, weigh)
    if isinstance(section, Mapping):
        reader.read(section)
    else:
        report([ROOMS], f"`$rooms` must be an object of room types; it is {show(section)}.")
    return RoomRules(reader.places)


class _Reader:
    def __init__(
        self,
        rate_limits: Mapping[str, object],
        parse: Parse,
        report: Report,
        weigh: Callable[[Program], None],
    ) -> None:
        self._parse = parse
        self._report = report
        self._weigh = weigh
        self._environments: dict[RoomAction, Environment] = {
            action: room_environment_of(action, rate_limits) for action in ROOM_ACTIONS
        }
        self.places: dict[tuple[str, ...], RoomPlace] = {}

    def read(self, section: Mapping[str, Any]) -> None:
        """Read all types, `$default` first: its binds are those of every type."""
        outer = self._read_type(DEFAULT, section.get(DEFAULT), Binds())
        for room_type, given in section.items():
            if room_type != DEFAULT:
                self._read_type(room_type, given, outer)

    def _read_type(self, room_type: str, given: Any, outer: Binds) -> Binds:
        if given is None:
            return outer
        path = [ROOMS, room_type]
        if not isinstance(given, Mapping):
            self._report(path, f"`{'.'.join(path)}` must be an object; it is {show(given)}.")
            for action in ROOM_ACTIONS:
                key = (room_type, action, DEFAULT) if action == "publish" else (room_type, action)
                self.places[key] = RoomPlace((*path, action), action, DENIED)
            return outer
        for key in given:
            if key not in _KEYS:
                message = f"`{'.'.join(path)}` may have {', '.join(_KEYS)}, not {show(key)}."
                self._report([*path, key], message)
        binds = self._binds(path, given.get("bind"), outer)
        for action in ROOM_ACTIONS:
            rule = given.get(action)
            if action == "publish":
                topics = rule if isinstance(rule, Mapping) else {DEFAULT: rule}
                for topic, each in topics.items():
                    place = [*path, action, topic] if isinstance(rule, Mapping) else [*path, action]
                    self._add((room_type, action, topic), action, each, place, binds)
            else:
                self._add((room_type, action), action, rule, [*path, action], binds)
        return binds

    def _add(
        self, key: tuple[str, ...], action: RoomAction, given: Any, path: list[str], binds: Binds
    ) -> None:
        if given is None:
            return
        # A stored document is not refused: what has a fault denies, and `$default` cannot allow it.
        self.places[key] = RoomPlace(tuple(path), action, DENIED)
        where = ".".join(path)
        try:
            expression = self._parse(given, path)
            if expression is None:
                return
            names = names_in(expression)
            used = list(in_order(names, binds))
            if broken_of(names, used, binds):
                return  # the bind was reported
            values = [(name, binds.values[name]) for name in used]
            program = make_program(expression, self._environments[action], values)
        except CompileError as error:
            self._report(path, f"{where}: {error}")
            return
        except CycleError as error:
            cycle = " -> ".join(f"`{name}`" for name in reversed(error.args[1]))
            self._report(path, f"Cyclic dependency between binds: {cycle}.")
            return
        self._weigh(program)
        self.places[key] = RoomPlace(tuple(path), action, program)

    def _binds(self, path: list[str], given: Any, outer: Binds) -> Binds:
        """The binds of a type, added to `outer`. What they may name depends on the rules that use
        them, so here they are only parsed."""
        binds = Binds(dict(outer.values), dict(outer.broken), dict(outer.paths))
        own: set[str] = set()
        for name, value in self._bind_pairs([*path, "bind"], given):
            place = [*path, "bind", name]
            if name in own:
                self._report(place, "bind should only contain a given variable name once.")
                continue
            own.add(name)
            binds.values.pop(name, None)
            binds.broken[name] = None
            try:
                expression = self._parse(value, place)
            except CompileError as error:
                self._report(place, f"{'.'.join(place)}: {error}")
                continue
            if expression is not None:
                binds.values[name] = expression
                del binds.broken[name]
        return binds

    def _bind_pairs(self, path: list[str], given: Any) -> Iterator[tuple[str, Any]]:
        match given:
            case None:
                return
            case dict():
                yield from given.items()
            case list() if len(given) % 2:
                message = "bind should have an even number of elements: a name, its expression, …"
                self._report(path, f"{message} It has {len(given)}.")
            case list() if all(isinstance(name, str) for name in given[::2]):
                yield from zip(given[::2], given[1::2], strict=True)
            case _:
                message = 'bind must be ["name", expression, …] or {name: expression}'
                self._report(path, f"{message}; it is {show(given)}.")
