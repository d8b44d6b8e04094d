"""What sign-ins return. No I/O."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class User(TypedDict):
    """A row of `$users`, with a token where one was made."""

    id: str
    email: str | None
    refresh_token: str
    type: NotRequired[str]
    imageURL: NotRequired[str | None]


class SignedIn(TypedDict):
    """Who signed in; `created` says that the user is new."""

    user: User
    created: NotRequired[bool]
