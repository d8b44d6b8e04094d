"""Attacks on signing in: guessing, racing, accounts of others, tokens of other apps."""

from __future__ import annotations

import asyncio

import pytest

from support.sign_in import NICKNAMES, UNKNOWN, SignIns, problem
from trice import auth_limits, limits

ANN = "ann@example.com"
EVE = "eve@example.com"
VERIFY = "/runtime/auth/verify_magic_code"


# --- guessing and racing ------------------------------------------------------------------------


@pytest.mark.rule("A44", "A51")
async def test_a_hundred_at_once_use_a_code_once(stage):
    ins = SignIns(stage)
    code = await ins.send()
    tries = [ins.runtime("verify_magic_code", email=ANN, code=code) for _ in range(100)]
    statuses = [answer.status for answer in await asyncio.gather(*tries)]
    assert statuses.count(200) == 1
    assert statuses.count(400) == auth_limits.MAGIC_CODE_VERIFIES_PER_HOUR - 1
    assert statuses.count(429) == 100 - auth_limits.MAGIC_CODE_VERIFIES_PER_HOUR
    assert len(await ins.rows("$users")) == 1


@pytest.mark.rule("A201")
async def test_guesses_count_for_the_account_from_wherever_they_come(open_stage):
    stage = await open_stage(trusted_proxies=1)
    refused = 0
    for number in range(60):
        # However many addresses: of proxies, and made up before them.
        headers = {"x-forwarded-for": f"203.0.113.9, 198.51.{number}.7"}
        email = ANN if number % 2 else ANN.upper()
        body = {"app-id": stage.app_id, "email": email, "code": f"{number:06d}"}
        answer = await stage.ask("POST", VERIFY, body, headers)
        refused += answer.status == 429
    assert refused == 60 - auth_limits.MAGIC_CODE_VERIFIES_PER_HOUR


@pytest.mark.rule("A201")
async def test_a_used_up_limit_is_not_forgotten_in_a_flood(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "RATE_BUCKETS_MAX", 100)
    stage = await open_stage()
    ins = SignIns(stage)
    for _ in range(auth_limits.MAGIC_CODE_VERIFIES_PER_HOUR):
        await ins.runtime("verify_magic_code", email=ANN, code="1")
    for number in range(400):
        await ins.runtime("verify_magic_code", email=f"x{number}@example.com", code="1")
    answer = await ins.runtime("verify_magic_code", email=ANN, code="1")
    assert answer.status == 429


@pytest.mark.rule("A202")
async def test_a_school_behind_one_address_signs_in(stage):
    ins = SignIns(stage)
    for number in range(250):
        await ins.sign_in(f"pupil{number}@example.com")
    await ins.guest()


# --- guests -------------------------------------------------------------------------------------


@pytest.mark.rule("A203")
async def test_a_guest_is_upgraded_by_its_own_token_only(stage):
    ins = SignIns(stage)
    guest = await ins.guest()
    code = await ins.send(EVE)
    for token, code_seen in ((guest["id"], "app-user"), (UNKNOWN, "app-user")):
        answer = await ins.runtime("verify_magic_code", email=EVE, code=code, refresh_token=token)
        assert problem(answer) == (400, "record-not-found", code_seen)
    eve = (await ins.sign_in(EVE))["user"]
    assert eve["id"] != guest["id"]
    assert (await ins.user_of(guest["refresh_token"]))["isGuest"]


@pytest.mark.rule("A203")
async def test_a_guest_is_upgraded_once(stage):
    ins = SignIns(stage)
    guest = await ins.guest()
    token = guest["refresh_token"]
    ann = await ins.sign_in(ANN, refresh_token=token)
    eve = await ins.sign_in(EVE, refresh_token=token)
    assert ann["user"]["id"] == guest["id"] != eve["user"]["id"]
    assert eve["created"]
    assert (await ins.user_of(token))["email"] == ANN
    assert "linkedPrimaryUser" not in await ins.user_of(token)


