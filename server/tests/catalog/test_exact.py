"""Exact sums: against fractions, whatever the order."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from trice.catalog.exact import ExactSum, pack_units, plain_number, units_of, unpack_units

HARD = [0.1, 0.2, -0.3, 1e308, -1e308, 5e-324, 2**63 - 1, -(2**63), 1e16, 1.0, -0.0, 2.5, 0, 3]


def close_to(value: Fraction) -> float | None:
    """The float next to it, None when it is beyond every float."""
    try:
        return float(value)
    except OverflowError:
        return None


@pytest.mark.rule("Q114")
@pytest.mark.parametrize("seed", range(20))
def test_what_is_added_in_any_order_and_taken_away_leaves_no_trace(seed: int) -> None:
    draw = random.Random(seed)
    values = [draw.choice((*HARD, draw.uniform(-1e9, 1e9))) for _ in range(30)]
    kept = ExactSum()
    for value in values:
        kept.add(value)
    gone = draw.sample(range(len(values)), 12)
    for index in gone:
        kept.take(values[index])
    rest = [value for index, value in enumerate(values) if index not in gone]
    story = f"seed {seed}"
    exact = sum(map(Fraction, rest), Fraction())
    assert kept.total() == close_to(exact), story
    assert kept.mean() == close_to(exact / len(rest)), story
    other = ExactSum()
    for value in draw.sample(rest, len(rest)):
        other.add(value)
    assert (other.total(), other.mean()) == (kept.total(), kept.mean()), story


@pytest.mark.rule("Q114")
def test_a_sum_beyond_every_float_is_none() -> None:
    kept = ExactSum()
    for _ in range(2):
        kept.add(1.7e308)
    assert (kept.total(), kept.mean()) == (None, 1.7e308)


@pytest.mark.rule("Q114")
def test_whole_results_are_integers_where_64_bits_hold_them() -> None:
    kept = ExactSum()
    for value in (0.5, 1.5, 2**62, 2**62):
        kept.add(value)
    assert (kept.total(), type(kept.total())) == (float(2**63 + 2), float)
    kept.take(2**62)
    assert (kept.total(), type(kept.total())) == (2**62 + 2, int)
    assert [plain_number(one) for one in (1.0, -0.0, 1e300, 2.5)] == [1, 0, 1e300, 2.5]
    assert type(plain_number(1.0)) is int


@pytest.mark.parametrize("value", [0.0, 1.5, -1.5, 5e-324, -5e-324, 1.7e308, -0.1])
def test_units_survive_packing(value: float) -> None:
    assert unpack_units(pack_units(units_of(value))) == units_of(value)
    assert units_of(value) / 2**1074 == value
