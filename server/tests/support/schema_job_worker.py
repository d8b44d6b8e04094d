"""Jobs of a schema push that kill themselves (SIGKILL): `schema_job_worker.py FOLDER MOMENT`.

A moment is before or after each turn of a job, and each write of its row. With the moment 0 the
jobs run to their end. It prints how many moments there were. The next run goes on with the jobs.
`apps/test_schema_jobs_killed.py` reads that.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from support.engines import open_apps
from support.moments import Moments
from trice import account_limits
from trice.apps.job_rows import JobRows
from trice.apps.schema_jobs import SchemaJobs
from trice.background import Background
from trice.identity import ADMIN
from trice.protocol.ids import AppId
from trice.runtime import SystemRuntime
from trice.store.sqlite.writer import Writer
from trice.transact.schema_steps import parse_schema_steps

ROWS = 40


async def work(folder: Path, moments: Moments) -> None:
    """Make an app with rows and push jobs; or go on with those that are there."""
    is_new = not (folder / "app").exists()
    runtime = SystemRuntime()
    apps = await open_apps(folder, runtime=runtime, is_open_by_default=True)
    background = Background(runtime)
    jobs = SchemaJobs(apps, runtime=runtime, background=background)
    if is_new:
        app, _ = await apps.create(title="killed", is_open=True)
        ids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(ROWS)]
        steps = [
            ["update", "items", one, {"label": f"v{at * 7 % ROWS}", "note": None}]
            for at, one in enumerate(ids)
        ]
        await app.database.transact_admin(steps, identity=ADMIN)
        attr = app.database.catalog.find_forward("items", "label")
        note = app.database.catalog.find_forward("items", "note")
        assert attr is not None and note is not None
        raw = [
            ["index", {"attr-id": attr.id}],
            ["check-data-type", {"attr-id": attr.id, "checked-data-type": "string"}],
            ["unique", {"attr-id": attr.id}],
            ["index", {"attr-id": note.id}],
            ["remove-index", {"attr-id": note.id}],
        ]
        await jobs.push(app, parse_schema_steps(raw))
        apps.give_back(app)
        (folder / "app").write_text(app.id)
    app_id = AppId((folder / "app").read_text())
    _count(moments)
    await jobs.load()
    for job in jobs.of_app(app_id):
        if not job.is_over:
            await job.ended.wait()
    await background.stop()
    await apps.close()


def _count(moments: Moments) -> None:
    moments.around(Writer, "_run_upkeep")
    moments.around(Writer, "_run_long")
    moments.around(JobRows, "write")


def main() -> None:
    folder, moments = Path(sys.argv[1]), Moments(int(sys.argv[2]))
    account_limits.SCHEMA_ROWS_AT_ONCE = 0
    account_limits.RESHAPING_ROWS_FIRST = account_limits.RESHAPING_ROWS_MAX = 15
    asyncio.run(work(folder, moments))
    sys.stdout.write(f"{moments.seen}\n")


if __name__ == "__main__":
    main()
