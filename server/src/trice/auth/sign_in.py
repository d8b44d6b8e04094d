"""Signing in: with a code from an e-mail, as a guest, or by an admin.

send      → rate → code stored → e-mail
verify    → guest token → rate → may sign up? → code used up → account → token
guest     → may sign up? → account → token

source   instant-http §1.3, §1.4, §3.4; spec/auth.md A40-A59
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from trice.apps.apps import App
from trice.apps.settings import EmailTemplate
from trice.auth.accounts import (
    SignUpCheck,
    User,
    check_sign_up,
    create_user,
    find_user,
    link_guest,
    new_user_id,
    sign_up,
    user_object,
)
from trice.auth.magic_codes import MagicCodes, code_error, expiry_text, is_test_user
from trice.auth.templates import render
from trice.auth.throttle import Throttle
from trice.auth.tokens import get_guest, mint_token
from trice.database import Change
from trice.errors import InvalidInput, TriceError, Unavailable, invalid
from trice.mail import Mail, Message
from trice.runtime import Runtime

_SAMPLE_CODE: Final = "123456"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user who has just signed in.

    token        a new refresh token; only its hash is stored
    is_created   whether the account is new
    """

    user: User
    token: str
    is_created: bool

    def body(self, app_id: str) -> dict[str, Any]:
        """The answer: `{"user": {…, "refresh_token"}, "created"}`."""
        user = user_object(app_id, self.user, refresh_token=self.token)
        return {"user": user, "created": self.is_created}


async def make_code(app: App, email: str, *, codes: MagicCodes) -> str:
    """Store a code for an e-mail address without sending it."""
    return await app.database.change(lambda change: codes.add(change, email, settings=app.settings))


async def send_code(
    app: App, email: str, *, codes: MagicCodes, throttle: Throttle, mail: Mail
) -> str:
    """Store a code for an e-mail address and send it there.

    raises   LimitExceeded; InvalidInput or Unavailable("email-send-failed") if it was not sent,
             but not for test users, who know their code
    """
    throttle.send(app.id, email, is_ephemeral=app.is_ephemeral)
    code = await make_code(app, email, codes=codes)
    try:
        await mail.send(_message(app, app.settings.email_template, code=code, email=email))
    except (InvalidInput, Unavailable):
        if not is_test_user(app.settings, email):
            raise
    return code


async def send_sample(
    app: App, template: EmailTemplate, *, email: str, throttle: Throttle, mail: Mail
) -> None:
    """Send the e-mail that a template makes, with a code that does not work.

    raises   InvalidInput unless it goes to a user or test user of the app, as an admin may not
             write to strangers; LimitExceeded as `send_code`; what sending raises
    """
    user = await app.database.look(lambda look: find_user(look, email=email))
    if user is None and not is_test_user(app.settings, email):
        problem = "A test e-mail goes to a user or a test user of the app: sign in with it first."
        raise invalid("to", email, [{"message": problem, "in": ["to"]}])
    throttle.send(app.id, email, is_ephemeral=app.is_ephemeral)
    await mail.send(_message(app, template, code=_SAMPLE_CODE, email=email))


def _message(app: App, template: EmailTemplate | None, *, code: str, email: str) -> Message:
    letter = render(
        template,
        code=code,
        user_email=email,
        app_title=app.title,
        expiration=expiry_text(app.settings),
    )
    return Message(
        to=email,
        name=letter.name,
        subject=letter.subject,
        body_html=letter.body_html,
        body_text=letter.body_text,
        sender=None if template is None else template.sender,
        is_ephemeral=app.is_ephemeral,
    )


async def verify_code(
    app: App,
    *,
    email: str,
    code: str,
    guest_token: str | None,
    extra_fields: Mapping[str, Any] | None,
    check: SignUpCheck | None,
    codes: MagicCodes,
    throttle: Throttle,
    runtime: Runtime,
) -> SignedIn:
    """Sign in with a code; a new e-mail address signs up. The order of checks is that of §1.3.

    guest_token    that of the guest who signs in here, and keeps the account
    extra_fields   fields of a new user; ignored for an existing one
    check          None: an admin asks, the sign-up rule does not apply
    raises         NotFound, PermissionDenied, InvalidInput, LimitExceeded; then a right code that
                   has not expired still works
    """
    await app.database.look(lambda look: get_guest(look, guest_token))
    throttle.verify(app.id, email)

    def work(change: Change) -> SignedIn | TriceError:
        guest = get_guest(change, guest_token)
        user = find_user(change, email=email)
        user_id = new_user_id(guest, runtime)
        if user is None:
            check_sign_up(change, check, user_id=user_id, email=email, extra_fields=extra_fields)
        consumed = codes.consume(change, email, code, settings=app.settings)
        if consumed != "right":
            # Returned, not raised, so that the use of an expired code is written.
            return code_error(consumed)
        if user is not None:
            link_guest(change, guest, user)
            return SignedIn(user, mint_token(change, user.id, runtime=runtime), False)
        created = create_user(
            change, user_id, email=email, extra_fields=extra_fields, user_type="user", guest=guest
        )
        return SignedIn(created, mint_token(change, user_id, runtime=runtime), True)

    outcome = await app.database.change(work)
    if isinstance(outcome, TriceError):
        raise outcome
    return outcome


async def sign_in_guest(
    app: App,
    *,
    extra_fields: Mapping[str, Any] | None,
    check: SignUpCheck | None,
    runtime: Runtime,
) -> SignedIn:
    """Make a guest account. Raises as `accounts.sign_up`."""

    def work(change: Change) -> SignedIn:
        guest = sign_up(
            change, check, runtime=runtime, extra_fields=extra_fields, user_type="guest"
        )
        return SignedIn(guest, mint_token(change, guest.id, runtime=runtime), True)

    return await app.database.change(work)


async def sign_in_trusted(
    app: App,
    *,
    email: str | None,
    user_id: str | None,
    extra_fields: Mapping[str, Any] | None,
    runtime: Runtime,
) -> SignedIn:
    """Sign in the user that an admin names, by e-mail address or id; made if there is none."""

    def work(change: Change) -> SignedIn:
        by_email = email is not None
        user = find_user(change, email=email) if by_email else find_user(change, id=user_id)
        is_created = user is None
        if user is None:
            user = sign_up(
                change,
                None,
                runtime=runtime,
                email=email,
                extra_fields=extra_fields,
                user_id=None if by_email else user_id,
            )
        return SignedIn(user, mint_token(change, user.id, runtime=runtime), is_created)

    return await app.database.change(work)
