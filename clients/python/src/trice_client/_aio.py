"""`AsyncClient`: one app, over asyncio or trio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from trice_client._async.database import AsyncDatabase
from trice_client._async.requests import AsyncRequests
from trice_client._config import RETRY_S, TIMEOUT_S, Caller, make_caller, origin_of
from trice_client._errors import TriceError
from trice_client._forms import form_of
from trice_client._plain import plain
from trice_client._refs import Namespace, NoArgs, QueryFunction, name_of

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from trice_client._async.typed import AsyncTyped
    from trice_client._live.connection import Hub
    from trice_client._live.room import Room
    from trice_client._live.watch import Live, QueryAnswer

A = TypeVar("A")
R = TypeVar("R")
Row = TypeVar("Row")


class AsyncClient(AsyncDatabase):
    """One app of a trice server.

        async with AsyncClient(app_id, server="http://localhost:8888", admin_token=…) as db:
            await db.transact(db.tx.todos[new_id()].create({"title": "Buy milk"}))
            async for answer in db.subscribe_query({"todos": {}}):
                print(answer.data["todos"])

    Without `admin_token` and `token` it acts as somebody who is not signed in. What is live needs
    the `async with`, which is entered and left by one task; all else works without it, until
    `aclose`.

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
        requests = AsyncRequests(
            origin_of(server), timeout_s=timeout_s, retry_s=retry_s, transport=transport
        )
        super().__init__(requests, caller)
        self._tasks: TaskGroup | None = None
        self._hub: Hub | None = None
        self._root: AsyncClient = self

    def _view(self, caller: Caller) -> Self:
        view = type(self).__new__(type(self))
        AsyncDatabase.__init__(view, self._requests, caller)
        view._tasks, view._hub, view._root = None, None, self._root
        return view

    async def __aenter__(self) -> Self:
        import anyio

        from trice_client._live.connection import Hub

        if self._root is not self or self._hub is not None:
            raise TriceError("entered", "Enter the client itself, once; its views need no `with`.")
        self._tasks = await anyio.create_task_group().__aenter__()
        self._hub = Hub(self._requests.origin, self._tasks)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._hub is not None and self._tasks is not None, "it was entered"
        self._hub.close()
        try:
            # It is not told what the block raised, which would leave in an exception group.
            await self._tasks.__aexit__(None, None, None)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Ends connections and live answers. Views of this client end with it."""
        if self._root is not self:
            return
        if self._hub is not None:
            self._hub.close()
        import anyio

        with anyio.CancelScope(shield=True):
            await self._requests.aclose()

    @property
    def connection(self) -> str:
        """Of the live connection: `idle`, `connecting`, `open` or `closed`."""
        hub = self._root._hub
        return "idle" if hub is None else hub.state(self._caller)

    # --- live -----------------------------------------------------------------------------------

    def subscribe_query(
        self, query: Mapping[str, Any], *, rule_params: Mapping[str, Any] | None = None
    ) -> Live[QueryAnswer[dict[str, Any]]]:
        """What a query finds, now and whenever it is something else.

        async with db.subscribe_query({"todos": {"owner": {}}}) as answers:
            async for answer in answers:
                print(answer.data["todos"])
        """
        asked = plain(query)
        if rule_params is not None:
            asked = {"$$ruleParams": plain(rule_params), **asked}
        return self._live().session(self._caller).watch_query(asked, lambda answer: answer)

    def watch(
        self,
        namespace: Namespace[Row],
        *,
        where: Mapping[str, Any] | None = None,
        order: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> Live[list[Row]]:
        """`find`, live: rows of one namespace with its type."""
        name = namespace.name
        asked = plain({name: form_of(where=where, order=order, limit=limit)})
        session = self._live().session(self._caller)
        live: Live[list[Row]] = session.watch_query(asked, lambda answer: answer.data[name])
        return live

    def typed(self, schema: type[Any]) -> AsyncTyped:
        """The app by the classes of its `schema.py`: `db.typed(Db).find(Message)`.

        schema   a class below `trice.schema.Schema`
        raises   TriceError("schema-malformed")
        """
        from trice_client._async.typed import AsyncTyped
        from trice_client._typed.shapes import shapes_of

        shapes = shapes_of(schema, self._requests.shapes)
        return AsyncTyped(
            self,
            shapes,
            lambda asked, shape: self._live().session(self._caller).watch_query(asked, shape),
        )

    @overload
    def subscribe_call(self, fn: QueryFunction[NoArgs, R], args: None = None) -> Live[R]: ...
    @overload
    def subscribe_call(self, fn: QueryFunction[A, R], args: A) -> Live[R]: ...
    @overload
    def subscribe_call(self, fn: str, args: Mapping[str, Any] | None = None) -> Live[Any]: ...
    def subscribe_call(self, fn: str | QueryFunction[Any, Any], args: Any = None) -> Live[Any]:
        """What a query function returns, now and whenever it is something else."""
        return self._live().session(self._caller).watch_call(name_of(fn), plain(args or {}))

    def join_room(
        self,
        room_type: str,
        room_id: str,
        *,
        presence: Mapping[str, Any] | None = None,
        rule_params: Mapping[str, Any] | None = None,
    ) -> Room:
        """Enters a room.

        async with db.join_room("chat", chat_id, presence={"name": "Ada"}) as room:
            await room.publish_topic("emoji", {"emoji": "🔥"})
            async for presence in room.watch_presence():
                print(presence.peers)
        """
        session = self._live().session(self._caller)
        return session.join_room(
            room_type, room_id, presence=presence or {}, rule_params=rule_params
        )

    def _live(self) -> Hub:
        hub = self._root._hub
        if hub is not None:
            return hub
        told = "What is live needs the client entered: `async with AsyncClient(…) as db:`."
        raise TriceError("not-entered", told)
