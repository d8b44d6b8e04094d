"""Streams over plain HTTP (`trice.api.streams`), beside sessions of the same streams."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import orjson
import pytest

from support.sign_in import SignIns, problem
from support.stream_requests import (
    OTHER,
    TOKEN,
    Http,
    row_of,
    session,
    set_rules,
    until,
)
from trice import stream_limits as limits


@pytest.mark.rule("ST20")
async def test_put_makes_a_stream_once(stage):
    http = Http(stage, "a/b c")
    answer = await http.ask("PUT", text="Hellö")
    assert (answer.status, answer.headers["stream-next-offset"]) == (201, "0000000000000006")
    assert answer.headers["location"].endswith(f"/streams/{stage.app_id}/a/b%20c")
    again = await http.ask("PUT", text="Hellö")
    assert (again.status, again.headers["stream-next-offset"]) == (200, "0000000000000006")
    assert await http.text() == "Hellö"
    assert (await row_of(stage, "a/b c"))["$files"][0]["size"] == 6


@pytest.mark.rule("ST20")
async def test_what_the_protocol_has_and_streams_have_not_is_refused(stage):
    http = Http(stage)
    answer = await http.ask("PUT", content_type="application/json", text="[]")
    assert problem(answer) == (400, "param-malformed", ["headers", "content-type"])
    answer = await http.ask("PUT", stream_ttl="60")
    assert (answer.status, answer.json()["type"]) == (501, "not-built")
    assert await row_of(stage) is None
    await http.ask("PUT")
    for header in ("stream_seq", "producer_id"):
        answer = await http.ask("POST", text="x", **{header: "1"})
        assert (answer.status, answer.json()["type"]) == (501, "not-built")
    answer = await http.ask("POST", text="x", content_type="application/x-www-form-urlencoded")
    assert (answer.status, answer.json()["type"]) == (409, "stream-conflict")
    assert await http.text() == ""


@pytest.mark.rule("ST21")
async def test_an_append_is_answered_when_it_is_durable(stage, log):
    kept = stage.files.kept
    may_store, began = asyncio.Event(), asyncio.Event()

    def slow(app_id, data):
        began.set()
        return _after(may_store, kept(app_id, data))

    stage.files.kept = slow
    posting = log.start("POST", text="one ")
    await began.wait()
    assert not posting.status
    assert (await row_of(stage))["$files"] == []
    may_store.set()
    assert (await posting.whole()).status == 204
    assert [file["size"] for file in (await row_of(stage))["$files"]] == [4]


class _after:
    """A context that is entered once something has happened."""

    def __init__(self, event, context):
        self.event, self.context = event, context

    async def __aenter__(self):
        await self.event.wait()
        return await self.context.__aenter__()

    async def __aexit__(self, *details):
        return await self.context.__aexit__(*details)


@pytest.mark.rule("ST21")
async def test_an_append_that_cannot_be_stored_is_refused_and_changes_nothing(stage, log):
    await log.post("kept")
    kept = stage.files.kept
    stage.files.kept = lambda app_id, data: 1 / 0
    answer = await log.ask("POST", text=" lost")
    assert (answer.status, answer.json()["type"]) == (503, "overloaded")
    stage.files.kept = kept
    assert await log.text() == "kept"
    assert await log.post(" more") == 9


@pytest.mark.rule("ST22")
async def test_the_offset_of_an_append_is_checked(stage, log):
    assert await log.post("abc", "?offset=0") == 3
    for wrong in ("0", "2", "4"):
        answer = await log.ask("POST", f"?offset={wrong}", "x")
        assert (answer.status, answer.json()["type"]) == (409, "stream-conflict")
        assert answer.headers["stream-next-offset"] == "0000000000000003"
        assert answer.json()["hint"] == {"next-offset": 3, "done": False}
    for wrong in ("x", "now", "-2", "1" * 17):
        answer = await log.ask("POST", f"?offset={wrong}", "x")
        assert problem(answer) == (400, "param-malformed", ["params", "offset"])
    assert await log.post("d", "?offset=0000000000000003") == 4
    assert await log.text() == "abcd"


@pytest.mark.rule("ST22")
async def test_appends_at_the_same_time_are_whole_and_those_with_an_offset_exclude_each_other(
    stage, log
):
    pieces = [f"<{n}>" for n in range(20)]
    ends = await asyncio.gather(*(log.post(piece) for piece in pieces))
    text = await log.text()
    assert sorted(text.replace("><", ">|<").split("|")) == sorted(pieces)
    assert len(set(ends)) == 20
    for piece, end in zip(pieces, ends, strict=True):
        assert text[end - len(piece) : end] == piece
    asked = [log.ask("POST", f"?offset={len(text)}", "once") for _ in range(5)]
    statuses = [answer.status for answer in await asyncio.gather(*asked)]
    assert sorted(statuses) == [204, 409, 409, 409, 409]


@pytest.mark.rule("ST23")
async def test_a_body_is_text(stage, log):
    for wrong in (b"\xff", "ö".encode()[:1]):
        answer = await log.ask("POST", text=wrong)
        assert problem(answer) == (400, "param-malformed", ["body"])
        answer = await log.ask("POST", text=wrong, transfer_encoding="chunked")
        assert problem(answer) == (400, "param-malformed", ["body"])
    assert problem(await log.ask("POST")) == (400, "param-missing", ["body"])
    answer = await log.ask("POST", transfer_encoding="chunked")
    assert problem(answer) == (400, "param-missing", ["body"])
    assert await log.text() == ""


@pytest.mark.rule("ST24")
async def test_a_stream_ends_once(stage, log):
    assert await log.post("all", stream_closed="true") == 3
    row = await row_of(stage)
    assert (row["done"], row["size"]) == (True, 3)
    again = await log.ask("POST", stream_closed="true")
    assert (again.status, again.headers["stream-closed"]) == (204, "true")
    answer = await log.ask("POST", text="more")
    assert (answer.status, answer.headers["stream-closed"]) == (409, "true")
    assert answer.headers["stream-next-offset"] == "0000000000000003"
    answer = await log.ask("GET", "?offset=3&live=long-poll")
    assert (answer.status, answer.headers["stream-closed"]) == (204, "true")
    assert (await log.ask("PUT")).status == 409
    assert (await log.ask("PUT", stream_closed="true")).status == 200
    whole = Http(stage, "whole")
    assert (await whole.ask("PUT", text="x", stream_closed="true")).status == 201
    assert (await row_of(stage, "whole"))["done"] is True


@pytest.mark.rule("ST25")
async def test_who_appends(stage):
    await set_rules(stage)
    signed = SignIns(stage)
    ann = (await signed.sign_in("ann@test.com"))["user"]["refresh_token"]
    bob = (await signed.sign_in("bob@test.com"))["user"]["refresh_token"]
    of_ann = Http(stage, authorization=f"Bearer {ann}")
    assert (await of_ann.ask("PUT")).status == 201
    assert await of_ann.post("ann") == 3
    of_bob = Http(stage, authorization=f"Bearer {bob}")
    answer = await of_bob.ask("POST", text="bob")
    assert (answer.status, answer.json()["type"]) == (409, "stream-conflict")
    assert (await Http(stage).ask("POST", text="admin")).status == 409
    answer = await Http(stage, accept="*/*").ask("POST", text="guest")
    assert problem(answer) == (400, "param-missing", ["headers", "stream-token"])
    guest = Http(stage, "guests", stream_token=TOKEN)
    assert (await guest.ask("PUT", stream_token=TOKEN)).status == 201
    assert (await guest.ask("POST", text="x", stream_token=OTHER)).status == 409
    assert await guest.post("x", stream_token=TOKEN) == 1
    unknown = Http(stage, authorization=f"Bearer {OTHER}")
    assert (await unknown.ask("GET")).json()["type"] == "record-not-found"


@pytest.mark.rule("ST25")
async def test_rules_decide_as_on_sockets(stage):
    await set_rules(stage, {"$streams": {"allow": {"create": "ruleParams.k == 'v'"}}})
    guest = Http(stage, stream_token=TOKEN)
    answer = await guest.ask("PUT", stream_token=TOKEN)
    assert (answer.status, answer.json()["type"]) == (400, "permission-denied")
    params = "?rule-params=%7B%22k%22:%22v%22%7D"
    assert (await guest.ask("PUT", params, stream_token=TOKEN)).status == 201
    assert (await guest.ask("POST", "?rule-params=1", "x", stream_token=TOKEN)).status == 400
    assert (await guest.ask("POST", text="x", stream_token=TOKEN)).status == 400
    denied, absent = await guest.ask("GET"), await Http(stage, "no", accept="*/*").ask("GET")
    for answer in (denied, absent):
        assert (answer.status, answer.json()["type"]) == (404, "stream-not-found")
    assert denied.json()["message"] == absent.json()["message"]


@pytest.mark.rule("ST26")
async def test_a_read_has_all_from_its_offset(stage, log):
    await log.post("Hello ")
    await log.post("wörld")
    answer = await log.ask("GET", "?offset=3")
    assert (answer.status, answer.body.decode()) == (200, "lo wörld")
    assert answer.headers["content-length"] == "9"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["stream-next-offset"] == "0000000000000012"
    assert answer.headers["stream-up-to-date"] == "true"
    assert "stream-closed" not in answer.headers
    for query, text in (("", "Hello wörld"), ("?offset=-1", "Hello wörld"), ("?offset=now", "")):
        assert await log.text(query) == text
    beyond = await log.ask("GET", "?offset=99")
    assert (beyond.body, beyond.headers["stream-next-offset"]) == (b"", "0000000000000012")
    head = await log.ask("HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["stream-next-offset"] == "0000000000000012"
    assert head.headers["cache-control"] == "no-store"
    same = await log.ask("GET", "?offset=3", if_none_match=answer.headers["etag"])
    assert (same.status, same.body) == (304, b"")
    await log.post("!")
    changed = await log.ask("GET", "?offset=3", if_none_match=answer.headers["etag"])
    assert (changed.status, changed.body.decode()) == (200, "lo wörld!")
    assert (await log.ask("GET", "?offset=1.5")).status == 400
    assert (await log.ask("GET", "?live=yes")).status == 400
    for live in ("long-poll", "sse"):
        answer = await log.ask("GET", f"?live={live}")
        assert problem(answer) == (400, "param-missing", ["params", "offset"])


@pytest.mark.rule("ST26")
async def test_what_a_session_writes_is_read_before_it_is_durable(stage):
    writer = await session(stage)
    writer.say("start-stream", client_id="log", reconnect_token=TOKEN)
    stream = (await writer.hear("start-stream-ok"))["stream-id"]
    writer.say("append-stream", stream_id=stream, chunks=["Hello ", "wörld"], offset=0)
    http = Http(stage)
    assert await http.text("?offset=7") == "örld"
    assert (await row_of(stage))["$files"] == []
    assert await http.post("!", stream_token=TOKEN) == 13
    writer.say("append-stream", stream_id=stream, chunks=["x"], offset=12)
    failure = await writer.hear("error")
    assert failure["hint"]["errors"][0]["message"] == "Stream is missing."
    assert await http.text() == "Hello wörld!"


@pytest.mark.rule("ST27")
async def test_a_long_poll_waits_for_the_next_bytes(stage, log, monkeypatch):
    await log.post("one ")
    at_once = await log.ask("GET", "?offset=0&live=long-poll")
    assert (at_once.status, at_once.body) == (200, b"one ")
    cursor = at_once.headers["stream-cursor"]
    waiting = log.start("GET", f"?offset=4&live=long-poll&cursor={cursor}")
    await log.post("two")
    answer = await waiting.whole()
    assert (answer.status, answer.body) == (200, b"two")
    assert int(answer.headers["stream-cursor"]) > int(cursor)
    waiting = log.start("GET", "?offset=now&live=long-poll")
    await asyncio.sleep(0)
    await log.ask("DELETE")
    assert (await waiting.whole()).status == 404


@pytest.mark.rule("ST27")
async def test_a_long_poll_ends(stage, log, monkeypatch):
    monkeypatch.setattr(limits, "LONG_POLL_MS", 1)
    answer = await log.ask("GET", "?offset=0&live=long-poll")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["stream-next-offset"] == "0000000000000000"
    assert answer.headers["stream-up-to-date"] == "true"
    assert answer.headers["stream-cursor"].isdecimal()


@pytest.mark.rule("ST28")
async def test_events_follow_a_stream_to_its_end(stage, log):
    await log.post("a\n b")
    following = log.start("GET", "?offset=0&live=sse")
    await until(following, "upToDate")
    await log.post("ö\r\n", stream_closed="true")
    answer = await following.whole()
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [event.split("\n") for event in answer.body.decode().split("\n\n")[:-1]]
    kinds = [event[0] for event in events if not event[0].startswith(":")]
    assert kinds[:2] == ["event: data", "event: control"]
    assert events[0] == ["event: data", "data:a", "data:  b", "id: 0000000000000004"]
    control = orjson.loads(events[1][1].removeprefix("data:"))
    assert control.pop("streamCursor").isdecimal()
    assert control == {"streamNextOffset": "0000000000000004", "upToDate": True}
    assert events[2][1:3] == ["data:ö", "data:"]
    last = orjson.loads(events[-1][1].removeprefix("data:"))
    ends = {"streamNextOffset": "0000000000000008", "upToDate": True, "streamClosed": True}
    assert last == ends
    resumed = await log.ask("GET", "?offset=0&live=sse", last_event_id="0000000000000004")
    assert b"data:a" not in resumed.body
    assert b"streamClosed" in resumed.body


@pytest.mark.rule("ST28")
async def test_events_are_whole_characters_and_last_a_minute(stage, log, monkeypatch):
    monkeypatch.setattr("trice.file_limits.PIECE_BYTES", 3)
    monkeypatch.setattr(limits, "KEEP_ALIVE_MS", 1)
    text = "aö€😀" * 3
    await log.post(text)
    following = log.start("GET", "?offset=0&live=sse")
    await until(following, "keep-alive")
    stage.runtime.advance(limits.SSE_MS)
    answer = await following.whole()
    lines = answer.body.decode().split("\n")
    told = [line for before, line in pairwise(lines) if before == "event: data"]
    assert len(told) > 3
    assert "".join(line.removeprefix("data:") for line in told) == text


@pytest.mark.rule("ST29")
async def test_a_chunked_answer_follows_and_ends_well_only_at_the_end(stage, log, monkeypatch):
    await log.post("one ")
    tail = log.start("GET", "?offset=now&live=chunked")
    while not tail.status:
        await tail.changed()
    await tail.hang_up()
    following = log.start("GET", "?offset=1&live=chunked")
    await until(following, "ne ")
    assert following.headers["stream-offset"] == "0000000000000001"
    await log.post("two ")
    await until(following, "two ")
    await log.post("three", stream_closed="true")
    assert (await following.whole()).body == b"ne two three"
    monkeypatch.setattr(limits, "FOLLOW_IDLE_MS", 1)
    other = Http(stage, "other")
    await other.ask("PUT", text="x")
    following = other.start("GET", "?live=chunked")
    with pytest.raises(Exception, match="Nothing came for long"):
        await following.task
    assert not following.is_over


@pytest.mark.rule("ST29")
async def test_followers_end_when_the_server_stops_or_the_stream_is_deleted(stage, log):
    await log.post("x")
    following = log.start("GET", "?live=chunked")
    await until(following, "x")
    await log.ask("DELETE")
    with pytest.raises(Exception, match="no stream"):
        await following.task
    await log.ask("PUT", text="y")
    events, chunked = log.start("GET", "?offset=-1&live=sse"), log.start("GET", "?live=chunked")
    await until(events, "upToDate")
    await until(chunked, "y")
    stage.streams.stop()
    await events.whole()
    with pytest.raises(Exception, match="the server stops"):
        await chunked.task


@pytest.mark.rule("ST30")
async def test_a_long_body_is_appended_as_it_comes(stage, log, monkeypatch):
    client = await session(stage)
    client.say("subscribe-stream", client_id="log")
    await client.hear("stream-append")
    posting = log.start("POST", "?offset=0", transfer_encoding="chunked")
    posting.leave_unsent()
    posting.send_piece(b"Hello w" + "ö".encode()[:1])
    assert (await client.hear("stream-append"))["content"] == "Hello w"
    posting.send_piece("ö".encode()[1:] + b"rld")
    assert (await client.hear("stream-append"))["content"] == "örld"
    assert not posting.status
    posting.send_piece(b"!", is_last=True)
    answer = await posting.whole()
    assert (answer.status, answer.headers["stream-next-offset"]) == (204, "0000000000000013")
    assert await log.text() == "Hello wörld!"


@pytest.mark.rule("ST30")
async def test_what_came_of_a_long_body_stays_and_the_newest_writer_wins(stage, log):
    broken = log.start("POST", transfer_encoding="chunked")
    broken.leave_unsent()
    broken.send_piece(b"one ")
    follower = log.start("GET", "?live=chunked")
    await until(follower, "one ")
    await broken.hang_up()
    overtaken = log.start("POST", transfer_encoding="chunked")
    overtaken.leave_unsent()
    overtaken.send_piece(b"two ")
    await until(follower, "two ")
    assert await log.post("three ") == 14
    overtaken.send_piece(b"four ")
    answer = await overtaken.whole()
    assert (answer.status, answer.headers["stream-next-offset"]) == (409, "0000000000000014")
    assert await log.text() == "one two three "
    await follower.hang_up()


@pytest.mark.rule("ST30")
async def test_a_long_body_waits_for_the_disk(stage, log, monkeypatch):
    monkeypatch.setattr(limits, "FLUSH_BYTES", 4)
    monkeypatch.setattr(limits, "BUFFER_BYTES_MAX", 16)
    posting = log.start("POST", transfer_encoding="chunked")
    posting.leave_unsent()
    text = "".join(f"{n:03d};" for n in range(50))
    for n in range(50):
        posting.send_piece(f"{n:03d};".encode(), is_last=n == 49)
    assert (await posting.whole()).status == 204
    assert await log.text() == text
    row = await row_of(stage)
    assert sum(file["size"] for file in row["$files"]) == 200


@pytest.mark.rule("ST31")
async def test_only_an_admin_deletes(stage, log):
    await set_rules(stage)
    await log.post("x")
    guest = Http(stage, accept="*/*")
    answer = await guest.ask("DELETE")
    assert (answer.status, answer.json()["type"]) == (400, "permission-denied")
    assert (await log.ask("DELETE")).status == 204
    assert (await log.ask("DELETE")).status == 404
    assert (await log.ask("GET")).status == 404
    assert (await log.ask("POST", text="x")).status == 404
    assert (await log.ask("PUT")).status == 201


@pytest.mark.rule("ST32")
async def test_pages_of_other_sites_read_the_headers(stage, log):
    answer = await log.ask("GET", origin="https://a.test")
    assert answer.headers["access-control-allow-origin"] == "https://a.test"
    assert "stream-next-offset" in answer.headers["access-control-expose-headers"]
    answer = await log.ask("POST", "?offset=9", "x", origin="https://a.test")
    assert "stream-next-offset" in answer.headers["access-control-expose-headers"]
    assert answer.headers["x-content-type-options"] == "nosniff"
