"""Settings of sign-in for an app's developer: e-mail, test users, methods (http §6.1, §6.3).

All routes need the app's admin token, but for the one that reads the default template.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trice import auth_limits
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import developed, throttle_of
from trice.api.dash_auth import change_settings, not_found
from trice.api.middleware import json_response
from trice.api.parameters import email_in, find_email_in, malformed, missing, text_in, uuid_in
from trice.apps.apps import App
from trice.apps.settings import EmailTemplate, Settings, TestUser
from trice.auth.sign_in import send_sample
from trice.auth.templates import DEFAULT_BODY, DEFAULT_SUBJECT
from trice.catalog.dates import iso_text
from trice.errors import Conflict, InvalidInput, PermissionDenied, invalid
from trice.runtime import new_key

_EMAIL_TYPE: Final = "magic-code"
_CODE: Final = re.compile(r"[0-9]{6}")
_EXPIRY_MINUTES_MAX: Final = auth_limits.CODE_EXPIRY_MINUTES

# --- e-mail -------------------------------------------------------------------------------------


async def get_default_template(request: Request) -> Response:
    """`GET /dash/default-email-template` → the template of apps that have none; for anybody."""
    return json_response(
        {
            "email-type": _EMAIL_TYPE,
            "sender-email": request.app.state.settings.mail_from,
            "subject": DEFAULT_SUBJECT,
            "body": DEFAULT_BODY,
        }
    )


async def get_email_status(request: Request) -> Response:
    """`GET /dash/apps/:app_id/email_status` → `{"info": template | null}`."""
    async with developed(request) as app:
        template = app.settings.email_template
        return json_response({"info": None if template is None else _template(app, template)})


async def set_email_template(request: Request) -> Response:
    """`POST …/email_templates {"email-type", "subject", "body", …}` → `{"id"}`.

    {"sender-name"?, "sender-email"?: a sender of the app's own, see `mail`}
    """
    async with developed(request) as app:
        body = await json_body(request)
        if body.get("email-type") != _EMAIL_TYPE:
            given = body.get("email-type")
            raise malformed("body", "email-type", given=given, accepted=f'"{_EMAIL_TYPE}"')
        made = _template_in(request, app, body)

        def change(settings: Settings) -> tuple[Settings, str]:
            before = settings.email_template
            template = made if before is None else msgspec.structs.replace(made, id=before.id)
            return msgspec.structs.replace(settings, email_template=template), template.id

        return json_response({"id": await change_settings(request, app, change)})


async def delete_email_template(request: Request) -> Response:
    """`DELETE …/email_templates/:id` → `{}`; the server's own template is used again."""
    async with developed(request) as app:
        template_id = uuid_in(request.path_params, "id", place="params")

        def change(settings: Settings) -> tuple[Settings, None]:
            template = settings.email_template
            if template is None or template.id != template_id:
                raise not_found("app-email-template", template_id)
            return msgspec.structs.replace(settings, email_template=None), None

        await change_settings(request, app, change)
        return json_response({})


async def get_sender_verification(request: Request) -> Response:
    """`GET …/sender-verification`: only the mail server verifies senders."""
    async with developed(request):
        return json_response({"instant": {"verified?": None}, "verification": None})


async def send_sender_code(request: Request) -> Response:
    """`POST …/sender-verification/send-magic-code`: always refused; no sender is verified here."""
    async with developed(request):
        raise _no_verification(request, "sender")


async def verify_sender_code(request: Request) -> Response:
    """`POST …/sender-verification/verify-magic-code {"code"}`: no code was sent, so none fits."""
    async with developed(request):
        raise _no_verification(request, "code")


async def send_test_email(request: Request) -> Response:
    """`POST …/send-test-email {"to", "subject", "body", …}` → `{"sent-to"}`.

    to   e-mail address of a user or test user of the app
    {"sender-name"?, "sender-email"?} as for a template; the code in the e-mail does not work
    """
    async with developed(request) as app:
        body = await json_body(request)
        email = email_in(body, "to")
        template = _template_in(request, app, body)
        throttle = throttle_of(request)
        await send_sample(
            app, template, email=email, throttle=throttle, mail=request.app.state.mail
        )
        return json_response({"sent-to": email})


def _no_verification(request: Request, data_type: str) -> InvalidInput:
    host = request.app.state.settings.mail_from.rpartition("@")[2]
    problem = (
        f"Senders are not verified here. An address at {host} is the sender of the e-mail if the"
        " mail server allows it; any other address is where answers go."
    )
    return invalid(data_type, None, [{"message": problem}], message=problem)


def _template_in(request: Request, app: App, body: dict[str, Any]) -> EmailTemplate:
    """The template in a body, checked.

    raises   InvalidInput; PermissionDenied for throw-away apps on a server with a mail server:
             anybody can make one, and would write in the operator's name
    """
    state = request.app.state
    if app.is_ephemeral and state.settings.smtp_url is not None:
        raise PermissionDenied(
            "permission-denied",
            "The e-mail of throw-away apps is the server's own; its text cannot be changed.",
        )
    subject, letter = _template_text(body, "subject"), _template_text(body, "body")
    name = text_in(body, "sender-name") if body.get("sender-name") else None
    return EmailTemplate(
        id=new_key(state.runtime),
        subject=subject,
        body=letter,
        name=name,
        sender=_sender(request, body),
    )


def _template(app: App, template: EmailTemplate) -> dict[str, Any]:
    return {
        "id": template.id,
        "app_id": app.id,
        "email_type": _EMAIL_TYPE,
        "subject": template.subject,
        "body": template.body,
        "name": template.name or app.title,
        "email": template.sender,
        "sender_id": None,
        "verification_id": None,
        "postmark_id": None,
        "verification_verified": None,
    }


def _template_text(body: dict[str, Any], key: str) -> str:
    text = text_in(body, key)
    if len(text) > auth_limits.EMAIL_TEMPLATE_CHARS_MAX:
        raise _bad_template(
            key, f"It has at most {auth_limits.EMAIL_TEMPLATE_CHARS_MAX} characters."
        )
    if "{code}" not in text:
        raise _bad_template(key, f"The {key} must contain {{code}}, where the code will stand.")
    if key == "subject" and not text.isprintable():
        raise _bad_template(key, "The subject must be one line.")
    return text


def _sender(request: Request, body: dict[str, Any]) -> str | None:
    """The app's own sender; None for the server's."""
    if body.get("sender-email") == request.app.state.settings.mail_from:
        return None
    return find_email_in(body, "sender-email")


def _bad_template(key: str, problem: str) -> InvalidInput:
    return invalid("email-template", None, [{"message": problem, "in": [key]}])


# --- test users ---------------------------------------------------------------------------------


async def get_test_users(request: Request) -> Response:
    """`GET …/test_users` → `{"test-users": [{"id", "app_id", "email", "code", "created_at"}]}`."""
    # Whoever knows their codes signs in as them, so a viewer does not see them.
    async with developed(request, role="collaborator") as app:
        users = [_test_user(app, each) for each in app.settings.test_users]
        return json_response({"test-users": users})


async def add_test_user(request: Request) -> Response:
    """`POST …/test_users {"email", "code": six digits}` → `{"test-user"}`."""
    async with developed(request) as app:
        body = await json_body(request)
        email, code = email_in(body, "email"), body.get("code")
        if not isinstance(code, str) or _CODE.fullmatch(code) is None:
            raise malformed("body", "code", given=code, accepted="a string of six digits")
        runtime = request.app.state.runtime
        made = TestUser(new_key(runtime), email, code, runtime.now_ms())

        def change(settings: Settings) -> tuple[Settings, TestUser]:
            users = settings.test_users
            if any(each.email == email for each in users):
                raise Conflict(
                    "record-not-unique",
                    f"There is a test user with the address {email}. Delete it first.",
                    {"record-type": "app-test-user", "value": email},
                )
            if len(users) >= auth_limits.TEST_USERS_MAX:
                problem = f"An app has at most {auth_limits.TEST_USERS_MAX} test users."
                raise invalid("test-user", None, [{"message": problem}])
            return msgspec.structs.replace(settings, test_users=(*users, made)), made

        return json_response(
            {"test-user": _test_user(app, await change_settings(request, app, change))}
        )


async def delete_test_user(request: Request) -> Response:
    """`DELETE …/test_users {"id"}` → `{"test-user"}` as it was."""
    async with developed(request) as app:
        user_id = uuid_in(await json_body(request), "id")

        def change(settings: Settings) -> tuple[Settings, TestUser]:
            for user in settings.test_users:
                if user.id == user_id:
                    left = tuple(each for each in settings.test_users if each is not user)
                    return msgspec.structs.replace(settings, test_users=left), user
            raise not_found("app-test-user", user_id)

        return json_response(
            {"test-user": _test_user(app, await change_settings(request, app, change))}
        )


def _test_user(app: App, user: TestUser) -> dict[str, Any]:
    return {
        "id": user.id,
        "app_id": app.id,
        "email": user.email,
        "code": user.code,
        "created_at": iso_text(user.created_ms),
    }


# --- codes and methods --------------------------------------------------------------------------


async def set_code_expiry(request: Request) -> Response:
    """`POST …/set-magic-code-expiry {"expiry": minutes}` → `{"app": row}`."""
    async with developed(request) as app:
        body = await json_body(request)
        if "expiry" not in body:
            raise missing("body", "expiry")
        expiry = body["expiry"]
        if type(expiry) is not int or not 1 <= expiry <= _EXPIRY_MINUTES_MAX:
            accepted = f"a whole number of minutes from 1 to {_EXPIRY_MINUTES_MAX}"
            raise malformed("body", "expiry", given=expiry, accepted=accepted)
        await change_settings(
            request,
            app,
            lambda settings: (msgspec.structs.replace(settings, code_expiry_minutes=expiry), None),
        )
        row = {
            "id": app.id,
            "title": app.title,
            "created_at": iso_text(app.row.created_ms),
            "magic_code_expiry_minutes": expiry,
        }
        return json_response({"app": row})


async def set_sign_in_methods(request: Request) -> Response:
    """`POST …/sign-in-methods {"passwords"?: bool, "passkeys"?: bool}` → both, as they are now.

    Beyond Instant: an app has these ways to sign in only once they are switched on.
    """
    async with developed(request) as app:
        body = await json_body(request)
        for key in ("passwords", "passkeys"):
            if body.get(key) is not None and not isinstance(body[key], bool):
                raise malformed("body", key, given=body[key], accepted="true or false")
        given = {f"has_{key}": value for key, value in body.items() if value is not None}
        wanted = {key: given[key] for key in ("has_passwords", "has_passkeys") if key in given}

        def change(settings: Settings) -> tuple[Settings, Settings]:
            changed = msgspec.structs.replace(settings, **wanted)
            return changed, changed

        now = await change_settings(request, app, change)
        return json_response({"passwords": now.has_passwords, "passkeys": now.has_passkeys})


_APP: Final = "/dash/apps/{app_id}"

ROUTES: Final = (
    Route("/dash/default-email-template", get_default_template, methods=["GET"]),
    Route(f"{_APP}/email_status", get_email_status, methods=["GET"]),
    Route(f"{_APP}/email_templates", set_email_template, methods=["POST"], body=JSON),
    Route(f"{_APP}/email_templates/{{id}}", delete_email_template, methods=["DELETE"]),
    Route(f"{_APP}/sender-verification", get_sender_verification, methods=["GET"]),
    Route(f"{_APP}/sender-verification/send-magic-code", send_sender_code, methods=["POST"]),
    Route(f"{_APP}/sender-verification/verify-magic-code", verify_sender_code, methods=["POST"]),
    Route(f"{_APP}/send-test-email", send_test_email, methods=["POST"], body=JSON),
    Route(f"{_APP}/test_users", get_test_users, methods=["GET"]),
    Route(f"{_APP}/test_users", add_test_user, methods=["POST"], body=JSON),
    Route(f"{_APP}/test_users", delete_test_user, methods=["DELETE"], body=JSON),
    Route(f"{_APP}/set-magic-code-expiry", set_code_expiry, methods=["POST"], body=JSON),
    Route(f"{_APP}/sign-in-methods", set_sign_in_methods, methods=["POST"], body=JSON),
)
