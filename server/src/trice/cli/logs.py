"""`trice logs`: what functions of an app wrote, and what went wrong in them.

Exit codes: 0 done · 1 the server refused, or does not answer · 2 wrong usage
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import click

from trice.cli.options import option
from trice.cli.project import Target, in_project
from trice.cli.remote import in_path
from trice.cli.terminal import note, printable, say

_COLORS: Final = {"debug": "bright_black", "warning": "yellow", "error": "red"}
_TRACE_CHARS: Final = 8


@click.command("logs")
@in_project
@option("--follow", "-f", "is_following", is_flag=True, help="Print lines as they come.")
@option("--trace", default="", help="Only lines of the call with this trace id.")
@option("--function", default="", metavar="NAME", help="Only lines of this function.")
@option(
    "--level",
    type=click.Choice(("debug", "info", "warning", "error")),
    default="debug",
    help="Leave out less severe lines.",
)
@option("--json", "is_json", is_flag=True, help="Print a JSON object for each line.")
def logs(
    *,
    target: Target,
    is_following: bool,
    trace: str,
    function: str,
    level: str,
    is_json: bool,
) -> None:
    """Print what functions of an app wrote: `print`, `logging`, and exceptions with tracebacks.

    The newest 64 KiB are shown; the server keeps 64 MiB of each app. A line has its time, its
    level, the function and the trace id of the call, which an error has that a caller gets.

    \b
    Examples: trice logs --follow
              trice logs --env prod --level error
              trice logs --trace 0af7651916cd43dd8448eb211c80319c
    """
    wanted = {"function": function, "trace": trace, "level": level}
    path = f"/dash/apps/{in_path(target.app_id)}/logs"
    params = {key: value for key, value in wanted.items() if value}
    if not is_following:
        page = target.remote.get(f"{path}?{urlencode(params)}")
        for line in page["lines"]:
            _tell(line, is_json=is_json, is_traced=bool(trace))
        if not page["lines"] and not is_json:
            note("No lines.")
        return
    place: int | None = None
    while True:
        more = {} if place is None else {"after": str(place)}
        query = urlencode({**params, **more, "follow": "1"})
        with target.remote.lines(f"{path}?{query}") as pages:
            for page in pages:
                place = page["place"]
                for line in page["lines"]:
                    _tell(line, is_json=is_json, is_traced=bool(trace))


def _tell(line: Any, *, is_json: bool, is_traced: bool) -> None:
    if is_json:
        say(json.dumps(line))
        return
    for text in line_texts(**line, is_traced=is_traced):
        say(text)


def line_texts(
    *, at: int, level: str, function: str, trace: str, text: str, is_traced: bool = False
) -> list[str]:
    """A line of a log for people; a text of several lines goes on below its first.

    at        ms
    is_traced   all lines are of one call: its trace id is left out
    """
    clock = datetime.fromtimestamp(at / 1000).strftime("%H:%M:%S.%f")[:-3]
    shown = "" if is_traced or not trace else f" {printable(trace[:_TRACE_CHARS])}"
    first, *rest = (printable(each) for each in text.rstrip("\n").split("\n"))
    head = f"{clock} {level:<7} {printable(function or '-')}{shown}  {first}"
    return [
        click.style(each, fg=_COLORS.get(level))
        for each in (head, *(f"    {each}" for each in rest))
    ]