@pytest.mark.rule("A203")
async def test_two_upgrades_of_one_guest_at_once_make_one_of_it(stage):
    ins = SignIns(stage)
    guest = await ins.guest()
    codes = [(email, await ins.send(email)) for email in (ANN, EVE)]
    answers = await asyncio.gather(
        *(
            ins.runtime(
                "verify_magic_code",
                email=email,
                code=code,
                refresh_token=guest["refresh_token"],
            )
            for email, code in codes
        )
    )
    ids = [answer.json()["user"]["id"] for answer in answers]
    assert ids.count(guest["id"]) == 1
    assert len(await ins.rows("$users")) == 2


@pytest.mark.rule("A204")
async def test_a_linked_guest_that_gets_an_account_of_its_own_outlives_the_other(stage):
    """Else whoever shared a device with Ann would lose an account when Ann deletes hers."""
    ins = SignIns(stage)
    ann = (await ins.sign_in(ANN))["user"]
    token = (await ins.guest())["refresh_token"]
    await ins.sign_in(ANN, refresh_token=token)
    assert (await ins.user_of(token))["linkedPrimaryUser"] == ann["id"]
    eve = await ins.sign_in(EVE, refresh_token=token)
    assert "linkedPrimaryUser" not in eve["user"]
    assert eve["user"] == {
        **await ins.user_of(eve["user"]["refresh_token"]),
        "refresh_token": eve["user"]["refresh_token"],
    }
    await ins.admin(f"users?id={ann['id']}", method="DELETE")
    assert (await ins.user_of(token))["email"] == EVE


# --- other apps ---------------------------------------------------------------------------------


@pytest.mark.rule("A24", "A205")
async def test_nothing_of_one_app_opens_another(stage):
    ins = SignIns(stage)
    guest = (await ins.guest())["refresh_token"]
    user = (await ins.sign_in())["user"]
    code = await ins.send()
    own = stage.app_id, stage.token
    await ins.use_app()
    answer = await ins.runtime("verify_magic_code", email=ANN, code=code)
    assert problem(answer) == (400, "record-not-found", "app-user-magic-code")
    fresh = await ins.send(EVE)
    for token in (guest, user["refresh_token"]):
        answer = await ins.runtime("verify_magic_code", email=EVE, code=fresh, refresh_token=token)
        assert problem(answer) == (400, "record-not-found", "app-user")
        headers = {"app-id": stage.app_id, "as-token": token}
        answer = await stage.ask("POST", "/admin/query", {"query": {"$users": {}}}, headers)
        assert problem(answer) == (400, "record-not-found", "app-user")
        assert await ins.user_of(token) is None
    answer = await stage.ask(
        "POST", "/admin/query", {"query": {"$users": {}}}, stage.admin() | _bearer(own[1])
    )
    assert problem(answer) == (400, "record-not-found", "app-admin-token")
    await ins.sign_out(user["refresh_token"])
    stage.app_id, stage.token = own
    assert await ins.user_of(user["refresh_token"]) is not None


def _bearer(token):
    return {"authorization": f"Bearer {token}"}


AS = [
    # as-token, as-email, as-guest, admin token → whose rows are seen; None: refused
    (None, None, None, True, "all"),
    (None, None, None, False, None),
    ("ann", None, None, True, "ann"),
    ("ann", None, None, False, "ann"),
    (None, "eve", None, True, "eve"),
    (None, "eve", None, False, None),
    (None, None, "true", True, "nobody"),
    (None, None, "true", False, "nobody"),
    ("ann", "eve", None, True, "ann"),
    ("ann", "eve", "true", True, "ann"),
    ("ann", "eve", "true", False, "ann"),
    (None, "eve", "true", True, "eve"),
    (None, "eve", "true", False, None),
    (None, None, "false", True, "nobody"),
]


