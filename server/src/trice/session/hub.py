"""All sessions of this process: found by id, checked for silence, told when the server stops."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from trice import limits
from trice.apps.apps import Apps
from trice.background import Background
from trice.calls.live import LiveFunctions
from trice.identity import GUEST, Identity, network_of
from trice.log import fields
from trice.protocol.errors import GOING_AWAY
from trice.protocol.ids import SessionId
from trice.rooms.rooms import Rooms
from trice.rooms.services import Services
from trice.runtime import Runtime
from trice.session import dispatch
from trice.session.first_answers import FirstAnswers
from trice.session.long_messages import LongMessages
from trice.session.loop_turns import LoopTurns
from trice.session.send_queue import SendQueue
from trice.session.session import Session
from trice.session.socket import Socket
from trice.shares import ALL, Held, Shares
from trice.streams.streams import Streams

logger: Final = logging.getLogger("trice.session")


class Hub:
    """Holds every open session, and the queues in which sessions wait for a turn. Does not know
    what they ask.

    functions     those of all apps, once the server runs some
    free_memory   called after many sessions left: Python has their memory, the system not yet
    """

    def __init__(
        self,
        *,
        apps: Apps,
        runtime: Runtime,
        trusted_proxies: int = 0,
        free_memory: Callable[[], object] = lambda: None,
        streams: Streams | None = None,
    ) -> None:
        self.streams = streams
        self.functions: LiveFunctions | None = None
        self.apps = apps
        self.trusted_proxies = trusted_proxies
        self._runtime = runtime
        self.rooms = Rooms(runtime)
        self.services = Services(self.rooms, runtime)
        self._sends = SendQueue(runtime, apps.loop_shares)
        self._first_answers = FirstAnswers(runtime, apps.loop_shares)
        self._turns = LoopTurns()
        self.long_messages = LongMessages(runtime)
        self._sessions: dict[SessionId, Session] = {}
        self._networks = Shares()
        self._unfinished = Shares()
        self._queries = Shares()
        self._free_memory = free_memory
        self._ended = 0
        self.is_stopping = False

    def __len__(self) -> int:
        return len(self._sessions)

    def start(self, background: Background) -> None:
        """Begin to check the sessions."""
        background.every(
            "sessions", limits.PING_INTERVAL_MS / 2, lambda late_ms: self.look(away_ms=late_ms)
        )

    @property
    def waiting(self) -> tuple[int, int]:
        """How many sessions wait for news, and how many queries for their first answer."""
        return self._sends.waiting, self._first_answers.waiting

    def has_room(self, ip: str) -> bool:
        """Whether one more session may be opened from the network of this address."""
        bounds = {network_of(ip): limits.SESSIONS_OF_NETWORK_MAX}
        return len(self) < limits.SESSIONS_MAX and self._networks.has_room(1, bounds)

    def unfinished(self) -> Held:
        """A counter for the bytes of messages that came in part over one socket."""
        return Held(
            self._unfinished,
            total=limits.UNFINISHED_BYTES_MAX,
            share=limits.UNFINISHED_BYTES_OF_NETWORK_MAX,
        )

    @property
    def unfinished_bytes(self) -> int:
        """The size of all messages that came in part."""
        return self._unfinished.used(ALL)

    @property
    def queries_bytes(self) -> int:
        """The size of the live queries of all sessions."""
        return self._queries.used(ALL)

    def _queries_of_session(self) -> Held:
        """A counter for the bytes of the live queries of one session."""
        return Held(
            self._queries,
            total=limits.QUERIES_BYTES_MAX,
            share=limits.QUERIES_BYTES_OF_NETWORK_MAX,
        )

    def open(self, socket: Socket, guest: Identity = GUEST) -> Session:
        """A connection was made: open a session.

        guest   the identity until `init`: not signed in, with the address and origin of the
                connection
        """
        session = Session(
            socket,
            apps=self.apps,
            rooms=self.rooms,
            runtime=self._runtime,
            sends=self._sends,
            first_answers=self._first_answers,
            long_messages=self.long_messages,
            reader=dispatch,
            turns=self._turns,
            make_held=self._queries_of_session,
            guest=guest,
            streams=self.streams,
            functions=self.functions,
        )
        self._sessions[session.id] = session
        self._networks.add(1, (network_of(guest.ip),))
        return session

    def closed(self, session: Session) -> None:
        """A connection is gone: forget its session. Safe to call twice."""
        self._drop(session)
        session.on_closed()

    def find(self, session_id: str) -> Session | None:
        """The open session with this id."""
        return self._sessions.get(SessionId(session_id))

    def stop(self) -> None:
        """Tell every client to reconnect later, and take no new ones."""
        self.is_stopping = True
        for session in list(self._sessions.values()):
            session.outbox.flush()
            session.close(GOING_AWAY, "server restarts")
            self._drop(session)
        self._sends.clear()
        self._first_answers.clear()
        self.long_messages.stop()
        self.rooms.stop()
        if self.functions is not None:
            self.functions.end()
        if self.streams is not None:
            self.streams.stop()

    def drop_app(self, app_id: str) -> None:
        """Close the sessions of an app that was deleted, and what else watches its functions."""
        if self.functions is not None:
            self.functions.end(app_id)
        for session in list(self._sessions.values()):
            if session.opened is not None and session.opened.app.id == app_id:
                session.close(GOING_AWAY, "app deleted")
                self._drop(session)

    def look(self, *, away_ms: float = 0.0) -> None:
        """Check every session: drop those that fell silent, ping the others.

        away_ms   how long this process did not run since the last check, because something held
                  the loop or the machine slept. No client could be heard then: it is no silence
        """
        now_ms = self._runtime.monotonic_ms()
        if away_ms >= limits.PING_INTERVAL_MS:
            logger.warning("the server was away %s", fields(away_ms=round(away_ms)))
        for session in list(self._sessions.values()):
            try:
                session.check_time(now_ms, away_ms=away_ms)
            except Exception:
                # One broken transport must not end the pings of all the others.
                logger.exception("session check failed %s", fields(session=session.id))
            if session.is_closed:
                self._drop(session)
        self.settle()

    def _drop(self, session: Session) -> None:
        if self._sessions.pop(session.id, None) is not None:
            self._ended += 1
            self._networks.give_back(1, (network_of(session.guest.ip),))

    def settle(self) -> None:
        """Give back the memory of ended sessions if they are many beside the open ones: a full
        collection looks at those too."""
        if self._ended >= max(limits.SESSIONS_LEFT_MAX, len(self._sessions)):
            self._ended = 0
            self.apps.forget_unwatched()
            self._free_memory()
