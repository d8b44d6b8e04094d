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
    "apps": "Make, list, change and delete apps; hand them over; see what they use.",
    "backup": "Copy a server or an app while it runs; list and check such copies.",
    "deploy": "Put the functions, schema and rules of a project in force.",
    "deployments": "List the deployments of an app that can be gone back to.",
    "dev": "Serve a project here, and put every change in force.",
    "diff": "Show what a push would change.",
    "doctor": "Compare an app with the archive it came from.",
    "env": "Set, list and remove the secrets of an app.",
    "explain": "Explain why somebody may see or change something.",
    "export": "Write an app to an Instant archive, or to tables.",
    "files": "Copy the bytes of files to another place.",
    "generate": "Write the functions of a project, or a schema, for TypeScript.",
    "import": "Make an app from a backup of Instant, tables, Convex or PocketBase.",
    "init": "Write a project of functions that runs.",
    "hooks": "List functions that follow changes; let those go on that stand still.",
    "jobs": "List jobs of functions; run them again, cancel them.",
    "login": "Sign in to a server.",
    "logout": "Sign out of a server.",
    "logs": "Print what functions of an app wrote.",
    "members": "Say who is in an organisation: invite, change and remove members.",
    "oauth-apps": "Let applications of others ask people to act for their accounts.",
    "orgs": "List and make organisations.",
    "pull": "Write the schema and rules of an app to files.",
    "push": "Make the schema and rules of an app those of files.",
    "query": "Ask for data of an app.",
    "restore": "Put a backup into a data directory.",
    "run": "Call a function of an app.",
    "schema": "Print or convert a schema; jobs of pushes; restore deleted attrs.",
    "serve": "Run a server until Ctrl-C.",
    "shell": "Python with an app at hand.",
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
            case "generate":
                from trice.cli.generate import generate

                return generate
            case "import":
                from trice.cli.imports import import_backup

                return import_backup
            case "import-worker":
                from trice.cli.import_worker import import_worker

                return import_worker
            case "test-rules":
                from trice.cli.test_rules import test_rules

                return test_rules
            case "webhooks":
                from trice.cli.webhooks import webhooks

                return webhooks
            case _:
                return _project_command(cmd_name) or _remote_command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _project_command(name: str) -> click.Command | None:
    """The commands of projects of functions."""
    match name:
        case "init":
            from trice.cli.init import init

            return init
        case "dev":
            from trice.cli.dev import dev

            return dev
        case "deploy" | "deployments":
            from trice.cli import deploy

            return {"deploy": deploy.deploy, "deployments": deploy.deployments}[name]
        case "env":
            from trice.cli.env import env

            return env
        case "hooks":
            from trice.cli.hooks import hooks

            return hooks
        case "jobs":
            from trice.cli.jobs import jobs

            return jobs
        case "run":
            from trice.cli.run_function import run

            return run
        case "logs":
            from trice.cli.logs import logs

            return logs
        case "shell":
            from trice.cli.shell import shell

            return shell
        case _:
            return None


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
        case "oauth-apps":
            from trice.cli.remote_oauth import oauth_apps

            return oauth_apps
        case "tokens" | "orgs" | "members":
            from trice.cli import remote_accounts as of

            return {"tokens": of.tokens, "orgs": of.orgs, "members": of.members}[name]
        case _:
            return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(trice.__version__, prog_name="trice")
def main() -> None:
    """A real-time backend: live relational queries, transactions and sync in one process."""
