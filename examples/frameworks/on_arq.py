"""arq: work that is done later, in a worker on asyncio, for a user or for the app.

    arq on_arq.WorkerSettings

The worker has one client. A job that runs again writes once: the id of its
transaction is made of its own, which may be any text (`_job_id`).
"""

from __future__ import annotations

import os
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from arq import Retry
from arq.connections import RedisSettings

from trice_client import AsyncClient, TriceError

REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost:6379"))


async def count_todos(ctx: dict[str, Any], report_id: str) -> int:
    """Write how many todos there are; a server that cannot be reached is tried again."""
    db: AsyncClient = ctx["db"]
    event_id = str(uuid5(NAMESPACE_URL, ctx["job_id"]))
    try:
        count: int = (await db.totals("todos", {"count": True}))["count"]
        await db.transact(db.tx.reports[report_id].update({"todos": count}), event_id=event_id)
    except TriceError as error:
        if error.code != "offline":
            raise
        raise Retry(defer=2 ** ctx["job_try"]) from error
    return count


async def startup(ctx: dict[str, Any]) -> None:
    """Make the client of this worker. arq starts and ends in different tasks, so it is not entered:
    what is live would need that, all else does not."""
    ctx["db"] = AsyncClient(
        os.environ["TRICE_APP"],
        server=os.environ["TRICE_URL"],
        admin_token=os.environ["TRICE_ADMIN_TOKEN"],
    )


async def shutdown(ctx: dict[str, Any]) -> None:
    """End its connections."""
    await ctx["db"].aclose()


class WorkerSettings:
    """What `arq` reads."""

    functions = (count_todos,)
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = REDIS
    max_tries = 5
