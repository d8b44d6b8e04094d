"""Users as the app's own server manages them (`trice.api.admin_users`)."""

from __future__ import annotations

import pytest

from support.sign_in import NICKNAMES, UNKNOWN, SignIns, problem
from trice import auth_limits

ANN = "ann@example.com"
BOB = "bob@example.com"
CLOSED = {"$users": {"allow": {"create": "false"}}}
ROUTES = [
    ("POST", "/admin/refresh_tokens"),
    ("POST", "/admin/magic_code"),
    ("POST", "/admin/send_magic_code"),
    ("POST", "/admin/verify_magic_code"),
    ("POST", "/admin/sign_in_guest"),
    ("POST", "/admin/sign_out"),
    ("GET", "/admin/users"),
    ("DELETE", "/admin/users"),
]


@pytest.mark.rule("A70")
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_takes_the_admin_token_only(stage, method, path):
    ins = SignIns(stage)
    user = (await ins.sign_in())["user"]
    headers = {"app-id": stage.app_id, "as-guest": "true", "as-token": user["refresh_token"]}
    body = {"email": ANN, "code": "1"} if method == "POST" else None
    answer = await stage.ask(method, path, body, headers)
    assert problem(answer) == (400, "param-missing", ["headers", "authorization"])
    for token in (UNKNOWN, user["refresh_token"]):
        wrong = {**headers, "authorization": f"Bearer {token}"}
        answer = await stage.ask(method, path, body, wrong)
        assert problem(answer) == (400, "record-not-found", "app-admin-token")
    answer = await stage.ask(method, path, body, {"authorization": f"Bearer {stage.token}"})
    assert problem(answer) == (400, "param-missing", ["headers", "app-id"])
    assert await ins.user_of(user["refresh_token"]) == user


@pytest.mark.rule("A70")
async def test_impersonation_headers_change_nothing(stage):
    ins = SignIns(stage)
    await ins.sign_in()
    headers = stage.admin(**{"as-guest": "true", "as-token": UNKNOWN, "as-email": BOB})
    answer = await stage.ask("GET", f"/admin/users?email={ANN}", None, headers)
    assert answer.json()["user"]["email"] == ANN


@pytest.mark.rule("A71", "A3", "A4")
async def test_a_token_for_whomever_the_admin_names(stage):
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES, rules=CLOSED)
    extra = {"extra-fields": {"nickname": "annie"}}
    made = (await ins.admin("refresh_tokens", {"email": " ANN@example.com", **extra})).json()
    user = made["user"]
    assert made["created"] is True
    assert user == {
        "id": user["id"],
        "email": ANN,
        "nickname": "annie",
        "app_id": stage.app_id,
        "created_at": "2023-11-14T22:13:20.000Z",
        "isGuest": False,
        "refresh_token": user["refresh_token"],
    }
    assert await ins.user_of(user["refresh_token"]) == user
    for named in ({"email": ANN}, {"id": user["id"].upper()}, {"email": ANN, "id": UNKNOWN}):
        body = {**named, "extra-fields": {"unknown": 1}}
        found = (await ins.admin("refresh_tokens", body)).json()
        assert (found["created"], found["user"]["id"]) == (False, user["id"])
    made = (await ins.admin("refresh_tokens", {"id": UNKNOWN})).json()
    assert (made["created"], made["user"]["id"]) == (True, UNKNOWN)
    assert "email" not in made["user"]
    answer = await ins.admin("refresh_tokens", {"email": BOB, "extra-fields": {"unknown": 1}})
    assert problem(answer) == (400, "validation-failed", "extra-fields")
    assert (await ins.admin(f"users?email={BOB}", method="GET")).json() == {"user": None}


@pytest.mark.rule("A72", "A50")
async def test_codes_for_the_admin(stage):
    ins = SignIns(stage)
    code = (await ins.admin("magic_code", {"email": ANN})).json()["code"]
    assert ins.mailbox.messages == []
    sent = (await ins.admin("send_magic_code", {"email": ANN})).json()["code"]
    assert sent == ins.mailbox.code()
    for each in (code, sent):
        answer = await ins.runtime("verify_magic_code", email=ANN, code=each)
        assert answer.status == 200
    for _ in range(auth_limits.MAGIC_CODE_SENDS_PER_HOUR - 1):
        assert (await ins.admin("send_magic_code", {"email": ANN})).status == 200
    answer = await ins.admin("send_magic_code", {"email": ANN})
    assert (answer.status, answer.json()["type"]) == (429, "rate-limited")
    assert (await ins.admin("magic_code", {"email": ANN})).status == 200


@pytest.mark.rule("A73", "A6")
async def test_codes_and_guests_without_the_sign_up_rule(stage):
    ins = SignIns(stage)
    await ins.use_app(schema=NICKNAMES, rules=CLOSED)
    extra = {"extra-fields": {"age": 4}}
    guest = (await ins.admin("sign_in_guest", extra)).json()["user"]
    assert (guest["type"], guest["age"], guest["isGuest"]) == ("guest", 4, True)
    code = (await ins.admin("magic_code", {"email": ANN})).json()["code"]
    body = {"email": ANN, "code": code, "refresh-token": guest["refresh_token"]}
    done = (await ins.admin("verify_magic_code", body)).json()
    assert done["created"] is True
    assert (done["user"]["id"], done["user"]["type"]) == (guest["id"], "user")
    answer = await ins.admin("verify_magic_code", body)
    assert problem(answer) == (400, "record-not-found", "app-user-magic-code")


