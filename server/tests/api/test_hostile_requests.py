"""Requests that mean harm: nested, huge, with other methods, with headers of other people."""

from __future__ import annotations

import pytest

from trice.api import admin_users, auth, dash_auth, dash_settings, oauth, passkeys, passwords
from trice.api.routes import NOT_BUILT
from trice.identity import caller_ip

MODULES = (auth, oauth, passwords, passkeys, admin_users, dash_auth, dash_settings)
ROUTES = [
    (route.path, method)
    for module in MODULES
    for route in module.ROUTES
    for method in sorted((route.methods or set()) - {"HEAD"})
]
DEEP = b"[" * 400 + b"]" * 400
KEYS = (
    *("app-id", "app_id", "email", "code", "refresh-token", "refresh_token", "extra-fields"),
    *("extra_fields", "id_token", "client_name", "nonce", "password", "credential", "name"),
    *("rp-id", "service", "params", "meta", "provider_name", "provider_id", "redirect_to"),
    *("subject", "body", "email-type", "sender-email", "expiry", "passwords", "id", "to"),
)


def _path(stage, path):
    return path.replace("{app_id}", stage.app_id).replace("{id}", stage.app_id)


@pytest.mark.rule("A200")
@pytest.mark.parametrize(
    "value", [DEEP, b'{"a":%b}' % DEEP, b"9" * 400, b'"%b"' % (b"x" * 100_000)]
)
async def test_hostile_values_are_refused_briefly(stage, value):
    good = {"app-id": stage.app_id, "app_id": stage.app_id, "email": "ann@example.com"}
    for path, method in ROUTES:
        for key in KEYS:
            others = b"".join(
                b',"%b":"%b"' % (name.encode(), text.encode())
                for name, text in good.items()
                if name != key
            )
            body = b'{"%b":%b%b}' % (key.encode(), value, others)
            answer = await stage.ask(method, _path(stage, path), body, stage.admin())
            assert answer.status < 500, (path, key, answer.body)
            assert len(answer.body) < 20_000, (path, key, answer.body[:300])
            assert isinstance(answer.json(), dict)


@pytest.mark.rule("H2")
@pytest.mark.parametrize("other", ["PUT", "PATCH", "HEAD", "TRACE", "GET", "DELETE", "OPTIONS"])
async def test_other_methods_do_nothing(stage, other):
    count = 0
    for path in sorted({path for path, _ in ROUTES}):
        taken = {method for each, method in ROUTES if each == path}
        if other in taken or (other == "HEAD" and "GET" in taken):
            continue
        body = {"app-id": stage.app_id, "app_id": stage.app_id, "email": "ann@example.com"}
        answer = await stage.ask(other, _path(stage, path), body, stage.admin())
        has_feature_below = any(path.startswith(prefix) for prefix in NOT_BUILT)
        assert answer.status in ((404, 501) if has_feature_below else (404,)), (
            path,
            answer.body,
        )
        assert answer.json()["type"] in ("route-not-found", "not-built")
        count += 1
    assert count > 20
    query = {"query": {"$users": {}}}
    after = await stage.ask("POST", "/admin/query", query, stage.admin())
    assert after.json() == {"$users": []}


# --- who the request is from --------------------------------------------------------------------


@pytest.mark.rule("A215")
@pytest.mark.parametrize(
    ("headers", "proxies", "expected"),
    [
        ([], 0, "peer"),
        ([], 1, "peer"),
        ([""], 1, "peer"),
        ([" , "], 1, "peer"),
        (["192.0.2.1"], 0, "peer"),
        (["192.0.2.1"], 1, "192.0.2.1"),
        (["made up, 192.0.2.1"], 1, "192.0.2.1"),
        (["made up, 192.0.2.1, 10.0.0.1"], 2, "192.0.2.1"),
        (["192.0.2.1"], 2, "192.0.2.1"),
        # The client's own header, and one that the proxy added instead of appending to it.
        (["made up", "192.0.2.1"], 1, "192.0.2.1"),
        (["made up, made up", "192.0.2.1", "10.0.0.1"], 2, "192.0.2.1"),
        (["192.0.2.1:4711"], 1, "192.0.2.1"),
        (["[2001:db8::1]:4711"], 1, "2001:db8::1"),
        (["[2001:db8::1]"], 1, "2001:db8::1"),
        (["2001:db8::1"], 1, "2001:db8::1"),
    ],
)
def test_the_address_is_the_one_that_trusted_proxies_saw(headers, proxies, expected):
    assert caller_ip("peer", headers, trusted_proxies=proxies) == expected


@pytest.mark.rule("A215")
@pytest.mark.parametrize("proxies", [0, 1, 2])
async def test_rules_see_no_address_that_a_client_made_up(open_stage, proxies):
    stage = await open_stage(trusted_proxies=proxies)
    rules = {"todos": {"allow": {"$default": "request.ip == '192.0.2.66'"}}}
    await stage.apps.set_rules(stage.app_id, rules)
    step = {"steps": [["update", "todos", stage.app_id, {"a": 1}]]}
    headers = {"app-id": stage.app_id, "as-guest": "true"}
    seen = ["10.0.0.1"] * proxies
    told = ", ".join(["192.0.2.66", *seen])
    answer = await stage.ask("POST", "/admin/transact", step, headers | {"x-forwarded-for": told})
    assert (answer.status, answer.json()["type"]) == (400, "permission-denied")


# --- CORS ---------------------------------------------------------------------------------------


@pytest.mark.rule("H4", "A216")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://x.example\x01"])
async def test_pages_of_strangers_ask_without_cookies(stage, origin):
    for method, path in (("OPTIONS", "/admin/query"), ("POST", "/admin/query"), ("GET", "/")):
        answer = await stage.ask(method, path, None, {"origin": origin})
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["access-control-allow-origin"] != "*"
        assert "origin" in answer.headers["vary"].lower()
