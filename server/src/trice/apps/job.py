"""One job of a schema push, as it is kept, and as clients read it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from trice import account_limits
from trice.apps.attr_change import AttrChange
from trice.catalog.dates import iso_text
from trice.protocol.ids import AppId
from trice.store.reshaping import Progress
from trice.transact.schema_steps import SchemaJob

Status = Literal["waiting", "processing", "completed", "errored", "canceled"]

_STAGES: Final = {"waiting": "enqueued", "processing": "validate", "completed": "done"}


@dataclass(slots=True, eq=False)
class Job:
    """One job, and what became of it.

    error   "triple-not-unique-error", …; None unless it is errored
    found   what did not fit, with the keys of its JSON
    change, task  its work, while it is being done
    ended   set once it does not work any more, and its row says how it ended
    """

    id: str
    app_id: AppId
    group_id: str
    attr_name: str
    work: SchemaJob
    created_ms: int
    updated_ms: int
    status: Status = "waiting"
    error: str | None = None
    found: dict[str, Any] = field(default_factory=dict)
    is_canceled: bool = False
    change: AttrChange | None = None
    progress: Progress = field(default_factory=Progress)
    task: asyncio.Task[None] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        return self.status not in ("waiting", "processing")

    def to_json(self) -> dict[str, Any]:
        """The job as clients read it (instant-http §4.8)."""
        estimate = self.progress.estimate or None
        return {
            "id": self.id,
            "app_id": self.app_id,
            "group_id": self.group_id,
            "attr_id": self.work.attr_id,
            "attr_name": self.attr_name,
            "job_type": self.work.kind,
            "job_status": self.status,
            "job_stage": _STAGES.get(self.status, self.status),
            "work_estimate": estimate,
            "work_completed": min(self.progress.completed, estimate) if estimate else None,
            "error": self.error,
            "checked_data_type": self.work.checked_type,
            "invalid_unique_value": None,
            "invalid_triples_sample": None,
            "error_data": None,
            **self.found,
            "created_at": iso_text(self.created_ms),
            "updated_at": iso_text(self.updated_ms),
            "done_at": iso_text(self.updated_ms) if self.is_over else None,
        }

    def dump(self) -> str:
        """What the row of the job keeps."""
        kept = {name: getattr(self, name) for name in _KEPT}
        text = msgspec.json.encode(kept)
        if len(text) > account_limits.JOB_BYTES_MAX:
            text = msgspec.json.encode({**kept, "found": {}})
        return text.decode()


_KEPT: Final = (
    *("id", "app_id", "group_id", "attr_name", "work", "created_ms", "updated_ms"),
    *("status", "error", "found"),
)


class _Row(msgspec.Struct):
    id: str
    app_id: AppId
    group_id: str
    attr_name: str
    work: SchemaJob
    created_ms: int
    updated_ms: int
    status: Status
    error: str | None
    found: dict[str, Any]


_ROW: Final = msgspec.json.Decoder(_Row)


def load_job(text: str) -> Job:
    """The job that `Job.dump` was asked of."""
    row = _ROW.decode(text)
    return Job(**{name: getattr(row, name) for name in _KEPT})
