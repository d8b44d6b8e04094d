"""The key that signs deliveries, and the tokens that they carry (instant-http §6.5).

One Ed25519 key for the whole server, made from the server's secret key: it stays the same over
restarts, and with TRICE_SECRET_KEY on every machine that has it.

    Instant-Signature   t=<unix seconds>,kid=<key id>,v1=<hex signature of "<t>.<body>">
    token               a JWT with EdDSA: iss, sub (app), exp, app-id, webhook-id, isn
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import orjson

from trice import webhook_limits
from trice.errors import InvalidInput, invalid

if TYPE_CHECKING:
    # Imported with the first signature: most servers have no webhooks, and it takes 6 MB.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BUILT_IN_KIDS: Final = frozenset(("1034696293", "503090235"))
"""Ids of keys that official clients have built in: they would never ask for ours."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token gives access to: the payload of one event."""

    app_id: str
    webhook_id: str
    isn: str


class Keys:
    """Signs and checks. Holds the key, made when it is first needed."""

    def __init__(self, make_seed: Callable[[], bytes]) -> None:
        """make_seed   makes 32 bytes, always the same"""
        self._make_seed = make_seed

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._make_seed())

    @cached_property
    def _public(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    @cached_property
    def kid(self) -> str:
        """The id of the key: digits, as Instant's are."""
        return kid_of(self._public)

    @cached_property
    def _token_head(self) -> str:
        return _encoded(orjson.dumps({"alg": "EdDSA", "typ": "JWT", "kid": self.kid}))

    def jwks(self) -> dict[str, Any]:
        """The public key, as receivers look it up."""
        key = {
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": "EdDSA",
            "use": "sig",
            "kid": self.kid,
            "x": _encoded(self._public),
        }
        return {"keys": [key]}

    def signature(self, body: bytes, *, now_ms: int) -> str:
        """The header that proves that a delivery comes from this server (40 µs)."""
        time_s = now_ms // 1000
        signed = self._key.sign(b"%d.%s" % (time_s, body))
        return f"t={time_s},kid={self.kid},v1={signed.hex()}"

    def token(self, claim: Claim, *, issuer: str, now_ms: int) -> str:
        """A token for one payload."""
        claims = {
            "iss": issuer,
            "sub": claim.app_id,
            "exp": now_ms // 1000 + webhook_limits.TOKEN_S,
            "app-id": claim.app_id,
            "webhook-id": claim.webhook_id,
            "isn": claim.isn,
        }
        text = f"{self._token_head}.{_encoded(orjson.dumps(claims))}"
        return f"{text}.{_encoded(self._key.sign(text.encode()))}"

    def check_token(self, token: str, claim: Claim, *, now_ms: int) -> None:
        """Refuse a token that this server did not sign, that is over, or for another payload.

        raises   InvalidInput("validation-failed"), data type "jwt"
        """
        from cryptography.exceptions import InvalidSignature

        text, _, signature = token.rpartition(".")
        head, _, body = text.partition(".")
        # The head is compared, not read: no token chooses how it is checked.
        if head != self._token_head:
            raise _refused("It was not signed by this server, or with an old key.")
        try:
            self._key.public_key().verify(_decoded(signature), text.encode())
            claims = orjson.loads(_decoded(body))
        except (InvalidSignature, ValueError) as cause:
            raise _refused("Its signature is wrong.") from cause
        if claims["exp"] * 1000 <= now_ms:
            raise _refused("It is over; each delivery brings a new one.")
        if claim != Claim(claims["app-id"], claims["webhook-id"], claims["isn"]):
            raise _refused("It is for another payload.")


def kid_of(public: bytes) -> str:
    """The id of a public key."""
    number = int.from_bytes(hashlib.sha256(public).digest()[:4], "big")
    while str(number) in BUILT_IN_KIDS:
        number += 1
    return str(number)


def _refused(message: str) -> InvalidInput:
    return invalid("jwt", None, [{"message": f"The token is not accepted. {message}"}])


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error) as cause:
        raise ValueError("no base64url") from cause
