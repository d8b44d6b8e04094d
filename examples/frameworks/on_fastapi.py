"""FastAPI: a user's token, checked and acted for; webhooks; the server itself below /trice."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request

from trice_client import AsyncClient, TriceError

db = AsyncClient(
    os.environ["TRICE_APP"],
    server=os.environ["TRICE_URL"],
    admin_token=os.environ["TRICE_ADMIN_TOKEN"],
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with db:
        yield


app = FastAPI(lifespan=lifespan)


async def as_user(authorization: Annotated[str | None, Header()] = None) -> AsyncClient:
    try:
        return db.as_user(await db.auth.verify(authorization))
    except TriceError as error:
        raise HTTPException(error.status or 503, error.message) from error


@app.get("/todos")
async def todos(mine: Annotated[AsyncClient, Depends(as_user)]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await mine.query({"todos": {}}))["todos"]
    return found


@app.post("/hook")
async def hook(
    request: Request, instant_signature: Annotated[str | None, Header()] = None
) -> dict[str, int]:
    try:
        payload = await db.webhooks.receive(instant_signature, await request.body())
    except TriceError as error:
        raise HTTPException(error.status or 503, error.message) from error
    return {"changes": len(payload["data"])}
