"""Connections of held snapshots: used again, and closed when they are not needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.engines import app_engine
from support.runtime import FakeRuntime
from trice import function_limits
from trice.store.sqlite import holds


@pytest.mark.rule("FN4")
@pytest.mark.interpreted("opened connections are counted by a class that is replaced")
async def test_connections_are_used_again_and_closed_when_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[holds.Connection] = []

    def opening(path: str, role: holds.Role) -> holds.Connection:
        opened.append(holds_connection(path, role))
        return opened[-1]

    holds_connection = holds.Connection
    monkeypatch.setattr(holds, "Connection", opening)
    monkeypatch.setattr(function_limits, "HELD_IDLE_MS", 0)
    engine = app_engine(tmp_path / "app.db", FakeRuntime())
    for _ in range(3):
        held = [await engine.hold(lasts_ms=60_000) for _ in range(8)]
        for one in held:
            one.close()
    assert len(opened) == 8
    for _ in range(3):
        (await engine.hold(lasts_ms=60_000)).close()
        await engine.read_on_thread(lambda _: None, timeout_ms=10_000)
    held = [await engine.hold(lasts_ms=60_000) for _ in range(8)]
    assert len(opened) == 8 + 8 - function_limits.HELD_FREE_MAX
    for one in held:
        one.close()
    await engine.close()
