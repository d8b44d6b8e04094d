"""Random histories: writes, receivers that fail, restarts. Whatever happens, each entity's events
arrive in order, and all of them arrive."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from support.patience import WAIT_S
from support.webhook_receiver import OK, Answer, Delivery, answer
from trice.webhooks.event import find_tx
from webhooks.conftest import WebhookStage

ENTITIES = 4
WRITES = 30


@pytest.mark.rule("WH26", "WH12")
@pytest.mark.parametrize("seed", range(6))
async def test_all_events_arrive_and_in_order(stage: WebhookStage, seed: int) -> None:
    random = Random(seed)
    goods = [stage.id() for _ in range(ENTITIES)]
    webhook = await stage.create()
    touched: dict[int, set[str]] = {}
    arrived: list[int] = []

    def choose(delivery: Delivery) -> Answer:
        tx = find_tx(delivery.isn)
        assert tx is not None
        mine = touched[tx]
        waiting = {
            earlier
            for earlier, theirs in touched.items()
            if earlier < tx and theirs & mine and earlier not in arrived
        }
        assert not waiting, f"{tx} came before {waiting}"
        if random.random() < 0.3:
            return answer(random.choice((302, 404, 500, 503)))
        if tx not in arrived:
            arrived.append(tx)
        return OK

    stage.receiver.choose = choose
    for number in range(WRITES):
        some = random.sample(goods, random.randint(1, 2))
        app = await stage.apps.lend(stage.app_id)
        touched[app.database.tx + 1] = set(some)
        stage.apps.give_back(app)
        await stage.write(*[["update", "goods", one, {"n": number}] for one in some])
        if random.random() < 0.1:
            await stage.close()
            await stage.open()
        if random.random() < 0.2:
            await stage.runtime.pass_time(random.randint(1, 600_000))
    async with asyncio.timeout(WAIT_S):
        while len(arrived) < WRITES or stage.webhooks.deliveries.waiting:
            await stage.runtime.pass_time(60_000)
            await asyncio.sleep(0)
    assert sorted(arrived) == sorted(touched)
    events = await stage.events(webhook)
    assert [event["status"] for event in events] == ["success"] * WRITES
