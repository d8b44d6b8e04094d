"""A server that is killed and comes back, and a network before it that breaks on demand."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

_READ_BYTES = 64 * 1024


class Mortal:
    """A server that is killed and comes back on its port."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = "0"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "trice", "serve", "--data-dir", str(self.data_dir)]
        self.process = subprocess.Popen(
            [*command, "--port", self.port, "--no-ephemeral-quotas"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]
        self.port = self.url.rpartition(":")[2]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def mortal(data_dir: Path) -> Iterator[Mortal]:
    server = Mortal(data_dir)
    try:
        yield server
    finally:
        server.kill()


class Network:
    """Between one client and the server: it passes bytes on, until it is told to fail."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_losing = False
        self.lost_answers = 0
        self.url = ""

    def cut(self) -> None:
        """Break all connections, in both directions."""
        for writer in list(self._writers):
            writer.transport.abort()

    def lose_an_answer(self) -> None:
        """What the server says next, it says to nobody: then the connections break."""
        self._is_losing = True

    def begin(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """There is a connection."""
        task = asyncio.create_task(self._serve(near, back))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Break all connections for good."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._writers.add(back)
        out: asyncio.StreamWriter | None = None
        try:
            far, out = await asyncio.open_connection("127.0.0.1", self._port)
            self._writers.add(out)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(near, out))
                both.create_task(self._pass(far, back, is_answer=True))
        except* OSError:
            pass  # the server is down, or an end of the connection has gone
        finally:
            for writer in (back, out):
                if writer is not None:
                    self._writers.discard(writer)
                    writer.transport.abort()

    async def _pass(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        while piece := await source.read(_READ_BYTES):
            if is_answer and self._is_losing:
                self._is_losing = False
                self.lost_answers += 1
                self.cut()
            to.write(piece)
            await to.drain()
        raise OSError("an end of it has gone")


@asynccontextmanager
async def network(port: int) -> AsyncIterator[Network]:
    """A network to a server on this machine, at an address of its own."""
    found = Network(port)
    listener = await asyncio.start_server(found.begin, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        listener.close()
        await found.end()