@pytest.mark.rule("A74")
async def test_signing_users_out(stage):
    ins = SignIns(stage)
    tokens = [(await ins.sign_in())["user"]["refresh_token"] for _ in range(5)]
    bob = (await ins.sign_in(BOB))["user"]
    ann_id = (await ins.user_of(tokens[0]))["id"]

    async def alive():
        return [await ins.user_of(token) is not None for token in tokens]

    done = await ins.admin("sign_out", {"refresh_token": tokens[0]})
    assert (done.status, done.json()) == (200, {"ok": True})
    assert await alive() == [False, True, True, True, True]
    await ins.admin("sign_out", {"email": ANN, "refresh_token": bob["refresh_token"]})
    assert await alive() == [False] * 5
    tokens = [(await ins.sign_in())["user"]["refresh_token"] for _ in range(2)]
    await ins.admin("sign_out", {"id": ann_id, "email": BOB})
    assert await alive() == [False, False]
    assert await ins.user_of(bob["refresh_token"]) == bob
    for unknown in ({"id": UNKNOWN}, {"refresh_token": UNKNOWN}):
        assert (await ins.admin("sign_out", unknown)).json() == {"ok": True}
    answer = await ins.admin("sign_out", {"email": "none@example.com"})
    assert problem(answer) == (400, "record-not-found", "app-user")


@pytest.mark.rule("A75")
async def test_finding_users(stage):
    ins = SignIns(stage)
    ann, bob = (await ins.sign_in())["user"], (await ins.sign_in(BOB))["user"]
    shown = {key: value for key, value in ann.items() if key != "refresh_token"}
    by_email, by_token = "email=Ann%40Example.com", f"refresh_token={ann['refresh_token']}"
    for query in (
        by_email,
        by_token,
        f"id={ann['id']}",
        f"{by_email}&id={bob['id']}",
        f"{by_token}&id={bob['id']}",
        f"{by_email}&refresh_token={bob['refresh_token']}",
    ):
        assert (await ins.admin(f"users?{query}", method="GET")).json() == {"user": shown}
    for query in ("email=none%40example.com", f"refresh_token={UNKNOWN}", f"id={UNKNOWN}"):
        assert (await ins.admin(f"users?{query}", method="GET")).json() == {"user": None}
        answer = await ins.admin(f"users?{query}", method="DELETE")
        assert (answer.status, answer.json()) == (200, {"deleted": None})


@pytest.mark.rule("A23", "A75", "A76")
@pytest.mark.parametrize("key", ["email", "id", "refresh_token"])
async def test_deleting_users(stage, key):
    ins = SignIns(stage)
    ann, bob = (await ins.sign_in())["user"], (await ins.sign_in(BOB))["user"]
    guest = await ins.guest()
    await ins.sign_in(refresh_token=guest["refresh_token"])
    value = ann[key].replace("@", "%40")
    answer = await ins.admin(f"users?{key}={value}", method="DELETE")
    shown = {label: value for label, value in ann.items() if label != "refresh_token"}
    assert answer.json() == {"deleted": shown}
    assert await ins.user_of(ann["refresh_token"]) is None
    assert await ins.user_of(guest["refresh_token"]) is None
    assert [row["email"] for row in await ins.rows("$users")] == [BOB]
    (left,) = await ins.rows("$userRefreshTokens")
    assert await ins.user_of(bob["refresh_token"]) == bob
    assert (await ins.sign_in())["user"]["id"] != ann["id"]
    assert left["id"]


@pytest.mark.rule("A77")
@pytest.mark.parametrize(
    ("method", "name", "about"),
    [
        ("POST", "refresh_tokens", "body"),
        ("POST", "sign_out", "body"),
        ("GET", "users", "params"),
        ("DELETE", "users", "params"),
    ],
)
async def test_somebody_must_be_named(stage, method, name, about):
    ins = SignIns(stage)
    answer = await ins.admin(name, {} if method == "POST" else None, method=method)
    assert problem(answer) == (400, "validation-failed", about)
    assert "`email`" in answer.json()["message"]


@pytest.mark.rule("A31", "H12")
@pytest.mark.parametrize(
    ("method", "name", "body", "path"),
    [
        ("POST", "refresh_tokens", {"email": "x"}, ["body", "email"]),
        ("POST", "refresh_tokens", {"id": "x"}, ["body", "id"]),
        ("POST", "magic_code", {"email": 1}, ["body", "email"]),
        ("POST", "send_magic_code", {"email": "a@b"}, ["body", "email"]),
        ("POST", "verify_magic_code", {"email": ANN, "code": []}, ["body", "code"]),
        ("POST", "sign_in_guest", {"extra-fields": 1}, ["body", "extra-fields"]),
        ("POST", "sign_out", {"refresh_token": "x"}, ["body", "refresh_token"]),
        ("GET", "users?email=x", None, ["params", "email"]),
        ("GET", "users?id=x", None, ["params", "id"]),
        ("DELETE", "users?refresh_token=x", None, ["params", "refresh_token"]),
    ],
)
async def test_malformed_parameters(stage, method, name, body, path):
    answer = await SignIns(stage).admin(name, body, method=method)
    assert problem(answer) == (400, "param-malformed", path)
