"""The thread on which a writer waits for the disk: calls in order, nothing handed back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Final, Protocol

_NAME: Final = "trice-writer"


class Apart(Protocol):
    """Where calls run beside the loop, one after another: a thread, or what a test plays as one."""

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call`, after those before it. It may not raise."""

    def finish(self) -> None:
        """Wait for the submitted calls; no call may be submitted afterwards."""


class WriterThread:
    """Runs calls one after another.

    Holds the calls that wait; the writer never has more than one under way. Does not hold results
    or failures: each call reports to the loop by itself. It is only a queue. What a
    `ThreadPoolExecutor` adds (a future with its condition, two locks) every COMMIT would pay twice:
    while it runs on the thread, the loop waits for the interpreter.

    The thread starts with the first call: an app without writes has none. It does not keep the
    process alive; a COMMIT that is cut off is undone when the file is opened again.
    """

    __slots__ = ("_calls", "_worker")

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._worker: Thread | None = None

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call` on the thread, after those before it. It may not raise."""
        if self._worker is None:
            self._worker = Thread(target=self._run, name=_NAME, daemon=True)
            self._worker.start()
        self._calls.put(call)

    def finish(self) -> None:
        """Wait for the submitted calls; no call may be submitted afterwards."""
        if self._worker is not None:
            self._calls.put(None)
            self._worker.join()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            # The loop that a call reports to may be closed: then nothing waits for the report.
            with suppress(RuntimeError):
                call()
