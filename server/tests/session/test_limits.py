"""Bad input, slow clients, silence: what a session does when things go wrong."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from support.memory_client import refreshed
from trice import limits
from trice.background import Background

T1 = "e1000000-0000-4000-8000-000000000001"
TODOS = {"todos": {}}


@pytest.mark.rule("P30")
@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b'{"op":"init"', b'"\\ud800"', b"[" * 100_000, b"nonsense"]
)
async def test_what_is_no_json_gets_an_error_and_the_session_goes_on(stage, raw):
    client = await stage.client()
    client.say_raw(raw)
    error = await client.hear()
    assert (error["op"], error["type"]) == ("error", "param-malformed")
    assert "JSON" in error["message"]
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")


@pytest.mark.rule("P31")
@pytest.mark.parametrize(
    ("op", "code"),
    [
        ("fly", "param-malformed"),
        ("refresh", "param-malformed"),
        (5, "param-malformed"),
        (None, "param-missing"),
    ],
)
async def test_unknown_ops_are_named(stage, op, code):
    client = await stage.client()
    client.say_raw(orjson.dumps({"op": op, "client-event-id": "e"}))
    error = await client.hear()
    assert (error["type"], error["client-event-id"]) == (code, "e")


@pytest.mark.rule("P31")
@pytest.mark.parametrize("raw", [b"[]", b"5", b'"text"', b"null", b"[{}]"])
async def test_messages_must_be_objects(stage, raw):
    client = await stage.client()
    client.say_raw(raw)
    assert (await client.hear())["type"] == "param-malformed"


@pytest.mark.rule("P31")
async def test_a_known_op_with_a_wrong_field_says_which(stage):
    client = await stage.client()
    client.say_raw(b'{"op":"add-query","client-event-id":7,"q":{}}')
    error = await client.hear()
    assert error["type"] == "param-malformed"
    assert "client-event-id" in error["message"]


@pytest.mark.rule("P32", "P114")
@pytest.mark.parametrize("size", [limits.MESSAGE_BYTES_MAX + 1, limits.FRAME_BYTES_MAX])
async def test_a_message_over_the_limit_is_answered_and_the_session_goes_on(stage, size):
    client = await stage.client()
    client.say_raw(b'{"op":"transact","client-event-id":"big","tx-steps":[]'.ljust(size))
    error = await client.hear("error")
    assert (error["type"], error["client-event-id"]) == ("message-too-big", "big")
    assert error["original-event"] == {"op": "transact", "client-event-id": "big"}
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")
    assert client.closed is None


@pytest.mark.rule("P33")
async def test_a_large_message_is_echoed_in_part(stage):
    client = await stage.client()
    steps = [["add-triple", "bad", "bad", "x" * limits.ERROR_ECHO_BYTES_MAX]]
    event = client.say("transact", tx_steps=steps)
    error = await client.hear("error")
    assert error["original-event"] == {"op": "transact", "client-event-id": event}


@pytest.mark.rule("P34")
async def test_a_bug_is_told_without_details(stage, monkeypatch, caplog):
    client = await stage.client()

    def broken(*_args, **_kwargs):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(stage.app.database, "watch_now", broken)
    client.say("add-query", q=TODOS)
    error = await client.hear()
    assert (error["type"], error["status"]) == ("unknown", 500)
    assert "secret" not in orjson.dumps(error).decode()
    assert error["trace-id"] in caplog.text
    assert "secret detail" in caplog.text
    monkeypatch.undo()
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")


@pytest.mark.rule("P35")
async def test_a_client_that_never_reads_is_dropped_alone(stage):
    stuck, well = await stage.client(), await stage.client()
    stuck.backlog = limits.OUTBOX_BYTES_MAX
    stuck.say("remove-query", q=TODOS)
    assert stuck.closed is not None
    assert stuck.session.is_closed
    well.say("add-query", q=TODOS)
    await well.hear("add-query-ok")


@pytest.mark.rule("P36")
async def test_refreshes_of_a_slow_client_are_coalesced_to_the_newest(stage):
    slow, writer = await stage.client(), await stage.client()
    slow.say("add-query", q=TODOS)
    await slow.hear("add-query-ok")
    slow.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
    title = stage.attr("todos", "title")
    writer.say("transact", tx_steps=stage.create("todos", T1))
    for number in range(10):
        writer.say("transact", tx_steps=[["add-triple", T1, title, str(number)]])
    for _ in range(11):
        await writer.hear("transact-ok")
    await stage.app.database.live.settled()
    assert slow.unheard() == []
    slow.backlog = 0
    slow.session.on_writable()
    refresh = await slow.hear("refresh-ok")
    assert [t[2] for t in refreshed(refresh) if t[1] == title] == ["9"]
    await stage.app.database.live.settled()
    assert slow.unheard() == []


@pytest.mark.rule("P37")
async def test_silent_sessions_are_closed(stage):
    mute, quiet, alive = stage.connect(), await stage.client(), await stage.client()
    step_ms = limits.PING_INTERVAL_MS
    for _ in range(4):
        stage.runtime.advance(step_ms)
        alive.session.heard()
        for client in (mute, quiet, alive):
            client.session.check_time(stage.runtime.monotonic_ms())
    assert mute.closed is not None
    assert quiet.closed is not None
    assert quiet.pings >= 2
    assert alive.closed is None


@pytest.mark.rule("P120")
async def test_time_in_which_the_server_did_not_run_is_nobodys_silence(stage):
    early, quiet, mute = stage.connect(), await stage.client(), await stage.client()
    look_ms = limits.PING_INTERVAL_MS / 2
    stage.runtime.advance(look_ms)
    stage.hub.look()
    # Something held the loop, or the machine slept: pongs have come meanwhile, unread.
    away_ms = 10 * limits.IDLE_TIMEOUT_MS
    stage.runtime.advance(look_ms + away_ms)
    stage.hub.look(away_ms=away_ms)
    assert [client.closed for client in (early, quiet, mute)] == [None] * 3
    quiet.session.heard()
    for _ in range(5):
        stage.runtime.advance(look_ms)
        stage.hub.look()
        quiet.session.heard()
    assert quiet.closed is None
    assert mute.closed is not None
    assert early.closed is not None


@pytest.mark.rule("P120")
async def test_how_long_the_server_was_away_is_measured(stage):
    looks = []
    client = await stage.client()
    sleep_ms = stage.runtime.sleep_ms

    async def late(duration_ms):
        await sleep_ms(duration_ms + (60_000 if not looks else 0))

    def look(*, away_ms):
        looks.append(away_ms)
        client.session.check_time(stage.runtime.monotonic_ms(), away_ms=away_ms)

    stage.runtime.sleep_ms = late
    stage.hub.look = look
    background = Background(stage.runtime)
    stage.hub.start(background)
    while len(looks) < 3:  # noqa: ASYNC110 - it is the hub that looks
        await asyncio.sleep(0)
    stage.hub.stop()
    await background.stop()
    assert looks[:3] == [60_000, 0, 0]
    assert client.closed[0] == 1012


@pytest.mark.rule("P38")
@pytest.mark.parametrize(
    ("limit", "value"), [("SESSION_TRANSACTS_MAX", 3), ("SESSION_TRANSACTS_BYTES_MAX", 600)]
)
async def test_a_session_with_too_many_open_transactions_is_not_read(
    open_stage, monkeypatch, limit, value
):
    monkeypatch.setattr(limits, limit, value)
    stage = await open_stage()
    client = await stage.client()
    for number in range(3):
        client.say("transact", tx_steps=stage.create("todos", T1, title=str(number)))
    assert client.is_reading_paused
    for _ in range(3):
        await client.hear("transact-ok")
    assert not client.is_reading_paused


@pytest.mark.rule("P39")
async def test_stopping_closes_every_session_with_1012(stage):
    clients = [await stage.client() for _ in range(3)]
    clients[0].say("add-query", q=TODOS)
    stage.hub.stop()
    assert [client.closed[0] for client in clients] == [1012] * 3
    assert len(stage.hub) == 0
    assert len(stage.app.database.live) == 0
    assert stage.app.users == 1


@pytest.mark.rule("P40")
async def test_everything_of_a_turn_leaves_in_one_write(stage):
    client = await stage.client()
    before = client.writes
    for number in range(5):
        client.say("add-query", q={"todos": {"$": {"limit": number + 1}}})
    for _ in range(5):
        await client.hear("add-query-ok")
    assert client.writes == before + 1


async def test_a_closed_session_gives_everything_back(stage):
    client = await stage.client()
    client.say("add-query", q=TODOS)
    client.say("transact", tx_steps=stage.create("todos", T1))
    client.hang_up()
    client.hang_up()
    assert stage.app.users == 1
    assert len(stage.app.database.live) == 0
    writer = await stage.client()
    writer.say("add-query", q=TODOS)
    answer = await writer.hear("add-query-ok")
    assert answer["result"]
    await asyncio.sleep(0)


@pytest.mark.rule("P35")
async def test_one_large_answer_goes_out_when_nothing_waits(stage):
    client = await stage.client()
    client.session.push(
        b'{"op":"remove-query-ok","client-event-id":null,"q":{"x":"%b"}}'
        % (b"x" * limits.OUTBOX_BYTES_MAX)
    )
    assert (await client.hear())["op"] == "remove-query-ok"
    assert client.closed is None
