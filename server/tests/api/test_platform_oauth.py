"""OAuth for applications of others: from the first page to tokens."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from support.account_http import account_of, bearer, problem_of
from support.oauth_stage import BACK, HOST, VERIFIER, Browser, Shop, back
from trice import account_limits

NOBODY = "00000000-0000-4000-8000-000000000000"
CODE = (400, "record-not-found", "oauth-code")


@pytest.fixture
async def shop(stage):
    return await Shop(stage).open(is_public=True)


@pytest.fixture
async def browser(stage, shop):
    return Browser(stage, shop.headers)


# --- beginning ----------------------------------------------------------------------------------


@pytest.mark.rule("AC94")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": NOBODY},
        {"client_id": "x"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": BACK + "/"},
        {"redirect_uri": BACK + "?x=1"},
        {"redirect_uri": BACK.replace("shop", "SHOP")},
        {"redirect_uri": BACK.replace("https", "http")},
        {"redirect_uri": BACK + "#x"},
        {"redirect_uri": BACK.replace("/back", "/../back")},
        {"redirect_uri": BACK.replace("com", "com.evil.example")},
        {"redirect_uri": BACK.replace("https://", "https://x@")},
        {"redirect_uri": "//evil.example"},
        {"redirect_uri": "javascript:alert(1)"},
        {"state": None},
        {"state": "x" * (account_limits.OAUTH_STATE_CHARS_MAX + 1)},
    ],
)
async def test_nobody_is_sent_where_the_client_did_not_register(shop, browser, changes):
    answer = await browser.start(**shop.query(**changes))
    assert answer.status == 400
    assert "location" not in answer.headers
    assert b"This sign-in cannot begin" in answer.body
    assert "set-cookie" not in answer.headers


@pytest.mark.rule("AC94")
async def test_a_parameter_stands_once(stage, shop, browser):
    await browser.start(**shop.query())
    target = "/platform/oauth/start?redirect_uri=https://evil.example&redirect_uri=" + BACK
    target += f"&client_id={shop.client_id}&state=s&scope=apps-read&response_type=code"
    answer = await stage.ask("GET", target, None, HOST)
    assert (answer.status, "location" in answer.headers) == (400, False)
    text = "/platform/oauth/start?%3Cscript%3Ealert(1)%3C/script%3E=1" + "&%3Cscript%3E"
    answer = await stage.ask("GET", text, None, HOST)
    assert b"<script>alert" not in answer.body


@pytest.mark.rule("AC95")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "apps-read admin"}, "invalid_scope"),
        ({"scope": "data-read"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
async def test_what_is_wrong_besides_is_told_to_the_client(stage, changes, error):
    shop = await Shop(stage).open(granted_scopes="apps-read apps-write")
    answer = await Browser(stage, shop.headers).start(**shop.pkce(**changes))
    told = back(answer)
    assert (told["error"], told["state"]) == (error, "s 1")
    assert told["iss"] == "http://trice.test"
    assert "code" not in told


# --- the person ---------------------------------------------------------------------------------


@pytest.mark.rule("AC98")
async def test_a_person_allows_it_or_not(stage, shop, browser):
    answer = await browser.start(**shop.query())
    assert answer.headers["location"].startswith("/platform/oauth/start?redirect-id=")
    assert "HttpOnly; SameSite=Lax" in answer.headers["set-cookie"]
    shown = (await browser.claim()).json()
    assert shown["appName"] == "Shop"
    assert shown["userEmail"] == "ann@example.com"
    assert shown["redirectOrigin"] == "https://shop.example.com"
    assert shown["scopes"] == ["apps-read", "apps-write"]
    told = back(await browser.decide("grant", shown["grantToken"]))
    assert set(told) == {"code", "state", "scope", "iss"}
    assert (told["state"], told["scope"]) == ("s 1", "apps-read apps-write")
    for word in ("grant", "deny"):
        assert (await browser.decide(word, shown["grantToken"])).status == 400

    await browser.start(**shop.query())
    shown = (await browser.claim()).json()
    told = back(await browser.decide("deny", shown["grantToken"]))
    assert told == {"error": "access_denied", "state": "s 1", "iss": "http://trice.test"}
    assert (await browser.decide("grant", shown["grantToken"])).status == 400


@pytest.mark.rule("AC98")
async def test_a_request_is_decided_in_time(stage, shop, browser):
    await browser.start(**shop.query())
    shown = (await browser.claim()).json()
    stage.runtime.advance(account_limits.OAUTH_REQUEST_MS)
    answer = await browser.decide("grant", shown["grantToken"])
    assert answer.status == 400
    assert b"It took too long" in answer.body
    assert (await browser.claim()).json()["type"] == "record-expired"


@pytest.mark.rule("AC96")
async def test_only_the_browser_that_began_decides(stage, shop, browser):
    await browser.start(**shop.query())
    other = Browser(stage, shop.headers)
    await other.start(**shop.query())
    other.request_id = browser.request_id  # the attacker's request, in the browser of a victim
    refused = (400, "record-not-found", "oauth-app-redirect")
    assert problem_of(await other.claim()) == refused
    assert problem_of(await browser.claim(cookie="")) == refused
    shown = (await browser.claim()).json()
    for answer in (
        await other.decide("grant", shown["grantToken"]),
        await browser.decide("grant", shown["grantToken"], cookie=""),
        await browser.decide("grant", "0" * 64),
        await browser.decide("grant", ""),
        await browser.decide("deny", "0" * 64),
    ):
        assert (answer.status, "location" in answer.headers) == (400, False)
    back(await browser.decide("grant", shown["grantToken"]))


@pytest.mark.rule("AC96")
async def test_the_account_that_saw_the_page_last_decides(stage, shop, browser):
    bob, headers = await account_of(stage, "bob@example.com")
    await browser.start(**shop.query())
    former = (await browser.claim()).json()
    browser.headers = headers
    shown = (await browser.claim()).json()
    assert (await browser.decide("grant", former["grantToken"])).status == 400
    code = back(await browser.decide("grant", shown["grantToken"]))["code"]
    token = (await shop.exchange(code)).json()["access_token"]
    made = await stage.ask("POST", "/superadmin/apps", {"title": "bob's"}, bearer(token))
    assert made.json()["app"]["creator_id"] == bob.id


@pytest.mark.rule("AC96")
@pytest.mark.parametrize("is_signed_in", [True, False])
async def test_a_request_is_shown_to_people_who_signed_in(stage, shop, browser, is_signed_in):
    await browser.start(**shop.query())
    if is_signed_in:  # with a token that is restricted to scopes, which could get others so
        _, browser.headers = await account_of(stage, scopes=("apps-write",))
    else:
        browser.headers = {}
    assert (await browser.claim()).status == 400
    assert "grantToken" not in (await browser.claim()).json()


@pytest.mark.rule("AC97")
async def test_what_is_not_public_is_for_members(stage):
    shop = await Shop(stage).open()
    _, headers = await account_of(stage, "bob@example.com")
    browser = Browser(stage, headers)
    await browser.start(**shop.query())
    assert (await browser.claim()).json()["type"] == "permission-denied"

    await shop.manage("POST", f"oauth-apps/{shop.oauth_app_id}", {"is_public": True})
    shown = (await browser.claim()).json()
    code = await shop.code(headers)
    tokens = (await shop.exchange(await shop.code(headers))).json()
    await shop.manage("POST", f"oauth-apps/{shop.oauth_app_id}", {"is_public": False})
    assert (await browser.decide("grant", shown["grantToken"])).status == 400
    assert (await shop.exchange(code)).json()["error"] == "unauthorized_client"
    refused = await shop.refresh(tokens["refresh_token"])
    assert refused.json()["error"] == "unauthorized_client"
    assert await shop.works((await shop.tokens())["access_token"])


@pytest.mark.rule("AC99")
async def test_no_page_of_others_takes_part(stage, shop, browser):
    await browser.start(**shop.query())
    target = f"/platform/oauth/start?redirect-id={browser.request_id}"
    page = await stage.ask("GET", target, None, {**HOST, "origin": "https://evil.example"})
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://shop.example.com;" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in page.headers
    answer = await browser.claim(origin="https://evil.example")
    assert "access-control-allow-origin" not in answer.headers
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    preflight = await stage.ask("OPTIONS", "/platform/oauth/claim", None, asked)
    assert "access-control-allow-origin" not in preflight.headers
    unknown = await stage.ask("GET", "/platform/oauth/start?redirect-id=x;y", None, HOST)
    assert "form-action 'self';" in unknown.headers["content-security-policy"]
    # Programs of other origins exchange codes, as they have no cookie.
    token = await stage.ask("POST", "/platform/oauth/token", {}, {"origin": "https://spa.example"})
    assert token.headers["access-control-allow-origin"] == "https://spa.example"


@pytest.mark.rule("AC99")
async def test_the_cookie_is_for_https_where_the_server_is(open_stage):
    stage = await open_stage(public_url="https://api.example.com")
    shop = await Shop(stage).open()
    answer = await Browser(stage, shop.headers).start(**shop.query())
    assert answer.headers["set-cookie"].endswith("; Secure")


# --- codes --------------------------------------------------------------------------------------


@pytest.mark.rule("AC100")
async def test_a_code_gives_tokens(shop):
    answer = await shop.exchange(await shop.code())
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens["access_token"].startswith("pat_")
    assert tokens["refresh_token"].startswith("prt_")
    assert tokens["expires_in"] == 1209600
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == tokens["scopes"] == "apps-read apps-write"
    assert await shop.works(tokens["access_token"])

    code = await shop.code(**shop.pkce())
    tokens = (await shop.exchange(code, client_secret=None, code_verifier=VERIFIER)).json()
    assert "refresh_token" not in tokens
    assert await shop.works(tokens["access_token"])
    code = await shop.code(**shop.pkce())
    tokens = (await shop.exchange(code, code_verifier=VERIFIER)).json()
    assert "refresh_token" in tokens


@pytest.mark.rule("AC100")
async def test_a_code_may_come_in_a_form(stage, shop):
    fields = {"grant_type": "authorization_code", "code": await shop.code(), "redirect_uri": BACK}
    fields |= {"client_id": shop.client_id, "client_secret": shop.secret}
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = await stage.ask("POST", "/platform/oauth/token", urlencode(fields).encode(), kind)
    assert answer.json()["access_token"].startswith("pat_")


@pytest.mark.rule("AC100")
@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": BACK + "/"},
        {"client_secret": None},
        {"code_verifier": VERIFIER},
        {"other": "client"},
    ],
)
async def test_the_first_try_uses_a_code_up(shop, changes):
    code = await shop.code()
    if "other" in changes:
        path = f"oauth-apps/{shop.oauth_app_id}/clients"
        body = {"client_name": "other", "authorized_redirect_urls": [BACK]}
        made = (await shop.manage("POST", path, body)).json()
        changes = {"client_id": made["client"]["clientId"], "client_secret": made["secretValue"]}
    assert (await shop.exchange(code, **changes)).status == 400
    assert problem_of(await shop.exchange(code)) == CODE


@pytest.mark.rule("AC100")
async def test_a_code_is_used_in_time(stage, shop):
    code = await shop.code()
    stage.runtime.advance(account_limits.OAUTH_REQUEST_MS)
    answer = await shop.exchange(code)
    assert (answer.json()["type"], answer.json()["error"]) == ("record-expired", "invalid_grant")


@pytest.mark.rule("AC101")
async def test_the_verifier_is_asked_for_whatever_else_proves_it(shop):
    for changes in (
        {},
        {"code_verifier": "w" * 50},
        {"code_verifier": "w" * 50, "client_secret": None},
        {"client_secret": None},
    ):
        code = await shop.code(**shop.pkce())
        assert problem_of(await shop.exchange(code, **changes)) == CODE
    code = await shop.code()
    assert problem_of(await shop.exchange(code, code_verifier=VERIFIER)) == CODE
    code = await shop.code()
    answer = await shop.exchange(code, client_secret=None)
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.rule("AC102")
async def test_a_code_that_comes_again_ends_what_it_gave(shop):
    other = await shop.tokens()
    code = await shop.code()
    tokens = (await shop.exchange(code)).json()
    more = (await shop.refresh(tokens["refresh_token"])).json()
    assert problem_of(await shop.exchange(code, client_secret=shop.secret)) == CODE
    assert not await shop.works(tokens["access_token"])
    assert not await shop.works(more["access_token"])
    assert (await shop.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert await shop.works(other["access_token"])


@pytest.mark.rule("AC102")
async def test_two_tries_at_once_leave_no_token(stage, shop):
    code = await shop.code()
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "client_id": shop.client_id,
        "client_secret": shop.secret,
    }
    tries = [stage.start("POST", "/platform/oauth/token", fields) for _ in range(3)]
    answers = [await each.whole() for each in tries]
    given = [each.json()["access_token"] for each in answers if each.status == 200]
    assert len(given) == 1
    assert not await shop.works(given[0])
