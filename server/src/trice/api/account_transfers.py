"""Apps handed over to other accounts over HTTP (instant-http §4.3; spec/accounts.md AC120-AC125).

Who gets one accepts it as an invitation: `POST /dash/invites/accept`, in `account_orgs`.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from trice.accounts.accounts import Account
from trice.accounts.sign_in import count_invite, send_transfer
from trice.accounts.transfers import Transfers
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import account_caller, check_access, throttle_of
from trice.api.middleware import json_response
from trice.api.parameters import email_in, uuid_in
from trice.apps.apps import Apps
from trice.apps.registry import AppRow
from trice.background import Background


async def send(request: Request) -> Response:
    """`POST /superadmin/apps/:app_id/transfers/send {"dest_email"}` → `{"id"}`; an e-mail tells the
    person."""
    row, account = _owned(request)
    email = email_in(await json_body(request), "dest_email")
    count_invite(throttle_of(request), email, by=account)
    made = await _transfers(request).send(row, email, sender=account)
    state = request.app.state
    url = None if state.settings.public_url is None else f"{state.settings.public_url}/dash"
    background: Background = state.background
    background.begin(send_transfer(state.mail, row.title, email, by=account, url=url))
    return json_response({"id": made.id})


async def revoke(request: Request) -> Response:
    """`POST /superadmin/apps/:app_id/transfers/revoke {"dest_email"}` → `{"count"}`."""
    row, _ = _owned(request)
    email = email_in(await json_body(request), "dest_email")
    return json_response({"count": await _transfers(request).revoke(row.id, email)})


def _owned(request: Request) -> tuple[AppRow, Account]:
    """The app in the path, which the caller owns, by a token for everything."""
    credential = account_caller(request).whole()
    apps: Apps = request.app.state.apps
    row = apps.get_row(uuid_in(request.path_params, "app_id", place="params"))
    check_access(request, row, credential, role="owner")
    return row, credential.account


def _transfers(request: Request) -> Transfers:
    transfers: Transfers = request.app.state.transfers
    return transfers


_PATH: Final = "/superadmin/apps/{app_id}/transfers"

ROUTES: Final = (
    Route(f"{_PATH}/send", send, methods=["POST"], body=JSON),
    Route(f"{_PATH}/revoke", revoke, methods=["POST"], body=JSON),
)
