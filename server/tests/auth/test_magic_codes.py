"""Drawing codes (`trice.auth.magic_codes`); using them is tested over HTTP."""

from __future__ import annotations

from collections import Counter

import pytest

from support.runtime import FakeRuntime
from trice.auth.magic_codes import new_code

FIRST_UNFAIR = (2**64 // 1_000_000 * 1_000_000).to_bytes(8, "big")


class Drawn(FakeRuntime):
    """Randomness that the test has written down."""

    def __init__(self, *parts: bytes) -> None:
        super().__init__()
        self.parts = list(parts)

    def random_bytes(self, count: int) -> bytes:
        part = self.parts.pop(0)
        assert len(part) == count
        return part


@pytest.mark.rule("A40")
def test_codes_are_six_digits():
    assert new_code(Drawn((7).to_bytes(8, "big"))) == "000007"
    assert new_code(Drawn((1_999_999).to_bytes(8, "big"))) == "999999"


@pytest.mark.rule("A40")
def test_draws_that_would_favour_some_codes_are_drawn_again():
    last_fair = (int.from_bytes(FIRST_UNFAIR, "big") - 1).to_bytes(8, "big")
    assert new_code(Drawn(last_fair)) == "999999"
    runtime = Drawn(FIRST_UNFAIR, b"\xff" * 8, bytes(8))
    assert new_code(runtime) == "000000"
    assert runtime.parts == []


@pytest.mark.rule("A40")
def test_every_digit_is_as_likely_in_every_place():
    runtime = FakeRuntime(seed=4)
    codes = [new_code(runtime) for _ in range(20_000)]
    for place in range(6):
        counts = Counter(code[place] for code in codes)
        assert set(counts) == set("0123456789")
        # Five standard deviations: a place that favours a digit by a tenth is found.
        assert max(abs(count - 2_000) for count in counts.values()) < 5 * (2_000 * 0.9) ** 0.5
