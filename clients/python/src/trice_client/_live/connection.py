"""Keeps a connection for a session until that is over.

connecting ──init-ok──> open ──lost──> waiting ──timer──> connecting
    └──refused──> over                    any ──close──> over
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import anyio
import msgspec
from anyio.abc import TaskGroup

from trice_client._config import Caller
from trice_client._errors import TriceError
from trice_client._live.backoff import Backoff
from trice_client._live.session import Session
from trice_client._live.socket import Socket, SocketLost, open_socket
from trice_client._live.wire import decode, encode
from trice_client._retry import asked_s

_PATH = "/runtime/session"
_LOOK_S = 5.0
_SILENCE_S = 15.0
"""A link on which nothing was heard for so long is asked; for twice as long, it is dead."""
_OPEN_S = 20.0
_INIT_RETRY_S = 60.0
_FINAL_STATUSES = range(400, 500)
_NOT_NOW = frozenset(("rate-limited", "overloaded", "timeout"))


class Connection:
    """Of one session."""

    def __init__(self, origin: str, session: Session) -> None:
        self._origin = origin
        self._session = session
        self._heard_s = 0.0
        self._why = SocketLost(0, "")
        self._refused: TriceError | None = None

    async def run(self) -> None:
        """Until the session is over. Never raises."""
        backoff, session = Backoff(), self._session
        while session.state != "closed":
            began_s = time.monotonic()
            self._why, self._refused = SocketLost(0, ""), None
            try:
                path = f"{_PATH}?app_id={session.caller.app_id}"
                async with open_socket(self._origin, path) as socket:
                    began_s = time.monotonic()
                    await self._talk(socket)
            except SocketLost as lost:
                self._why = lost
            except TriceError as failure:
                self._refused = failure
            was_open = session.state == "open"
            if self._refused is not None and not _may_work_later(self._refused):
                session.finish(self._refused)
                return
            if session.state == "closed":
                return
            session.lost()
            lived_s = time.monotonic() - began_s if was_open else 0.0
            pause_s = backoff.next_s(self._why.code, lived_s, random.random())
            if self._refused is not None:
                pause_s = asked_s(self._refused) or _INIT_RETRY_S * random.uniform(0.5, 1.0)
            await anyio.sleep(pause_s)

    async def _talk(self, socket: Socket) -> None:
        """Until the socket is lost, which `_why` or `_refused` says."""
        async with anyio.create_task_group() as tasks:
            scope = tasks.cancel_scope
            self._heard_s = time.monotonic()

            def later(after_s: float, work: Callable[[], None]) -> None:
                tasks.start_soon(_do_later, after_s, work)

            self._session.later = later
            tasks.start_soon(self._write, socket, tasks)
            tasks.start_soon(self._listen, socket, tasks)
            try:
                while True:
                    for raw in await socket.receive():
                        for message in decode(raw):
                            self._session.take(message)
                    self._heard_s = time.monotonic()
            except SocketLost as lost:
                self._why = lost
            except (msgspec.DecodeError, RecursionError) as cause:
                told = f"A message of the server could not be read: {cause}."
                self._refused = TriceError("answer-malformed", told)
            except TriceError as failure:
                self._refused = failure
            finally:
                scope.cancel()

    async def _write(self, socket: Socket, tasks: TaskGroup) -> None:
        try:
            await socket.send(encode(self._session.init()))
            while True:
                for message in await self._session.mail():
                    await socket.send(encode(message))
        except SocketLost as lost:
            self._why = lost
            tasks.cancel_scope.cancel()

    async def _listen(self, socket: Socket, tasks: TaskGroup) -> None:
        """Ask a silent link, and give up one that does not answer, or that does not open."""
        began_s = time.monotonic()
        try:
            while True:
                await anyio.sleep(_LOOK_S)
                now_s = time.monotonic()
                is_late = self._session.state != "open" and now_s - began_s > _OPEN_S
                if is_late or now_s - self._heard_s > 2 * _SILENCE_S:
                    raise SocketLost(0, "nothing was heard")
                if now_s - self._heard_s > _SILENCE_S:
                    await socket.ping()
        except SocketLost as lost:
            self._why = lost
            tasks.cancel_scope.cancel()


class Hub:
    """The sessions of a client, one for each caller, in a task group of its own."""

    def __init__(self, origin: str, tasks: TaskGroup) -> None:
        self._origin = origin
        self._tasks = tasks
        self._sessions: dict[Caller, Session] = {}
        self._running: set[anyio.CancelScope] = set()
        self.closed = anyio.Event()

    def session(self, caller: Caller) -> Session:
        """That of a caller; it connects when it is first asked for.

        raises   TriceError("closed")
        """
        caller.own_token()  # refuses whom a session cannot be opened for
        if self.closed.is_set():
            raise _closed()
        known = self._sessions.get(caller)
        if known is None or known.state == "closed":
            known = self._sessions[caller] = Session(caller)
            self._tasks.start_soon(self._run, Connection(self._origin, known))
        return known

    async def _run(self, connection: Connection) -> None:
        with anyio.CancelScope() as scope:
            self._running.add(scope)
            await connection.run()
        self._running.discard(scope)

    def state(self, caller: Caller) -> str:
        """`idle`, `connecting`, `open` or `closed`."""
        known = self._sessions.get(caller)
        return "idle" if known is None else known.state

    def close(self) -> None:
        """Loops over live answers end, and so do the connections. Once is enough.

        The task group is left alone: whoever closes a client may be inside of it.
        """
        for session in self._sessions.values():
            if session.state != "closed":
                session.finish(_closed())
        for scope in self._running:
            scope.cancel()
        self.closed.set()


def _closed() -> TriceError:
    return TriceError("closed", "This client is closed.")


async def _do_later(after_s: float, work: Callable[[], None]) -> None:
    await anyio.sleep(after_s)
    work()


def _may_work_later(failure: TriceError) -> bool:
    is_final = failure.status in _FINAL_STATUSES or failure.code == "answer-malformed"
    return failure.code in _NOT_NOW or not is_final
