"""The rooms that one session is in, and which of them have news for its client. No I/O."""

from __future__ import annotations

from trice import room_limits
from trice.protocol.shared import Frame
from trice.rooms.rooms import Seat


class Seats:
    """Holds the seats of a session. Does not hold what happened in the rooms: the seats know.

    Bound: room_limits.SESSION_ROOMS_MAX; the caller asks `is_full`.
    """

    __slots__ = ("_by_room", "_due")

    def __init__(self) -> None:
        self._by_room: dict[str, Seat] = {}
        self._due: dict[Seat, None] = {}

    @property
    def is_full(self) -> bool:
        """Whether the session may enter no other room."""
        return len(self._by_room) >= room_limits.SESSION_ROOMS_MAX

    def find(self, room_id: str) -> Seat | None:
        """The seat in this room."""
        return self._by_room.get(room_id)

    def take(self, seat: Seat) -> None:
        """The session entered a room."""
        self._by_room[seat.room_id] = seat

    def leave(self, room_id: str) -> None:
        """Leave a room; nothing happens if the session is not in it."""
        seat = self._by_room.pop(room_id, None)
        if seat is not None:
            self._due.pop(seat, None)
            seat.leave()

    def leave_all(self) -> None:
        """The session is over."""
        for room_id in list(self._by_room):
            self.leave(room_id)

    def note_news(self, seat: Seat) -> None:
        """Note that a room has news."""
        self._due[seat] = None

    @property
    def has_news(self) -> bool:
        return bool(self._due)

    def take_news(self) -> list[Frame]:
        """The messages with all news."""
        due, self._due = self._due, {}
        return [frame for seat in due for frame in seat.take_news()]
