"""Whose turns a transaction takes."""

from __future__ import annotations

import asyncio

import pytest

from support.engines import open_database
from support.runtime import FakeRuntime
from trice.database import Change
from trice.identity import ADMIN, Identity
from trice.limits import TX_ADMIN_STEPS_ON_LOOP, TX_STEPS_ON_LOOP
from trice.rules.document import Rules


def uid(number: int) -> str:
    return f"e0000000-0000-4000-8000-{number:012d}"


LONG_ADMIN = [["update", "todos", uid(n), {"n": n}] for n in range(TX_ADMIN_STEPS_ON_LOOP + 1)]


@pytest.mark.rule("P180")
async def test_what_the_server_writes_waits_for_one_long_work_of_admins(tmp_path) -> None:
    database = await open_database(
        tmp_path / "app.db", runtime=FakeRuntime(), rules=Rules.parse(None)
    )

    def work(change: Change) -> None:
        change.write(["update", "todos", uid(0), {"n": 0}])

    try:
        await database.transact_admin(LONG_ADMIN[:1], identity=ADMIN)
        before = database.tx
        long = [database.transact_admin(LONG_ADMIN, identity=ADMIN) for _ in range(3)]
        calls = [asyncio.ensure_future(call) for call in long]
        await asyncio.sleep(0)
        await database.change(work)
        ids = await asyncio.gather(*calls)
        assert ids[0] == before + 1
        assert ids[1:] == [before + 3, before + 4]
    finally:
        await database.close()


@pytest.mark.rule("P181")
async def test_addresses_of_one_network_share_its_turns(tmp_path) -> None:
    database = await open_database(
        tmp_path / "app.db", runtime=FakeRuntime(), rules=Rules.parse(None)
    )

    def long(ip: str) -> asyncio.Future[int]:
        guest = Identity("guest", ip=ip)
        return database.submit(steps, identity=guest)

    try:
        await database.transact_admin([["update", "todos", uid(0), {"n": 0}]], identity=ADMIN)
        attr = database.catalog.find_forward("todos", "n")
        assert attr is not None
        steps = [["add-triple", uid(0), attr.id, n] for n in range(TX_STEPS_ON_LOOP + 1)]
        before = database.tx
        ids = await asyncio.gather(
            *(long(f"2001:db8::{n}") for n in range(1, 4)), long("192.0.2.1")
        )
        assert ids[3] == before + 3  # as soon as it can be, behind two of them
        assert ids[0] == before + 1
    finally:
        await database.close()
