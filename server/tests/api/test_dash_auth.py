"""What an app's developer sets up for sign-in."""

from __future__ import annotations

import pytest

from trice import auth_limits

NOBODY = "00000000-0000-4000-8000-000000000000"
SECRET = "s" * 40


async def ask(stage, method, path, body=None, **headers):
    target = f"/dash/apps/{stage.http.app_id}/{path}"
    return await stage.http.ask(method, target, body, stage.http.admin() | headers)


def problem_of(answer):
    body = answer.json()
    return answer.status, body["type"], body["hint"].get("in")


ROUTES = [
    ("GET", "auth"),
    ("POST", "oauth_service_providers"),
    ("POST", "oauth_clients"),
    ("POST", f"oauth_clients/{NOBODY}"),
    ("DELETE", f"oauth_clients/{NOBODY}"),
    ("POST", "authorized_redirect_origins"),
    ("DELETE", f"authorized_redirect_origins/{NOBODY}"),
    ("POST", "rules"),
    ("GET", "perms/pull"),
    ("GET", "email_status"),
    ("POST", "email_templates"),
    ("DELETE", f"email_templates/{NOBODY}"),
    ("GET", "sender-verification"),
    ("GET", "test_users"),
    ("POST", "test_users"),
    ("DELETE", "test_users"),
    ("POST", "set-magic-code-expiry"),
    ("POST", "sender-verification/send-magic-code"),
    ("POST", "sender-verification/verify-magic-code"),
    ("POST", "send-test-email"),
    ("POST", "sign-in-methods"),
]


@pytest.mark.rule("A140")
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_only_the_admin_token_opens(oauth, method, path):
    place = ["headers", "authorization"]
    target = f"/dash/apps/{oauth.http.app_id}/{path}"
    answer = await oauth.http.ask(method, target, {})
    assert problem_of(answer) == (400, "param-missing", place)
    for token in ("undefined", "x", "per_" + "a" * 64):
        answer = await ask(oauth, method, path, {}, authorization=f"Bearer {token}")
        assert problem_of(answer) == (400, "param-malformed", place)
    answer = await ask(oauth, method, path, {}, authorization=f"Bearer pat_{'a' * 64}")
    assert answer.json()["hint"]["record-type"] == "oauth-access-token"
    other, token = await oauth.http.apps.create(title="other")
    oauth.http.apps.give_back(other)
    user = (await oauth.send_id_token(oauth.idp.id_token())).json()["user"]
    answer = await ask(oauth, method, path, {}, authorization=f"Bearer {token}")
    assert (answer.status, answer.json()["type"]) == (400, "validation-failed")
    assert answer.json()["hint"] == {"reason": "admin-token-mismatch"}
    for given in (NOBODY, user["refresh_token"]):
        answer = await ask(oauth, method, path, {}, authorization=f"Bearer {given}")
        body = answer.json()
        assert (answer.status, body["type"]) == (401, "record-not-found")
        assert body["hint"] == {"record-type": "instant-user", "args": [{"auth?": True}]}
    target = f"/dash/apps/{NOBODY}/{path}"
    answer = await oauth.http.ask(method, target, {}, oauth.http.admin())
    assert answer.json()["hint"]["record-type"] == "app"
    answer = await oauth.http.ask(method, f"/dash/apps/x/{path}", {}, oauth.http.admin())
    assert problem_of(answer) == (400, "param-malformed", ["params", "app_id"])


@pytest.mark.rule("A141")
async def test_everything_about_oauth_is_listed(oauth):
    found = await oauth.manage("GET", "auth")
    [provider] = found["oauth_service_providers"]
    assert provider["provider_name"] == "fake"
    assert set(provider) == {"id", "provider_name", "created_at"}
    assert found["oauth_clients"] == [oauth.client]
    [origin] = found["authorized_redirect_origins"]
    assert (origin["service"], origin["params"]) == ("generic", ["site.example"])
    assert set(origin) == {"id", "service", "params", "created_at"}
    assert isinstance(found["default_sender_email"], str)
    assert oauth.client == {
        "id": oauth.client["id"],
        "client_name": "oidc",
        "client_id": "web",
        "provider_id": provider["id"],
        "meta": None,
        "discovery_endpoint": oauth.idp.endpoint,
        "created_at": oauth.client["created_at"],
        "redirect_to": None,
        "use_shared_credentials": False,
    }


