"""Jobs of schema pushes, listed and canceled; soft-deleted attrs, listed.

source   instant-http §3.6, §4.8, §5.8; spec/schema-jobs.md
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from trice.api.bodies import Route
from trice.api.callers import admin_caller, developed
from trice.api.middleware import json_response
from trice.api.parameters import uuid_in
from trice.apps import removed_attrs
from trice.apps.schema_jobs import SchemaJobs


async def list_jobs(request: Request) -> Response:
    """`GET /dash/apps/:app_id/indexing-jobs` → `{"jobs"}`, newest first. Ours."""
    async with developed(request) as app:
        jobs = await _jobs(request)
        return json_response({"jobs": [job.to_json() for job in jobs.of_app(app.id)]})


async def cancel_job(request: Request) -> Response:
    """`DELETE /dash/apps/:app_id/indexing-jobs/:job_id` → `{"job"}` as it ended. Ours."""
    async with developed(request) as app:
        job_id = uuid_in(request.path_params, "job_id", place="params")
        job = await (await _jobs(request)).cancel(app.id, job_id)
        return json_response({"job": job.to_json()})


async def get_job_group(request: Request) -> Response:
    """`GET /dash/apps/:app_id/indexing-jobs/group/:group_id` → `{"jobs"}`; none if unknown."""
    async with developed(request) as app:
        group_id = uuid_in(request.path_params, "group_id", place="params")
        jobs = (await _jobs(request)).group(app.id, group_id)
        return json_response({"jobs": [job.to_json() for job in jobs]})


async def get_job(request: Request) -> Response:
    """`GET /dash/apps/:app_id/indexing-jobs/:job_id` → `{"job"}`."""
    async with developed(request) as app:
        job_id = uuid_in(request.path_params, "job_id", place="params")
        return json_response({"job": (await _jobs(request)).get(app.id, job_id).to_json()})


async def list_deleted(request: Request) -> Response:
    """`GET /dash/apps/:app_id/soft_deleted_attrs` (and below `/superadmin`)
    → `{"attrs": [attr with "deletion-marked-at"], "grace-period-days"}`, newest first."""
    async with developed(request) as app:
        return json_response(removed_attrs.told(app))


async def list_deleted_as_admin(request: Request) -> Response:
    """`GET /admin/soft_deleted_attrs` → the same."""
    async with admin_caller(request) as lent:
        return json_response(removed_attrs.told(lent.app))


async def _jobs(request: Request) -> SchemaJobs:
    jobs: SchemaJobs = request.app.state.schemas.jobs
    await jobs.load()
    return jobs


_DASH: Final = "/dash/apps/{app_id}"

ROUTES: Final = (
    Route(f"{_DASH}/indexing-jobs", list_jobs, methods=["GET"]),
    Route(f"{_DASH}/indexing-jobs/group/{{group_id}}", get_job_group, methods=["GET"]),
    Route(f"{_DASH}/indexing-jobs/{{job_id}}", get_job, methods=["GET"]),
    Route(f"{_DASH}/indexing-jobs/{{job_id}}", cancel_job, methods=["DELETE"]),
    Route(f"{_DASH}/soft_deleted_attrs", list_deleted, methods=["GET"]),
    Route("/superadmin/apps/{app_id}/soft_deleted_attrs", list_deleted, methods=["GET"]),
    Route("/admin/soft_deleted_attrs", list_deleted_as_admin, methods=["GET"]),
)
