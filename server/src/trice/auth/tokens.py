"""Refresh tokens, by which a signed-in client proves its identity. They do not expire.

`$userRefreshTokens {hashedToken, $user}` keeps hashes only. A token is looked up by its hash, so
the time that takes tells nothing about the tokens that exist.

source   instant-http §1.2; spec/auth.md A20-A29
"""

from __future__ import annotations

import hashlib
from typing import Final

from trice.auth.accounts import User, find_user, get_user, no_user
from trice.auth.emails import find_email
from trice.database import Change, Database, Look
from trice.errors import InvalidInput
from trice.identity import Identity
from trice.protocol.ids import EntityId, find_uuid_bytes, uuid_text
from trice.runtime import Runtime, new_key, new_uuid
from trice.system_rows import find_row

TOKENS: Final = "$userRefreshTokens"


def hash_token(token: str) -> str:
    """The stored form: hex SHA-256 of the token's 16 bytes.

    raises   InvalidInput("param-malformed") when it is not a uuid
    """
    raw = find_uuid_bytes(token)
    if raw is None:
        raise InvalidInput(
            "param-malformed",
            'Malformed parameter: ["refresh-token"]. It must be a uuid, as a sign-in answered it.',
            {"in": ["refresh-token"], "original-input": token},
        )
    return hashlib.sha256(raw).hexdigest()


async def identify(database: Database, token: str, *, request: Identity) -> Identity:
    """The identity of the user whose refresh token this is.

    request   not signed in, with the address and origin of the request
    raises    NotFound(app-user), InvalidInput("param-malformed")
    """
    user_id = await database.look(lambda look: _find_user_id(look, token))
    if user_id is None:
        raise no_user()
    return Identity("user", user_id, ip=request.ip, origin=request.origin)


async def identify_email(database: Database, email: str, *, request: Identity) -> Identity:
    """The identity of the user with an e-mail address, for an admin who acts as that user.

    raises   NotFound(app-user), InvalidInput("param-malformed")
    """
    found = find_email(email)
    if found is None:
        raise InvalidInput(
            "param-malformed",
            'Malformed parameter: ["asUser" "email"]. It must be an e-mail address.',
            {"in": ["asUser", "email"], "original-input": email},
        )
    user = await database.look(lambda look: get_user(look, email=found))
    user_id = find_uuid_bytes(user.id)
    return Identity("user", user_id, ip=request.ip, origin=request.origin)


def find_by_token(look: Look, token: str) -> User | None:
    """The user whose refresh token this is."""
    user_id = _find_user_id(look, token)
    return None if user_id is None else find_user(look, id=uuid_text(user_id))


def get_guest(look: Look, token: str | None) -> User | None:
    """The guest account that a sign-in comes from, by its token.

    returns  None without a token, and for the token of a user who is not a guest (§1.3 step 1)
    raises   NotFound(app-user) when the token is unknown
    """
    if token is None:
        return None
    user = find_by_token(look, token)
    if user is None:
        raise no_user()
    return user if user.is_guest else None


def mint_token(change: Change, user_id: str, *, runtime: Runtime) -> str:
    """Make a refresh token for a user. Only its hash is stored."""
    token = new_uuid(runtime)
    values = {"hashedToken": hash_token(token), "$user": user_id}
    change.write(["update", TOKENS, new_key(runtime), values])
    return token


def drop_token(change: Change, token: str) -> None:
    """Delete one token; an unknown one is no error."""
    row = find_row(change, TOKENS, "hashedToken", hash_token(token))
    if row is not None:
        change.write(["delete", TOKENS, row.fields["id"]])


def drop_tokens(change: Change, user: User, *, keep: str | None = None) -> None:
    """Delete every token of a user.

    keep   a token that stays valid
    """
    kept = None if keep is None else hash_token(keep)
    for row in change.find({TOKENS: {"$": {"where": {"$user": user.id}}}})[TOKENS]:
        if row.get("hashedToken") != kept:
            change.write(["delete", TOKENS, row["id"]])


def _find_user_id(look: Look, token: str) -> EntityId | None:
    """The user of an existing token, or None. Deleting a user deletes the tokens too."""
    row = find_row(look, TOKENS, "hashedToken", hash_token(token))
    return None if row is None else find_uuid_bytes(row.fields.get("$user"))
