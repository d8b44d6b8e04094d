"""Who is asking. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from trice.protocol.ids import EntityId, uuid_text


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


ADMIN: Final = Identity("admin")
GUEST: Final = Identity("guest")


def caller_ip(peer: str, forwarded_for: str | None, *, trusted_proxies: int) -> str:
    """The address a request came from.

    peer             address at the other end of the connection
    forwarded_for    the `X-Forwarded-For` header; each proxy appends whom it heard the request from
    trusted_proxies  how many proxies stand before this server; what is further left in the header,
                     anybody may have written
    """
    if not trusted_proxies or not forwarded_for:
        return peer
    hops = [hop.strip() for hop in forwarded_for.split(",")]
    return hops[max(len(hops) - trusted_proxies, 0)]