@pytest.mark.rule("A142")
async def test_secrets_are_stored_sealed_and_never_shown(oauth):
    [row] = await oauth.rows("$oauthClients")
    sealed = row["encryptedClientSecret"]
    assert bytes.fromhex(sealed)
    assert SECRET.encode() not in bytes.fromhex(sealed)
    for answer in (
        await ask(oauth, "GET", "auth"),
        await ask(oauth, "POST", f"oauth_clients/{row['id']}", {"client_secret": "other"}),
        await ask(oauth, "DELETE", f"oauth_clients/{row['id']}"),
    ):
        assert answer.status == 200
        assert SECRET.encode() not in answer.body
        assert b"ecret" not in answer.body
    too_long = {"client_secret": "geheim" * auth_limits.OAUTH_SECRET_CHARS_MAX}
    refused = await ask(oauth, "POST", f"oauth_clients/{row['id']}", too_long)
    assert b"geheim" not in refused.body


@pytest.mark.rule("A143")
async def test_a_change_leaves_the_rest(oauth):
    path = f"oauth_clients/{oauth.client['id']}"
    meta = {"a": 1, "deep": {"b": 2, "c": 3}}
    changed = (await oauth.manage("POST", path, {"meta": meta}))["client"]
    assert changed == {**oauth.client, "meta": meta}
    changed = (await oauth.manage("POST", path, {"meta": {"deep": {"b": None}}}))["client"]
    assert changed["meta"] == {"a": 1, "deep": {"c": 3}}
    cleared = await oauth.manage("POST", path, {"meta": None, "client_id": None})
    assert (cleared["client"]["meta"], cleared["client"]["client_id"]) == (None, None)
    assert (await oauth.manage("GET", "auth"))["oauth_clients"] == [cleared["client"]]
    [row] = await oauth.rows("$oauthClients")
    assert row["encryptedClientSecret"]
    await oauth.manage("POST", path, {"client_secret": None})
    [row] = await oauth.rows("$oauthClients")
    assert row.get("encryptedClientSecret") is None


@pytest.mark.rule("A143")
async def test_a_secret_entered_again_works(oauth):
    path = f"oauth_clients/{oauth.client['id']}"
    await oauth.manage("POST", path, {"client_secret": "wrong"})
    assert (await oauth.sign_in())["error"] == "Bad secret."
    await oauth.manage("POST", path, {"client_secret": f" {SECRET}\n"})
    assert "code" in await oauth.sign_in()


@pytest.mark.rule("A143")
async def test_a_deleted_client_is_gone_with_its_sign_ins(oauth):
    await oauth.browser.get(oauth.start_url())
    await oauth.sign_in()
    path = f"oauth_clients/{oauth.client['id']}"
    assert (await oauth.manage("DELETE", path))["client"] == oauth.client
    for etype in ("$oauthClients", "$oauthRedirects", "$oauthCodes"):
        assert await oauth.rows(etype) == []
    answer = await ask(oauth, "DELETE", path)
    assert answer.json()["hint"]["record-type"] == "app-oauth-client"


@pytest.mark.rule("A144")
@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"client_name": None}, "param-missing"),
        ({"client_name": " "}, "param-malformed"),
        ({"client_name": "x" * 3000}, "param-malformed"),
        ({"client_name": "oidc"}, "record-not-unique"),
        ({"provider_id": None}, "param-missing"),
        ({"provider_id": "x"}, "param-malformed"),
        ({"provider_id": NOBODY}, "record-not-found"),
        ({"discovery_endpoint": None}, "validation-failed"),
        ({"discovery_endpoint": "id.example"}, "validation-failed"),
        ({"discovery_endpoint": "file:///etc/passwd"}, "validation-failed"),
        ({"redirect_to": "http://site.example/"}, "validation-failed"),
        ({"redirect_to": 7}, "validation-failed"),
        ({"client_id": 7}, "validation-failed"),
        ({"client_secret": ["x"]}, "validation-failed"),
        ({"meta": "x"}, "validation-failed"),
        ({"meta": {"a": "x" * auth_limits.OAUTH_META_BYTES_MAX}}, "validation-failed"),
        ({"use_shared_credentials": True}, "validation-failed"),
    ],
)
async def test_wrong_clients_are_refused(oauth, values, code):
    body = {
        "client_name": "second",
        "provider_id": oauth.client["provider_id"],
        "discovery_endpoint": oauth.idp.endpoint,
        **values,
    }
    answer = await ask(oauth, "POST", "oauth_clients", body)
    assert (answer.status, answer.json()["type"]) == (400, code)
    assert len(await oauth.rows("$oauthClients")) == 1


