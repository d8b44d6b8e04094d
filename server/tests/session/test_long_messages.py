"""Messages that take long to read: beside the loop, in turn, and bounded in what they become."""

from __future__ import annotations

import asyncio
import threading
from random import Random
from types import SimpleNamespace

import orjson
import pytest

from support.memory_client import MemoryClient, triples
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from trice import database, limits
from trice.catalog import values
from trice.errors import LimitExceeded
from trice.identity import Identity
from trice.protocol import decode
from trice.session import dispatch
from trice.session.long_messages import LongMessages
from trice.session.weigh import check_weight
from trice.transact import draft

T1 = "e1000000-0000-4000-8000-000000000001"
TODOS = {"todos": {}}
LONG = "x" * limits.MESSAGE_BYTES_ON_LOOP


class Gate:
    """Holds up what reads long messages until it is opened; notes on which threads it was."""

    def __init__(self, monkeypatch):
        self.threads = []
        self.is_open = threading.Event()
        read_long = dispatch.read_long

        def held(incoming):
            self.threads.append(threading.current_thread().name)
            assert self.is_open.wait(WAIT_S)
            return read_long(incoming)

        monkeypatch.setattr(dispatch, "read_long", held)


def from_address(stage, ip):
    return MemoryClient(stage.hub, Identity("guest", ip=ip))


@pytest.mark.rule("P110")
async def test_a_long_message_is_read_on_a_thread_and_those_after_it_wait(stage, monkeypatch):
    client, other = await stage.client(), await stage.client()
    gate = Gate(monkeypatch)
    client.say("transact", tx_steps=stage.create("people", T1, name=LONG))
    client.say("transact", tx_steps=stage.create("todos", T1, title="later"))
    client.say("add-query", q=TODOS)
    assert client.is_reading_paused
    other.say("add-query", q=TODOS)
    await other.hear("add-query-ok")
    assert client.unheard() == []
    gate.is_open.set()
    first, second = await client.hear("transact-ok"), await client.hear("transact-ok")
    assert first["tx-id"] < second["tx-id"]
    assert not client.is_reading_paused
    assert gate.threads == ["trice-messages_0"]


@pytest.mark.rule("P110")
async def test_the_transaction_of_a_long_message_is_no_work_of_the_loop(stage, monkeypatch):
    """One step of 32 KiB is short by its steps, and 10,000 values to check."""
    threads = []
    parse = database.parse_steps

    def noted(*arguments, **options):
        threads.append(threading.current_thread())
        return parse(*arguments, **options)

    monkeypatch.setattr(database, "parse_steps", noted)
    client = await stage.client()
    for value in ("short", LONG, [[]] * limits.MESSAGE_BYTES_ON_LOOP):
        client.say("transact", tx_steps=stage.create("people", T1, name=value))
        await client.hear_where(lambda message: message["op"] in ("transact-ok", "error"))
    assert [thread is threading.main_thread() for thread in threads] == [True, False, False]


@pytest.mark.interpreted("a function it calls is replaced")
@pytest.mark.rule("T113")
@pytest.mark.parametrize("op", ["deep-merge-triple", "add-triple"])
async def test_a_short_message_that_meets_a_large_document_leaves_the_loop(stage, monkeypatch, op):
    client = await stage.client()
    attr = "aa000000-0000-4000-8000-0000000000fd"
    new = {
        "id": attr,
        "forward-identity": ["ab000000-0000-4000-8000-0000000000fd", "todos", "meta"],
        "value-type": "blob",
        "cardinality": "one",
    }
    document = {str(n): n for n in range(limits.MESSAGE_BYTES_ON_LOOP)}
    steps = [["add-attr", new], *stage.create("todos", T1), ["add-triple", T1, attr, document]]
    client.say("transact", tx_steps=steps)
    await client.hear("transact-ok")
    threads = []

    def noted(raw):
        threads.append(threading.current_thread())
        return orjson.loads(raw)

    for module in (draft, values):
        heard = SimpleNamespace(**{**vars(orjson), "loads": noted})
        monkeypatch.setattr(module, "orjson", heard)
    client.say("transact", tx_steps=[[op, T1, attr, {"0": 5, "1": 1}]])
    await client.hear("transact-ok")
    monkeypatch.undo()
    assert threads
    assert threading.main_thread() not in threads
    client.say("add-query", q=TODOS)
    (stored,) = [t[2] for t in triples(await client.hear("add-query-ok")) if t[1] == attr]
    assert stored["0"] == 5
    assert len(stored) == (2 if op == "add-triple" else len(document))


