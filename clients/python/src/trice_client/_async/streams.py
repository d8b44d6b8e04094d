"""Streams: text that one writes and many read, meanwhile and afterwards (docs/streams.md)."""

from __future__ import annotations

import codecs
import random
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from trice_client._asked import Asked, told_number
from trice_client._async.requests import AsyncRequests, reading
from trice_client._clock import sleep_async as sleep
from trice_client._config import Caller
from trice_client._errors import TriceError
from trice_client._retry import may_repeat, wait_s

_SILENCE_S = 60.0
"""A stream that says nothing for so long is asked again: its connection may be dead."""
_FAILURES_MAX = 10
_TEXT = {"content-type": "text/plain"}


class AsyncStreams:
    """`db.streams`."""

    def __init__(self, requests: AsyncRequests, caller: Caller) -> None:
        self._requests = requests
        self._caller = caller

    async def write(self, name: str, *, token: str | None = None) -> AsyncStreamWriter:
        """Makes a stream, or goes on with one that this caller made.

            async with await db.streams.write("answer-42") as stream:
                await stream.write("Hello ")

        token   a uuid: who knows it may go on with the stream. A guest's is made if none is given
        """
        if token is None and self._caller.own_token() is None:
            token = str(uuid4())
        writer = AsyncStreamWriter(self._requests, self._caller, name, token)
        await writer.begin()
        return writer

    async def read_bytes(
        self, name: str, *, offset: int = 0, follow: bool = True
    ) -> AsyncIterator[bytes]:
        """The bytes of a stream from `offset` on, as they come, until it is done.

        follow   False: only what is there now
        raises   TriceError("stream-not-found"), or whatever refuses it
        """
        failures = 0
        while True:
            before = offset
            params = {"offset": str(offset), **({"live": "chunked"} if follow else {})}
            headers = self._caller.bearer()
            asked = Asked("GET", _path(self._caller, name), params, headers, timeout_s=_SILENCE_S)
            try:
                async with self._requests.open(asked) as answer:
                    async for piece in reading(answer.aiter_bytes(), self._requests.origin):
                        offset += len(piece)
                        yield piece
                return
            except TriceError as error:
                failures = 1 if offset > before or error.is_silence else failures + 1
                if failures > _FAILURES_MAX or not may_repeat(error, "always"):
                    raise
                if not error.is_silence:
                    await sleep(wait_s(failures, random.random(), error))

    async def read(self, name: str, *, offset: int = 0, follow: bool = True) -> AsyncIterator[str]:
        """The same as texts, which cut no character. offset   in bytes of UTF-8"""
        decoder = codecs.getincrementaldecoder("utf-8")()
        async for piece in self.read_bytes(name, offset=offset, follow=follow):
            text = decoder.decode(piece)
            if text:
                yield text

    async def delete(self, name: str) -> None:
        """Deletes a stream, and frees its name. Needs the admin token."""
        headers = self._caller.admin_headers()
        await self._requests.send(Asked("DELETE", _path(self._caller, name), headers=headers))


class AsyncStreamWriter:
    """The writing end. What `write` returned from is durable, once, also after lost connections.

    offset   where the stream ends, in bytes of UTF-8
    token    of a stream that a guest made, or that was given one
    """

    def __init__(
        self, requests: AsyncRequests, caller: Caller, name: str, token: str | None
    ) -> None:
        self._requests = requests
        self._caller = caller
        self._name = name
        self.token = token
        self.offset = 0
        self.is_closed = False

    async def write(self, text: str) -> None:
        """Appends text. raises   TriceError("stream-conflict") if another writer has taken over"""
        raw = text.encode()
        if raw:
            await self._append(raw, {})

    async def aclose(self) -> None:
        """Ends the stream: its readers end too."""
        if not self.is_closed:
            await self._append(b"", {"stream-closed": "true"})
            self.is_closed = True

    async def __aenter__(self) -> AsyncStreamWriter:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        # After a failure the stream stays open, and another writer can go on with it.
        if kind is None:
            await self.aclose()

    async def begin(self) -> None:
        told = await self._requests.send(
            Asked("PUT", _path(self._caller, self._name), headers=self._headers({}))
        )
        self.offset = told_number(told, "stream-next-offset")

    async def _append(self, raw: bytes, more: dict[str, str]) -> None:
        """Sends it until it is there: an answer that says the end behind it says that it came."""
        failures, end = 0, self.offset + len(raw)
        while True:
            asked = Asked(
                "POST",
                _path(self._caller, self._name),
                {"offset": str(self.offset)},
                self._headers(more),
                content=raw,
                repeats="unsent",
            )
            try:
                await self._requests.send(asked)
                break
            except TriceError as error:
                failures += 1
                if failures > 1 and error.status == 409 and await self._end() == end:
                    break
                if failures > _FAILURES_MAX or not may_repeat(error, "always"):
                    raise
                await sleep(wait_s(failures, random.random(), error))
        self.offset = end

    async def _end(self) -> int:
        asked = Asked("HEAD", _path(self._caller, self._name), headers=self._headers({}))
        return told_number(await self._requests.send(asked), "stream-next-offset")

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        own: dict[str, Any] = {} if self.token is None else {"stream-token": self.token}
        return {**self._caller.bearer(), **_TEXT, **own, **more}


def _path(caller: Caller, name: str) -> str:
    return f"/streams/{caller.app_id}/{quote(name, safe='')}"
