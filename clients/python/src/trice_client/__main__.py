"""`python -m trice_client`: one question to an app. Tables for people, `--json` for programs.

TRICE_URL (http://localhost:8888), TRICE_APP, and TRICE_ADMIN_TOKEN or TRICE_TOKEN say whom, and as
whom. Exit codes: 0 answered · 1 refused · 2 wrong usage
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from trice_client import Client, TriceError
from trice_client._json import is_object
from trice_client._tables import json_text, printable, tables, value_text

_EXAMPLES = """\
python -m trice_client query '{"todos": {"$": {"where": {"done": false}}}}'
python -m trice_client call messages.send '{"text": "Hi"}' --json
python -m trice_client functions

TRICE_ADMIN_TOKEN or TRICE_TOKEN, the refresh token of a user, say as whom; neither is a guest.
Exit codes: 0 answered, 1 refused, 2 wrong usage."""


def main(words: Sequence[str]) -> int:
    """Returns the exit code."""
    asked = _parser().parse_args(words)
    try:
        with _client(asked) as db:
            match asked.command:
                case "query":
                    answer: Any = db.query(asked.query)
                case "call":
                    answer = db.call(asked.name, asked.args)
                case _:
                    answer = db.list_functions()
    except TriceError as error:
        sys.stderr.write(f"{printable(str(error))}\n{printable(repr(error))}\n")
        return 1
    if asked.is_json:
        sys.stdout.write(json_text(answer) + "\n")
        return 0
    is_bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    shown = tables if asked.command == "query" else value_text
    said, noted = shown(answer, asked.rows, is_bold=is_bold)
    sys.stdout.write(said)
    sys.stderr.write(noted)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trice_client",
        description="Ask an app of a trice server once.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    query = commands.add_parser("query", help="ask for data, as a query of InstaQL")
    query.add_argument("query", type=_object, metavar="QUERY", help='such as {"todos": {}}')
    call = commands.add_parser("call", help="call a function")
    call.add_argument("name", metavar="NAME", help="such as messages.send")
    call.add_argument("args", type=_object, metavar="ARGS", nargs="?", default={})
    functions = commands.add_parser("functions", help="list the functions that can be called")
    for each in (query, call, functions):
        each.add_argument("--json", dest="is_json", action="store_true", help="JSON, no tables")
        each.add_argument("--rows", type=_rows, default=50, help="rows that are shown (50)")
        url = os.environ.get("TRICE_URL", "http://localhost:8888")
        each.add_argument("--url", default=url, help="the server; else TRICE_URL")
        app = os.environ.get("TRICE_APP", "")
        each.add_argument("--app", default=app, help="the id of the app; else TRICE_APP")
    return parser


def _object(text: str) -> dict[str, Any]:
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"it is no JSON: {error}") from None
    if is_object(found):
        return found
    raise argparse.ArgumentTypeError('it is no JSON object, such as {"todos": {}}')


def _rows(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError("it is a whole number, 1 or more")


def _client(asked: argparse.Namespace) -> Client:
    return Client(
        asked.app,
        server=asked.url,
        admin_token=os.environ.get("TRICE_ADMIN_TOKEN"),
        token=os.environ.get("TRICE_TOKEN"),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
