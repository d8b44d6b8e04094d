"""What crosses on the way: slow answers, removals, closings, dropped answers, apps that end."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from support.memory_client import refreshed, triples
from trice import limits
from trice.background import Background
from trice.errors import Unavailable

T1 = "e1000000-0000-4000-8000-000000000001"
T2 = "e1000000-0000-4000-8000-000000000002"
TODOS = {"todos": {}}


async def fill(stage, count=300):
    """Enough todos that a small step budget makes reading them long."""
    client = await stage.client()
    steps = [
        step
        for number in range(count)
        for step in stage.create("todos", f"e{number:07d}-2222-4000-8000-000000000000", title="t")
    ]
    client.say("transact", tx_steps=steps)
    await client.hear("transact-ok")
    client.hang_up()


@pytest.mark.rule("P12")
@pytest.mark.parametrize("ops", ["a", "ara", "aa", "arara", "aara"])
async def test_slow_queries_added_and_removed_stay_live(stage, monkeypatch, ops):
    await fill(stage)
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
    client = await stage.client()
    for op in ops:
        client.say({"a": "add-query", "r": "remove-query"}[op], q=TODOS)
    answered = [await client.hear("add-query-ok") for op in ops if op == "a"]
    assert len(answered[-1]["result"][0]["data"]["datalog-result"]["join-rows"][0]) > 300
    client.say("transact", tx_steps=stage.create("todos", T1, title="new"))
    refresh = await client.hear("refresh-ok")
    assert T1 in {triple[0] for triple in refreshed(refresh)}
    client.hang_up()
    assert len(stage.app.database.live) == 0
    assert stage.app.users == 1


@pytest.mark.rule("P12")
@pytest.mark.parametrize("moment", range(0, 12, 3))
async def test_slow_queries_removed_at_any_moment_leave_nothing(stage, monkeypatch, moment):
    await fill(stage)
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
    client = await stage.client()
    for _ in range(2):
        client.say("add-query", q=TODOS)
        for _ in range(moment):
            await asyncio.sleep(0)
        client.say("remove-query", q=TODOS)
        await client.hear("remove-query-ok")
    while client.session.tasks:
        await asyncio.wait(client.session.tasks)
    await stage.app.database.live.settled()
    assert len(stage.app.database.live) == 0
    assert not client.session.state.subscriptions


@pytest.mark.rule("P18")
async def test_a_session_closed_while_a_slow_query_runs_leaves_nothing(stage, monkeypatch):
    await fill(stage)
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
    for moment in range(8):
        client = await stage.client()
        client.say("add-query", q=TODOS)
        for _ in range(moment):
            await asyncio.sleep(0)
        client.hang_up()
        await asyncio.sleep(0)
        await asyncio.gather(*client.session.tasks, return_exceptions=True)
        assert len(stage.app.database.live) == 0
        assert stage.app.users == 1


@pytest.mark.rule("P8")
@pytest.mark.parametrize("failure", [Unavailable("overloaded", "x"), OSError("disk")])
async def test_trouble_while_opening_closes_the_socket_so_that_the_client_comes_back(
    stage, monkeypatch, failure
):
    async def broken(_app_id):
        raise failure

    monkeypatch.setattr(stage.hub.apps, "lend", broken)
    client = stage.connect()
    client.say("init", app_id=stage.app.id)
    await client.ended()
    assert client.closed[0] == 1013
    assert client.unheard() == []


@pytest.mark.rule("P211")
async def test_an_init_that_fails_in_the_middle_gives_back_the_app(stage, monkeypatch, caplog):
    async def broken(_work):
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr(stage.app.database, "look", broken)
    client = stage.connect()
    client.say("init", app_id=stage.app.id, refresh_token=T1)
    await client.ended()
    assert client.closed[0] == 1013
    assert client.unheard() == []
    assert client.session.is_closed
    assert stage.app.users == 1
    assert "nobody foresaw this" in caplog.text


@pytest.mark.rule("P211")
@pytest.mark.parametrize("turns", range(4))
async def test_a_client_that_leaves_while_it_is_identified_gives_back_the_app(
    stage, monkeypatch, turns
):
    async def never(_work):
        await asyncio.Event().wait()

    monkeypatch.setattr(stage.app.database, "look", never)
    client = stage.connect()
    client.say("init", app_id=stage.app.id, refresh_token=T1)
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks = list(client.session.tasks)
    client.hang_up()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert stage.app.users == 1


@pytest.mark.rule("P212")
async def test_work_of_a_session_that_fails_closes_it_so_that_the_client_comes_back(stage, caplog):
    async def broken():
        raise ValueError("nobody foresaw this")

    client, other = await stage.client(), await stage.client()
    client.session.spawn(broken())
    await client.ended()
    assert client.closed[0] == 1013
    assert client.session.is_closed
    assert other.closed is None
    assert "nobody foresaw this" in caplog.text


@pytest.mark.rule("P9")
@pytest.mark.parametrize("name", ["SESSION_EARLY_MESSAGES_MAX", "SESSION_EARLY_BYTES_MAX"])
async def test_too_much_before_init_ok_closes_the_socket(open_stage, monkeypatch, name):
    monkeypatch.setattr(limits, name, 2)
    stage = await open_stage()
    client = stage.connect()
    client.say("init", app_id=stage.app.id)
    for _ in range(3):
        client.say("add-query", q=TODOS)
    assert client.closed[0] == 1013
    await asyncio.sleep(0)
    assert stage.app.users == 1


@pytest.mark.rule("P24")
async def test_a_slow_client_without_news_hears_of_attrs_when_it_reads_again(stage):
    slow, writer = await stage.client(), await stage.client()
    slow.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
    attr = {
        "id": "aa000000-0000-4000-8000-0000000000ff",
        "forward-identity": ["ab000000-0000-4000-8000-0000000000ff", "todos", "color"],
        "value-type": "blob",
        "cardinality": "one",
        "unique?": False,
        "index?": False,
    }
    writer.say("transact", tx_steps=[["add-attr", attr]])
    await writer.hear("transact-ok")
    assert slow.unheard() == []
    slow.backlog = 0
    slow.session.on_writable()
    told = await slow.hear("refresh-ok")
    assert attr["id"] in {a["id"] for a in told["attrs"]}


DEEP = b"[" * 300 + b"]" * 300


@pytest.mark.rule("P30")
@pytest.mark.parametrize("value", [DEEP, b"1" * 40, b'{"a":%b}' % DEEP])
@pytest.mark.parametrize(
    "message",
    [
        b'{"op":"add-query","client-event-id":"e","q":{"todos":{"$":{"where":{"title":%b}}}}}',
        b'{"op":"add-query","client-event-id":"e","q":%b}',
        b'{"op":"transact","client-event-id":"e","tx-steps":[["add-triple",%b]]}',
        b'{"op":"transact","client-event-id":"e","tx-steps":%b}',
        b'{"op":"add-query","client-event-id":"e","q":{},"return-type":%b}',
        b'{"op":"init","client-event-id":"e","app-id":%b}',
        b'{"op":%b,"client-event-id":"e"}',
    ],
)
async def test_values_that_cannot_be_written_back_are_errors_all_the_same(stage, message, value):
    client = stage.connect()
    if b"init" not in message:
        await client.init(stage.app.id)
    client.say_raw(message % value)
    error = await client.hear("error")
    assert (error["type"] != "unknown", error["client-event-id"]) == (True, "e")
    client.say_raw(b'{"op":"remove-query","client-event-id":"f","q":%b}' % value)
    assert (await client.hear())["client-event-id"] == "f"


@pytest.mark.rule("P33")
async def test_a_large_query_that_fails_is_echoed_whole(stage):
    client = await stage.client()
    query = {"todos": {"$": {"where": {"id": {"$in": [T1] * 3_000}}, "limit": 0}}}
    client.say("add-query", q=query)
    assert (await client.hear("error"))["original-event"]["q"] == query


@pytest.mark.rule("P19")
async def test_answers_that_were_dropped_come_back_when_needed(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "LIVE_RESULTS_BYTES_MAX", 1)
    stage = await open_stage()
    client = await stage.client()
    client.say("transact", tx_steps=stage.create("todos", T1, slug="a"))
    await client.hear("transact-ok")
    queries = [{"todos": {"$": {"limit": n}}} for n in (1, 2, 3)]
    for query in [*queries, *queries]:
        client.say("add-query", q=query)
        assert T1 in {t[0] for t in triples(await client.hear("add-query-ok"))}
    kept = [s.live.answer is None for s in client.session.state.subscriptions.values()]
    assert sorted(kept) == [False, True, True]
    # A rejection sends all of them again, the dropped ones too.
    client.say("transact", tx_steps=stage.create("todos", T2, slug="a"))
    await client.hear("error")
    told = []
    while len(told) < 3:
        refresh = await client.hear("refresh-ok")
        told += [c["instaql-query"]["todos"]["$"]["limit"] for c in refresh["computations"]]
    assert set(told) == {1, 2, 3}


@pytest.mark.rule("P37")
async def test_a_client_that_takes_a_large_answer_slowly_is_alive(stage):
    slow, stuck = await stage.client(), await stage.client()
    slow.backlog = stuck.backlog = 10_000_000
    for _ in range(8):
        stage.runtime.advance(limits.PING_INTERVAL_MS)
        slow.backlog -= 1_000_000
        for client in (slow, stuck):
            client.session.check_time(stage.runtime.monotonic_ms())
    assert slow.closed is None
    assert stuck.closed is not None


@pytest.mark.rule("P37")
async def test_one_broken_transport_does_not_end_the_pings_of_others(stage, monkeypatch, caplog):
    broken, well = await stage.client(), await stage.client()

    def refuse():
        raise RuntimeError("transport is gone")

    monkeypatch.setattr(broken, "ping", refuse)
    background = Background(stage.runtime)
    stage.hub.start(background)
    for _ in range(20):
        await asyncio.sleep(0)
    await background.stop()
    assert well.pings >= 2
    assert "transport is gone" in caplog.text


@pytest.mark.rule("P18")
async def test_a_closed_socket_is_not_touched_when_its_commits_finish(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "SESSION_TRANSACTS_MAX", 1)
    stage = await open_stage()
    client = await stage.client()
    client.say("transact", tx_steps=stage.create("todos", T1))
    assert client.is_reading_paused
    client.hang_up()
    other = await stage.client()
    other.say("transact", tx_steps=stage.create("todos", T2))
    await other.hear("transact-ok")
    assert client.is_reading_paused


@pytest.mark.rule("P16")
async def test_a_broken_query_sends_no_old_answer(stage, monkeypatch):
    client = await stage.client()
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")
    live = stage.app.database.live

    def broken(*_args):
        raise Unavailable("timeout", "too slow")

    monkeypatch.setattr(live, "_patch", broken)
    client.say("transact", tx_steps=stage.create("todos", T1, slug="a"))
    failed = await client.hear("error")
    assert failed["original-event"] == {"op": "add-query", "q": TODOS}
    event = client.say("transact", tx_steps=stage.create("todos", T2, slug="a"))
    rejected = await client.hear("error")
    assert rejected["client-event-id"] == event
    await live.settled()
    assert [m["op"] for m in client.unheard()] == []
    assert orjson.dumps(rejected)


@pytest.mark.rule("L93")
async def test_a_query_asked_again_gets_no_news_before_its_answer(stage, monkeypatch):
    database, gate = stage.app.database, asyncio.Event()
    watch = database.watch

    async def watch_for_long(question, watcher):
        live = await watch(question, watcher)
        await gate.wait()
        return live

    monkeypatch.setattr(database, "watch", watch_for_long)
    client, writer = await stage.client(), await stage.client()
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")
    (watched,) = database.live._queries.values()
    database.live._drop(watched)
    with monkeypatch.context() as patch:
        patch.setattr(limits, "READ_STEPS_ON_LOOP", -1)  # the run is on a thread
        client.say("add-query", q=TODOS)
        while watched.answer is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
    writer.say("transact", tx_steps=stage.create("todos", T1, title="a"))
    await writer.hear("transact-ok")
    await database.live.settled()
    for _ in range(10):
        await asyncio.sleep(0)
    assert client.unheard() == []
    gate.set()
    assert T1 in {triple[0] for triple in triples(await client.hear("add-query-ok"))}
    assert client.unheard() == []


@pytest.mark.rule("P164")
async def test_queries_that_wait_for_their_answer_are_bounded(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "SESSION_OWED_BYTES_MAX", 5 * limits.SESSION_OWED_OVERHEAD_BYTES)
    stage = await open_stage()
    client = await stage.client()
    for _ in range(3):
        asked = [{"todos": {"$": {"where": {"title": f"{n}"}}}} for n in range(40)]
        events = [client.say("add-query", q=q) for q in asked]
        events += [client.say("add-query", q=asked[-1]) for _ in range(10)]
        told = [await client.hear() for _ in events]
        ok = [one for one in told if one["op"] == "add-query-ok"]
        refused = [one for one in told if one["op"] == "error"]
        assert {one["type"] for one in refused} == {"parameter-limit-exceeded"}
        assert len(ok) > 16  # those that were answered in the same turn, and some that waited
        assert sorted(one["client-event-id"] for one in told) == sorted(events)
        assert client.session.state._owed_bytes == 0
        for q in asked:
            client.say("remove-query", q=q)
            await client.hear("remove-query-ok")
