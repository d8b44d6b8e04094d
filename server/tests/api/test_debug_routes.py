"""The routes behind `debugQuery` and `debugTransact`."""

from __future__ import annotations

from typing import Any

import pytest

from trice.identity import ADMIN

ANN = "aaaaaaaa-0000-4000-8000-000000000001"
MINE = "bbbbbbbb-0000-4000-8000-000000000001"
QUERY = "/admin/query_perms_check"
TRANSACT = "/admin/transact_perms_check"
RULES = {
    "todos": {
        "allow": {
            "view": "auth.id == data.owner",
            "update": "auth.id == data.owner",
            "delete": "request.ip == '1.2.3.4' && request.origin == 'https://a.b'",
        }
    }
}
SEED = [
    ["update", "$users", ANN, {"email": "ann@x.y"}],
    ["update", "todos", MINE, {"title": "mine", "owner": ANN}],
]
RENAME = [["update", "todos", MINE, {"title": "renamed"}]]


async def prepare(stage: Any) -> None:
    """Put an app with rules and data in the place of the stage's own."""
    app, stage.token = await stage.apps.create(title="ruled", rules=RULES)
    stage.app_id = app.id
    await app.database.transact_admin(SEED, identity=ADMIN)
    stage.apps.give_back(app)


@pytest.mark.rule("R162")
async def test_a_query_is_answered_with_its_checks(stage: Any) -> None:
    await prepare(stage)
    body = {"query": {"todos": {}}}
    asked = await stage.ask("POST", QUERY, body, stage.admin(**{"as-email": "ann@x.y"}))
    assert asked.status == 200
    record = {"id": MINE, "title": "mine", "owner": ANN}
    answer = asked.json()
    assert answer["result"] == {"todos": [record]}
    (check,) = answer["check-results"]
    assert check.pop("explanation")["rule"] == "todos.allow.view"
    assert check == {
        "id": MINE,
        "entity": "todos",
        "label": None,
        "record": record,
        "program": {
            "etype": "todos",
            "action": "view",
            "code": "auth.id == data.owner",
            "display-code": "auth.id == data.owner",
        },
        "check": True,
    }
    guest = await stage.ask("POST", QUERY, body, stage.admin(**{"as-guest": "true"}))
    assert guest.json()["result"] == {"todos": []}
    assert guest.json()["check-results"][0]["check"] is False


@pytest.mark.rule("R162")
async def test_a_transaction_is_answered_with_its_checks(stage: Any) -> None:
    await prepare(stage)
    headers = stage.admin(**{"as-guest": "true"})
    asked = await stage.ask("POST", TRANSACT, {"steps": RENAME}, headers)
    assert asked.status == 200
    answer = asked.json()
    assert answer["all-checks-ok?"] is False
    assert answer["committed?"] is False
    assert isinstance(answer["tx-id"], int)
    (check,) = answer["check-results"]
    assert check.pop("explanation")["needed"]["condition"] == "auth.id == data.owner"
    assert check == {
        "scope": "object",
        "etype": "todos",
        "action": "update",
        "eid": MINE,
        "label": None,
        "bindings": {
            "data": {"id": MINE, "title": "mine", "owner": ANN},
            "new-data": {"id": MINE, "title": "renamed", "owner": ANN},
        },
        "check-result": False,
        "check-pass?": False,
        "error": None,
        "program": {
            "etype": "todos",
            "action": "update",
            "code": "auth.id == data.owner",
            "display-code": "auth.id == data.owner",
        },
    }


@pytest.mark.rule("R162")
async def test_committing_is_dangerous_and_explicit(stage: Any) -> None:
    await prepare(stage)
    headers = stage.admin(**{"as-email": "ann@x.y"})
    for is_dangerous, title in ((False, "mine"), (True, "renamed")):
        body = {"steps": RENAME, "dangerously-commit-tx": is_dangerous}
        asked = await stage.ask("POST", TRANSACT, body, headers)
        assert asked.json()["committed?"] is is_dangerous
        found = await stage.ask("POST", "/admin/query", {"query": {"todos": {}}}, headers)
        assert found.json()["todos"][0]["title"] == title


@pytest.mark.rule("R162")
async def test_overrides(stage: Any) -> None:
    await prepare(stage)
    headers = stage.admin(**{"as-guest": "true"})
    body: dict[str, Any] = {"query": {"todos": {}}}
    body["rules-override"] = {"todos": {"allow": {"view": "true"}}}
    assert (await stage.ask("POST", QUERY, body, headers)).json()["result"]["todos"]
    body["rules-override"] = None
    assert (await stage.ask("POST", QUERY, body, headers)).json()["result"] == {"todos": []}
    steps = {"steps": [["delete", "todos", MINE, {}]]}
    for extra, is_ok in (
        ({}, False),
        ({"ip-override": "1.2.3.4", "origin-override": "https://a.b"}, True),
    ):
        asked = await stage.ask("POST", TRANSACT, {**steps, **extra}, headers)
        assert asked.json()["all-checks-ok?"] is is_ok


@pytest.mark.rule("R163")
@pytest.mark.parametrize(
    ("path", "body", "code", "said"),
    [
        (QUERY, {}, "param-missing", '["body" "query"]'),
        (QUERY, {"query": []}, "param-malformed", "an object"),
        (TRANSACT, {}, "param-missing", '["body" "steps"]'),
        (QUERY, {"query": {}, "ip-override": 1}, "param-malformed", '["body" "ip-override"]'),
        (
            QUERY,
            {"query": {}, "rules-override": {"todos": {"allow": {"view": "nobody"}}}},
            "validation-failed",
            "undeclared name `nobody`",
        ),
    ],
)
async def test_wrong_requests(stage: Any, path: str, body: Any, code: str, said: str) -> None:
    await prepare(stage)
    asked = await stage.ask("POST", path, body, stage.admin(**{"as-guest": "true"}))
    assert asked.status == 400
    assert asked.json()["type"] == code
    assert said in asked.json()["message"]


