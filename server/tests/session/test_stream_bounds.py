"""What streams over sessions may cost: memory, parts, rates."""

from __future__ import annotations

import asyncio

import pytest

from support.stream_clients import (
    TOKEN,
    Reading,
    admin,
    append,
    hold_disk,
    row_of,
    start,
    write_parts,
)
from trice import stream_limits as limits
from trice.rate_limit import RateLimit


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


@pytest.mark.rule("ST11")
async def test_what_a_network_and_all_may_keep_waiting_is_bounded_and_nothing_is_lost(
    stage, monkeypatch
):
    monkeypatch.setattr(limits, "APPEND_OVERHEAD_BYTES", 0)
    monkeypatch.setattr(limits, "BUFFERS_BYTES_OF_NETWORK_MAX", 10)
    monkeypatch.setattr(limits, "BUFFERS_BYTES_MAX", 15)
    began, may_store = hold_disk(stage)
    one, two, other = [await admin(stage, ip=ip) for ip in ("10.0.0.1", "10.0.0.1", "10.0.0.2")]
    streams = [
        (await start(client, name))["stream-id"]
        for client, name in ((one, "1"), (two, "2"), (other, "3"))
    ]
    append(one, streams[0], "123456", offset=0)
    append(two, streams[1], "12345", offset=0)
    assert (await two.hear("error"))["type"] == "parameter-limit-exceeded"
    append(two, streams[1], "1234", offset=0)
    append(other, streams[2], "123456", offset=0)
    assert (await other.hear("error"))["type"] == "parameter-limit-exceeded"
    append(other, streams[2], "12345", offset=0)
    append(one, streams[0], offset=6, done=True)
    await began.wait()
    may_store.set()
    assert (await one.hear("stream-flushed"))["offset"] == 6
    append(two, streams[1], "567890", offset=4, done=True)
    append(other, streams[2], offset=5, done=True)
    assert (await two.hear("stream-flushed"))["offset"] == 10
    assert (await other.hear("stream-flushed"))["offset"] == 5
    for name, text in (("1", b"123456"), ("2", b"1234567890"), ("3", b"12345")):
        reader = Reading(stage, one)
        reader.subscribe(name)
        await reader.until(text)


@pytest.mark.rule("ST11")
async def test_a_writer_beyond_its_bound_starts_again_and_loses_nothing(stage, monkeypatch):
    monkeypatch.setattr(limits, "FLUSH_BYTES", 4)
    monkeypatch.setattr(limits, "BUFFER_BYTES_MAX", 8)
    client = await admin(stage)
    stream = (await start(client))["stream-id"]
    text, offset = b"".join(b"%03d;" % n for n in range(20)), 0
    while offset < len(text):
        for at in range(offset, len(text), 4):
            append(client, stream, text[at : at + 4].decode(), offset=at)
        client.say("start-stream", client_id="chat", reconnect_token=TOKEN)
        told = await client.hear_where(lambda m: m["op"] == "start-stream-ok")
        assert told["offset"] > offset
        offset = told["offset"]
    reader = Reading(stage, client)
    reader.subscribe()
    await reader.until(text)


@pytest.fixture
def many_parts(monkeypatch):
    """Each append of four bytes is a part, and few are read at once."""
    monkeypatch.setattr(limits, "FLUSH_BYTES", 4)
    monkeypatch.setattr(limits, "PARTS_READ_AT_ONCE", 2)
    monkeypatch.setattr(limits, "NEWS_PARTS_MAX", 3)
    monkeypatch.setattr(limits, "SMALL_PART_BYTES", 0)