@pytest.mark.rule("P110")
async def test_short_messages_are_read_on_the_loop(stage, monkeypatch):
    client = await stage.client()
    gate = Gate(monkeypatch)
    size = limits.MESSAGE_BYTES_ON_LOOP
    client.say_raw(b'{"op":"add-query","client-event-id":"e","q":{"todos":{}}}'.ljust(size))
    await client.hear("add-query-ok")
    assert gate.threads == []


@pytest.mark.rule("P110")
async def test_a_client_that_leaves_meanwhile_leaves_nothing(stage, monkeypatch):
    client = await stage.client()
    gate = Gate(monkeypatch)
    client.say("transact", tx_steps=stage.create("people", T1, name=LONG))
    client.say("add-query", q=TODOS)
    client.hang_up()
    gate.is_open.set()
    other = await stage.client()
    other.say("add-query", q={"people": {"$": {"where": {"name": LONG}}}})
    await other.hear("add-query-ok")
    assert client.unheard() == []
    assert stage.app.users == 2
    assert stage.hub.long_messages.holds_nothing


@pytest.mark.rule("P120")
async def test_a_session_that_is_not_read_is_not_silent(stage, monkeypatch):
    client, mute = await stage.client(), await stage.client()
    gate = Gate(monkeypatch)
    client.say("transact", tx_steps=stage.create("people", T1, name=LONG))
    for _ in range(8):
        stage.runtime.advance(limits.PING_INTERVAL_MS)
        stage.hub.look()
    assert mute.closed is not None
    assert client.closed is None
    gate.is_open.set()
    await client.hear("transact-ok")


@pytest.mark.rule("P110")
async def test_what_comes_while_a_long_message_is_read_is_bounded(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "SESSION_HELD_BYTES_MAX", 1_000)
    stage = await open_stage()
    client = await stage.client()
    gate = Gate(monkeypatch)
    client.say("transact", tx_steps=stage.create("people", T1, name=LONG))
    for _ in range(100):
        client.say("remove-query", q=TODOS)
    assert client.closed is not None
    assert client.closed[0] == 1013
    gate.is_open.set()


@pytest.mark.rule("P123")
async def test_a_turn_handles_some_of_a_sessions_messages(stage, monkeypatch):
    client, other = await stage.client(), await stage.client()
    handled = []
    on_message = dispatch.on_message

    def noted(session, raw):
        handled.append(session)
        on_message(session, raw)

    monkeypatch.setattr(dispatch, "on_message", noted)
    events = [client.say("remove-query", q=TODOS) for _ in range(1_000)]
    assert 100 < len(handled) < 300
    assert client.is_reading_paused
    other.say("remove-query", q=TODOS)
    assert handled[-1] is other.session
    told = [await client.hear("remove-query-ok") for _ in events]
    assert [message["client-event-id"] for message in told] == events
    assert not client.is_reading_paused
    assert client.session.inbox._early is None


@pytest.mark.rule("P110", "P123")
@pytest.mark.parametrize("seed", range(8))
async def test_messages_of_a_session_are_answered_in_order(stage, seed):
    """Short and long ones, reads and writes, more than a turn may handle."""
    random = Random(seed)
    client = await stage.client()
    sent = []
    for number in range(60):
        text = random.choice(("", LONG[:2_000], LONG)) + str(number)
        if random.random() < 0.5:
            steps = stage.create("people", T1, name=text)
            sent.append(("transact-ok", client.say("transact", tx_steps=steps)))
        else:
            q = {"todos": {"$": {"where": {"title": text}}}}
            sent.append(("remove-query-ok", client.say("remove-query", q=q)))
        if random.random() < 0.1:
            await asyncio.sleep(0)
    told = [await client.hear() for _ in sent]
    for op in ("transact-ok", "remove-query-ok"):
        events = [message["client-event-id"] for message in told if message["op"] == op]
        assert events == [event for kind, event in sent if kind == op]
    assert not client.is_reading_paused
    assert stage.hub.long_messages.holds_nothing


@pytest.mark.rule("P113")
async def test_a_second_long_message_waits_until_the_first_is_answered(stage, monkeypatch):
    client = await stage.client()
    gate = Gate(monkeypatch)
    gate.is_open.set()
    steps = [stage.create("people", T1, name=f"{LONG}{n}") for n in range(3)]
    for step in steps:
        client.say("transact", tx_steps=step)
    told = [await client.hear("transact-ok") for _ in steps]
    assert [message["client-event-id"] for message in told] == ["event-2", "event-3", "event-4"]
    assert len(gate.threads) == 3
    assert stage.hub.long_messages.holds_nothing
    assert not client.is_reading_paused


