"""Who is asking. No I/O."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from trice.protocol.ids import EntityId, uuid_text

TurnKey = tuple[str, str]
"""A network, and who asks from there. Anybody can be many in one network; few have many."""

SERVER: Final[TurnKey] = ("server", "")
"""The server itself, for its own sake."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller of one operation, established by a token before anything else happens.

    kind     "admin": holds the app's admin token, no rule applies · "user": signed in, be it with
             a guest account · "guest": nobody signed in
    user_id  the `$users` entity of a "user"; None for the others
    ip       address of the caller, "" if unknown (`request.ip` in rules)
    origin   its `Origin` header, "" if it sent none (`request.origin` in rules)
    """

    kind: Literal["admin", "user", "guest"]
    user_id: EntityId | None = None
    ip: str = ""
    origin: str = ""

    @property
    def is_admin(self) -> bool:
        return self.kind == "admin"

    @property
    def name(self) -> str:
        """How the transaction log and log lines call this identity."""
        return self.kind if self.user_id is None else f"user:{uuid_text(self.user_id)}"

    @property
    def turn_key(self) -> TurnKey:
        """Whose turn its long work takes."""
        return ("admin", "") if self.is_admin else (network_of(self.ip), self.name)


ADMIN: Final = Identity("admin")
GUEST: Final = Identity("guest")


@functools.lru_cache(maxsize=4_096)
def network_of(ip: str) -> str:
    """The network one customer has: an IPv4 address, the first 64 bits of an IPv6 one.

    cost   2 µs; 0.05 µs for an address asked about lately: every transaction asks
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip[:64]
    if address.version == 4:
        return ip
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else address.packed[:8].hex()


def caller_ip(peer: str, forwarded_for: Sequence[str], *, trusted_proxies: int) -> str:
    """The address a request came from.

    peer             address at the other end of the connection
    forwarded_for    the `X-Forwarded-For` headers, every one: some proxies append to the one they
                     got, others add another. Each appends whom it heard the request from
    trusted_proxies  how many proxies stand before this server; what is further left in the headers,
                     anybody may have written
    """
    hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
    if not trusted_proxies or not any(hops):
        return peer
    return _without_port(hops[max(len(hops) - trusted_proxies, 0)])


def _without_port(hop: str) -> str:
    """`192.0.2.7:4711` and `[2001:db8::1]:4711`, as some proxies write it, without the port: with
    it every connection would count as an address of its own."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
