"""Accounts over HTTP: their apps and tokens."""

from __future__ import annotations

from hashlib import sha256

import pytest

from support.account_http import account_of, bearer, problem_of
from trice import account_limits
from trice.auth.oauth.sealed import Seal

NOBODY = "00000000-0000-4000-8000-000000000000"
TOKEN = "22222222-2222-4222-8222-222222222222"
TODOS = {"entities": {"todos": {"attrs": {"title": {"valueType": "string"}}}}, "links": {}}


async def made_app(stage, headers, **fields):
    body = {"title": "shop", **fields}
    return (await stage.ask("POST", "/superadmin/apps", body, headers)).json()["app"]


# --- who asks -----------------------------------------------------------------------------------


@pytest.mark.rule("AC11", "AC24")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (400, "param-missing", None)),
        (bearer("undefined"), (400, "param-malformed", None)),
        (bearer("x"), (400, "param-malformed", None)),
        (bearer("per_" + "a" * 64), (400, "record-not-found", "instant-user")),
        (bearer("pat_" + "a" * 64), (400, "record-not-found", "oauth-access-token")),
        (bearer(NOBODY), (401, "record-not-found", "instant-user")),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/superadmin/apps"),
        ("POST", "/superadmin/apps"),
        ("GET", "/superadmin/orgs"),
        ("GET", "/dash"),
        ("GET", "/dash/me"),
        ("POST", "/dash/apps"),
        ("DELETE", f"/dash/apps/{NOBODY}"),
        ("POST", f"/dash/apps/{NOBODY}/restore"),
        ("POST", f"/dash/apps/{NOBODY}/tokens"),
        ("GET", "/dash/personal_access_tokens"),
        ("POST", "/dash/cli/auth/claim"),
        ("POST", "/dash/signout"),
    ],
)
async def test_routes_of_accounts_need_a_token_of_one(stage, method, path, headers, expected):
    body = {} if method == "POST" else None
    assert problem_of(await stage.ask(method, path, body, headers)) == expected


@pytest.mark.rule("AC24")
async def test_other_accounts_are_refused(stage):
    _, ann = await account_of(stage)
    _, eve = await account_of(stage, "eve@example.com")
    app = await made_app(stage, ann)
    routes = [
        *(("GET", f"/{part}/apps/{app['id']}") for part in ("dash", "superadmin")),
        ("DELETE", f"/superadmin/apps/{app['id']}"),
        ("POST", f"/dash/apps/{app['id']}/tokens"),
        ("POST", f"/dash/apps/{app['id']}/rename"),
        ("GET", f"/dash/apps/{app['id']}/schema/pull"),
        ("POST", f"/dash/apps/{app['id']}/schema/steps/apply"),
        ("POST", f"/dash/apps/{app['id']}/rules"),
        ("GET", f"/dash/apps/{app['id']}/test_users"),
    ]
    for method, path in routes:
        answer = await stage.ask(method, path, {} if method == "POST" else None, eve)
        assert answer.json()["hint"].get("data-type") == "user-role", (method, path)
    await stage.ask("DELETE", f"/dash/apps/{app['id']}", None, ann)
    answer = await stage.ask("POST", f"/dash/apps/{app['id']}/restore", {}, eve)
    assert answer.json()["hint"]["data-type"] == "user-role"
    # An app of nobody belongs to nobody.
    answer = await stage.ask("GET", f"/dash/apps/{stage.app_id}", None, ann)
    assert answer.json()["hint"]["data-type"] == "user-role"


@pytest.mark.rule("AC24")
async def test_the_admin_token_does_all_but_delete_and_replace(stage):
    _, ann = await account_of(stage)
    app = await made_app(stage, ann)
    admin, path = bearer(app["admin-token"]), f"/superadmin/apps/{app['id']}"
    assert (await stage.ask("GET", path, None, admin)).json()["app"]["title"] == "shop"
    assert (await stage.ask("POST", path, {"title": "b"}, admin)).status == 200
    expected = (401, "record-not-found", "instant-user")
    assert problem_of(await stage.ask("DELETE", path, None, admin)) == expected
    answer = await stage.ask("POST", f"/dash/apps/{app['id']}/tokens", {}, admin)
    assert problem_of(answer) == expected
    other = await made_app(stage, ann)
    answer = await stage.ask("GET", path, None, bearer(other["admin-token"]))
    assert answer.json()["hint"] == {"reason": "admin-token-mismatch"}


