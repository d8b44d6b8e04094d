"""The identity of a caller, and its network. No I/O."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from trice.protocol.ids import EntityId, uuid_text

TurnKey = tuple[str, str]
"""A network, and the identity that asks from there. Anybody can have many identities in one
network, but few have many networks."""

SERVER: Final[TurnKey] = ("server", "")
"""Work of the server itself, which no caller asked for."""


_HOOK: Final = "hook:"
_CAUSED: Final = "<"
"""No name of a function has it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller of one operation, established by a token before anything else happens.

    kind     "admin": has the app's admin token, no rule applies · "user": signed in, maybe with
             a guest account · "guest": not signed in
    user_id  the `$users` entity of a "user"; None for the others
    ip       address of the caller, "" if unknown (`request.ip` in rules)
    origin   its `Origin` header, "" if it sent none (`request.origin` in rules)
    hook     of an "admin": the function that follows changes and that asks, and the hooks that led
             to the change, newest first: `a.f<b.g`; "" for all others
    """

    kind: Literal["admin", "user", "guest"]
    user_id: EntityId | None = None
    ip: str = ""
    origin: str = ""
    hook: str = ""

    @property
    def is_admin(self) -> bool:
        return self.kind == "admin"

    @property
    def name(self) -> str:
        """The name of this identity in the transaction log and in log lines."""
        if self.hook:
            return f"{_HOOK}{self.hook}"
        return self.kind if self.user_id is None else f"user:{uuid_text(self.user_id)}"

    @property
    def turn_key(self) -> TurnKey:
        """The turn in which long work of this identity runs."""
        return ("admin", "") if self.is_admin else (network_of(self.ip), self.name)


ADMIN: Final = Identity("admin")
GUEST: Final = Identity("guest")


def hook_identity(name: str, causes: Sequence[str] = ()) -> Identity:
    """Who a function is that follows changes, and what it runs: its own writes are told from those
    of others by it.

    causes   the hooks whose writes led to the change, newest first
    """
    return Identity("admin", hook=_CAUSED.join((name, *causes)))


def hooks_of(identity_name: str) -> tuple[str, ...]:
    """The hooks that led to what an identity wrote, newest first: itself, and its causes."""
    if not identity_name.startswith(_HOOK):
        return ()
    return tuple(identity_name.removeprefix(_HOOK).split(_CAUSED))


@functools.lru_cache(maxsize=4_096)
def network_of(ip: str) -> str:
    """The network of one customer: an IPv4 address, or the first 64 bits of an IPv6 address.

    cost   2 µs; 0.05 µs for an address that was asked about lately, as each transaction asks
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
    forwarded_for    all `X-Forwarded-For` headers: some proxies append to the header they got,
                     others add another. Each proxy appends the address it got the request from
    trusted_proxies  how many proxies stand before this server; addresses further left may be forged
    """
    hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
    if not trusted_proxies or not any(hops):
        return peer
    return _without_port(hops[max(len(hops) - trusted_proxies, 0)])


def _without_port(hop: str) -> str:
    """An address without the port that some proxies add: `192.0.2.7:4711`, `[2001:db8::1]:4711`.
    With the port, every connection would count as an address of its own."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
