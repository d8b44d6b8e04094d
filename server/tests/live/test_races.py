"""Long runs that are overtaken, given up, or fail; answers dropped to save memory."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from support.live_stage import IDS
from trice import limits
from trice.errors import TriceError
from trice.identity import ADMIN, Identity
from trice.live.live_query import Question
from trice.protocol.ids import EntityId
from trice.rules.document import Rules

TODOS = {"todos": {}}
SIZE = {
    "id": "aa000000-0000-4000-8000-0000000000f1",
    "forward-identity": ["ab000000-0000-4000-8000-0000000000f1", "todos", "size"],
    "value-type": "blob",
    "cardinality": "one",
    "unique?": False,
    "index?": True,
}


@pytest.fixture(autouse=True)
def nothing_is_patched(monkeypatch):
    """Whole runs are what races: no answer is small enough to be patched."""
    monkeypatch.setattr(limits, "LIVE_PATCH_ROWS_MAX", -1)
    monkeypatch.setattr(limits, "LIVE_PLAN_BYTES", 0)


async def many_todos(stage):
    await stage.write(
        *(
            ["update", "todos", f"e{n:07d}-2222-4000-8000-000000000000", {"rank": n}]
            for n in range(1000)
        )
    )


async def thread_run(stage):
    """Wait until a refresh has moved to a thread."""
    for _ in range(100):
        if stage.live.counts.rerun_on_thread:
            return
        await asyncio.sleep(0)
    raise AssertionError("no refresh moved to a thread")


def question(query):
    return Question.of(query, identity=ADMIN, rights="admin", shape="tree")


@pytest.mark.rule("L16")
async def test_a_watch_that_is_given_up_leaves_nothing_behind(stage, monkeypatch):
    await many_todos(stage)
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
    for moment in range(6):
        task = asyncio.ensure_future(stage.watch(TODOS))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stage.live.settled()
        assert len(stage.live) == 0
    task = asyncio.ensure_future(stage.watch(TODOS))
    other = asyncio.ensure_future(stage.watch(TODOS))
    await asyncio.sleep(0)
    task.cancel()
    assert len((await other).rows("todos")) == 1000
    assert len(stage.live) == 1


@pytest.mark.rule("L16")
async def test_the_last_watcher_ends_the_long_run_too(stage, monkeypatch):
    await many_todos(stage)
    watched = await stage.watch(TODOS)
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
    await stage.database.transact_admin(
        [["update", "todos", IDS["t1"], {"rank": 1}]], identity=ADMIN
    )
    await thread_run(stage)
    watched.stop()
    await stage.live.settled()
    assert (len(stage.live), watched.told) == (0, 0)
    assert len(stage.live._subscriptions) == 0


@pytest.mark.rule("L12")
async def test_a_long_run_that_is_overtaken_does_not_bring_the_past_back(stage, monkeypatch):
    await many_todos(stage)
    watched = await stage.watch(TODOS)
    old = watched.live.answer
    with monkeypatch.context() as patch:
        patch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
        write = stage.database.transact_admin(
            [["update", "todos", IDS["t1"], {"rank": 1}]], identity=ADMIN
        )
        await write
        await thread_run(stage)
    # The short run of somebody who asks now comes before the long one ends.
    stage.live.recall(watched.live)
    assert stage.live.watch_now(question(TODOS), lambda live: None).tx == stage.database.tx
    stage.live._adopt(watched.live, old, watched.live.tx - 1)
    assert len(watched.rows("todos")) == 1001
    await stage.live.settled()
    assert len(watched.rows("todos")) == 1001


@pytest.mark.rule("L12")
async def test_commits_after_the_run_that_overtook_a_long_one_are_not_lost(stage, monkeypatch):
    """The long run, still under way, kept the last commit from being looked at, and then counted
    for nothing. Found while looking for what the oracle had found."""
    await many_todos(stage)
    watched = await stage.watch(TODOS)
    read_on_thread = stage.database.engine.read_on_thread
    first, second, last = ([["update", "todos", IDS[f"t{n}"], {"rank": n}]] for n in (1, 2, 3))
    has_read, is_overtaken = asyncio.Event(), asyncio.Event()

    async def read_slowly(work, **options):
        found = await read_on_thread(work, **options)
        has_read.set()
        await is_overtaken.wait()
        return found

    monkeypatch.setattr(stage.database.engine, "read_on_thread", read_slowly)
    with monkeypatch.context() as patch:
        patch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
        await stage.database.transact_admin(first, identity=ADMIN)
        await has_read.wait()
    await stage.database.transact_admin(second, identity=ADMIN)
    stage.live.recall(watched.live)
    stage.live.watch_now(question(TODOS), lambda live: None)
    await stage.database.transact_admin(last, identity=ADMIN)
    while stage.live._due:  # noqa: ASYNC110
        await asyncio.sleep(0)
    is_overtaken.set()
    await stage.live.settled()
    assert len(watched.rows("todos")) == 1003
    assert watched.live.tx == stage.database.tx


@pytest.mark.rule("L12", "L9")
async def test_a_long_run_sees_attrs_that_change_meanwhile(stage, monkeypatch):
    await many_todos(stage)
    await stage.database.transact([["add-attr", SIZE]], identity=ADMIN)
    watched = await stage.watch(TODOS)
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)
    await stage.database.transact_admin(
        [["update", "todos", IDS["t1"], {"rank": 1}]], identity=ADMIN
    )
    await thread_run(stage)
    await stage.database.transact([["delete-attr", SIZE["id"]]], identity=ADMIN)
    await stage.live.settled()
    assert all("size" not in row for row in watched.rows("todos"))


@pytest.mark.rule("L13")
async def test_a_long_run_that_breaks_is_told_and_recovers(stage, monkeypatch, caplog):
    await many_todos(stage)
    watched = await stage.watch(TODOS)
    with monkeypatch.context() as patch:
        patch.setattr(limits, "READ_STEPS_ON_LOOP", 1_000)

        async def broken(*_args):
            raise RuntimeError("a bug on the thread")

        patch.setattr(stage.live, "_run_on_thread", broken)
        await stage.write(["update", "todos", "t1", {"rank": 1}])
    assert watched.told == 1
    assert isinstance(watched.live.error, TriceError)
    assert "a bug on the thread" in caplog.text
    await stage.write(["update", "people", "p1", {"name": "x"}])
    assert (watched.told, watched.live.error) == (2, None)
    assert len(watched.rows("todos")) == 1001


@pytest.mark.rule("L13")
async def test_a_watcher_that_breaks_does_not_stop_the_others(stage, caplog):
    def broken(_live):
        raise RuntimeError("a bug in a watcher")

    await stage.database.watch(question(TODOS), broken)
    watched = await stage.watch(TODOS)
    for number in (1, 2):
        await stage.write(["update", "todos", "t1", {"rank": number}])
    assert watched.told == 2
    assert "a bug in a watcher" in caplog.text


@pytest.mark.rule("L17")
async def test_answers_beyond_the_limit_are_dropped_and_come_back(stage, monkeypatch):
    await stage.write(["update", "todos", "t1", {"title": "x" * 500, "rank": 1}])
    monkeypatch.setattr(limits, "LIVE_RESULTS_BYTES_MAX", 1_200)
    watches = [
        await stage.watch({"todos": {"$": {"where": {"rank": {"$gt": -n}}}}}) for n in range(4)
    ]
    at_hand = [watched.live.answer is not None for watched in watches]
    assert at_hand == [False, False, True, True]
    runs = stage.live.counts.rerun_query
    await stage.write(["update", "people", "p1", {"name": "untouched"}])
    assert stage.live.counts.rerun_query == runs
    # Asked again: run again, and the others are not told of what did not change.
    again = await stage.watch({"todos": {"$": {"where": {"rank": {"$gt": 0}}}}})
    assert again.live is watches[0].live
    again.stop()
    assert len(watches[0].rows("todos")) == 1
    assert [watched.told for watched in watches] == [0] * 4
    # Recalled: told, changed or not.
    stage.live.recall(watches[1].live)
    await stage.live.settled()
    assert watches[1].told == 1
    assert len(watches[1].rows("todos")) == 1
    # Touched: all are run again and told, whether their answer was at hand or not.
    await stage.write(["update", "todos", "t1", {"title": "y" * 500}])
    assert [watched.told for watched in watches] == [1, 2, 1, 1]
    for watched in watches:
        watched.stop()
    assert stage.live._kept_bytes == 0


@pytest.mark.rule("L46")
async def test_an_answer_that_was_ahead_of_its_label_is_sent_again(stage, monkeypatch):
    await stage.write(["update", "todos", "t1", {"title": "a"}])
    watched = await stage.watch({"todos": {}})
    writer = stage.database.engine._writer
    settle = writer._settle
    told = []

    def settle_late(*outcome):
        # The commit is in every new snapshot, and published only below.
        stage.live._refresh(watched.live)
        told.append((watched.told, watched.rows("todos")[0]["title"], watched.live.tx))
        settle(*outcome)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_settle", settle_late)
        before = stage.database.tx
        await stage.write(["update", "todos", "t1", {"title": "b"}])
    assert told == [(1, "b", before)]
    assert watched.told == 2, "the content is the same, the label is not"
    assert watched.live.tx == stage.database.tx == before + 1
    await stage.write(["update", "people", "p1", {"name": "c"}])
    assert watched.told == 2


@pytest.mark.rule("L46")
@pytest.mark.parametrize(
    "query", [{"todos": {}}, {"todos": {"$": {"aggregate": {"max": "title"}}}}], ids=["rows", "max"]
)
async def test_so_is_one_that_is_carried_forward(stage, monkeypatch, query):
    """A first run is ahead; what it kept already holds the commit when that is published."""
    monkeypatch.setattr(limits, "LIVE_PATCH_ROWS_MAX", 2_000)
    await stage.write(["update", "todos", "t1", {"title": "a"}])
    writer = stage.database.engine._writer
    settle = writer._settle
    early = []

    def settle_late(*outcome):
        question = Question.of(query, identity=ADMIN, rights="admin", shape="flat")
        told = []
        early.append((stage.live.watch_now(question, told.append), told))
        settle(*outcome)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_settle", settle_late)
        runs, before = stage.live.counts.rerun_query, stage.database.tx
        await stage.write(["update", "todos", "t1", {"title": "b"}])
    ((live, told),) = early
    assert b'"b"' in live.answer.result_json
    assert stage.live.counts.rerun_query == runs + 1, "the first run"
    assert (len(told), live.tx) == (1, before + 1)
    await stage.write(["update", "todos", "t1", {"rank": 1}])
    await stage.write(["update", "people", "p1", {"name": "c"}])
    assert len(told) == (2 if query == {"todos": {}} else 1)


@pytest.mark.rule("L32")
@pytest.mark.parametrize("rows_max", [-1, 2_000], ids=["whole runs", "patched"])
async def test_a_plan_used_again_ahead_of_a_change_of_its_caller_is_not_kept(
    stage, monkeypatch, rows_max
):
    """Found by the oracle (seed 42): the plan was taken for one made after that commit."""
    view = "auth.role == 'boss' || data.title != 'secret'"
    monkeypatch.setattr(limits, "LIVE_PATCH_ROWS_MAX", rows_max)
    await stage.write(["update", "$users", "p1", {"email": "a@x.test", "role": "none"}])
    await stage.write(["update", "todos", "t1", {"title": "secret"}])
    await stage.write(["update", "todos", "t2", {"title": "open"}])
    stage.database.set_rules(Rules.parse({"todos": {"allow": {"view": view}}}))
    identity = Identity("user", EntityId(bytes.fromhex(IDS["p1"].replace("-", ""))))
    asked = stage.database.question(TODOS, identity=identity, shape="tree")
    live = await stage.database.watch(asked, lambda _: None)
    writer = stage.database.engine._writer
    settle = writer._settle

    def settle_late(*outcome):
        # The role has changed in every new snapshot, and the plan is still that of before.
        stage.live._adopt(live, stage.live._run_now(asked, live), stage.database.tx)
        settle(*outcome)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_settle", settle_late)
        await stage.write(["update", "$users", "p1", {"role": "boss"}])
    fresh = orjson.loads(await stage.database.query_nested(TODOS, identity=identity))
    assert len(fresh["todos"]) == 2
    assert orjson.loads(live.answer.result_json) == fresh
