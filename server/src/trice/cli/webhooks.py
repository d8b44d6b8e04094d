"""`trice webhooks`: the webhooks of an app on a running server, and what became of their events.

Exit codes: 0 done · 1 the server refused, or does not answer · 2 wrong usage
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
import orjson

from trice.cli.options import option
from trice.cli.tables import show
from trice.webhooks.webhook import ACTIONS

C = TypeVar("C", bound=Callable[..., Any])

_TIMEOUT_S: Final = 30
_OPTIONS: Final = (
    option(
        "--url",
        envvar="TRICE_URL",
        default="http://localhost:8888",
        show_default=True,
        help="The server.",
    ),
    option("--app", "app_id", envvar="TRICE_APP", required=True, help="Id of the app."),
    option(
        "--admin-token",
        envvar="TRICE_ADMIN_TOKEN",
        required=True,
        help="Its admin token, or an access token of an account that may.",
    ),
    option("--json", "is_json", is_flag=True, help="Print JSON, for programs."),
)


def _with_options(command: C) -> C:
    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    return command


class _Server:
    """The routes below the webhooks of one app, and how answers are printed."""

    def __init__(self, *, url: str, app_id: str, admin_token: str, is_json: bool) -> None:
        self.is_json = is_json
        self._url = url.rstrip("/")
        self._base = f"{self._url}/dash/apps/{app_id}/webhooks"
        self._headers = {"authorization": f"Bearer {admin_token}"}

    def ask(self, method: str, rest: str = "", body: Any = None, **params: str) -> Any:
        """One request. A refusal ends the command with its message."""
        # Imported here: `--help` needs no HTTP client.
        import httpx

        try:
            response = httpx.request(
                method,
                self._base + rest,
                json=body,
                params=params,
                headers=self._headers,
                timeout=_TIMEOUT_S,
            )
            answer = response.json()
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            reason = re.sub(r"^\[Errno -?\d+\] ", "", str(failure)).rstrip(".")
            message = f"{self._url} does not answer: {reason or type(failure).__name__}."
            raise click.ClickException(message) from None
        except ValueError:
            raise click.ClickException(f"{self._url} is no trice server.") from None
        if response.status_code != 200:
            told = answer.get("message") if isinstance(answer, dict) else None
            raise click.ClickException(str(told or answer))
        return answer

    def told(self, webhook: dict[str, Any], what: str) -> None:
        """Print one webhook that was changed."""
        if self.is_json:
            click.echo(orjson.dumps(webhook, option=orjson.OPT_INDENT_2).decode())
        else:
            click.echo(f"{webhook['id']} {what}.")


@click.group("webhooks", context_settings={"max_content_width": 100})
def webhooks() -> None:
    """Make, list, change and delete webhooks, see their events and send one again.

    Example: trice webhooks create https://example.com/hook -n messages --app ID --admin-token TOKEN
    """


@webhooks.command("list")
@_with_options
def list_webhooks(**given: Any) -> None:
    """List the webhooks, newest first."""
    server = _Server(**given)
    rows = [{**each, "url": each["sink"]["url"]} for each in server.ask("GET")["webhooks"]]
    columns = ("id", "status", "url", "namespaces", "actions", "disabled_reason")
    show(rows, columns, _cell, is_json=server.is_json, none="No webhooks.")


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
@_with_options
def create(
    receiver: str, namespaces: tuple[str, ...], actions: tuple[str, ...], **given: Any
) -> None:
    """Deliver what is committed from now on to the URL RECEIVER."""
    server = _Server(**given)
    body = {"url": receiver, "namespaces": namespaces, "actions": actions}
    server.told(server.ask("POST", body=body)["webhook"], "is made")


@webhooks.command("delete")
@click.argument("webhook")
@option("--yes", is_flag=True, help="Do not ask.")
@_with_options
def delete(webhook: str, *, yes: bool, **given: Any) -> None:
    """Delete a webhook, and its events."""
    server = _Server(**given)
    if not yes:
        click.confirm(f"Delete the webhook {webhook} and its events?", abort=True)
    server.told(server.ask("DELETE", f"/{webhook}")["webhook"], "is deleted")


@webhooks.command("disable")
@click.argument("webhook")
@option("--reason", help="Shown with the webhook.")
@_with_options
def disable(webhook: str, reason: str | None, **given: Any) -> None:
    """Deliver nothing more. What is not delivered yet fails."""
    server = _Server(**given)
    answer = server.ask("POST", f"/{webhook}/disable", {"reason": reason})
    server.told(answer["webhook"], "is disabled")


@webhooks.command("enable")
@click.argument("webhook")
@_with_options
def enable(webhook: str, **given: Any) -> None:
    """Deliver what is committed from now on."""
    server = _Server(**given)
    server.told(server.ask("POST", f"/{webhook}/enable", {})["webhook"], "is enabled")


@webhooks.command("events")
@click.argument("webhook")
@option("--after", metavar="ISN", help="Events before this one: the next page.")
@_with_options
def events(webhook: str, after: str | None, **given: Any) -> None:
    """List the newest 100 events, with their latest attempt."""
    server = _Server(**given)
    params = {} if after is None else {"after": after}
    answer = server.ask("GET", f"/{webhook}/events", **params)
    rows = [_with_latest(event) for event in answer["events"]]
    columns = ("isn", "status", "created_at", "attempts", "latest", "next_attempt_after")
    show(rows, columns, _cell, is_json=server.is_json, none="No events.")
    info = answer["pageInfo"]
    if info["hasNextPage"]:
        click.echo(f"Older ones: --after {info['endCursor']}", err=True)


@webhooks.command("resend")
@click.argument("webhook")
@click.argument("isn")
@_with_options
def resend(webhook: str, isn: str, **given: Any) -> None:
    """Deliver an event once more, whatever became of it."""
    server = _Server(**given)
    event = server.ask("POST", f"/{webhook}/events/{isn}", {})["event"]
    server.told({**event, "id": event["isn"]}, "is queued")


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
