"""The processes of one version of an app's functions, and the calls that wait for them: one pool
for queries and mutations, one for actions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from math import inf

from trice import function_limits as limits
from trice.calls.side import AppCode
from trice.calls.workers.process import Process, State
from trice.functions.frames import LoadError


@dataclass(slots=True, eq=False)
class Waiter:
    """A call that waits for a place.

    is_alone   it gets a process for itself: it is isolated, or was in a process that died, and may
               be why
    """

    is_alone: bool
    place: asyncio.Future[Process]


@dataclass(slots=True, eq=False)
class Pool:
    """Holds processes of one app and kind, and what waits for a place in one. Starts none.

    loading        processes of it that load the bundle now, and whether for calls that are alone
    failed_loads   loads in a row that failed
    failed_ms      when the last one did
    errors         why
    start_number   of its last process, in the order of all starts; who never had one comes first
    dangerous      functions that ended a process, and when
    """

    code: AppCode
    is_pure: bool
    processes_max: int
    processes: list[Process] = field(default_factory=list)
    line: deque[Waiter] = field(default_factory=deque)
    alone_line: deque[Waiter] = field(default_factory=deque)
    loading: int = 0
    loading_alone: int = 0
    failed_loads: int = 0
    failed_ms: float = -inf
    errors: list[LoadError] = field(default_factory=list)
    is_old: bool = False
    start_number: int = 0
    dangerous: dict[str, float] = field(default_factory=dict)

    @property
    def places(self) -> int:
        """Calls at a time in one process."""
        return limits.PURE_CALLS if self.is_pure else limits.ACTING_CALLS

    @property
    def waiting(self) -> int:
        return len(self.line) + len(self.alone_line)

    @property
    def has_processes(self) -> bool:
        return bool(self.processes or self.loading or self.loading_alone)

    def is_needless(self, now_ms: float) -> bool:
        """Whether it has nothing, and knows nothing that matters."""
        if self.has_processes or self.waiting:
            return False
        is_known = now_ms - self.failed_ms < 2 * limits.BROKEN_MS
        newest_ms = max(self.dangerous.values(), default=-inf)
        return self.is_old or not (is_known or now_ms - newest_ms < limits.DANGEROUS_MS)

    def is_broken(self, now_ms: float) -> bool:
        """Whether calls are refused without another try."""
        is_recent = now_ms - self.failed_ms < limits.BROKEN_MS
        return self.failed_loads >= limits.LOADS_MAX and is_recent

    def note_danger(self, function: str, now_ms: float) -> None:
        """A function ended its process, or had to be ended with it."""
        self.dangerous.pop(function, None)
        self.dangerous[function] = now_ms
        if len(self.dangerous) > limits.DANGEROUS_KEPT_MAX:
            del self.dangerous[next(iter(self.dangerous))]

    def is_dangerous(self, function: str, now_ms: float) -> bool:
        """Whether calls of a function get a process for themselves from the start."""
        return now_ms - self.dangerous.get(function, -inf) < limits.DANGEROUS_MS

    def find(self, *, is_alone: bool) -> Process | None:
        """A process with a place: the emptiest; for a call that is alone, one kept for those."""
        most = 1 if is_alone else self.places
        open_ones = [
            each
            for each in self.processes
            if each.is_alone == is_alone and each.load_of_calls < most and each.is_quick
        ]
        return min(open_ones, key=lambda each: each.load_of_calls, default=None)

    def serve(self) -> None:
        """Give what is free to those who wait, in their order."""
        for line, is_alone in ((self.line, False), (self.alone_line, True)):
            while line:
                if line[0].place.done():  # gave up
                    line.popleft()
                    continue
                process = self.find(is_alone=is_alone)
                if process is None:
                    break
                process.promise()
                line.popleft().place.set_result(process)

    def wants(self) -> bool | None:
        """Whether it wants one more process: for calls that are alone (True), for the others
        (False), or none (None)."""
        alone = [each for each in self.processes if each.is_alone and each.state is State.OPEN]
        # Queries and mutations that are alone come one after the other; actions may take an hour.
        has_room = len(alone) < (1 if self.is_pure else self.processes_max)
        is_free = any(each.load_of_calls == 0 for each in alone)
        if self.alone_line and not self.loading_alone and has_room and not is_free:
            return True
        if self.loading or (self.is_old and not self.line):
            return None
        usable = [each for each in self.processes if each.state is State.OPEN and not each.is_alone]
        if len(usable) >= self.processes_max:
            return None
        least = min((each.load_of_calls for each in usable), default=0)
        return False if self.line or (usable and least >= limits.GROW_AT) else None

    def fail_waiting(self, failure: Exception) -> None:
        """Nobody gets a place."""
        for line in (self.line, self.alone_line):
            while line:
                waiter = line.popleft()
                if not waiter.place.done():
                    waiter.place.set_exception(failure)
