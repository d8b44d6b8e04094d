"""Apps in a data directory: one SQLite file each (`store.engines.Engines`).

data-dir/platform.db        the platform's own
data-dir/apps/<id>.db       an app; beside it stand -wal and -shm while it is open, and
                            .v<format>.bak, a copy in each older format it had
data-dir/loading/           apps that are being filled (`loading`)
data-dir/lock               which process has the directory
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

from trice import limits
from trice.catalog.attr import Attr
from trice.loop_shares import LoopShare
from trice.protocol.ids import AppId
from trice.runtime import Runtime
from trice.store.engines import NEW_PLATFORM, PLATFORM
from trice.store.loop_reads import LoopReads
from trice.store.quota import Quota
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.data_dir import claim_data_dir
from trice.store.sqlite.engine import SqliteEngine
from trice.store.sqlite.first_platform import FirstPlatform
from trice.store.sqlite.loading import FOLDER, SqliteLoading, complete, kept_file, settle
from trice.store.sqlite.migrations import find_backups


def copy_database(data_dir: Path, app_id: AppId, folder: Path) -> None:
    """Copy an app's database, or the platform's, into another data directory, as of one moment. A
    server may be writing to it.

    raises  Unavailable when there is no such file, it is damaged, or there is no room
    cost    reads and writes every page
    """
    source, target = path_of(data_dir, app_id), path_of(folder, app_id)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = Connection(str(source), Role.READER)
    try:
        connection.copy_to(str(target))
    finally:
        connection.close()


def path_of(data_dir: Path, app_id: AppId) -> Path:
    """Where the database of an app, or of the platform, is in a data directory."""
    is_app = app_id not in (PLATFORM, NEW_PLATFORM)
    return (data_dir / "apps" if is_app else data_dir) / f"{app_id}.db"


class SqliteEngines:
    """The files of all apps. Holds the claim on their folder, and counts what the reads of all apps
    take of one turn of the loop."""

    def __init__(
        self,
        data_dir: Path,
        *,
        runtime: Runtime,
        history_days: int = limits.TX_LOG_DAYS,
        lock: IO[bytes] | None = None,
    ) -> None:
        """
        history_days  how long the log of each app is kept
        lock          the claim, closed by `close`; None: the caller has it. Else use `claim`.
        """
        self._data_dir = data_dir
        self._folder = data_dir / "apps"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._runtime = runtime
        self._history_days = history_days
        self._lock = lock
        self._loop_reads = LoopReads()

    @classmethod
    def claim(
        cls, data_dir: Path, *, runtime: Runtime, history_days: int = limits.TX_LOG_DAYS
    ) -> SqliteEngines:
        """Claim a data directory; raises as `claim_data_dir`."""
        lock = claim_data_dir(data_dir)
        try:
            return cls(data_dir, runtime=runtime, history_days=history_days, lock=lock)
        except BaseException:
            lock.close()
            raise

    def open(
        self,
        app_id: AppId,
        system_attrs: Iterable[Attr],
        *,
        is_new: bool,
        quota: Quota | None = None,
        share: LoopShare | None = None,
    ) -> SqliteEngine:
        """See `engines.Engines.open`; cost as `SqliteEngine.open`."""
        return SqliteEngine.open(
            self._path(app_id),
            runtime=self._runtime,
            system_attrs=system_attrs,
            can_create=is_new,
            quota=quota,
            share=share,
            loop_reads=self._loop_reads,
            checked_bytes_max=limits.PLATFORM_CHECKED_BYTES_MAX if app_id == PLATFORM else 0,
            history_days=self._history_days,
        )

    def has_any(self) -> bool:
        """See `engines.Engines.has_any`."""
        return any(self._folder.glob("*.db"))

    def has(self, app_id: AppId) -> bool:
        """See `engines.Engines.has`."""
        return self._path(app_id).exists()

    def find_earlier_platform(self) -> FirstPlatform | None:
        """See `engines.Engines.find_earlier_platform`."""
        return FirstPlatform.find(self._path(PLATFORM), self._path(NEW_PLATFORM))

    def place(self, app_id: AppId) -> str:
        """The path of an app's file."""
        return str(self._path(app_id))

    def delete(self, app_id: AppId) -> None:
        """Delete an app's file, what SQLite keeps beside it, and copies of older formats."""
        path = self._path(app_id)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        for copy in find_backups(path):
            copy.unlink(missing_ok=True)

    def load(self, app_id: AppId, *, keeps: bool = False) -> SqliteLoading:
        """See `engines.Engines.load`."""

        def open_file(path: Path, system_attrs: Iterable[Attr], is_new: bool) -> SqliteEngine:
            return SqliteEngine.open(
                path, runtime=self._runtime, system_attrs=system_attrs, can_create=is_new
            )

        folder = self._data_dir / FOLDER
        return SqliteLoading(folder, app_id, self._path(app_id), open_file=open_file, keeps=keeps)

    def is_loading(self, app_id: AppId) -> bool:
        """See `engines.Engines.is_loading`."""
        return kept_file(self._data_dir / FOLDER, app_id).exists()

    def unsettled(self) -> list[tuple[AppId, bytes]]:
        """See `engines.Engines.unsettled`."""
        found = complete(
            self._data_dir / FOLDER,
            lambda name: self._path(AppId(name)),
            now_ms=self._runtime.now_ms(),
        )
        return [(AppId(name), note) for name, note in found]

    def settle(self, app_id: AppId) -> None:
        """See `engines.Engines.settle`."""
        settle(self._data_dir / FOLDER, app_id)

    def close(self) -> None:
        """Give up the claim, if it is ours."""
        if self._lock is not None:
            self._lock.close()

    def _path(self, app_id: AppId) -> Path:
        return path_of(self._data_dir, app_id)
