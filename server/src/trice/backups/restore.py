"""Restoring a backup: all of it or nothing.

    everything ──> data-dir/restoring/new, each object held against its hash ──> swap, in one step
    bytes of files in a bucket ──> the bucket, before the swap: nobody names them until then

A whole server takes the place of all that the data directory has. One app takes the place of its
database, of its row in the list of apps, and of nothing else. What stood there before is kept in a
folder `before-restore-…`, which the operator deletes.

source   spec/backups.md BK30-BK39
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from trice import backup_limits as limits
from trice.apps.registry import AppRow, Registry
from trice.backups.code import (
    AppCodeRows,
    codes_in_force,
    fetch_bundle,
    find_bundles,
    has_bundle,
    read_rows,
    write_rows,
)
from trice.backups.fetch import fetch, groups_of
from trice.backups.manifest import (
    APPS,
    AppPart,
    BundlePart,
    Manifest,
    Piece,
    damaged,
    list_line,
)
from trice.backups.moment import Built, Moment
from trice.backups.pace import all_of, on_thread
from trice.backups.vaults import Vault, object_key
from trice.calls.bundle_store import KEPT_IN
from trice.errors import Conflict, NotFound, Unavailable, no_record
from trice.files.blobs import Blobs
from trice.files.spool import Spooled
from trice.protocol.ids import AppId
from trice.runtime import Runtime, new_uuid
from trice.store.copies import Copies
from trice.store.engines import PLATFORM, Engines


class Place(Protocol):
    """A data directory that this process has claimed, and into which a backup is restored.

    path   the directory
    """

    @property
    def path(self) -> Path: ...

    def existing(self) -> list[str]:
        """What a server keeps there now: names relative to it. None of it is open."""
        ...

    def prepare(self) -> Path:
        """An empty folder to fill."""
        ...

    def swap(self, *, old: Sequence[str], new: Sequence[str], kept: str) -> None:
        """Put `new`, which the folder has, in the place of `old`, which is moved to `kept`."""
        ...

    def give_up(self) -> None:
        """Remove the folder that was to be filled."""
        ...

    def blobs_in(self, folder: Path) -> Blobs:
        """Where bytes of files are kept if `folder` is the data directory."""
        ...

    def open_engines(self, folder: Path) -> Engines:
        """The storage of a folder that is a data directory."""
        ...


@dataclass(slots=True)
class Restored:
    """What a restore put in place.

    kept      the folder that has what stood there before; None: there was nothing
    built     apps that were brought to a moment, by id
    lost      apps that were listed at that moment, but of which there is no copy
    missing   files whose bytes the vault does not have, as APP/HASH
    codeless  apps that had functions, whose code is not in the backup: deploy them again
    """

    manifest: Manifest
    apps: int
    files: int
    kept: Path | None
    built: dict[str, Built] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    codeless: list[str] = field(default_factory=list)


async def restore(
    vault: Vault,
    manifest: Manifest,
    place: Place,
    *,
    copies: Copies,
    runtime: Runtime,
    app_id: AppId | None,
    replaces: bool,
    skips_damaged: bool,
    moment: Moment | None = None,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Restored:
    """Restore a backup.

    app_id          one app of it; None: all that it has
    replaces        what the data directory has already may be replaced
    skips_damaged   leave out apps that were damaged when they were copied
    moment          bring what is restored to this moment, which is after the backup
    raises          Conflict when something would be replaced; NotFound; InvalidInput when the
                    backup is damaged; Unavailable. Then the data directory is as it was
    """
    if app_id is None and manifest.app is not None:
        app_id = AppId(manifest.app)
    work = _Restore(vault, manifest, place, copies, runtime, on_progress, moment)
    try:
        if app_id is None:
            return await work.whole(replaces=replaces, skips_damaged=skips_damaged)
        return await work.one(app_id, replaces=replaces)
    except BaseException:
        await asyncio.to_thread(place.give_up)
        raise


class _Restore:
    """One restore."""

    def __init__(
        self,
        vault: Vault,
        manifest: Manifest,
        place: Place,
        copies: Copies,
        runtime: Runtime,
        on_progress: Callable[[int, int], None],
        moment: Moment | None,
    ) -> None:
        self._vault = vault
        self._manifest = manifest
        self._place = place
        self._copies = copies
        self._runtime = runtime
        self._on_progress = on_progress
        self._moment = moment
        self._built: dict[str, Built] = {}
        self._missing: list[str] = []
        self._codeless: list[str] = []
        self._bundles: Mapping[str, BundlePart] = {}
        self._files = 0
        self._read = 0
        self._of = 0

    async def whole(self, *, replaces: bool, skips_damaged: bool) -> Restored:
        """Restore a server."""
        manifest = self._manifest
        old = await asyncio.to_thread(self._place.existing)
        if old and not replaces:
            raise Conflict(
                "record-not-unique",
                f"{self._place.path} has data already. --yes puts the backup in its place; what is"
                " there now is kept in a folder beside it.",
            )
        lost = [part for part in manifest.apps if part.problem is not None]
        if self._moment is not None:
            lost = []  # an earlier copy may be whole, and lead to the moment too
        if lost and not skips_damaged:
            names = ", ".join(part.id for part in lost)
            raise damaged(
                f"Backup {manifest.name} has apps that were damaged when they were copied: {names}."
                " Take another backup, or leave them out with --without-damaged."
            )
        self._of = manifest.bytes
        new = await asyncio.to_thread(self._place.prepare)
        await self._platform(new / "platform.db")
        if manifest.secret_key is not None:
            await self._fetch(manifest.secret_key, new / "secret.key", "the secret key")
        listed = sorted(await asyncio.to_thread(self._copies.ids, new / "platform.db", APPS))
        blobs = self._place.blobs_in(new)
        gone = [each for each in listed if not await self._app(AppId(each), new, blobs)]
        await self._all_code(new, set(listed) - {*gone})
        if gone:
            async with self._registry(new) as registry:
                for each in gone:
                    await registry.delete(AppId(each))
        (new / "apps").mkdir(mode=0o700, exist_ok=True)
        restored = await self._swap(new, old, len(listed) - len(gone))
        restored.lost = [each for each in gone if each not in {part.id for part in lost}]
        return restored

    async def one(self, app_id: AppId, *, replaces: bool) -> Restored:
        """Restore an app of a backup."""
        part = self._part_of(app_id)
        none = no_record("app", f"Backup {self._manifest.name} has no app {app_id}.", {})
        if part is not None and part.problem is not None and self._moment is None:
            raise damaged(f"App {app_id} was damaged when it was copied: {part.problem}")
        if part is not None and part.database is not None:
            self._of = part.database.size + (part.files.bytes if part.files else 0)
            self._of += sum(each.code.size + each.told.size for each in part.bundles)
        new = await asyncio.to_thread(self._place.prepare)
        (new / "row").mkdir()
        await self._platform(new / "row" / "platform.db")
        async with self._registry(new / "row") as registry:
            row = registry.find(app_id)
            code = await read_rows(registry.database, app_id, runtime=self._runtime)
        if row is None:
            raise none
        existing = await asyncio.to_thread(self._place.existing)
        if "platform.db" in existing:
            await on_thread(
                lambda over: self._copies.copy(PLATFORM, new / "platform.db", is_over=over)
            )
        async with self._registry(new) as registry:
            present = registry.find(app_id)
            if present is None:
                await _insert(registry, row)
            elif not replaces:
                raise Conflict(
                    "record-not-unique",
                    f"There is an app {app_id} already. --yes puts the backup in its place; what is"
                    " there now is kept in a folder beside it.",
                )
            else:
                if present.deleted_ms is not None:
                    await registry.restore(app_id)
                # Its admin token and its owner stay: they are about who may use it now.
                await registry.put(replace(row, admin_token_hash=present.admin_token_hash))
            bundles = await self._code(registry, app_id, code, new)
        if not await self._app(app_id, new, self._place.blobs_in(self._place.path)):
            raise none
        names = [f"apps/{app_id}.db", "platform.db", *bundles]
        old = [f"{name}{suffix}" for name in names for suffix in ("", "-wal", "-shm")]
        return await self._swap(new, old, 1, names=names)

    async def _swap(
        self, new: Path, old: list[str], apps: int, *, names: list[str] | None = None
    ) -> Restored:
        now = datetime.fromtimestamp(self._runtime.now_ms() / 1000, UTC)
        kept = f"before-restore-{now:%Y%m%dT%H%M%SZ}-{new_uuid(self._runtime)[:4]}"
        if names is None:
            names = ["apps", "platform.db"]
            more = ("files", KEPT_IN, "secret.key")
            names += [name for name in more if (new / name).exists()]
        old = [name for name in old if (self._place.path / name).exists()]
        await asyncio.to_thread(partial(self._place.swap, old=old, new=names, kept=kept))
        restored = Restored(self._manifest, apps, self._files, None)
        restored.kept = self._place.path / kept if old else None
        restored.built, restored.missing = self._built, self._missing
        restored.codeless = self._codeless
        return restored

    def _part_of(self, app_id: AppId) -> AppPart | None:
        return next((part for part in self._manifest.apps if part.id == app_id), None)

    async def _platform(self, path: Path) -> None:
        """Fetch the list of apps."""
        if self._moment is None:
            await self._fetch(self._manifest.platform, path, "the list of apps")
        else:
            await self._moment.build(PLATFORM, path)

    async def _app(self, app_id: AppId, new: Path, blobs: Blobs) -> bool:
        """Put an app and its files in place; False when there is no whole copy of it."""
        path = new / "apps" / f"{app_id}.db"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        listed = new.parent / "listed"
        if self._moment is not None:
            built = await self._moment.build(app_id, path)
            if built is None:
                return False
            self._built[app_id] = built
            await asyncio.to_thread(_list_files, self._copies, path, listed)
        else:
            part = self._part_of(app_id)
            if part is None or part.problem is not None:
                return False
            assert part.database is not None, "an app without a problem has a database"
            await self._fetch(part.database, path, f"app {app_id}")
            if part.files is None:
                await asyncio.to_thread(listed.touch)
            else:
                what = f"the list of files of app {app_id}"
                await self._fetch(part.files.listed, listed, what)
        await asyncio.to_thread(self._copies.raise_tx, path, limits.RESTORED_TX_GAP)
        async for group in groups_of(listed, limits.BLOBS_AT_ONCE):
            await all_of(*(self._file(app_id, piece, new, blobs) for piece in group))
        await asyncio.to_thread(listed.unlink)
        return True

    async def _find_bundles(self) -> None:
        """See which bundles of functions the vault has."""
        if self._moment is not None:
            self._bundles = await self._moment.find_code()
        else:
            found = (bundle for part in self._manifest.apps for bundle in part.bundles)
            self._bundles = {bundle.code.hash: bundle for bundle in found}

    async def _all_code(self, new: Path, apps: Collection[str]) -> None:
        """Put the code of apps in place that the list of apps names."""
        platform = new / "platform.db"
        await self._find_bundles()
        named = await asyncio.to_thread(find_bundles, self._copies, platform)
        for app_id in sorted(named.keys() & apps):
            for hash in named[app_id]:
                await self._bundle(app_id, hash, new)
        current = await asyncio.to_thread(codes_in_force, self._copies, platform)
        self._codeless = sorted(
            each for each in current.keys() & apps if current[each] not in self._bundles
        )

    async def _code(
        self, registry: Registry, app_id: AppId, rows: AppCodeRows, new: Path
    ) -> list[str]:
        """Put the code of one app in place, and its rows, which say what is in force; return the
        files. Without the code what is there stays in force."""
        await self._find_bundles()
        part = self._part_of(app_id)
        current = rows.state.bundle
        if current is None:
            is_known = self._moment is not None or (part is not None and part.code is not None)
        else:
            path = self._place.path
            is_there = await asyncio.to_thread(has_bundle, path, app_id, current)
            is_known = is_there or current in self._bundles
        if not is_known:
            stays = await read_rows(registry.database, app_id, runtime=self._runtime)
            if current is not None and stays.state.bundle is None:
                self._codeless = [app_id]
            return []
        await write_rows(registry.database, app_id, rows, runtime=self._runtime)
        hashes = sorted({each.bundle for each in rows.deployments})
        found = [path for hash in hashes for path in await self._bundle(app_id, hash, new)]
        return [str(path.relative_to(new)) for path in found]

    async def _bundle(self, app_id: str, hash: str, new: Path) -> Sequence[Path]:
        """Fetch a bundle of functions, if there is one; return its files."""
        bundle = self._bundles.get(hash)
        if bundle is None:
            return ()
        paths = await fetch_bundle(self._vault, new, app_id, bundle)
        self._read += bundle.code.size + bundle.told.size
        self._on_progress(self._read, max(self._of, self._read))
        return paths

    async def _file(self, app_id: AppId, piece: Piece, new: Path, blobs: Blobs) -> None:
        if self._moment is not None:
            # The log names it; its size, and whether it was there, only the vault knows.
            size = await self._vault.size(object_key(piece.hash))
            if size is None:
                self._missing.append(f"{app_id}/{piece.hash}")
                return
            piece = Piece(piece.hash, size)
        spooled = Spooled(new.parent / new_uuid(self._runtime), piece.hash, piece.size)
        await self._fetch(piece, spooled.path, f"a file of app {app_id}", may_link=True)
        await blobs.put(app_id, spooled)
        self._files += 1

    async def _fetch(self, piece: Piece, path: Path, what: str, *, may_link: bool = False) -> None:
        """Fetch an object. What will be changed must be no link to that of the vault."""
        await fetch(self._vault, piece, path, what, may_link=may_link)
        self._read += piece.size
        self._on_progress(self._read, max(self._of, self._read))

    @asynccontextmanager
    async def _registry(self, folder: Path) -> AsyncIterator[Registry]:
        """The list of apps in a folder that is being filled. Afterwards it is one file."""
        engines = await asyncio.to_thread(self._place.open_engines, folder)
        try:
            registry = await Registry.open(engines, runtime=self._runtime)
            try:
                yield registry
            finally:
                await registry.close()
        finally:
            engines.close()
        log = folder / "platform.db-wal"
        if log.exists() and log.stat().st_size:
            # What closed the file could not copy its log into it.
            raise Unavailable("overloaded", "The disk does not accept data. Try again.")


async def _insert(registry: Registry, row: AppRow) -> None:
    """List an app; one whose holder is not there belongs to nobody."""
    row = replace(row, deleted_ms=None)
    try:
        await registry.insert(row)
    except NotFound:
        await registry.insert(replace(row, owner=None, org=None, sealed_token=None))


def _list_files(copies: Copies, path: Path, listed: Path) -> None:
    with open(listed, "xb") as file:
        for hash, size in copies.files(path):
            file.write(list_line(hash, size))
