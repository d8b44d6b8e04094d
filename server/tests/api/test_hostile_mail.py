"""Sign-in e-mail as a weapon: floods, spam in the operator's name, hostile headers and HTML."""

from __future__ import annotations

import email
import email.policy
import logging

import pytest

from support.sign_in import SignIns, problem
from trice import auth_limits, limits
from trice.auth.throttle import Throttle
from trice.mail import Message, build

ANN = "ann@example.com"
TEMPLATE = {"email-type": "magic-code", "subject": "{code}", "body": "<p>{code} {app_title}</p>"}


async def _throw_away(ins: SignIns, title: str = "x") -> None:
    """Turn to a new throw-away app."""
    stage = ins.stage
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": title})
    app = answer.json()["app"]
    stage.app_id, stage.token = app["id"], app["admin-token"]


@pytest.mark.rule("A210")
async def test_many_apps_do_not_fill_one_mailbox(stage):
    ins = SignIns(stage)
    sent = 0
    for _ in range(5):
        await ins.use_app()
        for _ in range(auth_limits.MAGIC_CODE_SENDS_PER_HOUR):
            answer = await ins.runtime("send_magic_code", email=ANN)
            sent += answer.status == 200
    assert sent == auth_limits.MAGIC_CODE_SENDS_PER_HOUR_OF_RECIPIENT == len(ins.mailbox.messages)
    assert answer.json()["type"] == "rate-limited"
    await ins.send("bob@example.com")


@pytest.mark.rule("A231")
async def test_throw_away_apps_lock_nobody_out_of_an_app_that_lasts(stage):
    ins = SignIns(stage)
    own = stage.app_id, stage.token
    sent = 0
    for _ in range(4):
        await _throw_away(ins)
        for _ in range(auth_limits.MAGIC_CODE_SENDS_PER_HOUR):
            answer = await ins.admin("send_magic_code", {"email": ANN})
            sent += answer.status == 200
    assert sent == auth_limits.EPHEMERAL_SENDS_PER_HOUR_OF_RECIPIENT
    assert answer.json()["type"] == "rate-limited"
    stage.app_id, stage.token = own
    for _ in range(auth_limits.MAGIC_CODE_SENDS_PER_HOUR):
        await ins.send()
    assert [message.is_ephemeral for message in ins.mailbox.messages] == [
        *[True] * sent,
        *[False] * auth_limits.MAGIC_CODE_SENDS_PER_HOUR,
    ]


@pytest.mark.rule("A211")
async def test_throw_away_apps_send_little_together(stage):
    ins = SignIns(stage)
    own = stage.app_id, stage.token
    sent = 0
    for app in range(7):
        await _throw_away(ins)
        for number in range(50):
            body = {"email": f"victim{app}-{number}@example.com"}
            sent += (await ins.admin("send_magic_code", body)).status == 200
    assert sent == auth_limits.EPHEMERAL_SENDS_PER_HOUR
    stage.app_id, stage.token = own
    await ins.send()


@pytest.mark.rule("A211")
async def test_throw_away_apps_have_the_servers_own_letter_where_e_mail_leaves(open_stage):
    stage = await open_stage(smtp_url="smtp://127.0.0.1:1")
    ins = SignIns(stage)
    await _throw_away(ins)
    for path, body in (
        ("email_templates", TEMPLATE | {"sender-email": "boss@localhost"}),
        ("send-test-email", TEMPLATE | {"to": ANN}),
    ):
        target = f"/dash/apps/{stage.app_id}/{path}"
        answer = await stage.ask("POST", target, body, stage.admin())
        assert (answer.status, answer.json()["type"]) == (400, "permission-denied")


@pytest.mark.rule("A211")
async def test_throw_away_apps_may_try_templates_where_e_mail_is_logged(stage):
    ins = SignIns(stage)
    await _throw_away(ins)
    target = f"/dash/apps/{stage.app_id}/email_templates"
    answer = await stage.ask("POST", target, TEMPLATE, stage.admin())
    assert answer.status == 200


@pytest.mark.rule("A212")
async def test_a_test_e_mail_goes_to_people_of_the_app(stage):
    ins = SignIns(stage)
    target = f"/dash/apps/{stage.app_id}/send-test-email"
    wanted = TEMPLATE | {"to": " Ann@Example.com ", "sender-name": "Me"}
    answer = await stage.ask("POST", target, wanted, stage.admin())
    assert problem(answer) == (400, "validation-failed", "to")
    await ins.sign_in(ANN)
    answer = await stage.ask("POST", target, wanted, stage.admin())
    assert (answer.status, answer.json()) == (200, {"sent-to": ANN})
    message = ins.mailbox.messages[-1]
    assert (message.to, message.name, message.subject) == (ANN, "Me", "123456")
    assert message.body_html == "<p>123456 test</p>"
    answer = await ins.runtime("verify_magic_code", email=ANN, code="123456")
    assert problem(answer) == (400, "record-not-found", "app-user-magic-code")
    answer = await stage.ask("POST", target, {"to": ANN, "body": "{code}"}, stage.admin())
    assert problem(answer) == (400, "param-missing", ["body", "subject"])
    body = {"email": "app-review@example.com", "code": "111111"}
    await stage.ask("POST", f"/dash/apps/{stage.app_id}/test_users", body, stage.admin())
    wanted["to"] = body["email"]
    assert (await stage.ask("POST", target, wanted, stage.admin())).status == 200
    for _ in range(auth_limits.MAGIC_CODE_SENDS_PER_HOUR):
        answer = await stage.ask("POST", target, wanted, stage.admin())
    assert answer.json()["type"] == "rate-limited"


