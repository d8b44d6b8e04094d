"""Answers of live queries: encoded results. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from trice.live.patch.kept import KeptTree
from trice.protocol.compact_json import dumps_compact
from trice.protocol.ids import TxId
from trice.query.cost import Spend, free
from trice.query.encode import (
    EntityCache,
    FlatParts,
    UrlOf,
    check_bytes,
    flat_parts,
    join_parts,
    nested_json,
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

    def joined(self) -> bytes:
        """Both as one object: `{"result", "result-meta"}`."""
        return b'{"result":%b,"result-meta":%b}' % (self.result_json, self.meta_json)


@dataclass(frozen=True, slots=True)
class FlatAnswer:
    """A flat answer that nobody watches, with what a client needs to go on from it live (P87).

    attrs_json  the attrs that its triples name
    catalog     the name of these attrs (P75)
    names       see `deltas.names_of_parts`
    tx          it contains every commit up to this one
    """

    result_json: bytes
    attrs_json: bytes
    catalog: str
    names: bytes
    tx: TxId


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer; if its result is flat, with the parts that it is joined from."""

    answer: Answer
    parts: FlatParts | None


def encode_tree(tree: Tree, shape: str, cache: EntityCache, spend: Spend = free) -> Encoded:
    """Encode a tree in the shape of its question.

    spend    counts the bytes
    raises   LimitExceeded, before anything of that size is made, when the answer would be larger
             than limits.RESULT_BYTES_MAX
    """
    if shape == "flat":
        return _joined(flat_parts(tree, cache, spend))
    return _nested(tree, shape, spend, cache.url_of)


def encode_kept(kept: KeptTree, shape: str, cache: EntityCache) -> Encoded:
    """`encode_tree` for a tree that was patched, from the JSON kept with it."""
    if shape == "flat":
        return _joined(kept.flat_parts(cache))
    kept.sync_pairs()
    return _nested(kept.tree, shape, free, cache.url_of)


def _joined(parts: FlatParts) -> Encoded:
    answer = Answer(join_parts(parts), b"null")
    check_bytes(len(answer.result_json))
    return Encoded(answer, parts)


def _nested(tree: Tree, shape: str, spend: Spend, url_of: UrlOf | None) -> Encoded:
    return Encoded(nested_answer(tree, shape != "tree", spend, url_of), None)


def nested_answer(tree: Tree, is_inferring: bool, spend: Spend, url_of: UrlOf | None) -> Answer:
    """A tree as nested objects; the arguments are those of `nested_json`."""
    nested = nested_json(tree, is_inferring=is_inferring, spend=spend, url_of=url_of)
    return Answer(nested, dumps_compact(result_meta(tree)))
