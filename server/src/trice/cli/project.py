"""A project of functions: its folder, its `trice.toml`, and the app and server that are meant.

    app = "…"            the app of this project, and its server, where nothing else is said
    server = "…"
    memory_mb = 512      of a worker

    [env]
    required = ["KEY"]   secrets without which nothing is deployed

    [env.prod]           `--env prod`
    app = "…"
    server = "…"

    [generate]           for `trice generate`
    dates = "Date"

Each key may be left out, and the file too. What is meant is, from the strongest on: `--app` and
`--url`; `--env`; TRICE_APP and TRICE_URL; the top of the file; a `trice dev` that runs here; the
last login.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from trice import function_limits
from trice.cli.options import file_error, option
from trice.cli.remote import UUID, Command, Remote, clean_url, find_remote, understood
from trice.cli.terminal import printable

PROJECT_FILE: Final = "trice.toml"
FILE_BYTES_MAX: Final = 256 * 1024
DEV_FOLDER: Final = ".trice"
"""Where `trice dev` keeps its data, below the project."""

DEV_STATE: Final = "dev.json"
"""What tells other commands of a `trice dev` that runs, in that folder."""

_SECRET: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ENVIRONMENT: Final = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)
_TABLE: Final = re.compile(r"\s*\[\s*([^\]]+?)\s*\]")
_OF_PLACE: Final = ("app", "server")


@dataclass(frozen=True, slots=True)
class Place:
    """An app on a server; None: not said."""

    app: str | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """What a project says of itself.

    root          its folder
    place         where nothing else is said
    environments  `[env.NAME]` by name
    required      names of secrets
    """

    root: Path
    place: Place = Place()
    environments: Mapping[str, Place] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The project, the app, and its server with who asks."""

    project: Project
    app_id: str
    remote: Remote


def find_root(folder: Path) -> Path:
    """The project that a folder is in: the nearest folder with a `trice.toml`, else itself."""
    folder = folder.resolve()
    for each in (folder, *folder.parents):
        if (each / PROJECT_FILE).is_file():
            return each
    return folder


def load_project(root: Path) -> Project:
    """Read `trice.toml`, if there is one. raises   UsageError with the line"""
    path = root / PROJECT_FILE
    try:
        if not path.is_file():
            return Project(root)
        if path.stat().st_size > FILE_BYTES_MAX:
            raise click.UsageError(f"{path} has more than {FILE_BYTES_MAX >> 10} KiB.")
        text = path.read_text("utf-8")
        given = tomllib.loads(text)
    except OSError as failure:
        raise click.UsageError(f"{file_error(failure)}.") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} is no UTF-8.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as failure:
        raise click.UsageError(f"{path} is no TOML: {printable(str(failure))}.") from None
    return _Reader(path, text).project(given)


