"""Builds everything and owns start and stop.

A little over 500 lines, one file because it is the only wiring.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.types import ASGIApp

import trice
from trice import function_limits, limits
from trice.accounts.operator import Operator, door_of, write_door
from trice.accounts.sign_in import FirstAccount
from trice.api.bounded_http import make_http_class
from trice.api.connections import Connections, descriptors_for_apps
from trice.api.routes import build_app
from trice.app_backups.app_backups import AppBackups
from trice.apps import quotas
from trice.apps.allowances import ServerQuotas
from trice.apps.apps import Apps
from trice.background import Background
from trice.backups.make import Source
from trice.backups.opening import open_vault
from trice.backups.schedule import Schedule
from trice.backups.ship import Shipper
from trice.calls.log_ring import Line
from trice.calls.side import RunsCalls
from trice.calls.workers.opening import open_workers
from trice.calls.workers.starter import OnLine
from trice.catalog.attr import Attr
from trice.config import Settings
from trice.errors import InvalidInput
from trice.files.blobs import Blobs
from trice.files.files import Files
from trice.files.files_url import S3Place, parse_files_url
from trice.files.local import LocalBlobs
from trice.files.partials import Partials
from trice.files.spool import Spool
from trice.files.storage import Storage
from trice.files.threads import FileThreads
from trice.files.used_tokens import UsedTokens
from trice.memory import GivingBack, free_memory, settle_memory
from trice.metrics import BackupCounts
from trice.protocol.ids import AppId
from trice.runtime import Runtime, SystemRuntime
from trice.session.deflate import Deflater
from trice.session.hub import Hub
from trice.session.picows_socket import make_protocol_class
from trice.slow_log import SlowLog
from trice.store.copies import Copies
from trice.store.engine import Engine
from trice.store.engines import PLATFORM, Engines
from trice.store.sqlite.copies import SqliteCopies
from trice.store.sqlite.data_dir import claim_data_dir
from trice.store.sqlite.engine import SqliteEngine
from trice.store.sqlite.engines import SqliteEngines, copy_database, path_of
from trice.store.sqlite.swap import decide_swap, find_existing, prepare_swap, settle_swap
from trice.streams.streams import Streams

logger: Final = logging.getLogger("trice.server")


class Sample(NamedTuple):
    """A sample app as it is served.

    admin_token  that of its app, valid until the next start; for the operator's eyes only
    """

    url: str
    admin_token: str


OnReady = Callable[[str, list[Sample], str | None], None]


def _quotas_of(settings: Settings) -> ServerQuotas:
    """What apps may hold. Raises InvalidInput."""
    return ServerQuotas(
        quotas.parse(settings.app_quota, flag="app-quota"),
        quotas.parse(settings.ephemeral_quota, flag="ephemeral-quota"),
    )


class _HttpServer(uvicorn.Server):
    """uvicorn, with calls when it listens and before it stops, when clients are told."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_ready: Callable[[int], None],
        on_stop: Callable[[], object],
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready(self.servers[0].sockets[0].getsockname()[1])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        # uvicorn raises the captured signal again once stopped; Ctrl-C is a normal end for us.
        if sig == signal.SIGINT and self.should_exit:
            self.force_exit = True
        self.should_exit = True


class Opened(NamedTuple):
    """A server without its port: the ASGI application, and what is at work behind it."""

    app: Starlette
    apps: Apps
    hub: Hub
    connections: Connections
    files: Files
    background: Background

    def begin(self, url: str, *, door_url: str) -> None:
        """It can be reached from now on: tell who must know.

        url        what clients reach it by
        door_url   what commands on the data directory ask it by (`accounts.operator`)
        """
        state = self.app.state
        settings: Settings = state.settings
        operator: Operator = state.operator
        self.files.base_url = settings.files_base_url(url)
        state.webhooks.start(self.background, base_url=url)
        write_door(settings.data_dir, url=door_url, secret=operator.secret)


