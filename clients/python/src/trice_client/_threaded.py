"""`Client`: one app, without a loop of the program's own.

HTTP needs no thread. The first live answer begins one, with a loop; readers of it wait in theirs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from trice_client._config import RETRY_S, TIMEOUT_S, Caller, make_caller, origin_of
from trice_client._errors import TriceError
from trice_client._forms import form_of
from trice_client._plain import plain
from trice_client._refs import Namespace, NoArgs, QueryFunction, name_of
from trice_client._sync.database import Database
from trice_client._sync.requests import Requests

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    from trice_client._live.connection import Hub
    from trice_client._live.room import Presence, Room, Topic, TopicMessage
    from trice_client._live.session import Session
    from trice_client._live.watch import Live, QueryAnswer
    from trice_client._sync.typed import Typed

A = TypeVar("A")
R = TypeVar("R")
Row = TypeVar("Row")
T = TypeVar("T")


class Thread:
    """The thread of a client's live answers; it begins when it is first needed.

    After a fork the child begins its own: what the parent subscribed to is not the child's.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._is_closed = False

    def hub(self) -> Hub:
        """The sessions, for use inside of the thread. raises   TriceError("closed")"""
        if self._running is not None and self._running.pid != os.getpid():
            # The lock may be held by a thread that the child does not have.
            self._lock, self._running = threading.Lock(), None
        with self._lock:
            if self._is_closed:
                raise TriceError("closed", "This client is closed.")
            if self._running is None:
                self._running = Running(self._origin)
            return self._running.hub

    def call(self, work: Callable[[], Coroutine[Any, Any, T]], timeout_s: float | None = None) -> T:
        """Do work in the thread, and wait for it. An interrupted wait ends the work.

        raises   what the work raised; TriceError("timeout"), ("closed"), ("forked")
        """
        running = self._running
        if running is None or self._is_closed:
            raise TriceError("closed", "This client is closed.")
        return running.call(work, timeout_s)

    def close(self) -> None:
        """End the thread. Readers that wait are told that it is over. Once is enough."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
            is_ours = self._running is not None and self._running.pid == os.getpid()
            if self._running is not None and is_ours and not was_closed:
                self._running.close()


class Running:
    """A thread with a loop in it, of the process that began it."""

    def __init__(self, origin: str) -> None:
        import asyncio
        from concurrent.futures import Future

        self.pid = os.getpid()
        ready: Future[tuple[asyncio.AbstractEventLoop, Hub]] = Future()
        # A daemon: a program that forgets to close its client ends all the same.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(_serve(origin, ready)), name="trice-client", daemon=True
        )
        self._thread.start()
        self._loop, self.hub = ready.result()

    def call(self, work: Callable[[], Coroutine[Any, Any, T]], timeout_s: float | None) -> T:
        """As of `Thread`."""
        import asyncio
        from concurrent.futures import CancelledError

        if self.pid != os.getpid():
            told = "It was made before a fork: subscribe again in this process."
            raise TriceError("forked", told)
        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result(timeout_s)
        except CancelledError:
            raise TriceError("closed", "This client is closed.") from None
        except TimeoutError as cause:
            if future.done():
                raise
            raise TriceError("timeout", f"Nothing came within {timeout_s} s.") from cause
        finally:
            future.cancel()

    def close(self) -> None:
        """End it, and wait for that."""
        self._loop.call_soon_threadsafe(self.hub.close)
        self._thread.join()


async def _serve(origin: str, ready: Future[tuple[asyncio.AbstractEventLoop, Hub]]) -> None:
    import asyncio

    import anyio

    from trice_client._live.connection import Hub

    async with anyio.create_task_group() as tasks:
        hub = Hub(origin, tasks)
        ready.set_result((asyncio.get_running_loop(), hub))
        await hub.closed.wait()


class LiveIterator(Generic[T]):
    """Answers as they come; `for` reads them, `with` ends it at the end of a block.

    See `Live`, which this reads in the thread of the client.
    """

    def __init__(self, thread: Thread, source: Live[T] | Topic) -> None:
        self._thread = thread
        self._source = source

    def get(self, timeout_s: float | None = None) -> T:
        """The next answer. raises   TriceError("timeout"), ("closed"); what the server refused"""
        found = self._next(timeout_s)
        if found is _OVER:
            raise TriceError("closed", "Nothing more will come.")
        answer: T = found
        return answer

    def close(self) -> None:
        """Ends it. Loops over it end."""
        if not self._source.is_closed:
            self._thread.call(self._source.aclose)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        found = self._next(None)
        if found is _OVER:
            raise StopIteration
        answer: T = found
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self, timeout_s: float | None) -> Any:
        async def read() -> Any:
            # A StopAsyncIteration cannot leave a coroutine.
            async for found in self._source:
                return found
            return _OVER

        try:
            return self._thread.call(read, timeout_s)
        except TriceError as failure:
            # The client was closed meanwhile, and this with it.
            if failure.code == "closed" and self._source.is_closed:
                return _OVER
            raise


_OVER = object()


class RoomHandle:
    """A room that this client is in, until `close` or the end of a `with`; see `Room`."""

    def __init__(self, thread: Thread, room: Room) -> None:
        self._thread = thread
        self._room = room

    @property
    def presence(self) -> Presence:
        """Who is here, as far as it is known."""
        return self._room.presence

    def joined(self, timeout_s: float | None = None) -> None:
        """Waits until this client is in the room."""
        self._thread.call(self._room.joined, timeout_s)

    def publish_presence(self, fields: Mapping[str, Any]) -> None:
        """Shows some fields besides those that are shown; None takes one away."""
        self._thread.call(lambda: self._room.publish_presence(fields))

    def publish_topic(self, topic: str, data: Any = None) -> None:
        """Sends a message to all others in the room."""
        self._thread.call(lambda: self._room.publish_topic(topic, data))

    def watch_presence(self) -> LiveIterator[Presence]:
        """Who is here, now and whenever it changes."""
        return LiveIterator(self._thread, self._thread.call(_later(self._room.watch_presence)))

    def topic(self, topic: str) -> LiveIterator[TopicMessage]:
        """Messages to a topic from now on."""
        heard = self._thread.call(_later(lambda: self._room.topic(topic)))
        return LiveIterator(self._thread, heard)

    def close(self) -> None:
        """Leaves the room."""
        self._thread.call(self._room.aclose)

    def __enter__(self) -> Self:
        self.joined()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Client(Database):
    """One app of a trice server.

        with Client(app_id, server="http://localhost:8888", admin_token=…) as db:
            db.transact(db.tx.todos[new_id()].create({"title": "Buy milk"}))
            for answer in db.subscribe_query({"todos": {}}):
                print(answer.data["todos"])

    Without `admin_token` and `token` it acts as somebody who is not signed in. Threads may share
    it. `with` closes it at the end; it need not be entered.

    token       a refresh token: the client acts as that user
    timeout_s   how long an answer may say nothing
    retry_s     how long a request is tried again where that is safe
    """

    def __init__(
        self,
        app_id: str,
        *,
        server: str = "http://localhost:8888",
        admin_token: str | None = None,
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retry_s: float = RETRY_S,
        transport: Any = None,
    ) -> None:
        caller = make_caller(app_id, admin_token, token)
        origin = origin_of(server)
        requests = Requests(origin, timeout_s=timeout_s, retry_s=retry_s, transport=transport)
        super().__init__(requests, caller)
        self._thread = Thread(origin)
        self._is_root = True

    def _view(self, caller: Caller) -> Self:
        view = type(self).__new__(type(self))
        Database.__init__(view, self._requests, caller)
        view._thread, view._is_root = self._thread, False
        return view

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends connections and live answers. Views of this client end with it."""
        if self._is_root:
            self._thread.close()
            self._requests.close()

    # --- live -----------------------------------------------------------------------------------

    def subscribe_query(
        self, query: Mapping[str, Any], *, rule_params: Mapping[str, Any] | None = None
    ) -> LiveIterator[QueryAnswer[dict[str, Any]]]:
        """What a query finds, now and whenever it is something else.

        with db.subscribe_query({"todos": {"owner": {}}}) as answers:
            for answer in answers:
                print(answer.data["todos"])
        """
        asked = plain(query)
        if rule_params is not None:
            asked = {"$$ruleParams": plain(rule_params), **asked}
        return self._watch(lambda session: session.watch_query(asked, lambda answer: answer))

    def watch(
        self,
        namespace: Namespace[Row],
        *,
        where: Mapping[str, Any] | None = None,
        order: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> LiveIterator[list[Row]]:
        """`find`, live: rows of one namespace with its type."""
        name = namespace.name
        asked = plain({name: form_of(where=where, order=order, limit=limit)})
        return self._watch(lambda session: session.watch_query(asked, lambda each: each.data[name]))

    def typed(self, schema: type[Any]) -> Typed:
        """The app by the classes of its `schema.py`: `db.typed(Db).find(Message)`.

        schema   a class below `trice.schema.Schema`
        raises   TriceError("schema-malformed")
        """
        from trice_client._sync.typed import Typed
        from trice_client._typed.shapes import shapes_of

        shapes = shapes_of(schema, self._requests.shapes)
        return Typed(
            self,
            shapes,
            lambda asked, shape: self._watch(lambda session: session.watch_query(asked, shape)),
        )

    @overload
    def subscribe_call(
        self, fn: QueryFunction[NoArgs, R], args: None = None
    ) -> LiveIterator[R]: ...
    @overload
    def subscribe_call(self, fn: QueryFunction[A, R], args: A) -> LiveIterator[R]: ...
    @overload
    def subscribe_call(
        self, fn: str, args: Mapping[str, Any] | None = None
    ) -> LiveIterator[Any]: ...
    def subscribe_call(
        self, fn: str | QueryFunction[Any, Any], args: Any = None
    ) -> LiveIterator[Any]:
        """What a query function returns, now and whenever it is something else."""
        name, given = name_of(fn), plain(args or {})
        return self._watch(lambda session: session.watch_call(name, given))

    def join_room(
        self,
        room_type: str,
        room_id: str,
        *,
        presence: Mapping[str, Any] | None = None,
        rule_params: Mapping[str, Any] | None = None,
    ) -> RoomHandle:
        """Enters a room.

        with db.join_room("chat", chat_id, presence={"name": "Ada"}) as room:
            room.publish_topic("emoji", {"emoji": "🔥"})
            for presence in room.watch_presence():
                print(presence.peers)
        """

        def join(session: Session) -> Room:
            return session.join_room(
                room_type, room_id, presence=presence or {}, rule_params=rule_params
            )

        return RoomHandle(self._thread, self._do(join))

    def _watch(self, begin: Callable[[Session], Live[T]]) -> LiveIterator[T]:
        return LiveIterator(self._thread, self._do(begin))

    def _do(self, work: Callable[[Session], T]) -> T:
        hub, caller = self._thread.hub(), self._caller
        return self._thread.call(_later(lambda: work(hub.session(caller))))


def _later(work: Callable[[], T]) -> Callable[[], Coroutine[Any, Any, T]]:
    """Work for the thread of the loop, as a coroutine."""

    async def run() -> T:
        return work()

    return run
