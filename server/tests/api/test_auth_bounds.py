"""Signing in over HTTP: too many tries, e-mail that fails, malformed and hostile input."""

from __future__ import annotations

import pytest

from support.sign_in import UNKNOWN, SignIns, problem, user_with_code
from trice import auth_limits
from trice.errors import Unavailable, invalid
from trice.rate_limit import RateLimit

ANN = "ann@example.com"
BOB = "bob@example.com"
SMALL = RateLimit(3, 3, 60_000)


# --- too many tries -----------------------------------------------------------------------------


@pytest.mark.rule("A50")
async def test_sends_are_limited_per_address(stage):
    ins = SignIns(stage)
    for _ in range(auth_limits.MAGIC_CODE_SENDS_PER_HOUR):
        await ins.send()
    answer = await ins.runtime("send_magic_code", email=ANN)
    assert (answer.status, answer.json()["type"]) == (429, "rate-limited")
    message = answer.json()["message"]
    assert message.startswith("Too many verification codes requested for this email")
    hint = answer.json()["hint"]
    assert hint["retry-after"] == 3_600_000 / auth_limits.MAGIC_CODE_SENDS_PER_HOUR
    assert len(ins.mailbox.messages) == auth_limits.MAGIC_CODE_SENDS_PER_HOUR
    await ins.send(BOB)
    stage.runtime.advance(hint["retry-after"])
    await ins.send()


@pytest.mark.rule("A8", "A51")
async def test_guessing_is_limited_and_ends_the_right_code_too(stage):
    ins = SignIns(stage)
    code = await ins.send()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(auth_limits.MAGIC_CODE_VERIFIES_PER_HOUR):
        answer = await ins.runtime("verify_magic_code", email=ANN, code=wrong)
        assert problem(answer)[1] == "record-not-found"
    answer = await ins.runtime("verify_magic_code", email=ANN, code=code)
    assert (answer.status, answer.json()["type"]) == (429, "rate-limited")
    answer = await ins.runtime("verify_magic_code", email=ANN, code=code, refresh_token=UNKNOWN)
    assert problem(answer) == (400, "record-not-found", "app-user")
    answer = await ins.admin("verify_magic_code", {"email": ANN, "code": code})
    assert (answer.status, answer.json()["type"]) == (429, "rate-limited")
    stage.runtime.advance(3_600_000)
    answer = await ins.runtime("verify_magic_code", email=ANN, code=code)
    assert answer.status == 200


@pytest.mark.rule("A52")
@pytest.mark.parametrize("name", ["send_magic_code", "verify_magic_code", "sign_in_guest"])
async def test_sign_ins_are_limited_per_network_address(open_stage, monkeypatch, name):
    monkeypatch.setattr("trice.auth.throttle.SIGN_INS", SMALL)
    stage = await open_stage()
    ins = SignIns(stage)
    for number in range(3):
        body = {"email": f"a{number}@example.com", "code": "000000"}
        answer = await ins.runtime(name, **body)
        assert answer.status != 429
    await ins.use_app()
    answer = await ins.runtime(name, email=BOB, code="000000")
    assert (answer.status, answer.json()["type"]) == (429, "rate-limited")
    assert "network address" in answer.json()["message"]
    other = {"send_magic_code": "sign_in_guest"}.get(name, "send_magic_code")
    assert (await ins.runtime(other, email=BOB)).status == 200


@pytest.mark.rule("A53")
async def test_token_checks_are_limited_per_network_address(open_stage, monkeypatch):
    monkeypatch.setattr("trice.auth.throttle.TOKEN_CHECKS", SMALL)
    stage = await open_stage()
    ins = SignIns(stage)
    await ins.runtime("verify_refresh_token", refresh_token=UNKNOWN)
    await ins.sign_out(UNKNOWN)
    await ins.sign_out(UNKNOWN)
    answer = await ins.sign_out(UNKNOWN)
    assert (answer.status, answer.json()["type"]) == (429, "rate-limited")
    answer = await ins.runtime("verify_refresh_token", refresh_token=UNKNOWN)
    assert (answer.status, answer.json()["type"]) == (429, "rate-limited")


# --- e-mail -------------------------------------------------------------------------------------


@pytest.mark.rule("A64", "A65")
async def test_mail_that_does_not_leave(stage):
    ins = SignIns(stage)
    bob = user_with_code(BOB, "424242")
    await ins.use_app(settings={"test_users": (bob,)})
    for failure, status, code in (
        (Unavailable("email-send-failed", "No."), 500, "email-send-failed"),
        (invalid("email", ANN, [{"message": "No."}]), 400, "validation-failed"),
    ):
        ins.mailbox.failure = failure
        answer = await ins.runtime("send_magic_code", email=ANN)
        assert (answer.status, answer.json()["type"]) == (status, code)
        answer = await ins.runtime("send_magic_code", email=BOB)
        assert (answer.status, answer.json()) == (200, {"sent": True})


