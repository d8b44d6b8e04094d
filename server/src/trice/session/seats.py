"""The rooms that one session is in, which of them have news for its client, and messages about
rooms that wait for the rules.

    enter ──> judged ──> seated ──commit or new rules──> judged again ──> kept | lost: it leaves

Membership and Seats are in one file because they know each other.

source   spec/rooms.md ROOM50-ROOM54, M107, M111
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from trice import room_limits
from trice.bus import Channel
from trice.errors import LimitExceeded, PermissionDenied, TriceError
from trice.identity import Identity
from trice.protocol import down
from trice.protocol.ids import AppId
from trice.protocol.shared import Frame
from trice.rooms.presence import Presence
from trice.rooms.rooms import Listener, Rooms, Seat, channel_of
from trice.rules.environments import RoomAction
from trice.rules.room_rights import RoomDeed, RoomRights, RoomWatch


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who enters rooms, and how it is told.

    listener   hears of news in rooms
    push       sends its client a frame
    network    whose share of the memory of rooms it takes
    """

    app_id: AppId
    identity: Identity
    network: str
    rooms: Rooms
    rights: RoomRights
    listener: Listener
    push: Callable[[Frame], None]


class Membership:
    """Holds the seat, the watch on the right to it, and what that right was judged by.

    seat    None while it is judged for the first time, and at the end
    asked   what the session showed at first, which later judgements see too; None: no rule has
            asked for it
    """

    __slots__ = ("_lost", "_params", "_seats", "_watch", "asked", "room_id", "room_type", "seat")

    def __init__(
        self, seats: Seats, room_id: str, room_type: str, params: Mapping[str, Any]
    ) -> None:
        """params   `ruleParams` of the rules of this room"""
        self._seats = seats
        self._params = params
        self._watch: RoomWatch | None = None
        self._lost: PermissionDenied | None = None
        self.room_id = room_id
        self.room_type = room_type
        self.seat: Seat | None = None
        self.asked: Presence | None = None

    async def enter(self, shown: Presence, *, params_bytes: int) -> None:
        """Become a member, if the rules allow it. Does not wait in an app without rules of rooms.

        params_bytes   JSON of the rule parameters
        raises   PermissionDenied, LimitExceeded, Unavailable; then it is no member
        """
        visitor = self._seats.visitor
        rights = visitor.rights
        if rights.asks(visitor.identity):
            self.asked = shown
        try:
            self._watch = await rights.watch(self)
            if self.asked is not None and shown.data != {}:
                await rights.may(visitor.identity, self.deed_of("presence", shown.data))
            if self._lost is not None:
                raise self._lost
            self._sit(shown, params_bytes + (0 if self.asked is None else len(shown)))
        except BaseException:
            self._end()
            raise

    async def may(self, action: RoomAction, data: Any, *, topic: str | None = None) -> None:
        """Ask whether this member may do something now. Raises as `RoomRights.may`."""
        visitor = self._seats.visitor
        await visitor.rights.may(visitor.identity, self.deed_of(action, data, topic=topic))

    def tell_refused(self, failure: TriceError, *, event_id: str | None) -> None:
        """Tell the client that it is not in the room. The official client shows an error of a room
        only when it is told a state of the room, so it is told an empty one."""
        push = self._seats.visitor.push
        push(down.join_room_error(self.room_id, failure.message, event_id=event_id))
        push(down.refresh_presence(self.room_id, {}))

    def leave(self) -> None:
        """Leave the room."""
        self._end()
        if self.seat is not None:
            self._seats.forget(self.seat)
            self.seat.leave()
            self.seat = None

    def deed_of(self, action: RoomAction, data: Any, *, topic: str | None = None) -> RoomDeed:
        """What rules are asked about."""
        return RoomDeed(action, self.room_type, self.room_id, topic, data, self._params)

    # --- called by room rights -------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        return self._seats.visitor.identity

    @property
    def deed(self) -> RoomDeed:
        """To be a member."""
        shown = self.asked
        if shown is None and self.seat is not None:
            shown = self.seat.presence
        return self.deed_of("join", {} if shown is None else shown.data)

    def on_kept(self) -> None:
        """It may stay. If rules of rooms came or went, the room is another one: go there."""
        if self.seat is None or self.seat.channel == self.channel:
            return
        before, shown = self.seat, self.seat.presence
        self._seats.forget(before)
        before.leave()
        self.seat = None
        try:
            self._sit(shown, before.kept_bytes)
        except LimitExceeded as full:
            self._seats.leave(self.room_id)
            self.tell_refused(full, event_id=None)

    def on_lost(self, denied: PermissionDenied) -> None:
        """It may not stay."""
        self._lost = denied
        if self.seat is not None:
            self._seats.leave(self.room_id)
            self.tell_refused(denied, event_id=None)

    # --- inside ----------------------------------------------------------------------------------

    @property
    def channel(self) -> Channel:
        """Where the room is, under the rules in force."""
        visitor = self._seats.visitor
        is_typed = visitor.rights.is_ruled
        return channel_of(visitor.app_id, self.room_id, self.room_type, is_typed=is_typed)

    def _sit(self, shown: Presence, kept_bytes: int) -> None:
        visitor = self._seats.visitor
        self.seat = visitor.rooms.join(
            self.channel,
            shown,
            listener=visitor.listener,
            network=visitor.network,
            kept_bytes=kept_bytes,
        )

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None


