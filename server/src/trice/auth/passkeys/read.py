"""Reading the answers of browsers in a passkey ceremony, before they are verified. No I/O.

source   https://www.w3.org/TR/webauthn-3/ §5.8.1; spec/auth.md A179-A189
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from trice import auth_limits
from trice.apps.settings import Settings
from trice.auth.oauth.origins import is_authorized, read_url
from trice.errors import InvalidInput, invalid
from trice.protocol.quoting import quote


@dataclass(frozen=True, slots=True)
class ClientData:
    """The browser's data about a ceremony; the signature of the authenticator covers it."""

    challenge: bytes
    origin: str


def read_client_data(credential: Mapping[str, Any]) -> ClientData:
    """Find the challenge in an answer, to look up the expected values.

    credential   RegistrationResponseJSON or AuthenticationResponseJSON, of any shape
    raises       InvalidInput("param-malformed"); InvalidInput("validation-failed") for answers from
                 a frame inside a page of another site
    """
    try:
        data = orjson.loads(_response_bytes(credential, "clientDataJSON"))
        challenge = _decoded(data["challenge"])
        origin = data["origin"]
    except (KeyError, TypeError, ValueError) as cause:
        raise _malformed("response", "clientDataJSON") from cause
    if not isinstance(origin, str):
        raise _malformed("response", "clientDataJSON")
    if data.get("crossOrigin"):
        raise refused("it comes from a frame inside another site")
    return ClientData(challenge, origin)


def check_size(credential: Any) -> dict[str, Any]:
    """The answer as an object of bounded size; raises InvalidInput("param-malformed")."""
    try:
        size = len(orjson.dumps(credential))
    except orjson.JSONEncodeError as cause:  # too many levels
        raise _malformed() from cause
    if not isinstance(credential, dict) or size > auth_limits.PASSKEY_RESPONSE_BYTES_MAX:
        raise _malformed()
    return credential


def credential_id(credential: Mapping[str, Any]) -> str:
    """The id of the credential, as unpadded base64url."""
    given = credential.get("id")
    if not isinstance(given, str) or len(given) > auth_limits.PASSKEY_ID_BYTES_MAX * 4 // 3 + 1:
        raise _malformed("id")
    return given


def user_handle(credential: Mapping[str, Any]) -> bytes | None:
    """The user that the authenticator has for the passkey; None if it does not say."""
    try:
        return _response_bytes(credential, "userHandle")
    except (KeyError, TypeError, ValueError):
        return None


def relying_party(settings: Settings, origin: str, *, rp_id: str | None) -> str:
    """The domain that passkeys of a ceremony belong to.

    origin   `Origin` header of the request: a secure origin that the app has authorized
    rp_id    a parent domain of it, authorized as a generic origin; None: the origin's own host
    raises   InvalidInput("validation-failed") that says what to set up
    """
    url = read_url(origin)
    if url is None or not url.host or url.path or url.query or url.fragment:
        raise _refuse_origin(origin, "the request has no `Origin` header that names a website")
    is_local = url.host == "localhost" or url.host.endswith(".localhost")
    if url.scheme != "https" and not (url.scheme == "http" and is_local):
        raise _refuse_origin(origin, "browsers offer passkeys on https and localhost only")
    if not is_authorized(origin, settings.origins):
        raise _refuse_origin(origin, "it is not an authorized origin of this app")
    if rp_id is None or rp_id == url.host:
        return url.host
    hosts = {
        each.params[0].rpartition(":")[0] or each.params[0]
        for each in settings.origins
        if each.service == "generic"
    }
    if not url.host.endswith(f".{rp_id}") or rp_id not in hosts:
        message = (
            f"`rp-id` {quote(rp_id)} is not accepted for {origin}. Accepted are its host, and"
            " parent domains of it that are authorized as generic origins of this app."
        )
        raise invalid("passkey", rp_id, [{"message": message, "in": ["body", "rp-id"]}])
    return rp_id


def refused(reason: str) -> InvalidInput:
    """The error for a passkey's answer that is not valid."""
    message = f"The passkey's answer was not accepted: {reason.rstrip('.')}. Begin again."
    return invalid("passkey", None, [{"message": message}], message=message)


def _response_bytes(credential: Mapping[str, Any], name: str) -> bytes:
    return _decoded(credential["response"][name])


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError("not base64url text")
    return urlsafe_b64decode(text + "===")


def _malformed(*path: str) -> InvalidInput:
    where = ["body", "credential", *path]
    vector = " ".join(f'"{part}"' for part in where)
    return InvalidInput(
        "param-malformed",
        f"Malformed parameter: [{vector}]. It must be what `credential.toJSON()` gives, in at most"
        f" {auth_limits.PASSKEY_RESPONSE_BYTES_MAX} bytes.",
        {"in": where},
    )


def _refuse_origin(origin: str, reason: str) -> InvalidInput:
    message = (
        f"Passkeys cannot be used from {quote(origin)}: {reason}. Authorize the address of the"
        " website as a generic origin of the app."
    )
    return invalid("origin", origin[:200], [{"message": message, "in": ["headers", "origin"]}])
