"""Counters of what the engine did, for tests and for operators. No I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LiveCounts:
    """What commits cost the live queries of an app, since it was opened.

    touched          queries found by the index, over all commits
    patched          refreshes of a query that needed no whole run
    counted          those of them in which totals were carried forward
    rerun_node       levels whose statement was run again for those, the rest being kept
    rerun_query      whole queries run on the loop, first runs included
    rerun_on_thread  runs moved to a reader thread because they were long
    changed, silent  runs and patches whose answer differed from the last, or did not
    """

    touched: int = 0
    patched: int = 0
    counted: int = 0
    rerun_node: int = 0
    rerun_query: int = 0
    rerun_on_thread: int = 0
    changed: int = 0
    silent: int = 0
