"""All rooms with members in this process (instant-realtime §9; spec/rooms.md).

    seat.set ──> bus ──> Room ──changed──> end of the turn: one patch ──> seats are due
    seat.publish ──> bus ──> the other seats, at once
    seat due ──> its session has its turn ──> seat.take_news ──> the patches it was not told

However many changes a turn of the loop brings, a room makes one patch of them. A session that is
slow takes its news late: then it is told several patches, or the whole newest state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from trice import room_limits
from trice.bus import Bus, Channel
from trice.errors import LimitExceeded
from trice.protocol import down
from trice.protocol.ids import AppId
from trice.protocol.shared import Frame, SharedFrame
from trice.rooms.left import Left, LeftMembers
from trice.rooms.presence import Presence
from trice.rooms.room import UNTOLD, Room
from trice.runtime import Runtime
from trice.shares import ALL, Shares


class Listener(Protocol):
    """The session of a seat."""

    def on_room_news(self, seat: Seat) -> None:
        """The room changed: call `seat.take_news` when the client can be sent something."""
        ...


@dataclass(slots=True)
class RoomCounts:
    """What rooms did, since the server was started.

    patches      patches made, each for all members of its room
    broadcasts   messages to topics
    deliveries   messages that were kept for a session, once for each session
    dropped      messages that were not, because too much waited for the session
    """

    patches: int = 0
    broadcasts: int = 0
    deliveries: int = 0
    dropped: int = 0


class Seat:
    """One session in one room. Its methods are called by the session; the room calls its listener.

    The messages to topics that the session was not sent yet wait here, at most
    room_limits.TOPIC_BACKLOG_BYTES_MAX of them. What comes then is dropped and counted.

    told        the version of the room's state that the session was told
    is_due      whether the listener was told of news that it did not take yet
    kept_bytes  what is kept of it besides what it shows
    """

    __slots__ = (
        "_hall",
        "_shown_bytes",
        "_topics",
        "_topics_bytes",
        "is_due",
        "kept_bytes",
        "listener",
        "network",
        "peer_id",
        "told",
        "user_id",
    )

    def __init__(
        self,
        hall: Hall,
        *,
        peer_id: str,
        user_id: str | None,
        listener: Listener,
        network: str,
        kept_bytes: int,
    ) -> None:
        """Use `Rooms.join`."""
        self._hall = hall
        self._shown_bytes = 0
        self.kept_bytes = kept_bytes
        self.network = network
        self.peer_id = peer_id
        self.user_id = user_id
        self.listener = listener
        self.told = UNTOLD
        self.is_due = False
        self._topics: list[SharedFrame] = []
        self._topics_bytes = 0

    @property
    def room_id(self) -> str:
        return self._hall.room.id

    @property
    def channel(self) -> Channel:
        return self._hall.channel

    @property
    def presence(self) -> Presence:
        """What it shows."""
        return self._hall.shown_by(self)

    @property
    def lane(self) -> Hall:
        """What this seat shares with all others of its room."""
        return self._hall

    @property
    def others(self) -> int:
        """How many sessions a message to a topic of the room goes to."""
        return len(self._hall.seats) - 1

    def set(self, data: Any, data_json: bytes) -> None:
        """Show something else.

        raises   LimitExceeded when it, all that the room shows, or all that the network shows is
                 too much; then it shows what it did before
        """
        presence = Presence(self.peer_id, self.user_id, data, data_json)
        check_presence(self._hall.room, presence)
        self.count(len(presence) + self.kept_bytes)
        self._hall.put(presence)

    def count(self, size_bytes: int) -> None:
        """Count what the seat holds, in place of what it held before. Raises LimitExceeded."""
        count_shown(self._hall.shown, self.network, self._shown_bytes, size_bytes)
        self._shown_bytes = size_bytes

    def publish(self, topic: str, data_json: bytes) -> bytes:
        """Tell a message to all others in the room; return its content as JSON.

        raises   LimitExceeded when it is too long
        """
        content = down.topic_content(self.peer_id, self.user_id, data_json)
        self._hall.publish(topic, content, sender=self.peer_id)
        return content

    def offer(self, frame: SharedFrame) -> bool:
        """Keep a message to a topic until the session takes it; return False if it is dropped."""
        if self._topics_bytes + len(frame) > room_limits.TOPIC_BACKLOG_BYTES_MAX:
            return False
        if not self._hall.waiting.take(len(frame), self._waiting_bounds()):
            return False
        self._topics.append(frame)
        self._topics_bytes += len(frame)
        self.call()
        return True

    def call(self) -> None:
        """Tell the session that there is something for it."""
        if not self.is_due:
            self.is_due = True
            self.listener.on_room_news(self)

    def leave(self) -> None:
        """Leave the room."""
        self.count(0)
        self._take_topics()
        self._hall.leave(self)

    def take_news(self) -> list[Frame]:
        """What the session was not told yet: what leads to the newest state, then messages to
        topics, whose senders are in that state."""
        self.is_due = False
        room = self._hall.room
        frames = room.since(self.told)
        self.told = room.version
        return frames + self._take_topics()

    def _take_topics(self) -> list[SharedFrame]:
        if self._topics_bytes:
            self._hall.waiting.give_back(self._topics_bytes, self._waiting_bounds())
        topics, self._topics, self._topics_bytes = self._topics, [], 0
        return topics

    def _waiting_bounds(self) -> dict[str, int]:
        return {
            ALL: room_limits.TOPIC_BACKLOG_BYTES_IN_ALL_MAX,
            self.network: room_limits.TOPIC_BACKLOG_BYTES_OF_NETWORK_MAX,
        }


class Hall:
    """A room as this process serves it: the room, the seats of sessions here, who left lately.

    A Hall subscribes to the channel of its room while it has seats.
    """

    def __init__(self, rooms: Rooms, channel: Channel) -> None:
        """Use `Rooms.join`."""
        self._rooms = rooms
        self.channel = channel
        self.room = Room(room_id_of(channel))
        self.shown, self.waiting = rooms.shown, rooms.waiting
        self.seats: dict[str, Seat] = {}
        self.is_resting = False
        for presence in rooms.bus.entries(channel).values():
            self.room.put(presence)
        self.room.cut()

    # --- called by seats and by `Rooms` -----------------------------------------------------------

    def put(self, presence: Presence) -> None:
        self._rooms.bus.put(self.channel, presence.peer_id, presence)

    def shown_by(self, seat: Seat) -> Presence:
        shown: Presence = self._rooms.bus.entries(self.channel)[seat.peer_id]
        return shown

    def publish(self, topic: str, content: bytes, *, sender: str | None) -> None:
        check_topic(content)
        self._rooms.bus.publish(self.channel, (topic, content, sender))

    def leave(self, seat: Seat) -> None:
        if self.seats.pop(seat.peer_id, None) is not None:
            self._rooms.bus.remove(self.channel, seat.peer_id)
            if not self.seats:
                self._rooms.forget(self)

    # --- called by the bus -----------------------------------------------------------------------

    def on_entry(self, key: str, entry: Presence | None) -> None:
        """A member came, changed or left, here or in another process."""
        if entry is not None:
            self.room.put(entry)
        else:
            gone = self.room.remove(key)
            if gone is not None:
                self._rooms.note_left(self.channel, gone)
        self._rooms.note_changed(self)

    def on_message(self, message: tuple[str, bytes, str | None]) -> None:
        """A message to a topic goes to all seats but that of the sender."""
        topic, content, sender = message
        if sender is not None and self.room.is_changed(sender):
            self.cut()  # its presence comes first
        frame = down.server_broadcast(self.room.id, topic, content)
        counts = self._rooms.counts
        counts.broadcasts += 1
        for seat in self.seats.values():
            if seat.peer_id != sender:
                if seat.offer(frame):
                    counts.deliveries += 1
                else:
                    counts.dropped += 1

    def cut(self) -> None:
        """Make a patch of what changed, tell the seats that are not due already, and rest."""
        if not self.room.cut():
            return
        self._rooms.counts.patches += 1
        for seat in self.seats.values():
            seat.call()
        self._rooms.rest(self)


class Rooms:
    """Holds the halls of all apps. Does not hold presence (the bus and the rooms do) or sessions.

    counts   what happened so far
    """

    def __init__(self, runtime: Runtime, bus: Bus | None = None) -> None:
        self._runtime = runtime
        self.bus = bus or Bus()
        self.counts = RoomCounts()
        self._halls: dict[Channel, Hall] = {}
        self._changed: dict[Hall, None] = {}
        self._rests: set[asyncio.Task[None]] = set()
        # What members show, and what waits for them, by network.
        self.shown, self.waiting = Shares(), Shares()
        self._left = LeftMembers()

    def __len__(self) -> int:
        """How many rooms have members here."""
        return len(self._halls)

    @property
    def seats(self) -> int:
        """How many seats all rooms have here."""
        return sum(len(hall.seats) for hall in self._halls.values())

    def join(
        self,
        channel: Channel,
        presence: Presence,
        *,
        listener: Listener,
        network: str,
        kept_bytes: int = 0,
    ) -> Seat:
        """A session enters a room, which it is not in.

        channel     see `channel_of`
        network     whose share of the memory it takes
        kept_bytes  what the caller keeps for as long as the seat, besides what it shows
        raises      LimitExceeded when the room is full, or its network shows too much
        """
        hall = self._halls.get(channel)
        is_new = hall is None
        if hall is None:
            hall = Hall(self, channel)
        check_presence(hall.room, presence)
        seat = Seat(
            hall,
            peer_id=presence.peer_id,
            user_id=presence.user_id,
            listener=listener,
            network=network,
            kept_bytes=kept_bytes,
        )
        seat.count(len(presence) + kept_bytes)
        if is_new:
            self._halls[channel] = hall
            self.bus.subscribe(channel, hall)
        hall.seats[seat.peer_id] = seat
        hall.put(presence)
        return seat

    def size_bytes(self, channel: Channel) -> int:
        """About how large the whole state of a room is as JSON."""
        room = self.find_room(channel)
        return 0 if room is None else room.size_bytes

    def members(self, channel: Channel) -> list[Presence]:
        """The members of a room, in whichever process."""
        return list(self.bus.entries(channel).values())

    def left_since(self, channel: Channel, since_ms: int) -> Iterator[Left]:
        """Members that left since then, by the wall clock, and are not back; latest first."""
        here = self.bus.entries(channel)
        for left in self._left.since(channel, since_ms):
            if left.presence.peer_id not in here:
                yield left

    def find_room(self, channel: Channel) -> Room | None:
        """The room, if it has seats here."""
        hall = self._halls.get(channel)
        return None if hall is None else hall.room

    def broadcast(
        self, channel: Channel, topic: str, data_json: bytes, *, peer_id: str | None
    ) -> None:
        """Tell a message to a topic to every session in the room.

        peer_id   the member it comes from; None: the server
        raises    LimitExceeded when it is too long
        """
        content = down.topic_content(peer_id, None, data_json)
        check_topic(content)
        self.bus.publish(channel, (topic, content, None))

    def forget(self, hall: Hall) -> None:
        """The last seat of a room here was left."""
        self.bus.unsubscribe(hall.channel, hall)
        del self._halls[hall.channel]
        self._changed.pop(hall, None)

    def note_changed(self, hall: Hall) -> None:
        """Make a patch for this room at the end of this turn of the loop, or when it has rested."""
        if hall not in self._changed:
            self._changed[hall] = None
            if not hall.is_resting:
                self._cut_soon()

    def note_left(self, channel: Channel, presence: Presence) -> None:
        """Remember who left, for `last-seen`."""
        self._left.add(channel, Left(presence, self._runtime.now_ms()))

    def rest(self, hall: Hall) -> None:
        """Make no other patch for this room for a time that grows with its members."""
        rest_ms = len(hall.seats) * room_limits.REST_MS_A_MEMBER
        if rest_ms < room_limits.REST_MS_MIN or hall.is_resting:
            return
        hall.is_resting = True
        task = asyncio.get_running_loop().create_task(self._rest(hall, rest_ms))
        self._rests.add(task)
        task.add_done_callback(self._rests.discard)

    def stop(self) -> None:
        """The server stops: no room has to be told anything."""
        for task in self._rests:
            task.cancel()

    async def _rest(self, hall: Hall, rest_ms: float) -> None:
        await self._runtime.sleep_ms(rest_ms)
        hall.is_resting = False
        if hall in self._changed:
            self._cut_soon()

    def _cut_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._cut)

    def _cut(self) -> None:
        for hall in [hall for hall in self._changed if not hall.is_resting]:
            del self._changed[hall]
            hall.cut()


def count_shown(shown: Shares, network: str, before_bytes: int, now_bytes: int) -> None:
    """Count what one member shows among what its network does.

    raises   LimitExceeded; then it counts as before
    """
    more = now_bytes - before_bytes
    bounds = {
        ALL: room_limits.PRESENCE_BYTES_IN_ALL_MAX,
        network: room_limits.PRESENCE_BYTES_OF_NETWORK_MAX,
    }
    if more > 0 and not shown.take(more, bounds):
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The members of one network may show"
            f" {room_limits.PRESENCE_BYTES_OF_NETWORK_MAX:,} bytes of presence in all their"
            " rooms; leave some rooms, or show less.",
            {"in": ["data"]},
        )
    if more < 0:
        shown.give_back(-more, bounds)


def channel_of(app_id: AppId, room_id: str, room_type: str, *, is_typed: bool) -> Channel:
    """The channel of a room.

    is_typed   whether its type counts. It does where rules ask for it: else members of a type that
               is open could enter the rooms of another. It does not for apps without rules of
               rooms (instant-realtime §9)
    """
    return ("room", app_id, room_id, room_type) if is_typed else ("room", app_id, room_id)


def room_id_of(channel: Channel) -> str:
    """The id of a channel's room."""
    return channel[2]


