# Made of `_async/auth.py` by `make gen`: change that file.
"""Users, their tokens and codes; every way to sign in that needs no browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode

from trice_client._asked import Asked
from trice_client._config import Caller
from trice_client._errors import TriceError
from trice_client._plain import plain
from trice_client._sync.passkeys import Passkeys
from trice_client._sync.requests import Requests
from trice_client._users import SignedIn, User, rejected, token_in


class Auth:
    """`db.auth`. What a sign-in returns is for `db.as_user(user)`: this client goes on as it was.

    Methods that say so need the admin token.
    """

    def __init__(self, requests: Requests, caller: Caller) -> None:
        self._requests = requests
        self._caller = caller
        self.passkeys = Passkeys(requests, caller)

    # --- signing in, as a user does -----------------------------------------------------------

    def send_magic_code(self, email: str) -> None:
        """Sends a code of six digits to an address. With the admin token the server's bound on
        what one address of the network may ask is not that of this program."""
        if self._caller.is_admin:
            self._admin("POST", "send_magic_code", {"email": email})
        else:
            self._post("send_magic_code", {"email": email})

    def sign_in_with_magic_code(
        self,
        email: str,
        code: str,
        *,
        guest: Mapping[str, Any] | None = None,
        extra_fields: Mapping[str, Any] | None = None,
    ) -> SignedIn:
        """Signs in, or up. With the admin token no rule is asked.

        guest         who that was until now keeps what is theirs
        extra_fields  fields of `$users` that a new user gets
        """
        body = {"email": email, "code": code, **_fields(guest, extra_fields)}
        if self._caller.is_admin:
            return _signed_in(self._admin("POST", "verify_magic_code", body))
        return self._sign_in("verify_magic_code", body)

    def sign_in_with_token(self, token: str) -> SignedIn:
        """The user of a refresh token. raises   TriceError("record-not-found")"""
        return self._sign_in("verify_refresh_token", {"refresh-token": token})

    def verify(self, authorization: str | None, *, max_age_s: float = 0) -> User:
        """Whose token a request brought; the user is for `db.as_user`.

            user = db.auth.verify(request.headers.get("authorization"))

        With the admin token it is asked past the server's bound on guesses, which is one for each
        address: a backend is one address for all its users.

        authorization   a header `Bearer …`, or the token itself
        max_age_s       an answer so old will do. A user who signs out is let in until then, but
                        what is asked as that user is refused
        raises          TriceError("token-rejected"), of status 401
        """
        token, app_id = token_in(authorization), self._caller.app_id
        verified = self._requests.verified
        known = verified.find(app_id, token, max_age_s=max_age_s)
        if known is not None:
            return known
        user = self._find_by_token(token)
        if user is None:
            verified.forget(app_id, token)
            raise rejected("The token is unknown, or its user has signed out.")
        found: User = {**user, "refresh_token": token}
        verified.note(app_id, found)
        return found

    def _find_by_token(self, token: str) -> User | None:
        try:
            if self._caller.admin_token is not None:
                return self.get_user(token=token)
            return (self.sign_in_with_token(token))["user"]
        except TriceError as error:
            if error.hint.get("record-type") == "app-user":
                return None
            raise

    def sign_in_as_guest(self, *, extra_fields: Mapping[str, Any] | None = None) -> SignedIn:
        """A new guest, who can become a user later."""
        return self._sign_in("sign_in_guest", _fields(None, extra_fields))

    def sign_in_with_id_token(
        self,
        id_token: str,
        *,
        client_name: str,
        nonce: str | None = None,
        extra_fields: Mapping[str, Any] | None = None,
    ) -> SignedIn:
        """With the id token of a provider (Google, Apple, Clerk, Firebase …)."""
        body = {"id_token": id_token, "client_name": client_name, "nonce": nonce}
        return self._by_provider("id_token", body, extra_fields)

    def create_authorization_url(
        self, *, client_name: str, redirect_url: str, code_challenge: str | None = None
    ) -> str:
        """Where a browser begins to sign in with a provider. It comes back to `redirect_url` with
        a `code` for `exchange_oauth_code`.

        redirect_url     of an origin that the app has allowed
        code_challenge   the SHA-256 of a verifier as base64url without padding (PKCE)
        """
        query = {
            "app_id": self._caller.app_id,
            "client_name": client_name,
            "redirect_uri": redirect_url,
        }
        if code_challenge is not None:
            query |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
        return f"{self._requests.origin}/runtime/oauth/start?{urlencode(query)}"

    def issuer_uri(self) -> str:
        """The issuer of tokens of this app, for providers that ask."""
        return f"{self._requests.origin}/runtime/{self._caller.app_id}"

    def exchange_oauth_code(
        self,
        code: str,
        *,
        code_verifier: str | None = None,
        extra_fields: Mapping[str, Any] | None = None,
    ) -> SignedIn:
        """With the code that a provider sent back to a page."""
        body = {"code": code, "code_verifier": code_verifier}
        return self._by_provider("token", body, extra_fields)

    def sign_up_with_password(
        self,
        email: str,
        code: str,
        password: str,
        *,
        guest: Mapping[str, Any] | None = None,
        extra_fields: Mapping[str, Any] | None = None,
    ) -> SignedIn:
        """Makes an account with a password. code   from `send_magic_code`"""
        body = {"email": email, "code": code, "password": password}
        return self._sign_in("password/sign_up", {**body, **_fields(guest, extra_fields)})

    def sign_in_with_password(self, email: str, password: str) -> SignedIn:
        """With a password."""
        return self._sign_in("password/sign_in", {"email": email, "password": password})

    def change_password(self, password: str, new_password: str) -> SignedIn:
        """Of the user that this client acts as. Their other tokens end; this one stays."""
        token = self._caller.token
        if token is None:
            raise TriceError("signed-out", "Act as the user first: db.as_user(token=…).")
        body = {"refresh-token": token, "password": password, "new-password": new_password}
        return self._sign_in("password/change", body)

    def reset_password(self, email: str, code: str, password: str) -> SignedIn:
        """Sets a password, the first one too. All earlier sessions of the user end."""
        body = {"email": email, "code": code, "password": password}
        return self._sign_in("password/reset", body)

    # --- for the app's own server ---------------------------------------------------------------

    def generate_magic_code(self, email: str) -> str:
        """A code of six digits, for mail of one's own: nothing is sent. Needs the admin token."""
        code = (self._admin("POST", "magic_code", {"email": email}))["code"]
        assert isinstance(code, str), "a code is text"
        return code

    def create_token(
        self,
        *,
        email: str | None = None,
        id: str | None = None,
        extra_fields: Mapping[str, Any] | None = None,
    ) -> str:
        """A new refresh token, for a sign-in of one's own. Makes the user if there is none. Needs
        the admin token."""
        whom = {"email": email} if email is not None else {"id": id}
        body = {**whom, **_fields(None, extra_fields)}
        user: User = (self._admin("POST", "refresh_tokens", body))["user"]
        return user["refresh_token"]

    def create_guest(self, *, extra_fields: Mapping[str, Any] | None = None) -> User:
        """A new user without an address, with a token. Needs the admin token."""
        answer = self._admin("POST", "sign_in_guest", _fields(None, extra_fields))
        return _signed_in(answer)["user"]

    def set_password(
        self, password: str | None, *, email: str | None = None, id: str | None = None
    ) -> User:
        """Sets a user's password, or takes it away. Tokens stay. Needs the admin token."""
        body = {**_whom(email, id, None), "password": password}
        return _signed_in(self._admin("POST", "users/password", body))["user"]

    def get_user(
        self, *, email: str | None = None, id: str | None = None, token: str | None = None
    ) -> User | None:
        """One user; None where there is none. Needs the admin token."""
        return _user((self._users("GET", email, id, token))["user"])

    def delete_user(
        self, *, email: str | None = None, id: str | None = None, token: str | None = None
    ) -> User | None:
        """Deletes a user and ends their tokens. Returns who it was. Needs the admin token."""
        return _user((self._users("DELETE", email, id, token))["deleted"])

    def sign_out(
        self, *, email: str | None = None, id: str | None = None, token: str | None = None
    ) -> None:
        """Ends a token, or all of a user. A token alone needs no admin token."""
        if token is not None and self._caller.admin_token is None:
            body = {"app_id": self._caller.app_id, "refresh_token": token}
            self._ask(Asked("POST", "/runtime/signout", json=body))
            return
        whom = _whom(email, id, token)
        self._admin("POST", "sign_out", whom)

    def _sign_in(self, path: str, body: Mapping[str, Any]) -> SignedIn:
        return _signed_in(self._post(path, body))

    def _by_provider(
        self, path: str, body: Mapping[str, Any], extra_fields: Mapping[str, Any] | None
    ) -> SignedIn:
        given = {"app_id": self._caller.app_id, **body, "refresh_token": self._caller.token}
        if extra_fields is not None:
            given["extra_fields"] = plain(extra_fields)
        json = {name: value for name, value in given.items() if value is not None}
        asked = Asked("POST", f"/runtime/oauth/{path}", json=json, repeats="unsent")
        return _signed_in(self._ask(asked))

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        # Codes are used up by the first request that has them: none is sent twice.
        json = {"app-id": self._caller.app_id, **body}
        return self._ask(Asked("POST", f"/runtime/auth/{path}", json=json, repeats="unsent"))

    def _admin(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        headers = self._caller.admin_headers()
        asked = Asked(method, f"/admin/{path}", headers=headers, json=body, repeats="unsent")
        return self._ask(asked)

    def _users(self, method: str, email: str | None, id: str | None, token: str | None) -> Any:
        headers, params = self._caller.admin_headers(), _whom(email, id, token)
        return self._ask(Asked(method, "/admin/users", headers=headers, params=params))

    def _ask(self, asked: Asked) -> Any:
        return self._requests.json(asked)


def _signed_in(answer: Any) -> SignedIn:
    """An answer of the server, whose guests have no `email`."""
    _user(answer["user"])
    signed_in: SignedIn = answer
    return signed_in


def _user(row: dict[str, Any] | None) -> User | None:
    if row is None:
        return None
    row.setdefault("email", None)
    return cast(User, row)


def _whom(email: str | None, id: str | None, token: str | None) -> dict[str, str]:
    given = {"email": email, "id": id, "refresh_token": token}
    found = {name: value for name, value in given.items() if value is not None}
    if len(found) == 1:
        return found
    told = "Name one user: by email, by id, or by token."
    raise TriceError("user-malformed", told, hint={"expected": "one of email, id, token"})


def _fields(
    guest: Mapping[str, Any] | None, extra_fields: Mapping[str, Any] | None
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if guest is not None:
        found["refresh-token"] = guest["refresh_token"]
    if extra_fields is not None:
        found["extra-fields"] = plain(extra_fields)
    return found
