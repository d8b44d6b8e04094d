"""Answers of live queries: encoded results. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from trice import limits
from trice.errors import LimitExceeded
from trice.live.kept import KeptTree
from trice.protocol.kept_json import dumps_to_keep
from trice.query.encode import (
    EntityCache,
    FlatParts,
    flat_parts,
    join_parts,
    nested_result,
    result_meta,
)
from trice.query.tree import Tree


@dataclass(frozen=True, slots=True)
class Answer:
    """The encoded result and page info of a live query."""

    result_json: bytes
    meta_json: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.result_json) + len(self.meta_json)


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer, with what its result is joined from if that is flat."""

    answer: Answer
    parts: FlatParts | None


def encode_tree(tree: Tree, shape: str, cache: EntityCache) -> Encoded:
    """Encode a tree in the shape of its question.

    raises   LimitExceeded when the answer is larger than limits.RESULT_BYTES_MAX
    """
    return _joined(flat_parts(tree, cache)) if shape == "flat" else _nested(tree, shape)


def encode_kept(kept: KeptTree, shape: str, cache: EntityCache) -> Encoded:
    """`encode_tree`, of what is cached of a tree that was patched."""
    if shape == "flat":
        return _joined(kept.flat_parts(cache))
    kept.sync_pairs()
    return _nested(kept.tree, shape)


def _joined(parts: FlatParts) -> Encoded:
    answer = Answer(join_parts(parts), b"null")
    check_size(answer.result_json)
    return Encoded(answer, parts)


def _nested(tree: Tree, shape: str) -> Encoded:
    nested = nested_result(tree, is_inferring=shape == "tree-one")
    answer = Answer(dumps_to_keep(nested), dumps_to_keep(result_meta(tree)))
    check_size(answer.result_json)
    return Encoded(answer, None)


def check_size(result_json: bytes) -> None:
    """Refuse an answer larger than limits.RESULT_BYTES_MAX."""
    if len(result_json) > limits.RESULT_BYTES_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The answer has {len(result_json):,} bytes; at most {limits.RESULT_BYTES_MAX:,} are"
            " sent. Ask for a page with `limit`, or for less of each entity with `fields`.",
            {"bytes": len(result_json), "bytes-max": limits.RESULT_BYTES_MAX},
        )
