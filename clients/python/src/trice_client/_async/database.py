"""One app's data over HTTP: queries, transactions, calls, and rows in bulk."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Self, TypeVar, overload
from urllib.parse import quote

from trice_client import _json
from trice_client._asked import Asked
from trice_client._async.auth import AsyncAuth
from trice_client._async.requests import AsyncRequests
from trice_client._async.rooms import AsyncRooms
from trice_client._async.storage import AsyncStorage
from trice_client._async.streams import AsyncStreams
from trice_client._async.webhooks import AsyncWebhooks
from trice_client._bytes import WholeFile
from trice_client._clock import in_thread_async as in_thread
from trice_client._config import Caller, user_token
from trice_client._errors import TriceError
from trice_client._forms import form_of
from trice_client._lines import open_lines, read_batch
from trice_client._plain import plain
from trice_client._refs import (
    ActionFunction,
    Function,
    MutationFunction,
    Namespace,
    NoArgs,
    QueryFunction,
    name_of,
)
from trice_client._tx import Chunk, Chunks, Tx, new_id, steps_of, tx

_ACTION_S = 600.0
"""How long an action may take before its answer begins: the server has a bound of its own."""
_PAGE_ROWS = 1_000
_BATCH_ROWS = 1_000

A = TypeVar("A")
R = TypeVar("R")
Row = TypeVar("Row")


class AsyncDatabase:
    """What needs no live connection. `AsyncClient` adds what does."""

    def __init__(self, requests: AsyncRequests, caller: Caller) -> None:
        self._requests = requests
        self._caller = caller
        self.tx: Tx = tx
        self.auth = AsyncAuth(requests, caller)
        self.storage = AsyncStorage(requests, caller)
        self.rooms = AsyncRooms(requests, caller)
        self.streams = AsyncStreams(requests, caller)
        self.webhooks = AsyncWebhooks(requests)

    # --- as whom --------------------------------------------------------------------------------

    def as_user(
        self,
        user: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        email: str | None = None,
    ) -> Self:
        """The same app as a user sees it, over the same connections: rules are asked.

        user    what a sign-in returned
        token   a refresh token
        email   needs the admin token; for queries, transactions and files only
        """
        if user is not None:
            token = user_token(user)
        if token is None and email is None:
            return self.as_guest()
        return self._view(self._caller.as_user(token=token, email=email))

    def as_guest(self) -> Self:
        """The same app as somebody sees it who is not signed in."""
        return self._view(self._caller.as_user(token=None, email=None))

    def _view(self, caller: Caller) -> Self:
        raise NotImplementedError

    # --- reading --------------------------------------------------------------------------------

    async def query(
        self,
        query: Mapping[str, Any],
        *,
        rule_params: Mapping[str, Any] | None = None,
        infer: bool = True,
    ) -> dict[str, Any]:
        """Asks once: `{"todos": {"$": {"where": {"done": False}}, "owner": {}}}` → rows by form.

        rule_params   what rules read as `ruleParams`
        infer         a link to at most one entity is that row or None, not a list
        """
        found: dict[str, Any] = await self._ask(query, rule_params, {"inference?": infer})
        return found

    async def find(
        self,
        namespace: Namespace[Row],
        *,
        where: Mapping[str, Any] | None = None,
        order: Mapping[str, str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Row]:
        """Rows of one namespace, with its type: `db.find(todos, where={"done": False})`."""
        form = form_of(where=where, order=order, limit=limit, offset=offset)
        found: list[Row] = (await self.query({namespace.name: form}))[namespace.name]
        return found

    async def totals(
        self,
        namespace: str | Namespace[Any],
        aggregate: Mapping[str, Any],
        *,
        where: Mapping[str, Any] | None = None,
        group_by: str | None = None,
    ) -> dict[str, Any]:
        """Totals of all rows that match: `{"count": True, "sum": "price"}` → `{"count": 2, …}`.

        group_by   a field or a link to one; then `{"groups": [{"key": …, "count": 1}, …]}`
        """
        name = name_of(namespace)
        asked = aggregate if group_by is None else {**aggregate, "groupBy": group_by}
        form = form_of(where=where, aggregate=asked)
        found: dict[str, Any] = (await self.query({name: form}))[name]
        return found

    async def iterate(
        self,
        namespace: str | Namespace[Row],
        *,
        where: Mapping[str, Any] | None = None,
        order: Mapping[str, str] | None = None,
        links: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        page_rows: int = _PAGE_ROWS,
    ) -> AsyncIterator[Row]:
        """All rows that match, a page at a time by cursors: memory is that of one page.

        Rows that are written meanwhile neither repeat others nor leave them out.

        links   what to nest in each row, as in a query: `{"owner": {}}`
        fields  which fields are read; None: all
        """
        name, after = name_of(namespace), None
        while True:
            page = {"first": page_rows, "after": after, "fields": fields}
            form = form_of(links, where=where, order=order, **page)
            options = {"inference?": True, "result-meta?": True}
            answer = await self._ask({name: form}, None, options)
            for row in answer["result"][name]:
                yield row
            info = answer["result-meta"]["page-info"][name]
            if not info["has-next-page?"]:
                return
            after = info["end-cursor"]

    # --- writing --------------------------------------------------------------------------------

    async def transact(
        self, chunks: Chunks, *, event_id: str | None = None, adds_attrs: bool = True
    ) -> int:
        """Writes, all or nothing. Returns the id of the transaction once it is durable.

            await db.transact(db.tx.todos[new_id()].create({"title": "Buy milk"}))

        A request whose answer is lost is sent again under the same id, and applied once.

        event_id     of the transaction; one of your own makes a program idempotent that runs again
        adds_attrs   False: names that the schema lacks are refused
        """
        body = {"steps": steps_of(chunks), "throw-on-missing-attrs?": not adds_attrs}
        headers = {**self._caller.headers(), "idempotency-key": event_id or new_id()}
        asked = Asked("POST", "/admin/transact", headers=headers, json=body, has=("tx-id", int))
        found: int = (await self._requests.json(asked))["tx-id"]
        return found

    async def transact_many(
        self,
        chunks: Iterable[Chunk],
        *,
        batch_rows: int = _BATCH_ROWS,
        on_progress: Callable[[int], None] | None = None,
    ) -> int:
        """Writes many rows, each batch in a transaction of its own. Returns how many.

        chunks        read as they are needed
        on_progress   told after each batch how many rows are durable
        """
        waiting, written = iter(chunks), 0
        while batch := await in_thread(partial(_take, waiting, batch_rows)):
            await self.transact(batch)
            written += len(batch)
            if on_progress is not None:
                on_progress(written)
        return written

    async def import_jsonl(
        self,
        namespace: str | Namespace[Any],
        source: os.PathLike[str] | str,
        *,
        batch_rows: int = _BATCH_ROWS,
        on_progress: Callable[[int], None] | None = None,
    ) -> int:
        """Writes a row for each line of a file of JSON Lines. Returns how many.

        A row with an `id` is made or updated, so that an import that broke off can be run again;
        others get a new one.

        raises   TriceError("lines-malformed") with the number of the line; batches before it stay
        """
        name, written = name_of(namespace), 0
        lines = await in_thread(partial(open_lines, source))
        try:
            while rows := await in_thread(partial(read_batch, lines, batch_rows)):
                await self.transact(
                    [
                        tx[name][row.get("id") or new_id()].update(
                            {field: value for field, value in row.items() if field != "id"}
                        )
                        for row in rows
                    ]
                )
                written += len(rows)
                if on_progress is not None:
                    on_progress(written)
        finally:
            await in_thread(lines.close)
        return written

    async def export_jsonl(
        self,
        namespace: str | Namespace[Any],
        to: os.PathLike[str] | str,
        *,
        where: Mapping[str, Any] | None = None,
        page_rows: int = _PAGE_ROWS,
        on_progress: Callable[[int], None] | None = None,
    ) -> int:
        """Writes a line for each row that matches, in a file that is there whole or not at all.
        Returns how many. Links are not in it."""
        file, rows, waiting = await in_thread(partial(WholeFile, to)), 0, bytearray()
        try:
            found: AsyncIterator[Any] = self.iterate(namespace, where=where, page_rows=page_rows)
            async for row in found:
                waiting += _json.encode(row) + b"\n"
                rows += 1
                if rows % page_rows == 0:
                    await in_thread(partial(file.write, bytes(waiting)))
                    waiting.clear()
                    if on_progress is not None:
                        on_progress(rows)
            await in_thread(partial(file.write, bytes(waiting)))
            await in_thread(file.keep)
        finally:
            await in_thread(file.drop)
        return rows

    # --- functions ------------------------------------------------------------------------------

    @overload
    async def call(
        self, fn: Function[NoArgs, R], args: None = None, *, event_id: str | None = None
    ) -> R: ...
    @overload
    async def call(self, fn: Function[A, R], args: A, *, event_id: str | None = None) -> R: ...
    @overload
    async def call(
        self, fn: str, args: Mapping[str, Any] | None = None, *, event_id: str | None = None
    ) -> Any: ...
    async def call(
        self, fn: str | Function[Any, Any], args: Any = None, *, event_id: str | None = None
    ) -> Any:
        """Calls a function: `db.call(api.messages.send, {"text": "Hi"})`, or by its name.

        A query is asked again, and a mutation sent again under its event id, until there is an
        answer. An action is sent again only if it cannot have begun: else it is `call-lost`. So
        is what is called by its name, unless `event_id` says that it is a mutation.

        event_id   of a mutation: it is carried out once, and answered again, for 24 hours
        raises     TriceError("function-error"), with `reason` and `data` of the function
        """
        is_action = isinstance(fn, ActionFunction)
        is_safe = isinstance(fn, Function) or event_id is not None
        headers = dict(self._caller.bearer())
        if event_id is not None or isinstance(fn, MutationFunction):
            headers["idempotency-key"] = event_id or new_id()  # actions take none
        asked = Asked(
            "POST",
            f"/runtime/functions/{quote(name_of(fn), safe='')}",
            headers=headers,
            json={"args": plain(args or {})},
            repeats="always" if is_safe and not is_action else "unsent",
            timeout_s=None if isinstance(fn, QueryFunction) else _ACTION_S,
            has=("value", object),
        )
        try:
            return (await self._requests.json(asked))["value"]
        except TriceError as error:
            if error.code != "offline" or asked.repeats == "always" or error.is_unsent:
                raise
            told = f"The connection was lost: whether {name_of(fn)} has run is not known."
            raise TriceError("call-lost", told, hint={"name": name_of(fn)}) from error

    async def list_functions(self) -> list[dict[str, Any]]:
        """The functions that this caller may know of, with JSON Schemas of what they take."""
        asked = Asked(
            "GET", "/runtime/functions", headers=self._caller.bearer(), has=("functions", list)
        )
        found: list[dict[str, Any]] = (await self._requests.json(asked))["functions"]
        return found

    async def _ask(
        self,
        query: Mapping[str, Any],
        rule_params: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> Any:
        asked = plain(query)
        if rule_params is not None:
            asked = {"$$ruleParams": plain(rule_params), **asked}
        headers = self._caller.headers()
        body = {"query": asked, **options}
        return await self._requests.json(Asked("POST", "/admin/query", headers=headers, json=body))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._caller!r} at {self._requests.origin})"


def _take(chunks: Iterable[Chunk], rows: int) -> list[Chunk]:
    return list(islice(chunks, rows))
