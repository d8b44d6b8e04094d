"""`trice serve`: run a server here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from trice import log
from trice.config import Settings
from trice.errors import InvalidInput
from trice.server import Server


def serve(
    host: Annotated[
        str, typer.Option(envvar="TRICE_HOST", help="Address to listen on; 0.0.0.0 for all.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="TRICE_PORT", help="Port to listen on; 0 takes a free one.")
    ] = 8888,
    data_dir: Annotated[
        Path, typer.Option(envvar="TRICE_DATA_DIR", help="Where everything is kept.")
    ] = Path("trice-data"),
    sample: Annotated[
        Path | None,
        typer.Option(
            envvar="TRICE_SAMPLE",
            help="Folder of built sample apps (NAME/dist) to serve at /sample/NAME/.",
        ),
    ] = None,
    open_by_default: Annotated[
        bool,
        typer.Option(
            envvar="TRICE_OPEN_BY_DEFAULT",
            help="New apps without rules may be read and written by anybody.",
        ),
    ] = False,
    ephemeral_apps: Annotated[
        bool,
        typer.Option(
            envvar="TRICE_EPHEMERAL_APPS",
            help="Let anybody make throw-away apps (POST /dash/apps/ephemeral).",
        ),
    ] = True,
    websocket: Annotated[
        str,
        typer.Option(envvar="TRICE_WEBSOCKET", help="WebSocket implementation: picows or asgi."),
    ] = "picows",
    log_level: Annotated[
        str, typer.Option(envvar="TRICE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Run a server until Ctrl-C."""
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
        typer.echo(f"trice serve: {failure.message}", err=True)
        raise typer.Exit(2) from None
    log.set_up(settings.log_level)
    try:
        uvloop.run(Server(settings).run(on_ready=_announce))
    except KeyboardInterrupt:
        pass
    except OSError as failure:
        typer.echo(f"trice serve: {failure.strerror or failure}", err=True)
        raise typer.Exit(1) from None


def _announce(base: str, samples: list[str]) -> None:
    """Print what people and scripts wait for; the first line is a promise of the README."""
    lines = [f"trice is ready at {base}", *(f"  sample app: {url}" for url in samples)]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
