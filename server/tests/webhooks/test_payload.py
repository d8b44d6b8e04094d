"""What the payload of an event says, who may fetch it, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from trice import limits, webhook_limits
from webhooks.conftest import BASE_URL, WebhookStage

LONG = {"text": "x" * 5_000}


async def payload_of(stage: WebhookStage, number: int = 1) -> dict[str, Any]:
    """The payload of the latest of so many deliveries."""
    return await stage.payload((await stage.receiver.deliveries(number))[-1])


@pytest.mark.rule("WH30")
async def test_before_and_after(stage: WebhookStage) -> None:
    await stage.create()
    one, two = stage.id(), stage.id()
    values = {"name": "tea", "price": 2.5, "isCold": False, "tags": ["a", {"b": None}], "no": None}
    await stage.write(["update", "goods", one, values], ["update", "goods", two, {"name": "x"}])
    payload = await payload_of(stage)
    assert payload["idempotencyKey"] == stage.receiver.got[0].headers["idempotency-key"]
    by_id = {record.pop("id"): record for record in payload["data"]}
    keys = {record.pop("idempotencyKey") for record in by_id.values()}
    assert len(keys) == 2
    assert by_id[one] == {
        "namespace": "goods",
        "action": "create",
        "before": None,
        "after": {"id": one, **values},
    }
    await stage.write(["update", "goods", one, {"price": 3}], ["delete", "goods", two])
    records = (await payload_of(stage, 2))["data"]
    told = {
        record["id"]: (record["action"], record["before"], record["after"]) for record in records
    }
    assert told[one] == ("update", {"id": one, **values}, {"id": one, **values, "price": 3})
    assert told[two] == ("delete", {"id": two, "name": "x"}, None)


@pytest.mark.rule("WH30")
async def test_only_namespaces_and_actions_of_the_webhook(stage: WebhookStage) -> None:
    one = stage.id()
    await stage.write(["update", "goods", one, {"name": "old"}])
    await stage.create(namespaces=["goods", "$files"], actions=["create"])
    file_id, location = stage.id(), stage.id()
    await stage.write(
        ["update", "goods", one, {"name": "new"}],
        ["update", "boxes", stage.id(), {"name": "box"}],
        ["update", "goods", stage.id(), {"name": "made"}],
    )
    records = (await payload_of(stage))["data"]
    assert [record["after"]["name"] for record in records] == ["made"]
    app = await stage.apps.lend(stage.app_id)
    fields = {"path": "a.txt", "size": 1, "location-id": location, "content-hash": "0" * 64}
    await app.database.change(lambda change: change.write(["create", "$files", file_id, fields]))
    stage.apps.give_back(app)
    ((record),) = (await payload_of(stage, 2))["data"]
    assert (record["namespace"], record["after"]["path"]) == ("$files", "a.txt")
    assert record["after"]["url"] == f"http://files.test/{location}"


@pytest.mark.rule("WH31")
async def test_who_may_fetch_it(stage: WebhookStage) -> None:
    webhook = await stage.create()
    await stage.write(["update", "goods", stage.id(), {"name": "tea"}])
    (delivery,) = await stage.receiver.deliveries(1)
    await stage.ended(webhook, "success")
    target = delivery.body["payloadUrl"].removeprefix(BASE_URL)
    token = delivery.body["token"]
    with_token = await stage.ask("GET", target, token=token)
    as_admin = await stage.ask("GET", target)
    assert with_token.json() == as_admin.json() != {}
    shown = {name: with_token.headers[name] for name in ("pragma", "expires", "vary")}
    assert shown == {"pragma": "no-cache", "expires": "0", "vary": "Authorization"}
    assert with_token.headers["cache-control"] == "no-store, private"
    for other in (target.replace("/0/0/2", "/0/0/1"), target.replace(webhook["id"], stage.id())):
        refused = await stage.ask("GET", other, token=token)
        body = refused.json()
        assert (refused.status, body["type"]) == (400, "validation-failed")
        assert body["hint"]["data-type"] == "jwt"
    stage.runtime.advance(webhook_limits.TOKEN_S * 1_000)
    late = await stage.ask("GET", target, token=token)
    assert late.json()["hint"]["data-type"] == "jwt"
    _, other_token = await stage.new_app()
    for wrong in (other_token, stage.id(), ""):
        answer = await stage.ask("GET", target, token=wrong)
        assert answer.status in (400, 401), wrong
    await stage.manage("DELETE", f"/{webhook['id']}")
    gone = await stage.ask("GET", target)
    assert gone.json()["hint"]["record-type"] == "webhook"


@pytest.mark.rule("WH32")
async def test_it_stays_the_same(stage: WebhookStage) -> None:
    one = stage.id()
    await stage.write(["update", "goods", one, {"name": "a", "doc": LONG, "note": "n" * 5_000}])
    await stage.create()
    # The log leaves long cells out that stay as they are: they are found in later rows.
    await stage.write(["update", "goods", one, {"name": "b"}])
    first = await payload_of(stage)
    for number in range(5):
        await stage.write(["update", "goods", stage.id(), {"name": str(number)}])
    await stage.write(["update", "goods", one, {"name": "c"}])
    await stage.write(["update", "goods", one, {"doc": {"text": "short"}}])
    await stage.write(["delete", "goods", one])
    assert await stage.payload(stage.receiver.got[0]) == first
    (record,) = first["data"]
    assert record["before"] == {"id": one, "name": "a", "doc": LONG, "note": "n" * 5_000}
    assert record["after"] == {**record["before"], "name": "b"}


@pytest.mark.rule("WH32", "WH16")
async def test_it_goes_with_the_log(stage: WebhookStage, monkeypatch: pytest.MonkeyPatch) -> None:
    webhook = await stage.create()
    await stage.write(["update", "goods", stage.id(), {"name": "tea"}])
    (event,) = await stage.ended(webhook, "success")
    monkeypatch.setattr(limits, "TX_LOG_ROWS_MAX", 5)
    monkeypatch.setattr(limits, "TX_LOG_TRIM_EVERY", 10)
    for number in range(20):
        await stage.write(["update", "boxes", stage.id(), {"name": str(number)}])
    target = stage.receiver.got[0].body["payloadUrl"].removeprefix(BASE_URL)
    for answer in (
        await stage.ask("GET", target),
        await stage.manage("POST", f"/{webhook['id']}/events/{event['isn']}", {}),
    ):
        body = answer.json()
        assert (answer.status, body["hint"]["record-type"]) == (400, "webhook-event")
        assert "--history-days" in body["message"]


@pytest.mark.rule("WH33")
async def test_fields_have_the_names_of_today(stage: WebhookStage) -> None:
    await stage.create()
    await stage.write(["update", "goods", stage.id(), {"name": "tea", "secret": "s", "doc": LONG}])
    (delivery,) = await stage.receiver.deliveries(1)
    app = await stage.apps.lend(stage.app_id)
    try:
        catalog = app.database.catalog
        name, secret, doc = (
            catalog.find_forward("goods", label) for label in ("name", "secret", "doc")
        )
        assert name is not None and secret is not None and doc is not None
        renamed = {"id": name.id, "forward-identity": [name.forward.id, "goods", "title"]}
        from trice.identity import ADMIN

        await app.database.transact([["update-attr", renamed]], identity=ADMIN)
        for attr in (secret, doc):
            await app.database.transact([["delete-attr", attr.id]], identity=ADMIN)
    finally:
        stage.apps.give_back(app)
    (record,) = (await stage.payload(delivery))["data"]
    assert record["after"] == {"id": record["id"], "title": "tea"}


@pytest.mark.rule("WH30")
async def test_a_payload_that_is_too_large(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "PAYLOAD_BYTES_MAX", 1_000)
    await stage.create()
    await stage.write(["update", "goods", stage.id(), {"doc": LONG}])
    (delivery,) = await stage.receiver.deliveries(1)
    answer = await stage.ask("GET", delivery.body["payloadUrl"].removeprefix(BASE_URL))
    assert answer.json()["type"] == "parameter-limit-exceeded"
