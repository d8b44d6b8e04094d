"""How long to wait before the next attempt to connect. No I/O.

source   clients/js/src/session/backoff.ts
"""

from __future__ import annotations

_WAIT_S_MAX = 30.0
_WAIT_S = 0.5
_FIRST_S_MAX = 0.25
_GOOD_S = 30.0
_RESTART_CODES = frozenset((1012, 1013))
_RESTART_S_MIN = 0.5
_RESTART_S_MAX = 5.0


class Backoff:
    """Counts failures in a row. Clients that a server lost together come back apart."""

    def __init__(self) -> None:
        self._failures = 0

    def next_s(self, code: int, lived_s: float, random: float) -> float:
        """The connection ended, or could not be made.

        code     with which the server closed it
        random   from 0 to below 1
        """
        if lived_s >= _GOOD_S:
            self._failures = 0
        failures = self._failures
        self._failures += 1
        if code in _RESTART_CODES and failures == 0:
            return _RESTART_S_MIN + random * (_RESTART_S_MAX - _RESTART_S_MIN)
        if failures == 0:
            return random * _FIRST_S_MAX
        return random * min(_WAIT_S_MAX, _WAIT_S * 2.0 ** min(failures, 10))
