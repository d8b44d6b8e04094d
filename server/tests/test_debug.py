"""Queries and transactions that tell why rules decided as they did."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from support.engines import open_database
from support.runtime import FakeRuntime
from trice import limits
from trice.database import Database
from trice.debug import Explainer
from trice.errors import InvalidInput, LimitExceeded, PermissionDenied
from trice.identity import ADMIN, GUEST, Identity
from trice.protocol.ids import find_uuid_bytes
from trice.rules.document import Rules
from trice.rules.explain.testing import id_of

ANN = "aaaaaaaa-0000-4000-8000-000000000001"
MINE = "bbbbbbbb-0000-4000-8000-000000000001"
OTHER = "bbbbbbbb-0000-4000-8000-000000000002"
TAG = "cccccccc-0000-4000-8000-000000000001"
NEW = "dddddddd-0000-4000-8000-000000000001"

RULES = {
    "todos": {
        "bind": {"isMine": "auth.id == data.owner"},
        "allow": {
            "view": "isMine || data.shared == true",
            "update": "isMine && newData.owner == data.owner",
            "create": "auth.id != null",
            "delete": "data.owner.x == 1",
        },
        "fields": {"secret": "isMine"},
    },
    "tags": {"allow": {"view": "auth.id != null"}},
}
SEED = [
    ["update", "$users", ANN, {"email": "ann@x.y"}],
    ["update", "todos", MINE, {"title": "mine", "owner": ANN, "secret": "s"}],
    ["update", "todos", OTHER, {"title": "other", "owner": "bob", "shared": True, "secret": "t"}],
    ["update", "tags", TAG, {"name": "red"}],
    ["link", "todos", OTHER, {"tags": TAG}],
]


class Stage:
    """An app with rules and a little data."""

    def __init__(self, database: Database, runtime: FakeRuntime) -> None:
        self.database = database
        self.runtime = runtime

    def explainer(self, *, is_guest: bool = False, rules: Any = None) -> Explainer:
        ann = Identity("user", find_uuid_bytes(ANN))
        found = self.database.rules if rules is None else Rules.parse(rules)
        identity = GUEST if is_guest else ann
        return Explainer(self.database, identity, found, runtime=self.runtime)

    async def admin(self, query: Any) -> Any:
        return orjson.loads(await self.database.query_nested(query, identity=ADMIN))


OpenStage = Callable[[], Coroutine[Any, Any, Stage]]


@pytest.fixture
def open_stage(tmp_path: Path, exits: AsyncExitStack) -> OpenStage:
    """Opens the stage of a test at a moment of its choice."""

    async def opened() -> Stage:
        runtime = FakeRuntime()
        rules = Rules.parse(RULES)
        database = await open_database(tmp_path / "app.db", runtime=runtime, rules=rules)
        exits.push_async_callback(database.close)
        await database.transact_admin(SEED, identity=ADMIN)
        return Stage(database, runtime)

    return opened


@pytest.fixture
async def stage(open_stage: OpenStage) -> Stage:
    return await open_stage()


def verdicts(checks: Any) -> dict[tuple[str, str | None], bool]:
    return {(check.id, check.label): check.is_allowed for check in checks}


@pytest.mark.rule("R157", "R158")
async def test_each_entity_and_each_ruled_field_of_the_answer_is_judged(stage: Stage) -> None:
    found = await stage.explainer().query({"todos": {"tags": {}}})
    assert verdicts(found.checks) == {
        (MINE, None): True,
        (MINE, "secret"): True,
        (OTHER, None): True,
        (OTHER, "secret"): False,
        (TAG, None): True,
    }
    (denied,) = [check for check in found.checks if not check.is_allowed]
    assert denied.explanation["rule"] == "todos.fields.secret"
    assert denied.record == {
        "id": OTHER,
        "title": "other",
        "owner": "bob",
        "shared": True,
        "secret": "t",
    }


@pytest.mark.rule("R158")
async def test_the_answer_is_that_of_a_plain_query(stage: Stage) -> None:
    for is_guest in (True, False):
        explainer = stage.explainer(is_guest=is_guest)
        for query in ({"todos": {"tags": {}}}, {"todos": {"$": {"fields": ["secret"]}}}):
            identity = GUEST if is_guest else Identity("user", find_uuid_bytes(ANN))
            plain = orjson.loads(await stage.database.query_nested(query, identity=identity))
            assert orjson.loads((await explainer.query(query)).result_json) == plain


@pytest.mark.rule("R158")
async def test_entities_that_a_condition_looks_at_are_judged_too(stage: Stage) -> None:
    query = {"todos": {"$": {"where": {"tags.name": "red"}}}}
    found = await stage.explainer(is_guest=True).query(query)
    assert verdicts(found.checks)[TAG, None] is False
    assert orjson.loads(found.result_json) == {"todos": []}


@pytest.mark.rule("R158")
async def test_other_rules_can_be_tried(stage: Stage) -> None:
    rules = {"todos": {"allow": {"view": "ruleParams.key == 'k'"}}}
    explainer = stage.explainer(is_guest=True, rules=rules)
    assert orjson.loads((await explainer.query({"todos": {}})).result_json) == {"todos": []}
    found = await explainer.query({"$$ruleParams": {"key": "k"}, "todos": {}})
    assert len(orjson.loads(found.result_json)["todos"]) == 2
    assert stage.database.rules.source == RULES


@pytest.mark.rule("R159")
async def test_a_rule_without_a_value_fails_the_query_and_is_explained(stage: Stage) -> None:
    explainer = stage.explainer(rules={"todos": {"allow": {"view": "data.title.x == 1"}}})
    with pytest.raises(PermissionDenied) as caught:
        await explainer.query({"todos": {}})
    assert caught.value.code == "permission-evaluation-failed"
    assert caught.value.hint["explanation"]["error"]["part"] == "data.title.x"
    assert "Field `x` was asked of string" in caught.value.message


@pytest.mark.rule("R158", "R160")
async def test_the_number_of_checks_is_bounded(
    open_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DEBUG_CHECKS_MAX", 3)
    stage = await open_stage()
    with pytest.raises(LimitExceeded, match="more than 3 checks"):
        await stage.explainer().query({"todos": {}})
    assert len((await stage.explainer().query({"tags": {}})).checks) == 1
    step = ["update", "todos", MINE, {"title": "x"}]
    steps = [["create", "todos", id_of("todos", str(n)), {"title": "x"}] for n in range(4)]
    assert len((await stage.explainer().transact([step, *steps[:2]])).checks) == 3
    with pytest.raises(LimitExceeded, match="more than 3 checks"):
        await stage.explainer().transact([step, *steps])


@pytest.mark.rule("R160")
async def test_a_transaction_meets_every_check_and_leaves_no_trace(stage: Stage) -> None:
    before = await stage.admin({"todos": {}, "tags": {}})
    tx = stage.database.tx
    found = await stage.explainer().transact(
        [
            ["update", "todos", OTHER, {"title": "stolen"}],
            ["update", "todos", MINE, {"owner": "bob"}],
            ["create", "todos", NEW, {"title": "new", "colour": "red"}],
        ]
    )
    assert [(check.action, check.id, check.is_allowed) for check in found.checks] == [
        ("update", OTHER, False),
        ("update", MINE, False),
        ("create", NEW, True),
        ("create", found.checks[3].id, True),
    ]
    assert found.checks[3].etype == "attrs"
    assert (found.is_ok, found.is_committed) == (False, False)
    stolen, given, _, _ = (check.explanation for check in found.checks)
    assert stolen["needed"]["condition"] == "auth.id == data.owner"
    assert given["needed"]["condition"] == "newData.owner == data.owner"
    assert found.checks[1].new_record is not None
    assert found.checks[1].new_record["owner"] == "bob"
    assert await stage.admin({"todos": {}, "tags": {}}) == before
    assert stage.database.catalog.find_forward("todos", "colour") is None
    assert stage.database.tx == tx


@pytest.mark.rule("R160")
@pytest.mark.parametrize("owner", [ANN, "bob"])
async def test_it_is_kept_only_if_asked_and_every_check_passes(stage: Stage, owner: str) -> None:
    steps = [["update", "todos", MINE, {"title": "changed", "owner": owner}]]
    before = stage.database.tx
    tried = await stage.explainer().transact(steps)
    assert (tried.is_ok, tried.is_committed) == (owner == ANN, False)
    assert stage.database.tx == before
    kept = await stage.explainer().transact(steps, may_commit=True)
    assert kept.is_committed == (owner == ANN)
    assert kept.tx == tried.tx
    assert stage.database.tx == (kept.tx if kept.is_committed else before)
    found = await stage.admin({"todos": {"$": {"where": {"id": MINE}}}})
    assert found["todos"][0]["title"] == ("changed" if kept.is_committed else "mine")


@pytest.mark.rule("R160")
async def test_an_error_of_a_rule_is_one_of_the_checks(stage: Stage) -> None:
    found = await stage.explainer().transact([["delete", "todos", MINE, {}]])
    (check,) = found.checks
    assert check.is_allowed is False
    assert check.error is not None
    assert check.error.code == "permission-evaluation-failed"
    assert check.explanation["error"]["part"] == "data.owner.x"
    (wire,) = found.wire()["check-results"]
    assert wire["error"]["type"] == "permission-evaluation-failed"


@pytest.mark.rule("R160")
async def test_what_is_wrong_besides_rules_is_told_as_ever(stage: Stage) -> None:
    with pytest.raises(InvalidInput):
        await stage.explainer().transact([["nonsense", "todos", MINE, {}]])
    with pytest.raises(InvalidInput):
        await stage.explainer().transact(
            [["update", "todos", MINE, {"colour": 1}]], throw_on_missing_attrs=True
        )


@pytest.mark.rule("R160")
async def test_links_name_their_rule(stage: Stage) -> None:
    rules = {
        "todos": {"allow": {"link": {"tags": "linkedData.name == 'blue'"}}},
        "tags": {"allow": {"link": {"$default": "data.nam == null"}}},
    }
    explainer = stage.explainer(rules=rules)
    found = await explainer.transact([["link", "todos", MINE, {"tags": TAG}]])
    shown = {check.explanation["rule"]: check for check in found.checks}
    refused = shown["todos.allow.link.tags"]
    assert (refused.scope, refused.label, refused.is_allowed) == ("link", "tags", False)
    assert refused.explanation["values"] == [
        {"text": "linkedData.name", "value": "red", "note": ""}
    ]
    (value,) = shown["tags.allow.link.$default"].explanation["values"]
    assert value["note"] == "tags has no attr `nam`"


@pytest.mark.rule("R161")
async def test_tokens_are_taken_once_a_check(stage: Stage) -> None:
    rules = {
        "$rateLimits": {"few": {"limits": [{"capacity": 2}]}},
        "todos": {
            "allow": {
                "update": "rateLimit.few.limit('k') || true",
                "create": "data.title != null && rateLimit.few.limit('k')",
            }
        },
    }
    explainer = stage.explainer(rules=rules)
    skipped = await explainer.transact([["create", "todos", NEW, {"owner": "x"}]])
    assert skipped.is_ok is False
    for is_ok in (True, True, False):
        found = await explainer.transact([["update", "todos", MINE, {"title": "x"}]])
        assert found.is_ok is is_ok
    assert found.checks[0].error is not None
    assert found.checks[0].error.code == "rate-limited"
    assert "exceeded the rate limit" in found.checks[0].explanation["error"]["message"]


@pytest.mark.rule("R161")
async def test_the_checks_of_a_query_take_no_tokens(stage: Stage) -> None:
    rules = {
        "$rateLimits": {"few": {"limits": [{"capacity": 2}]}},
        "todos": {"allow": {"view": "rateLimit.few.limit('k')"}},
    }
    explainer = stage.explainer(rules=rules)
    found = await explainer.query({"todos": {}})
    assert len(orjson.loads(found.result_json)["todos"]) == 2
    assert [check.is_allowed for check in found.checks] == [True, True]
    with pytest.raises(LimitExceeded) as caught:
        await explainer.query({"todos": {}})
    assert caught.value.code == "rate-limited"


ATOMS = [
    "auth.id == data.owner",
    "data.shared",
    "data.shared == true",
    "data.title == 'mine'",
    "data.title.startsWith('o')",
    "auth.id != null",
    "'red' in data.ref('tags.name')",
    "data.missing == null",
    "data.missing.x == 1",
    "data.owner in ['bob', auth.id]",
]


def random_rule(random: Random, depth: int = 3) -> str:
    match random.randrange(6) if depth else 0:
        case 1 | 2:
            operator = random.choice(["&&", "||"])
            left, right = random_rule(random, depth - 1), random_rule(random, depth - 1)
            return f"({left} {operator} {right})"
        case 3:
            return f"!({random_rule(random, depth - 1)})"
        case 4:
            parts = [random_rule(random, depth - 1) for _ in range(3)]
            return "({} ? {} : {})".format(*parts)
        case _:
            return random.choice(ATOMS)


@pytest.mark.rule("R157", "R158", "R159")
@pytest.mark.parametrize("seed", range(4))
async def test_explanations_agree_with_what_is_visible(stage: Stage, seed: int) -> None:
    """Rules compiled to conditions show exactly the entities whose explanation allows."""
    random = Random(seed)
    for _ in range(40):
        rule = random_rule(random)
        is_guest = random.random() < 0.5
        rules = {"todos": {"allow": {"view": rule}}, "tags": {"allow": {"view": "true"}}}
        explainer = stage.explainer(is_guest=is_guest, rules=rules)
        try:
            found = await explainer.query({"todos": {}})
        except PermissionDenied as failure:
            assert failure.hint["explanation"]["error"] is not None, (seed, rule)
            continue
        shown = {todo["id"] for todo in orjson.loads(found.result_json)["todos"]}
        allowed = {check.id for check in found.checks if check.is_allowed}
        assert shown == allowed, (seed, rule, is_guest)
        assert all(check.error is None for check in found.checks), (seed, rule, is_guest)


@pytest.mark.rule("R206")
async def test_a_denial_is_told_before_whatever_else_is_wrong(stage: Stage) -> None:
    wrong = [
        ["update", "todos", NEW, {"title": "x"}, {"upsert": False}],
        ["create", "todos", OTHER, {"title": "x"}],
    ]
    for steps in wrong:
        found = await stage.explainer(is_guest=True).transact([steps])
        assert not found.is_ok and found.told is not None
        assert found.told.code == "permission-denied"
    allowed = {"todos": {"allow": {"$default": "true"}}}
    for steps in wrong:
        with pytest.raises(InvalidInput):
            await stage.explainer(is_guest=True, rules=allowed).transact([steps])


@pytest.mark.rule("R200")
async def test_nobody_is_explained_as_nobody(stage: Stage) -> None:
    rules = {"todos": {"allow": {"$default": "data.owner != 'bob'", "create": "true"}}}
    strict = ["update", "todos", NEW, {"title": "x"}, {"upsert": False}]
    found = await stage.explainer(rules=rules).transact([strict])
    (check,) = [check for check in found.checks if check.action == "update"]
    assert not check.is_allowed and check.error is None
    assert check.explanation["error"]["part"] == "data.owner"
