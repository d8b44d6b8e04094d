"""`trice explain`: why a caller may, or may not, see or change something.

Exit codes: 0 everything is allowed · 1 something is denied · 2 there is no explanation
"""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import click
import orjson

from trice.apps.apps import Apps
from trice.auth.tokens import identify, identify_email
from trice.cli.explanations import (
    Shown,
    explanation_lines,
    print_warnings,
    query_checks,
    report,
    told_lines,
    transact_checks,
    verdict_word,
)
from trice.cli.options import file_error, json_argument, no_data_dir, option, read_json
from trice.cli.remote import (
    Refused,
    Remote,
    app_option,
    find_remote,
    json_option,
    token_option,
    understood,
    url_option,
)
from trice.debug import Explainer
from trice.errors import TriceError
from trice.identity import GUEST
from trice.rules.document import Rules
from trice.rules.environments import ROOM_ACTIONS
from trice.rules.room_rights import RoomDeed
from trice.runtime import Runtime, SystemRuntime
from trice.server import open_engines

Subject = Literal["query", "transact", "room"]
C = TypeVar("C", bound=Callable[..., Any])

_OPTIONS: Final = (
    url_option,
    option(
        "--data-dir",
        envvar="TRICE_DATA_DIR",
        type=click.Path(path_type=Path),
        help="Data directory to look into, without --url; no server may be using it.",
    ),
    token_option,
    app_option,
    option("--as-email", help="Act as the user with this e-mail address."),
    option("--as-token", help="Act as the holder of this refresh token."),
    option("--as-guest", is_flag=True, help="Act as somebody who is not signed in."),
    option(
        "--rules",
        "rules_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Try these rules (JSON) instead of those in force.",
    ),
    option("--ip", help="Address of the caller, as `request.ip`."),
    option("--origin", help="Origin of the caller, as `request.origin`."),
    json_option,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What to explain, for which caller, and on which server or in which folder."""

    subject: Subject
    body: Any
    remote: Remote | None
    data_dir: Path | None
    app_id: str
    as_email: str | None
    as_token: str | None
    rules: Any
    ip: str | None
    origin: str | None


class Failed(Exception):
    """There is no explanation. The body is that of an error of the HTTP API."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(body.get("message"))
        self.body = body


def _with_options(command: C) -> C:
    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    return command


@click.group()
def explain() -> None:
    """Tell which rules decide, with what values, and what would have had to be true.

    Nothing is changed: a transaction is run with every check and undone.
    Exit code: 0 allowed, 1 denied, 2 error.
    """


@explain.command("query", context_settings={"max_content_width": 100})
@click.argument("query")
@_with_options
def explain_query(query: str, **options: Any) -> None:
    """Explain what is visible of a QUERY: '{"todos": {}}', or - for standard input.

    Example: trice explain query --app $APP --guest '{"todos": {}}'
    """
    _run("query", json_argument(query, "QUERY", dict, '{"todos": {}}'), **options)


@explain.command("transact", context_settings={"max_content_width": 100})
@click.argument("steps")
@_with_options
def explain_transact(steps: str, **options: Any) -> None:
    """Explain which checks STEPS meet, in JSON, or - for standard input.

    \b
    Example:
      trice explain transact --app $APP --guest '[["update", "todos", "ID", {"done": true}]]'
    """
    example = '[["update", "todos", "ID", {"done": true}]]'
    given = json_argument(steps, "STEPS", list, example)
    _run("transact", [given] if given and isinstance(given[0], str) else given, **options)


@explain.command("room", context_settings={"max_content_width": 100})
@click.argument("room")
@click.argument("action", type=click.Choice(ROOM_ACTIONS))
@click.option("--topic", help="Topic of the message, for publish.")
@click.option("--data", default="{}", help="JSON that is shown or sent; for join, at first.")
@click.option("--params", default="{}", help="JSON object that rules read as ruleParams.")
@_with_options
def explain_room(
    room: str, action: str, topic: str | None, data: str, params: str, **options: Any
) -> None:
    """Explain whether somebody may do ACTION in ROOM, as TYPE/ID: explain room chat/general join.

    To join asks the rules `join` and `read`, and `presence` if it shows some --data.

    Example: trice explain room --app $APP --guest chat/general join
    """
    room_type, has_id, room_id = room.partition("/")
    if not has_id:
        raise click.UsageError(f"ROOM is {room!r}; give a type and an id: chat/general.")
    if (topic is not None) != (action == "publish"):
        raise click.UsageError("--topic is needed for publish, and for nothing else.")
    body = {
        "action": action,
        "room-type": room_type,
        "room-id": room_id,
        "topic": topic,
        "data": json_argument(data, "--data", object, '{"name": "Ada"}'),
        "rule-params": json_argument(params, "--params", dict, '{"key": "k"}'),
    }
    _run("room", body, **options)


def _run(
    subject: Subject,
    body: Any,
    *,
    url: str | None,
    data_dir: Path | None,
    app_id: str,
    token: str | None,
    as_email: str | None,
    as_token: str | None,
    as_guest: bool,
    rules_file: Path | None,
    ip: str | None,
    origin: str | None,
    is_json: bool,
) -> None:
    if (as_email is not None) + (as_token is not None) + as_guest != 1:
        raise click.UsageError("Say who acts: one of --as-email, --as-token, --as-guest.")
    # A data directory that is named comes before the server of the last login.
    remote = find_remote(url, token) if url is not None or data_dir is None else None
    request = Request(
        subject,
        body,
        remote,
        data_dir,
        app_id,
        # E-mail addresses are stored in this form.
        None if as_email is None else as_email.strip().lower(),
        as_token,
        None if rules_file is None else read_json(rules_file),
        ip,
        origin,
    )
    try:
        answer = ask_server(request) if remote is not None else asyncio.run(_look_into(request))
    except Failed as failure:
        _print_failure(failure.body, is_json=is_json)
        raise SystemExit(2) from None
    checks = query_checks(answer) if subject == "query" else transact_checks(answer)
    if is_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_summary(request, checks)))
        for line in told_lines(answer.get("told")):
            click.echo(f"\n{line}")
        print_warnings(answer.get("warnings") or ())
    raise SystemExit(0 if all(check.is_allowed for check in checks) else 1)


