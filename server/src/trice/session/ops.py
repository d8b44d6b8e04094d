"""Every op that a client may send, one row each: its message, its handler, and how a long or broken
message is treated. A family of ops is a file of `session/handlers`, and its rows here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, get_args

from trice import limits
from trice.errors import invalid
from trice.protocol import up
from trice.session.handlers import (
    calls,
    opening,
    queries,
    rooms,
    streams,
    sync_tables,
    transactions,
)
from trice.session.incoming import Letter
from trice.session.session import OpenedSession, Session

M = TypeVar("M", bound=up.Up)

Handler = Callable[[Session, M, bytes, Letter | None], None]
"""Carries out one message, or raises TriceError for its sender. The bytes are what errors repeat of
the message; the letter is what else is known of a long message."""


def _nothing(message: Any, raw: bytes) -> None:
    """The `work_ahead` of ops that need none."""


@dataclass(frozen=True, slots=True)
class Op(Generic[M]):
    """How one kind of message is treated.

    message     its struct
    handle      its handler
    content     how errors call its content
    repeats     name of the field that errors repeat if the whole message is too long
    weight_max  bound of the weight of a long message, see `session/weigh`
    work_ahead  called for a long message, on the thread that read it: raises TriceError if it asks
                too much, returns `Letter.digest`
    is_write    clients show its changes at once; if it is refused, they are told all answers again
    """

    message: type[M]
    handle: Handler[M]
    content: str
    repeats: str | None = None
    weight_max: int = limits.MESSAGE_WEIGHT_MAX
    work_ahead: Callable[[M, bytes], str | None] = _nothing
    is_write: bool = False

    @property
    def name(self) -> str:
        """Its name on the wire."""
        return str(self.message.__struct_config__.tag)


def _in_app(handle: Callable[[OpenedSession, M, bytes, Letter | None], None]) -> Handler[M]:
    """Make a handler for any session of one for opened sessions; the others are refused."""

    def handle_if_opened(session: Session, message: M, raw: bytes, letter: Letter | None) -> None:
        opened = session.opened
        if opened is None:
            raise invalid("init", None, [{"message": "`init` has not run for this session."}])
        handle(opened, message, raw, letter)

    return handle_if_opened


_TABLE: Final[tuple[Op[Any], ...]] = (
    Op(up.Init, opening.init, "init", repeats="app-id"),
    Op(
        up.AddQuery,
        _in_app(queries.add_query),
        "query",
        repeats="q",
        weight_max=limits.QUERY_WEIGHT_MAX,
        work_ahead=queries.check_long,
    ),
    Op(
        up.RemoveQuery,
        _in_app(queries.remove_query),
        "query",
        repeats="q",
        weight_max=limits.QUERY_WEIGHT_MAX,
        work_ahead=queries.check_long,
    ),
    Op(
        up.Transact,
        _in_app(transactions.transact),
        "tx-steps",
        work_ahead=transactions.digest_long,
        is_write=True,
    ),
    Op(up.JoinRoom, _in_app(rooms.join_room), "room-id", repeats="room-id"),
    Op(up.LeaveRoom, _in_app(rooms.leave_room), "room-id", repeats="room-id"),
    Op(up.SetPresence, _in_app(rooms.set_presence), "room-id", repeats="room-id"),
    Op(up.ClientBroadcast, _in_app(rooms.client_broadcast), "room-id", repeats="room-id"),
    Op(up.StartStream, _in_app(streams.start_stream), "start-stream"),
    Op(up.AppendStream, _in_app(streams.append_stream), "append-stream"),
    Op(up.SubscribeStream, _in_app(streams.subscribe_stream), "subscribe-stream"),
    Op(up.UnsubscribeStream, _in_app(streams.unsubscribe_stream), "unsubscribe-stream"),
    Op(up.StartSync, _in_app(sync_tables.start_sync), "query", repeats="q"),
    Op(up.ResyncTable, _in_app(sync_tables.resync_table), "token"),
    Op(up.RemoveSync, _in_app(sync_tables.remove_sync), "subscription-id"),
    Op(up.Call, _in_app(calls.call), "call", repeats="name"),
    Op(up.AddCall, _in_app(calls.add_call), "call", repeats="name"),
    Op(up.MoreCall, _in_app(calls.more_call), "call", repeats="name"),
    Op(up.RemoveCall, _in_app(calls.remove_call), "call", repeats="name"),
)

OPS: Final[dict[type, Op[Any]]] = {op.message: op for op in _TABLE}
OPS_BY_NAME: Final[dict[str, Op[Any]]] = {op.name: op for op in _TABLE}

assert OPS.keys() == set(get_args(up.Up)), "each message of the protocol has one row"
