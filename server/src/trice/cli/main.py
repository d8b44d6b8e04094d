"""`trice`: the commands and their exit codes.

0 done · 1 the server could not run (port taken, folder in use), or the answer is no · 2 wrong usage
"""

from __future__ import annotations

import click

import trice
from trice.cli.explain import explain
from trice.cli.serve import serve
from trice.cli.test_rules import test_rules


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(trice.__version__, prog_name="trice")
def main() -> None:
    """A real-time backend: live relational queries, transactions and sync in one process."""


main.add_command(serve)
main.add_command(explain)
main.add_command(test_rules)
