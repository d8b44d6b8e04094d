"""Rooms over HTTP: for the app's own server, which is no member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trice_client._asked import Asked
from trice_client._async.requests import AsyncRequests
from trice_client._config import Caller
from trice_client._plain import plain


class AsyncRooms:
    """`db.rooms`. All of it needs the admin token, and no rules are asked. To be a member, see
    `db.join_room`."""

    def __init__(self, requests: AsyncRequests, caller: Caller) -> None:
        self._requests = requests
        self._caller = caller

    async def get_presence(self, room_type: str, room_id: str) -> dict[str, Any]:
        """Who is in a room, by peer id: `{"data", "peer-id", "user"}`."""
        params = {"room-type": room_type, "room-id": room_id}
        found: dict[str, Any] | None = (await self._ask("GET", "presence", params))["sessions"]
        return found or {}

    async def set_presence(
        self,
        room_type: str,
        room_id: str,
        peer_id: str,
        data: Mapping[str, Any],
        *,
        ttl_s: int | None = None,
    ) -> None:
        """Shows a member that stands for a service, for `ttl_s` seconds or until it is removed."""
        body = {"room-type": room_type, "room-id": room_id, "peer-id": peer_id, "data": plain(data)}
        await self._ask(
            "POST", "presence", json=body if ttl_s is None else {**body, "ttl-s": ttl_s}
        )

    async def remove_presence(self, room_type: str, room_id: str, peer_id: str) -> None:
        """Removes such a member, if it is there."""
        params = {"room-type": room_type, "room-id": room_id, "peer-id": peer_id}
        await self._ask("DELETE", "presence", params)

    async def publish_topic(
        self,
        room_type: str,
        room_id: str,
        topic: str,
        data: Any = None,
        *,
        peer_id: str | None = None,
    ) -> None:
        """Sends a message to all in a room. peer_id   the member that it comes from"""
        body = {"room-type": room_type, "room-id": room_id, "topic": topic, "data": plain(data)}
        body = body if peer_id is None else {**body, "peer-id": peer_id}
        await self._ask("POST", "broadcast", json=body)

    async def _ask(
        self, method: str, path: str, params: Mapping[str, str] | None = None, *, json: Any = None
    ) -> Any:
        headers = self._caller.admin_headers()
        # A message that is sent again would be heard twice.
        repeats: Any = "unsent" if path == "broadcast" else "always"
        asked = Asked(
            *(method, f"/admin/rooms/{path}", params or {}, headers), json=json, repeats=repeats
        )
        return await self._requests.json(asked)
