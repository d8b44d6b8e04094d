"""`trice`: the commands and their exit codes.

0 done · 1 the server could not run (port taken, folder in use), or the answer is no · 2 wrong usage

A command imports what it needs when it is used: `trice --version` and `--help` load only click.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

import trice

_COMMANDS: Final[Mapping[str, str]] = {
    "accounts": "Say who may make apps on a server.",
    "backup": "Copy a server or an app while it runs; list and check such copies.",
    "doctor": "Compare an app with the archive it came from.",
    "explain": "Explain why somebody may see or change something.",
    "export": "Write an app to an Instant archive.",
    "files": "Copy the bytes of files to another place.",
    "import": "Make an app from an Instant backup.",
    "restore": "Put a backup into a data directory.",
    "serve": "Run a server until Ctrl-C.",
    "test-rules": "Try the rules of an app against a file of cases.",
    "webhooks": "Deliver what an app commits to other servers.",
}
"""Each command with its text in `trice --help`."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        match cmd_name:
            case "serve":
                from trice.cli.serve import serve

                return serve
            case "accounts":
                from trice.cli.accounts import accounts

                return accounts
            case "explain":
                from trice.cli.explain import explain

                return explain
            case "files":
                from trice.cli.files import files

                return files
            case "export":
                from trice.cli.exports import export

                return export
            case "doctor":
                from trice.cli.exports import doctor

                return doctor
            case "backup":
                from trice.cli.backups import backup

                return backup
            case "restore":
                from trice.cli.backups import restore_backup

                return restore_backup
            case "import":
                from trice.cli.imports import import_backup

                return import_backup
            case "test-rules":
                from trice.cli.test_rules import test_rules

                return test_rules
            case "webhooks":
                from trice.cli.webhooks import webhooks

                return webhooks
            case _:
                return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(trice.__version__, prog_name="trice")
def main() -> None:
    """A real-time backend: live relational queries, transactions and sync in one process."""
