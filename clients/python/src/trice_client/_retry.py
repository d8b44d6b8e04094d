"""Whether a request that failed is sent again, and when. No I/O."""

from __future__ import annotations

from typing import Literal

from trice_client._errors import TriceError

Repeats = Literal["always", "unsent"]
"""`always`: it reads, or carries an event id, so that sending it twice does no harm. `unsent`: it
is sent again only where the server cannot have begun it."""

_WAIT_S = 0.25
_WAIT_S_MAX = 8.0
_ASKED_S_MAX = 300.0
_NOT_BEGUN = frozenset(("rate-limited", "overloaded", "functions-broken"))
_MAY_HAVE_BEGUN = frozenset(("timeout", "operation-timed-out", "conflict", "function-timeout"))
_GATEWAY_STATUSES = frozenset((408, 425, 502, 503, 504))


def may_repeat(error: TriceError, repeats: Repeats) -> bool:
    """Whether the same request may succeed, and may be sent again."""
    if error.code == "offline":
        return repeats == "always" or error.is_unsent
    if error.code in _NOT_BEGUN:
        return True
    if error.code in _MAY_HAVE_BEGUN:
        return repeats == "always"
    is_of_proxy = error.code == "unknown" and error.status in _GATEWAY_STATUSES
    return is_of_proxy and repeats == "always"


def wait_s(failures: int, random: float, error: TriceError) -> float:
    """How long to wait after so many failures; clients that failed together come back apart.

    random   from 0 to below 1
    """
    spread = (0.5 + random) * min(_WAIT_S_MAX, _WAIT_S * 2.0 ** (failures - 1))
    return max(spread, asked_s(error) or 0.0)


def asked_s(error: TriceError) -> float | None:
    """How long the server asks to wait, if it does and within reason."""
    asked = error.retry_after_s
    return None if asked is None else min(max(asked, 0.0), _ASKED_S_MAX)
