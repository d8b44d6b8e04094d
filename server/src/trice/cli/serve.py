"""`trice serve`: run a server here."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click
import uvloop

from trice import log
from trice.config import Settings
from trice.errors import InvalidInput, TriceError
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
    help="In new apps, anybody may do what no rule speaks about.",
)
@click.option(
    "--ephemeral-apps/--no-ephemeral-apps",
    envvar="TRICE_EPHEMERAL_APPS",
    default=True,
    help="Let anybody make throw-away apps (POST /dash/apps/ephemeral).",
)
@click.option(
    "--ephemeral-quotas/--no-ephemeral-quotas",
    envvar="TRICE_EPHEMERAL_QUOTAS",
    default=True,
    help="Bound throw-away apps in rows, bytes and connections.",
)
@click.option(
    "--trusted-proxies",
    envvar="TRICE_TRUSTED_PROXIES",
    type=int,
    default=0,
    help="How many proxies stand before this server; their X-Forwarded-For is believed.",
)
@click.option(
    "--public-url",
    envvar="TRICE_PUBLIC_URL",
    help="Where clients reach this server: https://api.example.com; else the Host header tells.",
)
@click.option(
    "--smtp-url",
    envvar="TRICE_SMTP_URL",
    help="Mail server: smtp://USER:PASSWORD@HOST:PORT, smtps://…; without one, codes are logged.",
)
@click.option(
    "--mail-from",
    envvar="TRICE_MAIL_FROM",
    default="trice@localhost",
    help="Address that e-mail comes from.",
)
@click.option(
    "--secret-key",
    envvar="TRICE_SECRET_KEY",
    help="64 hex digits that seal secrets at rest; without it, DATA_DIR/secret.key is made.",
)
@click.option(
    "--private-hosts/--no-private-hosts",
    envvar="TRICE_ALLOW_PRIVATE_HOSTS",
    default=False,
    help="Let sign-in providers be at addresses of a private network.",
)
@click.option(
    "--websocket",
    envvar="TRICE_WEBSOCKET",
    type=click.Choice(("picows", "asgi")),
    default="picows",
    help="WebSocket implementation.",
)
@click.option(
    "--compression/--no-compression",
    envvar="TRICE_COMPRESSION",
    default=True,
    help="Deflate WebSocket messages for clients that offer it (picows only).",
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
    ephemeral_quotas: bool,
    trusted_proxies: int,
    public_url: str | None,
    smtp_url: str | None,
    mail_from: str,
    secret_key: str | None,
    private_hosts: bool,
    websocket: str,
    compression: bool,
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
            has_ephemeral_quotas=ephemeral_quotas,
            trusted_proxies=trusted_proxies,
            public_url=public_url,
            smtp_url=smtp_url,
            mail_from=mail_from,
            secret_key=secret_key,
            allows_private_hosts=private_hosts,
            websocket=websocket,
            has_compression=compression,
            log_level=log_level,
        )
    except InvalidInput as failure:
        raise click.UsageError(failure.message) from None
    log.set_up(settings.log_level)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(Server(settings).run(on_ready=_announce))
    except InvalidInput as failure:
        raise click.UsageError(failure.message) from None
    except SystemExit:
        # uvicorn could not listen, and has logged why.
        raise click.ClickException(
            f"trice cannot listen on {host}:{port}; choose another --port or --host."
        ) from None
    except TriceError as failure:
        raise click.ClickException(failure.message) from None
    except OSError as failure:
        raise click.ClickException(failure.strerror or str(failure)) from None


def _announce(base: str, samples: list[str]) -> None:
    """Print what people and scripts wait for; the first line is a promise of the README."""
    lines = [f"trice is ready at {base}", *(f"  sample app: {url}" for url in samples)]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
