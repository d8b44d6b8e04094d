"""`trice pull`, `push`, `diff`, `schema`: schema and rules of an app, and the files of a project.

Exit codes: 0 done, or equal · 1 not, or they differ · 2 wrong usage; for `diff` any failure
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from trice.cli import schema_jobs
from trice.cli.data_app import data_dir_or_server, show_row
from trice.cli.options import option
from trice.cli.project import on_app_of_project
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
from trice.cli.schema_convert import convert
from trice.cli.schema_files import (
    SCHEMA_FILES,
    Part,
    ProjectFiles,
    as_document,
    new_rules_file,
    read_rules,
    read_schema,
    rules_fault_line,
    rules_text,
    schema_text,
)
from trice.cli.terminal import confirm, note, print_json, printable, say
from trice.schema.document import for_server, keeping, only_of_files, renames
from trice.schema.rules import canonical_rules

_POLL_MS: Final = 500
"""How often the jobs of a push are asked for."""

_SAMPLES_MAX: Final = 10
"""Rows that do not fit, which are shown of a failed job."""

_OVER: Final = ("completed", "errored", "canceled")

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
_file: Final = click.Path(path_type=Path, dir_okay=False)
_schema_file: Final[Callable[..., Any]] = option(
    "--schema",
    "schema_file",
    type=_file,
    help="The file of the schema; without this, the one in the folder.",
)
_rules_file: Final[Callable[..., Any]] = option(
    "--rules",
    "rules_file",
    type=_file,
    help="The file of the rules; without this, the one in the folder.",
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
@_schema_file
@_rules_file
@app_option
@yes_option
@on_server
def pull(
    *,
    remote: Remote,
    part: Part,
    folder: Path,
    schema_file: Path | None,
    rules_file: Path | None,
    app_id: str,
    is_agreed: bool,
) -> None:
    """Write the schema and rules of an app to the files of a project: those that are there, else
    schema.json and rules.json.

    \b
    Examples: trice pull --app $APP
              trice pull --schema schema.py --rules rules.yaml --app $APP
    """
    from trice.cli.documents import write_text

    files = ProjectFiles(folder, part, schema_file, rules_file)
    wanted: list[tuple[Path, Any, Any]] = []
    if files.has_schema:
        path = files.schema or folder / SCHEMA_FILES[0]
        document, known = as_document(_pulled(remote, app_id)), _on_disk(path, read_schema)
        document = document if known is None else keeping(document, known)
        text = None if document == known else schema_text(path, document)
        wanted.append((path, text, known))
    if files.has_rules:
        path = files.rules or new_rules_file(folder, files.schema)
        rules, known = _rules(remote, app_id) or {}, _on_disk(path, read_rules)
        wanted.append((path, None if rules == known else rules_text(path, rules), known))
    for path in [path for path, text, _ in wanted if text is not None and path.exists()]:
        is_plain = path.suffix == ".json"
        lost = "" if is_plain else " Its comments, and types that only it has, are lost."
        confirm(f"{path} is different. Overwrite it?{lost}", is_agreed=is_agreed)
    for path, text, _ in wanted:
        if text is None:
            note(f"{path} is the same already.")
        else:
            write_text(path, text)
            note(f"{path} is written.")


def _on_disk(path: Path, read: Callable[[Path], Any]) -> Any:
    """What a file holds; None if there is none, or nothing that can be read."""
    if not path.exists():
        return None
    try:
        return read(path)
    except click.UsageError:
        return None


@click.command("push")
@_part
@_folder
@_schema_file
@_rules_file
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
    schema_file: Path | None,
    rules_file: Path | None,
    app_id: str,
    no_delete: bool,
    names: Sequence[str],
    is_agreed: bool,
    is_json: bool,
) -> None:
    """Make the schema and rules of an app those of the files of a project: schema.py, schema.json
    or instant.schema.ts; rules.yaml, rules.json or instant.perms.ts.

    What will change is shown first. What the file does not have is removed with its values, which
    is asked before. Changes that rows may contradict are jobs: each is done or, if it fails, names
    rows that do not fit and leaves the attribute as it was; the exit code is 1 then.

    \b
    Examples: trice push --app $APP
              trice push schema --rename todos.title=todos.name --app $APP
    """
    files = ProjectFiles(folder, part, schema_file, rules_file)
    plan = make_plan(remote, app_id, files, is_kept=no_delete, names=names)
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
        jobs = follow_jobs(remote, app_id, applied.get("indexing-jobs"))
        lacking = sum(job["job_status"] != "completed" for job in jobs)
        note(f"The schema is pushed{f', but for {lacking} of its jobs' if lacking else ''}.")
    if plan.rules is not None:
        saved = _save_rules(remote, app_id, plan.rules, files.rules)
        for warning in saved.get("warnings") or ():
            note(f"Warning: {printable(warning.get('message'))}")
        note("The rules are pushed.")
    failed = [job for job in jobs if job["job_status"] != "completed"]
    if is_json:
        print_json({**plan.to_json(), "jobs": jobs})
    if failed:
        told = "1 job failed" if len(failed) == 1 else f"{len(failed)} jobs failed"
        raise click.ClickException(f"{told}; what they would have changed is as it was.")


@click.command("diff")
@_part
@_folder
@_schema_file
@_rules_file
@_no_delete
@json_option
@on_app_of_project
def diff(
    *,
    remote: Remote,
    part: Part,
    folder: Path,
    schema_file: Path | None,
    rules_file: Path | None,
    app_id: str,
    no_delete: bool,
    is_json: bool,
) -> None:
    """Show what a push would change. The exit code is 0 if it is nothing, 1 if it is something, 2
    if that cannot be found out.

    Example: trice diff --app $APP && echo equal
    """
    try:
        files = ProjectFiles(folder, part, schema_file, rules_file)
        plan = make_plan(remote, app_id, files, is_kept=no_delete, names=())
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


class _Schema(click.Group):
    """`trice schema --app …` is `trice schema show --app …`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_named = args[:1] and args[0] in (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if is_named else ["show", *args])


