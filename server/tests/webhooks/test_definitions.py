"""Webhooks are made, listed, changed and deleted (`/dash/apps/:app_id/webhooks`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from support.http_wire import until
from trice import webhook_limits
from webhooks.conftest import WebhookStage


def problem(answer: Any) -> tuple[int, str, Any, str]:
    """Status, type, data type or record type, and the message."""
    body = answer.json()
    hint = body["hint"]
    return (
        answer.status,
        body["type"],
        hint.get("data-type") or hint.get("record-type"),
        body["message"],
    )


@pytest.mark.rule("WH1")
async def test_a_webhook_from_beginning_to_end(stage: WebhookStage) -> None:
    made = await stage.create("/one", actions=["create", "create"])
    assert made == {
        "id": made["id"],
        "sink": {"url": stage.receiver.url("/one")},
        "namespaces": ["goods"],
        "actions": ["create"],
        "status": "active",
        "disabled_reason": None,
        "created_at": "2023-11-14T22:13:20.000Z",
        "updated_at": "2023-11-14T22:13:20.000Z",
    }
    second = await stage.create("/two")
    listed = (await stage.manage("GET")).json()["webhooks"]
    assert listed == [second, made]

    stage.runtime.advance(1_000)
    one = f"/{made['id']}"
    changed = (await stage.manage("POST", one, {"actions": ["delete"]})).json()["webhook"]
    assert changed == {
        **made,
        "actions": ["delete"],
        "updated_at": "2023-11-14T22:13:21.000Z",
    }
    off = (await stage.manage("POST", f"{one}/disable", {"reason": "night"})).json()["webhook"]
    assert (off["status"], off["disabled_reason"]) == ("disabled", "night")
    on = (await stage.manage("POST", f"{one}/enable", {})).json()["webhook"]
    assert (on["status"], on["disabled_reason"]) == ("active", None)
    gone = (await stage.manage("DELETE", one)).json()["webhook"]
    assert gone == on
    assert (await stage.manage("GET")).json()["webhooks"] == [second]
    for method, rest in (("POST", one), ("DELETE", one), ("GET", f"{one}/events")):
        answer = await stage.manage(method, rest)
        assert problem(answer)[:3] == (400, "record-not-found", "webhook")


@pytest.mark.rule("WH1")
async def test_only_the_admin_token_of_the_app_manages(stage: WebhookStage) -> None:
    webhook = await stage.create()
    target = f"/dash/apps/{stage.app_id}/webhooks"
    other_id, other_token = await stage.new_app()
    for method, rest in (
        ("GET", ""),
        ("POST", ""),
        ("POST", f"/{webhook['id']}"),
        ("DELETE", f"/{webhook['id']}"),
        ("POST", f"/{webhook['id']}/enable"),
        ("POST", f"/{webhook['id']}/disable"),
        ("GET", f"/{webhook['id']}/events"),
        ("GET", f"/{webhook['id']}/events/0/0/2"),
        ("POST", f"/{webhook['id']}/events/0/0/2"),
    ):
        refused = await stage.ask(method, target + rest, token=other_token)
        assert problem(refused)[1] == "validation-failed", (method, rest)
        unknown = await stage.ask(method, target + rest, token=stage.id())
        assert unknown.status == 401, (method, rest)
    # The webhook of one app is none of another.
    elsewhere = f"/dash/apps/{other_id}/webhooks/{webhook['id']}"
    answer = await stage.ask("DELETE", elsewhere, token=other_token)
    assert problem(answer)[:3] == (400, "record-not-found", "webhook")


@pytest.mark.rule("WH1")
async def test_tokens_of_the_account_of_the_app(stage: WebhookStage) -> None:
    accounts = stage.asgi.state.accounts
    owner = await accounts.create("ann@example.com")
    stranger = await accounts.create("bob@example.com")
    stage.app_id, admin_token = await stage.new_app(owner=owner.id)
    stage.token = admin_token
    webhook = await stage.create()
    await stage.write(["update", "goods", stage.id(), {"name": "tea"}])
    (delivery,) = await stage.receiver.deliveries(1)
    target = f"/dash/apps/{stage.app_id}/webhooks"
    payload = f"/webhooks/payload/{stage.app_id}/{webhook['id']}/{delivery.isn}"

    async def statuses(account: Any, *scopes: str) -> list[int]:
        """Of reading, of fetching a payload, and of a change."""
        _, secret = await accounts.make_token(account, kind="personal", name="x", scopes=scopes)
        return [
            (await stage.ask("GET", target, token=secret)).status,
            (await stage.ask("GET", payload, token=secret)).status,
            (await stage.ask("POST", f"{target}/{webhook['id']}", {}, token=secret)).status,
        ]

    assert await statuses(owner, "data-read", "data-write") == [200, 200, 200]
    assert await statuses(owner, "data-read") == [200, 200, 400]
    assert await statuses(owner, "apps-read") == [400, 400, 400]
    assert await statuses(stranger, "data-read", "data-write") == [400, 400, 400]


@pytest.mark.rule("WH2")
@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://localhost/hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://10.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/hook",
        "https://user:secret@example.com/hook",
        "https://example.com/hook#part",
        "ftp://example.com/hook",
        "/hook",
        "https://example.com/" + "a" * 5_000,
        "",
        7,
        None,
    ],
)
async def test_urls_that_are_refused(open_stage: Callable[..., Any], url: Any) -> None:
    stage = await open_stage(allows_private_webhooks=False)
    body = {"url": url, "namespaces": ["goods"], "actions": ["create"]}
    answer = await stage.manage("POST", body=body)
    assert problem(answer)[:3] == (400, "validation-failed", "webhook"), answer.body
    assert (await stage.manage("GET")).json() == {"webhooks": []}


@pytest.mark.rule("WH2")
async def test_a_public_host_is_accepted(open_stage: Callable[..., Any]) -> None:
    stage = await open_stage(allows_private_webhooks=False)
    hosts = {"shop.example": ["93.184.216.34"], "inside.example": ["93.184.216.34", "10.1.2.3"]}

    async def resolve(host: str, port: int) -> list[str]:
        if host not in hosts:
            raise OSError
        return hosts[host]

    stage.webhooks.sender.resolve = resolve
    made = await stage.create(url="https://shop.example/hook?a=b")
    assert made["sink"] == {"url": "https://shop.example/hook?a=b"}
    for host, told in (("inside", "public"), ("nowhere", "unknown")):
        body = {"url": f"https://{host}.example/", "namespaces": ["goods"], "actions": ["create"]}
        answer = await stage.manage("POST", body=body)
        assert problem(answer)[:3] == (400, "validation-failed", "webhook")
        assert told in problem(answer)[3]


@pytest.mark.rule("WH3")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"namespaces": ["nothing"]}, "Could not find matching table for nothing"),
        ({"namespaces": ["$userRefreshTokens"]}, "Could not find matching table for"),
        ({"namespaces": []}, "at least one"),
        ({"namespaces": "goods"}, "list of texts"),
        ({"namespaces": [["goods"]]}, "list of texts"),
        ({"actions": []}, "at least one"),
        ({"actions": ["upsert"]}, "There is no action 'upsert'"),
        ({"actions": None}, "list of texts"),
    ],
)
async def test_namespaces_and_actions(stage: WebhookStage, given: Any, told: str) -> None:
    body = {"url": stage.receiver.url(), "namespaces": ["goods"], "actions": ["create"], **given}
    answer = await stage.manage("POST", body=body)
    assert problem(answer)[:3] == (400, "validation-failed", "webhook")
    assert told in problem(answer)[3]
    webhook = await stage.create()
    answer = await stage.manage("POST", f"/{webhook['id']}", given)
    assert told in problem(answer)[3]
    assert (await stage.manage("GET")).json()["webhooks"] == [webhook]


@pytest.mark.rule("WH3")
async def test_system_namespaces_that_apps_may_watch(stage: WebhookStage) -> None:
    made = await stage.create(namespaces=["$users", "$files", "$streams"])
    assert made["namespaces"] == ["$users", "$files", "$streams"]


@pytest.mark.rule("WH4")
async def test_how_many(stage: WebhookStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_limits, "ACTIVE_MAX", 2)
    monkeypatch.setattr(webhook_limits, "STORED_MAX", 3)
    first = await stage.create("/1")
    second = await stage.create("/2", namespaces=["goods", "$users"])

    async def refused(path: str, namespaces: list[str]) -> tuple[Any, str]:
        body = {
            "url": stage.receiver.url(path),
            "namespaces": namespaces,
            "actions": ["delete", "create", "update"],
        }
        answer = await stage.manage("POST", body=body)
        return problem(answer)[2:]

    data_type, told = await refused("/3", ["goods"])
    assert (data_type, "2 active" in told) == ("webhooks", True)
    await stage.manage("POST", f"/{first['id']}/disable", {})
    data_type, told = await refused("/2", ["$users", "goods"])
    assert (data_type, second["id"] in told) == ("webhook", True)
    await stage.create("/3")
    answer = await stage.manage("POST", f"/{first['id']}/enable", {})
    assert problem(answer)[2] == "webhooks"
    await stage.manage("POST", f"/{second['id']}/disable", {})
    data_type, told = await refused("/4", ["goods"])
    assert (data_type, "3 webhooks" in told) == ("webhooks", True)
    # A change may not make two of them alike either.
    await stage.manage("POST", f"/{first['id']}/enable", {})
    answer = await stage.manage("POST", f"/{first['id']}", {"url": stage.receiver.url("/3")})
    assert problem(answer)[2] == "webhook"


@pytest.mark.rule("WH4")
async def test_throw_away_apps_have_few(stage: WebhookStage) -> None:
    stage.app_id, stage.token = await stage.new_app(life_ms=3_600_000)
    for number in range(webhook_limits.EPHEMERAL_ACTIVE_MAX):
        await stage.create(f"/{number}")
    body = {"url": stage.receiver.url(), "namespaces": ["goods"], "actions": ["create"]}
    assert problem(await stage.manage("POST", body=body))[2] == "webhooks"


@pytest.mark.rule("WH2")
async def test_few_urls_are_checked_at_once(open_stage: Callable[..., Any]) -> None:
    stage = await open_stage(allows_private_webhooks=False)
    gate = asyncio.Event()

    async def resolve(host: str, port: int) -> list[str]:
        await gate.wait()
        return ["93.184.216.34"]

    stage.webhooks.sender.resolve = resolve
    most = webhook_limits.CHECKS_OF_APP_MAX
    made = [
        asyncio.create_task(stage.create(url=f"https://shop.example/{number}"))
        for number in range(most)
    ]
    await until(lambda: stage.webhooks.checks == most)
    body = {"url": "https://shop.example/", "namespaces": ["goods"], "actions": ["create"]}
    refused = await stage.manage("POST", body=body)
    assert (refused.status, refused.json()["type"]) == (503, "overloaded")
    gate.set()
    await asyncio.gather(*made)
    assert stage.webhooks.checks == 0


@pytest.mark.rule("WH7")
async def test_events_go_with_the_webhook_and_with_the_app(stage: WebhookStage) -> None:
    kept = await stage.create("/kept", namespaces=["goods", "$users"])
    webhook = await stage.create("/gone")
    for number in range(3):
        await stage.write(["update", "goods", stage.id(), {"name": str(number)}])
    await stage.ended(webhook, *["success"] * 3)
    await stage.manage("DELETE", f"/{webhook['id']}")
    await stage.webhooks.sweep()

    async def count(etype: str) -> int:
        found = await stage.apps.platform.look(lambda look: look.find({etype: {}}))
        return len(found[etype])

    await stage.ended(kept, *["success"] * 3)
    assert (await count("$webhooks"), await count("$webhookEvents")) == (1, 3)
    await stage.apps.delete(stage.app_id)
    await stage.webhooks.sweep()
    assert (await count("$webhooks"), await count("$webhookEvents")) == (0, 0)


@pytest.mark.rule("WH7")
async def test_a_deletion_goes_on_after_a_restart(stage: WebhookStage) -> None:
    webhook = await stage.create()
    await stage.write(["update", "goods", stage.id(), {"name": "tea"}])
    await stage.ended(webhook, "success")
    await stage.manage("DELETE", f"/{webhook['id']}")
    await stage.close()
    await stage.open()
    assert (await stage.manage("GET")).json() == {"webhooks": []}
    await stage.webhooks.sweep()
    found = await stage.apps.platform.look(lambda look: look.find({"$webhookEvents": {}}))
    assert found == {"$webhookEvents": []}
