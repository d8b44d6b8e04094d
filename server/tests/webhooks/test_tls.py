"""Deliveries over TLS: the certificate must be for the host of the URL, whatever its address."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.webhook_receiver import OK
from trice.webhooks import send
from webhooks.conftest import WebhookStage

HOST = "shop.example"


def certificate(folder: Path) -> Path:
    """A file with a key, and a certificate for HOST that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@asynccontextmanager
async def secure_receiver(pem: Path) -> AsyncIterator[int]:
    """A receiver that speaks TLS; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def resolve(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def try_both_names(
    stage: WebhookStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    monkeypatch.setattr(send, "make_tls", lambda: ssl.create_default_context(cafile=str(pem)))
    stage.webhooks.sender.resolve = resolve
    async with secure_receiver(pem) as port:
        for host, status in ((HOST, "success"), ("other.example", "error")):
            webhook = await stage.create(url=f"https://{host}:{port}/")
            await stage.write(["update", "goods", stage.id(), {"name": host}])
            (event,) = await stage.ended(webhook, status)
            await stage.manage("DELETE", f"/{webhook['id']}")
    assert event["attempts"][0]["error-type"] == "tls"


@pytest.mark.rule("WH24")
async def test_the_certificate_is_for_the_host(
    stage: WebhookStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await try_both_names(stage, tmp_path, monkeypatch)


@pytest.mark.uvloop
@pytest.mark.rule("WH24")
async def test_it_is_on_the_loop_of_the_server_too(
    stage: WebhookStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await try_both_names(stage, tmp_path, monkeypatch)
