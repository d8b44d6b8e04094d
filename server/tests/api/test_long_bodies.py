"""Bodies that take long to read: beside the loop, callers in turn, bounded while they wait."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import orjson
import pytest

from support.patience import WAIT_S
from trice import database, limits
from trice.api import bodies

LONG = "x" * limits.MESSAGE_BYTES_ON_LOOP
ID = "e1000000-0000-4000-8000-000000000001"


class Gate:
    """Holds up what reads long bodies until it is opened; notes who read which."""

    def __init__(self, monkeypatch):
        self.reads = []
        self.is_open = threading.Event()
        decode = bodies.decode

        def held(raw):
            thread = threading.current_thread()
            self.reads.append((len(raw) > limits.MESSAGE_BYTES_ON_LOOP, thread.name))
            if thread is not threading.main_thread():
                assert self.is_open.wait(WAIT_S)
            return decode(raw)

        monkeypatch.setattr(bodies, "decode", held)

    async def is_reading(self):
        async with asyncio.timeout(WAIT_S):
            while not self.reads:  # noqa: ASYNC110 - what changes it is on another thread
                await asyncio.sleep(0)


def steps(text=LONG):
    return {"steps": [["update", "todos", ID, {"title": text}]]}


@pytest.mark.rule("H84")
@pytest.mark.parametrize(
    "path",
    [
        "/admin/query",
        "/admin/transact",
        "/admin/subscribe-query",
        "/admin/query_perms_check",
        "/admin/transact_perms_check",
        "/admin/refresh_tokens",
        "/runtime/framework/query",
        "/runtime/auth/send_magic_code",
        "/runtime/oauth/token",
        "/dash/apps/ephemeral",
        "/dash/apps/{app}/rules",
        "/dash/apps/{app}/authorized_redirect_origins",
    ],
)
async def test_what_would_become_too_much_is_refused_undecoded(stage, monkeypatch, path):
    noted = []
    loads = SimpleNamespace(
        loads=lambda raw: noted.append(len(raw)) or orjson.loads(raw),
        JSONDecodeError=orjson.JSONDecodeError,
    )
    monkeypatch.setattr(bodies, "orjson", loads)
    body = b'{"query":[%b[]]}' % (b"[]," * (limits.MESSAGE_WEIGHT_MAX // 4))
    told = await stage.ask("POST", path.format(app=stage.app_id), body, stage.admin())
    assert (told.status, told.json()["type"]) == (413, "message-too-big")
    assert noted == []
    assert stage.hub.long_messages.holds_nothing


@pytest.mark.rule("H84")
async def test_long_bodies_are_read_on_the_thread_and_short_ones_on_the_loop(stage, monkeypatch):
    gate, parsed = Gate(monkeypatch), []
    expand = database.expand_admin_steps

    def noted(*arguments, **options):
        parsed.append(threading.current_thread() is threading.main_thread())
        return expand(*arguments, **options)

    monkeypatch.setattr(database, "expand_admin_steps", noted)
    long = stage.start("POST", "/admin/transact", steps(), stage.admin())
    await gate.is_reading()
    short = await stage.ask("POST", "/admin/transact", steps("short"), stage.admin())
    assert short.status == 200
    gate.is_open.set()
    assert (await long.whole()).status == 200
    assert gate.reads == [(True, "trice-messages_0"), (False, "MainThread")]
    assert parsed == [True, False]
    assert stage.hub.long_messages.holds_nothing


@pytest.mark.rule("H84")
async def test_queries_may_become_less(stage):
    values = [n % 10 for n in range(limits.QUERY_WEIGHT_MAX)]
    query = {"todos": {"$": {"where": {"title": {"$in": values}}}}}
    for path in ("/admin/query", "/runtime/framework/query", "/admin/subscribe-query"):
        told = await stage.ask("POST", path, {"query": query}, stage.admin())
        assert (told.status, told.json()["type"]) == (413, "message-too-big")


@pytest.mark.rule("H85")
async def test_what_waits_to_be_read_is_bounded(open_stage, monkeypatch):
    size = len(orjson.dumps(steps()))
    monkeypatch.setattr(limits, "LONG_MESSAGES_BYTES_OF_NETWORK_MAX", 3 * size)
    stage = await open_stage()
    gate = Gate(monkeypatch)
    waiting = [stage.start("POST", "/admin/transact", steps(), stage.admin()) for _ in range(3)]
    await gate.is_reading()
    more = await stage.ask("POST", "/admin/transact", steps(), stage.admin())
    assert (more.status, more.json()["type"]) == (503, "overloaded")
    assert (await stage.ask("POST", "/admin/transact", steps("s"), stage.admin())).status == 200
    gate.is_open.set()
    assert [(await one.whole()).status for one in waiting] == [200, 200, 200]
    more = await stage.ask("POST", "/admin/transact", steps(), stage.admin())
    assert more.status == 200
    assert stage.hub.long_messages.holds_nothing


@pytest.mark.rule("H86")
@pytest.mark.parametrize("is_being_read", [True, False])
async def test_a_request_that_is_cut_off_leaves_its_turn_to_the_next(
    stage, monkeypatch, is_being_read
):
    gate = Gate(monkeypatch)
    first = stage.start("POST", "/admin/transact", steps(), stage.admin())
    await gate.is_reading()
    second = stage.start("POST", "/admin/transact", steps(), stage.admin())
    third = stage.start("POST", "/admin/transact", steps(), stage.admin())
    while stage.hub.long_messages.waiting_bytes < 3 * len(LONG):  # noqa: ASYNC110
        await asyncio.sleep(0)
    cut, kept = (first, second) if is_being_read else (second, first)
    cut.task.cancel()
    gate.is_open.set()
    assert (await kept.whole()).status == 200
    assert (await third.whole()).status == 200
    assert (await cut.whole()).status == 503
    assert stage.hub.long_messages.holds_nothing


@pytest.mark.rule("H86")
async def test_a_result_that_comes_in_the_turn_of_the_cut_harms_nobody(stage, monkeypatch):
    """The future is cancelled at once, whoever waits for it hears of that later."""
    gate, failures = Gate(monkeypatch), []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: failures.append(told))
    messages = stage.hub.long_messages
    submit = messages.submit

    def submit_to_be_cut(network, read, then, *, size_bytes):
        def cut_then_tell(result):
            first.task.cancel()
            then(result)

        return submit(network, read, cut_then_tell, size_bytes=size_bytes)

    with monkeypatch.context() as patch:
        patch.setattr(messages, "submit", submit_to_be_cut)
        first = stage.start("POST", "/admin/transact", steps(), stage.admin())
        await gate.is_reading()
    second = stage.start("POST", "/admin/transact", steps(), stage.admin())
    while messages.waiting_bytes < 2 * len(LONG):  # noqa: ASYNC110
        await asyncio.sleep(0)
    gate.is_open.set()
    assert (await second.whole()).status == 200
    assert (await first.whole()).status == 503
    assert failures == []


@pytest.mark.rule("H84")
async def test_an_event_stream_keeps_no_turn_and_no_body(stage, monkeypatch):
    requests = []
    check = bodies.check_json_type

    def noted(request, **options):
        requests.append(request)
        check(request, **options)

    monkeypatch.setattr(bodies, "check_json_type", noted)
    query = {"todos": {"$": {"where": {"title": LONG}}}}
    streams = [
        stage.start("POST", "/admin/subscribe-query", {"query": query}, stage.admin())
        for _ in range(limits.LONG_MESSAGES_OF_NETWORK_MAX + 1)
    ]
    for stream in streams:
        assert (await stream.event(1))["op"] == "add-query-ok"
    assert stage.hub.long_messages.holds_nothing
    assert len(requests) == len(streams)
    assert not any(hasattr(request, "_body") for request in requests)
    for stream in streams:
        await stream.hang_up()


@pytest.mark.rule("H87")
async def test_a_schema_is_planned_beside_the_loop(stage, monkeypatch):
    threads = []
    plan = database.plan_schema

    def noted(*arguments):
        threads.append(threading.current_thread())
        return plan(*arguments)

    monkeypatch.setattr(database, "plan_schema", noted)
    body = {"title": "t", "schema": {"entities": {"todos": {"attrs": {}}}}}
    assert (await stage.ask("POST", "/dash/apps/ephemeral", body)).status == 200
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
