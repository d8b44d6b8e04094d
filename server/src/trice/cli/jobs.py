"""`trice jobs`: work of functions that waits, runs, or is finished.

Exit codes: 0 done · 1 the server refused · 2 wrong usage
"""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import urlencode

import click

from trice.calls.jobs.job import State
from trice.cli.options import option
from trice.cli.project import Target, in_project
from trice.cli.remote import in_path, json_option
from trice.cli.tables import show
from trice.cli.terminal import note, printable


@click.group("jobs")
def jobs() -> None:
    """List jobs of an app, run those again that failed, cancel those that are not wanted.

    A job is made by `ctx.later(…)` in a function, or by a cron. One that failed for good stays for
    30 days; what is done, for 7.

    \b
    Examples: trice jobs list --state failed
              trice jobs run 0192f0c1-…
    """


@jobs.command("list")
@option("--state", type=click.Choice(get_args(State)), help="Only those in this state.")
@option("--function", metavar="NAME", help="Only those of this function.")
@option("--limit", type=click.IntRange(1, 1_000), default=50, help="How many, newest first.")
@in_project
@json_option
def list_jobs(
    *, target: Target, state: str | None, function: str | None, limit: int, is_json: bool
) -> None:
    """List jobs, newest first.

    \b
    Examples: trice jobs list --state failed
              trice jobs list --function messages.notify --json
    """
    wanted = {"state": state, "function": function, "limit": limit}
    query = urlencode({key: value for key, value in wanted.items() if value is not None})
    rows = target.remote.get(f"{_path(target)}?{query}")["jobs"]
    columns = {
        "id": "id",
        "function": "function",
        "state": "state",
        "scheduled_for": "for",
        "attempt": "tries",
        "error": "error",
    }
    show(rows, columns, _shown, is_json=is_json, none="No jobs.")


@jobs.command("run")
@click.argument("job_id", metavar="ID")
@in_project
def run_job(*, target: Target, job_id: str) -> None:
    """Run a job again that failed. Steps that it recorded are not run again.

    Example: trice jobs run 0192f0c1-7f3e-7b1a-9c55-0242ac120002
    """
    target.remote.post(f"{_path(target)}/{in_path(job_id)}/run", {})
    note("It is scheduled again, for now.")


@jobs.command("cancel")
@click.argument("job_id", metavar="ID")
@in_project
def cancel_job(*, target: Target, job_id: str) -> None:
    """Cancel a job. One that runs is told to end, and writes and schedules nothing any more.

    Example: trice jobs cancel 0192f0c1-7f3e-7b1a-9c55-0242ac120002
    """
    state = target.remote.post(f"{_path(target)}/{in_path(job_id)}/cancel", {})["state"]
    note("It is cancelled." if state == "scheduled" else "It was running, and is told to end.")


def _path(target: Target) -> str:
    return f"/dash/apps/{in_path(target.app_id)}/jobs"


def _shown(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if column == "error":
        value = "" if value is None or row["state"] == "done" else value["code"]
    return printable(str(value))
