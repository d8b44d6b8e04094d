"""Attacks on sign-in with providers: other hosts, other apps, other people's answers and tokens."""

from __future__ import annotations

import pytest

from support.forged_tokens import RawRsa
from support.identity_provider import SERVER, parameters_of, rsa_key
from support.sign_in import UNKNOWN

PUBLIC = {"client_id": "web"}
EVIL = "evil.example"


async def _other_app(stage):
    """Another app with the same client and origin: its id."""
    own = stage.http.app_id, stage.http.token
    app, token = await stage.http.apps.create(title="other")
    stage.http.apps.give_back(app)
    stage.http.app_id, stage.http.token = app.id, token
    values = {"client_id": "web", "client_secret": "s" * 40}
    await stage.add_client("fake", "oidc", **values)
    origin = {"service": "generic", "params": ["site.example"]}
    await stage.manage("POST", "authorized_redirect_origins", origin)
    stage.http.app_id, stage.http.token = own
    return app.id


# --- hosts --------------------------------------------------------------------------------------


@pytest.mark.rule("A100", "A220")
@pytest.mark.parametrize("public_url", ["https://API.example/", "https://api.example"])
async def test_the_public_url_is_where_providers_send_people(open_oauth, public_url):
    oauth = await open_oauth(public_url=public_url)
    app_id = oauth.http.app_id
    headers = {"host": EVIL, "x-forwarded-proto": "http", "x-forwarded-host": EVIL}
    path = f"/runtime/{app_id}/.well-known/openid-configuration"
    found = (await oauth.http.ask("GET", path, None, headers)).json()
    assert found["token_endpoint"] == f"https://api.example/runtime/{app_id}/oauth/token"
    start = oauth.start_url().removeprefix(SERVER)
    answer = await oauth.http.ask("GET", start, None, headers)
    asked = parameters_of(answer.headers["location"])
    assert asked["redirect_uri"] == "https://api.example/runtime/oauth/callback"
    assert "Secure" in answer.headers["set-cookie"]
    assert EVIL not in str(answer.headers)


@pytest.mark.rule("A100", "A220")
async def test_the_last_of_several_scheme_headers_is_the_proxys(open_oauth):
    oauth = await open_oauth(trusted_proxies=1)
    path = f"/runtime/{oauth.http.app_id}/.well-known/openid-configuration"
    headers = {"host": "api.example", "x-forwarded-proto": "http, https"}
    found = (await oauth.http.ask("GET", path, None, headers)).json()
    assert found["token_endpoint"].startswith("https://api.example/")


# --- other people's answers ---------------------------------------------------------------------


@pytest.mark.rule("A105", "A221")
async def test_a_state_belongs_to_one_app(oauth):
    other = await _other_app(oauth)
    start = await oauth.browser.get(oauth.start_url())
    state = parameters_of(start.headers["location"])["state"]
    cookie = start.headers["set-cookie"].partition(";")[0]
    path = f"/runtime/oauth/callback?code=x&state={other}{state[36:]}"
    answer = await oauth.http.ask("GET", path, None, {"cookie": cookie})
    assert (answer.status, answer.json()["error"]) == (400, "Could not find OAuth request.")
    # The sign-in itself goes on.
    assert (await oauth.browser.come_back(start)).status_code == 302


@pytest.mark.rule("A105", "A221")
async def test_a_cookie_of_one_sign_in_does_not_finish_another(oauth):
    path = oauth.start_url().removeprefix(SERVER)
    first = await oauth.http.ask("GET", path, None, {"host": "trice.example"})
    second = await oauth.http.ask("GET", path, None, {"host": "trice.example"})
    state = parameters_of(second.headers["location"])["state"]
    for cookie, error in (
        (first.headers["set-cookie"], "Mismatch in OAuth request cookie."),
        # Nobody tries cookies one after the other: the sign-in is over.
        (second.headers["set-cookie"], "Could not find OAuth request."),
    ):
        path = f"/runtime/oauth/callback?code=x&state={state}"
        headers = {"cookie": cookie.partition(";")[0]}
        answer = await oauth.http.ask("GET", path, None, headers)
        assert (answer.status, answer.json()["error"]) == (400, error)


@pytest.mark.rule("A105", "A106")
@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "x" * 5_000])
async def test_what_a_provider_says_is_no_page(oauth, text):
    path = "/runtime/oauth/callback"
    body = f"error={text}".encode()
    answer = await oauth.http.ask("POST", path, body)
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.body) < 4_000


@pytest.mark.rule("A108", "A124")
async def test_an_answer_made_for_another_client_does_not_sign_in(oauth):
    oauth.idp.person = {"aud": "another-client"}
    returned = await oauth.sign_in()
    assert returned["error"] == "The id_token was generated for the wrong OAuth client."
    assert "code" not in returned


# --- tokens -------------------------------------------------------------------------------------


def _forged(stage, **header):
    """A good token but for its signature, which is by a key of the attacker."""
    return RawRsa(rsa_key("mine")).sign(stage.idp.claims(), **header)


@pytest.mark.rule("A121", "A222")
@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "kid"])
async def test_a_token_does_not_choose_its_key(oauth, name):
    mine = rsa_key("mine")
    value = {
        "jku": f"{oauth.idp.base}/mine",
        "x5u": f"{oauth.idp.base}/mine",
        "jwk": mine.as_dict(private=False),
        "x5c": ["MII"],
        "kid": "../../mine",
    }[name]
    oauth.idp.faults["/mine"] = (200, {"keys": [mine.as_dict(private=False)]}, {})
    answer = await oauth.send_id_token(_forged(oauth, **{"kid": "r1", name: value}))
    assert (answer.status, answer.json()["type"]) == (400, "validation-failed")
    assert "/mine" not in oauth.idp.hits


