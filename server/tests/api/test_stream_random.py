"""Requests about one stream in random order, with a disk that fails and parts that are merged."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from support.stream_requests import Http, live_of, row_of
from trice import stream_limits as limits
from trice.errors import NotFound
from trice.streams import requests


async def post_some(random, log, name, answers):
    for n in range(15):
        text = f"<{name}{n}{'ö' * random.randint(0, 5)}>"
        sent = {"transfer_encoding": "chunked"} if random.random() < 0.4 else {}
        answers[text] = (await log.ask("POST", text=text, **sent)).status
        for _ in range(random.randint(0, 5)):
            await asyncio.sleep(0)


async def poll(random, log):
    """All text, by long polls, until the stream is done."""
    data = b""
    while True:
        answer = await log.ask("GET", f"?offset={len(data)}&live=long-poll")
        data += answer.body
        assert int(answer.headers["stream-next-offset"]) == len(data)
        if "stream-closed" in answer.headers:
            return data


def fail_sometimes(random, stage, *, rate):
    kept = stage.files.kept

    def failing(app_id, data):
        if random.random() < rate:
            raise OSError("the disk fails")
        return kept(app_id, data)

    stage.files.kept = failing


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(limits, "MERGED_PARTS_MIN", 3)
    monkeypatch.setattr(limits, "IDLE_STREAMS_MAX", 1)
    monkeypatch.setattr(limits, "PARTS_READ_AT_ONCE", 2)
    monkeypatch.setattr("trice.file_limits.PIECE_BYTES", 5)


@pytest.mark.rule("ST12")
@pytest.mark.rule("ST21")
@pytest.mark.parametrize("seed", range(12))
async def test_what_was_answered_is_there_once_and_nothing_else(stage, log, seed):
    random = Random(seed)
    fails = seed % 2 == 1
    readers = [] if fails else [asyncio.ensure_future(poll(random, log)) for _ in range(2)]
    follower = None if fails else log.start("GET", "?live=chunked")
    if fails:
        fail_sometimes(random, stage, rate=0.3)
    answers: dict[str, int] = {}
    await asyncio.gather(*(post_some(random, log, name, answers) for name in "abc"))
    if fails:
        del stage.files.kept
    assert (await log.ask("POST", stream_closed="true")).status == 204
    text = await log.text()
    parts = [f"{part}>" for part in text.split(">")[:-1]]
    assert sorted(parts) == sorted(piece for piece, status in answers.items() if status == 204)
    # A newer request takes over from one that is still sending.
    assert set(answers.values()) <= ({204, 409, 503} if fails else {204, 409})
    for reader in readers:
        assert (await reader).decode() == text
    if follower is not None:
        assert (await follower.whole()).body.decode() == text
    await stage.streams.close()
    row = await row_of(stage)
    assert row["size"] == sum(file["size"] for file in row["$files"]) == len(text.encode())


@pytest.mark.rule("ST15")
async def test_a_read_waits_for_the_merge_of_its_part(stage, monkeypatch):
    monkeypatch.setattr(limits, "MERGED_PARTS_MIN", 100)
    log = Http(stage)
    await log.ask("PUT")
    for text in ("one ", "two"):
        await log.post(text)
    app = await stage.apps.lend(stage.app_id)
    live = await live_of(stage)
    read, waited = stage.files.read, []

    async def gone(app, location_id, start, end):
        """As if the row had been merged by a transaction whose end is not known yet."""
        waited.append(live.is_merging)
        if live.is_merging:
            asyncio.get_running_loop().call_soon(end_merge)
            raise NotFound("file-not-found", "It was deleted.")
        async for piece in read(app, location_id, start, end):
            yield piece

    def end_merge():
        live.is_merging = False
        live.stored.ring()

    stage.files.read = gone
    live.is_merging = True
    pieces = [piece async for piece in requests.read(stage.streams, app, live, 0, 7)]
    assert b"".join(pieces) == b"one two"
    assert waited == [True, False, False]
    stage.apps.give_back(app)
