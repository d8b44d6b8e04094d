"""Members of rooms that stand for a service: the app's own server sets them over HTTP, for a time.

A bot that answers in a chat, or a job that shows how far it is, is such a member. It has no
session, so nothing tells when it is gone: it leaves when its time is over.
"""

from __future__ import annotations

from dataclasses import dataclass

from trice import room_limits
from trice.background import Background
from trice.bus import Bus, Channel
from trice.errors import LimitExceeded, invalid
from trice.protocol.ids import AppId
from trice.rooms.presence import Presence
from trice.rooms.room import Room
from trice.rooms.rooms import Rooms, check_presence, count_shown, room_id_of
from trice.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Stay:
    """Until when a member stays, and what it counts for whom."""

    ends_ms: float
    network: str
    size_bytes: int


class Services:
    """Holds until when each of these members stays, and how much it counts for its network. What
    they show is in the bus, as for others.

    Bound: room_limits.SERVICE_PEERS_MAX for each app.
    """

    def __init__(self, rooms: Rooms, runtime: Runtime) -> None:
        self._rooms = rooms
        self._bus: Bus = rooms.bus
        self._runtime = runtime
        self._stays: dict[AppId, dict[tuple[Channel, str], Stay]] = {}

    def start(self, background: Background) -> None:
        """Begin to remove members whose time is over."""
        background.every("room-services", 1_000, lambda _: self.end_old())

    def set(
        self, app_id: AppId, channel: Channel, presence: Presence, *, ttl_ms: int, network: str
    ) -> None:
        """Set a member of a room, until `ttl_ms` from now.

        channel   that of a room of the app
        network   of the caller, among whose members it counts
        raises   LimitExceeded; InvalidInput when a session has this peer id
        """
        mine = self._stays.get(app_id, {})
        key = (channel, presence.peer_id)
        if key not in mine:
            if presence.peer_id in self._bus.entries(channel):
                problem = "This peer id is that of a session, which shows its own presence."
                raise invalid("peer-id", presence.peer_id, [{"message": problem}])
            if len(mine) >= room_limits.SERVICE_PEERS_MAX:
                most = room_limits.SERVICE_PEERS_MAX
                raise LimitExceeded(
                    "parameter-limit-exceeded",
                    f"{most:,} members set by the server are accepted in one app.",
                    {"in": ["peer-id"]},
                )
        check_presence(self._rooms.find_room(channel) or Room(room_id_of(channel)), presence)
        before = mine.get(key)
        if before is None or before.network != network:
            count_shown(self._rooms.shown, network, 0, len(presence))
            if before is not None:
                count_shown(self._rooms.shown, before.network, before.size_bytes, 0)
        else:
            count_shown(self._rooms.shown, network, before.size_bytes, len(presence))
        ends_ms = self._runtime.monotonic_ms() + ttl_ms
        self._stays.setdefault(app_id, {})[key] = Stay(ends_ms, network, len(presence))
        self._bus.put(channel, presence.peer_id, presence)

    def remove(self, app_id: AppId, channel: Channel, peer_id: str) -> None:
        """Remove such a member; nothing happens if it is not there."""
        mine = self._stays.get(app_id, {})
        stay = mine.pop((channel, peer_id), None)
        if stay is not None:
            count_shown(self._rooms.shown, stay.network, stay.size_bytes, 0)
            self._bus.remove(channel, peer_id)
        if not mine:
            self._stays.pop(app_id, None)

    def end_old(self) -> None:
        """Remove the members whose time is over."""
        now_ms = self._runtime.monotonic_ms()
        for app_id, mine in list(self._stays.items()):
            for (channel, peer_id), stay in list(mine.items()):
                if stay.ends_ms <= now_ms:
                    self.remove(app_id, channel, peer_id)