@pytest.mark.rule("AC25")
@pytest.mark.parametrize(
    ("scopes", "can_read", "can_write", "can_upload"),
    [
        (None, True, True, True),
        (("data-read",), True, False, False),
        (("data-write",), True, True, False),
        (("storage-write",), False, False, True),
        (("apps-write",), False, False, False),
    ],
)
async def test_a_token_of_the_account_works_on_admin_routes(
    stage, scopes, can_read, can_write, can_upload
):
    _, ann = await account_of(stage)
    app = await made_app(stage, ann)
    _, headers = await account_of(stage, scopes=scopes)
    headers |= {"app-id": app["id"]}
    query = {"query": {"todos": {}}}
    read = await stage.ask("POST", "/admin/query", query, headers)
    assert (read.status == 200) is can_read
    steps = {"steps": [["update", "todos", NOBODY, {"title": "a"}]]}
    write = await stage.ask("POST", "/admin/transact", steps, headers)
    assert (write.status == 200) is can_write
    user = await stage.ask("POST", "/admin/refresh_tokens", {"email": "a@b.co"}, headers)
    assert (user.status == 200) is can_write
    upload = await stage.ask("PUT", "/admin/storage/upload", b"{}", {**headers, "path": "a.json"})
    assert (upload.status == 200) is can_upload
    _, eve = await account_of(stage, "eve@example.com")
    answer = await stage.ask("POST", "/admin/query", query, {**eve, "app-id": app["id"]})
    assert problem_of(answer) == (400, "record-not-found", "app-admin-token")


# --- apps ---------------------------------------------------------------------------------------


@pytest.mark.rule("AC22", "AC23")
async def test_the_command_line_chooses_id_and_token(stage):
    _, ann = await account_of(stage)
    body = {"id": NOBODY, "title": "cli", "admin_token": TOKEN, "org_id": None}
    made = (await stage.ask("POST", "/dash/apps", body, ann)).json()["app"]
    assert (made["id"], made["admin-token"]) == (NOBODY, TOKEN)
    answer = await stage.ask("POST", "/dash/apps", body, ann)
    assert problem_of(answer) == (400, "record-not-unique", "app")
    [listed] = (await stage.ask("GET", "/dash", None, ann)).json()["apps"]
    assert (listed["admin_token"], listed["user_app_role"]) == (TOKEN, "owner")
    kept = b"".join(path.read_bytes() for path in stage.settings.data_dir.glob("platform.db*"))
    assert TOKEN.encode() not in kept
    query = {"query": {"todos": {}}}
    admin = {"app-id": NOBODY, **bearer(TOKEN)}
    assert (await stage.ask("POST", "/admin/query", query, admin)).status == 200
    token = (await stage.ask("POST", f"/dash/apps/{NOBODY}/tokens", {}, ann)).json()["token"]
    assert (await stage.ask("POST", "/admin/query", query, admin)).status == 400
    [listed] = (await stage.ask("GET", "/dash", None, ann)).json()["apps"]
    assert listed["admin_token"] == token
    _, reader = await account_of(stage, scopes=("apps-write",))
    [listed] = (await stage.ask("GET", "/dash", None, reader)).json()["apps"]
    assert listed["admin_token"] is None
    answer = await stage.ask("POST", f"/dash/apps/{NOBODY}/tokens", {}, reader)
    assert answer.json()["type"] == "permission-denied"
    other = Seal(stage.settings.data_dir, secret_key="a" * 64, runtime=stage.runtime)
    stage.asgi.state.oauth.seal = other
    [listed] = (await stage.ask("GET", "/dash", None, ann)).json()["apps"]
    assert listed["admin_token"] is None


