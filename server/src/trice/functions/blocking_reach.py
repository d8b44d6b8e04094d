"""`ctx.http`, `ctx.mail`, `ctx.files`, `ctx.stream` of plain actions: the words of `requests` and
`reaching`, which run on the loop and are waited for on the thread of the call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack

from trice.functions.call_thread import CallThread
from trice.functions.reaching import Files, Mail, StoredFile, StreamWriter
from trice.functions.requests import Http
from trice.schema.declare import Files as FilesNamespace
from trice.schema.declare import Id, Streams

if TYPE_CHECKING:
    import httpx

    from trice.functions.requests import RequestOptions

T = TypeVar("T")
_END: Final[Any] = object()


class BlockingHttp:
    """Requests to others, as `trice.functions.Http` has them: bounds, options, answers, errors."""

    def __init__(self, http: Http, thread: CallThread) -> None:
        """Use `ctx.http`."""
        self._http = http
        self._thread = thread

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> httpx.Response:
        """Send a request and wait for the whole answer. raises   httpx.HTTPError"""
        return self._thread.wait(self._http.request(method, url, **options))

    @contextmanager
    def stream(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> Iterator[BlockingAnswer]:
        """Send a request; its answer is read inside of `with`, piece by piece, up to 1 GiB.

        timeout   seconds until the answer begins, and from piece to piece
        """
        made = self._http.stream(method, url, **options)

        async def enter() -> httpx.Response:
            return await made.__aenter__()

        async def leave() -> None:
            await made.__aexit__(None, None, None)

        answer = self._thread.wait(enter())
        try:
            yield BlockingAnswer(answer, self._thread)
        finally:
            self._thread.wait(leave())

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


class BlockingAnswer:
    """An answer that is read piece by piece."""

    def __init__(self, answer: httpx.Response, thread: CallThread) -> None:
        self._answer = answer
        self._thread = thread

    @property
    def status_code(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> httpx.Headers:
        return self._answer.headers

    def raise_for_status(self) -> Self:
        """raises   httpx.HTTPStatusError: the status is 400 or more"""
        self._answer.raise_for_status()
        return self

    def iter_bytes(self) -> Iterator[bytes]:
        return _pulled(self._answer.aiter_bytes(), self._thread)

    def iter_text(self) -> Iterator[str]:
        return _pulled(self._answer.aiter_text(), self._thread)

    def iter_lines(self) -> Iterator[str]:
        return _pulled(self._answer.aiter_lines(), self._thread)


class BlockingMail:
    """The mailer of the server."""

    def __init__(self, mail: Mail, thread: CallThread) -> None:
        """Use `ctx.mail`."""
        self._mail = mail
        self._thread = thread

    def send(
        self, to: str, *, subject: str, text: str | None = None, html: str | None = None
    ) -> None:
        """Send an e-mail to one person. Arguments and errors as of `trice.functions.Mail`."""
        self._thread.wait(self._mail.send(to, subject=subject, text=text, html=html))


class BlockingFile:
    """A file of the app as it was when it was asked for. `for piece in file` has its bytes."""

    def __init__(self, file: StoredFile, thread: CallThread) -> None:
        self._file = file
        self._thread = thread
        self.id: Id[FilesNamespace] = file.id
        self.path = file.path
        self.size = file.size
        self.content_type = file.content_type
        self.url = file.url

    def __iter__(self) -> Iterator[bytes]:
        return _pulled(aiter(self._file), self._thread)


class BlockingFiles:
    """The files of the app, by their paths, with the bounds and errors of `Files`."""

    def __init__(self, files: Files, thread: CallThread) -> None:
        """Use `ctx.files`."""
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
        """Keep bytes as the file of a path: all of them, or pieces as an iterator brings them."""
        given: Any = data
        if isinstance(data, Iterable) and not isinstance(data, (bytes, bytearray, memoryview)):
            given = _brought(iter(data), self._thread.work)
        asked = self._files.upload(path, given, content_type=content_type, disposition=disposition)
        return BlockingFile(self._thread.wait(asked), self._thread)

    def find(self, path: str) -> BlockingFile | None:
        """The file of a path; None: there is none."""
        found = self._thread.wait(self._files.find(path))
        return None if found is None else BlockingFile(found, self._thread)

    def open(self, path: str) -> BlockingFile:
        """The file of a path, to be read. raises   RefusedError("file-not-found")"""
        return BlockingFile(self._thread.wait(self._files.open(path)), self._thread)

    def read(self, path: str) -> bytes:
        """All bytes of a file, 32 MiB at most."""
        return self._thread.wait(self._files.read(path))

    def delete(self, path: str) -> bool:
        """Delete the file of a path; returns whether there was one."""
        return self._thread.wait(self._files.delete(path))


class BlockingStream:
    """A stream of text that one action writes and many read, while `with` lasts."""

    id: Id[Streams]
    name: str

    def __init__(self, writer: StreamWriter, thread: CallThread) -> None:
        """Use `ctx.stream`."""
        self._writer = writer
        self._thread = thread

    def write(self, text: str) -> None:
        """Append text: readers get it at once. It waits while the disk is behind."""
        self._thread.wait(self._writer.write(text))

    def __enter__(self) -> Self:
        self._thread.wait(self._writer.__aenter__())
        self.id, self.name = self._writer.id, self._writer.name
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.wait(self._writer.__aexit__(kind, failure, trace))


def _pulled(source: AsyncIterator[T], thread: CallThread) -> Iterator[T]:
    """What the loop brings, taken on the thread."""

    async def take() -> Any:
        return await anext(source, _END)

    async def close() -> None:
        aclose = getattr(source, "aclose", None)
        if aclose is not None:
            await aclose()

    try:
        while (piece := thread.wait(take())) is not _END:
            yield piece
    finally:
        thread.wait(close())


async def _brought(
    source: Iterator[bytes], work: Callable[[Callable[[], Any]], Any]
) -> AsyncIterator[bytes]:
    """What the thread brings while it waits, taken on the loop."""
    while (piece := await work(lambda: next(source, _END))) is not _END:
        yield piece