class Server:
    """One server: an HTTP port, the sessions on it, the apps behind them.

    on_line   hears of each line that functions write
    is_dev    it is that of `trice dev`

    Stopping: no new connections → clients told to reconnect → accepted writes finish → files close.
    """

    is_dev: bool = False

    def __init__(self, settings: Settings, *, runtime: Runtime | None = None) -> None:
        self.settings = settings
        self._runtime = runtime or SystemRuntime()
        self.on_line: Callable[[Line], object] = lambda line: None

    async def run(self, *, on_ready: OnReady) -> None:
        """Serve until told to stop by SIGINT or SIGTERM.

        on_ready  called once with the base URL, the sample apps, and the URL that makes the first
                  account of a server that has none
        """
        settings = self.settings
        os.umask(0o077)  # no other user of the machine can read files made from here on
        async with self.opened() as opened:
            samples = await self.open_samples(opened.apps)
            loop = asyncio.get_running_loop()

            def ready(port: int) -> None:
                settle_memory()
                base, door_url = self._urls(port)
                opened.begin(settings.public_url or base, door_url=door_url)
                first = self._first_account_url(base, opened.app.state.first_account)
                on_ready(base, [Sample(base + path, token) for path, token in samples], first)

            http = _HttpServer(
                self._http_config(opened.app, opened.hub, opened.connections),
                on_ready=ready,
                on_stop=lambda: loop.call_soon_threadsafe(opened.hub.stop),
            )
            sys.setswitchinterval(limits.THREAD_SWITCH_US / 1_000_000)
            await http.serve()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Opened]:
        """Everything but the port, at work until the block ends.

        raises   InvalidInput, OSError when another server has the data directory
        """
        settings = self.settings
        server_quotas = _quotas_of(settings)
        history_days = settings.history_days
        engines = open_engines(settings.data_dir, runtime=self._runtime, history_days=history_days)
        with contextlib.closing(engines):
            slow_log = SlowLog(self._runtime, slow_ms=settings.slow_ms)
            background = Background(self._runtime)
            apps = await Apps.open(
                engines,
                runtime=self._runtime,
                is_open_by_default=settings.is_open_by_default,
                slow_log=slow_log,
                files_max=files_for_apps(take_descriptors(), workers=_workers(settings)),
                has_quotas=settings.has_ephemeral_quotas,
                server_quotas=server_quotas,
            )
            storage = open_storage(settings.data_dir, settings.files_url, runtime=self._runtime)
            files = self._open_files(storage, apps, make_key=lambda: make_url_key(app))
            streams = Streams(apps, files, runtime=self._runtime)
            hub = self._make_hub(apps, streams)
            connections = self._make_connections(hub)
            app = build_app(
                settings=settings,
                apps=apps,
                hub=hub,
                runtime=self._runtime,
                slow_log=slow_log,
                connections=connections,
                background=background,
                files=files,
                make_workers=self.make_workers,
                is_dev=self.is_dev,
            )
            state = app.state
            state.function_logs.on_line = self.on_line
            state.backup_counts = self._schedule_backups(background, storage)
            state.app_backups = self._open_app_backups(apps, background, storage)
            await state.deployments.load()
            for part in (apps, hub, hub.services, connections, *_started(state), files):
                part.start(background)
            GivingBack().start(background)
            try:
                yield Opened(app, apps, hub, connections, files, background)
            finally:
                await _close(state, hub, streams, background, storage)

    def make_workers(self, on_line: OnLine) -> RunsCalls:
        """What runs functions of apps. on_line   takes what it writes outside of calls"""
        return open_workers(self.settings, runtime=self._runtime, on_line=on_line)

    def _make_connections(self, hub: Hub) -> Connections:
        return Connections(
            self._runtime,
            trusted_proxies=self.settings.trusted_proxies,
            sessions=lambda: len(hub),
            has_room_for=hub.has_room,
            is_own_host=self.settings.is_own_host,
        )

    def _schedule_backups(self, background: Background, storage: Storage) -> BackupCounts | None:
        """Let the server make backups by itself, if it is told where. Raises InvalidInput."""
        settings = self.settings
        if settings.backup_to is None:
            return None
        vault = open_vault(settings.backup_to, flag="backup-to", runtime=self._runtime)
        source = backup_source(settings.data_dir, storage.blobs, runtime=self._runtime)
        counts = BackupCounts()
        every_ms, keep = settings.backup_every_ms, settings.backup_keep
        is_sweeping = asyncio.Lock()
        Schedule(
            vault, source, counts, every_ms=every_ms, keep=keep, is_sweeping=is_sweeping
        ).start(background)
        shipping = open_vault(
            settings.backup_to, flag="backup-to", runtime=self._runtime, is_shipping=True
        )
        Shipper(shipping, source, counts, is_sweeping=is_sweeping).start(background)
        return counts

    def _open_app_backups(self, apps: Apps, background: Background, storage: Storage) -> AppBackups:
        """The backups that developers make of their apps. They end with their app."""
        settings = self.settings
        source = backup_source(settings.data_dir, storage.blobs, runtime=self._runtime)
        every_ms = settings.app_backup_every_ms
        backups = AppBackups(apps, source, background=background, every_ms=every_ms)

        async def delete_bytes(app_id: AppId) -> None:
            await backups.forget_app(app_id)
            await storage.blobs.delete_app(app_id)

        apps.delete_files = delete_bytes
        backups.start(background)
        return backups

    def _urls(self, port: int) -> tuple[str, str]:
        """The URL of this server on this machine: for people, and for commands."""
        host = self.settings.host
        shown = "localhost" if host in ("0.0.0.0", "::") else host
        door = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        door_url = f"http://[{door}]:{port}" if ":" in door else f"http://{door}:{port}"
        return f"http://{shown}:{port}", door_url

    def _first_account_url(self, base: str, first: FirstAccount) -> str | None:
        """Where somebody makes the first account; None when there is one."""
        path = first.find_path()
        return None if path is None else (self.settings.public_url or base).rstrip("/") + path

    def _make_hub(self, apps: Apps, streams: Streams) -> Hub:
        """The sessions, which end when their app is deleted."""
        hub = Hub(
            apps=apps,
            streams=streams,
            runtime=self._runtime,
            trusted_proxies=self.settings.trusted_proxies,
            free_memory=free_memory,
        )
        apps.on_delete = hub.drop_app
        return hub

    def _open_files(self, storage: Storage, apps: Apps, *, make_key: Callable[[], bytes]) -> Files:
        """The files of all apps. make_key   makes the key that signs their URLs"""
        return Files(
            storage,
            apps=apps,
            make_key=make_key,
            runtime=self._runtime,
            file_bytes_max=self.settings.file_bytes_max,
        )

    def _http_config(self, app: ASGIApp, hub: Hub, connections: Connections) -> uvicorn.Config:
        settings = self.settings
        sockets = make_protocol_class(hub, Deflater() if settings.has_compression else None)
        return uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=make_http_class(connections),
            timeout_keep_alive=settings.keep_alive_s,
            ws=sockets if settings.is_picows else "websockets-sansio",
            ws_max_size=limits.FRAME_BYTES_MAX,
            ws_ping_interval=limits.PING_INTERVAL_MS / 1000,
            ws_ping_timeout=limits.IDLE_TIMEOUT_MS / 1000,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the setting says how many proxies to believe
            timeout_graceful_shutdown=limits.STOP_GRACE_MS // 1000,
        )

    async def open_samples(self, apps: Apps) -> list[tuple[str, str]]:
        """The path of each built sample app, which has an open app of its own, and the admin token
        of that app.

        A sample's `rules.json`, if it has one, is put in force.
        """
        folder = self.settings.sample_dir
        built = sorted(folder.glob("*/dist")) if folder is not None else []
        samples = []
        for dist in built:
            name = dist.parent.name
            app_id = await apps.open_sample(name)
            rules = dist.parent / "rules.json"
            if rules.exists():
                await apps.set_rules(app_id, read_json(rules))
                app = await apps.lend(app_id)
                try:
                    for warning in await apps.warnings(app):
                        logger.warning("%s: %s", rules, warning["message"])
                finally:
                    apps.give_back(app)
            token = await apps.renew_admin_token(app_id)
            samples.append((f"/sample/{name}/?app={app_id}", token))
        return samples


