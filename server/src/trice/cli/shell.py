"""`trice shell`: Python with an app at hand.

Exit codes: 0 done · 2 wrong usage
"""

from __future__ import annotations

import code
import sys
from collections.abc import Callable
from typing import Any

import click

from trice.cli.project import Target, in_project
from trice.cli.remote import Refused, in_path
from trice.cli.remote_data import print_answer
from trice.cli.terminal import note, printable

_BANNER = """\
app {app} on {url}
  run("messages.send", text="hi")      call a function
  query({{"messages": {{}}}})              ask for data, past all rules
  table(query({{"messages": {{}}}}))       the same, as `trice query` prints it
  transact([["update", "messages", id, {{"text": "hi"}}]])
  functions()                          what can be called
Ctrl-D ends."""


@click.command("shell")
@in_project
def shell(*, target: Target) -> None:
    """Python with functions that ask an app, as its admin: run, query, table, transact, functions.

    \b
    Examples: trice shell
              trice shell --env prod
              echo 'run("messages.recent")' | trice shell
    """
    names: dict[str, Any] = {
        each.__name__: each for each in (_run(target), _query(target), _transact(target))
    }
    names |= {"functions": _functions(target), "table": _table}
    console = _Console(names)
    if sys.stdin.isatty():
        import readline  # noqa: F401  # arrows and history at the prompt

        banner = _BANNER.format(app=target.app_id, url=target.remote.url)
        console.interact(banner=banner, exitmsg="")
        return
    source = sys.stdin.read()
    for line in source.splitlines():
        console.push(line)
    console.push("")


class _Console(code.InteractiveConsole):
    """Tells refusals in their words, without a traceback."""

    def showtraceback(self) -> None:
        failure = sys.exc_info()[1]
        if isinstance(failure, Refused):
            note(click.style(failure.message, fg="red"))
        else:
            super().showtraceback()


def _run(target: Target) -> Callable[..., Any]:
    def run(name: str, /, **args: Any) -> Any:
        """Call a function; returns what it returns, as JSON has it."""
        headers = {"app-id": target.app_id}
        path = f"/runtime/functions/{in_path(name)}"
        return target.remote.post(path, {"args": args}, headers=headers)["value"]

    return run


def _query(target: Target) -> Callable[..., Any]:
    def query(query: dict[str, Any]) -> Any:
        """Ask InstaQL as an admin."""
        headers = {"app-id": target.app_id}
        return target.remote.post("/admin/query", {"query": query}, headers=headers)

    return query


def _transact(target: Target) -> Callable[..., Any]:
    def transact(steps: list[Any]) -> Any:
        """Write as an admin; returns the number of the transaction."""
        headers = {"app-id": target.app_id}
        return target.remote.post("/admin/transact", {"steps": steps}, headers=headers)["tx-id"]

    return transact


def _table(found: Any) -> None:
    """Print what `query` returned, or rows, as tables."""
    answer = found if isinstance(found, dict) else {"": found}
    print_answer(answer, sys.maxsize, whole="The rows themselves have all.")


def _functions(target: Target) -> Callable[[], None]:
    def functions() -> None:
        """Print the functions of the app."""
        told = target.remote.ask("GET", "/runtime/functions", headers={"app-id": target.app_id})
        for each in told["functions"]:
            doc = each.get("doc", "").partition("\n")[0]
            note(printable(f"{each['kind']:<9} {each['name']}  {doc}".rstrip()))

    return functions
