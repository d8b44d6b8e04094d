"""`trice pull`, `push`, `diff`, `schema`: schema and rules of an app, and the files of a project.

Exit codes: 0 done, or equal · 1 not, or they differ · 2 wrong usage; for `diff` any failure
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import click

from trice.cli.data_app import data_dir_or_server, show_row
from trice.cli.options import option
from trice.cli.push_plan import (
    Plan,
    removed_ids,
    rules_items,
    schema_items,
    schema_lines,
    with_new_names,
    with_old_names,
)
from trice.cli.remote import (
    Refused,
    Remote,
    app_option,
    in_path,
    json_option,
    on_server,
    wait,
    yes_option,
)
from trice.cli.schema_files import (
    RULES_FILES,
    SCHEMA_FILE,
    as_document,
    find_rules_file,
    read_rules,
    read_schema,
)
from trice.cli.terminal import confirm, note, print_json, printable, say

Part = Literal["all", "schema", "rules"]

_POLL_MS: Final = 500
"""How often the jobs of a push are asked for."""

_SAMPLES_MAX: Final = 10
"""Rows that do not fit, which are shown of a failed job."""

_OVER: Final = ("completed", "errored")

_part: Final[Callable[..., Any]] = click.argument(
    "part", type=click.Choice(("all", "schema", "rules")), default="all"
)
_folder: Final[Callable[..., Any]] = option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    help="The folder of the files; without this, the working folder.",
)
_no_delete: Final[Callable[..., Any]] = option(
    "--no-delete", is_flag=True, help="Keep in the app what the file does not have."
)
_rename: Final[Callable[..., Any]] = option(
    "--rename",
    "names",
    multiple=True,
    metavar="OLD=NEW",
    help="todos.title=todos.name: what has another name in the file keeps its values.",
)


@click.command("pull")
@_part
@_folder
@app_option
@yes_option
@on_server
def pull(*, remote: Remote, part: Part, folder: Path, app_id: str, is_agreed: bool) -> None:
    """Write the schema and rules of an app to schema.json and rules.json (or rules.yaml, if it is
    there).

    Example: trice pull --app $APP
    """
    from trice.cli.documents import write_document

    wanted: list[tuple[Path, Any]] = []
    if part != "rules":
        wanted.append((folder / SCHEMA_FILE, as_document(_pulled(remote, app_id))))
    if part != "schema":
        path = find_rules_file(folder) or folder / RULES_FILES[0]
        wanted.append((path, _rules(remote, app_id) or {}))
    changed = [(path, document) for path, document in wanted if _on_disk(path) != document]
    for path in [path for path, _ in changed if path.exists()]:
        confirm(f"{path} is different. Overwrite it?", is_agreed=is_agreed)
    for path, document in wanted:
        if (path, document) in changed:
            write_document(path, document)
            note(f"{path} is written.")
        else:
            note(f"{path} is the same already.")


def _on_disk(path: Path) -> Any:
    """What a file holds; None if there is none, or nothing that can be read."""
    from trice.cli.documents import read_document

    if not path.exists():
        return None
    try:
        return read_document(path)
    except click.UsageError:
        return None


@click.command("push")
@_part
@_folder
@app_option
@_no_delete
@_rename
@yes_option
@json_option
@on_server
def push(
    *,
    remote: Remote,
    part: Part,
    folder: Path,
    app_id: str,
    no_delete: bool,
    names: Sequence[str],
    is_agreed: bool,
    is_json: bool,
) -> None:
    """Make the schema and rules of an app those of schema.json and rules.json or rules.yaml.

    What will change is shown first. What the file does not have is removed with its values, which
    is asked before. Changes that rows may contradict are jobs: each is done or, if it fails, names
    rows that do not fit and leaves the attribute as it was; the exit code is 1 then.

    \b
    Examples: trice push --app $APP
              trice push schema --rename todos.title=todos.name --app $APP
    """
    plan = _make_plan(remote, app_id, part, folder, is_kept=no_delete, names=names)
    for line in plan.lines():
        note(line)
    if plan.is_empty:
        note("There is nothing to push: the app is as the files say.")
    elif plan.removed:
        lost = f"{len(plan.removed)} removed from the schema, with all values. Go on?"
        confirm(lost, is_agreed=is_agreed)
    jobs: list[Any] = []
    if plan.steps:
        path = f"/dash/apps/{in_path(app_id)}/schema/steps/apply"
        applied = remote.post(path, {"steps": plan.steps})
        jobs = _follow(remote, app_id, applied.get("indexing-jobs"))
        lacking = sum(job["job_status"] == "errored" for job in jobs)
        note(f"The schema is pushed{f', but for {lacking} of its jobs' if lacking else ''}.")
    if plan.rules is not None:
        saved = remote.post(f"/dash/apps/{in_path(app_id)}/rules", {"code": plan.rules})
        for warning in saved.get("warnings") or ():
            note(f"Warning: {printable(warning.get('message'))}")
        note("The rules are pushed.")
    failed = [job for job in jobs if job["job_status"] == "errored"]
    if is_json:
        print_json({**plan.to_json(), "jobs": jobs})
    if failed:
        told = "1 job failed" if len(failed) == 1 else f"{len(failed)} jobs failed"
        raise click.ClickException(f"{told}; what they would have changed is as it was.")


@click.command("diff")
@_part
@_folder
@app_option
@_no_delete
@json_option
@on_server
def diff(
    *, remote: Remote, part: Part, folder: Path, app_id: str, no_delete: bool, is_json: bool
) -> None:
    """Show what a push would change. The exit code is 0 if it is nothing, 1 if it is something, 2
    if that cannot be found out.

    Example: trice diff --app $APP && echo equal
    """
    try:
        plan = _make_plan(remote, app_id, part, folder, is_kept=no_delete, names=())
    except click.ClickException as failure:
        raise _NotFoundOut(failure.message) from None
    if is_json:
        print_json(plan.to_json())
    else:
        for line in plan.lines():
            say(line)
    if not plan.is_empty:
        raise SystemExit(1)
    note("The app is as the files say.")


class _NotFoundOut(click.ClickException):
    """Whether files and app differ cannot be told."""

    exit_code = 2


@click.command("schema")
@app_option
@json_option
@data_dir_or_server
def schema(*, remote: Remote | None, data_dir: Path | None, app_id: str, is_json: bool) -> None:
    """Print the schema of an app; with --json as schema.json has it.

    Example: trice schema --app $APP --json > schema.json
    """
    if remote is None:
        assert data_dir is not None
        _, view = show_row(data_dir, app_id)
    else:
        view = _pulled(remote, app_id)
    document = as_document(view)
    if is_json:
        print_json(document)
        return
    lines = schema_lines(view)
    for line in lines:
        say(line)
    if not lines:
        note("This app has no schema yet.")


# --- plans ----------------------------------------------------------------------------------------


def _make_plan(
    remote: Remote,
    app_id: str,
    part: Part,
    folder: Path,
    *,
    is_kept: bool,
    names: Sequence[str],
) -> Plan:
    schema_file, rules_file = folder / SCHEMA_FILE, find_rules_file(folder)
    has_schema = part != "rules" and (part == "schema" or schema_file.exists())
    if part == "rules" and rules_file is None:
        raise click.UsageError(f"{folder} has none of {', '.join(RULES_FILES)}.")
    has_rules = part != "schema" and rules_file is not None
    if not has_schema and not has_rules:
        accepted = ", ".join((SCHEMA_FILE, *RULES_FILES))
        raise click.UsageError(f"{folder} has none of {accepted}. `trice pull` writes them.")
    plan = Plan()
    if has_schema:
        document = read_schema(schema_file)
        _plan_schema(remote, app_id, document, plan, is_kept=is_kept, names=names)
    elif names:
        raise click.UsageError("--rename is about the schema, which is not pushed.")
    if has_rules:
        assert rules_file is not None
        after, before = read_rules(rules_file), _rules(remote, app_id)
        if (before or {}) != after:
            plan.rules = after
            plan.rules_items = rules_items(before, after)
    return plan


def _plan_schema(
    remote: Remote,
    app_id: str,
    document: dict[str, Any],
    plan: Plan,
    *,
    is_kept: bool,
    names: Sequence[str],
) -> None:
    wanted = dict(_rename_pair(each) for each in names)
    meant = with_old_names(document, wanted)
    body = {"schema": meant, "check_types": True, "supports_background_updates": True}
    planned = remote.post(f"/dash/apps/{in_path(app_id)}/schema/push/plan", body)
    attrs = {attr["id"]: attr for attr in planned["current-attrs"]}
    steps = with_new_names(planned["steps"], attrs, wanted)
    if not is_kept:
        gone = removed_ids(planned["current-schema"], meant)
        steps = [*(["delete-attr", each] for each in gone), *steps]
    plan.steps = steps
    plan.schema_items = schema_items(steps, attrs)


def _rename_pair(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    if not all("." in name.strip(".") for name in (old, new)):
        told = f"--rename takes OLD=NEW: todos.title=todos.name, not {printable(text)!r}."
        raise click.UsageError(told)
    return old, new


def _pulled(remote: Remote, app_id: str) -> Any:
    return remote.get(f"/dash/apps/{in_path(app_id)}/schema/pull")["schema"]


def _rules(remote: Remote, app_id: str) -> Any:
    return remote.get(f"/dash/apps/{in_path(app_id)}/perms/pull")["perms"]


# --- jobs -----------------------------------------------------------------------------------------


def _follow(remote: Remote, app_id: str, begun: Any) -> list[Any]:
    """Tell how the jobs of a push go, until all are over; returns them as they ended."""
    if not begun:
        return []
    path = f"/dash/apps/{in_path(app_id)}/indexing-jobs/group/{in_path(begun['group-id'])}"
    jobs, told = begun["jobs"], set[str]()
    while True:
        for job in jobs:
            if job["job_status"] in _OVER and job["id"] not in told:
                told.add(job["id"])
                _tell(remote, job, at=len(told), count=len(jobs))
        if len(told) == len(jobs):
            return list(jobs)
        wait(_POLL_MS)
        jobs = remote.get(path)["jobs"]
        if not jobs:
            raise click.ClickException(
                "The server knows the jobs of this push no more: it was started anew. `trice diff`"
                " shows what is left to do."
            )


def _tell(remote: Remote, job: Any, *, at: int, count: int) -> None:
    what = f"{job['job_type']} {printable(job['attr_name'])}"
    if job["job_status"] == "completed":
        note(f"[{at}/{count}] {click.style('done', fg='green')}    {what}")
        return
    note(f"[{at}/{count}] {click.style('failed', fg='red')}  {what}: {_reason(job)}")
    for line in _samples(remote, job):
        note(f"         {line}")


def _reason(job: Any) -> str:
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


def _samples(remote: Remote, job: Any) -> list[str]:
    """A few rows that do not fit."""
    rows = [
        f"{printable(row['entity_id'])}  {printable(row['value'])[:80]}"
        for row in (job["invalid_triples_sample"] or ())[:_SAMPLES_MAX]
    ]
    ids = (job["error_data"] or {}).get("entity-ids") or ()
    if job["error"] == "triple-not-unique-error":
        ids = _with_value(remote, job)
    return [*rows, *(printable(each) for each in ids[:_SAMPLES_MAX])]


def _with_value(remote: Remote, job: Any) -> list[str]:
    """Entities that have the value which must be unique; none if the token may not read data."""
    etype, _, label = job["attr_name"].partition(".")
    where = {label: job["invalid_unique_value"]}
    options = {"where": where, "limit": _SAMPLES_MAX, "fields": ["id"]}
    try:
        headers = {"app-id": job["app_id"]}
        answer = remote.post("/admin/query", {"query": {etype: {"$": options}}}, headers=headers)
    except Refused:
        return []
    return [row["id"] for row in answer[etype]]
