"""`trice run`: call a function of an app.

Exit codes: 0 done · 1 the function failed, or the server refused · 2 wrong usage
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from trice.cli.options import option
from trice.cli.project import Target, in_project
from trice.cli.remote import Refused, in_path
from trice.cli.terminal import note, print_json, printable


@click.command("run")
@click.argument("name")
@click.argument("args", metavar="[JSON]", default="{}")
@option("--key", help="Idempotency-Key: a mutation with the same key is carried out once.")
@option("--as-email", help="Call as the user with this e-mail address; `auth` applies.")
@in_project
def run(*, target: Target, name: str, args: str, key: str | None, as_email: str | None) -> None:
    """Call the function NAME as an admin, and print what it returns as JSON.

    JSON is an object of arguments; `-` reads it from standard input. Internal functions can be
    called too: for an admin `auth` does not apply. But an admin is no user: what needs `ctx.me` is
    called with --as-email, the address of somebody who has signed in once.

    \b
    Examples: trice run messages.recent '{"limit": 5}'
              trice run messages.send '{"text": "hi"}' --env prod
              trice run messages.send '{"text": "hi"}' --as-email you@example.com
    """
    from trice.runtime import SystemRuntime

    draw = SystemRuntime().random_bytes
    trace = draw(16).hex()
    headers = {"app-id": target.app_id, "traceparent": f"00-{trace}-{draw(8).hex()}-01"}
    if key is not None:
        headers["idempotency-key"] = key
    if as_email is not None:
        headers["as-email"] = as_email
    try:
        body = {"args": _arguments(args)}
        answer = target.remote.post(f"/runtime/functions/{in_path(name)}", body, headers=headers)
    except Refused as refused:
        raise Refused(_told(refused, trace), refused.body) from None
    print_json(answer["value"])
    if answer.get("tx") is not None:
        note(f"transaction {answer['tx']}")


def _arguments(text: str) -> Any:
    """raises   UsageError"""
    try:
        given = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError) as failure:
        raise click.UsageError(f"The arguments are no JSON: {printable(str(failure))}.") from None
    if not isinstance(given, dict):
        raise click.UsageError('Arguments are an object, such as {"limit": 5}.')
    return given


def _told(refused: Refused, trace: str) -> str:
    """The error with its code, what it carries, and where to look."""
    code, hint = refused.body.get("type"), refused.body.get("hint")
    if code == "signed-out":
        told = f"{printable(code)}: {printable(refused.body.get('message'))}"
        return f"{told}\n  An admin is no user: `trice run … --as-email EMAIL` calls as one."
    lines = [refused.message if code is None else f"{printable(code)}: {refused.message}"]
    if isinstance(hint, dict) and hint.get("data") is not None:
        lines.append(f"  data: {printable(hint['data'])}")
    if code == "function-failed":
        lines.append(f"  `trice logs --trace {trace}` shows what happened.")
    return "\n".join(lines)
