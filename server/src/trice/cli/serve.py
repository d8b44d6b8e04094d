"""`trice serve`: run a server here."""

from __future__ import annotations

import contextlib
import errno
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trice import file_limits, log
from trice.cli.options import file_error, named_as_used, option, unknown_variables
from trice.config import REGISTRATIONS, Settings
from trice.errors import InvalidInput, TriceError

if TYPE_CHECKING:
    from trice.server import Sample

logger = logging.getLogger(__name__)


@click.command(context_settings={"show_default": True, "max_content_width": 100})
@option(
    "--host",
    envvar="TRICE_HOST",
    default="127.0.0.1",
    help="Address to listen on; 0.0.0.0 for all.",
)
@option(
    "--port",
    envvar="TRICE_PORT",
    type=int,
    default=8888,
    help="Port to listen on; 0 takes a free one.",
)
@option(
    "--data-dir",
    envvar="TRICE_DATA_DIR",
    type=click.Path(path_type=Path),
    default="trice-data",
    help="Where everything is kept.",
)
@option(
    "--sample",
    envvar="TRICE_SAMPLE",
    type=click.Path(path_type=Path),
    help="Folder of built sample apps (NAME/dist) to serve at /sample/NAME/.",
)
@option(
    "--open-by-default/--no-open-by-default",
    envvar="TRICE_OPEN_BY_DEFAULT",
    default=False,
    help="In new apps, anybody may do what no rule speaks about.",
)
@option(
    "--ephemeral-apps/--no-ephemeral-apps",
    envvar="TRICE_EPHEMERAL_APPS",
    default=True,
    help="Let anybody make throw-away apps (POST /dash/apps/ephemeral).",
)
@option(
    "--ephemeral-quotas/--no-ephemeral-quotas",
    envvar="TRICE_EPHEMERAL_QUOTAS",
    default=True,
    help="Bound throw-away apps in rows, bytes and connections.",
)
@option(
    "--registration",
    envvar="TRICE_REGISTRATION",
    type=click.Choice(REGISTRATIONS),
    default="closed",
    help="Who may make an account by signing in: nobody, people who are invited, everybody.",
)
@option(
    "--trusted-proxies",
    envvar="TRICE_TRUSTED_PROXIES",
    type=int,
    default=0,
    help="How many proxies stand before this server; their X-Forwarded-For is believed.",
)
@option(
    "--public-url",
    envvar="TRICE_PUBLIC_URL",
    help="Where clients reach this server: https://api.example.com; else the Host header tells.",
)
@option(
    "--file-bytes-max",
    envvar="TRICE_FILE_BYTES_MAX",
    type=int,
    default=file_limits.FILE_BYTES_MAX,
    help="How many bytes one uploaded file may have.",
)
@option(
    "--smtp-url",
    envvar="TRICE_SMTP_URL",
    help="Mail server: smtp://USER:PASSWORD@HOST:PORT, smtps://…; without one, codes are logged.",
)
@option(
    "--mail-from",
    envvar="TRICE_MAIL_FROM",
    default="trice@localhost",
    help="Address that e-mail comes from.",
)
@option(
    "--secret-key",
    envvar="TRICE_SECRET_KEY",
    help="64 hex digits that seal secrets at rest; without it, DATA_DIR/secret.key is made.",
)
@option(
    "--private-hosts/--no-private-hosts",
    envvar="TRICE_ALLOW_PRIVATE_HOSTS",
    default=False,
    help="Let sign-in providers be at addresses of a private network.",
)
@option(
    "--webhooks-private/--no-webhooks-private",
    envvar="TRICE_WEBHOOKS_PRIVATE",
    default=False,
    help="Deliver webhooks over http and to addresses of a private network, too.",
)
@option(
    "--files-host",
    envvar="TRICE_FILES_HOST",
    help="Serve bytes of files at this host only, and nothing else there: files.example.com.",
)
@option(
    "--files-direct/--no-files-direct",
    envvar="TRICE_FILES_DIRECT",
    default=False,
    help="Send clients to the bucket for files that are in one, instead of passing bytes on.",
)
@option(
    "--websocket",
    envvar="TRICE_WEBSOCKET",
    type=click.Choice(("picows", "asgi")),
    default="picows",
    help="WebSocket implementation.",
)
@option(
    "--compression/--no-compression",
    envvar="TRICE_COMPRESSION",
    default=True,
    help="Deflate WebSocket messages for clients that offer it (picows only).",
)
@option(
    "--keep-alive-s",
    envvar="TRICE_KEEP_ALIVE_S",
    type=int,
    default=75,
    help="Seconds an HTTP connection stays open without a request; longer than a proxy keeps it.",
)
@option(
    "--history-days",
    envvar="TRICE_HISTORY_DAYS",
    type=int,
    default=7,
    help="Days that each app keeps the log of its transactions.",
)
@option(
    "--files-url",
    envvar="TRICE_FILES_URL",
    default="local",
    help="Where bytes of files are kept: local, or s3://BUCKET/PREFIX?endpoint=…&region=….",
)
@option(
    "--backup-to",
    envvar="TRICE_BACKUP_TO",
    help="Make backups there: a folder, or s3://BUCKET/PREFIX?endpoint=…&region=….",
)
@option(
    "--backup-every",
    envvar="TRICE_BACKUP_EVERY",
    default="24h",
    help="How often, with --backup-to: 30m, 24h, 7d.",
)
@option(
    "--backup-keep",
    envvar="TRICE_BACKUP_KEEP",
    type=int,
    default=7,
    help="How many good backups stay.",
)
@option(
    "--metrics-token",
    envvar="TRICE_METRICS_TOKEN",
    help="Password for /metrics, sent as bearer token; without one there is no such page.",
)
@option(
    "--slow-ms",
    envvar="TRICE_SLOW_MS",
    type=int,
    default=500,
    help="Log queries and transactions that take as many milliseconds, with their plan; 0: none.",
)
@option(
    "--request-log/--no-request-log",
    envvar="TRICE_REQUEST_LOG",
    default=False,
    help="Log each HTTP request with its trace id.",
)
@option(
    "--log-format",
    envvar="TRICE_LOG_FORMAT",
    type=click.Choice(log.FORMATS),
    default="text",
    help="Log lines for people, or one JSON object each.",
)
@option(
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
    registration: str,
    trusted_proxies: int,
    public_url: str | None,
    file_bytes_max: int,
    smtp_url: str | None,
    mail_from: str,
    secret_key: str | None,
    private_hosts: bool,
    webhooks_private: bool,
    files_host: str | None,
    files_direct: bool,
    websocket: str,
    compression: bool,
    keep_alive_s: int,
    history_days: int,
    files_url: str,
    backup_to: str | None,
    backup_every: str,
    backup_keep: int,
    metrics_token: str | None,
    slow_ms: int,
    request_log: bool,
    log_format: str,
    log_level: str,
) -> None:
    """Run a server until Ctrl-C. Every option is also a TRICE_… variable: TRICE_PORT=8888."""
    context = click.get_current_context()
    try:
        settings = Settings(
            host=host,
            port=port,
            data_dir=data_dir,
            sample_dir=sample,
            is_open_by_default=open_by_default,
            has_ephemeral_apps=ephemeral_apps,
            has_ephemeral_quotas=ephemeral_quotas,
            registration=registration,
            trusted_proxies=trusted_proxies,
            public_url=public_url,
            file_bytes_max=file_bytes_max,
            smtp_url=smtp_url,
            mail_from=mail_from,
            secret_key=secret_key,
            allows_private_hosts=private_hosts,
            allows_private_webhooks=webhooks_private,
            files_host=files_host or None,
            has_direct_files=files_direct,
            websocket=websocket,
            has_compression=compression,
            keep_alive_s=keep_alive_s,
            history_days=history_days,
            files_url=files_url,
            backup_to=backup_to or None,
            backup_every=backup_every,
            backup_keep=backup_keep,
            metrics_token=metrics_token or None,
            slow_ms=slow_ms,
            has_request_log=request_log,
            log_format=log_format,
            log_level=log_level,
        )
    except (InvalidInput, OSError) as failure:
        raise _refused(failure, context) from None
    _run(settings, context)


