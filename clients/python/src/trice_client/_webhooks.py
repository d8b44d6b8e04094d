"""Whether the server signed a delivery of a webhook. No I/O."""

from __future__ import annotations

import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from trice_client import _json
from trice_client._errors import TriceError

TOLERANCE_S = 300.0
"""A delivery may be so old, and a clock be so wrong."""

ASK_AGAIN_S = 10.0
"""The server is asked for its keys so often at most, whatever key ids are claimed."""

JWKS_PATH = "/.well-known/webhooks/jwks.json"


class WebhookBody(TypedDict):
    """What a delivery holds: where the changes are fetched, and with what."""

    payloadUrl: str
    token: str


class WebhookRecord(TypedDict):
    """One change of an entity. The same change may come twice, with one `idempotencyKey`.

    before   None where it was created
    after    None where it was deleted
    """

    namespace: str
    id: str
    action: Literal["create", "update", "delete"]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    idempotencyKey: str


class WebhookPayload(TypedDict):
    """All changes of one transaction that a webhook is told of."""

    data: list[WebhookRecord]
    idempotencyKey: str


class KnownKeys:
    """Public keys of a server by their ids: it has one or two. For any thread.

    now_s   a clock that does not go back
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._keys: list[Mapping[str, Any]] = []
        self._asked_s: float | None = None

    def find(self, kid: str) -> Sequence[Mapping[str, Any]] | None:
        """The keys, if this one is among them, or the server was asked just now; else None: it is
        to be asked."""
        with self._lock:
            is_known = any(key.get("kid") == kid for key in self._keys)
            asked_s = self._asked_s
            if is_known or (asked_s is not None and self._now_s() - asked_s < ASK_AGAIN_S):
                return self._keys
            return None

    def note(self, keys: Sequence[Mapping[str, Any]]) -> None:
        """What the server answered."""
        with self._lock:
            self._keys, self._asked_s = list(keys), self._now_s()


def verify(
    signature: str | None,
    body: bytes | str,
    keys: Sequence[Mapping[str, Any]],
    *,
    received_s: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> WebhookBody:
    """What a delivery holds, if one of these keys signed it lately. Needs `cryptography`.

    signature    the header `Instant-Signature`
    body         as it came, byte for byte
    keys         those of `/.well-known/webhooks/jwks.json`
    received_s   when it came, in seconds since 1970; now, if it is not given
    tolerance_s  by how much it may be older or newer: within it, who has a delivery can send it
                 again, and `idempotencyKey` of the payload tells
    raises       TriceError("signature-invalid"), of status 401; TriceError("package-missing")
    """
    time_text, kid, signed = parts_of(signature)
    now_s = time.time() if received_s is None else received_s
    if not abs(now_s - int(time_text)) <= tolerance_s:
        raise invalid("It is too old, or too new.")
    raw = body.encode() if isinstance(body, str) else bytes(body)
    key = next((each for each in keys if each.get("kid") == kid), None)
    if key is None:
        raise invalid("The server has no such key.")
    if not _is_signed(key, signed, time_text.encode() + b"." + raw):
        raise invalid("It was not made by the server, or the body has changed on its way.")
    return _body_of(raw)


def parts_of(signature: str | None) -> tuple[str, str, bytes]:
    """Time, key id and signature of `t=1700000000,kid=…,v1=<hex>`.

    raises   TriceError("signature-invalid")
    """
    pairs = (part.strip().partition("=") for part in (signature or "").split(","))
    parts = {name: value for name, _, value in pairs}
    time_text, kid, text = parts.get("t", ""), parts.get("kid", ""), parts.get("v1", "")
    is_time = time_text.isascii() and time_text.isdigit() and len(time_text) <= 12
    try:
        signed = bytes.fromhex(text)
    except ValueError:
        raise invalid("It is no hexadecimal number.") from None
    if not (is_time and kid and signed):
        raise invalid("The header `Instant-Signature` is missing, or not whole.")
    return time_text, kid, signed


def invalid(why: str) -> TriceError:
    """The error of a delivery that is not to be believed."""
    told = f"The signature of a webhook does not hold. {why}"
    return TriceError("signature-invalid", told, status=401)


def _is_signed(key: Mapping[str, Any], signed: bytes, text: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as cause:
        told = "Webhooks need cryptography: pip install 'tricedb-client[webhooks]'."
        raise TriceError("package-missing", told) from cause
    if key.get("kty") != "OKP" or key.get("crv") != "Ed25519":
        return False
    try:
        x = str(key.get("x"))
        public = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(x + "=" * (-len(x) % 4)))
        public.verify(signed, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _body_of(raw: bytes) -> WebhookBody:
    try:
        found = _json.decode(raw)
    except ValueError:
        found = None
    if _json.is_object(found):
        url, token = found.get("payloadUrl"), found.get("token")
        if isinstance(url, str) and isinstance(token, str):
            return {"payloadUrl": url, "token": token}
    raise invalid("Its body names no `payloadUrl` and `token`.")
