"""Every bound of jobs and crons. See also `function_limits`."""

from __future__ import annotations

from typing import Final

JOBS_OF_CALL_MAX: Final = 1_000
"""Jobs that one call schedules. More: `too-many-jobs`."""

JOBS_KEPT_MAX: Final = 100_000
"""Jobs of an app, finished ones included. One more is `too-many-jobs`."""

JOBS_CROWDED: Final = 90_000
"""With more than that the oldest that are done or cancelled go before their time."""

JOBS_CHECKED_MAX: Final = 10_000
"""Jobs that wait and are compared with the functions of a deploy; any others fail when they run."""

JOBS_AT_ONCE: Final = 8
"""Jobs of an app that one server runs at a time."""

JOBS_LISTED: Final = 100
JOBS_LISTED_MAX: Final = 1_000
"""Jobs in a list unless it says how many, and at most."""

JOB_APPS_AT_ONCE: Final = 8
"""Apps whose jobs are looked at at a time; the others wait a moment."""

JOBS_LOADED_MAX: Final = 1_000
"""Jobs whose times a server holds for an app: those that are due next."""

JOB_MS: Final = 300_000
"""How long a job of an action may take unless it says."""

JOB_STOP_MS: Final = 2_000
"""How long a server that stops waits for what runs to end, and for that to be written."""

JOB_LEASE_MS: Final = 30_000
JOB_RENEW_MS: Final = 10_000
"""For how long a server has a job that it runs, and how often it says that it still does."""

JOB_KEPT_MS: Final = 7 * 86_400_000
JOB_FAILED_KEPT_MS: Final = 30 * 86_400_000
"""How long finished jobs are kept, and those that failed."""

JOB_SWEEP_MS: Final = 3_600_000
JOBS_SWEPT: Final = 500
"""How often old jobs of an app are looked for, and how many are removed at a time."""

JOB_POSTPONED_MS: Final = 1_000
"""After that long a job is tried again whose function could not run now."""

JOB_LATER_MS_MAX: Final = 10 * 366 * 86_400_000
"""How far ahead a job may be scheduled, or an action may sleep."""

JOB_KEY_CHARS_MAX: Final = 200
JOB_STEPS_MAX: Final = 1_000
JOB_STEPS_BYTES_MAX: Final = 1024 * 1024
"""Key of a job; steps that it records, and JSON of all their results. More: `call-too-big`."""

JOB_RESULT_BYTES_MAX: Final = 64 * 1024
"""Results of jobs up to that are kept."""

RETRY_TIMES_MAX: Final = 100
"""How often a job may be tried again."""

CRONS_MAX: Final = 100
"""Functions of an app that run by themselves."""

CRON_MISSED_MAX: Final = 100
"""Times that were missed and are run with `missed="all"`: the newest so many."""

CRON_LATE_MS: Final = 60_000
"""A run that begins later than that was missed, for `missed="skip"`."""

EVERY_MS_MIN: Final = 1_000
"""Shortest period of `@every`."""

assert JOB_RENEW_MS * 2 < JOB_LEASE_MS, "a renewal may be late"
assert JOBS_CROWDED < JOBS_KEPT_MAX
