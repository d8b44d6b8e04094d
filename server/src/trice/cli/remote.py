"""A server that a command asks, by URL and token: the one HTTP client of the command line.

The URL is that of `--url`, of `TRICE_URL`, or of the last `trice login`; the token that of
`--token`, of `TRICE_TOKEN`, or the one saved for this very server.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import click

from trice.cli.options import option
from trice.cli.saved_logins import SavedLogins, load_logins
from trice.cli.terminal import printable

if TYPE_CHECKING:
    import httpx

TIMEOUT_S: Final = 60
"""How long the server may be silent; a query may take 30 s. Then it does not answer."""

ANSWER_BYTES_MAX: Final = 512 * 1024 * 1024
"""Bytes of one answer, which is held in memory. More: the command ends and says so."""

FAULTS_MAX: Final = 20
"""Faults of one refusal that are printed."""

DEFAULT_URL: Final = "http://localhost:8888"

UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Command = Callable[..., None]


class Refused(click.ClickException):
    """The server said no, or nothing. The exit code is 1.

    body   of the error; empty if the server did not answer
    """

    def __init__(self, message: str, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.body = body or {}


@dataclass(frozen=True, slots=True)
class Remote:
    """A server, and who asks it.

    token       None: nobody; then only what needs no token works
    token_from  where the token came from, in words
    """

    url: str
    token: str | None
    token_from: str

    def get(self, path: str, **options: Any) -> Any:
        return self.ask("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.ask("POST", path, {} if body is None else body, **options)

    def delete(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.ask("DELETE", path, body, **options)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Any:
        """Send a request; return the JSON of the answer.

        content   bytes to send instead of the JSON of `body`
        raises    Refused
        """
        if body is not None:
            content = json.dumps(body).encode()
        with self._stream(
            method, self.url + path, content=content, headers=headers, params=params
        ) as response:
            return self._answer(response.status_code, _read(response))

    @contextmanager
    def lines(self, path: str) -> Iterator[Iterator[Any]]:
        """Send a GET; the JSON of each line of the answer, as they come. raises   Refused"""
        with self._stream("GET", self.url + path) as response:
            if response.status_code != 200:
                self._answer(response.status_code, _read(response))
            yield map(json.loads, response.iter_lines())

    @contextmanager
    def download(self, url: str) -> Iterator[Iterator[bytes]]:
        """Fetch what a URL leads to that the server gave, in pieces, uncompressed. Whoever has the
        URL may: no token is sent. raises   Refused"""
        if not url.startswith(("http://", "https://")):
            raise Refused(f"{self.url} leads to {printable(url)!r}, which is no URL.")
        with self._stream("GET", url, has_token=False) as response:
            if response.status_code != 200:
                self._answer(response.status_code, _read(response))
            yield response.iter_bytes()

    @contextmanager
    def _stream(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        has_token: bool = True,
    ) -> Iterator[httpx.Response]:
        # Imported here: `--help` needs no HTTP client.
        import httpx

        sent = dict(headers or {})
        if self.token is not None and has_token:
            sent["authorization"] = f"Bearer {self.token}"
        if content is not None:
            sent.setdefault("content-type", "application/json")
        try:
            # Proxies are for the world outside.
            with (
                httpx.Client(timeout=TIMEOUT_S, trust_env=not is_here(url)) as client,
                client.stream(
                    method, url, content=content, headers=sent, params=params
                ) as response,
            ):
                yield response
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as failure:
            reason = re.sub(r"^\[Errno -?\d+\] ", "", str(failure)).rstrip(".")
            reason = printable(reason or type(failure).__name__)
            raise Refused(f"{self.url} does not answer: {reason}.") from None

    def _answer(self, status: int, raw: bytes) -> Any:
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError):
            told = f"{self.url} is no trice server: its answer, with status {status}, is no JSON."
            raise Refused(told) from None
        if status == 200:
            return answer
        body = answer if isinstance(answer, dict) else {"message": f"Status {status}."}
        raise Refused(self._told(status, body), body)

    def _told(self, status: int, body: Mapping[str, Any]) -> str:
        """What the server says is wrong, and what to do about it."""
        message = str(body.get("message") or f"The server answers with status {status}.")
        hint = body.get("hint")
        hint = hint if isinstance(hint, dict) else {}
        lines = [printable(message), *_fault_lines(message, hint.get("errors"))]
        if self.token is None and hint.get("in") == ["headers", "authorization"]:
            return f"You are not signed in to {self.url}. Run `trice login`, or set TRICE_TOKEN."
        if hint.get("record-type") == "instant-user" or status == 401:
            if self.token is not None and UUID.fullmatch(self.token):
                lines.append("This takes the token of an account; an app's admin token is none.")
            lines.append(f"The token is {self.token_from}. Sign in with `trice login`.")
        return "\n".join(lines)


def _read(response: httpx.Response) -> bytes:
    """A whole answer. raises   Refused when it is too large"""
    raw = bytearray()
    for piece in response.iter_bytes():
        raw += piece
        if len(raw) > ANSWER_BYTES_MAX:
            most = ANSWER_BYTES_MAX >> 20
            raise Refused(f"The answer has more than {most} MiB. Ask for less.")
    return bytes(raw)


def _fault_lines(message: str, faults: Any) -> list[str]:
    """The faults that the message does not tell already, each with its place."""
    lines = []
    for fault in faults if isinstance(faults, list) else ():
        told = fault.get("message") if isinstance(fault, dict) else None
        if isinstance(told, str) and told.rstrip(".") not in message:
            where = ".".join(map(str, fault.get("in") or ()))
            lines.append(printable(f"  {where}: {told}" if where else f"  {told}"))
    left = len(lines) - FAULTS_MAX
    return lines if left <= 0 else [*lines[:FAULTS_MAX], f"  … and {left} more."]


def find_remote(url: str | None, token: str | None) -> Remote:
    """The server that is meant, and the token for it. raises   UsageError, ClickException"""
    # With both named no file is needed, as where programs run.
    logins = SavedLogins() if url and token else load_logins()
    meant = clean_url(url or logins.current or DEFAULT_URL)
    if token is not None:
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise click.UsageError("The token has characters that no token has.")
        return Remote(meant, token, "the one of --token or TRICE_TOKEN")
    saved = logins.servers.get(meant)
    return Remote(meant, None if saved is None else saved.token, "the one saved by `trice login`")


def clean_url(url: str) -> str:
    """The URL of a server without what may stand after the host. raises   UsageError"""
    accepted = "It begins with http:// or https://, as http://localhost:8888."
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or "@" in url or printable(url) != url:
        raise click.UsageError(f"{printable(url)!r} is no URL of a server. {accepted}")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


@contextmanager
def understood(remote: Remote) -> Iterator[None]:
    """Tell it in words when the answers of a server lack what they must have: it is none of ours,
    or of another version."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, RecursionError) as failure:
        reason = printable(f"{type(failure).__name__}: {failure}")
        told = f"{remote.url} does not answer as a trice server does ({reason})."
        raise Refused(told) from failure


