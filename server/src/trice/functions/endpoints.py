"""Endpoints: what answers HTTP requests as they come, for programs that do not call functions.

    @http.post("/stripe", auth="none")
    async def stripe(ctx: Action[Db], request: Request) -> Response: ...

They are actions that are asked in another way: `ctx` is that of an action.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Concatenate, Final, ParamSpec, Protocol, Self, TypeVar, overload
from urllib.parse import parse_qsl, urlsplit

import msgspec

from trice.endpoint_limits import ANSWER_BYTES_MAX
from trice.functions import blocking
from trice.functions.channel import RefusedError
from trice.functions.contexts import Action
from trice.functions.frames import HttpRequest
from trice.functions.function import EndpointFunction
from trice.functions.hints import decoded
from trice.functions.http_headers import Fields, check_status, checked_headers
from trice.functions.signature import Auth
from trice.functions.values import encoded

P = ParamSpec("P")
T = TypeVar("T")

_encode: Final = msgspec.json.Encoder(enc_hook=encoded).encode
_FIELDS_MAX: Final = 10_000


class Request:
    """What an endpoint is asked.

    method    "POST"
    url       as the client asked it: `https://api.example.com/http/APP/stripe?live=1`
    path      below the app: "/stripe"
    query     `request.query["live"]` is the first text of a name, `query.getall(name)` has all
    headers   likewise; upper and lower case are the same. `cookie` is never among them, and
              `authorization` only where `auth` is "none"
    body      raw bytes, at most 8 MiB
    """

    def __init__(self, asked: HttpRequest) -> None:
        self.method = asked.method
        self.url = asked.url
        self.path = asked.path
        self.headers: Final = Fields(asked.headers, is_folded=True)
        query = urlsplit(asked.url).query
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS_MAX)
        self.query: Final = Fields(pairs, is_folded=False)
        self.body = asked.body

    def text(self) -> str:
        """The body as UTF-8. raises   RefusedError("bad-args"), which is status 400"""
        try:
            return self.body.decode()
        except UnicodeDecodeError as failure:
            raise _bad_body(f"The body is no UTF-8: {failure.reason}") from None

    @overload
    def json(self) -> Any: ...
    @overload
    def json(self, type: type[T]) -> T: ...
    def json(self, type: Any = Any) -> Any:
        """The body as JSON.

        type     what it must be: a hint, checked as those of arguments are
        raises   RefusedError("bad-args"), which is status 400
        """
        try:
            return msgspec.json.decode(self.body, type=type, dec_hook=decoded)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise _bad_body(f"The body is not the JSON that is expected: {failure}") from None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"


class Response:
    """What an endpoint answers.

    body        bytes, or text, which is sent as UTF-8; at most 8 MiB
    status      200 to 599
    headers     a mapping, or pairs for names that come twice. Not `set-cookie`, `content-length`,
                and others that are the server's: ValueError says which
    media_type  of the body: text/plain for text, application/octet-stream for bytes, unless told
    """

    def __init__(
        self,
        body: bytes | str = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        media_type: str | None = None,
    ) -> None:
        if not isinstance(body, bytes | str):
            told = "Response.json(…) is for other values, and Response.stream(…) for pieces"
            raise TypeError(f"The body of a Response is bytes or text, not {body!r}: {told}")
        raw = body.encode() if isinstance(body, str) else body
        if len(raw) > ANSWER_BYTES_MAX:
            told = f"An answer has {ANSWER_BYTES_MAX:,} bytes at most, not {len(raw):,}"
            raise RefusedError("call-too-big", f"{told}: Response.stream(…) sends any number.")
        self.source: AsyncIterable[bytes | str] | None = None
        usual = "text/plain; charset=utf-8" if isinstance(body, str) else "application/octet-stream"
        self._set(raw, status, headers, media_type, usual if raw else None)

    @classmethod
    def json(
        cls,
        value: Any,
        *,
        status: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Self:
        """Any value that has a form in JSON, as results of functions have: dates, ids, views."""
        made = _encode(value)
        return cls(made, status=status, headers=headers, media_type="application/json")

    @classmethod
    def stream(
        cls,
        source: AsyncIterable[bytes | str],
        *,
        status: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        media_type: str = "application/octet-stream",
    ) -> Self:
        """What an async generator yields, as fast as the client reads it. The generator is
        cancelled when the client leaves, and when the time of the endpoint is over."""
        if not isinstance(source, AsyncIterable):
            raise TypeError(f"Response.stream takes an async generator, not {source!r}")
        made = cls()
        made._set(b"", status, headers, media_type, None, has_body=True)
        made.source = source
        return made

    def _set(
        self,
        body: bytes,
        status: int,
        headers: Any,
        media_type: str | None,
        usual: str | None,
        *,
        has_body: bool = False,
    ) -> None:
        check_status(status, has_body=has_body or bool(body))
        self.status = status
        self.body = body
        given = checked_headers(headers)
        if media_type is not None or all(name != "content-type" for name, _ in given):
            shown = media_type or usual
            given = [pair for pair in given if pair[0] != "content-type"]
            given += checked_headers([] if shown is None else [("content-type", shown)])
        self.headers = given

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


def _bad_body(told: str) -> RefusedError:
    return RefusedError("bad-args", f"{told}.", {"path": ["body"]})


# --- @http.post -----------------------------------------------------------------------------------

_Body = Callable[Concatenate[Action[Any, Any], Request, P], Coroutine[Any, Any, Response]]
_PlainBody = Callable[Concatenate[blocking.Action[Any, Any], Request, P], Response]


class _EndpointMaker(Protocol):
    @overload
    def __call__(self, body: _PlainBody[P], /) -> EndpointFunction[P, Response]: ...
    @overload
    def __call__(self, body: _Body[P], /) -> EndpointFunction[P, Response]: ...


class _Word(Protocol):
    def __call__(
        self,
        path: str,
        /,
        *,
        auth: Auth,
        cors: Iterable[str] = (),
        rate: str | None = None,
        timeout: float | None = None,
    ) -> _EndpointMaker:
        """Make an endpoint, served at `/http/APP` and its path.

        path     "/orders/{order}": a name is an argument of the function, and its hint checks it
        auth     who may ask: "none" (no token is looked at), "optional" (a token, if there is one,
                 must be good), "user", "admin"
        cors     origins whose pages may ask: `["https://shop.example"]`, or `["*"]`
        rate     how often: "10/minute per ip", per user, app or an argument
        timeout  seconds, a stream included; 60 unless told
        """
        ...


class _Http:
    """`http.post`, one word for each method."""

    get: _Word
    post: _Word
    put: _Word
    patch: _Word
    delete: _Word
    head: _Word
    options: _Word

    def __init__(self) -> None:
        for name in METHODS:
            setattr(self, name, _word(name.upper()))


METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options")


def _word(method: str) -> Any:
    def word(*path: Any, **options: Any) -> Any:
        """What is missing or wrong is told when the project is loaded, with all else that is."""
        given = {**options, "path": path[0] if len(path) == 1 else None, "method": method}
        return lambda body: EndpointFunction(body, is_internal=False, options=given)

    return word


http: Final = _Http()
