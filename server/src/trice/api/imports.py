"""Imports of archives into this server, while it runs.

    POST   /dash/restores                  what comes → a job, and from which byte it is to be sent
    PUT    /dash/restores/:id/bytes?offset=N   bytes of the archive, a piece at a time
    POST   /dash/restores/:id/start        all is there
    POST   /dash/restores/zip              the same in one request, as Instant takes it
    GET    /dash/restore-jobs[/:id]        how far it is, its report, or why it failed
    DELETE /dash/restore-jobs/:id          end it, and leave nothing of it

Callers are accounts; who has `operator.json` of this server may name a file instead of sending it.

source   instant-http §6.8; spec/archive.md AR120-AR139
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trice import import_limits
from trice.accounts.accounts import Accounts
from trice.accounts.operator import Operator
from trice.accounts.orgs import check_role
from trice.api.bodies import JSON, Body, JsonBody, Route, json_body
from trice.api.callers import account_caller, bearer_token, find_role, orgs_of
from trice.api.middleware import json_response
from trice.api.parameters import find_uuid_in, malformed, uuid_in
from trice.apps.apps import Apps
from trice.apps.registry import hash_token
from trice.auth.oauth.sealed import Seal
from trice.catalog.dates import iso_text
from trice.errors import no_record
from trice.imports.imports import Imports
from trice.imports.records import Import, Wishes
from trice.protocol.ids import AppId
from trice.runtime import new_uuid

_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_PIECE: Final = Body(bytes_max=import_limits.PIECE_BYTES_MAX)
_ZIP: Final = Body(bytes_max=import_limits.ARCHIVE_BYTES_MAX)


async def create(request: Request) -> Response:
    """`POST /dash/restores {"bytes", "identity", "name"?, "app_id"?, "org_id"?, "owner"?,
    "options"?: {"replaces", "is_open", "drops_unknown", "ignores_counts", "attrs"}, "path"?}`
    → `{"restore-job": job}`.

    identity   the same for the same archive only: an unfinished import of it is gone on with
    path, owner   for the operator: a file on this machine, and the e-mail address of who gets the
                  app
    """
    caller, is_operator = _caller(request)
    body = await json_body(request)
    owner = caller
    if is_operator and body.get("owner") is not None:
        accounts: Accounts = request.app.state.accounts
        owner = accounts.get_by_email(str(body["owner"])).id
    path = body.get("path")
    if path is not None and not (is_operator and isinstance(path, str)):
        raise malformed("body", "path", given=None, accepted="absent, but for the operator")
    length = body.get("bytes")
    if type(length) is not int or length < 0:
        raise malformed("body", "bytes", given=length, accepted="how many bytes the archive has")
    made = await _create(
        request,
        caller,
        owner=owner,
        org=find_uuid_in(body, "org_id"),
        app_id=find_uuid_in(body, "app_id"),
        name=_text(body, "name", "archive"),
        identity=_text(body, "identity", new_uuid(request.app.state.runtime)),
        length=length,
        wishes=_wishes(body),
        path=path,
    )
    return _answer(made)


async def append(request: Request) -> Response:
    """`PUT /dash/restores/:id/bytes?offset=N`, bytes → `{"restore-job": job}`. What came before a
    request was cut counts: the job says from which byte to go on."""
    made = _job(request)
    given = request.query_params.get("offset") or ""
    if not _NUMBER.fullmatch(given):
        raise malformed("params", "offset", given=given, accepted="the number of a byte")
    await _imports(request).append(made, int(given), request.stream())
    return _answer(made)


async def start(request: Request) -> Response:
    """`POST /dash/restores/:id/start {"admin_token"?}` → `{"restore-job": job, "admin_token"?}`.

    admin_token   that of the app; without one the app gets a new one, which is answered, or one
                  that is replaced keeps its own
    """
    made = _job(request)
    token = find_uuid_in(await json_body(request), "admin_token")
    return await _start(request, made, token)


async def take_zip(request: Request) -> Response:
    """`POST /dash/restores/zip?app_id=…&org_id=…`, the archive → as `start`."""
    caller, _ = _caller(request)
    length = request.headers.get("content-length") or ""
    if not _NUMBER.fullmatch(length):
        raise malformed("headers", "content-length", given=None, accepted="the archive's bytes")
    params = request.query_params
    made = await _create(
        request,
        caller,
        owner=caller,
        org=find_uuid_in(params, "org_id", place="params"),
        app_id=find_uuid_in(params, "app_id", place="params"),
        name="archive",
        identity=new_uuid(request.app.state.runtime),
        length=int(length),
        wishes=Wishes(),
        path=None,
    )
    await _imports(request).append(made, 0, request.stream())
    return await _start(request, made, None)


async def list_jobs(request: Request) -> Response:
    """`GET /dash/restore-jobs` → `{"restore-jobs": [job]}`, newest first."""
    caller, _ = _caller(request)
    found = _imports(request).all_of(caller)
    return json_response({"restore-jobs": [_told(made) for made in found]})


async def get_job(request: Request) -> Response:
    """`GET /dash/restore-jobs/:id` → `{"restore-job": job}`."""
    return _answer(_job(request))


async def cancel(request: Request) -> Response:
    """`DELETE /dash/restore-jobs/:id` → `{"restore-job": job}`."""
    made = _job(request)
    await _imports(request).cancel(made)
    return _answer(made)


# --- parts ----------------------------------------------------------------------------------------


def _imports(request: Request) -> Imports:
    found: Imports = request.app.state.imports
    return found


def _caller(request: Request) -> tuple[str | None, bool]:
    """The id of the account that asks, and whether it is the operator, who has none."""
    operator: Operator = request.app.state.operator
    token = bearer_token(request)
    if token is not None and operator.is_secret(token):
        return None, True
    return account_caller(request, "apps-write").account.id, False


def _job(request: Request) -> Import:
    caller, _ = _caller(request)
    id = uuid_in(request.path_params, "id", place="params")
    return _imports(request).get(id, caller)


async def _create(
    request: Request,
    caller: str | None,
    *,
    owner: str | None,
    org: str | None,
    app_id: str | None,
    wishes: Wishes,
    **options: Any,
) -> Import:
    apps: Apps = request.app.state.apps
    row = None if app_id is None else apps.find_row(AppId(app_id))
    if caller is not None:
        account = account_caller(request, "apps-write").account
        if row is not None and wishes.replaces:
            role = find_role(request, row, account)
            if role is None:  # it is not told whether others have such an app
                raise no_record("app", "You have no app with this id to replace.")
            check_role(role, "admin")
        if org is not None:
            check_role(orgs_of(request).find_role(org, account), "admin")
    return await _imports(request).create(
        caller=caller,
        owner=owner if org is None else None,
        org=org,
        app_id=app_id,
        wishes=wishes,
        **options,
    )


async def _start(request: Request, made: Import, token: str | None) -> Response:
    made_token = None
    if token is None and not made.replaces:
        token = made_token = new_uuid(request.app.state.runtime)
    sealed = None
    if token is not None:
        seal: Seal = request.app.state.oauth.seal
        sealed = seal.seal(token, holder=AppId(made.app_id))
    hashed = None if token is None else hash_token(token).hex()
    is_begun = made.status != "uploading"
    await _imports(request).begin(made, token_hash=hashed, sealed=sealed)
    answer: dict[str, Any] = {"restore-job": _told(made)}
    if made_token is not None and not is_begun:
        answer["admin_token"] = made_token
    return json_response(answer)


def _wishes(body: dict[str, Any]) -> Wishes:
    given = body.get("options")
    if given is None:
        return Wishes()
    try:
        wishes = msgspec.convert(given, Wishes)
    except msgspec.ValidationError as cause:
        raise malformed("body", "options", given=None, accepted=f"options ({cause})") from cause
    if len(wishes.attrs) > import_limits.ATTRS_MAX:
        most = f"at most {import_limits.ATTRS_MAX:,} attrs"
        raise malformed("body", "options", given=len(wishes.attrs), accepted=most)
    return wishes


def _text(body: dict[str, Any], key: str, default: str) -> str:
    given = body.get(key, default)
    most = import_limits.NAME_CHARS_MAX
    if not isinstance(given, str) or not 0 < len(given) <= most:
        raise malformed("body", key, given=None, accepted=f"a text of 1 to {most} characters")
    return given


def _answer(made: Import) -> Response:
    return json_response({"restore-job": _told(made)})


def _told(made: Import) -> dict[str, Any]:
    """A job, as Instant tells it, with what is ours: bytes, offset, reading, indexing, report."""
    done, of = made.read
    is_done = made.status == "completed"
    return {
        "id": made.id,
        "app_id": made.app_id,
        "title": (made.report or {}).get("title"),
        "job_status": "processing" if made.status == "publishing" else made.status,
        "progress": 100 if is_done else min(99, 100 * done // max(of, 1)),
        "error": made.error,
        "created_at": iso_text(made.created_ms),
        "updated_at": iso_text(made.updated_ms),
        "done_at": None if made.done_ms is None else iso_text(made.done_ms),
        "bytes": made.length,
        "offset": made.offset,
        "replaces": made.replaces,
        "reading": list(made.read),
        "indexing": list(made.indexed),
        "report": made.report if is_done else None,
    }


ROUTES: Final = (
    Route("/dash/restores", create, methods=["POST"], body=JsonBody()),
    Route("/dash/restores/zip", take_zip, methods=["POST"], body=_ZIP),
    Route("/dash/restores/{id}/bytes", append, methods=["PUT"], body=_PIECE),
    Route("/dash/restores/{id}/start", start, methods=["POST"], body=JSON),
    Route("/dash/restore-jobs", list_jobs, methods=["GET"]),
    Route("/dash/restore-jobs/{id}", get_job, methods=["GET"]),
    Route("/dash/restore-jobs/{id}", cancel, methods=["DELETE"]),
)
