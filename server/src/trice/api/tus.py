"""Resumable uploads: the protocol tus 1.0.0 (https://tus.io/protocols/resumable-upload).

    POST    /storage/tus      Upload-Length, Upload-Metadata → 201, `location`
    PATCH   /storage/tus/ID   Upload-Offset, bytes           → 204, `upload-offset`
    HEAD    /storage/tus/ID                                  → 200, `upload-offset`, `upload-length`
    DELETE  /storage/tus/ID                                  → 204
    OPTIONS /storage/tus                                     → 204, what the server takes

The same below /admin/storage/tus. Callers, rules and bounds are those of `PUT /storage/upload`.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from trice import file_limits as limits
from trice.api.bodies import NO_BODY, Body, Route
from trice.api.callers import Lent, admin_caller, guest_of, runtime_caller
from trice.api.middleware import always_answer, prefix_of
from trice.api.parameters import malformed, missing
from trice.errors import InvalidInput, NotFound, not_built
from trice.files.files import Check, rule_check
from trice.files.partials import Partial
from trice.files.resumable import Checksum, ResumableUploads
from trice.files.rows import check_header
from trice.identity import network_of
from trice.protocol.ids import find_uuid_bytes, uuid_text
from trice.protocol.quoting import bare, brief

VERSION: Final = "1.0.0"
_EXTENSIONS: Final = "creation,creation-with-upload,termination,expiration,checksum"
_HASHES: Final[Mapping[str, Callable[[], Any]]] = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
_PART: Final = "application/offset+octet-stream"
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_ALWAYS: Final = {
    "tus-resumable": VERSION,
    "access-control-expose-headers": (
        "location, tus-resumable, tus-version, tus-extension, tus-max-size,"
        " tus-checksum-algorithm, upload-offset, upload-length, upload-metadata, upload-expires,"
        " trice-file-id, trice-location-id, trice-tx-id, x-trace-id"
    ),
}
_TYPE_KEYS: Final = ("contentType", "content-type", "filetype", "type")
_PATH_KEYS: Final = ("path", "filename", "name")
_DISPOSITION_KEYS: Final = ("contentDisposition", "content-disposition")
_ID_KEYS: Final = ("fileId",)

Endpoint = Callable[[Request], Awaitable[Response]]


def _speaks_tus(endpoint: Endpoint) -> Endpoint:
    """Add what every answer has, and refuse other versions of the protocol."""

    async def answer(request: Request) -> Response:
        always_answer(request.scope, _ALWAYS)
        if request.headers.get("tus-resumable") != VERSION:
            always_answer(request.scope, {**_ALWAYS, "tus-version": VERSION})
            raise InvalidInput(
                "tus-version-unknown",
                f"This path speaks tus {VERSION}; the header Tus-Resumable says that the request"
                f" does, and here it is {brief(request.headers.get('tus-resumable'))}.",
                {"in": ["headers", "tus-resumable"]},
            )
        return await endpoint(request)

    return answer


async def options(request: Request) -> Response:
    """What the server takes."""
    always_answer(request.scope, _ALWAYS)
    told = {
        "tus-version": VERSION,
        "tus-extension": _EXTENSIONS,
        "tus-max-size": str(_uploads(request).bytes_max),
        "tus-checksum-algorithm": ",".join(_HASHES),
    }
    return Response(status_code=204, headers=told)


@_speaks_tus
async def create(request: Request) -> Response:
    """Begin an upload; with a body of the type of parts, its first part comes along."""
    uploads = _uploads(request)
    length = _number(request, "upload-length")
    raw = request.headers.get("upload-metadata", "")
    metadata = _metadata(raw)
    async with _caller(request) as lent:
        check, network = _check(lent), _network(request)
        partial = await uploads.create(
            lent.app,
            _path(metadata),
            identity=lent.identity,
            network=network,
            length=length,
            metadata=raw,
            content_type=_header(metadata, _TYPE_KEYS, name="content-type"),
            disposition=_header(metadata, _DISPOSITION_KEYS, name="content-disposition"),
            wanted_id=_id(metadata),
            check=check,
        )
        place = f"{prefix_of(request.scope)}{request.url.path}/{partial.id}"
        if _is_part(request):
            always_answer(request.scope, {**_ALWAYS, "location": place})
            await uploads.append(
                lent.app,
                partial,
                0,
                request.stream(),
                network=network,
                checksum=_checksum(request),
                check=check,
            )
        elif not length:
            await uploads.settle(lent.app, partial, network=network, check=check)
    return Response(status_code=201, headers={"location": place, **_state(partial)})


@_speaks_tus
async def look(request: Request) -> Response:
    """How far an upload is."""
    async with _own(request) as (lent, partial):
        await _uploads(request).settle(
            lent.app, partial, network=_network(request), check=_check(lent)
        )
        told = {"upload-length": str(partial.length), "cache-control": "no-store"}
        if partial.metadata:
            told["upload-metadata"] = partial.metadata
        return Response(headers={**told, **_state(partial)})


@_speaks_tus
async def append(request: Request) -> Response:
    """Add a part."""
    if not _is_part(request):
        raise InvalidInput(
            "content-type-refused",
            f"A part has the content type {_PART};"
            f" here it is {brief(request.headers.get('content-type'))}.",
            {"in": ["headers", "content-type"]},
        )
    offset, checksum = _number(request, "upload-offset"), _checksum(request)
    async with _own(request) as (lent, partial):
        await _uploads(request).append(
            lent.app,
            partial,
            offset,
            request.stream(),
            network=_network(request),
            checksum=checksum,
            check=_check(lent),
        )
    return Response(status_code=204, headers=_state(partial))


@_speaks_tus
async def remove(request: Request) -> Response:
    """Forget an upload. A file that it was stored as stays."""
    async with _own(request) as (_, partial):
        await _uploads(request).remove(partial)
    return Response(status_code=204)


async def other_method(request: Request) -> Response:
    """A request whose real method a proxy would not let through: `X-HTTP-Method-Override`."""
    method = request.headers.get("x-http-method-override", "").upper()
    endpoint = {"PATCH": append, "DELETE": remove, "HEAD": look}.get(method)
    if endpoint is None:
        raise NotFound(
            "route-not-found",
            f"POST {bare(request.url.path)} takes the header X-HTTP-Method-Override with PATCH,"
            " DELETE or HEAD.",
        )
    return await endpoint(request)


# --- what they share ----------------------------------------------------------------------------


def _uploads(request: Request) -> ResumableUploads:
    uploads: ResumableUploads | None = getattr(request.app.state, "resumable", None)
    if uploads is None:
        raise not_built("File storage")
    return uploads


@asynccontextmanager
async def _caller(request: Request, app_id: str | None = None) -> AsyncIterator[Lent]:
    if request.url.path.startswith("/admin/"):
        async with admin_caller(request) as lent:
            yield lent
    else:
        async with runtime_caller(request, app_id=app_id) as lent:
            yield lent


@asynccontextmanager
async def _own(request: Request) -> AsyncIterator[tuple[Lent, Partial]]:
    """The upload in the path, if this caller began it. Its URL says which app it is of."""
    uploads, id = _uploads(request), request.path_params["id"]
    async with _caller(request, uploads.find_app(id)) as lent:
        yield lent, uploads.get(id, lent.app, lent.identity)


def _check(lent: Lent) -> Check:
    return rule_check(lent.app.database, lent.identity, "create")


def _network(request: Request) -> str:
    return network_of(guest_of(request).ip)


def _state(partial: Partial) -> dict[str, str]:
    """How far an upload is, until when it may go on, and what it was stored as."""
    told = {"upload-offset": str(partial.offset)}
    if partial.file_id is not None and partial.location_id is not None:
        told |= {"trice-file-id": partial.file_id, "trice-location-id": partial.location_id}
        if partial.tx is not None:
            told["trice-tx-id"] = str(partial.tx)
    else:
        told["upload-expires"] = formatdate(partial.ends_ms / 1000, usegmt=True)
    return told


def _is_part(request: Request) -> bool:
    return request.headers.get("content-type", "").strip().lower() == _PART


def _number(request: Request, name: str) -> int:
    given = request.headers.get(name)
    if given is None:
        raise missing("headers", name)
    if not _NUMBER.fullmatch(given):
        raise malformed("headers", name, given=brief(given), accepted="a number of bytes")
    return int(given)


def _metadata(raw: str) -> dict[str, str]:
    """The header Upload-Metadata: `key base64,key base64,key`."""
    place = ("headers", "upload-metadata")
    if len(raw) > limits.METADATA_CHARS_MAX:
        accepted = f"up to {limits.METADATA_CHARS_MAX:,} characters"
        raise malformed(*place, given=None, accepted=accepted)
    found: dict[str, str] = {}
    for pair in filter(None, map(str.strip, raw.split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            accepted = "pairs `key base64` of UTF-8, with commas between them"
            raise malformed(*place, given=brief(pair), accepted=accepted) from None
    return found


def _first(metadata: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    return next((metadata[key].strip() for key in keys if metadata.get(key, "").strip()), None)


def _path(metadata: Mapping[str, str]) -> str:
    found = _first(metadata, _PATH_KEYS)
    if found is not None:
        return found
    accepted = "`path` (or `filename`) among its keys: `path cGhvdG9zL2NhdC5qcGc=`"
    raise malformed("headers", "upload-metadata", given=None, accepted=accepted)


def _id(metadata: Mapping[str, str]) -> str | None:
    """The id that the client chose for a new row."""
    given = _first(metadata, _ID_KEYS)
    if given is None:
        return None
    raw = find_uuid_bytes(given)
    if raw is None:
        raise malformed(
            "headers", "upload-metadata", given=brief(given), accepted="a UUID as `fileId`"
        )
    return uuid_text(raw)


def _header(metadata: Mapping[str, str], keys: tuple[str, ...], *, name: str) -> str | None:
    value = _first(metadata, keys)
    says_nothing = value is None or value.lower() in ("null", "undefined")
    return None if value is None or says_nothing else check_header(value, name=name)


def _checksum(request: Request) -> Checksum | None:
    """The header Upload-Checksum: `sha256 base64`."""
    given = request.headers.get("upload-checksum")
    if given is None:
        return None
    name, _, digest = given.strip().partition(" ")
    try:
        return Checksum(_HASHES[name](), b64decode(digest.strip(), validate=True))
    except (KeyError, binascii.Error, ValueError):
        accepted = f"{' or '.join(_HASHES)}, a blank, and the digest as base64"
        raise malformed(
            "headers", "upload-checksum", given=brief(given), accepted=accepted
        ) from None


_UPLOAD: Final = Body(bytes_max=limits.FILE_BODY_BYTES_MAX)

ROUTES: Final = tuple(
    Route(path, endpoint, methods=[method], body=body)
    for base in ("/storage/tus", "/admin/storage/tus")
    for path, endpoint, method, body in (
        (base, options, "OPTIONS", NO_BODY),
        (base, create, "POST", _UPLOAD),
        (f"{base}/{{id}}", options, "OPTIONS", NO_BODY),
        (f"{base}/{{id}}", look, "HEAD", NO_BODY),
        (f"{base}/{{id}}", append, "PATCH", _UPLOAD),
        (f"{base}/{{id}}", remove, "DELETE", NO_BODY),
        (f"{base}/{{id}}", other_method, "POST", _UPLOAD),
    )
)
