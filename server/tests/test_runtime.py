"""Ids: which tell when they were made, and which tell nothing."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from pathlib import Path

import pytest

from support.engines import open_database
from support.runtime import FakeRuntime
from trice.identity import ADMIN
from trice.runtime import new_key, new_key_bytes, new_uuid


@pytest.mark.rule("S208")
def test_keys_are_in_order_of_time_and_differ() -> None:
    runtime = FakeRuntime()
    made = []
    for _ in range(50):
        made.append([new_key_bytes(runtime) for _ in range(4)])
        runtime.advance(1)
    flat = [key for batch in made for key in batch]
    assert len(set(flat)) == 200
    for before, after in itertools.pairwise(made):
        assert max(before) < min(after)
    runtime = FakeRuntime(now=0x0123456789AB)
    read = uuid.UUID(new_key(runtime))
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == 0x0123456789AB


@pytest.mark.rule("S209")
def test_secrets_tell_nothing_of_the_time() -> None:
    first, second = (FakeRuntime(now=now, seed=5) for now in (1, 10**12))
    assert new_uuid(first) == new_uuid(second)
    assert uuid.UUID(new_uuid(first)).version == 4


async def _versions(path: Path) -> dict[str, set[int | None]]:
    runtime = FakeRuntime()
    database = await open_database(path, runtime=runtime)
    field = {"valueType": "string", "required": False, "isIndexed": True, "config": {}}
    await database.add_schema(
        {"entities": {"t": {"attrs": {"name": field}, "links": {}}}, "links": {}, "rooms": {}}
    )
    await database.transact_admin([["update", "u", new_key(runtime), {"a": 1}]], identity=ADMIN)
    attrs = [attr for attr in database.catalog.by_id.values() if not attr.is_system]
    found = {
        "attrs": {uuid.UUID(attr.id).version for attr in attrs},
        "names": {uuid.UUID(attr.forward.id).version for attr in attrs},
    }
    await database.close()
    return found


@pytest.mark.rule("S208")
def test_attrs_that_the_server_makes_have_keys(tmp_path: Path) -> None:
    found = asyncio.run(_versions(tmp_path / "app.db"))
    assert found == {"attrs": {7}, "names": {7}}
