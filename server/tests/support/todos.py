"""Works and reads that the engines' contract suite shares. No I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from support.attrs import committed, entity
from trice.store.commit import Commit
from trice.store.engine import Engine, Statements, WriteTx

Open = Callable[[], Engine]
Scenario = Callable[[Engine, Open], Awaitable[None]]
Run = Callable[[Scenario], None]


def insert(number: int, *, slug: str | None = None) -> Callable[[WriteTx], Commit]:
    def work(tx: WriteTx) -> Commit:
        tx.rows(
            "INSERT INTO todos (id, _created_ms, slug, n) VALUES (?, ?, ?, ?)",
            (entity(number), tx.time_ms, slug, number),
        )
        return committed(tx)

    return work


def failing_after(work: Callable[[WriteTx], Commit]) -> Callable[[WriteTx], Commit]:
    def broken(tx: WriteTx) -> Commit:
        work(tx)
        raise KeyError("no such thing")

    return broken


def numbers(statements: Statements) -> list[Any]:
    return [n for (n,) in statements.rows("SELECT n FROM todos ORDER BY n")]
