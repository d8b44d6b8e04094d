"""What an app's developer sets up for sign-in."""

from __future__ import annotations

import pytest

from support.identity_provider import oauth_scene
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
def test_only_the_admin_token_opens(play, method, path):
    async def scene(stage):
        place = ["headers", "authorization"]
        target = f"/dash/apps/{stage.http.app_id}/{path}"
        answer = await stage.http.ask(method, target, {})
        assert problem_of(answer) == (400, "param-missing", place)
        for token in ("undefined", "x", "per_" + "a" * 64, "pat_" + "a" * 64):
            answer = await ask(stage, method, path, {}, authorization=f"Bearer {token}")
            assert problem_of(answer) == (400, "param-malformed", place)
        other, token = await stage.http.apps.create(title="other")
        stage.http.apps.give_back(other)
        user = (await stage.send_id_token(stage.idp.id_token())).json()["user"]
        answer = await ask(stage, method, path, {}, authorization=f"Bearer {token}")
        assert (answer.status, answer.json()["type"]) == (400, "validation-failed")
        assert answer.json()["hint"] == {"reason": "admin-token-mismatch"}
        for given in (NOBODY, user["refresh_token"]):
            answer = await ask(stage, method, path, {}, authorization=f"Bearer {given}")
            body = answer.json()
            assert (answer.status, body["type"]) == (401, "record-not-found")
            assert body["hint"] == {"record-type": "instant-user", "args": [{"auth?": True}]}
        target = f"/dash/apps/{NOBODY}/{path}"
        answer = await stage.http.ask(method, target, {}, stage.http.admin())
        assert answer.json()["hint"]["record-type"] == "app"
        answer = await stage.http.ask(method, f"/dash/apps/x/{path}", {}, stage.http.admin())
        assert problem_of(answer) == (400, "param-malformed", ["params", "app_id"])

    play(oauth_scene(scene))


@pytest.mark.rule("A141")
def test_everything_about_oauth_is_listed(play):
    async def scene(stage):
        found = await stage.manage("GET", "auth")
        [provider] = found["oauth_service_providers"]
        assert provider["provider_name"] == "fake"
        assert set(provider) == {"id", "provider_name", "created_at"}
        assert found["oauth_clients"] == [stage.client]
        [origin] = found["authorized_redirect_origins"]
        assert (origin["service"], origin["params"]) == ("generic", ["site.example"])
        assert set(origin) == {"id", "service", "params", "created_at"}
        assert isinstance(found["default_sender_email"], str)
        assert stage.client == {
            "id": stage.client["id"],
            "client_name": "oidc",
            "client_id": "web",
            "provider_id": provider["id"],
            "meta": None,
            "discovery_endpoint": stage.idp.endpoint,
            "created_at": stage.client["created_at"],
            "redirect_to": None,
            "use_shared_credentials": False,
        }

    play(oauth_scene(scene))


@pytest.mark.rule("A142")
def test_secrets_are_stored_sealed_and_never_shown(play):
    async def scene(stage):
        [row] = await stage.rows("$oauthClients")
        sealed = row["encryptedClientSecret"]
        assert bytes.fromhex(sealed)
        assert SECRET.encode() not in bytes.fromhex(sealed)
        for answer in (
            await ask(stage, "GET", "auth"),
            await ask(stage, "POST", f"oauth_clients/{row['id']}", {"client_secret": "other"}),
            await ask(stage, "DELETE", f"oauth_clients/{row['id']}"),
        ):
            assert answer.status == 200
            assert SECRET.encode() not in answer.body
            assert b"ecret" not in answer.body
        too_long = {"client_secret": "geheim" * auth_limits.OAUTH_SECRET_CHARS_MAX}
        refused = await ask(stage, "POST", f"oauth_clients/{row['id']}", too_long)
        assert b"geheim" not in refused.body

    play(oauth_scene(scene))


@pytest.mark.rule("A143")
def test_a_change_leaves_the_rest(play):
    async def scene(stage):
        path = f"oauth_clients/{stage.client['id']}"
        meta = {"a": 1, "deep": {"b": 2, "c": 3}}
        changed = (await stage.manage("POST", path, {"meta": meta}))["client"]
        assert changed == {**stage.client, "meta": meta}
        changed = (await stage.manage("POST", path, {"meta": {"deep": {"b": None}}}))["client"]
        assert changed["meta"] == {"a": 1, "deep": {"c": 3}}
        cleared = await stage.manage("POST", path, {"meta": None, "client_id": None})
        assert (cleared["client"]["meta"], cleared["client"]["client_id"]) == (None, None)
        assert (await stage.manage("GET", "auth"))["oauth_clients"] == [cleared["client"]]
        [row] = await stage.rows("$oauthClients")
        assert row["encryptedClientSecret"]
        await stage.manage("POST", path, {"client_secret": None})
        [row] = await stage.rows("$oauthClients")
        assert row.get("encryptedClientSecret") is None

    play(oauth_scene(scene))


