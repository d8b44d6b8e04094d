"""Shipping the log: what was written since the last backup, every few seconds.

    a file of an app changed ──> rows after the last shipped ──> files they name ──> a segment
                                   └── a gap, or a change of the schema ──> a copy: a base

It knows only the files of the data directory, and holds nobody up. Closed apps are shipped too.

source   spec/backups.md BK60-BK69
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from trice import backup_limits as limits
from trice.background import Background
from trice.backups.code import find_bundle, new_bundles, put_bundle
from trice.backups.listing import FoundBackups, find_backups
from trice.backups.log_area import (
    Base,
    BaseKey,
    bundle_line,
    find_bases,
    find_segments,
    put_base,
    put_rows,
    read_base,
    segment_of,
)
from trice.backups.make import Source, copy_app, put_blob
from trice.backups.manifest import BundlePart
from trice.backups.vaults import Vault
from trice.errors import InvalidInput
from trice.log import fields
from trice.metrics import BackupCounts
from trice.protocol.ids import AppId, TxId
from trice.store.copies import LogRow
from trice.store.engines import PLATFORM

logger: Final = logging.getLogger("trice.backups")


@dataclass(slots=True)
class _Shipped:
    """How far an app is shipped.

    stamp      of its files when it was last looked at
    tx         the last transaction that a segment or base has; None: a base is needed
    base_ms    when the latest base was made here, and `base_took_ms` how long that took
    """

    stamp: Hashable
    tx: TxId | None
    base_ms: float = float("-inf")
    base_took_ms: float = 0


class Shipper:
    """Ships the log of all apps. Holds how far each is that changed since the start."""

    def __init__(
        self, vault: Vault, source: Source, counts: BackupCounts, *, is_sweeping: asyncio.Lock
    ) -> None:
        """
        is_sweeping   held by whoever deletes from the vault: not while something is put there that
                      is named by nothing yet
        """
        self._vault = vault
        self._source = source
        self._counts = counts
        self._is_sweeping = is_sweeping
        self._apps: dict[AppId, _Shipped] = {}
        self._found: tuple[FoundBackups, list[BaseKey]] | None = None

    def start(self, background: Background) -> None:
        """Begin to ship, every limits.SHIP_MS."""
        background.every("backup-log", limits.SHIP_MS, lambda _: self.ship())

    async def ship(self) -> None:
        """Ship what was written since the last call; raises Unavailable."""
        began_ms = self._source.runtime.now_ms()
        if self._found is None:
            await self._vault.begin_shipping()
            self._found = await find_backups(self._vault), await find_bases(self._vault)
        stamps = await asyncio.to_thread(self._source.copies.stamps)
        is_whole = True
        for app_id, stamp in stamps.items():
            state = self._apps.get(app_id)
            if state is None or state.stamp != stamp:
                try:
                    is_whole &= await self._app(app_id, stamp)
                except FileNotFoundError:
                    continue  # deleted meanwhile
        for app_id in self._apps.keys() - stamps.keys():
            del self._apps[app_id]
        if is_whole:
            self._counts.shipped_ms = began_ms

    async def _app(self, app_id: AppId, stamp: Hashable) -> bool:
        """Ship an app; False while some of its rows must wait."""
        state = self._apps.get(app_id)
        if state is None:
            state = _Shipped(None, await self._shipped_before(app_id))
            self._apps[app_id] = state
        while True:
            async with self._is_sweeping:
                is_done = await self._step(app_id, state)
            if is_done is not None:
                break
        if is_done:
            state.stamp = stamp
        return is_done

    async def _step(self, app_id: AppId, state: _Shipped) -> bool | None:
        """Ship a segment. True: that was all; False: the rest must wait; None: go on."""
        copies = self._source.copies
        if state.tx is None:
            return await self._make_base(app_id, state)
        rows = await asyncio.to_thread(
            lambda after: copies.log_after(
                app_id, after, rows_max=limits.SHIP_ROWS_MAX, bytes_max=limits.SHIP_BYTES_MAX
            ),
            state.tx,
        )
        if not rows:
            return True
        if rows[0].tx != state.tx + 1:
            state.tx = None
            return None
        good = list(takewhile(lambda row: copies.is_replayable(row.changes), rows))
        if good:
            await self._put(app_id, good)
            state.tx = good[-1].tx
        if len(good) < len(rows):
            state.tx = None
        return None

    async def _put(self, app_id: AppId, rows: list[LogRow]) -> None:
        """Put rows, after the bytes of the files that they name."""
        copies, data_dir = self._source.copies, self._source.data_dir
        hashes = {hash for row in rows for hash in copies.named_files(row.changes)}
        bundles = await self._bundles(rows) if app_id == PLATFORM else []
        lines = [*sorted(hashes)]
        for _, bundle in bundles:
            lines += [bundle.code.hash, bundle.told.hash, bundle_line(bundle)]
        if lines:
            text = "\n".join(lines).encode()
            await self._vault.put_bytes(segment_of(app_id, rows).named_key, text)
        for holder, bundle in bundles:
            with suppress(FileNotFoundError):  # newer deployments took its place
                await put_bundle(self._vault, data_dir, holder, bundle)
        if hashes:
            async with self._vault.scratch(data_dir / "loading") as scratch:
                for hash in sorted(hashes):
                    await put_blob(self._vault, self._source, scratch, app_id, hash)
        await put_rows(self._vault, app_id, rows)
        self._counts.shipped_rows += len(rows)

    async def _bundles(self, rows: list[LogRow]) -> list[tuple[AppId, BundlePart]]:
        """The bundles of functions that rows of the platform name, of those that are there."""
        found = []
        for app_id, hash in new_bundles(self._source.copies, rows):
            bundle = await asyncio.to_thread(find_bundle, self._source.data_dir, app_id, hash)
            if bundle is not None:
                found.append((app_id, bundle))
        return found

    async def _make_base(self, app_id: AppId, state: _Shipped) -> bool | None:
        """Copy the app; as `_step`."""
        runtime = self._source.runtime
        began_ms = runtime.monotonic_ms()
        wait_ms = max(limits.BASE_WAIT_MS, limits.BASE_WAIT_TIMES * state.base_took_ms)
        if began_ms - state.base_ms < wait_ms:
            return False
        # Asked again: what an earlier backup had may have been swept since.
        found = await find_backups(self._vault)
        async with self._vault.scratch(self._source.data_dir / "loading") as scratch:
            part = await copy_app(self._vault, self._source, scratch, found, app_id)
        state.base_ms = began_ms
        state.base_took_ms = runtime.monotonic_ms() - began_ms
        if part is None:
            return True  # deleted meanwhile
        if part.problem is not None:
            logger.error("log not shipped %s", fields(app=app_id, reason=part.problem))
            return False
        await put_base(self._vault, Base(self._source.version, part), runtime.now_ms())
        self._counts.bases += 1
        state.tx = TxId(part.tx)
        return None

    async def _shipped_before(self, app_id: AppId) -> TxId | None:
        """The last transaction that the vault has of an app, if the rows after it can follow."""
        assert self._found is not None, "the vault was asked"
        backups, bases = self._found
        known: list[int] = [
            part.tx
            for manifest in backups.manifests
            if manifest.version == self._source.version
            for part in manifest.apps
            if part.id == app_id and part.problem is None
        ]
        for key in bases:
            if key.app_id == app_id:
                try:
                    base = await read_base(self._vault, key)
                except (InvalidInput, FileNotFoundError):
                    continue
                if base.version == self._source.version:
                    known.append(key.tx)
        if not known:
            return None  # an upgrade may have changed what no row of the log tells
        segments = await find_segments(self._vault, app_id)
        last = segments[-1].last if segments else 0
        return TxId(max(last, min(known)))
