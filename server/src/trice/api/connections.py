"""All HTTP connections: how long each may take, and how many bytes they may hold together.

    accepted --> idle <--> a request comes (head, body) --> answered --> idle
                  |              |                              |
                  |   late: 408, closed              not read: aborted
                  `--> becomes a WebSocket, or is closed to make room

Progress extends deadlines (limits.HTTP_BYTES_PER_SECOND_MIN). Their clock stands still while the
event loop does not run, so that a stall of the server ends no connection.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Hashable, Mapping
from typing import Final, Protocol

from trice import limits
from trice.background import Background
from trice.identity import caller_ip, network_of
from trice.log import fields
from trice.metrics import HttpCounts
from trice.runtime import Runtime
from trice.shares import ALL, Held, Shares

logger: Final = logging.getLogger("trice.http")

ALWAYS_ANSWERED: Final = frozenset(("/health", "/health/load", "/metrics"))
"""Paths that are answered even beyond the bounds, to tell an overloaded server from a dead one."""

Bounds = Mapping[Hashable, int]


class Connection(Protocol):
    """What an HTTP connection must offer.

    network   the network of the client; None behind proxies, where one connection carries the
              requests of many clients
    """

    network: str | None

    def check_time(self, now_ms: float) -> None:
        """End it if the client takes too long. `now_ms` is that of `Connections.now_ms`."""
        ...

    def close(self) -> None:
        """End it; bytes written before still leave."""
        ...

    def abort(self) -> None:
        """End it at once."""
        ...


def descriptors_for_apps(allowed: int) -> int:
    """How many of a process's descriptors databases may use."""
    needed = limits.APPS_OPEN_MAX * limits.APP_FILE_DESCRIPTORS
    few = min(int(allowed * limits.DESCRIPTORS_FOR_APPS), needed)
    return max(few, int(allowed * limits.DESCRIPTORS_FOR_APPS_OF_MANY))


