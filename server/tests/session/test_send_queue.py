"""How news leaves: in turns of the event loop, a bounded number of sessions in each."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from support.memory_client import MemoryClient
from support.runtime import FakeRuntime
from trice import limits
from trice.protocol.shared import plain
from trice.session.send_queue import SendQueue
from trice.session.state import Phase

T1 = "e1000000-0000-4000-8000-000000000001"
ALL = {"todos": {}}
SENDS = limits.BROADCAST_SENDS_A_TURN
TURNS_MAX = 1_000_000
LANE = limits.BROADCAST_SENDS_A_LANE


class Stub:
    """Something to flush, that notes when; `takes_ms` of the queue's clock."""

    def __init__(self, house, *, size_bytes=10, takes_ms=0.0, is_broken=False):
        self.house = house
        self.size_bytes = size_bytes
        self.takes_ms = takes_ms
        self.is_broken = is_broken

    def flush(self):
        self.house.log.append(self)
        self.house.runtime.advance(self.takes_ms)
        if self.is_broken:
            raise OSError("a broken transport")
        return self.size_bytes


class House:
    """A queue with a clock that stands still, and the order in which it flushed."""

    def __init__(self):
        self.runtime = FakeRuntime()
        self.queue = SendQueue(self.runtime)
        self.log = []

    def stubs(self, count, **options):
        return [Stub(self, **options) for _ in range(count)]

    def tell(self, stubs, lane):
        for stub in stubs:
            self.queue.news(stub, lane)

    async def turn(self):
        """One turn of the loop; who was flushed in it."""
        before = len(self.log)
        await asyncio.sleep(0)
        return self.log[before:]


@pytest.fixture
def house():
    return House()


@pytest.mark.rule("P41")
async def test_a_turn_serves_sixty_four_and_the_next_goes_on_in_order(house):
    stubs = house.stubs(3 * SENDS + 5)
    house.tell(stubs, "lane")
    served = [await house.turn() for _ in range(5)]
    assert [len(turn) for turn in served] == [SENDS, SENDS, SENDS, 5, 0]
    assert house.log == stubs


@pytest.mark.rule("P41")
async def test_answers_marked_during_a_broadcast_are_flushed_before_the_rest_of_it(house):
    house.tell(house.stubs(3 * SENDS), "lane")
    await house.turn()
    answers = house.stubs(2 * SENDS)
    for answer in answers:
        house.queue.soon(answer)
    served = await house.turn()
    assert served[: len(answers)] == answers
    assert len(served) == len(answers) + SENDS