class _Reader:
    """Checks what a file says, key by key; a fault names the line and what is accepted."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def project(self, given: Mapping[str, Any]) -> Project:
        self._known((), given, ("app", "server", "memory_mb", "env", "generate"))
        envs = self._table(("env",), given.get("env", {}))
        generate = self._table(("generate",), given.get("generate", {}))
        self._known(("generate",), generate, ("dates",))
        dates = generate.get("dates", "string")
        if dates != "string":
            accepted = '"string", ISO texts; "Date" is not built yet in this version of trice'
            raise self._fault(("generate", "dates"), dates, accepted)
        environments = {}
        for name, each in envs.items():
            if name == "required":
                continue
            if not _ENVIRONMENT.fullmatch(name) or not isinstance(each, dict):
                accepted = "`required`, and tables such as [env.prod] named in lower case"
                raise self._fault(("env", name), None, accepted)
            self._known(("env", name), each, _OF_PLACE)
            environments[name] = self._place(("env", name), each)
        return Project(
            self._path.parent,
            self._place((), given),
            environments,
            self._required(envs.get("required", [])),
            self._memory(given.get("memory_mb")),
        )

    def _place(self, keys: tuple[str, ...], given: Mapping[str, Any]) -> Place:
        app, server = given.get("app"), given.get("server")
        if app is not None and (not isinstance(app, str) or not UUID.fullmatch(app)):
            accepted = "the id of an app, a uuid; `trice apps list` shows them"
            raise self._fault((*keys, "app"), app, accepted)
        if server is not None:
            try:
                server = clean_url(server if isinstance(server, str) else "")
            except click.UsageError:
                accepted = 'a URL, as "https://api.example.com"'
                raise self._fault((*keys, "server"), given["server"], accepted) from None
        return Place(None if app is None else app.lower(), server)

    def _required(self, given: Any) -> tuple[str, ...]:
        accepted = 'a list of names of secrets, as ["STRIPE_KEY"]'
        if not isinstance(given, list):
            raise self._fault(("env", "required"), given, accepted)
        for each in given:
            if not isinstance(each, str) or not _SECRET.fullmatch(each):
                raise self._fault(("env", "required"), each, accepted)
        return tuple(given)

    def _memory(self, given: Any) -> int | None:
        least, most = function_limits.MEMORY_MB_MIN, function_limits.MEMORY_MB_MAX
        if given is None or (type(given) is int and least <= given <= most):
            return given
        raise self._fault(("memory_mb",), given, f"a whole number from {least} to {most:,}")

    def _table(self, keys: tuple[str, ...], given: Any) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise self._fault(keys, given, f"a table, [{'.'.join(keys)}]")
        return given

    def _known(
        self, keys: tuple[str, ...], given: Mapping[str, Any], known: tuple[str, ...]
    ) -> None:
        for key in given:
            if key not in known:
                raise self._fault((*keys, key), None, ", ".join(known))

    def _fault(self, keys: tuple[str, ...], given: Any, accepted: str) -> click.UsageError:
        line = self._line_of(keys)
        where = f"{self._path}{'' if line is None else f', line {line}'}"
        shown = (
            "is not known" if given is None else f"is {printable(json.dumps(given, default=str))}"
        )
        return click.UsageError(
            f"{where}: {printable('.'.join(keys))} {shown}. Accepted: {accepted}."
        )

    def _line_of(self, keys: tuple[str, ...]) -> int | None:
        """The line of a key, or of its table."""
        table, found = "", None
        for number, line in enumerate(self._lines, 1):
            header = _TABLE.match(line)
            if header is not None:
                table = re.sub(r"[\s\"']", "", header[1])
                if table == ".".join(keys):
                    found = number
            elif table == ".".join(keys[:-1]) and re.match(
                rf"\s*[\"']?{re.escape(keys[-1])}[\"']?\s*[=.]", line
            ):
                return number
        return found


# --- what is meant --------------------------------------------------------------------------------


def running_dev(root: Path) -> Mapping[str, str]:
    """The app of a `trice dev` that runs on this project: `app`, `server`, `token`; else empty."""
    try:
        known = json.loads((root / DEV_FOLDER / DEV_STATE).read_bytes())
        return {key: str(known[key]) for key in ("app", "server", "token")}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def find_target(
    folder: Path, *, env: str | None, app: str | None, url: str | None, token: str | None
) -> Target:
    """Which app on which server is meant. raises   UsageError, ClickException"""
    context = click.get_current_context()
    project = load_project(find_root(folder))
    place = project.place
    if env is not None:
        if env not in project.environments:
            known = ", ".join(sorted(project.environments)) or "none"
            told = f"{project.root / PROJECT_FILE} has no [env.{printable(env)}]. It has {known}."
            raise click.UsageError(told)
        place = project.environments[env]
        # What is named here is stronger than a variable, which may be meant for another app.
        app = None if place.app and _is_variable(context, "app_id") else app
        url = None if place.server and _is_variable(context, "url") else url
    dev = running_dev(project.root) if env is None and not (app or url or place.app) else {}
    app = app or place.app or dev.get("app")
    if app is None:
        told = (
            f"No app is named. Name one with --app, or in {PROJECT_FILE}; or start `trice dev`."
            " `trice apps create` makes one."
        )
        raise click.UsageError(told)
    if not UUID.fullmatch(app):
        told = f"{printable(app)!r} is no id of an app. `trice apps list` shows them."
        raise click.UsageError(told)
    is_dev = bool(dev) and app == dev["app"]
    remote = find_remote(
        dev["server"] if is_dev else url or place.server or project.place.server,
        dev["token"] if is_dev and token is None else token,
    )
    return Target(project, app.lower(), remote)


def _is_variable(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.ENVIRONMENT


_dir_option: Final[Callable[..., Any]] = option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    help="A folder of the project; without this, the working folder.",
)
_env_option: Final[Callable[..., Any]] = option(
    "--env", metavar="NAME", help="The app and server of [env.NAME] in trice.toml."
)
project_app_option: Final[Callable[..., Any]] = option(
    "--app", "app_id", envvar="TRICE_APP", help="The id of the app; without this, of trice.toml."
)
_url_option: Final[Callable[..., Any]] = option(
    "--url", envvar="TRICE_URL", help="The server; without this, of trice.toml, or the last login."
)
_token_option: Final[Callable[..., Any]] = option(
    "--token",
    envvar="TRICE_TOKEN",
    help="An access token of an account, or the app's admin token; without this, the saved login.",
)


def in_project(work: Command) -> Command:
    """Give a command `--dir`, `--env`, `--app`, `--url` and `--token`; it gets them as `target`."""

    @wraps(work)
    def command(
        *,
        folder: Path,
        env: str | None,
        app_id: str | None,
        url: str | None,
        token: str | None,
        **options: Any,
    ) -> None:
        target = find_target(folder, env=env, app=app_id, url=url, token=token)
        with understood(target.remote):
            work(target=target, **options)

    wrapped: Command = command
    for add in (_token_option, _url_option, project_app_option, _env_option, _dir_option):
        wrapped = add(wrapped)
    return wrapped


def on_app_of_project(work: Command) -> Command:
    """Give a command that has `--dir` as `folder` also `--app`, `--url` and `--token`; what is not
    named is that of the folder's project. It gets `app_id` and `remote`."""

    @wraps(work)
    def command(
        *, folder: Path, app_id: str | None, url: str | None, token: str | None, **options: Any
    ) -> None:
        target = find_target(folder, env=None, app=app_id, url=url, token=token)
        with understood(target.remote):
            work(folder=folder, app_id=target.app_id, remote=target.remote, **options)

    wrapped: Command = command
    for add in (_token_option, _url_option, project_app_option):
        wrapped = add(wrapped)
    return wrapped
