"""Requests of this server to receivers of webhooks.

Their URLs come from admins of single apps, so a request could be aimed at a service that only this
machine reaches. Therefore requests are https only, to public addresses only. A name is looked up
once, and that address is connected to. Redirects are not followed.

source   instant-http §6.5; spec/webhooks.md WH20-WH25
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from trice import webhook_limits
from trice.auth.oauth.origins import Url, read_url
from trice.auth.oauth.outgoing import is_public, look_up
from trice.runtime import Runtime
from trice.webhooks.event import Attempt, ErrorType

if TYPE_CHECKING:
    # Imported by the first request: with the certificates it takes 9 MB; an idle server has 60.
    import httpx

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → IP addresses; raises OSError."""

Lookups = list[Future[list[str]]]
"""Look-ups of names that a request began. They cannot be stopped, and may outlast it."""

_PRIVATE: Final = "The host is not on the public internet."


class _Failed(Exception):
    """A request failed. Arguments: type and text, as in `Attempt`."""

    def __init__(self, error_type: ErrorType, message: str) -> None:
        super().__init__(error_type, message)
        self.error_type = error_type
        self.message = message


class Sender:
    """Holds one HTTP client and the threads that look up names; both are made when first needed.

    Does not bound how many requests there are: `Deliveries` does.
    """

    def __init__(
        self, *, allows_private_hosts: bool, runtime: Runtime, resolve: Resolve | None = None
    ) -> None:
        """
        allows_private_hosts   also http and private addresses: for development and tests
        resolve                looks up names; None: the system does
        """
        self.allows_private_hosts = allows_private_hosts
        self._runtime = runtime
        self.resolve = resolve
        self._making: asyncio.Task[httpx.AsyncClient] | None = None
        self._threads: ThreadPoolExecutor | None = None

    async def close(self) -> None:
        """Close the client; requests under way fail."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        if self._making is not None:
            client = await self._making
            await client.aclose()

    async def find_problem(self, url: Url) -> str | None:
        """Why nothing can be delivered to a host; None if it seems to be possible."""
        try:
            async with asyncio.timeout(webhook_limits.TIMEOUT_MS / 1000):
                await self._addresses(url, [])
        except TimeoutError:
            return "Looking up the host takes too long."
        except _Failed as failure:
            return failure.message
        return None

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], lookups: Lookups
    ) -> Attempt:
        """Send one request; its failure is an outcome like any other.

        lookups   gets the look-up that may go on after this returned
        """
        at_ms, began_ms = self._runtime.now_ms(), self._runtime.monotonic_ms()
        status_code: int | None = None
        text: str | None = None
        error: tuple[ErrorType, str] | None = None
        try:
            async with asyncio.timeout(webhook_limits.TIMEOUT_MS / 1000):
                status_code, text = await self._post(url, body, headers, lookups)
        except TimeoutError:
            error = ("timeout", "The receiver did not answer in time.")
        except _Failed as failure:
            error = (failure.error_type, failure.message)
        duration_ms = round(self._runtime.monotonic_ms() - began_ms)
        if error is None:
            return Attempt(at_ms, duration_ms, status_code, text)
        return Attempt(at_ms, duration_ms, error_type=error[0], error_message=error[1])

    async def _post(
        self, text: str, body: bytes, headers: Mapping[str, str], lookups: Lookups
    ) -> tuple[int, str]:
        import httpx

        url = read_url(text)
        assert url is not None, "the URL was checked when the webhook was made"
        if url.scheme != "https" and not self.allows_private_hosts:
            raise _Failed("connect", "The URL does not use https.")
        addresses = await self._addresses(url, lookups)
        client = await self._get_client()
        for position, address in enumerate(addresses, 1):
            try:
                return await _send(client, _request(client, url, address, body, headers))
            except httpx.ConnectError as cause:
                if position == len(addresses):
                    raise _failure(cause) from cause
            except (httpx.HTTPError, httpx.InvalidURL) as cause:
                raise _failure(cause) from cause
        raise _Failed("dns", "The host has no address.")

    async def _addresses(self, url: Url, lookups: Lookups) -> Sequence[str]:
        host, port = url.host.strip("[]"), _port(url)
        try:
            if self.resolve is not None:
                found = await self.resolve(host, port)
            else:
                if self._threads is None:
                    self._threads = ThreadPoolExecutor(
                        webhook_limits.QUICK_DELIVERIES_MAX + webhook_limits.SLOW_DELIVERIES_MAX,
                        thread_name_prefix="trice-webhook-names",
                    )
                lookups.append(self._threads.submit(look_up, host, port))
                found = await asyncio.wrap_future(lookups[-1])
        except (OSError, UnicodeError) as cause:
            raise _Failed("dns", "The host is unknown.") from cause
        # If one of several addresses is private, it would be reached now and then.
        if not self.allows_private_hosts and not all(is_public(address) for address in found):
            raise _Failed("connect", _PRIVATE)
        return sorted(set(found), key=lambda each: ":" in each)[: webhook_limits.ADDRESSES_TRIED]

    async def _get_client(self) -> httpx.AsyncClient:
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(asyncio.to_thread(_make_client))
        return await asyncio.shield(self._making)


def when_free(lookups: Lookups, free: Callable[[], object]) -> None:
    """Call `free` when no look-up is under way any more: at once, or later on the loop."""
    if not lookups or lookups[-1].done():
        free()
        return
    loop = asyncio.get_running_loop()

    def ended(_: Future[list[str]]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            loop.call_soon_threadsafe(free)

    lookups[-1].add_done_callback(ended)


def _request(
    client: httpx.AsyncClient, url: Url, address: str, body: bytes, headers: Mapping[str, str]
) -> httpx.Request:
    """The request to one address: a second look-up of the name could lead elsewhere."""
    import httpx

    host = f"[{address}]" if ":" in address else address
    query = "" if url.query is None else f"?{url.query}"
    return client.build_request(
        "POST",
        f"{url.scheme}://{host}:{_port(url)}{url.path}{query}",
        headers={**headers, "host": url.host_and_port, "accept-encoding": "identity"},
        content=body,
        extensions={
            "sni_hostname": url.host.strip("[]"),
            "timeout": httpx.Timeout(webhook_limits.TIMEOUT_MS / 1000).as_dict(),
        },
    )


async def _send(client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, str]:
    """Status and the beginning of the answer. The status counts, whatever the rest does."""
    import httpx

    response = await client.send(request, stream=True, follow_redirects=False)
    found = bytearray()
    try:
        with contextlib.suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(webhook_limits.ANSWER_TIMEOUT_MS / 1000):
                async for piece in response.aiter_raw():
                    found += piece
                    if len(found) >= webhook_limits.ANSWER_BYTES:
                        break
    finally:
        await response.aclose()
    text = bytes(found[: webhook_limits.ANSWER_BYTES]).decode("utf-8", "replace")
    return response.status_code, text


def _failure(cause: Exception) -> _Failed:
    """What went wrong, in the words of `Attempt`."""
    import httpx

    if isinstance(cause, httpx.TimeoutException):
        return _Failed("timeout", "The receiver did not answer in time.")
    if isinstance(cause, httpx.ConnectError):
        chain: BaseException | None = cause
        while chain is not None:
            if isinstance(chain, ssl.SSLError):
                return _Failed("tls", "The receiver's certificate is not accepted.")
            chain = chain.__cause__ or chain.__context__
        return _Failed("connect", "The receiver cannot be reached.")
    if isinstance(cause, httpx.ProtocolError):
        return _Failed("protocol", "The receiver did not answer in HTTP.")
    if isinstance(cause, httpx.NetworkError):
        return _Failed("network", "The connection to the receiver broke.")
    return _Failed("unknown", "The request failed.")


def _port(url: Url) -> int:
    return int(url.port) if url.port else 443 if url.scheme == "https" else 80


def _make_client() -> httpx.AsyncClient:
    """Make the client. Runs on a thread, as imports and reading certificates take 150 ms."""
    import httpx

    return httpx.AsyncClient(
        # A connection that is kept for its address could serve another name at that address. No
        # other bounds: the deliveries are counted.
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        # A proxy from the environment would look up names again, without our check.
        trust_env=False,
    )
