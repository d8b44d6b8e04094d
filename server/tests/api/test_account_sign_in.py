"""Signing in to an account over HTTP: people, command lines, the first account, the page."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re

import pytest

from support.account_http import account_of, bearer, problem_of
from support.mailbox import Mailbox
from trice import account_limits
from trice.accounts import passwords
from trice.api.dash_page import PAGE, page_headers
from trice.errors import Unavailable
from trice.rate_limit import RateLimit

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def mailbox(stage):
    stage.asgi.state.mail = mailbox = Mailbox()
    return mailbox


async def code_for(stage, mailbox, email):
    body = {"email": email}
    answer = await stage.ask("POST", "/dash/auth/send_magic_code", body)
    assert answer.json() == {"sent": True}
    await asyncio.sleep(0)  # the e-mail is handed over after the answer
    return mailbox.code() if mailbox.messages else None


async def verify(stage, email, code):
    body = {"email": email, "code": code}
    return await stage.ask("POST", "/dash/auth/verify_magic_code", body)


@pytest.mark.rule("AC50", "AC55")
async def test_a_code_signs_in_once(stage, mailbox):
    account, _ = await account_of(stage)
    code = await code_for(stage, mailbox, " Ann@Example.com")
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    kind = "instant-user-magic-code"
    assert problem_of(await verify(stage, account.email, wrong))[2] == kind
    answer = (await verify(stage, account.email, code)).json()
    assert answer["user"]["id"] == account.id
    assert problem_of(await verify(stage, account.email, code))[2] == kind
    headers = bearer(answer["token"])
    assert (await stage.ask("GET", "/dash/me", None, headers)).status == 200
    assert (await stage.ask("POST", "/dash/signout", None, headers)).json() == {}
    assert (await stage.ask("GET", "/dash/me", None, headers)).status == 401


@pytest.mark.rule("AC50")
async def test_codes_end(stage, mailbox):
    account, _ = await account_of(stage)
    code = await code_for(stage, mailbox, account.email)
    stage.runtime.advance(account_limits.CODE_MS)
    answer = await verify(stage, account.email, code)
    assert answer.json()["type"] == "record-expired"


@pytest.mark.rule("AC50")
async def test_strangers_are_told_the_same_and_sent_nothing(stage, mailbox):
    await account_of(stage)
    assert await code_for(stage, mailbox, "eve@example.com") is None
    answer = await verify(stage, "eve@example.com", "123456")
    assert answer.json() | {"trace-id": ""} == (
        (await verify(stage, "ann@example.com", "123456")).json() | {"trace-id": ""}
    )


@pytest.mark.rule("AC50")
async def test_a_mail_server_that_fails_is_the_operators_business(stage, mailbox, caplog):
    account, _ = await account_of(stage)
    mailbox.failure = Unavailable("email-send-failed", "It is down.")
    assert await code_for(stage, mailbox, account.email) is None
    assert "was not sent" in caplog.text


@pytest.mark.rule("AC54")
async def test_tries_to_guess_a_code_are_counted(stage, mailbox):
    account, _ = await account_of(stage)
    await code_for(stage, mailbox, account.email)
    kinds = [(await verify(stage, account.email, "000000")).json()["type"] for _ in range(30)]
    assert kinds[-1] == "rate-limited"


PASSWORD = "correct horse battery"


async def by_password(stage, email="ann@example.com", password=PASSWORD):
    body = {"email": email, "password": password}
    return await stage.ask("POST", "/dash/auth/password", body)


@pytest.mark.rule("AC58", "AC59")
async def test_a_password_signs_in_and_a_new_one_ends_other_sign_ins(stage):
    _, ann = await account_of(stage)
    kind = (400, "record-not-found", "instant-user-password")
    assert problem_of(await by_password(stage)) == kind
    body = {"password": PASSWORD}
    assert (await stage.ask("POST", "/dash/password", body, ann)).json() == {}
    first = bearer((await by_password(stage, " Ann@example.com")).json()["token"])
    second = bearer((await by_password(stage)).json()["token"])
    for wrong in ("correct horse batterx", "", "x" * 5_000):
        assert problem_of(await by_password(stage, password=wrong)) == kind
    assert problem_of(await by_password(stage, "eve@example.com")) == kind
    body = {"password": "another horse battery"}
    assert (await stage.ask("POST", "/dash/password", body, first)).json() == {}
    statuses = [
        (await stage.ask("GET", "/dash/me", None, headers)).status
        for headers in (first, second, ann)
    ]
    assert statuses == [200, 401, 200]
    assert problem_of(await by_password(stage)) == kind
    assert (await stage.ask("POST", "/dash/password", {"password": None}, ann)).json() == {}
    assert problem_of(await by_password(stage, password="another horse battery")) == kind
    kept = b"".join(path.read_bytes() for path in stage.settings.data_dir.glob("platform.db*"))
    assert b"argon2id" in kept and b"horse" not in kept


@pytest.mark.rule("AC58")
@pytest.mark.parametrize("given", ["short", "aaaaaaaaaaaa", "ann@example.com", 3, ["a"]])
async def test_weak_passwords_are_refused(stage, given):
    _, ann = await account_of(stage)
    answer = await stage.ask("POST", "/dash/password", {"password": given}, ann)
    assert answer.json()["type"] in ("validation-failed", "param-malformed")
    _, reader = await account_of(stage, scopes=("apps-write",))
    answer = await stage.ask("POST", "/dash/password", {"password": PASSWORD}, reader)
    assert answer.json()["type"] == "permission-denied"


@pytest.mark.rule("AC58")
async def test_tries_of_passwords_are_counted(stage, monkeypatch):
    await account_of(stage)
    monkeypatch.setattr(passwords, "TRIES", RateLimit(2, 2, 1_000))
    kinds = [(await by_password(stage, password="no")).json()["type"] for _ in range(3)]
    assert kinds == ["record-not-found", "record-not-found", "rate-limited"]


async def login_of(stage):
    return (await stage.ask("POST", "/dash/cli/auth/register")).json()


async def check(stage, login):
    return await stage.ask("POST", "/dash/cli/auth/check", {"secret": login["secret"]})


def issue_of(answer):
    return answer.status, answer.json()["hint"]["errors"][0]["issue"]


@pytest.mark.rule("AC51", "AC52")
async def test_a_command_line_gets_its_token_once_a_person_allows_it(stage):
    _, ann = await account_of(stage)
    login = await login_of(stage)
    assert issue_of(await check(stage, login)) == (400, "waiting-for-user")
    ticket = {"ticket": login["ticket"]}
    assert (await stage.ask("POST", "/dash/cli/auth/claim", ticket, ann)).json() == ticket
    again = await stage.ask("POST", "/dash/cli/auth/claim", ticket, ann)
    assert issue_of(again) == (400, "user-already-claimed")
    answer = (await check(stage, login)).json()
    assert answer["email"] == "ann@example.com"
    assert (await stage.ask("GET", "/dash", None, bearer(answer["token"]))).status == 200
    assert issue_of(await check(stage, login)) == (400, "user-already-claimed")


@pytest.mark.rule("AC52")
async def test_refused_late_and_unknown_logins(stage):
    _, ann = await account_of(stage)
    refused, late = await login_of(stage), await login_of(stage)
    ticket = {"ticket": refused["ticket"]}
    assert (await stage.ask("POST", "/dash/cli/auth/void", ticket, ann)).json() == {}
    assert issue_of(await check(stage, refused)) == (400, "user-voided-request")
    answer = await stage.ask("POST", "/dash/cli/auth/claim", ticket, ann)
    assert issue_of(answer) == (400, "user-voided-request")
    stage.runtime.advance(account_limits.LOGIN_MS)
    assert problem_of(await check(stage, late)) == (400, "record-expired", "instant-cli-login")
    answer = await check(stage, {"secret": NOBODY})
    assert problem_of(answer) == (400, "record-not-found", "instant-cli-login")
    # The ticket, which is in the URL of the page, is not the secret.
    answer = await check(stage, {"secret": late["ticket"]})
    assert problem_of(answer)[2] == "instant-cli-login"


@pytest.mark.rule("AC54")
async def test_logins_that_wait_are_bounded_and_forgotten(stage, monkeypatch):
    monkeypatch.setattr(account_limits, "LOGINS_MAX", 2)
    late = await login_of(stage)
    await login_of(stage)
    assert (await login_of(stage))["type"] == "overloaded"
    stage.runtime.advance(account_limits.LOGIN_KEPT_MS)
    await login_of(stage)
    assert problem_of(await check(stage, late))[1] == "record-not-found"
    kinds = {(await login_of(stage)).get("type") for _ in range(400)}
    assert kinds == {None, "overloaded", "rate-limited"}


@pytest.mark.rule("AC53", "AC54")
async def test_the_link_of_the_start_makes_the_first_account_only(stage):
    first = stage.asgi.state.first_account
    secret = first.find_path().removeprefix("/dash?first=")
    body = {"secret": secret, "email": "ann@example.com"}
    wrong = await stage.ask("POST", "/dash/first-account", {**body, "secret": "a" * 64})
    assert problem_of(wrong) == (400, "record-not-found", "first-account-link")
    answer = (await stage.ask("POST", "/dash/first-account", body)).json()
    assert (await stage.ask("GET", "/dash", None, bearer(answer["token"]))).status == 200
    assert first.find_path() is None
    again = await stage.ask("POST", "/dash/first-account", {**body, "email": "eve@example.com"})
    assert again.json()["type"] == "record-not-unique"
    kinds = [
        (await stage.ask("POST", "/dash/first-account", body)).json()["type"] for _ in range(40)
    ]
    assert kinds[-1] == "rate-limited"


@pytest.mark.rule("AC56")
async def test_browsers_get_a_page_that_runs_its_own_script_only(stage):
    answer = await stage.ask("GET", "/dash?ticket=x", None, {"accept": "text/html,*/*;q=0.8"})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    script = PAGE.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert page_headers(form_action="'none'")["cache-control"] == "no-store"
    assert not re.search(r"(src|href)=\"(?!data:)", PAGE)
    assert (await stage.ask("GET", "/dash", None, {"accept": "*/*"})).status == 400


@pytest.mark.rule("AC61")
async def test_the_door_of_the_operator_needs_its_secret(stage):
    operator = stage.asgi.state.operator
    wish = {"do": "create-account", "email": "ann@example.com"}
    for headers in ({}, bearer("x"), bearer(stage.token), bearer(operator.secret.upper())):
        answer = await stage.ask("POST", "/operator", wish, headers)
        assert problem_of(answer) == (400, "record-not-found", "operator")
    answer = await stage.ask("POST", "/operator", wish, bearer(operator.secret))
    assert answer.json()["account"]["email"] == "ann@example.com"
