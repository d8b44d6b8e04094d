"""`trice serve`: run a server here."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click
import uvloop

from trice import log
from trice.config import Settings
from trice.errors import InvalidInput
from trice.server import Server


@click.command(context_settings={"show_default": True, "max_content_width": 100})
@click.option(
    "--host",
    envvar="TRICE_HOST",
    default="127.0.0.1",
    help="Address to listen on; 0.0.0.0 for all.",
)
@click.option(
    "--port",
    envvar="TRICE_PORT",
    type=int,
    default=8888,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--data-dir",
    envvar="TRICE_DATA_DIR",
    type=click.Path(path_type=Path),
    default="trice-data",
    help="Where everything is kept.",
)
@click.option(
    "--sample",
    envvar="TRICE_SAMPLE",
    type=click.Path(path_type=Path),
    help="Folder of built sample apps (NAME/dist) to serve at /sample/NAME/.",
)
@click.option(
    "--open-by-default/--no-open-by-default",
    envvar="TRICE_OPEN_BY_DEFAULT",
    default=False,
    help="New apps without rules may be read and written by anybody.",
)
@click.option(
    "--ephemeral-apps/--no-ephemeral-apps",
    envvar="TRICE_EPHEMERAL_APPS",
    default=True,
    help="Let anybody make throw-away apps (POST /dash/apps/ephemeral).",
)
@click.option(
    "--websocket",
    envvar="TRICE_WEBSOCKET",
    type=click.Choice(("picows", "asgi")),
    default="picows",
    help="WebSocket implementation.",
)
@click.option(
    "--log-level",
    envvar="TRICE_LOG_LEVEL",
    type=click.Choice(log.LEVELS),
    default="info",
    help="Least severe lines to log.",
)
def serve(
    *,
    host: str,
    port: int,
    data_dir: Path,
    sample: Path | None,
    open_by_default: bool,
    ephemeral_apps: bool,
    websocket: str,
    log_level: str,
) -> None:
    """Run a server until Ctrl-C. Every option is also a TRICE_… variable: TRICE_PORT=8888."""
    try:
        settings = Settings(
            host=host,
            port=port,
            data_dir=data_dir,
            sample_dir=sample,
            is_open_by_default=open_by_default,
            has_ephemeral_apps=ephemeral_apps,
            websocket=websocket,
            log_level=log_level,
        )
    except InvalidInput as failure:
        raise click.UsageError(failure.message) from None
    log.set_up(settings.log_level)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(Server(settings).run(on_ready=_announce))
    except SystemExit:
        # uvicorn could not listen, and has logged why.
        raise SystemExit(1) from None
    except OSError as failure:
        raise click.ClickException(failure.strerror or str(failure)) from None


def _announce(base: str, samples: list[str]) -> None:
    """Print what people and scripts wait for; the first line is a promise of the README."""
    lines = [f"trice is ready at {base}", *(f"  sample app: {url}" for url in samples)]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
