"""Every endpoint: request, identity, status, body; one file because it is one table of them."""

from __future__ import annotations

import pytest

from trice import limits

NOBODY = "00000000-0000-4000-8000-000000000000"
ADMIN_TOKEN = "app-admin-token"
T1 = "e1000000-0000-4000-8000-000000000001"


@pytest.mark.rule("H1")
async def test_health_answers_200_and_503_while_stopping(stage):
    assert (await stage.ask("GET", "/health")).json() == {"status": "ok"}
    assert (await stage.ask("GET", "/health/system")).json() == {"wal": "ok"}
    assert (await stage.ask("GET", "/")).headers["content-type"].startswith("text/html")
    stage.hub.stop()
    assert (await stage.ask("GET", "/health")).status == 503


@pytest.mark.rule("H2", "H64")
@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/nowhere", ""),
        ("GET", "/admin/query", " GET /admin/query is none: this path takes POST."),
        ("DELETE", "/health/x", ""),
        ("PATCH", "/admin/transact", " PATCH /admin/transact is none: this path takes POST."),
        ("OPTIONS", "/admin/query", " OPTIONS /admin/query is none: this path takes POST."),
        ("HEAD", "/runtime/sse", " HEAD /runtime/sse is none: this path takes GET and POST."),
        ("PUT", "/runtime/sse", " PUT /runtime/sse is none: this path takes GET and POST."),
        (
            "GET",
            "/dash/apps/x/test_users/",
            " GET /dash/apps/x/test_users/ is none: leave out the slash at its end.",
        ),
        ("GET", "/health/", " GET /health/ is none: leave out the slash at its end."),
        ("GET", "//", ""),
        (
            "GET",
            "/runtime/session",
            " /runtime/session takes WebSockets only; /runtime/sse is for HTTP.",
        ),
        ("PROPFIND", "/nowhere", ""),
    ],
)
async def test_unknown_routes_and_methods_are_404_json(stage, method, path, more):
    answer = await stage.ask(method, path)
    assert answer.status == 404
    assert answer.json()["message"] == f"Oops! We couldn't match this route.{more}"


@pytest.mark.rule("H3")
@pytest.mark.parametrize(
    "path",
    [
        "/dash/orgs/x/billing",
        "/platform/oauth/introspect",
    ],
)
async def test_what_is_not_built_says_so(stage, path):
    answer = await stage.ask("POST", path, {})
    assert (answer.status, answer.json()["type"]) == (501, "not-built")


@pytest.mark.rule("H4")
async def test_cors_on_answers_errors_and_preflight(stage):
    origin = {"origin": "https://app.example"}
    for path in ("/health", "/nowhere", "/admin/query"):
        answer = await stage.ask("POST", path, {}, origin)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
    asked = {"access-control-request-headers": "app-id,app_id,authorization"}
    answer = await stage.ask("OPTIONS", "/admin/query", None, {**origin, **asked})
    assert answer.status == 200
    assert answer.headers["access-control-allow-headers"] == "app-id,app_id,authorization"
    assert answer.headers["access-control-max-age"] == "600"


@pytest.mark.rule("H5")
@pytest.mark.parametrize(
    ("title", "status"), [("my app", 200), (" ", 400), (5, 200), (True, 400), (None, 400)]
)
async def test_ephemeral_apps_need_a_title(stage, title, status):
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": title})
    assert answer.status == status


@pytest.mark.rule("H5", "H63")
async def test_a_title_that_cannot_be_kept_is_named_as_the_caller_knows_it(stage):
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "a\0b"})
    assert (answer.status, answer.json()["type"]) == (400, "param-malformed")
    assert answer.json()["hint"]["in"] == ["body", "title"]


