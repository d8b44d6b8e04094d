"""A database with accounts, and short words for runs of functions on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from support.engines import open_database
from support.run_model import ACCOUNTS, SCHEMA
from support.runtime import FakeRuntime
from trice.data_run import Committed, DataRun
from trice.database import Database
from trice.identity import ADMIN

ALL = {"accounts": {"$": {"order": {"n": "asc"}}}}


class Stage:
    """A database with accounts and short words for runs."""

    def __init__(self, database: Database, runtime: FakeRuntime) -> None:
        self.database = database
        self.runtime = runtime

    @classmethod
    async def open(cls, path: Path) -> Stage:
        runtime = FakeRuntime()
        stage = cls(await open_database(path, runtime=runtime, schema=SCHEMA), runtime)
        accounts = enumerate(ACCOUNTS)
        await stage.write(*(["create", "accounts", one, {"n": at}] for at, one in accounts))
        return stage

    async def write(self, *steps: list[Any]) -> int:
        return await self.database.transact_admin(list(steps), identity=ADMIN)

    async def begin(self, **options: Any) -> DataRun:
        return await DataRun.begin(self.database, **options)

    async def numbers(self, run: DataRun | None = None, query: Any = ALL) -> list[Any]:
        if run is not None:
            told = await run.read(query)
        else:
            told = await self.database.query_nested(query, identity=ADMIN, is_inferring=True)
        return [row.get("n") for row in orjson.loads(told)["accounts"]]


async def done(run: DataRun, *, value: bytes = b"1", **options: Any) -> Committed:
    given = {"function": "a.b", "identity_name": "guest", **options}
    return await run.commit(value=value, **given)


def one(account: str) -> dict[str, Any]:
    return {"accounts": {"$": {"where": {"id": account}}}}
