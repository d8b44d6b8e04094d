"""A server that is killed while it makes and delivers events."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.patience import WAIT_S
from support.serving import serving
from support.webhook_receiver import OK, Delivery, Receiver, answer

WRITES = 120


@pytest.mark.rule("WH12")
async def test_no_event_is_lost_and_none_is_made_twice(tmp_path: Path, receiver: Receiver) -> None:
    made = await _first_life(tmp_path, receiver)
    events = await _second_life(tmp_path, made)
    isns = [event["isn"] for event in events]
    assert len(set(isns)) == len(isns), "an event was made twice"
    assert {event["status"] for event in events} == {"success"}
    told = {record["id"] for event in events for record in event["payload"]}
    assert set(made["ids"]) <= told, "an acknowledged write has no event"
    # What was delivered before is what is known after.
    assert {delivery.isn for delivery in receiver.got} == set(isns)


async def _first_life(data_dir: Path, receiver: Receiver) -> dict[str, Any]:
    """Writes, while deliveries are under way, until the server is killed."""
    count = 0

    def choose(delivery: Delivery) -> bytes:
        nonlocal count
        count += 1
        return answer(500) if count % 7 == 0 else OK

    receiver.choose = choose
    with serving(data_dir, "--port", "0", "--webhooks-private") as (process, url):
        async with httpx.AsyncClient(base_url=url, timeout=WAIT_S) as client:
            app = (await client.post("/dash/apps/ephemeral", json={"title": "kill"})).json()["app"]
            admin = {"app-id": app["id"], "authorization": f"Bearer {app['admin-token']}"}

            async def write(number: int) -> str:
                good = f"00000000-0000-4000-8000-{number:012d}"
                steps = [["update", "goods", good, {"number": number}]]
                sent = await client.post("/admin/transact", json={"steps": steps}, headers=admin)
                assert sent.status_code == 200, sent.text
                return good

            await write(0)
            body = {
                "url": receiver.url(),
                "namespaces": ["goods"],
                "actions": ["create"],
            }
            base = f"/dash/apps/{app['id']}/webhooks"
            created = await client.post(base, json=body, headers=admin)
            assert created.status_code == 200, created.text
            ids = []
            for start in range(1, WRITES, 10):
                ids += await asyncio.gather(*(write(n) for n in range(start, start + 10)))
                if len(receiver.got) > WRITES // 3:
                    break
            process.kill()
    return {"ids": ids, "base": base, "admin": admin, "id": created.json()["webhook"]["id"]}


async def _second_life(data_dir: Path, made: dict[str, Any]) -> list[dict[str, Any]]:
    """Every event with its payload, once all of them are delivered."""
    with serving(data_dir, "--port", "0", "--webhooks-private") as (_, url):
        async with httpx.AsyncClient(base_url=url, timeout=WAIT_S, headers=made["admin"]) as client:
            base = f"{made['base']}/{made['id']}/events"
            async with asyncio.timeout(WAIT_S):
                while True:
                    events = await _all_events(client, base)
                    late = [event for event in events if event["status"] == "error"]
                    for event in late:  # not after a minute, but now
                        await client.post(f"{base}/{event['isn']}", json={})
                    done = sum(event["status"] == "success" for event in events)
                    if done == len(events) >= len(made["ids"]):
                        break
            for event in events:
                path = f"/webhooks/payload/{made['admin']['app-id']}/{made['id']}/{event['isn']}"
                event["payload"] = (await client.get(path)).json()["data"]
            return events


async def _all_events(client: httpx.AsyncClient, base: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = (await client.get(base, params={"after": cursor} if cursor else {})).json()
        found += page["events"]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
