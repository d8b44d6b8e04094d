"""A server is killed at moments of uploads that come in parts (SIGKILL), and the client goes on."""

from __future__ import annotations

import hashlib
import random
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.patience import WAIT_S
from support.serving import get, post, serving

KILLS = 8
BYTES = 9 * 1024 * 1024 + 11
PART = {"content-type": "application/offset+octet-stream"}


def pieces(data: bytes, process: Any, kill_at: int | None) -> Iterator[bytes]:
    """The bytes in pieces; the process is killed once it was given `kill_at` of them."""
    sent = 0
    while sent < len(data):
        if kill_at is not None and sent >= kill_at:
            process.kill()
        piece = data[sent : sent + 100_000]
        yield piece
        sent += len(piece)
    if kill_at is not None and sent >= kill_at:
        process.kill()


@pytest.mark.rule("F148", "F137", "F138")
def test_a_server_killed_at_any_moment_goes_on_with_an_upload(tmp_path: Path) -> None:
    choices = random.Random(7)
    data = choices.randbytes(BYTES)
    headers: dict[str, str] = {"tus-resumable": "1.0.0"}
    place, kept, resumed = "", 0, 0
    # The first kills come at certain moments: before a byte, in the middle, with the last byte.
    kills = [0, BYTES // 2, BYTES] + [choices.randrange(BYTES) for _ in range(KILLS - 3)]
    for number, kill_at in enumerate([*kills, None]):
        with serving(tmp_path, "--port", "0", "--no-ephemeral-quotas") as (process, base):
            if not number:
                made = post(f"{base}/dash/apps/ephemeral", json={"title": "kill"}).json()["app"]
                headers["app-id"], token = made["id"], made["admin-token"]
                headers["authorization"] = f"Bearer {token}"
            if place:
                told = httpx.head(base + place, headers=headers, timeout=WAIT_S)
                assert told.status_code == 200
                offset = int(told.headers["upload-offset"])
                assert offset >= kept, "what an answer told of is lost"
                resumed += 0 < offset < BYTES
            if not place or offset == BYTES:
                if place:
                    check(base, headers, place, data)
                named = b64encode(f"file {number}".encode()).decode()
                began = post(
                    f"{base}/admin/storage/tus",
                    headers={
                        **headers,
                        "upload-length": str(BYTES),
                        "upload-metadata": f"path {named}",
                    },
                )
                assert began.status_code == 201
                place, offset, kept = began.headers["location"], 0, 0
            try:
                # Short parts that are answered, then a long one in which the kill comes.
                for _ in range(2):
                    end = min(offset + choices.randrange(1, 300_000), BYTES - 1)
                    offset = kept = add(base + place, headers, offset, data[offset:end])
                rest = pieces(data[offset:], process, kill_at and max(kill_at - offset, 0))
                add(base + place, headers, offset, rest)
                check(base, headers, place, data)
            except httpx.TransportError:
                assert kill_at is not None
    assert resumed, "no upload went on"


def add(url: str, headers: dict[str, str], offset: int, body: Any) -> int:
    answer = httpx.patch(
        url,
        headers={**headers, **PART, "upload-offset": str(offset)},
        content=body,
        timeout=WAIT_S,
    )
    assert answer.status_code == 204, answer.text
    return int(answer.headers["upload-offset"])


def check(base: str, headers: dict[str, str], place: str, data: bytes) -> None:
    """An upload that is whole is one row, with the bytes that were sent."""
    told = httpx.head(base + place, headers=headers, timeout=WAIT_S)
    asked = {"$files": {"$": {"where": {"id": told.headers["trice-file-id"]}}}}
    answer = post(f"{base}/admin/query", headers=headers, json={"query": asked})
    (row,) = answer.json()["$files"]
    assert row["content-hash"] == hashlib.sha256(data).hexdigest()
    url = httpx.URL(row["url"])
    assert get(f"{base}{url.raw_path.decode()}").content == data
