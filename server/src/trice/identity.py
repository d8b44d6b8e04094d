"""Who is asking. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller of one operation, established by a token before anything else happens.

    kind     "admin": holds the app's admin token, no rule applies · "guest": nobody signed in
    """

    kind: Literal["admin", "guest"]

    @property
    def is_admin(self) -> bool:
        return self.kind == "admin"

    @property
    def rights(self) -> str:
        """Equal for identities that may see the same: they share live answers."""
        return self.kind

    @property
    def name(self) -> str:
        """How the transaction log and log lines call this identity."""
        return self.kind


ADMIN: Final = Identity("admin")
GUEST: Final = Identity("guest")
