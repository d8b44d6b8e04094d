"""`trice deploy` and `trice deployments`: the code of a project, put in force on a server.

    files ──bundle──> checked there, a report ──> schema: what is new ──> code and rules switch
                                                   ──> schema: what is gone, if that was agreed to

Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from trice.calls.bundles import FOLDER, Bundle, Manifest, pack, project_files
from trice.cli.options import file_error, option
from trice.cli.project import Project, Target, in_project
from trice.cli.push import follow_jobs, plan_schema
from trice.cli.push_plan import Plan, attr_name, rules_items
from trice.cli.remote import Refused, Remote, in_path, json_option, yes_option
from trice.cli.schema_files import (
    ProjectFiles,
    read_rules,
    read_schema,
    rules_fault_line,
)
from trice.cli.tables import show
from trice.cli.terminal import confirm, counted, note, print_json, printable
from trice.errors import TriceError
from trice.schema.rules import canonical_rules

_SHOWN: Final = 30
"""Functions of a kind of change that are listed; the rest is counted."""


@click.command("deploy")
@in_project
@option("--rollback", is_flag=True, help="Put an earlier deployment in force instead.")
@option("--to", type=int, metavar="NUMBER", help="With --rollback: which; else the one before.")
@option("--no-delete", is_flag=True, help="Keep in the app what the schema does not have.")
@option("--force", is_flag=True, help="Although work waits that this code cannot do: it will fail.")
@yes_option
@json_option
def deploy(
    *,
    target: Target,
    rollback: bool,
    to: int | None,
    no_delete: bool,
    force: bool,
    is_agreed: bool,
    is_json: bool,
) -> None:
    """Put the functions, schema and rules of a project in force on a server.

    First the code is loaded there, beside the one in force, and what would change is shown. Then
    the schema gets what is new, code and rules switch in one step, and what the schema has no more
    is removed, if you agree. Calls under way end on the old code; if anything fails, it stays.

    --rollback goes back to the code and rules of an earlier deployment; `trice deployments` lists
    them. Data and schema stay as they are.

    \b
    Examples: trice deploy
              trice deploy --env prod
              trice deploy --env prod --rollback
    """
    if to is not None and not rollback:
        raise click.UsageError("--to is for --rollback.")
    if rollback:
        made = target.remote.post(_path(target, "deployments/rollback"), {"to": to, "force": force})
    else:
        made = _deploy(target, is_kept=no_delete, is_forced=force, is_agreed=is_agreed)
    if made is None:
        listed = remote_deployments(target)
        told = next(each for each in listed["deployments"] if each["number"] == listed["current"])
    else:
        told = made["deployment"]
    if is_json:
        print_json(told)
        return
    if made is None:
        note(f"Nothing changed: deployment {told['number']} is in force.")
        return
    again = " again" if rollback else ""
    count = counted(told["functions"], "function")
    note(f"Deployment {told['number']} is in force{again}: {count}.")


def _deploy(target: Target, *, is_kept: bool, is_forced: bool, is_agreed: bool) -> Any:
    remote, app_id = target.remote, target.app_id
    files = ProjectFiles(target.project.root, "all", None, None)
    bundle = make_bundle(target.project, files)
    report = send_bundle(target, bundle, files.rules)
    plan = plan_of(target, bundle, is_kept=is_kept)
    if report["is_current"] and plan.is_empty:
        return None
    for line in report_lines(report):
        note(line)
    for line in plan.lines():
        note(line)
    refuse_what_blocks(report, is_forced=is_forced)
    before, after = split_steps(plan)
    if plan.removed:
        lost = f"{len(plan.removed)} removed from the schema, with all values. Go on?"
        confirm(lost, is_agreed=is_agreed)
    apply_steps(remote, app_id, before)
    body = {"bundle": report["bundle"], "force": is_forced}
    made = remote.post(_path(target, "deployments"), body)
    apply_steps(remote, app_id, after)
    return made


def _path(target: Target, rest: str) -> str:
    return f"/dash/apps/{in_path(target.app_id)}/{rest}"


# --- parts, which `trice dev` uses too ------------------------------------------------------------


def make_bundle(project: Project, files: ProjectFiles, *, schema: Any = None) -> Bundle:
    """The bundle of a project.

    schema   what its file of a schema says, if that is known
    raises   UsageError, ClickException
    """
    if not (project.root / FOLDER).is_dir():
        told = f"{project.root} has no folder {FOLDER}. `trice init` makes a project that runs."
        raise click.UsageError(told)
    if schema is None and files.schema is not None:
        schema = read_schema(files.schema)
    rules = None if files.rules is None else read_rules(files.rules)
    manifest = Manifest(
        schema=schema, rules=rules, required=project.required, memory_mb=project.memory_mb
    )
    try:
        return pack(project_files(project.root), manifest)
    except TriceError as failure:
        raise click.ClickException(printable(failure.message)) from None
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None


def send_bundle(target: Target, bundle: Bundle, rules_file: Path | None) -> Any:
    """Have a bundle checked; returns the report. Faults are told with their places.

    raises   Refused
    """
    headers = {"content-type": "application/zip"}
    try:
        answer = target.remote.ask(
            "POST", _path(target, "bundles"), content=bundle.raw, headers=headers
        )
    except Refused as refused:
        raise Refused("\n".join(_fault_lines(refused, rules_file)), refused.body) from None
    return answer["report"]


def _fault_lines(refused: Refused, rules_file: Path | None) -> list[str]:
    hint = refused.body.get("hint")
    hint = hint if isinstance(hint, dict) else {}
    faults = [each for each in hint.get("errors") or () if isinstance(each, dict)]
    if "count" not in hint:  # which faults of code have, also those without a place
        places = [
            place
            for each in faults
            if rules_file is not None and (place := rules_fault_line(rules_file, each)) is not None
        ]
        return [refused.message, *dict.fromkeys(places)]
    lines = [printable(refused.body.get("message"))]
    for each in faults:
        file, *line = each.get("in") or [""]
        place = f"{file}, line {line[0]}: " if line else f"{file}: " if file else ""
        lines.append(printable(f"  {place}{each.get('message')}"))
    left = int(hint.get("count") or 0) - len(faults)
    return [*lines, *[f"  … and {left:,} more."] * (left > 0)]


def plan_of(target: Target, bundle: Bundle, *, is_kept: bool = False) -> Plan:
    """What the schema and rules of a bundle would change in the app.

    is_kept   what the schema does not have stays
    raises    Refused
    """
    plan = Plan()
    remote, app_id = target.remote, target.app_id
    if bundle.manifest.schema is not None:
        plan_schema(remote, app_id, bundle.manifest.schema, plan, is_kept=is_kept, names=())
    rules = bundle.manifest.rules
    if rules is not None:
        pulled = remote.get(f"/dash/apps/{in_path(app_id)}/perms/pull")["perms"]
        before = {} if pulled is None else canonical_rules(pulled)
        if before != rules:
            plan.rules, plan.rules_items = rules, rules_items(before, rules)
    return plan


def split_steps(plan: Plan) -> tuple[list[Any], list[Any]]:
    """The steps of a schema before the switch, and after it: what is removed. What is removed to
    make room for something of the same name cannot wait."""
    steps = plan.steps or []
    added = {_plain(attr_name(given)) for kind, given in steps if kind == "add-attr"}
    gone = [given for kind, given in steps if kind == "delete-attr"]
    waiting = {
        attr_id
        for attr_id, item in zip(gone, plan.removed, strict=True)
        if _plain(item.name) not in added
    }
    after = [step for step in steps if step[0] == "delete-attr" and step[1] in waiting]
    return [step for step in steps if step not in after], after


def _plain(name: str) -> str:
    """The forward name of an attr: `todos.owner` of `todos.owner -> $users.todos`."""
    return name.partition(" ->")[0]


def apply_steps(remote: Remote, app_id: str, steps: list[Any]) -> None:
    """Change the schema, and wait for its jobs. raises   ClickException for one that failed"""
    if not steps:
        return
    path = f"/dash/apps/{in_path(app_id)}/schema/steps/apply"
    try:
        made = remote.post(path, {"steps": steps})
    except Refused as refused:
        if "as required because" not in refused.message:
            raise
        told = (
            "Rows that are there have no value of it: it may lack, as in `likes: int | None = 0`."
        )
        raise Refused(f"{refused.message}.\n  {told}", refused.body) from None
    jobs = follow_jobs(remote, app_id, made.get("indexing-jobs"))
    failed = [job for job in jobs if job["job_status"] != "completed"]
    if failed:
        told = "A job of the schema failed" if len(failed) == 1 else f"{len(failed)} jobs failed"
        raise click.ClickException(f"{told}. The code in force stays; deploy again once it fits.")


def report_lines(report: Any) -> list[str]:
    """What a report says, for people."""
    lines = []
    for title, mark, color in (
        ("added", "+", "green"),
        ("changed", "~", "yellow"),
        ("removed", "-", "red"),
    ):
        names = [_shown(report, each) for each in report[title]]
        lines += [click.style(f"  {mark} {printable(each)}", fg=color) for each in names[:_SHOWN]]
        if len(names) > _SHOWN:
            lines.append(f"  … and {len(names) - _SHOWN:,} more {title}")
    if lines:
        lines.insert(0, "functions")
    lines += _hook_lines(report["hooks"])
    for each in report["unfit"]:
        waits = f"{printable(each['name'])} ({each['count']:,} wait): {printable(each['reason'])}"
        lines.append(click.style(f"  ! {waits}", fg="red"))
    lines += [f"Warning: {printable(each.get('message'))}" for each in report["warnings"]]
    for what, names in (
        ("packages of uv.lock that the server has not", report["packages"]),
        ("modules that the code imports and the server has not", report["imports"]),
    ):
        if names:
            lines.append(f"Warning: {what}: {printable(', '.join(names))}")
    if not lines:
        same = " and its code is the same" if report["is_current"] else ""
        lines.append(f"No function changes for its callers{same}.")
    return lines


def _shown(report: Any, name: str) -> str:
    """A function by its name; an endpoint, with where it is."""
    place = report.get("endpoints", {}).get(name)
    return name if place is None else f"{name}  {place}"


def _hook_lines(hooks: Any) -> list[str]:
    lines = []
    for title, mark, color, told in (
        ("added", "+", "green", "follows from now on"),
        ("changed", "~", "yellow", "follows other changes, from where it is"),
        ("removed", "-", "red", "how far it is is forgotten"),
    ):
        for each in hooks[title]:
            lines.append(click.style(f"  {mark} {printable(each)}: {told}", fg=color))
    return ["hooks", *lines] if lines else []


def refuse_what_blocks(report: Any, *, is_forced: bool) -> None:
    """Refuse what the server would, before anything changes. raises   ClickException"""
    if report["missing"]:
        names = ", ".join(map(printable, report["missing"]))
        told = f"Secrets that the code needs are not set: {names}."
        raise click.ClickException(f"{told} Set them with `trice env set {report['missing'][0]}`.")
    if report["unfit"] and not is_forced:
        told = "Work waits that this code cannot do. With --force it fails instead."
        raise click.ClickException(told)


def remote_deployments(target: Target) -> Any:
    """What is deployed: `{"current", "deployments"}`."""
    return target.remote.get(_path(target, "deployments"))


# --- listed ---------------------------------------------------------------------------------------


@click.command("deployments")
@in_project
@json_option
def deployments(*, target: Target, is_json: bool) -> None:
    """List the deployments of an app that can be gone back to, newest first.

    \b
    Examples: trice deployments
              trice deployments --env prod --json
    """
    told = remote_deployments(target)
    if is_json:
        print_json(told)
        return
    rows = [
        {
            "number": each["number"],
            "in force": "yes" if each["number"] == told["current"] else "",
            "made": each["created_at"],
            "functions": each["functions"],
            "bytes": each["size_bytes"],
            "bundle": each["bundle"][:12],
        }
        for each in told["deployments"]
    ]
    columns = {
        each: each for each in ("number", "in force", "made", "functions", "bytes", "bundle")
    }
    none = "Nothing is deployed yet. `trice deploy` does it."
    show(rows, columns, lambda row, column: str(row[column]), is_json=False, none=none)
