"""The last step of signing in by redirects: a code for an account."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode

import pytest

from support.identity_provider import SITE
from trice import auth_limits

NOBODY = "00000000-0000-4000-8000-000000000000"
MINUTE_MS = 60_000


@pytest.mark.rule("A112")
async def test_a_code_works_once(oauth):
    code = (await oauth.sign_in())["code"]
    assert (await oauth.exchange(code)).status == 200
    again = (await oauth.exchange(code)).json()
    assert (again["type"], again["hint"]["record-type"]) == (
        "record-not-found",
        "app-oauth-code",
    )


@pytest.mark.rule("A112")
@pytest.mark.parametrize(("minutes", "code"), [(5.99, None), (6, "record-expired")])
async def test_a_code_has_five_minutes(oauth, minutes, code):
    given = (await oauth.sign_in())["code"]
    oauth.http.runtime.advance(minutes * MINUTE_MS)
    answer = await oauth.exchange(given)
    assert answer.json().get("type") == code
    again = (await oauth.exchange(given)).json()
    assert again["type"] == "record-not-found"


@pytest.mark.rule("A112")
async def test_libraries_send_a_form_below_the_app(oauth):
    code = (await oauth.sign_in())["code"]
    form = urlencode({"code": code, "grant_type": "authorization_code"}).encode()
    path = f"/runtime/{oauth.http.app_id}/oauth/token"
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    answer = await oauth.http.ask("POST", path, form, headers)
    assert answer.json()["created"] is True


@pytest.mark.rule("A112")
@pytest.mark.parametrize(
    ("form", "code"),
    [
        (b"code=x", "param-malformed"),
        (b"", "param-missing"),
        (b"code=%FF\xff", "param-malformed"),
        (b"&".join(b"a=1" for _ in range(60)), "param-malformed"),
        (b"a=" + b"x" * auth_limits.OAUTH_FORM_BYTES_MAX, "message-too-big"),
    ],
)
async def test_forms_are_bounded(oauth, form, code):
    path = f"/runtime/{oauth.http.app_id}/oauth/token"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await oauth.http.ask("POST", path, form, headers)
    assert answer.json()["type"] == code


@pytest.mark.rule("A112")
async def test_codes_belong_to_one_app(oauth):
    code = (await oauth.sign_in())["code"]
    other, _ = await oauth.http.apps.create(title="other", is_open=True)
    oauth.http.apps.give_back(other)
    body = {"app_id": other.id, "code": code}
    answer = (await oauth.http.ask("POST", "/runtime/oauth/token", body)).json()
    assert answer["hint"]["record-type"] == "app-oauth-code"
    assert (await oauth.exchange(code)).status == 200


VERIFIER = "v" * 43
HASHED = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


@pytest.mark.rule("A113")
@pytest.mark.parametrize(
    ("challenge", "method", "verifier", "is_right"),
    [
        (None, None, None, True),
        (HASHED, "S256", VERIFIER, True),
        (VERIFIER, "plain", VERIFIER, True),
        (VERIFIER, None, VERIFIER, True),
        (HASHED, "S256", None, False),
        (HASHED, "S256", HASHED, False),
        (HASHED, "plain", VERIFIER, False),
        (HASHED + "=", "S256", VERIFIER, False),
        (HASHED, "S256", "é", False),
        (None, None, VERIFIER, False),
    ],
)
async def test_the_verifier_proves_who_began(oauth, challenge, method, verifier, is_right):
    asked = {"code_challenge": challenge, "code_challenge_method": method}
    code = (await oauth.sign_in(**{k: v for k, v in asked.items() if v}))["code"]
    answer = await oauth.exchange(code, code_verifier=verifier)
    assert answer.status == (200 if is_right else 400)
    if not is_right:
        assert answer.json()["type"] == "validation-failed"
        # A wrong guess uses the code up.
        again = await oauth.exchange(code, code_verifier=VERIFIER)
        assert again.json()["type"] == "record-not-found"


@pytest.mark.rule("A114")
@pytest.mark.parametrize(
    ("origin", "is_authorized"),
    [
        (None, True),
        (SITE, True),
        ("https://evil.example", False),
        ("null", False),
        ("http://site.example:80", False),
    ],
)
async def test_only_authorized_pages_exchange_codes(oauth, origin, is_authorized):
    code = (await oauth.sign_in())["code"]
    body = {"app_id": oauth.http.app_id, "code": code}
    headers = {} if origin is None else {"origin": origin}
    answer = await oauth.http.ask("POST", "/runtime/oauth/token", body, headers)
    assert answer.status == (200 if is_authorized else 400)
    if not is_authorized:
        assert answer.json()["hint"]["data-type"] == "origin"
        assert answer.json()["message"].startswith("Unauthorized origin.")


@pytest.mark.rule("A115")
async def test_sign_ins_never_finished_are_swept(oauth):
    for _ in range(3):
        await oauth.browser.get(oauth.start_url())
    oauth.http.runtime.advance(11 * MINUTE_MS)
    await oauth.browser.get(oauth.start_url())
    assert len(await oauth.rows("$oauthRedirects")) == 1
    await oauth.sign_in()
    oauth.http.runtime.advance(6 * MINUTE_MS)
    await oauth.sign_in()
    assert len(await oauth.rows("$oauthCodes")) == 1


@pytest.mark.rule("A116")
async def test_one_address_cannot_ask_for_ever(oauth, monkeypatch):
    for _ in range(auth_limits.OAUTH_CALLS_OF_NETWORK):
        body = {"app_id": NOBODY, "client_name": "x", "id_token": "x"}
        answer = await oauth.http.ask("POST", "/runtime/oauth/id_token", body)
        assert answer.json()["type"] == "record-not-found"
    answer = await oauth.browser.get(oauth.start_url())
    assert (answer.status_code, answer.json()["type"]) == (429, "rate-limited")
    oauth.http.runtime.advance(auth_limits.OAUTH_CALLS_PERIOD_MS)
    assert (await oauth.browser.get(oauth.start_url())).status_code == 302


@pytest.mark.rule("A114")
async def test_only_authorized_pages_send_tokens(oauth):
    answer = await oauth.send_id_token(oauth.idp.id_token(), {"origin": "https://evil.example"})
    assert answer.json()["hint"]["data-type"] == "origin"


@pytest.mark.rule("A98")
@pytest.mark.parametrize("fault", [(500, {}, {}), (200, b"<html>", {}), (200, [], {})])
async def test_a_provider_that_cannot_be_asked(oauth, fault):
    path = "/.well-known/openid-configuration"
    oauth.idp.faults[path] = fault
    for _ in range(2):
        answer = await oauth.send_id_token(oauth.idp.id_token())
        assert (answer.status, answer.json()["type"]) == (400, "oauth-error")
        assert answer.json()["error"] == "Unable to fetch OAuth configuration"
    assert oauth.idp.hits[path] == 1
    del oauth.idp.faults[path]
    oauth.http.runtime.advance(auth_limits.PROVIDER_RETRY_MS)
    assert (await oauth.send_id_token(oauth.idp.id_token())).status == 200
