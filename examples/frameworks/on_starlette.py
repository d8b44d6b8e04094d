"""Starlette: a user's token, checked and acted for; webhooks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from trice_client import AsyncClient, TriceError

db = AsyncClient(
    os.environ["TRICE_APP"],
    server=os.environ["TRICE_URL"],
    admin_token=os.environ["TRICE_ADMIN_TOKEN"],
)


async def todos(request: Request) -> JSONResponse:
    user = await db.auth.verify(request.headers.get("authorization"))
    mine = db.as_user(user)
    return JSONResponse((await mine.query({"todos": {}}))["todos"])


async def hook(request: Request) -> JSONResponse:
    signature = request.headers.get("instant-signature")
    payload = await db.webhooks.receive(signature, await request.body())
    return JSONResponse({"changes": len(payload["data"])})


async def refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TriceError)
    return JSONResponse({"error": error.message}, error.status or 503)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with db:
        yield


app = Starlette(
    routes=[Route("/todos", todos), Route("/hook", hook, methods=["POST"])],
    exception_handlers={TriceError: refused},
    lifespan=lifespan,
)
