"""Who calls the functions of a test's app, and the calls that they watch."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, cast

import orjson

from trice.auth.tokens import mint_token
from trice.calls.page_list import PageList
from trice.calls.side import CallFailed
from trice.calls.watch import Answer, Watch
from trice.errors import TriceError
from trice.functions.channel import RefusedError
from trice.functions.function import Function, FunctionError, QueryFunction
from trice.functions.types import list_of
from trice.identity import Identity
from trice.schema.views import Page
from trice.testing.requests import HttpAnswer, ask
from trice.testing.stage import ADMIN_TOKEN, Stage

P = ParamSpec("P")
R = TypeVar("R")


class Caller:
    """A user of the app, its admin, or somebody who is not signed in.

    id      of the user, else ""
    email   of the user, else ""
    """

    def __init__(self, stage: Stage, identity: Identity, *, id: str = "", email: str = "") -> None:
        """Use `App.user`, `App.admin`, `App.guest`."""
        self.id: Any = id  # an Id of the project's own class of users, which nobody names here
        self.email = email
        self._stage = stage
        self._identity = identity
        self._minted: str | None = None

    async def run(self, function: Function[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function as a client does. Those who watch what it changed are told before this
        returns.

        raises   FunctionError as the function raised it; RefusedError for all else, with the codes
                 that clients see: `signed-out`, `bad-args`, `conflict`, `rate-limited`,
                 `function-failed` (with the traceback as a note), …
        """
        program, functions = self._stage.program, self._stage.functions
        name, given = program.encode_args(function, args, kwargs)
        try:
            result = await functions.call(self._stage.app, name, given, identity=self._identity)
        except TriceError as failure:
            raise _told(failure) from None
        finally:
            await self._stage.settle()
        found: R = program.decode_result(function, result.value)
        return found

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = ...,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Ask an endpoint: `await alice.request("POST", "/orders/7/pay", json={…})`, with the token
        of this caller. What it caused is done before this returns. A refusal is an answer, too.

        path     below the app, with a query if there is one
        json     a value, sent as JSON; or `body`, sent as it is
        raises   AssertionError for an answer that is cut off
        """
        token = await self._token()
        given = {} if headers is None else headers
        return await ask(
            *(self._stage, method, path), token=token, json=json, body=body, headers=given
        )

    async def _token(self) -> str | None:
        if self._identity.is_admin:
            return ADMIN_TOKEN
        if not self.id:
            return None
        if self._minted is None:
            clock = self._stage.clock
            self._minted = await self._stage.database.change(
                lambda change: mint_token(change, self.id, runtime=clock)
            )
        return self._minted

    def watch(self, function: QueryFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Live[R]:
        """Watch a query: `async with caller.watch(f) as live`. A list, which takes a `Paged` and
        returns a `Page`, is watched page by page: `live.more()`."""
        return Live(self._stage, self._identity, function=function, args=args, kwargs=kwargs)

    async def query(self, query: dict[str, Any]) -> Any:
        """What a client's InstaQL query answers, under the rules. raises   RefusedError"""
        database = self._stage.database
        try:
            answer = await database.query_nested(query, identity=self._identity, is_inferring=True)
        except TriceError as failure:
            raise _told(failure) from None
        return orjson.loads(answer)

    async def transact(self, steps: Sequence[Sequence[Any]]) -> None:
        """Write as a client does, under the rules: `[["update", "todos", id, {"done": True}]]`.

        raises   RefusedError
        """
        try:
            await self._stage.database.transact_admin(
                [list(step) for step in steps],
                identity=self._identity,
                throw_on_missing_attrs=True,
            )
        except TriceError as failure:
            raise _told(failure) from None
        finally:
            await self._stage.settle()