@pytest.mark.rule("R163")
async def test_the_admin_asks_for_somebody_else(stage: Any) -> None:
    await prepare(stage)
    body = {"query": {"todos": {}}}
    asked = await stage.ask("POST", QUERY, body, stage.admin())
    assert asked.json()["type"] == "validation-failed"
    assert asked.json()["hint"]["data-type"] == "non-admin"
    assert "Cannot test perms as admin" in asked.json()["message"]
    headers = {"app-id": stage.app_id, "as-guest": "true"}
    asked = await stage.ask("POST", QUERY, body, headers)
    assert asked.json()["type"] == "param-missing"


@pytest.mark.rule("R183", "R205")
async def test_what_the_caller_is_told_and_what_is_probably_not_meant(stage: Any) -> None:
    await prepare(stage)
    guest = stage.admin(**{"as-guest": "true"})
    answer = (await stage.ask("POST", TRANSACT, {"steps": RENAME}, guest)).json()
    plain = await stage.ask("POST", "/admin/transact", {"steps": RENAME}, guest)
    assert plain.status == 400
    told = {key: plain.json()[key] for key in ("type", "message", "hint")}
    assert {key: answer["told"][key] for key in told} == told
    assert [warning["in"] for warning in answer["warnings"]] == [
        ["todos", "allow", "view"],
        ["todos", "allow", "update"],
    ]
    own = stage.admin(**{"as-email": "ann@x.y"})
    override = {"todos": {"allow": {"$default": "auth.id != null"}}}
    body = {"steps": RENAME, "rules-override": override}
    answer = (await stage.ask("POST", TRANSACT, body, own)).json()
    assert (answer["told"], answer["warnings"]) == (None, [])
    body = {"query": {"todos": {}}, "rules-override": {"todos": {"allow": {"veiw": "true"}}}}
    answer = (await stage.ask("POST", QUERY, body, own)).json()
    assert [warning["hint"] for warning in answer["warnings"]] == ["Did you mean `view`?"]


@pytest.mark.rule("R205")
async def test_what_the_caller_is_told_of_a_rule_without_a_value(stage: Any) -> None:
    await prepare(stage)
    guest = stage.admin(**{"as-guest": "true"})
    rules = {"todos": {"allow": {"view": "data.title.x == 1", "update": "data.title.x == 1"}}}
    body = {"query": {"todos": {}}, "rules-override": rules}
    failed = (await stage.ask("POST", QUERY, body, guest)).json()
    assert "title" not in failed["hint"]["told"]["message"]
    assert "You may have a typo" in failed["hint"]["told"]["message"]
    assert failed["hint"]["error"]["message"] != "You may have a typo"
    body = {"steps": RENAME, "rules-override": rules}
    answer = (await stage.ask("POST", TRANSACT, body, guest)).json()
    assert answer["told"]["type"] == "permission-evaluation-failed"
    assert "You may have a typo" in answer["told"]["message"]
    (check,) = answer["check-results"]
    assert "string" in check["error"]["message"]


ROOM = "/admin/room_perms_check"
JOIN = {"action": "join", "room-type": "chat", "room-id": "r"}


@pytest.mark.rule("R177")
async def test_what_rules_of_rooms_say_is_explained(stage: Any) -> None:
    await prepare(stage)
    guest = stage.admin(**{"as-guest": "true"})
    answer = (await stage.ask("POST", ROOM, JOIN, guest)).json()
    assert (answer["has-rules?"], answer["all-checks-ok?"], answer["check-results"]) == (
        False,
        True,
        [],
    )
    rooms = {"chat": {"join": "auth.id != null", "read": "ruleParams.key == 'k'"}}
    body = {**JOIN, "rules-override": {"$rooms": rooms}, "rule-params": {"key": "k"}}
    answer = (await stage.ask("POST", ROOM, body, guest)).json()
    join, read = answer["check-results"]
    assert (join["check-pass?"], read["check-pass?"], answer["all-checks-ok?"]) == (
        False,
        True,
        False,
    )
    assert answer["told"]["hint"]["input"] == ["$rooms", "chat", "join"]
    assert join["explanation"]["rule"] == "$rooms.chat.join"
    assert join["explanation"]["values"][0]["note"] == "nobody is signed in"
    unnamed = {**body, "action": "publish", "topic": "wave", "data": "hi"}
    (check,) = (await stage.ask("POST", ROOM, unnamed, guest)).json()["check-results"]
    assert (check["label"], check["bindings"]["data"], check["explanation"]["origin"]) == (
        "wave",
        "hi",
        "default",
    )


@pytest.mark.rule("R177")
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"action": None}, "action"),
        ({"action": "leave"}, "action"),
        ({"topic": "t"}, "topic"),
        ({"action": "publish"}, "topic"),
        ({"rule-params": []}, "rule-params"),
        ({"room-id": None}, "room-id"),
        ({"room-type": 1}, "room-type"),
    ],
)
async def test_a_wrong_question_about_rooms_is_located(
    stage: Any, changes: dict[str, Any], name: str
) -> None:
    await prepare(stage)
    guest = stage.admin(**{"as-guest": "true"})
    answer = await stage.ask("POST", ROOM, {**JOIN, **changes}, guest)
    assert answer.status == 400
    assert answer.json()["hint"]["in"] == ["body", name]
