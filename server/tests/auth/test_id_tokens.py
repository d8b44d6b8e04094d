"""Which published keys may have signed a token."""

from __future__ import annotations

import pytest

from support.identity_provider import ec_key, rsa_key
from trice import auth_limits
from trice.auth.oauth.documents import KeySet
from trice.auth.oauth.id_tokens import Header, find_keys, secret_key

RSA = rsa_key("r1").as_dict(private=False)
EC = ec_key("e1").as_dict(private=False)
OCT = {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "o1"}


@pytest.mark.rule("A120", "A121")
@pytest.mark.parametrize(
    ("algorithm", "kid", "found"),
    [
        ("RS256", None, [RSA]),
        ("RS256", "r1", [RSA]),
        ("PS512", "r1", [RSA]),
        ("RS256", "e1", []),
        ("RS256", "o1", []),
        ("ES256", None, [EC]),
        ("ES384", None, []),
        ("ES256", "r1", []),
        ("HS256", None, []),
        ("HS256", "o1", []),
        ("HS256", "r1", []),
        ("EdDSA", None, []),
    ],
)
def test_the_kind_of_key_is_the_algorithms(algorithm, kid, found):
    assert find_keys(Header(algorithm, kid), KeySet.parse({"keys": [RSA, EC, OCT]}).keys) == found


@pytest.mark.rule("A121")
@pytest.mark.parametrize("change", [{"use": "enc"}, {"use": 7}, {"alg": "RS512"}, {"kid": "r2"}])
def test_keys_say_what_they_are_for(change):
    assert find_keys(Header("RS256", "r1"), KeySet.parse({"keys": [{**RSA, **change}]}).keys) == []


@pytest.mark.rule("A121")
@pytest.mark.parametrize("key_set", [{}, {"keys": None}, {"keys": {"r1": RSA}}, {"keys": [7, []]}])
def test_what_is_no_key_set_has_no_keys(key_set):
    assert find_keys(Header("RS256", None), KeySet.parse(key_set).keys) == []


@pytest.mark.rule("A121")
def test_few_keys_are_looked_at():
    keys = [RSA] * (auth_limits.JWKS_KEYS_MAX + 1)
    assert (
        len(find_keys(Header("RS256", None), KeySet.parse({"keys": keys}).keys))
        == auth_limits.JWKS_KEYS_MAX
    )


@pytest.mark.rule("A120")
@pytest.mark.parametrize(
    ("secret", "is_fit"),
    [(None, False), ("", False), ("s" * 31, False), ("s" * 32, True), ("ü" * 16, True)],
)
def test_a_secret_of_32_bytes_is_a_key(secret, is_fit):
    assert bool(secret_key(secret)) is is_fit
