"""Rooms for the app's own server, with the admin token (instant-realtime §12.4; spec/rooms.md).

    GET    /admin/rooms/presence?room-type&room-id[&last-seen=minutes]   who is there
    POST   /admin/rooms/presence   a member that stands for a service
    DELETE /admin/rooms/presence?room-type&room-id&peer-id
    POST   /admin/rooms/broadcast  a message to a topic

There is no impersonation: `as-…` headers are ignored.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from trice import room_limits
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import administered, guest_of
from trice.api.middleware import json_response
from trice.api.parameters import malformed, missing
from trice.apps.apps import App
from trice.auth.accounts import find_user, user_object
from trice.bus import Channel
from trice.database import Look
from trice.identity import network_of
from trice.protocol.quoting import brief
from trice.rooms.presence import Presence
from trice.rooms.rooms import Rooms, channel_of
from trice.rooms.services import Services

_USERS_A_TURN: Final = 100
"""Users that are read in one turn of the loop, a millisecond."""


async def presence(request: Request) -> Response:
    """`GET /admin/rooms/presence` → `{"sessions": {peer id: {…}} | null, "last-seen"?: […]}`."""
    async with administered(request) as app:
        params = request.query_params
        channel = _channel_in(app, params, place="params")
        minutes = _minutes_in(params.get("last-seen"))
        rooms: Rooms = request.app.state.hub.rooms
        members = rooms.members(channel)
        users = await _users(app, members)
        sessions = {one.peer_id: _shown(one, users) for one in members}
        body: dict[str, Any] = {"sessions": sessions or None}
        if minutes is not None:
            now_ms = request.app.state.runtime.now_ms()
            left = list(rooms.left_since(channel, now_ms - minutes * 60_000))
            users = await _users(app, [one.presence for one in left])
            body["last-seen"] = [
                {**_shown(one.presence, users), "left-at": one.left_ms} for one in left
            ]
        return json_response(body)


async def set_presence(request: Request) -> Response:
    """`POST /admin/rooms/presence {"room-type", "room-id", "peer-id", "data", "ttl-s"?}` → `{}`.

    The member stays until `ttl-s` seconds have passed without another such request.
    """
    async with administered(request) as app:
        body = await json_body(request)
        channel, peer_id = _channel_in(app, body), _name_in(body, "peer-id")
        ttl_s = _ttl_in(body)
        data = body.get("data", {})
        services: Services = request.app.state.hub.services
        shown = Presence(peer_id, user_id=None, data=data, data_json=_json(data))
        network = network_of(guest_of(request).ip)
        services.set(app.id, channel, shown, ttl_ms=ttl_s * 1000, network=network)
        return json_response({})


async def remove_presence(request: Request) -> Response:
    """`DELETE /admin/rooms/presence?room-type&room-id&peer-id` → `{}`, also if it is not there."""
    async with administered(request) as app:
        params = request.query_params
        channel = _channel_in(app, params, place="params")
        peer_id = _name_in(params, "peer-id", place="params")
        services: Services = request.app.state.hub.services
        services.remove(app.id, channel, peer_id)
        return json_response({})


async def broadcast(request: Request) -> Response:
    """`POST /admin/rooms/broadcast {"room-type", "room-id", "topic", "data", "peer-id"?}` → `{}`.

    peer-id   the member that it comes from, as set by `POST /admin/rooms/presence`
    """
    async with administered(request) as app:
        body = await json_body(request)
        channel, topic = _channel_in(app, body), _name_in(body, "topic")
        rooms: Rooms = request.app.state.hub.rooms
        peer_id = None if body.get("peer-id") is None else _name_in(body, "peer-id")
        rooms.broadcast(channel, topic, _json(body.get("data", {})), peer_id=peer_id)
        return json_response({})


def _json(data: Any) -> bytes:
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError as cause:
        accepted = "JSON that nests less deeply, with whole numbers of at most 64 bits"
        raise malformed("body", "data", given=None, accepted=accepted) from cause


async def _users(app: App, members: list[Presence]) -> dict[str, dict[str, Any]]:
    """The users of members, in full (instant-http §1.1)."""
    ids = list({one.user_id for one in members if one.user_id is not None})
    users: dict[str, dict[str, Any]] = {}

    def read(look: Look, some: list[str]) -> None:
        for user_id in some:
            user = find_user(look, id=user_id)
            if user is not None:
                users[user_id] = user_object(app.id, user)

    for first in range(0, len(ids), _USERS_A_TURN):
        await app.database.look(partial(read, some=ids[first : first + _USERS_A_TURN]))
        await asyncio.sleep(0)  # others have their turn
    return users


def _shown(one: Presence, users: dict[str, dict[str, Any]]) -> dict[str, Any]:
    user = None if one.user_id is None else users.get(one.user_id)
    return {**one.entry(), "user": user}


def _channel_in(app: App, values: Any, *, place: str = "body") -> Channel:
    """The channel of the room that a request names."""
    room_type = _name_in(values, "room-type", place=place)
    room_id = _name_in(values, "room-id", place=place)
    return channel_of(app.id, room_id, room_type, is_typed=app.database.room_rights.is_ruled)


def _name_in(values: Any, name: str, *, place: str = "body") -> str:
    """A room id, room type, topic or peer id: a text that is not blank."""
    given = values.get(name)
    if given is None:
        raise missing(place, name)
    most = room_limits.ROOM_NAME_CHARS_MAX
    if not isinstance(given, str) or not given.strip() or len(given) > most:
        accepted = f"a text of at most {most} characters, not blank"
        raise malformed(place, name, given=brief(given), accepted=accepted)
    return given


def _minutes_in(given: str | None) -> int | None:
    if given is None:
        return None
    if not given.isdecimal() or not 1 <= int(given[:9]) <= room_limits.LAST_SEEN_MINUTES_MAX:
        accepted = f"minutes from 1 to {room_limits.LAST_SEEN_MINUTES_MAX}"
        raise malformed("params", "last-seen", given=brief(given), accepted=accepted)
    return int(given)


def _ttl_in(body: dict[str, Any]) -> int:
    given = body.get("ttl-s", room_limits.SERVICE_TTL_S)
    if type(given) is not int or not 1 <= given <= room_limits.SERVICE_TTL_S_MAX:
        accepted = f"seconds from 1 to {room_limits.SERVICE_TTL_S_MAX}"
        raise malformed("body", "ttl-s", given=brief(given), accepted=accepted)
    return given


ROUTES: Final = (
    Route("/admin/rooms/presence", presence, methods=["GET"]),
    Route("/admin/rooms/presence", set_presence, methods=["POST"], body=JSON),
    Route("/admin/rooms/presence", remove_presence, methods=["DELETE"]),
    Route("/admin/rooms/broadcast", broadcast, methods=["POST"], body=JSON),
)
