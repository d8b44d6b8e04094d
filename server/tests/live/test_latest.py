"""Whether commits can meet a read set at all: never denied where the index of live queries says
that one does."""

from __future__ import annotations

import random

import pytest

from support.attrs import blob, entity, link
from trice import plan_limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.live.changes import Changes
from trice.live.index.conflicts import Conflicts
from trice.live.index.latest import LatestChanges
from trice.live.index.read_set import ReadSet
from trice.live.run_commits import RunCommits
from trice.protocol.ids import TxId
from trice.query.reads.anchors import ABOVE_ALL, BELOW_ALL, Lane, Span, end_of
from trice.store.commit import Commit, EntityChange, Image, PairChange

SEED = 20_261_129
ROUNDS = 400

ATTRS: list[Attr] = [
    blob("a", "id"),
    blob("a", "n", is_indexed=True, checked_type="number"),
    blob("a", "m"),
    blob("b", "id"),
    blob("b", "n", is_indexed=True, checked_type="number"),
    link("a", "many", "b", "ones"),
]
CATALOG = Catalog(ATTRS)
CELLS = {
    etype: [one for one in ATTRS[:5] if one.etype == etype and not one.is_id] for etype in "ab"
}
IDS = {etype: next(one for one in ATTRS if one.etype == etype and one.is_id) for etype in "ab"}
PAIRS = ATTRS[5]


class Draw:
    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def some(self, values: list) -> frozenset:
        return frozenset(self.draw.sample(values, self.draw.choice((0, 0, 1))))

    def image(self, etype: str) -> Image | None:
        if self.draw.random() < 0.2:
            return None
        cells = {
            attr.id: self.draw.randint(0, 2) for attr in CELLS[etype] if self.draw.random() < 0.8
        }
        return Image(self.draw.choice((5, 5, 5, 6)), cells)

    def commit(self, tx: int, changes_max: int = 2) -> Commit:
        entities = []
        for number in self.draw.sample(range(1, 5), self.draw.randint(0, changes_max)):
            etype = self.draw.choice("ab")
            old, new = self.image(etype), self.image(etype)
            if old != new:
                entities.append(EntityChange(etype, entity(number), old, new))
        pairs = []
        if self.draw.random() < 0.2:
            ends = entity(self.draw.randint(1, 4)), entity(self.draw.randint(1, 4))
            pairs.append(PairChange(PAIRS.id, *ends, 5, self.draw.random() < 0.5))
        return Commit(
            tx=TxId(tx),
            time_ms=tx,
            identity="x",
            event_id=None,
            entities=entities,
            pairs=pairs,
            catalog=CATALOG,
            is_catalog_changed=False,
        )

    def value(self) -> tuple:
        etype = self.draw.choice("ab")
        match self.draw.randrange(3):
            case 0:
                return (IDS[etype].id, "", entity(self.draw.randint(1, 4)))
            case 1:
                return (self.draw.choice(CELLS[etype]).id, "", self.draw.randint(0, 2))
            case _:
                side = self.draw.choice(("source", "target"))
                return (PAIRS.id, side, entity(self.draw.randint(1, 4)))

    def span(self) -> Span:
        lane = self.draw.choice(
            (
                Lane("a", ATTRS[1].id, "cell"),
                Lane("b", ATTRS[4].id, "cell"),
                Lane("a", "", "created"),
            )
        )
        low = self.draw.choice((BELOW_ALL, end_of(self.draw.randint(0, 2), -1)))
        return Span(lane, low, self.draw.choice((ABOVE_ALL, end_of(2, 1))))

    def reads(self) -> ReadSet:
        attrs = [attr.id for attr in ATTRS]
        rows = [(etype, entity(number)) for etype in "ab" for number in range(1, 5)]
        return ReadSet(
            entities=self.some(rows),
            values=frozenset(self.value() for _ in range(self.draw.randint(0, 1))),
            spans=frozenset(self.span() for _ in range(self.draw.randint(0, 1))),
            tested=self.some(attrs),
            attrs=self.some(attrs),
            births=self.some(["a", "b"]),
            etypes=frozenset(),
            waits=frozenset(),
        )