@click.group("schema", cls=_Schema)
def schema() -> None:
    """Print the schema of an app, or convert files of schemas and rules. Without another word it is
    `show`.

    \b
    Examples: trice schema --app $APP
              trice schema convert instant.schema.ts schema.py
    """


for command in (convert, *schema_jobs.COMMANDS):
    schema.add_command(command)


@schema.command("show")
@app_option
@json_option
@data_dir_or_server
def show_schema(
    *, remote: Remote | None, data_dir: Path | None, app_id: str, is_json: bool
) -> None:
    """Print the schema of an app; with --json as schema.json has it.

    Example: trice schema show --app $APP --json > schema.json
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


def make_plan(
    remote: Remote, app_id: str, files: ProjectFiles, *, is_kept: bool, names: Sequence[str]
) -> Plan:
    files.check()
    plan = Plan()
    if files.has_schema and files.schema is not None:
        document = read_schema(files.schema)
        plan_schema(remote, app_id, document, plan, is_kept=is_kept, names=names)
        if unchecked := only_of_files(document):
            shown = printable(", ".join(unchecked[:_SAMPLES_MAX]))
            note(f"Values, defaults and formats stay in the file, which no server checks: {shown}")
    elif names:
        raise click.UsageError("--rename is about the schema, which is not pushed.")
    if files.has_rules and files.rules is not None:
        after, before = read_rules(files.rules), _rules(remote, app_id)
        if (before or {}) != after:
            plan.rules = after
            plan.rules_items = rules_items(before, after)
    return plan


def _save_rules(remote: Remote, app_id: str, rules: Any, path: Path | None) -> Any:
    """Send rules. What is wrong with them is told with its line. raises   Refused"""
    try:
        return remote.post(f"/dash/apps/{in_path(app_id)}/rules", {"code": rules})
    except Refused as refused:
        hint = refused.body.get("hint")
        faults = hint.get("errors") if isinstance(hint, dict) else None
        places = [
            place
            for fault in (faults if isinstance(faults, list) else ())[:_SAMPLES_MAX]
            if path is not None and (place := rules_fault_line(path, fault)) is not None
        ]
        raise Refused("\n".join([refused.message, *dict.fromkeys(places)]), refused.body) from None


def plan_schema(
    remote: Remote,
    app_id: str,
    document: dict[str, Any],
    plan: Plan,
    *,
    is_kept: bool,
    names: Sequence[str],
) -> None:
    wanted = _renames(remote, app_id, document) | dict(_rename_pair(each) for each in names)
    meant = with_old_names(for_server(document), wanted)
    body = {"schema": meant, "check_types": True, "supports_background_updates": True}
    planned = remote.post(f"/dash/apps/{in_path(app_id)}/schema/push/plan", body)
    attrs = {attr["id"]: attr for attr in planned["current-attrs"]}
    steps = with_new_names(planned["steps"], attrs, wanted)
    if not is_kept:
        gone = removed_ids(planned["current-schema"], meant)
        steps = [*(["delete-attr", each] for each in gone), *steps]
    plan.steps = steps
    plan.schema_items = schema_items(steps, attrs)


def _renames(remote: Remote, app_id: str, document: dict[str, Any]) -> dict[str, str]:
    """New names by old ones, of what says `was`, as far as the app still has the old name."""
    said = dict(renames(document))
    if not said:
        return {}
    view = _pulled(remote, app_id)
    attrs = (*(a for each in view["blobs"].values() for a in each.values()), *view["refs"].values())
    taken = {
        ".".join(attr[key][1:])
        for attr in attrs
        for key in ("forward-identity", "reverse-identity")
        if key in attr
    }
    return {old: new for old, new in said.items() if old in taken and new not in taken}


def _rename_pair(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    if not all("." in name.strip(".") for name in (old, new)):
        told = f"--rename takes OLD=NEW: todos.title=todos.name, not {printable(text)!r}."
        raise click.UsageError(told)
    return old, new


def _pulled(remote: Remote, app_id: str) -> Any:
    return remote.get(f"/dash/apps/{in_path(app_id)}/schema/pull")["schema"]


def _rules(remote: Remote, app_id: str) -> Any:
    rules = remote.get(f"/dash/apps/{in_path(app_id)}/perms/pull")["perms"]
    return None if rules is None else canonical_rules(rules)


# --- jobs -----------------------------------------------------------------------------------------


def follow_jobs(remote: Remote, app_id: str, begun: Any) -> list[Any]:
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
    if job["job_status"] in ("completed", "canceled"):
        is_done = job["job_status"] == "completed"
        state = click.style("done", fg="green") if is_done else click.style("canceled", fg="red")
        note(f"[{at}/{count}] {state}    {what}")
        return
    note(f"[{at}/{count}] {click.style('failed', fg='red')}  {what}: {schema_jobs.reason(job)}")
    for line in _samples(remote, job):
        note(f"         {line}")


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