async def _close(
    state: State, hub: Hub, streams: Streams, background: Background, storage: Storage
) -> None:
    """End all that is at work; the engines are open until then."""
    hub.stop()
    await streams.close()
    await asyncio.gather(state.jobs.close(), state.hooks.close())
    await background.stop()
    mine = (state.live_functions, state.workers, state.deployments, state.function_logs)
    for part in (*mine, state.webhooks, state.oauth, state.apps, storage):
        await part.close()
    state.file_readers.close()
    door_of(state.settings.data_dir).unlink(missing_ok=True)
    logger.info("stopped")


def _started(state: State) -> tuple[Any, ...]:
    """What of the application has background work."""
    return (
        *(state.load, state.variants, state.accounts, state.oauth_apps, state.oauth_tokens),
        *(state.transfers, state.account_streams, state.schemas, state.imports, state.deployments),
        *(state.jobs, state.hooks),
    )


def open_engines(
    data_dir: Path, *, runtime: Runtime, history_days: int = limits.TX_LOG_DAYS
) -> Engines:
    """The storage of a data directory, claimed for this process. No other place names an engine.

    history_days  how long the log of each app is kept
    raises  OSError when another process has the directory, or it may not be read
    """
    return SqliteEngines.claim(data_dir, runtime=runtime, history_days=history_days)


