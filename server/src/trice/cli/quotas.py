"""`trice apps usage`, `trice apps quota`, `trice accounts quota`: what apps use, and may use.

Usage is asked of a server, as other commands of `trice apps`. Quotas are set by the operator, on
the data directory, whether a server runs on it or not.
Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from trice.cli.options import data_dir_option, no_data_dir, option
from trice.cli.remote import UUID, Remote, checked_app_id, in_path, json_option, on_server
from trice.cli.terminal import note, print_json, print_table, printable

_QUOTAS: Final = ("rows", "bytes", "file-bytes", "requests", "sockets")
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_AMOUNT: Final = re.compile(r"([0-9]{1,16})(|k|m|g|ki|mi|gi)b?", re.IGNORECASE | re.ASCII)
_TITLES: Final = {"file-bytes": "file bytes", "requests": "requests a minute"}


def _amount(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """A quota as `{"is": value}`, so that `none` is not what an option that was not given has.

    raises   BadParameter
    """
    if value is None:
        return None
    if value in ("unlimited", "none"):
        return {"is": None if value == "none" else value}
    found = _AMOUNT.fullmatch(value)
    if found is None:
        accepted = "a number such as 1000, 50k or 64MiB; unlimited; none for what is set elsewhere"
        raise click.BadParameter(f"{printable(value)!r} is not one of: {accepted}.", ctx, param)
    return {"is": int(found[1]) * _UNITS[found[2].lower()]}


def _amounts(work: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each quota."""
    for name in reversed(_QUOTAS):
        work = option(f"--{name}", metavar="N", callback=_amount, help=_help(name))(work)
    return work


def _help(name: str) -> str:
    return {
        "rows": "Entities, and links to many.",
        "bytes": "Bytes of its database, history included.",
        "file-bytes": "Bytes of its files.",
        "requests": "Requests and messages in a minute.",
        "sockets": "Connections at a time.",
    }[name]


@click.command("usage")
@click.argument("app_id", metavar="[APP]", required=False)
@json_option
@on_server
def usage(*, remote: Remote, app_id: str | None, is_json: bool) -> None:
    """Show what an app uses of its quotas, or what all your apps use.

    Example: trice apps usage 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11
    """
    if app_id is not None:
        app_id = checked_app_id(click.get_current_context(), _APP, app_id)
        found = remote.get(f"/dash/apps/{in_path(app_id)}/usage")["usage"]
        if is_json:
            print_json(found)
        else:
            _print_usage(found)
        return
    told: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        params = None if after is None else {"after": after}
        page = remote.get("/dash/usage", params=params)["usage"]
        told += page["apps"]
        after = page["after"]
        if after is None:
            break
    if is_json:
        print_json(told)
        return
    rows = [
        {"id": each["id"], "title": each["title"]}
        | {name: _of(each.get(name)) for name in _QUOTAS}
        | ({"rows": each["problem"]} if "problem" in each else {})
        for each in told
    ]
    columns = {"id": "id", "title": "title"} | {name: _TITLES.get(name, name) for name in _QUOTAS}
    print_table(rows, columns, none="There are no apps.")


_APP: Final = click.Argument(["app_id"], metavar="APP")


def _print_usage(found: dict[str, Any]) -> None:
    rows = [
        {
            "quota": _TITLES.get(name, name),
            "used": f"{found[name]['used']:,}",
            "allowed": _allowed(found[name]["allowed"]),
            "of": "-" if found[name]["allowed"] is None else _percent(found[name]),
            "set_by": found[name]["set_by"],
        }
        for name in _QUOTAS
    ]
    columns = {"quota": "quota", "used": "used", "allowed": "allowed", "of": "of it"}
    print_table(rows, {**columns, "set_by": "set for"})


def _of(use: dict[str, Any] | None) -> str:
    if use is None:
        return "-"
    used = f"{use['used']:,}"
    return used if use["allowed"] is None else f"{used} of {use['allowed']:,}"


def _percent(use: dict[str, Any]) -> str:
    return f"{100 * use['used'] // use['allowed']} %" if use["allowed"] else "100 %"


def _allowed(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "unlimited"


@click.command("quota")
@click.argument("app_id", metavar="APP", callback=checked_app_id)
@_amounts
@json_option
@data_dir_option
def app_quota(*, app_id: str, is_json: bool, data_dir: Path, **amounts: Any) -> None:
    """Set how much an app may use, as the operator of the server; without options, show it.

    What is not set for the app is as for its account, or its organisation, or the server.

    Example: trice apps quota 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11 --rows 100k --bytes 1GiB
    """
    wish = {"do": "app-quota", "id": app_id, "quotas": _given(amounts)}
    answer = _ask(data_dir, wish)
    if is_json:
        print_json(answer)
        return
    rows = [
        {
            "quota": _TITLES.get(name, name),
            "allowed": _allowed(answer["allowed"][name]["allowed"]),
            "set_by": answer["allowed"][name]["set_by"],
        }
        for name in _QUOTAS
    ]
    print_table(rows, {"quota": "quota", "allowed": "allowed", "set_by": "set for"})


@click.command("quota")
@click.argument("holder", metavar="EMAIL")
@_amounts
@option("--apps", metavar="N", callback=_amount, help="How many apps it may have.")
@json_option
@data_dir_option
def account_quota(*, holder: str, is_json: bool, data_dir: Path, **amounts: Any) -> None:
    """Set how much each app of an account may use; without options, show it.

    An organisation is named by its id in place of EMAIL. What is set for an app itself goes first.

    Example: trice accounts quota ann@example.com --rows 100k --apps 10
    """
    key = "org" if UUID.fullmatch(holder) else "email"
    answer = _ask(data_dir, {"do": "account-quota", key: holder, "quotas": _given(amounts)})
    if is_json:
        print_json(answer)
        return
    shown = answer["quotas"]
    if not shown:
        note(f"Nothing is set for {printable(holder)}.")
        return
    rows = [
        {"quota": _TITLES.get(name, name), "allowed": _allowed(shown[name])}
        for name in (*_QUOTAS, "apps")
        if name in shown
    ]
    print_table(rows, {"quota": "quota of each app", "allowed": "allowed"})


def _ask(data_dir: Path, wish: dict[str, Any]) -> dict[str, Any]:
    """Have a wish carried out on a data directory that is there."""
    from trice.cli.door import ask

    if not (data_dir / "platform.db").is_file():
        raise click.ClickException(no_data_dir(data_dir))
    return ask(data_dir, wish)


def _given(amounts: dict[str, dict[str, Any] | None]) -> dict[str, Any]:
    """The quotas that options name, as the operator sends them."""
    return {
        name.replace("_", "-"): amount["is"]
        for name, amount in amounts.items()
        if amount is not None
    }
