"""A real SMTP server on a loopback port, in the test's own event loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.loopback import listen


class MailServer:
    """The messages that arrived, and how the server behaves.

    arrived      (sender, recipients, raw bytes) of each message
    logins       (user, password) of each AUTH
    is_secure    whether each message came over TLS
    sender_says, recipient_says, data_says   answers in place of 250
    """

    def __init__(self) -> None:
        self.port = 0
        self.arrived: list[tuple[str, list[str], bytes]] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.is_secure: list[bool] = []
        self.refused_senders: set[str] = set()
        self.recipient_says: str | None = None
        self.data_says: str | None = None

    def message(self, position: int = -1) -> EmailMessage:
        """A message that arrived, parsed by the standard library."""
        parsed = BytesParser(policy=SMTP_POLICY).parsebytes(self.arrived[position][2])
        assert isinstance(parsed, EmailMessage)
        return parsed

    async def handle_MAIL(
        self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.refused_senders:
            return "553 5.7.1 Sender not owned"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if self.recipient_says is not None:
            return self.recipient_says
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        if self.data_says is not None:
            return self.data_says
        self.arrived.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        self.is_secure.append(session.ssl is not None)
        return "250 OK"

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"p@ss/word")


@asynccontextmanager
async def serve_mail(tls: ssl.SSLContext | None = None, **options: Any):
    """A mail server for the time of a block; with `tls` it offers STARTTLS."""
    server = MailServer()
    loop = asyncio.get_running_loop()

    async def serve(connection: socket.socket) -> None:
        protocol = _Smtp(
            server,
            hostname="localhost",
            loop=loop,
            tls_context=tls,
            authenticator=server.authenticate,
            **options,
        )
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
        try:
            await protocol.gone.wait()
        finally:
            transport.abort()
            await protocol.gone.wait()

    async with listen(serve) as listener:
        server.port = listener.port
        yield server


class _Smtp(SMTP):
    """Reports when its connection is gone, but not when STARTTLS only changes the transport."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gone = asyncio.Event()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.gone.set()


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """TLS for `localhost`, and the file of the certificate that clients must trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path = folder / "key.pem"
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return context, path
