"""The settings of an app, besides its data, schema and rules. No I/O."""

from __future__ import annotations

from typing import Literal

import msgspec

from trice import auth_limits

OriginService = Literal["generic", "netlify", "vercel", "custom-scheme"]


class Origin(msgspec.Struct, frozen=True):
    """A place that sign-in with OAuth may come from and return to (instant-http §1.8)."""

    id: str
    service: OriginService
    params: tuple[str, ...]
    created_ms: int


class TestUser(msgspec.Struct, frozen=True):
    """An e-mail address whose code is fixed, for tests and app reviews."""

    id: str
    email: str
    code: str
    created_ms: int


class EmailTemplate(msgspec.Struct, frozen=True):
    """The e-mail with a code; its subject and body (HTML) hold `{code}` (instant-http §6.1).

    sender   e-mail address it comes from; None: the server's own
    """

    id: str
    subject: str
    body: str
    name: str | None = None
    sender: str | None = None


class Settings(msgspec.Struct, frozen=True):
    """Settings of one app; defaults are those of a new one.

    has_passwords, has_passkeys   sign-in beyond Instant, off until switched on
    """

    code_expiry_minutes: int = auth_limits.CODE_EXPIRY_MINUTES
    origins: tuple[Origin, ...] = ()
    test_users: tuple[TestUser, ...] = ()
    email_template: EmailTemplate | None = None
    has_passwords: bool = False
    has_passkeys: bool = False
