"""What every storage engine promises about transactions and the catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest

from support.attrs import blob, committed, creating, entity, link
from support.runtime import FakeRuntime
from support.todos import Open, ask, failing_after, insert, numbers, put
from trice import limits
from trice.errors import Unavailable
from trice.protocol.ids import EventId
from trice.store.commit import Commit
from trice.store.engine import Engine, WriteTx
from trice.store.rows import UniqueViolation


@pytest.mark.rule("S1")
async def test_ids_rise_by_one_and_survive_reopening(engine: Engine, open_engine: Open) -> None:
    assert [await engine.write(insert(n)) for n in (1, 2)] == [2, 3]
    with pytest.raises(KeyError):
        await engine.write(failing_after(insert(3)))
    assert await engine.write(insert(4)) == 4
    assert engine.tx == 4
    await engine.close()
    again = open_engine()
    assert again.tx == 4
    assert await again.write(insert(5)) == 5
    await again.close()


@pytest.mark.rule("S2")
async def test_work_that_raises_leaves_nothing_and_harms_nobody(engine: Engine) -> None:
    outcomes = await asyncio.gather(
        engine.write(insert(1)),
        engine.write(insert(2)),
        engine.write(failing_after(insert(3))),
        engine.write(insert(4)),
        return_exceptions=True,
    )
    assert outcomes[:2] == [2, 3] and outcomes[3] == 4
    assert isinstance(outcomes[2], KeyError)
    assert engine.read_now(numbers) == [1, 2, 4]


@pytest.mark.rule("S3")
async def test_listeners_hear_each_group_in_order_before_its_writers(engine: Engine) -> None:
    groups: list[list[int]] = []

    def listener(commits: Sequence[Commit]) -> None:
        groups.append([commit.tx for commit in commits])
        assert engine.tx == commits[-1].tx
        assert engine.read_now(lambda snapshot: snapshot.tx) == engine.tx

    async def write(number: int) -> None:
        tx = await engine.write(insert(number))
        assert any(tx in group for group in groups)

    engine.on_commits(listener)
    await asyncio.gather(*(write(number) for number in range(1, 5)))
    assert groups == [[2], [3, 4, 5]], "those that waited for the first share the second"


@pytest.mark.rule("S3")
async def test_listener_that_fails_keeps_nobody_waiting(engine: Engine) -> None:
    problems: list[Any] = []
    heard: list[int] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))

    def broken(_: Sequence[Commit]) -> None:
        raise ValueError("listener")

    engine.on_commits(broken)
    engine.on_commits(lambda commits: heard.extend(commit.tx for commit in commits))
    assert await engine.write(insert(1)) == 2
    assert heard == [2]
    assert isinstance(problems[0]["exception"], ValueError)


@pytest.mark.rule("S4")
async def test_replay_is_applied_once(engine: Engine, open_engine: Open) -> None:
    event = EventId("e1")
    assert await engine.write(insert(1), event_id=event) == 2
    assert await engine.write(insert(1), event_id=event) == 2
    twin = EventId("e2")
    first = engine.write(insert(2))
    twins = (engine.write(insert(3), event_id=twin) for _ in range(2))
    assert await asyncio.gather(first, *twins) == [3, 4, 4]
    await engine.close()
    again = open_engine()
    assert await again.write(insert(1), event_id=event) == 2
    assert again.tx == 4
    await again.close()


@pytest.mark.rule("S4")
async def test_event_whose_work_failed_may_come_again(engine: Engine) -> None:
    event = EventId("e1")
    with pytest.raises(KeyError):
        await engine.write(failing_after(insert(1)), event_id=event)
    assert await engine.write(insert(1), event_id=event) == 2


@pytest.mark.rule("S5")
async def test_cancelled_write_stands(engine: Engine) -> None:
    tasks = [asyncio.create_task(engine.write(insert(n))) for n in (1, 2, 3)]
    await asyncio.sleep(0)  # the first commits, the others wait
    for task in tasks[:2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[:2]] == [True] * 2
    assert outcomes[2] == 4
    assert engine.read_now(numbers) == [1, 2, 3]


@pytest.mark.rule("S6")
async def test_close_finishes_what_was_accepted_and_refuses_more(
    engine: Engine, open_engine: Open
) -> None:
    tasks = [asyncio.create_task(engine.write(insert(n))) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await engine.write(insert(4))
    assert refused.value.code == "overloaded"
    await closing
    assert [task.result() for task in tasks] == [2, 3, 4]
    again = open_engine()
    assert again.read_now(numbers) == [1, 2, 3]
    await again.close()


@pytest.mark.rule("S6")
async def test_full_queue_refuses(open_todos: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "TX_QUEUE_MAX", 2)
    engine = await open_todos()
    outcomes = await asyncio.gather(
        *(engine.write(insert(n)) for n in range(1, 5)), return_exceptions=True
    )
    assert outcomes[:3] == [2, 3, 4]
    assert isinstance(outcomes[3], Unavailable) and outcomes[3].code == "overloaded"


@pytest.mark.rule("S7")
async def test_group_is_bounded(open_todos: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "TX_GROUP_MAX", 2)
    engine = await open_todos()
    sizes: list[int] = []
    engine.on_commits(lambda commits: sizes.append(len(commits)))
    await asyncio.gather(*(engine.write(insert(n)) for n in range(1, 7)))
    assert sizes == [1, 2, 2, 1]


@pytest.mark.rule("S7")
async def test_group_lets_the_loop_breathe(engine: Engine, runtime: FakeRuntime) -> None:
    def slow(number: int) -> Callable[[WriteTx], Commit]:
        def work(tx: WriteTx) -> Commit:
            runtime.advance(limits.TX_GROUP_WORK_MS / 2)
            return insert(number)(tx)

        return work

    sizes: list[int] = []
    engine.on_commits(lambda commits: sizes.append(len(commits)))
    await asyncio.gather(*(engine.write(slow(n)) for n in range(1, 7)))
    assert sizes == [1, 2, 2, 1]


@pytest.mark.rule("S3")
async def test_listener_may_write(engine: Engine) -> None:
    order: list[str] = []
    answers = []

    def writer(commits: Sequence[Commit]) -> None:
        order.append(f"first hears {commits[0].tx}")
        if commits[0].tx == 2:
            answers.append(engine.submit(insert(2)))

    engine.on_commits(writer)
    engine.on_commits(lambda commits: order.append(f"second hears {commits[0].tx}"))
    assert await engine.write(insert(1)) == 2
    assert await answers[0] == 3
    heard = ["first hears 2", "second hears 2", "first hears 3", "second hears 3"]
    assert order == heard


@pytest.mark.rule("S8")
async def test_unique_violation_names_its_attr_and_the_value(engine: Engine) -> None:
    await engine.write(insert(1, slug="a"))
    with pytest.raises(UniqueViolation) as failed:
        await engine.write(insert(2, slug="a"))
    assert (failed.value.attr.name, failed.value.cell) == ("todos.slug", "a")
    with pytest.raises(UniqueViolation) as failed:
        await engine.write(insert(1))
    assert (failed.value.attr.name, failed.value.cell) == ("todos.id", entity(1))
    assert engine.read_now(numbers) == [1]


@pytest.mark.rule("S8")
async def test_unique_violation_of_links(engine: Engine) -> None:
    ones = link("a. b", "c", "todos", "ones", cardinality="one", is_unique=True)
    many = link("a. b", "d.e, f", "todos", "many", is_unique=True)
    await engine.write(creating(blob("a. b", "id"), ones, many))

    def column(tx: WriteTx) -> Commit:
        put(tx, "a. b", 1, c=entity(9))
        put(tx, "a. b", 2, c=entity(9))
        return committed(tx)

    def pairs(tx: WriteTx) -> Commit:
        for source in (1, 2):
            tx.stored.link(tx.catalog.by_id[many.id], entity(source), entity(9), 1)
        return committed(tx)

    for attr, work in ((ones, column), (many, pairs)):
        with pytest.raises(UniqueViolation) as failed:
            await engine.write(work)
        assert (failed.value.attr.id, failed.value.cell) == (attr.id, entity(9))


@pytest.mark.rule("S15")
async def test_catalog_survives_reopening(engine: Engine, open_engine: Open) -> None:
    attrs = (
        blob("p", "id"),
        blob("p", "when", is_indexed=True, checked_type="date", inferred=3),
        blob("p", "gone", deleted_ms=5, metadata={"soft_delete_snapshot": {"is_indexed": True}}),
        link("p", "todos", "todos", "p", is_required=True, on_delete="cascade"),
        link("p", "one", "todos", "ps", cardinality="one", on_delete_reverse="cascade"),
    )
    await engine.write(creating(*attrs))

    def fill(tx: WriteTx) -> Commit:
        put(tx, "p", 1, when="2025-01-02", one=entity(7))
        return committed(tx)

    await engine.write(fill)
    before = engine.catalog.by_id
    assert {attr.id for attr in attrs} < set(before)
    await engine.close()
    again = open_engine()
    assert again.catalog.by_id == before
    for attr in attrs:
        assert again.catalog.by_id[attr.id].metadata == attr.metadata
    assert again.read_now(lambda state: ask(state, {"p": {"one": {}}})) == {
        "p": [{"id": str(UUID(int=1)), "when": "2025-01-02", "one": []}]
    }
    await again.close()


@pytest.mark.rule("S15")
async def test_transactions_of_a_group_see_the_catalog_before_them(engine: Engine) -> None:
    seen: list[int] = []

    def look(tx: WriteTx) -> Commit:
        seen.append(len(tx.catalog.by_id))
        return committed(tx)

    await asyncio.gather(
        engine.write(look),
        engine.write(creating(blob("x", "id"))),
        engine.write(look),
        engine.write(failing_after(creating(blob("y", "id")))),
        engine.write(look),
        return_exceptions=True,
    )
    assert seen == [5, 6, 6]
    assert len(engine.catalog.by_id) == 6
