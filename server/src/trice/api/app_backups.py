"""Backups of an app for its developer, as instant-cli reads them (instant-http §6.6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from trice import app_backup_limits as limits
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import developed, guest_of
from trice.api.downloads import Opened, send_bytes
from trice.api.middleware import json_response
from trice.api.parameters import malformed, missing, uuid_in
from trice.api.pieces import Pieces
from trice.app_backups import urls
from trice.app_backups.app_backups import AppBackups, read_lines
from trice.app_backups.manifest import AppBackup, Part
from trice.catalog.dates import iso_text
from trice.errors import NotFound, not_built
from trice.files.local_bytes import LocalBytes
from trice.files.serving import Facts
from trice.protocol.ids import AppId, TxId
from trice.webhooks.event import isn_of


def _backups(request: Request) -> AppBackups:
    found: AppBackups | None = request.app.state.app_backups
    if found is None:
        raise not_built("Backups over HTTP")
    return found


def _id(request: Request) -> str:
    return uuid_in(request.path_params, "id", place="params")


# --- backups ------------------------------------------------------------------------------------


async def list_backups(request: Request) -> Response:
    """`GET /dash/apps/:app_id/backups` → `{"backups": [backup]}`, newest first."""
    async with developed(request) as app:
        found = await _backups(request).find_all(app.id)
        return json_response({"backups": [_to_json(backup) for backup in found]})


async def create_backup(request: Request) -> Response:
    """`POST …/backups {"description"?}` → `{"job": job}`."""
    async with developed(request) as app:
        body = await json_body(request)
        description = _description(body.get("description"))
        ip = guest_of(request).ip
        job = await _backups(request).create(app, description, ip=ip)
        return json_response({"job": job.to_json()})


async def delete_backup(request: Request) -> Response:
    """`DELETE …/backups/:id` → `{"id"}`."""
    async with developed(request, role="admin") as app:
        backup_id = _id(request)
        await _backups(request).delete(app.id, backup_id)
        return json_response({"id": backup_id})


async def list_parts(request: Request) -> Response:
    """`GET …/backups/:id/files` → `{"files": [{"name", "size"}]}`: all but the bytes of files."""
    async with developed(request) as app:
        backup = await _backups(request).get(app.id, _id(request))
        parts = [{"name": part.name, "size": part.piece.size} for part in backup.parts]
        return json_response({"files": parts})


async def get_part_url(request: Request) -> Response:
    """`GET …/backups/:id/file-url?name=entities/todos.jsonl` → `{"url"}`, for an hour. What it
    leads to is compressed by gzip."""
    async with developed(request) as app:
        backup = await _backups(request).get(app.id, _id(request))
        name = request.query_params.get("name")
        if name is None:
            raise missing("params", "name")
        hash = _part(backup, name).piece.hash
        expires_s = _now_s(request) + limits.PART_URL_S
        path = urls.sign(_key(request), app.id, hash, encoding="gzip", expires_s=expires_s)
        return json_response({"url": f"{request.app.state.files.base_url}{path}"})


async def list_files(request: Request) -> Response:
    """`GET …/backups/:id/storage-files` → a line `{"locationId", "path", "url"}` for each file, and
    `{"done": true}` at the end. The URLs work for 12 hours."""
    async with developed(request) as app:
        backup = await _backups(request).get(app.id, _id(request))
        return Pieces(_lines(request, app.id, backup), media_type="application/x-ndjson")


async def _lines(request: Request, app_id: AppId, backup: AppBackup) -> AsyncGenerator[bytes, None]:
    base, key = request.app.state.files.base_url, _key(request)
    expires_s = _now_s(request) + limits.FILE_URL_S
    path, at = _backups(request).path(app_id, backup.files.listed.hash), 0
    while at < backup.files.listed.size:
        # After an error the list has no last line, by which the client sees that it is cut off.
        lines, at = await asyncio.to_thread(read_lines, path, at)
        told = bytearray()
        for location, hash, _, name in lines:
            signed = urls.sign(key, app_id, hash, encoding="identity", expires_s=expires_s)
            line = {"locationId": location, "path": name, "url": base + signed}
            told += orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        yield bytes(told)
    yield b'{"done":true}\n'


async def download_part(request: Request) -> Response:
    """`GET /files/:app_id/backups/:hash?…` → bytes of a backup.

    raises   PermissionDenied("file-url-invalid"), NotFound("file-not-found")
    """
    backups, state = _backups(request), request.app.state
    app_id, hash = AppId(request.path_params["app_id"]), request.path_params["hash"]
    now_ms = state.runtime.now_ms()
    params = request.query_params
    encoding, expires_s = urls.verify(_key(request), app_id, hash, params, now_ms=now_ms)
    try:
        opened = await LocalBytes.open(backups.path(app_id, hash), threads=state.file_readers)
    except FileNotFoundError:
        raise NotFound("file-not-found", "This backup was deleted.") from None
    facts = Facts(
        etag=hash,
        size=opened.size,
        content_type="application/octet-stream",
        disposition=None,
        name=hash,
        modified_ms=None,
        expires_s=expires_s,
        encoding="gzip" if encoding == "gzip" else None,
    )
    return await send_bytes(request, Opened(facts, opened.read, opened.close))


# --- jobs ---------------------------------------------------------------------------------------


async def list_jobs(request: Request) -> Response:
    """`GET …/backup-jobs` → `{"jobs": [job]}`, those that are not over."""
    async with developed(request) as app:
        active = _backups(request).jobs.active(app.id)
        return json_response({"jobs": [job.to_json() for job in active]})


async def get_job(request: Request) -> Response:
    """`GET …/backup-jobs/:id` → `{"job": job}`."""
    async with developed(request) as app:
        job = _backups(request).jobs.get(app.id, _id(request))
        return json_response({"job": job.to_json()})


async def cancel_job(request: Request) -> Response:
    """`DELETE …/backup-jobs/:id` → `{"id"}`; nothing is left of the backup."""
    async with developed(request) as app:
        job = await _backups(request).cancel(app.id, _id(request))
        return json_response({"id": job.id})


def _to_json(backup: AppBackup) -> dict[str, Any]:
    return {
        "id": backup.id,
        "isn": isn_of(TxId(backup.tx)),
        "backup_at": iso_text(backup.made_ms),
        "files_size": backup.files.bytes,
        "db_size": backup.db_bytes,
        "uncompressed_size": backup.part_bytes,
        "description": backup.description,
        "expires_at": iso_text(backup.expires_ms),
    }


def _description(given: Any) -> str | None:
    if given is None:
        return None
    most = limits.DESCRIPTION_CHARS_MAX
    if not isinstance(given, str) or len(given) > most or not given.isprintable():
        accepted = f"one line of text of at most {most} characters"
        raise malformed("body", "description", given=given, accepted=accepted)
    return given


def _part(backup: AppBackup, name: str) -> Part:
    for part in backup.parts:
        if part.name == name:
            return part
    raise malformed("params", "name", given=name, accepted="a name that `files` lists")


def _key(request: Request) -> bytes:
    key: bytes = request.app.state.files.url_key
    return key


def _now_s(request: Request) -> int:
    now_ms: int = request.app.state.runtime.now_ms()
    return now_ms // 1000


_ALL: Final = "/dash/apps/{app_id}/backups"
_ONE: Final = _ALL + "/{id}"
_JOBS: Final = "/dash/apps/{app_id}/backup-jobs"

ROUTES: Final = (
    Route(_ALL, list_backups, methods=["GET"]),
    Route(_ALL, create_backup, methods=["POST"], body=JSON),
    Route(_ONE, delete_backup, methods=["DELETE"]),
    Route(_ONE + "/files", list_parts, methods=["GET"]),
    Route(_ONE + "/file-url", get_part_url, methods=["GET"]),
    Route(_ONE + "/storage-files", list_files, methods=["GET"]),
    Route(_JOBS, list_jobs, methods=["GET"]),
    Route(_JOBS + "/{id}", get_job, methods=["GET"]),
    Route(_JOBS + "/{id}", cancel_job, methods=["DELETE"]),
    Route("/files/{app_id}/backups/{hash}", download_part, methods=["GET"]),
)
