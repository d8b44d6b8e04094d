"""Tokens that libraries refuse to make: any key, any header, any payload."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def part(value: Any) -> str:
    """A part of a token: base64 of bytes, or of JSON."""
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def modulus_of(key: rsa.RSAPrivateKey) -> bytes:
    """`n` of a key set."""
    number = key.public_key().public_numbers().n
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


class RawOct:
    """HS256 with any bytes as the key; libraries refuse to sign with some."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, claims: Any, kid: str = "r1") -> str:
        signed = f"{part({'alg': 'HS256', 'kid': kid})}.{part(claims)}"
        digest = hmac.digest(self._key, signed.encode(), "sha256")
        return f"{signed}.{part(digest)}"


class RawRsa:
    """RS256 with any header and payload."""

    def __init__(self, key: Any) -> None:
        self._key: rsa.RSAPrivateKey = getattr(key, "private_key", key)

    def sign(self, claims: Any, **header: Any) -> str:
        return self.sign_raw(orjson.dumps(claims), **header)

    def sign_raw(self, payload: bytes, **header: Any) -> str:
        signed = f"{part({'alg': 'RS256', **header})}.{part(payload)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{part(signature)}"
