"""Tokens of OAuth: refreshed, used, revoked, ended with what they come of."""

from __future__ import annotations

import pytest

from support.account_http import account_of, bearer, problem_of
from support.oauth_stage import Browser, Shop
from trice import account_limits

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def shop(stage):
    return await Shop(stage).open(is_public=True)


@pytest.fixture
async def browser(stage, shop):
    return Browser(stage, shop.headers)


@pytest.mark.rule("AC103")
async def test_a_refresh_token_gives_access_tokens(shop):
    tokens = await shop.tokens()
    more = (await shop.refresh(tokens["refresh_token"])).json()
    assert set(more) == set(tokens) - {"refresh_token"}
    assert await shop.works(more["access_token"])
    assert await shop.works(tokens["access_token"])
    fewer = (await shop.refresh(tokens["refresh_token"], scope="apps-read")).json()
    assert fewer["scope"] == "apps-read"
    wider = await shop.refresh(tokens["refresh_token"], scope="apps-read data-read")
    assert wider.json()["error"] == "invalid_scope"
    for changes, error in (
        ({"client_secret": "x"}, "invalid_client"),
        ({"client_secret": None}, "invalid_request"),
        ({"client_id": NOBODY}, "invalid_client"),
        ({"refresh_token": tokens["access_token"]}, "invalid_grant"),
        ({"refresh_token": "prt_" + "0" * 64}, "invalid_grant"),
    ):
        refused = await shop.ask_token(
            **{
                "grant_type": "refresh_token",
                "refresh_token": tokens["refresh_token"],
                "client_id": shop.client_id,
                "client_secret": shop.secret,
            }
            | changes
        )
        assert refused.json()["error"] == error


@pytest.mark.rule("AC103")
async def test_another_client_cannot_refresh(shop):
    tokens = await shop.tokens()
    path = f"oauth-apps/{shop.oauth_app_id}/clients"
    made = (await shop.manage("POST", path, {"client_name": "other"})).json()
    other = {"client_id": made["client"]["clientId"], "client_secret": made["secretValue"]}
    answer = await shop.refresh(tokens["refresh_token"], **other)
    assert problem_of(answer) == (400, "record-not-found", "oauth-refresh-token")


@pytest.mark.rule("AC103")
async def test_the_newest_tokens_work(stage, shop):
    refresh = []
    for _ in range(account_limits.OAUTH_REFRESH_TOKENS_MAX + 1):
        stage.runtime.advance(1)
        refresh.append((await shop.tokens())["refresh_token"])
    assert (await shop.refresh(refresh[0])).status == 400
    access = []
    for _ in range(account_limits.OAUTH_ACCESS_TOKENS_MAX + 1):
        stage.runtime.advance(1)
        access.append((await shop.refresh(refresh[1])).json()["access_token"])
    assert not await shop.works(access[0])
    assert await shop.works(access[1])
    assert await shop.works(access[-1])


@pytest.mark.rule("AC104")
async def test_an_access_token_does_what_it_is_for(stage, shop):
    read = bearer((await shop.tokens(scope="apps-read"))["access_token"])
    app = f"/apps/{shop.app_id}"
    for path in ("/superadmin/apps", "/superadmin/orgs", f"/superadmin{app}", f"/dash{app}"):
        assert (await stage.ask("GET", path, None, read)).status == 200
    data = {**read, "app-id": shop.app_id}
    for method, path, body, headers, scope in (
        ("POST", "/superadmin/apps", {"title": "x"}, read, "apps-write"),
        ("POST", f"/superadmin{app}", {"title": "x"}, read, "apps-write"),
        ("DELETE", f"/superadmin{app}", None, read, "apps-write"),
        ("POST", "/admin/query", {"query": {}}, data, "data-read"),
        ("POST", "/admin/transact", {"steps": []}, data, "data-write"),
        ("GET", "/admin/storage/files", None, data, "storage-read"),
    ):
        answer = await stage.ask(method, path, body, headers)
        assert answer.json()["hint"].get("required-scope") == scope, path
    _, eve = await account_of(stage, "eve@example.com")
    made = (await stage.ask("POST", "/superadmin/apps", {"title": "eve's"}, eve)).json()["app"]
    answer = await stage.ask("GET", f"/superadmin/apps/{made['id']}", None, read)
    assert answer.json()["type"] == "validation-failed"


