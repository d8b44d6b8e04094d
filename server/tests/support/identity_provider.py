"""A sign-in provider on loopback: OpenID Connect and GitHub's dialect, true to their protocols.

It refuses what real providers refuse: unknown clients, wrong secrets, other redirect URIs, codes
used twice. `Browser` is the person's side: it keeps cookies, follows redirects and sends forms.
"""

from __future__ import annotations

import asyncio
import html
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import orjson
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from support.loopback import Listener
from trice.auth.oauth.providers import GitHubUrls
from trice.auth.oauth.sign_in import OAuth

SITE = "https://site.example"
"""The origin of the app's own page."""

SERVER = "https://trice.example"
"""The origin of the server under test, as browsers see it."""


@cache
def rsa_key(name: str) -> RSAKey:
    """A private RSA key, made once per run."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"})


@cache
def ec_key(name: str) -> ECKey:
    """A private key on P-256."""
    return ECKey.generate_key("P-256", {"kid": name, "use": "sig"})


async def _read_request(
    connection: socket.socket,
) -> tuple[str, dict[str, str], bytes] | None:
    """Target, headers by lower-case name, and body; None when the client left before the end."""
    loop = asyncio.get_running_loop()
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        request, *lines = head.decode().split("\r\n")
        parts = [line.partition(":") for line in lines]
        headers = {name.lower(): value.strip() for name, _, value in parts}
        if end and len(body) >= int(headers.get("content-length", "0")):
            return request.split(" ")[1], headers, body
        try:
            more = await loop.sock_recv(connection, 65_536)
        except ConnectionError:
            return None
        if not more:
            return None
        received += more


class IdentityProvider:
    """The provider.

    issuer      its name for itself; its address unless a test plays Google or Apple
    person      claims of the person who signs in next
    secrets     client id → client secret
    keys        the keys of the key set, by kid
    faults      "path" → (status, JSON): a false answer to give on this path
    hits        path → number of requests
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._listener: Listener | None = None
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: dict[str, dict[str, Any]] = {}
        self._count = 0
        self.base = ""
        self.issuer = ""
        self.person: dict[str, Any] = {}
        self.github_person: dict[str, Any] = {}
        self.github_emails: list[dict[str, Any]] = []
        self.secrets = {"web": "s" * 40}
        self.check_secret: Callable[[str], bool] | None = None
        self.has_id_token = True
        self.keys = {"r1": rsa_key("r1"), "e1": ec_key("e1")}
        self.discovery: dict[str, Any] = {}
        self.faults: dict[str, tuple[int, Any, dict[str, str]]] = {}
        self.hits: dict[str, int] = {}
        self.seen: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.gate: asyncio.Event | None = None

    async def open(self) -> None:
        self._listener = Listener(self._serve)
        self.base = f"http://127.0.0.1:{self._listener.port}"
        self.issuer = self.base

    async def close(self) -> None:
        assert self._listener is not None
        await self._listener.close()

    @property
    def endpoint(self) -> str:
        return f"{self.base}/.well-known/openid-configuration"

    @property
    def github_urls(self) -> GitHubUrls:
        return GitHubUrls(
            authorize=f"{self.base}/login/oauth/authorize",
            token=f"{self.base}/login/oauth/access_token",
            user=f"{self.base}/user",
            emails=f"{self.base}/user/emails",
        )

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims of a good id_token; None leaves one out."""
        now_s = self._now_ms() // 1000
        claims = {
            "iss": self.issuer,
            "aud": "web",
            "sub": "sub-1",
            "email": "ann@example.com",
            "email_verified": True,
            "iat": now_s,
            "exp": now_s + 3600,
            **self.person,
            **changes,
        }
        return {key: value for key, value in claims.items() if value is not None}

    def id_token(
        self, *, kid: str = "r1", alg: str | None = None, key: Any = None, **changes: Any
    ) -> str:
        """A signed token with `claims(**changes)`."""
        signer = key or self.keys[kid]
        algorithm = alg or ("ES256" if isinstance(signer, ECKey) else "RS256")
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        header = {"alg": algorithm, "kid": kid}
        return jwt.encode(header, self.claims(**changes), signer, registry=registry)

    # --- HTTP -----------------------------------------------------------------------------------

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        received = await _read_request(connection)
        if received is None:
            return
        target, headers, body = received
        path, _, query = target.partition("?")
        self.hits[path] = self.hits.get(path, 0) + 1
        if self.gate is not None:
            await self.gate.wait()
        fields = dict(parse_qsl(query)) | dict(parse_qsl(body.decode()))
        self.seen.append((path, fields, headers))
        status, answer, extra = self.faults.get(path) or self._answer(path, fields, headers)
        raw = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        told = {"content-type": "application/json", "content-length": str(len(raw)), **extra}
        lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in told.items()), "", ""]
        with suppress(ConnectionError):
            await loop.sock_sendall(connection, "\r\n".join(lines).encode() + raw)

    def _answer(
        self, path: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        match path:
            case "/.well-known/openid-configuration":
                return 200, self._discovery(), {}
            case "/jwks":
                public = [key.as_dict(private=False) for key in self.keys.values()]
                return 200, {"keys": public}, {}
            case "/authorize" | "/login/oauth/authorize":
                return self._authorize(fields)
            case "/token" | "/login/oauth/access_token":
                return self._exchange(fields, is_github=path != "/token")
            case "/userinfo" | "/user" | "/user/emails":
                token = headers.get("authorization", "").removeprefix("Bearer ")
                if token not in self._tokens:
                    return 401, {"error": "invalid_token"}, {}
                bodies = {"/user": self.github_person, "/user/emails": self.github_emails}
                return 200, bodies.get(path, self._tokens[token]), {}
            case _:
                return 404, {}, {}

    def _discovery(self) -> dict[str, Any]:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            "userinfo_endpoint": f"{self.base}/userinfo",
            "jwks_uri": f"{self.base}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            **self.discovery,
        }
        return {key: value for key, value in document.items() if value is not None}

    def _authorize(self, fields: Mapping[str, str]) -> tuple[int, Any, dict[str, str]]:
        """The person agrees at once."""
        if fields.get("client_id") not in self.secrets or fields.get("response_type") != "code":
            return 400, {"error": "unauthorized_client"}, {}
        self._count += 1
        code = f"code-{self._count}"
        self._codes[code] = {key: fields[key] for key in ("client_id", "redirect_uri")}
        given = {"code": code, "state": fields["state"]}
        if fields.get("response_mode") != "form_post":
            return 302, b"", {"location": f"{fields['redirect_uri']}?{urlencode(given)}"}
        inputs = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
            for name, value in given.items()
        )
        action = html.escape(fields["redirect_uri"])
        page = f'<form method="post" action="{action}">{inputs}</form>'
        return 200, page.encode(), {"content-type": "text/html"}

    def _exchange(
        self, fields: Mapping[str, str], *, is_github: bool
    ) -> tuple[int, Any, dict[str, str]]:
        refused = 200 if is_github else 400
        asked = self._codes.pop(fields.get("code", ""), None)
        client, secret = fields.get("client_id", ""), fields.get("client_secret", "")
        is_known = self.check_secret(secret) if self.check_secret else False
        if not is_known and self.secrets.get(client) != secret:
            return refused, {"error": "invalid_client", "error_description": "Bad secret."}, {}
        wanted = {"client_id": client, "redirect_uri": fields.get("redirect_uri")}
        if asked != wanted or fields.get("grant_type") != "authorization_code":
            return refused, {"error": "invalid_grant", "error_description": "Bad code."}, {}
        token = f"access-{self._count}"
        self._tokens[token] = self.claims()
        answer = {"access_token": token, "token_type": "bearer"}
        if not is_github and self.has_id_token:
            answer["id_token"] = self.id_token()
        return 200, answer, {}


class Browser:
    """A person's browser: cookies, redirects one by one, forms that providers let it send."""

    def __init__(self, asgi: Any) -> None:
        self._client = httpx.AsyncClient(
            mounts={SERVER: httpx.ASGITransport(asgi)}, trust_env=False
        )

    async def get(self, url: str) -> httpx.Response:
        return await self._client.get(url)

    async def submit(self, page: httpx.Response, *, to: str | None = None) -> httpx.Response:
        """Send the form on a page.

        to   another target than the form's, as of a site in between that passes the form on
        """
        action = to or html.unescape(re.findall(r'action="([^"]*)"', page.text)[0])
        fields = {
            name: html.unescape(value)
            for name, value in re.findall(r'name="([^"]*)" value="([^"]*)"', page.text)
        }
        return await self._client.post(action, data=fields)

    async def come_back(self, start: httpx.Response) -> httpx.Response:
        """From the answer of `/runtime/oauth/start` through the provider to our callback."""
        assert start.status_code == 302, start.text
        page = await self.get(start.headers["location"])
        if page.status_code == 302:
            return await self.get(page.headers["location"])
        return await self.submit(page)

    async def close(self) -> None:
        await self._client.aclose()


