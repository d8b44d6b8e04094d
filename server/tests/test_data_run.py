"""Runs of functions on a database: what they read, what overtakes them, what they leave.

It is one file because all of it shares the stage of one run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.run_model import ACCOUNTS, ITEMS, TAGS
from support.run_stage import ALL, Stage, done, one
from support.runtime import FakeRuntime
from trice import data_run, function_limits
from trice.data_run import Committed, DataRun, Stale
from trice.errors import Conflict, InvalidInput, LimitExceeded, TriceError, Unavailable
from trice.identity import ADMIN, GUEST
from trice.protocol.ids import EventId, TxId
from trice.rules.document import Rules
from trice.slow_log import SlowLog

A, B, C, D = ACCOUNTS


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = await Stage.open(tmp_path / "app.db")
    yield stage
    await stage.database.close()


@pytest.mark.rule("FN7", "FN14")
async def test_what_a_run_read_must_not_have_changed(stage: Stage) -> None:
    first, second = await stage.begin(), await stage.begin()
    for run in (first, second):
        (number,) = await stage.numbers(run, one(A))
        run.draft([["update", "accounts", A, {"n": number + 1}]])
    assert (await done(first, function="hot.add")).tx == 3
    with pytest.raises(Stale) as caught:
        await done(second)
    assert (caught.value.function, caught.value.namespaces) == ("hot.add", ("accounts",))
    assert await stage.numbers(query=one(A)) == [1], "nothing of it was written"
    third = await stage.begin()
    assert await stage.numbers(third, one(A)) == [1]
    third.draft([["update", "accounts", B, {"n": 9}]])
    await stage.write(["update", "accounts", A, {"n": 5}])
    with pytest.raises(Stale) as caught:
        await done(third)
    assert caught.value.function is None, "it was a client"


@pytest.mark.rule("FN7")
async def test_a_change_of_what_it_did_not_read_overtakes_nobody(stage: Stage) -> None:
    run = await stage.begin()
    await stage.numbers(run, one(A))
    run.draft([["update", "accounts", A, {"n": 7}]])
    await stage.write(["update", "accounts", B, {"n": 8}])
    assert (await done(run)).tx == 4


@pytest.mark.rule("FN7")
async def test_commits_of_the_same_group_count(stage: Stage) -> None:
    runs = [await stage.begin() for _ in range(8)]
    for run in runs:
        (number,) = await stage.numbers(run, one(A))
        run.draft([["update", "accounts", A, {"n": number + 1}]])
    outcomes = await asyncio.gather(*map(done, runs), return_exceptions=True)
    assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Stale) for outcome in outcomes) == 7
    assert await stage.numbers(query=one(A)) == [1]


@pytest.mark.rule("FN8")
async def test_blind_writes_conflict_with_nobody(stage: Stage) -> None:
    runs = [await stage.begin() for _ in range(8)]
    for run in runs:
        run.draft([["increment", "accounts", A, {"n": 1}], ["update", "accounts", B, {"n": 5}]])
        run.draft([["link", "accounts", A, {"tags": TAGS[0]}]])
    assert sorted(made.tx for made in await asyncio.gather(*map(done, runs))) == list(range(3, 11))
    assert await stage.numbers(query=one(A)) == [8]


@pytest.mark.rule("FN8")
async def test_an_increment_beside_reads_of_other_namespaces_conflicts_with_nobody(
    stage: Stage,
) -> None:
    runs = [await stage.begin() for _ in range(2)]
    for run in runs:
        run.draft([["increment", "accounts", A, {"n": 1}]])
        await run.read({"items": {"$": {"where": {"id": ITEMS[0]}}}})
    assert [(await done(run)).tx for run in runs] == [3, 4]
    runs = [await stage.begin() for _ in range(2)]
    for run in runs:
        run.draft([["increment", "accounts", A, {"n": 1}]])
        await run.read({"accounts": {"$": {"where": {"n": {"$gt": 100}}}}})
    assert (await done(runs[0])).tx == 5
    with pytest.raises(Stale):
        await done(runs[1])


@pytest.mark.rule("FN7")
async def test_what_a_delete_followed_is_read_once_it_is_seen(stage: Stage) -> None:
    await stage.write(
        *(["create", "items", item, {"owner": A, "n": at}] for at, item in enumerate(ITEMS[:2]))
    )
    run = await stage.begin()
    run.draft([["delete", "accounts", A]])
    assert orjson.loads(await run.read({"items": {"$": {"where": {"n": 0}}}})) == {"items": []}
    await stage.write(["update", "items", ITEMS[0], {"owner": B}])
    with pytest.raises(Stale):
        await done(run)
    run = await stage.begin()
    run.draft([["delete", "accounts", B]])
    await stage.write(["update", "items", ITEMS[0], {"owner": C}])
    assert (await done(run)).tx == 6, "nothing was read"


@pytest.mark.rule("FN9")
async def test_a_run_without_writes_takes_no_transaction(stage: Stage) -> None:
    run = await stage.begin()
    await stage.numbers(run)
    await stage.write(["update", "accounts", A, {"n": 100}])
    assert await done(run, event_id=EventId("e")) == Committed(run.tx, b"1")
    assert stage.database.tx == 3
    assert await DataRun.find_result(stage.database, EventId("e")) is None
    run = await stage.begin()
    kept = await done(run, event_id=EventId("e"), is_result_kept=True)
    assert kept == Committed(stage.database.tx, b"1") and kept.tx == 4


@pytest.mark.rule("FN10")
async def test_a_run_with_the_turn_is_not_overtaken(stage: Stage) -> None:
    turn = await stage.database.engine.take_turn(lasts_ms=function_limits.TURN_MS)
    other = asyncio.ensure_future(stage.write(["update", "accounts", A, {"n": 100}]))
    run = await stage.begin(turn=turn)
    assert await stage.numbers(run, one(A)) == [0]
    run.draft([["increment", "accounts", A, {"n": 1}]])
    await asyncio.sleep(0)
    assert (await done(run)).tx == 3 and await other == 4


@pytest.mark.rule("FN12")
@pytest.mark.interpreted("statements are counted by a run that is replaced")
async def test_the_same_question_is_asked_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    plain = data_run.run
    monkeypatch.setattr(data_run, "run", lambda *given: (asked.append(1), plain(*given))[1])
    run = await stage.begin()
    first = await run.read(ALL)
    assert await run.read(ALL) is first and len(asked) == 1
    run.draft([["update", "accounts", A, {"n": 70}]])
    assert await run.read(ALL) != first and len(asked) == 2
    await run.read(ALL, identity=GUEST)
    assert len(asked) == 3, "another caller is another question"
    run.close()


@pytest.mark.rule("FN740")
async def test_a_nested_limit_cuts_for_functions_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.write(
        *(["create", "items", ITEMS[at], {"n": at % 3, "owner": A}] for at in range(6))
    )
    items = {"$": {"order": {"n": "desc"}, "limit": 2, "fields": ["n"]}}
    query = {"accounts": {"$": {"where": {"id": A}}, "items": items}}
    # An account and two items, twice.
    monkeypatch.setattr(function_limits, "RUN_ROWS_MAX", 6)

    async def numbers(run: DataRun) -> list[int]:
        (row,) = orjson.loads(await run.read(query))["accounts"]
        return [item["n"] for item in row["items"]]

    for _ in range(3):
        run = await stage.begin()
        assert await numbers(run) == [2, 2]
        run.draft([["delete", "items", ITEMS[2]]])
        assert await numbers(run) == [2, 1], "its own writes count"
        run.close()
        told = await stage.database.query_nested(query, identity=ADMIN)
        (row,) = orjson.loads(told)["accounts"]
        assert [item["n"] for item in row["items"]] == [2, 2, 1, 1, 0, 0], "all rows, as ever"


@pytest.mark.rule("FN13")
async def test_a_large_read_set_lists_its_namespace_whole(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_limits, "READ_KEYS_MAX", 3)
    for overtaking, is_stale in ((C, True), (None, False)):
        run = await stage.begin()
        for account in (A, B):
            await stage.numbers(run, one(account))
        run.draft([["update", "accounts", A, {"n": 7}]])
        if overtaking is None:
            await stage.write(["update", "items", ITEMS[0], {"n": 1}])
        else:
            await stage.write(["update", "accounts", overtaking, {"n": 8}])
        if is_stale:
            with pytest.raises(Stale):
                await done(run)
        else:
            await done(run)


@pytest.mark.rule("FN15")
async def test_a_change_of_attrs_overtakes_who_read_their_namespace(stage: Stage) -> None:
    for read, is_stale in ((ALL, True), ({"items": {}}, False)):
        run = await stage.begin()
        await run.read(read)
        run.draft([["update", "items", ITEMS[0], {"n": 7}]])
        await stage.write(["update", "accounts", A, {f"new{is_stale}": 1}])
        if is_stale:
            with pytest.raises(Stale):
                await done(run)
        else:
            await done(run)


@pytest.mark.rule("FN6")
async def test_what_a_savepoint_wrote_is_undone_alone(stage: Stage) -> None:
    run = await stage.begin()
    run.draft([["update", "accounts", A, {"n": 10}]])
    run.sub()
    run.draft([["update", "accounts", B, {"n": 20}]])
    assert await stage.numbers(run) == [2, 3, 10, 20]
    run.sub()
    run.draft([["delete", "accounts", C]])
    run.sub_end(True)
    assert await stage.numbers(run) == [3, 10, 20]
    run.sub_end(False)
    run.sub()
    run.draft([["update", "accounts", D, {"n": 30}]])
    run.sub_end(True)
    assert await stage.numbers(run) == [1, 2, 10, 30]
    await done(run)
    assert await stage.numbers() == [1, 2, 10, 30]


@pytest.mark.rule("FN6", "FN17")
async def test_a_savepoint_takes_its_error_with_it(stage: Stage) -> None:
    run = await stage.begin()
    run.sub()
    run.draft([["create", "accounts", A, {}]])
    for _ in range(2):
        with pytest.raises(InvalidInput):
            await run.read(ALL)
    run.sub_end(False)
    assert await stage.numbers(run) == [0, 1, 2, 3]
    run.draft([["update", "accounts", A, {"n": 5}]])
    await done(run)
    run = await stage.begin()
    run.draft([["create", "accounts", A, {}]])
    with pytest.raises(InvalidInput):
        await run.read(ALL)
    with pytest.raises(InvalidInput):
        await done(run)


@pytest.mark.rule("FN16")
async def test_steps_are_applied_in_their_order(stage: Stage) -> None:
    steps = [
        ["increment", "accounts", A, {"n": 5}],
        ["update", "accounts", A, {"n": 1}],
        ["delete", "accounts", A],
        ["create", "accounts", A, {"n": 50}],
        ["update", "accounts", A, {"name": "x"}, {"upsert": False}],
        ["delete", "accounts", {"name": "x"}],
        ["update", "accounts", B, {"n": 60}],
    ]
    for is_reading in (True, False):
        run = await stage.begin()
        for step in steps:
            run.draft([step])
            if is_reading:
                await run.read(ALL)
        await done(run)
        assert await stage.numbers() == [2, 3, 60]
        await stage.write(["create", "accounts", A, {"n": 0}], ["update", "accounts", B, {"n": 1}])


@pytest.mark.rule("FN16")
async def test_several_batches_are_one_commit(stage: Stage) -> None:
    commits: list[Any] = []
    stage.database.on_commits(commits.extend)
    await stage.write(["link", "accounts", A, {"tags": TAGS[0]}])
    run = await stage.begin()
    run.draft([["increment", "accounts", A, {"n": 5}], ["update", "accounts", A, {"n": 0}]])
    run.draft([["unlink", "accounts", A, {"tags": TAGS[0]}]])
    run.draft([["link", "accounts", A, {"tags": TAGS[0]}]])
    run.draft([["update", "accounts", B, {"n": 9}], ["delete", "accounts", C]])
    await done(run)
    changed = {change.id.hex()[:8]: change.new is None for change in commits[-1].entities}
    assert changed == {B[:8]: False, C[:8]: True}, "what is as before is not listed"
    assert not commits[-1].pairs


@pytest.mark.rule("FN16")
async def test_a_function_adds_no_attrs(stage: Stage) -> None:
    for steps in ([["update", "accounts", A, {"unknown": 1}]], [["add-attr", {}]], [["odd"]]):
        run = await stage.begin()
        run.draft(steps)
        with pytest.raises(InvalidInput):
            await run.read(ALL)
        with pytest.raises(InvalidInput):
            await done(run)


@pytest.mark.rule("FN16")
async def test_required_attrs_are_checked_at_the_end(stage: Stage) -> None:
    name = stage.database.catalog.find_forward("accounts", "name")
    assert name is not None
    for account in ACCOUNTS:
        await stage.write(["update", "accounts", account, {"name": account}])
    await stage.database.transact(
        [["update-attr", {"id": name.id, "required?": True}]], identity=ADMIN
    )
    await stage.write(["delete", "accounts", D])
    run = await stage.begin()
    run.draft([["create", "accounts", D, {"n": 4}]])
    assert await stage.numbers(run) == [0, 1, 2, 4]
    run.draft([["update", "accounts", D, {"name": "late"}]])
    await done(run)
    run = await stage.begin()
    run.draft([["update", "accounts", D, {"name": None}]])
    await stage.numbers(run)
    with pytest.raises(InvalidInput, match="Missing required"):
        await done(run)


@pytest.mark.rule("FN17")
async def test_a_value_that_is_taken_is_told_by_the_next_read(stage: Stage) -> None:
    await stage.write(["update", "accounts", A, {"name": "x"}])
    run = await stage.begin()
    run.draft([["update", "accounts", B, {"name": "x"}]])
    with pytest.raises(Conflict):
        await run.read(ALL)
    with pytest.raises(Conflict):
        await done(run)


@pytest.mark.rule("FN5")
async def test_rules_of_a_caller_see_own_writes(stage: Stage) -> None:
    stage.database.set_rules(Rules.parse({"accounts": {"allow": {"view": "data.n > 1"}}}))
    run = await stage.begin()
    run.draft([["update", "accounts", A, {"n": 7}], ["update", "accounts", D, {"n": 0}]])
    told = orjson.loads(await run.read(ALL, identity=GUEST))
    assert [row["n"] for row in told["accounts"]] == [2, 7]
    run.close()


@pytest.mark.rule("FN18")
async def test_the_log_names_the_function(stage: Stage) -> None:
    run = await stage.begin()
    run.draft([["update", "accounts", A, {"n": 7}]])
    made = await done(run, function="billing.pay", identity_name="user:1")
    await stage.write(["update", "accounts", A, {"n": 8}])

    def work(state: Any) -> Any:
        return state.commits_after(made.tx - 1, rows_max=9, bytes_max=10**6)

    logged = stage.database.engine.read_now(work)
    assert [(one.identity, one.function) for one in logged] == [
        ("user:1", "billing.pay"),
        ("admin", None),
    ]


@pytest.mark.rule("FN19")
async def test_a_run_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_limits, "RUN_ROWS_MAX", 7)
    monkeypatch.setattr(function_limits, "RUN_QUERIES_MAX", 2)
    monkeypatch.setattr(function_limits, "RUN_STEPS_MAX", 2)
    run = await stage.begin()
    await run.read(ALL)
    with pytest.raises(LimitExceeded, match="rows"):
        await run.read({"accounts": {}})
    with pytest.raises(LimitExceeded, match="queries"):
        await run.read({"tags": {}})
    run.draft([["update", "accounts", A, {"n": 7}]] * 3)
    for attempt in (run.read(ALL), done(run)):
        with pytest.raises(LimitExceeded, match="steps"):
            await attempt


@pytest.mark.rule("FN7")
async def test_a_run_whose_commits_are_not_known_any_more_runs_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_limits, "RUN_COMMITS_MAX", 2)
    run = await stage.begin()
    await stage.numbers(run, one(A))
    run.draft([["update", "accounts", A, {"n": 7}]])
    for number in range(3):
        await stage.write(["update", "accounts", B, {"n": number}])
    with pytest.raises(Stale) as caught:
        run.find_change()
    assert caught.value.namespaces == ()
    with pytest.raises(Stale):
        await done(run)


@pytest.mark.rule("FN7")
async def test_a_long_transaction_is_checked_too(stage: Stage) -> None:
    steps = [["increment", "accounts", B, {"n": 1}] for _ in range(400)]
    for overtaken, expected in ((C, 401), (A, None)):
        run = await stage.begin()
        await stage.numbers(run, one(A))
        run.draft(steps)
        await stage.write(["update", "accounts", overtaken, {"n": 90}])
        if expected is None:
            with pytest.raises(Stale):
                await done(run)
        else:
            await done(run)
            assert await stage.numbers(query=one(B)) == [expected]


@pytest.mark.rule("FN7")
async def test_a_run_can_ask_whether_its_answers_still_hold(stage: Stage) -> None:
    run = await stage.begin()
    await stage.numbers(run, one(A))
    await stage.write(["update", "accounts", B, {"n": 8}])
    assert run.find_change() is None
    await stage.write(["update", "accounts", A, {"n": 8}])
    met = run.find_change()
    assert met is not None and met.namespaces == ("accounts",)
    assert run.now_floor_ms == stage.runtime.now
    run.close()
    run.close()
    with pytest.raises(Unavailable):
        await run.read(ALL)


@pytest.mark.rule("FN3")
async def test_reads_at_once_are_answered_one_after_the_other(stage: Stage) -> None:
    run = await stage.begin()
    run.draft([["update", "accounts", A, {"n": 9}]])
    told = await asyncio.gather(*(stage.numbers(run, one(account)) for account in ACCOUNTS))
    assert told == [[9], [1], [2], [3]]
    run.close()


@pytest.mark.rule("FN4")
async def test_a_run_ends_when_its_time_is_up(stage: Stage) -> None:
    run = await stage.begin(lasts_ms=0)
    run.draft([["update", "accounts", A, {"n": 7}]])
    await stage.write(["update", "accounts", B, {"n": 8}])
    for attempt in (run.read(ALL), done(run)):
        with pytest.raises(Unavailable) as caught:
            await attempt
        assert caught.value.code == "timeout"
    commits, now = stage.database.run_commits, stage.database.tx
    assert commits.since(TxId(now - 1), now) is None, "nothing is kept for it"


async def test_nothing_is_kept_of_runs_that_ended(stage: Stage) -> None:
    for _ in range(3):
        run = await stage.begin()
        await stage.numbers(run)
        await stage.write(["increment", "accounts", A, {"n": 1}])
        run.close()
        with pytest.raises(TriceError):
            await done(run)
    commits = stage.database.run_commits
    assert commits.since(stage.database.tx - 1, stage.database.tx) is None


@pytest.mark.rule("FN671")
async def test_a_slow_query_of_a_run_is_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(FakeRuntime):
        def monotonic_ms(self) -> float:
            self.advance(200)
            return super().monotonic_ms()

    run = await stage.begin()
    await stage.numbers(run, one(A))
    assert "slow" not in caplog.text
    monkeypatch.setattr(stage.database, "slow_log", SlowLog(Slow(), slow_ms=100))
    await stage.numbers(run, one(B))
    assert "function-query" in caplog.text
    run.close()


@pytest.mark.rule("FN720")
async def test_a_run_without_reads_holds_nothing_and_meets_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = counted(monkeypatch, stage.database.engine, "hold")
    compared = counted(monkeypatch, data_run, "Conflicts")
    runs = [await stage.begin(is_late=True) for _ in range(8)]
    for run in runs:
        run.draft([["increment", "accounts", A, {"n": 1}]])
    await stage.write(["update", "accounts", A, {"n": 5}], ["delete", "accounts", B])
    outcomes = await asyncio.gather(*map(done, runs))
    assert len({outcome.tx for outcome in outcomes}) == 8
    assert await stage.numbers(query=one(A)) == [13]
    assert (held[0], compared[0]) == (0, 0)
    assert not any(run.has_snapshot for run in runs)


@pytest.mark.rule("FN720")
async def test_the_first_read_takes_the_snapshot(stage: Stage) -> None:
    run = await stage.begin(is_late=True)
    run.draft([["update", "accounts", B, {"n": 20}]])
    await stage.write(["update", "accounts", A, {"n": 5}])
    assert await stage.numbers(run, one(A)) == [5], "written before the first read"
    assert (run.has_snapshot, run.tx) == (True, stage.database.tx)
    assert await stage.numbers(run, one(B)) == [20], "its own"
    await stage.write(["update", "accounts", A, {"n": 6}])
    assert await stage.numbers(run, one(A)) == [5], "and stays as it was"
    with pytest.raises(Stale):
        await done(run)


@pytest.mark.rule("FN720", "FN9")
async def test_a_run_that_did_nothing_stands_where_it_began(stage: Stage) -> None:
    run = await stage.begin(is_late=True)
    began = stage.database.tx
    await stage.write(["update", "accounts", A, {"n": 5}])
    assert await done(run) == Committed(TxId(began), b"1")
    other = await stage.begin(is_late=True)
    other.close()
    with pytest.raises(Unavailable):
        await other.read(ALL)


@pytest.mark.rule("FN642", "FN723")
async def test_runs_of_one_group_that_meet_nobody_are_compared_with_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = counted(monkeypatch, data_run, "Conflicts")
    runs = [await stage.begin() for _ in ACCOUNTS]
    for run, account in zip(runs, ACCOUNTS, strict=True):
        (number,) = await stage.numbers(run, one(account))
        run.draft([["update", "accounts", account, {"n": number + 1}]])
    await asyncio.gather(*map(done, runs))
    assert await stage.numbers() == [1, 2, 3, 4]
    assert compared[0] == 0


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[int]:
    """How often something is called from here on."""
    counts, original = [0], getattr(owner, name)

    def called(*given: Any, **options: Any) -> Any:
        counts[0] += 1
        return original(*given, **options)

    monkeypatch.setattr(owner, name, called)
    return counts
