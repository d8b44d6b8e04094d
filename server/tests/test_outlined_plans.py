"""Plans that are kept by the outline of a query, as runs of functions and admins use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.run_model import ACCOUNTS
from support.run_stage import Stage, one
from trice import data_run
from trice.identity import ADMIN, GUEST
from trice.query.outline import OutlinedPlans
from trice.query.plan import plan

A, B = ACCOUNTS[:2]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = await Stage.open(tmp_path / "app.db")
    yield stage
    await stage.database.close()


@pytest.mark.rule("FN640")
async def test_a_query_of_a_known_look_is_neither_parsed_nor_planned(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def counting(*given: Any, **options: Any) -> Any:
        made.append(given)
        return plan(*given, **options)

    monkeypatch.setattr(data_run, "plan", counting)

    async def reads_of(account: str) -> tuple[list[Any], Any, int]:
        before, run = len(made), await stage.begin()
        numbers = await stage.numbers(run, one(account))
        reads = run.reads
        run.draft([["update", "accounts", account, {"n": 7}]])
        assert await stage.numbers(run, one(account)) == [7], "its own writes are seen"
        run.close()
        return numbers, reads, len(made) - before

    seen = {account: await reads_of(account) for account in ACCOUNTS}
    assert [plans for _, _, plans in seen.values()] == [2, 0, 0, 0], "once seen, twice, then kept"
    stage.database.outlined_plans = OutlinedPlans()
    for account, (numbers, reads, _) in seen.items():
        again = await reads_of(account)
        assert (again[0], again[1]) == (numbers, reads)
    assert [numbers for numbers, _, _ in seen.values()] == [[0], [1], [2], [3]]


@pytest.mark.rule("FN640")
async def test_plans_are_kept_for_admins_and_not_over_a_change_of_attrs(stage: Stage) -> None:
    plans = stage.database.outlined_plans
    for account in ACCOUNTS:
        await stage.numbers(query=one(account))
        run = await stage.begin()
        await run.read(one(account), identity=GUEST)
        run.close()
    assert plans.found == len(ACCOUNTS) - 2
    run = await stage.begin()
    await stage.write(["update", "accounts", A, {"fresh": 1}])
    assert await stage.numbers(run, one(B)) == [1], "of the attrs that its snapshot has"
    told = await stage.database.query_nested(one(A), identity=ADMIN)
    assert orjson.loads(told)["accounts"][0]["fresh"] == 1