class OAuthStage:
    """The application with a client of the fake provider, and a browser.

    http   the stage of tests/api, for plain requests
    """

    def __init__(self, http: Any, idp: IdentityProvider, browser: Browser) -> None:
        self.http = http
        self.idp = idp
        self.browser = browser
        self.client: dict[str, Any] = {}

    async def manage(self, method: str, path: str, body: Any = None) -> Any:
        """A request of the app's developer; the JSON of a good answer."""
        target = f"/dash/apps/{self.http.app_id}/{path}"
        answer = await self.http.ask(method, target, body, self.http.admin())
        assert answer.status == 200, answer.json()
        return answer.json()

    async def add_client(self, provider: str, name: str, **values: Any) -> dict[str, Any]:
        made = await self.manage("POST", "oauth_service_providers", {"provider_name": provider})
        if provider != "github":
            values.setdefault("discovery_endpoint", self.idp.endpoint)
        body = {"provider_id": made["provider"]["id"], "client_name": name, **values}
        client: dict[str, Any] = (await self.manage("POST", "oauth_clients", body))["client"]
        return client

    def start_url(self, *, client_name: str = "oidc", **parameters: str) -> str:
        query = {
            "app_id": self.http.app_id,
            "client_name": client_name,
            "redirect_uri": f"{SITE}/in",
            **parameters,
        }
        return f"{SERVER}/runtime/oauth/start?{urlencode(query)}"

    async def sign_in(self, **parameters: str) -> dict[str, str]:
        """Sign in by redirects; return the parameters that the app's page gets."""
        start = await self.browser.get(self.start_url(**parameters))
        back = await self.browser.come_back(start)
        assert back.status_code == 302, back.text
        assert back.headers["location"].startswith(SITE), back.headers["location"]
        return parameters_of(back.headers["location"])

    async def exchange(self, code: str, **more: Any) -> Any:
        """Exchange a code as the page does."""
        body = {"app_id": self.http.app_id, "code": code, **more}
        return await self.http.ask("POST", "/runtime/oauth/token", body)

    async def enter(self, **more: Any) -> Any:
        """Sign in by redirects, and exchange the code; return the JSON of the exchange."""
        answer = await self.exchange((await self.sign_in())["code"], **more)
        assert answer.status == 200, answer.json()
        return answer.json()

    async def send_id_token(
        self, token: str, headers: dict[str, str] | None = None, **more: Any
    ) -> Any:
        body = {"app_id": self.http.app_id, "client_name": "oidc", "id_token": token, **more}
        return await self.http.ask("POST", "/runtime/oauth/id_token", body, headers)

    async def rows(self, etype: str) -> list[dict[str, Any]]:
        """All entities of a system namespace."""
        answer = await self.http.ask(
            "POST", "/admin/query", {"query": {etype: {}}}, self.http.admin()
        )
        found: list[dict[str, Any]] = answer.json()[etype]
        return found


