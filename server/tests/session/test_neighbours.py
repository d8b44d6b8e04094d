"""Apps beside each other: a flood of one leaves the others their turns."""

from __future__ import annotations

import asyncio

import pytest

from support.memory_client import MemoryClient
from support.runtime import FakeRuntime
from trice import limits, quota_limits
from trice.loop_shares import LoopShares
from trice.session.first_answers import FirstAnswers
from trice.session.send_queue import SendQueue

QUERY = {"todos": {}}
FLOOD = 30


def tick(stage, ms: float) -> None:
    """From here on each look at the clock takes time."""
    runtime = stage.runtime

    def monotonic_ms() -> float:
        runtime.advance(ms)
        return runtime.monotonic

    runtime.monotonic_ms = monotonic_ms


async def neighbour(stage) -> tuple[MemoryClient, list[MemoryClient]]:
    """A client of the quiet app, and clients of another one; both apps were active."""
    noisy, _ = await stage.hub.apps.create(title="noisy", is_open=True)
    clients = [stage.connect() for _ in range(3)]
    for client in clients:
        await client.init(noisy.id)
    quiet = await stage.client()
    for client in (quiet, *clients):
        client.say("add-query", q=QUERY)
        await client.hear("add-query-ok")
    return quiet, clients


def blob(prefix: str, number: int, label: str) -> dict[str, object]:
    """An attr of notes, as a client adds it."""
    return {
        "id": f"{prefix}{number}",
        "forward-identity": [f"{prefix}{number + 5}", "notes", label],
        "value-type": "blob",
        "cardinality": "one",
        "unique?": label == "id",
        "index?": False,
    }


def flood(clients: list[MemoryClient]) -> None:
    for number in range(FLOOD):
        for client in clients:
            client.say("add-query", q=QUERY, event_id=f"flood-{number}")


@pytest.mark.rule("QT30")
async def test_a_flood_of_one_app_waits_and_another_is_answered_in_this_turn(stage):
    quiet, clients = await neighbour(stage)
    tick(stage, 0.05)
    flood(clients)
    quiet.say("add-query", q=QUERY, event_id="quiet")
    await asyncio.sleep(0)
    assert [each["client-event-id"] for each in quiet.unheard()] == ["quiet"]
    answered = sum(len(client.unheard()) for client in clients)
    assert 0 < answered < FLOOD, "the rest waits"
    turns = 0
    while answered < FLOOD * len(clients):
        await asyncio.sleep(0)
        turns += 1
        answered += sum(len(client.unheard()) for client in clients)
        assert turns < 1_000
    assert turns > 5
    assert not any(client.is_reading_paused for client in clients)


@pytest.mark.rule("QT30")
async def test_messages_that_waited_are_answered_in_order(stage):
    _, clients = await neighbour(stage)
    tick(stage, 0.05)
    flood(clients)
    for client in clients:
        for number in range(FLOOD):
            assert (await client.hear())["client-event-id"] == f"flood-{number}"


@pytest.mark.rule("QT30")
async def test_a_session_that_ends_while_its_messages_wait_leaves_nothing(stage):
    _, clients = await neighbour(stage)
    tick(stage, 0.05)
    flood(clients)
    for client in clients:
        client.hang_up()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(stage.hub) == 1
    assert stage.hub.apps.loop_shares.waiting == 0


@pytest.mark.rule("QT31")
async def test_an_app_alone_is_answered_in_one_turn(stage):
    quiet, clients = await neighbour(stage)
    quiet.hang_up()
    stage.runtime.advance(60_000)
    tick(stage, 0.05)
    flood(clients)
    await asyncio.sleep(0)
    assert sum(len(client.unheard()) for client in clients) == FLOOD * len(clients)


