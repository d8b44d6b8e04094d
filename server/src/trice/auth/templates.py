"""The e-mail that carries a magic code. No I/O.

source   instant-http §6.1; spec/auth.md A60-A66
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from trice.apps.settings import EmailTemplate

DEFAULT_SUBJECT: Final = "{code} is your verification code for {app_title}"
DEFAULT_BODY: Final = """\
<!doctype html>
<html>
  <body style="font-family: sans-serif; color: #222; max-width: 32em; margin: 2em auto">
    <p>To sign in to <strong>{app_title}</strong> as {user_email}, enter this code:</p>
    <p style="font-size: 2em; letter-spacing: 0.2em; text-align: center"><strong>{code}</strong></p>
    <p>It works once, for {expiration}. If you did not ask for it, you can ignore this e-mail.</p>
  </body>
</html>
"""
_PLAIN: Final = """\
To sign in to {app_title} as {user_email}, enter this code:

    {code}

It works once, for {expiration}. If you did not ask for it, you can ignore this e-mail.
"""
_VARIABLE: Final = re.compile(r"\{(code|user_email|app_title|expiration)\}")


class Letter(NamedTuple):
    """A rendered e-mail; `name` is the display name of the sender."""

    name: str
    subject: str
    body_html: str
    body_text: str


def render(
    template: EmailTemplate | None, *, code: str, user_email: str, app_title: str, expiration: str
) -> Letter:
    """Fill in the app's template, or the server's own.

    Values are escaped in the body, but not in the subject. A value that looks like a variable is
    not replaced again. Every e-mail has a plain text beside its HTML.
    """
    values = {
        "code": code,
        "user_email": user_email,
        "app_title": app_title,
        "expiration": expiration,
    }
    escaped = {name: html.escape(value) for name, value in values.items()}
    return Letter(
        name=app_title if template is None or not template.name else template.name,
        subject=_fill(DEFAULT_SUBJECT if template is None else template.subject, values),
        body_html=_fill(DEFAULT_BODY if template is None else template.body, escaped),
        body_text=_fill(_PLAIN, values),
    )


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values[match[1]], text)
