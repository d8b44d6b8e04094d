"""Flask: a user's token, checked and acted for; webhooks."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request

from trice_client import Client, TriceError

app = Flask(__name__)
db = Client(
    os.environ["TRICE_APP"],
    server=os.environ["TRICE_URL"],
    admin_token=os.environ["TRICE_ADMIN_TOKEN"],
)


@app.get("/todos")
def todos() -> list[dict[str, Any]]:
    user = db.auth.verify(request.headers.get("authorization"))
    mine = db.as_user(user)
    found: list[dict[str, Any]] = mine.query({"todos": {}})["todos"]
    return found


@app.post("/hook")
def hook() -> dict[str, int]:
    payload = db.webhooks.receive(request.headers.get("instant-signature"), request.get_data())
    return {"changes": len(payload["data"])}


@app.errorhandler(TriceError)
def refused(error: TriceError) -> tuple[dict[str, str], int]:
    return {"error": error.message}, error.status or 503
