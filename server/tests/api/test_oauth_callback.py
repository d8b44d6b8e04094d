"""Back from the provider: what the callback accepts, and what it tells the app's page."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from support.identity_provider import SERVER, oauth_scene, parameters_of

NOBODY = "00000000-0000-4000-8000-000000000000"
MINUTE_MS = 60_000
CALLBACK = f"{SERVER}/runtime/oauth/callback"


@pytest.mark.rule("A105", "A106", "A112", "A130")
def test_the_whole_dance(play):
    async def scene(stage):
        stage.idp.person = {"picture": "https://img.example/ann.png"}
        came = await stage.sign_in(state="own")
        code = came.pop("code")
        assert came == {"state": "own", "_instant_oauth_redirect": "true"}
        assert await stage.rows("$oauthRedirects") == []
        [row] = await stage.rows("$oauthCodes")
        assert row["codeHash"] == hashlib.sha256(bytes.fromhex(code.replace("-", ""))).hexdigest()
        assert row["userInfo"] == {
            "email": "ann@example.com",
            "sub": "sub-1",
            "imageURL": "https://img.example/ann.png",
        }
        answer = (await stage.exchange(code)).json()
        assert answer["created"] is True
        user = answer["user"]
        assert answer["refresh_token"] == user["refresh_token"]
        assert (user["email"], user["type"], user["isGuest"]) == ("ann@example.com", "user", False)
        assert user["imageURL"] == "https://img.example/ann.png"
        assert await stage.rows("$oauthCodes") == []
        [link] = await stage.rows("$oauthUserLinks")
        provider = stage.client["provider_id"]
        assert link["sub"] == "sub-1"
        assert (link["$oauthProvider"], link["sub+$oauthProvider"]) == (
            provider,
            f"sub-1+{provider}",
        )
        body = {"app-id": stage.http.app_id, "refresh-token": user["refresh_token"]}
        check = await stage.http.ask("POST", "/runtime/auth/verify_refresh_token", body)
        assert check.json()["user"]["id"] == user["id"]

    play(oauth_scene(scene))


@pytest.mark.rule("A105")
def test_a_callback_works_once(play):
    async def scene(stage):
        start = await stage.browser.get(stage.start_url())
        page = await stage.browser.get(start.headers["location"])
        first = await stage.browser.submit(page)
        assert first.status_code == 302
        again = await stage.browser.submit(page)
        assert (again.status_code, again.json()["type"]) == (400, "oauth-error")
        assert again.json()["error"] == "Could not find OAuth request."
        assert "message" not in again.json()

    play(oauth_scene(scene))


@pytest.mark.rule("A105")
def test_another_browser_cannot_finish(play):
    """Login CSRF: the attacker's provider answer, sent to the browser of a victim."""

    async def scene(stage):
        start = await stage.browser.get(stage.start_url())
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
            answer = await stage.http.ask("GET", path, None, headers)
            assert (answer.status, answer.json()["type"]) == (400, "oauth-error")
            assert answer.json()["error"] == error

    play(oauth_scene(scene))


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
def test_callbacks_out_of_nowhere(play, method, query, error):
    async def scene(stage):
        path = "/runtime/oauth/callback"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if method == "GET":
            answer = await stage.http.ask("GET", f"{path}?{query}")
        else:
            answer = await stage.http.ask("POST", path, query.encode(), headers)
        assert (answer.status, answer.json()["type"]) == (400, "oauth-error")
        assert answer.json()["error"] == error

    play(oauth_scene(scene))


@pytest.mark.rule("A105")
def test_a_callback_for_an_unknown_app(play):
    async def scene(stage):
        headers = {"cookie": f"__session=instantdb_{NOBODY}"}
        path = f"/runtime/oauth/callback?state={NOBODY}{NOBODY}&code=x"
        answer = (await stage.http.ask("GET", path, None, headers)).json()
        assert answer["error"] == "Could not find OAuth request."

    play(oauth_scene(scene))


@pytest.mark.rule("A105")
@pytest.mark.parametrize(("minutes", "status"), [(10.99, 302), (11, 400)])
def test_a_sign_in_has_ten_minutes(play, minutes, status):
    async def scene(stage):
        start = await stage.browser.get(stage.start_url())
        stage.http.runtime.advance(minutes * MINUTE_MS)
        back = await stage.browser.come_back(start)
        assert back.status_code == status
        if status == 400:
            assert back.json()["error"] == "The request is expired."

    play(oauth_scene(scene))


@pytest.mark.rule("A106")
def test_native_apps_are_opened_by_a_page(play):
    async def scene(stage):
        origin = {"service": "custom-scheme", "params": ["myapp://"]}
        await stage.manage("POST", "authorized_redirect_origins", origin)
        uri = "myapp://in?a='x'&b=1"
        start = await stage.browser.get(stage.start_url(redirect_uri=uri))
        page = await stage.browser.come_back(start)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        [href] = re.findall(r'<a id="open" href="([^"]*)">Open app</a>', page.text)
        assert href.startswith("myapp://in?a=&#x27;x&#x27;&amp;b=1&amp;code=")
        assert f'content="0; url={href}"' in page.text
        [script] = re.findall(r"<script>(.*)</script>", page.text)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.headers["content-security-policy"]

    play(oauth_scene(scene))


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
def test_what_fails_at_the_provider_is_told_to_the_page(play, path, answer, error):
    async def scene(stage):
        stage.idp.faults[path] = answer
        came = await stage.sign_in()
        assert came == {"error": error, "_instant_oauth_redirect": "true"}
        assert await stage.rows("$oauthCodes") == []

    play(oauth_scene(scene))