def open_scratch_engine(path: Path, attrs: Iterable[Attr], *, runtime: Runtime) -> Engine:
    """The storage of one app in a file, which is made if there is none: for tests, which need it no
    longer than they run. No COMMIT waits for the disk. Blocks.

    attrs   those that every app has
    """
    return SqliteEngine.open(path, runtime=runtime, system_attrs=attrs, is_lasting=False)


def copy_engines(data_dir: Path, folder: Path, *, runtime: Runtime) -> Engines:
    """The list of apps, copied into an empty folder as it is now, although a server may be using
    the data directory. `copy_app` adds an app.

    raises  Unavailable when it is not there, or there is no room
    """
    copy_app(data_dir, folder, PLATFORM)
    return SqliteEngines.claim(folder, runtime=runtime)


def copy_app(data_dir: Path, folder: Path, app_id: AppId) -> None:
    """Copy the database of an app; raises as `copy_engines`. Blocks."""
    copy_database(data_dir, app_id, folder)


def database_bytes(data_dir: Path, app_id: AppId) -> int:
    """How much a copy of an app's database takes; 0 if there is none."""
    path = path_of(data_dir, app_id)
    return path.stat().st_size if path.exists() else 0


def open_copies(data_dir: Path) -> Copies:
    """Copies of the apps of a data directory, whether a server runs on it or not."""
    return SqliteCopies(data_dir)


def backup_source(data_dir: Path, blobs: Blobs, *, runtime: Runtime) -> Source:
    """What backups are made of, whether a server runs on the data directory or not."""
    return Source(
        data_dir,
        open_copies(data_dir),
        blobs,
        lambda folder: open_engines(folder, runtime=runtime),
        runtime,
        trice.__version__,
    )


