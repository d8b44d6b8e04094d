"""One room as this client is in it.

apart ──session──> joining ──join-room-ok──> joined
  ^                   └──────refused──────────> refused
  └────── session lost: apart, joined again by itself
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import anyio

from trice_client._errors import TriceError
from trice_client._json import is_object
from trice_client._live.presence import Members, apply_edits
from trice_client._live.watch import Live
from trice_client._live.wire import Down, Message
from trice_client._plain import plain

_WAITING_MAX = 100
"""Messages to topics that wait until the room is joined; beyond, `publish_topic` refuses."""
_UNREAD_MAX = 1_000
"""Messages that nobody has read; beyond, the oldest go and `missed` counts them."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is in a room.

    user    what this client shows
    peers   what the others show, by peer id
    """

    user: Mapping[str, Any]
    peers: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TopicMessage:
    """What a member, or a server, sent. peer_id   None: a server without a member"""

    topic: str
    data: Any
    peer_id: str | None


class Topic:
    """Messages of one topic, each once, in order; `async for` reads them.

    missed   how many went because nobody read
    """

    def __init__(self, topic: str, leave: Callable[[Topic], None]) -> None:
        self.topic = topic
        self.missed = 0
        self._leave = leave
        self._unread: deque[TopicMessage] = deque()
        self._failure: TriceError | None = None
        self._is_over = False
        self._change = anyio.Event()

    @property
    def is_closed(self) -> bool:
        """Nothing more will come."""
        return self._is_over

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TopicMessage:
        while not self._unread:
            if self._failure is not None:
                raise self._failure
            if self._is_over:
                raise StopAsyncIteration
            await self._change.wait()
        return self._unread.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Hears nothing more."""
        self.finish(None)
        self._leave(self)

    def tell(self, message: TopicMessage) -> None:
        """A message came."""
        if len(self._unread) >= _UNREAD_MAX:
            self._unread.popleft()
            self.missed += 1
        self._unread.append(message)
        self._wake()

    def finish(self, failure: TriceError | None) -> None:
        """Nothing more will come."""
        self._is_over, self._failure = True, failure
        self._wake()

    def _wake(self) -> None:
        change, self._change = self._change, anyio.Event()
        change.set()


class Room:
    """A room that this client is in, until `aclose` or the end of an `async with`.

    After a lost connection it is joined again by itself.
    """

    def __init__(
        self,
        room_type: str,
        room_id: str,
        *,
        presence: Mapping[str, Any],
        rule_params: Mapping[str, Any] | None,
        send: Callable[[Message], str | None],
        leave: Callable[[Room], Awaitable[None]],
    ) -> None:
        self.type = room_type
        self.id = room_id
        self._rule_params = plain(rule_params)
        self._send = send
        self._leave = leave
        self._own: dict[str, Any] = plain(presence)
        self._members: Members = {}
        self._peer_id: str | None = None
        self._join_id: str | None = None
        self._is_joined = False
        self._failure: TriceError | None = None
        self._waiting: list[tuple[str, Any]] = []
        self._watching: set[Live[Presence]] = set()
        self._topics: set[Topic] = set()
        self._change = anyio.Event()

    @property
    def presence(self) -> Presence:
        """Who is here, as far as it is known."""
        peers: dict[str, dict[str, Any]] = {
            peer_id: member.get("data") or {}
            for peer_id, member in self._members.items()
            if peer_id != self._peer_id
        }
        return Presence(dict(self._own), peers)

    async def joined(self) -> None:
        """Waits until this client is in the room. raises   TriceError if it may not be"""
        while not self._is_joined:
            if self._failure is not None:
                raise self._failure
            await self._change.wait()

    async def publish_presence(self, fields: Mapping[str, Any]) -> None:
        """Shows some fields besides those that are shown; None takes one away."""
        own = {**self._own, **plain(fields)}
        self._own = {name: value for name, value in own.items() if value is not None}
        if self._is_joined:
            self._send({"op": "set-presence", "room-id": self.id, "data": self._own})
        self._tell()

    async def publish_topic(self, topic: str, data: Any = None) -> None:
        """Sends a message to all others in the room.

        raises   TriceError("room-queue-full") while the room is not joined and 100 wait
        """
        if self._failure is not None:
            raise self._failure
        if self._is_joined:
            self._broadcast(topic, plain(data))
            return
        if len(self._waiting) >= _WAITING_MAX:
            told = f"{_WAITING_MAX} messages wait for the room {self.id!r} already."
            raise TriceError("room-queue-full", told)
        self._waiting.append((topic, plain(data)))

    def watch_presence(self) -> Live[Presence]:
        """Who is here, now and whenever it changes."""
        live: Live[Presence] = Live(self._watching.discard)
        self._watching.add(live)
        if self._is_joined:
            live.tell(self.presence)
        return live

    def topic(self, topic: str) -> Topic:
        """Messages to a topic from now on."""
        heard = Topic(topic, self._topics.discard)
        self._topics.add(heard)
        return heard

    async def __aenter__(self) -> Self:
        await self.joined()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leaves the room, and waits until the server knows it, or the connection is lost.

        Who cancels the wait has left all the same.
        """
        self.finish(TriceError("closed", f"The room {self.id!r} was left."))
        await self._leave(self)

    # --- for the session --------------------------------------------------------------------------

    def live(self, session_id: str | None) -> None:
        """There is a session: enter the room."""
        self._peer_id = session_id
        message = {"room-type": self.type, "room-id": self.id, "data": self._own}
        more = {} if self._rule_params is None else {"rule-params": self._rule_params}
        self._join_id = self._send({"op": "join-room", **message, **more})

    def lost(self) -> None:
        """The session is gone, and its membership with it."""
        self._is_joined, self._join_id = False, None

    def receive(self, message: Down) -> None:
        """What the server says of this room."""
        match message.op:
            case "join-room-ok" if message.client_event_id == self._join_id:
                self._is_joined, self._failure = True, None
                for topic, data in self._waiting:
                    self._broadcast(topic, data)
                self._waiting.clear()
                self._wake()
                self._tell()
            case "join-room-error":
                told = message.error or "The room cannot be entered."
                self.finish(TriceError("permission-denied", told))
            case "refresh-presence" if is_object(message.data):
                self._members = message.data
                self._tell()
            case "patch-presence":
                apply_edits(self._members, message.edits)
                self._tell()
            case "server-broadcast" if is_object(message.data):
                heard = TopicMessage(
                    message.topic or "", message.data.get("data"), message.data.get("peer-id")
                )
                for each in list(self._topics):
                    if each.topic == heard.topic:
                        each.tell(heard)
            case _:
                pass  # of another version of the server

    def fail(self, op: str, failure: TriceError) -> None:
        """Something of this room was refused."""
        if op == "join-room":
            self.finish(failure)
            return
        for live in list(self._watching):
            live.fail(failure)

    def finish(self, failure: TriceError) -> None:
        """This client is not in the room, and does not come back."""
        self._is_joined, self._failure = False, failure
        is_left = failure.code == "closed"
        for live in list(self._watching):
            live.finish(None if is_left else failure)
        for each in list(self._topics):
            each.finish(None if is_left else failure)
        self._wake()

    def _broadcast(self, topic: str, data: Any) -> None:
        room = {"room-id": self.id, "roomType": self.type}
        self._send({"op": "client-broadcast", **room, "topic": topic, "data": data})

    def _tell(self) -> None:
        if not self._is_joined:
            return
        for live in list(self._watching):
            live.tell(self.presence)

    def _wake(self) -> None:
        change, self._change = self._change, anyio.Event()
        change.set()
