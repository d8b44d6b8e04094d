"""How often sign-in may be tried: for each e-mail address of an app, and from each network.

source   instant-http §6.4; spec/auth.md A50-A55
"""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final, Literal

from trice import auth_limits, limits
from trice.catalog.dates import iso_text
from trice.errors import LimitExceeded
from trice.identity import network_of
from trice.rate_limit import Buckets, RateLimit
from trice.runtime import Runtime

_HOUR_MS: Final = 3600 * 1000
_MINUTE_MS: Final = 60 * 1000


def _per_hour(count: int) -> RateLimit:
    return RateLimit(count, count, _HOUR_MS)


SENDS: Final = _per_hour(auth_limits.MAGIC_CODE_SENDS_PER_HOUR)
SENDS_TO: Final = _per_hour(auth_limits.MAGIC_CODE_SENDS_PER_HOUR_OF_RECIPIENT)
EPHEMERAL_SENDS_TO: Final = _per_hour(auth_limits.EPHEMERAL_SENDS_PER_HOUR_OF_RECIPIENT)
EPHEMERAL_SENDS: Final = _per_hour(auth_limits.EPHEMERAL_SENDS_PER_HOUR)
_EPHEMERAL_APPS: Final = _per_hour(limits.EPHEMERAL_APPS_OF_NETWORK_PER_HOUR)
VERIFIES: Final = _per_hour(auth_limits.MAGIC_CODE_VERIFIES_PER_HOUR)
SIGN_INS: Final = _per_hour(auth_limits.SIGN_INS_OF_NETWORK_PER_HOUR)
TOKEN_CHECKS: Final = RateLimit(
    auth_limits.TOKEN_CHECKS_OF_NETWORK_PER_MINUTE,
    auth_limits.TOKEN_CHECKS_OF_NETWORK_PER_MINUTE,
    _MINUTE_MS,
)


@dataclass(frozen=True, slots=True)
class Throttle:
    """Counts tries. Raises LimitExceeded("rate-limited"), which says when to try again."""

    buckets: Buckets
    runtime: Runtime

    def send(self, app_id: str, email: str, *, is_ephemeral: bool) -> None:
        """Count a code sent to an e-mail address of an app."""
        problem = "Too many verification codes requested for this email."
        self.take(("magic-code-send", app_id, email), SENDS, problem)
        if not is_ephemeral:
            self.take(("magic-code-send", email), SENDS_TO, problem)
        else:
            # Counted apart: else throw-away apps could lock a user out of lasting ones.
            self.take(("ephemeral-send", email), EPHEMERAL_SENDS_TO, problem)
            problem = "The throw-away apps of this server have sent too many e-mails."
            self.take(("ephemeral-send",), EPHEMERAL_SENDS, problem)

    def verify(self, app_id: str, email: str) -> None:
        """Count a try to use a code of an e-mail address of an app."""
        problem = "Too many verification codes tried for this email."
        self.take(("magic-code-verify", app_id, email), VERIFIES, problem)

    def sign_in(self, kind: Literal["send", "verify", "guest"], ip: str) -> None:
        """Count a sign-in of one kind from the network of an address."""
        problem = "Too many sign-ins from this network address."
        self.take_network(f"sign-in-{kind}", ip, SIGN_INS, problem)

    def token_check(self, ip: str) -> None:
        """Count a look-up of a token for the network of an address."""
        problem = "Too many tokens checked from this network address."
        self.take_network("token-check", ip, TOKEN_CHECKS, problem)

    def new_app(self, ip: str, *, attrs: int = 0) -> None:
        """Count a throw-away app made from the network of an address, by the disk its schema takes.

        attrs   how many its schema declares
        """
        problem = "Too many throw-away apps made from this network address."
        tokens = 1 + attrs // limits.EPHEMERAL_ATTRS_A_TOKEN
        self.take_network("ephemeral-app", ip, _EPHEMERAL_APPS, problem, tokens=tokens)

    def take_network(
        self, kind: str, ip: str, rate: RateLimit, problem: str, *, tokens: int = 1
    ) -> None:
        """Count one try from the network of an address, and from the site around it. Raises as
        `take`."""
        self.take((kind, network_of(ip)), rate, problem, tokens=tokens)
        site = site_of(ip)
        if site is not None:
            factor = limits.IPV6_SITE_FACTOR
            wide = replace(
                rate, capacity=rate.capacity * factor, refill_amount=rate.refill_amount * factor
            )
            self.take((kind, site), wide, problem, tokens=tokens)

    def take(self, key: Hashable, rate: RateLimit, problem: str, *, tokens: int = 1) -> None:
        """Count one try of `key`.

        tokens    how many tries it counts for
        problem   the sentence that a refusal begins with
        raises    LimitExceeded with hint {"retry-at", "retry-after" (ms), "remaining-tokens"}
        """
        refusal = self.buckets.take(key, (rate,), tokens)
        if refusal is None:
            return
        assert refusal.retry_at_ms is not None, "one token fits into every bucket"
        retry_at = iso_text(refusal.retry_at_ms)
        hint = {
            "retry-at": retry_at,
            "retry-after": max(refusal.retry_at_ms - self.runtime.now_ms(), 1),
            "remaining-tokens": refusal.remaining_tokens,
        }
        raise LimitExceeded("rate-limited", f"{problem} Try again after {retry_at}.", hint)


def site_of(ip: str) -> str | None:
    """The first 48 bits of an IPv6 address: one customer may have many networks in them."""
    try:
        address = ipaddress.IPv6Address(ip)
    except ValueError:
        return None
    return None if address.ipv4_mapped is not None else address.packed[:6].hex()
