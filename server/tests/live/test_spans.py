"""Spans of a lane: found, forgotten, and without comparing them all."""

from __future__ import annotations

import random
from math import log2

import pytest

from trice.live.index.spans import Spans
from trice.query.reads.anchors import ABOVE_ALL, BELOW_ALL, end_of


class Counted(tuple):
    """A place that counts what it is compared with."""

    comparisons = 0

    def _count(self) -> None:
        Counted.comparisons += 1

    def __lt__(self, other):
        self._count()
        return tuple.__lt__(self, other)

    def __gt__(self, other):
        self._count()
        return tuple.__gt__(self, other)

    def __ge__(self, other):
        self._count()
        return tuple.__ge__(self, other)


def comparisons(spans, place):
    Counted.comparisons = 0
    found = spans.find(Counted(place))
    return Counted.comparisons, set().union(*found)


@pytest.mark.rule("L78")
@pytest.mark.interpreted("comparisons of a tuple of our own are counted")
@pytest.mark.parametrize("order", ("rising", "falling", "mixed"))
def test_one_of_ten_thousand_is_found_in_some_tens_of_comparisons(order):
    numbers = list(range(10_000))
    if order == "falling":
        numbers.reverse()
    elif order == "mixed":
        random.Random(5).shuffle(numbers)
    spans: Spans[int] = Spans()
    for number in numbers:
        spans.add(end_of(10 * number, 1), end_of(10 * number + 10, 1), number)
    most = 8 * log2(10_000)
    for number in (0, 17, 4_999, 9_999):
        count, found = comparisons(spans, end_of(10 * number + 10, 0))
        assert found == {number} and 0 < count < most
    for number in numbers[::2]:
        spans.discard(end_of(10 * number, 1), end_of(10 * number + 10, 1), number)
    assert len(spans) == 5_000
    for number in (numbers[0], numbers[1], numbers[4_999], numbers[9_998]):
        count, found = comparisons(spans, end_of(10 * number + 1, 0))
        assert found == (set() if number in numbers[::2] else {number}) and 0 < count < most


@pytest.mark.rule("L70", "L78")
@pytest.mark.parametrize("seed", range(5))
def test_random_spans_are_found_as_by_looking_at_each(seed):
    draw = random.Random(seed)
    values = [None, *range(-3, 12), 1.5, "", "a", "é", b"\x01", b"\x02"]
    spans: Spans[int] = Spans()
    held: list[tuple[object, object, int]] = []
    for number in range(400):
        if held and draw.random() < 0.4:
            low, high, query = held.pop(draw.randrange(len(held)))
            spans.discard(low, high, query)
        else:
            low = draw.choice((BELOW_ALL, end_of(draw.choice(values), draw.choice((-1, 1)))))
            high = draw.choice((ABOVE_ALL, end_of(draw.choice(values), draw.choice((-1, 1)))))
            held.append((low, high, number))
            spans.add(low, high, number)
        place = end_of(draw.choice(values), 0)
        found = [query for queries in spans.find(place) for query in queries]
        wanted = [query for low, high, query in held if low < place < high]
        assert sorted(found) == sorted(wanted), f"seed {seed}, round {number}"
    for one in held:
        spans.discard(*one)
    assert not spans and spans.find(end_of(5, 0)) == []
