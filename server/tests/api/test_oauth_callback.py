"""Back from the provider: what the callback accepts, and what it tells the app's page."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from support.identity_provider import SERVER, parameters_of

NOBODY = "00000000-0000-4000-8000-000000000000"
MINUTE_MS = 60_000
CALLBACK = f"{SERVER}/runtime/oauth/callback"


@pytest.mark.rule("A105", "A106", "A112", "A130")
async def test_the_whole_dance(oauth):
    oauth.idp.person = {"picture": "https://img.example/ann.png"}
    came = await oauth.sign_in(state="own")
    code = came.pop("code")
    assert came == {"state": "own", "_instant_oauth_redirect": "true"}
    assert await oauth.rows("$oauthRedirects") == []
    [row] = await oauth.rows("$oauthCodes")
    assert row["codeHash"] == hashlib.sha256(bytes.fromhex(code.replace("-", ""))).hexdigest()
    assert row["userInfo"] == {
        "email": "ann@example.com",
        "sub": "sub-1",
        "imageURL": "https://img.example/ann.png",
    }
    answer = (await oauth.exchange(code)).json()
    assert answer["created"] is True
    user = answer["user"]
    assert answer["refresh_token"] == user["refresh_token"]
    assert (user["email"], user["type"], user["isGuest"]) == ("ann@example.com", "user", False)
    assert user["imageURL"] == "https://img.example/ann.png"
    assert await oauth.rows("$oauthCodes") == []
    [link] = await oauth.rows("$oauthUserLinks")
    provider = oauth.client["provider_id"]
    assert link["sub"] == "sub-1"
    assert (link["$oauthProvider"], link["sub+$oauthProvider"]) == (
        provider,
        f"sub-1+{provider}",
    )
    body = {"app-id": oauth.http.app_id, "refresh-token": user["refresh_token"]}
    check = await oauth.http.ask("POST", "/runtime/auth/verify_refresh_token", body)
    assert check.json()["user"]["id"] == user["id"]


@pytest.mark.rule("A105")
async def test_a_callback_works_once(oauth):
    start = await oauth.browser.get(oauth.start_url())
    page = await oauth.browser.get(start.headers["location"])
    first = await oauth.browser.submit(page)
    assert first.status_code == 302
    again = await oauth.browser.submit(page)
    assert (again.status_code, again.json()["type"]) == (400, "oauth-error")
    assert again.json()["error"] == "Could not find OAuth request."
    assert "message" not in again.json()


@pytest.mark.rule("A105")
async def test_another_browser_cannot_finish(oauth):
    """Login CSRF: the attacker's provider answer, sent to the browser of a victim."""
    start = await oauth.browser.get(oauth.start_url())
    state = parameters_of(start.headers["location"])["state"]
    path = f"/runtime/oauth/callback?state={state}&code=x"
    for cookie, error in (
        (None, "Missing cookie."),
        ("__session=other", "Missing cookie."),
        ("__session=instantdb_zzz", "Missing cookie."),
        (
            f"a=b; __session=other; __session=instantdb_{NOBODY}",
            "Mismatch in OAuth request cookie.",
        ),
        (f"__session=instantdb_{NOBODY}", "Could not find OAuth request."),
    ):
        headers = {} if cookie is None else {"cookie": cookie}
        answer = await oauth.http.ask("GET", path, None, headers)
        assert (answer.status, answer.json()["type"]) == (400, "oauth-error")
        assert answer.json()["error"] == error


@pytest.mark.rule("A105")
@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("error=access_denied&state=x", "access_denied"),
        ("code=x", "Missing state param in OAuth redirect."),
        ("state=x", "Invalid state param in OAuth redirect."),
        (f"state={NOBODY}", "Invalid state param in OAuth redirect."),
        (f"state={NOBODY}{NOBODY}x", "Invalid state param in OAuth redirect."),
        (f"state={NOBODY}{NOBODY}", "Missing cookie."),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_callbacks_out_of_nowhere(oauth, method, query, error):
    path = "/runtime/oauth/callback"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    if method == "GET":
        answer = await oauth.http.ask("GET", f"{path}?{query}")
    else:
        answer = await oauth.http.ask("POST", path, query.encode(), headers)
    assert (answer.status, answer.json()["type"]) == (400, "oauth-error")
    assert answer.json()["error"] == error