@pytest.mark.rule("A107")
def test_a_callback_without_code_is_told_to_the_page(play):
    async def scene(stage):
        start = await stage.browser.get(stage.start_url())
        state = parameters_of(start.headers["location"])["state"]
        back = await stage.browser.get(f"{CALLBACK}?state={state}")
        error = parameters_of(back.headers["location"])["error"]
        assert error == "Missing code param in OAuth redirect."

    play(oauth_scene(scene))


@pytest.mark.rule("A107")
def test_a_client_deleted_meanwhile_ends_the_sign_in(play):
    async def scene(stage):
        start = await stage.browser.get(stage.start_url())
        await stage.manage("DELETE", f"oauth_clients/{stage.client['id']}")
        back = await stage.browser.come_back(start)
        assert back.json()["error"] == "Could not find OAuth request."

    play(oauth_scene(scene))


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
def test_a_verified_address_and_a_subject_are_needed(play, person, is_known, has_id_token):
    async def scene(stage):
        stage.idp.person = person
        stage.idp.has_id_token = has_id_token
        came = await stage.sign_in()
        assert ("code" in came) is is_known
        assert came.get("error") == (None if is_known else "Missing user info.")
        assert stage.idp.hits.get("/userinfo", 0) == (0 if has_id_token else 1)

    play(oauth_scene(scene))


@pytest.mark.rule("A108")
def test_addresses_are_one_in_any_case(play):
    async def scene(stage):
        first = await stage.enter()
        stage.idp.person = {"email": " Ann@Example.COM "}
        second = await stage.enter()
        assert second["created"] is False
        assert second["user"]["id"] == first["user"]["id"]
        assert second["user"]["email"] == "ann@example.com"

    play(oauth_scene(scene))


@pytest.mark.rule("A108")
def test_a_picture_that_is_no_web_address_is_left_out(play):
    async def scene(stage):
        stage.idp.person = {"picture": "javascript:alert(1)"}
        assert "imageURL" not in (await stage.enter())["user"]

    play(oauth_scene(scene))


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
def test_github_tells_the_primary_verified_address(play, emails, email):
    async def scene(stage):
        await stage.add_client("github", "gh", client_id="web", client_secret="s" * 40)
        stage.idp.github_person = {"id": 583231, "avatar_url": "https://img.example/o.png"}
        stage.idp.github_emails = emails
        came = await stage.sign_in(client_name="gh")
        user = (await stage.exchange(came["code"])).json()["user"]
        assert user.get("email") == email
        assert user["imageURL"] == "https://img.example/o.png"
        [link] = await stage.rows("$oauthUserLinks")
        assert link["sub"] == "583231"

    play(oauth_scene(scene))


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
def test_what_fails_at_github_is_told_to_the_page(play, path, answer, error):
    async def scene(stage):
        await stage.add_client("github", "gh", client_id="web", client_secret="s" * 40)
        stage.idp.github_person = {"id": 1}
        stage.idp.faults[path] = answer
        assert (await stage.sign_in(client_name="gh"))["error"] == error

    play(oauth_scene(scene))


@pytest.mark.rule("A110")
@pytest.mark.parametrize("issuer", ["https://appleid.apple.com", "https://account.apple.com"])
def test_apple_gets_a_signed_secret(play, issuer):
    key = ECKey.generate_key("P-256")

    async def scene(stage):
        seen = []

        def check(secret):
            token = jwt.decode(secret, key, algorithms=["ES256"])
            seen.append((token.header, token.claims))
            return True

        stage.idp.issuer = issuer
        stage.idp.check_secret = check
        came = await stage.sign_in()
        assert "code" in came
        [(header, claims)] = seen
        now_s = stage.http.runtime.now_ms() // 1000
        assert (header["alg"], header["kid"]) == ("ES256", "KEY1")
        assert claims == {
            "iss": "TEAM1",
            "iat": now_s,
            "exp": now_s + 120,
            "aud": "https://appleid.apple.com",
            "sub": "web",
        }

    secret = key.as_pem(private=True).decode()
    meta = {"teamId": "TEAM1", "keyId": "KEY1"}
    client = {"client_id": "web", "client_secret": secret, "meta": meta}
    play(oauth_scene(scene, client=client))


@pytest.mark.rule("A110")
def test_apple_with_a_secret_that_is_no_key(play):
    async def scene(stage):
        stage.idp.issuer = "https://appleid.apple.com"
        assert (await stage.sign_in())["error"].startswith(
            "The client secret is not the private key"
        )

    play(oauth_scene(scene))


@pytest.mark.rule("A91")
def test_an_imported_secret_must_be_entered_again(play):
    async def scene(stage):
        steps = [["update", "$oauthClients", stage.client["id"], {"encryptedClientSecret": "01ff"}]]
        body = {"steps": steps}
        await stage.http.ask("POST", "/admin/transact", body, stage.http.admin())
        assert "Enter the secret again." in (await stage.sign_in())["error"]

    play(oauth_scene(scene))


@pytest.mark.rule("A111")
def test_the_test_page_of_custom_redirects(play):
    async def scene(stage):
        answer = await stage.browser.get(f"{CALLBACK}?test-redirect=true")
        assert answer.status_code == 200
        assert "Your redirect works." in answer.text

    play(oauth_scene(scene))
