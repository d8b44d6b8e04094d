"""Passwords over HTTP: parameters, answers, errors (`trice.api.passwords`)."""

from __future__ import annotations

import pytest

from support.sign_in import NICKNAMES, UNKNOWN, SignIns, problem
from trice import auth_limits

ANN = "ann@example.com"
PASSWORD = "correct horse battery"
OTHER = "another fine passphrase"
WRONG = (400, "record-not-found", "app-user-password")


class PasswordRoutes(SignIns):
    """The routes of sign-in, those of passwords among them."""

    def __init__(self, stage):
        super().__init__(stage)

    async def password(self, name, **body):
        return await self.runtime(f"password/{name}", **body)

    async def sign_up(self, email=ANN, password=PASSWORD, **more):
        code = await self.send(email)
        return await self.password("sign_up", email=email, code=code, password=password, **more)


@pytest.fixture
def open_routes(open_stage, monkeypatch):
    """Opens the routes of an app that has passwords; hashes are cheap."""
    monkeypatch.setattr(auth_limits, "PASSWORD_HASH_MEMORY_KIB", 8)
    monkeypatch.setattr(auth_limits, "PASSWORD_HASH_PASSES", 1)

    async def opened(**made):
        routes = PasswordRoutes(await open_stage())
        await routes.use_app(settings={"has_passwords": True}, **made)
        return routes

    return opened


@pytest.fixture
async def routes(open_routes):
    return await open_routes()


@pytest.mark.rule("A152", "A153", "A155")
async def test_sign_up_and_sign_in_answer_as_codes_do(open_routes):
    rules = {"$users": {"allow": {"create": "data.nickname == 'annie'"}}}
    routes = await open_routes(schema=NICKNAMES, rules=rules)
    extra = {"nickname": "annie"}
    answer = await routes.sign_up(**{"extra-fields": extra})
    assert answer.status == 200, answer.body
    body = answer.json()
    user = body["user"]
    assert body["created"] is True and user["nickname"] == "annie"
    assert set(user) == {
        *("id", "email", "type", "nickname", "app_id", "created_at", "isGuest"),
        "refresh_token",
    }
    assert PASSWORD not in str(body) and "argon2" not in str(body)
    again = await routes.password("sign_in", email=" ANN@example.com ", password=PASSWORD)
    assert again.json()["created"] is False
    assert again.json()["user"]["id"] == user["id"]
    token = again.json()["user"]["refresh_token"]
    assert (await routes.user_of(token))["id"] == user["id"]


@pytest.mark.rule("A154", "A156")
async def test_errors_by_their_codes(routes):
    assert problem(await routes.sign_up(password="12345678")) == (
        *(400, "validation-failed"),
        "password",
    )
    await routes.sign_up()
    again = await routes.sign_up()
    assert problem(again) == (400, "record-not-unique", "app-user")
    bad_code = await routes.password("sign_up", email=ANN, code="000000", password=PASSWORD)
    assert problem(bad_code) == (400, "record-not-found", "app-user-magic-code")
    for email, password in ((ANN, OTHER), ("none@example.com", PASSWORD)):
        answer = await routes.password("sign_in", email=email, password=password)
        assert problem(answer) == WRONG


@pytest.mark.rule("A163", "A164")
async def test_change_and_reset(routes):
    token = (await routes.sign_up()).json()["user"]["refresh_token"]
    body = {"refresh_token": token, "new_password": OTHER}
    assert problem(await routes.password("change", password=OTHER, **body)) == WRONG
    changed = await routes.password("change", password=PASSWORD, **body)
    assert changed.status == 200 and changed.json()["user"]["refresh_token"] == token
    reset = await routes.password(
        "reset", email=ANN, code=await routes.send(ANN), password=PASSWORD
    )
    assert reset.status == 200 and reset.json()["created"] is False
    assert await routes.user_of(token) is None
    assert await routes.user_of(reset.json()["user"]["refresh_token"]) is not None


