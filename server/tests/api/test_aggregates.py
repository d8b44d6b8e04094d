"""Totals over HTTP and event streams."""

from __future__ import annotations

import pytest

T1 = "e1000000-0000-4000-8000-000000000001"
QUERY = {"todos": {"$": {"aggregate": {"count": True, "sum": "minutes"}}}}


def write(minutes):
    return {"steps": [["update", "todos", T1, {"minutes": minutes}]]}


@pytest.mark.rule("Q110", "Q124")
@pytest.mark.parametrize("who", [{}, {"as-guest": "true"}])
async def test_one_answer_has_totals_in_the_place_of_the_list(stage, who):
    await stage.ask("POST", "/admin/transact", write(4), stage.admin())
    answer = await stage.ask("POST", "/admin/query", {"query": QUERY}, stage.admin(**who))
    assert answer.json() == {"todos": {"count": 1, "sum": {"minutes": 4}}}


@pytest.mark.rule("Q162")
async def test_a_count_alone_is_answered_likewise(stage):
    for entity in (T1, T1.replace("1", "2")):
        steps = {"steps": [["update", "todos", entity, {"minutes": 4}]]}
        await stage.ask("POST", "/admin/transact", steps, stage.admin())
    query = {"todos": {"$": {"aggregate": "count"}}, "nowhere": {"$": {"aggregate": "count"}}}
    answer = await stage.ask("POST", "/admin/query", {"query": query}, stage.admin())
    assert answer.json() == {"todos": {"count": 2}, "nowhere": {"count": 0}}
    events = stage.start("POST", "/admin/subscribe-query", {"query": query}, stage.admin())
    first = await events.event(1)
    assert first["result"] == first["result-meta"]["aggregate"] == answer.json()
    await events.hang_up()


@pytest.mark.rule("Q124", "L60")
async def test_event_streams_carry_totals_and_their_refreshes(stage):
    events = stage.start("POST", "/admin/subscribe-query", {"query": QUERY}, stage.admin())
    first = await events.event(1)
    totals = {"count": 0, "sum": {"minutes": 0}}
    assert (first["result"], first["result-meta"]["aggregate"]) == (
        {"todos": totals},
        {"todos": totals},
    )
    for position, minutes in enumerate((4, 2.5), start=2):
        await stage.ask("POST", "/admin/transact", write(minutes), stage.admin())
        refresh = await events.event(position)
        (computation,) = refresh["computations"]
        totals = {"count": 1, "sum": {"minutes": minutes}}
        assert computation["instaql-result"] == {"todos": totals}
        assert computation["result-meta"]["aggregate"] == {"todos": totals}
    await events.hang_up()
