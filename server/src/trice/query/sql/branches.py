"""Conditions on linked entities, expanded to alternatives that SQL can express. No I/O.

Within one scope, linked entities are shared by (namespace, depth): `author.name` and `author.age`
are about one author (instant-semantics §2.4). Such tests form a *group* and are asked together.

`$not` and `$isNull: true` on a path hold in several ways: at the end of the whole path, or because
some link of the path leads nowhere. Each of these is a `Way`. The alternatives of a group are all
choices of one way for each of its tests, without those that contradict themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trice import limits
from trice.errors import LimitExceeded
from trice.protocol.ids import AttrId
from trice.query.ast import Hop, Op, Test

Variable = tuple[str, int]
"""A linked entity of a scope: its namespace and its distance from the form's own entity."""

EdgeKey = tuple[Variable, AttrId, bool]
"""A link seen from a variable: where it starts, its attr, whether it is walked forward."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One link between two entities of a scope."""

    near: Variable
    hop: Hop
    far: Variable

    @property
    def key(self) -> EdgeKey:
        return (self.near, self.hop.attr.id, self.hop.is_forward)


@dataclass(frozen=True, slots=True)
class Way:
    """One way for a test to hold: links to walk, then what must be true where they end.

    end     the entity that they lead to; it must exist
    test    its value passes this test, or
    absent  it has no link of this kind
    """

    edges: tuple[Edge, ...]
    end: Variable
    test: Test | None
    absent: Hop | None

    @property
    def absent_key(self) -> EdgeKey | None:
        if self.absent is None:
            return None
        return (self.end, self.absent.attr.id, self.absent.is_forward)


Alternative = tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class _Picked:
    """The ways picked so far, the links that they walk, and the links that must be absent."""

    ways: Alternative
    walked: frozenset[EdgeKey]
    absent: frozenset[EdgeKey]

    def allows(self, way: Way, walked: frozenset[EdgeKey]) -> bool:
        """Whether `way`, which walks `walked`, agrees with the ways picked so far."""
        if way.absent_key is not None and way.absent_key in self.walked:
            return False
        return self.absent.isdisjoint(walked)

    def with_way(self, way: Way, walked: frozenset[EdgeKey]) -> _Picked:
        absent = self.absent if way.absent_key is None else self.absent | {way.absent_key}
        return _Picked((*self.ways, way), self.walked | walked, absent)


def groups(tests: Sequence[Test], etype: str) -> list[list[Test]]:
    """Split the linked tests of a scope of `etype` into groups that share linked entities."""
    found: list[tuple[set[Variable], list[Test]]] = []
    for test in tests:
        variables = {edge.far for edge in _walk(test, etype)}
        members = [test]
        apart: list[tuple[set[Variable], list[Test]]] = []
        for others, other_tests in found:
            if variables.isdisjoint(others):
                apart.append((others, other_tests))
            else:
                variables |= others
                members = other_tests + members
        found = [*apart, (variables, members)]
    return [members for _, members in found]


def alternatives(group: Sequence[Test], etype: str) -> list[Alternative]:
    """All consistent ways for every test of the group to hold at once.

    raises  LimitExceeded when there are more than limits.QUERY_BRANCHES_MAX
    """
    found = [_Picked((), frozenset(), frozenset())]
    for count, test in enumerate(group, start=1):
        ways = [(way, frozenset(edge.key for edge in way.edges)) for way in _ways(test, etype)]
        found = [
            picked.with_way(way, walked)
            for picked in found
            for way, walked in ways
            if picked.allows(way, walked)
        ]
        if (
            len(found) > limits.QUERY_BRANCHES_MAX
            or len(found) * count > limits.QUERY_BRANCH_TESTS_MAX
        ):
            raise LimitExceeded(
                "parameter-limit-exceeded",
                "There are too many parameters in the query: the `$not` and `$isNull` conditions "
                "that speak of the same linked entities have more than "
                f"{limits.QUERY_BRANCHES_MAX} ways to hold, or more than "
                f"{limits.QUERY_BRANCH_TESTS_MAX} tests in all of them. Put them into separate "
                "objects of an `and` list.",
            )
    return [picked.ways for picked in found]


def connected(alternative: Alternative) -> list[Alternative]:
    """Split an alternative into parts that share no linked entity."""
    found: list[tuple[set[Variable], list[Way]]] = []
    for way in alternative:
        variables = {edge.far for edge in way.edges}
        members = [way]
        apart: list[tuple[set[Variable], list[Way]]] = []
        for others, other_ways in found:
            if variables.isdisjoint(others):
                apart.append((others, other_ways))
            else:
                variables |= others
                members = other_ways + members
        found = [*apart, (variables, members)]
    return [tuple(members) for _, members in found]


def is_absence_enough(test: Test) -> bool:
    """Whether a path that leads nowhere satisfies the test."""
    return test.op is Op.NOT or (test.op is Op.IS_NULL and test.value is True)


def _walk(test: Test, etype: str) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    near: Variable = (etype, 0)
    for depth, hop in enumerate(test.path, start=1):
        far = (hop.etype, depth)
        edges.append(Edge(near, hop, far))
        near = far
    return tuple(edges)


def _ways(test: Test, etype: str) -> list[Way]:
    edges = _walk(test, etype)
    ways = [Way(edges, edges[-1].far, test, None)]
    if is_absence_enough(test):
        ways += [Way(edges[:index], edge.near, None, edge.hop) for index, edge in enumerate(edges)]
    return ways


def is_selective(way: Way) -> bool:
    """Whether an index can find the entities that pass a way's test, and they are few."""
    test = way.test
    if test is None or test.op not in (Op.EQ, Op.IN):
        return False
    return test.attr.is_ref or test.attr.is_id or test.attr.is_indexed or test.attr.is_unique
