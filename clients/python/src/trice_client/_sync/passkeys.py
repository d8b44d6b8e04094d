# Made of `_async/passkeys.py` by `make gen`: change that file.
"""Passkeys: their ceremonies, for a backend that stands between a page and the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trice_client._asked import Asked
from trice_client._config import Caller
from trice_client._errors import TriceError
from trice_client._sync.requests import Requests
from trice_client._users import SignedIn


class Passkeys:
    """`db.auth.passkeys`. The key itself is with a browser: each ceremony gives `options` for its
    `navigator.credentials`, and takes the `credential` that it answers, as JSON.

    origin   that of the page, `https://app.example.org`: the key is bound to its domain
    rp_id    a parent domain of it, for a key of several subdomains
    """

    def __init__(self, requests: Requests, caller: Caller) -> None:
        self._requests = requests
        self._caller = caller

    def begin_sign_in(self, *, origin: str, rp_id: str | None = None) -> dict[str, Any]:
        """The options of `navigator.credentials.get`."""
        answer = self._ask("sign_in/begin", origin, {"rp-id": rp_id})
        options: dict[str, Any] = answer["options"]
        return options

    def finish_sign_in(self, credential: Mapping[str, Any], *, origin: str) -> SignedIn:
        """Signs in whose key it is."""
        found: SignedIn = self._ask("sign_in/finish", origin, {"credential": credential})
        return found

    def begin_registration(self, *, origin: str, rp_id: str | None = None) -> dict[str, Any]:
        """The options of `navigator.credentials.create`, for the user that this client acts as."""
        body = {"refresh-token": self._token(), "rp-id": rp_id}
        options: dict[str, Any] = (self._ask("register/begin", origin, body))["options"]
        return options

    def finish_registration(
        self, credential: Mapping[str, Any], *, origin: str, name: str | None = None
    ) -> dict[str, Any]:
        """Keeps a new key of this user. Returns its row. name   what the user calls it"""
        body = {"refresh-token": self._token(), "credential": credential, "name": name}
        passkey: dict[str, Any] = (self._ask("register/finish", origin, body))["passkey"]
        return passkey

    def list_all(self) -> list[dict[str, Any]]:
        """The keys of this user."""
        answer = self._ask("list", None, {"refresh-token": self._token()})
        passkeys: list[dict[str, Any]] = answer["passkeys"]
        return passkeys

    def delete(self, id: str) -> None:
        """Forgets a key of this user."""
        self._ask("delete", None, {"refresh-token": self._token(), "id": id})

    def _token(self) -> str:
        if self._caller.token is not None:
            return self._caller.token
        raise TriceError("signed-out", "Act as the user first: db.as_user(token=…).")

    def _ask(self, path: str, origin: str | None, body: Mapping[str, Any]) -> Any:
        given = {name: value for name, value in body.items() if value is not None}
        json = {"app-id": self._caller.app_id, **given}
        headers = {} if origin is None else {"origin": origin}
        asked = Asked(
            "POST", f"/runtime/auth/passkey/{path}", headers=headers, json=json, repeats="unsent"
        )
        return self._requests.json(asked)
