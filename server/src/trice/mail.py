"""Sending e-mail: over SMTP, or to the log if no mail server is set.

A message cannot add headers of its own: addresses are plain ASCII (`auth.emails`), names and
subjects become one line, and the standard library encodes everything else.

source   instant-http §6.1; spec/auth.md A67-A76
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from trice import auth_limits
from trice.background import Background, Places
from trice.errors import InvalidInput, Unavailable, invalid
from trice.log import fields
from trice.runtime import Runtime, new_uuid

logger: Final = logging.getLogger("trice.mail")

StartTls = Literal["required", "offered", "never"]

# The values of aiosmtplib: None upgrades the connection if the server offers it.
_START_TLS: Final[dict[StartTls, bool | None]] = {"required": True, "offered": None, "never": False}
_HEADER_CHARS_MAX: Final = 200
_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")


@dataclass(frozen=True, slots=True)
class Message:
    """One e-mail to one person.

    to            checked address
    name          shown as its sender
    sender        address it should come from; None: the server's own
    is_ephemeral  from a throw-away app: it takes only the share that e-mails of those have
    """

    to: str
    name: str
    subject: str
    body_html: str
    body_text: str
    sender: str | None = None
    is_ephemeral: bool = False


class Mail(Protocol):
    """The door through which messages leave."""

    async def send(self, message: Message) -> None:
        """Hand a message over.

        raises   InvalidInput("validation-failed") when the mail server refuses the recipient,
                 Unavailable("email-send-failed") for everything else
        """
        ...


class LogMail:
    """Writes subject and recipient to the log: for development, without a mail server."""

    async def send(self, message: Message) -> None:
        logger.warning(
            "no mail server is set (TRICE_SMTP_URL), so this e-mail goes nowhere else %s",
            fields(to=message.to, subject=one_line(message.subject)),
        )


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """How to reach a mail server.

    is_tls      the connection is encrypted from its first byte (smtps)
    start_tls   when a plain connection becomes encrypted
    """

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    is_tls: bool
    start_tls: StartTls

    @classmethod
    def parse(cls, url: str) -> SmtpServer:
        """Read `smtp[s]://[user:password@]host[:port][?starttls=required|offered|never]`.

        Without `starttls`, encryption is required if there is a password, else used if offered.

        raises   InvalidInput("param-malformed"), which does not repeat the password
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _bad_url("its host or port cannot be read") from None
        if parts.scheme not in ("smtp", "smtps"):
            raise _bad_url("it does not begin with smtp:// or smtps://")
        if not parts.hostname or parts.path not in ("", "/") or parts.fragment:
            raise _bad_url("it must name a host and no path")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        wanted = options.pop("starttls", "required" if parts.password else "offered")
        start_tls = next((choice for choice in _START_TLS if choice == wanted), None)
        if start_tls is None or options:
            raise _bad_url("only starttls=required, offered or never may follow the ?")
        is_tls = parts.scheme == "smtps"
        return cls(
            host=parts.hostname,
            port=port or (465 if is_tls else 587),
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            is_tls=is_tls,
            start_tls=start_tls,
        )


class SmtpMail:
    """Sends through one mail server, auth_limits.MAIL_CONNECTIONS_MAX messages at a time.

    Holds the queue of messages, and refuses more than auth_limits.MAIL_WAITING_MAX. Messages of
    throw-away apps have a share of both bounds, so that they do not keep others waiting.
    """

    def __init__(
        self, server: SmtpServer, *, sender: str, runtime: Runtime, background: Background
    ) -> None:
        """sender   the server's own address, checked"""
        self._server = server
        self._sender = sender
        self._runtime = runtime
        self._queue = background.queue(
            "mail",
            Places(auth_limits.MAIL_CONNECTIONS_MAX, auth_limits.MAIL_WAITING_MAX),
            minor=Places(
                auth_limits.MAIL_CONNECTIONS_EPHEMERAL_MAX, auth_limits.MAIL_WAITING_EPHEMERAL_MAX
            ),
        )

    async def send(self, message: Message) -> None:
        """See `Mail.send`. If the mail server refuses a custom sender, our own replaces it."""
        try:
            sending = self._queue.submit(
                lambda: self._send_or_replace(message), is_minor=message.is_ephemeral
            )
        except Unavailable as cause:
            raise _failed("too many are waiting to be sent") from cause
        try:
            async with asyncio.timeout(auth_limits.MAIL_TIMEOUT_MS / 1000):
                await sending
        except TimeoutError as cause:
            raise self._too_late() from cause

    async def _send_or_replace(self, message: Message) -> None:
        # Imported with the first e-mail: a server that sends none saves 1 MB.
        from aiosmtplib import SMTPRecipientsRefused, SMTPSenderRefused, SMTPTimeoutError
        from aiosmtplib.errors import SMTPException

        try:
            try:
                await self._deliver(message)
            except SMTPSenderRefused:
                if self._senders(message)[0] == self._sender:
                    raise
                logger.info("sender refused %s", fields(sender=message.sender))
                await self._deliver(replace(message, sender=None))
        except SMTPTimeoutError as cause:
            raise self._too_late() from cause
        except SMTPRecipientsRefused as cause:
            answer = cause.recipients[0]
            logger.info("recipient refused %s", fields(code=answer.code))
            if answer.code < 500:  # a later try may succeed: greylisting, a full mailbox
                raise _failed("the mail server does not take it now") from cause
            problem = "The mail server refused this address as a recipient."
            raise invalid("email", message.to, [{"message": problem, "in": ["email"]}]) from cause
        except (SMTPException, OSError) as cause:
            logger.warning("e-mail not sent %s", fields(reason=one_line(str(cause))))
            raise _failed("the mail server refused it or could not be reached") from cause

    def _too_late(self) -> Unavailable:
        logger.warning("e-mail not sent %s", fields(reason="timeout", host=self._server.host))
        return _failed("the mail server did not answer in time")

    async def _deliver(self, message: Message) -> None:
        import aiosmtplib

        server = self._server
        sender, reply_to = self._senders(message)
        await aiosmtplib.send(
            build(message, sender=sender, reply_to=reply_to, runtime=self._runtime),
            sender=sender,
            recipients=[message.to],
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.is_tls,
            start_tls=False if server.is_tls else _START_TLS[server.start_tls],
            timeout=auth_limits.MAIL_TIMEOUT_MS / 1000,
        )

    def _senders(self, message: Message) -> tuple[str, str]:
        """The addresses for From and Reply-To.

        The app has not proved that a custom sender is its own. If it is at our own host, the mail
        server decides; at another host it would be a forgery, so it becomes the Reply-To.
        """
        if message.sender is None:
            return self._sender, self._sender
        is_our_host = message.sender.rpartition("@")[2] == self._sender.rpartition("@")[2]
        return message.sender if is_our_host else self._sender, message.sender


