"""The schema of an app over HTTP: read, planned, pushed. Answers are JSON, made on threads.

source   instant-http §4.4-§4.8, §5.4; spec/accounts.md AC30-AC38
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import orjson

from trice import account_limits
from trice.apps.apps import App, Apps
from trice.apps.job import Job
from trice.apps.removed_attrs import RemovedAttrs
from trice.apps.schema_jobs import Pushed, SchemaJobs
from trice.background import Background
from trice.catalog.catalog import Catalog
from trice.catalog.dates import iso_text
from trice.catalog.schema_steps import SchemaPlan, plan_push
from trice.catalog.schema_view import schema_view
from trice.errors import Unavailable, invalid, no_record
from trice.identity import TurnKey
from trice.runtime import Runtime
from trice.shares import ALL, Shares
from trice.transact.schema_steps import JOBS, parse_schema_steps

T = TypeVar("T")


class Schemas:
    """Reads and pushes schemas. Holds `jobs`, which pushes have begun.

    The work is done on a thread, one at a time: two would hold up the loop twice as much.
    """

    def __init__(self, jobs: SchemaJobs, removed: RemovedAttrs, *, runtime: Runtime) -> None:
        self.jobs = jobs
        self._removed = removed
        self._runtime = runtime
        self._turn = asyncio.Lock()
        self._waiting = Shares()

    def start(self, background: Background) -> None:
        """Go on with jobs that a stop cut off, and remove deleted attrs when their time is over."""
        background.begin(self.jobs.load())
        self._removed.start(background)

    async def view(self, app: App, *, turn_key: TurnKey) -> bytes:
        """The schema as clients read it, as JSON: `{"blobs", "refs"}`.

        raises   Unavailable("overloaded") when its network, or all, have too much under way; so do
                 the other methods
        """
        return await self._on_thread(turn_key, _view, app.database.catalog)

    async def pulled(self, app: App, *, turn_key: TurnKey) -> bytes:
        """`{"schema", "attrs", "app-title"}`, attrs of the system included."""
        return await self._on_thread(turn_key, _pull_answer, app.database.catalog, app.title)

    async def planned(self, app: App, body: dict[str, Any], *, turn_key: TurnKey) -> bytes:
        """`{"new-schema", "current-schema", "current-attrs", "steps"}` of a schema.

        body    {"schema", "check_types"?, "supports_background_updates"?}
        raises  InvalidInput, LimitExceeded
        """
        plan = await self._plan(app, body, turn_key)
        return await self._on_thread(turn_key, _plan_answer, plan, {})

    async def pushed(self, app: App, body: dict[str, Any], *, turn_key: TurnKey) -> bytes:
        """Plan, then apply; the answer of `planned` with that of `applied`; raises as both."""
        plan = await self._plan(app, body, turn_key)
        applied = await self._apply(app, plan.steps, turn_key)
        return await self._on_thread(turn_key, _plan_answer, plan, applied)

    async def applied(self, app: App, steps: Any, *, turn_key: TurnKey) -> bytes:
        """Apply steps; `{"transaction", "steps", "indexing-jobs"}`.

        steps   decoded JSON of any shape
        raises  InvalidInput, Conflict, LimitExceeded, Unavailable; then nothing was done
        """
        applied = await self._apply(app, steps, turn_key)
        return await self._on_thread(turn_key, orjson.dumps, applied)

    async def begin_job(
        self, app: App, kind: Any, given: dict[str, Any], *, turn_key: TurnKey
    ) -> Job:
        """Begin one job by itself; returns it as it waits.

        kind    of `transact.schema_steps.JOBS`; decoded JSON, as is `given`, its parameters
        raises  InvalidInput, NotFound("record-not-found", attrs), Unavailable
        """
        if not isinstance(kind, str) or kind not in JOBS:
            problem = f"The type of a job is one of {', '.join(JOBS)}."
            raise invalid("job-type", kind, [{"message": problem, "in": ["job-type"]}])
        steps = parse_schema_steps([[kind, given]])
        attr = app.database.catalog.by_id.get(steps.jobs[0].attr_id)
        if attr is None or attr.deleted_ms is not None:
            raise no_record("attrs", "This app has no attribute with this id.")
        pushed = await self.jobs.push(app, steps, turn_key=turn_key)
        return pushed.jobs[0]

    async def _plan(self, app: App, body: dict[str, Any], turn_key: TurnKey) -> SchemaPlan:
        plan = partial(
            plan_push,
            is_typed=body.get("check_types") is True,
            has_jobs=body.get("supports_background_updates") is True,
        )
        catalog = app.database.catalog
        return await self._on_thread(turn_key, plan, body.get("schema"), catalog, self._runtime)

    async def _on_thread(self, turn_key: TurnKey, work: Callable[..., T], *args: Any) -> T:
        bounds = {
            ALL: account_limits.SCHEMA_READS_MAX,
            (turn_key[0],): account_limits.SCHEMA_READS_OF_NETWORK,
        }
        if not self._waiting.take(1, bounds):
            raise Unavailable("overloaded", "Too many requests for schemas at once. Try later.")
        try:
            async with self._turn:
                return await asyncio.to_thread(work, *args)
        finally:
            self._waiting.give_back(1, bounds)

    async def _apply(self, app: App, raw: Any, turn_key: TurnKey) -> dict[str, Any]:
        steps = await self._on_thread(turn_key, parse_schema_steps, raw)
        pushed = await self.jobs.push(app, steps, turn_key=turn_key)
        made_at = iso_text(self._runtime.now_ms())
        transaction = {"id": pushed.tx, "app_id": app.id, "created_at": made_at}
        return {
            "transaction": {} if pushed.tx is None else transaction,
            "steps": [_with_job(step, pushed, at) for at, step in enumerate(raw)],
            "indexing-jobs": None
            if pushed.group_id is None
            else {
                "group-id": pushed.group_id,
                "jobs": [job.to_json() for job in pushed.jobs.values()],
            },
        }


def make_schemas(apps: Apps, *, runtime: Runtime, background: Background) -> Schemas:
    """The schemas of a server's apps."""
    jobs = SchemaJobs(apps, runtime=runtime, background=background)
    return Schemas(jobs, RemovedAttrs(apps, runtime=runtime), runtime=runtime)


def _view(catalog: Catalog) -> bytes:
    return orjson.dumps(schema_view(catalog))


def _pull_answer(catalog: Catalog, title: str) -> bytes:
    pulled = {"schema": schema_view(catalog), "attrs": catalog.wire(), "app-title": title}
    return orjson.dumps(pulled)


def _plan_answer(plan: SchemaPlan, applied: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "new-schema": schema_view(plan.after),
            "current-schema": schema_view(plan.before),
            "current-attrs": plan.before.wire(),
            "steps": plan.steps,
            **applied,
        }
    )


def _with_job(step: Any, pushed: Pushed, at: int) -> Any:
    """A step as it was sent; one that became a job with the id of the job."""
    job = pushed.jobs.get(at)
    return step if job is None else [step[0], {**step[1], "job-id": job.id}]
