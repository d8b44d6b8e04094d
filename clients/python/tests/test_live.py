"""What is live, against `trice serve`: on asyncio, on trio, and without a loop."""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from client_apps import App, make_app
from mortal_server import mortal
from support.patience import POLL_S, WAIT_S
from trice_client import TriceError, new_id

QUERY = {"todos": {"$": {"order": {"n": "asc"}}}}
LIVE_QUERIES = 1_000
WRITES = 80


def numbers(answer: object) -> list[int]:
    return [row["n"] for row in answer.data["todos"]]  # type: ignore[attr-defined]


@pytest.mark.rule("PY30", "PY32", "PY34")
@pytest.mark.anyio
async def test_a_query_is_told_whenever_it_changes(app: App) -> None:
    with anyio.fail_after(WAIT_S):
        async with app.aio() as db, db.subscribe_query(QUERY) as second:
            first = db.subscribe_query(QUERY)

            assert numbers(await anext(first)) == numbers(await anext(second)) == []
            for n in range(3):
                await db.transact(db.tx.todos[new_id()].create({"n": n}))
                assert numbers(await anext(first)) == list(range(n + 1))
            # Who reads late is told the newest, once.
            assert numbers(await anext(second))[-1] == 2
            assert db.connection == "open"
            async with db.subscribe_query(QUERY) as third:
                assert numbers(await anext(third)) == [0, 1, 2]
            await first.aclose()
            assert [numbers(each) async for each in first] == []
            await db.transact(db.tx.todos[new_id()].create({"n": 3}))
            assert numbers(await anext(second)) == [0, 1, 2, 3]


@pytest.mark.rule("PY33")
@pytest.mark.anyio
async def test_what_is_refused_is_raised(app: App) -> None:
    with anyio.fail_after(WAIT_S):
        with pytest.raises(TriceError) as early:
            app.aio().subscribe_query(QUERY)
        assert early.value.code == "not-entered"
        async with app.aio() as db:
            with pytest.raises(TriceError) as refused:
                await anext(db.subscribe_query({"todos": {"$": {"where": {"n": {"$no": 1}}}}}))
            assert refused.value.code == "validation-failed"
            wrong = db.as_user(token=new_id())
            with pytest.raises(TriceError) as unknown:
                await anext(wrong.subscribe_query(QUERY))
            assert unknown.value.code == "record-not-found"
            live = db.subscribe_query(QUERY)
            await anext(live)
        assert [each async for each in live] == []
        with pytest.raises(TriceError):
            await db.query(QUERY)


@pytest.mark.rule("PY102")
@pytest.mark.anyio
async def test_a_client_may_be_closed_twice_and_inside_of_its_block(app: App) -> None:
    with anyio.fail_after(WAIT_S):
        async with app.aio() as db:
            live = db.subscribe_query(QUERY)
            await anext(live)
            await db.aclose()
            assert [each async for each in live] == []
            await anyio.lowlevel.checkpoint()  # what follows in the block still runs
            for caller in (db, db.as_guest()):
                with pytest.raises(TriceError, match="is closed"):
                    caller.subscribe_query(QUERY)
        await db.aclose()


@pytest.mark.rule("PY102")
def test_a_client_without_a_loop_may_be_closed_twice(app: App) -> None:
    with app.sync() as db:
        live = db.subscribe_query(QUERY)
        live.get(WAIT_S)
        db.close()
        assert list(live) == []
    db.close()


@pytest.mark.rule("PY33")
@pytest.mark.anyio
async def test_what_a_block_raises_leaves_it_as_it_is(app: App) -> None:
    with anyio.fail_after(WAIT_S):
        with pytest.raises(ZeroDivisionError):
            async with app.aio() as db:
                await anext(db.subscribe_query(QUERY))
                raise ZeroDivisionError
        with anyio.CancelScope() as scope:
            async with app.aio() as db:
                await anext(db.subscribe_query(QUERY))
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught


@pytest.mark.rule("PY36")
@pytest.mark.anyio
async def test_a_reader_that_is_cancelled_loses_nothing(app: App) -> None:
    with anyio.fail_after(WAIT_S):
        async with app.aio() as db, db.subscribe_query(QUERY) as live:
            await anext(live)
            with anyio.move_on_after(0):
                await anext(live)
            await db.transact(db.tx.todos[new_id()].create({"n": 1}))
            assert numbers(await anext(live)) == [1]


