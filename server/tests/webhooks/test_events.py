"""Which commits become events, and what is kept of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.http_wire import until
from support.patience import WAIT_S
from support.webhook_receiver import Delivery, answer
from trice import limits, webhook_limits
from trice.protocol.ids import TxId
from trice.webhooks.event import Event, find_tx, isn_of
from trice.webhooks.rows import Rows
from webhooks.conftest import WebhookStage


def isns(deliveries: list[Delivery]) -> list[str]:
    return [delivery.isn for delivery in deliveries]


def isns_of(*txes: int) -> list[str]:
    return [isn_of(TxId(tx)) for tx in txes]


@pytest.mark.rule("WH10")
async def test_one_event_for_each_transaction_and_webhook(stage: WebhookStage) -> None:
    every = await stage.create("/every")
    made = await stage.create("/made", actions=["create"])
    users = await stage.create("/users", namespaces=["$users"])
    one, two = stage.id(), stage.id()
    await stage.write(
        ["update", "goods", one, {"name": "tea"}], ["update", "goods", two, {"name": "milk"}]
    )
    await stage.write(["update", "goods", one, {"name": "green tea"}])
    await stage.write(["update", "other", stage.id(), {"name": "no goods"}])
    await stage.write(["delete", "goods", two])
    await stage.write(["update", "$users", stage.id(), {"email": "ann@example.com"}])
    of_every = await stage.ended(every, "success", "success", "success")
    of_made = await stage.ended(made, "success")
    of_users = await stage.ended(users, "success")
    assert [event["isn"] for event in of_every] == ["0/0/2", "0/0/3", "0/0/5"]
    assert [event["isn"] for event in of_made] == ["0/0/2"]
    assert [event["isn"] for event in of_users] == ["0/0/6"]
    assert len(stage.receiver.got) == 5


@pytest.mark.rule("WH10")
def test_isns_rise_with_transactions() -> None:
    txes = [1, 15, 16, 2**32 - 1, 2**32, 2**40]
    assert [find_tx(isn) for isn in isns_of(*txes)] == txes
    assert isns_of(2**32 + 31) == ["0/1/1F"]
    for text in ("", "0", "0/1", "1/0/1", "0/0/x", "0/0/1/", "0/0/123456789", "0/0/\u0661"):
        assert find_tx(text) is None


@pytest.mark.rule("WH11")
async def test_links_alone_are_no_event(stage: WebhookStage) -> None:
    box, good, later = stage.id(), stage.id(), stage.id()
    await stage.write(
        ["update", "boxes", stage.id(), {"name": "a"}],
        ["update", "goods", good, {"name": "b"}],
        ["link", "goods", good, {"box": box}],
    )
    webhook = await stage.create(namespaces=["goods", "boxes"])
    await stage.write(["link", "goods", good, {"box": stage.id()}])
    await stage.write(["link", "goods", later, {"box": box}])
    await stage.write(["update", "goods", later, {"name": "named"}])
    await stage.ended(webhook, "success")
    payload = await stage.payload(stage.receiver.got[0])
    assert [(each["action"], each["after"]) for each in payload["data"]] == [
        ("create", {"id": later, "name": "named"})
    ]


@pytest.mark.rule("WH5")
async def test_what_came_while_it_was_disabled_is_not_delivered(stage: WebhookStage) -> None:
    webhook = await stage.create()
    await stage.manage("POST", f"/{webhook['id']}/disable", {})
    await stage.write(["update", "goods", stage.id(), {"name": "missed"}])
    await stage.manage("POST", f"/{webhook['id']}/enable", {})
    await stage.write(["update", "goods", stage.id(), {"name": "heard"}])
    await stage.ended(webhook, "success")
    payload = await stage.payload(stage.receiver.got[0])
    assert [each["after"]["name"] for each in payload["data"]] == ["heard"]


@pytest.mark.rule("WH12")
async def test_commits_before_the_start_become_events(stage: WebhookStage) -> None:
    webhook = await stage.create()
    await stage.close()
    await stage.open(is_started=False)
    for number in range(3):
        await stage.write(["update", "goods", stage.id(), {"name": str(number)}])
    assert await stage.events(webhook) == []
    await stage.close()
    await stage.open()
    await stage.ended(webhook, "success", "success", "success")
    assert isns(stage.receiver.got) == ["0/0/2", "0/0/3", "0/0/4"]


@pytest.mark.rule("WH12")
async def test_unfinished_events_are_delivered_after_a_restart(stage: WebhookStage) -> None:
    webhook = await stage.create()
    stage.receiver.answers = [answer(500), None]
    one = stage.id()
    await stage.write(["update", "goods", one, {"name": "a"}])
    await stage.ended(webhook, "error")
    await stage.write(["update", "goods", stage.id(), {"name": "b"}])
    await stage.receiver.deliveries(2)  # this one hangs when the server stops
    await stage.close()
    await stage.open()
    events = await stage.ended(webhook, "error", "success")
    assert len(events[0]["attempts"]) == 1
    await stage.runtime.pass_time(61_000)
    await stage.ended(webhook, "success", "success")
    assert isns(stage.receiver.got) == ["0/0/2", "0/0/3", "0/0/3", "0/0/2"]
    keys = [delivery.headers["idempotency-key"] for delivery in stage.receiver.got]
    assert keys[1] == keys[2] and keys[0] == keys[3] != keys[1]


@pytest.mark.rule("WH13")
async def test_commits_wait_in_the_log_while_there_is_no_room(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "UNFINISHED_MAX", 20)
    monkeypatch.setattr(webhook_limits, "UNFINISHED_LEAST", 10)
    webhook = await stage.create()
    quick = await stage.create("/quick", namespaces=["goods", "$users"])
    stage.receiver.choose = lambda delivery: answer(500 if delivery.path == "/hook" else 200)
    for number in range(50):
        await stage.write(["update", "goods", stage.id(), {"name": str(number)}])
    # The one that is full holds up nobody else.
    await stage.ended(quick, *["success"] * 50)
    await stage.ended(webhook, *["error"] * 20)
    stage.receiver.choose = None
    # Each round of attempts makes room for as many.
    for _ in range(3):
        await stage.runtime.pass_time(61_000)
        async with asyncio.timeout(WAIT_S):
            while any(event["status"] != "success" for event in await stage.events(webhook)):
                await stage.runtime.pass_time(1_000)
                await asyncio.sleep(0)
    events = await stage.ended(webhook, *["success"] * 50)
    assert [event["isn"] for event in events] == isns_of(*range(2, 52))


@pytest.mark.rule("WH13")
async def test_throw_away_apps_have_room_of_their_own(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "EPHEMERAL_UNFINISHED_MAX", 5)
    monkeypatch.setattr(webhook_limits, "EPHEMERAL_UNFINISHED_OF_ALL_MAX", 5)
    monkeypatch.setattr(webhook_limits, "UNFINISHED_LEAST", 3)
    stage.receiver.choose = lambda _: answer(500)
    lasting = stage.app_id, stage.token
    for most in (5, 3):  # the second finds the room of all such apps taken
        stage.app_id, stage.token = await stage.new_app(life_ms=3_600_000)
        webhook = await stage.create()
        for number in range(12):
            await stage.write(["update", "goods", stage.id(), {"name": str(number)}])
        await stage.ended(webhook, *["error"] * most)
    stage.app_id, stage.token = lasting
    webhook = await stage.create()
    for number in range(12):
        await stage.write(["update", "goods", stage.id(), {"name": str(number)}])
    await stage.ended(webhook, *["error"] * 12)


@pytest.mark.rule("WH14")
async def test_commits_that_the_log_has_lost_are_skipped(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = await stage.create()
    await stage.close()
    monkeypatch.setattr(limits, "TX_LOG_ROWS_MAX", 5)
    monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 10)
    await stage.open(is_started=False)
    for number in range(30):
        await stage.write(["update", "goods", stage.id(), {"name": str(number)}])
    await stage.close()
    await stage.open()
    await until(lambda: stage.webhooks.outbox.lost)
    await stage.write(["update", "goods", stage.id(), {"name": "next"}])
    events = await stage.ended(webhook, *["success"] * 7)
    assert [event["isn"] for event in events] == isns_of(*range(26, 33))
    assert stage.webhooks.outbox.lost == 24


@pytest.mark.rule("WH15")
async def test_events_come_in_pages(stage: WebhookStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_limits, "EVENTS_PAGE", 3)
    webhook = await stage.create()
    for number in range(7):
        await stage.write(["update", "goods", stage.id(), {"name": str(number)}])
    await stage.receiver.deliveries(7)
    seen: list[str] = []
    cursor: str | None = None
    sizes = []
    while True:
        after = "" if cursor is None else f"?after={cursor}"
        page = (await stage.manage("GET", f"/{webhook['id']}/events{after}")).json()
        own = [event["isn"] for event in page["events"]]
        info = page["pageInfo"]
        assert (info["startCursor"], info["endCursor"]) == (own[0], own[-1])
        seen += own
        sizes.append(len(own))
        cursor = info["endCursor"]
        if not info["hasNextPage"]:
            break
    assert sizes == [3, 3, 1]
    assert seen == isns_of(*range(8, 1, -1))
    answer_ = await stage.manage("GET", f"/{webhook['id']}/events?after=nonsense")
    assert (answer_.status, answer_.json()["type"]) == (400, "param-malformed")
    one = await stage.manage("GET", f"/{webhook['id']}/events/{seen[0]}")
    assert one.json()["event"]["isn"] == seen[0]
    none = await stage.manage("GET", f"/{webhook['id']}/events/0/0/FF")
    assert none.json()["hint"]["record-type"] == "webhook-event"


@pytest.mark.rule("WH15")
async def test_old_events_are_deleted(stage: WebhookStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_limits, "EVENTS_KEPT", 4)
    monkeypatch.setattr(webhook_limits, "SWEEP_EVENTS", 2)
    webhook = await stage.create()
    stage.receiver.answers = [answer(500)]
    for number in range(9):
        await stage.write(["update", "goods", stage.id(), {"name": str(number)}])
    await stage.ended(webhook, "error", *["success"] * 8)
    await stage.webhooks.sweep()
    # Unfinished ones stay, however many came after them.
    left = [event["isn"] for event in await stage.ended(webhook, "error", *["success"] * 4)]
    assert left == isns_of(2, 7, 8, 9, 10)
    await stage.runtime.pass_time(61_000)
    await stage.ended(webhook, *["success"] * 5)
    stage.runtime.advance(webhook_limits.EVENTS_KEPT_MS)
    for _ in range(3):
        await stage.webhooks.sweep()
    assert await stage.events(webhook) == []


@pytest.mark.rule("WH16")
async def test_an_event_is_delivered_again(stage: WebhookStage) -> None:
    webhook = await stage.create()
    await stage.write(["update", "goods", stage.id(), {"name": "tea"}])
    (event,) = await stage.ended(webhook, "success")
    target = f"/{webhook['id']}/events/{event['isn']}"
    again = (await stage.manage("POST", target, {})).json()["event"]
    assert (again["status"], len(again["attempts"])) == ("pending", 1)
    await stage.receiver.deliveries(2)
    (event,) = await stage.ended(webhook, "success")
    assert len(event["attempts"]) == 2
    first, second = stage.receiver.got
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert await stage.payload(first) == await stage.payload(second)


@pytest.mark.rule("WH16")
async def test_an_event_that_waits_is_delivered_at_once(stage: WebhookStage) -> None:
    webhook = await stage.create()
    stage.receiver.answers = [answer(500)]
    await stage.write(["update", "goods", stage.id(), {"name": "tea"}])
    (event,) = await stage.ended(webhook, "error")
    await stage.manage("POST", f"/{webhook['id']}/events/{event['isn']}", {})
    await stage.ended(webhook, "success")


@pytest.mark.rule("WH16")
async def test_while_it_is_delivered_it_cannot_be_sent_again(stage: WebhookStage) -> None:
    webhook = await stage.create()
    stage.receiver.answers = [None]
    await stage.write(["update", "goods", stage.id(), {"name": "tea"}])
    await stage.receiver.deliveries(1)
    (event,) = await stage.ended(webhook, "processing")
    refused = await stage.manage("POST", f"/{webhook['id']}/events/{event['isn']}", {})
    body: dict[str, Any] = refused.json()
    assert (refused.status, body["type"]) == (400, "validation-failed")
    assert "Could not resend event. Try again in one minute." in body["message"]


@pytest.mark.rule("WH12")
async def test_events_are_written_once_behind_a_position(stage: WebhookStage) -> None:
    first, second = await stage.create("/1"), await stage.create("/2")
    ids = (first["id"], second["id"])
    await stage.close()
    await stage.open(is_started=False)
    rows = Rows(stage.apps.platform, runtime=stage.runtime)
    start = {row.webhook.id: row.position for row in await rows.load()}
    event = Event(TxId(7), 0, 0, ())
    made = [(each, event) for each in ids]
    # Somebody moved the second meanwhile: it stays as it is.
    await rows.add([], positions={ids[1]: start[ids[1]]}, new_position=TxId(9))
    moved = await rows.add(made, positions=start, new_position=TxId(8))
    assert moved == {ids[0]}
    assert await rows.add(made, positions=start, new_position=TxId(8)) == set()
    assert {row.webhook.id: row.position for row in await rows.load()} == {ids[0]: 8, ids[1]: 9}
    assert [event.tx for event in await rows.unfinished(ids[0])] == [7]
    assert await rows.unfinished(ids[1]) == []
