"""Signing in with an id_token that the page got from the provider itself."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import OKPKey, RSAKey

from support.forged_tokens import RawOct, RawRsa, modulus_of, part
from support.identity_provider import SITE, ec_key, oauth_scene, oct_key, rsa_key
from trice import auth_limits

SECRET = "s" * 40
PUBLIC = {"client_id": "web"}


def assert_refused(answer, message):
    body = answer.json()
    assert (answer.status, body["type"]) == (400, "validation-failed")
    assert body["hint"]["data-type"] == "id_token"
    assert message in body["message"]


@pytest.mark.rule("A120", "A121", "A130")
@pytest.mark.parametrize("kid", ["r1", "e1"])
def test_a_good_token_signs_in(play, kid):
    async def scene(stage):
        answer = await stage.send_id_token(stage.idp.id_token(kid=kid), {"origin": SITE})
        assert answer.status == 200, answer.json()
        body = answer.json()
        assert set(body) == {"user", "created"}
        assert (body["created"], body["user"]["email"]) == (True, "ann@example.com")
        again = (await stage.send_id_token(stage.idp.id_token())).json()
        assert again["created"] is False
        assert again["user"]["id"] == body["user"]["id"]
        assert again["user"]["refresh_token"] != body["user"]["refresh_token"]

    play(oauth_scene(scene))


@pytest.mark.rule("A120")
@pytest.mark.parametrize(
    ("alg", "listed", "is_accepted"),
    [
        ("RS256", None, True),
        ("RS256", ["RS256"], True),
        ("RS256", ["ES256"], False),
        ("RS512", ["RS256"], False),
        ("RS512", ["RS256", "RS512"], True),
        ("PS256", ["PS256"], True),
        ("HS256", None, True),
        ("HS256", [], True),
        ("HS256", ["RS256"], False),
        ("HS512", ["HS512"], False),
    ],
)
def test_only_algorithms_of_both_lists(play, alg, listed, is_accepted):
    async def scene(stage):
        stage.idp.discovery["id_token_signing_alg_values_supported"] = listed
        key = oct_key(SECRET) if alg.startswith("HS") else None
        answer = await stage.send_id_token(stage.idp.id_token(alg=alg, key=key))
        if is_accepted:
            assert answer.status == 200, answer.json()
        else:
            assert_refused(answer, "The id_token used an unsupported algorithm.")

    play(oauth_scene(scene))


@pytest.mark.rule("A120")
@pytest.mark.parametrize("name", ["none", "None", "nOnE", "", 7, None])
def test_unsigned_tokens_are_refused(play, name):
    async def scene(stage):
        stage.idp.discovery["id_token_signing_alg_values_supported"] = ["none", "RS256", "HS256"]
        head, payload, signature = stage.idp.id_token().split(".")
        forged = part({"alg": name, "kid": "r1"})
        for end in (signature, "AA"):
            answer = await stage.send_id_token(f"{forged}.{payload}.{end}")
            assert_refused(answer, "unsupported algorithm")
        for token in (f"{forged}.{payload}.", f"{head}.{payload}.", f"{head}.{payload}"):
            assert_refused(await stage.send_id_token(token), "is not a JSON Web Token")

    play(oauth_scene(scene))


@pytest.mark.rule("A120")
def test_a_public_key_is_no_secret(play):
    """Algorithm confusion: HS256 with what everybody can read as the key."""

    async def scene(stage):
        stage.idp.discovery["id_token_signing_alg_values_supported"] = ["RS256", "HS256"]
        pem = rsa_key("r1").as_pem(private=False)
        for given in (pem, pem.strip(), rsa_key("r1").as_der(private=False)):
            key = RawOct(given)
            token = key.sign(stage.idp.claims())
            assert_refused(await stage.send_id_token(token), "The id_token's signature")

    play(oauth_scene(scene))


@pytest.mark.rule("A120")
@pytest.mark.parametrize("secret", [None, "short", "-----BEGIN PRIVATE KEY-----" + "x" * 40])
def test_hs256_needs_a_secret_that_is_one(play, secret):
    async def scene(stage):
        stage.idp.discovery["id_token_signing_alg_values_supported"] = ["HS256"]
        token = RawOct((secret or "").encode()).sign(stage.idp.claims())
        assert_refused(await stage.send_id_token(token), "The id_token's signature")

    client = {"client_id": "web", "client_secret": secret}
    play(oauth_scene(scene, client=client))


@pytest.mark.rule("A120")
def test_a_published_symmetric_key_is_not_used(play):
    async def scene(stage):
        stage.idp.discovery["id_token_signing_alg_values_supported"] = ["HS256"]
        keys = {"keys": [{"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "o1", "alg": "HS256"}]}
        stage.idp.faults["/jwks"] = (200, keys, {})
        token = RawOct(b"secret" * 8).sign(stage.idp.claims(), kid="o1")
        assert_refused(await stage.send_id_token(token), "The id_token's signature")

    play(oauth_scene(scene, client=PUBLIC))


@pytest.mark.rule("A120")
@pytest.mark.parametrize(
    "header",
    [
        {"alg": "RS256", "kid": "r1", "crit": ["exp"]},
        {"alg": "RS256", "kid": "r1", "b64": False},
    ],
)
def test_extensions_of_the_format_are_refused(play, header):
    async def scene(stage):
        _, payload, signature = stage.idp.id_token().split(".")
        answer = await stage.send_id_token(f"{part(header)}.{payload}.{signature}")
        assert_refused(answer, "unsupported algorithm")

    play(oauth_scene(scene))


@pytest.mark.rule("A121")
def test_signatures_of_others_are_refused(play):
    async def scene(stage):
        stranger = RSAKey.generate_key(2048)
        assert_refused(
            await stage.send_id_token(stage.idp.id_token(key=stranger)), "The id_token's signature"
        )
        # The kid of one key, the signature of another: by type, by declared use, by name.
        assert_refused(
            await stage.send_id_token(stage.idp.id_token(kid="r1", key=ec_key("e1"))),
            "The id_token's signature",
        )
        head, _, signature = stage.idp.id_token().split(".")
        other = stage.idp.id_token(sub="admin").split(".")[1]
        assert_refused(
            await stage.send_id_token(f"{head}.{other}.{signature}"), "The id_token's signature"
        )
        # A key inside the token is not the provider's.
        jwk = stranger.as_dict(private=False)
        forged = RawRsa(stranger).sign(stage.idp.claims(), jwk=jwk, jku=f"{stage.idp.base}/evil")
        assert_refused(await stage.send_id_token(forged), "The id_token's signature")
        assert "/evil" not in stage.idp.hits
        assert await stage.rows("$users") == []

    play(oauth_scene(scene))


@pytest.mark.rule("A121")
@pytest.mark.parametrize(
    "change", [{"use": "enc"}, {"alg": "RS512"}, {"n": "AQAB"}, {"n": 7}, {"kty": "EC"}]
)
def test_keys_for_something_else_are_not_used(play, change):
    async def scene(stage):
        shown = {**rsa_key("r1").as_dict(private=False), **change}
        stage.idp.faults["/jwks"] = (200, {"keys": ["x", shown]}, {})
        assert_refused(await stage.send_id_token(stage.idp.id_token()), "The id_token's signature")

    play(oauth_scene(scene))


@pytest.mark.rule("A121")
def test_rsa_keys_that_can_be_factored_are_not_used(play):
    async def scene(stage):
        small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        shown = {**rsa_key("r1").as_dict(private=False), "n": part(modulus_of(small))}
        stage.idp.faults["/jwks"] = (200, {"keys": [shown]}, {})
        token = RawRsa(small).sign(stage.idp.claims(), kid="r1")
        assert_refused(await stage.send_id_token(token), "The id_token's signature")

    play(oauth_scene(scene))


@pytest.mark.rule("A120")
def test_edwards_curves(play):
    async def scene(stage):
        stage.idp.discovery["id_token_signing_alg_values_supported"] = ["EdDSA"]
        key = OKPKey.generate_key("Ed25519", {"kid": "o1"})
        stage.idp.faults["/jwks"] = (200, {"keys": [key.as_dict(private=False)]}, {})
        head = f"{part({'alg': 'EdDSA', 'kid': 'o1'})}.{part(stage.idp.claims())}"
        token = f"{head}.{part(key.private_key.sign(head.encode()))}"
        answer = await stage.send_id_token(token)
        assert answer.status == 200, answer.json()

    play(oauth_scene(scene))


@pytest.mark.rule("A121")
def test_a_new_key_is_found_and_a_retired_one_forgotten(play):
    async def scene(stage):
        old = stage.idp.id_token()
        assert (await stage.send_id_token(old)).status == 200
        stage.idp.keys = {"r2": rsa_key("r2")}
        stage.http.runtime.advance(auth_limits.PROVIDER_KEYS_RETRY_MS)
        assert (await stage.send_id_token(stage.idp.id_token(kid="r2"))).status == 200
        assert stage.idp.hits["/jwks"] == 2
        assert_refused(await stage.send_id_token(old), "The id_token's signature")

    play(oauth_scene(scene))


@pytest.mark.rule("A121")
def test_unknown_keys_make_few_requests(play):
    async def scene(stage):
        for number in range(5):
            token = stage.idp.id_token(kid=f"x{number}", key=rsa_key("r1"))
            assert_refused(await stage.send_id_token(token), "The id_token's signature")
        assert stage.idp.hits["/jwks"] == 1
        stage.http.runtime.advance(auth_limits.PROVIDER_KEYS_RETRY_MS)
        for number in range(5):
            token = stage.idp.id_token(kid=f"x{number}", key=rsa_key("r1"))
            await stage.send_id_token(token)
        assert stage.idp.hits["/jwks"] == 2

    play(oauth_scene(scene))


@pytest.mark.rule("A121")
def test_a_token_that_names_no_key_is_held_against_all(play):
    async def scene(stage):
        token = RawRsa(rsa_key("r1")).sign(stage.idp.claims())
        assert (await stage.send_id_token(token)).status == 200

    play(oauth_scene(scene))


def hashed(nonce: str) -> str:
    return hashlib.sha256(nonce.encode()).hexdigest()


@pytest.mark.rule("A122")
@pytest.mark.parametrize(
    ("claim", "given", "message"),
    [
        (None, None, None),
        ("n1", "n1", None),
        (hashed("n1"), "n1", None),
        (hashed("n1"), hashed("n1"), None),
        ("", None, None),
        (None, "n1", "The id_token is missing a nonce."),
        ("n1", None, "The nonce parameter was not provided in the request."),
        ("n1", "n2", "The nonces do not match."),
        (hashed("n1").upper(), "n1", "The nonces do not match."),
        ("n1", hashed("n1"), "The nonces do not match."),
    ],
)
def test_nonces_must_agree(play, claim, given, message):
    """A token taken from one page is of no use to another, which has another nonce."""

    async def scene(stage):
        answer = await stage.send_id_token(stage.idp.id_token(nonce=claim), nonce=given)
        if message is None:
            assert answer.status == 200, answer.json()
        else:
            assert_refused(answer, message)

    play(oauth_scene(scene))


@pytest.mark.rule("A122", "A123")
def test_google_makes_nonces_of_its_own(play):
    async def scene(stage):
        stage.idp.issuer = "https://accounts.google.com"
        assert (await stage.send_id_token(stage.idp.id_token(nonce="n"))).status == 200
        # Whoever merely calls itself Google skips the nonce, and fails at the issuer or before.
        stage.idp.keys["x"] = rsa_key("x")
        token = stage.idp.id_token(nonce="n", iss="https://accounts.google.com.evil.example")
        assert_refused(await stage.send_id_token(token), "nonce")

    play(oauth_scene(scene))


@pytest.mark.rule("A123")
@pytest.mark.parametrize(
    ("issuer", "claim", "is_accepted"),
    [
        ("https://id.example", "https://id.example", True),
        ("https://id.example", "https://id.example/", False),
        ("https://id.example", "https://accounts.google.com", False),
        ("https://id.example", None, False),
        ("https://id.example", ["https://id.example"], False),
        ("https://appleid.apple.com", "https://account.apple.com", True),
        ("https://account.apple.com", "https://appleid.apple.com", True),
        ("https://appleid.apple.com", "https://apple.example", False),
    ],
)
def test_the_issuer_is_the_provider(play, issuer, claim, is_accepted):
    async def scene(stage):
        stage.idp.issuer = issuer
        answer = await stage.send_id_token(stage.idp.id_token(iss=claim))
        if is_accepted:
            assert answer.status == 200, answer.json()
        else:
            assert_refused(answer, f"The id_token wasn't issued by {issuer}.")

    play(oauth_scene(scene))


@pytest.mark.rule("A124")
@pytest.mark.parametrize(
    ("client", "audience", "is_accepted"),
    [
        (None, "web", True),
        (None, ["other", "web"], True),
        (None, "other", False),
        (None, ["other"], False),
        (None, "web2", False),
        (None, None, False),
        ({"client_secret": SECRET}, "web", False),
        (PUBLIC, "web", True),
        (PUBLIC, "other", False),
        (PUBLIC, None, False),
        (PUBLIC, {"web": 1}, False),
        (PUBLIC | {"meta": {"allowedAudiences": ["ios", 5]}}, "ios", True),
        (PUBLIC | {"meta": {"allowedAudiences": ["ios"]}}, ["x", "web"], True),
        (PUBLIC | {"meta": {"allowedAudiences": ["ios"]}}, "other", False),
        (PUBLIC | {"meta": {"allowedAudiences": "ios"}}, "ios", False),
        ({"meta": {"allowedAudiences": ["ios"]}}, "other", True),
        ({}, None, True),
    ],
)
def test_the_audience_is_the_client_if_it_is_known(play, client, audience, is_accepted):
    async def scene(stage):
        answer = await stage.send_id_token(stage.idp.id_token(aud=audience))
        if is_accepted:
            assert answer.status == 200, answer.json()
        else:
            assert_refused(answer, "The id_token was generated for the wrong OAuth client.")

    play(oauth_scene(scene, client=client))


@pytest.mark.rule("A125")
@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"sub": None}, "The id_token had no subject."),
        ({"sub": ""}, "The id_token had no subject."),
        ({"sub": True}, "The id_token had no subject."),
        ({"sub": "x" * 5000}, "The id_token had no subject."),
        ({"exp": None}, "The id_token has no expiry"),
        ({"exp": "never"}, "The id_token has no expiry"),
        ({"exp": -61}, "The id_token has expired."),
        ({"exp": -60}, "The id_token has expired."),
        ({"exp": -59}, None),
        ({"nbf": 60}, None),
        ({"nbf": 61}, "The id_token is not valid yet (`nbf`)."),
        ({"iat": 61}, "The id_token is not valid yet (`iat`)."),
        ({"iat": None}, None),
    ],
)
def test_a_subject_and_a_time_are_needed(play, claims, message):
    async def scene(stage):
        now_s = stage.http.runtime.now_ms() // 1000
        moved = {
            key: now_s + value if type(value) is int and key != "sub" else value
            for key, value in claims.items()
        }
        answer = await stage.send_id_token(stage.idp.id_token(**moved))
        if message is None:
            assert answer.status == 200, answer.json()
        else:
            assert_refused(answer, message)

    play(oauth_scene(scene))


@pytest.mark.rule("A126")
@pytest.mark.parametrize(
    ("client", "verified", "is_used"),
    [
        (None, True, True),
        (None, "true", False),
        (None, 1, False),
        (None, None, False),
        ({"meta": {"allowUnverifiedEmail": True}}, None, True),
        ({"meta": {"allowUnverifiedEmail": "yes"}}, None, False),
        (
            {"client_id": "web", "client_secret": SECRET, "meta": {"allowUnverifiedEmail": True}},
            1,
            False,
        ),
    ],
)
def test_only_verified_addresses_count(play, client, verified, is_used):
    async def scene(stage):
        answer = await stage.send_id_token(stage.idp.id_token(email_verified=verified))
        assert answer.json()["created"] is True
        assert answer.json()["user"].get("email") == ("ann@example.com" if is_used else None)

    play(oauth_scene(scene, client=client))


@pytest.mark.rule("A127")
def test_large_and_broken_tokens_are_refused_unread(play):
    async def scene(stage):
        too_long = "x" * (auth_limits.ID_TOKEN_CHARS_MAX + 1)
        assert_refused(await stage.send_id_token(too_long), "is longer than 16384 characters")
        for token in ("x", "a.b.c", "..", "e30.e30.e30.e30.e30", "e30.e30.é", "W10.e30.AA"):
            answer = await stage.send_id_token(token)
            assert answer.json()["type"] == "validation-failed", token
        text = RawRsa(rsa_key("r1")).sign_raw(b'"text"')
        assert_refused(await stage.send_id_token(text), "does not hold a JSON object")
        deep = RawRsa(rsa_key("r1")).sign_raw(b'{"a":' * 2000 + b"1" + b"}" * 2000)
        assert_refused(await stage.send_id_token(deep), "does not hold a JSON object")

    play(oauth_scene(scene))


@pytest.mark.rule("A128")
def test_the_token_used_until_now_stays(play):
    async def scene(stage):
        first = (await stage.send_id_token(stage.idp.id_token())).json()["user"]
        token = first["refresh_token"]
        again = await stage.send_id_token(stage.idp.id_token(), refresh_token=token)
        assert again.json()["user"]["refresh_token"] == token
        other = await stage.send_id_token(
            stage.idp.id_token(sub="sub-2", email="bob@example.com"), refresh_token=token
        )
        assert other.json()["created"] is True
        assert other.json()["user"]["refresh_token"] != token
        unknown = "00000000-0000-4000-8000-000000000000"
        failed = (await stage.send_id_token(stage.idp.id_token(), refresh_token=unknown)).json()
        assert failed["hint"]["record-type"] == "app-user"

    play(oauth_scene(scene))


@pytest.mark.rule("A129")
def test_clients_that_take_no_id_tokens(play):
    async def scene(stage):
        await stage.add_client("github", "gh", client_id="web", client_secret=SECRET)
        answer = await stage.send_id_token(stage.idp.id_token(), client_name="gh")
        assert_refused(answer, "GitHub OAuth does not support ID tokens.")
        stage.idp.discovery["jwks_uri"] = None
        answer = await stage.send_id_token(stage.idp.id_token())
        assert_refused(answer, "OAuth client does not support id_token.")

    play(oauth_scene(scene))


@pytest.mark.rule("A129")
@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        ({"id_token": None}, "param-missing", ["body", "id_token"]),
        ({"id_token": " "}, "param-malformed", ["body", "id_token"]),
        ({"client_name": None}, "param-missing", ["body", "client_name"]),
        ({"nonce": 7}, "param-malformed", ["body", "nonce"]),
        ({"refresh_token": "x"}, "param-malformed", ["body", "refresh_token"]),
        ({"extra_fields": []}, "param-malformed", ["body", "extra_fields"]),
        ({"app_id": None}, "param-missing", ["body", "app_id"]),
        ({"app_id": "x"}, "param-malformed", ["body", "app_id"]),
    ],
)
def test_parameters_are_checked(play, body, code, place):
    async def scene(stage):
        given = {"app_id": stage.http.app_id, "client_name": "oidc", "id_token": "x", **body}
        answer = await stage.http.ask("POST", "/runtime/oauth/id_token", given)
        assert (answer.json()["type"], answer.json()["hint"]["in"]) == (code, place)

    play(oauth_scene(scene))
