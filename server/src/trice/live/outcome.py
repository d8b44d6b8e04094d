"""The outcome of a whole run of a live query: its answer, and what the next refresh needs."""

from __future__ import annotations

from dataclasses import dataclass

from trice.live.aggregates import RunningTotals
from trice.live.answers import Answer
from trice.live.index.read_set import ReadSet
from trice.protocol.ids import TxId
from trice.query.encode import FlatParts
from trice.query.tree import Tree


@dataclass(frozen=True, slots=True)
class Run:
    """One whole run of a live query.

    tree       with its plan, which holds as long as the catalog and `visibility.depends` stay the
               same; None when the plan holds for this run only
    reads_tx   the newest transaction in the snapshot; it may be newer than the published one
    plan_tx    the newest transaction at which the plan is known to hold: `reads_tx` for a plan made
               on this snapshot, the published transaction for a plan made before
    took_ms    how long it took, its encoding included
    parts      what the result is joined from, if it is flat
    totals     the totals that carry the answer forward, if all its forms aggregate
    """

    answer: Answer
    reads: ReadSet
    tree: Tree | None
    reads_tx: TxId
    plan_tx: TxId
    took_ms: float
    parts: FlatParts | None = None
    totals: RunningTotals | None = None
