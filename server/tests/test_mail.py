"""E-mail over a real SMTP conversation on a loopback port (`trice.mail`)."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import replace
from email.parser import BytesParser
from email.policy import SMTP

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.mail_server import make_certificate, serve_mail
from support.runtime import FakeRuntime
from trice import auth_limits, mail
from trice.background import Background
from trice.errors import InvalidInput, TriceError, Unavailable
from trice.mail import LogMail, Mail, Message, SmtpMail, SmtpServer, build, make_mail, one_line

OWN = "sign-in@trice.example"
CODE = Message(
    to="ann@example.com",
    name="Café & Co",
    subject="012345 ist dein Code für „Café & Co“ 🙂",
    body_html="<p>Ihr Code: <strong>012345</strong> für Café</p>",
    body_text="Ihr Code: 012345 für Café\n.\nEnde\n",
)


def make(url: str | None, *, sender: str = OWN) -> Mail:
    runtime = FakeRuntime()
    return make_mail(url, sender=sender, runtime=runtime, background=Background(runtime))


def connect(url: str) -> SmtpMail:
    sending = make(url)
    assert isinstance(sending, SmtpMail)
    return sending


@pytest.mark.rule("A62", "A63")
async def test_a_message_arrives_as_it_was_meant():
    async with serve_mail() as server:
        await connect(f"smtp://127.0.0.1:{server.port}").send(CODE)
        ((sender, recipients, raw),) = server.arrived
        assert (sender, recipients) == (OWN, ["ann@example.com"])
        assert raw.isascii()
        message = server.message()
        assert message["Subject"] == CODE.subject
        (sender,) = message["From"].addresses
        assert (sender.display_name, sender.addr_spec) == ("Café & Co", OWN)
        assert (message["To"], message["Reply-To"]) == ("ann@example.com", OWN)
        assert message["Date"].datetime.timestamp() == 1_700_000_000
        assert message["Message-ID"].endswith("@trice.example>")
        assert message["Auto-Submitted"] == "auto-generated"
        assert message.get_content_type() == "multipart/alternative"
        plain, html = message.iter_parts()
        assert plain.get_content_type() == "text/plain"
        assert plain.get_content().replace("\r\n", "\n") == CODE.body_text
        assert html.get_content_type() == "text/html"
        assert html.get_content().strip() == CODE.body_html


@pytest.mark.rule("A63")
@pytest.mark.parametrize("text", ["x\r\nBcc: eve@evil.example", "x\nBcc: e@evil.example\n\nbody"])
async def test_titles_and_subjects_cannot_add_headers(text):
    async with serve_mail() as server:
        hostile = Message("ann@example.com", text, text, "<p>x</p>", "x")
        await connect(f"smtp://127.0.0.1:{server.port}").send(hostile)
        ((_, recipients, _),) = server.arrived
        message = server.message()
        assert recipients == ["ann@example.com"]
        assert "Bcc" not in message
        assert message["Subject"].startswith("x Bcc: e")
        assert message.get_content_type() == "multipart/alternative"


PIECES = ["=?utf-8?q?", "=?utf-8?b?DQpCY2M6IGFAYi5jbw==", "=0d=0aBcc:_a@b.co", "?=", "=0A", "\r\n"]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=8).map("".join)


@pytest.mark.rule("A63")
@given(name=HOSTILE, subject=HOSTILE, body=HOSTILE)
@example(name="=?utf-8?q?x=0d=0aBcc:_a@b.co?=", subject="=?utf-8?q?x=0d=0aBcc:_a@b.co?=", body="")
@example(name="é, eve@evil.example", subject=" =?utf-8?q?=0d=0a=0d=0ax?= é", body="")
def test_no_text_adds_a_header_or_breaks_the_message(name, subject, body):
    message = Message("ann@example.com", name, subject, body, body)
    raw = build(message, sender=OWN, reply_to=OWN, runtime=FakeRuntime())
    head, _, _ = raw.partition(b"\r\n\r\n")
    names = [line.split(b":")[0] for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    assert sorted(names) == sorted(
        b"From To Reply-To Subject Date Message-ID Auto-Submitted MIME-Version Content-Type".split()
    )
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    parsed = BytesParser(policy=SMTP).parsebytes(raw)
    assert [each.addr_spec for each in parsed["From"].addresses] == [OWN]
    # A long first word begins on a line of its own.
    assert parsed["Subject"].strip() == one_line(subject)


@pytest.mark.rule("A63")
def test_half_of_a_surrogate_pair_does_not_stop_an_e_mail():
    message = Message("ann@example.com", "a\ud800", "b\udc00", "<p>\ud800</p>", "\ud800")
    built = build(message, sender=OWN, reply_to=OWN, runtime=FakeRuntime())
    assert b"\r\nSubject: b?\r\n" in built


@pytest.mark.rule("A64")
@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ({"recipient_says": "550 5.1.1 No such user here"}, "validation-failed"),
        ({"recipient_says": "450 4.2.0 Greylisted"}, "email-send-failed"),
        ({"data_says": "554 5.7.1 Spam, secret-internal-host"}, "email-send-failed"),
        ({"data_says": "451 4.3.0 Disk full"}, "email-send-failed"),
        ({"refused_senders": {OWN}}, "email-send-failed"),
    ],
)
async def test_what_the_mail_server_refuses(behaviour, code):
    async with serve_mail() as server:
        for name, value in behaviour.items():
            setattr(server, name, value)
        with pytest.raises(TriceError) as caught:
            await connect(f"smtp://127.0.0.1:{server.port}").send(CODE)
        assert caught.value.code == code
        assert "secret-internal-host" not in caught.value.message
        assert server.arrived == []
        if code == "validation-failed":
            assert caught.value.hint["data-type"] == "email"


@pytest.mark.rule("A64")
async def test_nobody_at_the_mail_server_s_port():
    async with serve_mail() as server:
        port = server.port
    with pytest.raises(Unavailable, match="could not be reached") as caught:
        await connect(f"smtp://127.0.0.1:{port}").send(CODE)
    assert caught.value.code == "email-send-failed"


@pytest.mark.rule("A66")
async def test_custom_senders():
    async with serve_mail() as server:
        sending = connect(f"smtp://127.0.0.1:{server.port}")
        for custom, sender in (
            ("team@trice.example", "team@trice.example"),
            ("refused@trice.example", OWN),
            ("boss@bank.example", OWN),
        ):
            server.refused_senders = {"refused@trice.example"}
            await sending.send(Message("a@b.co", "T", "s", "<p>b</p>", "b", sender=custom))
            message = server.message()
            assert server.arrived[-1][0] == sender
            assert message["From"] == f"T <{sender}>"
            is_refused = custom.startswith("refused")
            assert message["Reply-To"] == (OWN if is_refused else custom)


# --- encryption ---------------------------------------------------------------------------------


@pytest.mark.rule("A67")
async def test_a_password_is_never_sent_in_clear():
    async with serve_mail(auth_require_tls=False) as server:
        url = f"smtp://ann:p%40ss%2Fword@127.0.0.1:{server.port}"
        with pytest.raises(Unavailable):
            await connect(url).send(CODE)
        assert server.logins == []
        await connect(url + "?starttls=never").send(CODE)
        assert server.logins == [(b"ann", b"p@ss/word")]
        with pytest.raises(Unavailable):
            await connect(url.replace("%40", "") + "?starttls=never").send(CODE)
        assert len(server.arrived) == 1


@pytest.mark.rule("A67")
async def test_encryption_when_offered_and_only_with_a_trusted_certificate(tmp_path, monkeypatch):
    tls, certificate = make_certificate(tmp_path)
    async with serve_mail(tls) as server:
        url = f"smtp://localhost:{server.port}"
        with pytest.raises(Unavailable):
            await connect(url).send(CODE)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await connect(url).send(CODE)
        login = url.replace("//", "//ann:p%40ss%2Fword@")
        await connect(login).send(CODE)
        assert server.is_secure == [True, True]
        assert server.logins == [(b"ann", b"p@ss/word")]


@pytest.mark.rule("A67")
@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://h", SmtpServer("h", 587, None, None, False, "offered")),
        ("smtp://h.io:25/", SmtpServer("h.io", 25, None, None, False, "offered")),
        ("smtp://u:p@h", SmtpServer("h", 587, "u", "p", False, "required")),
        ("smtps://u%40x.y:p%3A%2F@h", SmtpServer("h", 465, "u@x.y", "p:/", True, "required")),
        ("smtp://[::1]:2525", SmtpServer("::1", 2525, None, None, False, "offered")),
        ("smtp://u:p@h?starttls=offered", SmtpServer("h", 587, "u", "p", False, "offered")),
        ("smtp://h?starttls=required", SmtpServer("h", 587, None, None, False, "required")),
    ],
)
def test_urls(url, server):
    assert SmtpServer.parse(url) == server
    assert server.password is None or repr(server.password) not in repr(server)


@pytest.mark.rule("A67")
@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "does not begin with"),
        ("mail.example.com", "does not begin with"),
        ("http://u:hunter2@h", "does not begin with"),
        ("smtp://u:hunter2@", "must name a host"),
        ("smtp://u:hunter2@h/inbox", "must name a host and no path"),
        ("smtp://u:hunter2@h:port", "cannot be read"),
        ("smtp://u:hunter2@h:99999", "cannot be read"),
        ("smtp://u:hunter2@[::1", "cannot be read"),
        ("smtp://u:hunter2@h?starttls=yes", "may follow the ?"),
        ("smtp://u:hunter2@h?tls=1", "may follow the ?"),
    ],
)
def test_urls_that_are_none(url, problem):
    with pytest.raises(InvalidInput) as caught:
        make(url)
    assert caught.value.code == "param-malformed"
    assert problem in caught.value.message
    assert "hunter2" not in str(caught.value.body())


@pytest.mark.rule("A67")
@pytest.mark.parametrize(
    "sender", ["", "x", "@h", "a@", "A <a@b.co>", "a@b.co, c@d.eu", "a@b\n.co"]
)
def test_a_sender_is_a_plain_address(sender):
    with pytest.raises(InvalidInput, match="plain address"):
        make("smtp://h", sender=sender)


# --- bounds -------------------------------------------------------------------------------------


@pytest.mark.rule("A69")
async def test_a_mail_server_that_never_answers(monkeypatch):
    monkeypatch.setattr(auth_limits, "MAIL_TIMEOUT_MS", 50)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unavailable, match="did not answer in time") as caught:
            await connect(f"smtp://127.0.0.1:{port}").send(CODE)
    assert caught.value.code == "email-send-failed"


@pytest.mark.rule("A69")
async def test_so_many_e_mails_wait_at_most(monkeypatch):
    monkeypatch.setattr(auth_limits, "MAIL_WAITING_MAX", 3)
    monkeypatch.setattr(auth_limits, "MAIL_CONNECTIONS_MAX", 2)
    gate = asyncio.Event()
    started = []

    class Held(SmtpMail):
        async def _deliver(self, message: Message) -> None:
            started.append(message)
            await gate.wait()

    runtime = FakeRuntime()
    sending = Held(
        SmtpServer.parse("smtp://h"),
        sender=OWN,
        runtime=runtime,
        background=Background(runtime),
    )
    tasks = [asyncio.ensure_future(sending.send(CODE)) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(started) == 2
    with pytest.raises(Unavailable, match="too many are waiting") as caught:
        await sending.send(CODE)
    assert caught.value.code == "email-send-failed"
    gate.set()
    await asyncio.gather(*tasks)
    await sending.send(CODE)
    assert len(started) == 4


@pytest.mark.rule("A232")
async def test_mail_of_throw_away_apps_keeps_no_other_waiting(monkeypatch):
    monkeypatch.setattr(auth_limits, "MAIL_CONNECTIONS_EPHEMERAL_MAX", 1)
    monkeypatch.setattr(auth_limits, "MAIL_WAITING_EPHEMERAL_MAX", 3)
    gate = asyncio.Event()
    started = []

    class Held(SmtpMail):
        async def _deliver(self, message: Message) -> None:
            started.append(message)
            if message.is_ephemeral:
                await gate.wait()

    runtime = FakeRuntime()
    sending = Held(
        SmtpServer.parse("smtp://h"),
        sender=OWN,
        runtime=runtime,
        background=Background(runtime),
    )
    strange = replace(CODE, is_ephemeral=True)
    tasks = [asyncio.ensure_future(sending.send(strange)) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too many are waiting"):
        await sending.send(strange)
    for _ in range(20):
        await sending.send(CODE)
    assert started == [strange, *[CODE] * 20]
    gate.set()
    await asyncio.gather(*tasks)
    await sending.send(strange)
    assert started.count(strange) == 4


@pytest.mark.rule("A68")
async def test_without_a_mail_server_the_log_has_it(caplog):
    sending = make(None)
    assert isinstance(sending, LogMail)
    with caplog.at_level(logging.INFO, logger=mail.logger.name):
        await sending.send(Message("a@b.co", "T", "012345\nis it", "<p>x</p>", "x"))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "to=a@b.co" in record.getMessage()
    assert "012345 is it" in record.getMessage()
    assert "\n" not in record.getMessage()