@pytest.mark.rule("H5", "H6")
async def test_an_ephemeral_app_is_open_and_expires(stage):
    made = (await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x"})).json()
    app_id, token = made["app"]["id"], made["app"]["admin-token"]
    assert made["expires_ms"] == stage.runtime.now + limits.EPHEMERAL_APP_MS
    guest = {"app-id": app_id, "as-guest": "true"}
    answer = await stage.ask("POST", "/admin/query", {"query": {"a": {}}}, guest)
    assert answer.json() == {"a": []}
    shown = (await stage.ask("GET", f"/dash/apps/ephemeral/{app_id}")).json()
    assert shown["app"]["id"] == app_id
    assert shown["app"]["created_at"] == "2023-11-14T22:13:20Z"
    assert token not in str(shown)
    stage.runtime.advance(limits.EPHEMERAL_APP_MS)
    answer = await stage.ask("POST", "/admin/query", {"query": {}}, guest)
    assert answer.json()["type"] == "record-not-found"


@pytest.mark.rule("H7")
async def test_ephemeral_apps_can_be_switched_off(open_stage):
    stage = await open_stage(has_ephemeral_apps=False)
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x"})
    assert answer.json()["type"] == "permission-denied"


@pytest.mark.rule("H8")
@pytest.mark.parametrize(
    ("rules", "may_read", "may_write"),
    [
        (None, True, True),
        ({}, True, True),
        ({"code": {}}, True, True),
        ({"code": {"$default": {"allow": {"$default": "true"}}}}, True, True),
        ({"code": {"todos": {"allow": {"view": "auth.id != null"}}}}, False, True),
        ({"code": {"todos": {"allow": {"update": False}}}}, True, False),
        ({"code": {"$default": {"allow": {"$default": "false"}}}}, False, False),
    ],
)
async def test_the_rules_of_a_throw_away_app_hold_from_its_first_request(
    stage, rules, may_read, may_write
):
    body = {"title": "x", "rules": rules}
    app = (await stage.ask("POST", "/dash/apps/ephemeral", body)).json()["app"]
    guest = {"app-id": app["id"], "as-guest": "true"}
    admin = {"app-id": app["id"], "authorization": f"Bearer {app['admin-token']}"}
    steps = {"steps": [["update", "todos", T1, {"title": "a"}]]}
    assert (await stage.ask("POST", "/admin/transact", steps, admin)).status == 200
    query = {"query": {"todos": {}}}
    shown = (await stage.ask("POST", "/admin/query", query, admin)).json()
    assert shown == {"todos": [{"id": T1, "title": "a"}]}
    seen = (await stage.ask("POST", "/admin/query", query, guest)).json()
    assert seen == (shown if may_read else {"todos": []})
    answer = await stage.ask("POST", "/admin/transact", steps, guest)
    assert answer.json().get("type") == (None if may_write else "permission-denied")


@pytest.mark.rule("H25")
@pytest.mark.parametrize(
    ("rules", "is_warned"),
    [
        (None, False),
        ({}, False),
        ({"code": None}, False),
        ({"code": {"todos": {"allow": {"$default": "false"}}}}, False),
        ({"todos": {"allow": {"view": "false"}}}, True),
        ({"$default": {"allow": {"$default": "this is no rule"}}}, True),
    ],
)
async def test_rules_without_code_are_ignored_and_the_answer_says_so(stage, rules, is_warned):
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x", "rules": rules})
    body = answer.json()
    assert answer.status == 200
    warnings = body.get("warnings", [])
    assert [warning["in"] for warning in warnings] == [["rules"]] * is_warned
    assert all("no `code`" in warning["message"] for warning in warnings)
    if is_warned:
        assert body["app"]["perms"] is None


@pytest.mark.rule("H18")
async def test_rules_with_a_mistake_are_located_and_leave_no_app_behind(stage, tmp_path):
    before = sorted(tmp_path.rglob("*.db"))
    rules = {"todos": {"allow": {"view": "auth.id = data.owner", "update": "newDat.x == 1"}}}
    body = {"title": "x", "rules": {"code": rules}}
    answer = await stage.ask("POST", "/dash/apps/ephemeral", body)
    assert (answer.status, answer.json()["type"]) == (400, "validation-failed")
    errors = answer.json()["hint"]["errors"]
    assert [error["in"] for error in errors] == [
        ["todos", "allow", "view"],
        ["todos", "allow", "update"],
    ]
    assert "newDat" in errors[1]["message"]
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x", "rules": 5})
    assert answer.json()["type"] == "param-malformed"
    assert sorted(tmp_path.rglob("*.db")) == before


@pytest.mark.rule("R183")
async def test_what_is_probably_not_meant_is_told_when_an_app_is_made(stage):
    schema = {"entities": {"todos": {"attrs": {"title": {"valueType": "string"}}}}, "links": {}}
    rules = {"todos": {"allow": {"veiw": "true", "create": "data.tilte == 'a'"}}}
    body = {"title": "x", "schema": schema, "rules": {"code": rules}}
    made = (await stage.ask("POST", "/dash/apps/ephemeral", body)).json()
    assert [warning["in"] for warning in made["warnings"]] == [
        ["todos", "allow", "veiw"],
        ["todos", "allow"],
        ["todos", "allow", "create"],
    ]
    assert made["warnings"][0]["hint"] == "Did you mean `view`?"
    admin = {"authorization": f"Bearer {made['app']['admin-token']}"}
    path = f"/dash/apps/{made['app']['id']}/rules"
    saved = await stage.ask("POST", path, {"code": rules}, admin)
    assert saved.json()["rules"]["code"] == rules
    assert saved.json()["warnings"] == made["warnings"]
    none = await stage.ask("POST", path, {"code": None}, admin)
    assert none.json()["warnings"] == []


@pytest.mark.rule("H9")
@pytest.mark.parametrize("schema", [5, {"entities": 5}, {"entities": {"a": 1}}])
async def test_a_wrong_schema_leaves_no_app_behind(stage, schema, tmp_path):
    before = sorted(tmp_path.rglob("*.db"))
    answer = await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x", "schema": schema})
    assert (answer.status, answer.json()["type"]) == (400, "validation-failed")
    assert sorted(tmp_path.rglob("*.db")) == before


@pytest.mark.rule("H10")
async def test_query_and_transact_with_the_admin_token(stage):
    steps = [["update", "todos", T1, {"title": "a", "done": False}]]
    answer = await stage.ask("POST", "/admin/transact", {"steps": steps}, stage.admin())
    assert answer.json() == {"tx-id": 1}
    answer = await stage.ask("POST", "/admin/query", {"query": {"todos": {}}}, stage.admin())
    assert answer.json() == {"todos": [{"id": T1, "title": "a", "done": False}]}
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.rule("H11", "H60", "H61")
@pytest.mark.parametrize(
    ("headers", "code", "record"),
    [
        ({"authorization": f"Bearer {NOBODY}"}, "record-not-found", ADMIN_TOKEN),
        ({"authorization": NOBODY}, "record-not-found", ADMIN_TOKEN),
        ({"authorization": "Bearer x"}, "param-malformed", None),
        ({"authorization": f"Bearer per_{'a' * 64}"}, "record-not-found", "instant-user"),
        ({}, "param-missing", None),
        ({"authorization": ""}, "param-malformed", None),
        ({"authorization": "Bearer"}, "param-malformed", None),
        ({"authorization": "Bearer undefined"}, "param-malformed", None),
        ({"authorization": "bearer null", "as-email": "a@b.c"}, "param-malformed", None),
        ({"authorization": f"Basic {NOBODY}"}, "param-malformed", None),
        ({"authorization": f"BEARER {NOBODY}", "as-guest": "1"}, "record-not-found", ADMIN_TOKEN),
        ({"app-id": NOBODY, "authorization": f"Bearer {NOBODY}"}, "record-not-found", ADMIN_TOKEN),
        ({"app-id": NOBODY}, "param-missing", None),
        ({"as-token": NOBODY}, "record-not-found", "app-user"),
        ({"as-token": "x"}, "param-malformed", None),
        ({"as-email": "a@b.c"}, "param-missing", None),
        ({"app-id": NOBODY, "as-guest": "true"}, "record-not-found", "app"),
        ({"app-id": "x"}, "param-malformed", None),
    ],
)
async def test_who_may_not_come_in(stage, headers, code, record):
    sent = {"app-id": stage.app_id, **headers}
    answer = await stage.ask("POST", "/admin/query", {"query": {}}, sent)
    assert (answer.status, answer.json()["type"]) == (400, code)
    assert answer.json()["hint"].get("record-type") == record


@pytest.mark.rule("H60")
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  ", "x Bearer ", ""])
async def test_the_scheme_counts_in_any_case(stage, scheme):
    headers = {"app-id": stage.app_id, "authorization": f"{scheme}{stage.token} "}
    answer = await stage.ask("POST", "/admin/query", {"query": {}}, headers)
    assert (answer.status, answer.json()) == (200, {})
    path = f"/dash/apps/{stage.app_id}/auth"
    assert (await stage.ask("GET", path, None, headers)).status == 200


@pytest.mark.rule("H62")
@pytest.mark.parametrize(
    ("kind", "is_read"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("", False),
        ("text/plain", False),
        ("text/json", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("application/jsonp", False),
        ("text/plain; application/json", False),
    ],
)
async def test_only_what_is_said_to_be_json_is_read(stage, kind, is_read):
    headers = stage.admin(**{"content-type": kind})
    answer = await stage.ask("POST", "/admin/query", {"query": {}}, headers)
    assert (answer.status == 200) is is_read
    if not is_read:
        error = answer.json()
        assert (error["type"], error["hint"]["in"]) == (
            "param-malformed",
            ["headers", "content-type"],
        )
        assert '"application/json"' in error["message"]
    answer = await stage.ask("POST", "/admin/query", b"", headers)
    assert answer.json()["hint"]["in"] == ["body", "query"]


@pytest.mark.rule("H62")
@pytest.mark.parametrize(
    ("coding", "status"), [("gzip", 400), ("br, gzip", 400), ("identity", 200)]
)
async def test_bodies_are_not_inflated(stage, coding, status):
    headers = stage.admin(**{"content-encoding": coding})
    answer = await stage.ask("POST", "/admin/query", {"query": {}}, headers)
    assert answer.status == status
    if status == 400:
        assert answer.json()["hint"]["in"] == ["headers", "content-encoding"]


@pytest.mark.rule("H65")
@pytest.mark.parametrize("value", ["true", "false", "", 0, 1, [], {}])
async def test_flags_are_not_guessed(stage, value):
    guest = stage.admin(**{"as-guest": "1"})
    for path, key, body in (
        ("/admin/query", "inference?", {"query": {}}),
        ("/admin/subscribe-query", "inference?", {"query": {}}),
        ("/admin/transact", "throw-on-missing-attrs?", {"steps": []}),
        ("/admin/transact_perms_check", "dangerously-commit-tx", {"steps": []}),
    ):
        headers = guest if "perms_check" in path else stage.admin()
        answer = await stage.ask("POST", path, {**body, key: value}, headers)
        assert (answer.status, answer.json()["type"]) == (400, "param-malformed"), path
        assert answer.json()["hint"]["in"] == ["body", key]
    for ok in (True, False, None):
        body = {"query": {}, "inference?": ok}
        answer = await stage.ask("POST", "/admin/query", body, stage.admin())
        assert answer.status == 200


@pytest.mark.rule("H66")
async def test_the_place_of_an_app_id_is_told(stage):
    answer = await stage.ask("GET", "/runtime/sse")
    places = [["headers", "app-id"], ["params", "app_id"]]
    assert answer.json()["hint"] == {"in": places[0], "possible-ins": places}
    answer = await stage.ask("GET", "/runtime/sse?app_id=x")
    assert answer.json()["hint"] == {"in": places[1], "original-input": "x"}
    answer = await stage.ask("GET", "/runtime/sse", None, {"app-id": "x"})
    assert answer.json()["hint"] == {"in": places[0], "original-input": "x"}
    headers = {"app-id": stage.app_id, "authorization": "Bearer my-secret"}
    answer = await stage.ask("POST", "/admin/query", {"query": {}}, headers)
    assert answer.json()["hint"] == {"in": ["headers", "authorization"]}
    assert "my-secret" not in answer.body.decode()


@pytest.mark.rule("H11")
async def test_the_app_id_may_come_as_query_parameter(stage):
    headers = {"authorization": f"Bearer {stage.token}"}
    answer = await stage.ask("POST", f"/admin/query?app_id={stage.app_id}", {"query": {}}, headers)
    assert answer.json() == {}
    answer = await stage.ask("POST", "/admin/query", {"query": {}}, headers)
    assert answer.json()["type"] == "param-missing"


@pytest.mark.rule("H12")
@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/admin/query", {}, ["body", "query"]),
        ("/admin/query", {"query": []}, ["body", "query"]),
        ("/admin/transact", {}, ["body", "steps"]),
        ("/admin/query", b"{", ["body"]),
        ("/admin/query", b"[]", ["body"]),
        ("/admin/query", b"", ["body", "query"]),
    ],
)
async def test_bad_bodies_are_located(stage, path, body, where):
    answer = await stage.ask("POST", path, body, stage.admin())
    assert (answer.status, answer.json()["hint"]["in"]) == (400, where)


