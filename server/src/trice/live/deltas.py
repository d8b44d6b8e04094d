"""Earlier answers of live queries, and the deltas from them to the current one. No I/O.

    v1 ──Transition──> v2 ──Transition──> v3 = current: its pieces as sets
    held v1: both Transitions folded, split into triples, encoded once for all clients with v1

An answer is named by the digest of its content, its *version*. So the answer that a client holds
can be compared with the current one after anything: other rules, a restart, a session of another
user in between. What is kept here belongs to a question, and so to equal rights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import orjson

from trice import limits
from trice.live.live_query import LiveQuery, Question, digest_of_parts, query_key
from trice.protocol import down
from trice.protocol.ids import TxId
from trice.protocol.shared import SharedFrame, plain
from trice.query.encode import FlatParts

_ENTRY_BYTES: Final = 1_000
_PIECE_BYTES: Final = 50
"""What a piece takes besides its bytes: a place in a set, and the bytes object."""

NOTHING_HELD: Final = b""
"""No version: the client holds no answer."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Pieces that one set has and the next has not, and the other way round."""

    removed: frozenset[bytes]
    added: frozenset[bytes]

    @staticmethod
    def between(old: frozenset[bytes], new: frozenset[bytes]) -> Difference:
        return Difference(old - new, new - old)

    def then(self, later: Difference) -> Difference:
        """This difference and then `later`, as one; a piece that comes and goes is left out."""
        return Difference(
            (self.removed - later.added) | (later.removed - self.added),
            (self.added - later.removed) | (later.added - self.removed),
        )

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.removed)) + sum(map(len, self.added))


@dataclass(frozen=True, slots=True)
class Transition:
    """Leads from one answer to the next.

    version    the version of the answer before
    data_json  the `FlatParts.data_json` of the answer before
    """

    version: bytes
    rows: Difference
    links: Difference
    data_json: bytes
    size_bytes: int


@dataclass(slots=True)
class _Entry:
    """What is kept of one question.

    version  of the answer that `rows`, `links` and `data_json` make up; NOTHING_HELD: none
    led_to   the version that `names`, `full`, `changes` and `frames` lead to
    changes  by the version that a client holds; None: the full form is better
    frames   by the version that a client holds (NOTHING_HELD: with the full form); all tell the
             same tx
    """

    query_id: bytes
    version: bytes = NOTHING_HELD
    rows: frozenset[bytes] = frozenset()
    links: frozenset[bytes] = frozenset()
    data_json: bytes = b"{}"
    answer_bytes: int = 0
    transitions: deque[Transition] = field(default_factory=deque)
    steps_bytes: int = 0
    led_to: bytes = NOTHING_HELD
    full: bytes | None = None
    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    frames: dict[bytes, tuple[TxId, bytes]] = field(default_factory=dict)
    frames_bytes: int = 0
    made_bytes: int = 0
    is_wanted: bool = False
    counted_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        pieces = len(self.rows) + len(self.links)
        kept = self.answer_bytes + pieces * _PIECE_BYTES + self.steps_bytes
        return _ENTRY_BYTES + kept + self.made_bytes

    def lead_to(self, version: bytes) -> None:
        """Forget what was made for another version."""
        if self.led_to != version:
            self.led_to = version
            self.full = None
            self.changes = {}
            self.frames = {}
            self.frames_bytes = self.made_bytes = 0

    def take(self, version: bytes, parts: FlatParts) -> None:
        """Make another answer the current one."""
        rows, links = frozenset(parts.rows), frozenset(parts.links)
        if self.version != NOTHING_HELD:
            row_change = Difference.between(self.rows, rows)
            link_change = Difference.between(self.links, links)
            size_bytes = row_change.size_bytes + link_change.size_bytes + len(self.data_json)
            transition = Transition(
                self.version, row_change, link_change, self.data_json, size_bytes
            )
            self.transitions.append(transition)
            self.steps_bytes += size_bytes
        self.version, self.rows, self.links = version, rows, links
        self.data_json = parts.data_json
        self.answer_bytes = sum(map(len, rows)) + sum(map(len, links)) + len(parts.data_json)
        steps_bytes_max = max(self.answer_bytes, limits.LIVE_DELTA_STEPS_BYTES_MAX)
        while self.transitions and (
            len(self.transitions) > limits.LIVE_DELTA_STEPS_MAX
            or self.steps_bytes > steps_bytes_max
        ):
            self.steps_bytes -= self.transitions.popleft().size_bytes

    def drop(self) -> None:
        """The pieces of the current answer are not known: no version leads to it."""
        self.version, self.rows, self.links = NOTHING_HELD, frozenset(), frozenset()
        self.answer_bytes = self.steps_bytes = 0
        self.transitions.clear()


