"""Accounts over HTTP: their apps, tokens and sign-in."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re

import pytest

from support.mailbox import Mailbox
from trice import account_limits
from trice.accounts import passwords
from trice.api.dash_page import HEADERS, PAGE
from trice.auth.oauth.sealed import Seal
from trice.errors import Unavailable
from trice.rate_limit import RateLimit

NOBODY = "00000000-0000-4000-8000-000000000000"
TOKEN = "22222222-2222-4222-8222-222222222222"
TODOS = {"entities": {"todos": {"attrs": {"title": {"valueType": "string"}}}}, "links": {}}


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


async def account_of(stage, email="ann@example.com", **options):
    """A new account, and headers with a personal token of it."""
    accounts = stage.asgi.state.accounts
    account = accounts.find_by_email(email) or await accounts.create(email)
    _, secret = await accounts.make_token(account, name="ci", **options)
    return account, bearer(secret)


async def made_app(stage, headers, **fields):
    body = {"title": "shop", **fields}
    return (await stage.ask("POST", "/superadmin/apps", body, headers)).json()["app"]


def problem_of(answer):
    body = answer.json()
    return answer.status, body["type"], body["hint"].get("record-type")


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
        ("/superadmin/apps/x/transfers/send", "Handing an app"),
        ("/superadmin/apps/x/burn", "platform API"),
        ("/dash/apps/x/webhooks/y/enable", "Webhooks"),
        ("/dash/apps/x/backups", "Backups"),
        ("/dash/apps/x/burn", "dashboard"),
        ("/platform/oauth/token", "OAuth"),
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


# --- signing in ---------------------------------------------------------------------------------


@pytest.fixture
def mailbox(stage):
    stage.asgi.state.mail = mailbox = Mailbox()
    return mailbox


async def code_for(stage, mailbox, email):
    body = {"email": email}
    answer = await stage.ask("POST", "/dash/auth/send_magic_code", body)
    assert answer.json() == {"sent": True}
    await asyncio.sleep(0)  # the e-mail is handed over after the answer
    return mailbox.code() if mailbox.messages else None


async def verify(stage, email, code):
    body = {"email": email, "code": code}
    return await stage.ask("POST", "/dash/auth/verify_magic_code", body)


@pytest.mark.rule("AC50", "AC55")
async def test_a_code_signs_in_once(stage, mailbox):
    account, _ = await account_of(stage)
    code = await code_for(stage, mailbox, " Ann@Example.com")
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    kind = "instant-user-magic-code"
    assert problem_of(await verify(stage, account.email, wrong))[2] == kind
    answer = (await verify(stage, account.email, code)).json()
    assert answer["user"]["id"] == account.id
    assert problem_of(await verify(stage, account.email, code))[2] == kind
    headers = bearer(answer["token"])
    assert (await stage.ask("GET", "/dash/me", None, headers)).status == 200
    assert (await stage.ask("POST", "/dash/signout", None, headers)).json() == {}
    assert (await stage.ask("GET", "/dash/me", None, headers)).status == 401


@pytest.mark.rule("AC50")
async def test_codes_end(stage, mailbox):
    account, _ = await account_of(stage)
    code = await code_for(stage, mailbox, account.email)
    stage.runtime.advance(account_limits.CODE_MS)
    answer = await verify(stage, account.email, code)
    assert answer.json()["type"] == "record-expired"


@pytest.mark.rule("AC50")
async def test_strangers_are_told_the_same_and_sent_nothing(stage, mailbox):
    await account_of(stage)
    assert await code_for(stage, mailbox, "eve@example.com") is None
    answer = await verify(stage, "eve@example.com", "123456")
    assert answer.json() | {"trace-id": ""} == (
        (await verify(stage, "ann@example.com", "123456")).json() | {"trace-id": ""}
    )


@pytest.mark.rule("AC50")
async def test_a_mail_server_that_fails_is_the_operators_business(stage, mailbox, caplog):
    account, _ = await account_of(stage)
    mailbox.failure = Unavailable("email-send-failed", "It is down.")
    assert await code_for(stage, mailbox, account.email) is None
    assert "was not sent" in caplog.text


@pytest.mark.rule("AC54")
async def test_tries_to_guess_a_code_are_counted(stage, mailbox):
    account, _ = await account_of(stage)
    await code_for(stage, mailbox, account.email)
    kinds = [(await verify(stage, account.email, "000000")).json()["type"] for _ in range(30)]
    assert kinds[-1] == "rate-limited"


PASSWORD = "correct horse battery"


async def by_password(stage, email="ann@example.com", password=PASSWORD):
    body = {"email": email, "password": password}
    return await stage.ask("POST", "/dash/auth/password", body)


@pytest.mark.rule("AC58", "AC59")
async def test_a_password_signs_in_and_a_new_one_ends_other_sign_ins(stage):
    _, ann = await account_of(stage)
    kind = (400, "record-not-found", "instant-user-password")
    assert problem_of(await by_password(stage)) == kind
    body = {"password": PASSWORD}
    assert (await stage.ask("POST", "/dash/password", body, ann)).json() == {}
    first = bearer((await by_password(stage, " Ann@example.com")).json()["token"])
    second = bearer((await by_password(stage)).json()["token"])
    for wrong in ("correct horse batterx", "", "x" * 5_000):
        assert problem_of(await by_password(stage, password=wrong)) == kind
    assert problem_of(await by_password(stage, "eve@example.com")) == kind
    body = {"password": "another horse battery"}
    assert (await stage.ask("POST", "/dash/password", body, first)).json() == {}
    statuses = [
        (await stage.ask("GET", "/dash/me", None, headers)).status
        for headers in (first, second, ann)
    ]
    assert statuses == [200, 401, 200]
    assert problem_of(await by_password(stage)) == kind
    assert (await stage.ask("POST", "/dash/password", {"password": None}, ann)).json() == {}
    assert problem_of(await by_password(stage, password="another horse battery")) == kind
    kept = b"".join(path.read_bytes() for path in stage.settings.data_dir.glob("platform.db*"))
    assert b"argon2id" in kept and b"horse" not in kept


@pytest.mark.rule("AC58")
@pytest.mark.parametrize("given", ["short", "aaaaaaaaaaaa", "ann@example.com", 3, ["a"]])
async def test_weak_passwords_are_refused(stage, given):
    _, ann = await account_of(stage)
    answer = await stage.ask("POST", "/dash/password", {"password": given}, ann)
    assert answer.json()["type"] in ("validation-failed", "param-malformed")
    _, reader = await account_of(stage, scopes=("apps-write",))
    answer = await stage.ask("POST", "/dash/password", {"password": PASSWORD}, reader)
    assert answer.json()["type"] == "permission-denied"


@pytest.mark.rule("AC58")
async def test_tries_of_passwords_are_counted(stage, monkeypatch):
    await account_of(stage)
    monkeypatch.setattr(passwords, "TRIES", RateLimit(2, 2, 1_000))
    kinds = [(await by_password(stage, password="no")).json()["type"] for _ in range(3)]
    assert kinds == ["record-not-found", "record-not-found", "rate-limited"]


async def login_of(stage):
    return (await stage.ask("POST", "/dash/cli/auth/register")).json()


async def check(stage, login):
    return await stage.ask("POST", "/dash/cli/auth/check", {"secret": login["secret"]})


def issue_of(answer):
    return answer.status, answer.json()["hint"]["errors"][0]["issue"]


@pytest.mark.rule("AC51", "AC52")
async def test_a_command_line_gets_its_token_once_a_person_allows_it(stage):
    _, ann = await account_of(stage)
    login = await login_of(stage)
    assert issue_of(await check(stage, login)) == (400, "waiting-for-user")
    ticket = {"ticket": login["ticket"]}
    assert (await stage.ask("POST", "/dash/cli/auth/claim", ticket, ann)).json() == ticket
    again = await stage.ask("POST", "/dash/cli/auth/claim", ticket, ann)
    assert issue_of(again) == (400, "user-already-claimed")
    answer = (await check(stage, login)).json()
    assert answer["email"] == "ann@example.com"
    assert (await stage.ask("GET", "/dash", None, bearer(answer["token"]))).status == 200
    assert issue_of(await check(stage, login)) == (400, "user-already-claimed")


@pytest.mark.rule("AC52")
async def test_refused_late_and_unknown_logins(stage):
    _, ann = await account_of(stage)
    refused, late = await login_of(stage), await login_of(stage)
    ticket = {"ticket": refused["ticket"]}
    assert (await stage.ask("POST", "/dash/cli/auth/void", ticket, ann)).json() == {}
    assert issue_of(await check(stage, refused)) == (400, "user-voided-request")
    answer = await stage.ask("POST", "/dash/cli/auth/claim", ticket, ann)
    assert issue_of(answer) == (400, "user-voided-request")
    stage.runtime.advance(account_limits.LOGIN_MS)
    assert problem_of(await check(stage, late)) == (400, "record-expired", "instant-cli-login")
    answer = await check(stage, {"secret": NOBODY})
    assert problem_of(answer) == (400, "record-not-found", "instant-cli-login")
    # The ticket, which is in the URL of the page, is not the secret.
    answer = await check(stage, {"secret": late["ticket"]})
    assert problem_of(answer)[2] == "instant-cli-login"


@pytest.mark.rule("AC54")
async def test_logins_that_wait_are_bounded_and_forgotten(stage, monkeypatch):
    monkeypatch.setattr(account_limits, "LOGINS_MAX", 2)
    late = await login_of(stage)
    await login_of(stage)
    assert (await login_of(stage))["type"] == "overloaded"
    stage.runtime.advance(account_limits.LOGIN_KEPT_MS)
    await login_of(stage)
    assert problem_of(await check(stage, late))[1] == "record-not-found"
    kinds = {(await login_of(stage)).get("type") for _ in range(400)}
    assert kinds == {None, "overloaded", "rate-limited"}


@pytest.mark.rule("AC53", "AC54")
async def test_the_link_of_the_start_makes_the_first_account_only(stage):
    first = stage.asgi.state.first_account
    secret = first.find_path().removeprefix("/dash?first=")
    body = {"secret": secret, "email": "ann@example.com"}
    wrong = await stage.ask("POST", "/dash/first-account", {**body, "secret": "a" * 64})
    assert problem_of(wrong) == (400, "record-not-found", "first-account-link")
    answer = (await stage.ask("POST", "/dash/first-account", body)).json()
    assert (await stage.ask("GET", "/dash", None, bearer(answer["token"]))).status == 200
    assert first.find_path() is None
    again = await stage.ask("POST", "/dash/first-account", {**body, "email": "eve@example.com"})
    assert again.json()["type"] == "record-not-unique"
    kinds = [
        (await stage.ask("POST", "/dash/first-account", body)).json()["type"] for _ in range(40)
    ]
    assert kinds[-1] == "rate-limited"


@pytest.mark.rule("AC56")
async def test_browsers_get_a_page_that_runs_its_own_script_only(stage):
    answer = await stage.ask("GET", "/dash?ticket=x", None, {"accept": "text/html,*/*;q=0.8"})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    script = PAGE.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert HEADERS["cache-control"] == "no-store"
    assert not re.search(r"(src|href)=\"(?!data:)", PAGE)
    assert (await stage.ask("GET", "/dash", None, {"accept": "*/*"})).status == 400


@pytest.mark.rule("AC61")
async def test_the_door_of_the_operator_needs_its_secret(stage):
    operator = stage.asgi.state.operator
    wish = {"do": "create-account", "email": "ann@example.com"}
    for headers in ({}, bearer("x"), bearer(stage.token), bearer(operator.secret.upper())):
        answer = await stage.ask("POST", "/operator", wish, headers)
        assert problem_of(answer) == (400, "record-not-found", "operator")
    answer = await stage.ask("POST", "/operator", wish, bearer(operator.secret))
    assert answer.json()["account"]["email"] == "ann@example.com"
