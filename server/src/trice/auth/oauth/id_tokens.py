"""Verifying id_tokens (OpenID Connect) that the page of an app got from a provider.

The token names its algorithm, but that is not trusted: the algorithm must be on our list and on the
provider's, and the kind of key must fit it. HS256 is checked with the client secret only, never
with a public key.

source   instant-http §1.7; RFC 7515, 7518 §3; OpenID Connect Core §3.1.3.7; spec/auth.md A110-A129
"""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from trice import auth_limits
from trice.auth.emails import find_email
from trice.auth.oauth.linking import Profile
from trice.auth.oauth.origins import read_url
from trice.errors import InvalidInput, invalid

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

_KEY_TYPES: Final[Mapping[str, tuple[str, str | None]]] = {
    **{f"{kind}{bits}": ("RSA", None) for kind in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "HS256": ("oct", None),
}
"""Every algorithm that is accepted → `kty` and `crv` of its keys."""

ALGORITHMS: Final = tuple(_KEY_TYPES)

DEFAULT_ALGORITHMS: Final = ("RS256", "HS256")
"""The algorithms of a provider that names none."""

_HMAC_SECRET_BYTES_MIN: Final = 32
_RSA_CHARS_MIN: Final = 342
"""2,048 bits in base64; a smaller modulus can be factored (RFC 7518 §3.3)."""
_GOOGLE: Final = "https://accounts.google.com"
APPLE_ISSUERS: Final = frozenset(("https://appleid.apple.com", "https://account.apple.com"))


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a token, which describes its signature; `kid` is None if it names no key."""

    algorithm: str
    kid: str | None


@dataclass(frozen=True, slots=True)
class Expected:
    """The values that a token must have.

    audiences   the audiences that the token may be for; None: any. Instant checks them only for
                clients with a secret (instant-http §1.7 step 5); without this check, a token
                given to another app of the same provider would sign in here
    nonce       the `nonce` of the request
    """

    issuer: str
    audiences: frozenset[str] | None
    nonce: str | None
    now_ms: int


def refused(message: str) -> InvalidInput:
    """The error for a token that is not accepted. It does not repeat the token, a credential."""
    return invalid("id_token", None, [{"message": message}])


def read_header(token: str, algorithms: Collection[str]) -> Header:
    """Read which algorithm and key verify a token.

    algorithms   those of the provider
    raises       InvalidInput when it is not a token, or its algorithm is not accepted
    """
    if len(token) > auth_limits.ID_TOKEN_CHARS_MAX:
        raise refused(f"The id_token is longer than {auth_limits.ID_TOKEN_CHARS_MAX} characters.")
    header = _object(token.partition(".")[0]) if _FORM.fullmatch(token) else None
    if header is None:
        raise refused("The id_token is not a JSON Web Token.")
    algorithm, kid = header.get("alg"), header.get("kid")
    is_known = isinstance(algorithm, str) and algorithm in _KEY_TYPES and algorithm in algorithms
    # We know no extension that must be understood, or that changes what is signed.
    if not is_known or "crit" in header or "b64" in header:
        raise refused("The id_token used an unsupported algorithm.")
    return Header(str(algorithm), kid if isinstance(kid, str) else None)


def find_keys(header: Header, keys: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The public keys of a provider that may have made the signature."""
    kty, crv = _KEY_TYPES[header.algorithm]
    return [
        key
        for key in keys
        # A symmetric key in a public key set is ignored: it is no secret.
        if key.get("kty") == kty != "oct"
        and (crv is None or key.get("crv") == crv)
        and key.get("use", "sig") == "sig"
        and key.get("alg", header.algorithm) == header.algorithm
        and (header.kid is None or key.get("kid") == header.kid)
        and (kty != "RSA" or len(str(key.get("n"))) >= _RSA_CHARS_MIN)
    ]


def secret_key(secret: str | None) -> list[Mapping[str, Any]]:
    """The client secret as the only key of HS256, if it is long enough (RFC 7518 §3.2)."""
    if secret is None or "-----BEGIN" in secret or len(secret.encode()) < _HMAC_SECRET_BYTES_MIN:
        return []
    k = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    return [{"kty": "oct", "k": k}]


def verify(
    token: str, header: Header, keys: Sequence[Mapping[str, Any]], expected: Expected
) -> Mapping[str, Any]:
    """The claims of a token, if one of `keys` signed it and it is as `expected`.

    raises   InvalidInput("validation-failed", data type `id_token`)
    """
    claims = _verify_signature(token, header, keys)
    issuer = claims.get("iss")
    if issuer != _GOOGLE:
        # Google's button makes nonces that the page does not know.
        _check_nonce(claims.get("nonce"), expected.nonce)
    are_apple = {issuer, expected.issuer} <= APPLE_ISSUERS if isinstance(issuer, str) else False
    if issuer != expected.issuer and not are_apple:
        raise refused(f"The id_token wasn't issued by {expected.issuer}.")
    if not is_for(claims, expected.audiences):
        raise refused("The id_token was generated for the wrong OAuth client.")
    if find_sub(claims) is None:
        raise refused("The id_token had no subject.")
    _check_times(claims, expected.now_ms / 1000)
    return claims


def is_for(claims: Mapping[str, Any], audiences: frozenset[str] | None) -> bool:
    """Whether a token was made for one of `audiences`; None: any audience."""
    if audiences is None:
        return True
    given = claims.get("aud")
    return any(
        each in audiences
        for each in (given if isinstance(given, list) else [given])
        if isinstance(each, str)
    )


def _verify_signature(
    token: str, header: Header, keys: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    # Imported by the first request to a provider, on a thread, and so before any token.
    from cryptography.exceptions import UnsupportedAlgorithm
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry
    from joserfc.jws import JWSRegistry, deserialize_compact

    # Some providers add members of their own to the header; `crit` was checked before.
    registry = JWSRegistry(algorithms=[header.algorithm], strict_check_header=False)
    for key in keys:
        try:
            with warnings.catch_warnings():
                # EdDSA has a newer name (RFC 9864) that providers do not use yet.
                warnings.simplefilter("ignore")
                signed = deserialize_compact(
                    token, JWKRegistry.import_key(dict(key)), registry=registry
                )
        except (
            JoseError,
            UnsupportedAlgorithm,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ):
            continue  # another key, or not a key
        claims = _json_object(signed.payload or b"")
        if claims is None:
            raise refused("The id_token does not hold a JSON object.")
        return claims
    raise refused("The id_token's signature is not from a key of the provider.")


def _check_nonce(claim: Any, given: str | None) -> None:
    claim = claim if isinstance(claim, str) and claim.strip() else None
    given = given if given is not None and given.strip() else None
    if claim == given:
        return
    if claim is None:
        raise refused("The id_token is missing a nonce.")
    if given is None:
        raise refused("The nonce parameter was not provided in the request.")
    if claim != hashlib.sha256(given.encode()).hexdigest():
        raise refused("The nonces do not match.")


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    expiry = _number(claims.get("exp"))
    if expiry is None:
        raise refused("The id_token has no expiry (`exp`).")
    if expiry + auth_limits.ID_TOKEN_LEEWAY_S <= now_s:
        raise refused("The id_token has expired.")
    for label in ("nbf", "iat"):
        since = _number(claims.get(label))
        if since is not None and since - auth_limits.ID_TOKEN_LEEWAY_S > now_s:
            raise refused(f"The id_token is not valid yet (`{label}`).")


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number else None


def find_sub(claims: Mapping[str, Any]) -> str | None:
    """The provider's id of the person; some write it as a number."""
    sub = claims.get("sub")
    if isinstance(sub, int) and not isinstance(sub, bool):
        sub = str(sub)
    if isinstance(sub, str) and 0 < len(sub.strip()) <= auth_limits.OAUTH_TEXT_CHARS_MAX:
        return sub
    return None


def find_image(url: Any) -> str | None:
    """The URL of a picture, if a page may show it."""
    read = read_url(url)
    return url if read is not None and read.is_web else None


def profile_of(claims: Mapping[str, Any], *, allows_unverified_email: bool) -> Profile:
    """The person that verified claims name.

    The e-mail address counts only if `email_verified` is the boolean true: an unverified address
    would open the account of its owner.
    """
    is_verified = claims.get("email_verified") is True or allows_unverified_email
    email = find_email(claims.get("email")) if is_verified else None
    sub = find_sub(claims)
    assert sub is not None, "verify refuses tokens without it"
    return Profile(sub, email, find_image(claims.get("picture")))


def read_claims(token: Any) -> Mapping[str, Any] | None:
    """The claims of a token that came directly from the provider, and needs no verification."""
    if not isinstance(token, str) or len(token) > auth_limits.OUTGOING_BYTES_MAX:
        return None
    return _object(token.split(".")[1]) if _FORM.fullmatch(token) else None


def _object(part: str) -> dict[str, Any] | None:
    try:
        return _json_object(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return None


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