def descriptors_for_sockets() -> tuple[int, int]:
    """How many connections may be open, and how many more until they were answered 503: what the
    system allows, without the descriptors for databases and the log."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        most = limits.SESSIONS_MAX + limits.HTTP_CONNECTIONS_MAX
        return most, limits.HTTP_EXTRA_CONNECTIONS_MAX
    of_apps = descriptors_for_apps(allowed)
    extra = min(allowed // 16, limits.HTTP_EXTRA_CONNECTIONS_MAX)
    return allowed - of_apps - min(allowed // 16, limits.DESCRIPTORS_SPARE) - extra, extra


class Connections:
    """Holds every HTTP connection of a server, which of them are idle, and how many bytes each
    network has in requests that are not whole and in answers it has not read.

    Does not hold WebSockets (the hub does), but counts their descriptors.
    At a bound, the connection that was idle longest is closed to make room, as no request is lost.
    If none is idle, the new one is one too many: it may ask for /health, else it is answered 503.

    now_ms   time since the start during which the loop ran
    wait_ms  lets other tasks run for so long
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        trusted_proxies: int = 0,
        sessions: Callable[[], int] = lambda: 0,
        has_room_for: Callable[[str], bool] = lambda ip: True,
        is_own_host: Callable[[str], bool] = lambda host: False,
    ) -> None:
        """
        sessions      counts the sessions, which are usually WebSockets
        has_room_for  whether one more session from this address may be opened
        is_own_host   whether a `Host` header names a host without sessions
        """
        self.counts = HttpCounts()
        self.now_ms = 0.0
        self.has_room_for = has_room_for
        self.is_own_host = is_own_host
        self.trusted_proxies = trusted_proxies
        self._runtime = runtime
        self.wait_ms = runtime.sleep_ms
        self._sessions = sessions
        self._checked_ms = runtime.monotonic_ms()
        self._told_refused = 0
        self._until_told = 0
        self._open: dict[Connection, None] = {}
        self._extra: dict[Connection, None] = {}
        self._idle: dict[str | None, dict[Connection, None]] = {}
        self._places = Shares()
        self._unfinished = Shares()
        self._unread = Shares()
        self._descriptors_max, self._extra_max = descriptors_for_sockets()

    def __len__(self) -> int:
        return len(self._open) + len(self._extra)

    @property
    def holds_nothing(self) -> bool:
        """Whether nothing is counted or kept. It must be so once all connections have ended."""
        shares = (self._places, self._unfinished, self._unread)
        return not self._idle and all(each.holds_nothing for each in shares)

    def start(self, background: Background) -> None:
        """Begin to check the deadlines."""
        background.every("http-connections", limits.HTTP_CHECK_MS, lambda _: self.check())

    # --- places ----------------------------------------------------------------------------------

    def admit(self, connection: Connection) -> bool:
        """A connection was made, and is idle. Returns False if it is one too many."""
        while not self._has_place(connection.network):
            if not self._make_room(connection.network):
                self._admit_extra(connection)
                return False
        self._open[connection] = None
        self._places.add(1, self._place(connection.network))
        self.idle(connection)
        return True

    def _has_place(self, network: str | None) -> bool:
        has_descriptors = len(self._open) + self._sessions() < self._descriptors_max
        return has_descriptors and self._places.has_room(1, self._place(network))

    def _place(self, network: str | None) -> Bounds:
        bounds: dict[Hashable, int] = {ALL: limits.HTTP_CONNECTIONS_MAX}
        if network is not None:
            bounds[network,] = limits.HTTP_CONNECTIONS_OF_NETWORK_MAX
        return bounds

    def _make_room(self, network: str | None) -> bool:
        """Close an idle connection: one of the same network if that has its share already, else one
        of the network with most of them."""
        full = limits.HTTP_CONNECTIONS_OF_NETWORK_MAX
        if network is not None and self._places.used((network,)) >= full:
            idle = self._idle.get(network)
        else:
            idle = max(self._idle.values(), key=len, default=None)
        if not idle:
            return False
        oldest = next(iter(idle))
        self.counts.closed_idle += 1
        self.forget(oldest)
        oldest.close()
        return True

    def _admit_extra(self, connection: Connection) -> None:
        self.counts.refused += 1
        if len(self._extra) >= self._extra_max:
            oldest = next(iter(self._extra))
            self.forget(oldest)
            oldest.abort()
        self._extra[connection] = None

    def idle(self, connection: Connection) -> None:
        """No request of the connection is under way."""
        if connection in self._open:
            self._idle.setdefault(connection.network, {})[connection] = None

    def busy(self, connection: Connection) -> None:
        """A request began."""
        idle = self._idle.get(connection.network)
        if idle is not None and idle.pop(connection, self) is None and not idle:
            del self._idle[connection.network]

    def forget(self, connection: Connection) -> None:
        """The connection has ended, or became a WebSocket. Safe to call twice."""
        self.busy(connection)
        self._extra.pop(connection, None)
        if self._open.pop(connection, self) is None:
            self._places.give_back(1, self._place(connection.network))

    # --- bytes -----------------------------------------------------------------------------------

    def unfinished(self) -> Held:
        """A counter for the bytes of one connection's requests that are not whole yet."""
        return Held(
            self._unfinished,
            total=limits.UNFINISHED_BYTES_MAX,
            share=limits.UNFINISHED_BYTES_OF_NETWORK_MAX,
        )

    def unread(self) -> Held:
        """A counter for the bytes of one connection's answers that have not left yet."""
        return Held(
            self._unread,
            total=limits.HTTP_UNREAD_BYTES_MAX,
            share=limits.HTTP_UNREAD_BYTES_OF_NETWORK_MAX,
        )

    @property
    def unfinished_bytes(self) -> int:
        return self._unfinished.used(ALL)

    @property
    def unread_bytes(self) -> int:
        return self._unread.used(ALL)

    def network_of(self, peer: str, forwarded_for: list[str]) -> str:
        """The network that a request comes from."""
        return network_of(caller_ip(peer, forwarded_for, trusted_proxies=self.trusted_proxies))

    # --- time ------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check the deadlines of all connections."""
        now_ms = self._runtime.monotonic_ms()
        self.now_ms += min(now_ms - self._checked_ms, 2 * limits.HTTP_CHECK_MS)
        self._checked_ms = now_ms
        for connection in [*self._open, *self._extra]:
            try:
                connection.check_time(self.now_ms)
            except Exception:
                # One broken transport must not stop the check of all the others.
                logger.exception("connection check failed")
        self._tell()

    def _tell(self) -> None:
        """Log at most one line a minute, however many connections were refused."""
        self._until_told -= 1
        refused = self.counts.refused - self._told_refused
        if refused and self._until_told <= 0:
            self._told_refused = self.counts.refused
            self._until_told = limits.LOG_REPEAT_MS // limits.HTTP_CHECK_MS
            logger.warning(
                "connections refused %s",
                fields(count=refused, http=len(self), sessions=self._sessions()),
            )