class RestorePlace:
    """A data directory that a backup is restored into (`backups.restore.Place`)."""

    def __init__(self, data_dir: Path, files_url: str, *, runtime: Runtime) -> None:
        """Claim it, and make it if there is none; raises as `open_engines`, InvalidInput."""
        self._bucket = parse_files_url(files_url)
        self._runtime = runtime
        self._is_new = not data_dir.exists()
        self._lock = claim_data_dir(data_dir)
        self._threads = FileThreads()
        self.path = data_dir

    def existing(self) -> list[str]:
        return find_existing(self.path)

    def prepare(self) -> Path:
        return prepare_swap(self.path)

    def swap(self, *, old: Sequence[str], new: Sequence[str], kept: str) -> None:
        decide_swap(self.path, old=old, new=new, kept=kept)
        self._is_new = False

    def give_up(self) -> None:
        settle_swap(self.path)

    def blobs_in(self, folder: Path) -> Blobs:
        return open_blobs(folder, self._bucket, threads=self._threads, runtime=self._runtime)

    def open_engines(self, folder: Path) -> Engines:
        return open_engines(folder, runtime=self._runtime)

    def close(self) -> None:
        """Give up the claim. A directory that was made and got nothing goes."""
        self._threads.close()
        if self._is_new:
            (self.path / "lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.rmdir()
        self._lock.close()


class ImportPlace:
    """What the process of an import works on, beside the server that has the data directory
    (`archive.file_bytes.FilePlace`)."""

    def __init__(self, data_dir: Path, files_url: str, *, app_id: str, runtime: Runtime) -> None:
        """raises   InvalidInput for the URL, OSError"""
        self._threads = FileThreads()
        self._spool = data_dir / "imports" / f"{app_id}.spool"
        bucket = parse_files_url(files_url)
        self.engines: Engines = SqliteEngines(data_dir, runtime=runtime)
        self.blobs = open_blobs(data_dir, bucket, threads=self._threads, runtime=runtime)
        self.spool = Spool(self._spool, threads=self._threads, runtime=runtime)

    def __enter__(self) -> ImportPlace:
        return self

    def __exit__(self, *failure: object) -> None:
        self._threads.close()
        shutil.rmtree(self._spool, ignore_errors=True)


def make_url_key(app: Starlette) -> bytes:
    """The key that signs URLs of files, made from the key of the server."""
    key: bytes = app.state.oauth.seal.key_for("file urls")
    return key


def open_storage(data_dir: Path, files_url: str = "local", *, runtime: Runtime) -> Storage:
    """Where bytes of files are kept, for a data directory that is claimed.

    What a stop left in the spool is removed. raises  InvalidInput for the URL, OSError
    """
    threads = FileThreads()
    folder = files_of(data_dir)
    return Storage(
        open_blobs(data_dir, parse_files_url(files_url), threads=threads, runtime=runtime),
        Spool(folder / "spool", threads=threads, runtime=runtime),
        threads,
        Partials(folder / "partial", threads=threads, runtime=runtime),
        UsedTokens(folder / "used-upload-urls", threads=threads, runtime=runtime),
    )


def open_blobs(
    data_dir: Path, bucket: S3Place | None, *, threads: FileThreads, runtime: Runtime
) -> Blobs:
    """A bucket, or the folder of a data directory. No other place names one."""
    if bucket is None:
        return LocalBlobs(files_of(data_dir), threads=threads, runtime=runtime)
    # Imported here: 15 MB that a server without a bucket does not need.
    from trice.files.s3 import S3Blobs

    return S3Blobs(bucket, os.environ, threads=threads, runtime=runtime)


def files_of(data_dir: Path) -> Path:
    """The folder of files in a data directory."""
    return data_dir / "files"


def read_json(path: Path) -> object:
    """The document in a file; raises InvalidInput if it is not JSON."""
    try:
        document: object = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InvalidInput("param-malformed", f"{path} is not JSON: {error}") from error
    return document


def take_descriptors() -> int:
    """Raise the number of files this process may have open as far as allowed; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.DESCRIPTORS_WANTED
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits.DESCRIPTORS_WANTED if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # some systems have a bound of their own below the hard one
        return soft
    return wanted


def _workers(settings: Settings) -> int:
    """How many processes of functions there may be."""
    return settings.functions_workers or 2 * (os.cpu_count() or 1)


def files_for_apps(descriptors: int, *, workers: int) -> int:
    """How many databases may be open in a process with `descriptors` descriptors; at least one.

    workers   processes of functions, whose queries and mutations hold a connection each
    """
    held = workers * function_limits.PURE_CALLS * function_limits.HELD_DESCRIPTORS
    of_apps = descriptors_for_apps(descriptors)
    return max((of_apps - min(held, of_apps // 4)) // limits.APP_FILE_DESCRIPTORS, 1)
