"""The process that functions of one app run in: `python -m trice.functions.worker`.

    started ──hello──> loading ──ready──> calls ──drain, none left──> ended
       │                  └──broken──> ended
       └── blank: trice is imported, no app is

It has two sockets, which it inherits: one for frames, served by the loop; one for pings, served by
a thread. When the server's end of either closes, the process ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import importlib
import logging
import os
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from trice import function_limits as limits
from trice.functions import frames
from trice.functions.worker import confine
from trice.functions.worker.calls import Calls
from trice.functions.worker.framing import BadFrameError, dump_frame, worker_reader
from trice.functions.worker.metering import Steps
from trice.functions.worker.output import Logged, Printed
from trice.functions.worker.pulse import Pulse
from trice.functions.worker.sending import Sending
from trice.functions.worker.threads import CallThreads

_LOADING: Final = "trice.functions.loading"


class Worker(asyncio.Protocol):
    """This process, on its loop."""

    def __init__(self, loading: Any, steps: Steps, threads: CallThreads, pulse: Pulse) -> None:
        self._loading = loading
        self._steps = steps
        self._threads = threads
        self._pulse = pulse
        self._reader = worker_reader()
        self._sending: Sending | None = None
        self._calls: Calls | None = None
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outputs = (Printed("info", self._log), Printed("warning", self._log))
        sys.stdout, sys.stderr = self._outputs
        logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[Logged(self._log)])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport), "a socket is written, too"
        self._sending = Sending(transport)

    def data_received(self, data: bytes) -> None:
        try:
            for frame, _ in self._reader.feed(data):
                if self._calls is None:
                    self._load(frame)
                else:
                    self._calls.take(frame)
        except BadFrameError:
            traceback.print_exc(file=sys.__stderr__)
            self._end()

    def connection_lost(self, failure: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)

    async def wait_closed(self) -> None:
        """Return when the server has closed its end, or everything that it must know is told."""
        await self._closed

    def _end(self) -> None:
        if self._sending is not None:
            self._sending.close()  # when what waits is written

    def send(self, frame: frames.ToServer) -> None:
        assert self._sending is not None, "frames are sent to somebody"
        self._sending.send(dump_frame(frame))
        if isinstance(frame, frames.Log):
            self._sending.flush()  # what comes next may never end: its last words are wanted

    def _load(self, hello: frames.ToWorker) -> None:
        """Load the bundle, and tell what is in it. Nothing else happens meanwhile."""
        if not isinstance(hello, frames.Hello):
            raise BadFrameError("the first frame is a hello")
        os.environ.update(hello.env)
        if hello.packages is not None:
            _add_packages(hello.packages)
        tasks = 0 if hello.is_pure else confine.count_tasks() + limits.PURE_CALLS + 1
        if hello.scratch is not None:
            try:
                confine.confine_files(
                    bundle=hello.path,
                    packages=hello.packages,
                    scratch=hello.scratch,
                    is_pure=hello.is_pure,
                )
            except OSError as failure:
                told = f"This process cannot be confined: {failure}."
                self._tell_broken([frames.LoadError(file="", line=None, message=told)])
                return
        self._pulse.start()  # threads that are there before are not confined
        self._threads.start()
        confine.limit(memory_bytes=hello.memory_bytes, is_pure=hello.is_pure, tasks=tasks)
        self._steps.root = str(Path(hello.path).resolve())
        cpu_ms_max = limits.CALL_CPU_MS if hello.is_pure else float("inf")
        try:
            program = self._loading.load_program(Path(hello.path), hello.env)
        except self._loading.LoadErrors as failure:
            self._tell_broken(list(failure.errors))
            return
        except BaseException as failure:
            # What a module does while it is imported: SystemExit, MemoryError, anything.
            shown = "".join(traceback.format_exception(failure, limit=-5))
            self._tell_broken([frames.LoadError(file="", line=None, message=shown[-4_000:])])
            return
        if hello.allows_private:
            program.outgoing.allows_private = True
        if hello.asks_http:
            from trice.functions.asking import Asked  # it imports httpx

            program.outgoing = Asked()
        self._calls = Calls(
            program,
            self.send,
            steps=self._steps,
            threads=self._threads,
            cpu_ms_max=cpu_ms_max,
            on_end=self._end_lines,
            on_empty=self._end,
        )
        _freeze()
        self.send(frames.Ready(functions=program.signatures, schema=program.schema))

    def _end_lines(self, call: int) -> None:
        for output in self._outputs:
            output.end(call)

    def _tell_broken(self, errors: list[frames.LoadError]) -> None:
        self.send(frames.Broken(errors=errors))
        self._end()

    def _log(self, call: int, level: Any, text: str) -> None:
        if self._calls is not None:
            self._calls.log(call, level, text)
        elif self._sending is not None:
            self.send(frames.Log(call=call, level=level, text=text[: limits.LOG_LINE_CHARS_MAX]))


def _freeze() -> None:
    """What is loaded stays: collections need not look at it. Costs 7 ms for trice itself, which the
    spare pays before its app is known; what it has frozen is not looked at again."""
    gc.collect()
    gc.freeze()


def _add_packages(folder: str) -> None:
    """Let modules of a folder be imported: after Python's own, before those of the server."""
    first = next((at for at, each in enumerate(sys.path) if each.endswith("-packages")), None)
    sys.path.insert(len(sys.path) if first is None else first, folder)


async def _serve(order: argparse.Namespace, loading: Any) -> None:
    loop = asyncio.get_running_loop()
    steps = Steps()
    factory: Any = steps.task_factory
    loop.set_task_factory(factory)
    threads = CallThreads(limits.PURE_CALLS, steps)
    loop.set_default_executor(threads)
    pulse = Pulse(socket.socket(fileno=order.pulse), steps)
    worker = Worker(loading, steps, threads, pulse)
    await loop.create_unix_connection(lambda: worker, sock=socket.socket(fileno=order.frames))
    await worker.wait_closed()


def main(given: Sequence[str] | None = None) -> None:
    """
    --frames, --pulse   numbers of the two sockets
    --parent            pid of the server
    --uid               user to become
    --loading           module that loads projects
    """
    parser = argparse.ArgumentParser(prog="python -m trice.functions.worker")
    for name in ("--frames", "--pulse", "--parent"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--loading", default=_LOADING)
    order = parser.parse_args(given)
    confine.close_others((0, 1, 2, order.frames, order.pulse))
    faulthandler.enable(file=sys.__stderr__ or 2)
    threading.stack_size(limits.STACK_BYTES)
    loading = importlib.import_module(order.loading)
    _freeze()
    if order.uid is not None:
        confine.become(order.uid)
    confine.die_with(order.parent)
    confine.hide_process()
    for number in (1, 2):
        os.set_blocking(number, False)  # who writes more than is read loses it, and goes on
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(order, loading))
    os._exit(0)  # threads that work for calls nobody waits for do not hold it up


if __name__ == "__main__":
    main()