def parameters_of(url: str) -> dict[str, str]:
    """Query parameters of a URL, each of them once."""
    found = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values()), url
    return {name: values[0] for name, values in found.items()}


def oct_key(secret: str) -> OctKey:
    return OctKey.import_key(secret)


@asynccontextmanager
async def with_provider(
    http: Any, *, client: dict[str, Any] | None = None
) -> AsyncIterator[OAuthStage]:
    """The stage of `tests/api` with an OAuth client "oidc", whose pages are on SITE.

    client   its values; None: a confidential client "web"
    """
    idp = IdentityProvider(http.runtime.now_ms)
    await idp.open()
    browser = Browser(http.asgi)
    oauth = OAuth(
        data_dir=http.asgi.state.settings.data_dir,
        secret_key=None,
        allows_private_hosts=True,
        runtime=http.runtime,
        github=idp.github_urls,
    )
    http.asgi.state.oauth = oauth
    try:
        stage = OAuthStage(http, idp, browser)
        values = {"client_id": "web", "client_secret": "s" * 40} if client is None else client
        stage.client = await stage.add_client("fake", "oidc", **values)
        origin = {"service": "generic", "params": ["site.example"]}
        await stage.manage("POST", "authorized_redirect_origins", origin)
        yield stage
    finally:
        await browser.close()
        await oauth.close()
        await idp.close()
