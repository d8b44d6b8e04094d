"""A question, and a live query: a question that is watched, with its latest answer. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import orjson

from trice.errors import TriceError
from trice.identity import Identity
from trice.live.answers import Answer
from trice.live.maintain import LastRun
from trice.protocol import down
from trice.protocol.compact_json import compact, dumps_compact
from trice.protocol.ids import TxId
from trice.protocol.shared import SharedFrame, SharedPart, plain
from trice.query.encode import FlatParts

OF_FUNCTION: Final = "tree-function"
"""The shape of questions of functions: as "tree-one", of a query that says
more (FN740, FN742)."""

NO_TX: Final = TxId(0)
"""Before the first transaction."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query, with the rights it is asked with and a shape. Equal keys share an answer.

    q_json    the query as the client sent it
    identity  the identity that asked first, of those with these rights
    is_long   checking it takes too long for the loop
    rights    identities with equal rights see the same answer
    asked     what is asked, without the caller: the shape of the answer, which is "flat" (triples
              for the client's own evaluation), "tree" (nested objects), "tree-one" (nested,
              has-one links as a single object) or OF_FUNCTION; and the `query_key`
    """

    q_json: bytes = field(compare=False)
    identity: Identity = field(compare=False)
    rights: str
    asked: tuple[str, bytes]
    is_long: bool = field(default=False, compare=False)

    @staticmethod
    def of(
        source: Any, *, identity: Identity, rights: str, shape: str, is_long: bool = False
    ) -> Question:
        """Build a question; key order inside `source` does not matter for sharing.

        raises   orjson.JSONEncodeError when `source` is no JSON that orjson can write
        """
        key = query_key(source)
        q_json = orjson.dumps(source)
        q_json = key if q_json == key else compact(q_json)
        return Question(q_json, identity, rights, (shape, key), is_long)

    @property
    def shape(self) -> str:
        """The shape of the answer, see `asked`."""
        return self.asked[0]

    @property
    def source(self) -> Any:
        """The query as an object. It is decoded at each use, which is once a whole run."""
        return orjson.loads(self.q_json)


def query_key(source: Any) -> bytes:
    """A key that is equal for equal queries, whatever the order of the keys in them."""
    return dumps_compact(source, option=orjson.OPT_SORT_KEYS)


class RightsChanged(Exception):
    """The rules or the names in the query changed: callers that share it may see different data."""


@dataclass(slots=True, eq=False)
class LiveQuery:
    """One question that is watched, and its latest answer.

    answer   None when the latest run failed (then `error` says why), before the first run, and
             after it was dropped to save memory (then `Live.recall` brings it back)
    is_outdated   its rights are no longer those of its watchers: they must ask again
    tx       the answer contains every commit up to this one
    reads_tx the answer may contain some commits up to this one
    kept     what its next refresh can start from; dropped together with the answer
    stale_tx the first commit that touches it since its latest refresh
    Only `Live` writes it; watchers read it when told.
    """

    question: Question
    answer: Answer | None = None
    error: TriceError | None = None
    is_outdated: bool = False
    tx: TxId = NO_TX
    reads_tx: TxId = NO_TX
    kept: LastRun | None = None
    stale_tx: TxId | None = None
    watchers: dict[Watcher, None] = field(default_factory=dict)
    _parts: FlatParts | None = None
    _digest: bytes = b""
    _result: SharedPart | None = None
    _computation: SharedPart | None = None
    _refresh: SharedFrame | None = None

    @property
    def is_in_pieces(self) -> bool:
        """Whether the pieces of the latest answer are still in memory, for its digest."""
        return self._parts is not None

    @property
    def digest(self) -> bytes:
        """The digest of the latest answer's content, kept if that was dropped; b"" before any.

        cost   O(bytes) when first used for an answer, and the sorting of its pieces
        """
        if not self._digest and self.answer is not None:
            self._digest = _digest_of(self.answer, self._parts)
            self._parts = None
        return self._digest

    def result(self) -> SharedPart:
        """The result of the answer: the part that the messages to all its watchers share."""
        assert self.answer is not None
        if self._result is None:
            self._result = SharedPart(self.answer.result_json)
        return self._result

    def computation(self) -> SharedPart:
        """The answer as an element of `refresh-ok`; encoded once for all watchers."""
        assert self.answer is not None
        if self._computation is None:
            self._computation = SharedPart(
                down.computation(
                    q_json=self.question.q_json,
                    result_json=self.answer.result_json,
                    meta_json=self.answer.meta_json,
                )
            )
        return self._computation

    def refresh_frame(self) -> SharedFrame:
        """A whole `refresh-ok` with this answer alone: one bytes object for N sockets."""
        if self._refresh is None:
            whole = [self.computation().plain]
            frame = down.refresh_ok(whole, tx=self.tx, attrs=None)
            self._refresh = SharedFrame(plain(frame))
        return self._refresh

    def is_shown(self, answer: Answer, parts: FlatParts | None) -> bool:
        """Whether `answer`, joined from `parts`, has the content of the latest one."""
        if self.error is not None or (self.answer is None and not self._digest):
            return False
        if self.answer is not None:
            if self.answer == answer:
                return True
            if parts is None or self.answer.size_bytes != answer.size_bytes:
                return False
        return self.digest == _digest_of(answer, parts)

    def show(self, answer: Answer, parts: FlatParts | None) -> None:
        """Make an answer, joined from `parts`, the latest one."""
        self.answer, self._parts, self._digest = answer, parts, b""
        self._result = self._computation = self._refresh = None

    @property
    def is_ahead(self) -> bool:
        """Whether the answer may contain commits that its label `tx` does not reach.

        Clients drop an optimistic write when the label of an answer reaches it. So when such
        commits are published, the answer must be sent again with a new label, even if it is equal.
        """
        return self.reads_tx > self.tx

    def move_to(self, tx: TxId, reads_tx: TxId) -> None:
        """Note that the answer contains every commit up to `tx`, perhaps some up to `reads_tx`."""
        self.tx, self.reads_tx, self.stale_tx = tx, reads_tx, None
        self._refresh = None

    def drop(self) -> None:
        """Free the answer and everything made of it; its digest stays."""
        self._digest = self.digest
        self.free()

    def free(self) -> None:
        """Free the answer and everything made of it."""
        self.answer = self._parts = self.kept = None
        self._result = self._computation = self._refresh = None


Watcher = Callable[[LiveQuery], None]
"""Called on the loop, after each change of the answer or failure to compute it."""


def _digest_of(answer: Answer, parts: FlatParts | None) -> bytes:
    """The digest of an answer's content. The order of pieces does not count: a patch and a run
    give different ones."""
    if parts is None:
        return blake2b(answer.result_json + answer.meta_json, digest_size=16).digest()
    return digest_of_parts(parts)


def digest_of_parts(parts: FlatParts) -> bytes:
    """The digest of a flat answer, whether anybody watches it or not."""
    rows, links = b",".join(sorted(parts.rows)), b",".join(sorted(parts.links))
    return blake2b(b"\n".join((rows, links, parts.data_json)), digest_size=16).digest()