@pytest.mark.rule("H12")
@pytest.mark.parametrize("path", ["/admin/query", "/admin/transact", "/runtime/framework/query"])
@pytest.mark.parametrize("where", ["query", "steps"])
async def test_input_nested_too_deeply_is_an_error_in_json(stage, path, where):
    deep = b"[" * 300 + b"]" * 300
    body = b'{"query":{},"steps":[],"%b":%b}' % (where.encode(), deep)
    headers = stage.admin() if "admin" in path else {"app-id": stage.app_id}
    answer = await stage.ask("POST", path, body, headers)
    assert answer.status < 500
    assert isinstance(answer.json(), dict)


@pytest.mark.rule("H11")
async def test_the_app_id_may_be_in_upper_case_with_spaces_and_the_token_bare(stage):
    headers = {
        "App-Id": f" {stage.app_id.upper()} ",
        "Authorization": f"x Bearer {stage.token} ",
    }
    assert (await stage.ask("POST", "/admin/query", {"query": {}}, headers)).json() == {}
    headers["Authorization"] = stage.token.upper()
    assert (await stage.ask("POST", "/admin/query", {"query": {}}, headers)).json() == {}


@pytest.mark.rule("H15")
async def test_a_client_that_leaves_while_sending_is_no_bug(stage, caplog):
    exchange = stage.start("POST", "/admin/query", b"", stage.admin())
    exchange.leave_unsent()
    await exchange.hang_up()
    assert "Traceback" not in caplog.text
    assert "unknown" not in caplog.text


