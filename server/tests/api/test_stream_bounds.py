"""What requests about streams may cost, and readers that are slow."""

from __future__ import annotations

import pytest

from support.stream_requests import (
    live_of,
    row_of,
    until,
)
from trice import limits as app_limits
from trice import stream_limits as limits
from trice.rate_limit import RateLimit


@pytest.mark.rule("ST15")
@pytest.mark.rule("ST33")
async def test_a_slow_reader_gets_all_though_parts_are_merged_meanwhile(stage, log, monkeypatch):
    monkeypatch.setattr("trice.file_limits.PIECE_BYTES", 2)
    monkeypatch.setattr(limits, "MERGED_PARTS_MIN", 100)
    for n in range(12):
        await log.post(f"{n:03d};")
    reading = log.start("GET")
    await reading.changed()
    reading.stop_reading()
    monkeypatch.setattr(limits, "MERGED_PARTS_MIN", 4)
    end = await log.post("more")
    await stage.streams.close()
    assert [file["size"] for file in (await row_of(stage))["$files"]] == [end]
    reading.read_on()
    answer = await reading.whole()
    assert answer.body == b"".join(b"%03d;" % n for n in range(12))
    assert await log.text() == answer.body.decode() + "more"


@pytest.mark.rule("ST33")
async def test_a_follower_that_does_not_read_holds_nothing_and_nobody_up(stage, log, monkeypatch):
    monkeypatch.setattr(limits, "READ_PIECE_BYTES", 4)
    asleep = log.start("GET", "?live=chunked")
    await asleep.changed()
    asleep.stop_reading()
    awake = log.start("GET", "?live=chunked")
    for n in range(20):
        await log.post(f"{n:03d};")
        await until(awake, f"{n:03d};")
    live = await live_of(stage)
    assert live.stream.buffered == 0
    asleep.read_on()
    await log.post("!", stream_closed="true")
    assert (await asleep.whole()).body == (await awake.whole()).body


@pytest.mark.rule("ST16")
async def test_requests_have_a_rate_too(stage, log, monkeypatch):
    rate = RateLimit(capacity=100, refill_amount=10, period_ms=1_000)
    monkeypatch.setattr(limits, "APPEND_RATE", rate)
    monkeypatch.setattr(limits, "START_BYTES", 10)
    assert await log.post("x" * 50) == 50
    answer = await log.ask("POST", text="y" * 50)
    assert (answer.status, answer.json()["hint"]["retry-after"]) == (429, 2_000)
    assert await log.text() == "x" * 50
    stage.runtime.advance(3_000)
    assert await log.post("y" * 50) == 100
    assert (await log.ask("POST", text="z")).status == 429


@pytest.mark.rule("ST14")
async def test_streams_of_an_app_that_was_closed_meanwhile_go_on(stage, log):
    assert await log.post("one ") == 4
    before = await live_of(stage)
    stage.runtime.advance(app_limits.APP_IDLE_MS + 1)
    stage.apps.close_old()
    await stage.apps.settled()
    assert await log.post("two") == 7
    assert await live_of(stage) is not before
    assert await log.text() == "one two"
