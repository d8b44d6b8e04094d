"""Functions over plain HTTP: called, watched as events, listed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from support.asgi import Exchange
from support.called_functions import PAGED, Ctx, FunctionRaised, Project, make_functions
from support.patience import WAIT_S
from trice.identity import ADMIN

T1 = "e0000001-0000-4000-8000-000000000000"
T2 = "e0000002-0000-4000-8000-000000000000"
PATH = "/runtime/functions"


async def echo(ctx: Ctx) -> Any:
    """Says what it was given.

    Twice, if need be.
    """
    return {"args": ctx.args, "id": ctx.user("id"), "origin": ctx.request.caller.origin}


async def rename(ctx: Ctx) -> Any:
    ctx.write(["update", "todos", T1, {"title": ctx.args["title"]}])


async def refuse(ctx: Ctx) -> Any:
    raise FunctionRaised("full", "The room is full.", {"room": 1})


async def told(ctx: Ctx) -> Any:
    return "told"


async def titles(ctx: Ctx) -> Any:
    return [row.get("title") for row in await ctx.find("todos")]


class FunctionHttp:
    """The HTTP stage with functions deployed in its app."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.project = Project()
        state = stage.asgi.state
        self.live = make_functions(self.project, stage.apps, stage.runtime)
        state.functions, state.live_functions = self.live.functions, self.live
        definition = {
            "type": "object",
            "properties": {"channel": {"$ref": "#/$defs/Id"}, "limit": {"type": "integer"}},
            "required": ["channel"],
            "$defs": {"Id": {"type": "string", "format": "uuid"}},
        }
        doc = "Says what it was given.\n\nTwice, if need be."
        self.project.add(echo, args=definition, doc=doc, also=("old.echo",), auth="optional")
        self.project.add(rename, kind="mutation", rate="2/minute per ip")
        self.project.add(refuse)
        self.project.add(titles)
        self.project.add(titles, "t.inside", is_internal=True)
        self.project.add(titles, "t.mine", auth="user")
        self.project.deploy(stage.app_id)

    def headers(self, token: str | None = None, **more: str) -> dict[str, str]:
        given = {"app-id": self.stage.app_id, **more}
        return given if token is None else {**given, "authorization": f"Bearer {token}"}

    async def call(
        self, name: str, args: Any = None, token: str | None = None, **more: str
    ) -> Exchange:
        headers = self.headers(token, **{k.replace("_", "-"): v for k, v in more.items()})
        answer: Exchange = await self.stage.ask("POST", f"{PATH}/{name}", {"args": args}, headers)
        return answer

    async def sign_in(self) -> tuple[str, str]:
        """The id and the token of a new user."""
        answer = await self.stage.ask(
            "POST", "/runtime/auth/sign_in_guest", {"app-id": self.stage.app_id}
        )
        user = answer.json()["user"]
        return user["id"], user["refresh_token"]

    async def write(self, *steps: list[Any]) -> int:
        app = await self.stage.apps.lend(self.stage.app_id)
        tx: int = await app.database.transact_admin(list(steps), identity=ADMIN)
        self.stage.apps.give_back(app)
        return tx


@pytest.fixture
async def http(stage: Any) -> FunctionHttp:
    found = FunctionHttp(stage)
    await found.write(["update", "todos", T1, {"title": "first"}])
    return found


@pytest.mark.rule("FN225")
async def test_a_function_is_called_as_whom_the_token_names(http: FunctionHttp) -> None:
    user_id, token = await http.sign_in()
    for given, expected in ((None, None), (token, user_id), (http.stage.token, None)):
        answer = await http.call("t.echo", {"channel": T1}, given, origin="https://a.test")
        assert answer.status == 200
        assert answer.json() == {
            "value": {"args": {"channel": T1}, "id": expected, "origin": "https://a.test"}
        }
        assert answer.headers["access-control-allow-origin"] == "https://a.test"
    assert [request.caller.is_admin for request in http.project.requests] == [False, False, True]
    assert (await http.call("t.mine", token=token)).json() == {"value": ["first"]}
    assert (await http.call("t.echo", {"channel": T1}, "no-uuid")).status == 400
    await http.write(["update", "$users", T2, {"email": "al@example.com"}])
    for given, status, shown in (
        (http.stage.token, 200, T2),
        (token, 400, None),
        (None, 400, None),
    ):
        answer = await http.call("t.echo", {"channel": T1}, given, as_email="al@example.com")
        assert (answer.status, answer.json().get("value", {}).get("id")) == (status, shown)
    assert (await http.call("t.echo", {}, http.stage.token, as_email="b@x.test")).status == 400
    unknown = await http.call("t.echo", {"channel": T1}, T1)
    assert (unknown.status, unknown.json()["type"]) == (400, "record-not-found")


