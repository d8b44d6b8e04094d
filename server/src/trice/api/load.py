"""How busy the server is: for scripts, load balancers and the page of metrics.

Only numbers are kept. A figure that costs more than reading a number is read at most once a second.
"""

from __future__ import annotations

import os
import resource
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from trice import limits
from trice.background import Background
from trice.memory import resident_bytes
from trice.runtime import Runtime

LAG_BOUNDS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""Upper bounds of the classes of lag; one more class counts what is longer."""

_LOOK_MS: Final = 1_000


@dataclass(slots=True)
class LoopLag:
    """How late the event loop was, as a caller at any moment would have found it.

    Holds the lag that a timer measured every limits.LAG_PROBE_MS: each of the last minute, and
    before that the number in each class. A stall counts once for each time the timer was due.
    """

    recent_ms: deque[float] = field(
        default_factory=lambda: deque(maxlen=limits.LAG_MINUTE_MS // limits.LAG_PROBE_MS)
    )
    by_class: list[int] = field(default_factory=lambda: [0] * (len(LAG_BOUNDS_MS) + 1))
    sum_ms: float = 0.0

    def note(self, late_ms: float) -> None:
        """Note that the timer rang so late."""
        for _ in range(limits.LAG_MINUTE_MS // limits.LAG_PROBE_MS):
            self.recent_ms.append(late_ms)
            self.by_class[bisect_left(LAG_BOUNDS_MS, late_ms)] += 1
            self.sum_ms += late_ms
            late_ms -= limits.LAG_PROBE_MS
            if late_ms <= 0:
                break

    def figures(self) -> dict[str, float]:
        """The lag of the last minute: `{"p50", "p99", "max"}`, in ms."""
        found = sorted(self.recent_ms) or [0.0]
        last = len(found) - 1
        parts = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
        return {name: round(found[round(last * part)], 1) for name, part in parts}


class Load:
    """Watches the loop. Does not hold what other parts count: see `figures`."""

    def __init__(self, runtime: Runtime) -> None:
        self.lag = LoopLag()
        self._runtime = runtime
        self._began_ms = runtime.monotonic_ms()
        self._looked_ms = float("-inf")
        self._process: dict[str, Any] = {}

    def start(self, background: Background) -> None:
        """Begin to measure: 10 µs ten times a second, a ten-thousandth of a processor."""
        background.every("loop-lag", limits.LAG_PROBE_MS, self.lag.note)

    def process(self) -> dict[str, Any]:
        """What the process uses, as of the last second; `None` where the system does not tell.

        `{"memory-bytes", "descriptors", "descriptors-max", "uptime-s"}`
        """
        now_ms = self._runtime.monotonic_ms()
        if now_ms - self._looked_ms >= _LOOK_MS:
            self._looked_ms = now_ms
            self._process = {
                "memory-bytes": resident_bytes(),
                "descriptors": _descriptors(),
                "descriptors-max": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
                "uptime-s": round((now_ms - self._began_ms) / 1000),
            }
        return self._process


def _descriptors() -> int | None:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1  # without the descriptor that reads the folder
        except OSError:
            continue
    return None