@pytest.mark.rule("A143")
def test_a_secret_entered_again_works(play):
    async def scene(stage):
        path = f"oauth_clients/{stage.client['id']}"
        await stage.manage("POST", path, {"client_secret": "wrong"})
        assert (await stage.sign_in())["error"] == "Bad secret."
        await stage.manage("POST", path, {"client_secret": f" {SECRET}\n"})
        assert "code" in await stage.sign_in()

    play(oauth_scene(scene))


@pytest.mark.rule("A143")
def test_a_deleted_client_is_gone_with_its_sign_ins(play):
    async def scene(stage):
        await stage.browser.get(stage.start_url())
        await stage.sign_in()
        path = f"oauth_clients/{stage.client['id']}"
        assert (await stage.manage("DELETE", path))["client"] == stage.client
        for etype in ("$oauthClients", "$oauthRedirects", "$oauthCodes"):
            assert await stage.rows(etype) == []
        answer = await ask(stage, "DELETE", path)
        assert answer.json()["hint"]["record-type"] == "app-oauth-client"

    play(oauth_scene(scene))


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
def test_wrong_clients_are_refused(play, values, code):
    async def scene(stage):
        body = {
            "client_name": "second",
            "provider_id": stage.client["provider_id"],
            "discovery_endpoint": stage.idp.endpoint,
            **values,
        }
        answer = await ask(stage, "POST", "oauth_clients", body)
        assert (answer.status, answer.json()["type"]) == (400, code)
        assert len(await stage.rows("$oauthClients")) == 1

    play(oauth_scene(scene))


@pytest.mark.rule("A144")
def test_github_needs_no_discovery_endpoint(play):
    async def scene(stage):
        client = await stage.add_client("github", "gh")
        assert client["discovery_endpoint"] is None
        again = await ask(stage, "POST", "oauth_service_providers", {"provider_name": "github"})
        assert again.json()["type"] == "record-not-unique"

    play(oauth_scene(scene))


@pytest.mark.rule("A144")
def test_clients_and_providers_are_few(play, monkeypatch):
    async def scene(stage):
        monkeypatch.setattr(auth_limits, "OAUTH_CLIENTS_MAX", 1)
        answer = await ask(stage, "POST", "oauth_service_providers", {"provider_name": "x"})
        assert "at most 1 providers" in answer.json()["message"]
        body = {"client_name": "x", "provider_id": stage.client["provider_id"]}
        answer = await ask(stage, "POST", "oauth_clients", body)
        assert "at most 1 OAuth clients" in answer.json()["message"]

    play(oauth_scene(scene))


@pytest.mark.rule("A85")
def test_origins_are_added_once_and_deleted(play, monkeypatch):
    async def scene(stage):
        given = {"service": "generic", "params": ["App.example:3000"]}
        origin = (await stage.manage("POST", "authorized_redirect_origins", given))["origin"]
        assert origin["params"] == ["app.example:3000"]
        again = (await stage.manage("POST", "authorized_redirect_origins", given))["origin"]
        assert again == origin
        monkeypatch.setattr(auth_limits, "ORIGINS_MAX", 2)
        more = {"service": "generic", "params": ["more.example"]}
        answer = await ask(stage, "POST", "authorized_redirect_origins", more)
        assert "at most 2 authorized origins" in answer.json()["message"]
        path = f"authorized_redirect_origins/{origin['id']}"
        assert (await stage.manage("DELETE", path))["origin"] == origin
        answer = await ask(stage, "DELETE", path)
        assert answer.json()["hint"]["record-type"] == "app-authorized-redirect-origin"
        assert len((await stage.manage("GET", "auth"))["authorized_redirect_origins"]) == 1
        wrong = {"service": "custom-scheme", "params": ["javascript:"]}
        answer = await ask(stage, "POST", "authorized_redirect_origins", wrong)
        assert answer.json()["type"] == "validation-failed"

    play(oauth_scene(scene))


@pytest.mark.rule("A145")
def test_rules_are_pushed_and_pulled(play):
    async def scene(stage):
        assert await stage.manage("GET", "perms/pull") == {"perms": None}
        rules = {"todos": {"allow": {"view": "true"}}}
        row = (await stage.manage("POST", "rules", {"code": rules}))["rules"]
        assert row == {"app_id": stage.http.app_id, "code": rules}
        assert await stage.manage("GET", "perms/pull") == {"perms": rules}
        wrong = {"todos": {"allow": {"view": "nope("}}}
        answer = await ask(stage, "POST", "rules", {"code": wrong})
        assert answer.json()["hint"]["data-type"] == "rule"
        assert answer.json()["hint"]["errors"][0]["in"] == ["todos", "allow", "view"]
        assert await stage.manage("GET", "perms/pull") == {"perms": rules}
        assert problem_of(await ask(stage, "POST", "rules", {})) == (
            400,
            "param-missing",
            ["body", "code"],
        )
        await stage.manage("POST", "rules", {"code": None})
        assert await stage.manage("GET", "perms/pull") == {"perms": None}

    play(oauth_scene(scene))


TEMPLATE = {"email-type": "magic-code", "subject": "{code}!", "body": "<p>{code}</p>"}


