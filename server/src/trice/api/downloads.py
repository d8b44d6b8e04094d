"""The route of the bytes of files: `/files/{app_id}/{location_id}` (spec/files.md F100-F128).

signature ──> row ──> variant? ──> conditions, range ──> pieces of a file, or of a bucket
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from trice.api.bodies import Route
from trice.api.callers import asked_app, guest_of
from trice.api.pieces import Pieces
from trice.apps.apps import App
from trice.errors import NotFound, not_built
from trice.files import urls
from trice.files.local_bytes import LocalBytes
from trice.files.serving import Facts, answer, disposition, media_type, redirect_headers
from trice.files.variant import Variant, find_variant
from trice.files.variants import Source, Variants
from trice.identity import network_of
from trice.metrics import FileCounts
from trice.protocol.ids import AppId


class _Blobs(Protocol):
    """Where bytes are kept, as far as downloads know it."""

    def path(self, app_id: AppId, hash: str, /) -> Path | None: ...

    def read(
        self, app_id: AppId, hash: str, start: int, end: int, /
    ) -> AsyncGenerator[bytes, None]: ...

    async def signed_url(
        self, app_id: AppId, hash: str, /, *, expires_s: int, content_type: str, disposition: str
    ) -> str | None: ...


class _Row(Protocol):
    """The row of `$files` that names the bytes."""

    @property
    def path(self) -> str: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def content_disposition(self) -> str | None: ...
    @property
    def hash(self) -> str: ...
    @property
    def size(self) -> int: ...


class Files(Protocol):
    """The files of a server, as far as downloads know them."""

    @property
    def blobs(self) -> _Blobs:
        """Where bytes are kept."""
        ...

    @property
    def counts(self) -> FileCounts:
        """What became of bytes."""
        ...

    @property
    def url_key(self) -> bytes:
        """Signs URLs; see `files/urls`."""
        ...

    async def open(self, app: App, location_id: str, /) -> _Row:
        """The row that has this location now; raises NotFound("file-not-found")."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """Bytes that are ready to be sent.

    read    the bytes start..end, in pieces
    close   gives back what it holds; called once nothing is read any more
    """

    facts: Facts
    read: Callable[[int, int], AsyncGenerator[bytes, None]]
    close: Callable[[], object]


async def download(request: Request) -> Response:
    """`GET /files/APP/LOCATION?expires=…&signature=…[&w=…&h=…&fit=…&format=…&q=…]` → the bytes of a
    file, or of a variant of the image that it is.

    raises   PermissionDenied("file-url-invalid"), NotFound("file-not-found")
    """
    files: Files | None = request.app.state.files
    if files is None:
        raise not_built("File storage")
    app_id = AppId(request.path_params["app_id"])
    location_id = request.path_params["location_id"]
    now_ms = request.app.state.runtime.now_ms()
    params = request.query_params
    expires_s = urls.verify(files.url_key, app_id, location_id, params, now_ms=now_ms)
    variant = find_variant(params)
    async with asked_app(request, app_id) as app:
        row = await files.open(app, location_id)
        is_ephemeral = app.is_ephemeral
    facts = _facts(row, expires_s)
    if variant is not None:
        opened = await _variant(request, row, facts, variant, is_minor=is_ephemeral)
    else:
        url = await _direct_url(request, row, facts)
        if url is not None:
            return Response(None, 302, redirect_headers(facts, url=url, now_ms=now_ms))
        opened = await _whole(request, row, facts)
    return await send_bytes(request, opened)


def _facts(row: _Row, expires_s: int) -> Facts:
    return Facts(
        etag=row.hash,
        size=row.size,
        content_type=row.content_type or "",
        disposition=row.content_disposition,
        name=PurePosixPath(row.path).name,
        modified_ms=None,
        expires_s=expires_s,
    )


async def _whole(request: Request, row: _Row, facts: Facts) -> Opened:
    """The bytes of a file as they were uploaded."""
    files: Files = request.app.state.files
    app_id = AppId(request.path_params["app_id"])
    path = files.blobs.path(app_id, row.hash)
    if path is None:
        read = partial(files.blobs.read, app_id, row.hash)
        return Opened(facts, read, lambda: None)
    try:
        opened = await LocalBytes.open(path, threads=request.app.state.file_readers)
    except FileNotFoundError:
        raise _deleted() from None
    facts = replace(facts, size=opened.size, modified_ms=opened.modified_ms)
    return Opened(facts, opened.read, opened.close)


async def _variant(
    request: Request, row: _Row, facts: Facts, variant: Variant, *, is_minor: bool
) -> Opened:
    """The bytes of a variant."""
    files: Files = request.app.state.files
    variants: Variants = request.app.state.variants
    app_id = AppId(request.path_params["app_id"])
    read = partial(files.blobs.read, app_id, row.hash, 0, row.size)
    source = Source(app_id, row.hash, row.size, files.blobs.path(app_id, row.hash), read)
    network = network_of(guest_of(request).ip)
    opened = await variants.open(variant, source, network=network, is_minor=is_minor)
    name = PurePosixPath(facts.name).stem or "file"
    facts = Facts(
        etag=f"{row.hash}-{variant.name}",
        size=opened.size,
        content_type=variant.media_type,
        disposition=None,
        name=f"{name}.{variant.format}",
        modified_ms=None,
        expires_s=facts.expires_s,
    )
    return Opened(facts, opened.read, opened.close)


async def _direct_url(request: Request, row: _Row, facts: Facts) -> str | None:
    """The URL of the bucket, when bytes are in one and clients are to go there."""
    if not request.app.state.settings.has_direct_files:
        return None
    files: Files = request.app.state.files
    left_s = facts.expires_s - request.app.state.runtime.now_ms() // 1000
    return await files.blobs.signed_url(
        AppId(request.path_params["app_id"]),
        row.hash,
        expires_s=left_s,
        content_type=media_type(facts),
        disposition=disposition(facts),
    )


async def send_bytes(request: Request, opened: Opened) -> Response:
    """Answer with the bytes a request asks for. Raises NotFound when they are gone meanwhile."""
    now_ms = request.app.state.runtime.now_ms()
    found = answer(request.method, request.headers, opened.facts, now_ms=now_ms)
    if found.start == found.end:
        opened.close()
        return Response(None, found.status, found.headers)
    counts: FileCounts = request.app.state.files.counts
    pieces = opened.read(found.start, found.end)
    try:
        # Bytes that are not there are told as an error, which a begun answer could not be.
        first = await anext(pieces)
    except (NotFound, StopAsyncIteration):
        opened.close()
        raise _deleted() from None
    if len(first) == found.end - found.start:
        await pieces.aclose()
        counts.sent_bytes += len(first)
        return Response(first, found.status, found.headers)
    response = Pieces(
        _joined(first, pieces, counts),
        media_type=found.headers["content-type"],
        headers=found.headers,
        on_end=opened.close,
    )
    response.status_code = found.status
    return response


async def _joined(
    first: bytes, rest: AsyncGenerator[bytes, None], counts: FileCounts
) -> AsyncGenerator[bytes, None]:
    try:
        counts.sent_bytes += len(first)
        yield first
        del first  # else it is held as long as the client takes to read the rest
        async for piece in rest:
            counts.sent_bytes += len(piece)
            yield piece
    finally:
        await rest.aclose()


def _deleted() -> NotFound:
    """The row was deleted, and its bytes collected, since it was read."""
    return NotFound("file-not-found", "The file was deleted.")


ROUTES: Final = (Route("/files/{app_id}/{location_id}", download, methods=["GET"]),)
