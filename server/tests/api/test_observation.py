"""What the server tells of itself: trace ids, the log of requests, load, metrics, slow work."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import math
import subprocess
import sys
from uuid import UUID

import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from support.runtime import FakeRuntime
from trice import file_limits, limits, stream_limits
from trice.api.load import LAG_BOUNDS_MS, Load, LoopLag
from trice.background import Background
from trice.config import Settings
from trice.errors import InvalidInput, LimitExceeded
from trice.files.files import allow
from trice.identity import ADMIN, GUEST
from trice.slow_log import SlowLog
from trice.streams.stream import Reader

TOKEN = "0123456789abcdef"
SHOWN = {"authorization": f"Bearer {TOKEN}"}
PROXIED = {"x-forwarded-for": "192.0.2.1"}


async def scrape(stage):
    """Every sample of /metrics, by name and labels."""
    answer = await stage.ask("GET", "/metrics", None, SHOWN)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


# --- requests -------------------------------------------------------------------------------------


@pytest.mark.rule("H48")
async def test_every_answer_has_a_trace_id(stage):
    origin = {"origin": "https://a.example"}
    fine = await stage.ask("GET", "/health", None, origin)
    wrong = await stage.ask("POST", "/admin/query", {"query": 7}, stage.admin(**origin))
    assert fine.headers["x-trace-id"] != wrong.headers["x-trace-id"]
    assert wrong.headers["x-trace-id"] == wrong.json()["trace-id"]
    for answer in (fine, wrong):
        assert answer.headers["access-control-expose-headers"] == "x-trace-id"


@pytest.mark.rule("H49")
async def test_requests_are_logged_without_what_they_name(open_stage, caplog):
    caplog.set_level(logging.INFO, "trice.request")
    stage = await open_stage(has_request_log=True)
    await stage.ask("GET", f"/dash/apps/{stage.app_id}/auth?token=secret", None, stage.admin())
    await stage.ask("GET", "/some\nwhere/else", None, {})
    answer = await stage.ask("POST", "/admin/query", {"query": {"todos": {}}}, stage.admin())
    lines = [r.getMessage() for r in caplog.records if r.name == "trice.request"]
    assert len(lines) == 3
    assert "path=/dash/apps/{app_id}/auth status=" in lines[0]
    assert "path=/{path} status=404" in lines[1]
    expected = f"method=POST path=/admin/query status=200 ms=0.0 bytes={len(answer.body)}"
    assert lines[2] == f"request {expected} trace={answer.headers['x-trace-id']}"
    for line in lines:
        assert stage.app_id not in line
        assert "secret" not in line
        assert "\n" not in line


@pytest.mark.rule("H49")
async def test_requests_are_not_logged_unless_asked_for(stage, caplog):
    caplog.set_level(logging.INFO, "trice")
    await stage.ask("GET", "/health")
    assert [r for r in caplog.records if r.name == "trice.request"] == []


# --- load -----------------------------------------------------------------------------------------


@pytest.mark.rule("H53")
async def test_load_is_told_here_and_to_who_shows_the_token(open_stage):
    stage = await open_stage(metrics_token=TOKEN, trusted_proxies=1)
    told = (await stage.ask("GET", "/health/load")).json()
    assert (told["status"], told["apps-open"], told["sessions"]) == ("ok", 1, 0)
    assert told["memory-bytes"] > 10_000_000
    assert 0 < told["descriptors"] < told["descriptors-max"]
    assert set(told["loop-lag-ms"]) == {"p50", "p99", "max"}
    stranger = await stage.ask("GET", "/health/load", None, PROXIED)
    assert (stranger.status, stranger.json()["type"]) == (404, "route-not-found")
    shown = await stage.ask("GET", "/health/load", None, PROXIED | SHOWN)
    assert shown.status == 200


@pytest.mark.rule("H90")
@pytest.mark.parametrize("header", ["X-Forwarded-For", "forwarded", "Via", "x-real-ip"])
async def test_a_proxy_nobody_told_of_is_not_this_machine(open_stage, header):
    stage = await open_stage(metrics_token=TOKEN)
    assert (await stage.ask("GET", "/health/load")).status == 200
    stranger = await stage.ask("GET", "/health/load", None, {header: "198.51.100.7"})
    assert (stranger.status, stranger.json()["type"]) == (404, "route-not-found")
    shown = await stage.ask("GET", "/health/load", None, SHOWN | {header: "198.51.100.7"})
    assert shown.status == 200


@pytest.mark.rule("H53")
def test_load_is_looked_at_once_a_second(monkeypatch):
    runtime = FakeRuntime()
    load = Load(runtime)
    first = load.process()
    assert load.process() is first
    runtime.advance(1_000)
    assert load.process() is not first


@pytest.mark.rule("H54")
def test_a_stall_counts_for_all_who_would_have_come_in_it():
    lag = LoopLag()
    for _ in range(98):
        lag.note(0.2)
    assert lag.figures() == {"p50": 0.2, "p99": 0.2, "max": 0.2}
    lag.note(950.0)
    assert lag.figures() == {"p50": 0.2, "p99": 850.0, "max": 950.0}
    assert sum(lag.by_class) == 98 + 10
    assert lag.by_class[LAG_BOUNDS_MS.index(1_000)] == 5
    lag.note(1e9)  # however long, it costs no more than a minute
    assert len(lag.recent_ms) == limits.LAG_MINUTE_MS // limits.LAG_PROBE_MS
    assert lag.by_class[-1] == limits.LAG_MINUTE_MS // limits.LAG_PROBE_MS


@pytest.mark.rule("H54")
async def test_the_lag_is_measured():
    runtime = FakeRuntime()
    load = Load(runtime)
    background = Background(runtime)
    load.start(background)
    await asyncio.sleep(0)
    runtime.advance(30)  # as if something else had held the loop
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await background.stop()
    assert max(load.lag.recent_ms) == 30


# --- metrics --------------------------------------------------------------------------------------


@pytest.mark.rule("H103")
async def test_background_work_is_told_of(open_stage):
    stage = await open_stage(metrics_token=TOKEN)
    background = stage.asgi.state.background

    def broken(late_ms: float) -> None:
        raise OSError("busy")

    background.every("sweep", 10 * limits.BACKGROUND_WAIT_MS_MAX, broken, is_due_now=True)
    await asyncio.sleep(0)
    told = (await stage.ask("GET", "/health/load")).json()
    assert told["background-failing"] == ["sweep"]
    page = (await stage.ask("GET", "/metrics", None, SHOWN)).body.decode()
    await background.stop()
    for line in (
        'trice_background_runs_total{work="sweep"}',
        'trice_background_failures_total{work="sweep"}',
        'trice_background_running{work="sweep"} 0.0',
        'trice_background_waiting{work="sweep"} 0.0',
        'trice_background_last_seconds{work="sweep"} 0.0',
    ):
        assert f"\n{line}" in page


@pytest.mark.rule("H50")
@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer 0123456789abcdeX"}, {"authorization": "Bearer "}, PROXIED],
)
async def test_metrics_are_for_who_shows_the_token(open_stage, token, headers):
    stage = await open_stage(metrics_token=token)
    answer = await stage.ask("GET", "/metrics", None, headers)
    unknown = await stage.ask("GET", "/metricks", None, headers)
    assert (answer.status, answer.json()["type"]) == (404, "route-not-found")
    assert answer.json()["message"] == unknown.json()["message"]


@pytest.mark.rule("H50")
@pytest.mark.parametrize("token", ["short", "x" * 15, "with a space in it all", "é" * 20, ""])
def test_a_weak_token_is_refused_and_not_repeated(token):
    with pytest.raises(InvalidInput, match="--metrics-token must be 16") as caught:
        Settings(metrics_token=token)
    assert not token or token not in caught.value.message


@pytest.mark.rule("H51")
async def test_metrics_tell_what_was_done(open_stage):
    stage = await open_stage(metrics_token=TOKEN)
    step = ["update", "todos", stage.app_id, {"a": 1}]
    for _ in range(3):
        await stage.ask("POST", "/admin/transact", {"steps": [step]}, stage.admin())
    await stage.ask("POST", "/admin/query", {"query": 7}, stage.admin())
    found = await scrape(stage)
    assert found["trice_writes_total", "commits"] == 3
    assert found["trice_http_requests_total", "2xx"] == 3
    assert found["trice_http_requests_total", "4xx"] == 1
    assert found["trice_sessions",] == 0
    assert found["trice_app_commits", stage.app_id] == 3
    for name in ("transactions", "long_reads", "news", "first_answers"):
        assert found["trice_waiting", name] == 0
    for name in ("patched", "rerun_node", "rerun_query", "rerun_on_thread"):
        assert ("trice_queries_total", name) in found
    assert ("trice_refreshes_total", "silent") in found
    assert found["trice_loop_lag_seconds_count",] == 0


@pytest.mark.rule("H51")
async def test_totals_outlive_the_apps_they_are_of(open_stage, monkeypatch):
    stage = await open_stage(metrics_token=TOKEN)
    step = {"steps": [["update", "todos", stage.app_id, {"a": 1}]]}
    await stage.ask("POST", "/admin/transact", step, stage.admin())
    await stage.apps.delete(stage.app_id)
    found = await scrape(stage)
    assert found["trice_writes_total", "commits"] == 1
    assert ("trice_app_commits", stage.app_id) not in found


@pytest.mark.rule("H52")
async def test_few_apps_are_named(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "METRICS_APPS_MAX", 2)
    stage = await open_stage(metrics_token=TOKEN)
    for _ in range(4):
        app, _ = await stage.apps.create(title="x", is_open=True)
        stage.apps.give_back(app)
    step = {"steps": [["update", "todos", stage.app_id, {"a": 1}]]}
    await stage.ask("POST", "/admin/transact", step, stage.admin())
    found = await scrape(stage)
    named = [labels for name, *labels in found if name == "trice_app_commits"]
    assert len(named) == 2
    assert [stage.app_id] in named


async def upload(stage, path, data):
    return await stage.ask("PUT", "/admin/storage/upload", data, stage.admin(path=path))


@pytest.mark.rule("H110")
async def test_metrics_tell_of_files(open_stage, monkeypatch):
    stage = await open_stage(metrics_token=TOKEN)
    monkeypatch.setattr(file_limits, "FILE_GRACE_MS", -1)  # also what came this moment
    before = await scrape(stage)
    assert math.isnan(before["trice_files_kept_bytes",])
    stored = (await upload(stage, "a", b"x" * 300_000)).json()["data"]
    assert (await upload(stage, "", b"y")).status == 400
    target = stage.files.url(stage.app_id, stored["location-id"]).removeprefix("http://files.test")
    whole = await stage.ask("GET", target)
    some = await stage.ask("GET", target, None, {"range": "bytes=0-9"})
    assert (len(whole.body), len(some.body)) == (300_000, 10)
    await upload(stage, "b", b"to be deleted")
    await stage.ask("DELETE", "/admin/storage/files?filename=b", None, stage.admin())
    await stage.files.collect()
    await stage.files.collector.sweep()
    found = await scrape(stage)
    assert found["trice_uploads",] == found["trice_spool_bytes",] == 0
    assert found["trice_uploads_ended_total", "stored"] == 2
    assert found["trice_file_received_bytes_total",] == 300_013
    assert found["trice_file_stored_bytes_total",] == 300_013
    assert found["trice_file_sent_bytes_total",] == 300_010
    assert found["trice_files_swept_total",] == 1
    assert (found["trice_files_kept",], found["trice_files_kept_bytes",]) == (1, 300_000)


@pytest.mark.rule("H110")
async def test_metrics_tell_of_uploads_that_fail_and_are_under_way(open_stage):
    stage = await open_stage(metrics_token=TOKEN, file_bytes_max=3_000_000)
    app = await stage.apps.lend(stage.app_id)
    comes: asyncio.Queue[bytes] = asyncio.Queue()
    wanted: asyncio.Queue[None] = asyncio.Queue()

    async def pieces():
        while True:
            wanted.put_nowait(None)
            yield await comes.get()

    uploading = asyncio.ensure_future(stage.files.upload(app, "a", pieces(), network="n"))
    comes.put_nowait(b"x" * 2_000_000)
    for _ in range(2):
        await wanted.get()
    found = await scrape(stage)
    assert (found["trice_uploads",], found["trice_spool_bytes",]) == (1, 2_000_000)
    comes.put_nowait(b"x" * 2_000_000)
    with pytest.raises(LimitExceeded):
        await uploading
    stage.apps.give_back(app)
    found = await scrape(stage)
    assert found["trice_uploads",] == found["trice_spool_bytes",] == 0
    assert found["trice_uploads_ended_total", "not_stored"] == 1
    assert found["trice_file_received_bytes_total",] == 4_000_000


@pytest.mark.rule("H110")
async def test_metrics_tell_of_uploads_in_parts(open_stage):
    stage = await open_stage(metrics_token=TOKEN)
    resumable = stage.asgi.state.resumable
    app = await stage.apps.lend(stage.app_id)
    told = {"length": 10, "metadata": "", "content_type": None, "disposition": None}
    asked = {"identity": ADMIN, "network": "n", "check": allow}
    partial = await resumable.create(app, "a", **told, **asked)

    async def pieces():
        yield b"123"

    more = {"network": "n", "checksum": None, "check": allow}
    await resumable.append(app, partial, 0, pieces(), **more)
    found = await scrape(stage)
    assert (found["trice_partial_uploads",], found["trice_partial_uploads_bytes",]) == (1, 3)
    assert found["trice_file_received_bytes_total",] == 3
    await resumable.remove(partial)
    found = await scrape(stage)
    assert found["trice_partial_uploads",] == found["trice_partial_uploads_bytes",] == 0
    stage.apps.give_back(app)


@pytest.mark.rule("H110")
async def test_metrics_tell_of_image_variants(open_stage):
    stage = await open_stage(metrics_token=TOKEN)
    image = io.BytesIO()
    Image.new("RGB", (40, 40)).save(image, "png")
    told = [(await upload(stage, "a", image.getvalue())).json()["data"]["location-id"]]
    told.append((await upload(stage, "b", b"no image")).json()["data"]["location-id"])
    good, bad = (
        stage.files.url(stage.app_id, each).removeprefix("http://files.test") for each in told
    )
    assert math.isnan((await scrape(stage))["trice_image_variants_kept",])
    sizes = [len((await stage.ask("GET", f"{good}&w=16")).body) for _ in range(2)]
    assert (await stage.ask("GET", f"{bad}&w=16")).status == 400
    found = await scrape(stage)
    for outcome in ("made", "found", "failed"):
        assert found["trice_image_variants_total", outcome] == 1
    assert found["trice_image_variants_kept",] == 1
    assert found["trice_image_variants_kept_bytes",] == sizes[0]
    assert found["trice_file_sent_bytes_total",] == sum(sizes)


class Listener:
    """A session, as writer and reader of streams, which hears what it is told."""

    network = "n"
    has_room = True

    def __init__(self):
        self.heard = []

    def on_flushed(self, stream, *, is_done):
        self.heard.append("flushed")

    def on_failed(self, stream):
        self.heard.append("failed")

    def on_news(self, reader, stream, news):
        self.heard.append(news.content)

    def on_gone(self, reader, stream):
        self.heard.append("gone")


@pytest.mark.rule("H111")
async def test_metrics_tell_of_streams(open_stage, monkeypatch):
    stage = await open_stage(metrics_token=TOKEN)
    app, streams, party = await stage.apps.lend(stage.app_id), stage.streams, Listener()
    token = {"token": str(UUID(int=7)), "params": {}}
    live = await streams.start(app, ADMIN, party, client_id="a", **token)
    reader = Reader()
    who = {"stream_id": live.stream.id, "client_id": None, "params": {}}
    await streams.subscribe(app, ADMIN, party, reader, **who)
    text = {"offset": 0, "chunks": [b"abc", b"de"], "is_done": False, "abort_reason": None}
    streams.append(live, party, **text)
    found = await scrape(stage)
    assert found["trice_streams",] == found["trice_stream_writers",] == 1
    assert found["trice_stream_readers",] == 1
    assert found["trice_stream_appends_total",] == 1
    assert found["trice_stream_appended_bytes_total",] == 5
    assert found["trice_stream_buffered_bytes",] == 5 + stream_limits.APPEND_OVERHEAD_BYTES
    assert found["trice_stream_flush_seconds_count",] == found["trice_stream_parts_total",] == 0
    streams.leave(live, party)
    await streams.close()
    found = await scrape(stage)
    assert found["trice_stream_writers",] == found["trice_stream_buffered_bytes",] == 0
    assert found["trice_stream_flush_seconds_count",] == found["trice_stream_parts_total",] == 1
    assert found["trice_stream_flushes_failed_total",] == 0
    live = await streams.start(app, ADMIN, party, client_id="a", **token)
    streams.append(live, party, **{**text, "offset": 5})

    async def refuse(app_id, spooled):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stage.storage.blobs, "put", refuse)
    streams.leave(live, party)
    await streams.close()
    found = await scrape(stage)
    assert found["trice_stream_flushes_failed_total",] == 1
    assert found["trice_stream_flush_seconds_count",] == 1
    streams.unsubscribe(live, reader)
    assert (await scrape(stage))["trice_streams",] == 0
    stage.apps.give_back(app)


@pytest.mark.rule("H57")
def test_the_library_of_metrics_is_loaded_by_who_asks():
    script = "import sys, trice.server; print('prometheus_client' in sys.modules)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- slow work ------------------------------------------------------------------------------------


class Slow:
    """A runtime whose clock moves by 300 ms each time it is read, so that everything is slow."""

    def __init__(self) -> None:
        self._runtime = FakeRuntime()

    def monotonic_ms(self) -> float:
        self._runtime.advance(300)
        return self._runtime.monotonic_ms()


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "trice.slow"]


SECRET = "hidden-value"


@pytest.mark.rule("H55")
async def test_slow_work_is_logged_with_its_cost_and_without_values(open_stage, caplog):
    stage = await open_stage(slow_log=SlowLog(Slow(), slow_ms=300))
    database = (await stage.apps.lend(stage.app_id)).database
    caplog.clear()
    steps = [
        ["update", "todos", stage.app_id, {"title": SECRET}],
        ["update", "owner", stage.app_id, {"name": SECRET}],
        ["link", "todos", stage.app_id, {"owner": stage.app_id}],
    ]
    await database.transact_admin(steps, identity=ADMIN)
    query = {"todos": {"$": {"where": {"title": SECRET}}, "owner": {}}}
    await database.query_nested(query, identity=ADMIN)
    rules = {"todos": {"allow": {"$default": "size(data.title.lowerAscii()) > 1"}}}
    await stage.apps.set_rules(stage.app_id, rules)
    await database.query_nested({"todos": {}}, identity=GUEST)
    with pytest.raises(InvalidInput):
        await database.query_nested({"todos": {"$": {"nope": SECRET}}}, identity=ADMIN)
    write, read, ruled, failed = lines(caplog)
    app = f"slow app={stage.app_id}"
    assert write == f"{app} kind=transaction ms=300.0 rows=2 links=1 failed=False rule-steps=0"
    assert read.startswith(f"{app} kind=query ms=300.0 read='todos=1 todos.owner=1' plan='")
    assert read.partition("plan='")[2].startswith("todos: ")
    assert " | owner: SEARCH " in read
    assert int(ruled.rpartition("rule-steps=")[2]) > 0
    assert failed == f"{app} kind=query ms=300.0 failed=True"
    assert SECRET not in "".join((write, read, ruled, failed))
    stage.apps.give_back(await stage.apps.lend(stage.app_id))


@pytest.mark.rule("H55")
@pytest.mark.parametrize(("slow_ms", "count"), [(0, 0), (301, 0), (300, 1)])
def test_what_is_slow_is_a_setting(caplog, slow_ms, count):
    log = SlowLog(Slow(), slow_ms=slow_ms)
    log.ended("query", "a", log.now_ms(), dict)
    assert (log.count, len(lines(caplog))) == (count, count)


@pytest.mark.rule("H56")
def test_lines_about_slow_work_are_few(caplog):
    runtime = FakeRuntime()
    log = SlowLog(runtime, slow_ms=10)
    began_ms = log.now_ms() - 10
    for app in ("a", "b", "c", "d", "e"):
        for _ in range(30):
            log.ended("query", app, began_ms, dict)
    assert len(lines(caplog)) == limits.SLOW_LINES_MAX
    assert sum(" app=a " in line for line in lines(caplog)) == limits.SLOW_LINES_PER_APP_MAX
    assert log.count == 150
    runtime.advance(60_000)
    log.ended("query", "a", began_ms, dict)
    assert lines(caplog)[-1].endswith(f"left-out={150 - limits.SLOW_LINES_MAX}")
    log.ended("query", "a", began_ms, dict)
    assert "left-out" not in lines(caplog)[-1]
