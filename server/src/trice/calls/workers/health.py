"""Whether a process must be pinged, gets calls, or is ended, from what it showed. No I/O.

                   ┌────────────── held or silent for SILENT_MS: no new calls ──┐
open ──calls──> pinged every PING_MS ──pong, its loop turns──> open <───────────┘ it turns
                   ├── a call goes on CANCEL_GRACE_MS after it was told to end ──> ended
                   └── queries and mutations: held too long, or silent too long ──> ended
"""

from __future__ import annotations

from dataclasses import dataclass

from trice import function_limits as limits
from trice.functions.frames import Pong


@dataclass(frozen=True, slots=True)
class Verdict:
    """A process must end.

    guilty   the call that is the reason; None: not known
    reason   for the log of the app
    """

    guilty: int | None
    reason: str


class Health:
    """What is known of the state of one process. Times are of the monotonic clock, in ms.

    ended   calls that were told to end, and until when they may go on
    """

    def __init__(self, *, is_pure: bool) -> None:
        self.ended: dict[int, float] = {}
        self._is_pure = is_pure
        self._number = 0
        self._pinged_ms: float | None = None
        self._next_ping_ms = 0.0
        self._pong: Pong | None = None

    def begin(self, now_ms: float) -> None:
        """It has calls, after it had none."""
        self._pinged_ms = self._pong = None
        self._next_ping_ms = now_ms

    def ping(self, now_ms: float) -> int | None:
        """The number of a ping that is due. Not before the last one was answered."""
        if self._pinged_ms is not None or now_ms < self._next_ping_ms:
            return None
        self._pinged_ms = now_ms
        self._next_ping_ms = now_ms + limits.PING_MS
        self._number += 1
        return self._number

    def pong(self, pong: Pong) -> None:
        """It answered."""
        if pong.number == self._number:
            self._pinged_ms, self._pong = None, pong

    def is_quick(self, now_ms: float) -> bool:
        """Whether it may get another call."""
        held_ms = 0 if self._pong is None else self._pong.held_ms
        return max(held_ms, self._silent_ms(now_ms)) < limits.SILENT_MS

    def judge(self, now_ms: float) -> Verdict | None:
        """Whether it must end."""
        pong = self._pong
        for call, until_ms in self.ended.items():
            if now_ms < until_ms:
                continue
            holder = None if pong is None else pong.busy
            if holder is None or holder == call or holder in self.ended:
                return Verdict(call, "a call went on after it was told to end" + _where(pong))
            if self._is_pure:
                return Verdict(holder, "a call held the others" + _where(pong))
            # An action that blocks, and has time left: the one that is over waits with the others.
        if not self._is_pure:
            return None
        if pong is not None and pong.cpu_ms >= limits.CALL_CPU_MS:
            return Verdict(pong.busy, f"a call computed for {pong.cpu_ms} ms" + _where(pong))
        if pong is not None and pong.held_ms >= limits.BLOCKED_MS:
            return Verdict(pong.busy, f"a call blocked for {pong.held_ms} ms" + _where(pong))
        if self._silent_ms(now_ms) >= limits.SILENT_KILL_MS:
            return Verdict(None, "it was silent")
        return None

    def _silent_ms(self, now_ms: float) -> float:
        return 0.0 if self._pinged_ms is None else now_ms - self._pinged_ms


def _where(pong: Pong | None) -> str:
    if pong is None or not pong.stack:
        return ""
    file, line, function = pong.stack[-1]
    return f", at {file}:{line} in {function}"