@pytest.mark.rule("A105")
async def test_a_callback_for_an_unknown_app(oauth):
    headers = {"cookie": f"__session=instantdb_{NOBODY}"}
    path = f"/runtime/oauth/callback?state={NOBODY}{NOBODY}&code=x"
    answer = (await oauth.http.ask("GET", path, None, headers)).json()
    assert answer["error"] == "Could not find OAuth request."


@pytest.mark.rule("A105")
@pytest.mark.parametrize(("minutes", "status"), [(10.99, 302), (11, 400)])
async def test_a_sign_in_has_ten_minutes(oauth, minutes, status):
    start = await oauth.browser.get(oauth.start_url())
    oauth.http.runtime.advance(minutes * MINUTE_MS)
    back = await oauth.browser.come_back(start)
    assert back.status_code == status
    if status == 400:
        assert back.json()["error"] == "The request is expired."


@pytest.mark.rule("A106")
async def test_native_apps_are_opened_by_a_page(oauth):
    origin = {"service": "custom-scheme", "params": ["myapp://"]}
    await oauth.manage("POST", "authorized_redirect_origins", origin)
    uri = "myapp://in?a='x'&b=1"
    start = await oauth.browser.get(oauth.start_url(redirect_uri=uri))
    page = await oauth.browser.come_back(start)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    [href] = re.findall(r'<a id="open" href="([^"]*)">Open app</a>', page.text)
    assert href.startswith("myapp://in?a=&#x27;x&#x27;&amp;b=1&amp;code=")
    assert f'content="0; url={href}"' in page.text
    [script] = re.findall(r"<script>(.*)</script>", page.text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.headers["content-security-policy"]


@pytest.mark.rule("A107")
@pytest.mark.parametrize(
    ("path", "answer", "error"),
    [
        ("/token", (400, {"error": "x", "error_description": "No, thanks."}, {}), "No, thanks."),
        ("/token", (500, b"<html>", {}), "Error exchanging code for token."),
        ("/token", (200, {"id_token": "a.b"}, {}), "Invalid token exchanging code for token."),
        ("/token", (200, {"id_token": "!!.!!.!!"}, {}), "Invalid token exchanging code for token."),
        ("/token", (200, {}, {}), "Missing user info."),
        ("/token", (302, b"", {"location": "/elsewhere"}), "Error exchanging code for token."),
    ],
)
async def test_what_fails_at_the_provider_is_told_to_the_page(oauth, path, answer, error):
    oauth.idp.faults[path] = answer
    came = await oauth.sign_in()
    assert came == {"error": error, "_instant_oauth_redirect": "true"}
    assert await oauth.rows("$oauthCodes") == []


@pytest.mark.rule("A107")
async def test_a_callback_without_code_is_told_to_the_page(oauth):
    start = await oauth.browser.get(oauth.start_url())
    state = parameters_of(start.headers["location"])["state"]
    back = await oauth.browser.get(f"{CALLBACK}?state={state}")
    error = parameters_of(back.headers["location"])["error"]
    assert error == "Missing code param in OAuth redirect."


@pytest.mark.rule("A107")
async def test_a_client_deleted_meanwhile_ends_the_sign_in(oauth):
    start = await oauth.browser.get(oauth.start_url())
    await oauth.manage("DELETE", f"oauth_clients/{oauth.client['id']}")
    back = await oauth.browser.come_back(start)
    assert back.json()["error"] == "Could not find OAuth request."


@pytest.mark.rule("A108")
@pytest.mark.parametrize(
    ("person", "is_known"),
    [
        ({}, True),
        ({"email_verified": "true"}, True),
        ({"email_verified": False}, False),
        ({"email_verified": "false"}, False),
        ({"email_verified": None}, False),
        ({"email": None}, False),
        ({"email": "no address"}, False),
        ({"sub": None}, False),
        ({"sub": " "}, False),
        ({"sub": 7}, True),
    ],
)
@pytest.mark.parametrize("has_id_token", [True, False])
async def test_a_verified_address_and_a_subject_are_needed(oauth, person, is_known, has_id_token):
    oauth.idp.person = person
    oauth.idp.has_id_token = has_id_token
    came = await oauth.sign_in()
    assert ("code" in came) is is_known
    assert came.get("error") == (None if is_known else "Missing user info.")
    assert oauth.idp.hits.get("/userinfo", 0) == (0 if has_id_token else 1)


@pytest.mark.rule("A108")
async def test_addresses_are_one_in_any_case(oauth):
    first = await oauth.enter()
    oauth.idp.person = {"email": " Ann@Example.COM "}
    second = await oauth.enter()
    assert second["created"] is False
    assert second["user"]["id"] == first["user"]["id"]
    assert second["user"]["email"] == "ann@example.com"


@pytest.mark.rule("A108")
async def test_a_picture_that_is_no_web_address_is_left_out(oauth):
    oauth.idp.person = {"picture": "javascript:alert(1)"}
    assert "imageURL" not in (await oauth.enter())["user"]


@pytest.mark.rule("A109")
@pytest.mark.parametrize(
    ("emails", "email"),
    [
        ([{"email": "b@x.org", "primary": True, "verified": True}], "b@x.org"),
        (
            [
                {"email": "a@x.org", "primary": False, "verified": True},
                {"email": "b@x.org", "primary": True, "verified": True},
            ],
            "b@x.org",
        ),
        ([{"email": "b@x.org", "primary": True, "verified": False}], None),
        ([], None),
    ],
)
async def test_github_tells_the_primary_verified_address(oauth, emails, email):
    await oauth.add_client("github", "gh", client_id="web", client_secret="s" * 40)
    oauth.idp.github_person = {"id": 583231, "avatar_url": "https://img.example/o.png"}
    oauth.idp.github_emails = emails
    came = await oauth.sign_in(client_name="gh")
    user = (await oauth.exchange(came["code"])).json()["user"]
    assert user.get("email") == email
    assert user["imageURL"] == "https://img.example/o.png"
    [link] = await oauth.rows("$oauthUserLinks")
    assert link["sub"] == "583231"


@pytest.mark.rule("A107", "A109")
@pytest.mark.parametrize(
    ("path", "answer", "error"),
    [
        (
            "/login/oauth/access_token",
            (200, {"error": "bad", "error_description": "The code is wrong."}, {}),
            "The code is wrong.",
        ),
        ("/login/oauth/access_token", (200, {}, {}), "Error exchanging code for token."),
        ("/user", (200, {"login": "x"}, {}), "Missing user info."),
        ("/user", (401, {}, {}), "Error exchanging code for token."),
    ],
)
async def test_what_fails_at_github_is_told_to_the_page(oauth, path, answer, error):
    await oauth.add_client("github", "gh", client_id="web", client_secret="s" * 40)
    oauth.idp.github_person = {"id": 1}
    oauth.idp.faults[path] = answer
    assert (await oauth.sign_in(client_name="gh"))["error"] == error


@pytest.mark.rule("A110")
@pytest.mark.parametrize("issuer", ["https://appleid.apple.com", "https://account.apple.com"])
async def test_apple_gets_a_signed_secret(open_oauth, issuer):
    key = ECKey.generate_key("P-256")
    secret = key.as_pem(private=True).decode()
    meta = {"teamId": "TEAM1", "keyId": "KEY1"}
    client = {"client_id": "web", "client_secret": secret, "meta": meta}
    oauth = await open_oauth(client=client)
    seen = []

    def check(secret):
        token = jwt.decode(secret, key, algorithms=["ES256"])
        seen.append((token.header, token.claims))
        return True

    oauth.idp.issuer = issuer
    oauth.idp.check_secret = check
    came = await oauth.sign_in()
    assert "code" in came
    [(header, claims)] = seen
    now_s = oauth.http.runtime.now_ms() // 1000
    assert (header["alg"], header["kid"]) == ("ES256", "KEY1")
    assert claims == {
        "iss": "TEAM1",
        "iat": now_s,
        "exp": now_s + 120,
        "aud": "https://appleid.apple.com",
        "sub": "web",
    }


@pytest.mark.rule("A110")
async def test_apple_with_a_secret_that_is_no_key(oauth):
    oauth.idp.issuer = "https://appleid.apple.com"
    assert (await oauth.sign_in())["error"].startswith("The client secret is not the private key")


@pytest.mark.rule("A91")
async def test_an_imported_secret_must_be_entered_again(oauth):
    steps = [["update", "$oauthClients", oauth.client["id"], {"encryptedClientSecret": "01ff"}]]
    body = {"steps": steps}
    await oauth.http.ask("POST", "/admin/transact", body, oauth.http.admin())
    assert "Enter the secret again." in (await oauth.sign_in())["error"]


@pytest.mark.rule("A111")
async def test_the_test_page_of_custom_redirects(oauth):
    answer = await oauth.browser.get(f"{CALLBACK}?test-redirect=true")
    assert answer.status_code == 200
    assert "Your redirect works." in answer.text
