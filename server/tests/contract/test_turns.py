"""Long reads of many: nobody waits for what others have asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from support.attrs import committed
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from support.todos import ask, put
from trice import limits
from trice.errors import Unavailable
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Snapshot, WriteTx


class Held:
    """Reads that stay on their threads until they are let go."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._gate = threading.Event()
        self.began: list[str] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def start(self, name: str, turn_key: tuple[str, str], *, timeout_ms: int = 5_000) -> None:
        def work(snapshot: Snapshot) -> str:
            self.began.append(name)
            assert self._gate.wait(timeout=WAIT_S)
            snapshot.spend(10**9)
            return name

        self.tasks.append(
            asyncio.create_task(
                self._engine.read_on_thread(work, timeout_ms=timeout_ms, turn_key=turn_key)
            )
        )

    def let_go(self) -> None:
        self._gate.set()


@asynccontextmanager
async def held(engine: Engine) -> AsyncIterator[Held]:
    reads = Held(engine)
    try:
        yield reads
    finally:
        reads.let_go()
        await asyncio.gather(*reads.tasks, return_exceptions=True)


async def quick(engine: Engine, turn_key: tuple[str, str]) -> int:
    return await engine.read_on_thread(
        lambda snapshot: snapshot.tx, timeout_ms=5_000, turn_key=turn_key
    )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - told by a thread
            await asyncio.sleep(0)


@pytest.mark.rule("S81")
async def test_no_network_has_all_threads(engine: Engine) -> None:
    async with held(engine) as reads:
        for number in range(20):
            reads.start(f"crowd{number}", ("crowd", f"user{number}"))
        await until(lambda: len(reads.began) == limits.READER_THREADS_OF_NETWORK)
        for _ in range(3):
            assert await quick(engine, ("house", "eve")) == 1
        assert len(reads.began) == limits.READER_THREADS_OF_NETWORK
        reads.let_go()
        assert len(await asyncio.gather(*reads.tasks)) == 20


@pytest.mark.rule("S83")
async def test_waiting_is_no_part_of_the_time_of_a_read(
    engine: Engine, runtime: FakeRuntime
) -> None:
    async with held(engine) as reads:
        for number in range(limits.READER_THREADS):
            reads.start(f"{number}", (f"crowd{number}", ""), timeout_ms=600_000)
        await until(lambda: len(reads.began) == limits.READER_THREADS)
        waiting = asyncio.create_task(quick(engine, ("house", "eve")))
        await asyncio.sleep(0)
        runtime.advance(60_000)
        reads.let_go()
        assert await waiting == 1


@pytest.mark.rule("S83")
async def test_who_waits_too_long_is_told(open_todos: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READ_WAIT_MS", 0)
    engine = await open_todos()
    async with held(engine) as reads:
        reads.start("first", ("crowd", "x"))
        await until(lambda: len(reads.began) == 1)
        with pytest.raises(Unavailable) as refused:
            await quick(engine, ("crowd", "x"))
        assert refused.value.code == "overloaded"
        assert await quick(engine, ("house", "eve")) == 1
        reads.let_go()
        assert await asyncio.gather(*reads.tasks) == ["first"]
        assert await quick(engine, ("crowd", "x")) == 1


@pytest.mark.rule("S84")
async def test_a_network_fills_its_own_queue_only(
    open_todos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "READS_WAITING_OF_NETWORK_MAX", 3)
    monkeypatch.setattr(limits, "READS_WAITING_MAX", 4)
    engine = await open_todos()
    async with held(engine) as reads:
        for number in range(limits.READER_THREADS):
            reads.start(f"{number}", (f"crowd{number}", ""))
        await until(lambda: len(reads.began) == limits.READER_THREADS)
        for number in range(3):
            reads.start(f"more{number}", ("crowd0", f"user{number}"))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            await quick(engine, ("crowd0", "another"))
        assert refused.value.code == "overloaded"
        reads.start("other", ("crowd1", ""))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(quick(engine, ("house", "eve")))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await reads.tasks[limits.READER_THREADS + 2]
        reads.let_go()
        assert await waiting == 1
        outcomes = await asyncio.gather(*reads.tasks, return_exceptions=True)
        assert [one for one in outcomes if isinstance(one, Unavailable)] == [
            outcomes[limits.READER_THREADS + 2]
        ]


@pytest.mark.rule("S81")
async def test_cancelled_waiting_takes_no_turn(engine: Engine) -> None:
    async with held(engine) as reads:
        reads.start("first", ("crowd", "x"))
        await until(lambda: len(reads.began) == 1)
        for number in range(5):
            reads.start(f"gone{number}", ("crowd", "x"))
        await asyncio.sleep(0)
        for task in reads.tasks[1:]:
            task.cancel()
        reads.let_go()
        await asyncio.gather(*reads.tasks, return_exceptions=True)
        assert reads.began == ["first"]
        assert await quick(engine, ("crowd", "x")) == 1


@pytest.mark.rule("S85")
async def test_ilike_in_any_case_counts_its_work(engine: Engine) -> None:
    def fill(text: str) -> Callable[[WriteTx], Commit]:
        def work(tx: WriteTx) -> Commit:
            for number in range(100):
                put(tx, "todos", len(text) * 100 + number, title=f"{number}{text}")
            return committed(tx)

        return work

    def count(snapshot: Snapshot) -> int:
        where = {"title": {"$ilike": "%é%x"}}
        return len(ask(snapshot, {"todos": {"$": {"where": where}}})["todos"])

    await engine.write(fill("aÉx"))
    assert engine.read_now(count) == 100
    await engine.write(fill("ä" * 1_000))
    # A hundred rows more, but much to fold.
    with pytest.raises(ReadTooLong):
        engine.read_now(count)
    assert await engine.read(count, timeout_ms=60_000) == 100
