"""Many queries asked at once: some are run in each turn of the event loop."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from support.memory_client import triples
from support.runtime import FakeRuntime
from trice import limits
from trice.errors import InvalidInput
from trice.session.first_answers import FirstAnswers

T1 = "e1000000-0000-4000-8000-000000000001"
RUNS = limits.FIRST_ANSWERS_A_TURN


def own(number):
    """A query that nobody else asks."""
    return {"todos": {"$": {"where": {"title": f"title {number}"}}}}


async def ask_at_once(stage, count):
    """So many clients, each of which has just asked its own query."""
    clients = [await stage.client() for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for number, client in enumerate(clients):
        client.say("add-query", q=own(number))
    return clients


@pytest.mark.rule("P45")
async def test_a_turn_runs_sixteen_queries_and_sends_their_answers_before_the_next(stage):
    counts = stage.app.database.live.counts
    before = counts.rerun_query
    clients = await ask_at_once(stage, 3 * RUNS + 1)
    runs, answered = [counts.rerun_query - before], []
    while runs[-1] < len(clients):
        await asyncio.sleep(0)
        runs.append(counts.rerun_query - before)
        answered.append(sum(client.received[-1]["op"] == "add-query-ok" for client in clients))
    steps = [after - earlier for earlier, after in pairwise(runs)]
    assert runs[0] == RUNS
    assert max(steps) == RUNS
    assert answered[-2] >= RUNS, "the first have their answer before the last are run"
    for number, client in enumerate(clients):
        assert (await client.hear("add-query-ok"))["q"] == own(number)


@pytest.mark.rule("P45")
async def test_a_query_somebody_watches_is_answered_without_waiting(stage):
    watcher, late = await stage.client(), await stage.client()
    watcher.say("add-query", q=own("shared"))
    await watcher.hear("add-query-ok")
    counts = stage.app.database.live.counts
    clients = await ask_at_once(stage, 3 * RUNS)
    before = counts.rerun_query
    late.say("add-query", q=own("shared"))
    await asyncio.sleep(0)
    assert late.received[-1]["op"] == "add-query-ok"
    assert counts.rerun_query - before == RUNS, "the others still wait"
    for client in clients:
        await client.hear("add-query-ok")


@pytest.mark.rule("P12")
@pytest.mark.parametrize("ops", ["ar", "ara", "aa", "arar", "aara"])
async def test_queries_added_and_removed_while_they_wait_stay_live_or_leave_nothing(stage, ops):
    clients = await ask_at_once(stage, 2 * RUNS)
    last = await stage.client()
    clients = await ask_again(stage, clients)
    for op in ops:
        last.say({"a": "add-query", "r": "remove-query"}[op], q=own("last"))
    for client in clients:
        await client.hear("add-query-ok")
    for _ in range(5):
        await asyncio.sleep(0)
    heard = [message["op"] for message in last.unheard()]
    assert len(last.session.state.subscriptions) == (ops[-1] == "a")
    assert heard.count("add-query-ok") == (0 if ops[-1] == "r" else ops.count("a"))
    for client in [*clients, last]:
        client.hang_up()
    assert len(stage.app.database.live) == 0


async def ask_again(stage, clients):
    """The same clients have just asked something else each."""
    for client in clients:
        await client.hear("add-query-ok")
    for number, client in enumerate(clients):
        client.say("add-query", q=own(f"again {number}"))
    return clients


@pytest.mark.rule("P18")
async def test_sessions_that_close_while_they_wait_are_not_run_for(stage):
    counts = stage.app.database.live.counts
    clients = await ask_at_once(stage, 3 * RUNS)
    before = counts.rerun_query
    for client in clients:
        client.hang_up()
    for _ in range(5):
        await asyncio.sleep(0)
    assert counts.rerun_query == before
    assert len(stage.app.database.live) == 0
    assert stage.app.users == 1


@pytest.mark.rule("P14")
@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (InvalidInput("param-malformed", "x"), "param-malformed"),
        (RuntimeError("secret"), "unknown"),
    ],
)
async def test_a_query_that_fails_when_its_turn_comes_gets_an_error(
    stage, monkeypatch, failure, code
):
    clients = await ask_at_once(stage, RUNS + 1)

    def broken(*_args, **_kwargs):
        raise failure

    monkeypatch.setattr(stage.app.database, "watch_now", broken)
    error = await clients[-1].hear("error")
    assert (error["type"], error["original-event"]["q"]) == (code, own(RUNS))
    assert not clients[-1].session.state.subscriptions


@pytest.mark.rule("P57")
async def test_rules_saved_while_queries_wait_hold_for_them(stage):
    await stage.app.database.transact(
        stage.create("todos", T1, title=f"title {RUNS}"),
        identity=(await stage.client()).session.opened.identity,
    )
    waiting = stage.hub._first_answers
    last = await stage.client()
    waiting._is_scheduled = True  # hold it: nobody's turn comes
    waiting.later(lambda: None)
    last.say("add-query", q=own(RUNS))
    await stage.hub.apps.set_rules(stage.app.id, {"todos": {"allow": {"view": "false"}}})
    assert last.unheard() == []
    waiting._turn()
    assert triples(await last.hear("add-query-ok")) == []


@pytest.mark.rule("P45")
async def test_a_turn_ends_earlier_when_runs_are_long():
    runtime = FakeRuntime()
    answers = FirstAnswers(runtime)
    runs = []

    def run():
        runs.append(1)
        runtime.advance(limits.FIRST_ANSWERS_TURN_MS / 2)

    for _ in range(5):
        answers.later(run)
    assert not answers.take(), "nobody overtakes"
    done = []
    for _ in range(4):
        await asyncio.sleep(0)
        done.append(len(runs))
    assert done == [2, 4, 5, 5]
    assert answers.take()


@pytest.mark.rule("P45")
async def test_one_that_fails_does_not_keep_the_others_waiting(caplog):
    answers = FirstAnswers(FakeRuntime())
    runs = []

    def broken():
        raise OSError("a broken run")

    answers.later(broken)
    answers.later(lambda: runs.append(1))
    await asyncio.sleep(0)
    assert runs == [1]
    assert caplog.text.count("a first answer failed") == 1
