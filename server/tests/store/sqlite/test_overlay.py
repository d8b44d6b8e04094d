"""Own writes over a snapshot cost what they touch, not what the app holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.engines import open_database
from support.runtime import FakeRuntime
from trice import limits
from trice.data_run import DataRun
from trice.database import Database
from trice.identity import ADMIN
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.store.commit import Commit
from trice.store.engine import Held, Snapshot, WriteTx
from trice.transact.batches import play


def _field(kind: str, *, is_unique: bool = False) -> dict[str, Any]:
    config = {"indexed": True, "unique": is_unique}
    return {"valueType": kind, "required": False, "config": config}


SCHEMA = {
    "entities": {
        "todos": {
            "attrs": {
                "title": _field("string"),
                "due": _field("date"),
                "n": _field("number"),
                "code": _field("string", is_unique=True),
            }
        },
        "people": {"attrs": {"name": _field("string")}},
        "tags": {"attrs": {"word": _field("string")}},
    },
    "links": {
        "owner": {
            "forward": {"on": "todos", "label": "owner", "has": "one"},
            "reverse": {"on": "people", "label": "todos", "has": "many"},
        },
        "tags": {
            "forward": {"on": "todos", "label": "tags", "has": "many"},
            "reverse": {"on": "tags", "label": "todos", "has": "many"},
        },
    },
}
ROWS = 4_000
STEPS = 6_000
"""Instructions that each question may take; a look at every row takes five times as many."""


def _id(kind: str, number: int) -> str:
    return f"{kind}{number:07x}-0000-4000-8000-000000000000"


async def filled(path: Path) -> Database:
    database = await open_database(path, runtime=FakeRuntime(), schema=SCHEMA)
    people = [["create", "people", _id("a", at), {"name": f"p{at}"}] for at in range(400)]
    tags = [["create", "tags", _id("b", at), {"word": f"w{at}"}] for at in range(400)]
    await database.transact_admin(people + tags, identity=ADMIN)
    for start in range(0, ROWS, 1_000):
        steps: list[Any] = []
        for at in range(start, start + 1_000):
            values = {"title": f"t{at:05}", "n": at, "code": f"c{at}", "due": at * 10**6}
            values["owner"] = _id("a", at % 400)
            steps.append(["create", "todos", _id("c", at), values])
            steps.append(["link", "todos", _id("c", at), {"tags": _id("b", at % 400)}])
        await database.transact_admin(steps, identity=ADMIN)
    return database


OWN = (
    ["update", "todos", _id("c", 5), {"title": "t00003x", "n": 3.5}],
    ["create", "todos", _id("c", ROWS), {"title": "t", "n": 1, "owner": _id("a", 3), "due": 5}],
    ["link", "todos", _id("c", ROWS), {"tags": _id("b", 7)}],
    ["update", "people", _id("a", 3), {"name": "p7"}],
    ["update", "tags", _id("b", 7), {"word": "w8"}],
    ["delete", "todos", _id("c", 9)],
)


def _todos(**options: Any) -> dict[str, Any]:
    return {"todos": {"$": options}}


QUESTIONS = {
    "id": _todos(where={"id": _id("c", 5)}),
    "unique": _todos(where={"code": "c77"}),
    "newest": _todos(order={"serverCreatedAt": "desc"}, limit=20),
    "number": _todos(order={"n": "asc"}, limit=20),
    "text": _todos(order={"title": "asc"}, limit=20),
    "text-back": _todos(order={"title": "desc"}, limit=20),
    "date": _todos(order={"due": "desc"}, limit=20),
    "range": _todos(where={"n": {"$gt": 500, "$lt": 520}}),
    "owner": _todos(where={"owner": _id("a", 3)}),
    "owner-page": _todos(where={"owner": _id("a", 3)}, order={"serverCreatedAt": "desc"}, limit=5),
    "path": _todos(where={"owner.name": "p7"}),
    "down": {"people": {"$": {"where": {"id": _id("a", 3)}}, "todos": {"tags": {}}}},
    "up": {"todos": {"$": {"where": {"id": _id("c", 5)}}, "owner": {}, "tags": {}}},
    "count": _todos(aggregate={"count": True}, where={"n": {"$lt": 100}}),
}


async def runs_of(held: Held, question: Any) -> int:
    """How often a read began: once on the loop; again where it took more than STEPS."""
    runs: list[int] = []

    def work(snapshot: Snapshot) -> None:
        runs.append(1)
        parsed = parse(question, snapshot.catalog, is_admin=True)
        run(plan(parsed, snapshot.catalog, dialect=snapshot.dialect), snapshot)

    await held.read(work)
    return len(runs)


@pytest.mark.rule("FN5")
async def test_questions_over_own_writes_use_the_indexes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await filled(tmp_path / "app.db")
    held = await database.engine.hold(lasts_ms=600_000)

    def write(tx: WriteTx) -> Commit:
        return play(tx, OWN, runtime=database.runtime).commit

    await held.write(write)
    monkeypatch.setattr(limits, "READ_STEPS_ON_LOOP", STEPS)
    assert await runs_of(held, _todos(where={"title": {"$like": "%x%"}})) == 2, "STEPS bites"
    scanning = [name for name, asked in QUESTIONS.items() if await runs_of(held, asked) != 1]
    assert scanning == []
    held.close()
    await database.close()


@pytest.mark.rule("FN5")
async def test_pages_over_own_writes_are_those_after_the_commit(tmp_path: Path) -> None:
    database = await filled(tmp_path / "app.db")
    run = await DataRun.begin(database)
    run.draft(OWN)
    own = {name: await run.read(asked) for name, asked in QUESTIONS.items()}
    await run.commit(function="a.b", identity_name="admin", value=b"1")
    for name, asked in QUESTIONS.items():
        told = await database.query_nested(asked, identity=ADMIN, is_inferring=True)
        assert sorted(told) == sorted(own[name]) and len(told) == len(own[name]), name
        if "order" in asked.get("todos", {}).get("$", {}):
            assert told == own[name], name
    await database.close()