@pytest.mark.rule("FN225")
async def test_failures_have_their_status(http: FunctionHttp) -> None:
    expected = {
        ("t.refuse", None): (400, "function-error"),
        ("t.none", None): (404, "function-not-found"),
        ("t.inside", None): (404, "function-not-found"),
        ("t.mine", None): (401, "signed-out"),
        ("t.echo", "text"): (400, "bad-args"),
    }
    for (name, args), (status, code) in expected.items():
        answer = await http.call(name, args)
        assert (answer.status, answer.json()["type"]) == (status, code), name
    assert (await http.call("t.refuse")).json()["hint"] == {"code": "full", "data": {"room": 1}}
    beside = await http.stage.ask("POST", f"{PATH}/t.echo", {"channel": T1}, http.headers())
    assert (beside.status, beside.json()["type"]) == (400, "bad-args")
    assert beside.json()["message"] == "`channel` stands beside `args`: arguments stand in it."
    assert (await http.call("t.inside", token=http.stage.token)).status == 200
    assert (await http.call("t.ecko")).json()["hint"]["near"] == ["t.echo"]


@pytest.mark.rule("FN225")
@pytest.mark.parametrize(("asked", "status"), [(418, 418), (599, 599), (200, 400), (None, 400)])
async def test_a_function_may_ask_for_a_status(
    http: FunctionHttp, asked: int | None, status: int
) -> None:
    async def teapot(ctx: Ctx) -> Any:
        raise FunctionRaised("teapot", "No.", status=asked)

    http.project.add(teapot)
    http.project.deploy(http.stage.app_id)
    assert (await http.call("t.teapot")).status == status


@pytest.mark.rule("FN226")
async def test_an_idempotency_key_is_an_event_id(http: FunctionHttp) -> None:
    first = await http.call("t.rename", {"title": "a"}, idempotency_key="k1")
    again = await http.call("t.rename", {"title": "a"}, idempotency_key="k1")
    assert first.json() == again.json() == {"value": None, "tx": first.json()["tx"]}
    assert http.project.runs["t.rename"] == 1
    await http.call("t.rename", {"title": "b"}, idempotency_key="k2")
    limited = await http.call("t.rename", {"title": "c"})
    assert (limited.status, limited.json()["type"]) == (429, "rate-limited")
    http.project.add(told, kind="action")
    http.project.deploy(http.stage.app_id)
    refused = await http.call("t.told", idempotency_key="k3")
    assert (refused.status, refused.json()["type"]) == (400, "param-malformed")
    assert "an action is not kept" in refused.json()["message"]
    assert "t.told" not in http.project.runs
    long = await http.call("t.rename", {"title": "a"}, idempotency_key="x" * 257)
    assert (long.status, long.json()["type"]) == (400, "param-malformed")


@pytest.mark.rule("FN227")
async def test_a_trace_goes_on(http: FunctionHttp) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    await http.call("t.titles", traceparent=f"00-{trace}-b7ad6b7169203331-01")
    await http.call("t.titles", traceparent=f"00-{'0' * 32}-b7ad6b7169203331-01")
    await http.call("t.titles", traceparent="nonsense")
    traces = [request.trace for request in http.project.requests]
    assert traces[0] == trace
    assert len(set(traces)) == 3
    assert all(len(each) == 32 and set(each) != {"0"} for each in traces)


@pytest.mark.rule("FN228")
async def test_functions_are_listed_to_who_may_know_of_them(http: FunctionHttp) -> None:
    answer = await http.stage.ask("GET", PATH, headers=http.headers())
    listed = answer.json()["functions"]
    assert [each["name"] for each in listed] == [
        *("t.echo", "t.mine", "t.refuse", "t.rename", "t.titles"),
    ]
    first = listed[0]
    assert (first["kind"], first["auth"], first["also"]) == ("query", "optional", ["old.echo"])
    assert first["doc"].startswith("Says what")
    assert first["args"]["required"] == ["channel"]
    assert listed[3]["rate"] == "2/minute per ip"

    admin = await http.stage.ask("GET", PATH, headers=http.headers(http.stage.token))
    inside = [each for each in admin.json()["functions"] if each.get("internal")]
    assert [each["name"] for each in inside] == ["t.inside"]


@pytest.mark.rule("FN228")
async def test_functions_are_described_as_openapi(http: FunctionHttp) -> None:
    answer = await http.stage.ask("GET", f"{PATH}/openapi.json", headers=http.headers())
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    assert sorted(document["paths"]) == [
        f"{PATH}/{name}" for name in ("t.echo", "t.mine", "t.refuse", "t.rename", "t.titles")
    ]
    post = document["paths"][f"{PATH}/t.echo"]["post"]
    assert post["summary"] == "Says what it was given."
    args = post["requestBody"]["content"]["application/json"]["schema"]["properties"]["args"]
    assert args["properties"]["channel"] == {"$ref": "#/components/schemas/t.echo.args.Id"}
    references = list(_references(document))
    assert "#/components/schemas/t.echo.args.Id" in references
    for reference in references:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    assert "$defs" not in orjson.dumps(document).decode()