@pytest.mark.rule("H12")
async def test_a_malformed_parameter_says_what_is_accepted(stage):
    answer = await stage.ask("POST", "/admin/query", {"query": []}, stage.admin())
    expected = 'Malformed parameter: ["body" "query"]. It must be an object.'
    assert answer.json()["message"] == expected
    answer = await stage.ask("POST", "/admin/query", {}, {"app-id": "nope"})
    assert answer.json()["message"].endswith("It must be a uuid.")


@pytest.mark.rule("H13")
async def test_a_body_over_the_limit_is_413_whatever_its_headers_say(stage):
    huge = b" " * (limits.MESSAGE_BYTES_MAX + 1)
    declared = stage.admin(**{"content-length": str(len(huge))})
    for headers in (declared, stage.admin()):
        answer = await stage.ask("POST", "/admin/query", huge, headers)
        assert (answer.status, answer.json()["type"]) == (413, "message-too-big")


@pytest.mark.rule("H14")
async def test_framework_query_gives_flat_rows_and_attrs(stage):
    headers = {"app-id": stage.app_id, "authorization": "undefined"}
    answer = await stage.ask("POST", "/runtime/framework/query", {"query": {"x": {}}}, headers)
    body = answer.json()
    assert body["result"][0]["data"]["datalog-result"]["join-rows"] == [[]]
    assert any(attr["forward-identity"][1] == "$users" for attr in body["attrs"])
    headers["authorization"] = "Bearer nonsense"
    answer = await stage.ask("POST", "/runtime/framework/query", {"query": {}}, headers)
    assert answer.status == 200
    headers["authorization"] = f"Bearer {NOBODY}"
    answer = await stage.ask("POST", "/runtime/framework/query", {"query": {}}, headers)
    assert answer.status == 200


