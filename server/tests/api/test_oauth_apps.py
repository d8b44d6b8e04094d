"""OAuth apps, their clients and secrets, as developers manage them."""

from __future__ import annotations

import asyncio

import pytest

from support.account_http import account_of, bearer, problem_of
from support.oauth_stage import BACK, Browser, Shop
from trice import account_limits

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def shop(stage):
    return await Shop(stage).open()


@pytest.mark.rule("AC90")
async def test_an_oauth_app_is_described_and_changed(stage, shop):
    said = {
        "app_name": " The shop ",
        "granted_scopes": ["apps-read"],
        "support_email": "Help@example.com",
        "app_home_page": "https://shop.example.com",
        "app_privacy_policy_link": "https://shop.example.com/privacy",
        "app_tos_link": "http://shop.example.com/terms",
        "app_logo": "data:image/png;base64,iVBORw0KGgo=",
    }
    path = f"oauth-apps/{shop.oauth_app_id}"
    changed = (await shop.manage("POST", path, said)).json()["app"]
    assert changed["appName"] == "The shop"
    assert changed["grantedScopes"] == ["apps-read"]
    assert changed["supportEmail"] == "help@example.com"
    assert changed["isPublic"] is False
    assert changed["appLogo"] == said["app_logo"]
    assert (await shop.manage("GET", "oauth-apps")).json()["apps"] == [changed]
    cleared = (await shop.manage("POST", path, {"app_logo": None})).json()["app"]
    assert cleared == changed | {"appLogo": None}
    browser = Browser(stage, shop.headers)
    await browser.start(**shop.query(scope="apps-read"))
    shown = (await browser.claim()).json()
    assert shown["supportEmail"] == "help@example.com"
    assert shown["appTosLink"] == "http://shop.example.com/terms"


@pytest.mark.rule("AC90")
async def test_who_may_manage_them(stage, shop):
    made = await stage.ask("POST", "/dash/orgs", {"title": "o"}, shop.headers)
    org = made.json()["org"]["id"]
    await stage.ask("POST", f"/dash/apps/{shop.app_id}/transfer_to_org/{org}", None, shop.headers)
    path = f"/dash/apps/{shop.app_id}/oauth-apps"
    people = {}
    for role in ("viewer", "collaborator", "admin"):
        account, people[role] = await account_of(stage, f"{role}@example.com")
        invited = await stage.asgi.state.orgs.invite(org, account.email, role, by="owner")
        await stage.asgi.state.orgs.answer(account, invited.id, is_accepted=True)

    async def may(role, method, below="", body=None):
        answer = await stage.ask(method, path + below, body, people[role])
        assert answer.status == 200 or answer.json()["type"] == "permission-denied"
        return answer.status == 200

    one = f"/{shop.oauth_app_id}"
    assert not await may("viewer", "GET")
    assert await may("collaborator", "POST", "", {"app_name": "x"})
    assert await may("collaborator", "POST", one, {"app_name": "y"})
    assert not await may("collaborator", "POST", one, {"is_public": True})
    assert not await may("collaborator", "POST", "", {"app_name": "x", "is_public": True})
    assert not await may("collaborator", "DELETE", one)
    assert await may("admin", "POST", one, {"is_public": True})
    assert await may("admin", "DELETE", one)

    token = (await stage.ask("POST", f"/dash/apps/{shop.app_id}/tokens", {}, shop.headers)).json()
    refused = await stage.ask("GET", path, None, bearer(token["token"]))
    assert problem_of(refused) == (401, "record-not-found", "instant-user")
    _, scoped = await account_of(stage, scopes=("apps-write",))
    assert problem_of(await stage.ask("GET", path, None, scoped))[1] == "permission-denied"
    _, eve = await account_of(stage, "eve@example.com")
    assert problem_of(await stage.ask("GET", path, None, eve))[1] == "validation-failed"


@pytest.mark.rule("AC90")
async def test_those_of_another_app_are_unknown(stage, shop):
    other = await Shop(stage).open()
    one = shop.oauth_app_id
    [secret] = (await shop.manage("GET", "oauth-apps")).json()["apps"][0]["clients"][0][
        "clientSecrets"
    ]
    for method, path, body, kind in (
        ("POST", f"oauth-apps/{one}", {}, "oauth-app"),
        ("DELETE", f"oauth-apps/{one}", None, "oauth-app"),
        ("POST", f"oauth-apps/{one}/clients", {"client_name": "x"}, "oauth-app"),
        ("POST", f"oauth-app-clients/{shop.client_id}", {}, "oauth-app-client"),
        ("DELETE", f"oauth-app-clients/{shop.client_id}", None, "oauth-app-client"),
        ("POST", f"oauth-app-clients/{shop.client_id}/client-secrets", {}, "oauth-app-client"),
        ("DELETE", f"oauth-app-client-secrets/{secret['id']}", None, "oauth-app-client-secret"),
        ("DELETE", f"oauth-app-clients/{NOBODY}", None, "oauth-app-client"),
    ):
        answer = await other.manage(method, path, body)
        assert problem_of(answer) == (400, "record-not-found", kind), path