@pytest.mark.rule("A222")
@pytest.mark.parametrize("kid", ["' OR 1=1 --", "/dev/null", "\x00", {"a": 1}, ["r1"], 5, None])
async def test_a_kid_is_a_name_and_nothing_else(oauth, kid):
    answer = await oauth.send_id_token(_forged(oauth, kid=kid))
    assert (answer.status, answer.json()["type"]) == (400, "validation-failed")


@pytest.mark.rule("A124", "A222")
async def test_a_token_for_another_app_of_the_provider_signs_nobody_in(open_oauth):
    """What makes this an attack: any app that people sign in to holds such tokens of theirs."""
    oauth = await open_oauth(client=PUBLIC)
    answer = await oauth.send_id_token(oauth.idp.id_token(aud="evil-app"))
    assert answer.json()["hint"]["data-type"] == "id_token"
    assert await oauth.rows("$users") == []


@pytest.mark.rule("A122", "A222")
async def test_a_nonce_holds_a_token_to_its_page(oauth):
    """A stolen token is worth nothing without the nonce that only the page knows."""
    token = oauth.idp.id_token(nonce="n-1")
    for nonce in (None, "", "n-2"):
        answer = await oauth.send_id_token(token, nonce=nonce)
        assert answer.status == 400
    assert (await oauth.send_id_token(token, nonce="n-1")).status == 200


@pytest.mark.rule("A98", "A222")
@pytest.mark.parametrize(
    "document",
    [
        {"id_token_signing_alg_values_supported": 5},
        {"id_token_signing_alg_values_supported": "RS256"},
        {"id_token_signing_alg_values_supported": [None, {}, "none"]},
        {"jwks_uri": ["x"]},
        {"jwks_uri": "file:///etc/passwd"},
        {"issuer": {}},
        {"issuer": ""},
    ],
)
async def test_a_broken_provider_is_no_bug_of_ours(oauth, document):
    oauth.idp.discovery = document
    answer = await oauth.send_id_token(oauth.idp.id_token())
    assert answer.status in (200, 400), answer.body
    assert answer.json().get("type") != "unknown"


@pytest.mark.rule("A103", "A223")
@pytest.mark.parametrize(
    "uri",
    [
        f"https://{EVIL}/in",
        f"https://site.example@{EVIL}/in",
        f"https://site.example:x@{EVIL}/",
        f"https://site.example.{EVIL}/",
        f"https://{EVIL}/site.example",
        f"https://{EVIL}?site.example",
        f"https://{EVIL}#site.example",
        f"https://{EVIL}\\@site.example/",
        f"https:\\\\{EVIL}/site.example",
        f"//{EVIL}/in",
        f"///{EVIL}/in",
        f"https:{EVIL}/in",
        f"https:///{EVIL}/in",
        "https://site.example%2eevil.example/",
        f"https://site.example%00.{EVIL}/",
        f"https://site.example%09.{EVIL}/",
        "https://site.example:443/in",
        "https://site.example./in",
        "https://SITE。example/",
        "https://ｓite.example/",
        "javascript://site.example/%0aalert(1)",
        "data://site.example/,x",
        "JaVaScRiPt:alert(1)",
        "\tjavascript:alert(1)",
        "https://site.example/in\r\nset-cookie: a=b",
        f"https://site.example/in\nlocation: https://{EVIL}",
        "",
        "/in",
        "site.example/in",
    ],
)
async def test_people_are_sent_to_nobody_elses_page(oauth, uri):
    answer = await oauth.browser.get(oauth.start_url(redirect_uri=uri))
    assert answer.status_code == 400, answer.headers
    assert "location" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert answer.json()["type"] in ("validation-failed", "param-malformed")


@pytest.mark.rule("A106", "A223")
@pytest.mark.parametrize("state", ['"><script>alert(1)</script>', "a&code=forged", "a\r\nb: c"])
async def test_an_apps_own_state_stays_one_parameter(oauth, state):
    returned = await oauth.sign_in(state=state)
    assert returned["state"] == state
    assert len(returned["code"]) == len(UNKNOWN)
    assert set(returned) == {"state", "code", "_instant_oauth_redirect"}


@pytest.mark.rule("A106", "A223")
async def test_the_page_that_opens_a_native_app_quotes_its_address(oauth):
    origin = {"service": "custom-scheme", "params": ["myapp://"]}
    await oauth.manage("POST", "authorized_redirect_origins", origin)
    for uri in ("myapp://in/'onclick=x", "myapp://in?a=';alert(1)//"):
        start = await oauth.browser.get(
            oauth.start_url(redirect_uri=uri, state='"><img src=x onerror=alert(1)>')
        )
        page = await oauth.browser.come_back(start)
        assert page.status_code == 200
        assert "<img" not in page.text
        assert "'onclick" not in page.text and "';alert" not in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.rule("A112", "A221")
async def test_a_stolen_code_is_worth_nothing_without_the_verifier(oauth):
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
    returned = await oauth.sign_in(code_challenge=challenge, code_challenge_method="S256")
    for verifier in (None, challenge, "x"):
        more = {} if verifier is None else {"code_verifier": verifier}
        answer = await oauth.exchange(returned["code"], **more)
        assert answer.status == 400
    assert await oauth.rows("$users") == []
