"""Flat results of trees, as one text."""

from __future__ import annotations

from trice.query.encode import EntityCache, flat_parts, join_parts
from trice.query.tree import Tree


def flat_result(tree: Tree, cache: EntityCache) -> bytes:
    """The `result` of a query message."""
    return join_parts(flat_parts(tree, cache))
