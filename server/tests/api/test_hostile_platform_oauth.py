"""Nonsense and malice on the routes of OAuth: told in words, and nothing of it is believed."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest

from support.account_http import account_of
from support.oauth_stage import HOST, Browser, Shop, back

FORM = {"content-type": "application/x-www-form-urlencoded"}
TEXTS = (
    "",
    " ",
    "\0",
    "%",
    "\ud800",
    "é" * 3000,
    "x" * 70_000,
    "</script><script>alert(1)</script>",
    "a\r\nset-cookie: x=1",
    "00000000-0000-4000-8000-000000000000",
    "' or 1=1 --",
)
VALUES = (*TEXTS, None, 0, -1, 1e300, True, [], {}, [["x"]], {"$gt": ""})


@pytest.fixture
async def shop(stage):
    return await Shop(stage).open(is_public=True)


def encoded(**fields: str) -> str:
    return urlencode(fields, errors="surrogatepass")


@pytest.mark.rule("AC94")
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_no_text_breaks_the_pages(stage, shop, text):
    given = {key: value for key, value in shop.query().items() if value is not None}
    for key in (*given, "code_challenge", "code_challenge_method", "redirect-id", text):
        target = f"/platform/oauth/start?{encoded(**(given | {key: text}))}"
        answer = await stage.ask("GET", target, None, HOST)
        assert answer.status in (200, 302, 400)
        assert b"<script>alert" not in answer.body
        for name, value in answer.headers.items():
            assert "\r" not in name + value and "\n" not in name + value
        where = answer.headers.get("location", "/platform/oauth/start")
        assert where.startswith(("/platform/oauth/start", "https://shop.example.com/back?"))
    for path in ("grant", "deny"):
        for key in ("redirect_id", "grant_token"):
            body = encoded(**{"redirect_id": "x", "grant_token": "y", key: text}).encode()
            answer = await stage.ask("POST", f"/platform/oauth/{path}", body, {**HOST, **FORM})
            assert answer.status in (400, 413)
            assert "location" not in answer.headers


@pytest.mark.rule("AC110")
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
async def test_no_value_breaks_the_routes_of_programs(stage, shop, value):
    if isinstance(value, str):
        value = value.encode(errors="ignore").decode()  # JSON has no halves of surrogate pairs
    code = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "x"}
    refresh = {"grant_type": "refresh_token", "refresh_token": "x"}
    client = {"client_id": shop.client_id, "client_secret": shop.secret, "code_verifier": "x"}
    for body in (code | client, refresh | client):
        for key in (*body, "scope"):
            answer = await stage.ask("POST", "/platform/oauth/token", body | {key: value})
            assert answer.status == 400 and answer.json()["error"]
    answer = await stage.ask("POST", "/platform/oauth/revoke", {"token": value})
    assert answer.status in (200, 400)
    answer = await stage.ask("POST", "/platform/oauth/claim", {"redirect": value}, shop.headers)
    assert answer.status == 400
    target = f"/platform/oauth/token-info?access_token=pat_{quote(str(value))}"
    assert (await stage.ask("GET", target)).status == 400
    one = f"oauth-apps/{shop.oauth_app_id}"
    for path, key in (
        ("oauth-apps", "app_name"),
        (one, "granted_scopes"),
        (one, "is_public"),
        (one, "support_email"),
        (one, "app_home_page"),
        (one, "app_logo"),
        (f"{one}/clients", "client_name"),
        (f"{one}/clients", "authorized_redirect_urls"),
        (f"oauth-app-clients/{shop.client_id}", "client_name"),
        (f"oauth-app-clients/{shop.client_id}", "add_redirect_url"),
        (f"oauth-app-clients/{shop.client_id}", "remove_redirect_url"),
    ):
        assert (await shop.manage("POST", path, {key: value})).status in (200, 400)


@pytest.mark.rule("AC96")
async def test_a_victim_is_not_led_into_the_request_of_somebody_else(stage, shop):
    """Login CSRF: an attacker begins, and sends the link of the page to a victim, whose cookie is
    of another request, or of none."""
    _, victim = await account_of(stage, "victim@example.com")
    attacker = Browser(stage, shop.headers)
    await attacker.start(**shop.query())
    led = Browser(stage, victim)
    led.request_id = attacker.request_id
    for cookie in ("", "__session=instantdb_x", "__session=" + attacker.request_id):
        led.cookie = cookie
        assert (await led.claim()).status == 400
    # What the attacker was shown works for the attacker's account only.
    shown = (await attacker.claim()).json()
    assert shown["userEmail"] == "ann@example.com"
    assert (await led.decide("grant", shown["grantToken"])).status == 400
    assert "code" in back(await attacker.decide("grant", shown["grantToken"]))


@pytest.mark.rule("AC96")
async def test_a_form_of_another_site_decides_nothing(stage, shop):
    """CSRF: the victim's browser sends its cookie, and the attacker guesses the rest."""
    browser = Browser(stage, shop.headers)
    await browser.start(**shop.query())
    for token in ("", "null", "undefined", browser.request_id, browser.cookie):
        assert (await browser.decide("grant", token)).status == 400  # before the page is shown
    await browser.claim()
    for token in ("", "null", "undefined", browser.request_id, browser.cookie):
        assert (await browser.decide("grant", token)).status == 400
        assert (await browser.decide("deny", token)).status == 400


@pytest.mark.rule("AC100")
async def test_a_code_of_one_client_is_nothing_to_another(stage, shop):
    """Mix-up: another service gets hold of a code, and proves itself with its own secret."""
    other = await Shop(stage).open(is_public=True)
    code = await shop.code()
    answer = await other.exchange(code)
    assert answer.json()["error"] == "invalid_grant"
    tokens = await shop.tokens()
    assert (await other.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