@pytest.mark.rule("A146")
def test_the_template_is_set_read_and_removed(play):
    async def scene(stage):
        default = (await stage.http.ask("GET", "/dash/default-email-template")).json()
        assert default["email-type"] == "magic-code"
        assert "{code}" in default["subject"]
        assert "{code}" in default["body"]
        assert await stage.manage("GET", "email_status") == {"info": None}
        made = await stage.manage("POST", "email_templates", TEMPLATE)
        again = {**TEMPLATE, "sender-name": "App", "sender-email": default["sender-email"]}
        assert await stage.manage("POST", "email_templates", again) == made
        info = (await stage.manage("GET", "email_status"))["info"]
        assert info == {
            "id": made["id"],
            "app_id": stage.http.app_id,
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
        verification = await stage.manage("GET", "sender-verification")
        assert verification == {"instant": {"verified?": None}, "verification": None}
        await stage.manage("POST", "email_templates", {**again, "sender-email": "App@site.example"})
        info = (await stage.manage("GET", "email_status"))["info"]
        assert (info["id"], info["email"]) == (made["id"], "app@site.example")
        answer = await ask(stage, "DELETE", f"email_templates/{NOBODY}")
        assert answer.json()["hint"]["record-type"] == "app-email-template"
        assert await stage.manage("DELETE", f"email_templates/{made['id']}") == {}
        assert await stage.manage("GET", "email_status") == {"info": None}

    play(oauth_scene(scene))


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
def test_wrong_templates_are_refused(play, values, code, place):
    async def scene(stage):
        answer = await ask(stage, "POST", "email_templates", {**TEMPLATE, **values})
        body = answer.json()
        where = body["hint"].get("in") or body["hint"]["errors"][0]["in"]
        assert (body["type"], where) == (code, place)
        assert await stage.manage("GET", "email_status") == {"info": None}

    play(oauth_scene(scene))


@pytest.mark.rule("A147")
def test_test_users_come_and_go(play, monkeypatch):
    async def scene(stage):
        given = {"email": " Ann@Example.com", "code": "123456"}
        made = (await stage.manage("POST", "test_users", given))["test-user"]
        assert (made["email"], made["code"]) == ("ann@example.com", "123456")
        assert made["app_id"] == stage.http.app_id
        assert await stage.manage("GET", "test_users") == {"test-users": [made]}
        answer = await ask(stage, "POST", "test_users", given)
        assert answer.json()["type"] == "record-not-unique"
        monkeypatch.setattr(auth_limits, "TEST_USERS_MAX", 1)
        answer = await ask(stage, "POST", "test_users", {"email": "b@x.org", "code": "123456"})
        assert "at most 1 test users" in answer.json()["message"]
        assert (await stage.manage("DELETE", "test_users", {"id": made["id"]}))["test-user"] == made
        answer = await ask(stage, "DELETE", "test_users", {"id": made["id"]})
        assert answer.json()["hint"]["record-type"] == "app-test-user"
        assert await stage.manage("GET", "test_users") == {"test-users": []}
        for code in ("12345", "1234567", "12345a", "１２３４５６", 123456, None):
            answer = await ask(stage, "POST", "test_users", {"email": "b@x.org", "code": code})
            assert problem_of(answer) == (400, "param-malformed", ["body", "code"])

    play(oauth_scene(scene))


@pytest.mark.rule("A148")
def test_codes_live_as_long_as_said(play):
    async def scene(stage):
        row = (await stage.manage("POST", "set-magic-code-expiry", {"expiry": 10}))["app"]
        assert (row["id"], row["magic_code_expiry_minutes"]) == (stage.http.app_id, 10)
        app = await stage.http.apps.lend(stage.http.app_id)
        assert app.settings.code_expiry_minutes == 10
        stage.http.apps.give_back(app)
        for wrong in (0, -1, 1441, 1.5, "10", None, True):
            answer = await ask(stage, "POST", "set-magic-code-expiry", {"expiry": wrong})
            assert problem_of(answer) == (400, "param-malformed", ["body", "expiry"])
        answer = await ask(stage, "POST", "set-magic-code-expiry", {})
        assert problem_of(answer) == (400, "param-missing", ["body", "expiry"])

    play(oauth_scene(scene))


@pytest.mark.rule("A149")
def test_sign_in_methods_are_off_until_switched_on(play):
    async def scene(stage):
        now = await stage.manage("POST", "sign-in-methods", {})
        assert now == {"passwords": False, "passkeys": False}
        now = await stage.manage("POST", "sign-in-methods", {"passwords": True, "x": 1})
        assert now == {"passwords": True, "passkeys": False}
        now = await stage.manage("POST", "sign-in-methods", {"passkeys": True, "passwords": False})
        assert now == {"passwords": False, "passkeys": True}
        answer = await ask(stage, "POST", "sign-in-methods", {"passkeys": "yes"})
        assert problem_of(answer) == (400, "param-malformed", ["body", "passkeys"])

    play(oauth_scene(scene))
