"""A passkey authenticator and the browser around it, in software.

From the options of a server it builds what `navigator.credentials` returns, byte by byte after
https://www.w3.org/TR/webauthn-3/ §6. A test can replace every field.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def encode(raw: bytes) -> str:
    """Unpadded base64url."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "===")


@dataclass
class Credential:
    """One key in the authenticator.

    handle   the `user.id` it was made for
    count    how often it signed; None: the authenticator has no counter
    """

    id: bytes
    rp_id: str
    handle: bytes
    key: ec.EllipticCurvePrivateKey
    count: int | None

    def cose(self) -> dict[int, Any]:
        """The public key as authenticators write it: ES256."""
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return {1: 2, 3: -7, -1: 1, -2: x, -3: y}


@dataclass
class Authenticator:
    """Keys of one person, and the browser at `origin`."""

    origin: str = "https://app.example"
    has_counter: bool = True
    flags: int = USER_PRESENT | USER_VERIFIED
    credentials: list[Credential] = field(default_factory=list)

    def create(self, options: dict[str, Any], **bent: Any) -> dict[str, Any]:
        """Answer creation options: RegistrationResponseJSON.

        bent   replaced values: client (fields of the client data), rp_id, flags, statement, format
        """
        secret = hashlib.sha256(f"{len(self.credentials)}{options['challenge']}".encode()).digest()
        credential = Credential(
            id=secret[:16],
            rp_id=options["rp"]["id"],
            handle=decode(options["user"]["id"]),
            key=ec.derive_private_key(int.from_bytes(secret, "big") >> 1, ec.SECP256R1()),
            count=0 if self.has_counter else None,
        )
        self.credentials.append(credential)
        attested = bytes(16) + len(credential.id).to_bytes(2, "big") + credential.id
        attested += cbor2.dumps(bent.get("cose", credential.cose()))
        data = self._data(credential, bent, extra_flags=ATTESTED) + attested
        attestation = {
            "fmt": bent.get("format", "none"),
            "attStmt": bent.get("statement", {}),
            "authData": data,
        }
        client = self._client_data("webauthn.create", options, bent)
        return {
            **self._outside(credential),
            "response": {
                "clientDataJSON": encode(client),
                "attestationObject": encode(cbor2.dumps(attestation)),
                "transports": ["internal"],
            },
        }

    def get(
        self, options: dict[str, Any], *, credential: Credential | None = None, **bent: Any
    ) -> dict[str, Any]:
        """Answer request options: AuthenticationResponseJSON.

        credential   None: the newest one of the domain
        bent         replaced values: client, rp_id, flags, count, handle, key (signs instead)
        """
        if credential is None:
            credential = next(c for c in reversed(self.credentials) if c.rp_id == options["rpId"])
        if credential.count is not None:
            credential.count += 1
        data = self._data(credential, bent)
        client = self._client_data("webauthn.get", options, bent)
        key = bent.get("key", credential.key)
        signed = data + hashlib.sha256(client).digest()
        handle = bent.get("handle", credential.handle)
        return {
            **self._outside(credential),
            "response": {
                "clientDataJSON": encode(client),
                "authenticatorData": encode(data),
                "signature": encode(key.sign(signed, ec.ECDSA(hashes.SHA256()))),
                "userHandle": None if handle is None else encode(handle),
            },
        }

    def _outside(self, credential: Credential) -> dict[str, Any]:
        text = encode(credential.id)
        return {"id": text, "rawId": text, "type": "public-key", "clientExtensionResults": {}}

    def _data(self, credential: Credential, bent: dict[str, Any], *, extra_flags: int = 0) -> bytes:
        rp_id = bent.get("rp_id", credential.rp_id)
        flags = bent.get("flags", self.flags) | extra_flags
        count = bent.get("count", credential.count or 0)
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big")

    def _client_data(self, kind: str, options: dict[str, Any], bent: dict[str, Any]) -> bytes:
        data = {
            "type": kind,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": False,
            **bent.get("client", {}),
        }
        return json.dumps(data, separators=(",", ":")).encode()
