"""The spans of one lane, each with the queries that have it; found by a place inside. No I/O.

They are a tree ordered by where spans begin; each branch knows how far the spans below it reach.
Weights keep the tree in balance (a treap). They come from a counter, so equal histories make equal
trees.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from trice.query.reads.anchors import End

Q = TypeVar("Q", bound=Hashable)

_MASK = 2**64 - 1


class _Branch(Generic[Q]):
    """One span, and the spans that begin before (`left`) and behind it (`right`).

    reach   the furthest end of this span and of all below
    Invariant: `weight` is not less than that of any branch below.
    """

    __slots__ = ("high", "left", "low", "queries", "reach", "right", "weight")

    def __init__(self, low: End, high: End, query: Q, weight: int) -> None:
        self.low = low
        self.high = self.reach = high
        self.queries = {query}
        self.weight = weight
        self.left: _Branch[Q] | None = None
        self.right: _Branch[Q] | None = None

    def measure(self) -> None:
        """Bring `reach` in line with the branches below."""
        reach, left, right = self.high, self.left, self.right
        if left is not None and left.reach > reach:
            reach = left.reach
        if right is not None and right.reach > reach:
            reach = right.reach
        self.reach = reach


class Spans(Generic[Q]):
    """The spans of one lane. Holds for each distinct span the queries that have it."""

    __slots__ = ("_branches", "_root", "_weights")

    def __init__(self) -> None:
        self._root: _Branch[Q] | None = None
        self._branches: dict[tuple[End, End], _Branch[Q]] = {}
        self._weights = 0

    def __len__(self) -> int:
        return len(self._branches)

    def add(self, low: End, high: End, query: Q) -> None:
        """Note that `query` has the span between two ends. O(log n) comparisons."""
        known = self._branches.get((low, high))
        if known is not None:
            known.queries.add(query)
            return
        new = _Branch(low, high, query, self._next_weight())
        self._branches[low, high] = new
        self._root = _inserted(self._root, new)

    def discard(self, low: End, high: End, query: Q) -> None:
        """Forget a span of `query`, which it has. O(log n) comparisons."""
        branch = self._branches[low, high]
        branch.queries.discard(query)
        if not branch.queries:
            del self._branches[low, high]
            self._root = _removed(self._root, branch)

    def find(self, place: End) -> list[set[Q]]:
        """The queries of each span that holds `place`. O(log n · (spans found + 1)) comparisons."""
        found: list[set[Q]] = []
        waiting = [self._root]
        while waiting:
            branch = waiting.pop()
            if branch is None or branch.reach <= place:
                continue
            waiting.append(branch.left)
            if branch.low < place:
                if place < branch.high:
                    found.append(branch.queries)
                waiting.append(branch.right)
        return found

    def _next_weight(self) -> int:
        """A number that looks random (the finalizer of SplitMix64)."""
        self._weights += 1
        mixed = self._weights * 0x9E3779B97F4A7C15 & _MASK
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
        return mixed ^ mixed >> 31


def _inserted(root: _Branch[Q] | None, new: _Branch[Q]) -> _Branch[Q]:
    """The tree with `new` added, whose span is not in it yet."""
    if root is None:
        return new
    if new.weight > root.weight:
        new.left, new.right = _split(root, (new.low, new.high))
        new.measure()
        return new
    if (new.low, new.high) < (root.low, root.high):
        root.left = _inserted(root.left, new)
    else:
        root.right = _inserted(root.right, new)
    if new.high > root.reach:
        root.reach = new.high
    return root


def _split(
    root: _Branch[Q] | None, key: tuple[End, End]
) -> tuple[_Branch[Q] | None, _Branch[Q] | None]:
    """The branches before and behind `key`."""
    if root is None:
        return None, None
    if (root.low, root.high) < key:
        root.right, behind = _split(root.right, key)
        root.measure()
        return root, behind
    before, root.left = _split(root.left, key)
    root.measure()
    return before, root


def _removed(root: _Branch[Q] | None, gone: _Branch[Q]) -> _Branch[Q] | None:
    """The tree without `gone`, which is in it."""
    assert root is not None
    if root is gone:
        return _joined(root.left, root.right)
    if (gone.low, gone.high) < (root.low, root.high):
        root.left = _removed(root.left, gone)
    else:
        root.right = _removed(root.right, gone)
    root.measure()
    return root


def _joined(before: _Branch[Q] | None, behind: _Branch[Q] | None) -> _Branch[Q] | None:
    """Two trees as one; all of `before` lies before all of `behind`."""
    if before is None or behind is None:
        return behind if before is None else before
    if before.weight > behind.weight:
        before.right = _joined(before.right, behind)
        before.measure()
        return before
    behind.left = _joined(before, behind.left)
    behind.measure()
    return behind
