"""What commands do without a server: apps of a data directory.

What only reads works beside a running server too, on a copy. What writes needs it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from trice.cli.options import no_data_dir, option
from trice.cli.project import (
    PROJECT_FILE,
    find_root,
    find_target,
    load_project,
    project_app_option,
)
from trice.cli.remote import Command, find_remote, token_option, understood, url_option

if TYPE_CHECKING:
    from trice.apps.registry import AppRow

# No variable: TRICE_DATA_DIR is the server's, and must not lead away from the one you signed in to.
_data_dir: Final[Callable[..., Any]] = option(
    "--data-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Look into this data directory instead of asking a server.",
)


def data_dir_or_server(work: Command) -> Command:
    """Give a command `--url`, `--token` and `--data-dir`; it gets `remote` or `data_dir`, the other
    is None."""

    @wraps(work)
    def command(
        *, url: str | None, token: str | None, data_dir: Path | None, **options: Any
    ) -> None:
        if data_dir is None:
            remote = find_remote(url, token)
            with understood(remote):
                work(remote=remote, data_dir=None, **options)
            return
        context = click.get_current_context()
        for name in ("url", "token"):
            source = context.get_parameter_source(name)
            if source is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(f"Give --{name} or --data-dir, not both.")
        if not (data_dir / "platform.db").is_file():
            raise click.ClickException(no_data_dir(data_dir))
        work(remote=None, data_dir=data_dir, **options)

    wrapped: Command = url_option(token_option(_data_dir(command)))
    return wrapped


def data_dir_or_project(work: Command) -> Command:
    """Give a command `--app`, `--url`, `--token` and `--data-dir`. What is not named is that of the
    project of the working folder; the command gets `app_id`, and `remote` or `data_dir`."""

    @data_dir_or_server
    def with_data_dir(**options: Any) -> None:
        work(**options)

    @wraps(work)
    def command(*, app_id: str | None, data_dir: Path | None, **options: Any) -> None:
        here = Path()
        if data_dir is not None:
            app_id = app_id or load_project(find_root(here)).place.app
            if app_id is None:
                raise click.UsageError(
                    f"No app is named. Name one with --app, or in {PROJECT_FILE}."
                )
            with_data_dir(app_id=app_id.lower(), data_dir=data_dir, **options)
            return
        url, token = options.pop("url"), options.pop("token")
        target = find_target(here, env=None, app=app_id, url=url, token=token)
        with understood(target.remote):
            work(remote=target.remote, data_dir=None, app_id=target.app_id, **options)

    wrapped: Command = project_app_option(url_option(token_option(_data_dir(command))))
    return wrapped


def list_rows(data_dir: Path, *, is_deleted: bool) -> list[dict[str, Any]]:
    """The apps of a data directory, oldest first; those that were deleted, or all others."""
    from trice.cli.data_dirs import opened_registry, run

    async def work() -> list[dict[str, Any]]:
        async with opened_registry(data_dir) as found:
            rows = await found.registry.rows()
            now_ms = found.runtime.now_ms()
        return [
            _as_listed(row)
            for row in rows
            if (row.expires_ms is None or row.expires_ms > now_ms)
            if (row.deleted_ms is not None) == is_deleted
        ]

    return run(work())


def show_row(data_dir: Path, app_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """One app of a data directory, and the view of its schema."""
    from trice.catalog.schema_view import schema_view
    from trice.cli.data_dirs import opened_app, run

    async def work() -> tuple[dict[str, Any], dict[str, Any]]:
        async with opened_app(data_dir, "local", app_id) as app:
            return _as_listed(app.row), schema_view(app.database.catalog)

    return run(work())


def _as_listed(row: AppRow) -> dict[str, Any]:
    """An app with the columns that the server lists."""
    return {
        "id": row.id,
        "title": row.title,
        "creator_id": row.owner,
        "org_id": row.org,
        "created_at": _seconds(row.created_ms),
        "ends_at": None if row.expires_ms is None else _seconds(row.expires_ms),
    }


def _seconds(moment_ms: int) -> str:
    """A moment as servers tell it here: in whole seconds."""
    from trice.catalog.dates import iso_text

    return f"{iso_text(moment_ms)[:19]}Z"


def query_app(data_dir: Path, app_id: str, query: Any) -> Any:
    """The answer to a query, without rules."""
    import orjson

    from trice.cli.data_dirs import opened_app, run
    from trice.identity import ADMIN

    async def work() -> Any:
        async with opened_app(data_dir, "local", app_id) as app:
            return orjson.loads(await app.database.query_nested(query, identity=ADMIN))

    return run(work())


def transact_app(data_dir: Path, app_id: str, steps: Any) -> int:
    """Write to an app, without rules; no server may run on the directory. Returns the id of the
    transaction."""
    from trice.apps.apps import Apps
    from trice.cli.data_dirs import run
    from trice.identity import ADMIN
    from trice.runtime import SystemRuntime
    from trice.server import open_engines

    async def work() -> int:
        runtime = SystemRuntime()
        engines = open_engines(data_dir, runtime=runtime)
        try:
            apps = await Apps.open(engines, runtime=runtime, is_open_by_default=False)
            try:
                app = await apps.lend(app_id)
                try:
                    return await app.database.transact_admin(steps, identity=ADMIN)
                finally:
                    apps.give_back(app)
            finally:
                await apps.close()
        finally:
            engines.close()

    return run(work())
