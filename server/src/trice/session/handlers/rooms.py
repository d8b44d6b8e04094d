"""`join-room`, `leave-room`, `set-presence`, `client-broadcast` (instant-realtime §9)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import orjson

from trice import room_limits
from trice.errors import (
    Bug,
    InvalidInput,
    LimitExceeded,
    PermissionDenied,
    TriceError,
    Unavailable,
    invalid,
)
from trice.identity import network_of
from trice.protocol import down, up
from trice.protocol.ids import uuid_text
from trice.protocol.quoting import brief, quote
from trice.rate_limit import RateLimit
from trice.rooms.presence import Presence
from trice.rooms.rooms import Seat
from trice.session.incoming import Letter
from trice.session.seats import Membership, WaitingWork
from trice.session.session import OpenedSession

Work = Callable[[], Coroutine[Any, Any, None]]
"""The rest of a message, once it was read. It waits for nothing but the rules of rooms."""


def join_room(
    opened: OpenedSession, message: up.JoinRoom, raw: bytes, letter: Letter | None
) -> None:
    """Enter a room. Whoever is in it already keeps what it shows."""
    room_id = _text("room-id", message.room_id)
    room_type = "" if message.room_type is None else _text("room-type", message.room_type)
    params, params_bytes = _params(message.rule_params)
    shown = _presence(opened, message.data)
    event_id = message.client_event_id

    async def work() -> None:
        seats, rights = opened.seats, opened.database.room_rights
        member = seats.find(room_id)
        if member is None:
            member = Membership(seats, room_id, room_type, params)
            _check_join(opened, member, shown)
            try:
                await member.enter(shown, params_bytes=params_bytes)
            except PermissionDenied as denied:
                member.tell_refused(denied, event_id=event_id)
                return
            seats.take(member)
        elif rights.asks(opened.identity) and member.room_type != room_type:
            problem = f"The session is in the room of type {quote(member.room_type)}; leave it."
            raise invalid("room-type", room_type, [{"in": ["room-type"], "message": problem}])
        opened.session.push(down.join_room_ok(room_id, event_id=event_id))

    _do(opened, work, raw, event_id)


def leave_room(
    opened: OpenedSession, message: up.LeaveRoom, raw: bytes, letter: Letter | None
) -> None:
    """Leave a room, if the session is in it."""
    room_id = _text("room-id", message.room_id)
    event_id = message.client_event_id

    async def work() -> None:
        opened.seats.leave(room_id)
        opened.session.push(down.leave_room_ok(room_id, event_id=event_id))

    _do(opened, work, raw, event_id)


def set_presence(
    opened: OpenedSession, message: up.SetPresence, raw: bytes, letter: Letter | None
) -> None:
    """Show something else in a room."""
    room_id = _text("room-id", message.room_id)
    shown = _presence(opened, message.data)
    event_id = message.client_event_id

    async def work() -> None:
        member, _ = _member(opened, room_id)
        _spend(opened, "presence", room_limits.PRESENCE_RATE, _tokens(shown.data_json))
        await member.may("presence", shown.data)
        if member.seat is not None:
            member.seat.set(shown.data, shown.data_json)
            opened.session.push(down.set_presence_ok(room_id, event_id=event_id))

    _do(opened, work, raw, event_id)


def client_broadcast(
    opened: OpenedSession, message: up.ClientBroadcast, raw: bytes, letter: Letter | None
) -> None:
    """Send a message to all others in a room."""
    room_id = _text("room-id", message.room_id)
    topic = _text("topic", message.topic)
    data_json = _json(message.data)
    event_id = message.client_event_id

    async def work() -> None:
        member, seat = _member(opened, room_id)
        _spend_broadcast(opened, seat, data_json)
        await member.may("publish", message.data, topic=topic)
        if member.seat is not None:
            content = member.seat.publish(topic, data_json)
            opened.session.push(
                down.client_broadcast_ok(room_id, topic, content, event_id=event_id)
            )

    _do(opened, work, raw, event_id)


def _do(opened: OpenedSession, work: Work, raw: bytes, event_id: str | None) -> None:
    """Carry out a message: at once in an app without rules of rooms, where `work` never waits; else
    after those before it.

    raises   what `work` raises, if it is carried out at once; Unavailable("overloaded")
    """
    seats = opened.seats
    if seats.next_work is None and not opened.database.room_rights.asks(opened.identity):
        _finish(work)
        return
    if not seats.has_room_for(raw):
        raise Unavailable(
            "overloaded",
            "Too many messages about rooms wait for the rules of rooms; send fewer at once.",
            {"in": ["room-id"]},
        )
    is_first = seats.next_work is None
    seats.add_work(WaitingWork(work, raw, event_id))
    if is_first:
        opened.session.spawn(_work_off(opened))


def _finish(work: Work) -> None:
    """Carry out work that does not wait."""
    running = work()
    try:
        running.send(None)
    except StopIteration:
        return
    running.close()
    raise Bug("unknown", "A message about a room waited for rules that the app does not have.")


async def _work_off(opened: OpenedSession) -> None:
    """Carry out what waits, in order of arrival."""
    seats = opened.seats
    while (waiting := seats.next_work) is not None:
        try:
            await waiting.work()
        except TriceError as failure:
            opened.session.fail(failure, raw=waiting.raw, event_id=waiting.event_id)
        seats.end_work()


def _check_join(opened: OpenedSession, member: Membership, shown: Presence) -> None:
    """Raise LimitExceeded if the session is in too many rooms, or joins too much at once."""
    if opened.seats.is_full:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"A session may be in {room_limits.SESSION_ROOMS_MAX} rooms; leave one first.",
            {"in": ["room-id"]},
        )
    # The session is sent all that the room shows.
    state_bytes = opened.session.rooms.size_bytes(member.channel)
    tokens = _tokens(shown.data_json) + state_bytes // room_limits.STATE_TOKEN_BYTES
    _spend(opened, "presence", room_limits.PRESENCE_RATE, tokens)


def _spend_broadcast(opened: OpenedSession, seat: Seat, data_json: bytes) -> None:
    """Take tokens for a message to all others of a room. Raises LimitExceeded."""
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


def _member(opened: OpenedSession, room_id: str) -> tuple[Membership, Seat]:
    """The session's membership in a room, and its seat there."""
    member = opened.seats.find(room_id)
    if member is None or member.seat is None:
        problem = "You have not entered this room yet."
        failure = invalid("room-id", room_id, [{"in": ["room-id"], "message": problem}])
        failure.hint["in"] = ["room-id"]
        raise failure
    return member, member.seat


def _params(given: Any) -> tuple[Mapping[str, Any], int]:
    """Rule parameters, and how many bytes they have as JSON."""
    if given is None:
        return {}, 0
    if not isinstance(given, dict):
        raise InvalidInput(
            "param-malformed",
            'Malformed parameter: ["rule-params"]. It must be an object.',
            {"in": ["rule-params"], "original-input": brief(given)},
        )
    size_bytes = len(_json(given, "rule-params"))
    if size_bytes > room_limits.RULE_PARAMS_BYTES_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The rule parameters of a room have {size_bytes:,} bytes as JSON;"
            f" {room_limits.RULE_PARAMS_BYTES_MAX:,} are accepted.",
            {"in": ["rule-params"]},
        )
    return given, size_bytes


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


def _json(data: Any, name: str = "data") -> bytes:
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError as cause:
        accepted = "JSON with whole numbers of at most 64 bits"
        raise InvalidInput(
            "param-malformed",
            f'Malformed parameter: ["{name}"]. It must be {accepted}.',
            {"in": [name]},
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
