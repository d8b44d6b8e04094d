"""The routes of sign-in, asked as clients ask them, on the stage of `tests/api`."""

from __future__ import annotations

from typing import Any

from support.asgi import Exchange
from support.mailbox import Mailbox
from trice.apps import settings as app_settings

UNKNOWN = "00000000-0000-4000-8000-000000000000"
NICKNAMES = {
    "entities": {
        "$users": {
            "attrs": {
                "nickname": {"valueType": "string", "config": {"indexed": False, "unique": False}},
                "age": {"valueType": "number", "config": {"indexed": False, "unique": False}},
                "handle": {"valueType": "string", "config": {"indexed": True, "unique": True}},
            }
        }
    }
}


class SignIns:
    """A stage whose e-mail the test reads.

    address   the address that requests come from
    """

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.mailbox = Mailbox()
        stage.asgi.state.mail = self.mailbox

    async def use_app(self, **made: Any) -> None:
        """Use a new app of the same server from now on: `schema`, `rules`, `settings`."""
        settings: dict[str, Any] = made.pop("settings", {})
        app, token = await self.stage.apps.create(title="Café & Co", is_open=True, **made)
        self.stage.app_id, self.stage.token = app.id, token
        self.stage.apps.give_back(app)
        await self.stage.apps.change_settings(app.id, lambda _: app_settings.Settings(**settings))

    async def runtime(self, name: str, **body: Any) -> Exchange:
        """`POST /runtime/auth/<name>`; `refresh_token=` becomes `refresh-token`."""
        sent = {key.replace("_", "-"): value for key, value in body.items()}
        whole = {"app-id": self.stage.app_id, **sent}
        return await self.stage.ask("POST", f"/runtime/auth/{name}", whole)

    async def admin(self, name: str, body: Any = None, *, method: str = "POST") -> Exchange:
        """A route below `/admin/`."""
        return await self.stage.ask(method, f"/admin/{name}", body, self.stage.admin())

    async def sign_out(self, token: str) -> Exchange:
        body = {"app_id": self.stage.app_id, "refresh_token": token}
        return await self.stage.ask("POST", "/runtime/signout", body)

    async def send(self, email: str = "ann@example.com") -> str:
        """Have a code sent; return it."""
        answer = await self.runtime("send_magic_code", email=email)
        assert (answer.status, answer.json()) == (200, {"sent": True})
        return self.mailbox.code()

    async def sign_in(self, email: str = "ann@example.com", **more: Any) -> dict[str, Any]:
        """The answer to signing in with a fresh code."""
        code = await self.send(email)
        answer = await self.runtime("verify_magic_code", email=email, code=code, **more)
        assert answer.status == 200, answer.body
        return answer.json()

    async def guest(self, **more: Any) -> dict[str, Any]:
        """A new guest, signed in."""
        answer = await self.runtime("sign_in_guest", **more)
        assert answer.status == 200, answer.body
        return answer.json()["user"]

    async def user_of(self, token: str) -> dict[str, Any] | None:
        """The user of a refresh token, as the server has it now; None if there is none."""
        answer = await self.runtime("verify_refresh_token", refresh_token=token)
        if answer.status == 200:
            return answer.json()["user"]
        assert problem(answer) == (400, "record-not-found", "app-user")
        return None

    async def rows(self, etype: str) -> list[dict[str, Any]]:
        """Every entity of a namespace."""
        answer = await self.admin("query", {"query": {etype: {}}})
        return answer.json()[etype]


def user_with_code(email: str, code: str) -> app_settings.TestUser:
    """A test user, whose code is fixed."""
    return app_settings.TestUser(id=UNKNOWN, email=email, code=code, created_ms=0)


def problem(answer: Exchange) -> tuple[int, str, Any]:
    """Status, type, and the subject that the hint names."""
    body = answer.json()
    hint = body["hint"]
    about = hint.get("record-type") or hint.get("in") or hint.get("data-type") or hint.get("input")
    return answer.status, body["type"], about
