"""E-mails of actions, through the mailer that sign-in codes take."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Final

from trice import reach_limits as limits
from trice.apps.app import App
from trice.auth.emails import find_email
from trice.auth.throttle import Throttle
from trice.calls.side import Level
from trice.errors import InvalidInput, Unavailable
from trice.functions.frames import SendMail
from trice.mail import Mail, Message, one_line
from trice.protocol.quoting import brief
from trice.rate_limit import RateLimit

_HOUR_MS: Final = 3_600_000
_RATE: Final = RateLimit(limits.MAIL_BURST, limits.MAIL_PER_HOUR, _HOUR_MS)
_RATE_TO: Final = RateLimit(
    limits.MAIL_PER_HOUR_OF_RECIPIENT, limits.MAIL_PER_HOUR_OF_RECIPIENT, _HOUR_MS
)
_MARK: Final = re.compile(r"(<!--)|(-->)|<(?:(/?)([a-z][a-z0-9]*)|[!?])|(>)", re.IGNORECASE)
"""Where a comment begins or ends, a tag begins, or either may end."""

_UNSEEN: Final = ("head", "style", "script")
_BREAKS: Final = ("br", "/p", "/div", *(f"/h{n}" for n in range(1, 7)), "/li", "/tr")


class Mailing:
    """Sends what actions write. Holds nothing: who counts are the buckets.

    has_mailer  whether `mail` leads to a mail server; else it leads to the log
    is_dev      `trice dev`: there the log is as good
    """

    def __init__(
        self, mail: Mail, *, throttle: Throttle, has_mailer: bool, is_dev: bool = False
    ) -> None:
        self._mail = mail
        self._throttle = throttle
        self._has_mailer = has_mailer
        self._is_dev = is_dev

    async def send(self, app: App, asked: SendMail, *, note: Callable[[Level, str], None]) -> None:
        """Hand an e-mail over.

        note     writes to the log of the app
        raises   InvalidInput("bad-args"), LimitExceeded("rate-limited"),
                 Unavailable("email-send-failed"); InvalidInput("validation-failed") if the mail
                 server refuses the recipient
        """
        message = self._message(app, asked)
        if not self._has_mailer and not self._is_dev:
            raise Unavailable(
                "email-send-failed",
                "This server sends no e-mail: whoever runs it sets a mail server (TRICE_SMTP_URL).",
            )
        problem = "The app sends too many e-mails."
        self._throttle.take(("function-mail", app.id), _RATE, problem)
        problem = "The app sends too many e-mails to this address."
        self._throttle.take(("function-mail-to", app.id, message.to), _RATE_TO, problem)
        if not self._has_mailer:
            subject = one_line(message.subject)
            note("info", f"e-mail to {message.to}, which goes nowhere else: {subject}")
            note("info", message.body_text)
            return
        await self._mail.send(message)

    def _message(self, app: App, asked: SendMail) -> Message:
        to = find_email(asked.to)
        if to is None:
            raise _bad("to", "one e-mail address", asked.to)
        most = limits.MAIL_SUBJECT_CHARS_MAX
        if not asked.subject.strip() or len(asked.subject) > most or "\n" in asked.subject:
            raise _bad("subject", f"one line of 1 to {most} characters", asked.subject)
        for name, body in (("text", asked.text), ("html", asked.html)):
            if (
                body is not None
                and len(body.encode("utf-8", "replace")) > limits.MAIL_BODY_BYTES_MAX
            ):
                raise _bad(name, f"{limits.MAIL_BODY_BYTES_MAX:,} bytes at most", body)
        if asked.text is None and asked.html is None:
            raise _bad("text", "there, or html", None)
        template = app.settings.email_template
        return Message(
            to=to,
            name=app.title if template is None or not template.name else template.name,
            subject=asked.subject,
            body_html=html_of(asked.text or "") if asked.html is None else asked.html,
            body_text=text_of(asked.html or "") if asked.text is None else asked.text,
            sender=None if template is None else template.sender,
            is_ephemeral=app.is_ephemeral,
        )


def html_of(text: str) -> str:
    """Plain text as HTML that looks the same."""
    return f'<div style="white-space: pre-wrap">{html.escape(text)}</div>'


def text_of(body: str) -> str:
    """The text of HTML, for programs that show none: what tags say is lost, but for breaks.

    cost   O(length), whatever does not end: what a function writes is believed nothing
    """
    lines = (" ".join(line.split()) for line in html.unescape(_seen(body)).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _seen(body: str) -> str:
    """HTML without tags, comments and what is never shown. One pass over what `_MARK` finds."""
    texts: list[str] = []
    begin = 0  # of what was not taken yet
    tag = ""  # what the mark before began: a tag, by its name; "!--": a comment; "": text
    unseen = ""  # the element that nothing is shown of, until it ends
    for mark in _MARK.finditer(body):
        comment, comment_end, slash, name, end = mark.groups()
        if tag == "!--":
            if comment_end:
                tag, begin = "", mark.end()
        elif tag:
            if end or comment_end:
                texts.append("\n" if tag in _BREAKS and not unseen else "")
                unseen = tag if tag in _UNSEEN and not unseen else unseen
                tag, begin = "", mark.end()
        elif not (end or comment_end):
            began = "!--" if comment else f"{slash or ''}{name or '!'}".lower()
            if unseen and began not in (f"/{unseen}", "body"):
                continue  # `</head>` may be left out
            if not unseen:
                texts.append(body[begin : mark.start()])
            tag, begin, unseen = began, mark.start(), ""
    if not unseen and tag != "!--":
        texts.append(body[begin:])
    return "".join(texts)


def _bad(name: str, expected: str, given: str | None) -> InvalidInput:
    return InvalidInput(
        "bad-args",
        f"`{name}` of an e-mail must be {expected}.",
        {"path": name, "expected": expected, "got": brief(given)},
    )
