"""Making a backup of a server, or of one app, while the server runs.

    platform.db ──copy──> which apps there are ──> bundles of functions that their deployments name
    each app: database ──copy──> hash, check, count ──> objects      unchanged since the last: done
                                   └── the files it names, that the last backup lacks ──> objects
    the manifest, last of all ──> backups that are too old go (`retention`)

Bytes of files are read after the copy that names them, so a file that is deleted between the two
may be gone: then the app is copied again, or the platform for a bundle. Databases are copied one
after the other; each is of one moment, and no two share anything.

source   spec/backups.md BK1-BK19
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from trice import backup_limits as limits
from trice.apps.registry import Registry
from trice.backups.code import find_bundle, find_bundles, put_bundle, read_rows, write_rows
from trice.backups.fetch import fetch, groups_of
from trice.backups.listing import FoundBackups, find_backups
from trice.backups.manifest import (
    APPS,
    FORMAT,
    AppPart,
    BundlePart,
    CodePart,
    FilesPart,
    Manifest,
    Piece,
    dump_manifest,
    list_line,
    list_pieces,
)
from trice.backups.pace import IsOver, all_of, on_thread
from trice.backups.retention import expire
from trice.backups.vaults import BACKUPS, Vault, hash_file, object_key
from trice.calls.bundle_store import KEPT_IN
from trice.errors import InvalidInput, NotFound, Unavailable, no_record
from trice.files.blobs import Blobs
from trice.log import fields
from trice.protocol.ids import AppId
from trice.runtime import Runtime, new_uuid
from trice.store.copies import Copies
from trice.store.engines import PLATFORM, Engines

logger: Final = logging.getLogger("trice.backups")

SECRET_KEY: Final = "secret.key"

_END: Final = 2**62
"""Behind the last byte of any file."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a backup is made of.

    open_engines   opens the storage in another folder, which holds a copy
    version        of this program
    """

    data_dir: Path
    copies: Copies
    blobs: Blobs
    open_engines: Callable[[Path], Engines]
    runtime: Runtime
    version: str


@dataclass(slots=True)
class Made:
    """What making a backup did.

    put, put_bytes   objects that the vault lacked
    missing          files whose bytes the app has lost, as APP/HASH, and bundles of functions, as
                     their paths in the data directory
    expired          names of backups that were too old
    unswept          why nothing was swept, though it should have been
    """

    manifest: Manifest
    put: int
    put_bytes: int
    missing: list[str]
    expired: list[str]
    unswept: str | None


async def back_up(
    vault: Vault,
    source: Source,
    *,
    app_id: AppId | None = None,
    keep: int | None = None,
    rechecks: bool = False,
    is_sweeping: asyncio.Lock | None = None,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Made:
    """Make a backup; it exists once this returns.

    app_id      the app; None: the whole server
    keep        how many good backups stay, this one included; None: all
    is_sweeping see `retention.expire`
    rechecks    ask the vault for each file whether it is there, not only for new ones
    raises      NotFound for the app; Unavailable: there is no new backup then
    """
    async with vault.claimed():
        found = await find_backups(vault)
        async with vault.scratch(source.data_dir / "loading") as scratch:
            work = _Backup(vault, source, scratch, found, rechecks=rechecks)
            manifest = await work.make(app_id, on_progress)
        made = Made(manifest, work.put, work.put_bytes, work.missing, [], None)
        if keep is not None:
            found = found.with_one(manifest)
            made.expired, made.unswept = await expire(
                vault, found, manifest, keep, is_sweeping=is_sweeping
            )
    return made


class _Backup:
    """One backup while it is made. Holds counts; all else is in the scratch folder."""

    def __init__(
        self, vault: Vault, source: Source, scratch: Path, found: FoundBackups, *, rechecks: bool
    ) -> None:
        self._vault = vault
        self._source = source
        self._scratch = scratch
        self._found = found
        self._rechecks = rechecks
        self.put = 0
        self.put_bytes = 0
        self.missing: list[str] = []

    async def make(self, app_id: AppId | None, on_progress: Callable[[int, int], None]) -> Manifest:
        """Make it; raises as `back_up`."""
        runtime, copies = self._source.runtime, self._source.copies
        begun_ms = runtime.now_ms()
        platform, listed, code = await self._platform(app_id)
        if app_id is None:
            wanted = [each for each in await asyncio.to_thread(copies.apps) if each in listed]
        elif app_id in listed:
            wanted = [app_id]
        else:
            raise no_record("app", f"There is no app {app_id}.", {"app-id": app_id})
        parts = []
        for done, each in enumerate(wanted):
            on_progress(done, len(wanted))
            part = await self.app(each)
            if part is not None:
                parts.append(msgspec.structs.replace(part, code=code[each]))
        on_progress(len(wanted), len(wanted))
        if app_id is not None and not parts:
            raise no_record("app", f"App {app_id} was deleted meanwhile.", {"app-id": app_id})
        gone = listed - {part.id for part in parts}
        if app_id is None and gone:
            parts += await self._lost(gone)
        if len(parts) < len(listed):
            platform = await self._platform_of({part.id for part in parts}, platform, app_id)
        secret = self._source.data_dir / SECRET_KEY
        manifest = Manifest(
            FORMAT,
            _name(runtime, begun_ms),
            self._source.version,
            app_id,
            begun_ms,
            runtime.now_ms(),
            await self._put(platform),
            await self._put_copy(secret) if app_id is None and secret.exists() else None,
            parts,
        )
        await self._vault.put_bytes(f"{BACKUPS}{manifest.name}", dump_manifest(manifest))
        return manifest

    async def _platform(self, app_id: AppId | None) -> tuple[Path, set[str], dict[str, CodePart]]:
        """Copy the list of apps: the copy, the apps, and the code of those that are wanted. Bundles
        that are gone make it be copied again: newer deployments may have taken their places."""
        copies = self._source.copies
        for attempt in range(1, limits.TRIES_MAX + 1):
            platform = self._scratch / f"platform-{attempt}.db"
            try:
                await on_thread(partial(self._copy_platform, platform))
            except FileNotFoundError:
                place = self._source.data_dir
                raise Unavailable(
                    "data-unusable", f"{place} is no data directory: it has no platform.db."
                ) from None
            listed = set(await asyncio.to_thread(copies.ids, platform, APPS))
            named = await asyncio.to_thread(find_bundles, copies, platform)
            wanted = listed if app_id is None else listed & {app_id}
            code = {each: await self._code(each, named.get(each, [])) for each in sorted(wanted)}
            if not any(part.missing for part in code.values()):
                break
        for each, part in code.items():
            self.missing += [f"{KEPT_IN}/{each}/bundles/{hash}.zip" for hash in part.missing]
        return platform, listed, code

    def _copy_platform(self, path: Path, is_over: IsOver) -> None:
        self._source.copies.copy(PLATFORM, path, is_over=is_over)

    async def _code(self, app_id: str, hashes: list[str]) -> CodePart:
        """Put the bundles of an app that the backup before lacks."""
        before = self._found.newest_of(app_id) if hashes else None
        known = {} if before is None else {each.code.hash: each for each in before.bundles}
        bundles, missing = [], []
        for hash in hashes:
            bundle = known.get(hash)
            if bundle is None or (self._rechecks and not await self._is_kept(bundle)):
                bundle = await self._put_bundle(app_id, hash)
            if bundle is None:
                missing.append(hash)
            else:
                bundles.append(bundle)
        return CodePart(bundles, missing)

    async def _is_kept(self, bundle: BundlePart) -> bool:
        pieces = (bundle.code, bundle.told)
        return all([await self._vault.size(object_key(each.hash)) == each.size for each in pieces])

    async def _put_bundle(self, app_id: str, hash: str) -> BundlePart | None:
        data_dir = self._source.data_dir
        bundle = await on_thread(lambda _: find_bundle(data_dir, app_id, hash))
        if bundle is None:
            return None
        try:
            put = await put_bundle(self._vault, data_dir, app_id, bundle)
        except FileNotFoundError:
            return None
        self.put += len(put)
        self.put_bytes += sum(piece.size for piece in put)
        return bundle

    async def _all_code(self, platform: Path) -> CodePart:
        """Put the bundles of all apps that a copy of the platform names."""
        named = await asyncio.to_thread(find_bundles, self._source.copies, platform)
        parts = [await self._code(app_id, named[app_id]) for app_id in sorted(named)]
        bundles = {each.code.hash: each for part in parts for each in part.bundles}
        return CodePart([*bundles.values()], [hash for part in parts for hash in part.missing])

    async def _lost(self, gone: set[str]) -> list[AppPart]:
        """The apps that have no database although they are still listed: they were not deleted."""
        platform, copies = self._scratch / "platform-now.db", self._source.copies
        await on_thread(lambda over: copies.copy(PLATFORM, platform, is_over=over))
        lost = gone.intersection(await asyncio.to_thread(copies.ids, platform, APPS))
        problem = "Its database is missing."
        return [AppPart(each, None, 0, {}, None, problem) for each in sorted(lost)]

    async def app(self, app_id: AppId) -> AppPart | None:
        """Put an app; None when it was deleted meanwhile."""
        before = self._found.newest_of(app_id)
        for attempt in range(1, limits.TRIES_MAX + 1):
            path = self._scratch / f"{new_uuid(self._source.runtime)}.db"
            try:
                part = await on_thread(partial(self._copied, app_id, path, before))
            except FileNotFoundError:
                return None
            except Unavailable as failure:
                if failure.code != "data-unusable":
                    raise
                logger.error("app not backed up %s", fields(app=app_id, reason=failure.message))
                return AppPart(app_id, None, 0, {}, None, failure.message)
            try:
                if part is before:
                    return part
                if part.problem is not None:
                    await self._put(path)  # somebody may save what is left in it
                    return part
                files = await self._files(app_id, path, before, is_last=attempt == limits.TRIES_MAX)
                if files is not None:
                    code = await self._all_code(path) if app_id == PLATFORM else None
                    await self._put(path)
                    return msgspec.structs.replace(part, files=files, code=code)
            finally:
                await asyncio.to_thread(_remove, path)
        raise AssertionError("the last attempt takes what there is")

    def _copied(
        self, app_id: AppId, path: Path, before: AppPart | None, is_over: IsOver
    ) -> AppPart:
        """Copy the database and see what is in it. The part of the backup before if nothing changed
        since. Runs on a thread."""
        copies = self._source.copies
        copies.copy(app_id, path, is_over=is_over)
        piece = Piece(*hash_file(path, is_over))
        if not self._rechecks and before is not None and before.database == piece:
            return before
        problem = copies.find_problem(path, is_whole=False, is_over=is_over)
        if problem is not None:
            logger.error("database file damaged %s", fields(app=app_id, reason=problem))
            return AppPart(app_id, piece, 0, {}, None, problem)
        facts = copies.facts(path)
        return AppPart(app_id, piece, facts.tx, facts.counts, None, None)

    async def _files(
        self, app_id: AppId, path: Path, before: AppPart | None, *, is_last: bool
    ) -> FilesPart | None:
        """Put the files that a copy names; None when some are gone and a new copy may not name
        them."""
        named, lacking = path.with_suffix(".named"), path.with_suffix(".lacking")
        known = path.with_suffix(".known")
        await self._fetch_list(before, known)
        await on_thread(partial(self._compare, path, known, named, lacking))
        missing: set[str] = set()
        async for group in groups_of(lacking, limits.BLOBS_AT_ONCE):
            found = await all_of(*(self._put_blob(app_id, piece) for piece in group))
            missing.update(
                piece.hash for piece, is_kept in zip(group, found, strict=True) if not is_kept
            )
        if missing and not is_last:
            return None
        count, size = await asyncio.to_thread(_leave_out, named, missing)
        self.missing += [f"{app_id}/{hash}" for hash in sorted(missing)]
        return FilesPart(await self._put(named), count, size, len(missing))

    async def _fetch_list(self, before: AppPart | None, path: Path) -> None:
        """Write the list of files of the backup before; an empty one if it cannot be trusted."""
        if before is not None and before.files is not None and not self._rechecks:
            try:
                await fetch(self._vault, before.files.listed, path, f"the files of app {before.id}")
                return
            except InvalidInput as failure:
                logger.warning("earlier backup damaged %s", fields(reason=failure.message))
                await asyncio.to_thread(path.unlink, missing_ok=True)
        await asyncio.to_thread(path.write_bytes, b"")

    def _compare(
        self, path: Path, known: Path, named: Path, lacking: Path, is_over: IsOver
    ) -> None:
        """List the files that a copy names, and those of them that are not known. Both lists are in
        the order of hashes. Runs on a thread."""
        with open(known, "rb") as old, open(named, "xb") as every, open(lacking, "xb") as new:
            earlier = iter(list_pieces(old))
            latest = next(earlier, None)
            for hash, size in self._source.copies.files(path):
                while latest is not None and latest.hash < hash:
                    latest = next(earlier, None)
                every.write(list_line(hash, size))
                if latest is None or latest.hash != hash:
                    new.write(list_line(hash, size))

    async def _put_blob(self, app_id: AppId, piece: Piece) -> bool:
        """Put the bytes of a file, unless they are there. False when the app has lost them."""
        if await self._vault.size(object_key(piece.hash)) == piece.size:
            return True
        size = await put_blob(self._vault, self._source, self._scratch, app_id, piece.hash)
        if size is None:
            return False
        self.put += 1
        self.put_bytes += size
        return size == piece.size

    async def _put(self, path: Path) -> Piece:
        """Move a file of the scratch folder into the vault."""
        piece = Piece(*await on_thread(partial(hash_file, path)))
        key = object_key(piece.hash)
        if await self._vault.size(key) != piece.size:
            await self._vault.put(key, path, is_ours=True)
            self.put += 1
            self.put_bytes += piece.size
        return piece

    async def _put_copy(self, path: Path) -> Piece:
        """Put a copy of a small file."""
        copy = self._scratch / new_uuid(self._source.runtime)
        await asyncio.to_thread(shutil.copyfile, path, copy)
        return await self._put(copy)

    async def _platform_of(self, stay: set[str], platform: Path, app_id: AppId | None) -> Path:
        """A platform database that lists other apps than the copy: only `app_id`, or all but those
        that were deleted meanwhile."""
        folder = self._scratch / "platform"
        await asyncio.to_thread(folder.mkdir)
        copy = folder / "platform.db"
        await asyncio.to_thread(shutil.copyfile, platform, copy)
        async with opened_registry(self._source, folder) as registry:
            if app_id is None:
                for each in await asyncio.to_thread(self._source.copies.ids, platform, APPS):
                    if each not in stay:
                        await registry.delete(AppId(each))
                row = None
            else:
                row = registry.find(app_id)
                assert row is not None, "it is listed"
                code = await read_rows(registry.database, app_id, runtime=self._source.runtime)
        if row is None:
            return copy
        folder = self._scratch / "platform-of-one"
        await asyncio.to_thread(folder.mkdir)
        async with opened_registry(self._source, folder) as registry:
            # Accounts are not in it.
            await registry.insert(replace(row, owner=None, org=None, sealed_token=None))
            await write_rows(registry.database, row.id, code, runtime=self._source.runtime)
        return folder / "platform.db"


@asynccontextmanager
async def opened_registry(source: Source, folder: Path) -> AsyncIterator[Registry]:
    """The list of apps in a folder that is a data directory."""
    engines = await asyncio.to_thread(source.open_engines, folder)
    try:
        registry = await Registry.open(engines, runtime=source.runtime)
        try:
            yield registry
        finally:
            await registry.close()
    finally:
        engines.close()


async def put_blob(
    vault: Vault, source: Source, scratch: Path, app_id: AppId, hash: str
) -> int | None:
    """Put the bytes of a file; return their size. None when the app has lost them."""
    key, path = object_key(hash), source.blobs.path(app_id, hash)
    is_ours = path is None
    try:
        if path is None:
            path = scratch / new_uuid(source.runtime)
            found = await _download(source, app_id, hash, path)
        else:
            found = await on_thread(partial(hash_file, path))
        if found[0] != hash:
            return None
        await vault.put(key, path, is_ours=is_ours)
    except (FileNotFoundError, NotFound):
        return None
    return found[1]


async def _download(source: Source, app_id: AppId, hash: str, path: Path) -> tuple[str, int]:
    made, size = sha256(), 0
    with open(path, "xb", buffering=0) as file:  # noqa: ASYNC230 opening takes microseconds
        async with aclosing(source.blobs.read(app_id, hash, 0, _END)) as pieces:
            async for data in pieces:
                made.update(data)
                size += len(data)
                await asyncio.to_thread(file.write, data)
    return made.hexdigest(), size


async def copy_app(
    vault: Vault, source: Source, scratch: Path, found: FoundBackups, app_id: AppId
) -> AppPart | None:
    """Put one app, or PLATFORM, without a manifest; None when it was deleted."""
    return await _Backup(vault, source, scratch, found, rechecks=False).app(app_id)


def _leave_out(path: Path, missing: set[str]) -> tuple[int, int]:
    """Take files out of a list; return how many stay, and their size."""
    part = path.with_suffix(".part")
    count = size = 0
    with open(path, "rb") as every, open(part, "xb") as rest:
        for piece in list_pieces(every):
            if piece.hash not in missing:
                rest.write(list_line(piece.hash, piece.size))
                count += 1
                size += piece.size
    part.replace(path)
    return count, size


def _remove(path: Path) -> None:
    """Remove a copy, and all that was made beside it."""
    for each in path.parent.glob(f"{path.stem}.*"):
        each.unlink(missing_ok=True)


def _name(runtime: Runtime, begun_ms: int) -> str:
    begun = datetime.fromtimestamp(begun_ms / 1000, UTC)
    return f"{begun:%Y%m%dT%H%M%SZ}-{new_uuid(runtime)[:4]}"