def _references(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _references(each)


async def _events(exchange: Exchange, count: int) -> list[dict[str, Any]]:
    """Wait for so many events."""
    async with asyncio.timeout(WAIT_S):
        while exchange.body.count(b"data: ") < count or not exchange.body.endswith(b"\n\n"):
            await exchange.changed()
    blocks = exchange.body.split(b"\n\n")[:-1]
    return [orjson.loads(b.removeprefix(b"data: ")) for b in blocks if b.startswith(b"data: ")]


@pytest.mark.rule("FN624")
async def test_a_list_over_http(http: FunctionHttp) -> None:
    async def listed(ctx: Ctx) -> Any:
        return await ctx.page("todos", order={"serverCreatedAt": "asc"}, fields=["title"])

    http.project.add(listed, types=PAGED)
    http.project.deploy(http.stage.app_id)
    ids = [T1.replace("0000001", f"000010{n}") for n in range(6)]
    await http.write(
        ["delete", "todos", T1],
        *(["update", "todos", eid, {"title": f"u{n}"}] for n, eid in enumerate(ids)),
    )
    first = (await http.call("t.listed", {"page": {"size": 2}})).json()["value"]
    page = {"size": 2, "after": first["next"]}
    second = (await http.call("t.listed", {"page": page})).json()["value"]
    assert [[row["title"] for row in each["items"]] for each in (first, second)] == [
        ["u0", "u1"],
        ["u2", "u3"],
    ]
    forged = await http.call("t.listed", {"page": {"after": "forged"}})
    assert (forged.status, forged.json()["hint"]["path"]) == (400, "page.after")

    target = f"{PATH}/t.listed/live?args=%7B%22page%22%3A%7B%22size%22%3A2%7D%7D&pages="
    live = http.stage.start("GET", f"{target}2", headers=http.headers())
    events = await _events(live, 2)
    assert [(event["count"], event.get("whole")) for event in events] == [(1, True), (2, None)]
    assert [row["title"] for row in events[1]["pages"][0]["value"]["items"]] == ["u2", "u3"]
    tx = await http.write(["delete", "todos", ids[2]])
    event = (await _events(live, 3))[2]
    assert event["tx"] >= tx and event["pages"][0]["at"] == 1
    assert [row["title"] for row in event["pages"][0]["value"]["items"]] == ["u3"]
    await live.hang_up()
    for wrong in ("0", "201", "x", "-1", "9" * 5_000):
        refused = await http.stage.ask("GET", f"{target}{wrong}", headers=http.headers())
        assert refused.status == 400


@pytest.mark.rule("FN229")
async def test_a_call_is_watched_as_events(http: FunctionHttp) -> None:
    user_id, token = await http.sign_in()
    target = f"{PATH}/t.mine/live?args=%7B%22a%22%3A1%7D"
    live = http.stage.start("GET", target, headers=http.headers(token))
    assert (await _events(live, 1))[0]["value"] == ["first"]
    assert live.headers["content-type"].startswith("text/event-stream")

    tx = await http.write(["update", "todos", T1, {"title": "second"}])
    second = (await _events(live, 2))[1]
    assert second["value"] == ["second"]
    assert second["tx"] >= tx

    # The events end with the token that they were asked with.
    await http.write(["delete", "$users", user_id])
    async with asyncio.timeout(WAIT_S):
        await live.task
    assert len(http.live) == 0


@pytest.mark.rule("FN229")
async def test_events_end_with_their_app_and_with_the_server(http: FunctionHttp) -> None:
    http.stage.hub.functions = http.live
    target = f"{PATH}/t.titles/live"
    live = http.stage.start("GET", target, headers=http.headers())
    await _events(live, 1)
    http.stage.hub.stop()
    async with asyncio.timeout(WAIT_S):
        await live.task
    other = http.stage.start("GET", target, headers=http.headers())
    await _events(other, 1)
    await http.stage.apps.delete(http.stage.app_id)
    async with asyncio.timeout(WAIT_S):
        await other.task
    assert len(http.live) == 0


@pytest.mark.rule("FN229")
async def test_events_end_with_the_rights_of_their_admin(http: FunctionHttp) -> None:
    target = f"{PATH}/t.inside/live"
    live = http.stage.start("GET", target, headers=http.headers(http.stage.token))
    await _events(live, 1)
    app = await http.stage.apps.lend(http.stage.app_id)
    assert app.sockets == 1
    app.row = replace(app.row, admin_token_hash=b"another")
    http.stage.apps.give_back(app)

    await http.write(["update", "todos", T1, {"title": "secret"}])
    async with asyncio.timeout(WAIT_S):
        await live.task
    assert len(await _events(live, 1)) == 1
    assert app.sockets == len(http.live) == 0


@pytest.mark.rule("FN229")
async def test_an_error_is_an_event_and_a_client_that_leaves_costs_nothing(
    http: FunctionHttp,
) -> None:
    live = http.stage.start("GET", f"{PATH}/t.mine/live", headers=http.headers())
    (event,) = await _events(live, 1)
    assert event["error"]["type"] == "signed-out"
    other = http.stage.start("GET", f"{PATH}/t.titles/live", headers=http.headers())
    await _events(other, 1)
    assert len(http.live) == 1
    for each in (live, other):
        await each.hang_up()
    assert len(http.live) == 0
    for args in ("{", "[]"):
        refused = await http.stage.ask(
            "GET", f"{PATH}/t.titles/live?args={args}", headers=http.headers()
        )
        assert refused.status == 400
