"""`join-room`, `leave-room`, `set-presence`, `client-broadcast` (instant-realtime §9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from trice import room_limits
from trice.errors import InvalidInput, LimitExceeded, invalid
from trice.identity import network_of
from trice.protocol import down, up
from trice.protocol.ids import uuid_text
from trice.protocol.quoting import brief
from trice.rate_limit import RateLimit
from trice.rooms.presence import Presence
from trice.rooms.rooms import Seat
from trice.session.incoming import Letter
from trice.session.session import OpenedSession


def join_room(
    opened: OpenedSession, message: up.JoinRoom, raw: bytes, letter: Letter | None
) -> None:
    """Enter a room. Whoever is in it already keeps what it shows."""
    room_id = _text("room-id", message.room_id)
    room_type = "" if message.room_type is None else _text("room-type", message.room_type)
    seats = opened.seats
    if seats.find(room_id) is None:
        if seats.is_full:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"A session may be in {room_limits.SESSION_ROOMS_MAX} rooms; leave one first.",
                {"in": ["room-id"]},
            )
        shown = _presence(opened, message.data)
        rooms = opened.session.rooms
        # The session is sent all that the room shows.
        state_bytes = rooms.size_bytes(opened.app.id, room_id)
        tokens = _tokens(shown.data_json) + state_bytes // room_limits.STATE_TOKEN_BYTES
        _spend(opened, "presence", room_limits.PRESENCE_RATE, tokens)
        seats.take(
            rooms.join(
                opened.app.id,
                room_id,
                shown,
                room_type=room_type,
                listener=opened,
                network=_network(opened),
            )
        )
    opened.session.push(down.join_room_ok(room_id, event_id=message.client_event_id))


def leave_room(
    opened: OpenedSession, message: up.LeaveRoom, raw: bytes, letter: Letter | None
) -> None:
    """Leave a room, if the session is in it."""
    room_id = _text("room-id", message.room_id)
    opened.seats.leave(room_id)
    opened.session.push(down.leave_room_ok(room_id, event_id=message.client_event_id))


def set_presence(
    opened: OpenedSession, message: up.SetPresence, raw: bytes, letter: Letter | None
) -> None:
    """Show something else in a room."""
    seat = _seat(opened, message.room_id)
    shown = _presence(opened, message.data)
    _spend(opened, "presence", room_limits.PRESENCE_RATE, _tokens(shown.data_json))
    seat.set(shown.data, shown.data_json)
    opened.session.push(down.set_presence_ok(seat.room_id, event_id=message.client_event_id))


def client_broadcast(
    opened: OpenedSession, message: up.ClientBroadcast, raw: bytes, letter: Letter | None
) -> None:
    """Send a message to all others in a room."""
    seat = _seat(opened, message.room_id)
    topic = _text("topic", message.topic)
    data_json = _json(message.data)
    tokens = max(seat.others, 1) * _tokens(data_json)
    if tokens > room_limits.DELIVERY_RATE.capacity:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The message has {len(data_json):,} bytes and would go to {seat.others:,} members;"
            f" that is too much at once.",
            {"in": ["data"]},
        )
    _spend(opened, "broadcast", room_limits.DELIVERY_RATE, tokens)
    _spend_of(opened, _network(opened), room_limits.DELIVERY_RATE_OF_NETWORK, tokens)
    content = seat.publish(topic, data_json)
    opened.session.push(
        down.client_broadcast_ok(seat.room_id, topic, content, event_id=message.client_event_id)
    )


def _seat(opened: OpenedSession, given: Any) -> Seat:
    """The session's seat in the room that a message names."""
    room_id = _text("room-id", given)
    seat = opened.seats.find(room_id)
    if seat is None:
        problem = "You have not entered this room yet."
        failure = invalid("room-id", room_id, [{"in": ["room-id"], "message": problem}])
        failure.hint["in"] = ["room-id"]
        raise failure
    return seat


def _text(name: str, given: Any) -> str:
    """A name in a message: a text of bounded length."""
    if given is None:
        raise InvalidInput("param-missing", f'Missing parameter: ["{name}"]', {"in": [name]})
    most = room_limits.ROOM_NAME_CHARS_MAX
    if not isinstance(given, str) or len(given) > most:
        raise InvalidInput(
            "param-malformed",
            f'Malformed parameter: ["{name}"]. It must be a text of at most {most} characters.',
            {"in": [name], "original-input": brief(given)},
        )
    return given


def _presence(opened: OpenedSession, data: Any) -> Presence:
    """What this session shows; null is `{}` (§20)."""
    data = {} if data is None else data
    user_id = opened.identity.user_id
    return Presence(
        peer_id=opened.session.id,
        user_id=None if user_id is None else uuid_text(user_id),
        data=data,
        data_json=_json(data),
    )


def _json(data: Any) -> bytes:
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError as cause:
        accepted = "JSON with whole numbers of at most 64 bits"
        raise InvalidInput(
            "param-malformed",
            f'Malformed parameter: ["data"]. It must be {accepted}.',
            {"in": ["data"]},
        ) from cause


def _tokens(data_json: bytes) -> int:
    """What a message costs by its size."""
    return 1 + len(data_json) // room_limits.TOKEN_BYTES


def _network(opened: OpenedSession) -> str:
    return network_of(opened.session.guest.ip)


def _spend(opened: OpenedSession, what: str, rate: RateLimit, tokens: int = 1) -> None:
    """Take tokens of this session for a room. Raises LimitExceeded("rate-limited")."""
    _take(opened, ("rooms", opened.session.id, what), [rate], tokens)


def _spend_of(opened: OpenedSession, network: str, rate: RateLimit, tokens: int) -> None:
    """Take tokens of the network, which all of its sessions share."""
    _take(opened, ("rooms", network), [rate], tokens)


def _take(
    opened: OpenedSession, key: tuple[str, ...], rates: Sequence[RateLimit], tokens: int
) -> None:
    runtime = opened.session.runtime
    refusal = opened.session.apps.buckets.take(key, rates, tokens)
    if refusal is not None:
        wait_ms = 1_000 if refusal.retry_at_ms is None else refusal.retry_at_ms - runtime.now_ms()
        raise LimitExceeded(
            "rate-limited",
            "Too many messages to rooms; send fewer, or each with more in it.",
            {"retry-after": max(wait_ms, 1), "in": ["room-id"]},
        )