@pytest.mark.rule("AC104")
async def test_an_access_token_does_nothing_with_the_account(stage, shop):
    scopes = " ".join(f"{of}-write" for of in ("apps", "data", "storage"))
    token = bearer((await shop.tokens(scope=scopes))["access_token"])
    app = f"/dash/apps/{shop.app_id}"
    for method, path, body in (
        ("GET", "/dash", None),
        ("GET", "/dash/me", None),
        ("POST", "/dash/signout", None),
        ("POST", "/dash/password", {"password": "correct horse battery"}),
        ("GET", "/dash/personal_access_tokens", None),
        ("POST", "/dash/personal_access_tokens", {"name": "x"}),
        ("DELETE", f"/dash/personal_access_tokens/{NOBODY}", None),
        ("POST", "/dash/cli/auth/claim", {"ticket": NOBODY}),
        ("POST", "/platform/oauth/claim", {"redirect": NOBODY}),
        ("GET", "/dash/user/oauth_apps", None),
        ("POST", "/dash/user/oauth_apps/revoke_access", {"oauthAppId": NOBODY}),
        ("GET", f"{app}/oauth-apps", None),
        ("POST", f"{app}/oauth-apps", {"app_name": "x"}),
        ("POST", f"{app}/tokens", {}),
        ("POST", "/dash/invites/accept", {"invite-id": NOBODY}),
    ):
        answer = await stage.ask(method, path, body, token)
        assert answer.json()["type"] == "permission-denied", path


@pytest.mark.rule("AC105")
async def test_an_access_token_lasts_two_weeks(stage, shop):
    token = (await shop.tokens(scope="apps-read"))["access_token"]
    target = f"/platform/oauth/token-info?access_token={token}"
    stage.runtime.advance(1000)
    told = (await stage.ask("GET", target)).json()
    life_s = account_limits.OAUTH_ACCESS_TOKEN_MS // 1000
    assert told == {
        "expires_in": life_s - 1,
        "token_type": "Bearer",
        "scope": "apps-read",
        "scopes": "apps-read",
    }
    stage.runtime.advance(account_limits.OAUTH_ACCESS_TOKEN_MS)
    expired = (400, "record-expired", "oauth-access-token")
    assert problem_of(await stage.ask("GET", target)) == expired
    assert problem_of(await stage.ask("GET", "/superadmin/apps", None, bearer(token))) == expired
    await stage.asgi.state.oauth_tokens.delete_expired()
    unknown = (400, "record-not-found", "oauth-access-token")
    assert problem_of(await stage.ask("GET", target)) == unknown
    assert problem_of(await stage.ask("GET", "/superadmin/apps", None, bearer(token))) == unknown
    wrong = await stage.ask("GET", "/platform/oauth/token-info?access_token=per_1")
    assert problem_of(wrong) == (400, "validation-failed", None)


@pytest.mark.rule("AC106")
async def test_tokens_are_revoked(stage, shop):
    tokens = await shop.tokens()
    more = (await shop.refresh(tokens["refresh_token"])).json()
    for token in ("pat_" + "0" * 64, "nothing", tokens["access_token"], tokens["access_token"]):
        answer = await stage.ask("POST", "/platform/oauth/revoke", {"token": token})
        assert (answer.status, answer.json()) == (200, {})
    assert not await shop.works(tokens["access_token"])
    assert await shop.works(more["access_token"])
    target = f"/platform/oauth/revoke?token={tokens['refresh_token']}"
    assert (await stage.ask("POST", target)).json() == {}
    assert not await shop.works(more["access_token"])
    assert (await shop.refresh(tokens["refresh_token"])).status == 400


