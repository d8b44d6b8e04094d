"""What each member of a room shows, and the edits that lead from one state to another. No I/O.

    [["<peer>","data","cursor","x"],"r",5]      replace
    [["<peer>","data","name"],"+","Ada"]        add
    [["<peer>","data","name"],"-"]              remove
    [["<peer>"],"+",{…}]   [["<peer>"],"-"]     a member comes, or leaves

source   instant-realtime §9.1, §20: after a removal clients remove each parent that became empty
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from trice import room_limits

Edit = list[Any]
"""`[path, op]` or `[path, op, value]`."""

INSTANCE_ID: Final = "trice"
"""`instance-id` of every member. Clients do not show it."""


@dataclass(frozen=True, slots=True)
class Presence:
    """One member, as the others see it. It never changes; a change is another Presence.

    user_id    id of its user; None for guests and admins
    data       what it shows: decoded JSON of any form
    data_json  the same as JSON
    """

    peer_id: str
    user_id: str | None
    data: Any
    data_json: bytes

    @property
    def user(self) -> dict[str, str] | None:
        return None if self.user_id is None else {"id": self.user_id}

    def entry(self) -> dict[str, Any]:
        """Its part of the state of the room; the data as a fragment of JSON."""
        return {
            "peer-id": self.peer_id,
            "instance-id": INSTANCE_ID,
            "user": self.user,
            "data": orjson.Fragment(self.data_json),
        }

    def __len__(self) -> int:
        """About how many bytes it takes in the state of the room."""
        return len(self.data_json) + room_limits.OVERHEAD_BYTES


def edits_between(old: Presence | None, new: Presence | None) -> list[Edit]:
    """The edits that lead clients from `old` to `new` of the same member; None: it is not there."""
    if new is None:
        return [] if old is None else [[[old.peer_id], "-"]]
    if old is None or old.user_id != new.user_id:
        return [[[new.peer_id], "+" if old is None else "r", new.entry()]]
    if old.data_json == new.data_json:
        return []
    place = [new.peer_id, "data"]
    whole: list[Edit] = [[place, "r", orjson.Fragment(new.data_json)]]
    if not isinstance(old.data, dict) or not isinstance(new.data, dict):
        return whole
    edits: list[Edit] = []
    _compare(place, old.data, new.data, edits, room_limits.PRESENCE_DEPTH_MAX)
    # Edits of many fields are longer than the data itself.
    return edits if 2 * len(edits) <= len(new.data) + 1 else whole


def _compare(
    place: list[str], old: dict[str, Any], new: dict[str, Any], edits: list[Edit], depth: int
) -> None:
    """Append the edits that lead from one object to another.

    Removals come last, and only where something stays. So no object is empty after a removal, and
    clients remove nothing else with it.
    """
    if not new and old:
        edits.append([place, "r", new])
        return
    for key, value in new.items():
        if key not in old:
            edits.append([[*place, key], "+", value])
            continue
        before = old[key]
        if type(before) is str and type(value) is str:
            # Most fields are texts: hundreds of them, compared for each message of a busy room.
            if before != value:
                edits.append([[*place, key], "r", value])
        elif isinstance(before, dict) and isinstance(value, dict) and depth > 1:
            _compare([*place, key], before, value, edits, depth - 1)
        elif not _is_same(before, value):
            edits.append([[*place, key], "r", value])
    if not old.keys() <= new.keys():
        edits.extend([[*place, key], "-"] for key in old if key not in new)


def _is_same(before: Any, value: Any) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are equal in Python."""
    return before is value or orjson.dumps(before) == orjson.dumps(value)