def in_path(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def is_here(url: str) -> bool:
    """Whether a server is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def wait(duration_ms: int) -> None:
    """Do nothing for a while."""
    from trice.runtime import SystemRuntime

    asyncio.run(SystemRuntime().sleep_ms(duration_ms))


# --- options --------------------------------------------------------------------------------------

url_option: Final[Callable[..., Any]] = option(
    "--url", envvar="TRICE_URL", help="The server; without this, that of the last `trice login`."
)
token_option: Final[Callable[..., Any]] = option(
    "--token",
    envvar="TRICE_TOKEN",
    help="An access token of an account, or the app's admin token; without this, the saved login.",
)


def checked_app_id(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The id of an app in lower case. raises   BadParameter"""
    if UUID.fullmatch(value) is None:
        told = f"{printable(value)!r} is no id of an app. `trice apps list` shows them."
        raise click.BadParameter(told, ctx, param)
    return value.lower()


app_option: Final[Callable[..., Any]] = option(
    "--app",
    "app_id",
    envvar="TRICE_APP",
    callback=checked_app_id,
    required=True,
    help="The id of the app.",
)
json_option: Final[Callable[..., Any]] = option(
    "--json", "is_json", is_flag=True, help="Print JSON, for programs."
)
yes_option: Final[Callable[..., Any]] = option(
    "--yes", "-y", "is_agreed", is_flag=True, help="Ask nothing, whatever is lost."
)


def on_server(work: Command) -> Command:
    """Give a command `--url` and `--token`; it gets them as `remote`."""

    @wraps(work)
    def command(*, url: str | None, token: str | None, **options: Any) -> None:
        remote = find_remote(url, token)
        with understood(remote):
            work(remote=remote, **options)

    wrapped: Command = url_option(token_option(command))
    return wrapped