@pytest.mark.rule("A144")
async def test_github_needs_no_discovery_endpoint(oauth):
    client = await oauth.add_client("github", "gh")
    assert client["discovery_endpoint"] is None
    again = await ask(oauth, "POST", "oauth_service_providers", {"provider_name": "github"})
    assert again.json()["type"] == "record-not-unique"


@pytest.mark.rule("A144")
async def test_clients_and_providers_are_few(oauth, monkeypatch):
    monkeypatch.setattr(auth_limits, "OAUTH_CLIENTS_MAX", 1)
    answer = await ask(oauth, "POST", "oauth_service_providers", {"provider_name": "x"})
    assert "at most 1 providers" in answer.json()["message"]
    body = {"client_name": "x", "provider_id": oauth.client["provider_id"]}
    answer = await ask(oauth, "POST", "oauth_clients", body)
    assert "at most 1 OAuth clients" in answer.json()["message"]


@pytest.mark.rule("A85")
async def test_origins_are_added_once_and_deleted(oauth, monkeypatch):
    given = {"service": "generic", "params": ["App.example:3000"]}
    origin = (await oauth.manage("POST", "authorized_redirect_origins", given))["origin"]
    assert origin["params"] == ["app.example:3000"]
    again = (await oauth.manage("POST", "authorized_redirect_origins", given))["origin"]
    assert again == origin
    monkeypatch.setattr(auth_limits, "ORIGINS_MAX", 2)
    more = {"service": "generic", "params": ["more.example"]}
    answer = await ask(oauth, "POST", "authorized_redirect_origins", more)
    assert "at most 2 authorized origins" in answer.json()["message"]
    path = f"authorized_redirect_origins/{origin['id']}"
    assert (await oauth.manage("DELETE", path))["origin"] == origin
    answer = await ask(oauth, "DELETE", path)
    assert answer.json()["hint"]["record-type"] == "app-authorized-redirect-origin"
    assert len((await oauth.manage("GET", "auth"))["authorized_redirect_origins"]) == 1
    wrong = {"service": "custom-scheme", "params": ["javascript:"]}
    answer = await ask(oauth, "POST", "authorized_redirect_origins", wrong)
    assert answer.json()["type"] == "validation-failed"


@pytest.mark.rule("A145")
async def test_rules_are_pushed_and_pulled(oauth):
    assert await oauth.manage("GET", "perms/pull") == {"perms": None}
    rules = {"todos": {"allow": {"view": "true"}}}
    row = (await oauth.manage("POST", "rules", {"code": rules}))["rules"]
    assert row == {"app_id": oauth.http.app_id, "code": rules}
    assert await oauth.manage("GET", "perms/pull") == {"perms": rules}
    wrong = {"todos": {"allow": {"view": "nope("}}}
    answer = await ask(oauth, "POST", "rules", {"code": wrong})
    assert answer.json()["hint"]["data-type"] == "rule"
    assert answer.json()["hint"]["errors"][0]["in"] == ["todos", "allow", "view"]
    assert await oauth.manage("GET", "perms/pull") == {"perms": rules}
    assert problem_of(await ask(oauth, "POST", "rules", {})) == (
        400,
        "param-missing",
        ["body", "code"],
    )
    await oauth.manage("POST", "rules", {"code": None})
    assert await oauth.manage("GET", "perms/pull") == {"perms": None}


TEMPLATE = {"email-type": "magic-code", "subject": "{code}!", "body": "<p>{code}</p>"}


@pytest.mark.rule("A146")
async def test_the_template_is_set_read_and_removed(oauth):
    default = (await oauth.http.ask("GET", "/dash/default-email-template")).json()
    assert default["email-type"] == "magic-code"
    assert "{code}" in default["subject"]
    assert "{code}" in default["body"]
    assert await oauth.manage("GET", "email_status") == {"info": None}
    made = await oauth.manage("POST", "email_templates", TEMPLATE)
    again = {**TEMPLATE, "sender-name": "App", "sender-email": default["sender-email"]}
    assert await oauth.manage("POST", "email_templates", again) == made
    info = (await oauth.manage("GET", "email_status"))["info"]
    assert info == {
        "id": made["id"],
        "app_id": oauth.http.app_id,
        "email_type": "magic-code",
        "subject": "{code}!",
        "body": "<p>{code}</p>",
        "name": "App",
        "email": None,
        "sender_id": None,
        "verification_id": None,
        "postmark_id": None,
        "verification_verified": None,
    }
    verification = await oauth.manage("GET", "sender-verification")
    assert verification == {"instant": {"verified?": None}, "verification": None}
    await oauth.manage("POST", "email_templates", {**again, "sender-email": "App@site.example"})
    info = (await oauth.manage("GET", "email_status"))["info"]
    assert (info["id"], info["email"]) == (made["id"], "app@site.example")
    answer = await ask(oauth, "DELETE", f"email_templates/{NOBODY}")
    assert answer.json()["hint"]["record-type"] == "app-email-template"
    assert await oauth.manage("DELETE", f"email_templates/{made['id']}") == {}
    assert await oauth.manage("GET", "email_status") == {"info": None}


