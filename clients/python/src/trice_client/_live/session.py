"""What one caller watches, and what the server said of it: messages in, messages out.

It holds queries, calls and rooms, each until nobody wants it any more; the connection asks it what
to send when a session opens, and hands over what comes. Writes are not here: they go over HTTP.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio

from trice_client._config import Caller
from trice_client._errors import TriceError
from trice_client._json import is_object
from trice_client._live.room import Room
from trice_client._live.watch import Live, QueryAnswer
from trice_client._live.wire import (
    Answer,
    CallNews,
    Down,
    Message,
    canonical,
    canonical_raw,
    is_set,
)
from trice_client._retry import asked_s
from trice_client._tx import new_id

T = TypeVar("T")

_NOT_NOW = frozenset(("rate-limited", "overloaded", "timeout", "functions-broken"))
_RETRY_S = 1.0
_FEATURES = ["resume", "functions"]


@dataclass(slots=True, eq=False)
class Watched:
    """A query or a call, for all who watch it here.

    ask, unask   the messages that begin and end it
    event_id     of `ask` while it waits for its answer
    version      names the answer that is held
    """

    ask: Message
    unask: Message
    readers: dict[Live[Any], Callable[[Any], Any]] = field(
        default_factory=dict["Live[Any]", "Callable[[Any], Any]"]
    )
    event_id: str | None = None
    version: str | None = None
    answer: Any = None
    has_answer: bool = False

    def tell(self, answer: Any) -> None:
        """There is another answer."""
        self.answer, self.has_answer = answer, True
        for live in list(self.readers):
            self.tell_one(live)

    def tell_one(self, live: Live[Any]) -> None:
        """Tell one reader the newest answer, or why it is not what that reader reads."""
        try:
            live.tell(self.readers[live](self.answer))
        except TriceError as failure:
            live.fail(failure)

    def fail(self, failure: TriceError) -> None:
        """There is none now."""
        self.has_answer, self.version = False, None
        for live in list(self.readers):
            live.fail(failure)


class Session:
    """Of one caller, over as many connections as it takes."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.later: Callable[[float, Callable[[], None]], None] = lambda _, __: None
        self.state = "connecting"
        self._outbox: deque[Message] = deque()
        self._has_mail = anyio.Event()
        self._is_open = False
        self._queries: dict[bytes, Watched] = {}
        self._calls: dict[bytes, Watched] = {}
        self._by_query_id: dict[str, Watched] = {}
        self._rooms: dict[str, Room] = {}
        self._leaving: dict[str, anyio.Event] = {}
        self._catalog: str | None = None
        self._peer_id: str | None = None
        self._failure: TriceError | None = None

    # --- what programs want -----------------------------------------------------------------------

    def watch_query(self, query: Mapping[str, Any], shape: Callable[[Any], T]) -> Live[T]:
        """A live query. query   as JSON has it; shape   makes of a QueryAnswer what is read"""
        body = {"q": query, "return-type": "tree", "inference?": True}
        ask, unask = {"op": "add-query", **body}, {"op": "remove-query", "q": query}
        return self._watch(self._queries, canonical(query), Watched(ask, unask), shape)

    def watch_call(self, name: str, args: Mapping[str, Any]) -> Live[Any]:
        """What a query function answers."""
        body = {"name": name, "args": args}
        watched = Watched({"op": "add-call", **body}, {"op": "remove-call", **body})
        return self._watch(self._calls, canonical([name, args]), watched, lambda value: value)

    def _watch(
        self,
        all_watched: dict[bytes, Watched],
        key: bytes,
        new: Watched,
        shape: Callable[[Any], T],
    ) -> Live[T]:
        self._check()
        watched = all_watched.setdefault(key, new)

        def leave(live: Live[T]) -> None:
            watched.readers.pop(live, None)
            if not watched.readers and all_watched.get(key) is watched:
                del all_watched[key]
                self._send(watched.unask)

        live: Live[T] = Live(leave)
        watched.readers[live] = shape
        if watched is new:
            self._ask(watched)
        elif watched.has_answer:
            watched.tell_one(live)
        return live

    def join_room(
        self,
        room_type: str,
        room_id: str,
        *,
        presence: Mapping[str, Any],
        rule_params: Mapping[str, Any] | None,
    ) -> Room:
        """Enters a room. A client is in one room of an id at a time."""
        self._check()
        if room_id in self._rooms:
            raise TriceError("room-joined", f"This client is in the room {room_id!r} already.")
        room = Room(
            room_type,
            room_id,
            presence=presence,
            rule_params=rule_params,
            send=self._send,
            leave=self._leave,
        )
        self._rooms[room_id] = room
        if self._is_open:
            room.live(self._peer_id)
        return room

    async def _leave(self, room: Room) -> None:
        """Until the server has answered; a connection that is lost has left its rooms."""
        if self._rooms.get(room.id) is not room:
            return
        del self._rooms[room.id]
        event_id = self._send({"op": "leave-room", "room-id": room.id})
        if event_id is not None:
            left = self._leaving[event_id] = anyio.Event()
            await left.wait()

    def _told_left(self, event_ids: Iterable[str]) -> None:
        for event_id in list(event_ids):
            left = self._leaving.pop(event_id, None)
            if left is not None:
                left.set()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # --- for the connection -----------------------------------------------------------------------

    def init(self) -> Message:
        """The first message of a connection."""
        trice: dict[str, Any] = {"version": 1, "features": _FEATURES, "catalog": self._catalog}
        message = {"op": "init", "app-id": self.caller.app_id, "trice": trice}
        token = self.caller.own_token()
        if token is not None:
            is_admin = self.caller.token is None
            message["__admin-token" if is_admin else "refresh-token"] = token
        return {**message, "client-event-id": new_id()}

    async def mail(self) -> list[Message]:
        """What is to be sent, once there is something."""
        while not self._outbox:
            await self._has_mail.wait()
        found = list(self._outbox)
        self._outbox.clear()
        self._has_mail = anyio.Event()
        return found

    def lost(self) -> None:
        """The connection is gone; another one will ask again."""
        self._is_open, self.state = False, "connecting"
        self._outbox.clear()
        self._by_query_id.clear()
        for watched in (*self._queries.values(), *self._calls.values()):
            watched.event_id = None
        for room in self._rooms.values():
            room.lost()
        self._told_left(self._leaving)

    def finish(self, failure: TriceError) -> None:
        """There will be no other connection."""
        self._failure, self.state, self._is_open = failure, "closed", False
        is_closed = failure.code == "closed"
        for watched in (*self._queries.values(), *self._calls.values()):
            for live in list(watched.readers):
                live.finish(None if is_closed else failure)
        for room in list(self._rooms.values()):
            room.finish(failure)
        self._queries.clear()
        self._calls.clear()
        self._rooms.clear()
        self._told_left(self._leaving)

    def take(self, message: Down) -> None:
        """A message came. raises   TriceError if the session cannot be opened"""
        match message.op:
            case "init-ok":
                self._opened(message)
            case "add-query-ok":
                watched = self._waiting(self._queries, message.client_event_id)
                if watched is not None:
                    self._answered(watched, message, message.result, message.processed_tx_id)
            case "refresh-ok":
                self._refreshed(message)
            case "add-call-ok":
                watched = self._waiting(self._calls, message.client_event_id)
                if watched is not None:
                    watched.tell(message.value)
            case "leave-room-ok":
                self._told_left((message.client_event_id or "",))
            case "error":
                self._erred(message)
            case _:
                room = self._rooms.get(message.room_id or "")
                if room is not None:
                    room.receive(message)

    def _opened(self, message: Down) -> None:
        self._is_open, self.state = True, "open"
        if message.trice is not None and message.trice.catalog is not None:
            self._catalog = message.trice.catalog
        for watched in (*self._queries.values(), *self._calls.values()):
            self._ask(watched)
        self._peer_id = message.session_id
        for room in self._rooms.values():
            room.live(self._peer_id)

    def _refreshed(self, message: Down) -> None:
        if message.catalog is not None:
            self._catalog = message.catalog
        for answer in message.computations:
            watched = self._by_query_id.get(answer.query_id or "")
            if watched is None and answer.instaql_query:
                watched = self._queries.get(canonical_raw(answer.instaql_query))
            if watched is not None:
                self._answered(watched, answer, answer.instaql_result, message.processed_tx_id)
        for news in message.calls:
            self._call_news(news)

    def _answered(self, watched: Watched, answer: Answer, result: Any, tx: int) -> None:
        if answer.query_id is not None:
            self._by_query_id[answer.query_id] = watched
        watched.version = answer.version
        if not is_set(result):
            return  # what is held is the answer still (P80, P82)
        meta = answer.result_meta or {}
        watched.tell(QueryAnswer(result, meta.get("page-info"), tx))

    def _call_news(self, news: CallNews) -> None:
        watched = self._calls.get(b"[%b,%b]" % (canonical(news.name), canonical_raw(news.args)))
        if watched is None:
            return
        if news.error is not None:
            watched.fail(TriceError.of(news.error))
        else:
            watched.tell(news.value)

    def _erred(self, message: Down) -> None:
        failure = TriceError.of(message.failure(), message.status)
        sent = message.original_event
        original: dict[str, Any] = sent if is_object(sent) else {}
        op = original.get("op")
        if op == "init":
            raise failure
        self._told_left((message.client_event_id or "",))
        for all_watched in (self._queries, self._calls):
            watched = self._waiting(all_watched, message.client_event_id)
            if watched is not None:
                self._refused(all_watched, watched, failure)
                return
        if "room-id" in original:
            room = self._rooms.get(str(original["room-id"]))
            if room is not None:
                room.fail(str(op), failure)
        elif "q" in original:
            # A live query that cannot be refreshed now: its next answer says that it can again.
            watched = self._queries.get(canonical(original["q"]))
            if watched is not None:
                watched.fail(failure)

    def _refused(
        self, all_watched: dict[bytes, Watched], watched: Watched, failure: TriceError
    ) -> None:
        """It is asked again if it may work later, else it is over."""
        if failure.code in _NOT_NOW:
            self.later(asked_s(failure) or _RETRY_S, lambda: self._ask(watched))
            return
        if watched.ask["op"] == "add-call":
            watched.fail(failure)  # the server goes on to watch what failed (FN233)
            return
        for key, each in list(all_watched.items()):
            if each is watched:
                del all_watched[key]
        for live in list(watched.readers):
            live.finish(failure)

    # --- sending ----------------------------------------------------------------------------------

    def _waiting(self, all_watched: dict[bytes, Watched], event_id: str | None) -> Watched | None:
        if event_id is None:
            return None
        for watched in all_watched.values():
            if watched.event_id == event_id:
                watched.event_id = None
                return watched
        return None

    def _ask(self, watched: Watched) -> None:
        if not watched.readers or watched.event_id is not None:
            return
        held = watched.version if watched.has_answer else None
        watched.event_id = self._send({**watched.ask, **({"held": held} if held else {})})

    def _send(self, message: Message) -> str | None:
        """Returns the event id; None while there is no session."""
        if not self._is_open:
            return None
        event_id = new_id()
        self._outbox.append({**message, "client-event-id": event_id})
        self._has_mail.set()
        return event_id
