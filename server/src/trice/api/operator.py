"""The door for commands on the data directory of a running server (`accounts.operator`)."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from trice.accounts.operator import Operator
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import bearer_token
from trice.api.middleware import json_response
from trice.errors import no_record


async def carry_out(request: Request) -> Response:
    """`POST /operator {"do", …}`, with the secret in `operator.json` as bearer token."""
    operator: Operator = request.app.state.operator
    secret = bearer_token(request)
    if secret is None or not operator.is_secret(secret):
        raise no_record("operator", "This is for commands on the machine of the server.")
    return json_response(await operator.carry_out(await json_body(request)))


ROUTES: Final = (Route("/operator", carry_out, methods=["POST"], body=JSON),)
