"""Signing in over HTTP: codes, guests, tokens (`trice.api.auth`)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac

import pytest

from support.sign_in import NICKNAMES, UNKNOWN, SignIns, problem
from trice import auth_limits

ANN = "ann@example.com"
BOB = "bob@example.com"
ALLOW_NICKNAMES = {"$users": {"allow": {"create": "true"}}}


@pytest.mark.rule("A1")
async def test_a_code_signs_in_and_answers_the_user(stage):
    ins = SignIns(stage)
    answer = await ins.sign_in()
    user = answer["user"]
    assert answer["created"] is True
    assert user == {
        "id": user["id"],
        "email": ANN,
        "type": "user",
        "app_id": stage.app_id,
        "created_at": "2023-11-14T22:13:20.000Z",
        "isGuest": False,
        "refresh_token": user["refresh_token"],
    }
    again = await ins.sign_in()
    assert again["created"] is False
    assert again["user"]["id"] == user["id"]
    assert again["user"]["refresh_token"] != user["refresh_token"]
    assert await ins.user_of(user["refresh_token"]) == user


@pytest.mark.rule("A41", "A42")
async def test_a_code_works_once_and_wrong_ones_are_all_alike(stage):
    ins = SignIns(stage)
    first, second = await ins.send(), await ins.send()
    other = await ins.send(BOB)
    for code in (second, first):
        done = await ins.runtime("verify_magic_code", email=ANN, code=code)
        assert done.status == 200
    wrong = [
        await ins.runtime("verify_magic_code", email=email, code=code)
        for email, code in ((ANN, first), (ANN, other), ("none@example.com", other))
    ]
    for answer in wrong:
        assert problem(answer) == (400, "record-not-found", "app-user-magic-code")
    assert len({answer.json()["message"] for answer in wrong}) == 1


@pytest.mark.rule("A43")
@pytest.mark.parametrize("minutes", [10, 1_440])
async def test_a_code_lasts_as_long_as_the_app_has_set(stage, minutes):
    ins = SignIns(stage)
    await ins.use_app(settings={"code_expiry_minutes": minutes})
    early, late = await ins.send(), await ins.send()
    stage.runtime.advance((minutes + 1) * 60_000 - 1)
    done = await ins.runtime("verify_magic_code", email=ANN, code=early)
    assert done.status == 200
    stage.runtime.advance(1)
    answer = await ins.runtime("verify_magic_code", email=ANN, code=late)
    assert problem(answer) == (400, "record-expired", "app-user-magic-code")
    answer = await ins.runtime("verify_magic_code", email=ANN, code=late)
    assert problem(answer) == (400, "record-not-found", "app-user-magic-code")


@pytest.mark.rule("A47")
async def test_codes_are_bounded_and_old_ones_leave(stage):
    ins = SignIns(stage)
    codes = []
    for _ in range(auth_limits.MAGIC_CODES_PER_EMAIL_MAX + 1):
        codes.append(await ins.send())
        stage.runtime.advance(1)  # of two from one millisecond either may be the oldest
    assert len(await ins.rows("$magicCodes")) == auth_limits.MAGIC_CODES_PER_EMAIL_MAX
    answer = await ins.runtime("verify_magic_code", email=ANN, code=codes[0])
    assert problem(answer) == (400, "record-not-found", "app-user-magic-code")
    answer = await ins.runtime("verify_magic_code", email=ANN, code=codes[1])
    assert answer.status == 200
    stage.runtime.advance(1_441 * 60_000)
    await ins.send()
    assert len(await ins.rows("$magicCodes")) == 1


@pytest.mark.rule("A9", "A44")
async def test_of_two_sign_ins_with_one_code_one_wins(stage):
    ins = SignIns(stage)
    code = await ins.send()
    tries = [ins.runtime("verify_magic_code", email=ANN, code=code) for _ in range(5)]
    statuses = sorted(answer.status for answer in await asyncio.gather(*tries))
    assert statuses == [200, 400, 400, 400, 400]
    codes = [await ins.send(BOB) for _ in range(5)]
    tries = [ins.runtime("verify_magic_code", email=BOB, code=each) for each in codes]
    answers = [answer.json() for answer in await asyncio.gather(*tries)]
    assert len({answer["user"]["id"] for answer in answers}) == 1
    assert sum(answer["created"] for answer in answers) == 1


@pytest.mark.rule("A48")
async def test_codes_are_trimmed_and_may_be_numbers(stage):
    ins = SignIns(stage)
    code = await ins.send()
    answer = await ins.runtime("verify_magic_code", email=ANN, code=f"  {code}\n")
    assert answer.status == 200
    while (code := await ins.send()).startswith("0"):
        pass
    answer = await ins.runtime("verify_magic_code", email=ANN, code=int(code))
    assert answer.status == 200


@pytest.mark.rule("A30")
async def test_one_address_however_it_is_written(stage):
    ins = SignIns(stage)
    user = (await ins.sign_in("  Ann@Example.COM "))["user"]
    assert user["email"] == ANN
    assert (await ins.sign_in("ANN@example.com"))["user"]["id"] == user["id"]


# --- sign-up ------------------------------------------------------------------------------------


@pytest.mark.rule("A2", "A45")
async def test_the_create_rule_judges_sign_ups_and_spares_the_code(stage):
    rule = "auth.email == data.email && newData.id == auth.id && data.email.endsWith('@here.com')"
    ins = SignIns(stage)
    await ins.use_app(rules={"$users": {"allow": {"create": rule}}})
    code = await ins.send()
    for _ in range(2):
        answer = await ins.runtime("verify_magic_code", email=ANN, code=code)
        assert problem(answer) == (400, "permission-denied", ["$users", "create"])
        assert answer.json()["hint"]["expected"] == "perms-pass?"
    assert (await ins.sign_in("ann@here.com"))["created"] is True
    await stage.apps.set_rules(stage.app_id, None)
    answer = await ins.runtime("verify_magic_code", email=ANN, code=code)
    assert answer.status == 200
    await stage.apps.set_rules(stage.app_id, {"$users": {"allow": {"create": "false"}}})
    assert (await ins.sign_in())["created"] is False
    answer = await ins.runtime("sign_in_guest")
    assert problem(answer) == (400, "permission-denied", ["$users", "create"])


@pytest.mark.rule("A2", "A3")
@pytest.mark.parametrize(
    "rules", [None, {"$default": {"allow": {"$default": "false"}}}], ids=["none", "default"]
)
async def test_without_the_rule_everybody_may_sign_up_without_extra_fields(stage, rules):
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES, rules=rules)
    assert (await ins.sign_in(extra_fields={}))["created"] is True
    code = await ins.send(BOB)
    extra = {"nickname": "bo"}
    answer = await ins.runtime("verify_magic_code", email=BOB, code=code, extra_fields=extra)
    assert problem(answer) == (400, "permission-denied", ["$users", "create"])
    answer = await ins.runtime("sign_in_guest", extra_fields=extra)
    assert problem(answer) == (400, "permission-denied", ["$users", "create"])
    answer = await ins.runtime("verify_magic_code", email=BOB, code=code)
    assert answer.status == 200


@pytest.mark.rule("A2")
async def test_the_rule_sees_extra_fields_and_where_the_request_comes_from(stage):
    rule = "data.nickname == 'bo' && auth.nickname == 'bo' && request.ip == '127.0.0.1'"
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES, rules={"$users": {"allow": {"create": rule}}})
    user = (await ins.sign_in(extra_fields={"nickname": "bo"}))["user"]
    assert user["nickname"] == "bo"
    assert (await ins.guest(extra_fields={"nickname": "bo"}))["nickname"] == "bo"
    answer = await ins.runtime("sign_in_guest", extra_fields={"nickname": "al"})
    assert problem(answer) == (400, "permission-denied", ["$users", "create"])


@pytest.mark.rule("A4", "A45")
async def test_extra_fields_are_attrs_of_the_app(stage):
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES, rules=ALLOW_NICKNAMES)
    code = await ins.send()
    bad = {"nick": "a", "email": BOB, "linkedPrimaryUser": UNKNOWN, "nickname": "a"}
    answer = await ins.runtime("verify_magic_code", email=ANN, code=code, extra_fields=bad)
    assert problem(answer) == (400, "validation-failed", "extra-fields")
    assert [error["message"] for error in answer.json()["hint"]["errors"]] == [
        "Unknown field: nick. It must be defined in your $users schema.",
        "Cannot set system field: email",
        "Cannot set system field: linkedPrimaryUser",
    ]
    answer = await ins.runtime(
        "verify_magic_code", email=ANN, code=code, extra_fields={"age": "old"}
    )
    assert (answer.status, answer.json()["type"]) == (400, "validation-failed")
    assert answer.json()["hint"]["attribute"] == "age"
    answer = await ins.runtime(
        "verify_magic_code",
        email=ANN,
        code=code,
        extra_fields={"age": 7, "nickname": None, "handle": None},
    )
    user = answer.json()["user"]
    assert user["age"] == 7
    assert (user["nickname"], "handle" in user) == (None, False)
    assert await ins.user_of(user["refresh_token"]) == user


@pytest.mark.rule("A4")
async def test_a_link_is_no_extra_field(stage):
    schema = {
        "entities": {"$users": {"attrs": {}}, "teams": {"attrs": {}}},
        "links": {
            "userTeam": {
                "forward": {"on": "$users", "has": "one", "label": "team"},
                "reverse": {"on": "teams", "has": "many", "label": "members"},
            }
        },
    }
    ins = SignIns(stage)
    await ins.use_app(schema=schema, rules=ALLOW_NICKNAMES)
    answer = await ins.runtime("sign_in_guest", extra_fields={"team": UNKNOWN})
    assert problem(answer) == (400, "validation-failed", "extra-fields")
    assert "Cannot set a link at sign-up: team" in answer.json()["message"]


@pytest.mark.rule("A4", "A45")
async def test_an_extra_field_that_must_be_unique(stage):
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES, rules=ALLOW_NICKNAMES)
    await ins.sign_in(extra_fields={"handle": "ann"})
    code = await ins.send(BOB)
    answer = await ins.runtime(
        "verify_magic_code", email=BOB, code=code, extra_fields={"handle": "ann"}
    )
    assert (answer.status, answer.json()["type"]) == (400, "record-not-unique")
    answer = await ins.runtime(
        "verify_magic_code", email=BOB, code=code, extra_fields={"handle": "bob"}
    )
    assert answer.json()["user"]["handle"] == "bob"


@pytest.mark.rule("A5")
async def test_extra_fields_of_a_known_user_are_ignored(stage):
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES)
    user = (await ins.sign_in())["user"]
    again = await ins.sign_in(extra_fields={"nickname": "x", "nothing": 1, "email": BOB})
    assert again["created"] is False
    assert {**again["user"], "refresh_token": ""} == {**user, "refresh_token": ""}


@pytest.mark.rule("A10")
async def test_extra_fields_are_bounded(stage):
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES, rules=ALLOW_NICKNAMES)
    large = {"nickname": "x" * auth_limits.EXTRA_FIELDS_BYTES_MAX}
    answer = await ins.runtime("sign_in_guest", extra_fields=large)
    assert problem(answer) == (400, "validation-failed", "extra-fields")
    fitting = {"nickname": "x" * (auth_limits.EXTRA_FIELDS_BYTES_MAX - 100)}
    assert await ins.guest(extra_fields=fitting)


# --- guests -------------------------------------------------------------------------------------


@pytest.mark.rule("A1", "A6")
async def test_a_guest_becomes_a_user_and_keeps_its_id(stage):
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES, rules=ALLOW_NICKNAMES)
    guest = await ins.guest(extra_fields={"nickname": "gus", "age": 3})
    assert guest["isGuest"] is True
    assert guest["type"] == "guest"
    assert "email" not in guest
    stage.runtime.advance(5_000)
    answer = await ins.sign_in(
        refresh_token=guest["refresh_token"], extra_fields={"nickname": "ann"}
    )
    user = answer["user"]
    assert answer["created"] is True
    assert user == {
        **guest,
        "email": ANN,
        "type": "user",
        "isGuest": False,
        "nickname": "ann",
        "refresh_token": user["refresh_token"],
    }
    assert await ins.user_of(user["refresh_token"]) == user
    assert (await ins.user_of(guest["refresh_token"]))["id"] == user["id"]


@pytest.mark.rule("A7")
async def test_a_guest_who_has_an_account_is_linked_to_it(stage):
    ins = SignIns(stage)
    user = (await ins.sign_in())["user"]
    guest = await ins.guest()
    answer = await ins.sign_in(refresh_token=guest["refresh_token"])
    assert answer["created"] is False
    assert answer["user"]["id"] == user["id"]
    now = await ins.user_of(guest["refresh_token"])
    assert now == {**guest, "linkedPrimaryUser": user["id"]}


@pytest.mark.rule("A8")
async def test_tokens_of_others_at_a_sign_in(stage):
    ins = SignIns(stage)
    bob = (await ins.sign_in(BOB))["user"]
    ann = await ins.sign_in(refresh_token=bob["refresh_token"])
    assert ann["created"] is True
    assert ann["user"]["id"] != bob["id"]
    assert await ins.user_of(bob["refresh_token"]) == bob
    code = await ins.send()
    answer = await ins.runtime("verify_magic_code", email=ANN, code="000000", refresh_token=UNKNOWN)
    assert problem(answer) == (400, "record-not-found", "app-user")
    answer = await ins.runtime("verify_magic_code", email=ANN, code=code, refresh_token=None)
    assert answer.status == 200


# --- tokens -------------------------------------------------------------------------------------


@pytest.mark.rule("A20", "A40", "A230")
async def test_neither_tokens_nor_codes_are_stored(stage):
    ins = SignIns(stage)
    user = (await ins.sign_in())["user"]
    code = await ins.send()
    raw = bytes.fromhex(user["refresh_token"].replace("-", ""))
    (token,) = await ins.rows("$userRefreshTokens")
    assert token["hashedToken"] == hashlib.sha256(raw).hexdigest()
    (stored,) = await ins.rows("$magicCodes")
    # What only the server's key leads to: of six digits alone, a hash is found in a second.
    key = bytes.fromhex((stage.settings.data_dir / "secret.key").read_text())
    key = hmac.digest(key, b"trice magic codes", "sha256")
    assert stored["codeHash"] == hmac.digest(key, f"{ANN} {code}".encode(), "sha256").hex()
    assert stored["email"] == ANN
    assert token["id"] != user["refresh_token"]


@pytest.mark.rule("A20")
async def test_tokens_brought_along_from_instant_work(stage):
    token = "c9b25c12-0a52-4f6e-9d3a-8bb2c6de5d0a"
    hashed = "b9a8bda0cf9768088d4173fb8d028da6dbbe21462485de1197834119872c4dba"
    ins = SignIns(stage)
    user_id = "e1000000-0000-4000-8000-000000000001"
    steps = [
        ["update", "$users", user_id, {"email": ANN}],
        ["update", "$userRefreshTokens", UNKNOWN, {"hashedToken": hashed, "$user": user_id}],
    ]
    answer = await ins.admin("transact", {"steps": steps})
    assert answer.status == 200, answer.body
    user = await ins.user_of(token.upper())
    assert user == {
        "id": user_id,
        "email": ANN,
        "app_id": stage.app_id,
        "created_at": "2023-11-14T22:13:20.000Z",
        "isGuest": False,
        "refresh_token": token,
    }


@pytest.mark.rule("A21", "A24")
async def test_tokens_that_are_nobodys(stage):
    ins = SignIns(stage)
    token = (await ins.sign_in())["user"]["refresh_token"]
    answer = await ins.runtime("verify_refresh_token", refresh_token=UNKNOWN)
    assert problem(answer) == (400, "record-not-found", "app-user")
    answer = await ins.runtime("verify_refresh_token", refresh_token="undefined")
    assert problem(answer) == (400, "param-malformed", ["body", "refresh-token"])
    await ins.use_app()
    assert await ins.user_of(token) is None


@pytest.mark.rule("A22")
async def test_signing_out_ends_one_token(stage):
    ins = SignIns(stage)
    first = (await ins.sign_in())["user"]["refresh_token"]
    second = (await ins.sign_in())["user"]["refresh_token"]
    for token in (first, first, UNKNOWN):
        answer = await ins.sign_out(token)
        assert (answer.status, answer.json()) == (200, {})
    assert await ins.user_of(first) is None
    assert await ins.user_of(second) is not None
