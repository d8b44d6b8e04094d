"""How much one turn of the event loop does, in counted units instead of time."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from trice.store.sqlite.connection import Connection


@dataclass
class LoopMeter:
    """The most that a callback of the loop did since `reset`.

    calls       functions called, of Python and of C: 0.1 to 0.2 µs each on a fast machine, so that
                100,000 are well below 20 ms
    sql_chars   length of the statements run, which SQLite prepares
    """

    calls: int = 0
    sql_chars: int = 0

    def reset(self) -> None:
        self.calls = self.sql_chars = 0


@contextmanager
def metered(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopMeter]:
    """Watch all callbacks of the loops of this thread."""
    meter = LoopMeter()
    thread = threading.get_ident()
    run, rows = asyncio.Handle._run, Connection.rows
    now = [0, 0]

    def count(_frame: Any, event: str, _argument: Any) -> None:
        if event in ("call", "c_call"):
            now[0] += 1

    def watched_run(handle: asyncio.Handle) -> None:
        now[:] = 0, 0
        sys.setprofile(count)
        try:
            run(handle)
        finally:
            sys.setprofile(None)
            meter.calls = max(meter.calls, now[0])
            meter.sql_chars = max(meter.sql_chars, now[1])

    def watched_rows(connection: Connection, sql: str, *more: Any) -> Any:
        if threading.get_ident() == thread:
            now[1] += len(sql)
        return rows(connection, sql, *more)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", watched_run)
        patch.setattr(Connection, "rows", watched_rows)  # interpreted: as what calls `metered`
        yield meter
