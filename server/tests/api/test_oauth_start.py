"""The first step of signing in by redirects: to the provider's page."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlencode

import pytest

from support.identity_provider import SERVER, SITE, parameters_of

NOBODY = "00000000-0000-4000-8000-000000000000"
CALLBACK = f"{SERVER}/runtime/oauth/callback"


@pytest.mark.rule("A100")
async def test_libraries_find_the_endpoints(oauth):
    url = f"{SERVER}/runtime/{oauth.http.app_id}/.well-known/openid-configuration"
    answer = await oauth.browser.get(url)
    base = f"{SERVER}/runtime/{oauth.http.app_id}/oauth"
    assert answer.json() == {
        "authorization_endpoint": f"{base}/start",
        "token_endpoint": f"{base}/token",
    }


@pytest.mark.rule("A100")
async def test_a_trusted_proxy_tells_the_scheme(open_oauth):
    oauth = await open_oauth(trusted_proxies=1)
    path = f"/runtime/{oauth.http.app_id}/.well-known/openid-configuration"
    headers = {"host": "api.example", "x-forwarded-proto": "https"}
    answer = await oauth.http.ask("GET", path, None, headers)
    assert answer.json()["token_endpoint"].startswith("https://api.example/")


@pytest.mark.rule("A100")
async def test_without_a_proxy_nobody_tells_the_scheme(oauth):
    path = f"/runtime/{oauth.http.app_id}/.well-known/openid-configuration"
    headers = {"host": "api.example", "x-forwarded-proto": "https"}
    answer = await oauth.http.ask("GET", path, None, headers)
    assert answer.json()["token_endpoint"].startswith("http://api.example/")
    for host in ("a b", "x@y", "a/b", ""):
        answer = await oauth.http.ask("GET", path, None, {"host": host})
        assert answer.json()["type"] == "param-malformed", host


@pytest.mark.rule("A101")
async def test_start_sends_to_the_provider(oauth):
    answer = await oauth.browser.get(oauth.start_url(state="own", hd="example.com"))
    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "no-store"
    location = answer.headers["location"]
    assert location.startswith(f"{oauth.idp.base}/authorize?")
    sent = parameters_of(location)
    state = sent.pop("state")
    assert (len(state), state[:36]) == (72, oauth.http.app_id)
    assert sent == {
        "scope": "email openid",
        "response_type": "code",
        "response_mode": "form_post",
        "client_id": "web",
        "redirect_uri": CALLBACK,
        "hd": "example.com",
    }
    [row] = await oauth.rows("$oauthRedirects")
    raw = bytes.fromhex(state[36:].replace("-", ""))
    assert row["stateHash"] == hashlib.sha256(raw).hexdigest()
    assert row["redirectUrl"] == f"{SITE}/in?state=own"
    assert row["redirectTo"] == CALLBACK
    cookie = re.fullmatch(r"__session=instantdb_([0-9a-f-]{36});.*", answer.headers["set-cookie"])
    raw = bytes.fromhex(cookie[1].replace("-", ""))
    assert row["cookieHash"] == hashlib.sha256(raw).hexdigest()


@pytest.mark.rule("A101")
async def test_start_below_the_app_takes_the_name_as_client_id(oauth):
    query = urlencode({"client_id": "oidc", "redirect_uri": f"{SITE}/in"})
    url = f"{SERVER}/runtime/{oauth.http.app_id}/oauth/start?{query}"
    assert (await oauth.browser.get(url)).status_code == 302


@pytest.mark.rule("A101")
async def test_a_client_may_return_through_its_own_site(oauth):
    custom = f"{SITE}/callback"
    await oauth.manage("POST", f"oauth_clients/{oauth.client['id']}", {"redirect_to": custom})
    start = await oauth.browser.get(oauth.start_url())
    assert parameters_of(start.headers["location"])["redirect_uri"] == custom
    page = await oauth.browser.get(start.headers["location"])
    back = await oauth.browser.submit(page, to=CALLBACK)
    assert "code" in parameters_of(back.headers["location"])


@pytest.mark.rule("A102")
async def test_start_sends_to_github_without_a_form(oauth):
    await oauth.add_client("github", "gh", client_id="web", client_secret="s" * 40)
    answer = await oauth.browser.get(oauth.start_url(client_name="gh"))
    location = answer.headers["location"]
    assert location.startswith(oauth.idp.github_urls.authorize)
    sent = parameters_of(location)
    assert sent["scope"] == "read:user user:email"
    assert "response_mode" not in sent


@pytest.mark.rule("A101")
@pytest.mark.parametrize(
    ("parameters", "code", "place"),
    [
        ({"app_id": "x"}, "param-malformed", ["params", "app_id"]),
        ({"app_id": NOBODY}, "record-not-found", None),
        ({"client_name": ""}, "record-not-found", None),
        ({"client_name": "nope"}, "record-not-found", None),
        ({"client_name": "x" * 3000}, "param-malformed", ["params", "client_name"]),
        ({"redirect_uri": ""}, "param-malformed", ["params", "redirect_uri"]),
        ({"code_challenge": "c", "code_challenge_method": "S512"}, "validation-failed", None),
    ],
)
async def test_start_refuses(oauth, parameters, code, place):
    answer = (await oauth.browser.get(oauth.start_url(**parameters))).json()
    assert answer["type"] == code
    assert place is None or answer["hint"]["in"] == place
    assert await oauth.rows("$oauthRedirects") == []


@pytest.mark.rule("A101")
async def test_start_names_the_missing_client(oauth):
    answer = (await oauth.browser.get(oauth.start_url(client_name="nope"))).json()
    assert answer["hint"]["record-type"] == "app-oauth-client"


@pytest.mark.rule("A103")
@pytest.mark.parametrize(
    "uri", ["https://evil.example/", "https://site.example@evil.example/", "/in", "javascript:0"]
)
async def test_start_returns_to_authorized_places_only(oauth, uri):
    answer = await oauth.browser.get(oauth.start_url(redirect_uri=uri))
    body = answer.json()
    assert (answer.status_code, body["type"]) == (400, "validation-failed")
    assert body["hint"]["data-type"] == "redirect-uri"
    assert body["message"].startswith("Invalid redirect_uri.")


@pytest.mark.rule("A104")
@pytest.mark.parametrize(
    ("host", "is_secure"),
    [("localhost:8888", False), ("127.0.0.1:8888", False), ("api.example", True)],
)
async def test_the_cookie_is_for_secure_sites_unless_local(oauth, host, is_secure):
    path = oauth.start_url().removeprefix(SERVER)
    cookie = (await oauth.http.ask("GET", path, None, {"host": host})).headers["set-cookie"]
    assert "; Path=/runtime/oauth; Max-Age=3600; HttpOnly" in cookie
    assert ("; SameSite=None; Secure" in cookie) is is_secure
