"""Sessions and what their clients may see: rules saved, rights lost, tokens ended."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from support.memory_client import refreshed, triples
from trice import limits
from trice.auth.tokens import mint_token
from trice.errors import TriceError
from trice.identity import ADMIN
from trice.rules.document import Rules

T1 = "e1000000-0000-4000-8000-000000000001"
T2 = "e1000000-0000-4000-8000-000000000002"
ADA = "e3000000-0000-4000-8000-000000000001"
BOB = "e3000000-0000-4000-8000-000000000002"
TODOS = {"todos": {}}
OWN = {"todos": {"allow": {"view": "auth.id == data.slug"}}}
"""Each user sees the todo whose slug is their id."""

OF_STAFF = {"todos": {"allow": {"view": "auth.email == 'ada@staff'"}}}


async def sign_in(stage, user_id: str, email: str) -> str:
    """Make a user with a refresh token."""

    def work(change):
        change.write(["update", "$users", user_id, {"email": email}])
        return mint_token(change, user_id, runtime=stage.runtime)

    return await stage.app.database.change(work)


async def seed(stage) -> None:
    steps = stage.create("todos", T1, title="a", slug=ADA)
    await write(stage, *steps, *stage.create("todos", T2, title="b", slug=BOB))


async def write(stage, *steps) -> None:
    """Apply steps as an admin."""
    await stage.app.database.transact(list(steps), identity=ADMIN)


def shown(rows) -> set[str]:
    return {triple[0] for triple in rows}


@pytest.mark.rule("P56")
async def test_users_see_what_their_own_rights_show(stage):
    await seed(stage)
    await stage.hub.apps.set_rules(stage.app.id, OWN)
    ada = await stage.client(refresh_token=await sign_in(stage, ADA, "ada@x"))
    bob = await stage.client(refresh_token=await sign_in(stage, BOB, "bob@x"))
    guest = await stage.client()
    for client, ids in ((ada, {T1}), (bob, {T2}), (guest, set())):
        client.say("add-query", q=TODOS)
        assert shown(triples(await client.hear("add-query-ok"))) == ids


@pytest.mark.rule("P57")
async def test_rules_hold_for_open_queries_as_soon_as_they_are_saved(stage):
    await seed(stage)
    clients = []
    for user, email in ((ADA, "ada@x"), (BOB, "bob@x")):
        client = await stage.client(refresh_token=await sign_in(stage, user, email))
        client.say("add-query", q=TODOS)
        assert shown(triples(await client.hear("add-query-ok"))) == {T1, T2}
        clients.append(client)
    await stage.hub.apps.set_rules(stage.app.id, OWN)
    for client, ids in zip(clients, ({T1}, {T2}), strict=True):
        assert shown(refreshed(await client.hear("refresh-ok"))) == ids
        # What it goes on to hear is judged by the new rules too.
    await write(stage, ["add-triple", T1, stage.attr("todos", "title"), "c"])
    assert shown(refreshed(await clients[0].hear("refresh-ok"))) == {T1}
    await stage.app.database.live.settled()
    await asyncio.sleep(0)
    assert not clients[1].unheard(), "a change of what it may not see"
    await stage.hub.apps.set_rules(stage.app.id, None)
    for client in clients:
        assert shown(refreshed(await client.hear("refresh-ok"))) == {T1, T2}


@pytest.mark.rule("P191")
@pytest.mark.parametrize("others", [0, limits.FIRST_ANSWERS_A_TURN])
async def test_a_query_asked_again_as_rules_are_saved_is_answered_by_the_new_ones(stage, others):
    await seed(stage)
    client = await stage.client()
    client.say("add-query", q=TODOS)
    assert shown(triples(await client.hear("add-query-ok"))) == {T1, T2}
    stage.app.database.set_rules(
        Rules.parse({"todos": {"allow": {"view": "auth.id != null && false"}}})
    )
    for n in range(others):  # so that it is not run at once
        client.say("add-query", q={"todos": {"$": {"where": {"title": f"{n}"}}}})
    event_id = client.say("add-query", q=TODOS)
    answer = await client.hear_where(lambda one: one.get("client-event-id") == event_id)
    assert answer["op"] == "add-query-ok"
    assert shown(triples(answer)) == set()
    await write(stage, ["add-triple", T1, stage.attr("todos", "title"), "c"])
    client.hang_up()
    assert stage.app.database.live_queries == 0


@pytest.mark.rule("P57")
async def test_nothing_judged_by_the_old_rules_leaves_after_the_new_ones_are_saved(stage):
    await seed(stage)
    client = await stage.client()
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")
    await write(stage, ["add-triple", T1, stage.attr("todos", "title"), "secret"])
    # The answer that holds the new title may be there, but was not sent yet.
    await stage.hub.apps.set_rules(stage.app.id, {"todos": {"allow": {"view": "false"}}})
    await stage.app.database.live.settled()
    refresh = await client.hear_where(
        lambda message: message["op"] == "refresh-ok" and not refreshed(message)
    )
    after = client.received.index(refresh)
    assert b"secret" not in b"".join(client.raw[after:])


@pytest.mark.rule("P58")
async def test_a_right_that_a_user_loses_is_gone_with_the_next_message(stage):
    await seed(stage)
    await stage.hub.apps.set_rules(stage.app.id, OF_STAFF)
    ada = await stage.client(refresh_token=await sign_in(stage, ADA, "ada@staff"))
    ada.say("add-query", q=TODOS)
    assert shown(triples(await ada.hear("add-query-ok"))) == {T1, T2}
    email = ["add-triple", ADA, stage.attr("$users", "email")]
    await write(stage, [*email, "ada@home"])
    assert refreshed(await ada.hear("refresh-ok")) == []
    await write(stage, [*email, "ada@staff"])
    assert shown(refreshed(await ada.hear("refresh-ok"))) == {T1, T2}


@pytest.mark.rule("P59")
@pytest.mark.parametrize("how", ["token", "user"])
async def test_a_session_ends_with_its_refresh_token(stage, how):
    token = await sign_in(stage, ADA, "ada@x")
    other = await stage.client(refresh_token=await sign_in(stage, BOB, "bob@x"))
    ada = await stage.client(refresh_token=token)
    ada.say("add-query", q=TODOS)
    await ada.hear("add-query-ok")

    def end(change):
        found = change.find({"$userRefreshTokens": {"$": {"where": {"$user": ADA}}}})
        (row,) = found["$userRefreshTokens"]
        if how == "token":
            change.write(["delete", "$userRefreshTokens", row["id"]])
        else:
            change.write(["delete", "$users", ADA])

    await stage.app.database.change(end)
    assert ada.closed == (1008, "signed out")
    assert other.closed is None
    again = stage.connect()
    again.say("init", app_id=stage.app.id, refresh_token=token)
    error = await again.hear("error")
    assert error["hint"]["record-type"] == "app-user", "clients then sign out on their side"


@pytest.mark.rule("P60")
async def test_a_rule_that_cannot_be_evaluated_is_an_error_of_the_query(stage):
    await seed(stage)
    client = await stage.client()
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")
    rules = {"todos": {"allow": {"view": "data.title.size() / (data.title.size() - 1) > 0"}}}
    await stage.hub.apps.set_rules(stage.app.id, rules)
    error = await client.hear("error")
    assert error["type"] == "permission-evaluation-failed"
    assert error["hint"]["rule"] == ["todos", "view"]
    assert error["original-event"]["q"] == TODOS
    # Once the rule is mended the query answers again, without being asked anew.
    await stage.hub.apps.set_rules(stage.app.id, None)
    assert shown(refreshed(await client.hear("refresh-ok"))) == {T1, T2}


@pytest.mark.rule("P61")
async def test_writes_are_judged_by_the_identity_of_the_session(stage):
    await seed(stage)
    rules = {"todos": {"allow": {"view": "true", "update": "auth.id == data.slug"}}}
    await stage.hub.apps.set_rules(stage.app.id, rules)
    ada = await stage.client(refresh_token=await sign_in(stage, ADA, "ada@x"))
    title = stage.attr("todos", "title")
    ada.say("transact", tx_steps=[["add-triple", T1, title, "mine"]], event_id="mine")
    await ada.hear("transact-ok")
    ada.say("transact", tx_steps=[["add-triple", T2, title, "theirs"]], event_id="theirs")
    error = await ada.hear("error")
    assert error["type"] == "permission-denied"
    assert error["hint"] == {"input": ["todos", "object"], "expected": "perms-pass?"}
    with pytest.raises(TriceError):
        await stage.hub.apps.set_rules(stage.app.id, {"todos": {"allow": {"view": "data."}}})
    assert stage.app.row.rules == rules, "wrong rules change nothing"


@pytest.mark.rule("P62")
async def test_equal_queries_are_shared_as_far_as_rights_are_equal(stage):
    await seed(stage)
    tokens = [await sign_in(stage, ADA, "ada@x"), await sign_in(stage, BOB, "bob@x")]
    clients = [await stage.client(refresh_token=token) for token in tokens]
    live = stage.app.database.live
    for rules, count in ((None, 1), (OWN, 2), ({"todos": {"allow": {"view": "true"}}}, 1)):
        await stage.hub.apps.set_rules(stage.app.id, rules)
        await live.settled()
        for client in clients:
            client.say("add-query", q=TODOS)
            await client.hear("add-query-ok")
        await live.settled()
        assert len(live) == count


@pytest.mark.rule("P57")
async def test_rules_saved_while_a_long_first_answer_is_made_hold_for_it(stage, monkeypatch):
    await seed(stage)
    monkeypatch.setattr("trice.limits.READ_STEPS_ON_LOOP", 1)
    client = await stage.client()
    client.say("add-query", q=TODOS)
    await asyncio.sleep(0)
    await stage.hub.apps.set_rules(stage.app.id, {"todos": {"allow": {"view": "false"}}})
    answer = await client.hear("add-query-ok")
    await stage.app.database.live.settled()
    await asyncio.sleep(0)
    refreshes = [m for m in client.unheard() if m["op"] == "refresh-ok"]
    last = refreshed(refreshes[-1]) if refreshes else triples(answer)
    assert last == [], orjson.dumps(answer)


SIZE = {
    "id": "aa000000-0000-4000-8000-0000000000f1",
    "forward-identity": ["ab000000-0000-4000-8000-0000000000f1", "todos", "size"],
    "value-type": "blob",
    "cardinality": "one",
    "unique?": False,
    "index?": True,
    "checked-data-type": "number",
}


@pytest.mark.rule("P63")
async def test_a_query_that_names_what_is_gone_answers_again_once_it_is_back(stage):
    await seed(stage)
    await write(stage, ["add-attr", SIZE])
    client = await stage.client()
    client.say("add-query", q={"todos": {"$": {"order": {"size": "asc"}}}})
    assert shown(triples(await client.hear("add-query-ok"))) == {T1, T2}
    await write(stage, ["delete-attr", SIZE["id"]])
    assert (await client.hear("error"))["original-event"]["op"] == "add-query"
    (subscription,) = client.session.state.subscriptions.values()
    # As when rules are saved between the run that failed and this.
    for _ in range(2):
        client.session.opened.ask_again(subscription)
    await client.hear("error")
    other = {**SIZE, "id": T1, "forward-identity": [T2, "todos", "size"]}
    await write(stage, ["add-attr", other])
    message = await client.hear_where(lambda one: one.get("computations"))
    assert shown(refreshed(message)) == {T1, T2}
    assert [one["op"] for one in client.received].count("error") == 2
