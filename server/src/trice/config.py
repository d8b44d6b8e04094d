"""Settings of a server: validated once at start, never changed after."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trice import backup_limits, file_limits, function_limits, limits, log
from trice.errors import InvalidInput

_PUBLIC_URL: Final = re.compile(
    r"(https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)/?",
    re.IGNORECASE | re.ASCII,
)

_EACH_APP: Final = "{app}."
_APP_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_HOST: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?",
    re.IGNORECASE | re.ASCII,
)

_DURATION: Final = re.compile(r"[0-9]{1,6}[mhd]", re.ASCII)

_UNITS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
REGISTRATIONS: Final = ("closed", "invited", "open")
FUNCTIONS: Final = ("off", "admins", "owners")
FUNCTIONS_PACKAGES: Final = ("server", "locked")
FUNCTIONS_SANDBOXES: Final = ("off", "auto", "require")

_PORT: Final = re.compile(r":[0-9]+\Z")

_TOKEN: Final = re.compile(rf"[!-~]{{{limits.METRICS_TOKEN_CHARS_MIN},}}")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `trice serve` was told, by flag or by `TRICE_*` variable.

    host, port          where to listen; port 0 takes a free one
    data_dir            everything the server keeps; made on first start
    sample_dir          folder whose `<name>/dist` are served at /sample/<name>/, or None
    is_open_by_default  anybody may read and write apps that were made without rules
    has_ephemeral_apps  whether `POST /dash/apps/ephemeral` is answered
    registration        who may make an account by signing in: nobody ("closed"), people who were
                        invited to an organisation ("invited"), everybody ("open")
    has_ephemeral_quotas  whether throw-away apps are bounded in rows, bytes and users
    app_quota, ephemeral_quota   quotas of each app that lasts, and of each throw-away app, as
                        `rows=1000,sockets=50`; those of an app or account go before them
    trusted_proxies     how many proxies stand before this server: `request.ip` in rules, and limits
                        per address, take the address that the outermost of them saw
    smtp_url            where e-mail goes; None: codes are written to the log
    public_url          where clients reach this server, `https://api.example.com`: in addresses
                        that sign-in providers send people back to; None: what the request says
    file_bytes_max      how large one uploaded file may be
    mail_from           address that e-mail comes from
    secret_key          64 hex digits that seal the secrets of sign-in providers; None: a key in
                        the data directory
    allows_private_hosts  whether sign-in providers may be at addresses of a private network
    allows_private_webhooks  whether webhooks may be delivered over http, and to addresses of a
                        private network
    files_host          the host that bytes of files are served at, and nothing else is:
                        `files.example.com`, with a port if URLs need one; None: any host
    http_host           the same for endpoints of apps: `apps.example.com`, or
                        `{app}.example.com`, a host for each by its id; None: any host, with pages
                        in a sandbox
    has_direct_files    whether clients are sent to the bucket for bytes that are in one
    websocket           "picows", or "asgi" for the plain second implementation
    has_compression     whether WebSockets of picows agree to deflate messages
    keep_alive_s        how long an HTTP connection may stay open between two requests
    files_url           where bytes of files are kept: `local` or `s3://…`; read by files/files_url
    metrics_token       the token that requests of /metrics must carry; None: all are refused
    history_days        how long each app keeps the log of its transactions
    backup_to           where the server makes backups: a folder or `s3://…`; None: nowhere
    backup_every        how often: `24h`, `30m` or `7d`
    backup_keep         how many good backups stay
    app_backup_every    how often the server makes a backup of each lasting app that its developer
                        can fetch: `24h`; None: never
    functions           who may deploy functions of apps: nobody, and none run ("off"), accounts
                        that the operator names ("admins"), owners of apps ("owners")
    functions_admins    e-mail addresses of those accounts, with commas between
    functions_trusted   owners of apps are trusted with this machine: they may deploy although
                        everybody may make an account and functions are not confined
    functions_sandbox   whether the kernel confines functions to their files and, queries and
                        mutations, to no network: "off", where it can ("auto"), or no functions
                        without ("require")
    functions_user      uid that processes of functions run as, or a range of uids, one an app:
                        `20000-20999`; None: the server's own user
    functions_packages  what functions import: what the server has ("server"), or the packages of
                        their project's uv.lock, which the server installs ("locked")
    functions_workers   how many such processes there are at most; None: two for each core
    allows_private_functions  whether `ctx.http` of actions reaches addresses of a private network
    slow_ms             queries and transactions that take this long are logged; 0: none is
    has_request_log     whether each HTTP request is logged
    log_format          text or json
    log_level           debug, info, warning or error
    """

    host: str = "127.0.0.1"
    port: int = 8888
    data_dir: Path = Path("trice-data")
    sample_dir: Path | None = None
    is_open_by_default: bool = False
    has_ephemeral_apps: bool = True
    has_ephemeral_quotas: bool = True
    app_quota: str = ""
    ephemeral_quota: str = ""
    registration: str = "closed"
    trusted_proxies: int = 0
    smtp_url: str | None = field(default=None, repr=False)
    public_url: str | None = None
    file_bytes_max: int = file_limits.FILE_BYTES_MAX
    mail_from: str = "trice@localhost"
    secret_key: str | None = field(default=None, repr=False)
    allows_private_hosts: bool = False
    allows_private_webhooks: bool = False
    files_host: str | None = None
    http_host: str | None = None
    has_direct_files: bool = False
    websocket: str = "picows"
    has_compression: bool = True
    keep_alive_s: int = 75
    files_url: str = field(default="local", repr=False)
    metrics_token: str | None = field(default=None, repr=False)
    history_days: int = limits.TX_LOG_DAYS
    backup_to: str | None = field(default=None, repr=False)
    backup_every: str = "24h"
    backup_keep: int = 7
    app_backup_every: str | None = None
    functions: str = "owners"
    functions_admins: str = ""
    functions_trusted: bool = False
    functions_sandbox: str = "off"
    functions_user: str | None = None
    functions_packages: str = "server"
    functions_workers: int | None = None
    allows_private_functions: bool = False
    slow_ms: int = 500
    has_request_log: bool = False
    log_format: str = "text"
    log_level: str = "info"

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise _bad("port", self.port, "a number from 0 to 65535")
        if not 0 <= self.trusted_proxies <= 10:
            raise _bad("trusted-proxies", self.trusted_proxies, "a number from 0 to 10")
        if not 1 <= self.keep_alive_s <= 3600:
            raise _bad("keep-alive-s", self.keep_alive_s, "seconds from 1 to 3600")
        if not 1 <= self.history_days <= 3650:
            raise _bad("history-days", self.history_days, "days from 1 to 3650")
        self._check_functions()
        self._check_observation()
        self._check_backups()
        if self.registration not in REGISTRATIONS:
            raise _bad("registration", self.registration, "one of " + ", ".join(REGISTRATIONS))
        if not 1 <= self.file_bytes_max <= file_limits.FILE_BODY_BYTES_MAX:
            accepted = f"bytes from 1 to {file_limits.FILE_BODY_BYTES_MAX}"
            raise _bad("file-bytes-max", self.file_bytes_max, accepted)
        if self.public_url is not None:
            match = _PUBLIC_URL.fullmatch(self.public_url)
            if match is None:
                accepted = "an http or https URL without a path: https://api.example.com"
                raise _bad("public-url", self.public_url, accepted)
            object.__setattr__(self, "public_url", match[1].lower())
        self._check_hosts()
        if self.websocket not in ("picows", "asgi"):
            raise _bad("websocket", self.websocket, "picows or asgi")
        if self.log_level not in log.LEVELS:
            raise _bad("log-level", self.log_level, "one of " + ", ".join(log.LEVELS))
        if self.data_dir.exists() and not self.data_dir.is_dir():
            raise _bad("data-dir", self.data_dir, "a folder, or a path where one can be made")
        if self.sample_dir is not None and not self.sample_dir.is_dir():
            raise _bad("sample", self.sample_dir, "an existing folder")

    def _check_hosts(self) -> None:
        for flag, given in (("files-host", self.files_host), ("http-host", self.http_host)):
            if given is None:
                continue
            name = given.removeprefix(_EACH_APP) if flag == "http-host" else given
            if not _HOST.fullmatch(name):
                example = f"{flag.partition('-')[0].replace('http', 'apps')}.example.com"
                each = f", or {_EACH_APP}{example} with a host for each app"
                also = each if flag == "http-host" else ""
                raise _bad(flag, given, f"a host name: {example}{also}")
            object.__setattr__(self, flag.replace("-", "_"), given.lower())
        if self.http_host is not None:
            public = (self.public_url or "").partition("://")[2]
            others = (self.files_host, public)
            if any(_is_same_host(self.http_host, other) for other in others) or any(
                other and self.is_http_host(other) for other in others
            ):
                accepted = "a host with nothing else: neither that of files nor of public-url"
                raise _bad("http-host", self.http_host, accepted)

    def _check_functions(self) -> None:
        if self.functions not in FUNCTIONS:
            raise _bad("functions", self.functions, "one of " + ", ".join(FUNCTIONS))
        if self.functions == "admins" and not self.functions_admin_emails:
            accepted = "given with --functions admins: e-mail addresses, with commas between"
            raise _bad("functions-admins", self.functions_admins, accepted)
        if self.functions_sandbox not in FUNCTIONS_SANDBOXES:
            accepted = "one of " + ", ".join(FUNCTIONS_SANDBOXES)
            raise _bad("functions-sandbox", self.functions_sandbox, accepted)
        if self.functions_packages not in FUNCTIONS_PACKAGES:
            accepted = "one of " + ", ".join(FUNCTIONS_PACKAGES)
            raise _bad("functions-packages", self.functions_packages, accepted)
        most = function_limits.PROCESSES_MAX
        if self.functions_workers is not None and not 1 <= self.functions_workers <= most:
            raise _bad("functions-workers", self.functions_workers, f"1 to {most}")

    def _check_observation(self) -> None:
        if not 0 <= self.slow_ms <= 3_600_000:
            raise _bad("slow-ms", self.slow_ms, "milliseconds up to 3600000, or 0 for never")
        if self.log_format not in log.FORMATS:
            raise _bad("log-format", self.log_format, "one of " + ", ".join(log.FORMATS))
        token = self.metrics_token
        if token is not None and not _TOKEN.fullmatch(token):
            # The message does not repeat the token: it is a secret, although a short one.
            least = limits.METRICS_TOKEN_CHARS_MIN
            raise InvalidInput(
                "param-malformed",
                f"--metrics-token must be {least} or more characters of ASCII without spaces.",
            )

    def _check_backups(self) -> None:
        least, most = backup_limits.EVERY_MS_MIN, backup_limits.EVERY_MS_MAX
        for name in ("backup-every", "app-backup-every"):
            given = getattr(self, name.replace("-", "_"))
            is_fit = given is None or _DURATION.fullmatch(given) is not None
            if not is_fit or (given is not None and not least <= _duration_ms(given) <= most):
                raise _bad(name, given, "a time from 1m to 366d: 24h")
        if not 1 <= self.backup_keep <= backup_limits.KEEP_MAX:
            raise _bad("backup-keep", self.backup_keep, f"1 to {backup_limits.KEEP_MAX}")

    @property
    def functions_admin_emails(self) -> frozenset[str]:
        given = (each.strip().lower() for each in self.functions_admins.split(","))
        return frozenset(each for each in given if each)

    @property
    def backup_every_ms(self) -> int:
        return _duration_ms(self.backup_every)

    @property
    def app_backup_every_ms(self) -> int | None:
        return None if self.app_backup_every is None else _duration_ms(self.app_backup_every)

    def files_base_url(self, base_url: str) -> str:
        """What URLs of files begin with, where `base_url` is what those of the API begin with."""
        if self.files_host is None:
            return base_url
        return f"{base_url.partition('://')[0]}://{self.files_host}"

    def is_files_host(self, host: str) -> bool:
        """Whether a `Host` header names the host of files. The port counts where the setting has
        one."""
        return names_host(host, self.files_host)

    def is_http_host(self, host: str) -> bool:
        """Whether a `Host` header names the host of endpoints, likewise."""
        if self.http_host is None or not self.http_host.startswith(_EACH_APP):
            return names_host(host, self.http_host)
        app_id, _, rest = host.strip().partition(".")
        is_app = _APP_ID.fullmatch(app_id) is not None
        return is_app and names_host(rest, self.http_host.removeprefix(_EACH_APP))

    def http_host_of(self, app_id: str) -> str | None:
        """The host of an app's endpoints; None: any."""
        return None if self.http_host is None else self.http_host.replace("{app}", app_id, 1)

    def is_own_host(self, host: str) -> bool:
        """Whether a `Host` header names a host without sessions."""
        return self.is_files_host(host) or self.is_http_host(host)

    @property
    def is_picows(self) -> bool:
        return self.websocket == "picows"


def names_host(host: str, wanted: str | None) -> bool:
    """Whether a `Host` header names this host. The port counts where `wanted` has one."""
    if wanted is None:
        return False
    given = host.strip().lower()
    return given == wanted or (_PORT.search(wanted) is None and _PORT.sub("", given) == wanted)


def _is_same_host(one: str, other: str | None) -> bool:
    """Whether some `Host` header would name both."""
    return other is not None and (names_host(one, other) or names_host(other, one))


def _duration_ms(text: str) -> int:
    return int(text[:-1]) * _UNITS_MS[text[-1]]


def _bad(flag: str, value: object, accepted: str) -> InvalidInput:
    return InvalidInput("param-malformed", f"--{flag} is {str(value)!r}, but must be {accepted}.")
