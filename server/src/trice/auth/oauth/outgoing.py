"""Requests of this server to sign-in providers.

Their URLs come from admins of single apps, so a request could be aimed at a service that only this
machine reaches: another one on it, or a metadata service of the cloud. Therefore requests are https
only, to public addresses only. A name is looked up once, and that address is connected to.
Redirects stay on the host.

source   instant-http §1.6, §5.7; spec/auth.md A94-A98
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urljoin

import orjson

from trice import auth_limits
from trice.auth.oauth.origins import Url, read_url
from trice.errors import PermissionDenied, Unavailable
from trice.public_addresses import is_public, look_up
from trice.shares import ALL, Shares

if TYPE_CHECKING:
    # Imported by the first request: with the certificates it takes 9 MB; an idle server has 60.
    import httpx

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → IP addresses; raises OSError."""

_ADDRESSES_TRIED: Final = 3
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_HEADERS: Final = {
    # Apple gives its discovery document only to clients that look like browsers.
    "user-agent": "Mozilla/5.0 (compatible; trice)",
    "accept": "application/json",
    # An answer that is not compressed cannot grow beyond the limit when it is unpacked.
    "accept-encoding": "identity",
}


def oauth_error(message: str) -> PermissionDenied:
    """The error when signing in with a provider fails; the person who tried sees `message`."""
    return PermissionDenied("oauth-error", message)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a provider.

    body   a JSON object or list; an empty object if the body was anything else
    """

    status: int
    body: Any

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300


class Outgoing:
    """Holds one HTTP client, made by the first request and closed by `close`, and the number of
    requests that each app and host has under way.

    A look-up of a name cannot be stopped. It counts until it ends, even if its request does not
    wait for it any more, and runs on a thread that nothing else needs.
    """

    def __init__(self, *, allows_private_hosts: bool, resolve: Resolve | None = None) -> None:
        """allows_private_hosts   also http and private addresses: for development and tests"""
        self._allows_private_hosts = allows_private_hosts
        self._resolve = resolve
        self._making: asyncio.Task[httpx.AsyncClient] | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._shares = Shares()

    def of(self, app_id: str, *, is_ephemeral: bool = False) -> Requests:
        """The requests of one app to providers."""
        return Requests(self, app_id, is_ephemeral)

    @property
    def holds_nothing(self) -> bool:
        """Whether no request and no look-up is under way."""
        return self._shares.holds_nothing

    async def close(self) -> None:
        """Close the client; requests under way fail."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        if self._making is not None:
            client = await self._making
            await client.aclose()

    async def send(
        self,
        requests: Requests,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
    ) -> Answer:
        """Send one request, and follow its redirects. See `Requests`."""
        bounds: dict[Hashable, int] = {
            ALL: auth_limits.OUTGOING_CALLS_MAX,
            ("app", requests.app_id): auth_limits.OUTGOING_CALLS_PER_APP_MAX,
            ("host", self._check_url(url).host): auth_limits.OUTGOING_CALLS_PER_HOST_MAX,
        }
        if requests.is_ephemeral:
            bounds["ephemeral"] = auth_limits.OUTGOING_CALLS_EPHEMERAL_MAX
        if not self._shares.take(1, bounds):
            raise Unavailable("overloaded", "Too many sign-ins are under way; try again.")
        lookups: list[Future[list[str]]] = []
        try:
            async with asyncio.timeout(auth_limits.OUTGOING_TIMEOUT_MS / 1000):
                return await self._follow(method, url, headers, content, lookups)
        except TimeoutError as cause:
            raise oauth_error("The sign-in provider did not answer in time.") from cause
        finally:
            self._give_back(bounds, lookups)

    def _give_back(self, keys: Iterable[Hashable], lookups: list[Future[list[str]]]) -> None:
        """End the share of a request, at once or when the look-up that it left behind ends."""
        if not lookups or lookups[-1].done():
            self._shares.give_back(1, keys)
            return
        loop = asyncio.get_running_loop()

        def ended(_: Future[list[str]]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may have ended
                loop.call_soon_threadsafe(self._shares.give_back, 1, keys)

        lookups[-1].add_done_callback(ended)

    async def _follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        lookups: list[Future[list[str]]],
    ) -> Answer:
        for _ in range(auth_limits.OUTGOING_REDIRECTS_MAX + 1):
            target = self._check_url(url)
            addresses = await self._addresses(target, lookups)
            answer, location = await self._send(method, target, addresses, headers, content)
            if location is None or method != "GET":
                return answer
            url = urljoin(url, location)
            following = self._check_url(url)
            if (following.scheme, following.host_and_port) != (target.scheme, target.host_and_port):
                raise oauth_error("The sign-in provider redirected to another host.")
        raise oauth_error("The sign-in provider redirected too often.")

    def _check_url(self, text: str) -> Url:
        url = read_url(text)
        if url is None or not url.is_web:
            raise oauth_error("The sign-in provider has an address that is not a valid https URL.")
        if url.scheme != "https" and not self._allows_private_hosts:
            raise oauth_error("The sign-in provider has an address that is not https.")
        return url

    async def _send(
        self,
        method: str,
        url: Url,
        addresses: Sequence[str],
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> tuple[Answer, str | None]:
        """Send one request; return the answer, and the URL it redirects to, if it does."""
        import httpx  # see above

        client = await self._get_client()
        for position, address in enumerate(addresses, 1):
            # Connect to the address: a second look-up of the name could lead elsewhere.
            host = f"[{address}]" if ":" in address else address
            query = "" if url.query is None else f"?{url.query}"
            try:
                request = client.build_request(
                    method,
                    f"{url.scheme}://{host}:{_port(url)}{url.path}{query}",
                    headers={**_HEADERS, **headers, "host": url.host_and_port},
                    content=content,
                    extensions={
                        "sni_hostname": url.host.strip("[]"),
                        "timeout": httpx.Timeout(auth_limits.OUTGOING_TIMEOUT_MS / 1000).as_dict(),
                    },
                )
                return await self._read(client, request)
            except httpx.ConnectError as cause:
                if position == len(addresses):
                    raise oauth_error("The sign-in provider cannot be reached.") from cause
            except (httpx.HTTPError, httpx.InvalidURL) as cause:
                raise oauth_error("The sign-in provider cannot be reached.") from cause
        raise oauth_error("The sign-in provider has no address.")

    async def _read(
        self, client: httpx.AsyncClient, request: httpx.Request
    ) -> tuple[Answer, str | None]:
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return Answer(response.status_code, {}), response.headers["location"]
            if response.headers.get("content-encoding", "identity") != "identity":
                raise oauth_error("The sign-in provider sent a compressed answer.")
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > auth_limits.OUTGOING_BYTES_MAX:
                    raise oauth_error("The sign-in provider sent too large an answer.")
        finally:
            await response.aclose()
        return Answer(response.status_code, _json(bytes(body))), None

    async def _addresses(self, url: Url, lookups: list[Future[list[str]]]) -> list[str]:
        host, port = url.host.strip("[]"), _port(url)
        try:
            if self._resolve is not None:
                found = await self._resolve(host, port)
            else:
                if self._threads is None:
                    self._threads = ThreadPoolExecutor(
                        auth_limits.OUTGOING_CALLS_MAX, thread_name_prefix="trice-names"
                    )
                lookups.append(self._threads.submit(look_up, host, port))
                found = await asyncio.wrap_future(lookups[-1])
        except OSError as cause:
            raise oauth_error("The sign-in provider's host is unknown.") from cause
        # If one of several addresses is private, it would be reached now and then.
        if not self._allows_private_hosts and not all(is_public(address) for address in found):
            raise oauth_error("The sign-in provider's host is not on the public internet.")
        return sorted(set(found), key=lambda address: ":" in address)[:_ADDRESSES_TRIED]

    async def _get_client(self) -> httpx.AsyncClient:
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(asyncio.to_thread(_make_client))
        return await asyncio.shield(self._making)


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests to providers for one app, within its share.

    is_ephemeral   whether it is a throw-away app, which anybody may have made
    """

    _outgoing: Outgoing
    app_id: str
    is_ephemeral: bool

    async def get(self, url: str, *, token: str | None = None) -> Answer:
        """Fetch a JSON document, and follow redirects on the same host.

        token    bearer token to send
        raises   PermissionDenied("oauth-error"), Unavailable("overloaded")
        """
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await self._outgoing.send(self, "GET", url, headers)

    async def post(self, url: str, form: Mapping[str, str]) -> Answer:
        """Send a form; redirects are not followed. Raises as `get`."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        content = urlencode(form).encode()
        return await self._outgoing.send(self, "POST", url, headers, content)


def _port(url: Url) -> int:
    return int(url.port) if url.port else 443 if url.scheme == "https" else 80


def _make_client() -> httpx.AsyncClient:
    """Make the client. Runs on a thread, as imports and reading certificates take 150 ms.

    The library that verifies tokens is imported too: it is needed after a provider's first answer.
    """
    import httpx
    import joserfc.jwt  # noqa: F401

    return httpx.AsyncClient(
        # A connection that is kept for its address could serve another name at that address.
        limits=httpx.Limits(max_keepalive_connections=0),
        # A proxy from the environment would look up names again, without our check.
        trust_env=False,
    )


def _json(raw: bytes) -> Any:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, (dict, list)) else {}
