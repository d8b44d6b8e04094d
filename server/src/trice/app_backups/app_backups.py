"""Backups of single apps: made on request and by themselves, listed, fetched, deleted.

    create ──> Job in a queue ──> draft (`parts`) ──> files ──> objects ──> manifest ──> sweep

Each app has a vault in a folder of its own, `data-dir/app-backups/APP` (`backups.folder_vault`).
The manifest is written last. Bytes of files are read after the copy that names them, so one that is
deleted between the two may be gone: then the app is copied again.

source   instant-http §6.6; spec/backups.md BK70-BK89
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from trice import app_backup_limits as limits
from trice import backup_limits
from trice.app_backups.jobs import Job, Jobs
from trice.app_backups.manifest import FORMAT, AppBackup, FilesPart, Part, load_backup
from trice.app_backups.parts import Drafted, draft
from trice.apps.apps import App, Apps
from trice.apps.registry import lasting_apps
from trice.auth.throttle import Throttle
from trice.background import Background, Places
from trice.backups.fetch import groups_of
from trice.backups.folder_vault import FolderVault
from trice.backups.make import Source, put_blob
from trice.backups.manifest import Piece, dump_manifest
from trice.backups.pace import all_of, on_thread
from trice.backups.retention import sweep_objects
from trice.backups.vaults import BACKUPS, hash_file, object_key
from trice.errors import (
    Conflict,
    InvalidInput,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    TriceError,
    Unavailable,
    no_record,
)
from trice.log import fields
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.rate_limit import RateLimit
from trice.runtime import new_uuid

logger: Final = logging.getLogger("trice.app_backups")

AUTOMATIC: Final = "Automated Daily Snapshot"
"""What Instant calls a backup that nobody asked for."""

_DAY_MS: Final = 86_400_000
_OF_APP: Final = RateLimit(1, 1, limits.APP_WAIT_MS)
_OF_NETWORK: Final = RateLimit(
    limits.NETWORK_PER_WAIT, limits.NETWORK_PER_WAIT, limits.APP_WAIT_MS, "interval"
)


class AppBackups:
    """The backups of all apps. Holds their jobs, and when each app had its newest automatic one;
    all else is in the vaults."""

    def __init__(
        self,
        apps: Apps,
        source: Source,
        *,
        background: Background,
        every_ms: int | None = None,
    ) -> None:
        """
        source     of which backups are made; its `data_dir` keeps them
        every_ms   how often each app that lasts is backed up by itself; None: never
        """
        self._apps = apps
        self._source = source
        self._runtime = source.runtime
        self._throttle = Throttle(apps.buckets, source.runtime)
        self._folder = source.data_dir / "app-backups"
        self._every_ms = every_ms
        self._newest_ms: dict[AppId, int] = {}
        self._working: dict[str, asyncio.Future[None]] = {}
        self._locks: dict[AppId, asyncio.Lock] = {}
        self.jobs = Jobs()
        places = Places(running=limits.RUNNING, in_all=limits.WAITING_MAX)
        self._queue = background.queue("app-backups", places, minor=places)

    def start(self, background: Background) -> None:
        """Begin to delete what ended, and to make what is due."""
        background.every(
            "app-backups-sweep", limits.SWEEP_MS, lambda _: self.sweep(), is_due_now=True
        )
        if self._every_ms is not None:
            background.every(
                "app-backups-due", limits.CHECK_MS, lambda _: self.run_due(), is_due_now=True
            )

    # --- what there is ----------------------------------------------------------------------------

    async def find_all(self, app_id: AppId) -> list[AppBackup]:
        """The backups of an app that have not ended, newest first."""
        now_ms = self._runtime.now_ms()
        found, _ = await self._read_all(app_id)
        left = [each for each in found if each.expires_ms > now_ms]
        return sorted(left, key=lambda each: (each.made_ms, each.id), reverse=True)

    async def get(self, app_id: AppId, backup_id: str) -> AppBackup:
        """One backup; raises NotFound, InvalidInput when it is damaged."""
        with suppress(FileNotFoundError):
            backup = await self._read(app_id, backup_id)
            if backup.expires_ms > self._runtime.now_ms():
                return backup
        raise _no_backup(backup_id)

    def path(self, app_id: AppId, hash: str) -> Path:
        """The file of an object, whether it exists or not."""
        return self._folder / app_id / object_key(hash)

    async def delete(self, app_id: AppId, backup_id: str) -> None:
        """Delete a backup, and the objects that no other one names; raises NotFound."""
        vault = self._vault(app_id)
        key = f"{BACKUPS}{backup_id}"
        if find_uuid_bytes(backup_id) is None or await vault.size(key) is None:
            raise _no_backup(backup_id)
        await vault.delete([key])
        await self._sweep_app(app_id)

    async def forget_app(self, app_id: AppId) -> None:
        """Delete all backups of an app that is deleted, and end its jobs."""
        for job in self.jobs.active(app_id):
            await self._end(job)
        async with self._lock(app_id):
            await on_thread(lambda _: shutil.rmtree(self._folder / app_id, ignore_errors=True))
        self._newest_ms.pop(app_id, None)
        self._locks.pop(app_id, None)

    # --- making -----------------------------------------------------------------------------------

    async def create(self, app: App, description: str | None, *, ip: str) -> Job:
        """Let a backup be made; return its job.

        raises   PermissionDenied for a throw-away app; LimitExceeded when one was asked for too
                 shortly before, or there are too many; Conflict while one is being made;
                 Unavailable when too many wait
        """
        if app.is_ephemeral:
            raise PermissionDenied("permission-denied", "A throw-away app cannot be backed up.")
        if self.jobs.active(app.id):
            raise Conflict(
                "record-not-unique",
                "A backup of this app is being made already. Wait for it, or cancel it.",
                {"record-type": "app-backup-job"},
            )
        count = sum(not each.is_automatic for each in await self.find_all(app.id))
        if count >= limits.KEPT_MAX:
            raise LimitExceeded(
                "app-quota-exceeded",
                f"This app has {count} backups, the most that are kept. Delete one first.",
                {"quota": "backups", "current": count, "limit": limits.KEPT_MAX},
            )
        key, problem = ("app-backup", app.id), "Too many backups of this app."
        self._throttle.take(key, _OF_APP, problem)
        try:
            problem = "Too many backups asked for from this network address."
            self._throttle.take_network("app-backup", ip, _OF_NETWORK, problem)
            return self._submit(app.id, description, is_automatic=False)
        except TriceError:
            self._apps.buckets.give_back(key, (_OF_APP,))
            raise

    async def wait(self, job: Job) -> None:
        """Wait until a job is over."""
        working = self._working.get(job.id)
        if working is not None:
            await asyncio.wait([working])

    async def cancel(self, app_id: AppId, job_id: str) -> Job:
        """End a job; nothing is left of it. One that is over stays as it is. Raises NotFound."""
        job = self.jobs.get(app_id, job_id)
        if not job.is_over:
            await self._end(job)
        return job

    async def run_due(self) -> None:
        """Make the backups that are due by themselves, one after the other."""
        assert self._every_ms is not None
        for app_id in await lasting_apps(self._apps.platform):
            newest_ms = self._newest_ms.get(app_id)
            if newest_ms is None:
                found, _ = await self._read_all(app_id)
                newest_ms = max((each.made_ms for each in found if each.is_automatic), default=0)
                self._newest_ms[app_id] = newest_ms
            # Also when the newest one is of the future, by a clock that was wrong.
            if not 0 <= self._runtime.now_ms() - newest_ms < self._every_ms:
                await self._run_one(app_id)

    async def _run_one(self, app_id: AppId) -> None:
        with suppress(NotFound):  # an app that is deleted, and may be restored
            self._apps.get_row(app_id)
            began_ms = self._runtime.now_ms()
            job = self._submit(app_id, AUTOMATIC, is_automatic=True)
            await self.wait(job)
            if job.status == "completed":
                self._newest_ms[app_id] = began_ms

    def _submit(self, app_id: AppId, description: str | None, *, is_automatic: bool) -> Job:
        now_ms = self._runtime.now_ms()
        job = Job(new_uuid(self._runtime), app_id, description, now_ms, now_ms)
        working = self._queue.submit(partial(self._run, job, is_automatic=is_automatic))
        self._working[job.id] = working
        self.jobs.add(job)
        working.add_done_callback(partial(self._leave, job))
        return job

    def _leave(self, job: Job, outcome: asyncio.Future[None]) -> None:
        """The job is over, one way or another."""
        self._working.pop(job.id, None)
        if outcome.cancelled():
            job.status = "cancelled"
        elif (failure := outcome.exception()) is not None:
            job.status = "errored"
            job.error = "It failed; the log of the server says why."
            if isinstance(failure, TriceError):
                job.error = failure.message
            logger.error("app not backed up %s", fields(app=job.app_id, reason=job.error))
        job.updated_ms = self._runtime.now_ms()

    async def _end(self, job: Job) -> None:
        """Cancel a job; return when nothing of it runs any more."""
        self._working[job.id].cancel()
        job.status = "cancelled"
        async with self._lock(job.app_id):
            pass

    async def _run(self, job: Job, *, is_automatic: bool) -> None:
        """Make the backup of a job. Raises TriceError; then there is no new backup."""
        job.status, job.updated_ms = "processing", self._runtime.now_ms()

        def show(done: int, of: int) -> None:
            job.completed, job.estimate = done, of
            job.updated_ms = self._runtime.now_ms()

        vault = self._vault(job.app_id)
        async with self._lock(job.app_id), vault.claimed():
            keep_ms = limits.ASKED_DAYS * _DAY_MS
            if is_automatic:
                keep_ms = max(limits.AUTOMATIC_DAYS * _DAY_MS, 2 * (self._every_ms or 0))
            work = _Making(
                vault, self._source, self._apps, job, keep_ms=keep_ms, is_automatic=is_automatic
            )
            backup = await work.make(show)
            await self._expire(vault, job.app_id)
        job.backup_id, job.status = backup.id, "completed"
        told = fields(
            app=job.app_id,
            id=backup.id,
            ms=self._runtime.now_ms() - backup.made_ms,
            bytes=backup.part_bytes + backup.files.bytes,
        )
        logger.info("app backed up %s", told)

    # --- what ended -------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Delete the backups that ended.

        Also those of apps that are not there: with a restore of the server an app may be gone that
        another restore brings back.
        """
        for name in await on_thread(lambda _: _folders(self._folder)):
            app_id = AppId(name)
            await self._sweep_app(app_id)
            if not self._apps.has_row(app_id) and (await self._read_all(app_id)) == ([], True):
                await self.forget_app(app_id)

    async def _sweep_app(self, app_id: AppId) -> None:
        """Delete what ended, and objects without a backup. The end of a job does the same."""
        if not self._lock(app_id).locked():
            vault = self._vault(app_id)
            async with self._lock(app_id), vault.claimed():
                await self._expire(vault, app_id)

    async def _expire(self, vault: FolderVault, app_id: AppId) -> None:
        """Delete the backups of an app that ended, and objects without one. Claimed."""
        now_ms = self._runtime.now_ms()
        found, is_whole = await self._read_all(app_id)
        automatic = sorted(each.made_ms for each in found if each.is_automatic)
        oldest_ms = automatic[-limits.AUTOMATIC_KEPT_MAX :][0] if automatic else 0
        left = [
            each
            for each in found
            if each.expires_ms > now_ms and not (each.is_automatic and each.made_ms < oldest_ms)
        ]
        over = [each for each in found if each not in left]
        await vault.delete([f"{BACKUPS}{each.id}" for each in over])
        if not is_whole:
            return  # nobody knows what the damaged one names
        kept = {hash for each in left for hash in each.hashes()}
        lists = {each.files.hashes for each in left}
        problem = await sweep_objects(vault, kept, lists, sum(each.files.count for each in left))
        if problem is not None:
            logger.error("backups not swept %s", fields(app=app_id, reason=problem))

    async def _read_all(self, app_id: AppId) -> tuple[list[AppBackup], bool]:
        """All manifests of an app, and whether each could be read."""
        vault, found, is_whole = self._vault(app_id), [], True
        async for key in vault.list(BACKUPS):
            try:
                found.append(await self._read(app_id, key.removeprefix(BACKUPS)))
            except FileNotFoundError:
                continue  # deleted meanwhile
            except (InvalidInput, NotFound) as failure:
                is_whole = False
                logger.error("backup unreadable %s", fields(app=app_id, reason=failure.message))
        return found, is_whole

    async def _read(self, app_id: AppId, backup_id: str) -> AppBackup:
        if find_uuid_bytes(backup_id) is None:
            raise _no_backup(backup_id)
        key, bytes_max = f"{BACKUPS}{backup_id}", limits.MANIFEST_BYTES_MAX
        data = await self._vault(app_id).read(key, bytes_max)
        # A manifest of many namespaces takes milliseconds.
        return await asyncio.to_thread(load_backup, app_id, backup_id, data)

    def _lock(self, app_id: AppId) -> asyncio.Lock:
        """Is held while something is made or swept in the vault of an app."""
        return self._locks.setdefault(app_id, asyncio.Lock())

    def _vault(self, app_id: AppId) -> FolderVault:
        return FolderVault(self._folder / app_id, runtime=self._runtime)


