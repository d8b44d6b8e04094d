"""`trice hooks`: functions that follow changes (`@on_change`), and how far they are.

Exit codes: 0 done · 1 the server refused · 2 wrong usage
"""

from __future__ import annotations

from typing import Any

import click

from trice.cli.project import Target, in_project
from trice.cli.remote import in_path, json_option
from trice.cli.tables import show
from trice.cli.terminal import note, printable


@click.group("hooks")
def hooks() -> None:
    """List functions that follow changes (`@on_change`), and let those go on that stand still.

    One that is `broken` was so far behind that the log lacks what comes next. One that is `stopped`
    waits at a change that failed ten times; the others park such a change as a failed job.

    \b
    Examples: trice hooks list
              trice hooks resume messages.arrived
    """


@hooks.command("list")
@in_project
@json_option
def list_hooks(*, target: Target, is_json: bool) -> None:
    """List hooks, with how many transactions each is behind.

    \b
    Examples: trice hooks list
              trice hooks list --env prod --json
    """
    rows = target.remote.get(_path(target))["hooks"]
    words = ("name", "namespace", "follows", "state", "behind", "failures", "parked", "error")
    none = "No hooks. `@on_change` in a function makes one."
    show(rows, {each: each for each in words}, _shown, is_json=is_json, none=none)


@hooks.command("resume")
@click.argument("name", metavar="NAME")
@in_project
def resume_hook(*, target: Target, name: str) -> None:
    """Let a hook go on: a broken one from now, so that what it missed stays missed; one that waits
    tries at once.

    Example: trice hooks resume messages.arrived
    """
    state = target.remote.post(f"{_path(target)}/{in_path(name)}/resume", {})["state"]
    note("It goes on from now." if state == "broken" else "It goes on where it was.")


def _path(target: Target) -> str:
    return f"/dash/apps/{in_path(target.app_id)}/hooks"


def _shown(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if column == "error":
        value = "" if value is None else value["code"]
    return printable("" if value is None else str(value))