@pytest.mark.rule("AC20")
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"title": " "}, "param-malformed"),
        ({"schema": {"entities": 3}}, "validation-failed"),
        ({"perms": {"todos": {"allow": {"view": "nonsense("}}}}, "validation-failed"),
        ({"org_id": NOBODY}, "validation-failed"),
    ],
)
async def test_wrong_apps_are_refused_whole(stage, fields, kind):
    _, ann = await account_of(stage)
    answer = await stage.ask("POST", "/superadmin/apps", {"title": "x", **fields}, ann)
    assert answer.json()["type"] == kind
    assert (await stage.ask("GET", "/superadmin/apps", None, ann)).json() == {"apps": []}


@pytest.mark.rule("AC20")
async def test_bare_rules_of_create_instant_app_are_ignored(stage):
    _, ann = await account_of(stage)
    rules = {"$files": {"allow": {"view": "true"}}}
    for given, expected in [(rules, None), ({"code": rules}, rules)]:
        body = {"title": "x", "rules": given}
        made = (await stage.ask("POST", "/dash/apps", body, ann)).json()["app"]
        path = f"/dash/apps/{made['id']}/perms/pull"
        assert (await stage.ask("GET", path, None, ann)).json() == {"perms": expected}


@pytest.mark.rule("AC21")
async def test_deleted_apps_are_listed_and_restored(stage):
    _, ann = await account_of(stage)
    app = await made_app(stage, ann)
    path = f"/dash/apps/{app['id']}"
    assert (await stage.ask("DELETE", path, None, ann)).json()["ok"] is True
    assert problem_of(await stage.ask("GET", path, None, ann))[2] == "app"
    assert problem_of(await stage.ask("DELETE", path, None, ann))[2] == "app"
    [deleted] = (await stage.ask("GET", "/dash/deleted-apps", None, ann)).json()["apps"]
    assert deleted["id"] == app["id"] and deleted["deletion_marked_at"] < deleted["ends_at"]
    assert (await stage.ask("POST", f"{path}/restore", {}, ann)).status == 200
    assert (await stage.ask("GET", path, None, ann)).status == 200
    assert problem_of(await stage.ask("POST", f"{path}/restore", {}, ann))[2] == "app"


@pytest.mark.rule("AC21")
async def test_the_files_of_a_deleted_app_are_closed_and_kept_until_it_is_gone(stage):
    _, ann = await account_of(stage)
    app = await made_app(stage, ann)
    admin = {"app-id": app["id"], **bearer(app["admin-token"])}
    upload = {**admin, "path": "a.txt", "content-type": "text/plain"}
    assert (await stage.ask("PUT", "/admin/storage/upload", b"kept", upload)).status == 200
    query = {"query": {"$files": {}}}

    async def read():
        found = (await stage.ask("POST", "/admin/query", query, admin)).json()
        return await stage.ask("GET", found["$files"][0]["url"].removeprefix("http://files.test"))

    answer = await read()
    assert answer.body == b"kept"
    url = (await stage.ask("POST", "/admin/query", query, admin)).json()["$files"][0]["url"]
    await stage.ask("DELETE", f"/dash/apps/{app['id']}", None, ann)
    closed = await stage.ask("GET", url.removeprefix("http://files.test"))
    assert closed.status == 400 and closed.json()["hint"]["record-type"] == "app"
    assert await stage.files.collector.collect(app["id"], [sha256(b"kept").hexdigest()]) == 0
    await stage.files.collector.sweep()
    await stage.ask("POST", f"/dash/apps/{app['id']}/restore", {}, ann)
    assert (await read()).body == b"kept"
    await stage.ask("DELETE", f"/dash/apps/{app['id']}", None, ann)
    stage.runtime.advance(account_limits.DELETED_APP_MS)
    await stage.files.collector.sweep()
    assert not [path for path in stage.settings.data_dir.glob("files/*/*/*") if path.is_file()]


