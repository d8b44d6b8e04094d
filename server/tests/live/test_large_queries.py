"""Large queries: asked on threads, shared with few, patched never."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from support.live_stage import Watched
from trice import limits
from trice.identity import ADMIN, Identity
from trice.live.live_query import RightsChanged
from trice.rules.document import Rules


def listing(count: int) -> dict[str, Any]:
    return {"todos": {"$": {"where": {"title": {"$in": [f"t{n}" for n in range(count)]}}}}}


def pattern(chars: int) -> dict[str, Any]:
    return {"todos": {"$": {"where": {"title": {"$like": "t" + "%" * chars}}}}}


def counting(count: int) -> dict[str, Any]:
    form = listing(count)
    form["todos"]["$"]["aggregate"] = {"count": True}
    return form


@pytest.mark.rule("L91")
@pytest.mark.parametrize(
    ("query", "is_patched"),
    [
        (listing(100), True),
        (listing(limits.LIVE_PATCH_CONDITIONS_MAX), False),
        (pattern(100), True),
        (pattern(limits.LIKE_PATTERN_CHARS_MAX - 1), False),
        (counting(100), True),
        (counting(limits.LIVE_PATCH_CONDITIONS_MAX), False),
    ],
)
async def test_many_conditions_are_left_to_the_database(
    stage: Any, query: Any, is_patched: bool
) -> None:
    await stage.write(["update", "todos", "t1", {"title": "t7"}])
    watched = await stage.watch(query)
    before = stage.live.counts.patched
    await stage.write(["update", "todos", "t1", {"rank": 5}])
    await stage.write(["update", "todos", "t2", {"title": "t9"}])
    done = stage.live.counts.patched - before
    fresh = orjson.loads(await stage.database.query_nested(query, identity=ADMIN))
    assert orjson.loads(watched.live.answer.result_json) == fresh
    assert (done > 0) is is_patched


@pytest.mark.rule("L92")
async def test_a_long_query_is_shared_with_its_caller_only(stage: Any) -> None:
    database = stage.database
    one, other = Identity("guest", ip="192.0.2.1"), Identity("guest", ip="192.0.2.2")

    def rights(query: Any, identity: Identity) -> str:
        return str(database.question(query, identity=identity, shape="tree").rights)

    assert rights(listing(10), one) == rights(listing(10), other)
    long = listing(20_000)
    assert rights(long, one) == rights(long, one) != rights(long, other)
    await stage.write(["update", "todos", "t1", {"title": "t7"}])
    question = database.question(long, identity=one, shape="tree")
    watcher = Watched(stage)
    live = await database.watch(question, watcher)
    assert len(orjson.loads(live.answer.result_json)["todos"]) == 1
    assert stage.live.counts.rerun_on_thread == 1
    database.unwatch(live, watcher)
    database.set_rules(Rules.parse({"todos": {"allow": {"view": "false"}}}))
    with pytest.raises(RightsChanged):
        await database.watch(question, watcher)
    question = database.question(long, identity=one, shape="tree")
    live = await database.watch(question, watcher)
    assert orjson.loads(live.answer.result_json) == {"todos": []}
    database.unwatch(live, watcher)
