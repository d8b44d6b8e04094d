"""Streams over a session: writing, flushes, takeover, readers, rules, deletion."""

from __future__ import annotations

import pytest

from support.stream_clients import (
    OTHER,
    TOKEN,
    Reading,
    admin,
    append,
    hold_disk,
    row_of,
    start,
)
from trice import stream_limits as limits
from trice.identity import ADMIN
from trice.rules.document import Rules


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


async def denied(client, action):
    """The client is told that a rule of `$streams` refused it."""
    failure = await client.hear("error")
    assert failure["type"] == "permission-denied"
    assert failure["hint"] == {
        "input": ["$streams", action],
        "expected": "has-streams-permission?",
    }


def allow(stage, **rules):
    stage.app.database.set_rules(Rules.parse({"$streams": {"allow": rules}}))


@pytest.mark.rule("ST9")
async def test_without_rules_only_admins_write_and_read(stage):
    guest, writer = await stage.client(), await admin(stage)
    guest.say("start-stream", client_id="open", reconnect_token=TOKEN)
    await denied(guest, "create")
    stream = (await start(writer, "open"))["stream-id"]
    for name in ({"client_id": "open"}, {"stream_id": stream}):
        guest.say("subscribe-stream", **name)
        await denied(guest, "view")
        writer.say("subscribe-stream", **name)
        await writer.hear("stream-append")
    allow(stage, create="false", view="false")
    await start(writer, "open")
    writer.say("subscribe-stream", client_id="open")
    await writer.hear("stream-append")


@pytest.mark.rule("ST9")
async def test_create_sees_the_name_and_is_asked_before_the_token_is_read(stage):
    guest = await stage.client()
    allow(stage, create="data.clientId == 'open' && ruleParams.k == 'v'")
    k = {"rule_params": {"k": "v"}}
    guest.say("start-stream", client_id="open", reconnect_token=TOKEN, **k)
    await guest.hear("start-stream-ok")
    for name, params in (("closed", k), ("open", {}), ("open", {"rule_params": {"k": "w"}})):
        guest.say("start-stream", client_id=name, reconnect_token=OTHER, **params)
        await denied(guest, "create")
    assert await row_of(stage, "closed") is None
    guest.say("start-stream", client_id="open", reconnect_token=OTHER, **k)
    assert "Reconnect token is invalid." in (await guest.hear("error"))["message"]
    # Nothing but the name: of a stream that is there neither.
    allow(stage, create="data.done == null && data.id == null && data.size == null")
    guest.say("start-stream", client_id="open", reconnect_token=TOKEN)
    await guest.hear("start-stream-ok")


@pytest.mark.rule("ST9")
async def test_view_sees_the_row(stage):
    writer, guest = await admin(stage), await stage.client()
    stream = (await start(writer, "open"))["stream-id"]
    allow(stage, view=f"data.id == '{stream}' && data.clientId == 'open' && data.done == null")
    guest.say("subscribe-stream", client_id="open")
    await guest.hear("stream-append")
    append(writer, stream, "x", offset=0, done=True)
    await writer.hear("stream-flushed")
    guest.say("subscribe-stream", stream_id=stream)
    await denied(guest, "view")
    allow(stage, view="data.done && data.size == 1 && ruleParams.k == 'v'")
    guest.say("subscribe-stream", client_id="open")
    await denied(guest, "view")
    guest.say("subscribe-stream", client_id="open", rule_params={"k": "v"})
    assert (await guest.hear_where(lambda m: m.get("done") and "files" in m))["offset"] == 0


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


@pytest.mark.rule("ST10")
async def test_deleting_a_stream_takes_its_parts_and_ends_a_flush(stage):
    writer, database = await admin(stage), stage.app.database
    stream = (await start(writer))["stream-id"]
    append(writer, stream, "kept for now", offset=0)
    assert (await start(writer))["offset"] == 12
    began, may_store = hold_disk(stage)
    append(writer, stream, "late", offset=12, done=True)
    await began.wait()
    await database.transact_admin([["delete", "$streams", stream, {}]], identity=ADMIN)
    assert (await writer.hear("append-failed"))["stream-id"] == stream
    may_store.set()
    await stage.hub.streams.close()
    assert (await database.look(lambda look: look.find({"$files": {}})))["$files"] == []
    assert await row_of(stage) is None
    writer.say("subscribe-stream", client_id="chat")
    assert "Stream is missing." in (await writer.hear("error"))["message"]


@pytest.mark.rule("ST10")
async def test_rules_let_nobody_delete_a_stream(stage):
    writer = await admin(stage)
    stream = (await start(writer))["stream-id"]
    rules = {"$default": {"allow": {"$default": "true"}}}
    stage.app.database.set_rules(Rules.parse(rules))
    guest = await stage.client()
    guest.say("transact", tx_steps=[["delete-entity", stream, "$streams"]])
    await guest.hear("error")
    append(writer, stream, "still here", offset=0, done=True)
    assert (await writer.hear("stream-flushed"))["offset"] == 10


@pytest.mark.rule("ST5")
async def test_flushed_bytes_are_there_after_a_restart(stage_at, tmp_path):
    async with stage_at(tmp_path) as stage:
        writer = await admin(stage)
        stream = (await start(writer))["stream-id"]
        append(writer, stream, "kept", offset=0)
        app_id, token = stage.app.id, stage.token
    async with stage_at(tmp_path, app_id=app_id) as stage:
        stage.token = token
        writer = await admin(stage)
        reader = Reading(stage, writer)
        reader.subscribe()
        await reader.until(b"kept")
        assert (await start(writer))["offset"] == 4


