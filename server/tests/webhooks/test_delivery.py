"""How events are delivered: signed, tried again, in order, and never at the cost of others."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from support.http_wire import until
from support.loopback import listen
from support.webhook_receiver import OK, Answer, Delivery, answer
from trice import webhook_limits
from trice.webhooks import send
from trice.webhooks.event import Attempt, Event
from webhooks.conftest import BASE_URL, WebhookStage


async def put(stage: WebhookStage, entity: str, name: str, **more: Any) -> None:
    await stage.write(["update", "goods", entity, {"name": name}], **more)


# --- signatures ---------------------------------------------------------------------------------


def parts_of(delivery: Delivery) -> dict[str, str]:
    header = delivery.headers["instant-signature"]
    return dict(part.split("=") for part in header.split(","))  # type: ignore[misc]


def raw_key(jwks: dict[str, Any]) -> bytes:
    text = jwks["keys"][0]["x"]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.rule("WH20")
async def test_a_delivery_is_signed_by_the_key_that_is_shown(stage: WebhookStage) -> None:
    await stage.create()
    await put(stage, stage.id(), "tea")
    (delivery,) = await stage.receiver.deliveries(1)
    shown = await stage.ask("GET", "/.well-known/webhooks/jwks.json")
    (key,) = shown.json()["keys"]
    parts = parts_of(delivery)
    assert {**key, "x": ""} == {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "x": "",
        "kid": parts["kid"],
    }
    assert int(parts["t"]) == stage.runtime.now // 1000
    public = Ed25519PublicKey.from_public_bytes(raw_key(shown.json()))
    public.verify(bytes.fromhex(parts["v1"]), f"{parts['t']}.".encode() + delivery.raw)
    assert delivery.headers["content-type"] == "application/json; charset=utf-8"
    assert delivery.headers["user-agent"] == "InstantDB Webhook Sender"
    assert delivery.body["payloadUrl"] == (
        f"{BASE_URL}/webhooks/payload/{stage.app_id}/"
        + delivery.body["payloadUrl"].split("/", 6)[-1]
    )
    await stage.close()
    await stage.open()
    assert (await stage.ask("GET", "/.well-known/webhooks/jwks.json")).json() == shown.json()


# --- attempts -----------------------------------------------------------------------------------


@pytest.mark.rule("WH22")
def test_eleven_attempts() -> None:
    event = Event(2, 0, 0, ())  # type: ignore[arg-type]
    waits = []
    now_ms = 0
    for _ in range(11):
        event = event.after(Attempt(now_ms, 5, 500, "no"), now_ms=now_ms)
        if event.due_ms is not None:
            assert event.status == "error"
            waits.append((event.due_ms - now_ms) // 60_000)
            now_ms = event.due_ms
    assert waits == [1, 5, 30, 120, 300, 600, 720, 720, 720, 720]
    assert (event.status, event.due_ms, len(event.attempts)) == ("failed", None, 11)
    again = event.queued_again(now_ms).after(Attempt(now_ms, 5, 500, "no"), now_ms=now_ms)
    assert (again.status, len(again.attempts)) == ("error", 12)
    assert Event.load("w/0000000000000002", 0, again.dump()) == again


@pytest.mark.rule("WH22", "WH21")
async def test_it_is_tried_again_until_it_has_failed(stage: WebhookStage) -> None:
    webhook = await stage.create()
    stage.receiver.choose = lambda _: answer(503, "x" * 300 + "\0")
    await put(stage, stage.id(), "tea")
    (event,) = await stage.ended(webhook, "error")
    assert event["next_attempt_after"] == "2023-11-14T22:14:20.000Z"
    (attempt,) = event["attempts"]
    assert (attempt["status-code"], attempt["success?"]) == (503, False)
    assert attempt["response-text"] == "x" * 256
    await stage.runtime.pass_time(30_000)
    assert len(stage.receiver.got) == 1
    for count, delay_ms in enumerate(webhook_limits.RETRY_DELAYS_MS, 2):
        stage.runtime.advance(delay_ms)
        stage.webhooks.deliveries.look_for_due()
        await stage.receiver.deliveries(count)
        await stage.ended(webhook, "error" if count < 11 else "failed")
    (event,) = await stage.events(webhook)
    assert (len(event["attempts"]), event["next_attempt_after"]) == (11, None)
    stage.runtime.advance(100 * 3_600_000)
    stage.webhooks.deliveries.look_for_due()
    assert len(stage.receiver.got) == 11
    assert len({delivery.headers["idempotency-key"] for delivery in stage.receiver.got}) == 1


@pytest.mark.rule("WH22")
async def test_any_2xx_is_success(stage: WebhookStage) -> None:
    webhook = await stage.create()
    stage.receiver.answers = [answer(204), answer(299)]
    await put(stage, stage.id(), "a")
    await put(stage, stage.id(), "b")
    await stage.ended(webhook, "success", "success")


@pytest.mark.rule("WH23")
async def test_a_receiver_that_is_gone_disables_its_webhook(stage: WebhookStage) -> None:
    webhook = await stage.create()
    stage.receiver.answers = [answer(410)]
    one = stage.id()
    # Both are written before the first is delivered: a webhook that is disabled hears of no more.
    await stage.close()
    await stage.open(is_started=False)
    await put(stage, one, "a")
    await put(stage, one, "b")
    await stage.close()
    await stage.open()
    first, second = await stage.ended(webhook, "failed", "failed")
    assert [attempt["status-code"] for attempt in first["attempts"]] == [410]
    assert second["attempts"][0]["error-type"] == "disabled"
    (shown,) = (await stage.manage("GET")).json()["webhooks"]
    assert (shown["status"], shown["disabled_reason"]) == (
        "disabled",
        "Endpoint returned 410 status code.",
    )
    assert len(stage.receiver.got) == 1


@pytest.mark.rule("WH6")
async def test_unfinished_events_of_a_disabled_webhook_fail(stage: WebhookStage) -> None:
    webhook = await stage.create()
    stage.receiver.choose = lambda _: answer(500)
    await put(stage, stage.id(), "a")
    await put(stage, stage.id(), "b")
    await stage.ended(webhook, "error", "error")
    await stage.manage("POST", f"/{webhook['id']}/disable", {"reason": "closed for today"})
    events = await stage.ended(webhook, "failed", "failed")
    assert [event["attempts"][-1]["error-type"] for event in events] == ["disabled"] * 2
    assert events[0]["attempts"][-1]["error-message"] == "closed for today"
    assert len(stage.receiver.got) == 2


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.rule("WH24")
@pytest.mark.parametrize(
    ("said", "error_type", "status"),
    [
        (answer(302, headers="location: /elsewhere\r\n"), None, 302),
        (b"this is no HTTP\r\n\r\n", "protocol", None),
        (b"", "protocol", None),
        (b"HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\nhalf", None, 500),
        (b"HTTP/1.1 103 Wait\r\n\r\n" * 5 + answer(500), None, 500),
        (b"HTTP/1.1 103 Wait\r\n\r\n" * 50_000 + answer(500), "protocol", None),
        (b"HTTP/1.1 500 No\r\n" + b"x-a: b\r\n" * 50_000 + b"\r\n", "protocol", None),
        (b"HTTP/1.1 500 No\r\nx: " + b"a" * 500_000 + b"\r\n\r\n", "protocol", None),
        (b"HTTP/1.1 200 OK\r\n\r\n".replace(b"200 OK", b"99999 OK"), "protocol", None),
    ],
)
async def test_what_a_receiver_may_say(
    stage: WebhookStage, said: bytes, error_type: str | None, status: int | None
) -> None:
    webhook = await stage.create()
    stage.receiver.answers = [said]
    await put(stage, stage.id(), "tea")
    (event,) = await stage.ended(webhook, "error")
    (attempt,) = event["attempts"]
    assert (attempt["error-type"], attempt["status-code"]) == (error_type, status)
    assert len(stage.receiver.got) == 1


@pytest.mark.rule("WH24")
async def test_a_receiver_that_does_not_answer(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "TIMEOUT_MS", 50)
    webhook = await stage.create()
    stage.receiver.choose = lambda _: None
    await put(stage, stage.id(), "tea")
    (event,) = await stage.ended(webhook, "error")
    assert event["attempts"][0]["error-type"] == "timeout"


@pytest.mark.rule("WH24")
async def test_hosts_that_cannot_be_reached(stage: WebhookStage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    async def no_tls(connection: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(connection, b"220 this is another protocol")

    async with listen(no_tls) as other:
        urls = (f"http://127.0.0.1:{port}/", f"https://127.0.0.1:{other.port}/")
        for url, error_type in zip(urls, ("connect", "tls"), strict=True):
            webhook = await stage.create(url=url)
            await put(stage, stage.id(), "tea")
            (event,) = await stage.ended(webhook, "error")
            assert event["attempts"][0]["error-type"] == error_type
            await stage.manage("DELETE", f"/{webhook['id']}")


@pytest.mark.rule("WH24")
async def test_an_answer_that_never_ends_counts_by_its_status(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "ANSWER_TIMEOUT_MS", 20)
    webhook = await stage.create()
    stage.receiver.answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\nbeginning"]
    await put(stage, stage.id(), "tea")
    await stage.ended(webhook, "success")


@pytest.mark.rule("WH24")
async def test_a_body_in_chunks(stage: WebhookStage) -> None:
    webhook = await stage.create()
    chunks = b"".join(b"1\r\n%c\r\n" % letter for letter in b"told in chunks") + b"0\r\n\r\n"
    stage.receiver.answers = [b"HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n" + chunks]
    await put(stage, stage.id(), "tea")
    (event,) = await stage.ended(webhook, "error")
    assert event["attempts"][0]["response-text"] == "told in chunks"


@pytest.mark.rule("WH25")
async def test_a_name_is_looked_up_for_each_attempt(open_stage: Callable[..., Any]) -> None:
    stage = await open_stage(allows_private_webhooks=False)
    found = [["93.184.216.34"], ["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], []]
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        if not found:
            raise OSError
        return found.pop(0)

    stage.webhooks.sender.resolve = resolve
    webhook = await stage.create(url="https://shop.example:8443/hook")
    for name in ("a", "b", "c", "d"):
        await put(stage, stage.id(), name)
    events = await stage.ended(webhook, *["error"] * 4)
    problems = sorted(event["attempts"][0]["error-type"] for event in events)
    assert problems == ["connect", "connect", "dns", "dns"]
    assert asked == [("shop.example", 8443)] * 5
    assert stage.receiver.got == []


@pytest.mark.rule("WH25")
async def test_the_address_that_was_checked_is_connected_to(
    stage: WebhookStage,
) -> None:
    port = httpx.URL(stage.receiver.url()).port

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    stage.webhooks.sender.resolve = resolve
    await stage.create(url=f"http://shop.example:{port}/hook?a=b")
    await put(stage, stage.id(), "tea")
    (delivery,) = await stage.receiver.deliveries(1)
    assert (delivery.headers["host"], delivery.path) == (f"shop.example:{port}", "/hook?a=b")


@pytest.mark.rule("WH25")
async def test_a_webhook_that_was_made_when_private_hosts_were_allowed(
    stage: WebhookStage,
) -> None:
    webhook = await stage.create()
    await stage.close()
    stage.settings = stage.settings.__class__(data_dir=stage.settings.data_dir)
    await stage.open()
    await put(stage, stage.id(), "tea")
    (event,) = await stage.ended(webhook, "error")
    assert event["attempts"][0]["error-type"] == "connect"
    assert stage.receiver.got == []


# --- order --------------------------------------------------------------------------------------


@pytest.mark.rule("WH26")
async def test_events_of_an_entity_stay_in_order(stage: WebhookStage) -> None:
    webhook = await stage.create()
    one, two = stage.id(), stage.id()
    stage.receiver.answers = [answer(500)]
    await put(stage, one, "a")
    await stage.ended(webhook, "error")
    await put(stage, one, "b")
    await put(stage, two, "c")
    await stage.write(
        ["update", "goods", one, {"name": "d"}], ["update", "goods", two, {"name": "d"}]
    )
    await put(stage, two, "e")
    await put(stage, stage.id(), "f")
    await stage.ended(webhook, "error", "pending", "success", "pending", "pending", "success")
    await stage.runtime.pass_time(61_000)
    await stage.ended(webhook, *["success"] * 6)
    order = [delivery.isn for delivery in stage.receiver.got]
    assert sorted(order[:3]) == ["0/0/2", "0/0/4", "0/0/7"]
    assert order[3:] == ["0/0/2", "0/0/3", "0/0/5", "0/0/6"]


@pytest.mark.rule("WH26")
async def test_an_event_of_many_entities_waits_and_is_waited_for(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "ENTITIES_KEPT", 2)
    webhook = await stage.create()
    stage.receiver.answers = [answer(500)]
    await put(stage, stage.id(), "a")
    await stage.ended(webhook, "error")
    await stage.write(*[["update", "goods", stage.id(), {"name": "b"}] for _ in range(3)])
    await put(stage, stage.id(), "c")
    await stage.ended(webhook, "error", "pending", "pending")
    await stage.runtime.pass_time(61_000)
    await stage.ended(webhook, *["success"] * 3)
    order = [delivery.isn for delivery in stage.receiver.got]
    assert order == ["0/0/2", "0/0/2", "0/0/3", "0/0/4"]


# --- how many at once ---------------------------------------------------------------------------


@pytest.mark.rule("WH27")
async def test_a_receiver_that_hangs_costs_a_quick_one_nothing(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "QUICK_DELIVERIES_MAX", 1)
    monkeypatch.setattr(webhook_limits, "SLOW_DELIVERIES_MAX", 1)
    quick = await stage.create("/quick")
    await put(stage, stage.id(), "0")
    await stage.ended(quick, "success")

    def choose(delivery: Delivery) -> Answer:
        return None if delivery.path.startswith("/hang") else OK

    stage.receiver.choose = choose
    hanging = [await stage.create(f"/hang{number}") for number in range(3)]
    for number in range(20):
        await put(stage, stage.id(), str(number))
    await stage.ended(quick, *["success"] * 21)
    hung = [delivery for delivery in stage.receiver.got if delivery.path != "/quick"]
    assert len(hung) == 1
    for webhook in hanging:
        statuses = {event["status"] for event in await stage.events(webhook)}
        assert statuses <= {"pending", "processing"}


@pytest.mark.rule("WH27")
async def test_a_slow_webhook_becomes_quick_and_slow_again(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = await stage.create()
    lane = stage.webhooks.deliveries.open(webhook["id"], stage.app_id, is_ephemeral=False)
    assert not lane.is_quick
    stage.receiver.choose = lambda _: None
    for number in range(4):
        await put(stage, stage.id(), str(number))
    await stage.receiver.deliveries(1)
    await stage.ended(webhook, "processing", "pending", "pending", "pending")
    assert stage.receiver.open == 1
    await stage.close()  # the attempt that hangs ends without an outcome
    stage.receiver.choose = lambda _: answer(500)
    await stage.open()
    await stage.ended(webhook, *["error"] * 4)
    lane = stage.webhooks.deliveries.open(webhook["id"], stage.app_id, is_ephemeral=False)
    assert lane.is_quick
    stage.receiver.choose = lambda _: None
    stage.runtime.advance(61_000)
    stage.webhooks.deliveries.look_for_due()
    await stage.receiver.deliveries(9)
    assert stage.receiver.open == 4
    stage.runtime.advance(webhook_limits.SLOW_MS)
    await stage.receiver.close()  # the connections break: failures, and late ones
    await stage.ended(webhook, *["error"] * 4)
    assert not lane.is_quick


@pytest.mark.rule("WH27")
async def test_apps_take_turns(stage: WebhookStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_limits, "QUICK_DELIVERIES_MAX", 1)
    monkeypatch.setattr(webhook_limits, "SLOW_DELIVERIES_MAX", 1)
    busy = await stage.create("/busy")
    first_id, first_token = stage.app_id, stage.token
    stage.app_id, stage.token = await stage.new_app()
    calm = await stage.create("/calm")
    calm_id = stage.app_id
    stage.receiver.choose = lambda _: None
    await put(stage, stage.id(), "first", app_id=first_id)
    await stage.receiver.deliveries(1)
    for number in range(9):
        await put(stage, stage.id(), str(number), app_id=first_id)
    await put(stage, stage.id(), "one", app_id=calm_id)
    await stage.ended(calm, "pending")
    await stage.close()
    stage.receiver.choose = None
    await stage.open()
    await stage.ended(calm, "success")
    paths = [delivery.path for delivery in stage.receiver.got]
    assert paths.index("/calm") <= 4
    stage.app_id, stage.token = first_id, first_token
    await stage.ended(busy, *["success"] * 10)


@pytest.mark.rule("WH27")
async def test_bounds_of_a_webhook_and_an_app(
    stage: WebhookStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_limits, "DELIVERIES_OF_WEBHOOK_MAX", 3)
    monkeypatch.setattr(webhook_limits, "DELIVERIES_OF_APP_MAX", 5)
    webhooks = [await stage.create(f"/{number}") for number in range(2)]
    await put(stage, stage.id(), "first")
    for webhook in webhooks:
        await stage.ended(webhook, "success")
    stage.receiver.choose = lambda _: None
    for number in range(8):
        await put(stage, stage.id(), str(number))
    await stage.receiver.deliveries(2 + 5)
    assert stage.webhooks.deliveries.running == 5
    by_path = [delivery.path for delivery in stage.receiver.got[2:]]
    assert max(by_path.count(path) for path in by_path) == 3


@pytest.mark.rule("WH25")
async def test_a_look_up_that_does_not_end_keeps_its_place(stage: WebhookStage) -> None:
    freed: list[bool] = []
    lookup: Future[list[str]] = Future()
    send.when_free([lookup], lambda: freed.append(True))
    assert freed == []
    lookup.set_result([])
    await asyncio.sleep(0)
    assert freed == [True]
    send.when_free([], lambda: freed.append(True))
    assert freed == [True, True]


# --- watching -----------------------------------------------------------------------------------


@pytest.mark.rule("WH40")
async def test_metrics_tell_what_was_delivered(open_stage: Callable[..., Any]) -> None:
    token = "sixteen-letters-and-more"
    stage = await open_stage(metrics_token=token)
    webhook = await stage.create()
    stage.receiver.answers = [answer(500), OK, answer(410)]
    for statuses in (["error"], ["error", "success"], ["failed", "success", "failed"]):
        await put(stage, stage.id(), "tea")
        await stage.ended(webhook, *statuses)
    await until(lambda: not stage.webhooks.deliveries.waiting)
    page = (await stage.ask("GET", "/metrics", token=token)).body.decode()
    for line in (
        'trice_webhook_attempts_total{outcome="success"} 1.0',
        'trice_webhook_attempts_total{outcome="error"} 1.0',
        'trice_webhook_attempts_total{outcome="failed"} 2.0',
        "trice_webhook_events_unfinished 0.0",
        "trice_webhook_deliveries 0.0",
        "trice_webhook_lost_transactions_total 0.0",
    ):
        assert line in page.splitlines()
