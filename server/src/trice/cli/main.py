"""`trice`: the commands and their exit codes.

0 done · 1 the server could not run (port taken, folder in use), or the answer is no · 2 wrong usage

Each command tells its own in its file; `explain` and `diff` use 2 for what cannot be found out too.

A command imports what it needs when it is used: `trice --version` and `--help` load only click.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

import trice

_COMMANDS: Final[Mapping[str, str]] = {
    "accounts": "Say who may make apps on a server.",
    "apps": "Make, list and delete apps.",
    "backup": "Copy a server or an app while it runs; list and check such copies.",
    "diff": "Show what a push would change.",
    "doctor": "Compare an app with the archive it came from.",
    "explain": "Explain why somebody may see or change something.",
    "export": "Write an app to an Instant archive.",
    "files": "Copy the bytes of files to another place.",
    "import": "Make an app from an Instant backup.",
    "login": "Sign in to a server.",
    "logout": "Sign out of a server.",
    "members": "Say who is in an organisation.",
    "orgs": "List and make organisations.",
    "pull": "Write the schema and rules of an app to files.",
    "push": "Make the schema and rules of an app those of files.",
    "query": "Ask for data of an app.",
    "restore": "Put a backup into a data directory.",
    "schema": "Print the schema of an app.",
    "serve": "Run a server until Ctrl-C.",
    "test-rules": "Try the rules of an app against a file of cases.",
    "tokens": "Make, list and revoke access tokens of your account.",
    "transact": "Write data of an app.",
    "users": "List, show and delete the users of an app.",
    "webhooks": "Deliver what an app commits to other servers.",
    "whoami": "Tell which account commands act for.",
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
                return _remote_command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _remote_command(name: str) -> click.Command | None:
    """The commands that ask a server."""
    match name:
        case "login" | "logout" | "whoami":
            from trice.cli import login

            return {"login": login.login, "logout": login.logout, "whoami": login.whoami}[name]
        case "apps":
            from trice.cli.remote_apps import apps

            return apps
        case "pull" | "push" | "diff" | "schema":
            from trice.cli import push

            found = {"pull": push.pull, "push": push.push, "diff": push.diff}
            return found.get(name, push.schema)
        case "query" | "transact" | "users":
            from trice.cli import remote_data

            found = {"query": remote_data.query, "transact": remote_data.transact}
            return found.get(name, remote_data.users)
        case "tokens" | "orgs" | "members":
            from trice.cli import remote_accounts as of

            return {"tokens": of.tokens, "orgs": of.orgs, "members": of.members}[name]
        case _:
            return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(trice.__version__, prog_name="trice")
def main() -> None:
    """A real-time backend: live relational queries, transactions and sync in one process."""