@pytest.mark.rule("A46")
async def test_the_code_of_a_test_user(stage):
    ins = SignIns(stage)
    bob = user_with_code(BOB, "424242")
    await ins.use_app(settings={"test_users": (bob,)})
    for _ in range(2):
        answer = await ins.runtime("verify_magic_code", email=BOB, code="424242")
        assert answer.json()["user"]["email"] == BOB
    assert (await ins.sign_in(BOB))["created"] is False
    for email, code in ((ANN, "424242"), (BOB, "424243")):
        answer = await ins.runtime("verify_magic_code", email=email, code=code)
        assert problem(answer) == (400, "record-not-found", "app-user-magic-code")


# --- malformed input ----------------------------------------------------------------------------


@pytest.mark.rule("A21", "A31", "H12")
@pytest.mark.parametrize(
    ("name", "body", "code", "path"),
    [
        ("send_magic_code", {}, "param-missing", ["body", "email"]),
        ("send_magic_code", {"email": "ann"}, "param-malformed", ["body", "email"]),
        ("send_magic_code", {"email": ["a@b.co"]}, "param-malformed", ["body", "email"]),
        (
            "send_magic_code",
            {"email": "a@b.co\nBcc: c@d.eu"},
            "param-malformed",
            ["body", "email"],
        ),
        ("verify_magic_code", {"email": ANN}, "param-missing", ["body", "code"]),
        ("verify_magic_code", {"email": ANN, "code": " "}, "param-malformed", ["body", "code"]),
        ("verify_magic_code", {"email": ANN, "code": True}, "param-malformed", ["body", "code"]),
        (
            "verify_magic_code",
            {"email": ANN, "code": "1", "refresh_token": "x"},
            "param-malformed",
            ["body", "refresh-token"],
        ),
        (
            "verify_magic_code",
            {"email": ANN, "code": "1", "extra_fields": []},
            "param-malformed",
            ["body", "extra-fields"],
        ),
        ("sign_in_guest", {"extra_fields": "x"}, "param-malformed", ["body", "extra-fields"]),
        ("verify_refresh_token", {}, "param-missing", ["body", "refresh-token"]),
        (
            "verify_refresh_token",
            {"refresh_token": 7.5},
            "param-malformed",
            ["body", "refresh-token"],
        ),
    ],
)
async def test_malformed_parameters(stage, name, body, code, path):
    answer = await SignIns(stage).runtime(name, **body)
    assert problem(answer) == (400, code, path)


@pytest.mark.rule("H11", "H12")
@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/runtime/auth/send_magic_code", "app-id"),
        ("/runtime/auth/verify_magic_code", "app-id"),
        ("/runtime/auth/sign_in_guest", "app-id"),
        ("/runtime/auth/verify_refresh_token", "app-id"),
        ("/runtime/signout", "app_id"),
    ],
)
async def test_every_route_names_its_app(stage, path, key):
    body = {"email": ANN, "code": "1", "refresh-token": UNKNOWN, "refresh_token": UNKNOWN}
    SignIns(stage)
    answer = await stage.ask("POST", path, body)
    assert problem(answer) == (400, "param-missing", ["body", key])
    answer = await stage.ask("POST", path, {**body, key: "x"})
    assert problem(answer) == (400, "param-malformed", ["body", key])
    answer = await stage.ask("POST", path, {**body, key: UNKNOWN})
    assert problem(answer) == (400, "record-not-found", "app")


@pytest.mark.rule("A42", "H12")
@pytest.mark.parametrize(
    "code", ["' OR 1=1 --", "\x00", "🙂", "9" * 100_000, "\ud800".encode("utf-8", "surrogatepass")]
)
async def test_hostile_codes_are_wrong_codes(stage, code):
    ins = SignIns(stage)
    if isinstance(code, bytes):
        body = b'{"app-id":"%s","email":"%s","code":"\\ud800"}'
        raw = body % (stage.app_id.encode(), ANN.encode())
        answer = await stage.ask("POST", "/runtime/auth/verify_magic_code", raw)
        assert problem(answer) == (400, "param-malformed", ["body"])
        return
    answer = await ins.runtime("verify_magic_code", email=ANN, code=code)
    assert problem(answer) == (400, "record-not-found", "app-user-magic-code")