def check_presence(room: Room, presence: Presence) -> None:
    """Raise LimitExceeded if the presence, or the room with it, is too large."""
    size_bytes = len(presence.data_json)
    if size_bytes > room_limits.PRESENCE_BYTES_MAX:
        raise _too_big("The presence of a member", size_bytes, room_limits.PRESENCE_BYTES_MAX)
    if not room.has_room(presence):
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The room is full: {room_limits.ROOM_MEMBERS_MAX:,} members, and"
            f" {room_limits.ROOM_PRESENCE_BYTES_MAX:,} bytes of presence of all of them, are"
            " accepted.",
            {"in": ["room-id"]},
        )


def check_topic(content: bytes) -> None:
    """Raise LimitExceeded if a message to a topic is too long."""
    if len(content) > room_limits.TOPIC_BYTES_MAX:
        raise _too_big("A message to a topic", len(content), room_limits.TOPIC_BYTES_MAX)


def _too_big(what: str, size_bytes: int, bytes_max: int) -> LimitExceeded:
    return LimitExceeded(
        "parameter-limit-exceeded",
        f"{what} has {size_bytes:,} bytes as JSON; {bytes_max:,} are accepted.",
        {"in": ["data"], "bytes": size_bytes, "bytes-max": bytes_max},
    )