class _Making:
    """One backup while it is made. The vault is claimed."""

    def __init__(
        self,
        vault: FolderVault,
        source: Source,
        apps: Apps,
        job: Job,
        *,
        keep_ms: int,
        is_automatic: bool,
    ) -> None:
        self._vault = vault
        self._source = source
        self._apps = apps
        self._job = job
        self._keep_ms = keep_ms
        self._is_automatic = is_automatic

    async def make(self, on_progress: Any) -> AppBackup:
        for attempt in range(1, backup_limits.TRIES_MAX + 1):
            async with self._vault.scratch(self._source.data_dir) as scratch:
                made_ms = self._source.runtime.now_ms()
                drafted = await draft(
                    self._source,
                    self._apps.get_row(self._job.app_id),
                    scratch,
                    made_ms=made_ms,
                    description=self._job.description,
                    on_progress=on_progress,
                )
                lost = await self._put_files(drafted, scratch)
                if lost is None:
                    return await self._put_all(drafted, made_ms)
                logger.warning(
                    "file deleted meanwhile %s", fields(app=self._job.app_id, attempt=attempt)
                )
        problem = f"The bytes of a file are not where files are kept ({lost})."
        raise Unavailable("data-unusable", problem)

    async def _put_files(self, drafted: Drafted, scratch: Path) -> str | None:
        """Put the bytes of all files; the hash of one that the app has no more, or None."""
        async for group in groups_of(drafted.hashes, backup_limits.BLOBS_AT_ONCE):
            named = {piece.hash: piece for piece in group}  # equal files have one blob
            found = await all_of(*(self._put_blob(piece, scratch) for piece in named.values()))
            if not all(found):
                return next(hash for hash, is_kept in zip(named, found, strict=True) if not is_kept)
        return None

    async def _put_blob(self, piece: Piece, scratch: Path) -> bool:
        if await self._vault.size(object_key(piece.hash)) == piece.size:
            return True
        app_id = self._job.app_id
        size = await put_blob(self._vault, self._source, scratch, app_id, piece.hash)
        return size == piece.size

    async def _put_all(self, drafted: Drafted, made_ms: int) -> AppBackup:
        parts = []
        for part in drafted.parts:
            parts.append(Part(part.name, await self._put(part.path), part.bytes))
        backup = AppBackup(
            FORMAT,
            new_uuid(self._source.runtime),
            self._job.app_id,
            made_ms,
            made_ms + self._keep_ms,
            drafted.tx,
            self._job.description,
            self._is_automatic,
            drafted.db_bytes,
            parts,
            FilesPart(
                await self._put(drafted.listed),
                await self._put(drafted.hashes),
                drafted.file_count,
                drafted.file_bytes,
            ),
        )
        await self._vault.put_bytes(f"{BACKUPS}{backup.id}", dump_manifest(backup))
        return backup

    async def _put(self, path: Path) -> Piece:
        """Move a file of the scratch folder into the vault."""
        piece = Piece(*await on_thread(partial(hash_file, path)))
        key = object_key(piece.hash)
        if await self._vault.size(key) != piece.size:
            await self._vault.put(key, path, is_ours=True)
        return piece


def read_lines(path: Path, at: int) -> tuple[list[list[Any]], int]:
    """The next lines of a list of files from a place on, `[location, hash, size, path]`, and the
    place behind them. Blocks. Raises FileNotFoundError."""
    with open(path, "rb") as file:
        file.seek(at)
        lines = [orjson.loads(line) for line in islice(file, limits.LINES_AT_ONCE)]
        return lines, file.tell()


def _folders(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(each.name for each in folder.iterdir() if find_uuid_bytes(each.name))
    return []


def _no_backup(backup_id: str) -> NotFound:
    return no_record("app-backup", "This app has no such backup, or it ended.", {"id": backup_id})