@pytest.mark.rule("P113")
async def test_callers_take_turns_and_few_are_under_way(monkeypatch):
    monkeypatch.setattr(limits, "LONG_MESSAGES_MAX", 3)
    messages, read = LongMessages(FakeRuntime()), []
    turns = {}

    def submit(caller, name):
        turns[name] = messages.submit(caller, lambda: name, read.append, size_bytes=1)

    for name in ("a1", "a2", "a3", "a4"):
        submit("a", name)
    submit("b", "b1")
    submit("c", "c1")
    await until(lambda: len(read) == 3)
    assert read == ["a1", "a2", "b1"]
    messages.release(turns["b1"])
    await until(lambda: len(read) == 4)
    messages.release(turns["c1"])
    # Two of one caller are under way: the third has to wait although there is room.
    assert read == ["a1", "a2", "b1", "c1"]
    assert not messages._is_reading
    messages.release(turns["a3"])
    messages.release(turns["a1"])
    messages.release(turns["a1"])
    await until(lambda: len(read) == 5)
    assert read[-1] == "a4"
    messages.stop()


async def until(is_so):
    async with asyncio.timeout(WAIT_S):
        while not is_so():  # noqa: ASYNC110 - what changes it is on another thread
            await asyncio.sleep(0)


@pytest.mark.rule("P113")
async def test_a_caller_rests_after_a_message_that_took_long():
    runtime, read, rests = FakeRuntime(), [], []
    messages, may_wake = LongMessages(runtime), asyncio.Event()

    async def rest(duration_ms):
        rests.append(duration_ms)
        await may_wake.wait()

    runtime.sleep_ms = rest

    def submit(caller, duration_ms):
        def work():
            runtime.advance(duration_ms)
            return caller

        messages.submit(caller, work, read.append, size_bytes=1)

    submit("a", 20)
    submit("a", 0)
    submit("b", 0)
    await until(lambda: len(read) == 2)
    assert read == ["a", "b"]
    await until(lambda: rests)
    assert rests == [20 * limits.LONG_MESSAGE_RESTS]
    may_wake.set()
    await until(lambda: len(read) == 3)
    assert messages._resting == {}
    messages.stop()


@pytest.mark.rule("P113")
async def test_sessions_of_one_address_share_their_turns(stage, monkeypatch):
    gate = Gate(monkeypatch)
    near = [from_address(stage, "192.0.2.1") for _ in range(4)]
    far = from_address(stage, "192.0.2.2")
    init = orjson.dumps({"op": "init", "app-id": stage.app.id, "versions": LONG})
    for client in (*near, far):
        client.say_raw(init)
    assert list(stage.hub.long_messages._lanes) == ["192.0.2.1", "192.0.2.2"]
    gate.is_open.set()
    for client in (*near, far):
        await client.hear("init-ok")


@pytest.mark.rule("P160")
async def test_what_waits_to_be_read_is_bounded_by_address(open_stage, monkeypatch):
    init = len(LONG) + 500
    monkeypatch.setattr(limits, "LONG_MESSAGES_BYTES_OF_NETWORK_MAX", 3 * init)
    stage = await open_stage()
    gate = Gate(monkeypatch)
    near = [from_address(stage, "192.0.2.1") for _ in range(4)]
    far = from_address(stage, "192.0.2.2")
    for client in (*near, far):
        client.say("init", **{"app-id": stage.app.id, "versions": LONG})
    assert [client.closed and client.closed[0] for client in near] == [None, None, None, 1013]
    gate.is_open.set()
    for client in (*near[:3], far):
        await client.hear("init-ok")
    assert stage.hub.long_messages.holds_nothing
    again = from_address(stage, "192.0.2.1")
    again.say("init", **{"app-id": stage.app.id, "versions": LONG})
    await again.hear("init-ok")


STEP = b'["add-triple","%b","aa000000-0000-4000-8000-000000000002",1]' % T1.encode()


@pytest.mark.rule("P111")
@pytest.mark.parametrize(
    "unit", [b"[]", b"{}", b"[[]]", b'{"a":1}', b'"a"', b"1", b'{"\\"[[":[]}', b'"\\\\",[]']
)
def test_what_would_become_too_much_is_refused_undecoded(unit):
    count = limits.MESSAGE_BYTES_MAX // (len(unit) + 1)
    with pytest.raises(LimitExceeded) as refused:
        check_weight(b"[" + b",".join([unit] * count) + b"]")
    assert refused.value.code == "message-too-big"


