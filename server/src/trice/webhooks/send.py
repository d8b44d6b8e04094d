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
from trice.public_addresses import is_public, look_up
from trice.runtime import Runtime
from trice.webhooks.event import Attempt, ErrorType

if TYPE_CHECKING:
    import h11  # Imported by the first request, as most servers have no webhooks.

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → IP addresses; raises OSError."""

Lookups = list[Future[list[str]]]
"""Look-ups of names that a request began. They cannot be stopped, and may outlast it."""

_PRIVATE: Final = "The host is not on the public internet."
_READ_BYTES: Final = 4_096
_INTERIM_MAX: Final = 8
"""Interim answers (1xx) before the answer."""


class _Failed(Exception):
    """A request failed. Arguments: type and text, as in `Attempt`."""

    def __init__(self, error_type: ErrorType, message: str) -> None:
        super().__init__(error_type, message)
        self.error_type = error_type
        self.message = message


class _Unreached(_Failed):
    """Nobody answers at this address; there may be another one."""


class Sender:
    """Holds the threads that look up names, and what TLS trusts; both are made when first needed.

    Does not bound how many requests there are: its callers do. Requests are written and read here,
    not by a library for clients, so that what a receiver says is read up to a bound of bytes: an
    answer of endless interim answers would hold up the loop.
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
        self._making: asyncio.Task[ssl.SSLContext] | None = None
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Let the threads end. Requests under way end with the tasks that wait for them."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def find_problem(self, url: Url, lookups: Lookups) -> str | None:
        """Why nothing can be delivered to a host; None if it seems to be possible.

        lookups   as for `post`
        """
        try:
            async with asyncio.timeout(webhook_limits.TIMEOUT_MS / 1000):
                await self._addresses(url, lookups)
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
        url = read_url(text)
        assert url is not None, "the URL was checked when the webhook was made"
        if url.scheme != "https" and not self.allows_private_hosts:
            raise _Failed("connect", "The URL does not use https.")
        addresses = await self._addresses(url, lookups)
        tls = await self._get_tls() if url.scheme == "https" else None
        for position, address in enumerate(addresses, 1):
            # Connect to the address: a second look-up of the name could lead elsewhere.
            try:
                return await _exchange(url, address, tls, body, headers)
            except _Unreached:
                if position == len(addresses):
                    raise
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

    async def _get_tls(self) -> ssl.SSLContext:
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(asyncio.to_thread(make_tls))
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


async def _exchange(
    url: Url, address: str, tls: ssl.SSLContext | None, body: bytes, headers: Mapping[str, str]
) -> tuple[int, str]:
    """Send one request to one address; return status and beginning of the answer."""
    import h11

    name = None if tls is None else url.host.strip("[]")
    try:
        reader, writer = await asyncio.open_connection(
            address, _port(url), ssl=tls, server_hostname=name
        )
    except ssl.SSLError as cause:
        raise _Failed("tls", "The receiver's certificate or TLS is not accepted.") from cause
    except OSError as cause:
        raise _Unreached("connect", "The receiver cannot be reached.") from cause
    try:
        connection = h11.Connection(
            h11.CLIENT, max_incomplete_event_size=webhook_limits.ANSWER_HEAD_BYTES_MAX
        )
        writer.write(_request(connection, url, body, headers))
        await writer.drain()
        status = await _read_status(connection, reader)
        return status, await _read_beginning(connection, reader)
    except h11.RemoteProtocolError as cause:
        raise _Failed("protocol", "The receiver did not answer in HTTP.") from cause
    except OSError as cause:
        raise _Failed("network", "The connection to the receiver broke.") from cause
    finally:
        writer.transport.abort()


def _request(
    connection: h11.Connection, url: Url, body: bytes, headers: Mapping[str, str]
) -> bytes:
    import h11

    whole = {
        "Host": url.host_and_port,
        **headers,
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Length": str(len(body)),
    }
    target = (url.path or "/") + ("" if url.query is None else f"?{url.query}")
    events: tuple[h11.Event, ...] = (
        h11.Request(method="POST", target=target, headers=list(whole.items())),
        h11.Data(data=body),
        h11.EndOfMessage(),
    )
    return b"".join(connection.send(event) or b"" for event in events)


async def _read_status(connection: h11.Connection, reader: asyncio.StreamReader) -> int:
    """The status of the answer. Interim answers before it are passed over, a few of them."""
    import h11

    left = webhook_limits.ANSWER_HEAD_BYTES_MAX
    interim = 0
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            return event.status_code
        if event is h11.NEED_DATA and left > 0:
            data = await reader.read(min(left, _READ_BYTES))
            left -= len(data)
            connection.receive_data(data)
        elif isinstance(event, h11.InformationalResponse) and interim < _INTERIM_MAX:
            interim += 1
        else:
            raise _Failed("protocol", "The receiver did not answer in HTTP.")


async def _read_beginning(connection: h11.Connection, reader: asyncio.StreamReader) -> str:
    """The first bytes of the body. The status counts, whatever comes of the rest."""
    import h11

    found = bytearray()
    left = webhook_limits.ANSWER_HEAD_BYTES_MAX
    with contextlib.suppress(TimeoutError, OSError, h11.RemoteProtocolError):
        async with asyncio.timeout(webhook_limits.ANSWER_TIMEOUT_MS / 1000):
            while len(found) < webhook_limits.ANSWER_BYTES:
                event = connection.next_event()
                if event is h11.NEED_DATA and left > 0:
                    data = await reader.read(_READ_BYTES)
                    left -= len(data)
                    connection.receive_data(data)
                elif isinstance(event, h11.Data):
                    found += event.data
                else:
                    break
    return bytes(found[: webhook_limits.ANSWER_BYTES]).decode("utf-8", "replace")


def _port(url: Url) -> int:
    return int(url.port) if url.port else 443 if url.scheme == "https" else 80


def make_tls() -> ssl.SSLContext:
    """What TLS trusts. Runs on a thread, as reading certificates takes 50 ms."""
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
