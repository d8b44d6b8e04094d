"""Attacks by what anybody may make or start: apps, rules, schemas, sign-ins, event streams."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from provider import Provider
from stage import Attack, Stage
from stranger import address_of


async def many_apps(stage: Stage) -> None:
    """Throw-away apps, each used once; the server must go on answering all users."""

    async def make(n: int) -> None:
        app = await stage.stranger.new_app({"entities": {"todos": {"attrs": {}}}})
        await stage.stranger.as_admin(app, "/admin/query", {"query": {"todos": {}}})

    for start in range(0, stage.force.apps, 20):
        await stage.at_once(min(20, stage.force.apps - start), lambda n: make(n))


async def wide_schemas(stage: Stage) -> None:
    """Apps with as many indexed attrs as a namespace takes."""
    attrs = {
        f"attr{n}": {"valueType": "string", "config": {"indexed": True, "unique": n % 2 == 0}}
        for n in range(890)
    }
    body = {"title": "wide", "schema": {"entities": {"todos": {"attrs": attrs}}, "links": {}}}
    for _ in range(stage.force.repeats):
        await stage.stranger.post("/dash/apps/ephemeral", body)


def _rules(expression: str, count: int, more: Any = None) -> dict[str, Any]:
    code: dict[str, Any] = {f"n{n}": {"allow": {"view": expression}} for n in range(count)}
    return {"title": "rules", "rules": {"code": {**code, **(more or {})}}}


async def large_rules(stage: Stage) -> None:
    """Rules of megabytes, then requests to the app that has them."""
    padding = {"todos": {"allow": {"view": "true"}, "unknown": "x" * 7_700_000}}
    keys = {"todos": {"allow": {"view": "true"}, "unknown": [[]] * 2_000_000}}
    for body in (
        _rules("true", 0, padding),
        _rules("true", 0, keys),
        _rules("(" * 70 + "true" + ")" * 70, 1_900),
        _rules("data.a == 1 && " * 300 + "true", 1_900),
    ):
        answer = await stage.stranger.post("/dash/apps/ephemeral", body)
        if not answer or "app" not in answer:
            continue
        app_id = answer["app"]["id"]
        await stage.at_once(
            20,
            lambda n, app_id=app_id: stage.stranger.post(
                "/runtime/framework/query", {"query": {"n1": {}}}, {"app-id": app_id}
            ),
        )


async def costly_rules(stage: Stage) -> None:
    """Rules that take as many steps as they may, on every row."""
    expression = (
        "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3].all(c, a + b + c > 0)))"
    )
    app = await stage.stranger.new_app(
        rules={"todos": {"allow": {"view": expression + " && data.n != null"}}}
    )
    ids = [f"00000000-0000-4000-8000-{n:012d}" for n in range(2_000)]
    steps = [["update", "todos", one, {"n": 1}] for one in ids]
    await stage.stranger.as_admin(app, "/admin/transact", {"steps": steps}, is_setup=True)

    async def ask(n: int) -> None:
        socket = await stage.stranger.socket(app)
        await socket.ask({"op": "add-query", "q": {"todos": {"$": {"where": {"n": n % 2}}}}})
        socket.close()

    await stage.at_once(10 * stage.force.repeats, ask)


async def many_queries(stage: Stage) -> None:
    """As many live queries as sessions may hold, from a few of them."""

    async def ask(n: int) -> None:
        socket = await stage.stranger.socket(stage.guest_of_victim)
        for m in range(2_000):
            q = {"todos": {"$": {"where": {"title": f"{n} {m}"}}}}
            socket.say(orjson.dumps({"op": "add-query", "client-event-id": f"{n}-{m}", "q": q}))
        await socket.answer(f"{n}-1999")
        socket.close()

    await stage.at_once(4 * stage.force.repeats, ask)


async def fat_documents(stage: Stage) -> None:
    """Sign-ins with the stranger's own provider: large documents, and one that never answers."""
    async with Provider() as provider:
        app = await stage.stranger.new_app()
        count = 10 * stage.force.repeats
        for n in range(count):
            await _sign_in(stage, app, f"{provider.url}/fat-{n}", n)
        await stage.at_once(
            count, lambda n: _sign_in(stage, app, f"{provider.url}/dead-{n}", count + n)
        )
        stage.stranger.heard.note(f"{provider.asked} documents read")


async def _sign_in(stage: Stage, app: Any, issuer: str, n: int) -> None:
    """Make a client of this provider, and send a token whose keys the server must look up."""
    dash = f"/dash/apps/{app.id}"
    headers = {"authorization": f"Bearer {app.token}"}
    stranger = stage.stranger
    name = {"provider_name": f"clerk{n}"}
    made = await stranger.post(f"{dash}/oauth_service_providers", name, headers, is_setup=True)
    provider_id = (made or {}).get("provider", {}).get("id")
    client = {
        "provider_id": provider_id,
        "client_name": f"client{n}",
        "client_id": f"id{n}",
        "discovery_endpoint": f"{issuer}/.well-known/openid-configuration",
    }
    await stranger.post(f"{dash}/oauth_clients", client, headers, is_setup=True)
    head = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ"
    body = "eyJzdWIiOiJ4IiwiYXVkIjoiaWQwIiwiZXhwIjo0MTAyNDQ0ODAwfQ"
    token = {"app_id": app.id, "client_name": f"client{n}", "id_token": f"{head}.{body}.AAAA"}
    await stranger.post("/runtime/oauth/id_token", token)


async def codes_and_guests(stage: Stage) -> None:
    """Codes asked for and tried, guests made, as fast as the server answers."""
    app = {"app-id": stage.victim}
    paths = (
        ("/runtime/auth/send_magic_code", {**app, "email": "someone@example.com"}),
        ("/runtime/auth/verify_magic_code", {**app, "email": "a@example.com", "code": "000000"}),
        ("/runtime/auth/sign_in_guest", app),
    )
    for path, body in paths:
        for _ in range(20 * stage.force.repeats):
            await stage.at_once(20, lambda n, p=path, b=body: stage.stranger.post(p, b))


async def event_streams(stage: Stage) -> None:
    """Event streams opened and left to themselves."""
    app = await stage.stranger.new_app()
    body = orjson.dumps({"query": {"todos": {}}})
    head = (
        b"POST /admin/subscribe-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        + f"app-id: {app.id}\r\nauthorization: Bearer {app.token}\r\n".encode()
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
    )
    host, port = address_of(stage.url)

    async def hold(n: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head + body)
        line = await asyncio.wait_for(reader.readline(), 30)
        stage.stranger.heard.note(line.decode("latin-1").strip() or "cut off")
        await asyncio.sleep(min(stage.force.hold_s, 10))
        writer.transport.abort()

    await stage.at_once(min(stage.force.connections, 500), hold)


ATTACKS = (
    Attack("throw-away apps", many_apps),
    Attack("schemas of 890 indexed attrs", wide_schemas),
    Attack("rules of megabytes", large_rules),
    Attack("rules of as many steps as allowed", costly_rules),
    Attack("2,000 live queries a session", many_queries),
    Attack("providers with large or dead documents", fat_documents),
    Attack("codes and guests as fast as they go", codes_and_guests),
    Attack("event streams left open", event_streams),
)