class Live(Generic[R]):
    """A watched query, inside of `async with`.

    value     what it answered last; before the first of `next`, what it answered at first. Of a
              list a `Page` with what all loaded pages have, and where they end
    pending   how many answers came that `next` has not returned
    """

    def __init__(
        self,
        stage: Stage,
        identity: Identity,
        *,
        function: QueryFunction[..., R],
        args: Any,
        kwargs: Any,
    ) -> None:
        """Use `Caller.watch`."""
        self._stage = stage
        self._identity = identity
        self._function = function
        self._name, self._given = stage.program.encode_args(function, args, kwargs)
        self._news: deque[list[Answer]] = deque()
        self._last: list[Answer] = []
        self._watch: Watch | None = None
        self._pages: PageList | None = None
        self._loaded: list[Answer] = []

    async def __aenter__(self) -> Live[R]:
        args = orjson.dumps(orjson.loads(self._given), option=orjson.OPT_SORT_KEYS)
        call = (self._stage.app, self._name, args)
        try:
            if self._is_list(args):
                self._pages = PageList(
                    self._stage.live, *call, identity=self._identity, on_news=self._on_pages
                )
            else:
                self._watch = self._stage.live.watch(
                    *call, identity=self._identity, on_news=self._on_news
                )
        except TriceError as failure:
            raise _told(failure) from None
        try:
            await self.next()
        except BaseException:
            self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def value(self) -> R:
        assert self._last, "a live query is used inside of `async with`"
        found: list[Any] = []
        for answer in self._last:
            if answer.error is not None:
                raise _told(answer.error)
            assert answer.value is not None, "an answer is a value or an error"
            found.append(self._stage.program.decode_result(self._function, answer.value))
        whole: R = found[0]
        if self._pages is not None:
            items = [item for page in found for item in page.items]
            whole = cast(R, Page(items=items, next=self._last[-1].until or None))
        return whole

    @property
    def pending(self) -> int:
        return len(self._news)

    async def next(self) -> R:
        """The next answer that differs from the one before.

        raises   AssertionError when nothing is being done that could change it; FunctionError or
                 RefusedError when the query fails now
        """
        if not self._news:
            await self._stage.settle()
        assert self._news, f"{self._name} answers as before: nothing changed what it returns"
        self._last = self._news.popleft()
        return self.value

    async def more(self) -> R:
        """Load the next page of a list; what all pages have then.

        raises   AssertionError if it is no list, or all of it is loaded; as `next`
        """
        assert self._pages is not None, f"{self._name} is no list: it returns no Page for a Paged"
        await self._stage.settle()
        while self._news:
            self._last = self._news.popleft()
        try:
            assert self._pages.more(), f"All of what {self._name} lists is loaded"
        except TriceError as failure:
            raise _told(failure) from None
        return await self.next()

    def _is_list(self, args: bytes) -> bool:
        signature = self._stage.runs.signatures(self._stage.app.id)[self._name]
        listed = list_of(signature.types)
        page = None if listed is None else orjson.loads(args).get(listed[0])
        return listed is not None and (page is None or page.get("after") is None)

    def _on_pages(self, pages: PageList) -> None:
        news = pages.take()
        if news is None:
            return
        if news.is_whole:
            self._loaded = []
        for page in news.pages:
            self._loaded[page.at : page.at + (not page.is_new)] = [page.answer]
        del self._loaded[news.count :]
        self._news.append(list(self._loaded))

    def _on_news(self, watch: Watch) -> None:
        assert watch.answer is not None
        self._news.append([watch.answer])
        watch.tell(watch.answer)

    def _stop(self) -> None:
        if self._watch is not None:
            self._stage.live.unwatch(self._stage.app, self._watch)
            self._watch = None
        if self._pages is not None:
            self._pages.close()


def _told(failure: TriceError) -> FunctionError | RefusedError:
    """A failure as functions know it."""
    if not isinstance(failure, CallFailed):
        return RefusedError(failure.code, failure.message, failure.hint)
    fail = failure.fail
    if failure.code == "function-error":
        hint = failure.hint
        return FunctionError(
            hint["code"], failure.message, data=hint.get("data"), status=fail.status
        )
    refused = RefusedError(failure.code, failure.message, failure.hint)
    if fail.traceback:
        refused.add_note(fail.traceback)
    return refused
