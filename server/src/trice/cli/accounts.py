"""`trice accounts`: who may make apps on a server.

The commands work on a data directory, whether a server runs on it or not (`accounts.operator`).
Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

import asyncio
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import orjson

from trice.accounts.accounts import SCOPES, Accounts
from trice.accounts.operator import Operator, door_of
from trice.accounts.orgs import Orgs
from trice.accounts.passwords import AccountPasswords
from trice.apps.apps import Apps
from trice.auth.passwords.hash import PasswordHashes
from trice.cli.options import file_error, option
from trice.cli.tables import show
from trice.cli.terminal import printable
from trice.errors import TriceError
from trice.runtime import SystemRuntime
from trice.server import open_engines

_ASK_S: Final = 30
_data_dir: Final[Callable[..., Any]] = option(
    "--data-dir",
    envvar="TRICE_DATA_DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default="trice-data",
    show_default=True,
    help="The data directory of the server, which may be running.",
)
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
@_data_dir
def create(*, email: str, print_token: bool, data_dir: Path) -> None:
    """Make an account, which may have apps on this server."""
    token = {"name": "made with the account"} if print_token else None
    answer = _ask(data_dir, {"do": "create-account", "email": email, "token": token})
    click.echo(f"{answer['account']['email']} has an account now.")
    if print_token:
        click.echo("Its access token, which is not shown again:", err=True)
        click.echo(answer["token"]["token"])


@accounts.command("list")
@_as_json
@_data_dir
def list_accounts(*, is_json: bool, data_dir: Path) -> None:
    """List the accounts with their numbers of apps and tokens."""
    found = _ask(data_dir, {"do": "list-accounts"})["accounts"]
    show(
        found,
        ("email", "apps", "tokens", "created_at"),
        _cell,
        is_json=is_json,
        none="No accounts.",
    )


@accounts.command("remove")
@click.argument("email")
@option("--give-apps-to", metavar="EMAIL", help="The account that gets its apps.")
@_data_dir
def remove(*, email: str, give_apps_to: str | None, data_dir: Path) -> None:
    """Remove an account and its tokens. Apps that it has must go to another one."""
    wish = {"do": "remove-account", "email": email, "give_apps_to": give_apps_to}
    answer = _ask(data_dir, wish)
    moved = f" Its {answer['apps']} apps belong to {give_apps_to} now." if give_apps_to else ""
    click.echo(f"{answer['account']['email']} has no account any more.{moved}")


@accounts.command("password")
@click.argument("email")
@option("--none", "is_none", is_flag=True, help="Remove the password: codes sign in only.")
@_data_dir
def password(*, email: str, is_none: bool, data_dir: Path) -> None:
    """Set the password of an account, asked for or read from standard input.

    Its sign-ins end. Its access tokens stay.
    """
    chosen = None
    if not is_none:
        chosen = click.prompt("New password", hide_input=True, confirmation_prompt=True)
    _ask(data_dir, {"do": "set-password", "email": email, "password": chosen})
    click.echo(f"{email} has {'no' if is_none else 'a new'} password.")


@accounts.command("give-app")
@click.argument("app_id")
@click.argument("email")
@_data_dir
def give_app(*, app_id: str, email: str, data_dir: Path) -> None:
    """Hand an app to an account: one that was imported, or of somebody else.

    A throw-away app lasts from then on. The app's admin token stays as it is.
    """
    app = _ask(data_dir, {"do": "give-app", "id": app_id, "email": email})["app"]
    click.echo(f"{app['title']} ({app['id']}) belongs to {email} now.")


@accounts.command("restore-app")
@click.argument("app_id")
@_data_dir
def restore_app(*, app_id: str, data_dir: Path) -> None:
    """Bring back an app that was deleted in the last 14 days."""
    app = _ask(data_dir, {"do": "restore-app", "id": app_id})["app"]
    click.echo(f"{printable(app['title'])} ({app['id']}) is back.")


@accounts.group("tokens")
def tokens() -> None:
    """Make, list and revoke the access tokens of an account."""


@tokens.command("create")
@click.argument("email")
@option("--name", required=True, help="What the token is for.")
@option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="Only for this.")
@option("--days", type=int, help="How long it works; without this, until it is revoked.")
@_data_dir
def create_token(
    *, email: str, name: str, scopes: tuple[str, ...], days: int | None, data_dir: Path
) -> None:
    """Make an access token and print it."""
    token = {"name": name, "scopes": list(scopes) or None, "days": days}
    answer = _ask(data_dir, {"do": "create-token", "email": email, "token": token})
    click.echo(answer["token"]["token"])


@tokens.command("list")
@click.argument("email")
@_as_json
@_data_dir
def list_tokens(*, email: str, is_json: bool, data_dir: Path) -> None:
    """List the tokens of an account, sign-ins of command lines included."""
    found = _ask(data_dir, {"do": "list-tokens", "email": email})["tokens"]
    columns = ("id", "kind", "name", "scopes", "created_at", "expires_at")
    show(found, columns, _cell, is_json=is_json, none="No tokens.")


@tokens.command("revoke")
@click.argument("email")
@click.argument("token_id")
@_data_dir
def revoke(*, email: str, token_id: str, data_dir: Path) -> None:
    """End a token: it works no more."""
    _ask(data_dir, {"do": "revoke-token", "email": email, "id": token_id})
    click.echo(f"{token_id} works no more.")


def _ask(data_dir: Path, wish: dict[str, Any]) -> dict[str, Any]:
    """Have a wish carried out, here or by the server that runs on the directory."""
    former = os.umask(0o077)  # no other user of the machine can read files that this makes
    try:
        return asyncio.run(_carry_out(data_dir, wish))
    except TriceError as failure:
        raise click.ClickException(failure.message) from None
    except BlockingIOError:
        return _ask_server(data_dir, wish)
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None
    finally:
        os.umask(former)


async def _carry_out(data_dir: Path, wish: dict[str, Any]) -> dict[str, Any]:
    """Carry a wish out in this process; raises BlockingIOError when a server has the directory."""
    runtime = SystemRuntime()
    engines = open_engines(data_dir, runtime=runtime)
    try:
        apps = await Apps.open(engines, runtime=runtime, is_open_by_default=False)
        try:
            accounts = Accounts(apps.platform, runtime=runtime)
            orgs = Orgs(apps.platform, runtime=runtime)
            passwords = AccountPasswords(accounts, PasswordHashes(runtime))
            operator = Operator(accounts, orgs, passwords, apps, runtime=runtime)
            return await operator.carry_out(wish)
        finally:
            await apps.close()
    finally:
        engines.close()


def _ask_server(data_dir: Path, wish: dict[str, Any]) -> dict[str, Any]:
    try:
        door = orjson.loads(door_of(data_dir).read_bytes())
        request = urllib.request.Request(
            f"{door['url']}/operator",
            data=orjson.dumps(wish),
            headers={
                "content-type": "application/json",
                "authorization": f"Bearer {door['secret']}",
            },
        )
        # Proxies are for the world outside; the server is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_ASK_S) as response:
            answer: dict[str, Any] = orjson.loads(response.read())
            return answer
    except urllib.error.HTTPError as failure:
        raise click.ClickException(_message(failure.read())) from None
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise click.ClickException(
            f"Another process uses {data_dir}, and it does not answer as a server does ({failure})."
            " If it has just started, try again in a moment."
        ) from None


def _message(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["message"])
    except (ValueError, KeyError):
        return "The server refused without a reason."


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if value is None:
        return "all" if column == "scopes" else "never"
    return " ".join(value) if isinstance(value, list) else str(value)
