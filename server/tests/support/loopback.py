"""Listening on 127.0.0.1 inside a test, with nothing left open when it ends.

asyncio's own server forgets a connection that it has accepted but not yet handed over, so the
socket of a client that leaves early outlives the loop. Here each connection has an owner from the
moment it is accepted.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

Handle = Callable[[socket.socket], Coroutine[Any, Any, None]]
"""Serves one connection, a non-blocking socket; cancelled when the listener closes."""


class Listener:
    """Owns the listening socket, and each accepted one until its `handle` has ended."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._serving: dict[asyncio.Task[None], socket.socket] = {}
        self.port: int = self._socket.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return  # the client is gone already
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._handle(connection))
        self._serving[task] = connection
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        connection = self._serving.pop(task, None)
        if connection is not None:
            connection.close()

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for task in serving:
            self._end(task)
        await asyncio.sleep(0)  # a transport's last turn


@asynccontextmanager
async def listen(handle: Handle) -> AsyncIterator[Listener]:
    """A listener for the time of a block."""
    listener = Listener(handle)
    try:
        yield listener
    finally:
        await listener.close()
