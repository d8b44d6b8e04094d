"""Queries that differ in ids only share a plan, but never an answer or a right."""

from __future__ import annotations

import pytest

from support.memory_client import triples
from trice.auth.tokens import mint_token
from trice.identity import ADMIN
from trice.live import planner

COUNT = 5


def uuid(kind, number):
    return f"e{kind}{number:06d}-0000-4000-8000-000000000000"


def own(number):
    return {"todos": {"$": {"where": {"owner": uuid(3, number)}}}}


@pytest.fixture
def plans(monkeypatch):
    """How often a query was planned."""
    made = []
    original = planner.plan

    def counted(query, *arguments, **options):
        made.append(query)
        return original(query, *arguments, **options)

    monkeypatch.setattr(planner, "plan", counted)
    return made


async def seed(stage):
    """Five people, each with a todo; the titles are hidden from nobody."""
    for number in range(COUNT):
        steps = [
            *stage.create("people", uuid(3, number), name=f"person {number}"),
            *stage.create("todos", uuid(1, number), title="t", owner=uuid(3, number)),
        ]
        await stage.app.database.transact(steps, identity=ADMIN)


async def shown(client, number):
    """The todos that one's own query answers with."""
    client.say("add-query", q=own(number))
    answer = await client.hear("add-query-ok")
    todo_id = client.todo_id
    return [triple[0] for triple in triples(answer) if triple[1] == todo_id]


async def client_of(stage, **init):
    client = await stage.client(**init)
    client.todo_id = stage.attr("todos", "id")
    return client


@pytest.mark.rule("L90")
async def test_own_filters_are_planned_once_and_answered_each_with_its_own(stage, plans):
    await seed(stage)
    clients = [await client_of(stage) for _ in range(COUNT)]
    for number, client in enumerate(clients):
        assert await shown(client, number) == [uuid(1, number)]
    assert len(plans) == 1
    writer = await client_of(stage)
    title = stage.attr("todos", "title")
    writer.say("transact", tx_steps=[["add-triple", uuid(1, 3), title, "new"]])
    await writer.hear("transact-ok")
    await clients[3].hear("refresh-ok")
    await stage.app.database.live.settled()
    assert [len(client.unheard()) for client in clients] == [0] * COUNT


@pytest.mark.rule("L90")
async def test_an_attr_that_is_added_is_shown_by_plans_made_after_it(stage, plans):
    await seed(stage)
    client = await client_of(stage)
    assert await shown(client, 0) == [uuid(1, 0)]
    attr = {
        "id": "aa000000-0000-4000-8000-0000000000ff",
        "forward-identity": ["ab000000-0000-4000-8000-0000000000ff", "todos", "color"],
        "value-type": "blob",
        "cardinality": "one",
        "unique?": False,
        "index?": False,
    }
    steps = [["add-attr", attr], ["add-triple", uuid(1, 1), attr["id"], "red"]]
    await stage.app.database.transact(steps, identity=ADMIN)
    client.say("add-query", q=own(1))
    answer = await client.hear("add-query-ok")
    assert "red" in {triple[2] for triple in triples(answer)}


@pytest.mark.rule("L90")
async def test_rules_that_are_saved_hold_for_queries_of_a_known_shape(stage, plans):
    await seed(stage)
    client = await client_of(stage)
    assert await shown(client, 0) == [uuid(1, 0)]
    rules = {"todos": {"allow": {"view": "data.title != 't'"}}}
    await stage.hub.apps.set_rules(stage.app.id, rules)
    assert await shown(client, 1) == []
    before = len(plans)
    assert await shown(client, 2) == []
    assert len(plans) == before, "these rules look at nobody, so their plan is shared"


@pytest.mark.rule("L90")
async def test_who_sees_by_who_they_are_shares_no_plan(stage, plans):
    await seed(stage)
    tokens = []
    for number in range(2):

        def work(change, number=number):
            change.write(["update", "$users", uuid(3, number), {"email": f"{number}@x.y"}])
            return mint_token(change, uuid(3, number), runtime=stage.runtime)

        tokens.append(await stage.app.database.change(work))
    rules = {"todos": {"allow": {"view": "auth.id in data.ref('owner.id')"}}}
    await stage.hub.apps.set_rules(stage.app.id, rules)
    ada, bob = [await client_of(stage, refresh_token=token) for token in tokens]
    plans.clear()
    assert await shown(ada, 0) == [uuid(1, 0)]
    assert await shown(ada, 1) == []
    assert await shown(bob, 0) == []
    assert await shown(bob, 1) == [uuid(1, 1)]
    assert len(plans) == 4
