"""Calls of the WebAuthn library: options for browsers, and checks of their answers.

The first ceremony imports the library, which takes 0.2 s and 23 MB; an idle server has 60 MB. So
every function here runs on a thread.

source   https://www.w3.org/TR/webauthn-3/ §7.1, §7.2; spec/auth.md A176-A187
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trice import auth_limits
from trice.auth.passkeys.read import refused


@dataclass(frozen=True, slots=True)
class Expectation:
    """The values that an answer must have, all from the stored challenge.

    origin   origin of the page in the browser, `https://app.example`
    rp_id    the domain that the passkey belongs to: the origin's host, or a parent of it
    """

    challenge: bytes
    origin: str
    rp_id: str


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A credential in the form that is stored; ids and keys as unpadded base64url."""

    credential_id: str
    public_key: str
    sign_count: int


def creation_options(
    *,
    rp_id: str,
    rp_name: str,
    user_id: bytes,
    user_name: str,
    challenge: bytes,
    excluded: Sequence[str],
) -> dict[str, Any]:
    """PublicKeyCredentialCreationOptionsJSON: a discoverable credential, with user verification.

    excluded   ids of the user's credentials; authenticators that hold one of them refuse
    """
    from webauthn import base64url_to_bytes, generate_registration_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import (
        AttestationConveyancePreference,
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = generate_registration_options(
        rp_id=rp_id,
        rp_name=rp_name,
        user_id=user_id,
        user_name=user_name,
        challenge=challenge,
        timeout=auth_limits.PASSKEY_CHALLENGE_MS,
        attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(text)) for text in excluded
        ],
    )
    return options_to_json_dict(options)


def request_options(*, rp_id: str, challenge: bytes) -> dict[str, Any]:
    """PublicKeyCredentialRequestOptionsJSON: any passkey of the domain, with user verification."""
    from webauthn import generate_authentication_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import UserVerificationRequirement

    options = generate_authentication_options(
        rp_id=rp_id,
        challenge=challenge,
        timeout=auth_limits.PASSKEY_CHALLENGE_MS,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def check_registration(credential: Mapping[str, Any], expected: Expectation) -> NewPasskey:
    """Check the answer of `navigator.credentials.create`.

    credential   RegistrationResponseJSON
    raises       InvalidInput("validation-failed") that says what is not valid
    """
    from webauthn import verify_registration_response
    from webauthn.helpers import (
        bytes_to_base64url,
        decode_credential_public_key,
        decoded_public_key_to_cryptography,
    )

    try:
        verified = verify_registration_response(
            credential=_without_attestation(credential),
            expected_challenge=expected.challenge,
            expected_rp_id=expected.rp_id,
            expected_origin=expected.origin,
            require_user_verification=True,
        )
        key = verified.credential_public_key
        if len(key) > auth_limits.PASSKEY_KEY_BYTES_MAX:
            raise ValueError(f"The public key has {len(key)} bytes")
        if len(verified.credential_id) > auth_limits.PASSKEY_ID_BYTES_MAX:
            raise ValueError(f"The credential id has {len(verified.credential_id)} bytes")
        # A key that cannot check signatures, such as a point off its curve, is refused now.
        decoded_public_key_to_cryptography(decode_credential_public_key(key))
    except Exception as cause:
        # Exceptions of any class: the library trusts CBOR and JSON to have the right shape.
        raise refused(f"{cause}") from cause
    return NewPasskey(
        credential_id=bytes_to_base64url(verified.credential_id),
        public_key=bytes_to_base64url(key),
        sign_count=verified.sign_count,
    )


def check_sign_in(
    credential: Mapping[str, Any], expected: Expectation, *, public_key: str, sign_count: int
) -> int:
    """Check the answer of `navigator.credentials.get`.

    credential   AuthenticationResponseJSON
    sign_count   the last count; a counter that is in use must have risen
    returns      the new count
    raises       InvalidInput("validation-failed") that says what is not valid
    """
    from webauthn import base64url_to_bytes, verify_authentication_response

    try:
        verified = verify_authentication_response(
            credential=dict(credential),
            expected_challenge=expected.challenge,
            expected_rp_id=expected.rp_id,
            expected_origin=expected.origin,
            credential_public_key=base64url_to_bytes(public_key),
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )
    except Exception as cause:
        raise refused(f"{cause}") from cause
    return verified.new_sign_count


def _without_attestation(credential: Mapping[str, Any]) -> dict[str, Any]:
    """The answer with an empty attestation statement.

    We ask for none and would trust none. Some authenticators send one anyway (signed with the key
    itself); we do not parse certificates from strangers for that.
    """
    from webauthn import base64url_to_bytes
    from webauthn.helpers import bytes_to_base64url, encode_cbor, parse_cbor

    response = credential["response"]
    attested = parse_cbor(base64url_to_bytes(response["attestationObject"]))
    plain = {"fmt": "none", "attStmt": {}, "authData": attested["authData"]}
    return {
        **credential,
        "response": {**response, "attestationObject": bytes_to_base64url(encode_cbor(plain))},
    }