@pytest.mark.rule("QT30")
async def test_writes_of_a_flooded_app_are_all_done_and_in_order(stage):
    _, clients = await neighbour(stage)
    tick(stage, 0.05)
    writer = clients[0]
    steps = [
        ["add-attr", blob("a1000000-0000-4000-8000-00000000000", number, label)]
        for number, label in enumerate(("id", "text"))
    ]
    writer.say("transact", tx_steps=steps)
    await writer.hear("transact-ok")
    id_attr, text_attr = steps[0][1]["id"], steps[1][1]["id"]
    entity = "e1000000-0000-4000-8000-000000000001"
    for number in range(FLOOD):
        made = [["add-triple", entity, id_attr, entity], ["add-triple", entity, text_attr, number]]
        writer.say("transact", tx_steps=made)
    txs = [(await writer.hear("transact-ok"))["tx-id"] for _ in range(FLOOD)]
    assert txs == list(range(txs[0], txs[0] + FLOOD))


@pytest.mark.rule("QT32")
async def test_first_answers_of_apps_take_turns():
    answers = FirstAnswers(FakeRuntime())
    log: list[str] = []
    while answers.take("noisy"):
        pass
    for number in range(limits.FIRST_ANSWERS_A_TURN * 2):
        answers.later(lambda number=number: log.append(f"noisy {number}"), "noisy")
    assert not answers.take("noisy"), "none overtakes"
    answers.later(lambda: log.append("quiet"), "quiet")
    assert answers.waiting == limits.FIRST_ANSWERS_A_TURN * 2 + 1
    await asyncio.sleep(0)
    assert log[:3] == ["noisy 0", "quiet", "noisy 1"]
    for _ in range(5):
        await asyncio.sleep(0)
    assert answers.waiting == 0 and len(log) == limits.FIRST_ANSWERS_A_TURN * 2 + 1


@pytest.mark.rule("QT32")
async def test_queries_that_took_long_wait_for_the_turns_of_others():
    runtime = FakeRuntime()
    shares = LoopShares(runtime)
    for share in (shares.make(), shares.make()):
        share.begin()
        share.end()
    answers, log = FirstAnswers(runtime, shares), []

    def ask(app: str, takes_ms: float) -> None:
        def run() -> None:
            runtime.advance(takes_ms)
            log.append(app)

        answers.later(run, app)

    for _ in range(3):
        ask("noisy", quota_limits.APP_TURN_MS * 3)
    for _ in range(6):
        ask("quiet", 0.0)
    turns = []
    for _ in range(6):
        await asyncio.sleep(0)
        turns.append("".join(app[0] for app in log))
        log.clear()
    # A turn of three shares is paid for by the two that follow.
    assert turns == ["n", "qqqqqq", "", "n", "", ""] and answers.waiting == 1
    runtime.advance(quota_limits.PRESSING_MS)
    await asyncio.sleep(0)
    assert log == ["noisy"], "nobody else needs the turns"


class Stub:
    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def flush(self) -> int:
        self.log.append(self.name)
        return 10


@pytest.mark.rule("QT32")
async def test_news_of_apps_take_turns_however_many_lanes_one_has():
    queue = SendQueue(FakeRuntime())
    log: list[str] = []
    for lane in range(200):
        queue.news(Stub(log, f"noisy {lane}"), lane, "noisy")
    queue.news(Stub(log, "quiet"), 0, "quiet")
    assert queue.waiting == 201
    await asyncio.sleep(0)
    assert log.index("quiet") == 1
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(log) == 201


@pytest.mark.rule("QT32")
async def test_sends_beside_another_app_end_with_their_slice(stage):
    shares = stage.hub.apps.loop_shares
    queue = SendQueue(stage.runtime, shares)
    for share in (shares.make(), shares.make()):
        share.begin()
        share.end()
    tick(stage, 0.2)
    log: list[str] = []
    for number in range(20):
        queue.news(Stub(log, str(number)), "lane", "app")
    await asyncio.sleep(0)
    assert 1 <= len(log) < 8
    for _ in range(100):
        await asyncio.sleep(0)
    assert log == [str(number) for number in range(20)]