@pytest.mark.rule("AC91")
@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com/back",
        "https://ann@shop.example.com/back",
        "https://shop.example.com/back#x",
        "https://shop.example.com\\@evil.example/",
        "https:///back",
        "javascript:alert(1)",
        "data:text/html,x",
        "myapp://back",
        "//shop.example.com",
        "https://shop.example.com/" + "x" * account_limits.OAUTH_URL_CHARS_MAX,
        "https://shop.example.com/a b",
        "https://shop.example.com/\r\nset-cookie: x",
        "https://shop.example.com;script-src *",
        "https://*",
        7,
        None,
    ],
)
async def test_urls_to_return_to(shop, url):
    path = f"oauth-apps/{shop.oauth_app_id}/clients"
    body = {"client_name": "x", "authorized_redirect_urls": [url]}
    answer = await shop.manage("POST", path, body)
    assert answer.json()["type"] == "validation-failed"
    path = f"oauth-app-clients/{shop.client_id}"
    if url is not None:
        answer = await shop.manage("POST", path, {"add_redirect_url": url})
        assert answer.json()["type"] == "validation-failed"


@pytest.mark.rule("AC91")
async def test_http_on_the_own_machine_while_not_public(shop):
    local = "http://localhost:3000/back"
    path = f"oauth-app-clients/{shop.client_id}"
    client = (await shop.manage("POST", path, {"add_redirect_url": local})).json()["client"]
    assert client["authorizedRedirectUrls"] == [BACK, local]
    publish = (f"oauth-apps/{shop.oauth_app_id}", {"is_public": True})
    assert (await shop.manage("POST", *publish)).json()["type"] == "validation-failed"
    body = {"remove_redirect_url": local, "client_name": "site"}
    client = (await shop.manage("POST", path, body)).json()["client"]
    assert (client["clientName"], client["authorizedRedirectUrls"]) == ("site", [BACK])
    assert (await shop.manage("POST", *publish)).json()["app"]["isPublic"] is True
    answer = await shop.manage("POST", path, {"add_redirect_url": local})
    assert answer.json()["type"] == "validation-failed"


@pytest.mark.rule("AC91")
@pytest.mark.parametrize(
    "said",
    [
        {"app_name": ""},
        {"app_name": "x" * 101},
        {"app_name": "Bank\u202egnissam"},
        {"app_name": "a\nb"},
        {"app_name": None},
        {"granted_scopes": []},
        {"granted_scopes": ["admin"]},
        {"granted_scopes": [["apps-read"]]},
        {"granted_scopes": 5},
        {"is_public": "yes"},
        {"support_email": "x"},
        {"app_home_page": "javascript:alert(1)"},
        {"app_logo": "data:image/svg+xml;base64,AAAA"},
        {"app_logo": "https://shop.example.com/logo.png"},
        {"app_logo": "data:image/png;base64," + "A" * account_limits.OAUTH_LOGO_CHARS_MAX},
    ],
)
async def test_what_an_oauth_app_says_is_checked(shop, said):
    answer = await shop.manage("POST", f"oauth-apps/{shop.oauth_app_id}", said)
    assert answer.json()["type"] == "validation-failed"


@pytest.mark.rule("AC91")
async def test_each_has_a_bound(shop, monkeypatch):
    one = f"oauth-apps/{shop.oauth_app_id}"
    client = f"oauth-app-clients/{shop.client_id}"
    for name, count, path, body in (
        ("OAUTH_APPS_OF_APP_MAX", 2, "oauth-apps", {"app_name": "x"}),
        ("OAUTH_CLIENTS_OF_OAUTH_APP_MAX", 2, f"{one}/clients", {"client_name": "x"}),
        ("OAUTH_SECRETS_OF_CLIENT_MAX", 2, f"{client}/client-secrets", {}),
        ("OAUTH_REDIRECT_URLS_MAX", 2, client, {"add_redirect_url": "https://a.example/1"}),
    ):
        monkeypatch.setattr(account_limits, name, count)
        assert (await shop.manage("POST", path, body)).status == 200, path
        if "add_redirect_url" in body:
            body = {"add_redirect_url": "https://a.example/2"}
        answer = await shop.manage("POST", path, body)
        assert answer.json()["type"] == "parameter-limit-exceeded", path


@pytest.mark.rule("AC92")
async def test_secrets_are_shown_once(stage, shop):
    path = f"oauth-app-clients/{shop.client_id}/client-secrets"
    made = (await shop.manage("POST", path, {})).json()
    secret, former = made["secretValue"], shop.secret
    assert made["clientSecret"]["firstFour"] == secret[:4]
    listed = await shop.manage("GET", "oauth-apps")
    assert secret.encode() not in listed.body
    found = await stage.apps.platform.look(lambda look: look.find({"$oauthSecrets": {}}))
    assert secret not in str(found)
    assert "access_token" in (await shop.exchange(await shop.code(), client_secret=secret)).json()
    ended = await shop.manage("DELETE", f"oauth-app-client-secrets/{made['clientSecret']['id']}")
    assert ended.json() == {"clientSecret": made["clientSecret"]}
    refused = await shop.exchange(await shop.code(), client_secret=secret)
    assert refused.json()["error"] == "invalid_client"
    assert "access_token" in (await shop.exchange(await shop.code(), client_secret=former)).json()


