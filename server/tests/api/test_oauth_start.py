"""The first step of signing in by redirects: to the provider's page."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlencode

import pytest

from support.identity_provider import SERVER, SITE, oauth_scene, parameters_of

NOBODY = "00000000-0000-4000-8000-000000000000"
CALLBACK = f"{SERVER}/runtime/oauth/callback"


@pytest.mark.rule("A100")
def test_libraries_find_the_endpoints(play):
    async def scene(stage):
        url = f"{SERVER}/runtime/{stage.http.app_id}/.well-known/openid-configuration"
        answer = await stage.browser.get(url)
        base = f"{SERVER}/runtime/{stage.http.app_id}/oauth"
        assert answer.json() == {
            "authorization_endpoint": f"{base}/start",
            "token_endpoint": f"{base}/token",
        }

    play(oauth_scene(scene))


@pytest.mark.rule("A100")
def test_a_trusted_proxy_tells_the_scheme(play):
    async def scene(stage):
        path = f"/runtime/{stage.http.app_id}/.well-known/openid-configuration"
        headers = {"host": "api.example", "x-forwarded-proto": "https"}
        answer = await stage.http.ask("GET", path, None, headers)
        return answer.json()["token_endpoint"]

    seen = []

    async def record(stage):
        seen.append(await scene(stage))

    play(oauth_scene(record), trusted_proxies=1)
    assert seen[0].startswith("https://api.example/")


@pytest.mark.rule("A100")
def test_without_a_proxy_nobody_tells_the_scheme(play):
    async def scene(stage):
        path = f"/runtime/{stage.http.app_id}/.well-known/openid-configuration"
        headers = {"host": "api.example", "x-forwarded-proto": "https"}
        answer = await stage.http.ask("GET", path, None, headers)
        assert answer.json()["token_endpoint"].startswith("http://api.example/")
        for host in ("a b", "x@y", "a/b", ""):
            answer = await stage.http.ask("GET", path, None, {"host": host})
            assert answer.json()["type"] == "param-malformed", host

    play(oauth_scene(scene))


@pytest.mark.rule("A101")
def test_start_sends_to_the_provider(play):
    async def scene(stage):
        answer = await stage.browser.get(stage.start_url(state="own", hd="example.com"))
        assert answer.status_code == 302
        assert answer.headers["cache-control"] == "no-store"
        location = answer.headers["location"]
        assert location.startswith(f"{stage.idp.base}/authorize?")
        sent = parameters_of(location)
        state = sent.pop("state")
        assert (len(state), state[:36]) == (72, stage.http.app_id)
        assert sent == {
            "scope": "email openid",
            "response_type": "code",
            "response_mode": "form_post",
            "client_id": "web",
            "redirect_uri": CALLBACK,
            "hd": "example.com",
        }
        [row] = await stage.rows("$oauthRedirects")
        raw = bytes.fromhex(state[36:].replace("-", ""))
        assert row["stateHash"] == hashlib.sha256(raw).hexdigest()
        assert row["redirectUrl"] == f"{SITE}/in?state=own"
        assert row["redirectTo"] == CALLBACK
        cookie = re.fullmatch(
            r"__session=instantdb_([0-9a-f-]{36});.*", answer.headers["set-cookie"]
        )
        raw = bytes.fromhex(cookie[1].replace("-", ""))
        assert row["cookieHash"] == hashlib.sha256(raw).hexdigest()

    play(oauth_scene(scene))


@pytest.mark.rule("A101")
def test_start_below_the_app_takes_the_name_as_client_id(play):
    async def scene(stage):
        query = urlencode({"client_id": "oidc", "redirect_uri": f"{SITE}/in"})
        url = f"{SERVER}/runtime/{stage.http.app_id}/oauth/start?{query}"
        assert (await stage.browser.get(url)).status_code == 302

    play(oauth_scene(scene))


@pytest.mark.rule("A101")
def test_a_client_may_return_through_its_own_site(play):
    async def scene(stage):
        custom = f"{SITE}/callback"
        await stage.manage("POST", f"oauth_clients/{stage.client['id']}", {"redirect_to": custom})
        start = await stage.browser.get(stage.start_url())
        assert parameters_of(start.headers["location"])["redirect_uri"] == custom
        page = await stage.browser.get(start.headers["location"])
        back = await stage.browser.submit(page, to=CALLBACK)
        assert "code" in parameters_of(back.headers["location"])

    play(oauth_scene(scene))


@pytest.mark.rule("A102")
def test_start_sends_to_github_without_a_form(play):
    async def scene(stage):
        await stage.add_client("github", "gh", client_id="web", client_secret="s" * 40)
        answer = await stage.browser.get(stage.start_url(client_name="gh"))
        location = answer.headers["location"]
        assert location.startswith(stage.idp.github_urls.authorize)
        sent = parameters_of(location)
        assert sent["scope"] == "read:user user:email"
        assert "response_mode" not in sent

    play(oauth_scene(scene))


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
def test_start_refuses(play, parameters, code, place):
    async def scene(stage):
        answer = (await stage.browser.get(stage.start_url(**parameters))).json()
        assert answer["type"] == code
        assert place is None or answer["hint"]["in"] == place
        assert await stage.rows("$oauthRedirects") == []

    play(oauth_scene(scene))


@pytest.mark.rule("A101")
def test_start_names_the_missing_client(play):
    async def scene(stage):
        answer = (await stage.browser.get(stage.start_url(client_name="nope"))).json()
        assert answer["hint"]["record-type"] == "app-oauth-client"

    play(oauth_scene(scene))


@pytest.mark.rule("A103")
@pytest.mark.parametrize(
    "uri", ["https://evil.example/", "https://site.example@evil.example/", "/in", "javascript:0"]
)
def test_start_returns_to_authorized_places_only(play, uri):
    async def scene(stage):
        answer = await stage.browser.get(stage.start_url(redirect_uri=uri))
        body = answer.json()
        assert (answer.status_code, body["type"]) == (400, "validation-failed")
        assert body["hint"]["data-type"] == "redirect-uri"
        assert body["message"].startswith("Invalid redirect_uri.")

    play(oauth_scene(scene))


@pytest.mark.rule("A104")
@pytest.mark.parametrize(
    ("host", "is_secure"),
    [("localhost:8888", False), ("127.0.0.1:8888", False), ("api.example", True)],
)
def test_the_cookie_is_for_secure_sites_unless_local(play, host, is_secure):
    async def scene(stage):
        path = stage.start_url().removeprefix(SERVER)
        cookie = (await stage.http.ask("GET", path, None, {"host": host})).headers["set-cookie"]
        assert "; Path=/runtime/oauth; Max-Age=3600; HttpOnly" in cookie
        assert ("; SameSite=None; Secure" in cookie) is is_secure

    play(oauth_scene(scene))
