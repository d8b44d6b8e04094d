"""Jobs that make backups of apps, and what became of them (instant-http §6.6). No I/O.

    waiting ──> processing ──> completed | errored
       └────────────┴──> cancelled

Jobs are in memory. One that a stop of the server ends is no more, and leaves nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

from trice import app_backup_limits as limits
from trice.catalog.dates import iso_text
from trice.errors import no_record
from trice.protocol.ids import AppId

Status = Literal["waiting", "processing", "completed", "errored", "cancelled"]


@dataclass(slots=True, eq=False)
class Job:
    """One job.

    backup_id            what it made; None until it is completed
    estimate, completed  entities in all, and those written
    error                a sentence; None unless it is errored
    """

    id: str
    app_id: AppId
    description: str | None
    created_ms: int
    updated_ms: int
    status: Status = "waiting"
    backup_id: str | None = None
    estimate: int | None = None
    completed: int | None = None
    error: str | None = None

    @property
    def is_over(self) -> bool:
        return self.status not in ("waiting", "processing")

    def to_json(self) -> dict[str, Any]:
        """The job as clients read it."""
        return {
            "id": self.id,
            "app_id": self.app_id,
            "app_backup_id": self.backup_id,
            "job_status": self.status,
            "description": self.description,
            "work_estimate": self.estimate,
            "work_completed": self.completed,
            "error": self.error,
            "created_at": iso_text(self.created_ms),
            "updated_at": iso_text(self.updated_ms),
            "done_at": iso_text(self.updated_ms) if self.is_over else None,
        }


class Jobs:
    """All jobs that are not over, and the newest limits.JOBS_KEPT that are."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def add(self, job: Job) -> None:
        """Keep a job; the oldest that are over make room."""
        self._jobs[job.id] = job
        over = [each.id for each in self._jobs.values() if each.is_over]
        for job_id in over[: -limits.JOBS_KEPT]:
            del self._jobs[job_id]

    def active(self, app_id: AppId) -> list[Job]:
        """Those of an app that are not over, newest first."""
        found = [job for job in self._jobs.values() if job.app_id == app_id and not job.is_over]
        return found[::-1]

    def get(self, app_id: AppId, job_id: str) -> Job:
        """A job of an app; raises NotFound."""
        job = self._jobs.get(job_id)
        if job is None or job.app_id != app_id:
            problem = "This app has no job with this id, or it is old."
            raise no_record("app-backup-job", problem, {"id": job_id})
        return job
