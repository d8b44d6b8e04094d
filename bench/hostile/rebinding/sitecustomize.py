"""Names that move: the DNS of an attacker, for a server that has this folder in its `PYTHONPATH`.

The first look-up of `NAME.rebinding.test` finds a public address, each later one this machine.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import Any

_real = socket.getaddrinfo
_seen: Counter[str] = Counter()


def _look_up(host: Any, *args: Any, **options: Any) -> Any:
    if not isinstance(host, str) or not host.endswith(".rebinding.test"):
        return _real(host, *args, **options)
    _seen[host] += 1
    return _real("8.8.8.8" if _seen[host] == 1 else "127.0.0.1", *args, **options)


socket.getaddrinfo = _look_up
