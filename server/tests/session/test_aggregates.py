"""Totals over a session: frames as they are, for callers of every kind."""

from __future__ import annotations

import pytest

from support.memory_client import triples
from trice.identity import ADMIN

T1 = "e1000000-0000-4000-8000-000000000001"
T2 = "e1000000-0000-4000-8000-000000000002"
TOTALS = {"todos": {"$": {"aggregate": {"count": True, "max": "slug", "groupBy": "title"}}}}
COUNT = {"todos": {"$": {"aggregate": {"count": True}}}}


def shown(message):
    """The totals of an `add-query-ok`, or of the one computation of a `refresh-ok`."""
    if message["op"] == "refresh-ok":
        (computation,) = message["computations"]
        return computation["instaql-result"][0]["data"]["aggregate"]
    return message["result"][0]["data"]["aggregate"]


@pytest.mark.rule("Q110", "Q124", "L60")
async def test_guests_hear_totals_and_their_refreshes(stage):
    client = await stage.client()
    client.say("add-query", q=TOTALS)
    answer = await client.hear("add-query-ok")
    assert (answer["q"], triples(answer), shown(answer)) == (
        TOTALS,
        [],
        {"todos": {"groups": []}},
    )
    counts = stage.app.database.live.counts
    for number, entity in enumerate((T1, T2), start=1):
        steps = stage.create("todos", entity, title="a", slug=f"s{number}")
        client.say("transact", tx_steps=steps)
        patched = counts.patched
        group = {"key": "a", "count": number, "max": {"slug": f"s{number}"}}
        refresh = await client.hear("refresh-ok")
        assert shown(refresh) == {"todos": {"groups": [group]}}
        assert refresh["computations"][0]["instaql-query"] == TOTALS
    assert counts.patched == patched + 1


@pytest.mark.rule("Q123")
async def test_rules_decide_what_is_counted(stage):
    client = await stage.client()
    rules = {"todos": {"allow": {"view": "data.title == 'public'"}}}
    await stage.hub.apps.set_rules(stage.app.id, rules)
    client.say("add-query", q=COUNT)
    assert shown(await client.hear("add-query-ok")) == {"todos": {"count": 0}}
    steps = [
        *stage.create("todos", T1, title="secret", slug="s1"),
        *stage.create("todos", T2, title="public", slug="s2"),
    ]
    await stage.app.database.transact(steps, identity=ADMIN)
    assert shown(await client.hear("refresh-ok")) == {"todos": {"count": 1}}


@pytest.mark.rule("Q119")
async def test_a_mistake_is_answered_with_path_and_what_is_accepted(stage):
    client = await stage.client()
    client.say("add-query", q={"todos": {"$": {"aggregate": {"sum": "slug"}}}})
    error = await client.hear("error")
    (entry,) = error["hint"]["errors"]
    assert (error["type"], entry["in"]) == (
        "validation-failed",
        ["todos", "$", "aggregate", "sum"],
    )
    assert "works on numbers" in entry["message"] and "todos.slug" in entry["message"]