@pytest.mark.rule("A165")
async def test_admins_set_passwords(routes):
    user = (await routes.sign_in())["user"]
    for named in ({"email": ANN}, {"id": user["id"]}):
        answer = await routes.admin("users/password", {**named, "password": PASSWORD})
        assert answer.status == 200 and answer.json()["user"]["id"] == user["id"]
        assert "refresh_token" not in answer.json()["user"]
    assert (await routes.password("sign_in", email=ANN, password=PASSWORD)).status == 200
    removed = await routes.admin("users/password", {"email": ANN, "password": None})
    assert removed.status == 200
    assert problem(await routes.password("sign_in", email=ANN, password=PASSWORD)) == WRONG
    nobody = await routes.admin("users/password", {"id": UNKNOWN, "password": PASSWORD})
    assert problem(nobody) == (400, "record-not-found", "app-user")
    for body in ({"email": ANN}, {"password": PASSWORD}):
        assert (await routes.admin("users/password", body)).json()["type"] == "param-missing"
    routes.stage.token = UNKNOWN
    body = {"email": ANN, "password": PASSWORD}
    stranger = await routes.admin("users/password", body)
    assert problem(stranger) == (400, "record-not-found", "app-admin-token")
    headers = {"app-id": routes.stage.app_id}
    nobody = await routes.stage.ask("POST", "/admin/users/password", body, headers)
    assert problem(nobody) == (400, "param-missing", ["headers", "authorization"])


@pytest.mark.rule("A169")
async def test_parameters_are_checked_and_passwords_never_repeated(routes):
    for name, body, path in (
        ("sign_in", {"email": ANN}, "password"),
        ("sign_in", {"password": PASSWORD}, "email"),
        ("sign_up", {"email": ANN, "password": PASSWORD}, "code"),
        ("change", {"password": PASSWORD, "new_password": OTHER}, "refresh-token"),
        ("change", {"password": PASSWORD, "refresh_token": UNKNOWN}, "new-password"),
        ("reset", {"email": ANN, "code": "000000"}, "password"),
    ):
        answer = await routes.password(name, **body)
        assert problem(answer) == (400, "param-missing", ["body", path])
    for given in (5, ["secret words"], {"a": "secret words"}, True):
        answer = await routes.password("sign_in", email=ANN, password=given)
        assert problem(answer) == (400, "param-malformed", ["body", "password"])
        assert b"secret" not in answer.body
    huge = await routes.password("sign_in", email=ANN, password="x" * 1_000_000)
    assert problem(huge) == WRONG and len(huge.body) < 2_000
    huge = await routes.sign_up(password="secret words " * 50_000)
    assert problem(huge) == (400, "validation-failed", "password")
    assert b"secret" not in huge.body


@pytest.mark.rule("A151")
async def test_switched_off_says_how_to_switch_it_on(routes):
    await routes.use_app()
    answer = await routes.password("sign_in", email=ANN, password=PASSWORD)
    assert problem(answer) == (400, "validation-failed", "sign-in-method")
    assert "POST /dash/apps/:app_id/sign-in-methods" in answer.json()["message"]


@pytest.mark.rule("A170")
async def test_hashes_and_passkeys_are_closed_to_all_but_admins(open_routes):
    rules = {"$default": {"allow": {"$default": "true"}}}
    routes = await open_routes(rules=rules)
    token = (await routes.sign_up()).json()["user"]["refresh_token"]
    query = {
        "$users": {"$userPasswords": {}, "$userPasskeys": {}},
        "$userPasswords": {},
        "$userPasskeys": {},
        "$passkeyChallenges": {},
    }
    headers = {"app-id": routes.stage.app_id, "as-token": token}
    answer = await routes.stage.ask("POST", "/admin/query", {"query": query}, headers)
    assert answer.status == 200 and "argon2" not in str(answer.json())
    assert answer.json()["$userPasswords"] == []
    steps = [["update", "$userPasswords", UNKNOWN, {"hash": "x"}]]
    denied = await routes.stage.ask("POST", "/admin/transact", {"steps": steps}, headers)
    assert denied.status == 400
    assert len(await routes.rows("$userPasswords")) == 1