@pytest.mark.rule("A206")
@pytest.mark.parametrize(("as_token", "as_email", "as_guest", "is_admin", "seen"), AS)
async def test_who_may_act_as_whom(stage, as_token, as_email, as_guest, is_admin, seen):
    ins = SignIns(stage)
    await ins.use_app(rules={"$users": {"allow": {"view": "auth.id == data.id"}}})
    users = {name: (await ins.sign_in(f"{name}@example.com"))["user"] for name in ("ann", "eve")}
    headers = {"app-id": stage.app_id}
    if is_admin:
        headers |= _bearer(stage.token)
    if as_token is not None:
        headers["as-token"] = users[as_token]["refresh_token"]
    if as_email is not None:
        headers["as-email"] = users[as_email]["email"]
    if as_guest is not None:
        headers["as-guest"] = as_guest
    answer = await stage.ask("POST", "/admin/query", {"query": {"$users": {}}}, headers)
    if seen is None:
        assert problem(answer) == (400, "param-missing", ["headers", "authorization"])
        return
    ids = {row["id"] for row in answer.json()["$users"]}
    expected = {
        "all": {user["id"] for user in users.values()},
        "nobody": set(),
        **{name: {user["id"]} for name, user in users.items()},
    }
    assert ids == expected[seen]


@pytest.mark.rule("A206")
@pytest.mark.parametrize("name", ["as-token", "as-email", "as-guest"])
async def test_a_wrong_admin_token_acts_as_nobody(stage, name):
    ins = SignIns(stage)
    user = (await ins.sign_in())["user"]
    value = {"as-token": user["refresh_token"], "as-email": ANN, "as-guest": "true"}[name]
    for token, code in ((UNKNOWN, "record-not-found"), ("x", "param-malformed")):
        headers = {"app-id": stage.app_id, name: value} | _bearer(token)
        answer = await stage.ask("POST", "/admin/query", {"query": {}}, headers)
        assert (answer.status, answer.json()["type"]) == (400, code)


# --- extra fields -------------------------------------------------------------------------------


@pytest.mark.rule("A207")
@pytest.mark.parametrize(
    "extra",
    [
        {"type": "guest"},
        {"type": None},
        {"id": UNKNOWN},
        {"email": "other@example.com"},
        {"imageURL": "https://x.example/1.png"},
        {"linkedPrimaryUser": UNKNOWN},
        {"linkedGuestUsers": [UNKNOWN]},
        {"$oauthUserLinks": [UNKNOWN]},
        {"$user": UNKNOWN},
        {"nickname.x": 1},
        {"_created_ms": 1},
        {"": 1},
        {"nickname": "a", "type": "admin"},
        {"a": [[]]},
    ],
)
async def test_extra_fields_reach_nothing_of_the_system(stage, extra):
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES, rules={"$users": {"allow": {"create": "true"}}})
    code = await ins.send()
    answer = await ins.runtime("verify_magic_code", email=ANN, code=code, extra_fields=extra)
    assert problem(answer) == (400, "validation-failed", "extra-fields")
    answer = await ins.runtime("sign_in_guest", extra_fields=extra)
    assert problem(answer) == (400, "validation-failed", "extra-fields")
    assert await ins.rows("$users") == []


@pytest.mark.rule("A200")
async def test_extra_fields_nested_too_deeply(stage):
    deep = b"[" * 300 + b"]" * 300
    body = b'{"app-id":"%b","extra-fields":{"nickname":%b}}' % (stage.app_id.encode(), deep)
    answer = await stage.ask("POST", "/runtime/auth/sign_in_guest", body)
    assert answer.status == 400, answer.body


# --- users who are gone -------------------------------------------------------------------------


@pytest.mark.rule("A208")
@pytest.mark.parametrize("how", ["delete", "sign-out"])
async def test_live_queries_end_with_the_user(stage, how):
    ins = SignIns(stage)
    user = (await ins.sign_in())["user"]
    headers = {"app-id": stage.app_id, "as-token": user["refresh_token"]}
    live = stage.start("POST", "/admin/subscribe-query", {"query": {"$users": {}}}, headers)
    await live.event(1)
    if how == "delete":
        await ins.admin(f"users?id={user['id']}", method="DELETE")
    else:
        await ins.admin("sign_out", {"id": user["id"]})
    await stage.ask(
        "POST", "/admin/transact", {"steps": [["update", "t", UNKNOWN, {}]]}, stage.admin()
    )
    await live.whole()
    assert len(stage.hub) == 0
    answer = await stage.ask("POST", "/admin/query", {"query": {}}, headers)
    assert problem(answer) == (400, "record-not-found", "app-user")
