"""Deletes blobs that no row names.

An upload puts bytes before it writes their row, and a deletion writes rows before the bytes go. So
a crash leaves at worst bytes without a row. `collect` looks at the bytes a commit let go of;
`sweep` looks at all, at the start and now and then.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from trice import file_limits as limits
from trice.background import Background
from trice.errors import TriceError
from trice.files.blobs import Blobs
from trice.files.pins import Pins
from trice.log import fields
from trice.metrics import FileCounts
from trice.protocol.ids import AppId
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.files")

IsNamed = Callable[[AppId, list[str]], Awaitable[set[str]]]
"""Which of up to limits.LIST_PAGE_BLOBS hashes the published rows of an app name."""


class Collector:
    """Deletes what no row names. Knows no rows: it asks `is_named`.

    has_app   whether an app exists; the bytes of others go
    is_loading   whether an import puts bytes of an app in place, whose rows nobody sees yet: then
                 nothing of it is deleted
    """

    def __init__(
        self,
        blobs: Blobs,
        pins: Pins,
        *,
        is_named: IsNamed,
        has_app: Callable[[AppId], bool],
        runtime: Runtime,
        counts: FileCounts | None = None,
        is_loading: Callable[[AppId], bool] = lambda _: False,
    ) -> None:
        self._is_loading = is_loading
        self._blobs = blobs
        self._pins = pins
        self._is_named = is_named
        self._has_app = has_app
        self._runtime = runtime
        self._counts = counts or FileCounts()
        self._seen = 0
        self._seen_bytes = 0

    def start(self, background: Background) -> None:
        """Begin to sweep: now, and every limits.FILE_SWEEP_INTERVAL_MS."""
        background.every(
            "files-sweep",
            limits.FILE_SWEEP_INTERVAL_MS,
            lambda _: self.sweep(),
            is_due_now=True,
        )

    async def collect(self, app_id: AppId, hashes: list[str]) -> int:
        """Delete those of the blobs that no row of the app names; return how many.

        raises  Unavailable; what is left then is found by the next sweep
        """
        count = 0
        if self._is_loading(app_id):
            return 0
        for start in range(0, len(hashes), limits.LIST_PAGE_BLOBS):
            page = hashes[start : start + limits.LIST_PAGE_BLOBS]
            with self._pins.claimed(app_id, page) as free:
                named = await self._is_named(app_id, free) if free else set()
                for hash in free:
                    if hash not in named:
                        await self._blobs.delete(app_id, hash)
                        count += 1
                        self._counts.swept += 1
        return count

    async def sweep(self) -> None:
        """Look at all blobs of all apps, a page at a time.

        A failure in one app is logged, and the others are swept. raises  Unavailable
        """
        self._seen, self._seen_bytes = 0, 0
        async for app_id in self._blobs.apps():
            try:
                if self._is_loading(app_id):
                    continue
                if self._has_app(app_id):
                    count = await self._sweep_app(app_id)
                    if count:
                        logger.info("files without rows deleted %s", fields(app=app_id, n=count))
                else:
                    await self._blobs.delete_app(app_id)
                    logger.info("files of no app deleted %s", fields(app=app_id))
            except TriceError as failure:
                told = fields(app=app_id, reason=failure.message)
                logger.warning("files of an app were not swept %s", told)
        self._counts.kept, self._counts.kept_bytes = self._seen, self._seen_bytes

    async def _sweep_app(self, app_id: AppId) -> int:
        """Delete what no row of the app names and is older than limits.FILE_GRACE_MS."""
        count = 0
        page: list[str] = []
        oldest_ms = self._runtime.now_ms() - limits.FILE_GRACE_MS
        async for blob in self._blobs.list(app_id):
            self._seen += 1
            self._seen_bytes += blob.size
            if blob.modified_ms > oldest_ms:
                continue
            page.append(blob.hash)
            if len(page) == limits.LIST_PAGE_BLOBS:
                count += await self.collect(app_id, page)
                page = []
        return count + await self.collect(app_id, page)
