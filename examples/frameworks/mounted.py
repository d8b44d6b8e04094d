"""FastAPI with the server in it: `uvicorn mounted:app`, and clients reach it below /trice."""

from __future__ import annotations

import os

from fastapi import FastAPI

from trice.asgi import App

backend = App(
    os.environ.get("TRICE_DATA_DIR", "trice-data"),
    url=os.environ.get("TRICE_PUBLIC_URL", "http://localhost:8000/trice"),
)
app = FastAPI(lifespan=backend.lifespan)
app.mount("/trice", backend)


@app.get("/hello")
async def hello() -> str:
    return "Hello"
