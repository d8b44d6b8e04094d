"""`trice serve`: run a server here."""

from __future__ import annotations

import contextlib
import errno
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from trice import file_limits, log
from trice.cli.options import file_error, named_as_used, option, unknown_variables
from trice.config import FUNCTIONS, FUNCTIONS_PACKAGES, FUNCTIONS_SANDBOXES, REGISTRATIONS, Settings
from trice.errors import InvalidInput, TriceError

if TYPE_CHECKING:
    from trice.server import Sample

logger = logging.getLogger(__name__)

_TEXT_OR_NONE: Final = (
    "files_host",
    "backup_to",
    "app_backup_every",
    "metrics_token",
    "functions_user",
)


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
    "sample_dir",
    envvar="TRICE_SAMPLE",
    type=click.Path(path_type=Path),
    help="Folder of built sample apps (NAME/dist) to serve at /sample/NAME/.",
)
@option(
    "--open-by-default/--no-open-by-default",
    "is_open_by_default",
    envvar="TRICE_OPEN_BY_DEFAULT",
    default=False,
    help="In new apps, anybody may do what no rule speaks about.",
)
@option(
    "--ephemeral-apps/--no-ephemeral-apps",
    "has_ephemeral_apps",
    envvar="TRICE_EPHEMERAL_APPS",
    default=True,
    help="Let anybody make throw-away apps (POST /dash/apps/ephemeral).",
)
@option(
    "--ephemeral-quotas/--no-ephemeral-quotas",
    "has_ephemeral_quotas",
    envvar="TRICE_EPHEMERAL_QUOTAS",
    default=True,
    help="Bound throw-away apps in rows, bytes and connections.",
)
@option(
    "--app-quota",
    envvar="TRICE_APP_QUOTA",
    default="",
    show_default=False,
    help="What each app may use at most: rows=100000,bytes=…,file-bytes=…,requests=…,sockets=….",
)
@option(
    "--ephemeral-quota",
    envvar="TRICE_EPHEMERAL_QUOTA",
    default="",
    show_default=False,
    help="The same for each throw-away app, in place of the bounds that it has anyway.",
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
    "allows_private_hosts",
    envvar="TRICE_ALLOW_PRIVATE_HOSTS",
    default=False,
    help="Let sign-in providers be at addresses of a private network.",
)
@option(
    "--webhooks-private/--no-webhooks-private",
    "allows_private_webhooks",
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
    "--http-host",
    envvar="TRICE_HTTP_HOST",
    help="Serve HTTP endpoints of apps at this host only, and nothing else there, without sandbox.",
)
@option(
    "--files-direct/--no-files-direct",
    "has_direct_files",
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
    "has_compression",
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
    "--app-backup-every",
    envvar="TRICE_APP_BACKUP_EVERY",
    help="How often each app is backed up for its developer: 24h; without this, never by itself.",
)
@option(
    "--metrics-token",
    envvar="TRICE_METRICS_TOKEN",
    help="Password for /metrics, sent as bearer token; without one there is no such page.",
)
@option(
    "--functions",
    envvar="TRICE_FUNCTIONS",
    type=click.Choice(FUNCTIONS),
    default="owners",
    help="Who may deploy functions of apps: nobody, accounts of the operator, owners of apps.",
)
@option(
    "--functions-admins",
    envvar="TRICE_FUNCTIONS_ADMINS",
    default="",
    help="With --functions admins: e-mail addresses of the accounts that may deploy, with commas.",
)
@option(
    "--functions-trusted",
    envvar="TRICE_FUNCTIONS_TRUSTED",
    is_flag=True,
    help="Owners of apps may deploy although everybody may be one and nothing confines functions.",
)
@option(
    "--functions-sandbox",
    envvar="TRICE_FUNCTIONS_SANDBOX",
    type=click.Choice(FUNCTIONS_SANDBOXES),
    default="off",
    help="Confine functions to their files (Landlock): never, where the kernel can, or always.",
)
@option(
    "--functions-user",
    envvar="TRICE_FUNCTIONS_USER",
    help="Uid that functions run as, or a range, one for each app: 20000-20999; needs root.",
)
@option(
    "--functions-packages",
    envvar="TRICE_FUNCTIONS_PACKAGES",
    type=click.Choice(FUNCTIONS_PACKAGES),
    default="server",
    help="What functions import: what the server has, or the packages of uv.lock, installed by uv.",
)
@option(
    "--functions-workers",
    envvar="TRICE_FUNCTIONS_WORKERS",
    type=int,
    help="How many processes run functions at most; without it, two for each core.",
)
@option(
    "--functions-private/--no-functions-private",
    "allows_private_functions",
    envvar="TRICE_FUNCTIONS_PRIVATE",
    default=False,
    help="Let ctx.http of functions reach addresses of a private network, too.",
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
    "has_request_log",
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
def serve(**given: Any) -> None:
    """Run a server until Ctrl-C. Every option is also a TRICE_… variable: TRICE_PORT=8888.

    Example: trice serve --host 0.0.0.0 --data-dir /var/lib/trice
    """
    context = click.get_current_context()
    # Options are named after the settings. A variable that is set to nothing is not set.
    given |= {name: given[name] or None for name in _TEXT_OR_NONE}
    with _told(context):
        settings = Settings(**given)
    _run(settings, context)


@contextlib.contextmanager
def _told(context: click.Context) -> Iterator[None]:
    """Tell of settings that cannot be used."""
    try:
        yield
    except InvalidInput as failure:
        raise click.UsageError(named_as_used(context, failure.message)) from None
    except OSError as failure:
        raise click.ClickException(file_error(failure)) from None


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
