"""The settings of an archive ↔ those of an app, and what people must do by hand.

source   instant-http §6.7; spec/archive.md AR50-AR59
"""

from __future__ import annotations

from typing import Any, Final

from trice import archive_limits as limits
from trice import auth_limits
from trice.apps.settings import EmailTemplate, Origin, Settings, TestUser
from trice.archive.config import Config
from trice.archive.report import Report, listed
from trice.auth.emails import find_email
from trice.auth.oauth.origins import check_origin
from trice.errors import InvalidInput
from trice.protocol.quoting import quote
from trice.runtime import Runtime, new_key

_TEMPLATE_TYPE: Final = "magic-code"


def settings_of(config: Config, report: Report, runtime: Runtime) -> Settings:
    """The settings that an app gets; what cannot be taken is noted in `report`."""
    ours = config.settings or Settings()
    now_ms = runtime.now_ms()
    origins: list[Origin] = []
    refused = []
    for given in config.origins:
        if len(origins) == auth_limits.ORIGINS_MAX:
            refused.append(quote(given))
            continue
        fields = given if isinstance(given, dict) else {}
        try:
            service, params = check_origin(fields.get("service"), fields.get("params"))
        except InvalidInput as failure:
            refused.append(f"{quote(given)} ({failure.message})")
            continue
        origins.append(Origin(new_key(runtime), service, params, now_ms))
    if refused:
        report.note(f"These authorized origins did not come: {listed(refused)}.")
    test_users = tuple(each for each in ours.test_users if _is_test_user(each))
    expiry = ours.code_expiry_minutes
    return Settings(
        code_expiry_minutes=expiry if 1 <= expiry <= 1440 else auth_limits.CODE_EXPIRY_MINUTES,
        origins=tuple(origins),
        test_users=test_users[: auth_limits.TEST_USERS_MAX],
        email_template=_template(config, report, runtime) or _checked(ours.email_template),
        has_passwords=ours.has_passwords,
        has_passkeys=ours.has_passkeys,
    )


def _is_test_user(each: TestUser) -> bool:
    is_code = len(each.code) == 6 and each.code.isascii() and each.code.isdigit()
    return is_code and find_email(each.email) == each.email


def _template(config: Config, report: Report, runtime: Runtime) -> EmailTemplate | None:
    """The template of the e-mail with a code, the first one if there are several."""
    for given in config.templates[: limits.NOTES_MAX]:
        fields = given if isinstance(given, dict) else {}
        subject, body = fields.get("subject"), fields.get("body")
        name, sender = fields.get("name"), fields.get("email")
        if fields.get("type", _TEMPLATE_TYPE) != _TEMPLATE_TYPE:
            report.note(f"The e-mail template of type {quote(fields['type'])} did not come.")
            continue
        made = EmailTemplate(
            id=new_key(runtime),
            subject=subject if isinstance(subject, str) else "",
            body=body if isinstance(body, str) else "",
            name=name if isinstance(name, str) and name else None,
            sender=find_email(sender),
        )
        if _checked(made) is None:
            report.note(
                "The e-mail template did not come: its subject and body must hold {code}, the"
                f" subject must be one line, and each has {auth_limits.EMAIL_TEMPLATE_CHARS_MAX:,}"
                " characters at most.",
                "Send it again with `instant-cli auth email push`.",
            )
            continue
        if made.sender is not None:
            report.note(
                f"The e-mail with a code is to come from {made.sender}. A server sends from its"
                " own address unless the sender is at the same host; answers go to that sender.",
                "Start the server with TRICE_MAIL_FROM set to an address at that host, and"
                " TRICE_SMTP_URL to a mail server that may send from it.",
            )
        return made
    return None


def _checked(template: EmailTemplate | None) -> EmailTemplate | None:
    """The template if it may be used."""
    if template is None:
        return None
    texts = (template.subject, template.body)
    is_good = all(
        "{code}" in text and len(text) <= auth_limits.EMAIL_TEMPLATE_CHARS_MAX for text in texts
    )
    return template if is_good and template.subject.isprintable() else None


def note_by_hand(config: Config, report: Report) -> None:
    """Note what no archive holds, or what is better done by people."""
    if config.settings is None:
        report.note(
            "Test users, the time for which codes work, and e-mail templates without a sender of"
            " their own are in no Instant backup.",
            f"Add each test user: POST /dash/apps/{report.app_id}/test_users"
            ' {"email": "…", "code": "123456"} with the admin token.',
        )


def exported_settings(settings: Settings) -> dict[str, Any]:
    """The keys of `config.json` that tell settings as Instant does."""
    template = settings.email_template
    templates = []
    if template is not None and template.sender is not None:
        templates.append(
            {
                "type": _TEMPLATE_TYPE,
                "subject": template.subject,
                "body": template.body,
                "name": template.name or "",
                "email": template.sender,
            }
        )
    origins = [
        {"service": origin.service, "params": list(origin.params)} for origin in settings.origins
    ]
    return {"emailTemplates": templates, "authorizedRedirectOrigins": origins}
