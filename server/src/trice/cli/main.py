"""`trice`: the commands and their exit codes."""

from __future__ import annotations

import typer

from trice.cli.serve import serve

app = typer.Typer(
    name="trice",
    help="A real-time backend: live relational queries, transactions and sync in one process.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)


@app.callback()
def trice() -> None:
    """A real-time backend: live relational queries, transactions and sync in one process."""


def main() -> None:
    """Entry point of the `trice` command."""
    app()
