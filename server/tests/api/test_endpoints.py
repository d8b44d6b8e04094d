"""Endpoints of apps over HTTP: found, let in, answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from support.asgi import Exchange
from support.endpoint_stage import EndpointStage, open_endpoints
from support.http_wire import until
from trice.cli.deploy import report_lines
from trice.config import Settings
from trice.errors import InvalidInput

HOOKS = '''
import asyncio
from typing import Annotated, Any
from trice.functions import *
from trice.functions import frames, http, Request, Response, Action, action

SEEN: list[Any] = []

@http.post("/echo", auth="none")
async def echo(ctx: Action, request: Request) -> Response:
    """Says what came."""
    return Response.json({
        "method": request.method, "url": request.url, "path": request.path,
        "a": request.query.getall("a"), "size": len(request.body),
        "headers": list(request.headers), "x": request.headers.getall("X-One"),
        "user": None if ctx.user is None else ctx.user.id, "ip": ctx.ip,
        "trace": ctx._running.call.trace,
    }, status=201, headers={"X-Two": "2"})

@http.get("/orders/{order}/lines/{line}", auth="none")
async def order_line(
    ctx: Action, request: Request, order: str, line: Annotated[int, Le(9)]
) -> Response:
    return Response(f"{order} {line + 1}")

@http.get("/orders/new/lines/{line}", auth="none")
async def new_line(ctx: Action, request: Request, line: bool) -> Response:
    return Response(repr(line), media_type="text/x-python")

@http.get("/mine", auth="user")
async def mine(ctx: Action, request: Request) -> Response:
    return Response(f"{ctx.me.id} {'authorization' in request.headers}")

@http.get("/maybe", auth="optional")
async def maybe(ctx: Action, request: Request) -> Response:
    return Response("nobody" if ctx.user is None else ctx.user.id)

@http.delete("/all", auth="admin", rate="1/minute per app")
async def all_gone(ctx: Action, request: Request) -> Response:
    return Response(status=204)

@http.put("/rated", auth="none", rate="1/minute per ip")
async def rated(ctx: Action, request: Request) -> Response:
    return Response()

@http.patch("/fails", auth="none", cors=["https://shop.example"])
async def fails(ctx: Action, request: Request) -> Response:
    kind = request.text()
    if kind == "told":
        raise FunctionError("sold-out", "Nothing is left.", data={"left": 0}, status=409)
    if kind == "bug":
        raise ZeroDivisionError("by nothing")
    if kind == "json":
        return Response.json(request.json(list[int]))
    return kind

@http.get("/page", auth="none", cors=["*"])
async def page(ctx: Action, request: Request) -> Response:
    return Response("<p>", media_type="text/html", headers={
        "Content-Security-Policy": "default-src 'none'", "Vary": "accept"})

@http.options("/own", auth="none", cors=["https://shop.example"])
async def own(ctx: Action, request: Request) -> Response:
    return Response("mine")

@action
async def inside(ctx: Action) -> list[str]:
    told = []
    running = ctx._running
    job = dict(call=running.call.call, id=ctx.new_id(), args=b"{}", due_ms=0)
    for ask in (
        lambda: running.channel.run(running.call.call, "hooks.echo", b"{}"),
        lambda: running.channel.later_now(frames.Later(function="hooks.echo", **job)),
        lambda: ctx.run(echo),
    ):
        try:
            await ask()
        except RefusedError as failure:
            told.append(failure.code)
        except TypeError as failure:
            told.append("TypeError")
    return told

@http.get("/", auth="none")
async def root(ctx: Action, request: Request) -> Response:
    return Response("root")
'''


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[EndpointStage]:
    async with open_endpoints(tmp_path, HOOKS, public_url="https://api.example.com") as stage:
        yield stage


@pytest.mark.rule("FN522", "FN523", "FN535")
async def test_a_request_comes_as_it_is_but_for_cookies(stage: EndpointStage) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    asked = await stage.answer(
        *("POST", "/echo?a=1&a=%C3%A9", b"x" * 70_000),
        x_one="1",
        cookie="session=1",
        authorization="Basic YTpi",
        traceparent=f"00-{trace}-b7ad6b7169203331-01",
    )
    assert (asked.status, asked.headers["x-two"]) == (201, "2")
    assert asked.headers["content-type"] == "application/json"
    assert asked.json() == {
        "method": "POST",
        "url": f"https://api.example.com{stage.at}/echo?a=1&a=%C3%A9",
        "path": "/echo",
        "a": ["1", "é"],
        "size": 70_000,
        "headers": ["host", "x-one", "authorization", "traceparent"],
        "x": ["1"],
        "user": None,
        "ip": "127.0.0.1",
        "trace": trace,
    }


@pytest.mark.rule("FN521", "FN522")
async def test_segments_of_a_path_are_typed_arguments(stage: EndpointStage) -> None:
    async def get(path: str) -> tuple[int, bytes]:
        answer = await stage.answer("GET", path)
        return answer.status, answer.body

    assert await get("/orders/7/lines/8") == (200, b"7 9")
    assert await get("/orders/a%2Fb/lines/8") == (200, b"a/b 9")
    assert await get("/orders/new/lines/true") == (200, b"True")
    assert await get("/") == await get("") == (200, b"root")
    assert (await get("/orders//lines/8"))[0] == (await get("/orders/7/lines/8/"))[0] == 404
    wrong = await stage.answer("GET", "/orders/7/lines/10")
    assert (wrong.status, wrong.json()["type"]) == (400, "bad-args")
    assert wrong.json()["hint"] == {
        "function": "hooks.order_line",
        "path": "line",
        "expected": "int <= 9",
        "got": '"10"',
    }
    broken = await stage.answer("GET", "/orders/%FF/lines/1")
    assert (broken.status, broken.json()["type"]) == (400, "param-malformed")


@pytest.mark.rule("FN522")
async def test_an_escaped_slash_before_the_path_hides_no_part_of_it(stage: EndpointStage) -> None:
    """It was taken for one: `/http/APP%2Fmaybe` was answered by `/`."""
    app_id = stage.app.id
    for path, status in (
        (f"/http/{app_id}/maybe", 200),
        (f"/%68ttp/{app_id[:-1]}%{ord(app_id[-1]):x}/maybe", 200),
        (f"/http/{app_id}%2Fmaybe", 404),
        (f"/http/{app_id}%2Fx/maybe", 404),
        (f"/http%2F{app_id}/x/maybe", 404),
    ):
        client = await stage.client()
        client.say(b"GET %b HTTP/1.1\r\nhost: x.test\r\n\r\n" % path.encode())
        assert int((await client.head()).split()[1]) == status, path


@pytest.mark.rule("FN530")
async def test_a_request_that_turns_out_malformed_lets_its_app_go(stage: EndpointStage) -> None:
    """It held the app, and waited for its body, until its client closed the connection."""
    users = stage.app.users
    client = await stage.client()
    stage.say(client, "POST", "/echo", "transfer-encoding: xchunked", body=b"0\r\n\r\n")
    assert (await client.head()).startswith(b"HTTP/1.1 400 ")
    await until(lambda: stage.app.users == users)


@pytest.mark.rule("FN523")
async def test_a_token_says_who_asks_and_no_cookie_does(stage: EndpointStage) -> None:
    user, token = await stage.sign_in()
    mine = await stage.answer("GET", "/mine", token=token)
    assert mine.body.decode() == f"{user} False"
    assert (await stage.answer("GET", "/maybe", token=token)).body.decode() == user
    assert (await stage.answer("GET", "/maybe")).body == b"nobody"
    for given in ({}, {"cookie": f"token={token}"}, {"token": "x"}, {"token": token[:-1] + "g"}):
        refused = await stage.answer("GET", "/mine", **given)
        assert (refused.status, refused.json()["type"]) == (401, "signed-out")
    unknown = token[:-1] + ("0" if token[-1] != "0" else "1")
    assert (await stage.answer("GET", "/maybe", token=unknown)).status == 401
    assert (await stage.answer("POST", "/echo", token="whatever")).status == 201
    refused = await stage.answer("DELETE", "/all", token=token)
    assert (refused.status, refused.json()["type"]) == (403, "permission-denied")
    done = await stage.answer("DELETE", "/all", token=stage.token)
    assert (done.status, done.body, "content-length" in done.headers) == (204, b"", False)


@pytest.mark.rule("FN535")
async def test_rates_count_and_what_functions_raise_is_told(stage: EndpointStage) -> None:
    assert (await stage.answer("PUT", "/rated")).status == 200
    assert (await stage.answer("PUT", "/rated")).json()["type"] == "rate-limited"
    told = await stage.answer("PATCH", "/fails", b"told")
    assert (told.status, told.json()["hint"]) == (409, {"code": "sold-out", "data": {"left": 0}})
    bug = await stage.answer("PATCH", "/fails", b"bug")
    assert (bug.status, bug.json()["type"]) == (500, "function-failed")
    assert "by nothing" not in bug.body.decode()
    assert any("by nothing" in text for _, text in await stage.lines())
    for body, code, status in (
        (b"json", "bad-args", 400),
        (b"\xff", "bad-args", 400),
        (b"other", "bad-result", 500),
    ):
        answer = await stage.answer("PATCH", "/fails", body)
        assert (answer.status, answer.json()["type"]) == (status, code)


@pytest.mark.rule("FN524")
async def test_methods_and_paths_that_are_none(stage: EndpointStage) -> None:
    head = await stage.answer("HEAD", "/page")
    assert (head.status, head.headers["content-length"]) == (200, "3")
    wrong = await stage.answer("POST", "/page")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    options = await stage.answer("OPTIONS", "/page")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert (await stage.answer("OPTIONS", "/own")).body == b"mine"
    for path in ("/pag", "/orders/7", "/" + "a/" * 40):
        missing = await stage.answer("GET", path)
        assert (missing.status, missing.json()["type"]) == (404, "route-not-found")
        assert missing.json()["hint"].keys() == {"path"}
        assert "orders/{" not in missing.body.decode() and "hooks" not in missing.body.decode()
    elsewhere = Exchange(stage.asgi, "GET", "/http/chat/page", {}, b"")
    assert (await elsewhere.whole()).json()["type"] == "route-not-found"


@pytest.mark.rule("FN525")
async def test_only_pages_of_named_origins_may_read(stage: EndpointStage) -> None:
    def cors(answer: Exchange) -> dict[str, str]:
        return {k[15:]: v for k, v in answer.headers.items() if k.startswith("access-control-")}

    ours, other = "https://shop.example", "https://evil.example"
    told = await stage.answer("PATCH", "/fails", b"told", origin=ours)
    assert cors(told) == {"allow-origin": ours, "expose-headers": "*"}
    assert told.headers["vary"] == "origin"
    refused = await stage.answer("PATCH", "/fails", b"told", origin=other)
    assert (cors(refused), refused.headers["vary"]) == ({}, "origin")
    assert cors(await stage.answer("POST", "/echo", origin=ours)) == {}
    page = await stage.answer("GET", "/page", origin=other)
    assert cors(page) == {"allow-origin": "*", "expose-headers": "*"}
    assert page.headers["vary"] == "accept"

    asks = {"access_control_request_method": "PATCH", "access_control_request_headers": "x-a"}
    preflight = await stage.answer("OPTIONS", "/fails", origin=ours, **asks)
    assert preflight.status == 204
    assert cors(preflight) == {
        "allow-origin": ours,
        "expose-headers": "*",
        "allow-methods": "OPTIONS, PATCH",
        "allow-headers": "x-a",
        "max-age": "600",
    }
    assert cors(await stage.answer("OPTIONS", "/fails", origin=other, **asks)) == {}
    assert cors(await stage.answer("OPTIONS", "/echo", origin=ours, **asks)) == {}


@pytest.mark.rule("FN527")
async def test_pages_are_in_a_sandbox_whatever_they_say(stage: EndpointStage) -> None:
    page = await stage.answer("GET", "/page")
    ours, own = page.headers["content-security-policy"].split(", ")
    assert ours.startswith("sandbox ") and "allow-same-origin" not in ours
    assert own == "default-src 'none'"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert (await stage.answer("POST", "/echo")).headers["content-security-policy"] == ours


@pytest.mark.rule("FN529")
async def test_a_host_of_their_own_has_nothing_else(tmp_path: Path) -> None:
    hosts = {"http_host": "Apps.example.com", "public_url": "https://api.example.com"}
    async with open_endpoints(tmp_path, HOOKS, **hosts) as stage:
        page = await stage.answer("GET", "/page", host="apps.example.com")
        assert (page.status, page.headers["content-security-policy"]) == (200, "default-src 'none'")
        asked = await stage.answer("POST", "/echo", host="apps.example.com")
        assert asked.json()["url"] == f"https://apps.example.com{stage.at}/echo"
        away = await stage.answer("GET", "/page")
        assert (away.status, away.json()["type"]) == (404, "route-not-found")
        assert "apps.example.com" in away.json()["message"]
        for path in ("/dash", "/health", "/runtime/functions"):
            host = {"host": "apps.example.com:8000"}
            nothing = await Exchange(stage.asgi, "GET", path, host, b"").whole()
            assert (nothing.status, nothing.json()["type"]) == (404, "route-not-found")
        client = await stage.client()
        client.say(b"GET /runtime/session HTTP/1.1\r\nhost: apps.example.com\r\n")
        client.say(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
        assert b" 404 " in await client.head()
    for wrong in ("api.example.com", "files.example.com", "a b"):
        with pytest.raises(InvalidInput, match="--http-host"):
            Settings(
                http_host=wrong,
                files_host="files.example.com",
                public_url="https://api.example.com",
            )


@pytest.mark.rule("FN747")
async def test_each_app_may_have_a_host_of_its_own(tmp_path: Path) -> None:
    hosts = {"http_host": "{app}.Apps.example.com", "public_url": "https://api.example.com"}
    async with open_endpoints(tmp_path, HOOKS, **hosts) as stage:
        own = f"{stage.app.id}.apps.example.com"
        page = await stage.answer("GET", "/page", host=own.upper())
        assert (page.status, page.headers["content-security-policy"]) == (200, "default-src 'none'")
        asked = await stage.answer("POST", "/echo", host=own)
        assert asked.json()["url"] == f"https://{own}{stage.at}/echo"
        other = "00000000-0000-4000-8000-000000000000"
        for host in (f"{other}.apps.example.com", "apps.example.com", f"x.{own}", "a.example.com"):
            away = await stage.answer("GET", "/page", host=host)
            assert (away.status, away.json()["type"]) == (404, "route-not-found"), host
            assert "{app}.apps.example.com" in away.json()["message"]
        for host in (own, f"{other}.apps.example.com"):
            nothing = await Exchange(stage.asgi, "GET", "/dash", {"host": host}, b"").whole()
            assert (nothing.status, nothing.json()["type"]) == (404, "route-not-found")
    for wrong in ("{app}", "{app}.", "a.{app}.example.com", "{x}.example.com"):
        with pytest.raises(InvalidInput, match="--http-host"):
            Settings(http_host=wrong)
    with pytest.raises(InvalidInput, match="--files-host"):
        Settings(files_host="{app}.example.com")


@pytest.mark.rule("FN535", "FN536")
async def test_endpoints_are_listed_and_called_by_their_paths_only(stage: EndpointStage) -> None:
    headers = {"app-id": stage.app.id, "content-type": "application/json"}

    async def ask(method: str, path: str, body: bytes = b"") -> Any:
        return (await Exchange(stage.asgi, method, path, headers, body).whole()).json()

    listed = (await ask("GET", "/runtime/functions"))["functions"]
    (found,) = [each for each in listed if each["name"] == "hooks.order_line"]
    assert (found["kind"], found["auth"], found["method"], found["path"]) == (
        *("endpoint", "none", "GET"),
        "/orders/{order}/lines/{line}",
    )
    document = await ask("GET", "/runtime/functions/openapi.json")
    operation = document["paths"][f"{stage.at}/orders/{{order}}/lines/{{line}}"]["get"]
    assert [each["name"] for each in operation["parameters"]] == ["order", "line"]
    assert document["paths"][f"{stage.at}/echo"]["post"]["summary"] == "Says what came."
    assert stage.report.endpoints["hooks.echo"] == "POST /echo"
    lines = map(click.unstyle, report_lines(msgspec.to_builtins(stage.report)))
    assert "  + hooks.all_gone  DELETE /all" in lines

    refused = await ask("POST", "/runtime/functions/hooks.echo", b"{}")
    assert refused["type"] == "function-not-found"
    assert "POST /http/" in refused["message"]
    told = await ask("POST", "/runtime/functions/hooks.inside", b"{}")
    assert told["value"] == ["function-not-found", "function-not-found", "TypeError"]
