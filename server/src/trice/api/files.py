"""Files over HTTP: upload, delete, list, and URLs that were signed (instant-http §2.2-§2.4).

Browsers are judged by the rules of `$files`; admins and developers are not. `downloads` serves the
bytes themselves.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from trice import file_limits as limits
from trice.api.bodies import JSON, Body, Route, json_body
from trice.api.callers import Lent, admin_caller, asked_app, developed, guest_of, runtime_caller
from trice.api.middleware import json_response
from trice.api.parameters import malformed, missing, text_in, uuid_in
from trice.apps.apps import App
from trice.errors import invalid, not_built
from trice.files.files import Action, Check, Files, Stored, allow, rule_check
from trice.files.rows import check_header, check_path
from trice.identity import network_of
from trice.protocol.quoting import brief
from trice.runtime import new_uuid

_NO_TYPES: Final = ("", "null", "undefined")
"""What browsers send as a content type when they know none."""

_UPLOAD: Final = Body(bytes_max=limits.FILE_BODY_BYTES_MAX)


# --- browsers -----------------------------------------------------------------------------------


async def upload(request: Request) -> Response:
    """`PUT /storage/upload`, raw bytes → `{"data": {"id", "location-id", "size"}}`."""
    async with runtime_caller(request) as lent:
        return await _upload(request, lent.app, check=_check(lent, "create"))


async def delete(request: Request) -> Response:
    """`DELETE /storage/files?app_id=…&filename=…` → `{"data": {"id" | null}}`."""
    async with runtime_caller(request) as lent:
        return await _delete_one(request, lent)


async def upload_url(request: Request) -> Response:
    """`POST /storage/signed-upload-url {"app_id", "filename"}` → `{"data": <url>}`."""
    body = await json_body(request)
    app_id = uuid_in(body, "app_id")
    async with runtime_caller(request, app_id=app_id) as lent:
        return await _upload_url(request, lent, body)


async def upload_by_url(request: Request) -> Response:
    """`PUT /storage/<token>/consume-upload-url`, raw bytes; works once."""
    files = _files(request)
    now_ms = request.app.state.runtime.now_ms()
    app_id, path = await files.tokens.take(request.path_params["token"], now_ms=now_ms)
    async with asked_app(request, app_id) as app:
        return _stored(await _keep(request, app, path, check=allow))


async def download_url(request: Request) -> Response:
    """`GET /storage/signed-download-url?app_id=…&filename=…` → `{"data": <url> | null}`."""
    async with runtime_caller(request) as lent:
        return await _download_url(request, lent)


# --- the app's own server -----------------------------------------------------------------------


async def admin_upload(request: Request) -> Response:
    """`PUT /admin/storage/upload`, as `upload`."""
    async with admin_caller(request) as lent:
        return await _upload(request, lent.app, check=_check(lent, "create"))


async def admin_delete(request: Request) -> Response:
    """`DELETE /admin/storage/files?filename=…`, as `delete`."""
    async with admin_caller(request) as lent:
        return await _delete_one(request, lent)


async def admin_delete_many(request: Request) -> Response:
    """`POST /admin/storage/files/delete {"filenames": […]}` → `{"data": {"ids": […]}}`."""
    async with admin_caller(request) as lent:
        return await _delete_many(request, lent.app, check=_check(lent, "delete"))


async def admin_list(request: Request) -> Response:
    """`GET /admin/storage/files` → `{"data": [{"key", "name", "size", "etag", "last_modified"}]}`.

    Only what the caller may view.
    """
    async with admin_caller(request) as lent:
        answer = await lent.app.database.query_nested(
            {"$files": {"$": {"fields": ["path", "size", "location-id"]}}}, identity=lent.identity
        )
        return json_response({"data": [_listed(row) for row in _rows(answer)]})


async def admin_upload_url(request: Request) -> Response:
    """`POST /admin/storage/signed-upload-url {"filename"}`, as `upload_url`."""
    async with admin_caller(request) as lent:
        return await _upload_url(request, lent, await json_body(request))


async def admin_download_url(request: Request) -> Response:
    """`GET /admin/storage/signed-download-url?filename=…`, as `download_url`."""
    async with admin_caller(request) as lent:
        return await _download_url(request, lent)


# --- developers ---------------------------------------------------------------------------------


async def dash_upload(request: Request) -> Response:
    """`PUT /dash/apps/:app_id/storage/upload`, as `upload`."""
    async with developed(request) as app:
        return await _upload(request, app, check=allow)


async def dash_delete_many(request: Request) -> Response:
    """`POST /dash/apps/:app_id/storage/files/delete {"filenames": […]}`."""
    async with developed(request) as app:
        return await _delete_many(request, app, check=allow)


# --- what they share ----------------------------------------------------------------------------


def _files(request: Request) -> Files:
    files: Files | None = request.app.state.files
    if files is None:
        raise not_built("File storage")
    return files


def _check(lent: Lent, action: Action) -> Check:
    return rule_check(lent.app.database, lent.identity, action)


async def _upload(request: Request, app: App, *, check: Check) -> Response:
    return _stored(await _keep(request, app, _path_header(request), check=check))


async def _keep(request: Request, app: App, path: str, *, check: Check) -> Stored:
    return await _files(request).upload(
        app,
        path,
        request.stream(),
        network=network_of(guest_of(request).ip),
        size=_content_length(request),
        content_type=_header(request, "content-type"),
        disposition=_header(request, "content-disposition"),
        check=check,
    )


def _stored(stored: Stored) -> Response:
    return json_response(
        {"data": {"id": stored.id, "location-id": stored.location_id, "size": stored.size}}
    )


async def _delete_one(request: Request, lent: Lent) -> Response:
    path = text_in(request.query_params, "filename", place="params")
    (found,) = await _files(request).delete(lent.app, [path], check=_check(lent, "delete"))
    return json_response({"data": {"id": found}})


async def _delete_many(request: Request, app: App, *, check: Check) -> Response:
    paths = _filenames(await json_body(request))
    found = await _files(request).delete(app, paths, check=check)
    ids = dict.fromkeys(id for id in found if id is not None)
    return json_response({"data": {"ids": list(ids)}})


async def _upload_url(request: Request, lent: Lent, body: dict[str, Any]) -> Response:
    path = check_path(text_in(body, "filename"))
    files, runtime = _files(request), request.app.state.runtime
    check = _check(lent, "create")
    await lent.app.database.look(lambda look: check(look, path))
    token = files.tokens.make(lent.app.id, path, now_ms=runtime.now_ms(), nonce=new_uuid(runtime))
    return json_response({"data": f"{files.base_url}/storage/{token}/consume-upload-url"})


async def _download_url(request: Request, lent: Lent) -> Response:
    path = text_in(request.query_params, "filename", place="params")
    url = await _files(request).find_url(lent.app, path, check=_check(lent, "view"))
    return json_response({"data": url})


def _path_header(request: Request) -> str:
    """The header `path`: UTF-8 if it is valid UTF-8, else Latin-1 (instant-realtime §20)."""
    for name, raw in request.headers.raw:
        if name == b"path":
            try:
                path = raw.decode()
            except UnicodeDecodeError:
                path = raw.decode("latin-1")
            return path.strip()
    raise missing("headers", "path")


def _header(request: Request, name: str) -> str | None:
    """A header that is optional; None when it says nothing."""
    value = request.headers.get(name, "").strip()
    return None if value.lower() in _NO_TYPES else check_header(value, name=name)


def _content_length(request: Request) -> int | None:
    given = request.headers.get("content-length", "")
    return int(given) if given.isdecimal() else None


def _filenames(body: dict[str, Any]) -> list[str]:
    if "filenames" not in body:
        raise missing("body", "filenames")
    given = body["filenames"]
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise malformed("body", "filenames", given=brief(given), accepted="a list of paths")
    if len(given) > limits.DELETED_AT_ONCE_MAX:
        problem = (
            f"There are {len(given):,} paths; up to {limits.DELETED_AT_ONCE_MAX:,} are deleted in"
            " one request."
        )
        raise invalid("filenames", None, [{"message": problem, "in": ["filenames"]}])
    return given


def _rows(answer: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(answer)["$files"]
    return found


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": row.get("location-id"),
        "name": row.get("path"),
        "size": row.get("size"),
        "etag": None,
        "last_modified": None,
    }


_ADMIN: Final = "/admin/storage"
_DASH: Final = "/dash/apps/{app_id}/storage"

ROUTES: Final = (
    Route("/storage/upload", upload, methods=["PUT"], body=_UPLOAD),
    Route("/storage/files", delete, methods=["DELETE"]),
    Route("/storage/signed-upload-url", upload_url, methods=["POST"], body=JSON),
    Route("/storage/{token}/consume-upload-url", upload_by_url, methods=["PUT"], body=_UPLOAD),
    Route("/storage/signed-download-url", download_url, methods=["GET"]),
    Route(f"{_ADMIN}/upload", admin_upload, methods=["PUT"], body=_UPLOAD),
    Route(f"{_ADMIN}/files", admin_delete, methods=["DELETE"]),
    Route(f"{_ADMIN}/files", admin_list, methods=["GET"]),
    Route(f"{_ADMIN}/files/delete", admin_delete_many, methods=["POST"], body=JSON),
    Route(f"{_ADMIN}/signed-upload-url", admin_upload_url, methods=["POST"], body=JSON),
    Route(f"{_ADMIN}/signed-download-url", admin_download_url, methods=["GET"]),
    Route(f"{_DASH}/upload", dash_upload, methods=["PUT"], body=_UPLOAD),
    Route(f"{_DASH}/files/delete", dash_delete_many, methods=["POST"], body=JSON),
)
