"""`trice env`: the secrets of an app, which its functions read as `ctx.env`.

Exit codes: 0 done · 1 the server refused · 2 wrong usage
"""

from __future__ import annotations

import sys
from typing import Any

import click

from trice.cli.options import option
from trice.cli.project import Target, in_project
from trice.cli.remote import in_path, json_option, yes_option
from trice.cli.tables import show
from trice.cli.terminal import confirm, counted, note, printable


@click.group("env")
def env() -> None:
    """Set, list and remove the secrets of an app: keys of payment providers, passwords.

    Functions read them as `ctx.env["NAME"]`. They are sealed on the server, and no command shows
    them again. `required` in [env] of trice.toml names those without which nothing is deployed.

    \b
    Examples: trice env set STRIPE_KEY
              trice env list
    """


@env.command("set")
@click.argument("pairs", metavar="NAME[=VALUE]…", nargs=-1, required=True)
@option("--stdin", "is_piped", is_flag=True, help="Read the value of NAME from standard input.")
@in_project
def set_secrets(*, target: Target, pairs: tuple[str, ...], is_piped: bool) -> None:
    """Set secrets. A NAME without a value is asked for, so that it gets into no history of a shell.

    The functions of the app see the new values at once.

    \b
    Examples: trice env set STRIPE_KEY
              trice env set MODE=test REGION=eu
              trice env set CERTIFICATE --stdin < certificate.pem
    """
    if is_piped and (len(pairs) != 1 or "=" in pairs[0]):
        raise click.UsageError("--stdin takes one NAME, without a value.")
    put = {}
    for pair in pairs:
        name, has_value, value = pair.partition("=")
        if is_piped:
            value = sys.stdin.read()
        elif not has_value:
            value = click.prompt(f"{printable(name)}", hide_input=True, err=True)
        put[name] = value
    _change(target, {"set": put})
    note(f"{counted(len(put), 'secret')} set.")


@env.command("list")
@in_project
@json_option
def list_secrets(*, target: Target, is_json: bool) -> None:
    """List the names of the secrets, and when each was set.

    Example: trice env list --env prod
    """
    rows = target.remote.get(_path(target))["env"]
    required = target.project.required
    known = {row["name"] for row in rows}
    columns = {"name": "name", "updated_at": "set at"}
    none = "No secrets."
    show(rows, columns, lambda row, column: printable(row[column]), is_json=is_json, none=none)
    for name in required:
        if name not in known:
            note(f"{name} is required by trice.toml, and not set.")


@env.command("remove")
@click.argument("names", metavar="NAME…", nargs=-1, required=True)
@yes_option
@in_project
def remove_secrets(*, target: Target, names: tuple[str, ...], is_agreed: bool) -> None:
    """Remove secrets. One that the code in force requires stays.

    Example: trice env remove OLD_KEY
    """
    confirm(f"Remove {', '.join(map(printable, names))}?", is_agreed=is_agreed)
    _change(target, {"remove": list(names)})
    note(f"{counted(len(names), 'secret')} removed.")


def _path(target: Target) -> str:
    return f"/dash/apps/{in_path(target.app_id)}/env"


def _change(target: Target, body: Any) -> None:
    target.remote.post(_path(target), body)