@pytest.mark.rule("AC26")
async def test_many_schemas_do_not_come_at_once(stage, monkeypatch):
    monkeypatch.setattr(account_limits, "APPS_WITH_SCHEMA_MAX", 1)
    _, ann = await account_of(stage)
    await made_app(stage, ann, schema=TODOS)
    path = "/superadmin/apps?include=perms,schema"
    [listed] = (await stage.ask("GET", path, None, ann)).json()["apps"]
    assert "todos" in listed["schema"]["blobs"] and listed["perms"] is None
    await made_app(stage, ann)
    answer = await stage.ask("GET", path, None, ann)
    assert answer.json()["type"] == "parameter-limit-exceeded"
    assert len((await stage.ask("GET", "/superadmin/apps", None, ann)).json()["apps"]) == 2


@pytest.mark.rule("AC27")
async def test_claiming_checks_the_app_then_the_token_then_the_person(stage):
    _, ann = await account_of(stage)
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "thrown"})
    app = answer.json()["app"]
    path = f"/dash/apps/ephemeral/{app['id']}/claim"
    lasting = f"/dash/apps/ephemeral/{stage.app_id}/claim"
    token = {"token": app["admin-token"]}
    for target, body, headers, expected in [
        (lasting, {"token": stage.token}, ann, "app"),
        (path, {"token": stage.token}, {}, "app-admin-token"),
        (path, token, bearer(NOBODY), "instant-user"),
    ]:
        assert problem_of(await stage.ask("POST", target, body, headers))[2] == expected
    assert (await stage.ask("POST", path, token, ann)).json() == {}
    [listed] = (await stage.ask("GET", "/dash", None, ann)).json()["apps"]
    assert (listed["id"], listed["admin_token"]) == (app["id"], app["admin-token"])
    assert problem_of(await stage.ask("POST", path, token, ann))[2] == "app"


@pytest.mark.rule("AC28")
async def test_rules_on_superadmin_are_those_on_dash(stage):
    _, ann = await account_of(stage)
    app = await made_app(stage, ann)
    rules = {"todos": {"allow": {"view": "true"}}}
    path = f"/superadmin/apps/{app['id']}/perms"
    saved = (await stage.ask("POST", path, {"code": rules}, ann)).json()["rules"]
    assert saved == {"app_id": app["id"], "code": rules}
    assert (await stage.ask("GET", path, None, ann)).json() == {"perms": rules}


@pytest.mark.rule("AC29")
@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/dash/orgs/x/billing", "organisations"),
        ("/superadmin/apps/x/burn", "platform API"),
        ("/dash/apps/x/burn", "dashboard"),
    ],
)
async def test_what_is_not_built_is_named(stage, path, named):
    answer = await stage.ask("POST", path, {})
    assert (answer.status, answer.json()["type"]) == (501, "not-built")
    assert named in answer.json()["message"]


# --- tokens -------------------------------------------------------------------------------------


@pytest.mark.rule("AC10", "AC14", "AC15")
async def test_tokens_are_made_listed_and_revoked(stage):
    account, ann = await account_of(stage)
    path = "/dash/personal_access_tokens"
    body = {"name": "reader", "scopes": ["data-read", "apps-read"], "days": 1}
    made = (await stage.ask("POST", path, body, ann)).json()["data"]
    assert made["scopes"] == ["apps-read", "data-read"] and made["user_id"] == account.id
    listed = (await stage.ask("GET", path, None, ann)).json()["data"]
    assert [each["name"] for each in listed] == ["ci", "reader"]
    assert not any("token" in each for each in listed)
    reader = bearer(made["token"])
    assert (await stage.ask("GET", "/dash/me", None, reader)).status == 200
    for method, target, given in [
        ("POST", path, {"name": "more"}),
        ("DELETE", f"{path}/{made['id']}", None),
        ("POST", "/dash/cli/auth/claim", {"ticket": NOBODY}),
    ]:
        answer = await stage.ask(method, target, given, reader)
        assert answer.json()["type"] == "permission-denied"
    assert (await stage.ask("POST", path, {"name": 3}, ann)).status == 400
    assert (await stage.ask("DELETE", f"{path}/{made['id']}", None, ann)).json() == {}
    answer = await stage.ask("GET", "/dash/me", None, reader)
    assert problem_of(answer) == (400, "record-not-found", "instant-user")
