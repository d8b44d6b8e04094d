"""The files of all apps: rows of `$files`, and the bytes that they name.

upload   may it? ──> spooled ──> pinned ──> put, durable ──> row committed and published ──> answer
delete   may it? for every path ──> rows deleted, one commit ──> bytes collected in the background

A crash leaves at worst bytes without a row, which a sweep deletes; never a row without bytes.

source   instant-http §2; spec/files.md F40-F79
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from trice import file_limits as limits
from trice.apps.apps import App, Apps
from trice.background import Background
from trice.database import Change, Database, Look
from trice.errors import LimitExceeded, NotFound, PermissionDenied, TriceError, Unavailable
from trice.files import urls
from trice.files.quota import Quota, Room
from trice.files.rows import (
    CONTENT_TYPE,
    DISPOSITION,
    FILES,
    FileRow,
    check_id,
    check_path,
    find_file,
    let_go,
    named_hashes,
    upload_steps,
)
from trice.files.spool import Spooled
from trice.files.storage import Storage
from trice.files.sweep import Collector
from trice.files.upload_tokens import UploadTokens
from trice.identity import Identity
from trice.log import fields
from trice.metrics import FileCounts
from trice.protocol.ids import AppId
from trice.rules.environments import EntityAction
from trice.rules.judge import Caller
from trice.runtime import Runtime, new_uuid
from trice.shares import ALL, Shares

logger: Final = logging.getLogger("trice.files")

Check = Callable[[Look, str], None]
"""Raises unless the caller may do something with the file of a path."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that was uploaded. tx   the transaction that wrote its row"""

    id: str
    location_id: str
    size: int
    tx: int


Action = EntityAction
"""An action of the rules of `$files`."""


def allow(_look: Look, _path: str) -> None:
    """The check of an admin, whom no rule refuses."""


def rule_check(database: Database, identity: Identity, action: EntityAction) -> Check:
    """The check of a rule of `$files`, which sees `data = {path}` only (instant-semantics §5.2).

    The check raises PermissionDenied when the rule does not allow the action, or has no value.
    """
    if identity.is_admin:
        return allow
    program = database.rules.find(FILES, action)

    def check(look: Look, path: str) -> None:
        judge = database.rights.judge(Caller(identity), look.statements, look.catalog)
        if not judge.allows(program, etype=FILES, action=action, data={"path": path}):
            raise PermissionDenied(
                "permission-denied",
                "Permission denied: not has-storage-permission?",
                {"input": [FILES, action], "expected": "has-storage-permission?"},
            )

    return check