@dataclass(frozen=True, slots=True)
class WaitingWork:
    """A message about a room whose turn has not come.

    raw, event_id   what an error repeats of it
    """

    work: Callable[[], Coroutine[Any, Any, None]]
    raw: bytes
    event_id: str | None


class Seats:
    """Holds the memberships of a session. Does not hold what happened in the rooms: their seats
    know.

    Bounds: room_limits.SESSION_ROOMS_MAX, WAITING_WORK_MAX and WAITING_WORK_BYTES_MAX; the caller
    asks `is_full` and `has_room_for`.
    """

    __slots__ = ("_by_room", "_due", "_waiting", "_waiting_bytes", "visitor")

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self._by_room: dict[str, Membership] = {}
        self._due: dict[Seat, None] = {}
        self._waiting: deque[WaitingWork] = deque()
        self._waiting_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the session may enter no other room."""
        return len(self._by_room) >= room_limits.SESSION_ROOMS_MAX

    def find(self, room_id: str) -> Membership | None:
        """The membership in this room."""
        return self._by_room.get(room_id)

    def take(self, member: Membership) -> None:
        """The session entered a room."""
        self._by_room[member.room_id] = member

    def leave(self, room_id: str) -> None:
        """Leave a room; nothing happens if the session is not in it."""
        member = self._by_room.pop(room_id, None)
        if member is not None:
            member.leave()

    def leave_all(self) -> None:
        """The session is over: nothing waits any more, and it is in no room."""
        self._waiting.clear()
        for room_id in list(self._by_room):
            self.leave(room_id)

    # --- news ------------------------------------------------------------------------------------

    def note_news(self, seat: Seat) -> None:
        """Note that a room has news."""
        self._due[seat] = None

    def forget(self, seat: Seat) -> None:
        """The session leaves this seat; its news are of no use any more."""
        self._due.pop(seat, None)

    @property
    def has_news(self) -> bool:
        return bool(self._due)

    def take_news(self) -> list[Frame]:
        """The messages with all news."""
        due, self._due = self._due, {}
        return [frame for seat in due for frame in seat.take_news()]

    # --- what waits ------------------------------------------------------------------------------

    @property
    def next_work(self) -> WaitingWork | None:
        """The message that is carried out now, and stays the first until `end_work`."""
        return self._waiting[0] if self._waiting else None

    def has_room_for(self, raw: bytes) -> bool:
        """Whether another message may wait."""
        return (
            len(self._waiting) < room_limits.WAITING_WORK_MAX
            and self._waiting_bytes + len(raw) <= room_limits.WAITING_WORK_BYTES_MAX
        )

    def add_work(self, waiting: WaitingWork) -> None:
        """Let a message wait behind all others."""
        self._waiting.append(waiting)
        self._waiting_bytes += len(waiting.raw)

    def end_work(self) -> None:
        """The first message is done."""
        self._waiting_bytes -= len(self._waiting.popleft().raw)