@pytest.mark.rule("A146")
@pytest.mark.parametrize(
    ("values", "code", "place"),
    [
        ({"email-type": "news"}, "param-malformed", ["body", "email-type"]),
        ({"subject": None}, "param-missing", ["body", "subject"]),
        ({"subject": "no variable"}, "validation-failed", ["subject"]),
        ({"subject": "{code}\r\nBcc: all@x.org"}, "validation-failed", ["subject"]),
        ({"body": "no variable"}, "validation-failed", ["body"]),
        (
            {"body": "{code}" + "x" * auth_limits.EMAIL_TEMPLATE_CHARS_MAX},
            "validation-failed",
            ["body"],
        ),
        ({"sender-email": "nobody"}, "param-malformed", ["body", "sender-email"]),
    ],
)
async def test_wrong_templates_are_refused(oauth, values, code, place):
    answer = await ask(oauth, "POST", "email_templates", {**TEMPLATE, **values})
    body = answer.json()
    where = body["hint"].get("in") or body["hint"]["errors"][0]["in"]
    assert (body["type"], where) == (code, place)
    assert await oauth.manage("GET", "email_status") == {"info": None}


@pytest.mark.rule("A147")
async def test_test_users_come_and_go(oauth, monkeypatch):
    given = {"email": " Ann@Example.com", "code": "123456"}
    made = (await oauth.manage("POST", "test_users", given))["test-user"]
    assert (made["email"], made["code"]) == ("ann@example.com", "123456")
    assert made["app_id"] == oauth.http.app_id
    assert await oauth.manage("GET", "test_users") == {"test-users": [made]}
    answer = await ask(oauth, "POST", "test_users", given)
    assert answer.json()["type"] == "record-not-unique"
    monkeypatch.setattr(auth_limits, "TEST_USERS_MAX", 1)
    answer = await ask(oauth, "POST", "test_users", {"email": "b@x.org", "code": "123456"})
    assert "at most 1 test users" in answer.json()["message"]
    assert (await oauth.manage("DELETE", "test_users", {"id": made["id"]}))["test-user"] == made
    answer = await ask(oauth, "DELETE", "test_users", {"id": made["id"]})
    assert answer.json()["hint"]["record-type"] == "app-test-user"
    assert await oauth.manage("GET", "test_users") == {"test-users": []}
    for code in ("12345", "1234567", "12345a", "１２３４５６", 123456, None):
        answer = await ask(oauth, "POST", "test_users", {"email": "b@x.org", "code": code})
        assert problem_of(answer) == (400, "param-malformed", ["body", "code"])


@pytest.mark.rule("A148")
async def test_codes_live_as_long_as_said(oauth):
    row = (await oauth.manage("POST", "set-magic-code-expiry", {"expiry": 10}))["app"]
    assert (row["id"], row["magic_code_expiry_minutes"]) == (oauth.http.app_id, 10)
    app = await oauth.http.apps.lend(oauth.http.app_id)
    assert app.settings.code_expiry_minutes == 10
    oauth.http.apps.give_back(app)
    for wrong in (0, -1, 1441, 1.5, "10", None, True):
        answer = await ask(oauth, "POST", "set-magic-code-expiry", {"expiry": wrong})
        assert problem_of(answer) == (400, "param-malformed", ["body", "expiry"])
    answer = await ask(oauth, "POST", "set-magic-code-expiry", {})
    assert problem_of(answer) == (400, "param-missing", ["body", "expiry"])


@pytest.mark.rule("A149")
async def test_sign_in_methods_are_off_until_switched_on(oauth):
    now = await oauth.manage("POST", "sign-in-methods", {})
    assert now == {"passwords": False, "passkeys": False}
    now = await oauth.manage("POST", "sign-in-methods", {"passwords": True, "x": 1})
    assert now == {"passwords": True, "passkeys": False}
    now = await oauth.manage("POST", "sign-in-methods", {"passkeys": True, "passwords": False})
    assert now == {"passwords": False, "passkeys": True}
    answer = await ask(oauth, "POST", "sign-in-methods", {"passkeys": "yes"})
    assert problem_of(answer) == (400, "param-malformed", ["body", "passkeys"])
