"""Live pages over dates finer than a millisecond, as clients in JavaScript order them."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.engines import open_database
from support.live_stage import Stage
from support.runtime import FakeRuntime
from trice.catalog.dates import instant_text, instant_us

DUE = {"valueType": "date", "required": False, "config": {"indexed": True, "unique": False}}
SCHEMA: dict[str, Any] = {"entities": {"todos": {"attrs": {"due": DUE}}}, "links": {}}
START_US = 1_735_776_000_000_000
TODOS = 14
COMMITS = 120


def todo(number: int) -> str:
    return f"e{number:07d}-0000-4000-8000-000000000000"


def drawn_date(draw: random.Random) -> str | float | None:
    instant = START_US + draw.randrange(3) * 1000 + draw.choice((0, 0, 1, 500, 999))
    return draw.choice((instant_text(instant), instant_text(instant), instant / 1000, None))


def as_client(dues: dict[str, str | float | None], *, is_descending: bool) -> list[str]:
    """Ids as a client in JavaScript orders them: by millisecond, then id."""

    def key(entity: str) -> tuple[int, int, str]:
        value = dues[entity]
        if value is None:
            return (0, 0, entity)
        instant = instant_us(value)
        assert instant is not None
        return (1, instant // 1000, entity)

    return sorted(dues, key=key, reverse=is_descending)


def window(options: dict[str, Any], dues: dict[str, str | float | None]) -> list[str]:
    """The ids of a page."""
    whole = as_client(dues, is_descending=options["order"]["due"] == "desc")
    if "last" in options:
        return whole[-options["last"] :]
    return whole[options.get("offset", 0) :][: options["limit"]]


PAGES = [
    {"order": {"due": direction}, **cut}
    for direction in ("asc", "desc")
    for cut in ({"limit": 3}, {"last": 4}, {"limit": 7}, {"limit": 3, "offset": 2})
]


@pytest.fixture
async def stage(tmp_path: Path, exits: AsyncExitStack) -> Stage:
    runtime = FakeRuntime()
    database = await open_database(tmp_path / "app.db", runtime=runtime, schema=SCHEMA)
    exits.push_async_callback(database.close)
    return Stage(database, runtime)


@pytest.mark.rule("Q180")
@pytest.mark.parametrize("seed", range(3))
async def test_live_pages_follow_commits_within_a_millisecond(stage: Stage, seed: int) -> None:
    draw = random.Random(seed)
    dues: dict[str, str | float | None] = {}
    watched = [await stage.watch({"todos": {"$": options}}) for options in PAGES]
    for _ in range(COMMITS):
        entity = todo(draw.randrange(TODOS))
        if entity in dues and draw.random() < 0.2:
            del dues[entity]
            await stage.write(["delete", "todos", entity])
        else:
            dues[entity] = drawn_date(draw)
            await stage.write(["update", "todos", entity, {"due": dues[entity]}])
        for options, one in zip(PAGES, watched, strict=True):
            shown = {row["id"]: row["due"] for row in one.rows("todos")}
            assert list(shown) == window(options, dues), f"seed {seed}: {options}"
            assert shown == {entity: dues[entity] for entity in shown}
    assert stage.live.counts.patched > COMMITS, "most is applied in memory"


@pytest.mark.rule("Q180")
@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_what_is_in_the_millisecond_of_the_row_beyond_moves_a_page(
    stage: Stage, direction: str
) -> None:
    """The date of the new row lies behind that of the row beyond, its id before."""
    is_descending = direction == "desc"
    middle, first = START_US + 500, START_US + (1000 if is_descending else -1000)
    dues: dict[str, str | float | None] = {todo(5): instant_text(first)}
    dues |= {todo(6): instant_text(middle), todo(7): instant_text(middle)}
    for entity, due in dues.items():
        await stage.write(["update", "todos", entity, {"due": due}])
    options = {"order": {"due": direction}, "limit": 2}
    watched = await stage.watch({"todos": {"$": options}})
    new = todo(8 if is_descending else 4)
    dues[new] = instant_text(middle + (-400 if is_descending else 400))
    await stage.write(["update", "todos", new, {"due": dues[new]}])
    assert [row["id"] for row in watched.rows("todos")] == window(options, dues)
    assert new in window(options, dues) and watched.told == 1
