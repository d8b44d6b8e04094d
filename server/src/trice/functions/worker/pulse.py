"""The thread that answers pings, also while the loop is held. When the server's end closes, it
ends the process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from dataclasses import dataclass
from typing import Final

from trice import function_limits as limits
from trice.functions import frames
from trice.functions.worker.framing import dump_frame, worker_reader
from trice.functions.worker.metering import Steps
from trice.runtime import SystemRuntime, cpu_ms_of

STACK_LINES_MAX: Final = 20
_READ_BYTES: Final = 4_096


@dataclass(slots=True)
class _Asked:
    """The loop was asked to turn.

    at_ms    when, by the monotonic clock
    cpu_ms   processor time of its thread then
    """

    at_ms: float
    cpu_ms: float


class Pulse:
    """Knows whether the loop turns: each ping asks it to, unless one that it has not heard did."""

    def __init__(self, sock: socket.socket, steps: Steps) -> None:
        self._socket = sock
        self._steps = steps
        self._runtime = SystemRuntime()
        self._loop = asyncio.get_running_loop()
        self._loop_thread: Final = threading.get_ident()
        self._asked: _Asked | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def _run(self) -> None:
        reader = worker_reader()
        try:
            while data := self._socket.recv(_READ_BYTES):
                for frame, _ in reader.feed(data):
                    if isinstance(frame, frames.Ping):
                        self._socket.sendall(dump_frame(self._pong(frame.number)))
        finally:
            os._exit(0)  # the server is gone; nobody would hear how this ends

    def _pong(self, number: int) -> frames.Pong:
        now_ms, cpu_ms = self._runtime.monotonic_ms(), cpu_ms_of(self._loop_thread)
        asked = self._asked
        if asked is None:
            self._asked = _Asked(now_ms, cpu_ms)
            self._loop.call_soon_threadsafe(self._turned)
            return self._pong_of_threads(number)
        return frames.Pong(
            number=number,
            held_ms=round(now_ms - asked.at_ms),
            cpu_ms=round(cpu_ms - asked.cpu_ms),
            busy=self._steps.running,
            stack=self._stack(self._loop_thread),
        )

    def _pong_of_threads(self, number: int) -> frames.Pong:
        """The loop turns. What a thread computes counts like the steps of its call; one whose call
        was told to end, and goes on, is named."""
        for thread, work in list(self._steps.threads.items()):
            meter, spent_ms = work.meter, work.spent_ms(thread)
            meter.look(spent_ms)
            is_long = spent_ms > meter.most_ms + limits.CANCEL_GRACE_MS
            if meter.is_over or is_long:
                return frames.Pong(
                    number=number,
                    cpu_ms=round(spent_ms) if is_long else 0,
                    busy=meter.call,
                    stack=self._stack(thread),
                )
        return frames.Pong(number=number)

    def _turned(self) -> None:
        self._asked = None

    def _stack(self, thread: int) -> list[tuple[str, int, str]]:
        """Where a thread is, innermost last."""
        frame = sys._current_frames().get(thread)
        found: list[tuple[str, int, str]] = []
        while frame is not None and len(found) < STACK_LINES_MAX:
            code = frame.f_code
            found.append((self._shown(code.co_filename), frame.f_lineno, code.co_name))
            frame = frame.f_back
        return found[::-1]

    def _shown(self, file: str) -> str:
        """A file of the project by its path in it: where the server keeps it is nobody's news."""
        root = self._steps.root
        return file if root is None else file.removeprefix(f"{root}/")