def _refused(failure: InvalidInput | OSError, context: click.Context) -> click.ClickException:
    """The error for settings that cannot be used."""
    if isinstance(failure, OSError):
        return click.ClickException(file_error(failure))
    return click.UsageError(named_as_used(context, failure.message))


def _run(settings: Settings, context: click.Context) -> None:
    log.set_up(settings.log_level, settings.log_format)
    for name, meant in unknown_variables(context).items():
        logger.warning("a variable is no setting %s", log.fields(name=name, did_you_mean=meant))
    # Imported here: not needed for `--help` or for wrong usage.
    import uvloop

    from trice.server import Server

    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(Server(settings).run(on_ready=_announce))
    except InvalidInput as failure:
        raise click.UsageError(named_as_used(context, failure.message)) from None
    except SystemExit as stop:
        # uvicorn could not listen.
        reason = stop.__context__
        is_taken = isinstance(reason, OSError) and reason.errno == errno.EADDRINUSE
        message = (
            f"trice cannot listen on {settings.host}:{settings.port}"
            f"{', where another process does' if is_taken else ''};"
            " choose another --port or --host."
        )
        raise click.ClickException(named_as_used(context, message)) from None
    except TriceError as failure:
        raise click.ClickException(failure.message) from None
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None


def _announce(base: str, samples: list[Sample], first_account: str | None) -> None:
    """Print what people and scripts wait for; the README promises the first line.

    Admin tokens are printed only on a terminal, so that they get into no log.
    """
    lines = [f"trice is ready at {base}"]
    for sample in samples:
        lines.append(f"  sample app: {sample.url}")
        if sys.stdout.isatty():
            lines.append(f"              admin token {sample.admin_token}")
    if first_account is not None:
        lines.append(f"  nobody has an account yet; make the first one: {first_account}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