class Files:
    """The files of one server.

    Holds how many uploads are under way, and how many bytes the files of apps have. Does not hold
    rows, which are in each app's database, nor bytes, which are in `blobs`.

    base_url  what URLs of files begin with, without a path; set when the server knows its port
    """

    def __init__(
        self,
        storage: Storage,
        *,
        apps: Apps,
        make_key: Callable[[], bytes],
        base_url: str = "",
        runtime: Runtime,
        file_bytes_max: int = limits.FILE_BYTES_MAX,
    ) -> None:
        self.blobs = storage.blobs
        self.spool = storage.spool
        self.pins = storage.pins
        self.partials = storage.partials
        self.partials.file_bytes_max = file_bytes_max
        self.quota = Quota(storage.partials.reserved)
        self._make_key = make_key
        self.base_url = base_url
        self.file_bytes_max = file_bytes_max
        self.tokens = UploadTokens(lambda: self.url_key, storage.used_tokens)
        self._apps = apps
        self._runtime = runtime
        self.counts = FileCounts()
        self._uploads = Shares()
        self._keeping = asyncio.Semaphore(limits.KEPT_AT_ONCE)
        self._freed: dict[AppId, set[str]] = {}
        self._url_day = self._day()
        self.collector = Collector(
            storage.blobs,
            storage.pins,
            is_named=self._named,
            has_app=self._apps.has,
            is_loading=self._apps.is_loading,
            runtime=runtime,
            counts=self.counts,
        )
        apps.url_of = self.url
        apps.commit_listeners.append(self._note_commits)

    @cached_property
    def url_key(self) -> bytes:
        """Signs the URLs of files; see `urls`. Made from the server's key when first needed."""
        return self._make_key()

    @property
    def uploads(self) -> int:
        """How many uploads are under way."""
        return self._uploads.used(ALL)

    def start(self, background: Background) -> None:
        """Begin to delete bytes without rows, and to renew URLs that answers show."""
        self.collector.start(background)
        background.every("files-collect", limits.COLLECT_INTERVAL_MS, lambda _: self.collect())
        sweep_ms = limits.PARTIAL_SWEEP_MS
        background.every("partial-uploads", sweep_ms, lambda _: self.sweep_partials())
        background.every("files-urls", limits.URL_CHECK_INTERVAL_MS, lambda _: self.renew_urls())

    def url(self, app_id: str, location_id: str) -> str:
        """The URL at which anybody may read the bytes for seven days; the same all day."""
        now_ms = self._runtime.now_ms()
        return self.base_url + urls.sign(self.url_key, app_id, location_id, now_ms=now_ms)

    def bytes_max(self, app: App) -> int:
        """How large a file of the app may be."""
        if app.is_ephemeral and self._apps.has_quotas:
            return min(limits.EPHEMERAL_FILE_BYTES_MAX, self.file_bytes_max)
        return self.file_bytes_max

    async def upload(
        self,
        app: App,
        path: str,
        pieces: AsyncIterator[bytes],
        *,
        network: str,
        size: int | None = None,
        content_type: str | None = None,
        disposition: str | None = None,
        check: Check = allow,
    ) -> Stored:
        """Keep the bytes that come as the file of a path, in place of those that it had.

        network   of the caller, among whose uploads it counts
        size      bytes, if the caller said it: too many are refused before any is read
        raises    what `check` does, before a byte is read; InvalidInput for a path that is none;
                  LimitExceeded: the file, or the sum of the app's files, is too large;
                  Unavailable: too many uploads, or the disk is full. Nothing has changed then
        """
        check_path(path)
        bytes_max = self.bytes_max(app)
        if size is not None:
            self.check_size(app, size)
        with self.under_way(network):
            try:
                await app.database.look(lambda look: check(look, path))
                if size is not None:
                    await self.check_room(app, path, size)
                async with await self.spool.begin(bytes_max) as spooling:
                    async for piece in pieces:
                        if piece:
                            self.counts.received_bytes += len(piece)
                            await spooling.write(piece)
                    spooled = await spooling.finish()
                return await self.store(
                    app,
                    spooled,
                    path,
                    content_type=content_type,
                    disposition=disposition,
                    check=check,
                )
            except BaseException:
                self.counts.not_stored += 1
                raise

    @contextmanager
    def under_way(self, network: str) -> Iterator[None]:
        """Count an upload inside of the block. raises   Unavailable: there are too many"""
        bounds = {ALL: limits.UPLOADS_MAX, network: limits.UPLOADS_OF_NETWORK_MAX}
        if not self._uploads.take(1, bounds):
            raise Unavailable("overloaded", "Too many files are being uploaded; try again.")
        try:
            yield
        finally:
            self._uploads.give_back(1, bounds)

    def check_size(self, app: App, size: int) -> None:
        """Refuse a file that is too large, with LimitExceeded("message-too-big")."""
        bytes_max = self.bytes_max(app)
        if size > bytes_max:
            raise LimitExceeded(
                "message-too-big",
                f"The file has {size:,} bytes; {bytes_max:,} are accepted here.",
                {"bytes": size, "bytes-max": bytes_max},
            )

    async def check_room(self, app: App, path: str, size: int) -> None:
        """Refuse a file of `size` bytes that the app has no room for, with
        LimitExceeded("app-quota-exceeded")."""
        if self._has_quota(app):
            await self.quota.load(app)
            old = await app.database.look(lambda look: find_file(look, path=path))
            self.quota.check(app, size - (0 if old is None else old.size))

    async def store(
        self,
        app: App,
        spooled: Spooled,
        path: str,
        *,
        content_type: str | None = None,
        disposition: str | None = None,
        wanted_id: str | None = None,
        check: Check = allow,
        is_reserved: bool = False,
    ) -> Stored:
        """Keep spooled bytes as the file of a path; raises as `upload`. The spooled file is gone
        afterwards, also after a failure.

        wanted_id     the id that a new row shall have; another file may not have it
        is_reserved   whether `quota.reserved` counts them
        """
        room = Room(app.id, spooled.size if is_reserved else 0)
        is_put = False
        try:
            if self._has_quota(app):
                await self.quota.load(app)
            async with self.pins.pinned(app.id, spooled.hash):
                is_put = True
                await self.blobs.put(app.id, spooled)
                try:
                    stored = await app.database.change(
                        lambda change: self._write(
                            change,
                            app,
                            spooled,
                            room,
                            path,
                            content_type,
                            disposition,
                            wanted_id,
                            check,
                        )
                    )
                except BaseException:
                    self._freed.setdefault(app.id, set()).add(spooled.hash)
                    raise
        finally:
            if not is_reserved:
                self.quota.give_back(room)
            if not is_put:
                await self.spool.discard(spooled)
        self.counts.stored += 1
        self.counts.stored_bytes += stored.size
        return stored

    @asynccontextmanager
    async def kept(self, app_id: AppId, data: bytes) -> AsyncIterator[str]:
        """Keep bytes that are in memory; inside, their hash. A row must name it before the end of
        the block, else the bytes are deleted some time later.

        raises   OSError, Unavailable
        """
        async with AsyncExitStack() as ends:
            async with self._keeping:
                spooled = await self.spool.spool_bytes(data)
                ends.push_async_callback(self.spool.discard, spooled)
                await ends.enter_async_context(self.pins.pinned(app_id, spooled.hash))
                await self.blobs.put(app_id, spooled)
            yield spooled.hash

    def _write(
        self,
        change: Change,
        app: App,
        spooled: Spooled,
        room: Room,
        path: str,
        content_type: str | None,
        disposition: str | None,
        wanted_id: str | None,
        check: Check,
    ) -> Stored:
        check(change, path)  # rules or data may have changed while the bytes came
        check_id(change, wanted_id, path=path)
        old = find_file(change, path=path)
        if self._has_quota(app):
            self.quota.take(app, room, spooled.size, 0 if old is None else old.size)
        row = FileRow(
            (wanted_id or new_uuid(self._runtime)) if old is None else old.id,
            path,
            new_uuid(self._runtime),
            spooled.hash,
            spooled.size,
            content_type or CONTENT_TYPE,
            disposition or DISPOSITION,
        )
        change.write(upload_steps(row))
        return Stored(row.id, row.location_id, row.size, change.tx)

    def _has_quota(self, app: App) -> bool:
        return app.allowed.file_bytes is not None

    async def delete(
        self, app: App, paths: Sequence[str], *, check: Check = allow
    ) -> list[str | None]:
        """Delete the files of these paths in one transaction, after a check of every one.

        returns   the id of each, None where there was no file
        raises    what `check` does; then no file is deleted
        """

        def work(change: Change) -> list[str | None]:
            ids: list[str | None] = []
            for path in paths:
                check(change, path)
            for path in paths:
                found = find_file(change, path=path)
                ids.append(None if found is None else found.id)
            for id in dict.fromkeys(id for id in ids if id is not None):
                change.write(["delete", FILES, id])
            return ids

        return await app.database.change(work)

    async def open(self, app: App, location_id: str) -> FileRow:
        """The row that has this location now; raises NotFound("file-not-found")."""
        row = await app.database.look(lambda look: find_file(look, location_id=location_id))
        if row is None:
            raise NotFound("file-not-found", "The file was deleted, or has other bytes now.")
        return row

    async def read(
        self, app: App, location_id: str, start: int, end: int
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of a row from `start` up to `end`, in pieces; raises NotFound, Unavailable."""
        row = await self.open(app, location_id)
        async with aclosing(self.blobs.read(app.id, row.hash, start, end)) as pieces:
            async for piece in pieces:
                yield piece

    async def find_url(self, app: App, path: str, *, check: Check = allow) -> str | None:
        """The URL of the file of a path; None if there is none. raises   what `check` does"""

        def work(look: Look) -> FileRow | None:
            check(look, path)
            return find_file(look, path=path)

        row = await app.database.look(work)
        return None if row is None else self.url(app.id, row.location_id)

    async def collect(self) -> None:
        """Delete the bytes that commits let go of since the last call."""
        freed, self._freed = self._freed, {}
        for app_id, hashes in freed.items():
            try:
                await self.collector.collect(app_id, sorted(hashes))
            except TriceError as failure:  # the next sweep finds them
                told = fields(app=app_id, reason=failure.message)
                logger.warning("bytes of files were not collected %s", told)

    async def sweep_partials(self) -> None:
        """Forget uploads in parts that expired, or whose app was deleted."""
        await self.partials.sweep(has_app=self._apps.has)

    async def renew_urls(self) -> None:
        """When the day has turned, answer the live queries that show URLs again, app by app."""
        day = self._day()
        if day == self._url_day:
            return
        self._url_day = day
        for app in self._apps.in_memory:
            await app.database.renew_urls()
            await asyncio.sleep(0)

    def _note_commits(self, app_id: AppId, commits: Sequence[Any]) -> None:
        self.quota.note(app_id, commits)
        freed = let_go(commits)
        if freed:
            self._freed.setdefault(app_id, set()).update(freed)

    async def _named(self, app_id: AppId, hashes: list[str]) -> set[str]:
        try:
            app = await self._apps.lend(app_id, is_own=True)
        except NotFound:
            # Its rows cannot be asked while it is deleted for now; all its bytes stay.
            return set(hashes) if self._apps.has(app_id) else set()
        try:
            return await app.database.look(lambda look: named_hashes(look, hashes))
        finally:
            self._apps.give_back(app)

    def _day(self) -> int:
        return self._runtime.now_ms() // limits.DAY_MS
