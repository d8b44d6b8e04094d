"""A query is checked once for its question and its first answer, as long as that check holds."""

from __future__ import annotations

from typing import Any

import pytest

from trice.identity import Identity
from trice.live import planner
from trice.live.live_query import RightsChanged
from trice.protocol.ids import EntityId
from trice.rules.document import Rules

TODOS = {"todos": {"$": {"where": {"rank": 1}}}}
ADA = Identity("user", user_id=EntityId(b"u" * 16))


class Parses:
    """How often a query was parsed since last asked."""

    def __init__(self, monkeypatch: Any) -> None:
        self._count = 0
        parse = planner.parse

        def counted(*given: Any, **options: Any) -> Any:
            self._count += 1
            return parse(*given, **options)

        monkeypatch.setattr(planner, "parse", counted)

    def taken(self) -> int:
        count, self._count = self._count, 0
        return count


def nothing(_: Any) -> None:
    """A watcher that does not care."""


@pytest.mark.rule("P190")
async def test_a_query_that_is_run_as_it_was_checked_is_parsed_once(
    stage: Any, monkeypatch: Any
) -> None:
    await stage.write(["update", "todos", "t1", {"rank": 1}])
    parses = Parses(monkeypatch)
    prepared = stage.database.prepare(TODOS, identity=ADA, shape="tree")
    other = {"todos": {"$": {"where": {"rank": 2}}}}
    stage.database.prepare(other, identity=ADA, shape="tree")
    assert parses.taken() == 2
    assert stage.database.watch_now(prepared, nothing).answer is not None
    assert parses.taken() == 0, "whatever was asked in between"


@pytest.mark.rule("P190")
async def test_a_query_is_checked_again_when_attrs_or_rules_changed_since(
    stage: Any, monkeypatch: Any
) -> None:
    parses = Parses(monkeypatch)
    prepared = stage.database.prepare(TODOS, identity=ADA, shape="tree")
    await stage.write(["update", "todos", "t1", {"rank": 1, "newcomer": 1}])
    parses.taken()
    assert stage.database.watch_now(prepared, nothing).answer is not None
    assert parses.taken() == 1

    prepared = stage.database.prepare({"todos": {}}, identity=ADA, shape="tree")
    stage.database.set_rules(Rules.parse({"todos": {"allow": {"view": "auth.id == data.title"}}}))
    with pytest.raises(RightsChanged):
        stage.database.watch_now(prepared, nothing)
