"""`ctx.mail`, `ctx.files`, `ctx.stream`: what actions have the server do. No I/O but the channel's.

Bytes and texts travel in pieces; the next is told once the server took the one before, so neither
side holds more than one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from trice import reach_limits as limits
from trice.functions import frames
from trice.functions.channel import RefusedError
from trice.functions.running import Running
from trice.functions.tables import BoundTable
from trice.functions.values import check_text
from trice.schema.declare import Files as FilesNamespace
from trice.schema.declare import Id, Streams

_ABORT_CHARS_MAX: Final = 200


class Mail:
    """The mailer of the server. E-mails have the sender of the app, as its sign-in codes do."""

    def __init__(self, running: Running) -> None:
        """Use `ctx.mail`."""
        self._running = running

    async def send(
        self, to: str, *, subject: str, text: str | None = None, html: str | None = None
    ) -> None:
        """Send an e-mail to one person. It has both forms; one that is not given is made of the
        other.

        to       one address
        subject  one line of 200 characters at most
        raises   RefusedError: `bad-args`, `rate-limited` (an app has 100 at once, 500 an hour, and
                 20 to one address), `email-send-failed`
        """
        if text is None and html is None:
            raise TypeError("An e-mail has text=, html=, or both")
        for name, given in (("to", to), ("subject", subject), ("text", text), ("html", html)):
            if given is not None or name in ("to", "subject"):
                check_text(f"{name}= of an e-mail", given)
        asked = frames.SendMail(to=to, subject=subject, text=text, html=html)
        await self._running.reach(asked)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the app as it was when it was asked for.

    size   bytes
    url    where anybody may read it for some days; for browsers
    """

    id: Id[FilesNamespace]
    path: str
    size: int
    content_type: str | None
    url: str
    _location: str
    _running: Running

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Its bytes, in pieces of 512 KiB at most. raises   RefusedError("file-not-found"): it was
        deleted meanwhile, or has other bytes"""
        start = 0
        while start < self.size:
            asked = frames.ReadFile(location=self._location, start=start)
            piece = await self._running.reach(asked)
            start += len(piece)
            yield piece


class Files:
    """The files of the app, rows of `$files`, by their paths. No rule applies."""

    def __init__(self, running: Running) -> None:
        """Use `ctx.files`."""
        self._running = running
        self._numbers = count(1)

    async def upload(
        self,
        path: str,
        data: bytes | AsyncIterable[bytes],
        *,
        content_type: str | None = None,
        disposition: str | None = None,
    ) -> StoredFile:
        """Keep bytes as the file of a path, in place of those that it had.

        data         bytes, or pieces as they come: `answer.aiter_bytes()` of `ctx.http.stream`
        disposition  a header of downloads: `attachment; filename="a.pdf"`
        raises       RefusedError: `message-too-big`, `app-quota-exceeded`, `validation-failed` for
                     a path that is none, `overloaded`. Nothing has changed then
        """
        is_whole = isinstance(data, (bytes, bytearray, memoryview))
        if not is_whole and not hasattr(data, "__aiter__"):
            raise TypeError(f"A file is bytes, or an async iterator of bytes, not {data!r:.60}")
        for name, given in (("content_type", content_type), ("disposition", disposition)):
            if given is not None:
                check_text(f"{name}= of a file", given)
        number = next(self._numbers)
        await self._running.reach(
            frames.PutFile(
                file=number,
                path=_path(path),
                content_type=content_type,
                disposition=disposition,
                size=len(data) if isinstance(data, (bytes, bytearray)) else None,
            )
        )
        is_kept = False
        try:
            source = _cut(data) if is_whole else _gathered(data)  # type: ignore[arg-type]
            async for piece in source:
                await self._running.reach(frames.FilePiece(file=number, data=piece))
            answer = await self._running.reach(frames.KeepFile(file=number))
            is_kept = True
        finally:
            if not is_kept:
                asked = frames.DropFile(file=number)
                self._running.reach_untold(asked)
        return self._stored(answer)

    async def find(self, path: str) -> StoredFile | None:
        """The file of a path; None: there is none."""
        answer = await self._running.reach(frames.FindFile(path=_path(path)))
        return None if answer == b"null" else self._stored(answer)

    async def open(self, path: str) -> StoredFile:
        """The file of a path, to be read: `async for piece in await ctx.files.open(path)`.

        raises   RefusedError("file-not-found")
        """
        found = await self.find(path)
        if found is None:
            raise RefusedError("file-not-found", f"There is no file {path!r:.200}.")
        return found

    async def read(self, path: str) -> bytes:
        """All bytes of a file, 32 MiB at most. raises   RefusedError: `call-too-big`, as `open`"""
        found = await self.open(path)
        most = limits.FILE_READ_BYTES_MAX
        if found.size > most:
            told = f"{path!r:.200} has {found.size:,} bytes; {most:,} are read at once: open it"
            raise RefusedError("call-too-big", f"{told}, and take it piece by piece.")
        return b"".join([piece async for piece in found])

    async def delete(self, path: str) -> bool:
        """Delete the file of a path; returns whether there was one."""
        return await self._running.reach(frames.DeleteFile(path=_path(path))) == b"true"

    def _stored(self, answer: bytes) -> StoredFile:
        known = msgspec.json.decode(answer)
        return StoredFile(
            id=Id(known["id"]),
            path=known["path"],
            size=known["size"],
            content_type=known["content-type"],
            url=known["url"],
            _location=known["location"],
            _running=self._running,
        )


class StreamWriter:
    """A stream of text that one action writes and many read, while `async with` lasts.

    id     of its row of `$streams`
    name   its `clientId`, by which clients may read it
    """

    id: Id[Streams]
    name: str

    def __init__(
        self, running: Running, number: int, *, name: str | None, values: Mapping[str, Any]
    ) -> None:
        """Use `ctx.stream`."""
        self._running = running
        self._number = number
        if name is not None:
            check_text("name= of a stream", name)
        self._begins = frames.BeginStream(stream=number, name=name, values=dict(values))
        self._is_open = False

    async def write(self, text: str) -> None:
        """Append text: readers get it at once. It waits while the disk is behind.

        raises   RefusedError: `stream-not-found` (its row was deleted), `overloaded`
        """
        if not self._is_open:
            raise RuntimeError("A stream is written inside of `async with ctx.stream(…)`")
        if not isinstance(text, str):
            raise TypeError(f"A stream is text, not {text!r:.60}")
        size = limits.STREAM_TEXT_CHARS
        for start in range(0, len(text), size):
            piece = text[start : start + size]
            await self._running.reach(frames.StreamText(stream=self._number, text=piece))

    async def __aenter__(self) -> Self:
        known = msgspec.json.decode(await self._running.reach(self._begins))
        self.id, self.name = Id(known["id"]), known["name"]
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        if failure is None:
            await self._running.reach(frames.EndStream(stream=self._number, abort_reason=None))
            return
        # Nothing is awaited: the call may be over, and then nobody answers.
        is_cancel = isinstance(failure, asyncio.CancelledError)
        reason = "cancelled" if is_cancel else type(failure).__name__[:_ABORT_CHARS_MAX]
        asked = frames.EndStream(stream=self._number, abort_reason=reason)
        self._running.reach_untold(asked)


def stream_values(
    running: Running, link: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Attributes and links of a stream by label, checked as `create` checks them.

    raises   TypeError for names that `$streams` has not
    """
    entity = running.program.hints.model.entity("$streams")
    for name in link:
        if entity.link(name) is None:
            known = ", ".join((*entity.links, *entity.backs)) or "none"
            raise TypeError(f"$streams has no link {name}. It has {known}")
    kept, running.steps = running.steps, []
    try:
        table = BoundTable(running, entity, scope=None, is_writing=True, as_caller=False)
        table.create(**{**values, **link})
        made: dict[str, Any] = dict(running.steps[0][3])
        for step in running.steps[1:]:
            made |= step[3]
    finally:
        running.steps = kept
    return made


def _path(given: str) -> str:
    check_text("The path of a file", given)
    return given


async def _cut(data: bytes) -> AsyncIterator[bytes]:
    with memoryview(data) as view:
        for start in range(0, len(view), limits.FILE_PIECE_BYTES):
            yield bytes(view[start : start + limits.FILE_PIECE_BYTES])


async def _gathered(source: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of reach_limits.FILE_PIECE_BYTES."""
    held = bytearray()
    async for piece in source:
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise TypeError(f"A piece of a file is bytes, not {piece!r:.60}")
        with memoryview(piece) as view:
            for start in range(0, len(view), limits.FILE_PIECE_BYTES):
                held += view[start : start + limits.FILE_PIECE_BYTES]
                while len(held) >= limits.FILE_PIECE_BYTES:
                    yield bytes(held[: limits.FILE_PIECE_BYTES])
                    del held[: limits.FILE_PIECE_BYTES]
    if held:
        yield bytes(held)
