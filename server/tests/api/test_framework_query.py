"""Answers for pages that are made on a server, from which a session in the browser goes on."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from support.delta_client import DeltaClient, HeldAnswer, content

FIRST, SECOND = (f"e1000000-0000-4000-8000-{number:012d}" for number in (1, 2))
TODOS = {"todos": {"$": {"order": {"serverCreatedAt": "asc"}, "limit": 2}}}


async def put(stage, todo: str, title: str) -> None:
    steps = [["update", "todos", todo, {"title": title}]]
    answer = await stage.ask("POST", "/admin/transact", {"steps": steps}, stage.admin())
    assert answer.status == 200


async def page(stage, q: Any = TODOS, *, token: str | None = None) -> dict[str, Any]:
    """The answer as the server of a page gets it."""
    bearer = {} if token is None else {"authorization": f"Bearer {token}"}
    headers = {"app-id": stage.app_id, **bearer}
    answer = await stage.ask("POST", "/runtime/framework/query", {"query": q}, headers)
    assert answer.status == 200
    return answer.json()


async def browser(stage, answer: dict[str, Any], **fields: Any) -> DeltaClient:
    """A client that holds what a page brought, and is connected with it."""
    client = DeltaClient(stage.hub)
    client.query_ids[orjson.dumps(TODOS)] = answer["query-id"]
    client.answers[answer["query-id"]] = HeldAnswer(answer["version"], *content(answer["result"]))
    client.catalog, client.tx = answer["catalog"], answer["processed-tx-id"]
    await client.connect(stage.app_id, **fields)
    return client


async def token_of(stage, email: str) -> str:
    answer = await stage.ask("POST", "/admin/refresh_tokens", {"email": email}, stage.admin())
    assert answer.status == 200, answer.body
    return answer.json()["user"]["refresh_token"]


@pytest.mark.rule("P87", "P75", "P82")
async def test_a_session_goes_on_from_what_a_page_brought(stage):
    await put(stage, FIRST, "milk")
    made = await page(stage)
    client = await browser(stage, made)
    assert client.attrs == [], "the catalog is held"
    client.ask(TODOS)
    told = await client.hear("add-query-ok")
    assert "result" not in told and told["from"] == told["version"] == made["version"]
    assert told["query-id"] == made["query-id"]
    assert told["processed-tx-id"] == made["processed-tx-id"]
    await put(stage, FIRST, "bread")
    await client.hear("refresh-ok")
    assert client.forms["delta"] == 1
    assert "bread" in str(client.shown(TODOS)[0])


@pytest.mark.rule("P87")
async def test_what_changed_after_a_page_was_made_is_told(stage):
    await put(stage, FIRST, "milk")
    made = await page(stage)
    await put(stage, SECOND, "bread")
    client = await browser(stage, made)
    client.ask(TODOS)
    told = await client.hear("add-query-ok")
    assert told["version"] != made["version"]
    fresh = await page(stage)
    assert told["version"] == fresh["version"]
    assert client.shown(TODOS)[0] == set(content(fresh["result"])[0])


@pytest.mark.rule("P87", "P85")
async def test_names_are_those_of_what_a_user_sees(stage):
    await stage.apps.set_rules(
        stage.app_id, {"todos": {"allow": {"view": "auth.email == data.title"}}}
    )
    await put(stage, FIRST, "ann@example.com")
    ann, bob = await token_of(stage, "ann@example.com"), await token_of(stage, "bob@example.com")
    made = await page(stage, token=ann)
    theirs = await page(stage, token=bob)
    assert theirs["query-id"] == made["query-id"] and theirs["version"] != made["version"]
    same = await browser(stage, made, refresh_token=ann)
    same.ask(TODOS)
    assert "result" not in await same.hear("add-query-ok")
    # Somebody else signed in in the browser since the cookie was set.
    other = await browser(stage, made, refresh_token=bob)
    other.ask(TODOS)
    told = await other.hear("add-query-ok")
    assert told["version"] == theirs["version"]
    assert other.shown(TODOS)[0] == set()


@pytest.mark.rule("P87")
async def test_a_query_that_no_session_takes_has_no_names(stage):
    depth = 300
    raw = b'{"query":{"$$ruleParams":{"deep":%b%b},"todos":{}}}' % (b"[" * depth, b"]" * depth)
    answer = await stage.ask("POST", "/runtime/framework/query", raw, {"app-id": stage.app_id})
    assert answer.status == 200
    assert set(answer.json()) == {"result", "attrs", "catalog", "processed-tx-id"}