@pytest.mark.rule("P41")
async def test_a_turn_ends_earlier_when_frames_are_large(house):
    house.tell(house.stubs(10, size_bytes=limits.BROADCAST_BYTES_A_TURN // 3 + 1), "lane")
    assert [len(await house.turn()) for _ in range(5)] == [3, 3, 3, 1, 0]


@pytest.mark.rule("P41")
@pytest.mark.parametrize(("busy_ms", "shared_ms"), [(3, 3), (500, limits.BROADCAST_TURN_MS)])
async def test_a_turn_goes_on_for_as_long_as_the_rest_of_the_loop_took(house, busy_ms, shared_ms):
    house.tell(house.stubs(1_000, takes_ms=1 / 128), "lane")
    assert len(await house.turn()) == SENDS, "nothing was held up yet"
    house.runtime.advance(busy_ms)
    served = len(await house.turn())
    assert shared_ms * 128 <= served < shared_ms * 128 + LANE
    assert len(await house.turn()) == SENDS, "this time nothing else was done"


@pytest.mark.rule("P42")
async def test_queries_with_news_take_turns(house):
    first, second, third = house.stubs(100), house.stubs(LANE + 1), house.stubs(1)
    for lane, stubs in enumerate((first, second, third)):
        house.tell(stubs, lane)
    served = await house.turn()
    assert served[: 2 * LANE + 1] == [*first[:LANE], *second[:LANE], *third]
    assert served[3 * LANE + 1] is second[LANE]
    late = house.stubs(1)
    house.tell(late, "late")
    assert late[0] in (await house.turn())[: LANE + 1]


@pytest.mark.rule("P42")
async def test_many_queries_with_one_listener_each_count_together(house):
    stubs = house.stubs(2 * SENDS + 1)
    for lane, stub in enumerate(stubs):
        house.queue.news(stub, lane)
    assert [len(await house.turn()) for _ in range(4)] == [SENDS, SENDS, 1, 0]
    assert house.log == stubs


@pytest.mark.rule("P43")
async def test_who_is_marked_again_keeps_its_place_and_is_flushed_once(house):
    stubs = house.stubs(SENDS + 2)
    house.tell(stubs, "lane")
    await house.turn()
    house.tell(stubs, "lane")
    served = [*await house.turn(), *await house.turn()]
    assert served == [*stubs[SENDS:], *stubs[:SENDS]]
    assert await house.turn() == []


@pytest.mark.rule("P44")
async def test_one_broken_transport_keeps_the_news_from_nobody(house, caplog):
    stubs = [*house.stubs(2), *house.stubs(1, is_broken=True), *house.stubs(2)]
    house.tell(stubs, "lane")
    (broken,) = house.stubs(1, is_broken=True)
    house.queue.soon(broken)
    assert await house.turn() == [broken, *stubs]
    assert caplog.text.count("a flush failed") == 2


# --- with sessions -------------------------------------------------------------------------------


class Listener(MemoryClient):
    """Notes in a log shared by many who was written to; parses nothing."""

    def __init__(self, hub, log):
        self.log = log
        super().__init__(hub)

    def send(self, frames):
        self.writes += 1
        self.raw.extend(frames)
        self.log.append(self)


async def until(is_so):
    """Let the loop turn until it is so."""
    for _ in range(TURNS_MAX):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


async def audience(stage, log, count):
    """So many clients that watch all todos."""
    listeners = [Listener(stage.hub, log) for _ in range(count)]
    for listener in listeners:
        listener.say("init", app_id=stage.app.id)
        listener.say("add-query", q=ALL)
    await until(lambda: all(len(listener.raw) == 2 for listener in listeners))
    log.clear()
    return listeners


async def until_sent(log, count):
    """Let the loop turn until so many writes were made; how many were."""
    await until(lambda: len(log) >= count)
    return len(log)


def titles(listener):
    """What the frames since the first answer say, each with one todo."""
    frames = [orjson.loads(bytes(plain(raw))) for raw in listener.raw[2:]]
    return [
        [t[2] for t in c["instaql-result"][0]["data"]["datalog-result"]["join-rows"][0]]
        for frame in frames
        for c in frame["computations"]
    ]


@pytest.mark.rule("P41")
async def test_messages_are_handled_between_the_turns_of_a_broadcast_to_a_thousand(stage):
    log = []
    listeners = await audience(stage, log, 1_000)
    writer, other = await stage.client(), await stage.client()
    writer.say("transact", tx_steps=stage.create("todos", T1, title="new"))
    assert await until_sent(log, 1) == SENDS
    for number in range(3):
        before = len(log)
        other.say("add-query", q={"todos": {"$": {"limit": number + 1}}})
        await other.hear("add-query-ok")
        assert len(log) - before <= SENDS
    assert writer.received[-1]["op"] == "transact-ok"
    await until_sent(log, len(listeners))
    assert log == listeners
    assert all("new" in shown for listener in listeners for shown in titles(listener))


@pytest.mark.rule("P41")
async def test_a_writer_that_watches_gets_acknowledgement_and_news_before_a_second_turn(stage):
    log = []
    await audience(stage, log, 3 * SENDS)
    writer = await stage.client()
    writer.say("add-query", q=ALL)
    await writer.hear("add-query-ok")
    before = writer.writes
    writer.say("transact", tx_steps=stage.create("todos", T1, title="new"))
    await writer.hear("transact-ok")
    assert len(log) <= SENDS
    assert (await writer.hear())["op"] == "refresh-ok"
    assert writer.writes == before + 1
    await until_sent(log, 3 * SENDS)
    assert writer.unheard() == []


@pytest.mark.rule("P43")
async def test_two_changes_while_it_waits_reach_a_session_as_one(stage):
    log = []
    listeners = await audience(stage, log, 3)
    identity = listeners[0].session.opened.identity
    database, queue = stage.app.database, stage.hub._sends
    queue._is_scheduled = True  # hold it: nobody's turn comes
    for title in ("first", "second"):
        await database.transact(stage.create("todos", T1, title=title), identity=identity)
        await database.live.settled()
    assert log == []
    queue._turn()
    assert log == listeners
    assert all(len(t) == 1 and "second" in t[0] for t in map(titles, listeners))
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == listeners


@pytest.mark.rule("P44")
async def test_who_leaves_during_a_broadcast_is_sent_nothing_and_the_others_all(stage):
    log = []
    listeners = await audience(stage, log, 3 * SENDS)
    writer = await stage.client()
    writer.say("transact", tx_steps=stage.create("todos", T1, title="new"))
    await until_sent(log, 1)
    leaving = listeners[SENDS + 1 :: 2]
    for listener in leaving:
        listener.hang_up()
    staying = [listener for listener in listeners if listener not in leaving]
    await until_sent(log, len(staying))
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == staying
    assert all(listener.session.state.phase is Phase.CLOSED for listener in leaving)


@pytest.mark.rule("P44")
async def test_stopping_during_a_broadcast_sends_everybody_the_news_first(stage):
    log = []
    listeners = await audience(stage, log, 3 * SENDS)
    writer = await stage.client()
    writer.say("transact", tx_steps=stage.create("todos", T1, title="new"))
    await until_sent(log, 1)
    stage.hub.stop()
    assert log == listeners
    assert {listener.closed[0] for listener in listeners} == {1012}
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == listeners


class Observer(Listener):
    """A client that notes how much was refreshed whenever it is sent something."""

    def __init__(self, hub, live):
        super().__init__(hub, [])
        self.live = live
        self.refreshed = []

    def send(self, frames):
        self.refreshed.append(self.live.counts.changed)
        super().send(frames)


@pytest.mark.rule("P210")
@pytest.mark.parametrize("watches", [False, True])
async def test_an_acknowledgement_waits_for_news_only_where_some_may_come(stage, watches):
    await audience(stage, [], 1)
    writer = Observer(stage.hub, stage.app.database.live)
    writer.say("init", app_id=stage.app.id)
    if watches:
        writer.say("add-query", q=ALL)
    await until(lambda: len(writer.raw) == 1 + watches)
    before = writer.refreshed[-1]
    writer.say("transact", tx_steps=stage.create("todos", T1, title="new"))
    await until(lambda: len(writer.raw) > 1 + watches)
    assert writer.refreshed[-1] == before + watches
    await stage.app.database.live.settled()
    assert stage.app.database.live.counts.changed == before + 1
