"""Which network addresses belong to the public internet: all that requests of apps may go to."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

_TRANSLATED: Final = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
"""IPv6 forms of IPv4 addresses, in networks without IPv4 and from early IPv6. The IPv4 address in
them may be private: `64:ff9b::10.0.0.1`."""

_SPECIAL: Final = ipaddress.ip_network("192.0.0.0/24")
"""Of protocols (RFC 6890), and where some clouds have their metadata. To Python 3.11.7 most of it
is public."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found.sixtofour is not None or found.teredo is not None or found.is_site_local:
            return False
        if any(found in network for network in _TRANSLATED):
            return False
    if found in _SPECIAL:
        return False
    return found.is_global and not found.is_multicast


def look_up(host: str, port: int) -> list[str]:
    """The IP addresses of a host. Blocks; raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
