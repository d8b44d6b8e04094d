"""Answers of live queries: encoded results, and what a run leaves behind for the next. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from trice import limits
from trice.errors import LimitExceeded
from trice.live.kept import KeptTree
from trice.live.read_set import ReadSet
from trice.protocol.ids import TxId
from trice.query.encode import EntityCache, flat_result, nested_result, result_meta
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
class Run:
    """One whole run of a live query.

    tree       with its plan, which holds as long as the catalog and `visibility.depends` stay; None
               when it holds for this run only
    reads_tx   the newest transaction the snapshot held: it may be newer than the published one
    """

    answer: Answer
    reads: ReadSet
    tree: Tree | None
    reads_tx: TxId


def encode_tree(tree: Tree, shape: str, cache: EntityCache) -> Answer:
    """Encode a tree in the shape of its question.

    raises   LimitExceeded when the answer is larger than limits.RESULT_BYTES_MAX
    """
    return _encode(tree, shape, lambda: flat_result(tree, cache))


def encode_kept(kept: KeptTree, shape: str, cache: EntityCache) -> Answer:
    """`encode_tree`, of what is cached of a tree that was patched."""
    if shape != "flat":
        kept.sync_pairs()
    return _encode(kept.tree, shape, lambda: kept.flat_json(cache))


def _encode(tree: Tree, shape: str, flat: Callable[[], bytes]) -> Answer:
    if shape == "flat":
        answer = Answer(flat(), b"null")
    else:
        nested = nested_result(tree, is_inferring=shape == "tree-one")
        answer = Answer(orjson.dumps(nested), orjson.dumps(result_meta(tree)))
    check_size(answer.result_json)
    return answer


def check_size(result_json: bytes) -> None:
    """Refuse an answer larger than limits.RESULT_BYTES_MAX."""
    if len(result_json) > limits.RESULT_BYTES_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"The answer has {len(result_json):,} bytes; at most {limits.RESULT_BYTES_MAX:,} are"
            " sent. Ask for a page with `limit`, or for less of each entity with `fields`.",
            {"bytes": len(result_json), "bytes-max": limits.RESULT_BYTES_MAX},
        )