@pytest.mark.rule("H15")
async def test_a_bug_is_500_with_a_trace_id_and_no_details(stage, monkeypatch, caplog):
    monkeypatch.setattr(stage.apps, "lend", None)
    answer = await stage.ask("POST", "/admin/query", {"query": {}}, stage.admin())
    assert (answer.status, answer.json()["type"]) == (500, "unknown")
    assert "NoneType" not in answer.body.decode()
    assert answer.json()["trace-id"] in caplog.text


async def page_of(stage, host):
    return (await stage.ask("GET", "/", None, {"host": host})).body.decode()


@pytest.mark.rule("CLI135")
async def test_the_page_at_the_root_shows_how_to_make_an_app(stage):
    page = await page_of(stage, "one.example:8888")
    assert "curl -X POST http://one.example:8888/dash/apps/ephemeral" in page
    assert 'websocketURI: "ws://one.example:8888/runtime/session"' in page


@pytest.mark.rule("CLI135")
async def test_the_page_at_the_root_names_the_public_address_and_nothing_that_is_off(open_stage):
    stage = await open_stage(has_ephemeral_apps=False, public_url="https://api.example.com")
    page = await page_of(stage, "inside:8888")
    assert "/dash/apps/ephemeral" not in page
    assert 'apiURI: "https://api.example.com"' in page
    assert 'websocketURI: "wss://api.example.com/runtime/session"' in page