class Deltas:
    """The versions of one app's live queries of which a session wants deltas.

    Holds pieces of current answers, transitions to them, and messages made of both, at most
    LIVE_DELTA_BYTES_MAX; outlives the live queries, for clients that come back. Does not hold what
    a session was told (the session does). On the loop only.
    Invariant: a delta to a version is used only while that is the live query's digest.
    """

    def __init__(self) -> None:
        self._entries: dict[Question, _Entry] = {}
        self.kept_bytes = 0
        """About how much memory is held."""
        self.made = 0
        """Deltas computed since the app was opened, including those larger than the answer."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, question: Question) -> bool:
        return question in self._entries

    def want(self, question: Question) -> None:
        """Keep what is needed for deltas of `question` from its next run on."""
        self._find(question).is_wanted = True

    def is_wanted(self, question: Question) -> bool:
        """Whether a session wants deltas; then the parts of each answer must be noted."""
        entry = self._entries.get(question)
        return entry is not None and entry.is_wanted

    def note(self, question: Question, version: bytes, parts: FlatParts | None) -> None:
        """Note an answer that was made; it is the current one.

        parts   None when no session wanted deltas when it was made
        """
        entry = self._entries.get(question)
        if entry is None or entry.version == version:
            return
        if parts is None:
            entry.drop()
        else:
            entry.take(version, parts)
        entry.lead_to(version)
        self._count(entry)

    def names(self, live: LiveQuery) -> bytes:
        """The keys that name the answer of `live`, see `down.names_of`."""
        return down.names_of(self._query_id(live.question), _text(live.digest))

    def change(self, live: LiveQuery, held: bytes) -> bytes | None:
        """The keys that lead from `held` to the answer of `live`, see `down.change_of`.

        returns  None when `held` is not known, or the full form is not larger
        cost     O(what differs), once for each `held`
        """
        if held == NOTHING_HELD:
            return None
        if held == live.digest:
            query_id, version = self._query_id(live.question), _text(held)
            return down.change_of(query_id, held=version, version=version, delta=None)
        entry = self._find(live.question)
        entry.is_wanted = True
        entry.lead_to(live.digest)
        if held in entry.changes:
            return entry.changes[held]
        if entry.version != live.digest:
            return None
        transitions = _transitions_from(entry.transitions, held)
        if not transitions:
            return None
        self.made += 1
        delta = _delta(transitions, entry.data_json)
        change = None
        if len(delta) < entry.answer_bytes:
            change = down.change_of(
                entry.query_id, held=_text(held), version=_text(live.digest), delta=delta
            )
        entry.changes[held] = change
        entry.made_bytes += len(change or b"")
        self._count(entry)
        return change

    def computation(self, live: LiveQuery, held: bytes) -> bytes:
        """The element of `refresh-ok` for clients that hold `held`."""
        change = self.change(live, held)
        if change is not None:
            return b"{%b}" % change
        entry = self._find(live.question)
        entry.lead_to(live.digest)
        if entry.full is None:
            names = down.names_of(entry.query_id, _text(live.digest))
            entry.full = down.named_computation(live.computation().plain, names)
            entry.made_bytes += len(entry.full)
            self._count(entry)
        return entry.full

    def frame(self, live: LiveQuery, held: bytes) -> bytes:
        """A whole `refresh-ok` with `computation` alone: one bytes object for N sockets."""
        entry = self._entries.get(live.question)
        if entry is not None and entry.led_to == live.digest:
            known = entry.frames.get(held)
            if known is not None and known[0] == live.tx:
                return known[1]
        if held != NOTHING_HELD and self.change(live, held) is None:
            frame = self.frame(live, NOTHING_HELD)
            self._keep_frame(live, held, frame, size_bytes=0)
        else:
            whole = down.refresh_ok([self.computation(live, held)], tx=live.tx, attrs=None)
            frame = SharedFrame(plain(whole))
            self._keep_frame(live, held, frame, size_bytes=len(frame))
        return frame

    def _keep_frame(self, live: LiveQuery, held: bytes, frame: bytes, *, size_bytes: int) -> None:
        """Keep a frame for other sockets; frames made for another tx are dropped.

        size_bytes   0 when the frame is kept under another version too
        """
        entry = self._find(live.question)
        entry.lead_to(live.digest)
        if entry.frames and next(iter(entry.frames.values()))[0] != live.tx:
            entry.made_bytes -= entry.frames_bytes
            entry.frames, entry.frames_bytes = {}, 0
        entry.frames[held] = (live.tx, frame)
        entry.frames_bytes += size_bytes
        entry.made_bytes += size_bytes
        self._count(entry)

    def _find(self, question: Question) -> _Entry:
        """The entry, made if it is not there; it counts as the last used from now on."""
        entry = self._entries.pop(question, None)
        if entry is None:
            entry = _Entry(_query_id(question))
            self._entries[question] = entry
            self._count(entry)
        else:
            self._entries[question] = entry
        return entry

    def _query_id(self, question: Question) -> bytes:
        entry = self._entries.get(question)
        return entry.query_id if entry is not None else _query_id(question)

    def _count(self, entry: _Entry) -> None:
        """`entry` changed its size; drop those used least recently beyond the limit."""
        size_bytes = entry.size_bytes
        self.kept_bytes += size_bytes - entry.counted_bytes
        entry.counted_bytes = size_bytes
        while self.kept_bytes > limits.LIVE_DELTA_BYTES_MAX and len(self._entries) > 1:
            oldest = next(iter(self._entries))
            self.kept_bytes -= self._entries.pop(oldest).counted_bytes


def names_of_parts(source: Any, parts: FlatParts) -> bytes:
    """The keys that name a flat answer nobody watches, as `Deltas.names` would if they did.

    source   the query
    returns  empty where no session takes the query, as it cannot be echoed
    """
    try:
        key = query_key(source)
    except orjson.JSONEncodeError:
        return b""
    return down.names_of(_id_of("flat", key), _text(digest_of_parts(parts)))


def _query_id(question: Question) -> bytes:
    return _id_of(*question.asked)


def _id_of(shape: str, key: bytes) -> bytes:
    """A short name of what a client asked, the same for every caller."""
    return blake2b(b"%b %b" % (shape.encode(), key), digest_size=12).hexdigest().encode()


def _text(version: bytes) -> bytes:
    return version.hex().encode()


def find_version(text: str) -> bytes:
    """Read a version as clients send it; a text that is none gives NOTHING_HELD."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return NOTHING_HELD


