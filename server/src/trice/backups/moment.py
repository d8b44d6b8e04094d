"""Apps as they were at a moment: the newest copy before it, and the transactions up to it.

source   spec/backups.md BK60-BK69
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trice import backup_limits as limits
from trice.backups.fetch import fetch
from trice.backups.listing import FoundBackups, find_backups
from trice.backups.log_area import (
    BaseKey,
    Segment,
    find_bases,
    find_segments,
    load_rows,
    read_base,
    shipped_bundles,
)
from trice.backups.manifest import BundlePart, Manifest, Piece, damaged
from trice.backups.vaults import Vault, object_key
from trice.errors import no_record
from trice.protocol.ids import AppId, TxId
from trice.store.copies import Copies, LogRow
from trice.store.engines import PLATFORM


@dataclass(frozen=True, slots=True)
class Built:
    """An app at a moment.

    tx, time_ms   its last transaction, and when it was
    is_behind     later transactions up to the moment are in the vault, but do not follow
    """

    tx: TxId
    time_ms: int
    is_behind: bool


@dataclass(frozen=True, slots=True)
class _Start:
    """A copy to begin with."""

    tx: int
    piece: Piece


class Moment:
    """Builds apps as of one moment.

    manifest   the newest backup of the whole server before it
    """

    def __init__(
        self,
        vault: Vault,
        at_ms: int,
        copies: Copies,
        found: FoundBackups,
        bases: list[BaseKey],
    ) -> None:
        """Use `find`."""
        self._vault = vault
        self._at_ms = at_ms
        self._copies = copies
        self._bases = [base for base in bases if base.time_ms <= at_ms]
        self._manifests = [each for each in found.manifests if each.ended_ms <= at_ms]
        whole = [each for each in self._manifests if each.app is None]
        if not whole:
            problem = f"{vault.name} has no backup of the whole server from before that moment."
            raise no_record("backup", problem, {})
        self.manifest: Manifest = whole[-1]

    @classmethod
    async def find(cls, vault: Vault, at_ms: int, copies: Copies) -> Moment:
        """See what there is; raises NotFound when no backup is from before the moment."""
        return cls(vault, at_ms, copies, await find_backups(vault), await find_bases(vault))

    async def build(self, app_id: AppId, path: Path) -> Built | None:
        """Write an app, or PLATFORM, to a new file; None when the vault has no copy of it.

        raises   InvalidInput when what the vault has is damaged
        """
        starts = await self._starts(app_id)
        if app_id == PLATFORM:
            what = "the list of apps"
            await fetch(self._vault, self.manifest.platform, path, what, may_link=False)
            tx, _ = await asyncio.to_thread(self._copies.newest, path)
            starts = [start for start in starts if start.tx > tx]
            if starts:
                await asyncio.to_thread(path.unlink)
            else:
                return await self._replay(app_id, path, tx)
        if not starts:
            return None
        start = max(starts, key=lambda each: each.tx)
        await fetch(self._vault, start.piece, path, f"app {app_id}", may_link=False)
        return await self._replay(app_id, path, TxId(start.tx))

    async def find_code(self) -> dict[str, BundlePart]:
        """The bundles of functions that the vault has of then, by hash."""
        parts = [part for manifest in self._manifests for part in manifest.apps]
        for key in self._bases:
            if key.app_id == PLATFORM:
                parts.append((await read_base(self._vault, key)).part)
        found = {bundle.code.hash: bundle for part in parts for bundle in part.bundles}
        for bundle in await shipped_bundles(self._vault, self._at_ms):
            # The log names it; whether it was there still, only the vault knows.
            pieces = (bundle.code, bundle.told)
            sizes = [await self._vault.size(object_key(piece.hash)) for piece in pieces]
            if sizes == [piece.size for piece in pieces]:
                found.setdefault(bundle.code.hash, bundle)
        return found

    async def _starts(self, app_id: AppId) -> list[_Start]:
        found = [
            _Start(part.tx, part.database)
            for manifest in self._manifests
            for part in manifest.apps
            if part.id == app_id and part.problem is None and part.database is not None
        ][-1:]
        mine = sorted(base for base in self._bases if base.app_id == app_id)
        if mine:
            try:
                part = (await read_base(self._vault, mine[-1])).part
            except FileNotFoundError:
                raise damaged(f"The backup lacks {mine[-1].key}.") from None
            if part.database is not None:
                found.append(_Start(part.tx, part.database))
        return found

    async def _replay(self, app_id: AppId, path: Path, tx: TxId) -> Built:
        """Do the transactions again that follow, up to the moment."""
        latest, reached = tx, tx
        for segment in await find_segments(self._vault, app_id):
            if segment.last <= tx:
                continue
            rows = [row for row in await self._rows(segment) if row.time_ms <= self._at_ms]
            if not rows:
                break
            latest = max(latest, rows[-1].tx)
            later = _after(rows, reached)
            reached = await asyncio.to_thread(self._copies.replay, path, later)
            if reached < latest:
                break
        _, time_ms = await asyncio.to_thread(self._copies.newest, path)
        return Built(reached, time_ms, is_behind=reached < latest)

    async def _rows(self, segment: Segment) -> list[LogRow]:
        try:
            data = await self._vault.read(segment.key, limits.SEGMENT_BYTES_MAX)
        except FileNotFoundError:
            raise damaged(f"The backup lacks {segment.key}.") from None
        return load_rows(segment, data)


def _after(rows: list[LogRow], tx: TxId) -> Iterator[LogRow]:
    return (row for row in rows if row.tx > tx)
