"""Log lines for queries and transactions that took long, one each, with what made them long.

A line has names of apps, namespaces and indexes, and numbers; never values, which are private.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final

from trice import limits
from trice.log import fields
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.slow")

_MINUTE_MS: Final = 60_000


class SlowLog:
    """Decides what is slow, and how much of it is written down. Used from every thread.

    count   how many were slow since the start
    """

    def __init__(self, runtime: Runtime, *, slow_ms: int = 0) -> None:
        """slow_ms   what takes this long is slow; 0: nothing is"""
        self.count = 0
        self.now_ms = runtime.monotonic_ms
        """The clock. Ask it when a query or transaction begins, and hand the time to `ended`."""
        self._slow_ms = float(slow_ms) if slow_ms else float("inf")
        self._lock = Lock()
        self._minute_began_ms = 0.0
        self._lines = 0
        self._by_app: dict[str, int] = {}

    def ended(
        self,
        kind: str,
        app_id: str,
        began_ms: float,
        details: Callable[..., Mapping[str, Any]],
        *arguments: Any,
    ) -> None:
        """Note the end of what began at `began_ms`. Costs 0.3 µs if it was not slow.

        details   makes what stands beside the duration from `arguments`; called only if a line is
                  written
        """
        took_ms = self.now_ms() - began_ms
        if took_ms < self._slow_ms:
            return
        with self._lock:
            self.count += 1
            left_out = self._take_line(app_id)
        if left_out is None:
            return
        more = {"left-out": left_out} if left_out else {}
        line = fields(app=app_id, kind=kind, ms=round(took_ms, 1), **details(*arguments), **more)
        logger.warning("slow %s", line)

    def _take_line(self, app_id: str) -> int | None:
        """Count one line. None when the app, or all apps, had enough lines in this minute. Else how
        many were left out in the minute before, if this line begins a new one, or 0."""
        now_ms = self.now_ms()
        left_out = 0
        if now_ms - self._minute_began_ms >= _MINUTE_MS:
            left_out = sum(self._by_app.values()) - self._lines
            self._minute_began_ms = now_ms
            self._lines = 0
            self._by_app.clear()
        count = self._by_app[app_id] = self._by_app.get(app_id, 0) + 1
        if count > limits.SLOW_LINES_PER_APP_MAX or self._lines >= limits.SLOW_LINES_MAX:
            return None
        self._lines += 1
        return left_out
