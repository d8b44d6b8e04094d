"""Passkeys over HTTP: parameters, answers, errors (`trice.api.passkeys`)."""

from __future__ import annotations

import pytest

from support.account_stage import ORIGIN, generic_origin
from support.authenticator import Authenticator
from support.sign_in import UNKNOWN, SignIns, problem
from trice import auth_limits


class PasskeyRoutes(SignIns):
    """The routes of sign-in, those of passkeys among them, and a browser with an authenticator."""

    def __init__(self, stage):
        super().__init__(stage)
        self.authenticator = Authenticator(origin=ORIGIN)

    async def passkey(self, path, *, origin=ORIGIN, **body):
        whole = {"app-id": self.stage.app_id, **body}
        headers = {} if origin is None else {"origin": origin}
        return await self.stage.ask("POST", f"/runtime/auth/passkey/{path}", whole, headers)

    async def register(self, token, **more):
        owner = {"refresh-token": token}
        begun = await self.passkey("register/begin", **owner)
        assert begun.status == 200, begun.body
        credential = self.authenticator.create(begun.json()["options"])
        return await self.passkey("register/finish", credential=credential, **owner, **more)


@pytest.fixture
async def routes(stage):
    """The routes of an app that has passkeys."""
    opened = PasskeyRoutes(stage)
    origins = (generic_origin("app.example"),)
    await opened.use_app(settings={"has_passkeys": True, "origins": origins})
    return opened


@pytest.fixture
async def token(routes):
    """The token of a user."""
    return (await routes.sign_in())["user"]["refresh_token"]


@pytest.mark.rule("A175", "A191")
async def test_the_whole_way(routes, token):
    made = await routes.register(token, name=" laptop ")
    assert made.status == 200, made.body
    passkey = made.json()["passkey"]
    assert passkey == {
        "id": passkey["id"],
        "name": "laptop",
        "rp_id": "app.example",
        "created_at": "2023-11-14T22:13:20.000Z",
        "last_used_at": None,
    }
    options = (await routes.passkey("sign_in/begin")).json()["options"]
    credential = routes.authenticator.get(options)
    answer = await routes.passkey("sign_in/finish", credential=credential)
    assert answer.status == 200 and answer.json()["created"] is False
    user = answer.json()["user"]
    assert user["refresh_token"] != token
    assert (await routes.user_of(token))["id"] == user["id"]
    listed = (await routes.passkey("list", **{"refresh-token": token})).json()["passkeys"]
    assert [each["id"] for each in listed] == [passkey["id"]]
    body = {"refresh-token": token, "id": passkey["id"]}
    deleted = await routes.passkey("delete", **body)
    assert (deleted.status, deleted.json()) == (200, {})
    again = await routes.passkey("delete", **body)
    assert problem(again) == (400, "record-not-found", "app-user-passkey")


@pytest.mark.rule("A197")
async def test_parameters_are_checked_and_bounded(routes, token):
    owner = {"refresh-token": token}
    for path, body, missing in (
        ("register/begin", {}, "refresh-token"),
        ("register/finish", owner, "credential"),
        ("sign_in/finish", {}, "credential"),
        ("list", {}, "refresh-token"),
        ("delete", owner, "id"),
    ):
        assert problem(await routes.passkey(path, **body)) == (
            *(400, "param-missing"),
            ["body", missing],
        )
    deep: list = []
    for _ in range(500):
        deep = [deep]
    raw = b'{"app-id":"%s","credential":{"x":%s}}' % (
        routes.stage.app_id.encode(),
        str(deep).encode(),
    )
    url = "/runtime/auth/passkey/sign_in/finish"
    answers = [await routes.stage.ask("POST", url, raw, {"origin": ORIGIN})]
    big = "x" * auth_limits.PASSKEY_RESPONSE_BYTES_MAX
    for credential in ("text", 5, [], {"id": big}):
        answers.append(await routes.passkey("sign_in/finish", credential=credential))
    for answer in answers:
        assert problem(answer) == (400, "param-malformed", ["body", "credential"])
        assert len(answer.body) < 2_000
    long_name = "x" * (auth_limits.PASSKEY_NAME_CHARS_MAX + 1)
    for name in (5, long_name):
        answer = await routes.register(token, name=name)
        assert problem(answer) == (400, "param-malformed", ["body", "name"])
    for rp_id in (5, "", "x" * 300):
        answer = await routes.passkey("sign_in/begin", **{"rp-id": rp_id})
        assert problem(answer) == (400, "param-malformed", ["body", "rp-id"])


@pytest.mark.rule("A188")
async def test_a_request_without_origin_says_what_is_missing(routes, token):
    answer = await routes.passkey("sign_in/begin", origin=None)
    assert problem(answer) == (400, "validation-failed", "origin")
    assert "`Origin` header" in answer.json()["message"]


@pytest.mark.rule("A151")
async def test_switched_off_says_how_to_switch_it_on(routes, token):
    await routes.use_app()
    for path, body in (
        ("register/begin", {"refresh-token": UNKNOWN}),
        ("register/finish", {"refresh-token": UNKNOWN, "credential": {}}),
        ("sign_in/begin", {}),
        ("sign_in/finish", {"credential": {}}),
        ("list", {"refresh-token": UNKNOWN}),
        ("delete", {"refresh-token": UNKNOWN, "id": UNKNOWN}),
    ):
        answer = await routes.passkey(path, **body)
        assert problem(answer) == (400, "validation-failed", "sign-in-method")
        assert "POST /dash/apps/:app_id/sign-in-methods" in answer.json()["message"]
