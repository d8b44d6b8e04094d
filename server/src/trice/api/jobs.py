"""Jobs of an app, for its developer: listed, cancelled, run again.

source   spec/functions.md FN386
"""

from __future__ import annotations

from typing import Any, Final, get_args

from starlette.requests import Request
from starlette.responses import Response

from trice import job_limits
from trice.api.bodies import Route
from trice.api.callers import developed
from trice.api.middleware import json_response
from trice.api.parameters import malformed, uuid_in
from trice.calls.jobs.job import State
from trice.calls.jobs.jobs import Jobs
from trice.catalog.dates import iso_text

_STATES: Final[dict[str, State]] = {state: state for state in get_args(State)}
_TIMES: Final = {
    "dueAt": "due_at",
    "scheduledFor": "scheduled_for",
    "startedAt": "started_at",
    "finishedAt": "finished_at",
}


async def list_jobs(request: Request) -> Response:
    """`GET /dash/apps/:app_id/jobs?state=&function=&limit=` → `{"jobs"}`, newest first:

    {"id", "function", "state", "args", "attempt", "key", "cron", "due_at", "scheduled_for",
     "started_at", "finished_at", "error", "trace"}
    """
    async with developed(request) as app:
        params = request.query_params
        given = params.get("state")
        state = None if given is None else _STATES.get(given)
        if given is not None and state is None:
            raise malformed("params", "state", given=given, accepted=", ".join(_STATES))
        function = params.get("function")
        found = await _jobs(request).listed(
            app.database, state=state, function=function, count=_limit(params.get("limit"))
        )
        return json_response({"jobs": [_told(row) for row in found]})


async def run_job(request: Request) -> Response:
    """`POST …/jobs/:id/run` → `{}`: a job that failed is run again."""
    async with developed(request) as app:
        await _jobs(request).rerun(app.database, uuid_in(request.path_params, "id", place="params"))
        return json_response({})


async def cancel_job(request: Request) -> Response:
    """`POST …/jobs/:id/cancel` → `{"state"}`, which it had: one that runs ends soon."""
    async with developed(request) as app:
        job_id = uuid_in(request.path_params, "id", place="params")
        return json_response({"state": await _jobs(request).cancel(app.database, job_id)})


def _limit(given: str | None) -> int:
    most = job_limits.JOBS_LISTED_MAX
    if given is None:
        return job_limits.JOBS_LISTED
    if not (given.isascii() and given.isdigit() and 0 < int(given[:9]) <= most):
        raise malformed("params", "limit", given=given, accepted=f"1 to {most}")
    return int(given)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    told = {"id": row["id"]}
    told |= {
        key: row.get(key)
        for key in ("function", "state", "args", "attempt", "key", "cron", "error", "trace")
    }
    for label, name in _TIMES.items():
        time_ms = row.get(label)
        told[name] = None if time_ms is None else iso_text(int(time_ms))
    return told


def _jobs(request: Request) -> Jobs:
    found: Jobs = request.app.state.jobs
    return found


_DASH: Final = "/dash/apps/{app_id}/jobs"

ROUTES: Final = (
    Route(_DASH, list_jobs, methods=["GET"]),
    Route(f"{_DASH}/{{id}}/run", run_job, methods=["POST"]),
    Route(f"{_DASH}/{{id}}/cancel", cancel_job, methods=["POST"]),
)