def _transitions_from(transitions: Iterable[Transition], held: bytes) -> list[Transition]:
    """The transitions since the answer was last `held`; empty if `held` is not known."""
    found: list[Transition] = []
    for transition in transitions:
        if transition.version == held:
            found = [transition]
        elif found:
            found.append(transition)
    return found


def _delta(transitions: list[Transition], data_json: bytes) -> bytes:
    """All of `transitions` as one delta (P77).

    data_json   of the answer that the last transition leads to
    """
    rows, links = transitions[0].rows, transitions[0].links
    for transition in transitions[1:]:
        rows, links = rows.then(transition.rows), links.then(transition.links)
    old_rows, new_rows = _triples(rows.removed), _triples(rows.added)
    old_links, new_links = _triples(links.removed), _triples(links.added)
    # The same triple may have been in another piece before.
    old, new = old_rows.keys() | old_links.keys(), new_rows.keys() | new_links.keys()
    removed = {(e, a) for key, (e, a, *_) in old_rows.items() if key not in new}
    put = {(e, a): key for key, (e, a, *_) in new_rows.items() if key not in old}
    return down.delta(
        removed=[
            *(orjson.dumps(place) for place in removed if place not in put),
            *(orjson.dumps(triple[:3]) for key, triple in old_links.items() if key not in new),
        ],
        changed=[key for place, key in put.items() if place in removed],
        added=[
            *(key for place, key in put.items() if place not in removed),
            *(key for key in new_links if key not in old),
        ],
        data_json=None if transitions[0].data_json == data_json else data_json,
    )


def _triples(pieces: Iterable[bytes]) -> dict[bytes, list[Any]]:
    """Every triple of some pieces, by its JSON."""
    found = orjson.loads(b"[%b]" % b",".join(pieces))
    return {orjson.dumps(triple): triple for triple in found}
