"""What a server needs to keep bytes, opened and closed together."""

from __future__ import annotations

from dataclasses import dataclass, field

from trice.files.blobs import Blobs
from trice.files.partials import Partials
from trice.files.pins import Pins
from trice.files.spool import Spool
from trice.files.threads import FileThreads
from trice.files.used_tokens import UsedTokens


@dataclass(frozen=True, slots=True)
class Storage:
    """The place of the bytes, and what leads there. Knows no rows."""

    blobs: Blobs
    spool: Spool
    threads: FileThreads
    partials: Partials
    used_tokens: UsedTokens
    pins: Pins = field(default_factory=Pins)

    async def close(self) -> None:
        """Finish what has begun."""
        await self.blobs.close()
        self.threads.close()