@pytest.mark.rule("A213")
@pytest.mark.parametrize(
    ("route", "data_type"), [("send-magic-code", "sender"), ("verify-magic-code", "code")]
)
async def test_senders_are_not_verified_and_it_says_so(open_stage, route, data_type):
    stage = await open_stage(mail_from="trice@mail.example")
    target = f"/dash/apps/{stage.app_id}/sender-verification/{route}"
    answer = await stage.ask("POST", target, {"code": "1"}, stage.admin())
    assert problem(answer) == (400, "validation-failed", data_type)
    assert "at mail.example is the sender" in answer.json()["message"]


HOSTILE = [
    "a\r\nBcc: eve@example.com",
    "a\nX: y\n\n<script>",
    "=?utf-8?q?a=0D=0ABcc:_eve=40example.com?=",
    'Bank" <ceo@bank.example>, "x',
    "<img src=x onerror=alert(1)>",
    "{code} {user_email} {{code}}",
    "\u202eevil\u2028x\x01\x85y",
    "x" * 200,
]


@pytest.mark.rule("A61", "A63")
@pytest.mark.parametrize("title", HOSTILE)
async def test_the_title_of_an_app_adds_nothing_to_its_e_mail(stage, title):
    ins = SignIns(stage)
    await _throw_away(ins, title)
    code = await ins.send()
    message: Message = ins.mailbox.messages[-1]
    assert "<script" not in message.body_html
    assert "<img" not in message.body_html
    # The code of the default template, and no other where a title asks for it.
    assert message.body_html.count(code) == 1
    raw = build(message, sender="t@x.example", reply_to="t@x.example", runtime=stage.runtime)
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert parsed.defects == []
    assert set(parsed.keys()) == {
        *("Content-Type", "MIME-Version", "From", "To", "Reply-To", "Subject", "Date"),
        *("Message-ID", "Auto-Submitted"),
    }
    assert [address.addr_spec for address in parsed["From"].addresses] == ["t@x.example"]
    assert [address.addr_spec for address in parsed["To"].addresses] == [ANN]


@pytest.mark.rule("H5")
async def test_titles_are_bounded(stage):
    for title, status in (("x" * 200, 200), ("x" * 201, 400), ("x" * 1_000_000, 400)):
        answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": title})
        assert answer.status == status
        assert len(answer.body) < 2_000


@pytest.mark.rule("H19")
async def test_throw_away_apps_are_limited_per_network_address(stage):
    throttle = stage.apps.buckets
    assert throttle is not None
    counting = Throttle(stage.apps.buckets, stage.runtime)
    for _ in range(limits.EPHEMERAL_APPS_OF_NETWORK_PER_HOUR):
        counting.new_app("127.0.0.1")
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x"})
    assert (answer.status, answer.json()["type"]) == (429, "rate-limited")
    stage.runtime.advance(3_600_000)
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x"})
    assert answer.status == 200


@pytest.mark.rule("H26")
async def test_a_throw_away_app_counts_by_its_schema(stage):
    attrs = {f"a{n}": {"valueType": "string"} for n in range(limits.EPHEMERAL_ATTRS_A_TOKEN)}
    body = {"title": "x", "schema": {"entities": {"todos": {"attrs": attrs}}}}
    counting = Throttle(stage.apps.buckets, stage.runtime)
    for _ in range(limits.EPHEMERAL_APPS_OF_NETWORK_PER_HOUR - 3):
        counting.new_app("127.0.0.1")
    for status in (200, 429):
        answer = await stage.ask("POST", "/dash/apps/ephemeral", body)
        assert answer.status == status
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x"})
    assert answer.status == 200


@pytest.mark.rule("A214")
async def test_the_log_holds_no_secrets(stage, caplog):
    caplog.set_level(logging.DEBUG)
    ins = SignIns(stage)
    secrets = [stage.token]
    guest = await ins.guest()
    code = await ins.send()
    answer = await ins.runtime(
        "verify_magic_code", email=ANN, code=code, refresh_token=guest["refresh_token"]
    )
    user = answer.json()["user"]
    secrets += [code, user["refresh_token"], guest["refresh_token"]]
    spaced = f"{user['refresh_token']} x"
    for body in (
        {"refresh_token": user["refresh_token"], "email": "x"},
        {"refresh_token": spaced, "email": ANN, "code": code},
        {"email": ANN, "code": [code]},
    ):
        for name in ("verify_magic_code", "verify_refresh_token", "send_magic_code"):
            await ins.runtime(name, **body)
    await stage.ask("POST", "/admin/query", {}, {"app-id": stage.app_id, "as-token": spaced})
    await stage.ask("GET", "/admin/users", None, stage.admin(authorization="Bearer 1"))
    await ins.sign_out(user["refresh_token"])
    for secret in secrets:
        assert secret not in caplog.text


@pytest.mark.rule("A214")
async def test_a_request_writes_no_lines_of_its_own_into_the_log(stage, caplog):
    caplog.set_level(logging.DEBUG)
    await stage.ask("GET", "/x\n2026-01-01 error trice.api forged\x1b[2J")
    lines = [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].isprintable()
