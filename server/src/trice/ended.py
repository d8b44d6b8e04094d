"""Waiting until work has ended, whatever happens to the one who waits."""

from __future__ import annotations

import asyncio
from typing import Any


async def until_ended(work: asyncio.Future[Any]) -> None:
    """Wait until `work` has ended, also if this wait is cancelled: what it uses is free then.

    For the clean-up of a caller that was cancelled, who may be cancelled once more meanwhile (a
    second Ctrl-C). That caller raises its own CancelledError afterwards. How `work` ended is its
    owner's to read; a failure that nobody reads is not reported by asyncio.
    """
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            continue
    if not work.cancelled():
        work.exception()
