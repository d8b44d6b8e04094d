"""Clients of ours that come back: what is not sent again, and what never is an older answer."""

from __future__ import annotations

import pytest

from support.delta_client import DeltaClient
from support.delta_stage import (
    ADA,
    BOB,
    OURS,
    T1,
    T2,
    TODOS,
    come_back,
    fill,
    held_of,
    join,
    quiet,
    sign_in,
    titled,
    told,
    write,
)
from support.memory_client import triples
from trice.identity import ADMIN


@pytest.mark.rule("P76", "P82")
async def test_versions_hold_after_a_restart(tmp_path, stage_at):
    async with stage_at(tmp_path) as stage:
        await fill(stage, 3)
        client = await join(stage)
    async with stage_at(tmp_path, app_id=stage.app.id) as again:
        client.hub = again.hub
        assert "attrs" not in await client.connect(again.app.id)
        client.ask(TODOS)
        answer = await client.hear("add-query-ok")
        assert "result" not in answer and answer["from"] == answer["version"]
        assert len(client.shown(TODOS)[0]) == 12


@pytest.mark.rule("L48")
async def test_versions_of_patched_answers_hold_after_a_restart(tmp_path, stage_at):
    """A patch puts rows elsewhere than a run: here the last one takes the place of the first."""
    async with stage_at(tmp_path) as stage:
        await fill(stage, 5)
        client = await join(stage)
        await write(stage, ["delete-entity", T1, "todos"])
        await told(client)
        patched = held_of(client)
    async with stage_at(tmp_path, app_id=stage.app.id) as again:
        client.hub = again.hub
        await client.connect(again.app.id)
        client.ask(TODOS)
        answer = await client.hear("add-query-ok")
        assert "result" not in answer and answer["from"] == answer["version"]
        fresh = await join(again)
        assert sorted(map(str, held_of(fresh))) == sorted(map(str, patched))


@pytest.mark.rule("P82")
async def test_an_answer_still_held_is_not_sent_again(stage):
    await fill(stage)
    client = await join(stage)
    answer = await come_back(stage, client)
    assert set(answer) == {
        *("op", "client-event-id", "query-id", "from", "version", "processed-tx-id")
    }
    assert answer["from"] == answer["version"]
    assert answer["processed-tx-id"] == stage.app.database.tx
    assert len(client.wire.raw[-1]) < 250
    await write(stage, titled(stage, T1, "later"))
    assert "delta" in await told(client), "it goes on from there"


@pytest.mark.rule("P83")
@pytest.mark.parametrize("has_watcher", [True, False])
async def test_a_client_that_comes_back_gets_what_it_missed(stage, has_watcher):
    await fill(stage)
    client = await join(stage)
    if has_watcher:
        await join(stage)
    client.wire.hang_up()
    for number in range(3):
        await write(stage, titled(stage, T1, f"missed {number}"))
    await quiet(stage)
    answer = await come_back(stage, client)
    assert "result" not in answer and "q" not in answer
    assert [triple[2] for triple in answer["delta"]["changed"]] == ["missed 2"]


@pytest.mark.rule("P83")
@pytest.mark.parametrize("held", ["00" * 16, "", "no version", "é", "f" * 100_000])
async def test_what_the_server_does_not_know_is_answered_in_full(stage, held):
    await fill(stage, 3)
    client = stage.connect()
    await client.init(stage.app.id, trice=OURS)
    client.say("add-query", q=TODOS, held=held)
    answer = await client.hear("add-query-ok")
    assert answer["q"] == TODOS and len(triples(answer)) == 12


@pytest.mark.rule("P83")
async def test_without_delta_a_resumed_answer_is_the_same_or_full(stage):
    await fill(stage)
    client = DeltaClient(stage.hub, ("resume",))
    await client.connect(stage.app.id)
    client.ask(TODOS)
    await client.hear("add-query-ok")
    await join(stage)  # somebody else keeps the versions
    assert "result" not in await come_back(stage, client)
    await write(stage, titled(stage, T1, "new"))
    assert "instaql-result" in await told(client)
    client.wire.hang_up()
    await write(stage, titled(stage, T1, "newer"))
    assert "result" in await come_back(stage, client)


@pytest.mark.rule("P84")
@pytest.mark.parametrize("has_watcher", [True, False])
async def test_a_resumed_answer_holds_every_acknowledged_write(stage, has_watcher):
    await fill(stage)
    client = await join(stage)
    if has_watcher:
        await join(stage)
    stage.app.database.live._loop_task.cancel()  # refreshes lag behind for ever
    tx = await stage.app.database.transact([titled(stage, T1, "mine")], identity=ADMIN)
    answer = await come_back(stage, client)
    assert answer["processed-tx-id"] >= tx
    assert "mine" in [triple[2] for triple in held_of(client)]


@pytest.mark.rule("P85")
async def test_another_user_gets_what_they_may_see_in_full(stage):
    await fill(stage)
    for entity, user in ((T1, ADA), (T2, BOB)):
        await write(stage, ["add-triple", entity, stage.attr("todos", "slug"), user])
    rules = {"todos": {"allow": {"view": "auth.id == data.slug || data.slug == null"}}}
    await stage.hub.apps.set_rules(stage.app.id, rules)
    tokens = [await sign_in(stage, user) for user in (ADA, BOB)]
    client = await join(stage, refresh_token=tokens[0])
    await write(stage, titled(stage, T1, "secret of Ada"))
    await told(client)
    bob = await join(stage, refresh_token=tokens[1])
    answer = await come_back(stage, client, refresh_token=tokens[1])
    assert "result" in answer and "delta" not in answer
    assert b"secret" not in b"".join(client.wire.raw)
    assert client.shown(TODOS) == bob.shown(TODOS)


@pytest.mark.rule("P85")
async def test_other_rules_are_not_bridged_by_a_delta(stage):
    await fill(stage)
    client = await join(stage)
    away = await join(stage)
    away.wire.hang_up()
    rules = {"todos": {"allow": {"view": f"data.id != '{T1}'"}}}
    await stage.hub.apps.set_rules(stage.app.id, rules)
    assert "instaql-result" in await told(client)
    assert "result" in await come_back(stage, away)
    assert T1 not in {triple[0] for triple in held_of(away)}
    # Rules that show the same are the same answer.
    away.wire.hang_up()
    rules = {"todos": {"allow": {"view": f"'{T1}' != data.id"}}}
    await stage.hub.apps.set_rules(stage.app.id, rules)
    assert "result" not in await come_back(stage, away)


@pytest.mark.rule("P86")
async def test_held_must_be_a_text_where_it_counts(stage):
    await fill(stage, 1)
    client = stage.connect()
    await client.init(stage.app.id, trice=OURS)
    client.say("add-query", q=TODOS, held=5)
    error = await client.hear("error")
    assert (error["type"], error["hint"]["in"]) == ("param-malformed", ["held"])
    for fields in ({}, {"trice": {"version": 1, "features": ["delta"]}}):
        other = stage.connect()
        await other.init(stage.app.id, **fields)
        other.say("add-query", q=TODOS, held=5)
        assert "result" in await other.hear("add-query-ok")