@pytest.mark.rule("ST13")
async def test_an_end_that_was_announced_too_early_holds_once_its_bytes_are_there(stage):
    # As @instantdb/core does: it comes back, closes before it is answered, then sends what it has.
    first = await admin(stage)
    stream = (await start(first))["stream-id"]
    append(first, stream, "one ", offset=0)
    first.hang_up()
    client = await admin(stage)
    client.say("start-stream", client_id="chat", reconnect_token=TOKEN)
    append(client, stream, offset=7, done=True, abort_reason="tired")
    assert (await client.hear("error"))["original-event"]["op"] == "append-stream"
    assert (await client.hear("start-stream-ok"))["offset"] == 4
    client.say("start-stream", client_id="chat", reconnect_token=TOKEN)
    append(client, stream, "two", offset=4)
    told = await client.hear_where(lambda m: m["op"] == "stream-flushed" and m["done"])
    assert told["offset"] == 7
    row = await row_of(stage)
    assert (row["done"], row["size"], row["abortReason"]) == (True, 7, "tired")


@pytest.mark.rule("ST13")
async def test_an_end_behind_a_refused_append_holds_when_it_was_sent_again(stage, monkeypatch):
    client = await admin(stage)
    stream = (await start(client))["stream-id"]
    monkeypatch.setattr(limits, "BUFFER_BYTES_MAX", 2)
    append(client, stream, "abc", offset=0)
    append(client, stream, offset=3, done=True)
    for _ in range(2):
        await client.hear("error")
    monkeypatch.setattr(limits, "BUFFER_BYTES_MAX", 3)
    assert (await start(client))["offset"] == 0
    append(client, stream, "abc", offset=0)
    told = await client.hear("stream-flushed")
    assert (told["offset"], told["done"]) == (3, True)


@pytest.mark.rule("ST13")
async def test_an_end_is_forgotten_with_its_session_and_is_no_end_of_other_bytes(stage):
    client, other = await admin(stage), await admin(stage)
    stream = (await start(client))["stream-id"]
    append(client, stream, offset=3, done=True)
    await client.hear("error")
    append(client, stream, "abcd", offset=0)
    append(client, stream, "e", offset=4)
    client.hang_up()
    assert (await start(other))["offset"] == 5
    assert (await row_of(stage)).get("done") is None


@pytest.mark.rule("ST4")
async def test_an_end_during_the_flush_of_a_second_start_is_stored(stage):
    client = await admin(stage)
    stream = (await start(client))["stream-id"]
    append(client, stream, "one", offset=0)
    began, may_store = hold_disk(stage)
    client.say("start-stream", client_id="chat", reconnect_token=TOKEN)
    await began.wait()
    append(client, stream, offset=3, done=True)
    may_store.set()
    told = await client.hear_where(lambda m: m["op"] == "stream-flushed" and m["done"])
    assert told["offset"] == 3
    assert (await row_of(stage))["done"] is True


@pytest.mark.rule("ST17")
async def test_readers_go_on_without_a_word_when_the_writer_leaves_and_returns(stage):
    writer, other = await admin(stage), await admin(stage)
    stream = (await start(writer))["stream-id"]
    reader = Reading(stage, other)
    reader.subscribe()
    append(writer, stream, "one ", offset=0)
    await reader.until(b"one ")
    writer.hang_up()
    await stage.hub.streams.close()
    again = await admin(stage)
    assert (await start(again))["offset"] == 4
    append(again, stream, "two", offset=4, done=True)
    await reader.until(b"one two")
    told = [m for m in other.received if m["op"] == "stream-append"]
    assert not any("error" in message for message in told)
    assert [message.get("content", "") for message in told][-2:] == ["one ", "two"]


@pytest.mark.rule("ST5")
async def test_a_flush_goes_on_when_the_session_that_waits_for_it_ends(stage):
    first, second, third = [await admin(stage) for _ in range(3)]
    stream = (await start(first))["stream-id"]
    append(first, stream, "one ", offset=0)
    began, may_store = hold_disk(stage)
    second.say("start-stream", client_id="chat", reconnect_token=TOKEN)
    await began.wait()
    second.hang_up()
    third.say("start-stream", client_id="chat", reconnect_token=TOKEN)
    may_store.set()
    assert (await third.hear("start-stream-ok"))["offset"] == 4
    append(third, stream, "two", offset=4, done=True)
    assert (await third.hear("stream-flushed"))["offset"] == 7
    assert (await row_of(stage))["size"] == 7


@pytest.mark.rule("ST5")
async def test_what_a_session_appends_before_a_second_start_that_it_does_not_outlive(stage):
    writer = await admin(stage)
    stream = (await start(writer))["stream-id"]
    append(writer, stream, "one ", offset=0)
    began, may_store = hold_disk(stage)
    writer.say("start-stream", client_id="chat", reconnect_token=TOKEN)
    await began.wait()
    append(writer, stream, "two", offset=4)
    writer.hang_up()
    may_store.set()
    await stage.hub.streams.close()
    assert sum(file["size"] for file in (await row_of(stage))["$files"]) == 7
