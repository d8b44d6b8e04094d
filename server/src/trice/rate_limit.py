"""Token buckets: how often something may happen.

source   instant-semantics §5.11; spec/rules.md R62-R66
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import ceil
from threading import Lock
from typing import Literal

from trice import limits
from trice.runtime import Runtime

RefillKind = Literal["greedy", "interval"]
"""greedy: tokens come back continuously · interval: all at the end of the period."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One bucket of tokens. It starts full."""

    capacity: int
    refill_amount: int
    period_ms: int
    refill_kind: RefillKind = "greedy"

    def fill_ms(self, tokens: float) -> float:
        """How long a bucket with `tokens` tokens takes to be full, in ms."""
        periods = (self.capacity - tokens) / self.refill_amount
        return self.period_ms * (periods if self.refill_kind == "greedy" else ceil(periods))


@dataclass(frozen=True, slots=True)
class Refusal:
    """There are too few tokens.

    retry_at_ms        wall clock when there will be enough; None if there never will be
    remaining_tokens   whole tokens left now
    """

    retry_at_ms: int | None
    remaining_tokens: int


@dataclass(slots=True)
class _Bucket:
    """The tokens as of `at_ms`. At `full_ms` the bucket is full again and may be forgotten."""

    tokens: float
    at_ms: float
    full_ms: float


class Buckets:
    """Every bucket of this process, by key. A full bucket need not be kept: a new one is full too.

    A key is a tuple; its first part names the owner of the bucket.
    Holds at most limits.RATE_BUCKETS_MAX. If there are more, the owner with most buckets loses
    some: full ones first, then those that would be full soonest. So a flood of new keys cannot
    refill a used bucket, nor remove buckets of another owner.
    Any thread may take: long reads and long transactions judge rules on threads.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._owners: dict[Hashable, dict[tuple[Hashable, RateLimit], _Bucket]] = {}
        self._count = 0
        self._lock = Lock()

    def take(self, key: Hashable, rates: Sequence[RateLimit], tokens: int = 1) -> Refusal | None:
        """Take `tokens` from the bucket that each of `rates` has for `key`, or from none of them.

        returns   None when there were enough; else the refusal of the slowest bucket
        """
        with self._lock:
            return self._take(key, rates, tokens)

    def owe(self, key: Hashable, rate: RateLimit, tokens: int) -> None:
        """Take `tokens` that may not be there yet, for what was done already. A bucket owes at most
        its capacity."""
        with self._lock:
            self._take(key, (rate,), 0)
            bucket = self._owners[key[0] if isinstance(key, tuple) else key].get((key, rate))
            if bucket is not None:  # else there are too many, of others
                bucket.tokens = max(bucket.tokens - tokens, -rate.capacity)
                bucket.full_ms = bucket.at_ms + rate.fill_ms(bucket.tokens)

    def give_back(self, key: Hashable, rates: Sequence[RateLimit], tokens: int = 1) -> None:
        """Undo a `take` that was not refused: its work begins anew and will take again."""
        with self._lock:
            now_ms = self._runtime.monotonic_ms()
            owned = self._owners.get(key[0] if isinstance(key, tuple) else key, {})
            for rate in rates:
                known = owned.get((key, rate))
                if known is not None:
                    bucket = self._current(known, rate, now_ms)
                    bucket.tokens = min(rate.capacity, bucket.tokens + tokens)
                    bucket.full_ms = bucket.at_ms + rate.fill_ms(bucket.tokens)

    def _take(self, key: Hashable, rates: Sequence[RateLimit], tokens: int) -> Refusal | None:
        now_ms = self._runtime.monotonic_ms()
        owned = self._owners.setdefault(key[0] if isinstance(key, tuple) else key, {})
        buckets = [self._current(owned.get((key, rate)), rate, now_ms) for rate in rates]
        refusals = [
            self._refusal(rate, bucket, tokens, now_ms)
            for rate, bucket in zip(rates, buckets, strict=True)
            if tokens and bucket.tokens < tokens
        ]
        if refusals:
            return max(refusals, key=lambda each: (each.retry_at_ms is None, each.retry_at_ms or 0))
        for rate, bucket in zip(rates, buckets, strict=True):
            bucket.tokens -= tokens
            bucket.full_ms = bucket.at_ms + rate.fill_ms(bucket.tokens)
            self._count += (key, rate) not in owned
            owned[key, rate] = bucket
        if self._count > limits.RATE_BUCKETS_MAX:
            self._shrink(now_ms)
        return None

    def _current(self, bucket: _Bucket | None, rate: RateLimit, now_ms: float) -> _Bucket:
        """The bucket, with the tokens that came back since it was last looked at."""
        if bucket is None:
            return _Bucket(rate.capacity, now_ms, now_ms)
        periods = (now_ms - bucket.at_ms) / rate.period_ms
        if rate.refill_kind == "interval":
            periods = float(int(periods))
        if periods > 0:
            bucket.tokens = min(rate.capacity, bucket.tokens + periods * rate.refill_amount)
            bucket.at_ms += periods * rate.period_ms
        return bucket

    def _refusal(self, rate: RateLimit, bucket: _Bucket, tokens: int, now_ms: float) -> Refusal:
        if tokens > rate.capacity:
            return Refusal(None, max(int(bucket.tokens), 0))
        periods = (tokens - bucket.tokens) / rate.refill_amount
        if rate.refill_kind == "interval":
            periods = float(ceil(periods))
        wait_ms = ceil(bucket.at_ms + periods * rate.period_ms - now_ms)
        left = max(int(bucket.tokens), 0)
        return Refusal(self._runtime.now_ms() + max(wait_ms, 1), left)

    def _shrink(self, now_ms: float) -> None:
        """Remove an eighth of all buckets, so that this is rare; owners with most lose first."""
        for owner in sorted(self._owners, key=lambda one: len(self._owners[one]), reverse=True):
            owned = self._owners[owner]
            last_full = sorted(owned.items(), key=lambda item: item[1].full_ms, reverse=True)
            kept = last_full[: len(owned) * 3 // 4]
            left = {key: bucket for key, bucket in kept if bucket.full_ms > now_ms}
            self._count -= len(owned) - len(left)
            self._owners[owner] = left
            if not left:
                del self._owners[owner]
            if self._count <= limits.RATE_BUCKETS_MAX * 7 // 8:
                break