@pytest.mark.rule("PY35")
@pytest.mark.anyio
async def test_rooms(app: App) -> None:
    with anyio.fail_after(WAIT_S):
        async with app.aio() as db:
            bob = db.as_user(token=await db.auth.create_token(email="bob@example.com"))
            async with (
                db.join_room("chat", "one", presence={"name": "Ada"}) as room,
                bob.join_room("chat", "one") as other,
            ):
                await other.publish_presence({"name": "Bob", "mood": "well"})
                async for seen in room.watch_presence():
                    if [*seen.peers.values()] == [{"name": "Bob", "mood": "well"}]:
                        break
                heard = room.topic("emoji")
                await other.publish_topic("emoji", {"emoji": "🔥"})
                message = await anext(heard)
                assert message.data == {"emoji": "🔥"} and message.peer_id in seen.peers
                with pytest.raises(TriceError, match="already"):
                    db.join_room("chat", "one")
                members = await db.rooms.get_presence("chat", "one")
                assert len(members) == 2
            assert await db.rooms.get_presence("chat", "one") == {}


@pytest.mark.rule("PY30", "PY33", "PY35", "PY36")
def test_without_a_loop(app: App) -> None:
    with app.sync() as db:
        with db.subscribe_query(QUERY) as live:
            assert numbers(live.get(WAIT_S)) == []
            with pytest.raises(TriceError) as silent:
                live.get(0.001)
            assert silent.value.code == "timeout"
            for n, answer in enumerate(live_writes(db, live), 1):
                assert numbers(answer) == list(range(n))
        assert list(live) == []
        with db.join_room("chat", "two", presence={"name": "Ada"}) as room:
            topic = room.topic("t")
            db.rooms.publish_topic("chat", "two", "t", 1)
            assert topic.get(WAIT_S).data == 1
            assert room.watch_presence().get(WAIT_S).user == {"name": "Ada"}
        waiting = db.subscribe_query(QUERY)
        waiting.get(WAIT_S)
        ended: list[str] = []
        reader = threading.Thread(target=lambda: ended.extend(map(str, waiting)))
        reader.start()
    reader.join(WAIT_S)
    assert not reader.is_alive() and ended == []


def live_writes(db: object, live: Iterator[object]) -> Iterator[object]:
    for n in range(3):
        db.transact(db.tx.todos[new_id()].create({"n": n}))  # type: ignore[attr-defined]
        yield next(live)


@pytest.mark.rule("PY5", "PY31", "PY35")
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_killed_server_doubles_and_loses_nothing(tmp_path: Path) -> None:
    with mortal(tmp_path / "data") as server, anyio.fail_after(WAIT_S):
        app = make_app(server.url)
        counter, heard, is_half = new_id(), list[int](), anyio.Event()
        is_whole = anyio.Event()
        async with app.aio(retry_s=WAIT_S) as db, anyio.create_task_group() as tasks:
            await db.transact(db.tx.todos[counter].create({"n": 0}))
            live = db.subscribe_query(QUERY)
            room = db.join_room("chat", "kept", presence={"name": "Ada"})
            await room.joined()

            async def count() -> None:
                for _ in range(WRITES // 4):
                    await db.transact(db.tx.todos[counter].increment({"n": 1}))

            async def listen() -> None:
                async for answer in live:
                    heard.extend(numbers(answer))
                    if heard[-1] >= WRITES // 2:
                        is_half.set()
                    if heard[-1] == WRITES:
                        is_whole.set()
                        return

            tasks.start_soon(listen)
            async with anyio.create_task_group() as writers:
                for _ in range(4):
                    writers.start_soon(count)
                await is_half.wait()
                await anyio.to_thread.run_sync(server.kill)
                await anyio.to_thread.run_sync(server.start)
            await is_whole.wait()
            assert heard == sorted(set(heard)), "no answer is told twice, none goes back"
            assert heard[-1] == WRITES
            while len(await db.rooms.get_presence("chat", "kept")) != 1:  # noqa: ASYNC110
                await anyio.sleep(POLL_S)
            assert room.presence.user == {"name": "Ada"}


@pytest.mark.rule("PY38")
def test_a_thousand_live_queries(app: App) -> None:
    with app.sync() as db:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        all_live = [
            db.subscribe_query({"todos": {"$": {"where": {"n": n}}}}) for n in range(LIVE_QUERIES)
        ]
        assert [live.get(WAIT_S).data for live in all_live] == [{"todos": []}] * LIVE_QUERIES
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        for n in range(0, LIVE_QUERIES, 100):
            db.transact(db.tx.todos[new_id()].create({"n": n}))
            assert numbers(all_live[n].get(WAIT_S)) == [n]
        sys.stdout.write(
            f"{LIVE_QUERIES:,} live queries on one connection: {grown / 1024:.1f} MiB\n"
        )
        assert grown < 64 * 1024
