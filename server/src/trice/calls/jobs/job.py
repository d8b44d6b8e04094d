"""What a job is, and how its state changes: as the labels of its row that change. No I/O.

    event                                      from                to
    claim        due, a place is free          scheduled           running
    done         it returned                   running             done
    failure      it raised                     running             scheduled, or failed
    lapse        its server is gone            running             scheduled, or failed
    postpone     it could not begin            running             scheduled
    sleep        it waits for a time           running             scheduled
    refuse       its function is gone          scheduled           failed
    cancel                                     scheduled, running  cancelled
    rerun        somebody asks for it          failed              scheduled

A row that is running has a lease: who has not the lease writes nothing. One that was cancelled
while it ran keeps its lease until it has ended, so that nothing else of its key begins before.
After `failure` and `lapse` a job is scheduled again while it has tries left; one of a mutation
always is after a lapse: had it had an effect, it would be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from trice import job_limits as limits
from trice.functions.signature import Kind, RetryPlan

State = Literal["scheduled", "running", "done", "failed", "cancelled"]
Fields = dict[str, Any]

FINISHED: Final = frozenset(("done", "failed", "cancelled"))


@dataclass(frozen=True, slots=True)
class Job:
    """One row of `$jobs`.

    function       its name
    args           JSON object
    due_ms         when it runs next; None: it runs, or is finished
    scheduled_for  the time it was meant for
    active_key     set while it may run; of those with the same one runs at a time
    cron           text of its schedule, if it is one time of a cron
    attempt        how often it began, and that counted as a try
    has_begun      it began before, as a try or not
    kind, retry    of its function when it began last
    lease          of who runs it
    steps          name → {"value"}, {"started"} or {"until"}
    causes         of a hook's run, which is in no table: hooks that led to the change, newest first
    """

    id: str
    function: str
    args: Mapping[str, Any]
    state: State
    due_ms: int | None = None
    scheduled_for: int = 0
    key: str | None = None
    active_key: str | None = None
    cron: str | None = None
    attempt: int = 0
    has_begun: bool = False
    kind: Kind | None = None
    retry: RetryPlan | None = None
    lease: str | None = None
    lease_until_ms: int | None = None
    steps: Mapping[str, Any] = field(default_factory=dict)
    trace: str = ""
    causes: tuple[str, ...] = ()

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> Job:
        """Read a row, as `system_rows` finds it."""
        retry = fields.get("retry")
        due, until = fields.get("dueAt"), fields.get("leaseUntil")
        return cls(
            id=fields["id"],
            function=fields["function"],
            args=fields["args"],
            state=fields["state"],
            due_ms=None if due is None else int(due),
            scheduled_for=int(fields["scheduledFor"]),
            key=fields.get("key"),
            active_key=fields.get("activeKey"),
            cron=fields.get("cron"),
            attempt=int(fields.get("attempt") or 0),
            has_begun=fields.get("startedAt") is not None,
            kind=fields.get("kind"),
            retry=None if retry is None else msgspec.convert(retry, RetryPlan),
            lease=fields.get("lease"),
            lease_until_ms=None if until is None else int(until),
            steps=fields.get("steps") or {},
            trace=fields.get("trace") or "",
        )

    # --- events ---------------------------------------------------------------------------------

    def claim(
        self, *, lease: str, now_ms: int, lease_ms: int, kind: Kind, retry: RetryPlan | None
    ) -> Fields:
        """Somebody begins to run it."""
        assert self.state == "scheduled"
        return {
            "state": "running",
            "dueAt": None,
            "lease": lease,
            "leaseUntil": now_ms + lease_ms,
            "startedAt": now_ms,
            "attempt": self.attempt + 1,
            "kind": kind,
            "retry": None if retry is None else msgspec.to_builtins(retry),
        }

    def done(self, *, now_ms: int, result: Any) -> Fields:
        """It returned."""
        kept = None if result is None else {"value": result}
        return {**_finished("done", now_ms), "result": kept, "error": None}

    def failure(self, error: Fields, *, now_ms: int, random: float) -> Fields:
        """It raised. `random` is 0 to 1."""
        if self.has_try_left:
            return {**_again(now_ms + self.wait_ms(random)), "error": error}
        return {**_finished("failed", now_ms), "error": error}

    def fail(self, error: Fields, *, now_ms: int) -> Fields:
        """It cannot succeed as it is: there is no further try."""
        return {**_finished("failed", now_ms), "error": error}

    refuse = fail

    def lapse(self, *, now_ms: int, random: float) -> Fields:
        """Who ran it did not renew its lease."""
        lost = {"code": "worker-lost", "message": "The server that ran the job ended."}
        if self.kind == "mutation":
            return {**_again(now_ms), "attempt": max(self.attempt - 1, 0)}
        return self.failure(lost, now_ms=now_ms, random=random)

    def postpone(self, error: Fields, *, due_ms: int) -> Fields:
        """It did not begin, or wrote nothing: this was no try."""
        return {**_again(due_ms), "attempt": max(self.attempt - 1, 0), "error": error}

    def sleep(self, *, until_ms: int) -> Fields:
        """Its action waits for a time, and runs again from its steps: this was no try."""
        return {**_again(until_ms), "attempt": max(self.attempt - 1, 0)}

    def cancel(self, *, now_ms: int) -> Fields:
        """Nobody wants it any more."""
        assert self.state in ("scheduled", "running")
        finished = _finished("cancelled", now_ms)
        if self.state == "running":
            for label in ("lease", "leaseUntil", "activeKey"):
                del finished[label]
        return finished

    def rerun(self, *, now_ms: int) -> Fields:
        """Somebody asks for it again, who has seen what its steps did: one that had begun and is
        not recorded runs again."""
        assert self.state == "failed"
        active = key_of(self.key) if self.key is not None else None
        if self.cron is not None:
            active = cron_key(self.function)
        steps = {name: step for name, step in self.steps.items() if "started" not in step}
        again = {"attempt": 0, "finishedAt": None, "activeKey": active, "steps": steps or None}
        return {**_again(now_ms), **again}

    # --- tries ----------------------------------------------------------------------------------

    @property
    def has_try_left(self) -> bool:
        """Whether it runs again if it fails now."""
        return self.retry is not None and self.attempt <= self.retry.times

    def wait_ms(self, random: float) -> int:
        """How long it waits for its next try."""
        assert self.retry is not None
        retry, wait = self.retry, float(self.retry.first_ms)
        for _ in range(min(self.attempt - 1, limits.RETRY_TIMES_MAX)):
            wait = min(wait * retry.factor, retry.most_ms)
        wait = min(wait, retry.most_ms)
        return max(round(wait * (1 + retry.jitter * (2 * random - 1))), 0)


RELEASED: Final[Fields] = {"lease": None, "leaseUntil": None, "activeKey": None}
"""What changes when a job that was cancelled while it ran has ended."""


def key_of(key: str) -> str:
    """The active key of a key that a function gave."""
    return f"key {key}"


def cron_key(name: str) -> str:
    """The active key of all runs of a cron."""
    return f"cron {name}"


def _again(due_ms: int) -> Fields:
    return {"state": "scheduled", "dueAt": due_ms, "lease": None, "leaseUntil": None}


def _finished(state: State, now_ms: int) -> Fields:
    return {
        "state": state,
        "dueAt": None,
        "lease": None,
        "leaseUntil": None,
        "activeKey": None,
        "finishedAt": now_ms,
    }