@pytest.mark.rule("P111")
@pytest.mark.parametrize(
    "unit",
    [
        STEP,
        b'"' + b"one, two: [three] {four}, " * 300_000 + b'"',
        b'"' + b'\\\\\\"[,{:' * 900_000 + b'"',
        b'"' + b"\\\\" * 4_000_000 + b'"',
    ],
)
def test_as_much_as_a_message_may_hold_of_steps_and_texts_passes(unit):
    count = limits.MESSAGE_BYTES_MAX // (len(unit) + 1)
    check_weight(b"[" + b",".join([unit] * count) + b"]")


@pytest.mark.rule("P111")
@pytest.mark.parametrize("unit", [b"[]", b'{"a":1}', b'"a,b"', b'"\\"[[[,\\\\"', b"1"])
@pytest.mark.parametrize("window_bytes", [1, 2, 3, 7, 1_000])
def test_the_weight_does_not_depend_on_where_it_is_cut(monkeypatch, unit, window_bytes):
    raw = b"[" + b",".join([unit] * 50) + b"]"
    monkeypatch.setattr("trice.session.weigh.WINDOW_BYTES", 10_000)
    least = next(n for n in range(10_000) if is_within(raw, n))
    monkeypatch.setattr("trice.session.weigh.WINDOW_BYTES", window_bytes)
    assert is_within(raw, least)
    assert not is_within(raw, least - 1)


def is_within(raw, weight_max):
    try:
        check_weight(raw, weight_max=weight_max)
    except LimitExceeded:
        return False
    return True


@pytest.mark.rule("P111")
@pytest.mark.parametrize(
    ("op", "key", "count"),
    [
        ("transact", "tx-steps", limits.MESSAGE_WEIGHT_MAX // 4),
        ("add-query", "q", limits.QUERY_WEIGHT_MAX // 4),
        ("remove-query", "q", limits.QUERY_WEIGHT_MAX // 4),
    ],
)
async def test_a_message_that_would_become_too_much_is_answered(stage, op, key, count):
    client = await stage.client()
    client.say_raw(
        b'{"op":"%b","client-event-id":"e","%b":[%b]}'
        % (op.encode(), key.encode(), b",".join([b"[]"] * count))
    )
    error = await client.hear("error")
    assert (error["type"], error["client-event-id"]) == ("message-too-big", "e")
    assert error["original-event"]["op"] == op
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")


@pytest.mark.rule("P116")
async def test_an_error_repeats_a_query_up_to_its_bound(stage):
    client = await stage.client()
    fits = {"todos": {"$": {"bad": "x" * (limits.ERROR_ECHO_QUERY_BYTES_MAX - 100)}}}
    client.say("add-query", event_id="fits", q=fits)
    assert (await client.hear("error"))["original-event"]["q"] == fits
    large = {"todos": {"$": {"bad": "x" * limits.ERROR_ECHO_QUERY_BYTES_MAX}}}
    client.say("add-query", event_id="large", q=large)
    error = await client.hear("error")
    assert error["original-event"] == {"op": "add-query", "client-event-id": "large"}
    assert error["client-event-id"] == "large"
    assert error["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("P116")
async def test_the_text_of_an_error_is_bounded(stage):
    client = await stage.client()
    name = "x" * 30_000
    client.say("transact", tx_steps=[["add-triple", T1, stage.attr("todos", "id"), T1, name]])
    error = await client.hear("error")
    assert len(error["message"]) <= limits.ERROR_MESSAGE_CHARS_MAX + 1
    failure = LimitExceeded("message-too-big", "é" * 10_000, {"given": [[]] * 1_000_000})
    body = failure.body()
    assert body["message"] == "é" * limits.ERROR_MESSAGE_CHARS_MAX + "…"
    assert body["hint"] == {}


@pytest.mark.rule("P111")
def test_numbers_with_exponents_are_read_as_quickly_as_others():
    """msgspec's own reading of one takes 8 µs: 32 KiB of them held the loop for 30 ms."""
    read = []
    hook = decode.decoder.float_hook
    assert hook is not None
    for text in ("1.2e300", "2.2250738585072011e-308", "-1e-7", "0.1", "1e22"):
        raw = b'{"op":"transact","tx-steps":[%b]}' % text.encode()
        read.append(decode.decoder.decode(raw).tx_steps[0] == float(text))
    assert all(read)
