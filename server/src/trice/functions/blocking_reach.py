"""`ctx.http`, `ctx.mail`, `ctx.files`, `ctx.stream` of plain actions: the words of `requests` and
`reaching`, which block in place of being awaited.

What lasts over several words, as an answer that is read piece by piece does, is held open by a task
of the loop: each word runs in a task of its own, and a context of asyncio ends in the one that it
began in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from trice.functions.call_thread import CallThread
from trice.functions.reaching import Files, Mail, StoredFile, StreamWriter
from trice.functions.requests import Http
from trice.schema.declare import Files as FilesNamespace
from trice.schema.declare import Id, Streams

if TYPE_CHECKING:
    from typing import Unpack

    import httpx

    from trice.functions.requests import RequestOptions

T = TypeVar("T")


class BlockingHttp:
    """Requests to others, as `requests.Http` describes them: `ctx.http.post(url, json={…})`."""

    def __init__(self, http: Http, thread: CallThread) -> None:
        self._http = http
        self._thread = thread

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return self._thread.wait(self._http.request(method, url, **options))

    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> BlockingReply:
        """Send a request; its answer is read inside of `with`, piece by piece."""
        return BlockingReply(self._http, self._thread, method, url, options)

    def get(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return self.request("HEAD", url, **options)

    def post(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        return self.request("DELETE", url, **options)


class BlockingReply:
    """An answer that is read while it comes: `with ctx.http.stream("GET", url) as reply`.

    answer   its status and headers, as httpx has them
    """

    answer: httpx.Response

    def __init__(
        self, http: Http, thread: CallThread, method: str, url: str, options: RequestOptions
    ) -> None:
        self._http = http
        self._thread = thread
        self._asked = (method, url)
        self._options = options
        self._left = asyncio.Event()
        self._holder: asyncio.Task[None] | None = None

    def iter_bytes(self) -> Iterator[bytes]:
        """The body, unpacked, in pieces as they come."""
        return _each(self._thread, self.answer.aiter_bytes())

    def iter_lines(self) -> Iterator[str]:
        """The body as lines of text."""
        return _each(self._thread, self.answer.aiter_lines())

    def __enter__(self) -> Self:
        self.answer = self._thread.wait(self._begin())
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.wait(self._end())

    async def _begin(self) -> httpx.Response:
        begun: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        self._holder = asyncio.ensure_future(self._hold(begun))
        try:
            either: list[asyncio.Future[Any]] = [self._holder, begun]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._holder.cancel()
            raise
        if not begun.done():
            self._holder.result()  # raises why there is no answer
        return begun.result()

    async def _hold(self, begun: asyncio.Future[httpx.Response]) -> None:
        async with self._http.stream(*self._asked, **self._options) as answer:
            begun.set_result(answer)
            await self._left.wait()

    async def _end(self) -> None:
        self._left.set()
        if self._holder is not None:
            await self._holder


class BlockingMail:
    """The mailer of the server, as `reaching.Mail` describes it."""

    def __init__(self, mail: Mail, thread: CallThread) -> None:
        self._mail = mail
        self._thread = thread

    def send(
        self, to: str, *, subject: str, text: str | None = None, html: str | None = None
    ) -> None:
        """Send an e-mail to one person. Arguments and errors are those of an async action."""
        self._thread.wait(self._mail.send(to, subject=subject, text=text, html=html))


class BlockingFile:
    """A file of the app as it was when it was asked for: `for piece in file` has its bytes."""

    def __init__(self, file: StoredFile, thread: CallThread) -> None:
        self._file = file
        self._thread = thread

    @property
    def id(self) -> Id[FilesNamespace]:
        return self._file.id

    @property
    def path(self) -> str:
        return self._file.path

    @property
    def size(self) -> int:
        """Bytes."""
        return self._file.size

    @property
    def content_type(self) -> str | None:
        return self._file.content_type

    @property
    def url(self) -> str:
        """Where anybody may read it for some days; for browsers."""
        return self._file.url

    def __iter__(self) -> Iterator[bytes]:
        return _each(self._thread, aiter(self._file))


class BlockingFiles:
    """The files of the app, as `reaching.Files` describes them."""

    def __init__(self, files: Files, thread: CallThread) -> None:
        self._files = files
        self._thread = thread

    def upload(
        self,
        path: str,
        data: bytes | Iterable[bytes],
        *,
        content_type: str | None = None,
        disposition: str | None = None,
    ) -> BlockingFile:
        """Keep bytes, or pieces of them as they come, as the file of a path."""
        is_whole = isinstance(data, (bytes, bytearray, memoryview))
        if isinstance(data, str) or not (is_whole or hasattr(data, "__iter__")):
            raise TypeError(f"A file is bytes, or an iterator of bytes, not {data!r:.60}")
        given: Any = data
        source = given if is_whole else _pieces(self._thread, iter(given))
        stored = self._files.upload(
            path, source, content_type=content_type, disposition=disposition
        )
        return BlockingFile(self._thread.wait(stored), self._thread)

    def find(self, path: str) -> BlockingFile | None:
        """The file of a path; None: there is none."""
        found = self._thread.wait(self._files.find(path))
        return None if found is None else BlockingFile(found, self._thread)

    def open(self, path: str) -> BlockingFile:
        """The file of a path, to be read. raises   RefusedError("file-not-found")"""
        return BlockingFile(self._thread.wait(self._files.open(path)), self._thread)

    def read(self, path: str) -> bytes:
        """All bytes of a file, 32 MiB at most. raises   RefusedError: `call-too-big`, as `open`"""
        return self._thread.wait(self._files.read(path))

    def delete(self, path: str) -> bool:
        """Delete the file of a path; returns whether there was one."""
        return self._thread.wait(self._files.delete(path))


class BlockingStream:
    """A stream of text that one action writes and many read, while `with` lasts."""

    def __init__(self, stream: StreamWriter, thread: CallThread) -> None:
        self._stream = stream
        self._thread = thread

    @property
    def id(self) -> Id[Streams]:
        """Of its row of `$streams`."""
        return self._stream.id

    @property
    def name(self) -> str:
        """Its `clientId`, by which clients may read it."""
        return self._stream.name

    def write(self, text: str) -> None:
        """Append text: readers get it at once. It waits while the disk is behind."""
        self._thread.wait(self._stream.write(text))

    def __enter__(self) -> Self:
        self._thread.wait(self._stream.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.wait(self._stream.__aexit__(kind, failure, trace))


def _each(thread: CallThread, source: AsyncIterator[T]) -> Iterator[T]:
    """What an async iterator has, each waited for on the thread."""
    end = object()

    async def following() -> Any:
        return await anext(source, end)

    while (found := thread.wait(following())) is not end:
        yield found


async def _pieces(thread: CallThread, source: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What an iterator of the thread has, for the loop: the thread waits for it meanwhile."""

    def one() -> bytes | None:
        return next(source, None)

    while (piece := await thread.work(one)) is not None:
        yield piece
