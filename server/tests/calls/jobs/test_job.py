"""States of a job, without a database: every event from every state."""

from __future__ import annotations

from typing import Any

import pytest

from trice.calls.jobs.job import Job, cron_key, key_of
from trice.functions.signature import RetryPlan

NOW = 1_000_000
RETRY = RetryPlan(times=3, first_ms=1_000, factor=2, most_ms=3_000, jitter=0.5)


def job(state: Any = "running", **options: Any) -> Job:
    return Job(id="1", function="work.note", args={}, state=state, **options)


@pytest.mark.rule("FN361")
def test_each_event_leads_where_the_table_says() -> None:
    error = {"code": "x"}
    running, mutation = job(attempt=1), job(attempt=1, kind="mutation")
    again = job(attempt=1, retry=RETRY)
    found = {
        "claim": job("scheduled").claim(
            lease="l", now_ms=NOW, lease_ms=10, kind="action", retry=None
        ),
        "done": running.done(now_ms=NOW, result=1),
        "failure": running.failure(error, now_ms=NOW, random=0.5),
        "failure, tries left": again.failure(error, now_ms=NOW, random=0.5),
        "lapse": running.lapse(now_ms=NOW, random=0.5),
        "lapse, tries left": again.lapse(now_ms=NOW, random=0.5),
        "lapse of a mutation": mutation.lapse(now_ms=NOW, random=0.5),
        "postpone": running.postpone(error, due_ms=NOW),
        "sleep": running.sleep(until_ms=NOW + 5),
        "refuse": job("scheduled").refuse(error, now_ms=NOW),
        "cancel": job("scheduled").cancel(now_ms=NOW),
        "cancel, running": running.cancel(now_ms=NOW),
        "rerun": job("failed").rerun(now_ms=NOW),
    }
    assert {event: (fields["state"], fields["dueAt"]) for event, fields in found.items()} == {
        "claim": ("running", None),
        "done": ("done", None),
        "failure": ("failed", None),
        "failure, tries left": ("scheduled", NOW + 1_000),
        "lapse": ("failed", None),
        "lapse, tries left": ("scheduled", NOW + 1_000),
        "lapse of a mutation": ("scheduled", NOW),
        "postpone": ("scheduled", NOW),
        "sleep": ("scheduled", NOW + 5),
        "refuse": ("failed", None),
        "cancel": ("cancelled", None),
        "cancel, running": ("cancelled", None),
        "rerun": ("scheduled", NOW),
    }
    keeps_lease = {event for event, fields in found.items() if fields.get("lease", 1) is not None}
    assert keeps_lease == {"claim", "cancel, running"}
    assert found["claim"]["leaseUntil"] == NOW + 10


@pytest.mark.rule("FN367")
def test_what_counts_as_a_try() -> None:
    running = job(attempt=2, retry=RETRY)
    claim = job("scheduled", attempt=2).claim(
        lease="l", now_ms=NOW, lease_ms=1, kind="action", retry=RETRY
    )
    assert claim["attempt"] == 3
    assert running.postpone({}, due_ms=NOW)["attempt"] == 1
    assert running.sleep(until_ms=NOW)["attempt"] == 1
    assert job(attempt=2, kind="mutation").lapse(now_ms=NOW, random=0)["attempt"] == 1
    assert "attempt" not in running.failure({}, now_ms=NOW, random=0)
    left = [job(attempt=attempt, retry=RETRY).has_try_left for attempt in range(1, 6)]
    assert left == [True, True, True, False, False]
    assert not job(attempt=1).has_try_left


@pytest.mark.rule("FN367")
def test_waits_grow_to_a_bound_and_differ() -> None:
    waits = [
        [job(attempt=attempt, retry=RETRY).wait_ms(random) for random in (0, 0.5, 1)]
        for attempt in (1, 2, 3, 100_000)
    ]
    assert waits == [[500, 1_000, 1_500], [1_000, 2_000, 3_000], *[[1_500, 3_000, 4_500]] * 2]


@pytest.mark.rule("FN368")
def test_a_job_that_is_run_again_has_its_key_and_its_recorded_steps() -> None:
    steps = {"a": {"value": 1}, "b": {"started": 5}, "c": {"until": 7}}
    again = job("failed", key="k", steps=steps, attempt=4).rerun(now_ms=NOW)
    assert again["steps"] == {"a": {"value": 1}, "c": {"until": 7}}
    assert (again["activeKey"], again["attempt"]) == (key_of("k"), 0)
    assert job("failed", cron="* * * * *").rerun(now_ms=NOW)["activeKey"] == cron_key("work.note")
    assert key_of("work.note") != cron_key("work.note")
