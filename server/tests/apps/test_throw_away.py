"""What throw-away apps may hold, and what they never become: the app of a sample."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import apsw
import pytest

from trice import limits
from trice.errors import LimitExceeded
from trice.identity import ADMIN

HOUR_MS = 3_600_000


def uid(number: int) -> str:
    return f"e1000000-0000-4000-8000-{number:012d}"


def put(number: int, **values: Any) -> list[Any]:
    return [["update", "todos", uid(number), {"title": "a", **values}]]


# --- quotas -------------------------------------------------------------------------------------


@pytest.mark.rule("S112")
async def test_a_throw_away_app_holds_so_many_rows(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "EPHEMERAL_ROWS_MAX", 10)
    stage = await open_stage()
    app, _ = await stage.apps.create(title="x", life_ms=HOUR_MS)
    write = app.database.transact_admin
    for number in range(10):
        await write(put(number), identity=ADMIN)
    for _ in range(2):
        with pytest.raises(LimitExceeded) as refused:
            await write(put(10), identity=ADMIN)
        assert refused.value.code == "app-quota-exceeded"
        assert refused.value.hint == {"quota": "rows", "current": 10, "limit": 10}
    # Changing what is there, and taking away, goes on; then there is room again.
    await write(put(3, title="b"), identity=ADMIN)
    await write([["delete", "todos", uid(4)]], identity=ADMIN)
    # Of writes that share a commit each counts those before it.
    outcomes = await asyncio.gather(
        *(write(put(number), identity=ADMIN) for number in (20, 21, 22)),
        return_exceptions=True,
    )
    assert [isinstance(each, LimitExceeded) for each in outcomes] == [False, True, True]
    stage.apps.give_back(app)
    await stage.reopen()
    app = await stage.apps.lend(app.id)
    with pytest.raises(LimitExceeded):
        await app.database.transact_admin(put(30), identity=ADMIN)
    lasting, _ = await stage.apps.create(title="x")
    for number in range(12):
        await lasting.database.transact_admin(put(number), identity=ADMIN)


@pytest.mark.rule("S112")
async def test_a_throw_away_app_holds_so_many_bytes(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "EPHEMERAL_BYTES_MAX", 2_000_000)
    stage = await open_stage()
    app, _ = await stage.apps.create(title="x", life_ms=HOUR_MS)
    write = app.database.transact_admin
    with pytest.raises(LimitExceeded) as refused:
        for number in range(30):
            await write(put(number, text=f"{number}" + "x" * 100_000), identity=ADMIN)
    hint = refused.value.hint
    assert (hint["quota"], hint["limit"]) == ("bytes", 2_000_000)
    assert hint["current"] > 2_000_000
    path = stage.folder / "apps" / f"{app.id}.db-wal"
    assert path.stat().st_size < 10_000_000
    with pytest.raises(LimitExceeded):
        await write(put(40, text="y" * 100_000), identity=ADMIN)
    for number in range(10):
        await write([["delete", "todos", uid(number)]], identity=ADMIN)
    await write(put(40, text="y" * 100_000), identity=ADMIN)


@pytest.mark.rule("S241")
async def test_the_log_of_a_throw_away_app_makes_room_for_its_data(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "EPHEMERAL_BYTES_MAX", 2_000_000)
    monkeypatch.setattr(limits, "EPHEMERAL_LOG_ROWS_KEPT", 3)
    stage = await open_stage()
    app, _ = await stage.apps.create(title="x", life_ms=HOUR_MS)

    async def write(number, chars):
        steps = put(1, text=f"{number}" + "x" * chars)
        return await app.database.transact_admin(steps, identity=ADMIN)

    # Over and over the same row: what it was is in the log.
    for number in range(40):
        await write(number, 100_000)
    path = stage.folder / "apps" / f"{app.id}.db"
    with closing(apsw.Connection(str(path))) as file:
        ((kept,),) = file.execute("SELECT count(*) FROM _tx").fetchall()
    assert 3 <= kept <= 10, "the newest"
    # So much at once that those kept are too many too.
    txs = [await write(number, 600_000) for number in range(8)]
    assert txs == list(range(txs[0], txs[0] + 8))
    stage.apps.give_back(app)
    await stage.reopen()
    app = await stage.apps.lend(app.id)
    assert await write(0, 10) == txs[-1] + 1


@pytest.mark.rule("S112")
async def test_a_throw_away_app_has_so_many_users(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "EPHEMERAL_USERS_MAX", 3)
    stage = await open_stage()
    app, _ = await stage.apps.create(title="x", life_ms=HOUR_MS)
    for _ in range(2):
        await stage.apps.lend(app.id)
    with pytest.raises(LimitExceeded) as refused:
        await stage.apps.lend(app.id)
    assert refused.value.hint == {"quota": "users", "current": 3, "limit": 3}
    stage.apps.give_back(app)
    await stage.apps.lend(app.id)
    lasting = await stage.make()
    for _ in range(5):
        await stage.apps.lend(lasting)


@pytest.mark.rule("S112")
async def test_quotas_can_be_switched_off(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "EPHEMERAL_ROWS_MAX", 1)
    monkeypatch.setattr(limits, "EPHEMERAL_USERS_MAX", 1)
    stage = await open_stage()
    await stage.reopen(has_quotas=False)
    app, _ = await stage.apps.create(title="x", life_ms=HOUR_MS)
    app = await stage.apps.lend(app.id)
    for number in range(3):
        await app.database.transact_admin(put(number), identity=ADMIN)


# --- samples ------------------------------------------------------------------------------------


@pytest.mark.rule("S113")
async def test_no_app_of_a_stranger_becomes_a_sample(stage):
    strange, _ = await stage.apps.create(title="sample: todo", life_ms=HOUR_MS, is_open=True)
    lasting, _ = await stage.apps.create(title="sample: todo", is_open=True)
    sample = await stage.apps.open_sample("todo")
    assert sample not in (strange.id, lasting.id)
    assert stage.apps.get_row(sample).expires_ms is None
    await stage.reopen()
    assert await stage.apps.open_sample("todo") == sample
    assert await stage.apps.open_sample("chat") != sample
