"""`app.http`: who answers requests of actions in a test, and what was asked. Nothing leaves."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trice.functions.frames import AskHttp

if TYPE_CHECKING:
    import httpx


class UnansweredError(AssertionError):
    """A request that no `app.http.answer` answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to requests of a pattern.

    error   raised in place of an answer
    """

    method: str | None
    url: re.Pattern[str]
    has_query: bool
    status: int
    headers: dict[str, str]
    pieces: list[bytes]
    error: Exception | None

    def fits(self, method: str, url: str) -> bool:
        """Whether it answers a request."""
        asked = url if self.has_query else url.partition("?")[0]
        is_method = self.method is None or self.method == method
        return is_method and self.url.fullmatch(asked) is not None


@dataclass
class AppHttp:
    """What others answer. requests   every request, in order, those that nobody answers too"""

    requests: list[httpx.Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def answer(
        self,
        url: str,
        *,
        method: str | None = None,
        status: int = 200,
        json: Any = None,
        text: str | None = None,
        content: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        error: Exception | None = None,
    ) -> None:
        """Answer requests from now on. Of several that fit, the newest answers.

        url      `https://push.example/*`: a star is any text. What follows a `?` counts only if
                 there is one here
        method   None: any
        content  bytes, or pieces of them, which a stream brings one by one
        error    raised in the function in place of an answer: `httpx.ConnectError("gone")`
        """
        import orjson

        given = [each for each in (json, text, content) if each is not None]
        if len(given) > 1:
            raise TypeError("An answer has json=, text= or content=, one of them")
        told = {name.lower(): value for name, value in (headers or {}).items()}
        pieces: list[bytes]
        if json is not None:
            pieces = [orjson.dumps(json)]
            told.setdefault("content-type", "application/json")
        elif text is not None:
            pieces = [text.encode()]
            told.setdefault("content-type", "text/plain; charset=utf-8")
        elif content is None:
            pieces = []
        else:
            pieces = [content] if isinstance(content, bytes) else list(content)
        pattern = re.compile(".*".join(map(re.escape, url.split("*"))), re.DOTALL)
        self.answers.append(
            Answer(
                method=None if method is None else method.upper(),
                url=pattern,
                has_query="?" in url,
                status=status,
                headers=told,
                pieces=pieces,
                error=error,
            )
        )

    def find(self, method: str, url: str) -> Answer:
        """Who answers a request. raises   UnansweredError"""
        for each in reversed(self.answers):
            if each.fits(method, url):
                return each
        raise UnansweredError(
            f"Nobody answers {method} {url}: `app.http.answer({url.partition('?')[0]!r}, …)`."
            " Nothing leaves a test"
        )

    def ask(self, asked: AskHttp) -> bytes:
        """Answer a request of a function in another process, as `AskHttp` says."""
        import httpx
        import orjson

        request = httpx.Request(
            asked.method, asked.url, headers=asked.headers, content=asked.body or None
        )
        self.requests.append(request)
        try:
            found = self.find(asked.method, asked.url)
        except UnansweredError as failure:
            return orjson.dumps({"error": [type(failure).__name__, str(failure)]})
        if found.error is not None:
            return orjson.dumps({"error": [type(found.error).__name__, str(found.error)]})
        body = b64encode(b"".join(found.pieces)).decode()
        headers = list(found.headers.items())
        return orjson.dumps({"status": found.status, "headers": headers, "body": body})