@pytest.mark.rule("AC93")
@pytest.mark.parametrize("what", ["oauth app", "client", "app"])
async def test_what_is_deleted_ends_its_tokens(stage, shop, what):
    tokens, code = await shop.tokens(), await shop.code()
    if what == "oauth app":
        told = await shop.manage("DELETE", f"oauth-apps/{shop.oauth_app_id}")
        assert told.json()["app"]["clients"][0]["clientId"] == shop.client_id
    elif what == "client":
        await shop.manage("DELETE", f"oauth-app-clients/{shop.client_id}")
    else:
        await stage.ask("DELETE", f"/dash/apps/{shop.app_id}", None, shop.headers)
    assert not await shop.works(tokens["access_token"])
    assert (await shop.refresh(tokens["refresh_token"])).json()["error"] == "invalid_client"
    assert (await shop.exchange(code)).json()["error"] == "invalid_client"
    assert (await Browser(stage, shop.headers).start(**shop.query())).status == 400
    if what == "app":
        await stage.ask("POST", f"/dash/apps/{shop.app_id}/restore", None, shop.headers)
        assert await shop.works(tokens["access_token"])
        await stage.apps.delete(shop.app_id)
        await stage.asgi.state.oauth_apps.sweep()
    names = ["$oauthTokens", "$oauthSecrets", "$oauthClients"]
    names += ["$oauthApps"] if what != "client" else []
    found = await stage.apps.platform.look(lambda look: look.find({name: {} for name in names}))
    assert found == {name: [] for name in names}


@pytest.mark.rule("AC93")
async def test_a_token_is_for_what_its_oauth_app_may_ask_for(stage, shop):
    token = bearer((await shop.tokens())["access_token"])
    body = {"granted_scopes": ["apps-read"]}
    await shop.manage("POST", f"oauth-apps/{shop.oauth_app_id}", body)
    assert (await stage.ask("GET", "/superadmin/apps", None, token)).status == 200
    answer = await stage.ask("POST", "/superadmin/apps", {"title": "x"}, token)
    assert answer.json()["hint"]["required-scope"] == "apps-write"


@pytest.mark.rule("AC109")
async def test_an_account_ends_the_access_of_an_oauth_app(stage, shop):
    tokens, code = await shop.tokens(), await shop.code()
    listed = (await stage.ask("GET", "/dash/user/oauth_apps", None, shop.headers)).json()
    assert [each["name"] for each in listed["oauthApps"]] == ["Shop"]
    body = {"oauthAppId": shop.oauth_app_id}
    path = "/dash/user/oauth_apps/revoke_access"
    _, eve = await account_of(stage, "eve@example.com")
    assert (await stage.ask("POST", path, body, eve)).json() == {"oauthApps": []}
    assert await shop.works(tokens["access_token"])
    answer = await stage.ask("POST", path, body, shop.headers)
    assert answer.json() == {"oauthApps": []}
    assert not await shop.works(tokens["access_token"])
    assert (await shop.refresh(tokens["refresh_token"])).status == 400
    assert (await shop.exchange(code)).json()["error"] == "invalid_grant"


@pytest.mark.rule("AC109")
async def test_what_is_ended_leaves_no_token_that_is_just_being_made(stage, shop):
    fields = {
        "grant_type": "authorization_code",
        "code": await shop.code(),
        "redirect_uri": BACK,
        "client_id": shop.client_id,
        "client_secret": shop.secret,
    }
    made = stage.start("POST", "/platform/oauth/token", fields)
    path = "/dash/user/oauth_apps/revoke_access"
    ended = stage.start("POST", path, {"oauthAppId": shop.oauth_app_id}, shop.headers)
    answer, _ = await made.whole(), await ended.whole()
    if answer.status == 200:
        assert not await shop.works(answer.json()["access_token"])
    found = await stage.apps.platform.look(lambda look: look.find({"$oauthTokens": {}}))
    assert found["$oauthTokens"] == []


@pytest.mark.rule("AC93")
@pytest.mark.parametrize("what", ["client", "account"])
async def test_what_goes_meanwhile_gets_no_token(stage, shop, what):
    bob, headers = await account_of(stage, "bob@example.com")
    await shop.manage("POST", f"oauth-apps/{shop.oauth_app_id}", {"is_public": True})
    refresh = (await shop.exchange(await shop.code(headers))).json()["refresh_token"]
    if what == "client":
        path = f"/dash/apps/{shop.app_id}/oauth-app-clients/{shop.client_id}"
        ended = stage.start("DELETE", path, None, shop.headers)
        answer, _ = await shop.refresh(refresh), await ended.whole()
    else:
        ended = asyncio.ensure_future(stage.asgi.state.accounts.remove(bob))
        await asyncio.sleep(0)
        answer, _ = await shop.refresh(refresh), await ended
    assert answer.status == 400
    found = await stage.apps.platform.look(lambda look: look.find({"$oauthTokens": {}}))
    assert found["$oauthTokens"] == []
