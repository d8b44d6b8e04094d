"""`trice schema jobs | deleted | restore`: jobs of schema pushes, and attrs that were deleted."""

from __future__ import annotations

from typing import Any, Final

import click

from trice.cli.options import option
from trice.cli.remote import (
    UUID,
    Remote,
    app_option,
    in_path,
    json_option,
    on_server,
    yes_option,
)
from trice.cli.terminal import confirm, note, print_json, print_table, printable


@click.command("jobs")
@option("--cancel", "job_id", metavar="ID", help="End this job; its attr stays as it was.")
@app_option
@yes_option
@json_option
@on_server
def jobs(
    *, remote: Remote, job_id: str | None, app_id: str, is_agreed: bool, is_json: bool
) -> None:
    """List the jobs that pushes of the schema began, newest first; or end one.

    Example: trice schema jobs --app $APP
    """
    path = f"/dash/apps/{in_path(app_id)}/indexing-jobs"
    if job_id is not None:
        confirm(f"Cancel the job {printable(job_id)}?", is_agreed=is_agreed)
        ended = remote.delete(f"{path}/{in_path(job_id)}")["job"]
        if is_json:
            print_json(ended)
        else:
            note(f"The job is {printable(ended['job_status'])}.")
        return
    found = remote.get(path)["jobs"]
    if is_json:
        print_json(found)
        return
    columns = {"id": "id", "job_type": "job", "attr_name": "attr", "job_status": "status"}
    rows = [
        {
            **job,
            "progress": _progress(job),
            "job_status": _STATES.get(job["job_status"], job["job_status"]),
        }
        for job in found
    ]
    none = "No job was begun, or it was long ago."
    print_table(rows, {**columns, "progress": "progress", "created_at": "begun"}, none=none)


_STATES: Final = {"completed": "done", "errored": "failed", "processing": "running"}
"""Words of the server, and those that `trice push` tells people."""


def reason(job: Any) -> str:
    """Why a job failed, for people."""
    match job["error"]:
        case "triple-not-unique-error":
            value = printable(job["invalid_unique_value"])
            return f"several entities have the value {value}"
        case "invalid-triple-error":
            return "there are values of another type"
        case "triple-too-large-error":
            return "there are values that are too large"
        case "missing-required-error":
            return f"{job['error_data']['count']:,} entities have no value"
        case _:
            data = job["error_data"] or {}
            return printable(data.get("message") or job["error"])


def _progress(job: Any) -> str:
    if job["error"]:
        return reason(job)
    if not job["work_estimate"] or job["job_status"] != "processing":
        return ""
    return f"{100 * job['work_completed'] // job['work_estimate']} %"


@click.command("deleted")
@app_option
@json_option
@on_server
def deleted(*, remote: Remote, app_id: str, is_json: bool) -> None:
    """List attrs and links that were deleted and can be restored.

    Example: trice schema deleted --app $APP
    """
    found = _deleted(remote, app_id)
    if is_json:
        print_json(found)
        return
    rows = [
        {"id": attr["id"], "name": _name(attr), "deleted": attr["deletion-marked-at"]}
        for attr in found["attrs"]
    ]
    print_table(
        rows, {"id": "id", "name": "name", "deleted": "deleted"}, none="Nothing can be restored."
    )
    if rows:
        note(f"Each is deleted for good {found['grace-period-days']} days after that.")


@click.command("restore")
@click.argument("attr")
@app_option
@on_server
def restore(*, remote: Remote, attr: str, app_id: str) -> None:
    """Bring a deleted attr or link back, with its values. ATTR is its id, or its name as
    todos.title.

    It is neither indexed nor required then; `trice push` makes it so again.

    Example: trice schema restore todos.title --app $APP
    """
    found = _deleted(remote, app_id)["attrs"]
    meant = [each for each in found if attr in (each["id"], _name(each))]
    if not meant and UUID.fullmatch(attr) is None:
        raise click.ClickException(
            f"No deleted attr is called {printable(attr)}. `trice schema deleted` lists them."
        )
    if len(meant) > 1:
        ids = ", ".join(each["id"] for each in meant)
        raise click.ClickException(f"Several have this name. Give one of their ids: {ids}")
    attr_id = meant[0]["id"] if meant else attr
    path = f"/dash/apps/{in_path(app_id)}/schema/steps/apply"
    remote.post(path, {"steps": [["restore-attr", attr_id]]})
    note(f"{printable(_name(meant[0]) if meant else attr)} is back.")


def _deleted(remote: Remote, app_id: str) -> Any:
    return remote.get(f"/dash/apps/{in_path(app_id)}/soft_deleted_attrs")


def _name(attr: Any) -> str:
    """The name that a deleted attr had."""
    etype, label = (name.split("_deleted$", 1)[-1] for name in attr["forward-identity"][1:])
    return f"{etype}.{label}"


COMMANDS = (jobs, deleted, restore)
