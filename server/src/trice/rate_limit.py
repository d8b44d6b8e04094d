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

    @property
    def fill_ms(self) -> float:
        """How long an empty bucket takes to be full."""
        periods = self.capacity / self.refill_amount
        return self.period_ms * (periods if self.refill_kind == "greedy" else ceil(periods))


@dataclass(frozen=True, slots=True)
class Refusal:
    """There are too few tokens.

    retry_at_ms        wall clock when there will be enough; None when there never will
    remaining_tokens   whole tokens left now
    """

    retry_at_ms: int | None
    remaining_tokens: int


@dataclass(slots=True)
class _Bucket:
    """tokens as of `at_ms`; full again at `full_ms`, after which it may be forgotten."""

    tokens: float
    at_ms: float
    full_ms: float


class Buckets:
    """Every bucket of this process, by key. One that is full again is as good as none.

    Holds at most limits.RATE_BUCKETS_MAX; beyond, full ones leave first, then the oldest.
    Any thread may take: long reads and long transactions judge rules away from the loop.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._buckets: dict[tuple[Hashable, RateLimit], _Bucket] = {}
        self._lock = Lock()

    def take(self, key: Hashable, rates: Sequence[RateLimit], tokens: int = 1) -> Refusal | None:
        """Take `tokens` from the bucket that each of `rates` has for `key`, or from none of them.

        returns   None when there were enough; else why not, by the slowest
        """
        with self._lock:
            return self._take(key, rates, tokens)

    def _take(self, key: Hashable, rates: Sequence[RateLimit], tokens: int) -> Refusal | None:
        now_ms = self._runtime.monotonic_ms()
        buckets = [self._current((key, rate), now_ms) for rate in rates]
        refusals = [
            self._refusal(rate, bucket, tokens, now_ms)
            for rate, bucket in zip(rates, buckets, strict=True)
            if bucket.tokens < tokens
        ]
        if refusals:
            return max(refusals, key=lambda each: (each.retry_at_ms is None, each.retry_at_ms or 0))
        for rate, bucket in zip(rates, buckets, strict=True):
            bucket.tokens -= tokens
            bucket.full_ms = now_ms + rate.fill_ms
            self._buckets[key, rate] = bucket
        if len(self._buckets) > limits.RATE_BUCKETS_MAX:
            self._shrink(now_ms)
        return None

    def _current(self, key: tuple[Hashable, RateLimit], now_ms: float) -> _Bucket:
        """The bucket with what came back since it was last looked at."""
        rate = key[1]
        bucket = self._buckets.get(key)
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
            return Refusal(None, int(bucket.tokens))
        periods = (tokens - bucket.tokens) / rate.refill_amount
        if rate.refill_kind == "interval":
            periods = float(ceil(periods))
        wait_ms = ceil(bucket.at_ms + periods * rate.period_ms - now_ms)
        return Refusal(self._runtime.now_ms() + max(wait_ms, 1), int(bucket.tokens))

    def _shrink(self, now_ms: float) -> None:
        full = [key for key, bucket in self._buckets.items() if bucket.full_ms <= now_ms]
        for key in full or list(self._buckets)[: len(self._buckets) // 4]:
            del self._buckets[key]
