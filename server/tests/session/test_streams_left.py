"""Writers of streams that leave all at once."""

from __future__ import annotations

from uuid import UUID

import orjson
import pytest

from trice import file_limits


@pytest.mark.rule("ST5")
async def test_thousands_may_leave_at_once(stage, monkeypatch):
    """As many parts as there are streams are put, a few at a time, instead of refused."""
    count = 2 * file_limits.KEPT_AT_ONCE
    monkeypatch.setattr(file_limits, "SPOOLINGS_MAX", file_limits.KEPT_AT_ONCE)
    client = stage.connect()
    init = {"op": "init", "app-id": stage.app.id, "__admin-token": stage.token}
    client.say_raw(orjson.dumps(init))
    await client.hear("init-ok")
    for n in range(count):
        client.say("start-stream", client_id=f"{n}", reconnect_token=str(UUID(int=7)))
        begun = await client.hear("start-stream-ok")
        client.say("append-stream", stream_id=begun["stream-id"], chunks=[f"text {n}"], offset=0)
    client.hang_up()
    await stage.hub.streams.close()
    query = {"$streams": {"$files": {}}}
    rows = (await stage.app.database.look(lambda look: look.find(query)))["$streams"]
    assert len(rows) == count
    assert all(
        [file["size"] for file in row["$files"]] == [len(f"text {row['clientId']}")] for row in rows
    )
