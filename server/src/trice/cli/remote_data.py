"""`trice query`, `transact`, `users`: the data of an app.

Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from trice.cli.data_app import data_dir_or_project, query_app, transact_app
from trice.cli.options import json_argument, option
from trice.cli.remote import (
    UUID,
    Command,
    Remote,
    app_option,
    json_option,
    on_server,
    yes_option,
)
from trice.cli.terminal import (
    confirm,
    note,
    print_json,
    print_record,
    print_table,
    printable,
    say,
)

_COLUMNS_MAX: Final = 12
"""Columns of a table of entities; the rest is named below it."""

_ROWS_MAX: Final = 10_000

_CALLERS: Final[tuple[Callable[..., Any], ...]] = (
    option("--as-email", help="Act as the user with this e-mail address, under the rules."),
    option("--as-token", help="Act as the holder of this refresh token, under the rules."),
    option("--as-guest", is_flag=True, help="Act as somebody who is not signed in."),
)


def _with_callers(command: Command) -> Command:
    for decorate in reversed(_CALLERS):
        command = decorate(command)
    return command


@click.command("query")
@click.argument("query")
@_with_callers
@option(
    "--rows",
    type=click.IntRange(1, _ROWS_MAX),
    default=50,
    show_default=True,
    help="Rows of a table that are printed.",
)
@json_option
@data_dir_or_project
def query(
    *,
    remote: Remote | None,
    data_dir: Path | None,
    query: str,
    app_id: str,
    rows: int,
    is_json: bool,
    **callers: Any,
) -> None:
    """Ask for data, as a QUERY of InstaQL or - for standard input; without rules, unless a caller
    is named.

    \b
    Examples: trice query '{"todos": {"$": {"where": {"done": false}}}}' --app $APP
              trice query '{"todos": {"owner": {}}}' --app $APP --json
    """
    asked = json_argument(query, "QUERY", dict, '{"todos": {}}')
    headers = _headers(app_id, is_local=remote is None, **callers)
    if remote is None:
        assert data_dir is not None
        answer = query_app(data_dir, app_id, asked)
    else:
        answer = remote.post("/admin/query", {"query": asked}, headers=headers)
    if is_json:
        print_json(answer)
        return
    print_answer(answer, rows)


def print_answer(answer: Mapping[str, Any], rows: int, *, whole: str = "--json has all.") -> None:
    """Print the answer to a query as tables, with so many rows of each namespace at most.

    whole   where to find the columns that are left out
    """
    for name, found in answer.items():
        if len(answer) > 1:
            say(click.style(printable(name), bold=True))
        if isinstance(found, list) and all(isinstance(each, dict) for each in found):
            _print_entities(found, rows, whole)
        else:
            say(printable(found))


def _print_entities(found: list[dict[str, Any]], rows: int, whole: str) -> None:
    shown = found[:rows]
    names = sorted({key for each in shown for key in each} - {"id"})
    columns = ["id", *names][:_COLUMNS_MAX]
    print_table(shown, {name: printable(name) for name in columns}, none="Nothing is found.")
    if len(names) >= _COLUMNS_MAX:
        left = ", ".join(map(printable, names[_COLUMNS_MAX - 1 :][:_COLUMNS_MAX]))
        note(f"There are {len(names) + 1 - _COLUMNS_MAX} more columns: {left}. {whole}")
    if len(found) > rows:
        note(f"There are {len(found) - rows:,} more rows. --rows shows more, --json has all.")


@click.command("transact")
@click.argument("steps")
@_with_callers
@json_option
@data_dir_or_project
def transact(
    *,
    remote: Remote | None,
    data_dir: Path | None,
    steps: str,
    app_id: str,
    is_json: bool,
    **callers: Any,
) -> None:
    """Write data: STEPS of InstaML, or - for standard input; all of them or none. Without rules,
    unless a caller is named. Nothing is asked, not before a delete either.

    With --data-dir no server may run on it.

    \b
    Example: trice transact '[["update", "todos", "ID", {"done": true}]]' --app $APP
    """
    given = json_argument(steps, "STEPS", list, '[["update", "todos", "ID", {"done": true}]]')
    given = [given] if given and isinstance(given[0], str) else given
    headers = _headers(app_id, is_local=remote is None, **callers)
    if remote is None:
        assert data_dir is not None
        answer = {"tx-id": transact_app(data_dir, app_id, given)}
    else:
        answer = remote.post("/admin/transact", {"steps": given}, headers=headers)
    if is_json:
        print_json(answer)
    else:
        note(f"Done, as transaction {answer['tx-id']}.")


def _headers(
    app_id: str,
    *,
    is_local: bool,
    as_email: str | None = None,
    as_token: str | None = None,
    as_guest: bool = False,
) -> dict[str, str]:
    """Headers that name the app, and who acts."""
    if (as_email is not None) + (as_token is not None) + as_guest > 1:
        raise click.UsageError("Name one caller: --as-email, --as-token or --as-guest.")
    headers = {"app-id": app_id}
    for name, value in (("as-email", as_email), ("as-token", as_token)):
        if value is not None:
            headers[name] = value
    if as_guest:
        headers["as-guest"] = "true"
    if is_local and len(headers) > 1:
        raise click.UsageError("In a data directory nobody else can act; ask the server.")
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            raise click.UsageError(f"{name}: {printable(value)} has characters that none has.")
    return headers


# --- users ----------------------------------------------------------------------------------------


@click.group("users")
def users() -> None:
    """List, show and delete the users of an app.

    Example: trice users list --app $APP
    """


@users.command("list")
@app_option
@option(
    "--limit",
    type=click.IntRange(1, _ROWS_MAX),
    default=100,
    show_default=True,
    help="How many are listed.",
)
@option("--offset", type=click.IntRange(0), default=0, help="How many are passed over before.")
@json_option
@on_server
def list_users(*, remote: Remote, app_id: str, limit: int, offset: int, is_json: bool) -> None:
    """List users, oldest first.

    Example: trice users list --app $APP --limit 1000 --json
    """
    # One more tells whether there are more.
    options = {"limit": limit + 1, "offset": offset, "order": {"serverCreatedAt": "asc"}}
    found = _find_users(remote, app_id, options)
    if is_json:
        print_json(found[:limit])
    else:
        columns = {"email": "email", "id": "id", "type": "type"}
        print_table(found[:limit], columns, none="There are no users here.")
    if len(found) > limit:
        note(f"There are more: --offset {offset + limit}.")


@users.command("show")
@click.argument("user")
@app_option
@json_option
@on_server
def show_user(*, remote: Remote, user: str, app_id: str, is_json: bool) -> None:
    """Show what is known of a user, by e-mail address or id.

    Example: trice users show ann@example.com --app $APP
    """
    found = _get_user(remote, app_id, user)
    if is_json:
        print_json(found)
    else:
        print_record((printable(key), value) for key, value in found.items())


@users.command("delete")
@click.argument("user")
@app_option
@yes_option
@on_server
def delete_user(*, remote: Remote, user: str, app_id: str, is_agreed: bool) -> None:
    """Delete a user, by e-mail address or id, with sign-ins and everything that cascades.

    Example: trice users delete ann@example.com --app $APP
    """
    found = _get_user(remote, app_id, user)
    name = printable(found.get("email") or found["id"])
    confirm(f"Delete {name} for good?", is_agreed=is_agreed)
    remote.delete("/admin/users", params={"id": found["id"]}, headers={"app-id": app_id})
    note(f"{name} is deleted.")


def _get_user(remote: Remote, app_id: str, user: str) -> dict[str, Any]:
    where = {"id": user.lower()} if UUID.fullmatch(user) else {"email": user.strip().lower()}
    found = _find_users(remote, app_id, {"where": where})
    if not found:
        raise click.ClickException(f"This app has no user {printable(user)}.")
    return found[0]


def _find_users(remote: Remote, app_id: str, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    headers = _headers(app_id, is_local=False)
    answer = remote.post("/admin/query", {"query": {"$users": {"$": options}}}, headers=headers)
    found: list[dict[str, Any]] = answer["$users"]
    return found