def _summary(request: Request, checks: list[Shown]) -> list[str]:
    if not checks:
        if request.subject == "room":
            return ["There is nothing to check: without `$rooms` in the rules, rooms are open."]
        if request.subject == "transact":
            return ["There is nothing to check: the transaction asks no rule."]
        names = ", ".join(f"`{name}`" for name in request.body if name != "$$ruleParams")
        return [
            f"There is nothing to check: the query finds no entity of {names}, even without rules. "
            "Nothing matches, or a name is misspelt."
        ]
    return "\n".join(report(checks)).rstrip().split("\n")


def _print_failure(body: Mapping[str, Any], *, is_json: bool) -> None:
    if is_json:
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    hint = body.get("hint") or {}
    message = body.get("message") or str(body)
    if hint.get("record-type") == "app-user":
        message = "There is no such user in this app."
    elif isinstance(hint.get("message"), str):
        # Some messages contain their hint already.
        said = message.rstrip(".")
        reason = hint["message"].rstrip(".")
        message = f"{said}." if said.endswith(reason) else f"{said}. {reason}."
    click.echo(f"{verdict_word('error')}{message}", err=True)
    explanation = hint.get("explanation")
    if explanation is not None:
        click.echo("\n".join(f"  {line}" for line in explanation_lines(explanation)), err=True)
    for line in told_lines(hint.get("told")):
        click.echo(line, err=True)


def ask_server(request: Request) -> dict[str, Any]:
    """Ask a running server. Raises Failed."""
    remote = request.remote
    assert remote is not None
    asked = {"query": request.body} if request.subject == "query" else {"steps": request.body}
    body = {
        **(request.body if request.subject == "room" else asked),
        "rules-override": request.rules,
        "ip-override": request.ip,
        "origin-override": request.origin,
    }
    headers = {"app-id": request.app_id}
    if request.as_email is not None:
        headers["as-email"] = request.as_email
    elif request.as_token is not None:
        headers["as-token"] = request.as_token
    else:
        headers["as-guest"] = "true"
    try:
        with understood(remote):
            answer = remote.post(f"/admin/{request.subject}_perms_check", body, headers=headers)
            return {**answer}
    except Refused as failure:
        is_whole = failure.body and remote.token is not None
        raise Failed(failure.body if is_whole else {"message": failure.message}) from failure


async def _look_into(request: Request) -> dict[str, Any]:
    """Open the data directory of a stopped server. Raises Failed."""
    folder = request.data_dir
    assert folder is not None
    runtime = SystemRuntime()
    try:
        if not (folder / "platform.db").is_file():
            raise Failed({"message": no_data_dir(folder)})
        engines = open_engines(folder, runtime=runtime)
    except OSError as failure:
        advice = "; ask it with --url, or stop it" if failure.errno == errno.EAGAIN else ""
        message = f"{file_error(failure)}{advice}."
        raise Failed({"message": message}) from failure
    try:
        try:
            apps = await Apps.open(
                engines, runtime=runtime, is_open_by_default=False, has_quotas=False
            )
        except TriceError as failure:
            raise Failed(failure.body()) from failure
        try:
            return await _explain_in(apps, request, runtime=runtime)
        except TriceError as failure:
            raise Failed(failure.body()) from failure
        finally:
            await apps.close()
    finally:
        engines.close()


async def _explain_in(apps: Apps, request: Request, *, runtime: Runtime) -> dict[str, Any]:
    """The same body as the debug routes of the server answer."""
    app = await apps.lend(request.app_id)
    try:
        database = app.database
        identity = replace(GUEST, ip=request.ip or "", origin=request.origin or "")
        if request.as_email is not None:
            identity = await identify_email(database, request.as_email, request=identity)
        elif request.as_token is not None:
            identity = await identify(database, request.as_token.strip(), request=identity)
        rules = database.rules
        if request.rules is not None:
            rules = Rules.parse(request.rules, is_open=rules.is_open)
        explainer = Explainer(database, identity, rules, runtime=runtime)
        warnings = await apps.warnings(app, rules)
        if request.subject == "query":
            found = await explainer.query(request.body)
            answer: dict[str, Any] = orjson.loads(found.wire_json(warnings))
            return answer
        if request.subject == "room":
            return {**(await explainer.room(_deed(request.body))).wire(), "warnings": warnings}
        return {**(await explainer.transact(request.body)).wire(), "warnings": warnings}
    finally:
        apps.give_back(app)


def _deed(body: Mapping[str, Any]) -> RoomDeed:
    return RoomDeed(
        body["action"],
        body["room-type"],
        body["room-id"],
        body["topic"],
        body["data"],
        body["rule-params"],
    )
