"""Token buckets."""

from __future__ import annotations

from threading import Thread

import pytest

from support.runtime import FakeRuntime
from trice import limits
from trice.rate_limit import Buckets, RateLimit, Refusal

MINUTE = 60_000


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def buckets(runtime: FakeRuntime) -> Buckets:
    return Buckets(runtime)


@pytest.mark.rule("R62")
def test_greedy_buckets_fill_continuously(runtime: FakeRuntime, buckets: Buckets) -> None:
    rates = [RateLimit(10, 10, MINUTE)]
    assert all(buckets.take(("a",), rates) is None for _ in range(10))
    assert buckets.take(("a",), rates) == Refusal(runtime.now + 6_000, 0)
    assert buckets.take(("b",), rates) is None
    runtime.advance(6_000)
    assert buckets.take(("a",), rates) is None
    assert buckets.take(("a",), rates, 2) == Refusal(runtime.now + 12_000, 0)
    runtime.advance(MINUTE * 10)
    assert buckets.take(("a",), rates, 10) is None
    assert buckets.take(("a",), rates) is not None


@pytest.mark.rule("R62")
def test_interval_buckets_fill_at_the_end_of_a_period(
    runtime: FakeRuntime, buckets: Buckets
) -> None:
    rates = [RateLimit(4, 2, MINUTE, "interval")]
    assert buckets.take(("a",), rates, 4) is None
    runtime.advance(MINUTE - 1)
    assert buckets.take(("a",), rates) == Refusal(runtime.now + 1, 0)
    runtime.advance(1)
    assert buckets.take(("a",), rates, 3) == Refusal(runtime.now + MINUTE, 2)
    assert buckets.take(("a",), rates, 2) is None


@pytest.mark.rule("R63")
def test_all_limits_must_have_room_or_none_gives(runtime: FakeRuntime, buckets: Buckets) -> None:
    small, large = RateLimit(1, 1, 1_000), RateLimit(3, 3, MINUTE)
    assert buckets.take(("a",), [small, large]) is None
    assert buckets.take(("a",), [small, large]) == Refusal(runtime.now + 1_000, 0)
    assert buckets.take(("a",), [large], 2) is None
    assert buckets.take(("a",), [small, large]) == Refusal(runtime.now + 20_000, 0)


@pytest.mark.rule("R129")
def test_what_is_given_back_can_be_taken_again(runtime: FakeRuntime, buckets: Buckets) -> None:
    small, large = RateLimit(2, 2, 1_000), RateLimit(3, 3, MINUTE)
    buckets.give_back(("a",), [small])  # nobody took any
    assert buckets.take(("a",), [small, large], 2) is None
    buckets.give_back(("a",), [small, large], 2)
    assert buckets.take(("a",), [small, large], 2) is None
    assert buckets.take(("a",), [small]) == Refusal(runtime.now + 500, 0)
    runtime.advance(1_000)
    buckets.give_back(("a",), [small], 2)
    assert buckets.take(("a",), [small], 3) == Refusal(None, 2)


@pytest.mark.rule("R64")
def test_tokens_that_never_fit(buckets: Buckets) -> None:
    assert buckets.take(("a",), [RateLimit(5, 5, MINUTE)], 6) == Refusal(None, 5)


@pytest.mark.rule("R65")
def test_a_changed_limit_starts_full(buckets: Buckets) -> None:
    assert buckets.take(("a",), [RateLimit(1, 1, MINUTE)]) is None
    assert buckets.take(("a",), [RateLimit(1, 1, MINUTE)]) is not None
    assert buckets.take(("a",), [RateLimit(2, 1, MINUTE)]) is None


@pytest.mark.rule("R66")
def test_buckets_are_forgotten_full_ones_first(
    runtime: FakeRuntime, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RATE_BUCKETS_MAX", 8)
    short, long = [RateLimit(1, 1, 1_000)], [RateLimit(1, 1, MINUTE)]
    for key in range(4):
        assert buckets.take(("app", key), long) is None
    for key in range(4, 8):
        assert buckets.take(("app", key), short) is None
    runtime.advance(2_000)
    assert buckets.take(("app", 8), long) is None
    kept = (0, 1, 2, 3, 8)
    assert [buckets.take(("app", key), long) is None for key in kept] == [False] * 5
    assert [buckets.take(("app", key), short) is None for key in range(4, 8)] == [True] * 4


@pytest.mark.rule("R66")
def test_a_flood_of_keys_frees_no_bucket_that_is_used_up(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RATE_BUCKETS_MAX", 80)
    rates = [RateLimit(3, 3, MINUTE)]
    assert buckets.take(("app", "used up"), rates, 3) is None
    for key in range(1_000):
        assert buckets.take(("app", key), rates) is None
    assert buckets.take(("app", "used up"), rates) is not None


@pytest.mark.rule("R66")
def test_a_flood_of_one_frees_no_bucket_of_another(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RATE_BUCKETS_MAX", 80)
    little, much = [RateLimit(9, 9, 60 * MINUTE)], [RateLimit(1, 1, 1_000)]
    assert buckets.take(("sign-in", "victim"), much) is None
    for key in range(1_000):
        assert buckets.take(("app", key), little, 9) is None
    assert buckets.take(("sign-in", "victim"), much) is not None


@pytest.mark.rule("R66")
def test_threads_share_buckets(buckets: Buckets) -> None:
    rates = [RateLimit(1_000, 1, MINUTE)]
    taken: list[int] = []

    def work() -> None:
        taken.append(sum(buckets.take(("a",), rates) is None for _ in range(500)))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1_000
