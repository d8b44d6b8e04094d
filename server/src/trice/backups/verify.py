"""Checking a backup: every object is read and hashed, every database restored into a scratch
folder, read by SQLite from end to end, and held against the manifest.

source   spec/backups.md BK20-BK29
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from trice import backup_limits as limits
from trice.backups.code import find_bundles
from trice.backups.fetch import fetch, groups_of
from trice.backups.listing import read_manifest
from trice.backups.manifest import APPS, AppPart, Manifest, Piece, list_pieces
from trice.backups.pace import IsOver, all_of, on_thread
from trice.backups.vaults import Vault, object_key
from trice.errors import InvalidInput
from trice.store.copies import Copies


@dataclass(slots=True)
class Verified:
    """What was read, and what is wrong: a sentence each. No problem: the backup can be restored."""

    manifest: Manifest
    files: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


async def verify(
    vault: Vault,
    name: str,
    *,
    copies: Copies,
    scratch: Path,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Verified:
    """Check a backup.

    scratch       an empty folder, with room for the largest database of an app
    on_progress   hears how many bytes were read, and of how many
    raises        NotFound; InvalidInput when the manifest is damaged; Unavailable
    """
    manifest = await read_manifest(vault, name)
    work = _Verification(vault, manifest, copies, scratch, on_progress)
    await work.run()
    return work.verified


class _Verification:
    """One verification."""

    def __init__(
        self,
        vault: Vault,
        manifest: Manifest,
        copies: Copies,
        scratch: Path,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self.verified = Verified(manifest)
        self._vault = vault
        self._manifest = manifest
        self._copies = copies
        self._scratch = scratch
        self._on_progress = on_progress

    async def run(self) -> None:
        manifest = self._manifest
        if manifest.secret_key is not None:
            await self._is_fetched(manifest.secret_key, "the secret key", "secret.key")
        platform = await self._is_fetched(manifest.platform, "the list of apps", "platform.db")
        if platform is not None:
            problem = await self._problem_of(platform)
            if problem is None:
                listed = await asyncio.to_thread(self._copies.ids, platform, APPS)
                named = await asyncio.to_thread(find_bundles, self._copies, platform)
                for each in sorted(set(listed) ^ {part.id for part in manifest.apps}):
                    self._tell(f"App {each} is in the list of apps or in the manifest, not both.")
                for part in manifest.apps:
                    self._compare_code(part, named.get(part.id, []))
            else:
                self._tell(f"The list of apps is damaged: {problem}.")
        for part in manifest.apps:
            await self._app(part)
            for bundle in part.bundles:
                for piece in (bundle.code, bundle.told):
                    await self._object(piece, f"code of functions of app {part.id}")

    def _compare_code(self, part: AppPart, named: list[str]) -> None:
        """Hold the bundles of the manifest against those that deployments name."""
        if part.code is not None:
            noted = {*part.code.missing, *(bundle.code.hash for bundle in part.bundles)}
            for hash in sorted(noted.symmetric_difference(named)):
                self._tell(f"App {part.id} has deployments of {hash}, or the manifest, not both.")

    async def _app(self, part: AppPart) -> None:
        if part.problem is not None:
            self._tell(f"App {part.id} was damaged when it was copied: {part.problem}")
            return
        assert part.database is not None, "an app without a problem has a database"
        path = await self._is_fetched(part.database, f"app {part.id}", f"{part.id}.db")
        listed = None
        if part.files is not None:
            what = f"the list of files of app {part.id}"
            listed = await self._is_fetched(part.files.listed, what, f"{part.id}.files")
        if path is not None:
            problem = await self._problem_of(path)
            if problem is not None:
                self._tell(f"App {part.id} is damaged: {problem}.")
            else:
                for told in await on_thread(partial(self._compare, part, path, listed)):
                    self._tell(told)
        if listed is not None:
            await self._files(part, listed)
        for each in self._scratch.glob(f"{part.id}.*"):
            await asyncio.to_thread(each.unlink)

    async def _is_fetched(self, piece: Piece, what: str, name: str) -> Path | None:
        path = self._scratch / name
        try:
            await fetch(self._vault, piece, path, what)
        except InvalidInput as failure:
            self._tell(failure.message)
            return None
        self._read(piece.size)
        return path

    async def _problem_of(self, path: Path) -> str | None:
        return await on_thread(
            lambda over: self._copies.find_problem(path, is_whole=True, is_over=over)
        )

    def _compare(
        self, part: AppPart, path: Path, listed: Path | None, is_over: IsOver
    ) -> list[str]:
        """What differs between a database and the manifest. Runs on a thread."""
        told = []
        facts = self._copies.facts(path)
        if facts.tx != part.tx:
            told.append(f"App {part.id} ends at transaction {facts.tx}, not {part.tx}.")
        for name in sorted(facts.counts.keys() | part.counts.keys()):
            found, noted = facts.counts.get(name, 0), part.counts.get(name, 0)
            if found != noted:
                told.append(f"App {part.id} has {found} of {name}, not {noted}.")
        if listed is not None and part.files is not None:
            lacking = _count_lacking(self._copies, path, listed)
            if lacking != part.files.missing:
                told.append(
                    f"App {part.id} names {lacking} files that are not listed, not"
                    f" {part.files.missing}."
                )
        return told

    async def _files(self, part: AppPart, listed: Path) -> None:
        assert part.files is not None, "it has a list of files"
        count = size = 0
        async for group in groups_of(listed, limits.BLOBS_AT_ONCE):
            await all_of(*(self._object(piece, f"a file of app {part.id}") for piece in group))
            count += len(group)
            size += sum(piece.size for piece in group)
        self.verified.files += count
        if (count, size) != (part.files.count, part.files.bytes):
            self._tell(
                f"App {part.id} has {count} files with {size} bytes, not {part.files.count} with"
                f" {part.files.bytes}."
            )

    async def _object(self, piece: Piece, what: str) -> None:
        key = object_key(piece.hash)
        try:
            found = await self._vault.hash_of(key)
        except FileNotFoundError:
            self._tell(f"The backup lacks {what}: there is no {key}.")
            return
        self._read(piece.size)
        if found != (piece.hash, piece.size):
            self._tell(f"The backup is damaged in {what}: {key} has another hash.")

    def _read(self, size: int) -> None:
        self.verified.bytes += size
        self._on_progress(self.verified.bytes, self._manifest.bytes)

    def _tell(self, problem: str) -> None:
        if len(self.verified.problems) < limits.PROBLEMS_TOLD_MAX:
            self.verified.problems.append(problem)


def _count_lacking(copies: Copies, path: Path, listed: Path) -> int:
    """How many files a database names that are not listed. Both are in the order of hashes."""
    lacking = 0
    with open(listed, "rb") as file:
        pieces = list_pieces(file)
        latest = next(pieces, None)
        for hash, _ in copies.files(path):
            while latest is not None and latest.hash < hash:
                latest = next(pieces, None)
            lacking += latest is None or latest.hash != hash
    return lacking
