"""Who asks, whom, and how long it may take. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from trice_client._errors import TriceError

TIMEOUT_S = 30.0
RETRY_S = 30.0


@dataclass(frozen=True, slots=True, repr=False)
class Caller:
    """The app, and as whom the server takes a request.

    admin_token  the app's own: rules are not asked, unless one of the next is given
    token        a refresh token: that user
    email        that user; needs the admin token
    is_guest     nobody, though there is an admin token
    """

    app_id: str
    admin_token: str | None = None
    token: str | None = None
    email: str | None = None
    is_guest: bool = False

    def __repr__(self) -> str:
        return f"{self.app_id} as {self.who}"

    @property
    def who(self) -> str:
        """Whom the server sees, without secrets."""
        if self.email is not None:
            return self.email
        if self.token is not None:
            return "a user"
        return "the admin" if self.admin_token is not None and not self.is_guest else "a guest"

    @property
    def is_admin(self) -> bool:
        """Whether it acts as the app itself."""
        is_other = self.is_guest or self.token is not None or self.email is not None
        return self.admin_token is not None and not is_other

    def headers(self) -> dict[str, str]:
        """For routes of the admin API, which act as somebody else where they are told to
        (instant-http §3.1)."""
        found = self._named()
        if self.email is not None:
            found["as-email"] = self.email
        elif self.token is not None:
            found["as-token"] = self.token
        elif self.is_guest or self.admin_token is None:
            found["as-guest"] = "true"
        return found

    def admin_headers(self) -> dict[str, str]:
        """For routes that only the admin token opens.

        raises   TriceError("admin-token-missing")
        """
        if self.admin_token is not None:
            return self._named()
        told = "This needs the admin token of the app: give `admin_token` to the client."
        raise TriceError("admin-token-missing", told)

    def bearer(self) -> dict[str, str]:
        """For routes that take the caller's own token: functions and streams.

        raises   TriceError("user-token-missing") for a user who is known by address alone
        """
        found, token = {"app-id": self.app_id}, self.own_token()
        return found if token is None else {**found, "authorization": f"Bearer {token}"}

    def own_token(self) -> str | None:
        """The token that proves who asks; None for a guest. raises   as `bearer`"""
        if self.email is not None:
            told = (
                "Functions, streams and live answers need the user's own token:"
                " db.as_user(token=db.auth.create_token(email=…))."
            )
            raise TriceError("user-token-missing", told)
        return self.token if self.token is not None or self.is_guest else self.admin_token

    def as_user(self, *, token: str | None, email: str | None) -> Caller:
        """The same app as somebody else sees it; a guest if neither is given."""
        if email is not None and self.admin_token is None:
            raise TriceError(
                "admin-token-missing", "To act as a user by address, the client needs admin_token."
            )
        is_guest = token is None and email is None
        return replace(self, token=token, email=email, is_guest=is_guest)

    def _named(self) -> dict[str, str]:
        found = {"app-id": self.app_id}
        if self.admin_token is not None:
            found["authorization"] = f"Bearer {self.admin_token}"
        return found


def make_caller(app_id: str, admin_token: str | None, token: str | None) -> Caller:
    """raises   TriceError("config-malformed")"""
    if not isinstance(app_id, str) or not app_id.strip():
        told = "A client takes the id of the app first; `trice apps` shows it."
        raise TriceError("config-malformed", told, hint={"path": ["app_id"]})
    return Caller(
        app_id.strip(), (admin_token or "").strip() or None, (token or "").strip() or None
    )


def origin_of(server: str) -> str:
    """The address without a slash at its end. raises   TriceError("config-malformed")"""
    parts = urlsplit(server)
    if parts.scheme in ("http", "https") and parts.netloc and not parts.query:
        return server.rstrip("/")
    told = f"`server` is the address of a server, such as https://data.example.org, not {server!r}."
    raise TriceError("config-malformed", told, hint={"path": ["server"], "expected": "http(s)://…"})


def user_token(user: Mapping[str, object]) -> str:
    """The token of what a sign-in returned. raises   TriceError("config-malformed")"""
    found = user.get("refresh_token")
    if isinstance(found, str):
        return found
    told = "`as_user` takes what a sign-in returned, `token=…` or `email=…`."
    raise TriceError("config-malformed", told, hint={"path": ["refresh_token"]})
