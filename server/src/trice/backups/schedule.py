"""Backups that a server makes by itself.

A backup is due when the newest one began long enough ago: also after a restart, and also when
somebody made one by hand meanwhile.

source   spec/backups.md BK50-BK59
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from trice import backup_limits as limits
from trice.background import Background
from trice.backups.listing import find_backups
from trice.backups.make import Made, Source, back_up
from trice.backups.vaults import Vault
from trice.log import fields
from trice.metrics import BackupCounts

logger: Final = logging.getLogger("trice.backups")


class Schedule:
    """Makes backups of a server. Holds when the newest began; None: the vault was not asked yet."""

    def __init__(
        self,
        vault: Vault,
        source: Source,
        counts: BackupCounts,
        *,
        every_ms: int,
        keep: int,
        is_sweeping: asyncio.Lock,
    ) -> None:
        """is_sweeping   see `ship.Shipper`"""
        self._vault = vault
        self._source = source
        self._counts = counts
        self._every_ms = every_ms
        self._keep = keep
        self._is_sweeping = is_sweeping
        self._newest_ms: int | None = None

    def start(self, background: Background) -> None:
        """Begin to ask, every limits.CHECK_MS, whether a backup is due."""
        background.every("backups", limits.CHECK_MS, lambda _: self.run_if_due(), is_due_now=True)

    async def run_if_due(self) -> None:
        """Make a backup if it is time; raises Unavailable, InvalidInput."""
        now_ms = self._source.runtime.now_ms()
        if self._newest_ms is None or self._is_due(now_ms, self._newest_ms):
            found = await find_backups(self._vault)
            whole = [each for each in found.manifests if each.app is None]
            self._newest_ms = whole[-1].begun_ms if whole else 0
            if whole and self._counts.newest_ms is None:
                self._counts.newest_ms = next(
                    (each.begun_ms for each in reversed(whole) if each.is_good), None
                )
        if not self._is_due(now_ms, self._newest_ms):
            return
        made = await back_up(
            self._vault, self._source, keep=self._keep, is_sweeping=self._is_sweeping
        )
        self._newest_ms = made.manifest.begun_ms
        self._tell(made)

    def _is_due(self, now_ms: int, newest_ms: int) -> bool:
        """Also when the newest one is of the future, by a clock that was wrong."""
        return not 0 <= now_ms - newest_ms < self._every_ms

    def _tell(self, made: Made) -> None:
        manifest, counts = made.manifest, self._counts
        damaged = [part.id for part in manifest.apps if part.problem is not None]
        if not damaged:
            counts.newest_ms = manifest.begun_ms
        counts.last_ms = manifest.ended_ms - manifest.begun_ms
        counts.bytes = manifest.bytes
        counts.put_bytes += made.put_bytes
        counts.damaged_apps = len(damaged)
        counts.missing_files = len(made.missing)
        told = fields(
            name=manifest.name,
            ms=counts.last_ms,
            apps=len(manifest.apps),
            bytes=manifest.bytes,
            new_bytes=made.put_bytes,
            expired=len(made.expired),
        )
        logger.info("backup made %s", told)
        if damaged or made.missing or made.unswept:
            problem = fields(
                damaged_apps=",".join(damaged[:10]) or None,
                missing_files=len(made.missing) or None,
                unswept=made.unswept,
            )
            logger.error("backup is not whole %s", problem)
