"""How requests of actions leave their process; loaded with the first of them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


class Outgoing:
    """What all calls of a process share: the transport, once somebody needs it.

    allows_private   also addresses of private networks
    """

    def __init__(self, *, allows_private: bool = False) -> None:
        self.allows_private = allows_private
        self._making: asyncio.Task[httpx.AsyncBaseTransport] | None = None

    async def transport(self) -> httpx.AsyncBaseTransport:
        """Through which requests leave. raises   what importing httpx does"""
        making = self._making
        if making is None or (making.done() and (making.cancelled() or making.exception())):
            # It belongs to no call, so that it does not end with the first one that needs it.
            making = asyncio.get_running_loop().create_task(self._make(), context=Context())
            self._making = making
        return await asyncio.shield(making)

    async def _make(self) -> httpx.AsyncBaseTransport:
        thread = ThreadPoolExecutor(1, thread_name_prefix="httpx")
        try:
            made = thread.submit(_make_transport, self.allows_private)
            return await asyncio.wrap_future(made)
        finally:
            thread.shutdown(wait=False)


def _make_transport(allows_private: bool) -> httpx.AsyncBaseTransport:
    from trice.functions.connecting import Transport

    return Transport(allows_private=allows_private)
