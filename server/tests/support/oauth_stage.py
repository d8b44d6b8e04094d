"""An OAuth app on a stage, browsers of people who are asked, and programs that exchange codes."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from support.account_http import account_of

HOST = {"host": "trice.test"}
BACK = "https://shop.example.com/back"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")


class Browser:
    """A browser of somebody who is signed in: it keeps the cookie of a sign-in."""

    def __init__(self, stage: Any, headers: dict[str, str]) -> None:
        self.stage = stage
        self.headers = headers
        self.cookie = ""
        self.request_id = ""

    async def start(self, **query: str | None) -> Any:
        """Open the first page; follow to the page that asks, if it does."""
        given = {key: value for key, value in query.items() if value is not None}
        answer = await self.stage.ask(
            "GET", f"/platform/oauth/start?{urlencode(given)}", None, HOST
        )
        if answer.status == 302 and "redirect-id=" in answer.headers["location"]:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.request_id = answer.headers["location"].partition("redirect-id=")[2]
        return answer

    async def claim(self, **headers: str) -> Any:
        """What the page asks."""
        sent = {**self.headers, "cookie": self.cookie, **headers}
        body = {"redirect": self.request_id}
        return await self.stage.ask("POST", "/platform/oauth/claim", body, sent)

    async def decide(self, word: str, grant_token: str, **headers: str) -> Any:
        """Send the form of the page."""
        form = urlencode({"redirect_id": self.request_id, "grant_token": grant_token}).encode()
        kind = {"content-type": "application/x-www-form-urlencoded"}
        sent = {**HOST, **kind, "cookie": self.cookie, **headers}
        return await self.stage.ask("POST", f"/platform/oauth/{word}", form, sent)


class Shop:
    """The OAuth app `Shop` of the developer ann, with a client; ann's account allows it things."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.headers: dict[str, str] = {}
        self.app_id = ""
        self.oauth_app_id = ""
        self.client_id = ""
        self.secret = ""

    async def open(self, **said: Any) -> Shop:
        _, self.headers = await account_of(self.stage)
        made = await self.stage.ask("POST", "/superadmin/apps", {"title": "shop"}, self.headers)
        self.app_id = made.json()["app"]["id"]
        oauth_app = (await self.manage("POST", "oauth-apps", {"app_name": "Shop", **said})).json()
        self.oauth_app_id = oauth_app["app"]["id"]
        body = {"client_name": "web", "authorized_redirect_urls": [BACK]}
        path = f"oauth-apps/{self.oauth_app_id}/clients"
        made = (await self.manage("POST", path, body)).json()
        self.client_id, self.secret = made["client"]["clientId"], made["secretValue"]
        return self

    async def manage(self, method: str, path: str, body: Any = None) -> Any:
        """Ask a route below the app, as ann."""
        path = f"/dash/apps/{self.app_id}/{path}"
        return await self.stage.ask(method, path, body, self.headers)

    def query(self, **changes: str | None) -> dict[str, str | None]:
        """The query that begins a sign-in."""
        query: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": BACK,
            "response_type": "code",
            "scope": "apps-read apps-write",
            "state": "s 1",
        }
        return query | changes

    def pkce(self, **changes: str | None) -> dict[str, str | None]:
        """The same, by a client without a secret."""
        proof = {"code_challenge": CHALLENGE.decode(), "code_challenge_method": "S256"}
        return self.query(**(proof | changes))

    async def code(self, headers: dict[str, str] | None = None, **query: str | None) -> str:
        """A code that somebody, else ann, allows."""
        browser = Browser(self.stage, headers or self.headers)
        answer = await browser.start(**self.query(**query))
        assert answer.status == 302, answer.body
        shown = await browser.claim()
        assert shown.status == 200, shown.body
        answer = await browser.decide("grant", shown.json()["grantToken"])
        return back(answer)["code"]

    async def ask_token(self, **fields: str | None) -> Any:
        """Ask for tokens."""
        body = {key: value for key, value in fields.items() if value is not None}
        return await self.stage.ask("POST", "/platform/oauth/token", body)

    async def exchange(self, code: str, **changes: str | None) -> Any:
        """Ask for tokens for a code, with the secret."""
        fields: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "client_id": self.client_id,
            "client_secret": self.secret,
        }
        return await self.ask_token(**(fields | changes))

    async def refresh(self, refresh_token: str, **changes: str | None) -> Any:
        """Ask for an access token for a refresh token."""
        fields: dict[str, str | None] = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": self.client_id,
            "client_secret": self.secret,
        }
        return await self.ask_token(**(fields | changes))

    async def tokens(self, **query: str | None) -> dict[str, Any]:
        """Tokens that ann allows."""
        answer = await self.exchange(await self.code(**query))
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json()
        return found

    async def works(self, token: str) -> bool:
        """Whether an access token lists apps."""
        headers = {"authorization": f"Bearer {token}"}
        answer = await self.stage.ask("GET", "/superadmin/apps", None, headers)
        if answer.status != 200:
            assert answer.json()["hint"]["record-type"] == "oauth-access-token"
        return bool(answer.status == 200)


def back(answer: Any) -> dict[str, str]:
    """The parameters with which a browser is sent back to the client."""
    assert answer.status == 302, answer.body
    url = answer.headers["location"]
    assert url.startswith(BACK + "?"), url
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
