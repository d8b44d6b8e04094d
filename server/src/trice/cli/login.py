"""`trice login`, `logout`, `whoami`: who a person is on a server.

Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from trice.cli.options import option
from trice.cli.remote import (
    Refused,
    Remote,
    find_remote,
    is_here,
    json_option,
    on_server,
    understood,
    url_option,
    wait,
)
from trice.cli.saved_logins import Login, load_logins, logins_file, save_logins
from trice.cli.terminal import is_terminal, note, print_json, print_record, printable

_POLL_MS: Final = 1_000
"""How often the server is asked whether the person has confirmed. It ends after three minutes."""


@click.command("login")
@url_option
@option("--token", help="Save this access token instead of opening a page; - reads it from input.")
@option("--no-browser", is_flag=True, help="Print the address of the page; do not open it.")
def login(*, url: str | None, token: str | None, no_browser: bool) -> None:
    """Sign in to a server: on its page in a browser, or with an access token.

    \b
    The login is saved in a file that only you can read, and used by the other commands. A variable
    TRICE_TOKEN, or --token, comes before it.

    \b
    Examples: trice login --url https://api.example.com
              trice login --token - < token.txt
    """
    server = find_remote(url, None).url
    if server.startswith("http://") and not is_here(server):
        note(f"Warning: what is sent to {server} is not encrypted, the token included.")
    if token is None:
        remote = Remote(server, None, "")
        with understood(remote):
            made = _ask_person(remote, is_opened=not no_browser)
    else:
        given = (sys.stdin.read() if token == "-" else token).strip()
        remote = find_remote(server, given)
        with understood(remote):
            email = _owner(remote)
        made = Login(given, email, is_session=False)
    logins = load_logins()
    logins.put(server, made)
    save_logins(logins)
    note(f"You are signed in to {server} as {printable(made.email)}.")


def _owner(remote: Remote) -> str:
    """The e-mail address of the account that a token is of."""
    try:
        return str(remote.get("/dash/me")["user"]["email"])
    except Refused as failure:
        hint = failure.body.get("hint") if isinstance(failure.body, dict) else None
        if isinstance(hint, dict) and hint.get("in") == ["headers", "authorization"]:
            told = "That is no access token of an account: one begins with per_."
            raise click.ClickException(told) from None
        raise


def _ask_person(remote: Remote, *, is_opened: bool) -> Login:
    """Have a person confirm the login on the page of the server."""
    begun = remote.post("/dash/cli/auth/register")
    page = f"{remote.url}/dash?ticket={begun['ticket']}"
    note(f"Open this page and confirm, within three minutes:\n{page}")
    if is_opened and is_terminal():
        click.launch(page)
    while True:
        try:
            answer = remote.post("/dash/cli/auth/check", {"secret": begun["secret"]})
            return Login(str(answer["token"]), str(answer["email"]), is_session=True)
        except Refused as failure:
            if _issue(failure.body) == "user-voided-request":
                raise click.ClickException("The login was refused on the page.") from None
            if _issue(failure.body) != "waiting-for-user":
                raise
        wait(_POLL_MS)


def _issue(body: Any) -> Any:
    try:
        return body["hint"]["errors"][0]["issue"]
    except (KeyError, IndexError, TypeError):
        return None


@click.command("logout")
@url_option
def logout(*, url: str | None) -> None:
    """Sign out: end the login that is saved for a server.

    A token that was made by hand is only forgotten; `trice tokens revoke` ends it.

    Example: trice logout
    """
    logins = load_logins()
    remote = find_remote(url, None)
    dropped = logins.drop(remote.url)
    if dropped is None:
        raise click.ClickException(f"No login is saved for {remote.url}.")
    save_logins(logins)
    if dropped.is_session:
        try:
            remote.post("/dash/signout")
        except Refused as failure:
            note(f"The server could not be told, so the login ends later. {failure.message}")
    note(f"You are signed out of {remote.url}.")


@click.command("whoami")
@json_option
@on_server
def whoami(*, remote: Remote, is_json: bool) -> None:
    """Tell which account, on which server, commands act for.

    Example: trice whoami --json
    """
    user = remote.get("/dash/me")["user"]
    if is_json:
        print_json({"url": remote.url, **user})
        return
    print_record(
        (
            ("server", remote.url),
            ("account", user["email"]),
            ("token", remote.token_from),
            ("saved in", str(logins_file())),
        )
    )
