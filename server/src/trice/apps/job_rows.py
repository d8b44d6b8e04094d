"""Jobs of schema pushes as rows of the platform's database.

    $schemaJobs   id, job: all that is kept of it (JSON, `job.Job.dump`)

Ids are in the order of time (`runtime.new_key`), and so are the jobs of a push.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from trice import account_limits
from trice.apps.job import Job, load_job
from trice.database import Change, Database, Look

_JOBS: Final = "$schemaJobs"


class JobRows:
    """Reads and writes. Holds nothing but the database.

    Every method may raise Unavailable("overloaded") when the disk is full.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> list[Job]:
        """All jobs, oldest first."""
        found: list[Job] = []
        after: str | None = None
        while some := await self._database.look(lambda look: _page(look, after)):  # noqa: B023
            found += (load_job(row["job"]) for row in some)
            after = some[-1]["key"]
        return found

    async def write(self, jobs: Iterable[Job]) -> None:
        """Add jobs, or write them as they are now."""
        steps = [["update", _JOBS, job.id, {"key": job.id, "job": job.dump()}] for job in jobs]
        await self._change(steps)

    async def delete(self, ids: Iterable[str]) -> None:
        """Remove jobs."""
        await self._change([["delete", _JOBS, job_id] for job_id in ids])

    async def _change(self, steps: list[Any]) -> None:
        def write(change: Change) -> None:
            change.write(*steps)

        is_long = len(steps) > account_limits.JOB_ROWS_ON_LOOP
        await self._database.change(write, is_long=is_long)


def _page(look: Look, after: str | None) -> list[dict[str, Any]]:
    form: dict[str, Any] = {"order": {"key": "asc"}, "limit": account_limits.JOB_ROWS_READ}
    if after is not None:
        form["where"] = {"key": {"$gt": after}}
    return look.find({_JOBS: {"$": form}})[_JOBS]
