"""`trice webhooks`: the webhooks of an app on a running server, and what became of their events.

Exit codes: 0 done · 1 the server refused, or does not answer · 2 wrong usage
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import click

from trice.cli.options import option
from trice.cli.remote import (
    Command,
    Remote,
    app_option,
    in_path,
    json_option,
    on_server,
    yes_option,
)
from trice.cli.tables import show
from trice.cli.terminal import confirm, print_json, printable, say
from trice.webhooks.webhook import ACTIONS


class _Webhooks:
    """The routes below the webhooks of one app, and how answers are printed."""

    def __init__(self, remote: Remote, *, app_id: str, is_json: bool) -> None:
        self.is_json = is_json
        self._remote = remote
        self._base = f"/dash/apps/{in_path(app_id)}/webhooks"

    def ask(self, method: str, rest: str = "", body: Any = None, **params: str) -> Any:
        """One request. A refusal ends the command with its message."""
        return self._remote.ask(method, self._base + rest, body, params=params)

    def told(self, webhook: dict[str, Any], what: str) -> None:
        """Print one webhook that was changed."""
        if self.is_json:
            print_json(webhook)
        else:
            say(f"{printable(webhook['id'])} {what}.")


def _of_app(work: Command) -> Command:
    """Give a command the options of a server and an app; it gets them as `of`."""

    @wraps(work)
    def command(*, remote: Remote, app_id: str, is_json: bool, **options: Any) -> None:
        work(of=_Webhooks(remote, app_id=app_id, is_json=is_json), **options)

    wrapped: Command = app_option(json_option(on_server(command)))
    return wrapped


@click.group("webhooks", context_settings={"max_content_width": 100})
def webhooks() -> None:
    """Make, list, change and delete webhooks, see their events and send one again.

    Example: trice webhooks create https://example.com/hook -n messages --app $APP
    """


@webhooks.command("list")
@_of_app
def list_webhooks(*, of: _Webhooks) -> None:
    """List the webhooks, newest first.

    Example: trice webhooks list --app $APP
    """
    rows = [{**each, "url": each["sink"]["url"]} for each in of.ask("GET")["webhooks"]]
    columns = {each: each for each in ("id", "status", "url", "namespaces", "actions")}
    columns["disabled_reason"] = "disabled because"
    show(rows, columns, _cell, is_json=of.is_json, none="No webhooks.")


@webhooks.command("create")
@click.argument("receiver")
@option("-n", "--namespace", "namespaces", multiple=True, required=True, help="What it hears of.")
@option(
    "-a",
    "--action",
    "actions",
    multiple=True,
    type=click.Choice(ACTIONS),
    default=ACTIONS,
    help="Only these.",
)
@_of_app
def create(
    *, of: _Webhooks, receiver: str, namespaces: tuple[str, ...], actions: tuple[str, ...]
) -> None:
    """Deliver what is committed from now on to the URL RECEIVER.

    Example: trice webhooks create https://example.com/hook -n messages --app $APP
    """
    body = {"url": receiver, "namespaces": namespaces, "actions": actions}
    of.told(of.ask("POST", body=body)["webhook"], "is made")


@webhooks.command("delete")
@click.argument("webhook")
@yes_option
@_of_app
def delete(*, of: _Webhooks, webhook: str, is_agreed: bool) -> None:
    """Delete a webhook, and its events.

    Example: trice webhooks delete $WEBHOOK --app $APP
    """
    question = f"Delete the webhook {printable(webhook)} and its events?"
    confirm(question, is_agreed=is_agreed)
    of.told(of.ask("DELETE", f"/{in_path(webhook)}")["webhook"], "is deleted")


@webhooks.command("disable")
@click.argument("webhook")
@option("--reason", help="Shown with the webhook.")
@_of_app
def disable(*, of: _Webhooks, webhook: str, reason: str | None) -> None:
    """Deliver nothing more. What is not delivered yet fails.

    Example: trice webhooks disable $WEBHOOK --reason 'the receiver moves' --app $APP
    """
    answer = of.ask("POST", f"/{in_path(webhook)}/disable", {"reason": reason})
    of.told(answer["webhook"], "is disabled")


@webhooks.command("enable")
@click.argument("webhook")
@_of_app
def enable(*, of: _Webhooks, webhook: str) -> None:
    """Deliver what is committed from now on.

    Example: trice webhooks enable $WEBHOOK --app $APP
    """
    of.told(of.ask("POST", f"/{in_path(webhook)}/enable", {})["webhook"], "is enabled")


@webhooks.command("events")
@click.argument("webhook")
@option("--after", metavar="ISN", help="Events before this one: the next page.")
@_of_app
def events(*, of: _Webhooks, webhook: str, after: str | None) -> None:
    """List the newest 100 events, with their latest attempt.

    Example: trice webhooks events $WEBHOOK --app $APP
    """
    params = {} if after is None else {"after": after}
    answer = of.ask("GET", f"/{in_path(webhook)}/events", **params)
    rows = [_with_latest(event) for event in answer["events"]]
    columns = {each: each for each in ("isn", "status", "created_at", "attempts", "latest")}
    columns |= {"created_at": "created", "next_attempt_after": "next attempt"}
    show(rows, columns, _cell, is_json=of.is_json, none="No events.")
    info = answer["pageInfo"]
    if info["hasNextPage"]:
        click.echo(f"Older ones: --after {info['endCursor']}", err=True)


@webhooks.command("resend")
@click.argument("webhook")
@click.argument("isn")
@_of_app
def resend(*, of: _Webhooks, webhook: str, isn: str) -> None:
    """Deliver an event once more, whatever became of it. ISN is the event's, as `events` lists it.

    Example: trice webhooks resend $WEBHOOK 0/0/D --app $APP
    """
    path = "/".join(map(in_path, isn.split("/")))
    event = of.ask("POST", f"/{in_path(webhook)}/events/{path}", {})["event"]
    of.told({**event, "id": event["isn"]}, "is queued")


def _with_latest(event: dict[str, Any]) -> dict[str, Any]:
    """An event with the number of its attempts and what came of the latest one."""
    attempts = event["attempts"] or []
    latest = None
    if attempts:
        last = attempts[-1]
        latest = str(last["status-code"] or last["error-type"])
    return {**event, "attempts": len(attempts), "latest": latest}


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if value is None:
        return "-"
    return " ".join(value) if isinstance(value, list) else str(value)
