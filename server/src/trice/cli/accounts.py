"""`trice accounts`: who may make apps on a server.

The commands work on a data directory, whether a server runs on it or not (`accounts.operator`).
Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from trice.accounts.accounts import SCOPES
from trice.cli.door import ask
from trice.cli.options import data_dir_option, option
from trice.cli.quotas import account_quota
from trice.cli.remote import yes_option
from trice.cli.tables import show
from trice.cli.terminal import confirm, printable

_as_json: Final[Callable[..., Any]] = option(
    "--json", "is_json", is_flag=True, help="Print JSON, for programs."
)


@click.group("accounts")
def accounts() -> None:
    """Make, list and remove accounts, and their access tokens.

    Example: trice accounts create you@example.com --print-token
    """


@accounts.command("create")
@click.argument("email")
@option("--print-token", is_flag=True, help="Make an access token; it is the last line printed.")
@data_dir_option
def create(*, email: str, print_token: bool, data_dir: Path) -> None:
    """Make an account, which may have apps on this server.

    Example: trice accounts create you@example.com --print-token
    """
    token = {"name": "made with the account"} if print_token else None
    answer = ask(data_dir, {"do": "create-account", "email": email, "token": token})
    click.echo(f"{answer['account']['email']} has an account now.")
    if print_token:
        click.echo("Its access token, which is not shown again:", err=True)
        click.echo(answer["token"]["token"])


@accounts.command("list")
@_as_json
@data_dir_option
def list_accounts(*, is_json: bool, data_dir: Path) -> None:
    """List the accounts with their numbers of apps and tokens.

    Example: trice accounts list --json
    """
    found = ask(data_dir, {"do": "list-accounts"})["accounts"]
    show(
        found,
        {"email": "email", "apps": "apps", "tokens": "tokens", "created_at": "created"},
        _cell,
        is_json=is_json,
        none="No accounts.",
    )


@accounts.command("remove")
@click.argument("email")
@option("--give-apps-to", metavar="EMAIL", help="The account that gets its apps.")
@yes_option
@data_dir_option
def remove(*, email: str, give_apps_to: str | None, is_agreed: bool, data_dir: Path) -> None:
    """Remove an account and its tokens. Apps that it has must go to another one.

    Example: trice accounts remove bob@example.com --give-apps-to ann@example.com
    """
    confirm(f"Remove the account {printable(email)} and its tokens?", is_agreed=is_agreed)
    wish = {"do": "remove-account", "email": email, "give_apps_to": give_apps_to}
    answer = ask(data_dir, wish)
    moved = f" Its {answer['apps']} apps belong to {give_apps_to} now." if give_apps_to else ""
    click.echo(f"{answer['account']['email']} has no account any more.{moved}")


@accounts.command("password")
@click.argument("email")
@option("--none", "is_none", is_flag=True, help="Remove the password: codes sign in only.")
@data_dir_option
def password(*, email: str, is_none: bool, data_dir: Path) -> None:
    """Set the password of an account: asked for, or the first line of standard input.

    Its sign-ins end. Its access tokens stay.

    Example: trice accounts password you@example.com < password.txt
    """
    chosen = None
    if not is_none:
        chosen = _ask_password() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    ask(data_dir, {"do": "set-password", "email": email, "password": chosen})
    click.echo(f"{email} has {'no' if is_none else 'a new'} password.")


@accounts.command("give-app")
@click.argument("app_id")
@click.argument("email")
@data_dir_option
def give_app(*, app_id: str, email: str, data_dir: Path) -> None:
    """Hand an app to an account: one that was imported, or of somebody else.

    A throw-away app lasts from then on. The app's admin token stays as it is.

    Example: trice accounts give-app $APP you@example.com
    """
    app = ask(data_dir, {"do": "give-app", "id": app_id, "email": email})["app"]
    click.echo(f"{printable(app['title'])} ({app['id']}) belongs to {email} now.")


@accounts.command("restore-app")
@click.argument("app_id")
@data_dir_option
def restore_app(*, app_id: str, data_dir: Path) -> None:
    """Bring back an app that was deleted in the last 14 days.

    Example: trice accounts restore-app $APP
    """
    app = ask(data_dir, {"do": "restore-app", "id": app_id})["app"]
    click.echo(f"{printable(app['title'])} ({app['id']}) is back.")


accounts.add_command(account_quota)


@accounts.group("tokens")
def tokens() -> None:
    """Make, list and revoke the access tokens of an account."""


@tokens.command("create")
@click.argument("email")
@option("--name", required=True, help="What the token is for.")
@option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="Only for this.")
@option("--days", type=int, help="How long it works; without this, until it is revoked.")
@data_dir_option
def create_token(
    *, email: str, name: str, scopes: tuple[str, ...], days: int | None, data_dir: Path
) -> None:
    """Make an access token and print it, this once.

    Example: trice accounts tokens create you@example.com --name ci --scope apps-read --days 30
    """
    token = {"name": name, "scopes": list(scopes) or None, "days": days}
    answer = ask(data_dir, {"do": "create-token", "email": email, "token": token})
    click.echo(answer["token"]["token"])


@tokens.command("list")
@click.argument("email")
@_as_json
@data_dir_option
def list_tokens(*, email: str, is_json: bool, data_dir: Path) -> None:
    """List the tokens of an account, sign-ins of command lines included.

    Example: trice accounts tokens list you@example.com
    """
    found = ask(data_dir, {"do": "list-tokens", "email": email})["tokens"]
    columns = {each: each for each in ("id", "kind", "name", "scopes")}
    columns |= {"created_at": "created", "expires_at": "expires"}
    show(found, columns, _cell, is_json=is_json, none="No tokens.")


@tokens.command("revoke")
@click.argument("email")
@click.argument("token_id")
@yes_option
@data_dir_option
def revoke(*, email: str, token_id: str, is_agreed: bool, data_dir: Path) -> None:
    """End a token, by its id in the list: it works no more.

    Example: trice accounts tokens revoke you@example.com $TOKEN_ID
    """
    confirm(f"Programs that use {printable(token_id)} stop working. Go on?", is_agreed=is_agreed)
    ask(data_dir, {"do": "revoke-token", "email": email, "id": token_id})
    click.echo(f"{token_id} works no more.")


def _ask_password() -> str:
    return str(click.prompt("New password", hide_input=True, confirmation_prompt=True))


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if value is None:
        return "all" if column == "scopes" else "never"
    return " ".join(value) if isinstance(value, list) else str(value)
