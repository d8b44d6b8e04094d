"""Every way to sign in, as a user and as the app's own server, to its end: mail arrives over SMTP,
a provider speaks OpenID Connect, and passkeys are an authenticator's."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from client_apps import App
from outside import Outside, outside
from support.authenticator import Authenticator
from support.identity_provider import parameters_of
from support.patience import WAIT_S
from support.serving import serving
from trice_client import Platform, TriceError

PASSWORD = "correct horse battery"
PAGE = "http://localhost:3000/in"
ORIGIN = "https://app.example"
NICKNAMES = {"$users": {"attrs": {"nickname": {"valueType": "string"}}}}
RULES = {"$users": {"allow": {"create": "true"}}}
EXTRA = {"nickname": "annie"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Outside]]:
    """A server that sends mail and trusts a provider on this machine."""
    with outside() as found:
        flags = ("--port", "0", "--private-hosts", "--smtp-url")
        smtp = f"smtp://127.0.0.1:{found.mail.port}?starttls=never"
        with serving(tmp_path_factory.mktemp("data"), *flags, smtp) as (_, url):
            yield url, found


@pytest.fixture
def outer(world: tuple[str, Outside]) -> Outside:
    return world[1]


@pytest.fixture
def open_app(world: tuple[str, Outside]) -> App:
    """An app with all ways to sign in."""
    url, found = world
    with Platform(url) as platform:
        schema = {"entities": NICKNAMES, "links": {}}
        made = platform.create_temporary_app("sign-in", schema=schema, rules=RULES)
    app = App(url, made["id"], made["admin-token"])

    def manage(path: str, body: dict[str, Any]) -> Any:
        answer = httpx.post(
            f"{url}/dash/apps/{app.id}/{path}",
            json=body,
            headers={"authorization": f"Bearer {app.admin_token}"},
            timeout=WAIT_S,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    manage("sign-in-methods", {"passwords": True, "passkeys": True})
    provider = manage("oauth_service_providers", {"provider_name": "fake"})["provider"]
    client = {"client_id": "web", "client_secret": "s" * 40}
    names = {"provider_id": provider["id"], "client_name": "oidc"}
    manage("oauth_clients", {**names, **client, "discovery_endpoint": found.provider.endpoint})
    for site in ("localhost:3000", "app.example"):
        manage("authorized_redirect_origins", {"service": "generic", "params": [site]})
    return app


def come_back(url: str) -> str:
    """What a browser does that is sent to a provider, whose person agrees: the code it brings."""
    with httpx.Client(timeout=WAIT_S) as browser:
        answer = browser.get(url)
        while not answer.headers.get("location", "").startswith(PAGE):
            if answer.status_code == 302:
                answer = browser.get(answer.headers["location"])
                continue
            # The provider sends a form back, as Apple does.
            (action,) = re.findall(r'action="([^"]*)"', answer.text)
            form = re.findall(r'name="([^"]*)" value="([^"]*)"', answer.text)
            answer = browser.post(action, data=dict(form))
    return parameters_of(answer.headers["location"])["code"]


@pytest.mark.rule("PY85")
@pytest.mark.anyio
async def test_a_code_that_was_mailed(open_app: App, outer: Outside) -> None:
    async with open_app.aio(admin_token=None) as db:
        await db.auth.send_magic_code("ann@example.com")
        code = outer.code("ann@example.com")
        ann = await db.auth.sign_in_with_magic_code("ann@example.com", code, extra_fields=EXTRA)
        assert (ann["created"], ann["user"]["email"]) == (True, "ann@example.com")
        rows = (await db.as_user(ann["user"]).query({"$users": {}}))["$users"]
        assert [(row["id"], row["nickname"]) for row in rows] == [(ann["user"]["id"], "annie")]
        with pytest.raises(TriceError) as used:
            await db.auth.sign_in_with_magic_code("ann@example.com", code)
        assert used.value.code == "record-not-found"


@pytest.mark.rule("PY85")
def test_a_guest_becomes_a_user_and_keeps_who_it_was(open_app: App, outer: Outside) -> None:
    with open_app.sync(admin_token=None) as db:
        guest = db.auth.sign_in_as_guest(extra_fields=EXTRA)["user"]
        assert guest["email"] is None and guest.get("type") == "guest"
        db.auth.send_magic_code("eve@example.com")
        code = outer.code("eve@example.com")
        eve = db.auth.sign_in_with_magic_code("eve@example.com", code, guest=guest)["user"]
        assert (eve["id"], eve["email"]) == (guest["id"], "eve@example.com")
        db.auth.sign_out(token=eve["refresh_token"])
        with pytest.raises(TriceError):
            db.auth.sign_in_with_token(eve["refresh_token"])


@pytest.mark.rule("PY85")
def test_the_apps_own_server_makes_codes_tokens_and_users(open_app: App, outer: Outside) -> None:
    with open_app.sync() as db:
        sent = len(outer.mail.arrived)
        code = db.auth.generate_magic_code("bob@example.com")
        assert len(outer.mail.arrived) == sent
        bob = db.auth.sign_in_with_magic_code("bob@example.com", code)["user"]
        db.auth.send_magic_code("bob@example.com")
        assert (
            db.auth.sign_in_with_magic_code(
                "bob@example.com", outer.code("bob@example.com"), extra_fields=EXTRA
            )["user"]["id"]
            == bob["id"]
        )
        assert db.auth.set_password(PASSWORD, email="bob@example.com")["id"] == bob["id"]
        assert db.auth.sign_in_with_password("bob@example.com", PASSWORD)["user"]["id"] == bob["id"]
        db.auth.set_password(None, id=bob["id"])
        with pytest.raises(TriceError):
            db.auth.sign_in_with_password("bob@example.com", PASSWORD)
        token = db.auth.create_token(email="bob@example.com")
        assert db.auth.sign_in_with_token(token)["user"]["id"] == bob["id"]
        by_id = db.auth.create_token(id=bob["id"])
        new = db.auth.create_token(email="new@example.com", extra_fields=EXTRA)
        found = db.auth.get_user(token=new)
        assert found is not None and found["email"] == "new@example.com"
        guest = db.auth.create_guest(extra_fields=EXTRA)
        assert db.auth.sign_in_with_token(guest["refresh_token"])["user"]["id"] == guest["id"]
        db.auth.sign_out(id=bob["id"])
        for ended in (token, by_id, bob["refresh_token"]):
            with pytest.raises(TriceError):
                db.auth.sign_in_with_token(ended)
        deleted = db.auth.delete_user(email="bob@example.com")
        assert deleted is not None and deleted["id"] == bob["id"]
        assert db.auth.get_user(email="bob@example.com") is None


@pytest.mark.rule("PY85")
@pytest.mark.anyio
async def test_passwords(open_app: App, outer: Outside) -> None:
    async with open_app.aio(admin_token=None) as db:
        auth = db.auth
        await auth.send_magic_code("pat@example.com")
        code = outer.code("pat@example.com")
        made = await auth.sign_up_with_password(
            "pat@example.com", code, PASSWORD, extra_fields=EXTRA
        )
        assert made["created"] is True
        pat = (await auth.sign_in_with_password("pat@example.com", PASSWORD))["user"]
        assert pat["id"] == made["user"]["id"]
        changed = await db.as_user(pat).auth.change_password(PASSWORD, "another fine passphrase")
        assert changed["user"]["refresh_token"] == pat["refresh_token"]
        with pytest.raises(TriceError):
            await auth.sign_in_with_token(made["user"]["refresh_token"])
        with pytest.raises(TriceError):
            await auth.sign_in_with_password("pat@example.com", PASSWORD)
        await auth.send_magic_code("pat@example.com")
        code = outer.code("pat@example.com")
        reset = await auth.reset_password("pat@example.com", code, "a third fine passphrase")
        assert reset["user"]["id"] == pat["id"]
        assert await auth.sign_in_with_password("pat@example.com", "a third fine passphrase")


@pytest.mark.rule("PY85")
@pytest.mark.anyio
async def test_the_code_of_a_provider(open_app: App, outer: Outside) -> None:
    verifier = "v" * 64
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    outer.provider.person = {"sub": "sub-oauth", "email": "oli@example.com"}
    async with open_app.aio(admin_token=None) as db:
        names = {"client_name": "oidc", "redirect_url": PAGE}
        code = come_back(db.auth.create_authorization_url(**names, code_challenge=challenge))
        with pytest.raises(TriceError):
            await db.auth.exchange_oauth_code(code, code_verifier="w" * 64)
        code = come_back(db.auth.create_authorization_url(**names, code_challenge=challenge))
        oli = await db.auth.exchange_oauth_code(code, code_verifier=verifier, extra_fields=EXTRA)
        assert oli["user"]["email"] == "oli@example.com"
        again = await db.auth.exchange_oauth_code(
            come_back(db.auth.create_authorization_url(**names))
        )
        assert again["user"]["id"] == oli["user"]["id"]
        assert db.auth.issuer_uri() == f"{open_app.url}/runtime/{open_app.id}"


@pytest.mark.rule("PY85")
def test_the_id_token_of_a_provider_and_who_was_a_guest_before(
    open_app: App, outer: Outside
) -> None:
    with open_app.sync() as db:
        guest = db.auth.create_guest()
        given = outer.provider.id_token(sub="sub-id", email="ida@example.com", nonce="n1")
        ida = db.as_user(guest).auth.sign_in_with_id_token(given, client_name="oidc", nonce="n1")
        assert (ida["user"]["id"], ida["user"]["email"]) == (guest["id"], "ida@example.com")
        forged = outer.provider.id_token(aud="another", sub="sub-id")
        with pytest.raises(TriceError):
            db.auth.sign_in_with_id_token(forged, client_name="oidc")


@pytest.mark.rule("PY86")
@pytest.mark.anyio
async def test_passkeys_of_a_page_behind_this_client(open_app: App) -> None:
    key = Authenticator(origin=ORIGIN)
    async with open_app.aio() as db:
        token = await db.auth.create_token(email="kay@example.com")
        keys = db.as_user(token=token).auth.passkeys
        made = await keys.finish_registration(
            key.create(await keys.begin_registration(origin=ORIGIN)), origin=ORIGIN, name="phone"
        )
        assert [each["id"] for each in await keys.list_all()] == [made["id"]]
        anyone = db.as_guest().auth.passkeys
        signed_in = await anyone.finish_sign_in(
            key.get(await anyone.begin_sign_in(origin=ORIGIN)), origin=ORIGIN
        )
        assert signed_in["user"]["email"] == "kay@example.com"
        stolen = replace(key, origin="https://other.example")
        with pytest.raises(TriceError):
            await anyone.finish_sign_in(
                stolen.get(await anyone.begin_sign_in(origin=ORIGIN)), origin=ORIGIN
            )
        with pytest.raises(TriceError) as nobody:
            await anyone.list_all()
        assert nobody.value.code == "signed-out"
        await keys.delete(made["id"])
        assert await keys.list_all() == []
