"""A database of its own, with watchers that count."""

from __future__ import annotations

from typing import Any

import orjson

from support.runtime import FakeRuntime
from trice.database import Database
from trice.errors import InvalidInput
from trice.identity import ADMIN
from trice.live.live_query import LiveQuery, Question

IDS = {
    name: f"e{number:07d}-0000-4000-8000-000000000000"
    for number, name in enumerate(("t1", "t2", "t3", "p1", "p2", "g1", "g2"))
}


class Watched:
    """One watched query: what it was told, and its answer as nested objects."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.told = 0
        self.live: LiveQuery

    def __call__(self, live: LiveQuery) -> None:
        self.told += 1

    def rows(self, etype: str) -> list[Any]:
        assert self.live.answer is not None
        return list(orjson.loads(self.live.answer.result_json)[etype])

    def answer(self) -> tuple[bytes, bytes]:
        assert self.live.answer is not None
        return self.live.answer.result_json, self.live.answer.meta_json

    def stop(self) -> None:
        self.stage.database.unwatch(self.live, self)


class Stage:
    """A database and short words for writing and watching."""

    def __init__(self, database: Database, runtime: FakeRuntime) -> None:
        self.database = database
        self.runtime = runtime
        self.live = database.live

    async def write(self, *steps: list[Any]) -> None:
        """Apply admin steps with ids by name, and wait until every answer is current."""
        await self.database.transact_admin(_with_ids(list(steps)), identity=ADMIN)
        await self.live.settled()

    async def write_low(self, first: list[Any], *steps: list[Any]) -> None:
        """Apply `first` as it is, then add, take and delete steps that name attrs by label."""
        low = list(first)
        if low and steps:
            await self.database.transact(low, identity=ADMIN)
            low = []
        for step in steps:
            match step:
                case ["add" | "take" as kind, entity, etype, label, value]:
                    attr = self.database.catalog.find_forward(etype, label)
                    assert attr is not None, f"{etype}.{label}"
                    op = "add-triple" if kind == "add" else "retract-triple"
                    low.append([op, entity, attr.id, value])
                case ["delete", entity, etype]:
                    low.append(["delete-entity", entity, etype])
        self.runtime.advance(1)
        await self.database.transact(low, identity=ADMIN)
        await self.live.settled()

    async def try_watch(self, query: dict[str, Any]) -> Watched | None:
        """`watch`, or None when the query is invalid."""
        try:
            return await self.watch(query)
        except InvalidInput:
            return None

    async def watch(self, query: dict[str, Any], *, shape: str = "tree") -> Watched:
        watched = Watched(self)
        question = Question.of(_with_ids(query), identity=ADMIN, rights="admin", shape=shape)
        watched.live = await self.database.watch(question, watched)
        return watched


def _with_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_ids(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_with_ids(child) for child in value]
    return IDS.get(value, value) if isinstance(value, str) else value


def _field(kind: str) -> dict[str, Any]:
    return {"valueType": kind, "required": False, "config": {"indexed": True, "unique": False}}


SCHEMA = {
    "entities": {
        "todos": {"attrs": {"title": _field("string"), "rank": _field("number")}},
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
