"""Which blobs must not be deleted now, and which are being deleted. No bytes, no rows.

An upload pins a blob before it puts it, until the row that names it is published. The collector
claims a blob while it asks for rows and deletes. A claim is refused while there is a pin, and a pin
waits for the end of a claim: what the collector asks for rows cannot change before it deletes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from trice.protocol.ids import AppId

Key = tuple[AppId, str]


class Pins:
    """Holds the keys that are pinned or claimed, none else."""

    def __init__(self) -> None:
        self._pinned: Counter[Key] = Counter()
        self._claimed: dict[Key, asyncio.Event] = {}

    @asynccontextmanager
    async def pinned(self, app_id: AppId, hash: str) -> AsyncIterator[None]:
        """Keep the collector from deleting a blob; first wait until it is not about to."""
        key = (app_id, hash)
        while (claimed := self._claimed.get(key)) is not None:
            await claimed.wait()
        self._pinned[key] += 1
        try:
            yield
        finally:
            self._pinned[key] -= 1
            if not self._pinned[key]:
                del self._pinned[key]

    @contextmanager
    def claimed(self, app_id: AppId, hashes: list[str]) -> Iterator[list[str]]:
        """Claim the blobs to delete them; those that are pinned, or claimed by others, are left
        out of the result."""
        free = list(dict.fromkeys(each for each in hashes if self._is_free((app_id, each))))
        ended = asyncio.Event()
        for each in free:
            self._claimed[app_id, each] = ended
        try:
            yield free
        finally:
            for each in free:
                del self._claimed[app_id, each]
            ended.set()

    def holds_nothing(self) -> bool:
        return not self._pinned and not self._claimed

    def _is_free(self, key: Key) -> bool:
        return key not in self._pinned and key not in self._claimed
