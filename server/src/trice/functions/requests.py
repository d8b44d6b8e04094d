"""`ctx.http`: requests of actions. They are made in the process of the action, by httpx, which is
imported with the first of them (150 ms, on a thread).

    ctx.http.get(url) ──> a place of the call ──> client of the call ──> transport of the process
                                                                         (`connecting`)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

from trice import reach_limits as limits
from trice.functions.channel import RefusedError
from trice.functions.outgoing import Outgoing
from trice.functions.running import Running
from trice.runtime import SeededRandom

if TYPE_CHECKING:
    from typing import TypedDict

    import httpx

    class RequestOptions(TypedDict, total=False):
        """What a request may say besides method and URL, as httpx has it.

        timeout   seconds, 10 unless told; None: as long as the call may take
        """

        params: Any
        headers: Any
        cookies: Any
        content: Any
        data: Any
        files: Any
        json: Any
        auth: Any
        follow_redirects: bool
        timeout: float | None


T = TypeVar("T")

_HEADERS: Final = {
    # An answer that is not compressed cannot grow when it is unpacked.
    "accept-encoding": "identity",
    "user-agent": "trice",
}


class Http:
    """Requests to others. Each goes to the public internet only, unless the server allows more;
    takes 10 s at most, unless it says `timeout=` in seconds (None: as long as the call may); and
    brings 10 MiB at most. More comes piece by piece, with `stream`.

    Options and answers are those of httpx: `params headers json data files content cookies auth
    follow_redirects`. Cookies that answers set are kept for the rest of the call. What fails raises
    `httpx.HTTPError`; a status of 400 or more does not, `answer.raise_for_status()` does.
    """

    def __init__(self, running: Running, outgoing: Outgoing) -> None:
        """Use `ctx.http`."""
        self._running = running
        self._outgoing = outgoing
        self._client: httpx.AsyncClient | None = None
        self._places = asyncio.Semaphore(limits.HTTP_AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._spans = SeededRandom(f"{running.call.seed} spans")
        self._is_over = False
        running.at_end.append(self._end)

    async def request(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> httpx.Response:
        """Send a request and wait for the whole answer. raises   httpx.HTTPError"""
        seconds = options.get("timeout", limits.HTTP_MS / 1000)

        async def read() -> httpx.Response:
            request = await self._request(method, url, limits.HTTP_BYTES_MAX, seconds, options)
            answer = await self._send(request, options)
            try:
                await answer.aread()
            finally:
                await answer.aclose()
            return answer

        with self._under_way():
            return await _within(seconds, self._in_place(read), f"{method} {url}")

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[httpx.Response]:
        """Send a request; its answer is read inside of `async with`, piece by piece
        (`aiter_bytes`, `aiter_text`, `aiter_lines`), up to 1 GiB.

        timeout   seconds until the answer begins, and from piece to piece
        """
        seconds = options.get("timeout", limits.HTTP_MS / 1000)

        async def begin() -> httpx.Response:
            most = limits.HTTP_PIECES_BYTES_MAX
            request = await self._request(method, url, most, seconds, options)
            return await self._send(request, options)

        with self._under_way():
            async with self._places:
                answer = await _within(seconds, begin(), f"{method} {url}")
                try:
                    yield answer
                finally:
                    await answer.aclose()

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return await self.request("GET", url, **options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return await self.request("HEAD", url, **options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return await self.request("DELETE", url, **options)

    # --- inside -----------------------------------------------------------------------------------

    async def _in_place(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with self._places:
            return await work()

    async def _request(
        self, method: str, url: str, bytes_max: int, seconds: float | None, options: Any
    ) -> httpx.Request:
        client = await self._get_client()
        of_request = {
            name: value
            for name, value in options.items()
            if name not in ("auth", "follow_redirects", "timeout")
        }
        running = self._running
        ask = partial(running.channel.reach, running.call.call)
        ours = {limits.HTTP_BYTES_MAX_KEY: bytes_max, limits.HTTP_ASK_KEY: ask}
        request = client.build_request(method, url, timeout=seconds, extensions=ours, **of_request)
        if "traceparent" not in request.headers:
            span = self._spans.randbytes(8).hex()
            request.headers["traceparent"] = f"00-{running.call.trace}-{span}-01"
        return request

    async def _send(self, request: httpx.Request, options: Any) -> httpx.Response:
        client = await self._get_client()
        given = {name: options[name] for name in ("auth", "follow_redirects") if name in options}
        return await client.send(request, stream=True, **given)

    async def _get_client(self) -> httpx.AsyncClient:
        transport = await self._outgoing.transport()
        if self._client is None:
            import httpx

            self._client = httpx.AsyncClient(
                transport=transport,
                headers=_HEADERS,
                max_redirects=limits.HTTP_REDIRECTS_MAX,
                # A proxy from the environment would look up names again, without our check.
                trust_env=False,
            )
        return self._client

    def _under_way(self) -> _UnderWay:
        if self._is_over:
            raise RefusedError("function-failed", "The call has ended; a task of it went on.")
        return _UnderWay(self._tasks)

    def _end(self) -> None:
        """The call has ended: so do requests of tasks that it left."""
        self._is_over = True
        for task in self._tasks:
            task.cancel()


class _UnderWay:
    """Notes which task has a request under way."""

    def __init__(self, tasks: set[asyncio.Task[Any]]) -> None:
        self._tasks = tasks
        task = asyncio.current_task()
        assert task is not None, "requests are made on a loop"
        self._task = task

    def __enter__(self) -> None:
        self._tasks.add(self._task)

    def __exit__(self, *failure: object) -> None:
        self._tasks.discard(self._task)


async def _within(seconds: float | None, work: Coroutine[Any, Any, T], what: str) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        import httpx

        raise httpx.ReadTimeout(f"{what} took longer than {seconds:g} s") from None
