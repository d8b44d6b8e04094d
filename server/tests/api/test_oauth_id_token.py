"""Signing in with an id_token that the page got from the provider itself."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import OKPKey, RSAKey

from support.forged_tokens import RawOct, RawRsa, modulus_of, part
from support.identity_provider import SITE, ec_key, oct_key, rsa_key
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
async def test_a_good_token_signs_in(oauth, kid):
    answer = await oauth.send_id_token(oauth.idp.id_token(kid=kid), {"origin": SITE})
    assert answer.status == 200, answer.json()
    body = answer.json()
    assert set(body) == {"user", "created"}
    assert (body["created"], body["user"]["email"]) == (True, "ann@example.com")
    again = (await oauth.send_id_token(oauth.idp.id_token())).json()
    assert again["created"] is False
    assert again["user"]["id"] == body["user"]["id"]
    assert again["user"]["refresh_token"] != body["user"]["refresh_token"]


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
async def test_only_algorithms_of_both_lists(oauth, alg, listed, is_accepted):
    oauth.idp.discovery["id_token_signing_alg_values_supported"] = listed
    key = oct_key(SECRET) if alg.startswith("HS") else None
    answer = await oauth.send_id_token(oauth.idp.id_token(alg=alg, key=key))
    if is_accepted:
        assert answer.status == 200, answer.json()
    else:
        assert_refused(answer, "The id_token used an unsupported algorithm.")


@pytest.mark.rule("A120")
@pytest.mark.parametrize("name", ["none", "None", "nOnE", "", 7, None])
async def test_unsigned_tokens_are_refused(oauth, name):
    oauth.idp.discovery["id_token_signing_alg_values_supported"] = ["none", "RS256", "HS256"]
    head, payload, signature = oauth.idp.id_token().split(".")
    forged = part({"alg": name, "kid": "r1"})
    for end in (signature, "AA"):
        answer = await oauth.send_id_token(f"{forged}.{payload}.{end}")
        assert_refused(answer, "unsupported algorithm")
    for token in (f"{forged}.{payload}.", f"{head}.{payload}.", f"{head}.{payload}"):
        assert_refused(await oauth.send_id_token(token), "is not a JSON Web Token")


@pytest.mark.rule("A120")
async def test_a_public_key_is_no_secret(oauth):
    """Algorithm confusion: HS256 with what everybody can read as the key."""
    oauth.idp.discovery["id_token_signing_alg_values_supported"] = ["RS256", "HS256"]
    pem = rsa_key("r1").as_pem(private=False)
    for given in (pem, pem.strip(), rsa_key("r1").as_der(private=False)):
        key = RawOct(given)
        token = key.sign(oauth.idp.claims())
        assert_refused(await oauth.send_id_token(token), "The id_token's signature")


@pytest.mark.rule("A120")
@pytest.mark.parametrize("secret", [None, "short", "-----BEGIN PRIVATE KEY-----" + "x" * 40])
async def test_hs256_needs_a_secret_that_is_one(open_oauth, secret):
    client = {"client_id": "web", "client_secret": secret}
    oauth = await open_oauth(client=client)
    oauth.idp.discovery["id_token_signing_alg_values_supported"] = ["HS256"]
    token = RawOct((secret or "").encode()).sign(oauth.idp.claims())
    assert_refused(await oauth.send_id_token(token), "The id_token's signature")


@pytest.mark.rule("A120")
async def test_a_published_symmetric_key_is_not_used(open_oauth):
    oauth = await open_oauth(client=PUBLIC)
    oauth.idp.discovery["id_token_signing_alg_values_supported"] = ["HS256"]
    keys = {"keys": [{"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "o1", "alg": "HS256"}]}
    oauth.idp.faults["/jwks"] = (200, keys, {})
    token = RawOct(b"secret" * 8).sign(oauth.idp.claims(), kid="o1")
    assert_refused(await oauth.send_id_token(token), "The id_token's signature")


@pytest.mark.rule("A120")
@pytest.mark.parametrize(
    "header",
    [
        {"alg": "RS256", "kid": "r1", "crit": ["exp"]},
        {"alg": "RS256", "kid": "r1", "b64": False},
    ],
)
async def test_extensions_of_the_format_are_refused(oauth, header):
    _, payload, signature = oauth.idp.id_token().split(".")
    answer = await oauth.send_id_token(f"{part(header)}.{payload}.{signature}")
    assert_refused(answer, "unsupported algorithm")


@pytest.mark.rule("A121")
async def test_signatures_of_others_are_refused(oauth):
    stranger = RSAKey.generate_key(2048)
    assert_refused(
        await oauth.send_id_token(oauth.idp.id_token(key=stranger)), "The id_token's signature"
    )
    # The kid of one key, the signature of another: by type, by declared use, by name.
    assert_refused(
        await oauth.send_id_token(oauth.idp.id_token(kid="r1", key=ec_key("e1"))),
        "The id_token's signature",
    )
    head, _, signature = oauth.idp.id_token().split(".")
    other = oauth.idp.id_token(sub="admin").split(".")[1]
    assert_refused(
        await oauth.send_id_token(f"{head}.{other}.{signature}"), "The id_token's signature"
    )
    # A key inside the token is not the provider's.
    jwk = stranger.as_dict(private=False)
    forged = RawRsa(stranger).sign(oauth.idp.claims(), jwk=jwk, jku=f"{oauth.idp.base}/evil")
    assert_refused(await oauth.send_id_token(forged), "The id_token's signature")
    assert "/evil" not in oauth.idp.hits
    assert await oauth.rows("$users") == []


@pytest.mark.rule("A121")
@pytest.mark.parametrize(
    "change", [{"use": "enc"}, {"alg": "RS512"}, {"n": "AQAB"}, {"n": 7}, {"kty": "EC"}]
)
async def test_keys_for_something_else_are_not_used(oauth, change):
    shown = {**rsa_key("r1").as_dict(private=False), **change}
    oauth.idp.faults["/jwks"] = (200, {"keys": ["x", shown]}, {})
    assert_refused(await oauth.send_id_token(oauth.idp.id_token()), "The id_token's signature")


@pytest.mark.rule("A121")
async def test_rsa_keys_that_can_be_factored_are_not_used(oauth):
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    shown = {**rsa_key("r1").as_dict(private=False), "n": part(modulus_of(small))}
    oauth.idp.faults["/jwks"] = (200, {"keys": [shown]}, {})
    token = RawRsa(small).sign(oauth.idp.claims(), kid="r1")
    assert_refused(await oauth.send_id_token(token), "The id_token's signature")


@pytest.mark.rule("A120")
async def test_edwards_curves(oauth):
    oauth.idp.discovery["id_token_signing_alg_values_supported"] = ["EdDSA"]
    key = OKPKey.generate_key("Ed25519", {"kid": "o1"})
    oauth.idp.faults["/jwks"] = (200, {"keys": [key.as_dict(private=False)]}, {})
    head = f"{part({'alg': 'EdDSA', 'kid': 'o1'})}.{part(oauth.idp.claims())}"
    token = f"{head}.{part(key.private_key.sign(head.encode()))}"
    answer = await oauth.send_id_token(token)
    assert answer.status == 200, answer.json()


@pytest.mark.rule("A121")
async def test_a_new_key_is_found_and_a_retired_one_forgotten(oauth):
    old = oauth.idp.id_token()
    assert (await oauth.send_id_token(old)).status == 200
    oauth.idp.keys = {"r2": rsa_key("r2")}
    oauth.http.runtime.advance(auth_limits.PROVIDER_KEYS_RETRY_MS)
    assert (await oauth.send_id_token(oauth.idp.id_token(kid="r2"))).status == 200
    assert oauth.idp.hits["/jwks"] == 2
    assert_refused(await oauth.send_id_token(old), "The id_token's signature")


@pytest.mark.rule("A121")
async def test_unknown_keys_make_few_requests(oauth):
    for number in range(5):
        token = oauth.idp.id_token(kid=f"x{number}", key=rsa_key("r1"))
        assert_refused(await oauth.send_id_token(token), "The id_token's signature")
    assert oauth.idp.hits["/jwks"] == 1
    oauth.http.runtime.advance(auth_limits.PROVIDER_KEYS_RETRY_MS)
    for number in range(5):
        token = oauth.idp.id_token(kid=f"x{number}", key=rsa_key("r1"))
        await oauth.send_id_token(token)
    assert oauth.idp.hits["/jwks"] == 2


@pytest.mark.rule("A121")
async def test_a_token_that_names_no_key_is_held_against_all(oauth):
    token = RawRsa(rsa_key("r1")).sign(oauth.idp.claims())
    assert (await oauth.send_id_token(token)).status == 200


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
async def test_nonces_must_agree(oauth, claim, given, message):
    """A token taken from one page is of no use to another, which has another nonce."""
    answer = await oauth.send_id_token(oauth.idp.id_token(nonce=claim), nonce=given)
    if message is None:
        assert answer.status == 200, answer.json()
    else:
        assert_refused(answer, message)


@pytest.mark.rule("A122", "A123")
async def test_google_makes_nonces_of_its_own(oauth):
    oauth.idp.issuer = "https://accounts.google.com"
    assert (await oauth.send_id_token(oauth.idp.id_token(nonce="n"))).status == 200
    # Whoever merely calls itself Google skips the nonce, and fails at the issuer or before.
    oauth.idp.keys["x"] = rsa_key("x")
    token = oauth.idp.id_token(nonce="n", iss="https://accounts.google.com.evil.example")
    assert_refused(await oauth.send_id_token(token), "nonce")


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
async def test_the_issuer_is_the_provider(oauth, issuer, claim, is_accepted):
    oauth.idp.issuer = issuer
    answer = await oauth.send_id_token(oauth.idp.id_token(iss=claim))
    if is_accepted:
        assert answer.status == 200, answer.json()
    else:
        assert_refused(answer, f"The id_token wasn't issued by {issuer}.")


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
async def test_the_audience_is_the_client_if_it_is_known(open_oauth, client, audience, is_accepted):
    oauth = await open_oauth(client=client)
    answer = await oauth.send_id_token(oauth.idp.id_token(aud=audience))
    if is_accepted:
        assert answer.status == 200, answer.json()
    else:
        assert_refused(answer, "The id_token was generated for the wrong OAuth client.")


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
async def test_a_subject_and_a_time_are_needed(oauth, claims, message):
    now_s = oauth.http.runtime.now_ms() // 1000
    moved = {
        key: now_s + value if type(value) is int and key != "sub" else value
        for key, value in claims.items()
    }
    answer = await oauth.send_id_token(oauth.idp.id_token(**moved))
    if message is None:
        assert answer.status == 200, answer.json()
    else:
        assert_refused(answer, message)


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
async def test_only_verified_addresses_count(open_oauth, client, verified, is_used):
    oauth = await open_oauth(client=client)
    answer = await oauth.send_id_token(oauth.idp.id_token(email_verified=verified))
    assert answer.json()["created"] is True
    assert answer.json()["user"].get("email") == ("ann@example.com" if is_used else None)


@pytest.mark.rule("A127")
async def test_large_and_broken_tokens_are_refused_unread(oauth):
    too_long = "x" * (auth_limits.ID_TOKEN_CHARS_MAX + 1)
    assert_refused(await oauth.send_id_token(too_long), "is longer than 16384 characters")
    for token in ("x", "a.b.c", "..", "e30.e30.e30.e30.e30", "e30.e30.é", "W10.e30.AA"):
        answer = await oauth.send_id_token(token)
        assert answer.json()["type"] == "validation-failed", token
    text = RawRsa(rsa_key("r1")).sign_raw(b'"text"')
    assert_refused(await oauth.send_id_token(text), "does not hold a JSON object")
    deep = RawRsa(rsa_key("r1")).sign_raw(b'{"a":' * 2000 + b"1" + b"}" * 2000)
    assert_refused(await oauth.send_id_token(deep), "does not hold a JSON object")


@pytest.mark.rule("A128")
async def test_the_token_used_until_now_stays(oauth):
    first = (await oauth.send_id_token(oauth.idp.id_token())).json()["user"]
    token = first["refresh_token"]
    again = await oauth.send_id_token(oauth.idp.id_token(), refresh_token=token)
    assert again.json()["user"]["refresh_token"] == token
    other = await oauth.send_id_token(
        oauth.idp.id_token(sub="sub-2", email="bob@example.com"), refresh_token=token
    )
    assert other.json()["created"] is True
    assert other.json()["user"]["refresh_token"] != token
    unknown = "00000000-0000-4000-8000-000000000000"
    failed = (await oauth.send_id_token(oauth.idp.id_token(), refresh_token=unknown)).json()
    assert failed["hint"]["record-type"] == "app-user"


@pytest.mark.rule("A129")
async def test_clients_that_take_no_id_tokens(oauth):
    await oauth.add_client("github", "gh", client_id="web", client_secret=SECRET)
    answer = await oauth.send_id_token(oauth.idp.id_token(), client_name="gh")
    assert_refused(answer, "GitHub OAuth does not support ID tokens.")
    oauth.idp.discovery["jwks_uri"] = None
    answer = await oauth.send_id_token(oauth.idp.id_token())
    assert_refused(answer, "OAuth client does not support id_token.")


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
async def test_parameters_are_checked(oauth, body, code, place):
    given = {"app_id": oauth.http.app_id, "client_name": "oidc", "id_token": "x", **body}
    answer = await oauth.http.ask("POST", "/runtime/oauth/id_token", given)
    assert (answer.json()["type"], answer.json()["hint"]["in"]) == (code, place)
