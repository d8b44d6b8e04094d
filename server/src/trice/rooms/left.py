"""Who left which room lately, for `last-seen`. No I/O."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass

from trice import room_limits
from trice.bus import Channel
from trice.rooms.presence import Presence


@dataclass(frozen=True, slots=True)
class Left:
    """A member that left, and when, by the wall clock."""

    presence: Presence
    left_ms: int


class LeftMembers:
    """Holds the members that left each room last.

    Bounds: room_limits.LAST_SEEN_KEPT of a room, LAST_SEEN_BYTES_MAX in all, LAST_SEEN_MINUTES_MAX.
    Rooms that nobody left for longest are forgotten first.
    """

    def __init__(self) -> None:
        self._rooms: OrderedDict[Channel, deque[Left]] = OrderedDict()
        self.size_bytes = 0

    def add(self, channel: Channel, left: Left) -> None:
        """A member left. What is over is forgotten."""
        room = self._rooms.setdefault(channel, deque())
        self._rooms.move_to_end(channel)
        room.append(left)
        self.size_bytes += len(left.presence)
        if len(room) > room_limits.LAST_SEEN_KEPT:
            self._forget(room)
        since_ms = left.left_ms - room_limits.LAST_SEEN_MINUTES_MAX * 60_000
        while self._rooms:
            first, oldest = next(iter(self._rooms.items()))
            is_full = self.size_bytes > room_limits.LAST_SEEN_BYTES_MAX
            if not is_full and oldest[0].left_ms >= since_ms:
                break
            self._forget(oldest)
            if not oldest:
                del self._rooms[first]

    def since(self, channel: Channel, since_ms: int) -> Iterator[Left]:
        """Those who left a room since then, latest first."""
        for left in reversed(self._rooms.get(channel, ())):
            if left.left_ms >= since_ms:
                yield left

    def _forget(self, room: deque[Left]) -> None:
        self.size_bytes -= len(room.popleft().presence)
