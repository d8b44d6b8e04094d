"""What apps use of their quotas, over HTTP, and requests beyond one."""

from __future__ import annotations

import pytest

from support.account_http import account_of, bearer, problem_of
from support.memory_client import MemoryClient
from trice import limits, quota_limits


async def made_app(stage, headers, **fields):
    body = {"title": "shop", **fields}
    return (await stage.ask("POST", "/superadmin/apps", body, headers)).json()["app"]


async def write(stage, app, number=1):
    steps = [["update", "todos", f"e3000000-0000-4000-8000-{number:012d}", {"title": "a"}]]
    headers = {"app-id": app["id"], **bearer(app["admin-token"])}
    return await stage.ask("POST", "/admin/transact", {"steps": steps}, headers)


async def put_file(stage, app, data):
    headers = {"app-id": app["id"], **bearer(app["admin-token"]), "path": "a"}
    return await stage.ask("PUT", "/admin/storage/upload", data, headers)


@pytest.mark.rule("QT20")
@pytest.mark.parametrize("base", ["/dash", "/superadmin"])
async def test_a_developer_sees_what_an_app_uses(stage, base):
    account, ann = await account_of(stage)
    app = await made_app(stage, ann)
    await stage.apps.set_quotas(app["id"], {"rows": 10, "file-bytes": 9})
    await stage.apps.set_holder_quotas("owner", account.id, {"sockets": 4})
    assert (await write(stage, app)).status == 200
    assert (await put_file(stage, app, b"12345")).status == 200
    client = MemoryClient(stage.hub)
    await client.init(app["id"])
    for headers in (ann, bearer(app["admin-token"])):
        answer = await stage.ask("GET", f"{base}/apps/{app['id']}/usage", None, headers)
        usage = answer.json()["usage"]
        assert usage.pop("bytes")["used"] > 10_000
        assert usage == {
            "id": app["id"],
            "title": "shop",
            "rows": {"used": 2, "allowed": 10, "set_by": "app"},
            "file-bytes": {"used": 5, "allowed": 9, "set_by": "app"},
            "requests": {"used": 2, "allowed": None, "set_by": None, "last_minute": 0},
            "sockets": {"used": 1, "allowed": 4, "set_by": "account"},
        }
    client.hang_up()
    usage = (await stage.ask("GET", f"{base}/apps/{app['id']}/usage", None, ann)).json()["usage"]
    assert usage["sockets"]["used"] == 0
    _, bob = await account_of(stage, "bob@example.com")
    assert problem_of(await stage.ask("GET", f"{base}/apps/{app['id']}/usage", None, bob)) == (
        *(400, "validation-failed"),
        None,
    )


@pytest.mark.rule("QT5", "QT20")
async def test_usage_is_told_when_every_quota_is_used_up(stage):
    _, ann = await account_of(stage)
    app = await made_app(stage, ann)
    given = dict.fromkeys(("rows", "bytes", "file-bytes", "requests", "sockets"), 0)
    await stage.apps.set_quotas(app["id"], given)
    assert (await write(stage, app)).json()["type"] == "rate-limited"
    answer = await stage.ask("GET", f"/dash/apps/{app['id']}/usage", None, ann)
    assert answer.json()["usage"]["rows"] == {"used": 0, "allowed": 0, "set_by": "app"}
    await stage.apps.set_quotas(app["id"], {"requests": None})
    refused = await write(stage, app)
    assert (refused.status, refused.json()["hint"]["quota"]) == (400, "rows")
    refused = (await put_file(stage, app, b"1")).json()
    assert refused["hint"] == {"quota": "file-bytes", "current": 0, "limit": 0}
    assert f"trice apps quota {app['id']}" in refused["message"]


@pytest.mark.rule("QT6")
async def test_requests_over_http_count_once_and_end_with_429(stage):
    _, ann = await account_of(stage)
    app = await made_app(stage, ann)
    await stage.apps.set_quotas(app["id"], {"requests": 2})
    query = {"query": {"todos": {}}}
    headers = {"app-id": app["id"], **bearer(app["admin-token"])}
    assert (await stage.ask("POST", "/admin/query", query, headers)).status == 200
    body = {"app-id": app["id"]}
    assert (await stage.ask("POST", "/runtime/auth/sign_in_guest", body)).status == 200
    for ask in (
        stage.ask("POST", "/admin/query", query, headers),
        stage.ask("POST", "/runtime/auth/sign_in_guest", body),
        put_file(stage, app, b"1"),
    ):
        refused = await ask
        assert (refused.status, refused.json()["type"]) == (429, "rate-limited")
        assert refused.json()["hint"]["retry-after"] > 0
    stage.runtime.advance(refused.json()["hint"]["retry-after"])
    assert (await stage.ask("POST", "/admin/query", query, headers)).status == 200