@pytest.mark.rule("FN642")
@pytest.mark.parametrize("changes_max", [2, 4])
def test_what_a_commit_meets_may_be_met(changes_max: int) -> None:
    """Random commits and read sets, as commits come and the oldest go; the message has the seed."""
    met = spared = 0
    for number in range(ROUNDS):
        draw = Draw(SEED + number)
        latest, commits = LatestChanges(), [draw.commit(tx, changes_max) for tx in range(1, 7)]
        for commit in commits:
            latest.add(commit.tx, Changes.of([commit]))
        for dropped in range(3):
            after = TxId(draw.draw.randint(dropped, 5))
            reads = draw.reads()
            later = [commit for commit in commits if commit.tx > after]
            is_met = any(Conflicts(reads, CATALOG).first([commit]) for commit in later)
            may_be = latest.may_meet(reads, CATALOG, after=after)
            assert may_be or not is_met, (SEED + number, dropped, reads)
            met += is_met
            spared += not may_be
            latest.drop(commits[dropped].tx, Changes.of([commits[dropped]]))
    assert met > ROUNDS / 4, "too few are met"
    assert spared > ROUNDS / 2, "too few are spared"


@pytest.mark.rule("FN642")
def test_commits_that_are_large_or_not_known_may_meet_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_limits, "INDEXED_CHANGES_MAX", 1)
    row, none = Image(5, {}), frozenset()
    reads = ReadSet(none, none, none, none, none, none, none, none)

    def commit(tx: int, *numbers: int) -> Commit:
        entities = [EntityChange("a", entity(number), None, row) for number in numbers]
        return Commit(TxId(tx), tx, "x", None, entities, [], CATALOG, False)

    commits = RunCommits()
    commits.begin(TxId(1))
    commits.add([commit(2, 1), commit(3, 1, 2), commit(4, 1)])
    may_meet = [
        commits.may_meet(reads, CATALOG, after=TxId(after), now=TxId(4)) for after in range(5)
    ]
    assert may_meet == [True, True, True, False, False], "0 is too old; 3 is large"
    commits.end(TxId(1))
    assert commits.may_meet(reads, CATALOG, after=TxId(3), now=TxId(4)), "not known any more"


@pytest.mark.rule("FN642", "FN723")
def test_what_meets_a_commit_of_the_open_group_may_meet_it() -> None:
    """A group that grows, compared with a random read set after each commit of it."""
    met = spared = 0
    for number in range(ROUNDS):
        draw = Draw(SEED + number)
        commits, group = RunCommits(), []
        commits.begin(TxId(1))
        for tx in range(2, 6):
            group.append(draw.commit(tx))
            reads = draw.reads()
            is_met = any(Conflicts(reads, CATALOG).first([commit]) for commit in group)
            may_be = commits.may_meet_open(reads, CATALOG, group)
            assert may_be or not is_met, (SEED + number, tx, reads)
            met += is_met
            spared += not may_be
        again: list[Commit] = []
        assert not commits.may_meet_open(reads, CATALOG, again), "another group, which is empty"
    assert met > ROUNDS / 4, "too few are met"
    assert spared > ROUNDS / 2, "too few are spared"


@pytest.mark.rule("FN642", "FN723")
def test_large_commits_and_other_attrs_of_the_open_group_may_meet_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan_limits, "INDEXED_CHANGES_MAX", 1)
    row, none = Image(5, {}), frozenset()
    reads = ReadSet(none, none, none, none, none, none, none, none)

    def commit(tx: int, count: int, catalog: Catalog = CATALOG) -> Commit:
        entities = [EntityChange("a", entity(number), None, row) for number in range(1, count + 1)]
        return Commit(TxId(tx), tx, "x", None, entities, [], catalog, False)

    commits = RunCommits()
    group = [commit(2, 1)]
    assert not commits.may_meet_open(reads, CATALOG, group)
    group.append(commit(3, 2))
    assert commits.may_meet_open(reads, CATALOG, group), "it is large"
    group.append(commit(4, 1))
    assert commits.may_meet_open(reads, CATALOG, group), "it is still there"
    other = CATALOG.with_attrs([blob("c", "id")])
    assert commits.may_meet_open(reads, CATALOG, [commit(5, 1, other)]), "attrs have changed"
