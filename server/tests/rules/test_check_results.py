"""Judges who explain judge as those who do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.engines import open_database
from support.runtime import FakeRuntime
from trice.errors import TriceError
from trice.identity import ADMIN, GUEST, SERVER, Identity
from trice.protocol.ids import EntityId, find_uuid_bytes
from trice.rules.document import Rules
from trice.rules.explain.results import Judgement, Traces, TracingJudge
from trice.rules.judge import Caller, Judge
from trice.store.engine import Snapshot

ANN = "aaaaaaaa-0000-4000-8000-000000000001"
TODO = "bbbbbbbb-0000-4000-8000-000000000001"
TAG = "cccccccc-0000-4000-8000-000000000001"
LIMITS = {"few": {"limits": [{"capacity": 3}]}}
SEED = [
    ["update", "$users", ANN, {"email": "ann@x.y"}],
    ["update", "todos", TODO, {"title": "Milk", "owner": ANN, "count": 3}],
    ["update", "tags", TAG, {"name": "red"}],
    ["link", "todos", TODO, {"tags": TAG}],
]


def outcome(judge: Judge, program: Any, entity: EntityId) -> tuple[Any, ...]:
    """What a judgement comes to: a value, or an error with all that it says."""
    data = judge.entity("todos", entity)
    try:
        return ("value", judge.evaluate(program, etype="todos", action="view", data=data))
    except TriceError as error:
        return (error.code, error.message, error.hint)


@pytest.mark.rule("R157")
@pytest.mark.parametrize(
    "rule",
    [
        "true",
        "data.title",
        "data.missing",
        "auth.id == data.owner && 'red' in data.ref('tags.name')",
        "data.count > 5 && data.ref('tags.nothing') == []",
        "data.count > 1 && data.ref('tags.nothing') == []",
        "data.missing.x == 1 || auth.id != null",
        "rateLimit.few.limit(data.title)",
        "data.count > 5 && rateLimit.few.limit('k')",
        "auth.ref('$user.email') == ['ann@x.y'] ? ruleParams.key == 'k' : request.ip == ''",
        "[1, 2, 3].map(x, [1, 2, 3].map(y, x * y)).size() > 2",
        "'" + "x" * 9000 + "'.matches('x*y')",
    ],
)
@pytest.mark.parametrize("is_detailed", [True, False])
async def test_results_and_errors_are_the_same(
    tmp_path: Path, rule: str, is_detailed: bool
) -> None:
    rules = Rules.parse({"$rateLimits": LIMITS, "todos": {"allow": {"view": rule}}})
    program = rules.find("todos", "view")
    todo = find_uuid_bytes(TODO)
    assert todo is not None

    async def judge_all(folder: Path, *, is_traced: bool) -> list[tuple[Any, ...]]:
        runtime = FakeRuntime()
        database = await open_database(folder / "app.db", runtime=runtime, rules=rules)
        await database.transact_admin(SEED, identity=ADMIN)
        judgements: list[Judgement] = []

        def work(snapshot: Snapshot) -> list[tuple[Any, ...]]:
            found = []
            for identity in (GUEST, Identity("user", find_uuid_bytes(ANN))):
                caller = Caller(identity, {"key": "k"}, is_detailed=is_detailed)
                kind = TracingJudge if is_traced else Judge
                judge = database.rights.judge(caller, snapshot, snapshot.catalog, kind=kind)
                if isinstance(judge, TracingJudge):
                    judge.share(Traces(), judgements)
                found += [outcome(judge, program, todo) for _ in range(2)]
            return found

        found = await database.read_on_thread(work, turn_key=SERVER)
        await database.close()
        allowed = [each[0] == "value" and each[1] not in (None, False) for each in found]
        if is_traced:
            assert [each.explanation["allowed"] for each in judgements] == allowed
        return found

    (tmp_path / "plain").mkdir()
    (tmp_path / "traced").mkdir()
    plain = await judge_all(tmp_path / "plain", is_traced=False)
    assert await judge_all(tmp_path / "traced", is_traced=True) == plain