@pytest.mark.rule("QT6")
async def test_messages_of_a_socket_count(stage):
    _, ann = await account_of(stage)
    app = await made_app(stage, ann)
    await stage.apps.set_quotas(app["id"], {"requests": 1})
    client = MemoryClient(stage.hub)
    await client.init(app["id"], **{"__admin-token": app["admin-token"]})
    client.say("add-query", q={"todos": {}})
    await client.hear("add-query-ok")
    client.say("add-query", q={"todos": {"$": {"limit": 1}}}, **{"client-event-id": "e"})
    refused = await client.hear("error")
    assert (refused["type"], refused["client-event-id"]) == ("rate-limited", "e")
    assert refused["hint"]["quota"] == "requests"
    client.hang_up()


@pytest.mark.rule("QT7")
async def test_one_socket_too_many_is_told_at_init(stage):
    _, ann = await account_of(stage)
    app = await made_app(stage, ann)
    await stage.apps.set_quotas(app["id"], {"sockets": 1})
    first, second = MemoryClient(stage.hub), MemoryClient(stage.hub)
    await first.init(app["id"])
    second.say("init", **{"app-id": app["id"]})
    refused = await second.hear("error")
    assert refused["type"] == "app-quota-exceeded"
    assert refused["hint"] == {"quota": "sockets", "current": 1, "limit": 1}
    first.hang_up()
    second.say("init", **{"app-id": app["id"]})
    await second.hear("init-ok")
    second.hang_up()


@pytest.mark.rule("QT21")
async def test_an_account_sees_all_its_apps(stage, monkeypatch):
    monkeypatch.setattr(quota_limits, "USAGE_APPS_A_PAGE", 2)
    account, ann = await account_of(stage)
    apps = []
    for title in "abc":
        stage.runtime.advance(1)
        apps.append(await made_app(stage, ann, title=title))
    await stage.apps.set_holder_quotas("owner", account.id, {"rows": 5, "apps": 7})
    for app in apps:
        await write(stage, app)
    first = (await stage.ask("GET", "/dash/usage", None, ann)).json()["usage"]
    assert [each["title"] for each in first["apps"]] == ["a", "b"]
    assert first["apps"][0]["rows"] == {"used": 1, "allowed": 5, "set_by": "account"}
    assert (first["total"]["rows"], first["total"]["requests"]) == (2, 2)
    assert first["app-count"] == {"used": 3, "allowed": 7}
    path = f"/superadmin/usage?after={first['after']}"
    second = (await stage.ask("GET", path, None, ann)).json()["usage"]
    assert ([each["title"] for each in second["apps"]], second["after"]) == (["c"], None)
    org = (await stage.ask("POST", "/dash/orgs", {"title": "bakers"}, ann)).json()["org"]
    await made_app(stage, ann, title="d", org_id=org["id"])
    answer = await stage.ask("GET", f"/dash/orgs/{org['id']}/usage", None, ann)
    assert [each["title"] for each in answer.json()["usage"]["apps"]] == ["d"]
    _, bob = await account_of(stage, "bob@example.com")
    assert (await stage.ask("GET", "/dash/usage", None, bob)).json()["usage"]["apps"] == []
    assert (await stage.ask("GET", f"/dash/orgs/{org['id']}/usage", None, bob)).status == 400
    assert (await stage.ask("GET", "/dash/usage", None, {})).status == 400


@pytest.mark.rule("QT21")
async def test_an_app_that_cannot_be_opened_hides_no_other(stage, monkeypatch):
    _, ann = await account_of(stage)
    broken = await made_app(stage, ann)
    stage.runtime.advance(1)
    good = await made_app(stage, ann)
    monkeypatch.setattr(limits, "APP_IDLE_MS", 0)
    stage.apps.close_old()
    await stage.apps.settled()
    path = stage.settings.data_dir / "apps" / f"{broken['id']}.db"
    path.write_bytes(b"")
    told = (await stage.ask("GET", "/dash/usage", None, ann)).json()["usage"]["apps"]
    assert "data file" in told[0]["problem"]
    assert told[1]["id"] == good["id"] and told[1]["rows"]["used"] == 0


@pytest.mark.rule("QT24")
async def test_metrics_tell_what_quotas_refused(open_stage):
    token = "a" * 20
    stage = await open_stage(metrics_token=token)
    await stage.apps.set_quotas(stage.app_id, {"requests": 0, "sockets": 0})
    headers = stage.admin()
    await stage.ask("POST", "/admin/query", {"query": {"todos": {}}}, headers)
    client = MemoryClient(stage.hub)
    client.say("init", **{"app-id": stage.app_id})
    await client.hear("error")
    answer = await stage.ask("GET", "/metrics", None, bearer(token))
    lines = answer.body.decode().splitlines()
    for quota in ("requests", "sockets"):
        assert f'trice_quota_refusals_total{{quota="{quota}"}} 1.0' in lines