@pytest.mark.rule("AC107")
async def test_an_account_that_is_removed_acts_no_more(stage, shop):
    bob, headers = await account_of(stage, "bob@example.com")
    code = await shop.code(headers)
    tokens = (await shop.exchange(await shop.code(headers))).json()
    await stage.asgi.state.accounts.remove(bob)
    assert not await shop.works(tokens["access_token"])
    assert (await shop.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    await account_of(stage, "bob@example.com")
    assert (await shop.exchange(code)).json()["error"] == "invalid_grant"
    found = await stage.apps.platform.look(lambda look: look.find({"$oauthTokens": {}}))
    assert found["$oauthTokens"] == []


@pytest.mark.rule("AC108")
async def test_what_waits_is_bounded(stage, shop, browser, monkeypatch):
    monkeypatch.setattr(account_limits, "OAUTH_REQUESTS_MAX", 2)
    await browser.start(**shop.query())
    await shop.code()
    answer = await browser.start(**shop.query())
    assert answer.json()["type"] == "overloaded"
    stage.runtime.advance(account_limits.OAUTH_REQUEST_MS)
    assert (await browser.start(**shop.query())).status == 302


@pytest.mark.rule("AC108")
async def test_starts_of_a_network_are_counted(shop, browser):
    for _ in range(account_limits.OAUTH_STARTS_OF_NETWORK_PER_HOUR):
        answer = await browser.start(client_id=NOBODY)
        assert answer.status == 400
    assert (await browser.start(client_id=NOBODY)).json()["type"] == "rate-limited"


@pytest.mark.rule("AC108")
async def test_tokens_of_an_account_are_bounded(shop, monkeypatch):
    monkeypatch.setattr(account_limits, "OAUTH_TOKENS_OF_ACCOUNT_MAX", 2)
    await shop.tokens()
    answer = await shop.exchange(await shop.code())
    assert answer.json()["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("AC110")
async def test_errors_are_those_of_oauth_too(shop):
    for fields, error in (
        ({}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": 5}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x" * 3000}, "invalid_request"),
    ):
        answer = await shop.ask_token(**fields)
        body = answer.json()
        assert (answer.status, body["error"]) == (400, error)
        assert body["error_description"] == body["message"]
        assert isinstance(body["hint"], dict)
    answer = await shop.exchange("0" * 64)
    assert answer.json()["error"] == "invalid_grant"
    answer = await shop.exchange(await shop.code(), client_secret="wrong")
    assert answer.json()["error"] == "invalid_client"
    assert answer.json()["hint"]["record-type"] == "oauth-app-client-secret"


@pytest.mark.rule("AC105")
async def test_an_unknown_access_token_is_told_so_on_routes_of_the_dashboard_too(stage, shop):
    unknown = (400, "record-not-found", "oauth-access-token")
    headers = bearer("pat_" + "0" * 64)
    for path in (f"/dash/apps/{shop.app_id}", f"/superadmin/apps/{shop.app_id}"):
        assert problem_of(await stage.ask("GET", path, None, headers)) == unknown
    data = {**headers, "app-id": shop.app_id}
    assert problem_of(await stage.ask("POST", "/admin/query", {"query": {}}, data)) == unknown


@pytest.mark.rule("AC113")
@pytest.mark.parametrize("who", ["data-read", "viewer", "admin token"])
async def test_a_live_query_takes_no_messages(stage, shop, who):
    """Whoever may only read must not write through the session of a live query."""
    row = await stage.asgi.state.orgs.create(
        stage.asgi.state.accounts.find_by_email("ann@example.com"), "Bakery"
    )
    await stage.apps.give(shop.app_id, org=row.id)
    if who == "data-read":
        headers = bearer((await shop.tokens(scope="data-read"))["access_token"])
    elif who == "viewer":
        bob, headers = await account_of(stage, "bob@example.com")
        invited = await stage.asgi.state.orgs.invite(row.id, bob.email, "viewer", by="owner")
        await stage.asgi.state.orgs.answer(bob, invited.id, is_accepted=True)
    else:
        path = f"/dash/apps/{shop.app_id}/tokens"
        made = (await stage.ask("POST", path, {}, shop.headers)).json()
        headers = bearer(made["token"])
    headers |= {"app-id": shop.app_id}
    query = {"query": {"todos": {}}}
    events = stage.start("POST", "/admin/subscribe-query", query, headers)
    hello = await events.event(0)
    step = ["add-triple", NOBODY, NOBODY, "x"]
    message = {"op": "transact", "client-event-id": "1", "tx-steps": [step]}
    body = {"messages": [message], "machine_id": hello["machine-id"]}
    body |= {"session_id": hello["session-id"], "sse_token": hello["sse-token"]}
    for path in ("/admin/sse/push", "/runtime/sse"):
        answer = await stage.ask("POST", path, body, headers)
        assert (answer.status, answer.json()["type"]) == (400, "session-missing")
    await events.hang_up()


@pytest.mark.rule("AC113")
@pytest.mark.parametrize("what", ["nothing", "revoked", "over", "scope", "role", "account"])
async def test_a_stream_ends_once_its_token_may_no_more(stage, shop, what):
    state = stage.asgi.state
    bob, bobs = await account_of(stage, "bob@example.com")
    org = await state.orgs.create(state.accounts.find_by_email("ann@example.com"), "Bakery")
    await stage.apps.give(shop.app_id, org=org.id)
    invited = await state.orgs.invite(org.id, bob.email, "viewer", by="owner")
    await state.orgs.answer(bob, invited.id, is_accepted=True)
    code = await shop.code(bobs, scope="data-read")
    token = (await shop.exchange(code)).json()["access_token"]
    headers = bearer(token) | {"app-id": shop.app_id}
    events = stage.start("POST", "/admin/subscribe-query", {"query": {}}, headers)
    await events.event(1)
    if what == "revoked":
        await stage.ask("POST", "/platform/oauth/revoke", {"token": token})
    elif what == "over":
        stage.runtime.advance(account_limits.OAUTH_ACCESS_TOKEN_MS)
    elif what == "scope":
        body = {"granted_scopes": ["apps-read"]}
        await shop.manage("POST", f"oauth-apps/{shop.oauth_app_id}", body)
    elif what == "role":
        await state.orgs.change_member(org.id, invited.id, None, by="owner")
    elif what == "account":
        await state.accounts.remove(bob)
    await state.account_streams.check_all()
    if what == "nothing":
        assert len(state.streams) == 1
        await events.hang_up()
    else:
        await events.whole()
    assert state.streams == {}
    await state.account_streams.check_all()