@pytest.mark.rule("ST14")
@pytest.mark.usefixtures("many_parts")
async def test_many_parts_are_loaded_and_told_a_few_at_a_time(stage_at, tmp_path, monkeypatch):
    async with stage_at(tmp_path) as stage:
        writer = await admin(stage)
        stream = (await start(writer))["stream-id"]
        text = await write_parts(writer, stream, 13)
        app_id, token = stage.app.id, stage.token
    async with stage_at(tmp_path, app_id=app_id) as stage:
        stage.token = token
        client = await admin(stage)
        turns, looks, look = [], [], stage.app.database.look

        async def counted(work):
            looks.append(len(turns))
            return await look(work)

        async def count_turns():
            while True:
                turns.append(None)
                await asyncio.sleep(0)

        stage.app.database.look = counted
        counting = asyncio.ensure_future(count_turns())
        reader = Reading(stage, client)
        reader.subscribe()
        await reader.until(text)
        counting.cancel()
        assert len(set(looks)) >= 7
        told = [m for m in client.received if m["op"] == "stream-append"]
        assert [len(message["files"]) for message in told] == [3, 3, 3, 3, 1]
        middle = Reading(stage, client, text[:22])
        middle.subscribe()
        await middle.until(text)
        monkeypatch.setattr(limits, "PARTS_MAX", 13)
        assert (await start(client))["offset"] == len(text)
        append(client, stream, "more", offset=len(text))
        assert (await client.hear("error"))["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("ST14")
async def test_streams_that_nobody_uses_are_forgotten_beyond_a_bound(stage, monkeypatch):
    monkeypatch.setattr(limits, "IDLE_STREAMS_MAX", 2)
    for name in ("a", "b", "c", "d"):
        client = await admin(stage)
        append(client, (await start(client, name))["stream-id"], name, offset=0)
        client.hang_up()
    await stage.hub.streams.close()
    assert stage.hub.streams.in_memory == 2
    reader = await admin(stage)
    for name in ("a", "b", "c", "d"):
        reading = Reading(stage, reader)
        reading.subscribe(name)
        await reading.until(name.encode())
    assert stage.hub.streams.in_memory == 4
    reader.hang_up()
    assert stage.hub.streams.in_memory == 2


@pytest.mark.rule("ST15")
@pytest.mark.usefixtures("many_parts")
async def test_small_parts_are_merged_and_their_bytes_stay(stage_at, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SMALL_PART_BYTES", 100)
    monkeypatch.setattr(limits, "MERGED_PARTS_MIN", 4)
    async with stage_at(tmp_path) as stage:
        writer, other = await admin(stage), await admin(stage)
        stream = (await start(writer))["stream-id"]
        early = Reading(stage, other)
        early.subscribe()
        await early.hear()
        text = await write_parts(writer, stream, 50)
        append(writer, stream, offset=200, done=True)
        await writer.hear_where(lambda m: m.get("done"))
        await stage.hub.streams.close()
        await early.until(text)
        row = await row_of(stage)
        assert row["size"] == 200 == sum(file["size"] for file in row["$files"])
        assert len(row["$files"]) < 10
        app_id, token = stage.app.id, stage.token
    async with stage_at(tmp_path, app_id=app_id) as stage:
        stage.token = token
        late = Reading(stage, await admin(stage))
        late.subscribe()
        await late.until(text)
        assert late.is_done


@pytest.mark.rule("ST15")
@pytest.mark.usefixtures("many_parts")
async def test_parts_that_cannot_be_merged_stay(stage, monkeypatch):
    writer = await admin(stage)
    stream = (await start(writer))["stream-id"]
    await write_parts(writer, stream, 5)
    monkeypatch.setattr(limits, "SMALL_PART_BYTES", 100)
    monkeypatch.setattr(limits, "MERGED_PARTS_MIN", 4)
    files = stage.hub.streams.parts
    read, files.read = files.read, lambda *given: 1 / 0
    append(writer, stream, "tail", offset=20)
    assert (await writer.hear("stream-flushed"))["offset"] == 24
    await stage.hub.streams.close()
    assert len((await row_of(stage))["$files"]) == 6
    files.read = read
    append(writer, stream, "more", offset=24)
    await writer.hear("stream-flushed")
    await stage.hub.streams.close()
    assert [file["size"] for file in (await row_of(stage))["$files"]] == [28]


@pytest.mark.rule("ST16")
async def test_what_a_network_appends_has_a_rate(stage, monkeypatch):
    rate = RateLimit(capacity=100, refill_amount=10, period_ms=1_000)
    monkeypatch.setattr(limits, "APPEND_RATE", rate)
    monkeypatch.setattr(limits, "START_BYTES", 10)
    client, other = await admin(stage, ip="10.0.0.1"), await admin(stage, ip="10.0.0.2")
    stream = (await start(client))["stream-id"]
    append(client, stream, "x" * 90, offset=0)
    append(client, stream, "y", offset=90)
    failure = await client.hear("error")
    assert (failure["type"], failure["hint"]["retry-after"]) == ("rate-limited", 100)
    client.say("start-stream", client_id="chat", reconnect_token=TOKEN)
    assert (await client.hear("error"))["type"] == "rate-limited"
    assert (await start(other))["offset"] == 90
    stage.runtime.advance(2_000)
    assert (await start(client))["offset"] == 90
    append(client, stream, "y" * 10, offset=90, done=True)
    assert (await client.hear("stream-flushed"))["offset"] == 100
