"""Details of reads and writes for the log of slow work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trice.query import levels
from trice.query.tree import Tree
from trice.rules.judge import Judge
from trice.rules.visible import RuledVisibility
from trice.store.commit import Commit
from trice.store.engine import Snapshot


def query_cost(tree: Tree | None, snapshot: Snapshot) -> dict[str, Any]:
    """Details of a query for the slow log. Without a tree, the query failed or ran out of time."""
    if tree is None:
        return {"failed": True}
    visibility = tree.plan.visibility
    try:
        found = levels.sql_plan(tree.plan, snapshot)
    except Exception:
        found = "unknown"  # the time of the read may be over; the answer itself is complete
    return {
        "read": levels.levels(tree.nodes),
        "plan": found,
        "rule-steps": visibility.steps if isinstance(visibility, RuledVisibility) else None,
    }


def write_cost(commit: Commit | None, judges: Sequence[Judge]) -> dict[str, Any]:
    """Details of a transaction for the slow log. Without a commit, it was refused."""
    changed = {} if commit is None else {"rows": len(commit.entities), "links": len(commit.pairs)}
    return {**changed, "failed": commit is None, "rule-steps": sum(each.steps for each in judges)}
