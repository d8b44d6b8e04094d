"""Streams over a session: writing, flushes, takeover, readers, rules, deletion."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from trice import stream_limits as limits
from trice.database import Look
from trice.identity import ADMIN
from trice.rules.document import Rules

TOKEN = str(UUID(int=7))
OTHER = str(UUID(int=8))


async def admin(stage):
    client = stage.connect()
    init = {"op": "init", "app-id": stage.app.id, "__admin-token": stage.token}
    client.say_raw(orjson.dumps(init))
    await client.hear("init-ok")
    return client


async def start(client, name="chat", token=TOKEN):
    client.say("start-stream", client_id=name, reconnect_token=token)
    return await client.hear("start-stream-ok")


def append(client, stream, *chunks, offset, **fields):
    client.say("append-stream", stream_id=stream, chunks=list(chunks), offset=offset, **fields)


class Reading:
    """A reader that assembles what it hears, as official clients do."""

    def __init__(self, stage, client, data=b""):
        self.client, self.data, self.files = client, data, stage.hub
        self.is_done, self.folder, self.app = False, stage.folder, stage.app

    def subscribe(self, name="chat"):
        self.event = self.client.say("subscribe-stream", client_id=name, offset=len(self.data))

    async def hear(self):
        told = await self.client.hear_where(
            lambda m: m["op"] == "stream-append" and m["client-event-id"] == self.event
        )
        got = b""
        for file in told.get("files", ()):
            location = file["url"].split("?")[0].rsplit("/", 1)[1]
            query = {"$files": {"$": {"where": {"location-id": location}}}}
            row = await self.app.database.look(partial(Look.find, source=query))
            digest = row["$files"][0]["content-hash"]
            got += (self.folder / "files" / self.app.id / digest[:2] / digest).read_bytes()
        got += told.get("content", "").encode()
        start = told.get("offset", len(self.data))
        assert start <= len(self.data), "a reader must not miss bytes"
        self.data += got[len(self.data) - start :]
        self.is_done = told.get("done", False)
        return told

    async def until(self, data):
        while self.data != data:
            assert data.startswith(self.data)
            await self.hear()


@pytest.fixture
def stage(stage, tmp_path: Path):
    stage.folder = tmp_path
    return stage


async def row_of(stage, name="chat"):
    query = {"$streams": {"$": {"where": {"clientId": name}}, "$files": {}}}
    rows = (await stage.app.database.look(lambda look: look.find(query)))["$streams"]
    return rows[0] if rows else None


@pytest.mark.rule("ST1")
@pytest.mark.rule("ST4")
async def test_a_stream_is_written_and_its_end_is_durable(stage):
    client = await admin(stage)
    begun = await start(client)
    assert begun["offset"] == 0
    stream = begun["stream-id"]
    append(client, stream, "Hello ", "wörld", offset=0)
    append(client, stream, offset=12, done=True, abort_reason="enough")
    told = await client.hear("stream-flushed")
    assert told == {"op": "stream-flushed", "stream-id": stream, "offset": 12, "done": True}
    row = await row_of(stage)
    assert (row["size"], row["done"], row["abortReason"]) == (12, True, "enough")
    assert [(f["path"], f["size"]) for f in row["$files"]] == [(f"$stream/{stream}/0", 12)]
    client.say("start-stream", client_id="chat", reconnect_token=TOKEN)
    assert "Stream is closed." in (await client.hear("error"))["message"]


@pytest.mark.rule("ST2")
async def test_another_token_is_refused_and_the_right_one_takes_over(stage):
    first, second = await admin(stage), await admin(stage)
    stream = (await start(first))["stream-id"]
    append(first, stream, "one ", offset=0)
    second.say("start-stream", client_id="chat", reconnect_token=OTHER)
    failure = await second.hear("error")
    assert failure["type"] == "validation-failed"
    assert "Reconnect token is invalid." in failure["message"]
    assert (await start(second))["offset"] == 4
    append(first, stream, "lost", offset=4)
    assert "Stream is missing." in (await first.hear("error"))["message"]
    append(second, stream, "two", offset=4, done=True)
    assert (await second.hear("stream-flushed"))["offset"] == 7


@pytest.mark.rule("ST3")
async def test_every_offset_is_checked(stage):
    client = await admin(stage)
    stream = (await start(client))["stream-id"]
    append(client, stream, "abc", offset=0)
    for wrong in (0, 2, 4):
        append(client, stream, "x", offset=wrong)
        failure = await client.hear("error")
        assert failure["hint"]["errors"][0]["message"] == "Invalid offset for stream."
    append(client, stream, "d", offset=3, done=True)
    assert (await client.hear("stream-flushed"))["offset"] == 4


@pytest.mark.rule("ST4")
@pytest.mark.rule("ST7")
async def test_a_flush_takes_whole_chunks_once_enough_waits(stage, monkeypatch):
    monkeypatch.setattr(limits, "FLUSH_BYTES", 10)
    client, other = await admin(stage), await admin(stage)
    stream = (await start(client))["stream-id"]
    append(client, stream, "123456", "789012", offset=0)
    told = await client.hear("stream-flushed")
    assert (told["offset"], told["done"]) == (12, False)
    append(client, stream, "tail", offset=12)
    late = Reading(stage, other)
    late.subscribe()
    told = await late.hear()
    assert [file["size"] for file in told["files"]] == [12]
    assert told["content"] == "tail"
    middle = Reading(stage, other, b"12345678901234")
    middle.event = other.say("subscribe-stream", stream_id=stream, offset=14)
    told = await middle.hear()
    assert (told["offset"], "files" in told) == (12, False)


@pytest.mark.rule("ST5")
async def test_what_a_lost_writer_left_is_durable_and_it_goes_on(stage):
    writer, other = await admin(stage), await admin(stage)
    stream = (await start(writer))["stream-id"]
    reader = Reading(stage, other)
    reader.subscribe()
    append(writer, stream, "before ", offset=0)
    await reader.until(b"before ")
    writer.hang_up()
    again = await admin(stage)
    assert (await start(again))["offset"] == 7
    append(again, stream, "after", offset=7, done=True)
    await reader.until(b"before after")
    assert reader.is_done


@pytest.mark.rule("ST6")
async def test_a_reader_hears_appends_of_a_turn_together_then_the_end(stage):
    writer, other = await admin(stage), await admin(stage)
    stream = (await start(writer))["stream-id"]
    reader = Reading(stage, other)
    reader.subscribe()
    assert (await reader.hear())["offset"] == 0
    append(writer, stream, "a", offset=0)
    append(writer, stream, "b", offset=1)
    assert (await reader.hear())["content"] == "ab"
    append(writer, stream, offset=2, done=True)
    assert (await reader.hear())["done"] is True
    late = Reading(stage, other, b"too far")
    late.subscribe()
    told = await late.hear()
    assert (told["offset"], told["files"], told["done"]) == (2, [], True)


@pytest.mark.rule("ST8")
async def test_a_reader_that_sleeps_is_told_from_parts_when_it_wakes(stage, monkeypatch):
    monkeypatch.setattr(limits, "FLUSH_BYTES", 10)
    writer, other = await admin(stage), await admin(stage)
    stream = (await start(writer))["stream-id"]
    reader = Reading(stage, other)
    reader.subscribe()
    await reader.hear()
    other.backlog = 1 << 40
    written = b""
    for _ in range(5):
        append(writer, stream, "0123456789", offset=len(written))
        written += b"0123456789"
        await writer.hear("stream-flushed")
    assert other.unheard() == []
    other.backlog = 0
    other.session.on_writable()
    told = await reader.hear()
    assert (len(told["files"]), "content" in told) == (5, False)
    assert reader.data == written


@pytest.mark.rule("ST9")
async def test_rules_decide_who_makes_and_who_reads(stage):
    rules = {
        "$streams": {
            "allow": {
                "create": "data.clientId == 'open'",
                "view": "data.clientId == 'open' && ruleParams.k == 'v'",
            }
        }
    }
    guest = await stage.client()
    guest.say("start-stream", client_id="open", reconnect_token=TOKEN)
    failure = await guest.hear("error")
    assert failure["type"] == "permission-denied"
    assert failure["hint"] == {
        "input": ["$streams", "create"],
        "expected": "has-streams-permission?",
    }
    stage.app.database.set_rules(Rules.parse(rules))
    await start(guest, "open")
    guest.say("start-stream", client_id="closed", reconnect_token=TOKEN)
    assert (await guest.hear("error"))["type"] == "permission-denied"
    guest.say("subscribe-stream", client_id="open")
    assert (await guest.hear("error"))["hint"]["input"] == ["$streams", "view"]
    guest.say("subscribe-stream", client_id="open", rule_params={"k": "v"})
    await guest.hear("stream-append")


@pytest.mark.rule("ST10")
async def test_deleting_the_row_ends_the_stream_and_frees_its_name(stage):
    writer, other = await admin(stage), await admin(stage)
    stream = (await start(writer))["stream-id"]
    reader = Reading(stage, other)
    reader.subscribe()
    append(writer, stream, "gone", offset=0)
    await reader.until(b"gone")
    database = stage.app.database
    await database.transact_admin([["delete", "$streams", stream, {}]], identity=ADMIN)
    assert (await writer.hear("append-failed"))["stream-id"] == stream
    assert (await reader.hear())["error"] == "Stream is missing."
    begun = await start(writer, token=OTHER)
    assert (begun["offset"], begun["stream-id"] != stream) == (0, True)
    other.say("subscribe-stream", stream_id=stream)
    failure = await other.hear("error")
    assert failure["hint"]["errors"][0]["message"] == "Stream is missing."


@pytest.mark.rule("ST11")
async def test_memory_of_streams_is_bounded(stage, monkeypatch):
    monkeypatch.setattr(limits, "BUFFER_BYTES_MAX", 5)
    monkeypatch.setattr(limits, "WRITES_OF_SESSION_MAX", 1)
    monkeypatch.setattr(limits, "READS_OF_SESSION_MAX", 1)
    client = await admin(stage)
    stream = (await start(client))["stream-id"]
    append(client, stream, "123456", offset=0)
    assert (await client.hear("error"))["type"] == "parameter-limit-exceeded"
    append(client, stream, "12345", offset=0)
    client.say("start-stream", client_id="two", reconnect_token=TOKEN)
    assert (await client.hear("error"))["type"] == "parameter-limit-exceeded"
    client.say("subscribe-stream", client_id="chat", event_id="r")
    assert (await client.hear("stream-append"))["content"] == "12345"
    client.say("subscribe-stream", client_id="chat")
    assert (await client.hear("error"))["type"] == "parameter-limit-exceeded"
    client.say("unsubscribe-stream", subscribe_event_id="r")
    client.say("unsubscribe-stream", subscribe_event_id="r")
    assert "Stream subscription is missing." in (await client.hear("error"))["message"]


@pytest.mark.rule("ST5")
async def test_flushed_bytes_are_there_after_a_restart(stage_at, tmp_path):
    async with stage_at(tmp_path) as stage:
        writer = await admin(stage)
        stream = (await start(writer))["stream-id"]
        append(writer, stream, "kept", offset=0)
        app_id, token = stage.app.id, stage.token
    async with stage_at(tmp_path, app_id=app_id) as stage:
        stage.token, stage.folder = token, tmp_path
        writer = await admin(stage)
        reader = Reading(stage, writer)
        reader.subscribe()
        await reader.until(b"kept")
        assert (await start(writer))["offset"] == 4


@pytest.mark.rule("ST11")
async def test_many_short_appends_are_flushed_and_bounded(stage, monkeypatch):
    monkeypatch.setattr(limits, "FLUSH_APPENDS", 3)
    client = await admin(stage)
    stream = (await start(client))["stream-id"]
    for offset in range(3):
        append(client, stream, "", "x", "", offset=offset)
    assert (await client.hear("stream-flushed"))["offset"] == 3
    monkeypatch.setattr(limits, "FLUSH_APPENDS", 100)
    monkeypatch.setattr(limits, "BUFFER_APPENDS_MAX", 2)
    for offset in range(3, 6):
        append(client, stream, "x", offset=offset)
    assert (await client.hear("error"))["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("ST11")
async def test_streams_that_are_being_started_count(stage, monkeypatch):
    monkeypatch.setattr(limits, "WRITES_OF_SESSION_MAX", 2)
    client = await admin(stage)
    for name in ("one", "two", "three"):
        client.say("start-stream", client_id=name, reconnect_token=TOKEN)
    heard = [await client.hear() for _ in range(3)]
    assert sorted(message["op"] for message in heard) == ["error", *["start-stream-ok"] * 2]