def make_mail(
    smtp_url: str | None, *, sender: str, runtime: Runtime, background: Background
) -> Mail:
    """Make what this server sends e-mail with.

    smtp_url   as `SmtpServer.parse` reads it; None: to the log
    sender     the server's own address
    raises     InvalidInput("param-malformed")
    """
    if smtp_url is None:
        return LogMail()
    local, at, host = sender.rpartition("@")
    if not (local and at and host) or not sender.isascii() or re.search(r"[\s<>,;:\"]", sender):
        raise InvalidInput(
            "param-malformed",
            f"The sender of e-mail (--mail-from) is {sender[:100]!r}; a plain address such as"
            " sign-in@here.com is accepted.",
        )
    server = SmtpServer.parse(smtp_url)
    return SmtpMail(server, sender=sender, runtime=runtime, background=background)


def build(message: Message, *, sender: str, reply_to: str, runtime: Runtime) -> bytes:
    """The message as it travels: plain text and HTML, all ASCII, no header but those named here."""
    # Imported with the first e-mail, as aiosmtplib is. This is the older API of the standard
    # library: the newer one decodes text that looks like an encoded word, writes line breaks found
    # inside unescaped, and loses spaces (Python 3.11.7).
    from email.header import Header
    from email.mime.multipart import MIMEMultipart
    from email.mime.text import MIMEText
    from email.policy import compat32
    from email.utils import format_datetime, formataddr

    name, subject = one_line(message.name), one_line(message.subject)
    if name.isascii():
        own = Header(formataddr((name, sender)), header_name="From")
    else:
        own = Header(name, "utf-8", header_name="From")
        own.append(f"<{sender}>", "us-ascii")
    built = MIMEMultipart("alternative", policy=compat32.clone(linesep="\r\n"))
    built["From"] = own.encode()
    built["To"] = message.to
    built["Reply-To"] = reply_to
    charset = "us-ascii" if subject.isascii() else "utf-8"
    built["Subject"] = Header(subject, charset, header_name="Subject").encode()
    built["Date"] = format_datetime(datetime.fromtimestamp(runtime.now_ms() // 1000, UTC))
    built["Message-ID"] = f"<{new_uuid(runtime)}@{sender.rpartition('@')[2]}>"
    # Out-of-office programs leave such messages unanswered (RFC 3834).
    built["Auto-Submitted"] = "auto-generated"
    built.attach(MIMEText(_encodable(message.body_text), "plain", "utf-8"))
    built.attach(MIMEText(_encodable(message.body_html), "html", "utf-8"))
    return built.as_bytes()


def one_line(text: str) -> str:
    """Text fit for a header: breaks and control characters become one space, the end is cut.

    `=?` is split, as mail programs would decode what follows it.
    """
    line = _BREAKS.sub(" ", _encodable(text)).strip()[:_HEADER_CHARS_MAX]
    return line.replace("=?", "= ?")


def _encodable(text: str) -> str:
    """Text without halves of surrogate pairs, which no e-mail can carry."""
    return text.encode("utf-8", "replace").decode()


def _failed(reason: str) -> Unavailable:
    return Unavailable(
        "email-send-failed", f"The e-mail could not be sent: {reason}. Try again in a minute."
    )


def _bad_url(problem: str) -> InvalidInput:
    return InvalidInput(
        "param-malformed",
        f"The address of the mail server (--smtp-url) is malformed: {problem}. Accepted is "
        "smtp[s]://[user:password@]host[:port][?starttls=required|offered|never].",
    )
